#include "cli/sse.h"

#include <stdio.h>

#include "test.h"

static char heard[1024];

static bool hear(void *context, const char *id, const char *data)
{
    (void)context;
    size_t at = strlen(heard);
    snprintf(heard + at, sizeof heard - at, "[%s|%s]", id, data);
    return strcmp(data, "stop") != 0;
}

static bool take(struct sse *sse, const char *text)
{
    return sse_take(sse, text, strlen(text));
}

static const char stream[] =
    ": hello\n\nid: 1-0\ndata: {\"a\": 1}\n\nevent: x\r\ndata:two\r\ndata: lines\r\n\r\n"
    "retry: 250\nid: 2-0\n\nunknown: x\ndata\n\ndata: cut";

TEST(events_are_the_same_however_the_stream_is_cut)
{
    for (size_t step = 1; step < sizeof stream; step++) {
        struct sse sse;
        heard[0] = '\0';
        sse_init(&sse, hear, NULL);
        for (size_t at = 0; at < sizeof stream - 1; at += step) {
            size_t left = sizeof stream - 1 - at;
            CHECK(sse_take(&sse, stream + at, left < step ? left : step));
        }
        CHECK_TEXT("[1-0|{\"a\": 1}][1-0|two\nlines][2-0|]", heard);
        CHECK_INT(250, sse.retry_ms);
        sse_done(&sse);
    }
}

TEST(after_a_break_what_was_begun_is_forgotten_and_the_last_id_stays)
{
    struct sse sse;
    heard[0] = '\0';
    sse_init(&sse, hear, NULL);
    take(&sse, "id: 7-1\ndata: x\n\ndata: half");
    sse_restart(&sse);
    take(&sse, "data: y\n\n");
    CHECK_TEXT("[7-1|x][7-1|y]", heard);
    CHECK_TEXT("7-1", buffer_string(&sse.id));
    sse_done(&sse);
}

TEST(the_hearer_may_stop_the_stream)
{
    struct sse sse;
    heard[0] = '\0';
    sse_init(&sse, hear, NULL);
    CHECK(!take(&sse, "data: stop\n\ndata: more\n\n"));
    CHECK_TEXT("[|stop]", heard);
    sse_done(&sse);
}

TEST(a_line_beyond_the_limit_is_passed_over)
{
    struct sse sse;
    heard[0] = '\0';
    sse_init(&sse, hear, NULL);
    sse.line.limit = 16;
    take(&sse, "data: 0123456789abcdef\n\ndata: ok\n\n");
    CHECK_TEXT("[|ok]", heard);
    sse_done(&sse);
}

TESTS_MAIN
