// What is stored, against what was promised.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "sim/world.h"
#include "store/audit.h"
#include "store/reader.h"

#define AUDITED_AFTER_US (5 * SECOND)
#define BEHIND_US (10 * SECOND) // found later than this, an occurrence fell into an outage

sqlite3_stmt *ask_stored(struct world *w, const char *text)
{
    sqlite3_stmt *q = question(w->reading, text);
    if (!q)
        broken(w, "sim", "the auditor cannot ask: %s", sqlite3_errmsg(w->reading));
    return q;
}

static wall wall_at(sqlite3_stmt *q, int column, wall none)
{
    return sqlite3_column_type(q, column) == SQLITE_NULL ? none
                                                         : (wall){sqlite3_column_int64(q, column)};
}

// --- runs ---

enum {
    ID,
    TASK,
    GENERATION,
    STATE,
    TRIGGER,
    ATTEMPTS,
    NOMINAL,
    DUE,
    FINISHED,
    REASON,
    OLD,
    DEADLINE,
    PRIORITY,
    PAYLOAD,
    DEFINITION
};

int spec_by_text(const struct world *w, const char *definition)
{
    int found = -1;
    for (int i = 0; i < w->spec_count && definition; i++)
        if (strcmp(w->specs[i].task->definition, definition) == 0)
            found = i;
    return found;
}

void stored_read(struct world *w, sqlite3_stmt *q, struct stored *ret)
{
    const char *name = (const char *)sqlite3_column_text(q, TASK);
    const char *payload = (const char *)sqlite3_column_text(q, PAYLOAD);
    const char *reason = (const char *)sqlite3_column_text(q, REASON);
    *ret = (struct stored){
        .id = {sqlite3_column_int64(q, ID)},
        .task = name ? atoi(name + 1) : -1,
        .spec = -1,
        .generation = sqlite3_column_int(q, GENERATION),
        .state = (enum run_state)sqlite3_column_int(q, STATE),
        .trigger = (enum run_trigger)sqlite3_column_int(q, TRIGGER),
        .attempts = sqlite3_column_int(q, ATTEMPTS),
        .priority = sqlite3_column_int(q, PRIORITY),
        .payload = payload ? atoi(payload + strlen("{\"n\":")) : 0,
        .nominal = wall_at(q, NOMINAL, WALL_NONE),
        .due = wall_at(q, DUE, WALL_NONE),
        .finished = wall_at(q, FINISHED, WALL_NONE),
        .deadline = wall_at(q, DEADLINE, WALL_NEVER),
        .retry_of = {sqlite3_column_int64(q, OLD)},
    };
    snprintf(ret->reason, sizeof ret->reason, "%s", reason ? reason : "");
    if (!owed_find(w, ret->id))
        ret->spec = spec_by_text(w, (const char *)sqlite3_column_text(q, DEFINITION));
}

static bool is_occurrence(enum run_trigger trigger)
{
    return trigger == TRIGGER_SCHEDULE || trigger == TRIGGER_CATCH_UP;
}

// A run that no order and no answer has told of.
static struct owed *learn_run(struct world *w, const struct stored *row)
{
    run_id id = row->id;
    enum run_trigger trigger = row->trigger;
    enum run_state state = row->state;
    if (!is_occurrence(trigger) && w->unheard-- <= 0)
        broken(w, "P3", "run %s was asked for by nobody", id_text(id));
    if (!w->lost_may_be_new && state != RUN_SCHEDULED && state != RUN_CANCELED &&
        state != RUN_MISSED && state != RUN_SKIPPED)
        broken(w, "P11", "run %s has %s without any attempt", id_text(id), run_state_text(state));
    struct owed *run = owed_add(w, id);
    run->task = row->task;
    run->generation = row->generation;
    run->trigger = trigger;
    run->nominal = row->nominal;
    run->state = state;
    run->attempts = run->lost = row->attempts; // no order of it has left
    run->fence = run->attempts;
    // A worker has it, and does not know, or another has replaced it in the turn that started it.
    if (run->attempts && (state == RUN_RUNNING || state == RUN_CANCELED))
        run->lost--;
    run->due_least = run->due_most = row->due;
    run->made_us = 0;
    const struct known *known = run->task >= 0 ? &w->tasks[run->task] : NULL;
    if (known && is_occurrence(trigger) && is_pending(state) &&
        run->generation != known->generation) {
        run->state = RUN_CANCELED;
        run->swept = true;
    }
    return run;
}

