#include "cli/commands.h"
#include "cli/key.h"
#include "cli/session.h"
#include "cli/wait.h"

const struct option_rule retry_options[] = {
    {"wait", NULL, "until the new run is over; exit code 0 if it succeeded, 1 if not"},
    {0},
};

static enum leave retry(struct session *s)
{
    struct buffer path;
    struct answer answer = {0};
    enum leave leave = session_path(s, "/v1/runs", 0, "/retry", &path);
    if (leave == LEAVE_OK) {
        char key[KEY_TEXT];
        key_make(key);
        leave = session_post(s, buffer_string(&path), json_object(), key, &answer);
    }
    if (leave == LEAVE_OK)
        leave = wait_or_show(s, json_incref(answer.json));
    client_answer_done(&answer);
    buffer_done(&path);
    return leave;
}

int retry_run(int argc, char **argv)
{
    return session_run(argc, argv, retry_options, "ID", retry);
}
