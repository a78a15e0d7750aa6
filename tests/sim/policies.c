// What starts and ends against the policies of its task, and what they hold back.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "sim/world.h"

#define GAP_US (100 * MILLISECOND)

// --- who is live ---

const struct policy *policy_of_run(const struct world *w, const struct owed *run)
{
    int spec = run->task >= 0 ? w->tasks[run->task].spec : run->spec;
    return spec >= 0 ? &w->specs[spec].policy : NULL;
}

bool is_live(const struct owed *run)
{
    return run->flying || run->state == RUN_WAITING || run->state == RUN_RUNNING;
}

static void now_live(struct world *w, const struct owed *run)
{
    struct policies *p = &w->policies;
    size_t place = (size_t)(run - w->runs);
    for (size_t i = 0; i < p->live_count; i++)
        if (p->live[i] == place)
            return;
    if (p->live_count == p->live_room) {
        p->live_room = p->live_room ? p->live_room * 2 : 64;
        p->live = memory_resize(p->live, p->live_room, sizeof *p->live);
    }
    p->live[p->live_count++] = place;
}

static void forget_ended(struct world *w)
{
    struct policies *p = &w->policies;
    size_t kept = 0;
    for (size_t i = 0; i < p->live_count; i++)
        if (is_live(&w->runs[p->live[i]]))
            p->live[kept++] = p->live[i];
    p->live_count = kept;
}

// How many runs of the task are live besides this one.
int live_beside(const struct world *w, int task, const struct owed *but, bool flying_only)
{
    int count = 0;
    for (size_t i = 0; i < w->policies.live_count; i++) {
        const struct owed *run = &w->runs[w->policies.live[i]];
        count += run->task == task && run != but && (flying_only ? run->flying : is_live(run));
    }
    return count;
}

// --- definitions and requests ---

static void held_until(struct world *w, int task, int64_t us)
{
    us = us < w->now_us ? us : w->now_us;
    if (us > w->policies.full_us[task])
        w->policies.full_us[task] = us;
}

void policies_defined(struct world *w, int task, int before, bool again)
{
    const struct known *known = &w->tasks[task];
    const struct policy *now = &w->specs[known->spec].policy;
    w->policies.since[task][known->revision] = wall_of(w);
    char text[500];
    policy_write(now, text, sizeof text);
    trace(w, "t%d revision %d%s", task, known->revision, text);
    const struct policy *old = again ? &w->specs[before].policy : NULL;
    if (old && old->rate.limit) // until now
        held_until(w, task, rate_opens_us(w, rate_log_of(w, task, old), old->rate));
    if (old && old->rate.limit && now->rate.limit && old->rate_key == now->rate_key)
        rate_edit(w, rate_log_of(w, task, now), old->rate, now->rate);
}

void policies_removed(struct world *w, int task)
{
    w->policies.deleted_us[task] = w->now_us;
}

void policies_owed(struct world *w, struct owed *run, int spec)
{
    const struct policy *policy = &w->specs[spec].policy;
    run->priority = policy->priority;
    run->deadline =
        policy->deadline_us ? wall_plus(run->due_most, policy->deadline_us) : WALL_NEVER;
}

sqlite3_stmt *ask_about(struct world *w, const char *text, int64_t value)
{
    sqlite3_stmt *q = ask_stored(w, text);
    sqlite3_bind_int64(q, 1, value);
    if (sqlite3_step(q) != SQLITE_ROW)
        broken(w, "P4", "row %lld is not there: %.100s", (long long)value, text);
    return q;
}

void policies_learned(struct world *w, struct owed *run)
{
    sqlite3_stmt *q =
        ask_about(w, "SELECT deadline_at, priority FROM runs WHERE id = ?1", run->id.value);
    bool limited = sqlite3_column_type(q, 0) != SQLITE_NULL;
    wall deadline = limited ? (wall){sqlite3_column_int64(q, 0)} : WALL_NEVER;
    int priority = sqlite3_column_int(q, 1);
    question_end(q);
    policies_learned_as(w, run, deadline, priority);
}

