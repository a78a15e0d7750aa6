// What the front answers by itself: lists, tasks, readiness, event streams.
#include "front_fixture.h"

static void keep_task(const char *name, const char *definition)
{
    struct task_record record = {.name = memory_text(name), .paused_at = WALL_NONE};
    struct edit edit = {.at = wall_now(), .author = "ann", .note = "first", .changed = "[]"};
    record.created_at = record.changed_at = edit.at;
    record.definition = memory_text(definition);
    record.definition_size = strlen(definition);
    CHECK_INT(STATUS_OK, store_begin(store));
    CHECK_INT(STATUS_OK, store_save_task(store, &record, &edit));
    CHECK_INT(STATUS_OK, store_commit(store));
    task_record_done(&record);
}

TEST(a_stored_task_is_shown_with_its_next_instants)
{
    begin();
    keep_task("nightly", "{\"schedule\":{\"cron\":\"30 2 * * *\",\"timezone\":\"Europe/Berlin\"},"
                         "\"http\":{\"url\":\"http://x.example/\"}}");
    const char *text = ask("GET", "/v1/tasks/nightly", "", NULL);
    CHECK_INT(200, code(text));
    CHECK_HAS("ETag: \"1\"", text);
    CHECK_HAS("\"next\":[\"20", text);
    CHECK_HAS("\"figures\":{\"attempts\":0,\"failed\":0,\"error_rate\":null,\"p50_ms\":null", text);
    CHECK_HAS("\"paused\":null", text);
    text = ask("GET", "/v1/tasks/nightly/upcoming?from=2026-03-28T00:00:00Z&limit=2", "", NULL);
    CHECK_HAS("{\"at\":\"2026-03-28T01:30:00.000Z\",\"local\":\"2026-03-28T02:30:00+01:00\"", text);
    CHECK_HAS("{\"at\":\"2026-03-29T01:00:00.000Z\",\"local\":\"2026-03-29T03:00:00+02:00\"", text);
    CHECK(!strstr(text, "2026-03-30"));
    text = ask("GET", "/v1/tasks/nightly/revisions", "", NULL);
    CHECK_HAS("\"author\":\"ann\",\"note\":\"first\"", text);
    CHECK_INT(404, code(ask("GET", "/v1/tasks/daily", "", NULL)));
    CHECK_INT(404, code(ask("GET", "/v1/tasks/daily/upcoming", "", NULL)));
    CHECK_INT(404, code(ask("GET", "/v1/tasks/daily/revisions", "", NULL)));
    end();
}

TEST(a_patch_is_laid_over_the_stored_definition)
{
    begin();
    keep_task("nightly",
              "{\"schedule\":{\"every\":\"1m\"},\"http\":{\"url\":\"http://x.example/\"}}");
    const char *merge = "Content-Type: application/merge-patch+json\r\n";
    CHECK_INT(201, code(ask("PATCH", "/v1/tasks/nightly", merge, "{\"timeout\":\"5s\"}")));
    const char *text = ask("PATCH", "/v1/tasks/nightly", merge, "{\"http\":null}");
    CHECK_INT(400, code(text));
    CHECK_INT(400, code(ask("PATCH", "/v1/tasks/nightly", merge, "[]")));
    CHECK_INT(404, code(ask("PATCH", "/v1/tasks/daily", merge, "{}")));
    CHECK_INT(412, code(ask("PATCH", "/v1/tasks/nightly", "If-Match: \"9\"\r\n", "{}")));
    CHECK_INT(1, atomic_load(&posted));
    end();
}

TEST(lists_go_on_at_their_cursor)
{
    begin();
    const char *definition = "{\"http\":{\"url\":\"http://x.example/\"}}";
    keep_task("a", definition);
    keep_task("b", definition);
    keep_task("c", definition);
    const char *text = ask("GET", "/v1/tasks?limit=2", "", NULL);
    CHECK_HAS("\"name\":\"b\"", text);
    CHECK(!strstr(text, "\"name\":\"c\""));
    const char *cursor = strstr(text, "\"next_cursor\":\"");
    CHECK(cursor);
    char target[200];
    snprintf(target, sizeof target, "/v1/tasks?cursor=%.*s", (int)strcspn(cursor + 15, "\""),
             cursor + 15);
    text = ask("GET", target, "", NULL);
    CHECK_HAS("\"name\":\"c\"", text);
    CHECK(!strstr(text, "\"name\":\"b\""));
    CHECK_HAS("\"next_cursor\":null", text);
    CHECK_HAS("{\"runs\":[],\"next_cursor\":null}", ask("GET", "/v1/runs", "", NULL));
    CHECK_INT(404, code(ask("GET", "/v1/runs?task=nobody", "", NULL)));
    CHECK_INT(404, code(ask("GET", "/v1/runs/run_0c4x9k2m1p7qz", "", NULL)));
    CHECK_INT(404, code(ask("GET", "/v1/runs/17", "", NULL)));
    end();
}

