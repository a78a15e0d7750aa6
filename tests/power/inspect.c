#include "inspect.h"

#include <stdio.h>
#include <string.h>

#include "base/map.h"
#include "store/sqlite.h"

sqlite3 *inspect_handle(struct store *store)
{
    return sqlite_of(store)->database.handle;
}

static void mix(uint64_t *hash, const void *bytes, size_t size)
{
    uint64_t pair[2] = {*hash, size ? hash_bytes(bytes, size) : 0};
    *hash = hash_bytes(pair, sizeof pair);
}

static bool mix_rows(sqlite3 *handle, const char *sql, uint64_t *hash)
{
    sqlite3_stmt *q = NULL;
    int code = sqlite3_prepare_v2(handle, sql, -1, &q, NULL);
    while (code == SQLITE_OK && (code = sqlite3_step(q)) == SQLITE_ROW) {
        for (int i = 0; i < sqlite3_column_count(q); i++) {
            char kind = (char)sqlite3_column_type(q, i);
            const void *bytes = sqlite3_column_blob(q, i);
            mix(hash, &kind, 1);
            mix(hash, bytes, (size_t)sqlite3_column_bytes(q, i));
        }
        code = SQLITE_OK;
    }
    sqlite3_finalize(q);
    return code == SQLITE_DONE;
}

uint64_t inspect_hash(sqlite3 *handle)
{
    // Those two are written by the commit itself, and this is asked before it; inspect_check holds
    // them against the runs.
    static const char list[] = "SELECT name FROM sqlite_schema WHERE type = 'table'"
                               " AND name NOT IN ('books', 'definition_uses') ORDER BY name";
    uint64_t hash = 1;
    sqlite3_stmt *q = NULL;
    bool well = mix_rows(handle, "SELECT type, name, sql FROM sqlite_schema ORDER BY name", &hash);
    int code = sqlite3_prepare_v2(handle, list, -1, &q, NULL);
    while (well && code == SQLITE_OK && (code = sqlite3_step(q)) == SQLITE_ROW) {
        char sql[200];
        snprintf(sql, sizeof sql, "SELECT * FROM \"%s\"", (const char *)sqlite3_column_text(q, 0));
        well = mix_rows(handle, sql, &hash);
        code = SQLITE_OK;
    }
    sqlite3_finalize(q);
    return well && code == SQLITE_DONE ? hash : 0;
}

// Each counts rows that must not be there.
static const struct {
    const char *wrong, *sql;
} rules[] = {
    {"runs whose fence is below the number of their attempts",
     "SELECT count(*) FROM runs WHERE fence < attempts"},
    // Each release takes an attempt back and leaves the fence: verbs.c keeps their number.
    {"fences that are not the number of attempts and releases",
     "SELECT (SELECT coalesce(sum(fence - attempts), 0) FROM runs) <>"
     " coalesce((SELECT CAST(value AS INTEGER) FROM settings WHERE name = 'released'), 0)"},
    {"ended runs that the books count otherwise",
     "SELECT count(*) FROM books b WHERE b.state >= 4 AND b.entered - b.cleared <>"
     " (SELECT count(*) FROM runs r WHERE r.state = b.state)"},
    {"runs that the books count otherwise",
     "SELECT entered - (SELECT sum(cleared) FROM books) <> (SELECT count(*) FROM runs)"
     " FROM books WHERE state = 0"},
    {"inline definitions whose uses are counted otherwise",
     "SELECT count(*) FROM definition_uses u WHERE u.uses <> (SELECT count(*) FROM runs r"
     " WHERE r.task_id IS NULL AND r.revision_id = u.revision_id)"},
    {"runs whose inline definition is gone or not counted",
     "SELECT count(*) FROM runs r WHERE r.task_id IS NULL AND NOT EXISTS"
     " (SELECT 1 FROM definition_uses u JOIN revisions v ON v.id = u.revision_id"
     " WHERE u.revision_id = r.revision_id)"},
    {"failed runs that nobody handled and no dead letter tells of",
     "SELECT count(*) FROM runs r WHERE state = 5 AND handled IS NULL AND NOT EXISTS"
     " (SELECT 1 FROM dead_letters d WHERE d.run_id = r.id AND d.task_id IS r.task_id)"},
    {"dead letters of runs that are none",
     "SELECT count(*) FROM dead_letters d WHERE NOT EXISTS"
     " (SELECT 1 FROM runs r WHERE r.id = d.run_id AND r.state = 5 AND r.handled IS NULL)"},
    {"scheduled runs whose deadline is not known",
     "SELECT count(*) FROM runs r WHERE state = 0 AND deadline_at IS NOT NULL AND NOT EXISTS"
     " (SELECT 1 FROM deadlines d WHERE d.at = r.deadline_at AND d.run_id = r.id)"},
    {"runs that run and have no attempt under way",
     "SELECT count(*) FROM runs WHERE state = 2 AND attempt_started_at IS NULL"},
    {"runs that ended and have no instant of it, or the reverse",
     "SELECT count(*) FROM runs WHERE (state >= 4) <> (finished_at IS NOT NULL)"},
    {"attempts without a run, beyond its number or fence",
     "SELECT count(*) FROM attempts a LEFT JOIN runs r ON r.id = a.run_id"
     " WHERE r.id IS NULL OR a.number > r.attempts OR a.fence > r.fence OR a.number < 1"},
    {"runs with a hole in the numbers of their attempts",
     "SELECT count(*) FROM runs r WHERE (SELECT count(*) FROM attempts a WHERE a.run_id = r.id)"
     " <> (SELECT coalesce(max(number), 0) FROM attempts a WHERE a.run_id = r.id)"},
    {"tasks whose newest revision is not there",
     "SELECT count(*) FROM tasks t WHERE NOT EXISTS (SELECT 1 FROM revisions v"
     " WHERE v.id = t.revision_id AND v.task_id = t.id AND v.number = t.revision)"},
    {"tasks with revisions and no audit record for each",
     "SELECT count(*) FROM revisions v WHERE task_id IS NOT NULL AND NOT EXISTS"
     " (SELECT 1 FROM audit a WHERE a.task_id = v.task_id AND a.revision = v.number)"},
};

// The first row that `sql` answers, as a text; "" where it fails.
static void ask(sqlite3 *handle, const char *sql, char *ret, size_t size)
{
    sqlite3_stmt *q = NULL;
    *ret = '\0';
    if (sqlite3_prepare_v2(handle, sql, -1, &q, NULL) == SQLITE_OK && sqlite3_step(q) == SQLITE_ROW)
        snprintf(ret, size, "%s", (const char *)sqlite3_column_text(q, 0));
    sqlite3_finalize(q);
}

bool inspect_check(sqlite3 *handle, char *why, size_t size)
{
    char answer[300];
    ask(handle, "PRAGMA integrity_check", answer, sizeof answer);
    if (strcmp(answer, "ok") != 0) {
        snprintf(why, size, "integrity check: %s", *answer ? answer : sqlite3_errmsg(handle));
        return false;
    }
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        ask(handle, rules[i].sql, answer, sizeof answer);
        if (strcmp(answer, "0") == 0)
            continue;
        snprintf(why, size, "%s: %s", rules[i].wrong, *answer ? answer : sqlite3_errmsg(handle));
        return false;
    }
    return true;
}