void policies_learned_as(struct world *w, struct owed *run, wall deadline, int priority)
{
    run->deadline = deadline;
    run->priority = priority;
    if (run->attempts == 0)
        return;
    // It was started in a turn that nobody has heard of.
    const struct policy *policy =
        run->spec >= 0 ? &w->specs[run->spec].policy : policy_of_run(w, run);
    run->alone = policy && policy->overlap != OVERLAP_ALLOW;
    if (policy && policy->rate.limit)
        rate_start_unseen(w, rate_log_of(w, run->task, policy), policy->rate);
    queue_start_unseen(w, run->spec >= 0 || run->task < 0 ? run->spec : w->tasks[run->task].spec);
    now_live(w, run);
}

// --- what starts ---

static wall start_of(const struct world *w, const struct order *order)
{
    wall now = wall_of(w);
    return order->due_at.us > now.us ? order->due_at : now;
}

static void check_overlap(struct world *w, const struct owed *run, const struct policy *policy)
{
    bool first = run->fence == 1;
    if (run->task < 0)
        return;
    if (first && policy->overlap != OVERLAP_ALLOW && live_beside(w, run->task, run, false))
        broken(w, "P17", "run %s starts beside another one of t%d that is live", id_text(run->id),
               run->task);
    for (size_t i = 0; i < w->policies.live_count && !first; i++) {
        const struct owed *other = &w->runs[w->policies.live[i]];
        if (other->task == run->task && other != run && other->flying && other->alone && run->alone)
            broken(w, "P17", "run %s is tried again beside %s of t%d, which is under way",
                   id_text(run->id), id_text(other->id), run->task);
    }
}

// Those that wait to catch up are looked at at their pace, one or some in a tenth of a second; also
// those that something else holds back. After `from_us` all of them have been within so long.
void expect_catch_up(struct world *w, int64_t from_us)
{
    int64_t waiting = 0;
    for (size_t i = 0; i < w->run_count; i++)
        waiting += w->runs[i].state == RUN_SCHEDULED && w->runs[i].trigger == TRIGGER_CATCH_UP;
    int64_t until = from_us + (waiting / ((w->options.catch_up_per_s + 9) / 10) + 1) * GAP_US;
    if (waiting && until > w->policies.catch_up_us)
        w->policies.catch_up_us = until;
}

// P14: in any second.
static void check_pace(struct world *w, const struct owed *run)
{
    struct policies *p = &w->policies;
    size_t per_s = (size_t)w->options.catch_up_per_s;
    wall now = wall_of(w);
    if (run->fence != 1 || run->trigger != TRIGGER_CATCH_UP)
        return;
    if (p->catch_up_count >= per_s) {
        wall oldest = p->catch_ups[(p->catch_up_count - per_s) % per_s];
        if (oldest.us <= now.us && now.us - oldest.us < SECOND)
            broken(w, "P14", "more than %zu runs catch up in a second", per_s);
    }
    p->catch_ups[p->catch_up_count++ % per_s] = now;
    expect_catch_up(w, w->now_us + SECOND);
}

static bool is_plain(const struct policy *policy)
{
    return policy->overlap == OVERLAP_ALLOW && !policy->max_running && !policy->rate.limit;
}

// Whether this run has waited in the same line, and should have gone before one of that priority.
static bool is_passed_over(const struct world *w, const struct owed *run, int priority,
                           int endpoint)
{
    const struct known *known = run->task >= 0 ? &w->tasks[run->task] : NULL;
    int spec = known ? known->spec : run->spec;
    if (!is_pending(run->state) || run->swept || run->priority <= priority || spec < 0 ||
        w->specs[spec].endpoint != endpoint || !is_plain(&w->specs[spec].policy) ||
        run->trigger == TRIGGER_CATCH_UP || run->due_most.us > wall_of(w).us - 2 * EPSILON_US ||
        w->now_us - run->made_us < 2 * EPSILON_US)
        return false;
    return !known || (known->alive && known->pause < 0 && !known->moved_between_endpoints &&
                      w->now_us - known->disturbed_us > 2 * EPSILON_US);
}

