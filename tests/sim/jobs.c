// Jobs that run elsewhere and check in, against what docs/operate/failures.md says of them.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "sim/world.h"

#define NAME "monitor" // the promise
#define EARLY_US MINUTE

static bool odds(struct random *chance, int in_hundred)
{
    return random_below(chance, 100) < in_hundred;
}

// --- a life, and its definitions ---

void jobs_choose(struct world *w)
{
    random_seed(&w->jobs.chance, w->settings.seed * 47 + 19);
    w->jobs.on = odds(&w->jobs.chance, 30);
}

bool jobs_draw(struct world *w, struct spec *spec, const struct spec *old)
{
    static const int64_t graces[] = {SECOND, 20 * SECOND, 5 * MINUTE, 30 * MINUTE, 5 * HOUR};
    static const int64_t most[] = {5 * SECOND, 2 * MINUTE, HOUR, DAY};
    struct random *chance = &w->jobs.chance;
    if (!w->jobs.on || !odds(chance, old ? (old->monitor ? 90 : 8) : 45))
        return false;
    spec->monitor = true;
    spec->grace_us = graces[random_below(chance, 5)];
    spec->most_us = most[random_below(chance, 4)];
    spec->endpoint = MONITORS;
    spec->callback = false;
    spec->max_attempts = 1;
    spec->timeout_us = 0;
    spec->policy = (struct policy){
        .priority = PRIORITY_PLAIN, .catch_up = CATCH_UP_LATEST, .catch_up_max = 100};
    return true;
}

bool is_monitor(const struct world *w, int task)
{
    return task >= 0 && w->tasks[task].spec >= 0 && w->specs[w->tasks[task].spec].monitor;
}

void jobs_done(struct world *w)
{
    free(w->jobs.pings);
    free(w->jobs.running);
}

// --- what jobs are going to say ---

static void intend(struct world *w, struct ping ping)
{
    struct jobs *jobs = &w->jobs;
    if (jobs->ping_count == jobs->ping_room) {
        jobs->ping_room = jobs->ping_room ? jobs->ping_room * 2 : 64;
        jobs->pings = memory_resize(jobs->pings, jobs->ping_room, sizeof *jobs->pings);
    }
    jobs->pings[jobs->ping_count++] = ping;
}

// Some say it twice, at once or a little later.
static void say(struct world *w, struct ping ping, int64_t in_us)
{
    struct random *chance = &w->jobs.chance;
    ping.at_us = w->now_us + in_us;
    intend(w, ping);
    if (!odds(chance, 15))
        return;
    ping.at_us += odds(chance, 50) ? random_below(chance, 10 * MILLISECOND)
                                   : random_below(chance, 10 * MINUTE);
    intend(w, ping);
}

static enum checkin_status any_end(struct random *chance)
{
    return odds(chance, 75) ? CHECKIN_SUCCESS : CHECKIN_FAILURE;
}

// Around the ends of the grace, too.
static int64_t within_grace(struct random *chance, int64_t grace_us)
{
    if (odds(chance, 20))
        return random_below(chance, 100 * MILLISECOND);
    if (odds(chance, 15))
        return grace_us - 20 * MILLISECOND + random_below(chance, 40 * MILLISECOND);
    return random_below(chance, grace_us);
}

void jobs_expected(struct world *w, const struct owed *run)
{
    struct random *chance = &w->jobs.chance;
    const struct spec *spec = &w->specs[w->tasks[run->task].spec];
    struct ping ping = {.task = run->task, .duration_us = -1};
    if (odds(chance, 12))
        return; // it never comes
    if (odds(chance, 15))
        ping.run = run->id;
    if (odds(chance, 15))
        ping.duration_us = random_below(chance, HOUR);
    ping.status = any_end(chance);
    if (odds(chance, 10)) { // late
        say(w, ping, spec->grace_us + random_below(chance, spec->grace_us + MINUTE));
        return;
    }
    int64_t in_us = within_grace(chance, spec->grace_us);
    if (odds(chance, 60)) {
        say(w, ping, in_us);
        return;
    }
    ping.status = CHECKIN_START;
    say(w, ping, in_us);
    ping.status = any_end(chance);
    if (odds(chance, 80))
        say(w, ping, in_us + random_below(chance, spec->most_us + spec->most_us / 4));
}

