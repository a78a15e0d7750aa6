#include "sim/world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "store/sqlite.h"

#define TURN_US 200   // what a turn takes, where nothing stands still
#define SPINS_MAX 300 // turns at once, one after the other, that nobody asked for
#define READ_A_TURN 2000
#define MILLION 1000000

// --- the trace, and its end ---

void trace(struct world *w, const char *format, ...)
{
    struct verdict_of_life *v = w->verdict;
    char *line = v->lines[v->line_count++ % LINES_KEPT];
    char moment[MOMENT_TEXT], what[LINE_TEXT];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    wall_format(wall_of(w), moment);
    snprintf(line, LINE_TEXT, "%12lld %s %.150s", (long long)w->now_us, moment, what);
    v->trace = hash_bytes(line, strlen(line)) ^ (v->trace << 7 | v->trace >> 57);
    if (w->settings.talk)
        printf("%s\n", line);
}

void broken(struct world *w, const char *promise, const char *format, ...)
{
    struct verdict_of_life *v = w->verdict;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(v->what, sizeof v->what, format, arguments);
    va_end(arguments);
    snprintf(v->promise, sizeof v->promise, "%s", promise);
    v->failed = true;
    trace(w, "BROKEN %s: %s", promise, v->what);
    longjmp(w->out, 1);
}

const char *id_text(run_id run)
{
    static char texts[4][RUN_ID_TEXT];
    static unsigned at;
    char *text = texts[at++ % 4];
    run_id_format(run, text);
    return text;
}

// --- clocks ---

wall wall_of(const struct world *w)
{
    __int128 passed = (__int128)(w->now_us - w->base_us) * (MILLION + w->drift_ppm) / MILLION;
    return wall_plus(w->base_wall, (int64_t)passed);
}

// The steady instant at which the wall clock will show t.
static int64_t steady_at(const struct world *w, wall t)
{
    if (!wall_is_set(t))
        return t.us;
    __int128 ahead = (__int128)(t.us - w->base_wall.us) * MILLION;
    int64_t at = w->base_us + (int64_t)(ahead / (MILLION + w->drift_ppm)) + 1;
    return at > w->now_us ? at : w->now_us;
}

void set_clock(struct world *w, int64_t step_us, int drift_ppm)
{
    wall now = wall_of(w);
    w->base_us = w->now_us;
    w->base_wall = wall_plus(now, step_us);
    w->drift_ppm = drift_ppm;
    if (!step_us)
        return;
    w->stepped_back = w->stepped_back || step_us < 0;
    w->disturbed_us = w->now_us;
    trace(w, "the clock was set by %lld ms", (long long)(step_us / MILLISECOND));
    policies_stepped(w, step_us);
}

// --- messages ---

static void let_go(struct message *m)
{
    free(m->sender);
    message_free(m);
}

static void free_chain(struct letter *letter)
{
    while (letter) {
        struct message *m = (struct message *)letter;
        letter = letter->next;
        let_go(m);
    }
}

void post(struct world *w, struct message *m)
{
    if (!w->store) { // nobody listens
        let_go(m);
        return;
    }
    if (w->inbox_count == w->inbox_room) {
        w->inbox_room = w->inbox_room ? w->inbox_room * 2 : 64;
        w->inbox = memory_resize(w->inbox, w->inbox_room, sizeof(struct message *));
    }
    if (w->inbox_count == 0)
        w->turn_us = w->now_us + random_below(&w->network, 5 * MILLISECOND);
    w->inbox[w->inbox_count++] = m;
}

// --- down and up ---

static void let_server_go(struct world *w)
{
    dispatcher_crash(w);
    while (w->inbox_count)
        let_go(w->inbox[--w->inbox_count]);
    scheduler_free(w->scheduler);
    leases_crash(w, w->scheduler != NULL);
    questions_end(sqlite_of(w->store)->database.handle);
    store_close(w->store);
    w->scheduler = NULL;
    w->store = NULL;
}

void crash(struct world *w, int64_t down_us)
{
    if (!w->store)
        return;
    trace(w, "the server dies, and is back in %lld ms", (long long)(down_us / MILLISECOND));
    let_server_go(w);
    model_crash(w);
    w->restart_us = w->now_us + down_us;
}

