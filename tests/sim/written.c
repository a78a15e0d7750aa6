// What a turn has written, heard at the store: occurrences that became runs, and runs that a policy
// has ended. The auditor sees the same rows later; here is also known what was live at that moment.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/target.h"
#include "sim/world.h"
#include "store/verbs.h"

#define TOLD_MAX 8000 // of one turn
#define SWEEP_US SECOND

// --- what is written, heard at the store ---

static struct {
    const struct store_verbs *real;
    struct store_verbs before;
    struct told {
        run_id run;
        int starts; // so many runs had been started in the turn
        bool made, started;
        bool own;             // for no occurrence: somebody has checked in
        bool known;           // a check-in has told of it
        enum run_state state; // it was ended as
        char reason[480];
        // made:
        int64_t row;
        int generation, priority;
        enum run_trigger trigger;
        wall nominal, due_at, deadline_at;
    } told[TOLD_MAX];
    size_t count, taken;
    int starts;
} heard;

static struct told *note(void)
{
    if (heard.count == TOLD_MAX)
        abort(); // the simulator's turns are smaller
    struct told *told = &heard.told[heard.count++];
    *told = (struct told){.starts = heard.starts};
    return told;
}

static void note_end(run_id run, enum run_state state, const char *reason)
{
    struct told *told = note();
    told->run = run;
    told->state = state;
    snprintf(told->reason, sizeof told->reason, "%s", reason ? reason : "");
}

static enum status hear_add(struct store *s, const struct run *run)
{
    enum status status = heard.before.add_run(s, run);
    bool own = run->trigger == TRIGGER_API && run->due_at.us > run->scheduled_for.us;
    if (status != STATUS_OK || (!run->generation && !own) || run->state != RUN_SCHEDULED)
        return status;
    struct told *told = note();
    told->made = true;
    told->own = own;
    told->run = run->id;
    told->row = run->task;
    told->generation = run->generation;
    told->priority = run->priority;
    told->trigger = run->trigger;
    told->nominal = run->scheduled_for;
    told->due_at = run->due_at;
    told->deadline_at = run->deadline_at;
    return status;
}

static enum status hear_start(struct store *s, run_id id, wall at, int64_t revision, uint64_t lane)
{
    enum status status = heard.before.start_run(s, id, at, revision, lane);
    if (status != STATUS_OK || lane == target_lane(&(struct target){.kind = TARGET_MONITOR}))
        return status; // no order will leave of what a check-in starts
    struct told *told = note();
    told->run = id;
    told->started = true;
    heard.starts++;
    return status;
}

static enum status hear_end(struct store *s, run_id id, enum run_state state, const char *reason,
                            wall now)
{
    enum status status = heard.before.end_run(s, id, state, reason, now);
    if (status == STATUS_OK)
        note_end(id, state, reason);
    return status;
}

static enum status hear_attempt(struct store *s, const struct attempt *attempt,
                                const struct verdict *verdict, wall now)
{
    enum status status = heard.before.finish_attempt(s, attempt, verdict, now);
    if (status == STATUS_OK && verdict->state == RUN_CANCELED)
        note_end(attempt->run, verdict->state, verdict->reason);
    return status;
}

void policies_watch(struct store_verbs *verbs)
{
    heard.before = *verbs;
    verbs->add_run = hear_add;
    verbs->start_run = hear_start;
    verbs->end_run = hear_end;
    verbs->finish_attempt = hear_attempt;
}

void policies_turn(struct world *w)
{
    (void)w;
    heard.count = heard.taken = 0;
    heard.starts = 0;
}

// --- what a turn has made and ended ---

// The deadline of an occurrence is that of a revision of its task: of the newest, or of the one
// that its outage was found under.
static void check_deadline_made(struct world *w, const struct told *told, int task)
{
    const struct known *known = &w->tasks[task];
    int64_t us = told->deadline_at.us ? told->deadline_at.us - told->due_at.us : 0;
    bool fits = us == w->specs[known->spec].policy.deadline_us;
    for (int r = 1; r <= known->revision && told->trigger == TRIGGER_CATCH_UP; r++)
        fits = fits || us == w->specs[known->specs[r]].policy.deadline_us;
    if (!fits)
        broken(w, "P2", "run %s of t%d has a deadline of %lld ms", id_text(told->run), task,
               (long long)(us / MILLISECOND));
}

