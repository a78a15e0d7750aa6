#include "cli/run_view.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/ago.h"
#include "cli/field.h"
#include "cli/text.h"
#include "cli/words.h"

#define TARGET_MAX ((size_t)64 << 10)
#define RESPONSE_SHOWN 2000 // bytes of the last response

static bool has(const json_t *run, const char *name)
{
    return wall_is_set(field_moment(run, name));
}

static void show_moment(struct screen *screen, const char *label, const json_t *run,
                        const char *name)
{
    wall t = field_moment(run, name);
    if (!wall_is_set(t))
        return;
    char *text = screen_moment(screen, t);
    screen_field(screen, label, text);
    free(text);
}

// Number, outcome, status, when it began, how late, how long, and where the time went. Columns that
// hold nothing in any attempt are still there: an empty column says "unknown" too.
static const struct column attempt_columns[] = {
    {"#", .right = true},     {"OUTCOME"},
    {"CODE", .right = true},  {"LATE", .right = true},
    {"TOOK", .right = true},  {"DNS", .right = true},
    {"CONN", .right = true},  {"TLS", .right = true},
    {"FIRST", .right = true}, {"CACHE"},
    {"DB", .right = true},
};

static void add_span(struct table *table, const json_t *object, const char *name)
{
    char text[AGO_TEXT];
    span_format(field_ms(object, name), text);
    table_text(table, PLAIN, text);
}

static void add_int(struct table *table, int64_t n)
{
    if (n < 0)
        table_text(table, PLAIN, "-");
    else
        table_cell(table, PLAIN, "%" PRId64, n);
}

static void add_attempt(struct table *table, const json_t *attempt)
{
    const char *outcome = field_text(attempt, "outcome"), *cache = field_text(attempt, "cache");
    const json_t *phases = field(attempt, "phases");
    add_int(table, field_int(attempt, "number"));
    table_text(table, outcome ? colour_of_state(outcome) : BLUE, outcome ? outcome : "running");
    add_int(table, field_int(attempt, "status"));
    add_span(table, attempt, "lateness_ms");
    add_span(table, attempt, "response_time_ms");
    add_span(table, phases, "dns_ms");
    add_span(table, phases, "connect_ms");
    add_span(table, phases, "tls_ms");
    add_span(table, phases, "first_byte_ms");
    table_text(table, PLAIN, cache ? cache : "unknown");
    add_int(table, field_int(attempt, "db_calls"));
}

static void show_attempt_words(struct screen *screen, const json_t *attempt)
{
    const char *error = field_text(attempt, "error");
    char label[16];
    snprintf(label, sizeof label, "#%" PRId64, field_int(attempt, "number"));
    screen_field(screen, label, error);
}

static void show_response(struct screen *screen, const json_t *attempts)
{
    const json_t *last = json_array_get(attempts, json_array_size(attempts) - 1);
    const char *response = field_text(last, "response");
    if (!response || !*response)
        return;
    screen_heading(screen, "response to the last attempt");
    size_t size = strnlen(response, RESPONSE_SHOWN);
    bool more = response[size] != '\0';
    while (size > 0 && strchr(" \t\r\n", response[size - 1]))
        size--;
    screen_line(screen, 2, PLAIN, "%.*s%s", (int)size, response, more ? " …" : "");
}

static void show_attempts(struct screen *screen, const json_t *attempts)
{
    size_t i;
    json_t *attempt;
    if (json_array_size(attempts) == 0)
        return;
    screen_heading(screen, "attempts");
    struct table *table =
        table_new(attempt_columns, sizeof attempt_columns / sizeof *attempt_columns);
    json_array_foreach(attempts, i, attempt) add_attempt(table, attempt);
    screen_table(screen, 2, table);
    table_free(table);
    json_array_foreach(attempts, i, attempt) show_attempt_words(screen, attempt);
    show_response(screen, attempts);
}

// How somebody dealt with a dead letter: "retried as run_... by anna: the endpoint is back".
static void show_handled(struct screen *screen, const json_t *handled)
{
    const char *how = field_text(handled, "how"), *run = field_text(handled, "run"),
               *by = field_text(handled, "by"), *note = field_text(handled, "note");
    char text[512];
    if (!how)
        return;
    snprintf(text, sizeof text, "%s%s%s%s%.100s%s%.300s", how, run ? " as " : "", run ? run : "",
             by ? " by " : "", by ? by : "", note ? ": " : "", note ? note : "");
    screen_field(screen, "handled", text);
}

