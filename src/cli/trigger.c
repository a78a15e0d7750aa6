#include <string.h>

#include "cli/commands.h"
#include "cli/file.h"
#include "cli/key.h"
#include "cli/session.h"
#include "cli/wait.h"

const struct option_rule trigger_options[] = {
    {"payload", "JSON", "instead of the task's own; @FILE reads a file, - standard input"},
    {"delay", "DURATION", "not now but later, e.g. 10m"},
    {"at", "WHEN", "not now but then: an instant, e.g. 2026-12-24T18:00:00+01:00"},
    {"priority", "0-9", "instead of the task's own; 9 is the most urgent"},
    {"wait", NULL, "until the run is over; exit code 0 if it succeeded, 1 if not"},
    {0},
};

// The payload given as text, file or standard input; left out of the body where not given.
static enum leave add_payload(struct session *s, json_t *body)
{
    const char *given = options_text(&s->options, "payload");
    if (!given)
        return LEAVE_OK;
    bool from_file = given[0] == '@' || strcmp(given, "-") == 0;
    struct buffer text;
    char why[512];
    struct json_place place;
    json_t *payload = NULL;
    enum leave leave = LEAVE_OK;
    if (from_file) {
        if (file_read(given[0] == '@' ? given + 1 : given, &text, why, sizeof why) != STATUS_OK)
            leave = session_usage(s, "%s", why);
    } else {
        buffer_init(&text, FILE_MAX);
        buffer_text(&text, given);
    }
    if (leave == LEAVE_OK &&
        json_read(buffer_string(&text), text.size, &payload, &place) != STATUS_OK)
        leave = session_usage(
            s,
            "the payload is not JSON: %s at line %d, column %d; a text needs its quotes: "
            "--payload '\"text\"'",
            place.detail, place.line, place.column);
    if (leave == LEAVE_OK)
        json_object_set_new(body, "payload", payload);
    buffer_done(&text);
    return leave;
}

static enum leave add_time(struct session *s, json_t *body)
{
    const char *delay = options_text(&s->options, "delay"), *at;
    char at_text[MOMENT_TEXT];
    int64_t us;
    if (delay && options_text(&s->options, "at"))
        return session_usage(s, "--delay and --at exclude each other");
    if (delay && duration_parse(delay, strlen(delay), &us) != STATUS_OK)
        return session_usage(s, "--delay is a duration such as 10m or 1h30m, not \"%s\"", delay);
    enum leave leave = session_moment(s, "at", 1, at_text, &at);
    if (leave != LEAVE_OK)
        return leave;
    if (delay)
        json_object_set_new(body, "delay", json_string(delay));
    if (at)
        json_object_set_new(body, "run_at", json_string(at));
    return LEAVE_OK;
}

static enum leave add_priority(struct session *s, json_t *body)
{
    const char *given = options_text(&s->options, "priority");
    if (!given)
        return LEAVE_OK;
    if (given[0] < '0' || given[0] > '9' || given[1])
        return session_usage(s, "--priority is 0 to 9, 9 the most urgent, not \"%s\"", given);
    json_object_set_new(body, "priority", json_integer(given[0] - '0'));
    return LEAVE_OK;
}

static enum leave trigger(struct session *s)
{
    struct buffer path;
    struct answer answer = {0};
    json_t *body = json_object();
    enum leave leave = session_path(s, "/v1/tasks", 0, "/runs", &path);
    if (leave == LEAVE_OK)
        leave = add_payload(s, body);
    if (leave == LEAVE_OK)
        leave = add_time(s, body);
    if (leave == LEAVE_OK)
        leave = add_priority(s, body);
    if (leave == LEAVE_OK) {
        char key[KEY_TEXT];
        key_make(key);
        leave = session_post(s, buffer_string(&path), json_incref(body), key, &answer);
    }
    if (leave == LEAVE_OK)
        leave = wait_or_show(s, json_incref(answer.json));
    json_decref(body);
    client_answer_done(&answer);
    buffer_done(&path);
    return leave;
}

int trigger_run(int argc, char **argv)
{
    return session_run(argc, argv, trigger_options, "NAME", trigger);
}
