#include "scheduler/known.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define KNOWN_MAX 20000 // entries of each kind; a decoded task takes about 2 KiB

struct known_definition {
    int64_t row;
    uint64_t text_hash;
    struct task *task;
};

void known_init(struct known *known, struct store *store)
{
    *known = (struct known){.store = store};
}

static void free_task(struct known_task *entry)
{
    task_record_done(&entry->record);
    task_drop(entry->task);
    free(entry);
}

static void empty_tasks(struct known *known)
{
    uint64_t key;
    void *entry;
    for (size_t at = 0; map_each(&known->by_id, &at, &key, &entry);)
        free_task(entry);
    map_done(&known->by_id);
    map_done(&known->by_name);
}

static void empty_definitions(struct known *known)
{
    uint64_t key;
    void *value;
    for (size_t at = 0; map_each(&known->by_row, &at, &key, &value);) {
        task_drop(((struct known_definition *)value)->task);
        free(value);
    }
    map_done(&known->by_row);
    map_done(&known->by_text);
}

void known_done(struct known *known)
{
    empty_tasks(known);
    empty_definitions(known);
}

void known_trim(struct known *known)
{
    if (known->by_id.count > KNOWN_MAX)
        empty_tasks(known);
    if (known->by_row.count > KNOWN_MAX)
        empty_definitions(known);
}

static uint64_t name_key(const char *name)
{
    return hash_bytes(name, strlen(name));
}

// Decodes and keeps a record just read; takes it over whatever comes of it.
static enum status keep_task(struct known *known, struct task_record *record,
                             struct known_task **ret)
{
    struct task *task;
    enum status status =
        task_decode_text(record->name, record->definition, record->definition_size, &task);
    if (status != STATUS_OK) {
        task_record_done(record);
        return STATUS_FAILED; // the store holds only what was decoded before
    }
    struct known_task *entry = memory_new(sizeof *entry);
    entry->record = *record;
    entry->task = task;
    map_put(&known->by_id, (uint64_t)record->id, entry);
    map_put(&known->by_name, name_key(record->name), entry);
    *ret = entry;
    return STATUS_OK;
}

enum status known_task(struct known *known, const char *name, struct known_task **ret)
{
    struct known_task *entry = map_get(&known->by_name, name_key(name));
    if (entry && strcmp(entry->record.name, name) == 0) {
        *ret = entry;
        return STATUS_OK;
    }
    struct task_record record;
    enum status status = store_find_task(known->store, name, &record);
    if (status != STATUS_OK)
        return status;
    entry = map_get(&known->by_id, (uint64_t)record.id);
    if (!entry)
        return keep_task(known, &record, ret);
    task_record_done(&record); // known already, its name's hash taken by another
    *ret = entry;
    return STATUS_OK;
}

enum status known_task_by_id(struct known *known, int64_t id, struct known_task **ret)
{
    struct known_task *entry = map_get(&known->by_id, (uint64_t)id);
    if (entry) {
        *ret = entry;
        return STATUS_OK;
    }
    struct task_record record;
    enum status status = store_find_task_by_id(known->store, id, &record);
    return status == STATUS_OK ? keep_task(known, &record, ret) : status;
}

void known_forget(struct known *known, int64_t id)
{
    struct known_task *entry = map_remove(&known->by_id, (uint64_t)id);
    if (!entry)
        return;
    uint64_t key = name_key(entry->record.name);
    if (map_get(&known->by_name, key) == entry)
        map_remove(&known->by_name, key);
    free_task(entry);
}

static struct known_definition *keep_definition(struct known *known, int64_t row, struct task *task)
{
    struct known_definition *entry = memory_new(sizeof *entry);
    *entry = (struct known_definition){
        .row = row, .text_hash = hash_bytes(task->definition, task->definition_size), .task = task};
    map_put(&known->by_row, (uint64_t)row, entry);
    return entry;
}

enum status known_definition_row(struct known *known, struct task *task, wall now,
                                 int64_t *ret_revision_id)
{
    uint64_t hash = hash_bytes(task->definition, task->definition_size);
    struct known_definition *entry = map_get(&known->by_text, hash);
    if (entry && strcmp(entry->task->definition, task->definition) == 0) {
        *ret_revision_id = entry->row;
        return STATUS_OK;
    }
    int64_t row;
    enum status status =
        store_keep_definition(known->store, task->definition, task->definition_size, now, &row);
    if (status != STATUS_OK)
        return status;
    entry = map_get(&known->by_row, (uint64_t)row);
    if (!entry)
        entry = keep_definition(known, row, task_hold(task));
    map_put(&known->by_text, hash, entry);
    *ret_revision_id = row;
    return STATUS_OK;
}

enum status known_definition(struct known *known, int64_t revision_id, struct task **ret)
{
    struct known_definition *entry = map_get(&known->by_row, (uint64_t)revision_id);
    if (!entry) {
        char *name, *text;
        size_t size;
        struct task *task;
        enum status status = store_load_definition(known->store, revision_id, &name, &text, &size);
        if (status != STATUS_OK)
            return status;
        status = task_decode_text(name, text, size, &task);
        free(name);
        free(text);
        if (status != STATUS_OK)
            return STATUS_FAILED;
        entry = keep_definition(known, revision_id, task);
    }
    *ret = entry->task;
    return STATUS_OK;
}

void known_forget_definition(struct known *known, int64_t row)
{
    struct known_definition *entry = map_remove(&known->by_row, (uint64_t)row);
    if (!entry)
        return;
    if (map_get(&known->by_text, entry->text_hash) == entry)
        map_remove(&known->by_text, entry->text_hash);
    task_drop(entry->task);
    free(entry);
}
