// /v1/dead-letters: list, retry, discard. A filter is looked up here, on a reader, so that the
// scheduler's turn only ever deals with a bounded list of runs.

#include <stdlib.h>
#include <string.h>

#include "api/cursor.h"
#include "api/handlers.h"
#include "api/query.h"
#include "base/map.h"
#include "base/memory.h"

#define RUNS_MOST 10000
#define UNCONFIRMED_MOST 1000 // what a filter may match without `max`
#define COUNTED_MOST 1000000  // beyond it, nobody waits for the exact number
#define NOTE_MOST 4000
#define REASON_MOST 1000

// --- list ---

static void write_last(struct writer *w, const struct attempt *last)
{
    if (last->number == 0) {
        member_null(w, "last_attempt");
        return;
    }
    member_object(w, "last_attempt");
    member_int(w, "number", last->number);
    member_text(w, "outcome", attempt_outcome_text(last->outcome));
    member_known(w, "status", last->status);
    member_text(w, "error", last->error);
    writer_end_object(w);
}

static void write_letter(struct writer *w, const struct dead_letter *letter)
{
    const struct run *run = &letter->run;
    writer_object(w);
    member_run(w, "run", run->id);
    member_text(w, "task", run->task_name);
    member_text(w, "trigger", run_trigger_text(run->trigger));
    member_moment(w, "scheduled_for", run->scheduled_for);
    member_moment(w, "failed_at", run->finished_at);
    member_text(w, "reason", run->reason);
    member_int(w, "attempt_count", run->attempts);
    write_last(w, &letter->last);
    writer_end_object(w);
}

static void write_letters(struct request *r, const struct dead_letter *letters, size_t count,
                          size_t shown)
{
    struct writer w = request_answer(r, 200);
    writer_object(&w);
    member_array(&w, "dead_letters");
    for (size_t i = 0; i < shown; i++)
        write_letter(&w, &letters[i]);
    writer_end_array(&w);
    cursor_write_run(&w, 'd', count > shown ? letters[shown - 1].run.id : (run_id){0});
    writer_end_object(&w);
}

void dead_list(struct request *r)
{
    struct dead_filter filter = {.task = query_text(r, "task"),
                                 .from = query_moment(r, "from", WALL_NONE),
                                 .to = query_moment(r, "to", WALL_NEVER),
                                 .reason = query_text(r, "reason")};
    size_t limit = (size_t)query_int(r, "limit", 1, 1000, 100), count = 0;
    run_id before = query_cursor_run(r, 'd');
    struct reader *reader;
    query_check_window(r, filter.from, filter.to);
    if (!request_is_sound(r, "a query parameter makes no sense") || !request_reader(r, &reader))
        return;
    struct dead_letter *letters = memory_array(limit + 1, sizeof *letters);
    enum status status = reader_list_dead(reader, &filter, before, limit + 1, letters, &count);
    if (status == STATUS_OK)
        write_letters(r, letters, count, count < limit ? count : limit);
    else
        request_refuse_named(r, status, "task", filter.task);
    for (size_t i = 0; i < count; i++)
        dead_letter_done(&letters[i]);
    free(letters);
}

// --- which ones are meant ---

static void read_run(struct request *r, const json_t *value, size_t i, struct map *seen,
                     run_id *ret)
{
    char pointer[40];
    snprintf(pointer, sizeof pointer, "/runs/%zu", i);
    const char *text = json_string_value(value);
    if (!text || run_id_parse(text, ret) != STATUS_OK)
        faults_add(&r->faults, pointer, "must be the id of a run, such as run_0c4x9k2m1p7qz");
    else if (map_get(seen, (uint64_t)ret->value))
        faults_add(&r->faults, pointer, "stands there twice: write it once");
    else
        map_put(seen, (uint64_t)ret->value, r);
}

static void read_runs(struct request *r, const json_t *runs, struct message *message)
{
    size_t count = json_is_array(runs) ? json_array_size(runs) : 0;
    struct map seen = {0};
    if (count < 1 || count > RUNS_MOST) {
        faults_add(&r->faults, "/runs", "must be a list of 1 to %d ids of runs", RUNS_MOST);
        return;
    }
    message->runs = memory_array(count, sizeof *message->runs);
    message->run_count = count;
    for (size_t i = 0; i < count; i++)
        read_run(r, json_array_get(runs, i), i, &seen, &message->runs[i]);
    map_done(&seen);
}

static const char *filter_text(struct request *r, const json_t *filter, const char *name,
                               const char *pointer)
{
    const json_t *value = json_object_get(filter, name);
    if (!value)
        return NULL;
    if (!json_is_string(value) || !json_string_length(value) ||
        json_string_length(value) > REASON_MOST)
        faults_add(&r->faults, pointer, "must be a text of 1 to %d bytes", REASON_MOST);
    return json_string_value(value);
}