void rush(struct world *w, int64_t begin_us, int64_t within_us)
{
    for (size_t i = 0; i < w->source_count; i++) {
        struct source *source = &w->sources[i];
        const struct event *event = source->event;
        bool fault = event >= fault_events && event < fault_events + fault_event_count;
        if (!fault && random_below(&w->network, 4) == 0)
            source->next_us = begin_us + random_below(&w->network, within_us);
    }
}

static void start_server(struct world *w)
{
    char why[300] = "";
    struct store *store;
    if (store_open_sqlite(w->path, &store, why, sizeof why) != STATUS_OK)
        broken(w, "P19", "the store cannot be opened again: %s", why);
    audit_count_finals(w, w->final_at_start);
    disk_take(w, store);
    struct store_start begin;
    if (store_start(store, &begin) != STATUS_OK || w->start_count == STARTS)
        broken(w, "P18", "the store does not say where it stands");
    if (w->start_count && random_below(&w->network, 10) == 0)
        disk_arm(random_below(&w->network, 2) ? DISK_COMMIT_FAILS : DISK_VERB_FAILS, 1);
    w->options.seed = random_next(&w->network);
    wall now = wall_of(w);
    w->options.wall_minus_steady_us = now.us - steady_of_server(w);
    w->options.boot = w->workers.boot;
    workers_configured(w);
    notices_turn(w);
    if (scheduler_new(&w->options, store, now, &w->scheduler) != STATUS_OK) {
        if (!disk_failed())
            broken(w, "P18", "the scheduler does not start");
        trace(w, "the disk fails at the start");
        w->scheduler = NULL;
        notices_wrote(w);
        w->workers.start_failed = true;
        let_server_go(w);
        w->restart_us = w->now_us + SECOND;
        return;
    }
    disk_arm(DISK_WELL, 0);
    history_started(w);
    w->starts[w->start_count] = now;
    w->start_ids[w->start_count++] = begin.last_run;
    notices_wrote(w);
    w->highest = now.us > w->highest.us ? now : w->highest;
    w->stopping = false;
    w->turn_us = w->now_us + random_below(&w->network, 5 * MILLISECOND);
    w->disturbed_us = w->now_us;
    trace(w, "the server is up");
    rush(w, w->now_us, 1);
    model_recovered(w);
}

// --- a turn ---

static struct letter *chain_up(struct message **messages, size_t count)
{
    for (size_t i = 0; i < count; i++)
        messages[i]->letter.next = i + 1 < count ? &messages[i + 1]->letter : NULL;
    return count ? &messages[0]->letter : NULL;
}

static int hand_orders(struct world *w, struct letter *letter, bool arrive)
{
    int attempts = 0;
    while (letter) {
        struct order *order = (struct order *)letter;
        letter = letter->next;
        w->verdict->figures.orders++;
        if (order->kind == ORDER_ATTEMPT) {
            policies_wrote(w, attempts++, false);
            model_order(w, order);
        }
        if (arrive)
            dispatcher_take(w, order);
        else
            order_free(order);
    }
    return attempts;
}

// After a failed write: no ok, no order, now and later.
static void check_stopped(struct world *w, enum status status, const struct outbox *out)
{
    if (status == STATUS_OK || out->orders)
        broken(w, "P19", "the disk has failed, and the turn goes on");
    for (const struct letter *letter = out->replies; letter; letter = letter->next)
        if (((const struct message *)letter)->reply.status != STATUS_UNAVAILABLE ||
            ((const struct message *)letter)->reply.body.size)
            broken(w, "P19", "the disk has failed, and a request was answered with %s",
                   status_text(((const struct message *)letter)->reply.status));
    struct message *late = message_new(MESSAGE_PAUSE);
    struct outbox next;
    late->name = memory_text("t0");
    if (scheduler_turn(w->scheduler, wall_of(w), &late->letter, &next) == STATUS_OK ||
        late->reply.status != STATUS_UNAVAILABLE || next.orders)
        broken(w, "P19", "after a failed write a later request was answered");
    free_chain(next.attempts);
    let_go(late);
}

