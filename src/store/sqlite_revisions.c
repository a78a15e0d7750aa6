#include <string.h>

#include "base/map.h"
#include "store/sqlite.h"

enum { FIND, SAME, KEEP, LOAD, STATEMENTS };

static const char *const texts[STATEMENTS] = {
    [FIND] = "SELECT definition FROM revisions WHERE task_id = ?1 AND number = ?2",
    // The hash finds candidates, the text decides.
    [SAME] = ("SELECT id FROM revisions INDEXED BY revisions_inline"
              " WHERE task_id IS NULL AND hash = ?1 AND definition = ?2"),
    [KEEP] = ("INSERT INTO revisions (task_id, number, hash, made_at, definition)"
              " VALUES (NULL, 0, ?1, ?2, ?3)"),
    [LOAD] = ("SELECT t.name, v.definition FROM revisions v LEFT JOIN tasks t ON t.id = v.task_id"
              " WHERE v.id = ?1"),
};

enum status sqlite_prepare_revisions(struct sqlite *s)
{
    return database_prepare(&s->database, texts, STATEMENTS, &s->revisions);
}

enum status sqlite_find_revision(struct store *store, int64_t task, int number,
                                 char **ret_definition, size_t *ret_size)
{
    struct sqlite *s = sqlite_of(store);
    sqlite3_stmt *q = s->revisions[FIND];
    bind_int(q, 1, task);
    bind_int(q, 2, number);
    enum status status = database_one(&s->database, q);
    if (status == STATUS_OK)
        *ret_definition = column_bytes(q, 0, ret_size);
    sqlite3_reset(q);
    return status;
}

enum status sqlite_keep_definition(struct store *store, const char *definition, size_t size,
                                   wall now, int64_t *ret_revision_id)
{
    struct sqlite *s = sqlite_of(store);
    sqlite3_stmt *q = s->revisions[SAME];
    int64_t hash = (int64_t)hash_bytes(definition, size);
    bind_int(q, 1, hash);
    bind_bytes(q, 2, definition, size);
    enum status status = database_one(&s->database, q);
    if (status == STATUS_OK)
        *ret_revision_id = sqlite3_column_int64(q, 0);
    sqlite3_reset(q);
    if (status != STATUS_NOT_FOUND)
        return status;
    q = s->revisions[KEEP];
    bind_int(q, 1, hash);
    bind_int(q, 2, now.us);
    bind_bytes(q, 3, definition, size);
    status = database_do(&s->database, q);
    if (status == STATUS_OK)
        *ret_revision_id = sqlite3_last_insert_rowid(s->database.handle);
    return status;
}

enum status sqlite_load_definition(struct store *store, int64_t revision_id, char **ret_name,
                                   char **ret_definition, size_t *ret_size)
{
    struct sqlite *s = sqlite_of(store);
    sqlite3_stmt *q = s->revisions[LOAD];
    bind_int(q, 1, revision_id);
    enum status status = database_one(&s->database, q);
    if (status == STATUS_OK) {
        *ret_name = column_text(q, 0);
        *ret_definition = column_bytes(q, 1, ret_size);
    }
    sqlite3_reset(q);
    return status;
}
