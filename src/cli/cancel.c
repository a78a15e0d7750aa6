#include "cli/commands.h"
#include "cli/field.h"
#include "cli/session.h"

const struct option_rule cancel_options[] = {
    {"reason", "TEXT", "why, kept with the run"},
    {0},
};

static void show_canceled(struct session *s, const json_t *run)
{
    const char *state = field_text(run, "state");
    screen_line(&s->out, 0, PLAIN, "%s is %s.", options_word(&s->options, 0),
                state ? state : "canceled");
}

static enum leave cancel(struct session *s)
{
    struct buffer path;
    const char *reason = options_text(&s->options, "reason");
    enum leave leave = session_path(s, "/v1/runs", 0, "/cancel", &path);
    if (leave == LEAVE_OK)
        leave = session_show_post(s, buffer_string(&path), body_with("reason", reason), NULL,
                                  show_canceled);
    buffer_done(&path);
    return leave;
}

int cancel_run(int argc, char **argv)
{
    return session_run(argc, argv, cancel_options, "ID", cancel);
}
