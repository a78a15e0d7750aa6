// Runs, one by one, and the books.
#include <stdio.h>
#include <string.h>

#include "core/target.h"
#include "store/audit_parts.h"

#define RUNS_A_STEP 200
#define LIVE_COUNTED_MOST 200000 // more are counted only when everything is

// --- one run ---

static void found(struct audit *a, const struct audited_run *run, enum difference_kind kind,
                  const char *words)
{
    struct difference d = {.kind = kind,
                           .run = run->run,
                           .at =
                               run->trigger == TRIGGER_SCHEDULE || run->trigger == TRIGGER_CATCH_UP
                                   ? run->scheduled_for
                                   : WALL_NONE};
    snprintf(d.task, sizeof d.task, "%s", run->task);
    audit_found(a, &d, "%s", words);
}

// P9. The attempt under way has no row yet.
static void check_attempts(struct audit *a, const struct audited_run *run)
{
    char words[160];
    int wanted = run->attempts - (run->state == RUN_RUNNING);
    if (run->has_hole) {
        found(a, run, DIFFERENCE_ATTEMPTS, "its attempts are not numbered 1, 2, 3 without a hole");
    } else if (run->rows != wanted) {
        snprintf(words, sizeof words, "it had %d finished attempts and %d are recorded", wanted,
                 run->rows);
        found(a, run, DIFFERENCE_ATTEMPTS, words);
    }
    if (run->attempts_allowed && run->attempts > run->attempts_allowed) {
        snprintf(words, sizeof words, "it had %d attempts, and its definition allowed %d",
                 run->attempts, run->attempts_allowed);
        found(a, run, DIFFERENCE_ATTEMPTS, words);
    }
    if (run->fences_fall || run->last_fence > run->fence)
        found(a, run, DIFFERENCE_FENCES, "a fence of its attempts does not grow");
}

// P10, P11: what the parts of a run must be in its state.
static void check_state(struct audit *a, const struct audited_run *run)
{
    bool final = run_state_is_final(run->state);
    if (final != wall_is_set(run->finished_at))
        found(a, run, DIFFERENCE_STATE,
              final ? "it has ended and does not say when" : "it lives and has an end");
    if (run->state == RUN_SUCCEEDED && run->last_outcome != ATTEMPT_SUCCEEDED)
        found(a, run, DIFFERENCE_STATE, "it succeeded and its last attempt did not");
    bool silent = final && run->state != RUN_SUCCEEDED && !run->has_reason;
    if (silent)
        found(a, run, DIFFERENCE_REASON, "it did not succeed and gives no reason");
    bool occurrence = run->trigger == TRIGGER_SCHEDULE || run->trigger == TRIGGER_CATCH_UP;
    // A job that runs elsewhere may check in a moment before its time.
    bool monitor = run->lane == target_lane(&(struct target){.kind = TARGET_MONITOR});
    if (occurrence && !monitor && wall_is_set(run->started_at) &&
        run->started_at.us < run->scheduled_for.us)
        found(a, run, DIFFERENCE_EARLY, "it started before its time");
}

static bool is_wanted(const struct audit *a, const struct audited_run *run)
{
    if (a->options.task && strcmp(run->task, a->options.task) != 0)
        return false;
    // Where a task's runs are gone through, not all of them ended, or in the window.
    return a->phase != AUDIT_ENDED ||
           (run->finished_at.us >= a->totals.from.us && run->finished_at.us < a->options.to.us);
}

static void check_runs(struct audit *a, const struct audited_run *runs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!is_wanted(a, &runs[i]))
            continue;
        a->totals.runs++;
        check_attempts(a, &runs[i]);
        check_state(a, &runs[i]);
    }
}

enum status audit_ended_runs(struct audit *a)
{
    struct audited_run runs[RUNS_A_STEP];
    size_t count;
    enum status status =
        reader_audit_ended(a->reader, a->ended, a->run, a->options.to, RUNS_A_STEP, runs, &count);
    if (status != STATUS_OK || count == 0)
        return status == STATUS_OK ? STATUS_END : status;
    check_runs(a, runs, count);
    a->ended = runs[count - 1].finished_at;
    a->run = runs[count - 1].run;
    return STATUS_OK;
}

enum status audit_live_runs(struct audit *a, enum run_state state)
{
    struct audited_run runs[RUNS_A_STEP];
    size_t count;
    enum status status = reader_audit_live(a->reader, state, a->run, RUNS_A_STEP, runs, &count);
    if (status != STATUS_OK || count == 0)
        return status == STATUS_OK ? STATUS_END : status;
    check_runs(a, runs, count);
    a->run = runs[count - 1].run;
    return STATUS_OK;
}

// --- the books ---

static void compare(struct audit *a, const char *what, int64_t books, int64_t rows)
{
    if (books != rows)
        audit_found(a, &(struct difference){.kind = DIFFERENCE_BOOKS, .at = WALL_NONE},
                    "%s: the books say %lld, the rows %lld", what, (long long)books,
                    (long long)rows);
}

static enum status count_all(struct audit *a, const struct books *books)
{
    struct counted_runs counted;
    enum status status = reader_count_all(a->reader, &counted);
    if (status != STATUS_OK)
        return status;
    compare(a, "live", books_live(books),
            counted.in[RUN_SCHEDULED] + counted.in[RUN_RUNNING] + counted.in[RUN_WAITING]);
    for (unsigned i = RUN_SUCCEEDED; i < RUN_STATE_COUNT; i++)
        compare(a, run_state_text((enum run_state)i), books->entered[i] - books->cleared[i],
                counted.in[i]);
    compare(a, "dead letters", counted.dead_letters, counted.unhandled);
    compare(a, "deadlines that are not watched", 0, counted.unwatched);
    if (counted.undated > 0)
        audit_found(a, &(struct difference){.kind = DIFFERENCE_STATE, .at = WALL_NONE},
                    "%lld runs have ended and do not say when", (long long)counted.undated);
    return STATUS_OK;
}

enum status audit_books(struct audit *a)
{
    struct books books;
    int64_t live;
    enum status status = reader_books(a->reader, &books);
    if (status != STATUS_OK)
        return status;
    a->totals.due = books.entered[RUN_SCHEDULED];
    a->totals.live = books_live(&books);
    for (unsigned i = RUN_SUCCEEDED; i < RUN_STATE_COUNT; i++) {
        a->totals.ended[i] = books.entered[i];
        a->totals.cleared += books.cleared[i];
    }
    if (books_history(&books) + a->totals.live <= a->options.count_most) {
        status = count_all(a, &books);
    } else if (a->totals.live <= LIVE_COUNTED_MOST) {
        status = reader_count_live(a->reader, &live);
        if (status == STATUS_OK)
            compare(a, "live", a->totals.live, live);
    }
    return status == STATUS_OK ? STATUS_END : status;
}
