#include <string.h>

#include "cli/commands.h"
#include "cli/field.h"
#include "cli/key.h"
#include "cli/session.h"

const struct option_rule checkin_options[] = {
    {"start", NULL, "the job has begun"},
    {"failure", NULL, "the job has failed"},
    {"message", "TEXT", "the job's own words, kept with the run"},
    {"run", "ID", "which run; the one that is expected where not said"},
    {"duration", "DURATION", "how long the job took, e.g. 3m; since its start where not said"},
    {0},
};

static enum leave read_body(struct session *s, json_t *body)
{
    const char *duration = options_text(&s->options, "duration");
    const char *message = options_text(&s->options, "message");
    const char *run = options_text(&s->options, "run");
    bool start = options_flag(&s->options, "start"), failure = options_flag(&s->options, "failure");
    int64_t us;
    if (start && failure)
        return session_usage(s, "--start and --failure exclude each other");
    if (duration && duration_parse(duration, strlen(duration), &us) != STATUS_OK)
        return session_usage(s, "--duration is a duration such as 90s or 1h30m, not \"%s\"",
                             duration);
    json_object_set_new(body, "status",
                        json_string(start     ? "start"
                                    : failure ? "failure"
                                              : "success"));
    if (message)
        json_object_set_new(body, "message", json_string(message));
    if (run)
        json_object_set_new(body, "run", json_string(run));
    if (duration)
        json_object_set_new(body, "duration_ms", json_real((double)us / 1000));
    return LEAVE_OK;
}

static void show(struct session *s, const json_t *run)
{
    const char *id = field_text(run, "id"), *state = field_text(run, "state"),
               *trigger = field_text(run, "trigger");
    bool expected = trigger && strcmp(trigger, "api") != 0;
    screen_line(&s->out, 0, PLAIN, "%s: %s is %s%s.", options_word(&s->options, 0), id ? id : "?",
                state ? state : "?",
                expected ? "" : " (no check-in was expected, so it is a run of its own)");
}

static enum leave checkin(struct session *s)
{
    struct buffer path;
    char key[KEY_TEXT];
    json_t *body = json_object();
    enum leave leave = session_path(s, "/v1/checkins", 0, "", &path);
    if (leave == LEAVE_OK)
        leave = read_body(s, body);
    key_make(key);
    if (leave == LEAVE_OK)
        leave = session_show_post(s, buffer_string(&path), json_incref(body), key, show);
    json_decref(body);
    buffer_done(&path);
    return leave;
}

int checkin_run(int argc, char **argv)
{
    return session_run(argc, argv, checkin_options, "NAME", checkin);
}
