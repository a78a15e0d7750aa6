// Pending runs of a task end as canceled: some at once, and where there are very many the rest turn
// by turn, so that no turn is held up. What is still to be canceled never starts (is_swept), and is
// remembered by the store, so that a crash changes nothing.
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "scheduler/state.h"

#define CANCELED_A_TURN 500
#define CHUNK 100

// The runs of the sweep that come first. *ret_done: none is left behind them.
static enum status cancel_some(struct scheduler *s, wall now, const struct sweep *sweep,
                               bool *ret_done)
{
    run_id ids[CANCELED_A_TURN];
    size_t count;
    struct known_task *known;
    enum status status = known_task_by_id(&s->known, sweep->task, &known);
    if (status == STATUS_OK)
        status = store_cancel_pending(s->store, sweep->task, sweep->until, sweep->only_occurrences,
                                      sweep->reason, now, CANCELED_A_TURN, ids, &count);
    for (size_t i = 0; status == STATUS_OK && i < count; i++)
        note_run(s,
                 &(struct event_run){known->record.name, ids[i], RUN_CANCELED, WALL_NONE,
                                     sweep->reason, WALL_NONE},
                 sweep->task);
    if (status == STATUS_OK)
        *ret_done = count < CANCELED_A_TURN;
    return status;
}

static void hold_sweep(struct scheduler *s, const struct sweep *sweep)
{
    s->sweeps = memory_resize(s->sweeps, s->sweep_count + 1, sizeof *s->sweeps);
    s->sweeps[s->sweep_count++] = *sweep;
}

enum status cancel_pending_runs(struct scheduler *s, wall now, int64_t task, bool only_occurrences,
                                const char *reason)
{
    struct sweep sweep = {
        .task = task, .until = {s->ids.last}, .only_occurrences = only_occurrences};
    snprintf(sweep.reason, sizeof sweep.reason, "%s", reason);
    bool done = true;
    enum status status = cancel_some(s, now, &sweep, &done);
    if (status == STATUS_OK && !done) {
        status = store_add_sweep(s->store, &sweep);
        hold_sweep(s, &sweep);
    }
    return status;
}

bool is_swept(const struct scheduler *s, const struct run *run)
{
    bool occurrence = run->trigger == TRIGGER_SCHEDULE || run->trigger == TRIGGER_CATCH_UP;
    for (size_t i = 0; i < s->sweep_count; i++) {
        const struct sweep *sweep = &s->sweeps[i];
        if (sweep->task == run->task && run->id.value <= sweep->until.value &&
            (!sweep->only_occurrences || (occurrence && run->attempts == 0)))
            return true;
    }
    return false;
}

void sweep_on(struct scheduler *s, wall now)
{
    bool done = false;
    if (s->broken || s->sweep_count == 0)
        return;
    enum status status = cancel_some(s, now, &s->sweeps[0], &done);
    if (status == STATUS_OK && done) {
        status = store_drop_sweep(s->store, s->sweeps[0].id);
        s->sweep_count--;
        memmove(s->sweeps, s->sweeps + 1, s->sweep_count * sizeof *s->sweeps);
    }
    went_well(s, status);
}

enum status load_sweeps(struct scheduler *s)
{
    struct sweep rows[CHUNK];
    size_t count = CHUNK;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && count == CHUNK) {
        int64_t after = s->sweep_count ? s->sweeps[s->sweep_count - 1].id : 0;
        status = store_load_sweeps(s->store, after, CHUNK, rows, &count);
        for (size_t i = 0; status == STATUS_OK && i < count; i++)
            hold_sweep(s, &rows[i]);
    }
    return status;
}
