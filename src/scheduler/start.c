// Due runs become orders: the claim. The store says whether a run may start; what is held in memory
// is only a hint.
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "scheduler/state.h"

#define STARTS_A_TURN 1000
#define SORTED_A_TURN 20000

bool is_scheduled(struct scheduler *s, run_id id)
{
    struct run run;
    enum status status = store_find_run(s->store, id, &run);
    if (status == STATUS_NOT_FOUND || !went_well(s, status))
        return false;
    bool scheduled = run.state == RUN_SCHEDULED;
    run_done(&run);
    return scheduled;
}

static void note_again(struct scheduler *s, const struct run *run, uint64_t lane)
{
    due_add(&s->due, &(struct due_row){.run = run->id,
                                       .due_at = run->due_at,
                                       .lane = lane,
                                       .task = run->task,
                                       .priority = run->priority,
                                       .catch_up = catches_up(run)});
}

bool catches_up(const struct run *run)
{
    return run->state == RUN_SCHEDULED && run->trigger == TRIGGER_CATCH_UP;
}

void note_in_lane(struct scheduler *s, uint64_t lane, wall due_at, run_id id, int priority)
{
    struct run run;
    if (lane_add(&s->lanes, lane, due_at, id, priority) ||
        !went_well(s, store_find_run(s->store, id, &run)))
        return;
    if (catches_up(&run))
        wait_at_pace(s, &run, lane, run.due_at);
    run_done(&run);
}

// What is due within the next moment goes to its lane: all of it, unless the clock has leapt.
static void sort_into_lanes(struct scheduler *s, wall until)
{
    struct due_row row;
    for (int i = 0; i < SORTED_A_TURN && due_take(&s->due, until, &row); i++)
        lane_add(&s->lanes, row.lane, row.due_at, row.run, row.priority);
}

// The definition that the next attempt of a run is made with: the task's newest, or the one-off's
// own. STATUS_CONFLICT: not now, since the task is paused or deleted.
static enum status definition_of(struct scheduler *s, const struct run *run, struct task **ret_task,
                                 int64_t *ret_revision_id)
{
    *ret_revision_id = run->revision_id;
    if (!run->task)
        return known_definition(&s->known, run->revision_id, ret_task);
    struct known_task *known;
    enum status status = known_task_by_id(&s->known, run->task, &known);
    if (status != STATUS_OK)
        return status;
    if (known->record.deleted || wall_is_set(known->record.paused_at))
        return STATUS_CONFLICT;
    *ret_task = known->task;
    *ret_revision_id = known->record.revision_id;
    return STATUS_OK;
}

// A run is claimed a moment ahead of its time, and not sent before it.
static wall start_of(const struct run *run, wall now)
{
    return run->due_at.us > now.us ? run->due_at : now;
}

static struct order *order_for(const struct run *run, struct task *task)
{
    struct order *order = memory_new(sizeof *order);
    *order = (struct order){.kind = ORDER_ATTEMPT,
                            .run = run->id,
                            .number = run->attempts + 1,
                            .fence = run->fence + 1,
                            .due_at = run->due_at,
                            .scheduled_for = run->scheduled_for,
                            .task = task_hold(task)};
    if (run->payload) {
        order->payload = memory_copy(run->payload, run->payload_size);
        order->payload_size = run->payload_size;
    }
    return order;
}

static void take_off(struct scheduler *s, wall now, const struct run *run, struct task *task)
{
    struct flight *flight = memory_new(sizeof *flight);
    *flight = (struct flight){.run = run->id,
                              .task_id = run->task,
                              .occurrence = run->generation ? run->scheduled_for : WALL_NONE,
                              .lane = task->lane,
                              .priority = run->priority,
                              .task = task_hold(task),
                              .fence = run->fence + 1,
                              .in_lane = true};
    map_put(&s->flights, (uint64_t)run->id.value, flight);
    lane_started(&s->lanes, task->lane);
    endpoint_started(s, task->lane, run->id);
    limits_started(s, start_of(run, now), run, task);
    overlap_began(s, run->task);
    if (catches_up(run)) // what a limit still holds back has taken nothing from the pace
        pace_started(&s->pace, now);
    if (task->target.kind == TARGET_QUEUE)
        hand_out(s, now, run, flight);
    else
        send_order(s, order_for(run, task));
    int64_t waited = now.us - run->due_at.us;
    histogram_add(&s->metrics.queue_wait, waited > 0 ? waited : 0);
    note_run(s,
             &(struct event_run){.task = task->name,
                                 .run = run->id,
                                 .state = RUN_RUNNING,
                                 .due_at = WALL_NONE,
                                 .at = run->due_at.us > now.us ? run->due_at : WALL_NONE},
             run->task);
}

