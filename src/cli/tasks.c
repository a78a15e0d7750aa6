#include <math.h>
#include <string.h>

#include "cli/ago.h"
#include "cli/commands.h"
#include "cli/field.h"
#include "cli/session.h"
#include "cli/words.h"

const struct option_rule tasks_options[] = {
    {"limit", "N", "at most so many; 100 where not said"},
    {0},
};

static const struct column columns[] = {
    {"TASK", .least = 12},     {"SCHEDULE", .least = 12}, {"NEXT", .right = true},
    {"ERRORS", .right = true}, {"P50", .right = true},    {"P95", .right = true},
};

static void add_next(struct table *table, const struct screen *screen, const json_t *task)
{
    const char *next = json_string_value(json_array_get(json_object_get(task, "next"), 0));
    wall at;
    char text[AGO_TEXT] = "-";
    if (field(task, "paused")) {
        table_text(table, YELLOW, "paused");
        return;
    }
    if (next && wall_parse(next, strlen(next), &at) == STATUS_OK)
        ago_format(at, screen->now, text);
    table_text(table, PLAIN, text);
}

static void add_task(struct table *table, const struct screen *screen, const json_t *task)
{
    const char *name = field_text(task, "name");
    const json_t *figures = field(task, "figures");
    double errors = field_real(figures, "error_rate");
    char span[AGO_TEXT];
    struct buffer schedule;
    buffer_init(&schedule, 4096);
    words_schedules_short(field(field(task, "definition"), "schedule"), &schedule);
    table_text(table, PLAIN, name ? name : "?");
    table_text(table, PLAIN, buffer_string(&schedule));
    add_next(table, screen, task);
    if (isnan(errors))
        table_text(table, PLAIN, "-");
    else
        table_cell(table, errors > 0 ? RED : PLAIN, "%.3g %%", errors * 100);
    span_format(field_ms(figures, "p50_ms"), span);
    table_text(table, PLAIN, span);
    span_format(field_ms(figures, "p95_ms"), span);
    table_text(table, PLAIN, span);
    buffer_done(&schedule);
}

static void show_tasks(struct session *s, const json_t *answer)
{
    const json_t *list = json_object_get(answer, "tasks");
    size_t i;
    json_t *task;
    if (json_array_size(list) == 0) {
        screen_line(&s->out, 0, PLAIN,
                    "No tasks yet. `punctual apply FILE` defines those of a file.");
        return;
    }
    struct table *table = table_new(columns, sizeof columns / sizeof *columns);
    json_array_foreach(list, i, task) add_task(table, &s->out, task);
    screen_table(&s->out, 0, table);
    table_free(table);
}

static enum leave tasks(struct session *s)
{
    return session_show_list(s, "/v1/tasks?figures=true", NULL, "tasks", 100, show_tasks);
}

int tasks_run(int argc, char **argv)
{
    return session_run(argc, argv, tasks_options, "", tasks);
}