// Where there was no room at an endpoint, the most urgent goes first.
static void check_priority(struct world *w, const struct owed *run, int endpoint)
{
    bool contended = w->now_us - w->endpoint_disturbed_us[endpoint] <= EPSILON_US;
    bool settled = w->now_us - w->policies.started_us > 2 * SECOND && w->options.due_limit > 10;
    for (size_t i = w->run_count > 500 ? w->run_count - 500 : 0;
         contended && settled && i < w->run_count; i++)
        if (is_passed_over(w, &w->runs[i], run->priority, endpoint))
            broken(w, "P17", "run %s of priority %d starts before %s of priority %d",
                   id_text(run->id), run->priority, id_text(w->runs[i].id), w->runs[i].priority);
}

void policies_ordered(struct world *w, struct owed *run, const struct order *order)
{
    const struct spec *spec = &w->specs[run->spec];
    const struct policy *policy = &spec->policy;
    wall at = start_of(w, order);
    if (run->fence == 1)
        run->alone = policy->overlap != OVERLAP_ALLOW;
    if (run->fence == 1 && at.us > run->deadline.us)
        broken(w, "P2", "run %s starts %lld ms after its deadline", id_text(run->id),
               (long long)((at.us - run->deadline.us) / MILLISECOND));
    check_overlap(w, run, policy);
    if (run->task >= 0 && policy->max_running &&
        live_beside(w, run->task, run, true) >= policy->max_running)
        broken(w, "P17", "run %s starts, and %d of t%d are under way", id_text(run->id),
               live_beside(w, run->task, run, true), run->task);
    if (policy->rate.limit)
        rate_start(w, rate_log_of(w, run->task, policy), policy->rate, at);
    check_priority(w, run, spec->endpoint);
    if (spec->endpoint < ENDPOINTS)
        breaker_ordered(w, run, spec->endpoint);
    check_pace(w, run);
    now_live(w, run);
}

// --- at most once ---

void policies_sent(struct world *w, struct owed *run, const struct order *order)
{
    if (run->sent_once)
        broken(w, "P12", "run %s arrives twice, and at most once was asked for", id_text(run->id));
    int spec = spec_of(w, order->task);
    run->sent_once = spec >= 0 && w->specs[spec].policy.at_most_once;
}

bool policies_end_it(const struct spec *spec, struct owed *run, const struct attempt *attempt)
{
    static const bool unknown[ATTEMPT_OUTCOME_COUNT] = {[ATTEMPT_TIMED_OUT] = true,
                                                        [ATTEMPT_BROKEN] = true,
                                                        [ATTEMPT_CANCELED] = true,
                                                        [ATTEMPT_LOST] = true};
    run->end_unknown = spec->policy.at_most_once && unknown[attempt->outcome];
    return spec->policy.at_most_once && attempt->outcome != ATTEMPT_UNREACHABLE &&
           attempt->outcome != ATTEMPT_REFUSED;
}

// --- what is held back ---

void policies_mark(struct world *w)
{
    forget_ended(w);
    for (int task = 0; task < TASKS; task++) {
        const struct known *known = &w->tasks[task];
        const struct policy *policy = known->alive ? &w->specs[known->spec].policy : NULL;
        if (!policy)
            continue;
        if (policy->max_running && live_beside(w, task, NULL, true) >= policy->max_running)
            held_until(w, task, w->now_us);
        bool replace = policy->overlap == OVERLAP_REPLACE;
        if ((replace || policy->overlap == OVERLAP_QUEUE) && live_beside(w, task, NULL, replace))
            w->policies.live_us[task] = w->now_us;
    }
    breakers_mark(w);
}

int64_t policies_excuse(const struct world *w, const struct owed *run)
{
    const struct policies *p = &w->policies;
    const struct policy *policy = policy_of_run(w, run);
    int64_t excuse = queue_opens_us(w, run->task >= 0 ? w->tasks[run->task].spec : run->spec);
    if (policy && policy->rate.limit) {
        int key = policy->rate_key >= 0 ? policy->rate_key : SHARED_KEYS + run->task;
        const struct rate_log *log = &p->rates[key];
        int64_t opens = rate_opens_us(w, log, policy->rate);
        excuse = opens > excuse ? opens : excuse;
        excuse = log->edited_us > excuse ? log->edited_us : excuse;
    }
    if (run->trigger == TRIGGER_CATCH_UP && run->fence == 0 && p->catch_up_us > excuse)
        excuse = p->catch_up_us;
    if (run->task < 0)
        return excuse;
    if (p->full_us[run->task] > excuse)
        excuse = p->full_us[run->task];
    if (run->fence == 0 && p->live_us[run->task] > excuse)
        excuse = p->live_us[run->task];
    return excuse;
}

