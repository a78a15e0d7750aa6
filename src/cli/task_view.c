#include "cli/task_view.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/ago.h"
#include "cli/field.h"
#include "cli/run_view.h"
#include "cli/text.h"
#include "cli/words.h"

#define FIELD_MAX ((size_t)64 << 10)

static void show_title(struct screen *screen, const json_t *task)
{
    const char *name = field_text(task, "name"),
               *summary = field_text(field(task, "definition"), "summary");
    wall changed = field_moment(task, "changed_at");
    char ago[AGO_TEXT] = "";
    if (wall_is_set(changed))
        ago_format(changed, screen->now, ago);
    colour_text(&screen->out, screen->colours, BOLD, name ? name : "?");
    struct buffer text;
    buffer_init(&text, 200);
    buffer_format(&text, "  revision %" PRId64 "%s%s", field_int(task, "revision"),
                  *ago ? ", changed " : "", ago);
    colour_text(&screen->out, screen->colours, DIM, buffer_string(&text));
    buffer_byte(&screen->out, '\n');
    buffer_done(&text);
    if (summary)
        screen_line(screen, 0, PLAIN, "%s", summary);
}

static void show_paused(struct screen *screen, const json_t *task)
{
    const json_t *paused = field(task, "paused");
    if (!paused)
        return;
    const char *by = field_text(paused, "by"), *reason = field_text(paused, "reason");
    wall at = field_moment(paused, "at");
    char ago[AGO_TEXT] = "";
    if (wall_is_set(at))
        ago_format(at, screen->now, ago);
    buffer_byte(&screen->out, '\n');
    screen_line(screen, 2, YELLOW, "PAUSED%s%s%s%s%s%s", by ? " by " : "", by ? by : "",
                *ago ? ", " : "", ago, reason ? ": " : "", reason ? reason : "");
}

static void show_schedules(struct screen *screen, const json_t *definition)
{
    const json_t *schedules = field(definition, "schedule");
    size_t count = json_is_array(schedules) ? json_array_size(schedules) : schedules ? 1 : 0;
    for (size_t i = 0; i < count; i++) {
        struct buffer text;
        buffer_init(&text, FIELD_MAX);
        words_schedule(json_is_array(schedules) ? json_array_get(schedules, i) : schedules, &text);
        screen_field(screen, i == 0 ? "schedule" : "", buffer_string(&text));
        buffer_done(&text);
    }
    if (count == 0)
        screen_field(screen, "schedule", "none: it runs when it is triggered");
}

static void show_target(struct screen *screen, const json_t *definition)
{
    struct buffer text;
    buffer_init(&text, FIELD_MAX);
    const char *kind = words_target(definition, &text);
    screen_field(screen, kind, buffer_string(&text));
    buffer_done(&text);
}

// A value as it is written in the definition: texts without their quotes.
static void add_value(struct buffer *to, const json_t *value)
{
    char *text = json_is_string(value) ? NULL : json_write(value, NULL);
    buffer_text(to, json_is_string(value) ? json_string_value(value) : text ? text : "?");
    free(text);
}

// "10m each; 5 attempts, exponential backoff from 5s to 10m"; what the task does not say is as
// core/task.h says.
static void show_policies(struct screen *screen, const json_t *definition)
{
    const json_t *retry = field(definition, "retry");
    const char *timeout = field_text(definition, "timeout"),
               *backoff = field_text(retry, "backoff"), *initial = field_text(retry, "initial"),
               *most = field_text(retry, "max");
    int64_t attempts = field_int(retry, "max_attempts");
    struct buffer text;
    buffer_init(&text, FIELD_MAX);
    if (!timeout && field(definition, "queue"))
        buffer_text(&text, "as long as its lease; ");
    else
        buffer_format(&text, "%s each; ", timeout ? timeout : "30s");
    if (attempts == 1)
        buffer_text(&text, "one attempt");
    else
        buffer_format(&text, "%" PRId64 " attempts, %s backoff from %s to %s",
                      attempts > 0 ? attempts : 3, backoff ? backoff : "exponential",
                      initial ? initial : "5s", most ? most : "10m");
    screen_field(screen, "timeout", buffer_string(&text));
    static const char *const others[] = {"completion", "overlap",  "catch_up",    "deadline",
                                         "delivery",   "priority", "max_running", "rate_limit"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        const json_t *value = field(definition, others[i]);
        if (!value)
            continue;
        buffer_clear(&text);
        add_value(&text, value);
        screen_field(screen, others[i], buffer_string(&text));
    }
    buffer_done(&text);
}

