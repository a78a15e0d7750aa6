#include "core/run.h"

#include "core/event.h"
#include "core/retry.h"
#include "test.h"

static const struct retry three = {3, BACKOFF_EXPONENTIAL, 5 * SECOND, 10 * MINUTE};
static const wall now = {1774746000 * SECOND};

TEST(only_the_moves_of_the_drawing_are_allowed)
{
    static const struct row {
        enum run_state from, to;
    } rows[] = {
        {RUN_SCHEDULED, RUN_DUE},     {RUN_SCHEDULED, RUN_RUNNING}, {RUN_SCHEDULED, RUN_CANCELED},
        {RUN_SCHEDULED, RUN_MISSED},  {RUN_SCHEDULED, RUN_SKIPPED}, {RUN_DUE, RUN_RUNNING},
        {RUN_DUE, RUN_CANCELED},      {RUN_DUE, RUN_MISSED},        {RUN_DUE, RUN_SKIPPED},
        {RUN_RUNNING, RUN_SUCCEEDED}, {RUN_RUNNING, RUN_WAITING},   {RUN_RUNNING, RUN_FAILED},
        {RUN_RUNNING, RUN_CANCELED},  {RUN_WAITING, RUN_DUE},       {RUN_WAITING, RUN_RUNNING},
        {RUN_WAITING, RUN_CANCELED},  {RUN_WAITING, RUN_MISSED},    {RUN_WAITING, RUN_SKIPPED},
    };
    size_t allowed = 0;
    for (unsigned from = 0; from < RUN_STATE_COUNT; from++)
        for (unsigned to = 0; to < RUN_STATE_COUNT; to++)
            allowed += run_state_may(from, to);
    CHECK_INT(sizeof rows / sizeof *rows, allowed);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK(run_state_may(rows[i].from, rows[i].to));
}

TEST(final_is_final)
{
    for (unsigned state = 0; state < RUN_STATE_COUNT; state++)
        CHECK_INT(state >= RUN_SUCCEEDED, run_state_is_final(state));
}

TEST(a_pending_run_reads_as_due_once_its_time_has_come)
{
    wall later = wall_plus(now, 1);
    CHECK_INT(RUN_SCHEDULED, run_state_at(RUN_SCHEDULED, later, now));
    CHECK_INT(RUN_DUE, run_state_at(RUN_SCHEDULED, now, now));
    CHECK_INT(RUN_DUE, run_state_at(RUN_WAITING, now, later));
    CHECK_INT(RUN_RUNNING, run_state_at(RUN_RUNNING, now, later));
    CHECK_INT(RUN_FAILED, run_state_at(RUN_FAILED, now, later));
}

TEST(states_and_triggers_read_back_from_their_words)
{
    for (unsigned i = 0; i < RUN_STATE_COUNT; i++) {
        enum run_state state;
        CHECK_INT(STATUS_OK, run_state_parse(run_state_text(i), &state));
        CHECK_INT(i, state);
    }
    for (unsigned i = 0; i < TRIGGER_COUNT; i++) {
        enum run_trigger trigger;
        CHECK_INT(STATUS_OK, run_trigger_parse(run_trigger_text(i), &trigger));
        CHECK_INT(i, trigger);
    }
    enum run_state state;
    CHECK_INT(STATUS_INVALID, run_state_parse("done", &state));
}

TEST(a_failed_attempt_is_tried_again_until_the_last)
{
    struct random chance;
    random_seed(&chance, 7);
    for (int number = 1; number <= 3; number++) {
        struct attempt attempt;
        attempt_init(&attempt);
        attempt.number = number;
        attempt.outcome = ATTEMPT_FAILED;
        struct verdict verdict = run_after_attempt(&three, &attempt, now, &chance);
        CHECK_INT(number < 3 ? RUN_WAITING : RUN_FAILED, verdict.state);
        if (number == 3)
            CHECK_HAS("out of attempts (3 of 3)", verdict.reason);
    }
}

TEST(a_long_reason_ends_with_a_whole_character)
{
    struct random chance;
    random_seed(&chance, 7);
    char error[601];
    for (size_t i = 0; i < 600; i += 3)
        memcpy(error + i, "\u20AC", 4);
    for (size_t skip = 0; skip < 3; skip++) {
        struct attempt attempt;
        attempt_init(&attempt);
        attempt.outcome = ATTEMPT_FAILED;
        attempt.final = true;
        attempt.error = error + 3 - skip;
        memcpy(attempt.error, "xx", skip);
        struct verdict verdict = run_after_attempt(&three, &attempt, now, &chance);
        size_t size = strlen(verdict.reason);
        CHECK(size >= sizeof verdict.reason - 3 && size < sizeof verdict.reason);
        CHECK_TEXT("\u20AC", verdict.reason + size - 3);
    }
}

