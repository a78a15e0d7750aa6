#include "cli/commands.h"
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

static void show_runs(struct session *s, const json_t *answer)
{
    const json_t *runs = json_object_get(answer, "runs");
    if (json_array_size(runs) == 0)
        screen_line(&s->out, 0, PLAIN, "No runs.");
    else
        run_view_table(&s->out, 0, runs, !options_text(&s->options, "task"));
}

static enum leave runs(struct session *s)
{
    static const char *const filters[] = {"task", "state", "from", "to", NULL};
    return session_show_list(s, "/v1/runs", filters, "runs", 20, show_runs);
}

int runs_run(int argc, char **argv)
{
    return session_run(argc, argv, runs_options, "", runs);
}
