// Attempts as the model follows them: which order may leave, what its end makes of the run, and
// what is lost when the server dies.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "sim/world.h"

#define RETRY_AFTER_MOST DAY
#define FEEDING_TURN_US (6 * MILLISECOND) // turns are at most 5 ms apart

static int64_t most_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

void model_landed(struct world *w, struct owed *run)
{
    run->flying = false;
    w->flying--;
    w->flying_at[w->specs[run->spec].endpoint]--;
}

// --- attempts ---

static bool answered_well(const struct world *w, const struct attempt *attempt)
{
    for (size_t i = w->effect_count; i-- > 0;) {
        const struct seen *seen = &w->effects[i];
        if (seen->run.value == attempt->run.value && seen->number == attempt->number)
            return seen->fence == attempt->fence && seen->answered_well;
    }
    return false;
}

static int64_t full_wait(const struct spec *spec, int number)
{
    int64_t wait = spec->initial_us;
    for (int i = 1; i < number && spec->backoff == 0; i++)
        wait = wait * 2 < spec->max_us ? wait * 2 : spec->max_us;
    if (spec->backoff == 1)
        wait = spec->initial_us * number;
    return wait < spec->max_us ? wait : spec->max_us;
}

// After an attempt that did not succeed.
static void next_attempt(struct world *w, struct owed *run, const struct attempt *attempt)
{
    const struct spec *spec = &w->specs[run->spec];
    bool at_most_once = policies_end_it(spec, run, attempt);
    bool over = at_most_once || is_monitor(w, run->task) || attempt->gone || attempt->final ||
                attempt->outcome == ATTEMPT_REFUSED || run->attempts >= spec->max_attempts ||
                (run->task >= 0 && !w->tasks[run->task].alive);
    if (over) {
        run->state = RUN_FAILED;
        return;
    }
    int64_t full = full_wait(spec, run->attempts), asked = attempt->retry_after_us;
    asked = asked > RETRY_AFTER_MOST ? RETRY_AFTER_MOST : asked;
    run->state = RUN_WAITING;
    run->due_least = wall_plus(wall_of(w), most_of(full / 2, asked));
    run->due_most = wall_plus(wall_of(w), most_of(full, asked));
}

// Where in its range a wait was drawn. Read from the store at once: those that come first are not a
// fair sample.
static void sample_wait(struct world *w, const struct owed *run)
{
    int64_t room = run->due_most.us - run->due_least.us;
    if (room < 400 * MILLISECOND || w->jitter_count >= 100)
        return;
    sqlite3_stmt *q = ask_stored(w, "SELECT due_at FROM runs WHERE id = ?1");
    sqlite3_bind_int64(q, 1, run->id.value);
    bool is_there = sqlite3_step(q) == SQLITE_ROW;
    int64_t due = is_there ? sqlite3_column_int64(q, 0) : 0;
    question_end(q);
    if (!is_there)
        return; // replaced and cleared in the same turn
    if (due < run->due_least.us || due > run->due_most.us)
        broken(w, "P13", "run %s waits %lld ms, and may wait from %lld to %lld ms",
               id_text(run->id), (long long)((due - wall_of(w).us) / MILLISECOND),
               (long long)((run->due_least.us - wall_of(w).us) / MILLISECOND),
               (long long)((run->due_most.us - wall_of(w).us) / MILLISECOND));
    double place = (double)(due - run->due_least.us) / (double)room;
    w->jitter_low = place < w->jitter_low ? place : w->jitter_low;
    w->jitter_high = place > w->jitter_high ? place : w->jitter_high;
    if (++w->jitter_count >= 30 && w->jitter_high - w->jitter_low < 0.2)
        broken(w, "P13", "%d waits lie within a fifth of their range: there is no jitter",
               w->jitter_count);
}

