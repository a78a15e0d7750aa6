// Overlap, catch-up, deadlines and at_most_once, over a real store and with a clock of the test's
// own.
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/random.h"
#include "core/catch_up.h"
#include "core/upcoming.h"
#include "scheduler/scheduler.h"
#include "store/reader.h"
#include "test.h"

#define T0 (INT64_C(1767225600) * SECOND) // 2026-01-01T00:00:00Z
#define ORDERS_MAX 20000

static char folder[64], path[96];
static struct store *store;
static struct scheduler *scheduler;
static struct scheduler_options options;
static wall now;
static struct order *orders[ORDERS_MAX]; // what left the turns and is not yet reported
static wall claimed[ORDERS_MAX];         // in which turn
static size_t order_count, abort_count;

static void forget_orders(void)
{
    while (order_count)
        order_free(orders[--order_count]);
    abort_count = 0;
}

static void start(void)
{
    forget_orders(); // of a test that has failed
    char why[256] = "";
    if (store_open_sqlite(path, &store, why, sizeof why) != STATUS_OK)
        TEST_FAIL("cannot open the store: %s", why);
    CHECK_INT(STATUS_OK, scheduler_new(&options, store, now, &scheduler));
}

// What a crash leaves: nothing of the memory.
static void stop(void)
{
    forget_orders();
    scheduler_free(scheduler);
    store_close(store);
    scheduler = NULL;
    store = NULL;
}

