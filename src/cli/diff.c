#include "cli/commands.h"
#include "cli/plan.h"

const struct option_rule diff_options[] = {
    {"prune", NULL, "tasks that are not in the file count as differences"},
    {0},
};

static enum leave diff(struct session *s)
{
    struct plan plan = {.dry_run = true, .prune = options_flag(&s->options, "prune")};
    json_t *answer = NULL;
    enum leave leave = plan_send(s, &plan, &answer);
    if (leave == LEAVE_OK && plan_differences(answer))
        leave = LEAVE_NO; // as diff(1) does
    json_decref(answer);
    return leave;
}

int diff_run(int argc, char **argv)
{
    return session_run(argc, argv, diff_options, "[FILE]", diff);
}