static void settle(struct world *w, struct message **asked, size_t count, bool heard)
{
    leases_reap(w);
    for (size_t i = 0; i < count; i++)
        model_message(w, asked[i], heard);
    if (w->stopping)
        return;
    jobs_reap(w);
    wall now = wall_of(w);
    for (int i = 0; i < w->span_count; i++)
        if (!w->spans[i].ended && w->spans[i].until.us < now.us)
            w->spans[i].until = now;
}

static void count_turn(struct world *w, struct message **asked, size_t count)
{
    struct figures *figures = &w->verdict->figures;
    figures->turns++;
    for (size_t i = 0; i < count; i++)
        if (asked[i]->kind == MESSAGE_REPORT)
            figures->reports++;
        else
            figures->requests++;
}

static void tell_clock(struct world *w)
{
    scheduler_clock(w->scheduler, wall_of(w).us - steady_of_server(w));
}

static void turn(struct world *w)
{
    enum disk_fault fault = w->armed;
    size_t count = w->inbox_count;
    struct message **asked = memory_array(count + 1, sizeof(struct message *));
    for (size_t i = 0; i < count; i++)
        asked[i] = w->inbox[i];
    w->inbox_count = 0;
    count_turn(w, asked, count);
    disk_arm(fault, w->armed_calls);
    w->armed = DISK_WELL;
    model_mark_full(w);
    policies_turn(w);
    history_turn(w);
    notices_turn(w);
    leases_turn(w, asked, count);
    wall now = wall_of(w);
    tell_clock(w);
    w->highest = now.us > w->highest.us ? now : w->highest;
    bool counted = count && asked[0]->kind == MESSAGE_METRICS;
    int64_t finals[RUN_STATE_COUNT];
    if (counted)
        audit_count_finals(w, finals);
    struct outbox out;
    struct letter *inbox = chain_up(asked, count);
    keep_reports(asked, count);
    enum status status = scheduler_turn(w->scheduler, now, inbox, &out);
    if (fault && (disk_failed() || fault == DISK_CRASH_AFTER)) {
        w->verdict->figures.disk[fault]++;
        trace(w, "the disk or the process fails in the turn: %d", fault);
    }
    bool failed = disk_failed(), dies = failed || fault == DISK_CRASH_AFTER;
    if (failed && fault != DISK_CRASH_BEFORE)
        check_stopped(w, status, &out);
    else if (!failed && status != STATUS_OK)
        broken(w, "P19", "a turn fails though the disk does not: %s", store_problem(w->store));
    if (!failed)
        check_replies(w, asked, count, &out);
    if (!failed && counted && asked[0]->reply.status == STATUS_OK)
        audit_metrics(w, buffer_string(&asked[0]->reply.body), finals);
    if (!failed || disk_committed())
        notices_wrote(w);
    if (!failed || disk_committed())
        settle(w, asked, count, !failed);
    if (failed && disk_committed())
        policies_wrote(w, 0, true);
    if (failed)
        policies_turn(w); // the rest was undone
    w->lost_may_be_new = w->lost_may_be_new || (failed && disk_committed());
    bool idle = !count && !out.orders;
    int orders = hand_orders(w, out.orders, !dies);
    leases_answer(w, out.replies, orders, !failed, !dies);
    if (!failed || disk_committed())
        history_wrote(w, idle, !failed);
    else
        history_turn(w); // undone
    free_reports(asked, count);
    free_chain(out.replies);
    free_chain(out.attempts);
    free(asked);
    if (dies) {
        crash(w, random_below(&w->network, MINUTE));
    } else if (store_checkpoint(w->store) != STATUS_OK) {
        broken(w, "P19", "a checkpoint fails though the disk does not");
    }
    if (w->scheduler) {
        model_mark_full(w);
        model_mark_fed(w);
    }
    w->now_us += TURN_US;
    w->turn_us = w->now_us + random_below(&w->network, 5 * MILLISECOND);
}

void stop_well(struct world *w, int64_t down_us)
{
    if (!w->store)
        return;
    trace(w, "the server is asked to stop");
    scheduler_stop_starting(w->scheduler);
    w->stopping = true;
    turn(w);
    if (w->store) {
        dispatcher_drain(w);
        turn(w);
    }
    if (!w->store)
        return;
    for (size_t i = 0; i < w->run_count; i++)
        if (w->runs[i].state == RUN_RUNNING && !w->runs[i].leased && !w->runs[i].checked_in)
            broken(w, "P18", "run %s is running after an orderly stop", id_text(w->runs[i].id));
    crash(w, down_us);
}