static void begin_world(void)
{
    strcpy(folder, "/tmp/punctual-test-XXXXXX");
    CHECK(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/punctual.db", folder);
    now.us = T0;
    options = scheduler_defaults;
    start();
}

static void end_world(void)
{
    stop();
    char command[160];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    CHECK_INT(0, system(command));
}

static void take_orders(struct outbox *out)
{
    while (out->orders) {
        struct order *order = (struct order *)out->orders;
        out->orders = order->letter.next;
        if (order->kind == ORDER_ATTEMPT) {
            CHECK(order_count < ORDERS_MAX);
            claimed[order_count] = now;
            orders[order_count++] = order;
        } else {
            abort_count += order->kind == ORDER_ABORT;
            order_free(order);
        }
    }
}

// One turn with one message or none. The message comes back answered.
static void turn(struct message *m)
{
    struct outbox out;
    if (m)
        m->letter.next = NULL;
    CHECK_INT(STATUS_OK, scheduler_turn(scheduler, now, m ? &m->letter : NULL, &out));
    take_orders(&out);
    while (out.attempts) {
        struct message *report = (struct message *)out.attempts;
        out.attempts = report->letter.next;
        message_free(report);
    }
}

// Lets the time pass up to `until`, with a turn whenever the scheduler wants one.
static void pass_until(wall until)
{
    for (int turns = 0; turns < 100000; turns++) {
        wall next = scheduler_next_turn(scheduler, now);
        if (next.us > until.us)
            break;
        if (next.us > now.us)
            now = next;
        turn(NULL);
    }
    now = until;
    turn(NULL);
}

static void pass(int64_t us)
{
    pass_until(wall_plus(now, us));
}

// The server is not there for so long.
static void outage(int64_t us)
{
    stop();
    now.us += us;
    start();
}

static struct task *definition(const char *name, const char *json)
{
    json_t *value;
    struct json_place place;
    struct faults faults = {0};
    struct task *task = NULL;
    CHECK_INT(STATUS_OK, json_read(json, strlen(json), &value, &place));
    if (task_decode(name, value, NULL, "", &faults, &task) != STATUS_OK)
        TEST_FAIL("%s: %s", faults.items[0].pointer, faults.items[0].detail);
    json_decref(value);
    return task;
}

static void send(enum message_kind kind, const char *name, struct task *task, run_id run)
{
    struct message *m = message_new(kind);
    m->name = memory_text(name);
    m->task = task;
    m->run = run;
    m->author = memory_text("anna");
    m->note = memory_text("maintenance");
    turn(m);
    CHECK_INT(STATUS_OK, m->reply.status);
    message_free(m);
}

#define HOOK "\"http\":{\"url\":\"http://127.0.0.1:9/hook\"}"

// `rest` is what the definition has besides its target.
static void put(const char *name, const char *rest)
{
    char json[1000];
    snprintf(json, sizeof json, "{%s%s" HOOK "}", rest, *rest ? "," : "");
    send(MESSAGE_PUT_TASK, name, definition(name, json), (run_id){0});
}

static run_id ask(const char *task, wall due_at)
{
    struct message *m = message_new(MESSAGE_CREATE_RUNS);
    m->wishes = memory_array(1, sizeof *m->wishes);
    m->wish_count = 1;
    m->wishes[0].task_name = memory_text(task);
    m->wishes[0].due_at = due_at;
    turn(m);
    CHECK_INT(STATUS_OK, m->reply.status);
    run_id run = m->reply.run;
    message_free(m);
    return run;
}

// The dispatcher's part: the order at `place` comes to this.
static void report_at(size_t place, enum attempt_outcome outcome)
{
    CHECK(place < order_count);
    struct order *order = orders[place];
    order_count--;
    memmove(orders + place, orders + place + 1, (order_count - place) * sizeof *orders);
    memmove(claimed + place, claimed + place + 1, (order_count - place) * sizeof *claimed);
    struct message *m = message_new(MESSAGE_REPORT);
    m->attempt.run = order->run;
    m->attempt.number = order->number;
    m->attempt.fence = order->fence;
    m->attempt.started_at = now;
    m->attempt.outcome = outcome;
    m->attempt.error = outcome == ATTEMPT_SUCCEEDED ? NULL : memory_text("answered 500");
    order_free(order);
    turn(m);
}

static void report(enum attempt_outcome outcome)
{
    report_at(0, outcome);
}

static enum run_state state_of(run_id id)
{
    struct run run;
    CHECK_INT(STATUS_OK, store_find_run(store, id, &run));
    enum run_state state = run.state;
    run_done(&run);
    return state;
}

static bool has_reason(run_id id, const char *words)
{
    struct run run;
    CHECK_INT(STATUS_OK, store_find_run(store, id, &run));
    bool has = run.reason && strstr(run.reason, words);
    run_done(&run);
    return has;
}

static int64_t count(enum run_state state)
{
    struct reader *reader;
    char why[200];
    int64_t counts[RUN_STATE_COUNT];
    CHECK_INT(STATUS_OK, reader_open_sqlite(path, &reader, why, sizeof why));
    CHECK_INT(STATUS_OK, reader_count_runs(reader, counts));
    reader_close(reader);
    return counts[state];
}

// --- catch_up ---

// Minutely, down from 00:30 to 10:30: of the minutes 1 to 10 those from..10 run, in their order.
static const struct outage_row {
    const char *catch_up;
    int from, missed;
} outages[] = {
    {"{\"policy\":\"skip\"}", 11, 10},
    {"{}", 10, 9},
    {"{\"policy\":\"latest\",\"window\":\"30s\"}", 10, 9},
    {"{\"policy\":\"latest\",\"window\":\"29s\"}", 11, 10},
    {"{\"policy\":\"all\"}", 1, 0},
    {"{\"policy\":\"all\",\"max\":3}", 8, 7},
    {"{\"policy\":\"all\",\"max\":10}", 1, 0},
    {"{\"policy\":\"all\",\"window\":\"5m30s\"}", 5, 4},
    {"{\"policy\":\"all\",\"window\":\"5m29s\"}", 6, 5},
    {"{\"policy\":\"all\",\"window\":\"5m\",\"max\":2}", 9, 8},
    {"{\"policy\":\"all\",\"window\":\"365d\",\"max\":10000}", 1, 0},
};

TEST(after_an_outage_what_the_policy_says_runs_in_order_and_the_rest_is_missed)
{
    for (size_t i = 0; i < sizeof outages / sizeof *outages; i++) {
        const struct outage_row *row = &outages[i];
        char rest[300];
        test_row = row->catch_up;
        begin_world();
        snprintf(rest, sizeof rest, "\"schedule\":{\"every\":\"1m\"},\"catch_up\":%s",
                 row->catch_up);
        put("minutely", rest);
        pass(30 * SECOND);
        outage(10 * MINUTE);
        pass(SECOND);
        CHECK_INT(11 - row->from, order_count);
        for (size_t k = 0; k < order_count; k++)
            CHECK_INT(T0 + (row->from + (int)k) * MINUTE, orders[k]->scheduled_for.us);
        CHECK_INT(row->missed, count(RUN_MISSED));
        pass_until((wall){T0 + 11 * MINUTE}); // and the next one, on time
        CHECK_INT(12 - row->from, order_count);
        CHECK_INT(T0 + 11 * MINUTE, orders[order_count - 1]->scheduled_for.us);
        end_world();
    }
}

TEST(the_schedules_of_a_task_catch_up_together)
{
    begin_world();
    put("both", "\"schedule\":[{\"every\":\"2m\"},{\"every\":\"3m\"}],"
                "\"catch_up\":{\"policy\":\"all\",\"max\":4}");
    pass(SECOND);
    outage(12 * MINUTE + 10 * SECOND); // 2 3 4 6 8 9 10 12
    pass(SECOND);
    static const int minutes[] = {8, 9, 10, 12};
    CHECK_INT(4, order_count);
    for (int i = 0; i < 4; i++)
        CHECK_INT(T0 + minutes[i] * MINUTE, orders[i]->scheduled_for.us);
    CHECK_INT(4, count(RUN_MISSED));
    pass_until((wall){T0 + 18 * MINUTE + SECOND}); // 14 15 16 18, each once
    CHECK_INT(8, order_count);
    CHECK_INT(4, count(RUN_MISSED));
    end_world();
}

TEST(a_clock_set_forward_is_an_outage_and_one_set_back_fires_nothing_again)
{
    begin_world();
    put("both", "\"schedule\":[{\"every\":\"1m\"},{\"every\":\"90s\"}]");
    pass(MINUTE + SECOND);
    CHECK_INT(1, order_count);
    report(ATTEMPT_SUCCEEDED);
    now.us = T0 + 10 * MINUTE + 5 * SECOND; // 1:30 2 3 4 4:30 5 6 7 7:30 8 9 and 10
    turn(NULL);
    pass(SECOND);
    CHECK_INT(1, order_count);
    CHECK_INT(T0 + 10 * MINUTE, orders[0]->scheduled_for.us);
    CHECK_INT(11, count(RUN_MISSED));
    report(ATTEMPT_SUCCEEDED);
    now.us = T0 + 2 * MINUTE;
    turn(NULL);
    pass_until((wall){T0 + 10 * MINUTE + 10 * SECOND});
    CHECK_INT(0, order_count);
    pass_until((wall){T0 + 12 * MINUTE + SECOND}); // 10:30 11 12
    CHECK_INT(3, order_count);
    CHECK_INT(11, count(RUN_MISSED));
    end_world();
}

TEST(a_clock_that_was_ahead_at_the_start_makes_no_outage_when_it_is_set_right)
{
    begin_world();
    now.us = T0 - HOUR;
    turn(NULL);
    put("minutely", "\"schedule\":{\"every\":\"1m\"},\"catch_up\":{\"policy\":\"skip\"}");
    pass(3 * MINUTE + SECOND);
    CHECK_INT(3, order_count);
    CHECK_INT(0, count(RUN_MISSED));
    end_world();
}

TEST(a_restart_in_the_middle_of_catching_up_changes_nothing)
{
    begin_world();
    put("secondly", "\"schedule\":{\"every\":\"1s\"},\"catch_up\":{\"policy\":\"all\",\"max\":5}");
    pass(500 * MILLISECOND);
    outage(5000 * SECOND); // 1 to 5000
    for (int i = 0; i < 3; i++) {
        turn(NULL);
        outage(0);
    }
    CHECK(count(RUN_MISSED) < 4995);
    pass(400 * MILLISECOND);
    CHECK_INT(4995, count(RUN_MISSED));
    CHECK_INT(5, order_count);
    for (int i = 0; i < 5; i++)
        CHECK_INT(T0 + (4996 + i) * SECOND, orders[i]->scheduled_for.us);
    end_world();
}

TEST(two_outages_are_two_backlogs_worked_off_one_after_the_other)
{
    begin_world();
    put("secondly", "\"schedule\":{\"every\":\"1s\"}");
    pass(500 * MILLISECOND);
    outage(3000 * SECOND); // 1 to 3000
    turn(NULL);
    outage(2000 * SECOND); // 3001 to 5000
    pass(300 * MILLISECOND);
    CHECK_INT(4998, count(RUN_MISSED));
    CHECK_INT(2, order_count);
    CHECK_INT(T0 + 3000 * SECOND, orders[0]->scheduled_for.us);
    CHECK_INT(T0 + 5000 * SECOND, orders[1]->scheduled_for.us);
    end_world();
}

TEST(the_next_occurrence_fires_on_time_while_a_long_outage_is_worked_off)
{
    begin_world();
    put("secondly", "\"schedule\":{\"every\":\"1s\"},\"catch_up\":{\"policy\":\"skip\"}");
    for (int i = 0; i < 200; i++) {
        char name[20];
        snprintf(name, sizeof name, "minutely-%d", i);
        put(name, "\"schedule\":{\"every\":\"1m\"},\"catch_up\":{\"policy\":\"skip\"}");
    }
    pass(500 * MILLISECOND);
    outage(20000 * SECOND);
    turn(NULL); // finds them all behind
    now.us += 100 * MILLISECOND;
    turn(NULL);
    CHECK(count(RUN_MISSED) < 10000);
    now.us = T0 + 20001 * SECOND;
    turn(NULL);
    CHECK_INT(1, order_count);
    CHECK_INT(now.us, orders[0]->scheduled_for.us);
    pass(0);
    CHECK_INT(20000 + 200 * 333, count(RUN_MISSED));
    end_world();
}

TEST(catching_up_starts_no_more_in_any_second_than_it_may)
{
    begin_world();
    options.catch_up_per_s = 20;
    options.lane_limit = 1000;
    for (int i = 0; i < 10; i++) {
        char name[20];
        snprintf(name, sizeof name, "minutely-%d", i);
        put(name, "\"schedule\":{\"every\":\"1m\"},\"catch_up\":{\"policy\":\"all\"}");
    }
    pass(30 * SECOND);
    outage(10 * MINUTE);
    pass(2 * SECOND);
    size_t before = order_count;
    outage(0); // those under way are lost; those that wait go on waiting, and as slowly
    CHECK(before >= 40 && before <= 60);
    pass(2 * SECOND);
    CHECK(order_count >= 40);
    for (size_t i = 20; i < order_count; i++)
        if (orders[i]->number == 1 && orders[i - 20]->number == 1)
            CHECK(claimed[i].us - claimed[i - 20].us >= SECOND);
    pass(20 * SECOND);
    CHECK_INT(100, count(RUN_RUNNING));
    end_world();
}

TEST(an_edit_or_a_delete_leaves_no_missed_occurrence_without_a_record)
{
    for (int deleted = 0; deleted < 2; deleted++) {
        begin_world();
        put("secondly", "\"schedule\":{\"every\":\"1s\"},\"catch_up\":{\"policy\":\"all\"}");
        pass(500 * MILLISECOND);
        outage(5000 * SECOND);
        turn(NULL);
        if (deleted)
            send(MESSAGE_DELETE_TASK, "secondly", NULL, (run_id){0});
        else
            put("secondly", "\"schedule\":{\"every\":\"1h\"}");
        pass(100 * MILLISECOND);
        CHECK_INT(5000, count(RUN_MISSED));
        CHECK_INT(0, order_count);
        end_world();
    }
}

TEST(an_edit_before_the_first_turn_after_an_outage_records_what_was_missed)
{
    begin_world();
    put("minutely", "\"schedule\":{\"every\":\"1m\"}");
    pass(SECOND);
    outage(5 * MINUTE);
    put("minutely", "\"schedule\":{\"every\":\"1h\"}");
    pass(SECOND);
    CHECK_INT(5, count(RUN_MISSED));
    CHECK_INT(0, order_count);
    end_world();
}

TEST(of_a_paused_task_nothing_catches_up)
{
    begin_world();
    put("minutely", "\"schedule\":{\"every\":\"1m\"},\"catch_up\":{\"policy\":\"all\"}");
    pass(MINUTE + SECOND);
    report(ATTEMPT_SUCCEEDED);
    send(MESSAGE_PAUSE, "minutely", NULL, (run_id){0});
    outage(5 * MINUTE);
    pass(SECOND);
    CHECK_INT(0, order_count);
    CHECK_INT(5, count(RUN_SKIPPED));
    end_world();
}

// Each occurrence of an outage, one by one: what catch_up_from must agree with.
static wall listed(const struct task *task, wall first, wall until)
{
    struct upcoming u;
    struct upcoming_item item;
    static wall all[20000];
    int n = 0;
    upcoming_begin(&u, task, wall_plus(first, -1));
    while (upcoming_next(&u, &item) && item.nominal.us < until.us)
        if (item.dst != DST_SKIPPED &&
            (!task->catch_up.window_us || item.nominal.us >= until.us - task->catch_up.window_us))
            all[n++] = item.nominal;
    int max = task->catch_up.max;
    return n == 0 ? until : all[n > max ? n - max : 0];
}

TEST(stepping_back_finds_the_same_as_listing_all)
{
    static const char *const schedules[] = {
        "{\"cron\":\"*/7 8-17 * * MON-FRI\",\"timezone\":\"Europe/Berlin\"}",
        "[{\"cron\":\"30 2 * * *\",\"timezone\":\"Europe/Berlin\",\"dst_gap\":\"skip\"},"
        "{\"every\":\"5h\"}]",
        "{\"cron\":\"* * 1 * *\"}",
        "{\"at\":\"2026-02-01T00:00:00Z\"}",
        "{\"cron\":\"0 0 29 2 *\"}",
    };
    struct random chance;
    random_seed(&chance, 7);
    for (int i = 0; i < 400; i++) {
        char json[400], window[40] = "";
        int64_t span = random_below(&chance, 100 * DAY) + 1;
        if (random_below(&chance, 2))
            snprintf(window, sizeof window, "\"window\":\"%dm\",",
                     (int)(random_below(&chance, 100000) + 1));
        snprintf(json, sizeof json,
                 "{\"schedule\":%s,\"catch_up\":{\"policy\":\"all\",%s\"max\":%d}," HOOK "}",
                 schedules[i % 5], window, (int)random_below(&chance, 50) + 1);
        test_row = json;
        struct task *task = definition("job", json);
        wall first = {T0 + random_below(&chance, 100 * DAY)};
        wall until = wall_plus(first, span);
        CHECK_INT(listed(task, first, until).us, catch_up_from(task, first, until).us);
        task_drop(task);
    }
}

#define BOTH "\"schedule\":[{\"every\":\"2s\"},{\"every\":\"3s\"}],"

static int64_t count_all(void)
{
    int64_t all = 0;
    for (unsigned state = 0; state < RUN_STATE_COUNT; state++)
        all += state == RUN_DUE ? 0 : count(state);
    return all;
}

// Outages, steps of the clock, pauses and edits, one after the other. `latest` is the latest
// instant the clock has shown.
static void disturb(struct random *chance, wall *latest)
{
    static const char *const edits[] = {BOTH "\"catch_up\":{\"policy\":\"all\",\"max\":3}",
                                        BOTH "\"catch_up\":{\"policy\":\"skip\"}",
                                        BOTH "\"catch_up\":{\"window\":\"30s\"}",
                                        BOTH "\"overlap\":\"skip\""};
    int what = (int)random_below(chance, 10);
    if (what < 3)
        pass(random_below(chance, 10 * SECOND));
    else if (what < 5)
        outage(random_below(chance, 5 * MINUTE));
    else if (what < 6)
        outage(random_below(chance, HOUR));
    else if (what < 7)
        now.us += random_below(chance, HOUR);
    else if (what < 8)
        now.us -= random_below(chance, 2 * MINUTE);
    else if (what < 9)
        put("both", edits[random_below(chance, 4)]);
    else
        send(random_below(chance, 2) ? MESSAGE_PAUSE : MESSAGE_RESUME, "both", NULL, (run_id){0});
    for (int64_t turns = random_below(chance, 4); turns > 0; turns--)
        turn(NULL);
    while (order_count)
        report(ATTEMPT_SUCCEEDED);
    *latest = now.us > latest->us ? now : *latest;
}

TEST(every_occurrence_has_one_record_whatever_happens)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct random chance;
        char row[20];
        snprintf(row, sizeof row, "seed %d", (int)seed);
        test_row = row;
        random_seed(&chance, seed);
        begin_world();
        wall latest = now;
        put("both", BOTH "\"catch_up\":{\"policy\":\"all\"}");
        for (int i = 0; i < 40; i++)
            disturb(&chance, &latest);
        // In the middle between two seconds: nothing of the next one is claimed yet.
        pass_until((wall){latest.us / SECOND * SECOND + 7500 * MILLISECOND});
        int64_t seconds = (now.us - T0) / SECOND;
        CHECK_INT(seconds / 2 + seconds / 3 - seconds / 6, count_all());
        end_world();
    }
}

