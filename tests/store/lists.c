// Lists of runs: every filter against a plain look at every run.
#include "suite.h"

#define RUNS 120

static const enum run_state stored[] = {RUN_SCHEDULED, RUN_RUNNING,  RUN_WAITING, RUN_SUCCEEDED,
                                        RUN_FAILED,    RUN_CANCELED, RUN_MISSED,  RUN_SKIPPED};

// Two tasks and one-offs, in all states, some due before T0 + 100 and some after, ids not in the
// order of time.
static struct store *a_mixture(struct run runs[RUNS])
{
    struct store *store = suite_new();
    int64_t tasks[] = {0, a_task(store, "t"), a_task(store, "u")};
    BEGIN();
    for (int64_t i = 0; i < RUNS; i++) {
        enum run_state state = stored[i % 8];
        runs[i] = run_of(tasks[i / 8 % 3], i + 1, i * 37 % 200);
        OK(store_add_run(store, &runs[i]));
        bring_to(store, i + 1, state);
        runs[i].state = state;
        if (state == RUN_WAITING)
            runs[i].due_at = at(50);
    }
    COMMIT();
    return store;
}

static bool wanted(const struct run *run, const struct run_filter *filter, int64_t task)
{
    bool pending = run->state == RUN_SCHEDULED || run->state == RUN_WAITING;
    enum run_state reads = pending && run->due_at.us <= filter->now.us ? RUN_DUE : run->state;
    return (!filter->task || run->task == task) &&
           (filter->state < 0 || (int)reads == filter->state) &&
           run->due_at.us >= filter->from.us && run->due_at.us < filter->to.us &&
           (!filter->before.value || run->id.value < filter->before.value);
}

static void check_filter(struct reader *reader, const struct run runs[RUNS],
                         struct run_filter filter)
{
    char row[100];
    int64_t task = filter.task ? (*filter.task == 't' ? 1 : 2) : 0;
    snprintf(row, sizeof row, "task %s, state %d, from %" PRId64 ", to %" PRId64 ", now %" PRId64,
             filter.task ? filter.task : "-", filter.state, filter.from.us, filter.to.us,
             filter.now.us - T0);
    test_row = row;
    struct run found[7];
    int next = RUNS - 1;
    size_t count;
    do {
        OK(reader_list_runs(reader, &filter, 7, found, &count));
        for (size_t i = 0; i < count; i++) {
            while (next >= 0 && !wanted(&runs[next], &filter, task))
                next--;
            CHECK(next >= 0);
            CHECK_INT(runs[next].id.value, found[i].id.value);
            CHECK_INT(runs[next].state, found[i].state);
            next--;
        }
        for (size_t i = 0; i < count; i++) {
            filter.before = found[i].id;
            run_done(&found[i]);
        }
    } while (count == 7);
    filter.before = (run_id){0};
    while (next >= 0 && !wanted(&runs[next], &filter, task))
        next--;
    CHECK_INT(-1, next);
    test_row = "";
}

TEST(every_filter_lists_what_a_look_at_every_run_finds)
{
    static const wall nows[] = {{T0 - 1}, {T0 + 50 * SECOND}, {T0 + 100 * SECOND}, {INT64_MAX}};
    static const struct {
        wall from, to;
    } ranges[] = {
        {{INT64_MIN}, {INT64_MAX}},
        {{T0 + 50 * SECOND}, {INT64_MAX}},
        {{INT64_MIN}, {T0 + 50 * SECOND}},
        {{T0 + 20 * SECOND}, {T0 + 120 * SECOND}},
        {{T0 + 120 * SECOND}, {T0 + 20 * SECOND}},
    };
    static const char *const tasks[] = {NULL, "t", "u"};
    struct run runs[RUNS];
    struct store *store = a_mixture(runs);
    struct reader *reader = suite_reader();
    for (size_t t = 0; t < 3; t++)
        for (int state = -1; state < RUN_STATE_COUNT; state++)
            for (size_t r = 0; r < 5; r++)
                for (size_t n = 0; n < 4; n++)
                    check_filter(reader, runs,
                                 (struct run_filter){.task = tasks[t],
                                                     .state = state,
                                                     .from = ranges[r].from,
                                                     .to = ranges[r].to,
                                                     .now = nows[n]});
    reader_close(reader);
    store_close(store);
}

TEST(a_list_of_a_task_that_never_was_is_not_found)
{
    struct store *store = suite_new();
    struct reader *reader = suite_reader();
    struct run found[1];
    size_t count;
    struct run_filter filter = {.task = "t", .state = -1, .from = WALL_NONE, .to = WALL_NEVER};
    CHECK_INT(STATUS_NOT_FOUND, reader_list_runs(reader, &filter, 1, found, &count));
    a_task(store, "t");
    OK(reader_list_runs(reader, &filter, 1, found, &count));
    CHECK_INT(0, count);
    struct run run = one_off(1, 1);
    CHECK_INT(STATUS_NOT_FOUND, reader_find_run(reader, run.id, found));
    reader_close(reader);
    store_close(store);
}

// Whoever makes runs chooses how long their payloads are; whoever lists them, how many.
TEST(a_list_that_no_answer_can_hold_is_not_read_to_its_end)
{
    enum { COUNT = 9 };
    struct store *store = suite_new();
    struct reader *reader = suite_reader();
    size_t size = READER_LIST_MAX / (COUNT - 1) + 1, count;
    char *payload = memory_new(size + 1);
    struct run runs[COUNT], found[COUNT];
    memset(payload, '1', size);
    for (int i = 0; i < COUNT; i++) {
        runs[i] = one_off(i + 1, 1);
        runs[i].payload = payload;
        runs[i].payload_size = size;
    }
    add_runs(store, runs, COUNT);
    struct run_filter filter = {.state = -1, .from = WALL_NONE, .to = WALL_NEVER};
    CHECK_INT(STATUS_TOO_LARGE, reader_list_runs(reader, &filter, COUNT, found, &count));
    CHECK_INT(0, count);
    OK(reader_list_runs(reader, &filter, COUNT - 2, found, &count));
    CHECK_INT(COUNT - 2, count);
    for (size_t i = 0; i < count; i++)
        run_done(&found[i]);
    free(payload);
    reader_close(reader);
    store_close(store);
}

TEST(a_listed_run_carries_its_task_and_payload)
{
    struct store *store = suite_new();
    struct reader *reader = suite_reader();
    struct run run = run_of(a_task(store, "t"), 3, 1), found[2];
    run.revision_id = 1;
    run.payload = "{\"a\":1}";
    run.payload_size = 7;
    add_runs(store, &run, 1);
    struct run_filter filter = {.task = "t", .state = -1, .from = WALL_NONE, .to = WALL_NEVER};
    size_t count;
    OK(reader_list_runs(reader, &filter, 2, found, &count));
    CHECK_INT(1, count);
    CHECK_TEXT("t", found[0].task_name);
    CHECK_INT(1, found[0].revision);
    CHECK_TEXT("{\"a\":1}", found[0].payload);
    run_done(&found[0]);
    reader_close(reader);
    store_close(store);
}

TESTS_MAIN
