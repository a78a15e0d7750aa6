#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/field.h"
#include "cli/session.h"

const struct option_rule resume_options[] = {{0}};

static void show_resumed(struct session *s, const json_t *task)
{
    const char *name = options_word(&s->options, 0);
    const char *next = json_string_value(json_array_get(json_object_get(task, "next"), 0));
    wall at;
    if (next && wall_parse(next, strlen(next), &at) == STATUS_OK) {
        char *when = screen_moment(&s->out, at);
        screen_line(&s->out, 0, PLAIN, "%s is on again; next at %s.", name, when);
        free(when);
    } else {
        screen_line(&s->out, 0, PLAIN, "%s is on again.", name);
    }
}

static enum leave resume(struct session *s)
{
    struct buffer path;
    enum leave leave = session_path(s, "/v1/tasks", 0, "/resume", &path);
    if (leave == LEAVE_OK)
        leave = session_show_post(s, buffer_string(&path), json_object(), NULL, show_resumed);
    buffer_done(&path);
    return leave;
}

int resume_run(int argc, char **argv)
{
    return session_run(argc, argv, resume_options, "NAME", resume);
}