// --- deadline ---

TEST(a_run_that_has_not_started_by_its_deadline_is_missed_wherever_it_waits)
{
    begin_world();
    options.lane_limit = 1;
    outage(0);
    put("job", "\"deadline\":\"10s\"");
    run_id first = ask("job", WALL_NONE), in_lane = ask("job", WALL_NONE);
    put("paused", "\"deadline\":\"20s\"");
    run_id held = ask("paused", wall_plus(now, 5 * SECOND));
    send(MESSAGE_PAUSE, "paused", NULL, (run_id){0});
    pass(10 * SECOND);
    CHECK_INT(RUN_SCHEDULED, state_of(in_lane));
    pass(1);
    CHECK_INT(RUN_MISSED, state_of(in_lane));
    CHECK(has_reason(in_lane, "deadline, 2026-01-01T00:00:10.000Z"));
    CHECK_INT(RUN_RUNNING, state_of(first));
    pass_until((wall){T0 + 25 * SECOND});
    CHECK_INT(RUN_SCHEDULED, state_of(held));
    pass(1);
    CHECK_INT(RUN_MISSED, state_of(held));
    run_id later = ask("job", wall_plus(now, MINUTE));
    outage(MINUTE + 10 * SECOND);
    pass(0);
    CHECK_INT(RUN_RUNNING, state_of(later)); // just in time
    later = ask("job", wall_plus(now, MINUTE));
    outage(MINUTE + 10 * SECOND + 1);
    pass(0);
    CHECK_INT(RUN_MISSED, state_of(later));
    end_world();
}