// --- the crank ---

int64_t world_next_turn(struct world *w)
{
    if (!w->store)
        return w->restart_us;
    if (w->inbox_count)
        return w->turn_us > w->now_us ? w->turn_us : w->now_us;
    tell_clock(w);
    int64_t at = steady_at(w, scheduler_next_turn(w->scheduler, wall_of(w)));
    return at > w->turn_us ? at : w->turn_us;
}

static struct source *first_source(struct world *w)
{
    struct source *first = NULL;
    for (size_t i = 0; i < w->source_count; i++)
        if (!first || w->sources[i].next_us < first->next_us)
            first = &w->sources[i];
    return first && first->next_us < w->end_us ? first : NULL;
}

static void happen(struct world *w, struct source *source)
{
    const struct event *event = source->event;
    w->verdict->figures.events[source->number]++;
    trace(w, "%s", event->name);
    source->next_us += 1 + random_below(&source->chance, 2 * source->mean_us);
    event->happen(w, &source->chance);
}

// A line that holds only the first of its runs is fed one or two of them at a time, and for each
// time what is due is read from its beginning, so much in a turn.
static int spins_most(const struct world *w)
{
    int due = 0;
    for (size_t i = 0; i < w->run_count && w->spins > SPINS_MAX && w->options.due_limit <= 10; i++)
        due += is_pending(w->runs[i].state) && w->runs[i].due_least.us <= wall_of(w).us;
    return SPINS_MAX + due * (1 + due / READ_A_TURN);
}

// One step: whatever comes first. False at the end.
static bool step(struct world *w)
{
    struct source *source = first_source(w);
    int64_t source_at = source ? source->next_us : INT64_MAX;
    int64_t dispatcher_at = dispatcher_next(w), at = world_next_turn(w);
    int64_t first = source_at < dispatcher_at ? source_at : dispatcher_at;
    int64_t workers_at = workers_next(w), jobs_at = jobs_next(w);
    first = workers_at < first ? workers_at : first;
    first = jobs_at < first ? jobs_at : first;
    first = at < first ? at : first;
    if (first >= w->end_us)
        return false;
    bool at_once = w->store && !w->inbox_count && first == at && at <= w->turn_us;
    w->spins = at_once ? w->spins + 1 : 0;
    if (w->spins > spins_most(w))
        broken(w, "P2", "the scheduler wants one turn after the other");
    w->now_us = first > w->now_us ? first : w->now_us;
    if (source_at == first)
        happen(w, source);
    else if (dispatcher_at == first)
        dispatcher_work(w);
    else if (workers_at <= first)
        workers_work(w);
    else if (jobs_at <= first)
        jobs_work(w);
    else if (w->store)
        turn(w);
    else
        start_server(w);
    return true;
}

// --- a life ---

static void add_sources(struct world *w, struct random *chance, const struct event *events,
                        size_t count, size_t first_number, int kept_in_hundred)
{
    for (size_t i = 0; i < count; i++) {
        struct source *source = &w->sources[w->source_count];
        size_t number = first_number + i;
        bool kept = random_below(chance, 100) < kept_in_hundred;
        uint64_t seed = random_next(chance);
        if (!kept || w->settings.without >> number & 1)
            continue;
        random_seed(&source->chance, seed);
        source->event = &events[i];
        source->number = number;
        source->mean_us = w->end_us / events[i].often + 1;
        source->next_us = random_below(&source->chance, 2 * source->mean_us);
        w->source_count++;
    }
}

static void choose_options(struct world *w, struct random *chance)
{
    static const int64_t aheads[] = {20 * MILLISECOND, 20 * MILLISECOND, 0, 200 * MILLISECOND};
    static const int lanes[] = {64, 64, 3, 1};
    static const int totals[] = {4096, 4096, 20, 2};
    w->options = scheduler_defaults;
    w->options.claim_ahead_us = aheads[random_below(chance, 4)];
    w->options.lane_limit = lanes[random_below(chance, 4)];
    w->options.total_limit = totals[random_below(chance, 4)];
    w->options.horizon_us = w->end_us / (20 + random_below(chance, 300)) + SECOND;
    w->options.due_limit = random_below(chance, 3) ? 1000000 : 10;
    w->options.key_life_us = random_below(chance, 2) ? w->end_us / 5 : DAY;
    w->options.journal_bytes = random_below(chance, 2) ? 64 << 20 : 2000;
    policies_choose(w, chance);
    workers_choose(w);
    history_choose(w);
    notices_choose(w);
    jobs_choose(w);
}