int64_t jobs_next(const struct world *w)
{
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < w->jobs.ping_count; i++)
        if (w->jobs.pings[i].at_us < next)
            next = w->jobs.pings[i].at_us;
    return next;
}

static void ask(struct world *w, const struct ping *ping)
{
    struct message *m = message_new(MESSAGE_CHECKIN);
    char name[16];
    snprintf(name, sizeof name, "t%d", ping->task);
    m->name = memory_text(name);
    m->run = ping->run;
    m->checkin = (struct checkin){.status = ping->status, .duration_us = ping->duration_us};
    m->note = odds(&w->jobs.chance, 30) ? memory_text("as the job says") : NULL;
    post(w, m);
}

// Nobody listens: most try again, some until the server is back.
static void ask_later(struct world *w, struct ping ping)
{
    struct random *chance = &w->jobs.chance;
    if (odds(chance, 20))
        return;
    ping.at_us = odds(chance, 40) ? w->restart_us + random_below(chance, 3 * MILLISECOND)
                                  : w->now_us + 1 + random_below(chance, MINUTE);
    intend(w, ping);
}

void jobs_work(struct world *w)
{
    struct jobs *jobs = &w->jobs;
    size_t count = jobs->ping_count, kept = 0;
    for (size_t i = 0; i < count; i++) {
        struct ping ping = jobs->pings[i];
        if (ping.at_us > w->now_us)
            jobs->pings[kept++] = ping;
        else if (w->store)
            ask(w, &ping);
        else
            ask_later(w, ping);
    }
    size_t added = jobs->ping_count - count;
    memmove(&jobs->pings[kept], &jobs->pings[count], added * sizeof *jobs->pings);
    jobs->ping_count = kept + added;
}

// --- what happens ---

static int any_task(struct world *w, struct random *chance)
{
    int task = (int)random_below(chance, TASKS);
    for (int i = 0; i < TASKS && odds(chance, 95) && !is_monitor(w, task); i++)
        task = (task + 1) % TASKS;
    return task;
}

// Somebody starts the job by hand, or pings for nothing.
static void ping_anything(struct world *w, struct random *chance)
{
    struct ping ping = {.task = any_task(w, chance),
                        .status = (enum checkin_status)random_below(chance, 3),
                        .duration_us = odds(chance, 30) ? random_below(chance, DAY) : -1};
    if (w->run_count && odds(chance, 30))
        ping.run = w->runs[random_below(chance, (int64_t)w->run_count)].id;
    if (odds(chance, 3))
        ping.run.value = 4711;
    if (w->store)
        ask(w, &ping);
}

// A clock that goes ahead of the server's.
static void ping_early(struct world *w, struct random *chance)
{
    int task = any_task(w, chance);
    if (!is_monitor(w, task))
        return;
    const struct spec *spec = &w->specs[w->tasks[task].spec];
    struct instants list;
    wall now = wall_of(w);
    oracle_list(spec->when, spec->when_count, now, wall_plus(now, 3 * HOUR), &list);
    if (list.count) {
        struct ping ping = {.task = task,
                            .status = (enum checkin_status)random_below(chance, 3),
                            .duration_us = -1};
        int64_t in_us = list.items[0].at.us - now.us - random_below(chance, 80 * SECOND);
        say(w, ping, in_us > 0 ? in_us : 0);
    }
    instants_done(&list);
}

const struct event job_events[] = {
    {"ping_anything", 25, ping_anything},
    {"ping_early", 25, ping_early},
};
const size_t job_event_count = sizeof job_events / sizeof *job_events;

// --- which run a check-in is about ---