void model_report(struct world *w, struct message *m, bool heard)
{
    (void)heard;
    const struct attempt *attempt = &m->attempt;
    struct owed *run = owed_find(w, attempt->run);
    if (run && attempt->fence <= run->early_fence)
        return; // a call back has ended it already
    if (!run || !run->flying || run->leased)
        broken(w, "sim", "a report for nothing: %s", id_text(attempt->run));
    model_landed(w, run);
    trace(w, "report: %s attempt %d %s", id_text(run->id), attempt->number,
          attempt_outcome_text(attempt->outcome));
    if (attempt->open) {
        callback_opened(w, run, attempt);
        return;
    }
    breaker_reported(w, attempt, w->specs[run->spec].endpoint);
    if (run->state != RUN_RUNNING)
        return; // canceled meanwhile
    if (attempt->outcome == ATTEMPT_SUCCEEDED && !answered_well(w, attempt))
        broken(w, "sim", "a success that no endpoint has seen");
    model_over(w, run, attempt);
}

void model_over(struct world *w, struct owed *run, const struct attempt *attempt)
{
    if (attempt->outcome == ATTEMPT_SUCCEEDED) {
        run->state = RUN_SUCCEEDED;
        run->delivered_well = true;
    } else {
        next_attempt(w, run, attempt);
    }
    if (run->state == RUN_WAITING)
        sample_wait(w, run);
    struct known *known = run->task >= 0 ? &w->tasks[run->task] : NULL;
    if (attempt->gone && known && known->alive && known->pause < 0)
        begin_pause(w, run->task);
}

// --- orders ---

struct owed *model_occurrence(struct world *w, run_id id, int task, wall nominal)
{
    if (task < 0 || !w->tasks[task].alive)
        broken(w, "P3", "run %s is of nothing that is known", id_text(id));
    const struct known *known = &w->tasks[task];
    const struct spec *spec = &w->specs[known->spec];
    struct instants instants;
    oracle_list(spec->when, spec->when_count, wall_plus(nominal, -1), nominal, &instants);
    bool wanted = instants.count == 1 && !instants.items[0].skipped;
    instants_done(&instants);
    char moment[MOMENT_TEXT];
    wall_format(nominal, moment);
    if (!wanted)
        broken(w, "P15", "t%d fires for %s, which is none of its instants", task, moment);
    struct owed *run = owed_add(w, id);
    run->task = task;
    run->generation = known->generation;
    run->trigger = TRIGGER_SCHEDULE;
    run->nominal = nominal;
    run->due_least = run->due_most = wall_plus(nominal, spec->monitor ? spec->grace_us : 0);
    for (int i = 0; i < spec->when_count; i++)
        if (run->due_least.us + spec->when[i].jitter_us > run->due_most.us)
            run->due_most = wall_plus(run->due_least, spec->when[i].jitter_us);
    return run;
}

static void check_definition(struct world *w, const struct owed *run, const struct order *order)
{
    if (run->task < 0) {
        if (spec_of(w, order->task) < 0 || !same_definition(w, spec_of(w, order->task), run->spec))
            broken(w, "P4", "run %s has another target than was asked for", id_text(run->id));
        return;
    }
    const struct known *known = &w->tasks[run->task];
    if (!known->alive || known->pause >= 0)
        broken(w, "P5", "run %s starts though t%d is %s", id_text(run->id), run->task,
               known->alive ? "paused" : "deleted");
    if (spec_of(w, order->task) < 0 || !same_definition(w, spec_of(w, order->task), known->spec))
        broken(w, "P5", "run %s starts under an old definition of t%d", id_text(run->id),
               run->task);
}

static void check_payload(struct world *w, const struct owed *run, const struct order *order)
{
    char payload[40] = "";
    const char *right = notice_of(w, run) ? notice_of(w, run) : payload;
    if (run->payload)
        snprintf(payload, sizeof payload, "{\"n\":%d}", run->payload);
    if (strcmp(order->payload ? order->payload : "", right) != 0)
        broken(w, "P4", "run %s has the payload %.200s instead of %.200s", id_text(run->id),
               order->payload ? order->payload : "none", right);
}

static void check_wait(struct world *w, const struct owed *run, const struct order *order)
{
    char due[MOMENT_TEXT], least[MOMENT_TEXT];
    wall_format(order->due_at, due);
    wall_format(run->due_least, least);
    if (order->due_at.us < run->due_least.us || order->due_at.us > run->due_most.us)
        broken(w, run->attempts ? "P13" : "P2",
               "attempt %d of run %s is due at %s, and it may be from %s on for %lld ms",
               order->number, id_text(run->id), due, least,
               (long long)((run->due_most.us - run->due_least.us) / MILLISECOND));
}