// What an unheard request has made is known by its row only.
static void learn_details(struct world *w, struct owed *run, const struct stored *row)
{
    const struct owed *old = owed_find(w, row->retry_of);
    run->notice = old ? old->notice : 0;
    run->payload = row->payload;
    run->retry_of = row->retry_of;
    run->spec = row->spec;
}

static void check_run(struct world *w, struct owed *run, const struct stored *row, bool at_end)
{
    enum run_state state = row->state;
    run->seen = true;
    run->due_at = row->due;
    run->finished_at = row->finished;
    if (run->swept && is_pending(state) && !at_end)
        return;
    if (state != run->state)
        broken(w, run_state_is_final(run->state) ? "P10" : "P4", "run %s is %s, and should be %s",
               id_text(run->id), run_state_text(state), run_state_text(run->state));
    if (row->attempts != run->attempts)
        broken(w, "P9", "run %s counts %d attempts, and had %d", id_text(run->id), row->attempts,
               run->attempts);
    if (row->retry_of.value != run->retry_of.value)
        broken(w, "P10", "run %s does not say which one it repeats", id_text(run->id));
    if (run_state_is_final(state) != wall_is_set(run->finished_at))
        broken(w, "P21", "run %s is %s, and its end is %s", id_text(run->id), run_state_text(state),
               wall_is_set(run->finished_at) ? "set" : "not set");
    const char *reason = row->reason;
    bool says_why = *reason;
    run->given_up = state == RUN_MISSED &&
                    (strstr(reason, "was edited before") || strstr(reason, "was deleted"));
    run->by_policy = run->by_policy || strstr(reason, "by its deadline") ||
                     strstr(reason, "no check-in came within");
    if (is_occurrence(run->trigger)) // an order does not tell which
        run->trigger = row->trigger;
    if ((state == RUN_MISSED || state == RUN_SKIPPED || state == RUN_FAILED) && !says_why)
        broken(w, "P1", "run %s is %s without a reason", id_text(run->id), run_state_text(state));
    if (is_pending(state) &&
        (run->due_at.us < run->due_least.us || run->due_at.us > run->due_most.us))
        broken(w, run->attempts ? "P13" : "P2", "run %s waits for another time than it should",
               id_text(run->id));
}

struct owed *audit_run(struct world *w, const struct stored *row, bool at_end)
{
    struct owed *run = owed_find(w, row->id);
    if (!run) {
        run = learn_run(w, row);
        if (!is_occurrence(run->trigger))
            learn_details(w, run, row);
        else
            w->verdict->figures.occurrences++;
        policies_learned_as(w, run, row->deadline, row->priority);
        if (run->state == RUN_RUNNING)
            lease_learn(w, run);
    }
    if (run->cleared)
        broken(w, "P20", "run %s was cleared, and is there", id_text(run->id));
    check_run(w, run, row, at_end);
    return run;
}

static void check_runs(struct world *w, bool at_end)
{
    for (size_t i = 0; i < w->run_count; i++)
        w->runs[i].seen = false;
    sqlite3_stmt *q = ask_stored(w, STORED_RUNS " ORDER BY r.id");
    while (sqlite3_step(q) == SQLITE_ROW) {
        struct stored row;
        stored_read(w, q, &row);
        audit_run(w, &row, at_end);
    }
    question_end(q);
    for (size_t i = 0; i < w->run_count; i++)
        if (!w->runs[i].seen && !w->runs[i].cleared)
            broken(w, "P4", "run %s is gone", id_text(w->runs[i].id));
    if (w->unheard)
        broken(w, "P4", "of a turn that was committed unheard, %d runs are not there", w->unheard);
    w->lost_may_be_new = false;
}

