// What came of an attempt: recorded, and the run moves on.
#include <stdio.h>
#include <stdlib.h>

#include "scheduler/state.h"

// Attempts of a task that is gone, or whose job runs elsewhere now, are not followed by another.
static void bury_if_unwanted(struct scheduler *s, int64_t task_id, struct verdict *verdict)
{
    struct known_task *known;
    if (verdict->state != RUN_WAITING || !task_id ||
        !went_well(s, known_task_by_id(&s->known, task_id, &known)) ||
        (!known->record.deleted && known->task->target.kind != TARGET_MONITOR))
        return;
    verdict->state = RUN_FAILED;
    snprintf(verdict->reason, sizeof verdict->reason, "the task %s, so it is not tried again",
             known->record.deleted ? "was deleted" : "became a monitor");
}

// Standard Webhooks 1.0: an endpoint that answers 410 Gone wants no more deliveries.
static void pause_if_gone(struct scheduler *s, wall now, const struct attempt *attempt,
                          int64_t task_id)
{
    struct known_task *known;
    if (!attempt->gone || !task_id || !went_well(s, known_task_by_id(&s->known, task_id, &known)))
        return;
    if (!known->record.deleted && !wall_is_set(known->record.paused_at))
        went_well(s, pause_task(s, now, known, "punctual", "the endpoint answered 410 Gone"));
}

static void count_attempt(struct metrics *metrics, const struct attempt *attempt,
                          const struct task *task)
{
    metrics->attempts[attempt->outcome]++;
    // How long a run waits for a worker says nothing about this server's punctuality.
    if (attempt->lateness_us >= 0 && task->target.kind != TARGET_QUEUE)
        histogram_add(&metrics->lateness, attempt->lateness_us);
    if (attempt->response_time_us >= 0)
        histogram_add(&metrics->response_time, attempt->response_time_us);
}

void finish_attempt(struct scheduler *s, wall now, const struct attempt *attempt, struct task *task,
                    int64_t task_id, int priority)
{
    struct verdict verdict = run_after_attempt(&task->retry, attempt, now, &s->chance);
    bury_if_unwanted(s, task_id, &verdict);
    run_at_most_once(task, attempt, &verdict);
    enum status status = store_finish_attempt(s->store, attempt, &verdict, now);
    count_attempt(&s->metrics, attempt, task);
    event_attempt(&s->journal, task, attempt);
    if (status == STATUS_CONFLICT)
        return; // ended meanwhile, by a cancel: the attempt is recorded, and final stays final
    if (!went_well(s, status))
        return;
    note_run(s,
             &(struct event_run){.task = task->name,
                                 .run = attempt->run,
                                 .state = verdict.state,
                                 .due_at = verdict.due_at,
                                 .reason = verdict.reason,
                                 .at = WALL_NONE},
             task_id);
    if (verdict.state == RUN_WAITING)
        due_add(&s->due, &(struct due_row){.run = attempt->run,
                                           .due_at = verdict.due_at,
                                           .lane = lane_of_next(s, task_id, task->lane),
                                           .task = task_id,
                                           .priority = priority});
    pause_if_gone(s, now, attempt, task_id);
}

bool take_report(struct scheduler *s, wall now, struct message *m)
{
    struct flight *flight = map_get(&s->flights, (uint64_t)m->attempt.run.value);
    if (!flight || flight->lease || flight->fence != m->attempt.fence)
        return false; // a call back came before the answer to the request did: it is over already
    if (m->attempt.open && !s->broken && keep_open(s, now, flight, &m->attempt))
        return false;
    map_remove(&s->flights, (uint64_t)m->attempt.run.value);
    if (!s->broken)
        finish_attempt(s, now, &m->attempt, flight->task, flight->task_id, flight->priority);
    lane_finished(&s->lanes, flight->lane);
    endpoint_saw(s, now, flight, &m->attempt);
    s->overlaps.busy_known = false; // counted anew
    overlap_ended(s, flight->task_id);
    m->task = flight->task; // handed over, for the log
    free(flight);
    return true;
}
