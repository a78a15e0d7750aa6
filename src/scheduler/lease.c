// Leases: granted, prolonged, ended, and found again after a restart.
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "scheduler/state.h"

#define NEVER ((steady){INT64_MAX})
#define CALLBACK_MOST DAY
#define REAPED_A_TURN 1000
// At a restart each lease has at least this much left: the time without a server is not the
// worker's fault.
#define GRACE (10 * SECOND)
#define DEADLINES_SPARE 1024

void lease_free(struct lease *lease)
{
    if (!lease)
        return;
    attempt_done(&lease->attempt);
    free(lease->worker);
    free(lease);
}

void leases_done(struct leases *leases)
{
    heap_done(&leases->deadlines);
}

static steady sooner(steady a, steady b)
{
    return a.us < b.us ? a : b;
}

wall lease_until(const struct scheduler *s, const struct lease *lease)
{
    return (wall){lease->until.us + s->wall_minus_steady_us};
}

// --- deadlines ---

static void watch(struct scheduler *s, const struct flight *flight)
{
    heap_add(&s->leases.deadlines, (struct heap_entry){.key = flight->lease->until.us,
                                                       .order = (uint64_t)flight->run.value,
                                                       .item = (uint64_t)flight->fence});
}

// Leases that end before their time leave their deadline behind. When most are such, the rest is
// written anew.
static void tidy_deadlines(struct scheduler *s)
{
    if (s->leases.deadlines.count < 2 * s->leases.count + DEADLINES_SPARE)
        return;
    uint64_t key;
    void *value;
    heap_done(&s->leases.deadlines);
    s->leases.deadlines = (struct heap){0};
    for (size_t at = 0; map_each(&s->flights, &at, &key, &value);)
        if (((const struct flight *)value)->lease)
            watch(s, value);
}

static void write_down(struct scheduler *s, const struct flight *flight)
{
    const struct lease *lease = flight->lease;
    bool bounded = lease->most.us != INT64_MAX;
    went_well(s, store_put_lease(s->store, &(struct lease_record){
                                               .run = flight->run,
                                               .kind = lease->kind,
                                               .length_us = lease->length_us,
                                               .until = lease_until(s, lease),
                                               .most = bounded ? (wall){lease->most.us +
                                                                        s->wall_minus_steady_us}
                                                               : WALL_NEVER,
                                               .steady_until = lease->until,
                                               .steady_most = lease->most,
                                               .boot = s->options.boot,
                                               .worker = lease->worker,
                                           }));
}

void grant_lease(struct scheduler *s, wall now, struct flight *flight, struct lease *lease)
{
    lease->until = sooner(steady_plus(steady_at(s, now), lease->length_us), lease->most);
    flight->lease = lease;
    s->leases.count++;
    s->leases.granted++;
    watch(s, flight);
    write_down(s, flight);
}

void prolong_lease(struct scheduler *s, wall now, struct flight *flight, int64_t length_us)
{
    struct lease *lease = flight->lease;
    steady until = sooner(steady_plus(steady_at(s, now), length_us), lease->most);
    if (until.us <= lease->until.us)
        return;
    lease->length_us = length_us;
    lease->until = until; // its deadline is looked at again when it comes
    write_down(s, flight);
}

// --- the end ---

// Nobody has the run any more. What is known of the attempt becomes a report, for the log.
static struct message *end_lease(struct scheduler *s, wall now, struct flight *flight)
{
    struct message *m = message_new(MESSAGE_REPORT);
    struct lease *lease = flight->lease;
    m->attempt = lease->attempt;
    attempt_init(&lease->attempt);
    int64_t took = steady_at(s, now).us - lease->started.us;
    m->attempt.response_time_us = took > 0 ? took : 0;
    m->task = flight->task; // handed over
    went_well(s, store_drop_lease(s->store, flight->run));
    map_remove(&s->flights, (uint64_t)flight->run.value);
    if (flight->in_lane)
        lane_finished(&s->lanes, flight->lane);
    s->leases.count--;
    s->overlaps.busy_known = false; // counted anew
    overlap_ended(s, flight->task_id);
    limits_ended(&s->limits, flight->task_id);
    lease_free(lease);
    free(flight);
    tidy_deadlines(s);
    return m;
}