// --- tasks ---

static void check_task(struct world *w, int task, sqlite3_stmt *q)
{
    const struct known *known = &w->tasks[task];
    bool deleted = sqlite3_column_int(q, 3);
    bool paused = sqlite3_column_type(q, 4) != SQLITE_NULL;
    if (!known->ever || known->revision != sqlite3_column_int(q, 1) || known->alive == deleted)
        broken(w, "P4", "t%d is stored as revision %d%s, and is %d%s", task,
               sqlite3_column_int(q, 1), deleted ? " (deleted)" : "", known->revision,
               known->alive ? "" : " (deleted)");
    if (known->generation != sqlite3_column_int(q, 2))
        broken(w, "P5", "t%d is stored with generation %d, and it is %d", task,
               sqlite3_column_int(q, 2), known->generation);
    if (known->alive && paused != (known->pause >= 0))
        broken(w, "P4", "t%d is stored as %s", task, paused ? "paused" : "not paused");
    const char *definition = (const char *)sqlite3_column_text(q, 5);
    if (strcmp(definition, w->specs[known->specs[known->revision]].task->definition) != 0)
        broken(w, "P4", "t%d is stored with another definition: %.200s", task, definition);
    if (known->edits != sqlite3_column_int(q, 6))
        broken(w, "P21", "t%d has %d audit records for %d accepted edits", task,
               sqlite3_column_int(q, 6), known->edits);
}

static void check_tasks(struct world *w, bool at_end)
{
    (void)at_end;
    int found = 0, known = 0;
    sqlite3_stmt *q =
        ask_stored(w, "SELECT t.name, t.revision, t.generation, t.deleted, t.paused_at,"
                      " d.definition, (SELECT count(*) FROM audit a WHERE a.task_id = t.id)"
                      " FROM tasks t LEFT JOIN revisions d ON d.id = t.revision_id");
    while (sqlite3_step(q) == SQLITE_ROW) {
        check_task(w, atoi((const char *)sqlite3_column_text(q, 0) + 1), q);
        found++;
    }
    question_end(q);
    for (int i = 0; i < TASKS; i++)
        known += w->tasks[i].ever;
    if (found != known)
        broken(w, "P4", "%d tasks are stored, and %d were made", found, known);
}

// --- occurrences ---

static bool in_order(const struct owed *a, const struct owed *b)
{
    return a->nominal.us != b->nominal.us ? a->nominal.us < b->nominal.us
                                          : a->id.value < b->id.value;
}

static int by_nominal(const void *left, const void *right)
{
    const struct owed *a = *(struct owed *const *)left, *b = *(struct owed *const *)right;
    return in_order(a, b) ? -1 : in_order(b, a);
}

static struct owed **runs_of_span(struct world *w, const struct span *span, size_t *ret_count)
{
    struct owed **runs = memory_array(w->run_count + 1, sizeof(struct owed *));
    *ret_count = 0;
    for (size_t i = 0; i < w->run_count; i++) {
        struct owed *run = &w->runs[i];
        if (run->task == span->task && run->generation == span->generation &&
            is_occurrence(run->trigger))
            runs[(*ret_count)++] = run;
    }
    qsort(runs, *ret_count, sizeof(struct owed *), by_nominal);
    return runs;
}

// The start of the process that made it.
static wall start_of(const struct world *w, const struct owed *run)
{
    int of = 0;
    for (int i = 0; i < w->start_count; i++)
        if (w->start_ids[i].value < run->id.value)
            of = i;
    return w->starts[of];
}

// Whether the process that made it began after the instant.
static bool before_start(const struct world *w, const struct owed *run)
{
    return run->nominal.us < start_of(w, run).us;
}

