#include "server/apply_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/logline.h"
#include "base/memory.h"
#include "base/now.h"
#include "core/yaml.h"
#include "server/attempt_log.h"

#define FILE_MAX (8 << 20)

static bool read_file(const char *path, struct buffer *ret)
{
    FILE *file = fopen(path, "re");
    char chunk[16384];
    size_t size;
    if (!file) {
        fprintf(stderr, "punctual: cannot read %s: %s\n", path, strerror(errno));
        return false;
    }
    while ((size = fread(chunk, 1, sizeof chunk, file)) > 0)
        buffer_add(ret, chunk, size);
    bool whole = !ferror(file) && !ret->overflow;
    if (!whole)
        fprintf(stderr, "punctual: cannot read %s: %s\n", path,
                ret->overflow ? "it is larger than 8 MiB" : strerror(errno));
    fclose(file);
    return whole;
}

static void say_faults(const char *path, const struct faults *faults)
{
    for (size_t i = 0; i < faults_kept(faults); i++) {
        const struct fault *fault = &faults->items[i];
        fprintf(stderr, "%s:%d:%d: %s%s%s\n", path, fault->line, fault->column, fault->pointer,
                *fault->pointer ? ": " : "", fault->detail);
    }
    if (faults->count > faults_kept(faults))
        fprintf(stderr, "%s: and %zu more\n", path, faults->count - faults_kept(faults));
}

static void check_commands(const struct task_set *set, struct faults *faults)
{
    for (size_t i = 0; i < set->count; i++) {
        char pointer[TASK_NAME_MAX + 32];
        if (set->tasks[i]->target.kind != TARGET_COMMAND)
            continue;
        snprintf(pointer, sizeof pointer, "/tasks/%s/command", set->tasks[i]->name);
        faults_add(
            faults, pointer,
            "commands are not allowed here: start the server with --allow-commands, or use http");
    }
}

static enum status decode(const struct config *config, const struct buffer *text,
                          struct faults *faults, struct task_set *ret)
{
    json_t *value;
    struct yaml_places *places;
    enum status status = yaml_read(text->data, text->size, getenv, faults, &value, &places);
    if (status != STATUS_OK)
        return status;
    status = task_set_decode(value, faults, ret);
    if (status == STATUS_OK && !config->allow_commands) {
        check_commands(ret, faults);
        if (faults->count) {
            task_set_done(ret);
            status = STATUS_INVALID;
        }
    }
    yaml_place_faults(places, faults);
    yaml_places_free(places);
    json_decref(value);
    return status;
}

// One turn for the whole set. What it starts goes to the dispatcher.
static enum status apply(const char *path, struct task_set *set, struct scheduler *scheduler,
                         struct dispatcher *dispatcher)
{
    struct message *m = message_new(MESSAGE_APPLY);
    struct outbox out;
    m->set = *set;
    m->author = memory_text("punctual serve --apply");
    m->note = memory_text(path);
    enum status status = scheduler_turn(scheduler, wall_now(), &m->letter, &out);
    dispatcher_post_all(dispatcher, out.orders);
    attempts_log(wall_now(), out.attempts);
    if (status == STATUS_OK)
        logline_say(wall_now(), LEVEL_INFO, "applied", "%zu tasks of %s", m->set.count, path);
    else
        fprintf(stderr, "punctual: %s\n", m->reply.detail);
    message_free(m);
    return status;
}

enum status apply_file(const struct config *config, struct scheduler *scheduler,
                       struct dispatcher *dispatcher)
{
    struct buffer text;
    struct faults faults = {0};
    struct task_set set = {0};
    enum status status = STATUS_INVALID;
    if (!config->apply)
        return STATUS_OK;
    buffer_init(&text, FILE_MAX);
    if (read_file(config->apply, &text)) {
        if (decode(config, &text, &faults, &set) == STATUS_OK)
            status = apply(config->apply, &set, scheduler, dispatcher);
        else
            say_faults(config->apply, &faults);
    }
    faults_done(&faults);
    buffer_done(&text);
    return status;
}