TEST(readiness_names_what_fails)
{
    begin();
    CHECK_INT(200, code(ask("GET", "/ready", "", NULL)));
    pulse_publish(&pulse, &(struct pulse_values){.store_ok = false, .last_turn = steady_now()});
    const char *text = ask("GET", "/ready", "", NULL);
    CHECK_INT(503, code(text));
    CHECK_HAS("{\"ok\":false,\"checks\":{\"store\":{\"ok\":false", text);
    pulse_publish(&pulse, &(struct pulse_values){
                              .store_ok = true, .lag_us = 11 * SECOND, .last_turn = steady_now()});
    CHECK_HAS("\"lag\":{\"ok\":false", ask("GET", "/ready", "", NULL));
    steady old = {steady_now().us - 6 * SECOND};
    pulse_publish(&pulse, &(struct pulse_values){.store_ok = true, .last_turn = old});
    CHECK_HAS("\"scheduler\":{\"ok\":false", ask("GET", "/ready", "", NULL));
    steady lately = {steady_now().us - SECOND};
    pulse_publish(&pulse, &(struct pulse_values){.store_ok = true,
                                                 .last_turn = steady_now(),
                                                 .clock_step_us = -3 * SECOND,
                                                 .clock_stepped = lately});
    text = ask("GET", "/ready", "", NULL);
    CHECK_INT(200, code(text));
    CHECK_HAS("\"step_ms\":-3000", text);
    end();
}

// --- events ---

static void journal(int64_t turn, const char *events)
{
    CHECK_INT(STATUS_OK, store_begin(store));
    CHECK_INT(STATUS_OK, store_add_journal(store, turn, wall_now(), events, strlen(events)));
    CHECK_INT(STATUS_OK, store_commit(store));
    front_events(front, turn);
}

TEST(events_are_streamed_as_the_journal_grows)
{
    begin();
    journal(5, "{\"type\":\"task.created\",\"task\":\"old\"}\n");
    int fd = dial();
    ask_on(fd, "GET", "/v1/events", "", NULL);
    CHECK_HAS("text/event-stream", hear(fd, true, "retry: "));
    journal(6, "{\"type\":\"run.created\",\"task\":\"a\"}\n"
               "{\"type\":\"run.running\",\"at\":\"2026-03-29T01:00:00.000Z\"}\n");
    const char *text = hear(fd, true, "01:00:00.000Z");
    // An event has its turn's moment, unless it says another.
    CHECK_HAS("id: 6-0\nevent: run.created\ndata: {\"at\":\"20", text);
    CHECK_HAS("Z\",\"type\":\"run.created\",\"task\":\"a\"}\n\n", text);
    CHECK_HAS("data: {\"type\":\"run.running\",\"at\":\"2026-03-29T01:00:00.000Z\"}\n\n", text);
    CHECK(!strstr(text, "old"));
    journal(9, "{\"type\":\"run.succeeded\",\"task\":\"a\"}\n");
    CHECK_HAS("event: run.succeeded", hear(fd, true, "run.succeeded\",\"task\":\"a\"}"));
    close(fd);
    end();
}

TEST(events_go_on_where_the_client_stopped)
{
    begin();
    journal(5, "{\"type\":\"a\"}\n{\"type\":\"b\"}\n{\"type\":\"c\"}\n");
    journal(8, "{\"type\":\"d\"}\n");
    int fd = dial();
    ask_on(fd, "GET", "/v1/events", "Last-Event-ID: 5-1\r\n", NULL);
    const char *text = hear(fd, true, "id: 8-0");
    CHECK_HAS("id: 5-2\nevent: c", text);
    CHECK(!strstr(text, "event: b"));
    close(fd);
    fd = dial();
    ask_on(fd, "GET", "/v1/events?after=0&types=a,d", "", NULL);
    text = hear(fd, true, "id: 8-0");
    CHECK_HAS("id: 5-0\nevent: a", text);
    CHECK(!strstr(text, "event: b"));
    CHECK(!strstr(text, "event: gap"));
    close(fd);
    end();
}

TEST(a_client_that_missed_events_is_told_of_the_gap)
{
    begin();
    journal(50, "{\"type\":\"a\"}\n");
    int fd = dial();
    ask_on(fd, "GET", "/v1/events", "Last-Event-ID: 3-0\r\n", NULL);
    CHECK_HAS("event: gap\ndata: {\"type\":\"gap\",\"after\":3}", hear(fd, true, "id: 50-0"));
    close(fd);
    fd = dial(); // of another journal
    ask_on(fd, "GET", "/v1/events?after=99", "", NULL);
    CHECK_HAS("event: gap", hear(fd, true, "event: gap"));
    close(fd);
    end();
}

TEST(there_is_a_limit_of_streams)
{
    begin();
    int fds[STREAMS_MAX];
    for (int i = 0; i < STREAMS_MAX; i++) {
        fds[i] = dial();
        ask_on(fds[i], "GET", "/v1/events", "", NULL);
        CHECK_INT(200, code(hear(fds[i], true, "retry: ")));
    }
    const char *text = ask("GET", "/v1/events", "", NULL);
    CHECK_INT(503, code(text));
    CHECK_HAS("Retry-After: 15", text);
    for (int i = 0; i < STREAMS_MAX; i++)
        close(fds[i]);
    end();
}

TESTS_MAIN