// "status 200, /ok is true, within 2m"
static void show_expect(struct screen *screen, const json_t *definition)
{
    json_t *expect = json_object_get(definition, "expect"), *value;
    const char *key;
    struct buffer text;
    buffer_init(&text, FIELD_MAX);
    json_object_foreach(expect, key, value)
    {
        const char *before = text.size ? ", " : "";
        if (strcmp(key, "max_duration") == 0) {
            buffer_format(&text, "%swithin ", before);
            add_value(&text, value);
        } else if (json_is_object(value)) {
            const char *name;
            json_t *wanted;
            json_object_foreach(value, name, wanted)
            {
                buffer_format(&text, "%s%s is ", text.size ? ", " : "", name);
                add_value(&text, wanted);
            }
        } else {
            buffer_format(&text, "%s%s ", before,
                          strcmp(key, "exit_code") == 0 ? "exit code" : key);
            add_value(&text, value);
        }
    }
    screen_field(screen, "expect", buffer_string(&text));
    buffer_done(&text);
}

static void show_notify(struct screen *screen, const json_t *definition)
{
    const json_t *notify = field(definition, "notify");
    const char *url = field_text(notify, "url"), *cooldown = field_text(notify, "cooldown");
    struct buffer text;
    if (!url)
        return;
    buffer_init(&text, FIELD_MAX);
    buffer_format(&text, "%s, at most every %s", url, cooldown ? cooldown : "15m");
    screen_field(screen, "notify", buffer_string(&text));
    buffer_done(&text);
}

static void show_definition(struct screen *screen, const json_t *definition)
{
    buffer_byte(&screen->out, '\n');
    show_schedules(screen, definition);
    show_target(screen, definition);
    char *payload = json_write(field(definition, "payload"), NULL);
    screen_field(screen, "payload", payload);
    free(payload);
    if (!field(definition, "monitor"))
        show_policies(screen, definition);
    show_expect(screen, definition);
    show_notify(screen, definition);
}

// The newest run that its job has spoken of: a monitor's runs start by a check-in only.
static void show_last_checkin(struct screen *screen, const json_t *definition, const json_t *runs)
{
    size_t i;
    json_t *run;
    char text[128] = "none yet", ago[AGO_TEXT];
    if (!field(definition, "monitor"))
        return;
    json_array_foreach(runs, i, run)
    {
        wall started = field_moment(run, "started_at"), finished = field_moment(run, "finished_at");
        const char *state = field_text(run, "state");
        if (!wall_is_set(started))
            continue;
        ago_format(wall_is_set(finished) ? finished : started, screen->now, ago);
        snprintf(text, sizeof text, "%s: %s", ago, state ? state : "?");
        break;
    }
    screen_field(screen, "check-in", text);
}

static void show_occurrence(struct table *table, const struct screen *screen,
                            const json_t *occurrence)
{
    static const char *const weekdays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    const char *local = field_text(occurrence, "local");
    wall at = field_moment(occurrence, "at"), effective = field_moment(occurrence, "effective_at");
    if (!local || strlen(local) < 19 || !wall_is_set(at))
        return;
    int64_t days = days_from_civil(atoi(local), atoi(local + 5), atoi(local + 8));
    char ago[AGO_TEXT], offset[AGO_TEXT] = "";
    ago_format(wall_is_set(effective) ? effective : at, screen->now, ago);
    if (wall_is_set(effective) && effective.us > at.us)
        span_format(effective.us - at.us, offset);
    // "2026-03-29T03:00:00+02:00": the fraction, where there is one, is left out.
    const char *zone = strpbrk(local + 19, "+-Zz");
    table_cell(table, PLAIN, "%s %.10s %.8s %s", weekdays[weekday_from_days(days)], local,
               local + 11, zone ? zone : "");
    table_text(table, PLAIN, ago);
    table_cell(table, DIM, "%s%s", *offset ? "jitter +" : "", offset);
}

// What daylight saving made of an occurrence, in full.
static void show_dst(struct screen *screen, const json_t *occurrence)
{
    const char *local = field_text(occurrence, "local"), *dst = field_text(occurrence, "dst");
    if (local && dst && *dst)
        screen_line(screen, 2, YELLOW, "%.10s: %s", local, dst);
}

