// POST /v1/runs/batch: a JSON array or NDJSON of up to 10,000 wishes, all or nothing.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/handlers.h"
#include "api/media.h"
#include "api/wish.h"
#include "base/memory.h"

#define BATCH_MOST 10000

struct batch {
    struct message *message;
    size_t capacity;
    bool forbidden;
    char first_forbidden[24]; // its pointer
};

// Faults that one line of NDJSON added get the line's number in the whole body.
static void number_faults(struct faults *faults, size_t before, int line)
{
    for (size_t i = before; i < faults_kept(faults); i++)
        faults->items[i].line = line;
}

static struct wish *next_wish(struct batch *batch)
{
    struct message *message = batch->message;
    if (message->wish_count == batch->capacity) {
        batch->capacity = batch->capacity ? batch->capacity * 2 : 64;
        message->wishes = memory_resize(message->wishes, batch->capacity, sizeof *message->wishes);
    }
    struct wish *wish = &message->wishes[message->wish_count++];
    *wish = (struct wish){.due_at = WALL_NONE};
    return wish;
}

static void add_wish(struct request *r, struct batch *batch, json_t *value)
{
    char pointer[24];
    snprintf(pointer, sizeof pointer, "/%zu", batch->message->wish_count);
    struct wish *wish = next_wish(batch);
    bool forbidden;
    wish_read(r, value, pointer, wish, &forbidden);
    if (forbidden && !batch->forbidden) {
        batch->forbidden = true;
        memcpy(batch->first_forbidden, pointer, sizeof pointer);
    }
}

static void refuse_count(struct request *r)
{
    request_refuse(r, PROBLEM_TOO_LARGE, "a batch may have at most %d runs; send several",
                   BATCH_MOST);
}

static bool read_array(struct request *r, struct batch *batch)
{
    json_t *array, *value;
    size_t i;
    if (!request_json(r, &array))
        return false;
    bool fits = json_array_size(array) <= BATCH_MOST;
    if (!json_is_array(array))
        faults_add(
            &r->faults, "",
            "must be an array [...] of runs, or NDJSON with Content-Type: application/x-ndjson");
    else if (!fits)
        refuse_count(r);
    else
        json_array_foreach(array, i, value) add_wish(r, batch, value);
    json_decref(array);
    return fits;
}

static void read_line(struct request *r, struct batch *batch, const char *text, size_t size,
                      int line)
{
    size_t before = r->faults.count;
    struct json_place place;
    json_t *value;
    if (request_json_read(text, size, &value, &place) == STATUS_OK) {
        add_wish(r, batch, value);
        json_decref(value);
    } else {
        char pointer[24];
        snprintf(pointer, sizeof pointer, "/%zu", batch->message->wish_count);
        faults_add(&r->faults, pointer, "is not JSON: %s", place.detail);
        if (before < FAULT_MAX)
            r->faults.items[before].column = place.column;
        next_wish(batch); // keeps the count, so that later pointers are right
    }
    number_faults(&r->faults, before, line);
}

static bool is_blank(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (!strchr(" \t\r", text[i]))
            return false;
    return true;
}

static bool read_lines(struct request *r, struct batch *batch)
{
    const char *at = buffer_string(&r->body), *end = at + r->body.size;
    for (int line = 1; at < end; line++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t size = (size_t)((stop ? stop : end) - at);
        if (!is_blank(at, size)) {
            if (batch->message->wish_count == BATCH_MOST) {
                refuse_count(r);
                return false;
            }
            read_line(r, batch, at, size, line);
        }
        at += size + 1;
    }
    return true;
}

void batch_post(struct request *r)
{
    struct batch batch = {.message = message_new(MESSAGE_CREATE_RUNS)};
    batch.message->batch = true;
    bool read = media_of(r) == MEDIA_NDJSON ? read_lines(r, &batch) : read_array(r, &batch);
    if (read && r->faults.count == 0 && batch.message->wish_count == 0)
        faults_add(&r->faults, "", "must have 1 to %d runs", BATCH_MOST);
    if (read && request_is_sound(r, "the batch has errors; no run of it was made")) {
        if (batch.forbidden)
            request_refuse(r, PROBLEM_FORBIDDEN,
                           "this server does not allow commands (the run at %s); no run was made",
                           batch.first_forbidden);
        else if (request_key(r, batch.message)) {
            batch.message->author = request_author(r);
            request_post(r, batch.message);
            return;
        }
    }
    message_free(batch.message);
}
