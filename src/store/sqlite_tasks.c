#include <stdlib.h>

#include "store/rows.h"
#include "store/sqlite.h"

enum { FIND, FIND_BY_ID, NEXT, WAS_DELETED, MAKE, ADD_REVISION, UPDATE, MARK, AUDIT, STATEMENTS };

static const char *const texts[STATEMENTS] = {
    [FIND] = ("SELECT " TASK_COLUMNS " FROM " TASK_TABLES " WHERE t.name = ?1"),
    [FIND_BY_ID] = "SELECT " TASK_COLUMNS " FROM " TASK_TABLES " WHERE t.id = ?1",
    [NEXT] = ("SELECT " TASK_COLUMNS " FROM " TASK_TABLES
              " WHERE t.name > ?1 AND NOT t.deleted ORDER BY t.name LIMIT 1"),
    [WAS_DELETED] = "SELECT deleted FROM tasks WHERE id = ?1",
    [MAKE] = ("INSERT INTO tasks (name, revision, generation, deleted, created_at, changed_at)"
              " VALUES (?1, 0, 0, 0, ?2, ?2) ON CONFLICT (name) DO NOTHING"),
    [ADD_REVISION] = ("INSERT INTO revisions (task_id, number, hash, made_at, definition)"
                      " VALUES (?1, ?2, 0, ?3, ?4)"
                      " ON CONFLICT (task_id, number) WHERE task_id IS NOT NULL DO NOTHING"),
    [UPDATE] =
        ("UPDATE tasks SET revision = ?2, revision_id = ?3, generation = ?4, deleted = ?5,"
         " paused_at = ?6, paused_by = ?7, paused_why = ?8, created_at = ?9, changed_at = ?10"
         " WHERE id = ?1"),
    [MARK] = ("UPDATE tasks SET generation = ?2, deleted = ?3, paused_at = ?4, paused_by = ?5,"
              " paused_why = ?6, changed_at = ?7 WHERE id = ?1"),
    [AUDIT] = ("INSERT INTO audit (task_id, revision, rollback_to, at, what, author, note, changed)"
               " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"),
};

enum status sqlite_prepare_tasks(struct sqlite *s)
{
    return database_prepare(&s->database, texts, STATEMENTS, &s->tasks);
}

static enum status find(struct sqlite *s, sqlite3_stmt *q, struct task_record *ret)
{
    enum status status = database_one(&s->database, q);
    if (status == STATUS_OK)
        row_task(q, ret);
    sqlite3_reset(q);
    return status;
}

enum status sqlite_find_task(struct store *store, const char *name, struct task_record *ret)
{
    struct sqlite *s = sqlite_of(store);
    bind_text(s->tasks[FIND], 1, name);
    return find(s, s->tasks[FIND], ret);
}

enum status sqlite_find_task_by_id(struct store *store, int64_t id, struct task_record *ret)
{
    struct sqlite *s = sqlite_of(store);
    bind_int(s->tasks[FIND_BY_ID], 1, id);
    return find(s, s->tasks[FIND_BY_ID], ret);
}

enum status sqlite_next_task(struct store *store, const char *after, struct task_record *ret)
{
    struct sqlite *s = sqlite_of(store);
    bind_text(s->tasks[NEXT], 1, after);
    enum status status = find(s, s->tasks[NEXT], ret);
    return status == STATUS_NOT_FOUND ? STATUS_END : status;
}

// --- saving ---

// The row of a task that has none yet, or whether the one it has was deleted: both read as
// "created" in the history.
static enum status find_row(struct sqlite *s, const struct task_record *record,
                            const struct edit *edit, int64_t *ret_id, bool *ret_created)
{
    int changes = 0;
    enum status status;
    if (record->id) {
        sqlite3_stmt *q = s->tasks[WAS_DELETED];
        bind_int(q, 1, record->id);
        status = database_one(&s->database, q);
        *ret_id = record->id;
        if (status == STATUS_OK)
            *ret_created = column_int(q, 0) != 0;
        sqlite3_reset(q);
        return status;
    }
    bind_text(s->tasks[MAKE], 1, record->name);
    bind_int(s->tasks[MAKE], 2, edit->at.us);
    status = database_change(&s->database, s->tasks[MAKE], &changes);
    if (status == STATUS_OK && changes == 0)
        status = STATUS_CONFLICT;
    *ret_id = sqlite3_last_insert_rowid(s->database.handle);
    *ret_created = true;
    return status;
}

