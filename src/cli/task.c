#include "cli/commands.h"
#include "cli/session.h"
#include "cli/task_view.h"

const struct option_rule task_options[] = {
    {"runs", "N", "show so many of its last runs; 5 where not said"},
    {0},
};

// What stands beside the task itself: its coming occurrences and its last runs.
static enum leave get_beside(struct session *s, const char *path, int64_t runs,
                             struct answer *upcoming, struct answer *last)
{
    struct buffer b;
    char number[24];
    buffer_init(&b, 64 << 10);
    buffer_format(&b, "%s/upcoming?limit=5", path);
    enum leave leave = session_get(s, buffer_string(&b), upcoming);
    if (leave == LEAVE_OK) {
        snprintf(number, sizeof number, "%d", (int)runs);
        buffer_clear(&b);
        buffer_text(&b, "/v1/runs");
        query_add(&b, "task", options_word(&s->options, 0));
        query_add(&b, "limit", number);
        leave = session_get(s, buffer_string(&b), last);
    }
    buffer_done(&b);
    return leave;
}

static enum leave task(struct session *s)
{
    struct buffer path;
    struct answer task = {0}, upcoming = {0}, last = {0};
    int64_t runs;
    char why[200];
    enum leave leave = session_path(s, "/v1/tasks", 0, "", &path);
    if (leave == LEAVE_OK &&
        options_int(&s->options, "runs", 1, 100, 5, &runs, why, sizeof why) != STATUS_OK)
        leave = session_usage(s, "%s", why);
    if (leave == LEAVE_OK)
        leave = session_get(s, buffer_string(&path), &task);
    if (leave == LEAVE_OK && !s->json)
        leave = get_beside(s, buffer_string(&path), runs, &upcoming, &last);
    if (leave == LEAVE_OK && s->json)
        session_json(s, task.json);
    else if (leave == LEAVE_OK)
        task_view(&s->out, task.json, json_object_get(upcoming.json, "occurrences"),
                  json_object_get(last.json, "runs"));
    client_answer_done(&task);
    client_answer_done(&upcoming);
    client_answer_done(&last);
    buffer_done(&path);
    return leave;
}

int task_run(int argc, char **argv)
{
    return session_run(argc, argv, task_options, "NAME", task);
}
