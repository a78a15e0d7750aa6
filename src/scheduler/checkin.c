// Check-ins: the runs of a monitor belong to a job that runs elsewhere. Such a run waits from its
// occurrence to the end of its grace, which is its due instant; nothing of it goes to the
// dispatcher. A check-in moves it, and what does not come in time is missed.
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "core/monitor.h"
#include "scheduler/state.h"

#define ROWS 64 // at a time
#define ENDED_A_TURN 1000
#define WORDS_MAX 2000 // of a job's own words, in the record of its attempt

// --- the end of a wait ---

void expect_checkin(struct scheduler *s, run_id run, wall until)
{
    heap_add(&s->expected, (struct heap_entry){.key = until.us, .order = (uint64_t)run.value});
}

static void set_running_deadline(struct scheduler *s, const struct run *run,
                                 const struct task *task)
{
    expect_checkin(s, run->id,
                   wall_plus(run->attempt_started_at, task->target.monitor.max_duration_us));
}

bool recover_monitor(struct scheduler *s, const struct run *run, const struct task *task)
{
    if (task->target.kind != TARGET_MONITOR)
        return false;
    set_running_deadline(s, run, task);
    return true;
}

static void miss(struct scheduler *s, wall now, const struct run *run,
                 const struct known_task *known)
{
    char reason[240], grace[DURATION_TEXT], at[MOMENT_TEXT];
    duration_format(run->due_at.us - run->scheduled_for.us, grace); // as it was at its occurrence
    wall_format(run->scheduled_for, at);
    snprintf(reason, sizeof reason, "no check-in came within %s of %s%s", grace, at,
             run->scheduled_for.us < s->started.us
                 ? "; the server was not running for a part of that time"
                 : "");
    if (went_well(s, store_end_run(s->store, run->id, RUN_MISSED, reason, now)))
        note_run(s,
                 &(struct event_run){known->record.name, run->id, RUN_MISSED, WALL_NONE, reason,
                                     WALL_NONE},
                 run->task);
}

// Records the only attempt of a run and ends the run by it. Takes the words: the error, or what
// the job said on success (NULL: nothing).
static void finish(struct scheduler *s, wall now, const struct run *run, struct task *task,
                   enum attempt_outcome outcome, int64_t duration_us, char *words)
{
    struct message *report = message_new(MESSAGE_REPORT);
    struct attempt *a = &report->attempt;
    struct verdict verdict = {.state = outcome == ATTEMPT_SUCCEEDED ? RUN_SUCCEEDED : RUN_FAILED,
                              .due_at = WALL_NONE};
    int64_t late = run->attempt_started_at.us - run->scheduled_for.us;
    report->task = task_hold(task);
    a->run = run->id;
    a->number = run->attempts;
    a->fence = run->fence;
    a->started_at = run->attempt_started_at;
    a->lateness_us = late > 0 ? late : 0;
    a->response_time_us = duration_us >= 0 ? duration_us : now.us - run->attempt_started_at.us;
    a->outcome = outcome;
    if (outcome == ATTEMPT_SUCCEEDED) {
        a->response = words;
        a->response_size = words ? strlen(words) : 0;
    } else {
        a->error = words;
        snprintf(verdict.reason, sizeof verdict.reason, "%s", words);
    }
    if (went_well(s, store_finish_attempt(s->store, a, &verdict, now))) {
        s->metrics.attempts[outcome]++;
        event_attempt(&s->journal, task, a);
        note_run(s,
                 &(struct event_run){task->name, run->id, verdict.state, WALL_NONE, verdict.reason,
                                     WALL_NONE},
                 run->task);
    }
    send_attempt(s, report);
}

// It may have started a moment before its grace was over, and then this is not its end yet.
static void give_up(struct scheduler *s, wall now, const struct run *run)
{
    struct task *task;
    if (!went_well(s, known_definition(&s->known, run->revision_id, &task)) ||
        task->target.kind != TARGET_MONITOR)
        return;
    int64_t most_us = task->target.monitor.max_duration_us;
    if (now.us < wall_plus(run->attempt_started_at, most_us).us)
        return;
    char error[160], most[DURATION_TEXT];
    duration_format(most_us, most);
    snprintf(error, sizeof error, "it checked in as started, and not as ended within %s", most);
    finish(s, now, run, task, ATTEMPT_TIMED_OUT, -1, memory_text(error));
}

// What is held is a hint: the run may have ended, or its task may have been paused since.
static void end_wait(struct scheduler *s, wall now, run_id id)
{
    struct run run;
    struct known_task *known;
    enum status status = store_find_run(s->store, id, &run);
    if (status == STATUS_NOT_FOUND || !went_well(s, status))
        return;
    if (run.state == RUN_RUNNING)
        give_up(s, now, &run);
    else if (run.state == RUN_SCHEDULED && run.task && run.due_at.us <= now.us &&
             went_well(s, known_task_by_id(&s->known, run.task, &known)) &&
             known->task->target.kind == TARGET_MONITOR && !known->record.deleted &&
             !wall_is_set(known->record.paused_at))
        miss(s, now, &run, known);
    run_done(&run);
}