TEST(between_two_attempts_a_deadline_means_nothing)
{
    begin_world();
    put("job", "\"deadline\":\"1s\",\"retry\":{\"initial\":\"1m\"}");
    run_id run = ask("job", WALL_NONE);
    report(ATTEMPT_FAILED);
    pass(2 * MINUTE);
    CHECK_INT(1, order_count);
    report(ATTEMPT_SUCCEEDED);
    CHECK_INT(RUN_SUCCEEDED, state_of(run));
    end_world();
}

TEST(what_catches_up_keeps_its_deadline)
{
    begin_world();
    put("minutely", "\"schedule\":{\"every\":\"1m\"},\"deadline\":\"2m\","
                    "\"catch_up\":{\"policy\":\"all\"}");
    pass(SECOND);
    outage(10 * MINUTE);
    pass(SECOND);
    CHECK_INT(2, order_count); // 9 and 10
    CHECK_INT(8, count(RUN_MISSED));
    end_world();
}

TEST(many_deadlines_pass_in_bounded_turns)
{
    begin_world();
    put("job", "\"deadline\":\"1s\"");
    for (int i = 0; i < 1200; i++)
        ask("job", wall_plus(now, MINUTE));
    outage(HOUR);
    turn(NULL);
    CHECK(count(RUN_MISSED) >= 500);
    pass(1);
    CHECK_INT(1200, count(RUN_MISSED));
    CHECK_INT(0, order_count);
    end_world();
}