void finish_lease(struct scheduler *s, wall now, struct flight *flight,
                  enum attempt_outcome outcome)
{
    int64_t task_id = flight->task_id;
    int priority = flight->priority;
    struct message *m = end_lease(s, now, flight);
    m->attempt.outcome = outcome;
    if (!s->broken)
        finish_attempt(s, now, &m->attempt, m->task, task_id, priority);
    send_attempt(s, m);
}

enum status cancel_lease(struct scheduler *s, wall now, struct flight *flight,
                         const struct verdict *verdict)
{
    struct message *m = end_lease(s, now, flight);
    m->attempt.outcome = ATTEMPT_CANCELED;
    free(m->attempt.error);
    m->attempt.error = memory_text("canceled while it was under way");
    enum status status = store_finish_attempt(s->store, &m->attempt, verdict, now);
    event_attempt(&s->journal, m->task, &m->attempt);
    s->metrics.attempts[ATTEMPT_CANCELED]++;
    send_attempt(s, m);
    return status;
}

// A task that was deleted meanwhile, or became a monitor, has no use for its runs.
static bool cancel_if_unwanted(struct scheduler *s, wall now, struct flight *flight)
{
    struct known_task *known;
    if (!flight->task_id || !went_well(s, known_task_by_id(&s->known, flight->task_id, &known)) ||
        (!known->record.deleted && known->task->target.kind != TARGET_MONITOR))
        return false;
    struct verdict verdict = {.state = RUN_CANCELED, .due_at = WALL_NONE};
    snprintf(verdict.reason, sizeof verdict.reason, "its task %s",
             known->record.deleted ? "was deleted" : "became a monitor");
    const struct event_run event = {flight->task->name, flight->run,    RUN_CANCELED,
                                    WALL_NONE,          verdict.reason, WALL_NONE};
    note_run(s, &event, flight->task_id);
    went_well(s, cancel_lease(s, now, flight, &verdict));
    return true;
}

void release_lease(struct scheduler *s, wall now, struct flight *flight)
{
    if (cancel_if_unwanted(s, now, flight) ||
        !went_well(s, store_release_run(s->store, flight->run, flight->fence)))
        return;
    note_run(s,
             &(struct event_run){flight->task->name, flight->run, RUN_WAITING,
                                 flight->lease->due_at, "given back before it was begun",
                                 WALL_NONE},
             flight->task_id);
    struct due_row row = {flight->run, flight->lease->due_at,
                          lane_of_next(s, flight->task_id, flight->lane), flight->task_id,
                          flight->priority};
    struct message *m = end_lease(s, now, flight);
    due_add(&s->due, &row);
    message_free(m);
}

// --- running out ---

static void expire(struct scheduler *s, wall now, struct flight *flight)
{
    struct lease *lease = flight->lease;
    bool worker = lease->kind == LEASE_WORKER, capped = lease->until.us == lease->most.us;
    char within[DURATION_TEXT], words[160];
    int64_t allowed = lease->until.us - lease->started.us;
    duration_format((allowed + MILLISECOND / 2) / MILLISECOND * MILLISECOND, within);
    if (!worker)
        snprintf(words, sizeof words, "answered 202, and no call back came within %s", within);
    else if (capped)
        snprintf(words, sizeof words, "the worker was not done within %s", within);
    else
        snprintf(words, sizeof words, "the lease ran out: no word from the worker in time");
    free(lease->attempt.error);
    lease->attempt.error = memory_text(words);
    s->leases.expired++;
    finish_lease(s, now, flight, worker && !capped ? ATTEMPT_LOST : ATTEMPT_TIMED_OUT);
}

void reap_leases(struct scheduler *s, wall now)
{
    steady t = steady_at(s, now);
    struct heap *deadlines = &s->leases.deadlines;
    const struct heap_entry *first;
    struct heap_entry entry;
    for (int i = 0; i < REAPED_A_TURN && !s->broken && (first = heap_first(deadlines)); i++) {
        if (first->key > t.us)
            return;
        heap_take(deadlines, &entry);
        struct flight *flight = map_get(&s->flights, entry.order);
        if (!flight || !flight->lease || (uint64_t)flight->fence != entry.item)
            continue;
        if (flight->lease->until.us > t.us)
            watch(s, flight); // prolonged meanwhile
        else
            expire(s, now, flight);
    }
}

wall leases_next(const struct scheduler *s)
{
    const struct heap_entry *first = heap_first(&s->leases.deadlines);
    return first ? (wall){first->key + s->wall_minus_steady_us} : WALL_NEVER;
}