static void show_next(struct screen *screen, const json_t *task, const json_t *occurrences)
{
    static const struct column columns[] = {{""}, {"", .right = true}, {"", .least = 10}};
    if (json_is_array(occurrences) && json_array_size(occurrences) == 0 &&
        field(field(task, "definition"), "schedule"))
        screen_field(screen, "next", "never again: no occurrence of its schedule is left");
    if (json_array_size(occurrences) == 0)
        return;
    screen_heading(screen, field(task, "paused") ? "next, were it not paused" : "next");
    struct table *table = table_new(columns, sizeof columns / sizeof *columns);
    size_t i;
    json_t *occurrence;
    json_array_foreach(occurrences, i, occurrence) show_occurrence(table, screen, occurrence);
    screen_table(screen, 2, table);
    table_free(table);
    json_array_foreach(occurrences, i, occurrence) show_dst(screen, occurrence);
}

static const struct {
    const char *field, *label;
} runbook_rows[] = {
    {"owner", "owner"},       {"expected_input", "input"},  {"expected_result", "result"},
    {"rollback", "rollback"}, {"noticed_at", "noticed at"},
};

static void show_runbook(struct screen *screen, const json_t *definition)
{
    const json_t *runbook = field(definition, "runbook");
    if (!runbook)
        return;
    screen_heading(screen, "runbook");
    for (size_t i = 0; i < sizeof runbook_rows / sizeof *runbook_rows; i++)
        screen_field(screen, runbook_rows[i].label, field_text(runbook, runbook_rows[i].field));
}

static void show_cache_and_db(struct screen *screen, const json_t *figures)
{
    const json_t *cache = field(figures, "cache");
    int64_t warm = field_int(cache, "warm"), cold = field_int(cache, "cold"),
            unknown = field_int(cache, "unknown");
    double calls = field_real(figures, "db_calls_p50");
    char text[128];
    if (warm > 0 || cold > 0) {
        snprintf(text, sizeof text, "%" PRId64 " warm, %" PRId64 " cold, %" PRId64 " unknown",
                 warm > 0 ? warm : 0, cold > 0 ? cold : 0, unknown > 0 ? unknown : 0);
        screen_field(screen, "cache", text);
    } else {
        screen_field(screen, "cache", "unknown");
    }
    snprintf(text, sizeof text, "%.3g calls (p50)", calls);
    screen_field(screen, "database", isnan(calls) ? "unknown" : text);
}

static void show_figures(struct screen *screen, const json_t *task)
{
    const json_t *figures = field(task, "figures");
    int64_t attempts = field_int(figures, "attempts"), failed = field_int(figures, "failed");
    double rate = field_real(figures, "error_rate");
    char text[128], p50[AGO_TEXT], p95[AGO_TEXT];
    if (attempts <= 0)
        return;
    snprintf(text, sizeof text, "the last %" PRId64 " attempts", attempts);
    screen_heading(screen, attempts == 1 ? "the only attempt" : text);
    if (isnan(rate))
        rate = (double)(failed > 0 ? failed : 0) / (double)attempts;
    snprintf(text, sizeof text, "%.3g %% (%" PRId64 " of %" PRId64 " did not succeed)", rate * 100,
             failed > 0 ? failed : 0, attempts);
    screen_field(screen, "errors", failed > 0 ? text : "none");
    span_format(field_ms(figures, "p50_ms"), p50);
    span_format(field_ms(figures, "p95_ms"), p95);
    snprintf(text, sizeof text, "p50 %s, p95 %s", p50, p95);
    screen_field(screen, "response", text);
    show_cache_and_db(screen, figures);
}

void task_view(struct screen *screen, const json_t *task, const json_t *occurrences,
               const json_t *runs)
{
    const json_t *definition = field(task, "definition");
    show_title(screen, task);
    show_paused(screen, task);
    show_definition(screen, definition);
    show_last_checkin(screen, definition, runs);
    show_next(screen, task, occurrences);
    show_runbook(screen, definition);
    show_figures(screen, task);
    screen_heading(screen, "last runs");
    if (json_array_size(runs))
        run_view_table(screen, 2, runs, false);
    else
        screen_line(screen, 2, PLAIN, "none yet");
}