// --- delivery ---

TEST(at_most_once_a_lost_attempt_is_the_last_and_its_outcome_unknown)
{
    begin_world();
    put("job", "\"delivery\":\"at_most_once\"");
    run_id lost = ask("job", WALL_NONE);
    outage(SECOND);
    CHECK_INT(RUN_FAILED, state_of(lost));
    CHECK(has_reason(lost, "the outcome is unknown"));
    run_id run = ask("job", WALL_NONE);
    report(ATTEMPT_UNREACHABLE);
    CHECK_INT(RUN_WAITING, state_of(run));
    pass(MINUTE);
    report(ATTEMPT_TIMED_OUT);
    CHECK_INT(RUN_FAILED, state_of(run));
    pass(HOUR);
    CHECK_INT(0, order_count);
    end_world();
}

// --- overlap ---

TEST(with_skip_a_run_whose_task_has_a_live_one_is_skipped_and_names_it)
{
    begin_world();
    put("job", "\"overlap\":\"skip\",\"retry\":{\"initial\":\"10m\",\"max\":\"10m\"}");
    run_id live = ask("job", WALL_NONE), beside = ask("job", WALL_NONE);
    char id[RUN_ID_TEXT];
    run_id_format(live, id);
    CHECK_INT(RUN_SKIPPED, state_of(beside));
    CHECK(has_reason(beside, id));
    run_id later = ask("job", wall_plus(now, MINUTE)); // judged at its time
    CHECK_INT(RUN_SCHEDULED, state_of(later));
    report(ATTEMPT_FAILED);
    CHECK_INT(RUN_WAITING, state_of(live));
    pass(MINUTE);
    CHECK_INT(RUN_SKIPPED, state_of(later)); // between attempts it is live as well
    outage(SECOND);
    CHECK_INT(RUN_SKIPPED, state_of(ask("job", WALL_NONE)));
    pass(10 * MINUTE);
    report(ATTEMPT_SUCCEEDED);
    CHECK_INT(RUN_RUNNING, state_of(ask("job", WALL_NONE)));
    end_world();
}

