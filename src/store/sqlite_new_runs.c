// Writing new runs. An INSERT opens the table and its nine indexes, which costs more than the row
// does: so runs that cannot conflict wait for the next ones of their turn, and several go in with
// one statement. Whatever else the connection does writes them first (database_step), so nobody can
// tell.
#include <assert.h>
#include <stdlib.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "store/sqlite.h"

enum { ONE, SEVERAL, STATEMENTS };

#define COLUMNS 19
#define ONE_BY_ONE 3 // so few cost less alone: SEVERAL looks at the places that are empty, too

static void bind_run(sqlite3_stmt *q, int before, const struct run *run)
{
    bind_int(q, before + 1, run->id.value);
    bind_id(q, before + 2, run->task);
    bind_id(q, before + 3, run->revision_id);
    bind_int(q, before + 4, run->generation);
    bind_int(q, before + 5, run->state);
    bind_int(q, before + 6, run->trigger);
    bind_int(q, before + 7, run->attempts);
    bind_int(q, before + 8, run->fence);
    bind_wall(q, before + 9, run->scheduled_for);
    bind_wall(q, before + 10, run->due_at);
    bind_wall(q, before + 11, run->started_at);
    bind_wall(q, before + 12, run->finished_at);
    bind_wall(q, before + 13, run->attempt_started_at);
    bind_int(q, before + 14, (int64_t)run->lane);
    bind_id(q, before + 15, run->retry_of.value);
    bind_text(q, before + 16, run->reason);
    bind_bytes(q, before + 17, run->payload, run->payload_size);
    bind_int(q, before + 18, run->priority);
    bind_wall(q, before + 19, run->deadline_at.us > 0 ? run->deadline_at : WALL_NONE);
}

static void add_places(struct buffer *sql, int count)
{
    for (int i = 0; i < count; i++) {
        buffer_text(sql, i ? ", (" : "(");
        for (int column = 1; column <= COLUMNS; column++) {
            buffer_text(sql, column > 1 ? ", ?" : "?");
            buffer_int(sql, i * COLUMNS + column);
        }
        buffer_text(sql, ")");
    }
}

enum status sqlite_prepare_new_runs(struct sqlite *s)
{
    static const char head[] =
        "INSERT INTO runs (id, task_id, revision_id, generation, state, trigger, attempts, fence,"
        " scheduled_for, due_at, started_at, finished_at, attempt_started_at, lane, retry_of,"
        " reason, payload, priority, deadline_at) ";
    // Only the occurrence may conflict: an id that is there already is a bug, and fails.
    static const char tail[] =
        " ON CONFLICT (task_id, generation, scheduled_for) WHERE trigger IN (0, 3) DO NOTHING";
    struct buffer one, several;
    buffer_init(&one, 16 << 10);
    buffer_init(&several, 16 << 10);
    buffer_text(&one, head);
    buffer_text(&one, "VALUES ");
    add_places(&one, 1);
    buffer_text(&one, tail);
    buffer_text(&several, head);
    buffer_text(&several, "SELECT * FROM (VALUES ");
    add_places(&several, NEW_RUNS_HELD);
    buffer_text(&several, ") WHERE column1 IS NOT NULL");
    buffer_text(&several, tail);
    assert(!one.overflow && !several.overflow);
    const char *texts[STATEMENTS] = {buffer_string(&one), buffer_string(&several)};
    enum status status = database_prepare(&s->database, texts, STATEMENTS, &s->new_runs);
    buffer_done(&one);
    buffer_done(&several);
    return status;
}

static enum status insert(struct sqlite *s, const struct run *run, int *ret_changes)
{
    bind_run(s->new_runs[ONE], 0, run);
    return database_change(&s->database, s->new_runs[ONE], ret_changes);
}

static enum status insert_several(struct sqlite *s, const struct run *runs, size_t count)
{
    sqlite3_stmt *q = s->new_runs[SEVERAL];
    for (size_t i = 0; i < count; i++)
        bind_run(q, (int)i * COLUMNS, &runs[i]);
    enum status status = database_do(&s->database, q);
    sqlite3_clear_bindings(q); // places that stay empty next time
    return status;
}

static void let_go(struct run *runs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(runs[i].reason);
        free(runs[i].payload);
    }
}

enum status new_runs_write(struct sqlite *s)
{
    size_t count = s->held_count;
    enum status status = STATUS_OK;
    int changes;
    s->held_count = 0;
    s->database.holds_back = false; // the statements below are not to write them first
    if (count > ONE_BY_ONE)
        status = insert_several(s, s->held, count);
    else
        for (size_t i = 0; i < count && status == STATUS_OK; i++)
            status = insert(s, &s->held[i], &changes);
    let_go(s->held, count);
    return status;
}

void new_runs_forget(struct sqlite *s)
{
    let_go(s->held, s->held_count);
    s->held_count = 0;
    s->database.holds_back = false;
}

static enum status hold(struct sqlite *s, const struct run *run)
{
    struct run *held = &s->held[s->held_count++];
    *held = *run;
    held->reason = memory_text(run->reason);
    held->payload = run->payload ? memory_copy(run->payload, run->payload_size) : NULL;
    s->database.holds_back = true;
    return s->held_count == NEW_RUNS_HELD ? new_runs_write(s) : STATUS_OK;
}

enum status sqlite_add_run(struct store *store, const struct run *run)
{
    struct sqlite *s = sqlite_of(store);
    assert(run->state != RUN_DUE); // never stored
    if (s->database.broken)
        return STATUS_FAILED;
    if (run->trigger == TRIGGER_SCHEDULE || run->trigger == TRIGGER_CATCH_UP) {
        int changes = 0;
        enum status status = new_runs_write(s); // they use the same statement
        if (status == STATUS_OK)
            status = insert(s, run, &changes);
        if (status != STATUS_OK || changes == 0)
            return status == STATUS_OK ? STATUS_CONFLICT : status;
    } else {
        enum status status = hold(s, run);
        if (status != STATUS_OK)
            return status;
    }
    books_entered(s, RUN_SCHEDULED);
    if (run_state_is_final(run->state))
        books_entered(s, run->state);
    if (!run->task && run->revision_id)
        books_use(s, run->revision_id, 1);
    return sqlite_add_deadline(s, run);
}
