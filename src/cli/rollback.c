#include <inttypes.h>

#include "cli/commands.h"
#include "cli/field.h"
#include "cli/session.h"

const struct option_rule rollback_options[] = {
    {"revision", "N", "go back to this one; else the one before the newest"},
    {"note", "TEXT", "why, kept with the new revision"},
    {0},
};

static void show_rolled_back(struct session *s, const json_t *task)
{
    screen_line(&s->out, 0, PLAIN,
                "%s is rolled back; what it was before is revision %" PRId64 " now.",
                options_word(&s->options, 0), field_int(task, "revision"));
}

static enum leave rollback_to(struct session *s, const char *path, int64_t revision)
{
    json_t *body = body_with("note", options_text(&s->options, "note"));
    if (revision)
        json_object_set_new(body, "revision", json_integer(revision));
    return session_show_post(s, path, body, NULL, show_rolled_back);
}

static enum leave rollback(struct session *s)
{
    struct buffer path;
    int64_t revision;
    char why[200];
    enum leave leave = session_path(s, "/v1/tasks", 0, "/rollback", &path);
    if (leave == LEAVE_OK && options_int(&s->options, "revision", 1, INT32_MAX, 0, &revision, why,
                                         sizeof why) != STATUS_OK)
        leave = session_usage(s, "%s", why);
    if (leave == LEAVE_OK)
        leave = rollback_to(s, buffer_string(&path), revision);
    buffer_done(&path);
    return leave;
}

int rollback_run(int argc, char **argv)
{
    return session_run(argc, argv, rollback_options, "NAME", rollback);
}
