#include "cli/commands.h"
#include "cli/field.h"
#include "cli/session.h"

const struct option_rule cancel_options[] = {
    {"reason", "TEXT", "why, kept with the run"},
    {0},
};

static enum leave cancel(struct session *s)
{
    struct buffer path;
    struct answer answer = {0};
    enum leave leave = session_path(s, "/v1/runs", 0, "/cancel", &path);
    if (leave == LEAVE_OK)
        leave =
            session_post(s, buffer_string(&path),
                         body_with("reason", options_text(&s->options, "reason")), NULL, &answer);
    if (leave == LEAVE_OK && s->json) {
        session_json(s, answer.json);
    } else if (leave == LEAVE_OK) {
        const char *state = field_text(answer.json, "state");
        screen_line(&s->out, 0, PLAIN, "%s is %s.", options_word(&s->options, 0),
                    state ? state : "canceled");
    }
    client_answer_done(&answer);
    buffer_done(&path);
    return leave;
}

int cancel_run(int argc, char **argv)
{
    return session_run(argc, argv, cancel_options, "ID", cancel);
}