static enum status add_revision(struct sqlite *s, int64_t task, const struct task_record *record,
                                const struct edit *edit, int64_t *ret_id)
{
    sqlite3_stmt *q = s->tasks[ADD_REVISION];
    int changes = 0;
    bind_int(q, 1, task);
    bind_int(q, 2, record->revision + 1);
    bind_int(q, 3, edit->at.us);
    bind_bytes(q, 4, record->definition, record->definition_size);
    enum status status = database_change(&s->database, q, &changes);
    if (status == STATUS_OK && changes == 0)
        status = STATUS_CONFLICT;
    *ret_id = sqlite3_last_insert_rowid(s->database.handle);
    return status;
}

static enum status update(struct sqlite *s, const struct task_record *record)
{
    sqlite3_stmt *q = s->tasks[UPDATE];
    bind_int(q, 1, record->id);
    bind_int(q, 2, record->revision);
    bind_int(q, 3, record->revision_id);
    bind_int(q, 4, record->generation);
    bind_int(q, 5, record->deleted);
    bind_wall(q, 6, record->paused_at);
    bind_text(q, 7, record->paused_by);
    bind_text(q, 8, record->paused_why);
    bind_int(q, 9, record->created_at.us);
    bind_int(q, 10, record->changed_at.us);
    return database_do(&s->database, q);
}

static enum status audit(struct sqlite *s, const struct task_record *record, const char *what,
                         const struct edit *edit)
{
    sqlite3_stmt *q = s->tasks[AUDIT];
    bind_int(q, 1, record->id);
    bind_int(q, 2, record->revision);
    bind_id(q, 3, edit->rollback_to);
    bind_int(q, 4, edit->at.us);
    bind_text(q, 5, what);
    bind_text(q, 6, edit->author);
    bind_text(q, 7, edit->note);
    bind_text(q, 8, edit->changed ? edit->changed : "[]");
    return database_do(&s->database, q);
}

enum status sqlite_save_task(struct store *store, struct task_record *record,
                             const struct edit *edit)
{
    struct sqlite *s = sqlite_of(store);
    struct task_record saved = *record;
    bool created = false;
    enum status status = find_row(s, record, edit, &saved.id, &created);
    if (status == STATUS_OK)
        status = add_revision(s, saved.id, record, edit, &saved.revision_id);
    if (status != STATUS_OK)
        return status;
    saved.revision++;
    saved.changed_at = edit->at;
    if (!wall_is_set(saved.created_at) || record->id == 0)
        saved.created_at = edit->at;
    status = update(s, &saved);
    if (status == STATUS_OK)
        status = audit(s, &saved,
                       edit->rollback_to ? "rolled back"
                       : created         ? "created"
                                         : "changed",
                       edit);
    if (status == STATUS_OK)
        *record = saved;
    return status;
}

enum status sqlite_mark_task(struct store *store, const struct task_record *record,
                             const char *what, const struct edit *edit)
{
    struct sqlite *s = sqlite_of(store);
    sqlite3_stmt *q = s->tasks[MARK];
    int changes = 0;
    bind_int(q, 1, record->id);
    bind_int(q, 2, record->generation);
    bind_int(q, 3, record->deleted);
    bind_wall(q, 4, record->paused_at);
    bind_text(q, 5, record->paused_by);
    bind_text(q, 6, record->paused_why);
    bind_int(q, 7, edit->at.us);
    enum status status = database_change(&s->database, q, &changes);
    if (status == STATUS_OK && changes == 0)
        status = STATUS_NOT_FOUND;
    return status == STATUS_OK ? audit(s, record, what, edit) : status;
}