// Whether it catches up and may not now: it waits at its pace again.
static bool is_paced(struct scheduler *s, wall now, const struct run *run, uint64_t lane)
{
    bool paced = catches_up(run) && !pace_has_room(&s->pace, now);
    if (paced)
        wait_at_pace(s, run, lane, run->due_at);
    return paced;
}

// Whether the policies of its task let a run start for the first time. Otherwise it is ended, or
// held and comes back by itself.
static bool may_start(struct scheduler *s, wall now, const struct run *run, const struct task *task)
{
    if (run->state != RUN_SCHEDULED || task->target.kind == TARGET_MONITOR)
        return true;
    return !deadline_passed(s, now, run) && !is_paced(s, now, run, task->lane) &&
           overlap_allows(s, now, run, task, task->lane);
}

static bool is_held(struct scheduler *s, wall now, const struct run *run)
{
    struct task *task;
    int64_t revision_id;
    return went_well(s, definition_of(s, run, &task, &revision_id)) &&
           !may_start(s, now, run, task);
}

// Canceled, started or ended since it was noted: the note was wrong.
static bool is_pending(const struct scheduler *s, const struct run *run)
{
    return (run->state == RUN_SCHEDULED || run->state == RUN_WAITING) && !is_swept(s, run);
}

bool still_waits(struct scheduler *s, wall now, run_id id, uint64_t lane, bool starts)
{
    wall until = wall_plus(now, s->options.claim_ahead_us);
    struct run run;
    enum status status = store_find_run(s->store, id, &run);
    if (status == STATUS_NOT_FOUND || !went_well(s, status))
        return false;
    bool pending = is_pending(s, &run), due = run.due_at.us <= until.us;
    if (pending && !due)
        note_again(s, &run, lane);
    bool waits = pending && due && !(starts ? is_held(s, now, &run) : is_paced(s, now, &run, lane));
    run_done(&run);
    return waits && !s->broken;
}

// `released`: it has waited for the limits of its task, and they let it go.
static void claim(struct scheduler *s, wall now, const struct run *run, uint64_t lane,
                  bool released)
{
    struct task *task;
    int64_t revision_id;
    if (!went_well(s, definition_of(s, run, &task, &revision_id)))
        return; // STATUS_CONFLICT: a paused task's runs are noted again when it is resumed
    if (task->target.kind == TARGET_MONITOR)
        expect_checkin(s, run->id, run->due_at); // claimed ahead, and missed only at its time
    else if (task->lane !=
             lane) // given another endpoint since it was noted: that one's limit counts
        note_in_lane(s, task->lane, run->due_at, run->id, run->priority);
    // Who may not start because of another run is judged before limits make it wait.
    else if (may_start(s, now, run, task) &&
             limits_let(s, start_of(run, now), run, task, released) &&
             went_well(s,
                       store_start_run(s->store, run->id, start_of(run, now), revision_id, lane)))
        take_off(s, now, run, task);
}

void start_run(struct scheduler *s, wall now, wall until, run_id id, uint64_t lane)
{
    struct run run;
    bool released = limits_arrived(&s->limits, id);
    enum status status = store_find_run(s->store, id, &run);
    if (status == STATUS_NOT_FOUND || !went_well(s, status))
        return;
    bool pending = is_pending(s, &run);
    bool due = pending && run.due_at.us <= until.us;
    if (due && lane & LANE_QUEUE && run.due_at.us > now.us)
        hold_back(s, &run, lane); // a worker would begin at once: never early
    else if (due)
        claim(s, now, &run, lane, released);
    else if (pending) // or the clock was set back while it waited for room: its time comes again
        note_again(s, &run, lane);
    run_done(&run);
}

bool attempts_have_room(const struct scheduler *s)
{
    return s->flights.count - s->leases.count < (size_t)s->options.total_limit;
}

void due_forget(struct scheduler *s)
{
    due_done(&s->due);
    due_init(&s->due, s->options.horizon_us, s->options.due_limit, &s->notices_pending);
}

void start_due_runs(struct scheduler *s, wall now)
{
    if (s->broken)
        return;
    wall until = wall_plus(now, s->options.claim_ahead_us);
    if (!went_well(s, due_load(&s->due, s->store, now)) || s->stopping)
        return;
    sort_into_lanes(s, until);
    let_some_catch_up(s, now);
    release_held_runs(s, now);
    endpoints_probe(s, now);
    feed_lines(s, until);
    limits_release(s, now);
    if (s->broken)
        return;
    run_id run;
    uint64_t lane;
    for (int i = 0; i < STARTS_A_TURN && !s->broken && attempts_have_room(s) &&
                    lanes_take(&s->lanes, &run, &lane);
         i++)
        start_run(s, now, until, run, lane);
}