static void begin(struct world *w)
{
    struct random chance;
    random_seed(&chance, w->settings.seed);
    random_seed(&w->network, random_next(&chance));
    w->end_us = world_choose_time(w, &chance);
    choose_options(w, &chance);
    add_sources(w, &chance, user_events, user_event_count, 0, 90);
    add_sources(w, &chance, fault_events, fault_event_count, user_event_count, 50);
    if (w->workers.on)
        add_sources(w, &w->workers.chance, worker_events, worker_event_count,
                    user_event_count + fault_event_count, 90);
    if (w->jobs.on)
        add_sources(w, &w->jobs.chance, job_events, job_event_count,
                    user_event_count + fault_event_count + worker_event_count, 90);
    for (int i = 0; i < ENDPOINTS; i++)
        w->moods[i] =
            random_below(&chance, 2) ? MOOD_WELL : (enum mood)random_below(&chance, MOOD_COUNT);
    w->highest = WALL_NONE;
    w->jitter_low = 1;
    for (int i = 0; i < TASKS; i++)
        w->tasks[i].pause = w->tasks[i].span = w->tasks[i].spec = -1;
    snprintf(w->path, sizeof w->path, "%s/sim-%d.db", w->settings.folder, (int)getpid());
}

static void remove_files(const struct world *w)
{
    static const char *const ends[] = {"", "-wal", "-shm", ".lock", "-journal"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        char path[300];
        snprintf(path, sizeof path, "%s%s", w->path, ends[i]);
        unlink(path);
    }
}

static void open_reading(struct world *w)
{
    struct store *store;
    char why[300] = "";
    if (store_open_sqlite(w->path, &store, why, sizeof why) != STATUS_OK ||
        sqlite3_open_v2(w->path, &w->reading, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) !=
            SQLITE_OK ||
        sqlite3_exec(w->reading, "SELECT count(*) FROM runs", NULL, NULL, NULL) != SQLITE_OK)
        broken(w, "P19", "a new store cannot be made: %s", why);
    store_close(store);
}

// Brings it to rest, so that what is due is decided, and looks at all of it.
static void finish(struct world *w)
{
    w->armed = DISK_WELL;
    if (w->store && w->stopping)
        crash(w, 0);
    while (!w->store)
        start_server(w);
    w->spins = 0;
    do {
        turn(w);
        if (++w->spins > spins_most(w))
            broken(w, "P2", "the scheduler does not come to rest");
    } while (w->inbox_count || scheduler_next_turn(w->scheduler, wall_of(w)).us <= wall_of(w).us);
    audit(w, true);
}

static void live(struct world *w)
{
    open_reading(w);
    start_server(w);
    int64_t *steps = &w->verdict->steps;
    while ((w->settings.steps < 0 || *steps < w->settings.steps) && step(w)) {
        (*steps)++;
        if (*steps % 1024 == 0 && w->store && !w->inbox_count)
            audit(w, false);
    }
    finish(w);
}

static void done(struct world *w)
{
    if (w->store)
        let_server_go(w);
    questions_end(w->reading);
    sqlite3_close(w->reading);
    remove_files(w);
    for (int i = 0; i < w->spec_count; i++)
        spec_done(&w->specs[i]);
    map_done(&w->by_id);
    policies_done(w);
    workers_done(w);
    notices_end(w);
    jobs_done(w);
    history_done();
    free(w->runs);
    free(w->tries);
    free(w->effects);
    free(w->inbox);
    free(w);
}

void world_live(const struct settings *settings, struct verdict_of_life *ret)
{
    struct world *w = memory_new(sizeof *w);
    *ret = (struct verdict_of_life){0};
    w->settings = *settings;
    w->verdict = ret;
    if (setjmp(w->out) == 0) {
        begin(w);
        remove_files(w);
        live(w);
    }
    ret->figures.simulated_us = w->now_us;
    ret->figures.runs = w->run_count;
    done(w);
}
