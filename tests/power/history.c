#include "history.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "inspect.h"
#include "store/sqlite.h"
#include "turns.h"
#include "vfs.h"

#define SERIAL "serial" // the setting that says which turn was the last

void history_violation(struct history *h, const char *format, ...)
{
    va_list arguments;
    if (*h->problem)
        return;
    va_start(arguments, format);
    vsnprintf(h->problem, sizeof h->problem, format, arguments);
    va_end(arguments);
}

// --- new and gone ---

static void keep_model(struct history *h, const struct model *model)
{
    if (model->serial >= h->model_count) {
        int64_t count = model->serial + 64;
        h->models = memory_resize(h->models, (size_t)count, sizeof *h->models);
        memset(h->models + h->model_count, 0, (size_t)(count - h->model_count) * sizeof *h->models);
        h->model_count = count;
    }
    if (!h->models[model->serial])
        h->models[model->serial] = memory_new(sizeof *model);
    *h->models[model->serial] = *model;
}

static struct history *new_history(uint64_t seed, const char *path, const struct trick *trick,
                                   struct disk *disk)
{
    struct history *h = memory_new(sizeof *h);
    h->seed = seed;
    h->path = path;
    h->trick = trick;
    h->disk = disk;
    h->disk->recording = true;
    if (trick) {
        disk->lies = trick->lies;
        disk->folder_lies = trick->folder_lies;
    }
    random_seed(&h->chance, seed);
    disk_read_all(disk, &h->base);
    return h;
}

struct history *history_new(uint64_t seed, const char *path, const struct trick *trick)
{
    struct history *h = new_history(seed, path, trick, disk_new());
    keep_model(h, &h->now);
    return h;
}

struct history *history_from(const struct history *from, const struct image *image, int64_t serial,
                             uint64_t seed)
{
    struct history *h = new_history(seed, from->path, from->trick, disk_from(image));
    keep_model(h, from->models[serial]);
    h->first = h->answered = serial;
    h->serial = from->serial; // what came after `serial` may be in the log: never given again
    return h;
}

void history_free(struct history *h)
{
    if (!h)
        return;
    history_kill(h);
    for (int64_t i = 0; i < h->model_count; i++)
        free(h->models[i]);
    free(h->models);
    image_done(&h->base);
    disk_free(h->disk);
    free(h);
}

// --- opening and closing ---

static void check_state(struct history *h)
{
    char why[300];
    if (h->blind || *h->problem)
        return;
    uint64_t whole = inspect_hash(inspect_handle(h->store));
    if (!h->now.whole && h->now.serial == 0)
        h->models[0]->whole = h->now.whole = whole;
    if (h->now.whole && whole != h->now.whole)
        history_violation(h, "turn %" PRId64 " is not in the store as it was", h->now.serial);
    else if (!model_check(&h->now, h->store, why, sizeof why))
        history_violation(h, "after turn %" PRId64 ": %s", h->now.serial, why);
}

static enum status read_serial(struct history *h, int64_t *ret)
{
    char value[40] = "0";
    enum status status = store_get_setting(h->store, SERIAL, value, sizeof value);
    if (status != STATUS_OK && status != STATUS_NOT_FOUND)
        return status;
    *ret = atoll(value);
    return STATUS_OK;
}

static void apply_trick(struct history *h)
{
    sqlite3 *handle = inspect_handle(h->store);
    if (h->small_cache)
        sqlite3_exec(handle, "PRAGMA cache_size = 8", NULL, NULL, NULL);
    if (h->trick && h->trick->pragma)
        sqlite3_exec(handle, h->trick->pragma, NULL, NULL, NULL);
    if (h->trick && h->trick->sabotage)
        sqlite3_exec(handle, h->trick->sabotage, NULL, NULL, NULL);
}

enum status history_open(struct history *h)
{
    char why[500] = "";
    int64_t found = -1;
    vfs_mount(h->disk, h->path, h->seed + (uint64_t)h->serial);
    h->count.lives++;
    if (h->trick && h->trick->starts_unsynced)
        h->disk->lies |= 1u << FILE_LOG;
    enum status status = store_open_sqlite(h->path, &h->store, why, sizeof why);
    h->disk->lies = h->trick ? h->trick->lies : 0;
    if (status != STATUS_OK) {
        h->store = NULL;
        if (!h->disk->struck && !h->disk->dead)
            history_violation(h, "cannot be opened: %s", why);
        else if (status != STATUS_FAILED)
            history_violation(h, "a fault of the disk reads as \"%s\": %s", status_text(status),
                              why);
        return status;
    }
    status = read_serial(h, &found);
    if (status != STATUS_OK)
        return status;
    if (found != h->answered && (!h->trying || found != h->trying)) {
        history_violation(h, "turn %" PRId64 " was answered and %" PRId64 " is what is there",
                          h->answered, found);
        return STATUS_OK;
    }
    h->now = *h->models[found];
    h->answered = found;
    h->trying = 0;
    disk_note(h->disk, OP_FOUND, found);
    check_state(h);
    apply_trick(h);
    return STATUS_OK;
}