int64_t model_excuse(const struct world *w, const struct owed *run, int endpoint)
{
    int64_t excuse = most_of(w->disturbed_us, run->made_us);
    excuse = most_of(excuse, policies_excuse(w, run));
    excuse = most_of(excuse, w->endpoint_disturbed_us[endpoint]);
    if (run->task >= 0) {
        excuse = most_of(excuse, w->tasks[run->task].disturbed_us);
        for (int i = 0; i < ENDPOINTS && w->tasks[run->task].moved_between_endpoints; i++)
            excuse = most_of(excuse, w->endpoint_disturbed_us[i]);
    }
    return excuse;
}

// How long it may wait with nothing in its way. Runs that catch up are let go ten times a second,
// and one that finds its lane full tries again the next time.
int64_t model_patience(const struct owed *run)
{
    bool paced = run->trigger == TRIGGER_CATCH_UP && run->fence == 0;
    return paced ? EPSILON_US + PACE_US : EPSILON_US;
}

// A line that holds only the first of its runs is fed with one or two of the others in a turn, and
// those that a policy holds back pass through it, too. How long all that are due may take.
int64_t model_feeding_us(const struct world *w, int endpoint)
{
    int64_t us = 0;
    for (size_t i = 0; i < w->run_count && w->options.due_limit <= 10; i++) {
        const struct owed *run = &w->runs[i];
        int spec = run->task >= 0 ? w->tasks[run->task].spec : run->spec;
        bool due = is_pending(run->state) && run->due_least.us <= wall_of(w).us;
        us += due && spec >= 0 && w->specs[spec].endpoint == endpoint ? FEEDING_TURN_US : 0;
    }
    return us;
}

static void check_time(struct world *w, const struct owed *run, const struct order *order)
{
    int64_t late = wall_of(w).us - order->due_at.us;
    int endpoint = spec_of(w, order->task) >= 0 ? w->specs[spec_of(w, order->task)].endpoint : 0;
    int64_t excuse = model_excuse(w, run, endpoint);
    if (-late > (endpoint < ENDPOINTS ? w->options.claim_ahead_us : 0))
        broken(w, "P2", "run %s is claimed %lld ms ahead of its time", id_text(run->id),
               (long long)(-late / MILLISECOND));
    int64_t patience = model_patience(run);
    if (late > patience && w->now_us - excuse > patience &&
        w->now_us - excuse > patience + model_feeding_us(w, endpoint))
        broken(w, "P2", "run %s of t%d starts %lld ms late, and nothing held it back",
               id_text(run->id), run->task, (long long)(late / MILLISECOND));
}

static void check_number(struct world *w, const struct owed *run, const struct order *order)
{
    if (run->flying || run->state == RUN_RUNNING)
        broken(w, "P12", "run %s starts while an attempt of it is under way", id_text(run->id));
    if (run_state_is_final(run->state))
        broken(w, "P10", "run %s starts after it has %s", id_text(run->id),
               run_state_text(run->state));
    if (order->number != run->attempts + 1 || order->fence != run->fence + 1)
        broken(w, "P9", "run %s starts attempt %d with fence %lld after %d attempts and fence %lld",
               id_text(run->id), order->number, (long long)order->fence, run->attempts,
               (long long)run->fence);
}

void model_order(struct world *w, const struct order *order)
{
    struct owed *run = owed_find(w, order->run);
    if (!run)
        broken(w, "P3", "run %s is of nothing that is known", id_text(order->run));
    check_number(w, run, order);
    check_wait(w, run, order);
    check_definition(w, run, order);
    check_payload(w, run, order);
    check_time(w, run, order);
    run->spec = spec_of(w, order->task);
    if (order->number > w->specs[run->spec].max_attempts && run->attempts == 0)
        broken(w, "P9", "run %s starts attempt %d of %d", id_text(run->id), order->number,
               w->specs[run->spec].max_attempts);
    run->attempts = order->number;
    run->fence = order->fence;
    run->state = RUN_RUNNING;
    run->flying = true;
    int endpoint = w->specs[run->spec].endpoint;
    bool queue = endpoint >= ENDPOINTS;
    w->served_us[endpoint] = w->now_us;
    if (!queue &&
        (++w->flying > w->options.total_limit || ++w->flying_at[endpoint] > w->options.lane_limit))
        broken(w, "P17", "%d attempts are under way, %d towards endpoint %d", w->flying,
               w->flying_at[endpoint], endpoint + 1);
    policies_ordered(w, run, order);
    trace(w, "order: %s attempt %d of t%d%s", id_text(run->id), order->number, run->task,
          order->due_at.us > wall_of(w).us ? ", ahead" : "");
}

