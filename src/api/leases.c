// /v1/leases/..., /v1/runs/{id}/complete and heartbeat: what those say who work on runs.
#include "api/leases.h"

#include <math.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "api/handlers.h"
#include "base/memory.h"
#include "core/decode.h"
#include "core/retry.h"

#define ROWS_MOST 1000
#define RESULT_MOST (64 << 10)
#define COUNT(array) (sizeof(array) / sizeof *(array))

// --- reading a row ---

static void read_run(const struct place *at, const struct field *field, const json_t *value,
                     void *into)
{
    struct lease_row *row = into;
    (void)field;
    if (!decode_is(at, value, JSON_STRING, "a run's id such as \"run_0c4x9k2m1p7qz\""))
        return;
    if (run_id_parse(json_string_value(value), &row->attempt.run) != STATUS_OK)
        faults_add(at->faults, at->pointer, "\"%.40s\" is no run's id; one looks like %s",
                   json_string_value(value), "run_0c4x9k2m1p7qz");
}

static void read_whole(const struct place *at, const struct field *field, const json_t *value,
                       void *into)
{
    json_int_t n = json_integer_value(value);
    if (!json_is_integer(value) || n < field->least || n > field->most)
        faults_add(at->faults, at->pointer, "must be a whole number from %lld to %lld",
                   (long long)field->least, (long long)field->most);
    else
        *(int64_t *)((char *)into + field->offset) = n;
}

static void read_ms(const struct place *at, const struct field *field, const json_t *value,
                    void *into)
{
    double ms = json_number_value(value);
    if (!json_is_number(value) || !(ms >= 0 && ms <= (double)(DAY / MILLISECOND)))
        faults_add(at->faults, at->pointer, "must be a number of milliseconds, at most a day");
    else
        *(int64_t *)((char *)into + field->offset) = llround(ms * (double)MILLISECOND);
}

static void read_result(const struct place *at, const struct field *field, const json_t *value,
                        void *into)
{
    struct lease_row *row = into;
    (void)field;
    free(row->attempt.response);
    row->attempt.response = json_write(value, &row->attempt.response_size);
    if (row->attempt.response_size > RESULT_MOST)
        faults_add(at->faults, at->pointer,
                   "must have at most %d KiB as compact JSON, and has %zu bytes: keep it elsewhere "
                   "and say where",
                   RESULT_MOST >> 10, row->attempt.response_size);
}

static const char *const caches[] = {"unknown", "warm", "cold", NULL};

#define ROW(member) offsetof(struct lease_row, member)
#define RUN                               \
    {                                     \
        "run", read_run, .required = true \
    }
#define FENCE                                                                   \
    {                                                                           \
        "fence", read_whole, ROW(attempt.fence), 1, INT64_MAX, .required = true \
    }
#define EXTEND                                                 \
    {                                                          \
        "extend", decode_duration, ROW(extend_us), SECOND, DAY \
    }
#define RESULT                \
    {                         \
        "result", read_result \
    }
// What became warm and cold, and how much the database was asked.
#define EFFORT                                                     \
    {"db_calls", read_whole, ROW(attempt.db_calls), 0, INT32_MAX}, \
        {"db_time_ms", read_ms, ROW(attempt.db_time_us)},          \
    {                                                              \
        "cache", decode_choice, ROW(attempt.cache), .more = caches \
    }
#define FAILURE(must)                                                                      \
    {"error", decode_bytes, ROW(attempt.error), 1, 4000, .required = must},                \
        {"retry_after", decode_duration, ROW(attempt.retry_after_us), 0, RETRY_AFTER_MAX}, \
    {                                                                                      \
        "final", decode_bool, ROW(attempt.final)                                           \
    }

static const struct field heartbeat_fields[] = {RUN, FENCE, EXTEND};
static const struct field complete_fields[] = {RUN, FENCE, RESULT, EFFORT};
static const struct field fail_fields[] = {RUN, FENCE, FAILURE(true), EFFORT};
static const struct field release_fields[] = {RUN, FENCE};
static const struct field one_heartbeat_fields[] = {FENCE, EXTEND};
static const struct field one_complete_fields[] = {FENCE, RESULT, FAILURE(false), EFFORT};

static const struct field_table tables[LEASE_WORD_COUNT] = {
    [WORD_HEARTBEAT] = {heartbeat_fields, COUNT(heartbeat_fields)},
    [WORD_COMPLETE] = {complete_fields, COUNT(complete_fields)},
    [WORD_FAIL] = {fail_fields, COUNT(fail_fields)},
    [WORD_RELEASE] = {release_fields, COUNT(release_fields)},
};