int task_of_row(struct world *w, int64_t row)
{
    for (int task = 0; task < TASKS; task++)
        if (w->policies.rows[task] == row)
            return task;
    sqlite3_stmt *q = ask_about(w, "SELECT name FROM tasks WHERE id = ?1", row);
    int task = task_of((const char *)sqlite3_column_text(q, 0));
    question_end(q);
    w->policies.rows[task] = row;
    return task;
}

static void was_made(struct world *w, const struct told *told)
{
    int task = task_of_row(w, told->row);
    if (told->known)
        return;
    if (told->own)
        broken(w, "P3", "run %s is made for nobody who checked in", id_text(told->run));
    if (told->generation != w->tasks[task].generation)
        broken(w, "P5", "run %s is made for generation %d of t%d, and it is %d", id_text(told->run),
               told->generation, task, w->tasks[task].generation);
    check_deadline_made(w, told, task);
    struct owed *run = model_occurrence(w, told->run, task, told->nominal);
    if (told->due_at.us < run->due_least.us || told->due_at.us > run->due_most.us)
        broken(w, "P2", "run %s is due at another time than it should", id_text(run->id));
    run->due_least = run->due_most = told->due_at;
    run->trigger = told->trigger;
    run->priority = told->priority;
    run->deadline = told->deadline_at.us ? told->deadline_at : WALL_NEVER;
    if (run->trigger == TRIGGER_CATCH_UP)
        trace(w, "%s of t%d catches up", id_text(run->id), task);
    if (run->trigger == TRIGGER_CATCH_UP)
        expect_catch_up(w, w->now_us);
    if (is_monitor(w, task))
        jobs_expected(w, run);
}

// The first that was made of a task in this turn and is not known yet.
static struct told *find_made(struct world *w, int task, bool own, wall least, wall most)
{
    for (size_t i = 0; i < heard.count; i++) {
        struct told *told = &heard.told[i];
        if (told->made && !told->known && told->own == own && told->nominal.us >= least.us &&
            told->nominal.us <= most.us && task_of_row(w, told->row) == task &&
            (own || told->generation == w->tasks[task].generation))
            return told;
    }
    return NULL;
}

void written_until_now(struct world *w, int task)
{
    struct told *told;
    while (is_monitor(w, task) &&
           (told = find_made(w, task, false, (wall){INT64_MIN}, wall_of(w)))) {
        was_made(w, told);
        told->known = true;
    }
}

static run_id written_as(struct world *w, int task, bool own, wall nominal)
{
    struct told *told = find_made(w, task, own, nominal, nominal);
    if (!told)
        broken(w, "monitor", "a check-in of t%d makes no run %s", task,
               own ? "of its own" : "of the occurrence to come");
    told->known = true;
    return told->run;
}

run_id written_occurrence(struct world *w, int task, wall nominal)
{
    return written_as(w, task, false, nominal);
}

run_id written_own(struct world *w, int task)
{
    return written_as(w, task, true, wall_of(w));
}

static void was_missed(struct world *w, const struct owed *run)
{
    if (run->attempts || run_state_is_final(run->state) != run->swept)
        broken(w, "P10", "run %s is missed for its deadline after it was %s", id_text(run->id),
               run_state_text(run->state));
    if (wall_of(w).us <= run->deadline.us)
        broken(w, "P2", "run %s is missed %lld ms before its deadline", id_text(run->id),
               (long long)((run->deadline.us - wall_of(w).us) / MILLISECOND));
}