// An outage ends when a process starts, or when it is found. The earliest and the latest instant
// that can be the end (exclusive) of the one that an occurrence fell into.
static wall end_least(const struct world *w, const struct owed *run)
{
    for (int i = 0; i < w->start_count; i++)
        if (w->starts[i].us > run->nominal.us && w->start_ids[i].value < run->id.value)
            return w->starts[i];
    return wall_plus(id_time(run->id), -EPSILON_US); // some turns after it was found
}

static wall end_most(const struct world *w, const struct owed *run)
{
    return before_start(w, run) ? start_of(w, run) : wall_plus(id_time(run->id), 1);
}

static bool paused_at(const struct world *w, int task, wall t)
{
    for (int i = 0; i < w->pause_count; i++)
        if (w->pauses[i].task == task && w->pauses[i].from.us <= t.us && t.us <= w->pauses[i].to.us)
            return true;
    return false;
}

// Strictly: what is decided ahead may come a little into a pause.
static bool paused_within(const struct world *w, int task, wall t, int64_t ahead_us)
{
    for (int i = 0; i < w->pause_count; i++)
        if (w->pauses[i].task == task && w->pauses[i].from.us + ahead_us + 2 * MILLISECOND < t.us &&
            t.us < w->pauses[i].to.us - 2 * MILLISECOND)
            return true;
    return false;
}

// P5: whether an occurrence had to be skipped. What fell into an outage is decided when it is
// found: if its task is paused then, all since the pause is skipped, and nothing of before runs.
static bool had_to_be_skipped(const struct world *w, const struct owed *run, bool late)
{
    wall made = id_time(run->id);
    if (run->given_up)
        return false; // the edit has decided
    if (!late)
        return paused_within(w, run->task, made, 0) ||
               (!run->checked_in && // a job may be a minute early
                paused_within(w, run->task, run->nominal, w->options.claim_ahead_us));
    if (!paused_within(w, run->task, made, 0))
        return false;
    return run->state != RUN_MISSED ||
           paused_within(w, run->task, run->nominal, w->options.claim_ahead_us);
}

static const char *moment_text(wall t)
{
    static char texts[2][MOMENT_TEXT];
    static int at;
    char *text = texts[at++ % 2];
    wall_format(t, text);
    return text;
}

static bool found_late(const struct owed *run)
{
    return id_time(run->id).us - run->nominal.us > BEHIND_US;
}

// It came due before the process started, or is found late. An outage of a running process ends
// when its first occurrence is found: then what came due until that moment is part of it, too. One
// that ended with the start has no later part: what comes due after a start comes in time.
static bool fell_into_outage(const struct world *w, struct owed *const *runs, size_t n)
{
    const struct owed *run = runs[n];
    if (before_start(w, run) || found_late(run))
        return true;
    for (size_t i = n; i-- > 0;) {
        wall found = id_time(runs[i]->id);
        if (id_time(run->id).us - found.us > EPSILON_US)
            return false;
        if (!before_start(w, runs[i]) && found_late(runs[i]))
            return run->nominal.us < found.us;
    }
    return false;
}

// P14: an edit or a delete gives up all that has no record yet. Else there was an outage, and a
// later one fell into it, too.
static void check_missed(struct world *w, const struct span *span, const struct instants *list,
                         size_t n, const struct owed *run, bool late)
{
    const struct instant *instant = &list->items[n];
    if (run->given_up && (!span->ended || run->finished_at.us < span->until.us))
        broken(w, "P14", "t%d at %s is missed for an edit that was none", span->task,
               moment_text(instant->at));
    if (run->given_up)
        return;
    if (!late)
        broken(w, "P14", "t%d at %s is missed, and there was no outage", span->task,
               moment_text(instant->at));
    if (!outage_lets_miss(w, span, list, n, end_least(w, run), end_most(w, run), id_time(run->id)))
        broken(w, "P14", "t%d at %s is missed, and its catch_up lets it run", span->task,
               moment_text(instant->at));
}

