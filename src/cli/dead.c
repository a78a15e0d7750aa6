#include <inttypes.h>
#include <string.h>

#include "cli/ago.h"
#include "cli/commands.h"
#include "cli/field.h"
#include "cli/key.h"
#include "cli/session.h"

#define SHOWN_MOST 20 // of the runs that a retry or discard has dealt with

const struct option_rule dead_options[] = {
    {"task", "NAME", "only those of this task"},
    {"from", "WHEN", "failed at or after: an instant, or 2h for two hours ago"},
    {"to", "WHEN", "failed before"},
    {"reason", "TEXT", "only those whose reason contains this"},
    {"limit", "N", "list at most so many; 20 where not said"},
    {"all", NULL, "retry, discard: all there are, not only those of a filter"},
    {"max", "N", "retry, discard: the oldest N of those that a filter finds, up to 10000"},
    {"note", "TEXT", "retry, discard: why, kept with each run"},
    {"dry-run", NULL, "retry, discard: only show what would be dealt with"},
    {0},
};

static const char *const filters[] = {"task", "reason", "from", "to", NULL};

static const struct column columns[] = {
    {"RUN"},
    {"TASK", .least = 12},
    {"FAILED", .right = true},
    {"ATTEMPTS", .right = true},
    {"REASON", .least = 10},
};

// --- list ---

static void add_letter(struct table *table, const struct screen *screen, const json_t *letter)
{
    const char *run = field_text(letter, "run"), *task = field_text(letter, "task");
    wall failed = field_moment(letter, "failed_at");
    char when[AGO_TEXT] = "-";
    if (wall_is_set(failed))
        ago_format(failed, screen->now, when);
    table_text(table, PLAIN, run ? run : "?");
    table_text(table, PLAIN, task ? task : "-");
    table_text(table, PLAIN, when);
    table_cell(table, PLAIN, "%" PRId64, field_int(letter, "attempt_count"));
    table_text(table, DIM, field_text(letter, "reason"));
}

static void show_letters(struct session *s, const json_t *answer)
{
    const json_t *letters = json_object_get(answer, "dead_letters");
    struct table *table = table_new(columns, sizeof columns / sizeof *columns);
    size_t i;
    json_t *letter;
    json_array_foreach(letters, i, letter) add_letter(table, &s->out, letter);
    if (i == 0)
        screen_line(&s->out, 0, PLAIN, "No dead letters.");
    else
        screen_table(&s->out, 0, table);
    table_free(table);
}

// --- retry and discard ---

// {"runs": [...]} of the words, or {"filter": {...}, "max": n} of the options.
static enum leave which(struct session *s, json_t *body)
{
    int64_t max = 0;
    char why[200];
    json_t *runs = json_array(), *filter = json_object();
    for (size_t i = 1; options_word(&s->options, i); i++)
        json_array_append_new(runs, json_string(options_word(&s->options, i)));
    enum leave leave = session_filters(s, filters, filter);
    bool named = json_array_size(runs) > 0, filtered = json_object_size(filter) > 0;
    bool all = options_flag(&s->options, "all");
    if (leave == LEAVE_OK &&
        options_int(&s->options, "max", 1, 10000, 0, &max, why, sizeof why) != STATUS_OK)
        leave = session_usage(s, "%s", why);
    else if (leave == LEAVE_OK && named + filtered + all != 1)
        leave = session_usage(s, "say which: ids of runs, a filter such as --task NAME, or --all");
    else if (leave == LEAVE_OK && named && max)
        leave = session_usage(s, "--max goes with a filter or --all");
    if (leave == LEAVE_OK)
        json_object_set(body, named ? "runs" : "filter", named ? runs : filter);
    if (leave == LEAVE_OK && max)
        json_object_set_new(body, "max", json_integer(max));
    json_decref(runs);
    json_decref(filter);
    return leave;
}

static void show_dealt(struct session *s, const json_t *answer)
{
    const char *how = strcmp(options_word(&s->options, 0), "retry") == 0 ? "retried" : "discarded";
    bool dry = options_flag(&s->options, "dry-run");
    int64_t left = field_int(answer, "left");
    size_t i;
    json_t *one;
    screen_line(&s->out, 0, PLAIN, "%" PRId64 " %s %s.", field_int(answer, how),
                dry ? "would be" : "are", how);
    json_array_foreach(json_object_get(answer, "runs"), i, one)
    {
        const char *run = field_text(one, "run"), *task = field_text(one, "task");
        const char *again = field_text(one, "retried_as");
        if (i < SHOWN_MOST)
            screen_line(&s->out, 2, PLAIN, "%s  %s%s%s", run ? run : "?", task ? task : "-",
                        again ? "  as " : "", again ? again : "");
    }
    if (i > SHOWN_MOST)
        screen_line(&s->out, 2, DIM, "and %zu more", i - SHOWN_MOST);
    json_array_foreach(json_object_get(answer, "refused"), i, one)
    {
        const char *detail = field_text(one, "detail");
        screen_line(&s->out, 2, YELLOW, "not %s: %s", how, detail ? detail : "?");
    }
    if (left > 0)
        screen_line(&s->out, 0, PLAIN, "%" PRId64 " are left.", left);
}

static enum leave deal(struct session *s, const char *path)
{
    struct buffer full;
    char key[KEY_TEXT];
    const char *note = options_text(&s->options, "note");
    json_t *body = body_with("note", note);
    buffer_init(&full, 1 << 10);
    buffer_text(&full, path);
    query_add(&full, "dry_run", options_flag(&s->options, "dry-run") ? "true" : NULL);
    key_make(key);
    enum leave leave = which(s, body);
    if (leave == LEAVE_OK)
        leave = session_show_post(s, buffer_string(&full), json_incref(body), key, show_dealt);
    json_decref(body);
    buffer_done(&full);
    return leave;
}

static enum leave dead(struct session *s)
{
    const char *action = options_word(&s->options, 0);
    if (!action)
        return session_show_list(s, "/v1/dead-letters", filters, "dead_letters", 20, show_letters);
    if (strcmp(action, "retry") == 0)
        return deal(s, "/v1/dead-letters/retry");
    if (strcmp(action, "discard") == 0)
        return deal(s, "/v1/dead-letters/discard");
    return session_usage(s, "\"%s\" is neither retry nor discard", action);
}

int dead_run(int argc, char **argv)
{
    return session_run(argc, argv, dead_options, "[ACTION] [ID] [ID] [ID] [ID] [ID] [ID] [ID]",
                       dead);
}