static void was_skipped(struct world *w, const struct owed *run, const struct told *told)
{
    const struct policy *policy = policy_of_run(w, run);
    if (run->task < 0 || policy->overlap != OVERLAP_SKIP || run->state != RUN_SCHEDULED)
        broken(w, "P17", "run %s is skipped, and no rule says so", id_text(run->id));
    if (wall_of(w).us < run->due_least.us)
        broken(w, "P17", "run %s is skipped before its time", id_text(run->id));
    run_id named = {0};
    char id[RUN_ID_TEXT];
    snprintf(id, sizeof id, "%.17s", told->reason);
    const struct owed *other = run_id_parse(id, &named) == STATUS_OK ? owed_find(w, named) : NULL;
    bool swept = w->now_us - w->policies.deleted_us[run->task] < SWEEP_US;
    if (w->policies.unsure || swept)
        return;
    if (live_beside(w, run->task, run, false) == 0)
        broken(w, "P17", "run %s is skipped, and no other of t%d is live", id_text(run->id),
               run->task);
    if (!other || other->task != run->task || !is_live(other))
        broken(w, "P17", "run %s is skipped for a run that is not live: %s", id_text(run->id),
               told->reason);
}

static void was_replaced(struct world *w, const struct owed *run, const struct told *told)
{
    static const char head[] = "replaced by ";
    run_id named = {0};
    char id[RUN_ID_TEXT];
    if (strncmp(told->reason, head, sizeof head - 1) != 0)
        broken(w, "P10", "run %s is canceled, and nobody wanted it: %s", id_text(run->id),
               told->reason);
    snprintf(id, sizeof id, "%.17s", told->reason + sizeof head - 1);
    const struct owed *by = run_id_parse(id, &named) == STATUS_OK ? owed_find(w, named) : NULL;
    if (!by && w->policies.unsure)
        return; // asked for in the same turn
    if (!by || by == run || by->task != run->task || run->task < 0 ||
        policy_of_run(w, run)->overlap != OVERLAP_REPLACE || by->state != RUN_SCHEDULED ||
        by->due_least.us > wall_of(w).us)
        broken(w, "P17", "run %s is %s", id_text(run->id), told->reason);
    if (!w->policies.unsure && !is_live(run) && live_beside(w, run->task, run, true) == 0)
        broken(w, "P17", "run %s is replaced, and nothing of t%d was live", id_text(run->id),
               run->task);
}

// Its order has never left. What becomes of it is decided when the server is back.
static void was_started(struct world *w, const struct told *told)
{
    struct owed *run = owed_find(w, told->run);
    if (!run)
        return; // asked for in the same turn: the auditor will learn of it
    run->spec = run->task >= 0 ? w->tasks[run->task].spec : run->spec;
    run->attempts++;
    run->fence++;
    run->state = RUN_RUNNING;
    policies_learned(w, run);
    if (goes_to_queue(w, run->spec))
        lease_unseen(w, run);
}

static void was_ended(struct world *w, const struct told *told)
{
    struct owed *run = owed_find(w, told->run);
    if (!run && w->policies.unsure)
        return; // made in the same turn, of which nobody has heard
    if (!run)
        broken(w, "P3", "run %s has ended, and is of nothing that is known", id_text(told->run));
    if (run->state == told->state)
        return; // as the model has found by itself
    bool waited = run->deadline.us == WALL_NEVER.us && is_monitor(w, run->task);
    if (told->state == RUN_MISSED && waited)
        job_missed(w, run, told->reason);
    else if (told->state == RUN_MISSED)
        was_missed(w, run);
    else if (told->state == RUN_SKIPPED)
        was_skipped(w, run, told);
    else
        was_replaced(w, run, told);
    trace(w, "%s is %s: %s", id_text(run->id), run_state_text(told->state), told->reason);
    w->verdict->figures.by_policy[told->state]++;
    w->spins = 0; // the turn was good for something
    run->state = told->state;
    run->swept = false;
    lease_end(w, run);
    int spec = run->task >= 0 ? w->tasks[run->task].spec : run->spec;
    if (spec >= 0)
        w->served_us[w->specs[spec].endpoint] = w->now_us; // its line moves on
    run->by_policy = true;
}

void policies_wrote(struct world *w, int orders, bool unsure)
{
    w->policies.unsure = unsure;
    while (heard.taken < heard.count && (unsure || heard.told[heard.taken].starts <= orders)) {
        const struct told *told = &heard.told[heard.taken++];
        if (told->made)
            was_made(w, told);
        else if (!told->started)
            was_ended(w, told);
        else if (unsure)
            was_started(w, told);
    }
}