TEST(of_several_runs_due_in_one_turn_one_starts)
{
    begin_world();
    put("job", "\"overlap\":\"skip\"");
    for (int i = 0; i < 5; i++)
        ask("job", wall_plus(now, MINUTE));
    pass(2 * MINUTE);
    CHECK_INT(1, order_count);
    CHECK_INT(4, count(RUN_SKIPPED));
    end_world();
}

TEST(what_is_claimed_ahead_of_its_time_is_judged_at_its_time)
{
    begin_world();
    put("secondly", "\"schedule\":{\"every\":\"1s\"},\"overlap\":\"skip\"");
    pass(SECOND);
    CHECK_INT(1, order_count);
    now.us = T0 + 2 * SECOND - 10 * MILLISECOND;
    turn(NULL);
    CHECK_INT(0, count(RUN_SKIPPED));
    now.us = T0 + 2 * SECOND - 5 * MILLISECOND;
    report(ATTEMPT_SUCCEEDED);
    pass_until((wall){T0 + 2 * SECOND});
    CHECK_INT(1, order_count);
    CHECK_INT(0, count(RUN_SKIPPED));
    pass_until((wall){T0 + 3 * SECOND});
    CHECK_INT(1, order_count);
    CHECK_INT(1, count(RUN_SKIPPED));
    end_world();
}

