// /v1/test/clock: where a test clock stands, and time passing. Refused where the clock is a real
// one.
#include "api/handlers.h"
#include "api/request.h"
#include "base/now.h"
#include "core/decode.h"

#define WAIT_USUAL (30 * SECOND)
#define WAIT_MOST HOUR
#define ADVANCE_MOST (100 * 365 * DAY)

static bool has_test_clock(struct request *r)
{
    if (wall_is_stopped())
        return true;
    request_refuse(r, PROBLEM_FORBIDDEN,
                   "this server has a real clock; for tests start one with --test-clock");
    return false;
}

void test_clock_get(struct request *r)
{
    if (!has_test_clock(r))
        return;
    struct message *message = message_new(MESSAGE_TEST_CLOCK);
    message->clock.look = true;
    request_post(r, message);
}

static void decode_to(const struct place *at, const struct field *field, const json_t *value,
                      void *into)
{
    wall to;
    if (!json_is_string(value) ||
        wall_parse(json_string_value(value), json_string_length(value), &to) != STATUS_OK)
        faults_add(at->faults, at->pointer,
                   "must be an instant with an offset, such as \"2026-12-24T18:00:00+01:00\"");
    else
        *(wall *)((char *)into + field->offset) = to;
}

static const char *const holders[] = {"wait", "expire", NULL}; // in the order of bool past_leases

static void decode_leases(const struct place *at, const struct field *field, const json_t *value,
                          void *into)
{
    int choice = 0;
    struct field chosen = {.name = field->name, .more = holders};
    decode_choice(at, &chosen, value, &choice);
    *(bool *)((char *)into + field->offset) = choice == 1;
}

static const struct field fields[] = {
    {"advance", decode_duration, offsetof(struct clock_wish, by_us), 0, ADVANCE_MOST},
    {"to", decode_to, offsetof(struct clock_wish, to)},
    {"wait", decode_duration, offsetof(struct clock_wish, wait_us), 0, WAIT_MOST},
    {"leases", decode_leases, offsetof(struct clock_wish, past_leases)},
};

void test_clock_post(struct request *r)
{
    json_t *body;
    if (!has_test_clock(r) || !request_json(r, &body))
        return;
    struct message *message = message_new(MESSAGE_TEST_CLOCK);
    message->clock = (struct clock_wish){.to = WALL_NONE, .wait_us = WAIT_USUAL};
    decode_object(&(struct place){"", &r->faults}, fields, sizeof fields / sizeof *fields, body,
                  &message->clock);
    if (json_object_get(body, "advance") && json_object_get(body, "to"))
        faults_add(&r->faults, "", "must have advance or to, not both");
    json_decref(body);
    request_post_sound(r, message, "the clock cannot do that");
}
