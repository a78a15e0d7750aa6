#include <stdlib.h>

#include "base/memory.h"
#include "core/task_definition.h"

#define SET_TASKS_MAX 10000

// A set being decoded: the members are only found here, as tasks need the defaults wherever these
// stand.
struct draft {
    const json_t *defaults, *tasks;
};

static void keep(const struct place *at, const struct field *field, const json_t *value, void *into)
{
    (void)at;
    *(const json_t **)((char *)into + field->offset) = value;
}

static void read_version(const struct place *at, const struct field *field, const json_t *value,
                         void *into)
{
    (void)field;
    (void)into;
    if (!json_is_integer(value) || json_integer_value(value) != 1)
        faults_add(at->faults, at->pointer, "must be 1: the only version of this format so far");
}

static const struct field set_fields[] = {
    {"version", read_version, .required = true},
    {"defaults", keep, offsetof(struct draft, defaults)},
    {"tasks", keep, offsetof(struct draft, tasks), .required = true},
};

void task_set_done(struct task_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        task_drop(set->tasks[i]);
    free(set->tasks);
    *set = (struct task_set){0};
}

static void read_tasks(const struct place *at, const json_t *tasks, const json_t *defaults,
                       struct task_set *set)
{
    if (!decode_is(at, tasks, JSON_OBJECT,
                   "an object from the names of tasks to their definitions"))
        return;
    if (json_object_size(tasks) > SET_TASKS_MAX) {
        faults_add(at->faults, at->pointer, "must have at most %d tasks, and has %zu",
                   SET_TASKS_MAX, json_object_size(tasks));
        return;
    }
    set->tasks = memory_array(json_object_size(tasks), sizeof *set->tasks);
    char pointer[POINTER_MAX];
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)tasks, name, value)
    {
        struct place below = place_below(at, name, pointer);
        if (task_decode(name, value, defaults, below.pointer, at->faults,
                        &set->tasks[set->count]) == STATUS_OK)
            set->count++;
    }
}

enum status task_set_decode(const json_t *value, struct faults *faults, struct task_set *ret)
{
    struct place at = {"", faults};
    struct draft draft = {0};
    struct task_set set = {0};
    size_t before = faults->count;
    char pointer[POINTER_MAX];
    decode_object(&at, set_fields, sizeof set_fields / sizeof *set_fields, value, &draft);
    if (draft.defaults) {
        size_t sound = faults->count;
        struct place below = place_below(&at, "defaults", pointer);
        task_check_defaults(&below, draft.defaults);
        if (faults->count > sound)
            draft.defaults = NULL; // said once, not again for every task
    }
    if (draft.tasks) {
        struct place below = place_below(&at, "tasks", pointer);
        read_tasks(&below, draft.tasks, draft.defaults, &set);
    }
    if (faults->count > before) {
        task_set_done(&set);
        return STATUS_INVALID;
    }
    *ret = set;
    return STATUS_OK;
}