TEST(with_queue_runs_go_one_after_the_other_by_due_time)
{
    begin_world();
    put("job", "\"overlap\":\"queue\",\"retry\":{\"initial\":\"1m\",\"max\":\"1m\"}");
    run_id third = ask("job", wall_plus(now, 3 * SECOND));
    run_id second = ask("job", wall_plus(now, 2 * SECOND));
    run_id first = ask("job", wall_plus(now, SECOND));
    run_id fourth = ask("job", wall_plus(now, 4 * SECOND));
    pass(10 * SECOND);
    CHECK_INT(1, order_count);
    CHECK_INT(first.value, orders[0]->run.value);
    report(ATTEMPT_FAILED); // still live
    pass(10 * SECOND);
    CHECK_INT(0, order_count);
    pass(MINUTE);
    CHECK_INT(first.value, orders[0]->run.value);
    report(ATTEMPT_SUCCEEDED);
    CHECK_INT(1, order_count);
    CHECK_INT(second.value, orders[0]->run.value);
    send(MESSAGE_CANCEL_RUN, NULL, NULL, third);  // while it waits
    send(MESSAGE_CANCEL_RUN, NULL, NULL, second); // its attempt has not ended yet
    CHECK_INT(1, order_count);
    report(ATTEMPT_CANCELED);
    CHECK_INT(1, order_count);
    CHECK_INT(fourth.value, orders[0]->run.value);
    end_world();
}

TEST(a_queue_outlives_a_restart_and_a_pause)
{
    begin_world();
    put("job", "\"overlap\":\"queue\",\"retry\":{\"initial\":\"1m\",\"max\":\"1m\"}");
    run_id first = ask("job", WALL_NONE);
    for (int i = 0; i < 3; i++)
        ask("job", WALL_NONE);
    outage(SECOND); // the first one's attempt is lost: it is tried again before the others
    pass(10 * SECOND);
    CHECK_INT(0, order_count);
    pass(2 * MINUTE);
    CHECK_INT(1, order_count);
    CHECK_INT(first.value, orders[0]->run.value);
    send(MESSAGE_PAUSE, "job", NULL, (run_id){0});
    report(ATTEMPT_SUCCEEDED);
    CHECK_INT(0, order_count);
    send(MESSAGE_RESUME, "job", NULL, (run_id){0});
    for (int i = 0; i < 3; i++) {
        pass(SECOND);
        CHECK_INT(1, order_count);
        report(ATTEMPT_SUCCEEDED);
    }
    CHECK_INT(4, count(RUN_SUCCEEDED));
    end_world();
}

TEST(an_edit_from_queue_to_allow_lets_those_go_that_waited)
{
    begin_world();
    put("job", "\"overlap\":\"queue\"");
    for (int i = 0; i < 4; i++)
        ask("job", WALL_NONE);
    CHECK_INT(1, order_count);
    put("job", "");
    pass(0);
    CHECK_INT(4, order_count);
    end_world();
}

