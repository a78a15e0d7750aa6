// The books: how many runs entered each state, and how often inline definitions are used. Counted
// in memory while the turn lasts and written once, in its commit: two rows of one page, whatever
// the turn did.
#include <stdlib.h>

#include "base/memory.h"
#include "store/sqlite.h"

enum { ADD, USE, STATEMENTS };

static const char *const texts[STATEMENTS] = {
    [ADD] = "UPDATE books SET entered = entered + ?2, cleared = cleared + ?3 WHERE state = ?1",
    [USE] = ("INSERT INTO definition_uses (revision_id, uses) VALUES (?1, ?2)"
             " ON CONFLICT (revision_id) DO UPDATE SET uses = uses + excluded.uses"),
};

struct definition_use {
    int64_t by;
};

enum status sqlite_prepare_books(struct sqlite *s)
{
    return database_prepare(&s->database, texts, STATEMENTS, &s->books);
}

void books_entered(struct sqlite *s, enum run_state state)
{
    s->entered[state]++;
}

void books_cleared(struct sqlite *s, enum run_state state)
{
    s->cleared[state]++;
}

void books_use(struct sqlite *s, int64_t revision_id, int64_t by)
{
    struct definition_use *use = map_get(&s->uses, (uint64_t)revision_id);
    if (!use) {
        use = memory_new(sizeof *use);
        map_put(&s->uses, (uint64_t)revision_id, use);
    }
    use->by += by;
}

void books_forget(struct sqlite *s)
{
    uint64_t key;
    void *use;
    for (unsigned i = 0; i < RUN_STATE_COUNT; i++)
        s->entered[i] = s->cleared[i] = 0;
    if (s->uses.count == 0)
        return;
    for (size_t at = 0; map_each(&s->uses, &at, &key, &use);)
        free(use);
    map_done(&s->uses);
}

static enum status write_uses(struct sqlite *s)
{
    uint64_t key;
    void *value;
    enum status status = STATUS_OK;
    for (size_t at = 0; status == STATUS_OK && map_each(&s->uses, &at, &key, &value);) {
        bind_int(s->books[USE], 1, (int64_t)key);
        bind_int(s->books[USE], 2, ((struct definition_use *)value)->by);
        status = database_do(&s->database, s->books[USE]);
    }
    return status;
}

enum status books_write(struct sqlite *s)
{
    enum status status = write_uses(s);
    for (unsigned i = 0; i < RUN_STATE_COUNT && status == STATUS_OK; i++) {
        if (s->entered[i] == 0 && s->cleared[i] == 0)
            continue;
        bind_int(s->books[ADD], 1, i);
        bind_int(s->books[ADD], 2, s->entered[i]);
        bind_int(s->books[ADD], 3, s->cleared[i]);
        status = database_do(&s->database, s->books[ADD]);
    }
    if (status == STATUS_OK)
        books_forget(s);
    return status;
}
