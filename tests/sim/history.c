// P20: history stays within its limits, the oldest go first, and clearing takes nothing that lives.
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "sim/world.h"
#include "store/sqlite.h"
#include "store/verbs.h"

#define LOOK_US SECOND  // docs/operate/history.md: how often, and how much of a turn
#define QUIET_US MINUTE // how often where nothing is written
#define BUSY_RUNS 16
#define TURN_RUNS 2000
#define ROUND_US (10 * MINUTE) // then what had to stay is looked at again
#define LARGE_PAGES 256        // freed, they end a step
#define REPORTED_WITHIN_US (25 * HOUR)
#define KEPT_MOST 400 // that are older than what is cleared

// --- a life ---

static bool odds(struct random *chance, int in_hundred)
{
    return random_below(chance, 100) < in_hundred;
}

// Chance of its own, so that lives without limits are what they were.
void history_choose(struct world *w)
{
    struct random chance;
    struct scheduler_options *o = &w->options;
    random_seed(&chance, w->settings.seed * 37 + 11);
    w->history.on = odds(&chance, 30);
    w->history.until = WALL_NONE;
    if (!w->history.on)
        return;
    if (odds(&chance, 60))
        o->history_age_us = w->end_us / (4 + random_below(&chance, 200));
    if (odds(&chance, 60))
        o->history_rows = 1 + random_below(&chance, odds(&chance, 50) ? 20 : 300);
    if (odds(&chance, 25))
        o->history_bytes = 300000 + random_below(&chance, 600000);
    if (!o->history_age_us && !o->history_rows && !o->history_bytes)
        o->history_rows = 50;
}

// --- a step, heard at the store ---

struct size { // of what a step may touch, and of what it may not
    int64_t runs, ended, pages, free_pages, page_bytes;
    char others[300];
};

struct ended { // a run, in the order in which they go
    run_id run;
    wall finished;
    bool behind;    // the round has passed it
    bool must_stay; // in this step: something still needs it
    bool may_stay;
    bool goes;
};

static struct {
    struct world *world;
    struct store_verbs before;
    sqlite3 *handle;
    struct stored *gone; // in the turn under way
    size_t count, room;
    bool called, more, anew, wrote;
    int64_t ended;
    char problem[300];
} heard;