// As long as there is no room, lateness is explained.
void model_mark_full(struct world *w)
{
    if (w->flying >= w->options.total_limit)
        w->disturbed_us = w->now_us;
    for (int i = 0; i < ENDPOINTS; i++)
        if (w->flying_at[i] >= w->options.lane_limit)
            w->endpoint_disturbed_us[i] = w->now_us;
    leases_mark(w);
    policies_mark(w);
}

// A line that holds only the first of its runs is fed again turn by turn: as long as it moves, and
// what it has left out has waited for nothing else, lateness is explained.
void model_mark_fed(struct world *w)
{
    bool left[PLACES] = {false}, forgotten[PLACES] = {false};
    wall now = wall_of(w);
    for (size_t i = 0; i < w->run_count && w->options.due_limit <= 10; i++) {
        const struct owed *run = &w->runs[i];
        const struct known *known = run->task >= 0 ? &w->tasks[run->task] : NULL;
        if (!is_pending(run->state) || run->due_most.us > now.us ||
            (known && (!known->alive || known->pause >= 0)))
            continue;
        int spec = known ? known->spec : run->spec;
        int endpoint = spec >= 0 ? w->specs[spec].endpoint : 0;
        bool explained = now.us - run->due_most.us <= model_patience(run) ||
                         w->now_us - model_excuse(w, run, endpoint) <= model_patience(run);
        left[endpoint] = true;
        forgotten[endpoint] = forgotten[endpoint] || !explained;
    }
    for (int i = 0; i < PLACES; i++)
        if (left[i] && !forgotten[i] && w->now_us - w->served_us[i] <= EPSILON_US)
            w->endpoint_disturbed_us[i] = w->now_us;
}

// --- the server dies, and is back ---

void model_crash(struct world *w)
{
    for (size_t i = 0; i < w->run_count; i++)
        w->runs[i].flying = w->runs[i].leased;
    w->flying = 0;
    memset(w->flying_at, 0, sizeof w->flying_at);
}

// A turn has been committed and nobody has heard of it: the runs it started are lost, too.
static void learn_lost(struct world *w)
{
    sqlite3_stmt *q = ask_stored(w, "SELECT r.id, r.attempts, r.state, d.definition FROM runs r"
                                    " JOIN revisions d ON d.id = r.revision_id"
                                    " WHERE EXISTS (SELECT * FROM attempts a WHERE a.run_id = r.id"
                                    " AND a.number = r.attempts AND a.outcome = 7)");
    while (sqlite3_step(q) == SQLITE_ROW) {
        struct owed *run = owed_find(w, (run_id){sqlite3_column_int64(q, 0)});
        if (!run || !is_pending(run->state) || sqlite3_column_int(q, 1) != run->attempts + 1)
            continue;
        struct task task = {.definition = (char *)sqlite3_column_text(q, 3)};
        run->spec = spec_of(w, &task);
        run->attempts++;
        run->fence++;
        run->state = RUN_RUNNING;
        policies_learned(w, run);
    }
    question_end(q);
}

// Attempts that were under way count as lost, and are followed by another where one is left.
void model_recovered(struct world *w)
{
    static const struct attempt lost = {.outcome = ATTEMPT_LOST, .retry_after_us = -1};
    policies_started(w);
    if (w->lost_may_be_new)
        learn_lost(w);
    leases_recovered(w);
    for (size_t i = 0; i < w->run_count; i++)
        if (w->runs[i].state == RUN_RUNNING && !w->runs[i].leased && !w->runs[i].checked_in) {
            w->runs[i].lost++;
            next_attempt(w, &w->runs[i], &lost);
        }
    if (w->lost_may_be_new || random_below(&w->network, 3) == 0)
        audit(w, false);
}
