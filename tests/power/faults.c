#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "explore.h"
#include "inspect.h"
#include "memory.h"
#include "power.h"

// There are some ten thousand allocations in such a life: each of them would take minutes. Not a
// multiple of what comes in rounds.
#define ALLOCATIONS_STEP 97

static enum status take_turns(struct history *h, int count)
{
    enum status status = STATUS_OK;
    for (int i = 0; i < count && status == STATUS_OK; i++)
        status = history_turn(h);
    return status;
}

// A short life with all that a long one does: made new, written, moved from the log, begun anew,
// cut off, closed and opened again, killed and recovered.
static enum status live(struct history *h)
{
    enum status status = history_open(h);
    if (status == STATUS_OK)
        status = take_turns(h, 5);
    if (status == STATUS_OK)
        status = history_checkpoint(h, false);
    if (status == STATUS_OK)
        status = take_turns(h, 3);
    if (status == STATUS_OK)
        status = history_checkpoint(h, true);
    if (status == STATUS_OK)
        status = take_turns(h, 2);
    if (status != STATUS_OK)
        return status;
    history_close(h);
    status = history_open(h);
    if (status == STATUS_OK)
        status = take_turns(h, 2);
    if (status != STATUS_OK)
        return status;
    history_kill(h);
    status = history_open(h);
    return status == STATUS_OK ? take_turns(h, 1) : status;
}

// P19: after a failure no further ok, whatever is asked, and nothing more is written.
static void check_stopped(struct history *h)
{
    struct store_start start;
    struct run run = {.id = {INT64_MAX}, .due_at = {1}};
    char value[10];
    const struct {
        const char *verb;
        enum status status;
    } rows[] = {
        {"store_begin", store_begin(h->store)},
        {"store_add_run", store_add_run(h->store, &run)},
        {"store_put_setting", store_put_setting(h->store, "a", "b")},
        {"store_get_setting", store_get_setting(h->store, "a", value, sizeof value)},
        {"store_find_run", store_find_run(h->store, (run_id){1}, &run)},
        {"store_start", store_start(h->store, &start)},
        {"store_commit", store_commit(h->store)},
        {"store_checkpoint", store_checkpoint(h->store)},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].status != STATUS_FAILED)
            history_violation(h, "%s answered \"%s\" after a failure", rows[i].verb,
                              status_text(rows[i].status));
    if (!*store_problem(h->store))
        history_violation(h, "a broken store does not say why");
}

static void stop(struct history *h)
{
    int64_t changes = h->disk->changes;
    if (h->store)
        check_stopped(h);
    history_close(h);
    if (h->disk->changes != changes)
        history_violation(h, "a broken store wrote %" PRId64 " times more",
                          h->disk->changes - changes);
}

// The power goes after it all: what the disk then holds.
static void check_cuts(struct history *h, uint64_t seed)
{
    struct platter *platter = platter_new(&h->base);
    struct random chance;
    char why[600];
    random_seed(&chance, seed);
    for (size_t i = 0; i < h->disk->op_count; i++)
        platter_follow(platter, &h->disk->ops[i]);
    const enum cut cuts[] = {CUT_DROPPED, (enum cut)(1 + random_below(&chance, CUTS - 1))};
    for (int i = 0; i < 2 && !*h->problem; i++) {
        struct image image;
        int64_t found;
        platter_cut(platter, cuts[i], &chance, &image);
        if (!explore_image(h, &image, h->answered, h->trying, &found, why, sizeof why))
            history_violation(h, "after a power cut (%s): %s", cut_text(cuts[i]), why);
        image_done(&image);
    }
    platter_free(platter);
}

// The process starts again on the same disk, which is sound now.
static void check_restart(struct history *h)
{
    char why[400];
    h->disk->struck = false;
    h->blind = false;
    h->small_cache = false;
    if (*h->problem || history_open(h) != STATUS_OK || *h->problem) {
        history_violation(h, "cannot be opened again");
        return;
    }
    if (!inspect_check(inspect_handle(h->store), why, sizeof why))
        history_violation(h, "after a restart: %s", why);
    else if (take_turns(h, 2) != STATUS_OK)
        history_violation(h, "after a restart: %s", store_problem(h->store));
    history_close(h);
}