static void problem(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void problem(const char *format, ...)
{
    va_list arguments;
    if (*heard.problem)
        return;
    va_start(arguments, format);
    vsnprintf(heard.problem, sizeof heard.problem, format, arguments);
    va_end(arguments);
}

static sqlite3_stmt *ask(const char *text, int64_t value)
{
    sqlite3_stmt *q = question(heard.handle, text);
    if (!q)
        problem("the model cannot ask: %s", sqlite3_errmsg(heard.handle));
    sqlite3_bind_int64(q, 1, value);
    return q;
}

static int64_t number(const char *text, int64_t value)
{
    sqlite3_stmt *q = ask(text, value);
    int64_t n = sqlite3_step(q) == SQLITE_ROW ? sqlite3_column_int64(q, 0) : -1;
    question_end(q);
    return n;
}

// What a step leaves as it was.
static const char others[] =
    "SELECT (SELECT count(*) FROM runs WHERE finished_at IS NULL) || ' live runs, '"
    " || (SELECT count(*) FROM keys) || ' keys, ' || (SELECT count(*) FROM leases) || ' leases, '"
    " || (SELECT count(*) FROM tasks) || ' tasks, ' || (SELECT count(*) FROM audit) || ' edits, '"
    " || (SELECT count(*) FROM revisions WHERE task_id IS NOT NULL) || ' revisions, '"
    " || (SELECT count(*) FROM cursors) || ' cursors, ' || (SELECT count(*) FROM sweeps)"
    " || ' sweeps', (SELECT count(*) FROM runs)";

static void size_now(struct size *ret)
{
    sqlite3_stmt *q = ask("SELECT (SELECT count(*) FROM runs WHERE finished_at IS NOT NULL),"
                          " p.page_count, f.freelist_count, s.page_size FROM pragma_page_count p,"
                          " pragma_freelist_count f, pragma_page_size s",
                          0);
    if (sqlite3_step(q) == SQLITE_ROW)
        *ret = (struct size){.ended = sqlite3_column_int64(q, 0),
                             .pages = sqlite3_column_int64(q, 1),
                             .free_pages = sqlite3_column_int64(q, 2),
                             .page_bytes = sqlite3_column_int64(q, 3)};
    question_end(q);
}

static void size_others(struct size *ret)
{
    sqlite3_stmt *q = ask(others, 0);
    if (sqlite3_step(q) == SQLITE_ROW)
        snprintf(ret->others, sizeof ret->others, "%s", (const char *)sqlite3_column_text(q, 0));
    ret->runs = sqlite3_column_int64(q, 1);
    question_end(q);
}

static size_t list_ended(const struct history_place *place, struct ended *ret, size_t max)
{
    int64_t newest = number("SELECT max(id) FROM runs", 0);
    sqlite3_stmt *q =
        ask("SELECT r.id, r.finished_at, r.attempt_started_at IS NOT NULL, r.task_id IS NOT NULL"
            " AND r.id = (SELECT max(o.id) FROM runs o WHERE o.task_id = r.task_id)"
            " AND NOT (SELECT deleted FROM tasks t WHERE t.id = r.task_id)"
            " FROM runs r WHERE r.finished_at IS NOT NULL ORDER BY r.finished_at, r.id LIMIT ?1",
            (int64_t)max);
    size_t count = 0;
    while (count < max && sqlite3_step(q) == SQLITE_ROW) {
        struct ended *run = &ret[count++];
        *run = (struct ended){.run = {sqlite3_column_int64(q, 0)},
                              .finished = {sqlite3_column_int64(q, 1)}};
        bool open = sqlite3_column_int(q, 2);
        bool young = id_time((run_id){newest}).us - run->finished.us < REPORTED_WITHIN_US;
        run->behind = run->finished.us < place->ended.us ||
                      (run->finished.us == place->ended.us && run->run.value <= place->run.value);
        run->must_stay = sqlite3_column_int(q, 3) || run->run.value == newest || (open && young);
        run->may_stay = open;
    }
    question_end(q);
    return count;
}

// Which of them this step takes: from the place on the oldest for which the limits leave no room.
// Returns how many; *ret_more: the next would go, too.
static size_t choose_going(struct ended *list, size_t count, const struct history_limits *limits,
                           const struct size *size, size_t max, bool *ret_more)
{
    bool large =
        limits->bytes && (size->pages - size->free_pages) * size->page_bytes > limits->bytes;
    size_t going = 0, looked = 0;
    *ret_more = false;
    for (size_t i = 0; i < count; i++) {
        struct ended *run = &list[i];
        bool old = wall_is_set(limits->before) && run->finished.us < limits->before.us;
        bool many = limits->rows && size->ended - (int64_t)going > limits->rows;
        if (run->behind)
            continue;
        if (!old && !many && !large)
            break;
        if (looked == max) {
            *ret_more = true;
            break;
        }
        looked++;
        run->goes = !run->must_stay;
        going += run->goes;
    }
    return going;
}

static void note_gone(run_id run)
{
    if (heard.count == heard.room) {
        heard.room = heard.room ? heard.room * 2 : 256;
        heard.gone = memory_resize(heard.gone, heard.room, sizeof *heard.gone);
    }
    sqlite3_stmt *q = ask(STORED_RUNS " WHERE r.id = ?1", run.value);
    if (sqlite3_step(q) == SQLITE_ROW)
        stored_read(heard.world, q, &heard.gone[heard.count++]);
    question_end(q);
}

static void check_limits(const struct history_limits *limits)
{
    const struct world *w = heard.world;
    const struct scheduler_options *o = &w->options;
    wall before = o->history_age_us ? wall_plus(wall_of(w), -o->history_age_us) : WALL_NONE;
    if (limits->before.us != before.us || limits->rows != o->history_rows ||
        limits->bytes != o->history_bytes)
        problem("history is cleared by other limits than are set");
}

static bool is_there(run_id run)
{
    return number("SELECT count(*) FROM runs WHERE id = ?1", run.value);
}

// All that had to go is gone, with all that was about it only.
static size_t check_gone(const struct ended *list, size_t count, bool ended_early)
{
    size_t gone = 0;
    for (size_t i = 0; i < count; i++) {
        if (!list[i].goes)
            continue;
        if (is_there(list[i].run)) {
            if (!ended_early && !list[i].may_stay)
                problem("%s has no room within the limits, and stays", id_text(list[i].run));
            continue;
        }
        gone++;
        if (number("SELECT count(*) FROM attempts WHERE run_id = ?1", list[i].run.value) ||
            number("SELECT count(*) FROM dead_letters WHERE run_id = ?1", list[i].run.value))
            problem("%s is cleared, and something of it is left", id_text(list[i].run));
    }
    return gone;
}

static void check_step(const struct ended *list, size_t count, const struct size *before,
                       bool would_be_more, const struct history_cleared *ret)
{
    struct size after;
    size_now(&after);
    size_others(&after);
    bool ended_early = after.free_pages - before->free_pages >= LARGE_PAGES;
    size_t gone = check_gone(list, count, ended_early);
    if (strcmp(before->others, after.others) != 0)
        problem("clearing takes what lives: of %.90s are left %.90s", before->others, after.others);
    if (before->runs - after.runs != (int64_t)gone || ret->runs != gone)
        problem("%lld runs are cleared, %zu of them in their turn, and %zu are told",
                (long long)(before->runs - after.runs), gone, ret->runs);
    if (!ret->more && (would_be_more || ended_early))
        problem("there is more to clear than a step takes, and nobody comes back");
}

static enum status hear_clear(struct store *store, const struct history_limits *limits,
                              struct history_place *place, size_t max, struct history_cleared *ret)
{
    struct ended list[HISTORY_STEP_MAX + KEPT_MOST];
    bool more;
    size_t first = heard.count;
    if (new_runs_write(sqlite_of(store)) != STATUS_OK)
        return STATUS_FAILED;
    heard.handle = sqlite_of(store)->database.handle;
    heard.anew = heard.anew || !wall_is_set(place->ended);
    check_limits(limits);
    struct size before;
    size_now(&before);
    size_t count = list_ended(place, list, HISTORY_STEP_MAX + KEPT_MOST);
    bool some = choose_going(list, count, limits, &before, max, &more) > 0;
    int64_t changes = sqlite3_total_changes64(heard.handle);
    if (some)
        size_others(&before);
    for (size_t i = 0; i < count; i++)
        if (list[i].goes)
            note_gone(list[i].run);
    enum status status = heard.before.clear_history(store, limits, place, max, ret);
    if (status != STATUS_OK)
        return status;
    if (some)
        check_step(list, count, &before, more, ret);
    else if (ret->runs || sqlite3_total_changes64(heard.handle) != changes)
        problem("there is room within the limits, and something is cleared");
    else if (more && !ret->more)
        problem("there is more to clear than a step looks at, and nobody comes back");
    if (heard.count - first != ret->runs) { // some of them have stayed
        size_t kept = first;
        for (size_t i = first; i < heard.count; i++)
            if (!is_there(heard.gone[i].id))
                heard.gone[kept++] = heard.gone[i];
        heard.count = kept;
    }
    heard.ended = before.ended + (int64_t)first;
    heard.called = true;
    heard.more = ret->more;
    return status;
}

// Whatever changes a run, or a task, is told in the journal.
static enum status hear_journal(struct store *store, int64_t turn, wall at, const char *events,
                                size_t size)
{
    heard.wrote = true;
    return heard.before.add_journal(store, turn, at, events, size);
}

void history_watch(struct world *w, struct store_verbs *verbs)
{
    if (!w->history.on)
        return;
    heard.world = w;
    heard.before = *verbs;
    verbs->clear_history = hear_clear;
    verbs->add_journal = hear_journal;
    history_turn(w);
}

void history_turn(struct world *w)
{
    (void)w;
    heard.count = 0;
    heard.called = heard.more = heard.anew = heard.wrote = false;
    *heard.problem = '\0';
}

void history_done(void)
{
    free(heard.gone);
    heard.gone = NULL;
    heard.count = heard.room = 0;
}

// --- a turn ---

static int64_t count_cleared(const struct world *w)
{
    int64_t count = 0;
    for (unsigned state = 0; state < RUN_STATE_COUNT; state++)
        count += w->history.cleared[state];
    return count;
}

void history_started(struct world *w)
{
    struct history_known *history = &w->history;
    history->looked_us = w->now_us;
    history->looked = WALL_NONE; // not since the start
    history->began_us = 0;
    history->more = history->wrote = false;
    history->ended = 0;
    for (unsigned state = RUN_SUCCEEDED; state < RUN_STATE_COUNT; state++)
        history->ended += w->final_at_start[state];
}

// It is looked often enough, and each time at no more than the turn has room for.
static void check_pace(struct world *w, bool idle)
{
    struct history_known *history = &w->history;
    int64_t since = w->now_us - history->looked_us;
    int64_t slack = EPSILON_US + since / 1000; // the clock may drift
    bool quiet = !history->wrote && wall_is_set(history->looked) &&
                 wall_of(w).us - history->looked.us <= QUIET_US;
    if (!heard.called && (history->more || (since > LOOK_US + slack && !quiet)))
        broken(w, "P20", "history is not looked at for %lld ms, and %s",
               (long long)(since / MILLISECOND), history->more ? "there is more" : "it is time");
    if (!heard.called)
        return;
    if (history->more && since > slack && w->now_us - w->disturbed_us > slack)
        broken(w, "P20", "history is to be cleared, and no turn comes for %lld ms",
               (long long)(since / MILLISECOND));
    int64_t ended = heard.ended + count_cleared(w);
    int64_t most = BUSY_RUNS + 2 * (ended - history->ended);
    most = idle ? HISTORY_STEP_MAX : most > TURN_RUNS ? TURN_RUNS : most;
    if ((int64_t)heard.count > most)
        broken(w, "P20", "%zu runs are cleared in a turn that has room for %lld", heard.count,
               (long long)most);
    if (heard.anew)
        history->began_us = w->now_us;
    if (w->now_us - history->began_us > ROUND_US + QUIET_US + slack &&
        w->disturbed_us <= history->began_us)
        broken(w, "P20", "what had to stay is not looked at again for %lld min",
               (long long)((w->now_us - history->began_us) / MINUTE));
    history->looked_us = w->now_us;
    history->looked = wall_of(w);
    history->ended = ended;
    history->more = heard.more;
    history->wrote = false;
}

static void was_cleared(struct world *w, const struct stored *row)
{
    struct history_known *history = &w->history;
    struct owed *run = audit_run(w, row, false);
    if (run->flying || run->leased || !run_state_is_final(run->state))
        broken(w, "P20", "run %s is cleared, and is under way", id_text(run->id));
    run->cleared = true;
    history->cleared[row->state]++;
    if (row->finished.us > history->until.us)
        history->until = row->finished;
    w->verdict->figures.cleared++;
}

void history_wrote(struct world *w, bool idle, bool heard_of)
{
    if (!w->history.on || w->stopping)
        return;
    if (*heard.problem)
        broken(w, "P20", "%s", heard.problem);
    if (heard_of)
        check_pace(w, idle);
    w->history.wrote = w->history.wrote || heard.wrote;
    size_t count = heard.count;
    heard.count = 0; // they count as cleared from here on
    for (size_t i = 0; i < count; i++)
        was_cleared(w, &heard.gone[i]);
    if (count)
        trace(w, "%zu runs are cleared", count);
}

bool history_going(const struct world *w, run_id run, wall *ret_due)
{
    for (size_t i = 0; i < heard.count && w->history.on; i++)
        if (heard.gone[i].id.value == run.value) {
            *ret_due = heard.gone[i].due;
            return true;
        }
    return false;
}

void history_add_cleared(const struct world *w, int64_t counts[RUN_STATE_COUNT])
{
    for (unsigned state = 0; state < RUN_STATE_COUNT; state++)
        counts[state] += w->history.cleared[state];
    for (size_t i = 0; i < heard.count && w->history.on; i++)
        counts[heard.gone[i].state]++;
}

// --- what is stored ---

static void check_books(struct world *w)
{
    int64_t entered[RUN_STATE_COUNT] = {(int64_t)w->run_count};
    for (size_t i = 0; i < w->run_count; i++)
        if (wall_is_set(w->runs[i].finished_at))
            entered[w->runs[i].state]++;
    sqlite3_stmt *q = ask_stored(w, "SELECT state, entered, cleared FROM books");
    while (sqlite3_step(q) == SQLITE_ROW) {
        int state = sqlite3_column_int(q, 0);
        int64_t n = sqlite3_column_int64(q, 1), cleared = sqlite3_column_int64(q, 2);
        if (n != entered[state] || cleared != w->history.cleared[state])
            broken(w, "P21",
                   "by the books %lld runs were %s and %lld of them cleared, not %lld and"
                   " %lld",
                   (long long)n, run_state_text((enum run_state)state), (long long)cleared,
                   (long long)entered[state], (long long)w->history.cleared[state]);
    }
    question_end(q);
}

static void check_none(struct world *w, const char *what, const char *text)
{
    sqlite3_stmt *q = ask_stored(w, text);
    if (sqlite3_step(q) == SQLITE_ROW)
        broken(w, "P20", "%s: %lld", what, (long long)sqlite3_column_int64(q, 0));
    question_end(q);
}

static void check_mark(struct world *w)
{
    wall mark = WALL_NONE;
    sqlite3_stmt *q = ask_stored(
        w, "SELECT CAST(value AS INTEGER) FROM settings WHERE name = 'history_cleared_until'");
    if (sqlite3_step(q) == SQLITE_ROW)
        mark.us = sqlite3_column_int64(q, 0);
    question_end(q);
    if (mark.us != w->history.until.us)
        broken(w, "P20", "the store says that it was cleared until %lld, and it was until %lld",
               (long long)mark.us, (long long)w->history.until.us);
}

void history_audit(struct world *w, bool at_end)
{
    (void)at_end;
    check_books(w);
    check_mark(w);
    check_none(w, "a dead letter is about no failed run",
               "SELECT run_id FROM dead_letters WHERE run_id NOT IN"
               " (SELECT id FROM runs WHERE state = 5 AND handled IS NULL)");
    check_none(w, "a failed run is no dead letter",
               "SELECT id FROM runs WHERE state = 5 AND handled IS NULL"
               " AND id NOT IN (SELECT run_id FROM dead_letters)");
    check_none(w, "an inline definition is kept that no run has",
               "SELECT d.id FROM revisions d JOIN definition_uses u ON u.revision_id = d.id"
               " WHERE d.task_id IS NULL AND d.id NOT IN"
               " (SELECT revision_id FROM runs WHERE revision_id IS NOT NULL)");
    check_none(w, "the definition of a run is gone",
               "SELECT id FROM runs WHERE revision_id IS NOT NULL"
               " AND revision_id NOT IN (SELECT id FROM revisions)");
}