static struct owed *newest(struct world *w, int task, enum run_state state)
{
    struct owed *found = NULL;
    for (size_t i = 0; i < w->run_count; i++) {
        struct owed *run = &w->runs[i];
        if (run->task == task && run->state == state && (!found || run->id.value > found->id.value))
            found = run;
    }
    return found && found->flying ? NULL : found; // the server has started it
}

static struct owed *find_open(struct world *w, int task, bool starts)
{
    struct owed *running = newest(w, task, RUN_RUNNING), *waiting = newest(w, task, RUN_SCHEDULED);
    if (starts)
        return waiting ? waiting : running;
    return running ? running : waiting;
}

// While the task was paused, a moment ahead of its time.
static bool is_skipped(struct world *w, int task, wall nominal)
{
    char text[200];
    snprintf(text, sizeof text,
             "SELECT count(*) FROM runs r JOIN tasks t ON t.id = r.task_id WHERE t.name = 't%d'"
             " AND r.generation = %d AND r.state = %d AND r.scheduled_for = ?1",
             task, w->tasks[task].generation, RUN_SKIPPED);
    sqlite3_stmt *q = ask_about(w, text, nominal.us);
    bool skipped = sqlite3_column_int(q, 0) > 0;
    question_end(q);
    return skipped;
}

static bool is_recorded(struct world *w, int task, wall nominal)
{
    for (size_t i = 0; i < w->run_count; i++)
        if (w->runs[i].task == task && w->runs[i].generation == w->tasks[task].generation &&
            w->runs[i].nominal.us == nominal.us)
            return true;
    return is_skipped(w, task, nominal);
}

// The occurrence to come that a check-in now may be about: at most a minute ahead, and no more than
// the grace or half the time to the one after it.
static bool is_early(const struct world *w, int task, wall *ret)
{
    const struct spec *spec = &w->specs[w->tasks[task].spec];
    wall now = wall_of(w), found[2];
    struct instants list;
    int count = 0;
    oracle_list(spec->when, spec->when_count, now, wall_plus(now, 3 * EARLY_US), &list);
    for (size_t i = 0; i < list.count && count < 2; i++)
        if (!list.items[i].skipped)
            found[count++] = list.items[i].at;
    instants_done(&list);
    if (!count)
        return false;
    int64_t early = spec->grace_us < EARLY_US ? spec->grace_us : EARLY_US;
    if (count == 2 && (found[1].us - found[0].us) / 2 < early)
        early = (found[1].us - found[0].us) / 2;
    *ret = found[0];
    wall from = w->spans[w->tasks[task].span].from; // the clock may have been set back behind it
    return found[0].us - now.us <= early && found[0].us > from.us;
}

static struct owed *find_expected(struct world *w, const struct message *m, bool *ret_own)
{
    int task = task_of(m->name);
    wall nominal;
    struct owed *run = find_open(w, task, m->checkin.status == CHECKIN_START);
    *ret_own = false;
    if (run)
        return run;
    if (is_early(w, task, &nominal) && !is_recorded(w, task, nominal)) {
        run = model_occurrence(w, written_occurrence(w, task, nominal), task, nominal);
    } else {
        *ret_own = true;
        run = owed_add(w, written_own(w, task));
        run->task = task;
        run->trigger = TRIGGER_API;
        run->nominal = run->due_least = run->due_most = wall_of(w);
    }
    run->priority = PRIORITY_PLAIN;
    return run;
}

// --- what it makes of it ---

static void starts(struct world *w, struct owed *run)
{
    struct jobs *jobs = &w->jobs;
    run->spec = w->tasks[run->task].spec;
    run->state = RUN_RUNNING;
    run->attempts++;
    run->fence++;
    run->checked_in = true;
    run->ends_at = wall_plus(wall_of(w), w->specs[run->spec].most_us);
    if (jobs->running_count == jobs->running_room) {
        jobs->running_room = jobs->running_room ? jobs->running_room * 2 : 16;
        jobs->running = memory_resize(jobs->running, jobs->running_room, sizeof *jobs->running);
    }
    jobs->running[jobs->running_count++] = (size_t)(run - w->runs);
}