// --- the clock is set, the server starts ---

// What waits between two attempts goes on waiting as long as before; what was due by then does not
// move, and of a wait that is known by its bounds only it may have been either.
static void shift_wait(struct owed *run, wall before, int64_t step_us)
{
    wall least = wall_plus(run->due_least, step_us), most = wall_plus(run->due_most, step_us);
    if (run->due_most.us <= before.us)
        return;
    if (run->due_least.us > before.us) {
        run->due_least = least;
        run->due_most = most;
        return;
    }
    if (before.us + step_us < run->due_least.us)
        run->due_least = wall_plus(before, step_us);
    run->due_most = most.us > before.us ? most : before;
}

void policies_stepped(struct world *w, int64_t step_us)
{
    wall now = wall_of(w), before = wall_plus(now, -step_us);
    if (!w->scheduler)
        return; // nobody notices
    disk_arm(DISK_WELL, 0);
    if (scheduler_clock_stepped(w->scheduler, now, step_us) != STATUS_OK)
        broken(w, "P16", "the clock was set, and the scheduler fails");
    rates_step(w, step_us);
    for (size_t i = 0; i < w->run_count; i++)
        if (w->runs[i].state == RUN_WAITING)
            shift_wait(&w->runs[i], before, step_us);
}

void policies_started(struct world *w)
{
    w->policies.started_us = w->now_us;
    w->policies.catch_up_count = 0; // of this process
    breakers_forget(w);
    rates_restart(w);
    expect_catch_up(w, w->now_us);
}

// --- what is stored ---

static void check_row(struct world *w, const struct owed *run, sqlite3_stmt *q)
{
    bool limited = sqlite3_column_type(q, 1) != SQLITE_NULL;
    wall deadline = limited ? (wall){sqlite3_column_int64(q, 1)} : WALL_NEVER;
    const char *reason = (const char *)sqlite3_column_text(q, 3);
    enum run_state state = (enum run_state)sqlite3_column_int(q, 4);
    wall finished = {sqlite3_column_int64(q, 5)};
    if (deadline.us != run->deadline.us || sqlite3_column_int(q, 2) != run->priority)
        broken(w, "P4", "run %s is stored with priority %d and deadline %lld, not %d and %lld",
               id_text(run->id), sqlite3_column_int(q, 2), (long long)deadline.us, run->priority,
               (long long)run->deadline.us);
    bool late = reason && strstr(reason, "by its deadline");
    if (late && (state != RUN_MISSED || finished.us <= deadline.us))
        broken(w, "P2", "run %s is missed for a deadline that has not passed", id_text(run->id));
    if (state == RUN_SCHEDULED && !run->swept && deadline.us < wall_of(w).us - EPSILON_US &&
        w->now_us - w->disturbed_us > EPSILON_US)
        broken(w, "P2", "the deadline of run %s has passed, and it is not missed",
               id_text(run->id));
    if (state == RUN_FAILED && run->end_unknown &&
        (!reason || !strstr(reason, "the outcome is unknown")))
        broken(w, "P12", "run %s has an unknown outcome, and says: %s", id_text(run->id), reason);
}

void policies_audit(struct world *w, bool at_end)
{
    (void)at_end;
    sqlite3_stmt *q =
        ask_stored(w, "SELECT id, deadline_at, priority, reason, state, finished_at FROM runs");
    while (sqlite3_step(q) == SQLITE_ROW)
        check_row(w, owed_find(w, (run_id){sqlite3_column_int64(q, 0)}), q);
    question_end(q);
}

void policies_done(struct world *w)
{
    for (int key = 0; key < RATE_KEYS; key++)
        free(w->policies.rates[key].starts);
    free(w->policies.live);
}
