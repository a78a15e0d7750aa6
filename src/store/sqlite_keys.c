#include "store/sqlite.h"

enum { FIND, KEEP, CLEAR, STATEMENTS };

static const char *const texts[STATEMENTS] = {
    [FIND] = "SELECT fingerprint, body FROM keys WHERE key = ?1 AND expires_at > ?2",
    [KEEP] = ("INSERT INTO keys (key, fingerprint, expires_at, body) VALUES (?1, ?2, ?3, ?4)"
              // One that has expired and is not cleared yet gives way.
              " ON CONFLICT (key) DO UPDATE SET fingerprint = excluded.fingerprint,"
              " expires_at = excluded.expires_at, body = excluded.body"),
    [CLEAR] = ("DELETE FROM keys WHERE id IN (SELECT id FROM keys INDEXED BY keys_expire"
               " WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)"),
};

enum status sqlite_prepare_keys(struct sqlite *s)
{
    return database_prepare(&s->database, texts, STATEMENTS, &s->keys);
}

enum status sqlite_find_key(struct store *store, const char *key, wall now,
                            uint64_t *ret_fingerprint, char **ret_body, size_t *ret_size)
{
    struct sqlite *s = sqlite_of(store);
    sqlite3_stmt *q = s->keys[FIND];
    bind_text(q, 1, key);
    bind_int(q, 2, now.us);
    enum status status = database_one(&s->database, q);
    if (status == STATUS_OK) {
        *ret_fingerprint = (uint64_t)sqlite3_column_int64(q, 0);
        *ret_body = column_bytes(q, 1, ret_size);
    }
    sqlite3_reset(q);
    return status;
}

enum status sqlite_keep_key(struct store *store, const char *key, uint64_t fingerprint,
                            const char *body, size_t size, wall expires_at)
{
    struct sqlite *s = sqlite_of(store);
    sqlite3_stmt *q = s->keys[KEEP];
    bind_text(q, 1, key);
    bind_int(q, 2, (int64_t)fingerprint);
    bind_int(q, 3, expires_at.us);
    bind_blob(q, 4, body ? body : "", size);
    return database_do(&s->database, q);
}

enum status sqlite_clear_keys(struct store *store, wall now, size_t max)
{
    struct sqlite *s = sqlite_of(store);
    bind_int(s->keys[CLEAR], 1, now.us);
    bind_int(s->keys[CLEAR], 2, (int64_t)max);
    return database_do(&s->database, s->keys[CLEAR]);
}