static struct lease_row *add_row(struct message *message)
{
    struct lease_row *row = &message->leases[message->lease_count++];
    attempt_init(&row->attempt);
    row->extend_us = -1;
    return row;
}

// --- batches ---

static void read_rows(const struct place *at, const struct field *field, const json_t *value,
                      void *into)
{
    struct message *message = into;
    const struct field_table *table = &tables[message->word];
    size_t count = json_array_size(value);
    char pointer[POINTER_MAX];
    (void)field;
    if (!decode_is(at, value, JSON_ARRAY, "a list such as [{\"run\": \"run_...\", \"fence\": 1}]"))
        return;
    if (count > ROWS_MOST) {
        faults_add(at->faults, at->pointer, "may have at most %d items; send several", ROWS_MOST);
        return;
    }
    message->leases = memory_array(count, sizeof *message->leases);
    for (size_t i = 0; i < count; i++) {
        struct place below = place_item(at, i, pointer);
        decode_object(&below, table->fields, table->count, json_array_get(value, i),
                      add_row(message));
    }
}

static const struct field batch_fields[] = {{"leases", read_rows, .required = true}};

static void post_batch(struct request *r, enum lease_word word)
{
    json_t *body;
    if (!request_json(r, &body))
        return;
    struct message *message = message_new(MESSAGE_LEASE_WORD);
    message->word = word;
    decode_object(&(struct place){"", &r->faults}, batch_fields, COUNT(batch_fields), body,
                  message);
    json_decref(body);
    request_post_sound(r, message, "the leases have errors, and none was looked at");
}

void leases_heartbeat(struct request *r)
{
    post_batch(r, WORD_HEARTBEAT);
}

void leases_complete(struct request *r)
{
    post_batch(r, WORD_COMPLETE);
}

void leases_fail(struct request *r)
{
    post_batch(r, WORD_FAIL);
}

void leases_release(struct request *r)
{
    post_batch(r, WORD_RELEASE);
}

// --- one run ---

// Success or failure, told apart by `error`.
static void check_one(struct request *r, const json_t *body, struct message *message)
{
    const struct attempt *a = &message->leases->attempt;
    message->word = a->error ? WORD_FAIL : WORD_COMPLETE;
    if (a->error && json_object_get(body, "result"))
        faults_add(&r->faults, "/result", "and error exclude each other: give one");
    if (!a->error && json_object_get(body, "final"))
        faults_add(&r->faults, "/final", "is for a failure: give error, or take it out");
    if (!a->error && json_object_get(body, "retry_after"))
        faults_add(&r->faults, "/retry_after", "is for a failure: give error, or take it out");
}

static void post_one(struct request *r, enum lease_word word, const struct field *fields,
                     size_t count)
{
    json_t *body;
    run_id run;
    if (!request_run_id(r, &run) || !request_json(r, &body))
        return;
    struct message *message = message_new(MESSAGE_LEASE_WORD);
    message->single = true;
    message->word = word;
    message->leases = memory_array(1, sizeof *message->leases);
    struct lease_row *row = add_row(message);
    row->attempt.run = run;
    if (decode_object(&(struct place){"", &r->faults}, fields, count, body, row) &&
        word == WORD_COMPLETE)
        check_one(r, body, message);
    json_decref(body);
    request_post_sound(r, message, "the body has errors");
}

void run_complete(struct request *r)
{
    post_one(r, WORD_COMPLETE, one_complete_fields, COUNT(one_complete_fields));
}

void run_heartbeat(struct request *r)
{
    post_one(r, WORD_HEARTBEAT, one_heartbeat_fields, COUNT(one_heartbeat_fields));
}

// --- workers that are gone ---

bool lease_client_is_gone(const struct request *r)
{
    const union MHD_ConnectionInfo *info =
        r->connection ? MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CONNECTION_FD)
                      : NULL;
    char byte;
    // 0: it has sent its last. Nothing to read, or a next request already: it is there.
    return info && recv(info->connect_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

void lease_give_back(struct request *r)
{
    struct message *handed = r->message;
    if (!handed || !r->replied || handed->kind != MESSAGE_LEASE || handed->lease_count == 0 ||
        handed->reply.status != STATUS_OK)
        return;
    struct message *message = message_new(MESSAGE_LEASE_WORD);
    message->word = WORD_RELEASE;
    message->unanswered = true;
    message->leases = handed->leases;
    message->lease_count = handed->lease_count;
    handed->leases = NULL;
    handed->lease_count = 0;
    mailbox_post(r->service->messages, &message->letter);
}