TEST(what_an_attempt_came_to_decides)
{
    static const struct row {
        enum attempt_outcome outcome;
        enum run_state state;
    } rows[] = {
        {ATTEMPT_SUCCEEDED, RUN_SUCCEEDED}, {ATTEMPT_FAILED, RUN_WAITING},
        {ATTEMPT_TIMED_OUT, RUN_WAITING},   {ATTEMPT_UNREACHABLE, RUN_WAITING},
        {ATTEMPT_BROKEN, RUN_WAITING},      {ATTEMPT_REFUSED, RUN_FAILED},
        {ATTEMPT_CANCELED, RUN_WAITING},    {ATTEMPT_LOST, RUN_WAITING},
    };
    struct random chance;
    random_seed(&chance, 7);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct attempt attempt;
        attempt_init(&attempt);
        attempt.number = 1;
        attempt.outcome = rows[i].outcome;
        test_row = attempt_outcome_text(rows[i].outcome);
        CHECK_INT(rows[i].state, run_after_attempt(&three, &attempt, now, &chance).state);
    }
}

TEST(an_endpoint_that_is_gone_is_not_tried_again)
{
    struct random chance;
    random_seed(&chance, 7);
    struct attempt attempt;
    attempt_init(&attempt);
    attempt.number = 1;
    attempt.outcome = ATTEMPT_FAILED;
    attempt.gone = true;
    struct verdict verdict = run_after_attempt(&three, &attempt, now, &chance);
    CHECK_INT(RUN_FAILED, verdict.state);
    CHECK_HAS("refused for good", verdict.reason);
}