// P14 and P15: whether what was decided about an occurrence is what the rules say.
static void check_decision(struct world *w, const struct span *span, const struct instants *list,
                           size_t n, struct owed *const *runs)
{
    const struct owed *run = runs[n];
    const struct instant *instant = &list->items[n];
    wall made = id_time(run->id);
    bool late = fell_into_outage(w, runs, n);
    if (instant->skipped && run->state != RUN_SKIPPED)
        broken(w, "P15", "t%d at %s does not exist on that day's clock, and is %s", span->task,
               moment_text(instant->at), run_state_text(run->state));
    if (w->stepped_back)
        return; // the record's instants do not tell what was known when
    if (run->state == RUN_SKIPPED && !instant->skipped && !run->by_policy &&
        !paused_at(w, span->task, run->finished_at))
        broken(w, "P14", "t%d at %s was skipped, and was not paused", span->task,
               moment_text(instant->at));
    if (run->state != RUN_SKIPPED && had_to_be_skipped(w, run, late))
        broken(w, "P5", "t%d at %s became a run while it was paused", span->task,
               moment_text(instant->at));
    if (run->by_policy)
        return; // decided when it was to start (policies.c)
    if (run->state == RUN_MISSED)
        check_missed(w, span, list, n, run, late);
    if (run->state == RUN_MISSED || run->state == RUN_SKIPPED)
        return;
    if (late != (run->trigger == TRIGGER_CATCH_UP))
        broken(w, "P14", "t%d at %s %s", span->task, moment_text(instant->at),
               late ? "fell into an outage, and runs as if it had come in time"
                    : "catches up, and there was no outage");
    if (late && !outage_lets_run(w, span, list, n, end_least(w, run), made))
        broken(w, "P14", "t%d at %s was caught up with, and its catch_up does not let it",
               span->task, moment_text(instant->at));
    if (late && span->ended && made.us > span->until.us)
        broken(w, "P14", "t%d at %s was caught up with after its schedule was gone", span->task,
               moment_text(instant->at));
}

static void check_span(struct world *w, const struct span *span)
{
    const struct spec *spec = &w->specs[span->spec];
    struct instants list;
    size_t count, at = 0;
    // Jobs that check in early have made their run.
    int64_t ahead_us = spec->monitor ? MINUTE : w->options.claim_ahead_us;
    wall ahead = wall_plus(span->until, ahead_us);
    oracle_list(spec->when, spec->when_count, span->from, ahead, &list);
    struct owed **runs = runs_of_span(w, span, &count);
    for (size_t i = 0; i < list.count; i++) {
        bool there = at < count && runs[at]->nominal.us == list.items[i].at.us;
        if (at < count && runs[at]->nominal.us < list.items[i].at.us)
            broken(w, "P3", "t%d has run %s for %s, which is none of its instants or comes twice",
                   span->task, id_text(runs[at]->id), moment_text(runs[at]->nominal));
        if (!there && list.items[i].at.us <= span->until.us)
            broken(w, "P1", "t%d has no record for %s (generation %d)", span->task,
                   moment_text(list.items[i].at), span->generation);
        if (there)
            check_decision(w, span, &list, at++, runs);
    }
    if (at < count)
        broken(w, "P3", "t%d has run %s for %s, which is none of its instants or comes twice",
               span->task, id_text(runs[at]->id), moment_text(runs[at]->nominal));
    free(runs);
    instants_done(&list);
}

static void check_occurrences(struct world *w, bool at_end)
{
    size_t in_spans = 0, in_all = 0;
    if (!at_end)
        return;
    for (int i = 0; i < w->span_count; i++) {
        size_t count;
        check_span(w, &w->spans[i]);
        free(runs_of_span(w, &w->spans[i], &count));
        in_spans += count;
    }
    for (size_t i = 0; i < w->run_count; i++)
        in_all += is_occurrence(w->runs[i].trigger);
    if (in_all != in_spans)
        broken(w, "P3", "%zu occurrences are stored, and %zu are of a known generation", in_all,
               in_spans);
}