static void take(struct world *w, struct owed *run, enum checkin_status status)
{
    w->verdict->figures.checkins++;
    if (run->state != RUN_RUNNING)
        starts(w, run);
    if (status != CHECKIN_START)
        run->state = status == CHECKIN_SUCCESS ? RUN_SUCCEEDED : RUN_FAILED;
    run->delivered_well = run->state == RUN_SUCCEEDED;
    trace(w, "%s of t%d is %s by a check-in", id_text(run->id), run->task,
          run_state_text(run->state));
}

static enum status refusal(const struct world *w, int task, const struct message *m,
                           const struct owed *named)
{
    const struct known *known = &w->tasks[task];
    if (!known->alive)
        return STATUS_NOT_FOUND;
    if (!is_monitor(w, task) || known->pause >= 0)
        return STATUS_CONFLICT;
    if (!m->run.value)
        return STATUS_OK;
    if (!named)
        return STATUS_NOT_FOUND;
    bool open = !run_state_is_final(named->state) && !named->flying;
    return named->task == task && open ? STATUS_OK : STATUS_CONFLICT;
}

void took_checkin(struct world *w, struct message *m, bool heard)
{
    int task = task_of(m->name);
    bool own = false;
    written_until_now(w, task);
    struct owed *run = m->run.value ? owed_shown(w, m->run) : NULL;
    enum status expected = refusal(w, task, m, run);
    if (heard && m->reply.status != expected)
        broken(w, NAME, "a check-in of t%d about %s was answered \"%s\" (%s), and \"%s\" is right",
               task, id_text(m->run), status_text(m->reply.status), m->reply.detail,
               status_text(expected));
    if (expected != STATUS_OK)
        return;
    if (!run)
        run = find_expected(w, m, &own);
    if (heard && (m->reply.run.value != run->id.value || m->reply.created != own))
        broken(w, NAME, "a check-in of t%d counts for %s, and is about %s%s", task,
               id_text(m->reply.run), id_text(run->id), own ? ", a run of its own" : "");
    take(w, run, m->checkin.status);
}

// --- what ends by itself ---

void jobs_reap(struct world *w)
{
    struct jobs *jobs = &w->jobs;
    size_t kept = 0;
    for (size_t i = 0; i < jobs->running_count; i++) {
        struct owed *run = &w->runs[jobs->running[i]];
        if (run->state == RUN_RUNNING && run->ends_at.us <= wall_of(w).us) {
            trace(w, "%s of t%d has run for too long", id_text(run->id), run->task);
            run->state = RUN_FAILED;
        }
        if (run->state == RUN_RUNNING)
            jobs->running[kept++] = jobs->running[i];
    }
    jobs->running_count = kept;
}

void jobs_paused(struct world *w, int task)
{
    for (size_t i = 0; i < w->run_count && is_monitor(w, task); i++)
        if (w->runs[i].task == task && is_pending(w->runs[i].state))
            w->runs[i].state = RUN_SKIPPED;
}

// Nothing has come by the end of its grace.
void job_missed(struct world *w, const struct owed *run, const char *reason)
{
    int64_t late = wall_of(w).us - run->due_most.us, patience = model_patience(run);
    if (run->state != RUN_SCHEDULED || !strstr(reason, "no check-in came within"))
        broken(w, NAME, "run %s is missed, and was %s: %s", id_text(run->id),
               run_state_text(run->state), reason);
    if (late < 0)
        broken(w, NAME, "run %s is missed %lld ms before the end of its grace", id_text(run->id),
               (long long)(-late / MILLISECOND));
    if (w->tasks[run->task].pause >= 0 || !w->tasks[run->task].alive)
        broken(w, NAME, "run %s is missed, and t%d expects nothing", id_text(run->id), run->task);
    int64_t since = w->now_us - model_excuse(w, run, MONITORS);
    if (late > patience && since > patience && since > patience + model_feeding_us(w, MONITORS))
        broken(w, NAME, "run %s is missed %lld ms after the end of its grace", id_text(run->id),
               (long long)(late / MILLISECOND));
    w->verdict->figures.unpinged++;
}
