#include "cli/ago.h"
#include "cli/commands.h"
#include "cli/field.h"
#include "cli/session.h"

const struct option_rule queues_options[] = {{0}};

static const struct column columns[] = {
    {"QUEUE", .least = 12},
    {"DUE", .right = true},
    {"OLDEST", .right = true},
    {"RUNNING", .right = true},
    {"RATE", .right = true},
    {"SCHEDULED", .right = true},
    {"WORKERS WAITING", .right = true},
};

static void add_number(struct table *table, enum colour colour, int64_t n)
{
    if (n < 0)
        table_text(table, PLAIN, "-");
    else
        table_cell(table, colour, "%lld", (long long)n);
}

// "12 of 20" where the configuration sets a limit.
static void add_running(struct table *table, const json_t *queue)
{
    int64_t running = field_int(queue, "running"), most = field_int(queue, "max_running");
    if (most < 0)
        add_number(table, PLAIN, running);
    else
        table_cell(table, running >= most ? YELLOW : PLAIN, "%lld of %lld", (long long)running,
                   (long long)most);
}

// "100 in 1m", and whether it lets another start now.
static void add_rate(struct table *table, const struct screen *screen, const json_t *queue)
{
    const json_t *rate = json_object_get(queue, "rate_limit");
    const char *per = field_text(rate, "per");
    wall opens = field_moment(queue, "opens_at");
    if (!per)
        table_text(table, PLAIN, "-");
    else
        table_cell(table, wall_is_set(opens) && opens.us > screen->now.us ? YELLOW : PLAIN,
                   "%lld in %s", (long long)field_int(rate, "limit"), per);
}

static void add_queue(struct table *table, const struct screen *screen, const json_t *queue)
{
    const char *name = field_text(queue, "name");
    wall oldest = field_moment(queue, "oldest_due_at");
    int64_t due = field_int(queue, "due"), waiting = field_int(queue, "waiting_workers");
    char ago[AGO_TEXT] = "-";
    if (wall_is_set(oldest))
        ago_format(oldest, screen->now, ago);
    table_text(table, PLAIN, name ? name : "?");
    add_number(table, due > 0 && waiting == 0 ? YELLOW : PLAIN, due);
    table_text(table, PLAIN, ago);
    add_running(table, queue);
    add_rate(table, screen, queue);
    add_number(table, PLAIN, field_int(queue, "scheduled"));
    add_number(table, PLAIN, waiting);
}

static void show_queues(struct session *s, const json_t *answer)
{
    const json_t *list = json_object_get(answer, "queues");
    size_t i;
    json_t *queue;
    if (json_array_size(list) == 0) {
        screen_line(&s->out, 0, PLAIN, "No queue has runs or workers.");
        return;
    }
    struct table *table = table_new(columns, sizeof columns / sizeof *columns);
    json_array_foreach(list, i, queue) add_queue(table, &s->out, queue);
    screen_table(&s->out, 0, table);
    table_free(table);
}

static enum leave queues(struct session *s)
{
    return session_show_get(s, "/v1/queues", show_queues);
}

int queues_run(int argc, char **argv)
{
    return session_run(argc, argv, queues_options, "", queues);
}
