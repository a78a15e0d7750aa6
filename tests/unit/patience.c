#include "api/patience.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test.h"

#define PLACES 4

static struct patience *patience;
static int ends[PLACES][2]; // ours, the client's
static struct caller *callers[PLACES];

static void begin(const struct patience_limits *limits, int count)
{
    patience = patience_new(PLACES, limits);
    CHECK(patience);
    for (int i = 0; i < count; i++) {
        CHECK_INT(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends[i]));
        callers[i] = patience_arrive(patience, ends[i][0]);
    }
}

static void end(int count)
{
    for (int i = 0; i < count; i++) {
        patience_leave(patience, callers[i]);
        close(ends[i][0]);
        close(ends[i][1]);
    }
    patience_free(patience);
}

// Whether the client sees its connection end within the time.
static bool ends_within(int i, int ms)
{
    struct pollfd fd = {.fd = ends[i][1], .events = POLLIN};
    return poll(&fd, 1, ms) == 1;
}

TEST(who_owes_too_long_is_sent_away_and_who_owes_nothing_stays)
{
    struct patience_limits limits = {.header_us = MILLISECOND, .body_us = HOUR};
    begin(&limits, 3);
    caller_owes_body(callers[1]);
    caller_owes_nothing(callers[2]);
    CHECK(ends_within(0, 5000));
    CHECK(!ends_within(1, 0));
    CHECK(!ends_within(2, 0));
    end(3);
}

TEST(a_body_has_a_limit_too)
{
    struct patience_limits limits = {.header_us = HOUR, .body_us = MILLISECOND};
    begin(&limits, 2);
    caller_owes_body(callers[1]);
    CHECK(ends_within(1, 5000));
    CHECK(!ends_within(0, 0));
    end(2);
}

TEST(where_most_places_are_taken_patience_is_short)
{
    struct patience_limits limits = {.header_us = HOUR, .body_us = HOUR, .crowded_us = MILLISECOND};
    begin(&limits, PLACES);
    caller_owes_nothing(callers[0]);
    caller_owes_body(callers[1]);
    for (int i = 1; i < PLACES; i++)
        CHECK(ends_within(i, 5000));
    CHECK(!ends_within(0, 0));
    end(PLACES);
}

TESTS_MAIN
