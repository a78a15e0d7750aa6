#include "cli/commands.h"
#include "cli/field.h"
#include "cli/run_view.h"
#include "cli/session.h"

const struct option_rule runs_options[] = {
    {"task", "NAME", "only runs of this task"},
    {"state", "STATE",
     "scheduled, due, running, waiting, succeeded, failed, canceled, missed, skipped"},
    {"from", "WHEN", "due at or after: an instant, or 2h for two hours ago"},
    {"to", "WHEN", "due before"},
    {"limit", "N", "at most so many; 20 where not said"},
    {0},
};

// "/v1/runs" with the filters asked for.
static enum leave runs_path(struct session *s, struct buffer *path)
{
    char from_text[MOMENT_TEXT], to_text[MOMENT_TEXT];
    const char *from, *to;
    enum leave leave = session_moment(s, "from", -1, from_text, &from);
    if (leave == LEAVE_OK)
        leave = session_moment(s, "to", -1, to_text, &to);
    if (leave != LEAVE_OK)
        return leave;
    buffer_text(path, "/v1/runs");
    query_add(path, "task", options_text(&s->options, "task"));
    query_add(path, "state", options_text(&s->options, "state"));
    query_add(path, "from", from);
    query_add(path, "to", to);
    return LEAVE_OK;
}

static void show_runs(struct session *s, const json_t *answer)
{
    const json_t *runs = json_object_get(answer, "runs");
    if (json_array_size(runs) == 0)
        screen_line(&s->out, 0, PLAIN, "No runs.");
    else
        run_view_table(&s->out, 0, runs, !options_text(&s->options, "task"));
    if (field(answer, "next_cursor"))
        screen_line(&s->err, 0, DIM, "There are more: --limit shows them.");
}

static enum leave runs(struct session *s)
{
    int64_t limit;
    char why[200];
    if (options_int(&s->options, "limit", 1, 100000, 20, &limit, why, sizeof why) != STATUS_OK)
        return session_usage(s, "%s", why);
    struct buffer path;
    json_t *answer = NULL;
    buffer_init(&path, 64 << 10);
    enum leave leave = runs_path(s, &path);
    if (leave == LEAVE_OK)
        leave = session_list(s, buffer_string(&path), "runs", limit, &answer);
    if (leave == LEAVE_OK && s->json)
        session_json(s, answer);
    else if (leave == LEAVE_OK)
        show_runs(s, answer);
    json_decref(answer);
    buffer_done(&path);
    return leave;
}

int runs_run(int argc, char **argv)
{
    return session_run(argc, argv, runs_options, "", runs);
}