// --- attempts ---

static void check_attempts(struct world *w, bool at_end)
{
    if (!at_end)
        return;
    sqlite3_stmt *q =
        ask_stored(w, "SELECT run_id, count(*), min(number), max(number),"
                      " sum(outcome = 7), max(CASE WHEN outcome = 0 THEN number ELSE 0 END)"
                      " FROM attempts GROUP BY run_id");
    while (sqlite3_step(q) == SQLITE_ROW) {
        const struct owed *run = owed_find(w, (run_id){sqlite3_column_int64(q, 0)});
        int count = sqlite3_column_int(q, 1), last = sqlite3_column_int(q, 3);
        if (run && run->cleared)
            broken(w, "P20", "run %s was cleared, and its attempts are there", id_text(run->id));
        if (!run || sqlite3_column_int(q, 2) != 1 || last != count || count > run->attempts)
            broken(w, "P9", "run %s has %d attempts up to number %d",
                   id_text((run_id){sqlite3_column_int64(q, 0)}), count, last);
        bool open = run->flying || run->state == RUN_RUNNING;
        if (count < run->attempts - open)
            broken(w, "P9", "run %s has %d attempts recorded of %d", id_text(run->id), count,
                   run->attempts);
        if (sqlite3_column_int(q, 4) != run->lost)
            broken(w, "P9", "run %s has %d attempts recorded as lost, and a crash has ended %d",
                   id_text(run->id), sqlite3_column_int(q, 4), run->lost);
        if (run->state == RUN_SUCCEEDED && sqlite3_column_int(q, 5) != run->attempts)
            broken(w, "P11", "run %s has succeeded without an attempt that did", id_text(run->id));
    }
    question_end(q);
}

// What a receiver saw once it had said yes.
static void check_effects(struct world *w, bool at_end)
{
    if (!at_end)
        return;
    for (size_t i = 1; i < w->effect_count; i++) {
        const struct seen *seen = &w->effects[i];
        for (size_t before = i; before-- > 0 && i - before < 200;)
            if (w->effects[before].run.value == seen->run.value &&
                w->effects[before].fence >= seen->fence)
                broken(w, "P12", "run %s reached its endpoint twice with fence %lld",
                       id_text(seen->run), (long long)seen->fence);
    }
}

// --- nothing is stuck ---

static void check_waiting(struct world *w, bool at_end)
{
    if (!at_end)
        return;
    for (size_t i = 0; i < w->run_count; i++) {
        const struct owed *run = &w->runs[i];
        if (!is_pending(run->state) || run->due_at.us > wall_of(w).us - EPSILON_US)
            continue;
        bool held = run->task >= 0 && w->tasks[run->task].pause >= 0;
        int64_t excuse = w->disturbed_us;
        for (int e = 0; e < PLACES; e++)
            if (w->endpoint_disturbed_us[e] > excuse)
                excuse = w->endpoint_disturbed_us[e];
        if (policies_excuse(w, run) > excuse)
            excuse = policies_excuse(w, run);
        if (!held && w->now_us - excuse > model_patience(run))
            broken(w, "P1", "run %s of t%d is due since %s, and nothing holds it back",
                   id_text(run->id), run->task, moment_text(run->due_at));
    }
}

// --- the books ---

void audit_count_finals(struct world *w, int64_t counts[RUN_STATE_COUNT])
{
    memset(counts, 0, RUN_STATE_COUNT * sizeof *counts);
    sqlite3_stmt *q = ask_stored(w, "SELECT state, count(*) FROM runs GROUP BY state");
    while (sqlite3_step(q) == SQLITE_ROW)
        counts[sqlite3_column_int(q, 0)] = sqlite3_column_int64(q, 1);
    question_end(q);
    history_add_cleared(w, counts);
}

