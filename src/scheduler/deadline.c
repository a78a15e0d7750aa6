// Runs that have not started by their deadline are missed, wherever they wait. The store knows when
// the next one passes; only the instant is held in memory.
#include <stdio.h>

#include "scheduler/state.h"

#define MISSED_A_TURN 500

void deadline_reason(wall deadline, char *text, size_t size)
{
    char moment[MOMENT_TEXT];
    wall_format(deadline, moment);
    snprintf(text, size, "it had not started by its deadline, %s", moment);
}

bool deadline_passed(struct scheduler *s, wall now, const struct run *run)
{
    char reason[100];
    if (run->deadline_at.us <= 0 || now.us <= run->deadline_at.us || run->state != RUN_SCHEDULED)
        return false;
    deadline_reason(run->deadline_at, reason, sizeof reason);
    if (went_well(s, store_end_run(s->store, run->id, RUN_MISSED, reason, now)))
        note_run(
            s,
            &(struct event_run){run->task_name, run->id, RUN_MISSED, WALL_NONE, reason, WALL_NONE},
            run->task);
    return true;
}

void watch_deadline(struct scheduler *s, const struct run *run)
{
    if (run->deadline_at.us > 0 && run->deadline_at.us < s->next_deadline.us)
        s->next_deadline = run->deadline_at;
}

// A run may have started in time, or be gone.
static void miss_if_late(struct scheduler *s, wall now, run_id id)
{
    struct run run;
    enum status status = store_find_run(s->store, id, &run);
    if (status == STATUS_NOT_FOUND || !went_well(s, status))
        return;
    deadline_passed(s, now, &run);
    run_done(&run);
}

void miss_late_runs(struct scheduler *s, wall now)
{
    struct deadline rows[MISSED_A_TURN];
    size_t count;
    if (s->broken || now.us <= s->next_deadline.us ||
        !went_well(s, store_load_deadlines(s->store, MISSED_A_TURN, rows, &count)))
        return;
    s->next_deadline = WALL_NEVER;
    for (size_t i = 0; i < count && !s->broken; i++) {
        if (now.us <= rows[i].at.us) {
            s->next_deadline = rows[i].at;
            return;
        }
        miss_if_late(s, now, rows[i].run);
        went_well(s, store_drop_deadline(s->store, &rows[i]));
    }
    if (count == MISSED_A_TURN)
        s->next_deadline = wall_plus(now, -1); // there may be more: at once, in the next turn
}