static wall filter_moment(struct request *r, const json_t *filter, const char *name,
                          const char *pointer, wall otherwise)
{
    const json_t *value = json_object_get(filter, name);
    wall t = otherwise;
    if (value && (!json_is_string(value) ||
                  wall_parse(json_string_value(value), json_string_length(value), &t) != STATUS_OK))
        faults_add(&r->faults, pointer, "must be an instant such as 2026-03-29T01:00:00Z");
    return t;
}

static void read_filter(struct request *r, const json_t *object, struct dead_filter *ret)
{
    const char *name;
    json_t *value;
    if (!json_is_object(object)) {
        faults_add(&r->faults, "/filter", "must be an object such as {\"task\": \"nightly\"}");
        return;
    }
    json_object_foreach((json_t *)object, name, value)
    {
        char pointer[200];
        pointer_join(pointer, sizeof pointer, "/filter", name);
        if (!names_have("task from to reason", name))
            faults_add(&r->faults, pointer, "is not known here; known: task from to reason");
    }
    ret->task = filter_text(r, object, "task", "/filter/task");
    ret->reason = filter_text(r, object, "reason", "/filter/reason");
    ret->from = filter_moment(r, object, "from", "/filter/from", WALL_NONE);
    ret->to = filter_moment(r, object, "to", "/filter/to", WALL_NEVER);
}

static size_t read_max(struct request *r, const json_t *object)
{
    const json_t *value = json_object_get(object, "max");
    json_int_t n = json_integer_value(value);
    if (!value)
        return 0;
    if (!json_is_integer(value) || n < 1 || n > RUNS_MOST) {
        faults_add(&r->faults, "/max", "must be a whole number from 1 to %d", RUNS_MOST);
        return 0;
    }
    return (size_t)n;
}

// The runs that the filter matches now, the oldest first, and how many more there are. False: the
// answer is given.
static bool find_runs(struct request *r, const struct dead_filter *filter, size_t max,
                      struct message *message)
{
    struct reader *reader;
    size_t matched = 0, most = max ? max : UNCONFIRMED_MOST;
    if (!request_reader(r, &reader))
        return false;
    enum status status = reader_count_dead(reader, filter, COUNTED_MOST, &matched);
    if (status == STATUS_OK && matched > most && !max) {
        faults_add(&r->faults, "/max", "must say how many, up to %d", RUNS_MOST);
        request_refuse(r, PROBLEM_CONFLICT,
                       "the filter matches %s%zu dead letters; more than %d need an explicit max, "
                       "and nothing was changed",
                       matched == COUNTED_MOST ? "at least " : "", matched, UNCONFIRMED_MOST);
        return false;
    }
    message->by_filter = true;
    message->runs = memory_array(most, sizeof *message->runs);
    if (status == STATUS_OK)
        status = reader_oldest_dead(reader, filter, most, message->runs, &message->run_count);
    if (status != STATUS_OK) {
        request_refuse_named(r, status, "task", filter->task);
        return false;
    }
    message->left = matched > message->run_count ? matched - message->run_count : 0;
    return true;
}

static void read_note(struct request *r, const json_t *object, struct message *message)
{
    request_field(r, object, "note", &message->note);
    if (message->note && strlen(message->note) > NOTE_MOST)
        faults_add(&r->faults, "/note", "must have at most %d bytes", NOTE_MOST);
}

static bool read_which(struct request *r, const json_t *object, struct message *message)
{
    const json_t *runs = json_object_get(object, "runs");
    const json_t *filter = json_object_get(object, "filter");
    struct dead_filter wanted = {.from = WALL_NONE, .to = WALL_NEVER};
    size_t max = read_max(r, object);
    if (!runs == !filter)
        faults_add(&r->faults, "", "must have either runs, a list of ids, or filter, an object");
    else if (runs && max)
        faults_add(&r->faults, "/max", "goes with filter: the runs are counted already");
    else if (runs)
        read_runs(r, runs, message);
    else
        read_filter(r, filter, &wanted);
    if (!request_is_sound(r, "the body has errors"))
        return false;
    return runs || find_runs(r, &wanted, max, message);
}

static void deal(struct request *r, enum message_kind kind)
{
    json_t *object;
    if (!request_object(r, "runs filter max note", &object))
        return;
    struct message *message = message_new(kind);
    message->author = request_author(r);
    message->note = request_note(r);
    message->dry_run = query_bool(r, "dry_run");
    read_note(r, object, message);
    bool ready = read_which(r, object, message);
    json_decref(object);
    if (ready && request_key(r, message))
        request_post(r, message);
    else
        message_free(message);
}

void dead_retry(struct request *r)
{
    deal(r, MESSAGE_RETRY_DEAD);
}

void dead_discard(struct request *r)
{
    deal(r, MESSAGE_DISCARD_DEAD);
}
