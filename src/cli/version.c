#include "cli/commands.h"
#include "cli/session.h"

const struct option_rule version_options[] = {{0}};

static enum leave version(struct session *s)
{
    if (s->json) {
        json_t *value = body_with("version", PUNCTUAL_VERSION);
        session_json(s, value);
        json_decref(value);
    } else {
        screen_line(&s->out, 0, PLAIN, "punctual %s", PUNCTUAL_VERSION);
    }
    return LEAVE_OK;
}

int version_run(int argc, char **argv)
{
    return session_run(argc, argv, version_options, "", version);
}