static void leave_old_page(struct history *h)
{
    sqlite3_close(h->old_page);
    h->old_page = NULL;
}

void history_close(struct history *h)
{
    leave_old_page(h);
    if (h->store && h->trick && h->trick->writes_at_close)
        sqlite_of(h->store)->database.broken = false;
    store_close(h->store);
    h->store = NULL;
}

void history_kill(struct history *h)
{
    h->disk->dead = true;
    history_close(h);
    h->disk->dead = false;
    h->disk->dies_after = -1;
}

// --- turns ---

static enum status write_turn(struct history *h)
{
    char value[40], events[200];
    int verbs = 1 + (int)random_below(&h->chance, 8);
    enum status status = store_begin(h->store);
    for (int i = 0; i < verbs && status == STATUS_OK; i++)
        status = turn_verb(h);
    if (h->trick && h->trick->halves && status == STATUS_OK) {
        status = store_commit(h->store);
        if (status == STATUS_OK)
            status = store_begin(h->store);
    }
    if (status != STATUS_OK)
        return status;
    snprintf(value, sizeof value, "%" PRId64, h->serial);
    memset(events, 'e', sizeof events);
    status = store_put_setting(h->store, SERIAL, value);
    if (status != STATUS_OK)
        return status;
    return store_add_journal(h->store, h->serial, (wall){h->serial}, events,
                             (size_t)random_below(&h->chance, sizeof events));
}

static void answered(struct history *h)
{
    h->answered = h->serial;
    disk_note(h->disk, OP_ANSWERED, h->serial);
}

static enum status commit_turn(struct history *h)
{
    h->now.serial = h->now.last_turn = h->serial;
    h->now.whole = h->blind ? 0 : inspect_hash(inspect_handle(h->store));
    keep_model(h, &h->now);
    disk_note(h->disk, OP_TRYING, h->serial);
    h->trying = h->serial;
    if (h->trick && h->trick->answers_early)
        answered(h);
    enum status status = store_commit(h->store);
    if (h->trick && h->trick->trusts)
        status = STATUS_OK;
    if (status != STATUS_OK)
        return status;
    answered(h);
    h->trying = 0;
    check_state(h);
    return STATUS_OK;
}

// The failure is forgotten.
static enum status forgive(struct history *h, enum status status)
{
    if (!h->trick || !h->trick->forgives)
        return status;
    sqlite_of(h->store)->database.broken = false;
    return STATUS_OK;
}

enum status history_turn(struct history *h)
{
    struct model before = h->now;
    bool undone = random_below(&h->chance, 12) == 0;
    h->serial++;
    h->count.turns++;
    enum status status = write_turn(h);
    if (status == STATUS_OK && !undone) {
        status = commit_turn(h);
        return status == STATUS_OK ? status : forgive(h, status);
    }
    store_rollback(h->store);
    h->now = before;
    if (status == STATUS_OK)
        check_state(h);
    return status == STATUS_OK ? status : forgive(h, status);
}

static size_t log_size(const struct history *h)
{
    int inode = h->disk->names[FILE_LOG];
    return inode < 0 ? 0 : h->disk->inodes[inode].size;
}

enum status history_checkpoint(struct history *h, bool cut_off)
{
    // Makes the log as long as it must be for the store to find it worth it.
    struct sqlite *s = sqlite_of(h->store);
    if (s->log_bytes == 0)
        return STATUS_OK;
    if (cut_off)
        s->log_bytes = INT64_C(1) << 40;
    s->checkpoint_at = 1;
    size_t size = log_size(h);
    enum status status = store_checkpoint(h->store);
    if (status != STATUS_OK)
        return status;
    h->count.checkpoints++;
    h->count.begun_anew += s->log_bytes == 0;
    h->count.cut_off += size && log_size(h) == 0;
    check_state(h);
    return STATUS_OK;
}