void end_waits(struct scheduler *s, wall now)
{
    for (int i = 0; i < ENDED_A_TURN && !s->broken && !s->stopping; i++) {
        const struct heap_entry *first = heap_first(&s->expected);
        struct heap_entry entry;
        if (!first || first->key > now.us)
            return;
        heap_take(&s->expected, &entry);
        end_wait(s, now, (run_id){(int64_t)entry.order});
    }
}

wall next_wait(const struct scheduler *s)
{
    const struct heap_entry *first = heap_first(&s->expected);
    return first && !s->stopping ? (wall){first->key} : WALL_NEVER;
}

enum status skip_waits(struct scheduler *s, wall now, const struct known_task *known,
                       const char *reason)
{
    struct due_row rows[ROWS];
    size_t count = ROWS;
    if (known->task->target.kind != TARGET_MONITOR)
        return STATUS_OK;
    while (count == ROWS) {
        enum status status =
            store_load_due_of_task(s->store, known->record.id, (run_id){0}, ROWS, rows, &count);
        for (size_t i = 0; i < count && status == STATUS_OK; i++) {
            status = store_end_run(s->store, rows[i].run, RUN_SKIPPED, reason, now);
            if (status != STATUS_OK)
                break;
            note_run(s,
                     &(struct event_run){known->record.name, rows[i].run, RUN_SKIPPED, WALL_NONE,
                                         reason, WALL_NONE},
                     known->record.id);
        }
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

// --- which run a check-in is about ---

// A run of its own: for an occurrence a moment away, or where none is expected.
static enum status add_monitor_run(struct scheduler *s, wall now, const struct known_task *known,
                                   const struct upcoming_item *occurrence, run_id *ret)
{
    struct run run = {
        .id = id_next(&s->ids, now),
        .task = known->record.id,
        .revision_id = known->record.revision_id,
        .generation = occurrence ? known->record.generation : 0,
        .state = RUN_SCHEDULED,
        .trigger = occurrence ? TRIGGER_SCHEDULE : TRIGGER_API,
        .scheduled_for = occurrence ? occurrence->nominal : now,
        .due_at = monitor_due(known->task, occurrence ? occurrence->effective : now),
        .started_at = WALL_NONE,
        .finished_at = WALL_NONE,
        .attempt_started_at = WALL_NONE,
        .lane = known->task->lane,
        .priority = PRIORITY_PLAIN,
    };
    enum status status = add_run(s, &run);
    if (status != STATUS_OK)
        return status;
    note_run(
        s,
        &(struct event_run){known->record.name, run.id, RUN_SCHEDULED, run.due_at, NULL, WALL_NONE},
        run.task);
    *ret = run.id;
    return STATUS_OK;
}

// What the server itself has started, before the task became a monitor, is nobody's to check in.
static enum status newest_open(struct scheduler *s, int64_t task, enum run_state state, run_id *ret)
{
    enum status status = store_newest_open(s->store, task, state, ret);
    return status == STATUS_OK && map_get(&s->flights, (uint64_t)ret->value) ? STATUS_NOT_FOUND
                                                                             : status;
}

// The newest run that waits for this: an end belongs to what has started, a start to what has not.
// A start that comes twice means the same run.
static enum status find_open(struct scheduler *s, const struct known_task *known,
                             enum checkin_status checkin, run_id *ret)
{
    static const enum run_state of_start[] = {RUN_SCHEDULED, RUN_RUNNING},
                                of_end[] = {RUN_RUNNING, RUN_SCHEDULED};
    const enum run_state *states = checkin == CHECKIN_START ? of_start : of_end;
    enum status status = newest_open(s, known->record.id, states[0], ret);
    return status == STATUS_NOT_FOUND ? newest_open(s, known->record.id, states[1], ret) : status;
}

static enum status find_expected(struct scheduler *s, wall now, const struct known_task *known,
                                 struct message *m, run_id *ret)
{
    struct upcoming_item coming;
    plan_monitor(s, now, known);
    if (s->broken)
        return STATUS_FAILED;
    enum status status = find_open(s, known, m->checkin.status, ret);
    if (status != STATUS_NOT_FOUND)
        return status;
    if (monitor_is_early(known->task, now, &coming) && take_ahead(s, known, coming.nominal)) {
        status = add_monitor_run(s, now, known, &coming, ret);
        if (status != STATUS_CONFLICT)
            return status; // the conflict: that occurrence has been answered already
    }
    if (s->broken)
        return STATUS_FAILED;
    m->reply.created = true;
    return add_monitor_run(s, now, known, NULL, ret);
}

// The run that the message names, where it is one of this monitor's and still open.
static bool find_named(struct scheduler *s, const struct known_task *known, struct message *m)
{
    struct run run;
    char id[RUN_ID_TEXT];
    run_id_format(m->run, id);
    enum status status = store_find_run(s->store, m->run, &run);
    snprintf(m->reply.pointer, sizeof m->reply.pointer, "/run"); // of whatever is wrong
    if (status == STATUS_NOT_FOUND)
        refuse(m, status, "there is no run %s", id);
    if (!went_well(s, status))
        return false;
    if (run.task != known->record.id)
        refuse(m, STATUS_CONFLICT, "run %s is not one of \"%s\"", id, known->record.name);
    else if (run_state_is_final(run.state))
        refuse(m, STATUS_CONFLICT, "run %s is over already: %s is final", id,
               run_state_text(run.state));
    else if (map_get(&s->flights, (uint64_t)run.id.value))
        refuse(m, STATUS_CONFLICT,
               "run %s was started by the server, before \"%s\" became a monitor", id,
               known->record.name);
    run_done(&run);
    return m->reply.status == STATUS_OK;
}

// --- what it does ---

// The run is started now, or was as long ago as the job says.
static void start(struct scheduler *s, wall now, const struct known_task *known, struct message *m,
                  struct run *run)
{
    bool ends = m->checkin.status != CHECKIN_START;
    int64_t ago = ends && m->checkin.duration_us > 0 ? m->checkin.duration_us : 0;
    run->attempt_started_at = wall_plus(now, -ago);
    if (!went_well(s, store_start_run(s->store, run->id, run->attempt_started_at,
                                      known->record.revision_id, known->task->lane)))
        return;
    run->attempts++;
    run->fence++;
    run->state = RUN_RUNNING;
    note_run(
        s,
        &(struct event_run){known->record.name, run->id, RUN_RUNNING, WALL_NONE, NULL, WALL_NONE},
        run->task);
    if (!ends)
        set_running_deadline(s, run, known->task);
}

static char *failure_words(const struct message *m)
{
    char words[WORDS_MAX];
    snprintf(words, sizeof words, "the job reported a failure%s%s", m->note ? ": " : "",
             m->note ? m->note : "");
    return memory_text(words);
}

static void take_checkin(struct scheduler *s, wall now, const struct known_task *known,
                         struct message *m, struct run *run)
{
    if (run->state != RUN_RUNNING)
        start(s, now, known, m, run);
    if (s->broken || m->checkin.status == CHECKIN_START)
        return;
    bool success = m->checkin.status == CHECKIN_SUCCESS;
    finish(s, now, run, known->task, success ? ATTEMPT_SUCCEEDED : ATTEMPT_FAILED,
           m->checkin.duration_us, success ? memory_text(m->note) : failure_words(m));
}

static bool find_monitor(struct scheduler *s, struct message *m, struct known_task **ret)
{
    enum status status = known_task(&s->known, m->name, ret);
    if (status != STATUS_NOT_FOUND && !went_well(s, status))
        return false;
    if (status == STATUS_NOT_FOUND || (*ret)->record.deleted)
        refuse(m, STATUS_NOT_FOUND, "there is no task named \"%s\"", m->name);
    else if ((*ret)->task->target.kind != TARGET_MONITOR)
        refuse(m, STATUS_CONFLICT,
               "task \"%s\" is no monitor: the server starts its runs itself, and no check-in is "
               "expected",
               m->name);
    else if (wall_is_set((*ret)->record.paused_at))
        refuse(m, STATUS_CONFLICT, "task \"%s\" is paused by %.60s (%.140s): resume it first",
               m->name, (*ret)->record.paused_by ? (*ret)->record.paused_by : "somebody",
               (*ret)->record.paused_why ? (*ret)->record.paused_why : "no reason given");
    else
        return true;
    return false;
}

void answer_checkin(struct scheduler *s, wall now, struct message *m)
{
    struct known_task *known;
    struct run run;
    run_id id = m->run;
    if (answered_before(s, now, m)) {
        // As the first answer: created is what was a run of its own.
        m->reply.created = strstr(buffer_string(&m->reply.body), "\"trigger\":\"api\"") != NULL;
        return;
    }
    if (!find_monitor(s, m, &known))
        return;
    if (id.value ? !find_named(s, known, m) : !went_well(s, find_expected(s, now, known, m, &id)))
        return;
    if (!went_well(s, store_find_run(s->store, id, &run)))
        return;
    take_checkin(s, now, known, m, &run);
    run_done(&run);
    if (s->broken || !went_well(s, store_find_run(s->store, id, &run)))
        return;
    reply_with_run(m, now, &run);
    run_done(&run);
    remember_answer(s, now, m);
}