// --- call backs ---

static bool still_runs(struct scheduler *s, const struct flight *flight)
{
    struct run run;
    if (!went_well(s, store_find_run(s->store, flight->run, &run)))
        return false;
    bool runs = run.state == RUN_RUNNING && run.fence == flight->fence;
    run_done(&run);
    return runs;
}

bool keep_open(struct scheduler *s, wall now, struct flight *flight, struct attempt *attempt)
{
    if (!still_runs(s, flight)) {
        attempt->outcome = ATTEMPT_CANCELED;
        attempt->error = memory_text("answered 202 when it was canceled already");
        return false;
    }
    struct lease *lease = memory_new(sizeof *lease);
    int64_t took = attempt->response_time_us > 0 ? attempt->response_time_us : 0;
    lease->kind = LEASE_CALLBACK;
    lease->due_at = attempt->started_at;
    lease->started = steady_plus(steady_at(s, now), -took);
    lease->most = steady_plus(lease->started, CALLBACK_MOST);
    int64_t left = flight->task->timeout_us - took;
    lease->length_us = left > SECOND ? left : SECOND;
    lease->attempt = *attempt;
    // What it says comes with the call back; this was only the word that it has begun.
    free(lease->attempt.response);
    lease->attempt.response = NULL;
    lease->attempt.response_size = 0;
    lease->attempt.retry_after_us = -1;
    attempt_init(attempt);
    // An endpoint may have as many runs open as it likes: none of them holds a connection.
    lane_finished(&s->lanes, flight->lane);
    flight->in_lane = false;
    struct attempt answered = {.run = flight->run, .outcome = ATTEMPT_SUCCEEDED, .status = 202};
    endpoint_saw(s, now, flight, &answered); // it is there, whatever will come of the run
    grant_lease(s, now, flight, lease);
    return true;
}

// --- after a restart ---

// How much of it is left. The steady clock knows, unless the machine was started anew.
static void take_time_up(const struct scheduler *s, wall now, const struct lease_record *record,
                         struct lease *lease)
{
    steady t = steady_at(s, now);
    bool same = record->boot == s->options.boot && record->boot != 0;
    int64_t left = same ? record->steady_until.us - t.us : record->until.us - now.us;
    int64_t least = record->length_us < GRACE ? record->length_us : GRACE;
    left = left > record->length_us ? record->length_us : left < least ? least : left;
    lease->most = record->steady_most;
    if (!wall_is_set(record->most))
        lease->most = NEVER;
    else if (!same)
        lease->most = steady_plus(t, record->most.us - now.us);
    lease->until = sooner(steady_plus(t, left), lease->most);
}

enum status resume_lease(struct scheduler *s, wall now, const struct run *run, struct task *task)
{
    struct lease_record record;
    enum status status = store_find_lease(s->store, run->id, &record);
    if (status != STATUS_OK)
        return status;
    struct lease *lease = memory_new(sizeof *lease);
    struct flight *flight = memory_new(sizeof *flight);
    int64_t ran = now.us - run->attempt_started_at.us;
    lease->kind = record.kind;
    lease->due_at = run->due_at;
    lease->length_us = record.length_us;
    lease->worker = record.worker;
    lease->started = steady_plus(steady_at(s, now), ran > 0 ? -ran : 0);
    attempt_init(&lease->attempt);
    lease->attempt.run = run->id;
    lease->attempt.number = run->attempts;
    lease->attempt.fence = run->fence;
    attempt_started(&lease->attempt, run->attempt_started_at, run->due_at);
    lease->attempt.node = memory_text(record.worker);
    take_time_up(s, now, &record, lease);
    *flight = (struct flight){.run = run->id,
                              .task_id = run->task,
                              .occurrence = run->generation ? run->scheduled_for : WALL_NONE,
                              .lane = task->lane,
                              .priority = run->priority,
                              .task = task_hold(task),
                              .fence = run->fence,
                              .in_lane = record.kind == LEASE_WORKER,
                              .lease = lease};
    map_put(&s->flights, (uint64_t)run->id.value, flight);
    if (flight->in_lane)
        lane_started(&s->lanes, flight->lane);
    s->leases.count++;
    watch(s, flight);
    write_down(s, flight);
    return s->broken ? STATUS_FAILED : STATUS_OK;
}