bool faults_try(const struct strike *strike, const struct trick *trick, bool *ret_reached,
                bool *ret_stopped, char *problem, size_t size)
{
    struct history *h = history_new(7, power_path(), trick);
    h->blind = true;
    h->small_cache = true;
    if (strike->call == CALL_MEMORY)
        memory_arm(strike->nth, strike->forever, &h->disk->struck);
    else
        h->disk->strike = *strike;
    enum status status = live(h);
    *ret_stopped = status != STATUS_OK;
    *ret_reached = h->disk->calls[strike->call] >= strike->nth;
    if (status != STATUS_OK)
        stop(h);
    else
        history_close(h);
    *ret_reached |= h->disk->struck;
    h->disk->strike = (struct strike){0};
    memory_disarm();
    check_cuts(h, (uint64_t)strike->nth);
    check_restart(h);
    snprintf(problem, size, "%s", h->problem);
    history_free(h);
    return !*problem;
}

// --- every call ---

struct count {
    int64_t runs, stopped, failed;
};

static void try_all(enum call call, const char *name, int code, bool forever, int64_t every,
                    struct count *count)
{
    bool reached = true, stopped = false;
    char problem[700];
    for (int64_t nth = 1; reached; nth += every) {
        struct strike strike = {call, nth, forever, code};
        bool well = faults_try(&strike, NULL, &reached, &stopped, problem, sizeof problem);
        count->runs++;
        count->stopped += stopped;
        if (well)
            continue;
        printf("VIOLATION where call %" PRId64 " of %s answers %s%s: %s\n", nth, call_text(call),
               name, forever ? " from then on" : " once", problem);
        count->failed++;
    }
}

struct score faults_run(int64_t every)
{
#define CODE(code) #code, code
    static const struct {
        enum call call;
        const char *name;
        int code;
    } rows[] = {
        {CALL_OPEN, CODE(SQLITE_CANTOPEN)},          {CALL_OPEN, CODE(SQLITE_IOERR)},
        {CALL_DELETE, CODE(SQLITE_IOERR_DELETE)},    {CALL_ACCESS, CODE(SQLITE_IOERR_ACCESS)},
        {CALL_READ, CODE(SQLITE_IOERR_READ)},        {CALL_READ, CODE(SQLITE_IOERR_CORRUPTFS)},
        {CALL_WRITE, CODE(SQLITE_IOERR_WRITE)},      {CALL_WRITE, CODE(SQLITE_FULL)},
        {CALL_WRITE, CODE(SQLITE_READONLY)},         {CALL_TRUNCATE, CODE(SQLITE_IOERR_TRUNCATE)},
        {CALL_SYNC, CODE(SQLITE_IOERR_FSYNC)},       {CALL_FILE_SIZE, CODE(SQLITE_IOERR_FSTAT)},
        {CALL_LOCK, CODE(SQLITE_IOERR_LOCK)},        {CALL_LOCK, CODE(SQLITE_BUSY)},
        {CALL_SHM_MAP, CODE(SQLITE_IOERR_SHMMAP)},   {CALL_SHM_MAP, CODE(SQLITE_IOERR_NOMEM)},
        {CALL_SHM_LOCK, CODE(SQLITE_IOERR_SHMLOCK)}, {CALL_SHM_LOCK, CODE(SQLITE_BUSY)},
        {CALL_MEMORY, CODE(SQLITE_NOMEM)},
    };
    struct score score = {0};
    struct count sum = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int forever = 0; forever < 2; forever++) {
            struct count count = {0};
            int64_t step = rows[i].call == CALL_MEMORY ? every * ALLOCATIONS_STEP : every;
            try_all(rows[i].call, rows[i].name, rows[i].code, forever, step, &count);
            printf("%-10s %-26s %-8s %5" PRId64 " runs, the store stopped in %" PRId64 "\n",
                   call_text(rows[i].call), rows[i].name, forever ? "for ever" : "once", count.runs,
                   count.stopped);
            score.failed += count.failed > 0;
            score.passed += count.failed == 0;
            sum.runs += count.runs;
            sum.stopped += count.stopped;
        }
    printf("failing calls %" PRId64 ", the store stopped in %" PRId64 "\n", sum.runs, sum.stopped);
    return score;
}