static void show_target(struct screen *screen, const json_t *definition)
{
    struct buffer text;
    if (!definition)
        return;
    buffer_init(&text, TARGET_MAX);
    const char *kind = words_target(definition, &text);
    screen_field(screen, kind, buffer_string(&text));
    buffer_done(&text);
}

void run_view(struct screen *screen, const json_t *run)
{
    const char *id = field_text(run, "id"), *task = field_text(run, "task"),
               *state = field_text(run, "state");
    const char *trigger = field_text(run, "trigger");
    char text[128], span[AGO_TEXT];
    colour_text(&screen->out, screen->colours, BOLD, id ? id : "?");
    buffer_text(&screen->out, "  ");
    colour_text(&screen->out, screen->colours, state ? colour_of_state(state) : PLAIN,
                state ? state : "?");
    buffer_byte(&screen->out, '\n');
    screen_field(screen, "reason", field_text(run, "reason"));
    if (task)
        snprintf(text, sizeof text, "%.100s, revision %" PRId64, task, field_int(run, "revision"));
    screen_field(screen, "task", task ? text : "none: a one-off");
    show_target(screen, field(run, "definition"));
    screen_field(screen, "trigger", trigger);
    screen_field(screen, "retry of", field_text(run, "retry_of"));
    if (has(run, "priority") && field_int(run, "priority") != 5) {
        snprintf(text, sizeof text, "%" PRId64, field_int(run, "priority"));
        screen_field(screen, "priority", text);
    }
    show_handled(screen, json_object_get(run, "handled"));
    show_moment(screen, "scheduled", run, "scheduled_for");
    // Of a run that is over it would be the instant of its last attempt.
    if (!has(run, "finished_at") &&
        field_moment(run, "due_at").us != field_moment(run, "scheduled_for").us)
        show_moment(screen, "due", run, "due_at");
    show_moment(screen, "started", run, "started_at");
    show_moment(screen, "finished", run, "finished_at");
    wall started = field_moment(run, "started_at"), finished = field_moment(run, "finished_at");
    if (wall_is_set(started) && wall_is_set(finished)) {
        span_format(finished.us - started.us, span);
        screen_field(screen, "took", span);
    }
    char *payload = json_write(field(run, "payload"), NULL);
    screen_field(screen, "payload", payload);
    free(payload);
    show_attempts(screen, json_object_get(run, "attempts"));
}

static void add_run(struct table *table, const struct screen *screen, const json_t *run,
                    bool with_task)
{
    const char *id = field_text(run, "id"), *state = field_text(run, "state"),
               *task = field_text(run, "task");
    const char *reason = field_text(run, "reason"), *trigger = field_text(run, "trigger");
    wall due = field_moment(run, "due_at"), started = field_moment(run, "started_at"),
         finished = field_moment(run, "finished_at");
    char when[AGO_TEXT] = "-", took[AGO_TEXT] = "-";
    if (wall_is_set(finished)) // due_at is its last attempt's then
        due = field_moment(run, "scheduled_for");
    if (wall_is_set(due))
        ago_format(due, screen->now, when);
    if (wall_is_set(started) && wall_is_set(finished))
        span_format(finished.us - started.us, took);
    table_text(table, PLAIN, id ? id : "?");
    if (with_task)
        table_text(table, PLAIN, task ? task : "-");
    table_text(table, state ? colour_of_state(state) : PLAIN, state);
    table_text(table, PLAIN, when);
    table_text(table, PLAIN, took);
    if (!with_task) // no room for both
        table_text(table, PLAIN, trigger ? trigger : "-");
    table_text(table, DIM, reason);
}

void run_view_table(struct screen *screen, int indent, const json_t *runs, bool task)
{
    static const struct column with_task[] = {
        {"RUN"},
        {"TASK", .least = 16},
        {"STATE"},
        {"DUE", .right = true},
        {"TOOK", .right = true},
        {"REASON", .least = 6},
    };
    static const struct column without[] = {
        {"RUN"},
        {"STATE"},
        {"DUE", .right = true},
        {"TOOK", .right = true},
        {"TRIGGER"},
        {"REASON", .least = 10},
    };
    struct table *table = task ? table_new(with_task, sizeof with_task / sizeof *with_task)
                               : table_new(without, sizeof without / sizeof *without);
    size_t i;
    json_t *run;
    json_array_foreach(runs, i, run) add_run(table, screen, run, task);
    screen_table(screen, indent, table);
    table_free(table);
}
