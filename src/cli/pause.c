#include "cli/commands.h"
#include "cli/field.h"
#include "cli/session.h"

const struct option_rule pause_options[] = {
    {"reason", "TEXT", "why: shown to whoever looks at the task"},
    {0},
};

// Runs that had begun are not stopped; the answer may list them.
static void show_paused(struct session *s, const json_t *answer)
{
    size_t i;
    json_t *run;
    screen_line(&s->out, 0, PLAIN, "%s is paused: nothing starts until `punctual resume %s`.",
                options_word(&s->options, 0), options_word(&s->options, 0));
    json_array_foreach(json_object_get(answer, "running"), i, run)
    {
        const char *id = json_is_string(run) ? json_string_value(run) : field_text(run, "id");
        if (id)
            screen_line(&s->out, 2, PLAIN, "still running: %s", id);
    }
}

static enum leave pause_task(struct session *s)
{
    struct buffer path;
    const char *reason = options_text(&s->options, "reason");
    enum leave leave = session_path(s, "/v1/tasks", 0, "/pause", &path);
    if (leave == LEAVE_OK && !reason)
        leave = session_usage(s, "a pause says why: --reason \"the database moves\"");
    if (leave == LEAVE_OK)
        leave = session_show_post(s, buffer_string(&path), body_with("reason", reason), NULL,
                                  show_paused);
    buffer_done(&path);
    return leave;
}

int pause_run(int argc, char **argv)
{
    return session_run(argc, argv, pause_options, "NAME", pause_task);
}
