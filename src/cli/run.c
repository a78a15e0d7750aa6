#include "cli/commands.h"
#include "cli/run_view.h"
#include "cli/session.h"

const struct option_rule run_options[] = {{0}};

static enum leave run(struct session *s)
{
    struct buffer path;
    struct answer answer = {0};
    enum leave leave = session_path(s, "/v1/runs", 0, "", &path);
    if (leave == LEAVE_OK)
        leave = session_get(s, buffer_string(&path), &answer);
    if (leave == LEAVE_OK && s->json)
        session_json(s, answer.json);
    else if (leave == LEAVE_OK)
        run_view(&s->out, answer.json);
    client_answer_done(&answer);
    buffer_done(&path);
    return leave;
}

int run_run(int argc, char **argv)
{
    return session_run(argc, argv, run_options, "ID", run);
}