TEST(with_replace_the_live_run_is_canceled_and_the_new_one_starts_when_it_has_ended)
{
    begin_world();
    put("job", "\"overlap\":\"replace\",\"retry\":{\"initial\":\"10m\",\"max\":\"10m\"}");
    run_id old = ask("job", WALL_NONE), new = ask("job", WALL_NONE);
    char id[RUN_ID_TEXT];
    run_id_format(new, id);
    CHECK_INT(RUN_CANCELED, state_of(old));
    CHECK(has_reason(old, id));
    CHECK_INT(1, abort_count);
    CHECK_INT(1, order_count); // the old one's attempt has not ended
    run_id newest = ask("job", WALL_NONE);
    CHECK_INT(RUN_CANCELED, state_of(new));
    CHECK_INT(1, abort_count);
    report(ATTEMPT_CANCELED);
    CHECK_INT(1, order_count);
    CHECK_INT(newest.value, orders[0]->run.value);
    report(ATTEMPT_FAILED); // between attempts
    run_id last = ask("job", WALL_NONE);
    CHECK_INT(RUN_CANCELED, state_of(newest));
    CHECK_INT(RUN_RUNNING, state_of(last));
    end_world();
}

TEST(a_restart_while_one_run_replaces_another_starts_the_new_one)
{
    begin_world();
    put("job", "\"overlap\":\"replace\"");
    run_id old = ask("job", WALL_NONE), new = ask("job", WALL_NONE);
    outage(SECOND);
    pass(0);
    CHECK_INT(RUN_CANCELED, state_of(old));
    CHECK_INT(1, order_count);
    CHECK_INT(new.value, orders[0]->run.value);
    end_world();
}

// Whatever happens, at most one attempt of each task is under way.
static void check_overlap(void)
{
    for (size_t i = 0; i < order_count; i++)
        for (size_t k = i + 1; k < order_count; k++)
            CHECK(strcmp(orders[i]->task->name, orders[k]->task->name) != 0);
}

static void something_happens(struct random *chance)
{
    static const char *const names[] = {"skip", "queue", "replace"};
    const char *name = names[random_below(chance, 3)];
    int what = (int)random_below(chance, 100);
    if (what < 35)
        pass(random_below(chance, 3 * SECOND));
    else if (what < 60 && order_count)
        report_at((size_t)random_below(chance, (int64_t)order_count),
                  random_below(chance, 3) ? ATTEMPT_SUCCEEDED : ATTEMPT_FAILED);
    else if (what < 80)
        ask(name,
            random_below(chance, 2) ? wall_plus(now, random_below(chance, 5 * SECOND)) : WALL_NONE);
    else if (what < 90 && order_count && state_of(orders[0]->run) == RUN_RUNNING)
        send(MESSAGE_CANCEL_RUN, NULL, NULL, orders[0]->run);
    else if (what < 95)
        outage(random_below(chance, 5 * SECOND));
    else if (what < 98) {
        send(MESSAGE_PAUSE, name, NULL, (run_id){0});
        pass(random_below(chance, 3 * SECOND));
        send(MESSAGE_RESUME, name, NULL, (run_id){0});
    }
}

TEST(overlap_holds_at_every_instant_and_every_run_comes_to_its_end)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct random chance;
        char row[20];
        snprintf(row, sizeof row, "seed %d", (int)seed);
        test_row = row;
        random_seed(&chance, seed);
        begin_world();
        put("skip", "\"schedule\":{\"every\":\"2s\"},\"overlap\":\"skip\","
                    "\"retry\":{\"initial\":\"1s\"},\"catch_up\":{\"policy\":\"all\"}");
        put("queue", "\"schedule\":{\"every\":\"3s\"},\"overlap\":\"queue\","
                     "\"retry\":{\"initial\":\"1s\"},\"catch_up\":{\"policy\":\"all\"}");
        put("replace", "\"schedule\":{\"every\":\"3s\"},\"overlap\":\"replace\","
                       "\"retry\":{\"initial\":\"1s\"}");
        for (int i = 0; i < 150; i++) {
            something_happens(&chance);
            check_overlap();
        }
        send(MESSAGE_DELETE_TASK, "skip", NULL, (run_id){0});
        send(MESSAGE_DELETE_TASK, "replace", NULL, (run_id){0});
        put("queue", "\"overlap\":\"queue\"");
        for (int i = 0; i < 2000 && (order_count || count(RUN_SCHEDULED) || count(RUN_WAITING));
             i++) {
            check_overlap();
            if (order_count)
                report(ATTEMPT_SUCCEEDED);
            else
                pass(SECOND);
        }
        CHECK_INT(0, count(RUN_SCHEDULED) + count(RUN_WAITING) + count(RUN_RUNNING));
        end_world();
    }
}

TESTS_MAIN