TEST(backoff_grows_as_its_kind_says_and_stops_at_its_limit)
{
    static const struct row {
        struct retry retry;
        int number;
        int64_t full_us;
    } rows[] = {
        {{9, BACKOFF_EXPONENTIAL, 5 * SECOND, 10 * MINUTE}, 1, 5 * SECOND},
        {{9, BACKOFF_EXPONENTIAL, 5 * SECOND, 10 * MINUTE}, 4, 40 * SECOND},
        {{9, BACKOFF_EXPONENTIAL, 5 * SECOND, 10 * MINUTE}, 99, 10 * MINUTE},
        {{9, BACKOFF_LINEAR, 5 * SECOND, MINUTE}, 3, 15 * SECOND},
        {{9, BACKOFF_LINEAR, 5 * SECOND, MINUTE}, 99, MINUTE},
        {{9, BACKOFF_FIXED, 5 * SECOND, MINUTE}, 50, 5 * SECOND},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        CHECK_INT(rows[i].full_us, retry_full_wait(&rows[i].retry, rows[i].number));
}

TEST(waits_lie_in_the_upper_half_and_differ)
{
    struct random chance;
    random_seed(&chance, 3);
    int64_t least = INT64_MAX, most = 0;
    for (int i = 0; i < 1000; i++) {
        int64_t wait = retry_wait(&three, 2, -1, &chance);
        CHECK(wait >= 5 * SECOND && wait <= 10 * SECOND);
        least = wait < least ? wait : least;
        most = wait > most ? wait : most;
    }
    CHECK(most - least > 4 * SECOND);
}

TEST(retry_after_is_honoured_and_capped)
{
    struct random chance;
    random_seed(&chance, 3);
    CHECK_INT(MINUTE, retry_wait(&three, 1, MINUTE, &chance));
    CHECK_INT(RETRY_AFTER_MAX, retry_wait(&three, 1, 300 * DAY, &chance));
    CHECK(retry_wait(&three, 1, 0, &chance) >= 5 * SECOND / 2);
}

TEST(unknown_numbers_are_written_as_null)
{
    struct buffer b;
    buffer_init(&b, 10000);
    struct writer w = writer_on(&b);
    struct attempt attempt;
    attempt_init(&attempt);
    attempt.number = 1;
    attempt_write(&w, &attempt);
    CHECK_HAS("\"response_time_ms\":null", buffer_string(&b));
    CHECK_HAS("\"tls_ms\":null", buffer_string(&b));
    CHECK_HAS("\"status\":null", buffer_string(&b));
    CHECK_HAS("\"db_calls\":null", buffer_string(&b));
    CHECK_HAS("\"cache\":\"unknown\"", buffer_string(&b));
    buffer_done(&b);
}

TEST(a_result_that_is_nested_too_deep_for_readers_is_left_out)
{
    char deep[2 * (JSON_DEPTH_MAX + 1)];
    memset(deep, '[', sizeof deep / 2);
    memset(deep + sizeof deep / 2, ']', sizeof deep / 2);
    struct buffer b;
    buffer_init(&b, 10000);
    struct writer w = writer_on(&b);
    struct attempt attempt;
    attempt_init(&attempt);
    attempt.outcome = ATTEMPT_SUCCEEDED;
    attempt.response = deep;
    attempt.response_size = sizeof deep;
    struct run run = {.id = {1}, .state = RUN_SUCCEEDED, .trigger = TRIGGER_API};
    run_write(&w, &run, now, &attempt, 1);
    CHECK_HAS("\"result\":null", buffer_string(&b));
    buffer_done(&b);
}

TEST(the_result_of_a_run_is_its_successful_response)
{
    struct buffer b;
    buffer_init(&b, 10000);
    struct writer w = writer_on(&b);
    struct attempt attempts[2];
    attempt_init(&attempts[0]);
    attempt_init(&attempts[1]);
    attempts[0].outcome = ATTEMPT_FAILED;
    attempts[0].response = "{\"made\": 1}";
    attempts[0].response_size = 11;
    attempts[1].outcome = ATTEMPT_SUCCEEDED;
    attempts[1].response = "{\"made\": 2}";
    attempts[1].response_size = 11;
    struct run run = {.id = {1},
                      .state = RUN_SUCCEEDED,
                      .trigger = TRIGGER_API,
                      .scheduled_for = now,
                      .due_at = now,
                      .started_at = now,
                      .finished_at = now};
    run_write(&w, &run, now, attempts, 2);
    CHECK_HAS("\"result\":{\"made\":2}", buffer_string(&b));
    CHECK_HAS("\"revision\":null", buffer_string(&b));
    CHECK_HAS("\"retry_of\":null", buffer_string(&b));
    buffer_done(&b);
}

TEST(at_most_once_nothing_follows_what_may_have_been_delivered)
{
    static const struct row {
        enum attempt_outcome outcome;
        enum run_state state;
        const char *word;
    } rows[] = {
        {ATTEMPT_TIMED_OUT, RUN_FAILED, "the outcome is unknown"},
        {ATTEMPT_BROKEN, RUN_FAILED, "the outcome is unknown"},
        {ATTEMPT_LOST, RUN_FAILED, "the outcome is unknown"},
        {ATTEMPT_CANCELED, RUN_FAILED, "the outcome is unknown"}, // stopped by the drain
        {ATTEMPT_FAILED, RUN_FAILED, "it was delivered"},
        {ATTEMPT_REFUSED, RUN_FAILED, "cannot be tried"},
        {ATTEMPT_UNREACHABLE, RUN_WAITING, ""},
        {ATTEMPT_SUCCEEDED, RUN_SUCCEEDED, ""},
    };
    struct random chance;
    random_seed(&chance, 1);
    struct task task = {.delivery = DELIVERY_AT_MOST_ONCE,
                        .retry = {.max_attempts = 3, .initial_us = SECOND, .max_us = SECOND}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct attempt attempt;
        attempt_init(&attempt);
        attempt.number = 1;
        attempt.outcome = rows[i].outcome;
        struct verdict verdict = run_after_attempt(&task.retry, &attempt, (wall){0}, &chance);
        run_at_most_once(&task, &attempt, &verdict);
        CHECK_INT(rows[i].state, verdict.state);
        CHECK_HAS(rows[i].word, verdict.reason);
    }
}

TEST(events_are_one_json_object_a_line)
{
    struct buffer b;
    buffer_init(&b, 10000);
    event_run(
        &b, &(struct event_run){"nightly", {5}, RUN_FAILED, WALL_NONE, "out of \"attempts\"", now});
    event_task(&b, "task.paused", "nightly", 3, NULL, "maintenance");
    CHECK_TEXT("{\"type\":\"run.failed\",\"task\":\"nightly\",\"run\":\"run_0000000000005\","
               "\"at\":\"2026-03-29T01:00:00.000Z\",\"reason\":\"out of \\\"attempts\\\"\"}\n"
               "{\"type\":\"task.paused\",\"task\":\"nightly\","
               "\"revision\":3,\"by\":null,\"note\":\"maintenance\"}\n",
               buffer_string(&b));
    buffer_done(&b);
}

TESTS_MAIN
