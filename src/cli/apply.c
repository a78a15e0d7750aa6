#include "cli/commands.h"
#include "cli/plan.h"

const struct option_rule apply_options[] = {
    {"prune", NULL, "remove tasks that are not in the file"},
    {"note", "TEXT", "why, kept with each revision"},
    {"dry-run", NULL, "show what would be done, and do nothing"},
    {0},
};

static enum leave apply(struct session *s)
{
    struct plan plan = {
        .dry_run = options_flag(&s->options, "dry-run"),
        .prune = options_flag(&s->options, "prune"),
        .note = options_text(&s->options, "note"),
    };
    json_t *answer = NULL;
    enum leave leave = plan_send(s, &plan, &answer);
    json_decref(answer);
    return leave;
}

int apply_run(int argc, char **argv)
{
    return session_run(argc, argv, apply_options, "[FILE]", apply);
}
