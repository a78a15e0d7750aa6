#include "cli/commands.h"
#include "cli/run_view.h"
#include "cli/session.h"

const struct option_rule run_options[] = {{0}};

static void show_run(struct session *s, const json_t *run)
{
    run_view(&s->out, run);
}

static enum leave run(struct session *s)
{
    struct buffer path;
    enum leave leave = session_path(s, "/v1/runs", 0, "", &path);
    if (leave == LEAVE_OK)
        leave = session_show_get(s, buffer_string(&path), show_run);
    buffer_done(&path);
    return leave;
}

int run_run(int argc, char **argv)
{
    return session_run(argc, argv, run_options, "ID", run);
}
