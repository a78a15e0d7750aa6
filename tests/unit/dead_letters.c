// Runs that have failed for good: retried or discarded, one by one or by a filter.
#include "letters.h"

TEST(a_retried_dead_letter_stays_failed_and_is_not_listed_any_more)
{
    begin_world();
    put("t", "{" ONCE "}");
    run_id run = run_once("t", ATTEMPT_FAILED);
    CHECK_INT(1, dead_count(NULL));
    CHECK_INT(1, dead_count("t"));
    struct message *m = deal(MESSAGE_RETRY_DEAD, &run, 1, false, false);
    CHECK_INT(STATUS_OK, m->reply.status);
    message_free(m);
    turn(NULL);
    CHECK_INT(1, order_count);
    struct run old = find_run(run), again = find_run(orders[0]->run);
    CHECK_INT(RUN_FAILED, old.state);
    CHECK(strstr(old.handled, "\"how\":\"retried\""));
    CHECK(strstr(old.handled, "\"by\":\"anna\",\"note\":\"it is back\""));
    CHECK_INT(run.value, again.retry_of.value);
    CHECK(!again.handled);
    run_done(&old);
    run_done(&again);
    CHECK_INT(0, dead_count(NULL));
    CHECK_INT(0, dead_count("t"));
    end_world();
}

TEST(a_dead_letter_is_dealt_with_once)
{
    begin_world();
    put("t", "{" ONCE "}");
    run_id run = run_once("t", ATTEMPT_FAILED);
    message_free(deal(MESSAGE_RETRY_DEAD, &run, 1, false, false));
    turn(NULL);
    CHECK_INT(1, order_count);
    enum message_kind kinds[] = {MESSAGE_RETRY_DEAD, MESSAGE_DISCARD_DEAD};
    for (size_t i = 0; i < 2; i++) {
        struct message *m = deal(kinds[i], &run, 1, false, false);
        CHECK_INT(STATUS_CONFLICT, m->reply.status);
        CHECK_TEXT("/runs/0", m->reply.pointer);
        message_free(m);
    }
    turn(NULL);
    CHECK_INT(1, order_count);
    end_world();
}

TEST(a_single_retry_deals_with_the_dead_letter_too)
{
    begin_world();
    put("t", "{" ONCE "}");
    run_id run = run_once("t", ATTEMPT_FAILED);
    struct message *m = message_new(MESSAGE_RETRY_RUN);
    m->run = run;
    turn(m);
    CHECK_INT(STATUS_OK, m->reply.status);
    message_free(m);
    CHECK_INT(0, dead_count(NULL));
    end_world();
}

TEST(named_runs_are_dealt_with_all_or_none)
{
    begin_world();
    put("t", "{" ONCE "}");
    run_id runs[] = {run_once("t", ATTEMPT_FAILED), run_once("t", ATTEMPT_SUCCEEDED)};
    struct message *m = deal(MESSAGE_DISCARD_DEAD, runs, 2, false, false);
    CHECK_INT(STATUS_CONFLICT, m->reply.status);
    CHECK_TEXT("/runs/1", m->reply.pointer);
    message_free(m);
    CHECK_INT(1, dead_count(NULL));
    runs[1] = (run_id){runs[1].value + 1};
    m = deal(MESSAGE_DISCARD_DEAD, runs, 2, false, false);
    CHECK_INT(STATUS_NOT_FOUND, m->reply.status);
    message_free(m);
    CHECK_INT(1, dead_count(NULL));
    end_world();
}

TEST(of_a_filter_what_cannot_be_retried_is_left_with_the_reason)
{
    begin_world();
    put("t", "{" ONCE "}");
    put("paused", "{" ONCE "}");
    run_id runs[] = {run_once("t", ATTEMPT_FAILED), run_once("paused", ATTEMPT_FAILED)};
    tell(MESSAGE_PAUSE, "paused");
    struct message *m = deal(MESSAGE_RETRY_DEAD, runs, 2, true, false);
    CHECK_INT(STATUS_OK, m->reply.status);
    CHECK(strstr(buffer_string(&m->reply.body), "{\"retried\":1,"));
    CHECK(strstr(buffer_string(&m->reply.body), "maintenance"));
    CHECK(strstr(buffer_string(&m->reply.body), "\"left\":1,"));
    message_free(m);
    CHECK_INT(0, dead_count("t"));
    CHECK_INT(1, dead_count("paused"));
    end_world();
}

TEST(a_dry_run_changes_nothing)
{
    begin_world();
    put("t", "{" ONCE "}");
    run_id run = run_once("t", ATTEMPT_FAILED);
    struct message *m = deal(MESSAGE_RETRY_DEAD, &run, 1, true, true);
    CHECK_INT(STATUS_OK, m->reply.status);
    CHECK(!m->reply.created);
    CHECK(strstr(buffer_string(&m->reply.body), "\"dry_run\":true"));
    message_free(m);
    turn(NULL);
    CHECK_INT(0, order_count);
    CHECK_INT(1, dead_count(NULL));
    end_world();
}

TESTS_MAIN