// What a turn sweeps before it answers is in the answer, and what it ends after that is not.
void audit_metrics(struct world *w, const char *text, const int64_t finals[RUN_STATE_COUNT])
{
    int64_t after[RUN_STATE_COUNT];
    audit_count_finals(w, after);
    for (unsigned state = RUN_SUCCEEDED; state < RUN_STATE_COUNT; state++) {
        char line[80];
        snprintf(line, sizeof line, "punctual_runs_total{state=\"%s\"} ",
                 run_state_text((enum run_state)state));
        const char *at = strstr(text, line);
        int64_t shown = at ? atoll(at + strlen(line)) : -1;
        int64_t stored = finals[state] - w->final_at_start[state];
        if (shown < stored || shown > stored + after[state] - finals[state])
            broken(w, "P21", "the metrics show %lld runs that have %s, and %lld are stored",
                   (long long)shown, run_state_text((enum run_state)state), (long long)stored);
    }
}

static void check_books(struct world *w, bool at_end)
{
    if (!at_end)
        return;
    struct reader *reader;
    char why[200];
    int64_t shown[RUN_STATE_COUNT], counted[RUN_STATE_COUNT] = {0};
    if (reader_open_sqlite(w->path, &reader, why, sizeof why) != STATUS_OK)
        broken(w, "P21", "the store cannot be read: %s", why);
    enum status status = reader_count_runs(reader, shown);
    reader_close(reader);
    for (size_t i = 0; i < w->run_count; i++)
        counted[w->runs[i].state] += !w->runs[i].cleared;
    if (status != STATUS_OK || memcmp(shown, counted, sizeof shown) != 0)
        broken(w, "P21", "the reader counts other runs than there are");
}

// The server's own auditor agrees. It judges by the wall clock, so not where that was set back.
static void check_auditor(struct world *w, bool at_end)
{
    struct reader *reader;
    char why[200];
    if (!at_end || w->stepped_back)
        return;
    if (reader_open_sqlite(w->path, &reader, why, sizeof why) != STATUS_OK)
        broken(w, "P21", "the store cannot be read: %s", why);
    struct audit_options wanted = {.from = w->starts[0],
                                   .to = wall_plus(wall_of(w), -AUDITED_AFTER_US),
                                   .count_most = INT64_MAX};
    struct audit *audit = audit_new(reader, &wanted);
    enum status status;
    do
        status = audit_step(audit);
    while (status == STATUS_OK);
    const struct difference *d = audit_difference(audit, 0);
    char words[500] = "";
    if (d)
        snprintf(words, sizeof words, "%s of %s at %s: %s", difference_kind_text(d->kind), d->task,
                 moment_text(d->at), d->detail);
    w->verdict->figures.audited += (uint64_t)audit_totals(audit)->occurrences;
    audit_free(audit);
    reader_close(reader);
    if (status != STATUS_END || *words)
        broken(w, "auditor", "the auditor finds %s", *words ? words : "that it cannot go on");
}

static void check_integrity(struct world *w, bool at_end)
{
    if (!at_end)
        return;
    sqlite3_stmt *q = ask_stored(w, "PRAGMA integrity_check");
    bool well =
        sqlite3_step(q) == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(q, 0), "ok") == 0;
    question_end(q);
    if (!well)
        broken(w, "P19", "the store is damaged");
}

static const struct check {
    const char *promises;
    void (*look)(struct world *w, bool at_end);
} checks[] = {
    {"P3 P4 P6 P10 P11 P13", check_runs},
    {"P4 P5 P21", check_tasks},
    {"P1 P3 P14 P15 P16", check_occurrences},
    {"P9 P11", check_attempts},
    {"P12", check_effects},
    {"P2 P4 P12", policies_audit},
    {"P4 P7", leases_audit},
    {"P1 P2 P18", check_waiting},
    {"P20 P21", history_audit},
    {"P21", check_books},
    {"auditor", check_auditor},
    {"P19", check_integrity},
};

void audit(struct world *w, bool at_end)
{
    w->verdict->figures.audits++;
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++)
        checks[i].look(w, at_end);
}
