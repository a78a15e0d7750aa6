/*
 * store - what one verb of the store costs
 *
 *     bench-store [FOLDER [RUNS [TURN]]]
 *
 * Adds RUNS one-offs, then starts and finishes them, in turns of TURN, each turn committed and
 * synced. Prints the wall time and the CPU time per run, and how long commits and checkpoints took.
 * For the disk's own numbers see the table of `make bench`.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/now.h"
#include "base/random.h"
#include "store/store.h"

static void must(enum status status, const struct store *store)
{
    if (status == STATUS_OK)
        return;
    fprintf(stderr, "bench-store: %s: %s\n", status_text(status),
            store ? store_problem(store) : "");
    exit(1);
}

static int64_t cpu_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * SECOND + usage.ru_utime.tv_usec +
           usage.ru_stime.tv_usec;
}

static struct figures {
    int64_t turns, runs, wall_us, cpu_us, commit_us, checkpoint_us, longest_checkpoint_us;
} figures;

static steady began;
static int64_t cpu_began;

static void measure(void)
{
    figures = (struct figures){0};
    began = steady_now();
    cpu_began = cpu_us();
}

static void tell(const char *what)
{
    double runs = (double)figures.runs, wall_us = (double)(steady_now().us - began.us);
    printf("%-28s %9.0f runs/s  %6.2f us each  %6.2f us CPU  commit %6.0f us  checkpoints %4.1f %% "
           "of the time, longest %.1f ms\n",
           what, runs / wall_us * 1e6, wall_us / runs, (double)(cpu_us() - cpu_began) / runs,
           (double)figures.commit_us / (double)figures.turns,
           100.0 * (double)figures.checkpoint_us / wall_us,
           (double)figures.longest_checkpoint_us / 1000);
    fflush(stdout);
}

static void end_turn(struct store *store, int64_t runs)
{
    steady before = steady_now();
    must(store_commit(store), store);
    steady committed = steady_now();
    must(store_checkpoint(store), store);
    int64_t checkpoint_us = steady_now().us - committed.us;
    figures.turns++;
    figures.runs += runs;
    figures.commit_us += committed.us - before.us;
    figures.checkpoint_us += checkpoint_us;
    if (checkpoint_us > figures.longest_checkpoint_us)
        figures.longest_checkpoint_us = checkpoint_us;
}

// Due in the order of making, or anywhere within a day.
static void add(struct store *store, int64_t first, int64_t count, int64_t turn, bool spread,
                size_t payload_size)
{
    struct random chance;
    random_seed(&chance, 1);
    char *payload = memory_array(payload_size + 1, 1);
    memset(payload, '1', payload_size);
    for (int64_t done = 0; done < count;) {
        must(store_begin(store), store);
        for (int64_t i = 0; i < turn; i++, done++) {
            wall due = {INT64_C(1774746000) * SECOND +
                        (spread ? random_below(&chance, DAY) : done)};
            struct run run = {.id = {(INT64_C(200000000000) << 22) + first + done},
                              .revision_id = 1,
                              .trigger = TRIGGER_API,
                              .scheduled_for = due,
                              .due_at = due,
                              .started_at = WALL_NONE,
                              .finished_at = WALL_NONE,
                              .attempt_started_at = WALL_NONE,
                              .lane = UINT64_C(0x9e3779b97f4a7c15),
                              .payload = payload,
                              .payload_size = payload_size};
            must(store_add_run(store, &run), store);
        }
        end_turn(store, turn);
    }
    free(payload);
}

static void finish(struct store *store, const struct due_row *rows, size_t count)
{
    struct attempt attempt;
    struct verdict verdict = {.state = RUN_SUCCEEDED};
    attempt_init(&attempt);
    attempt.number = 1;
    attempt.fence = 1;
    attempt.status = 200;
    attempt.response_time_us = 1234;
    attempt.first_byte_us = 1000;
    attempt.lateness_us = 200;
    attempt.response = "{\"ok\":true}";
    attempt.response_size = 11;
    for (size_t i = 0; i < count; i++) {
        attempt.run = rows[i].run;
        attempt.started_at = rows[i].due_at;
        must(store_finish_attempt(store, &attempt, &verdict, rows[i].due_at), store);
    }
}

// As the scheduler does: what was started in the last turn is finished in this one.
static void run_all(struct store *store, size_t turn)
{
    struct due_row *rows = memory_array(turn, sizeof *rows),
                   *before = memory_array(turn, sizeof *before);
    size_t count = 0, count_before = 0;
    wall after = WALL_NONE;
    run_id after_id = {0};
    do {
        must(store_begin(store), store);
        finish(store, before, count_before);
        must(store_load_due(store, after, after_id, WALL_NEVER, turn, rows, &count), store);
        for (size_t i = 0; i < count; i++) {
            struct run run;
            must(store_find_run(store, rows[i].run, &run), store);
            must(store_start_run(store, run.id, rows[i].due_at, run.revision_id, rows[i].lane),
                 store);
            after = rows[i].due_at;
            after_id = run.id;
            run_done(&run);
        }
        end_turn(store, (int64_t)count_before);
        struct due_row *swap = before;
        before = rows;
        rows = swap;
        count_before = count;
    } while (count_before);
    free(rows);
    free(before);
}

int main(int argc, char **argv)
{
    const char *folder = argc > 1 ? argv[1] : ".";
    int64_t runs = argc > 2 ? atoll(argv[2]) : 200000, turn = argc > 3 ? atoll(argv[3]) : 100;
    char path[500], why[500];
    struct store *store = NULL;
    snprintf(path, sizeof path, "%s/bench-store.db", folder);
    if (access(path, F_OK) == 0 || store_open_sqlite(path, &store, why, sizeof why) != STATUS_OK) {
        fprintf(stderr, "bench-store: %s\n", store ? why : "there is a file of that name already");
        return 1;
    }
    measure();
    add(store, 1, runs, turn, false, 0);
    tell("add, due in order");
    measure();
    run_all(store, (size_t)turn);
    tell("load, start and finish");
    measure();
    add(store, 1 + runs, runs, turn, true, 100);
    tell("add, due anywhere");
    measure();
    run_all(store, (size_t)turn);
    tell("load, start and finish");
    store_close(store);
    unlink(path);
    return 0;
}
