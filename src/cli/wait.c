#include "cli/wait.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/now.h"
#include "cli/ago.h"
#include "cli/field.h"
#include "cli/run_view.h"

#define FIRST_PAUSE (100 * MILLISECOND)
#define LONGEST_PAUSE (2 * SECOND)
#define MAX_AWAY (60 * SECOND) // how long a server may be away, e.g. for a restart

static bool is_final(const char *state)
{
    static const char *const final[] = {"succeeded", "failed", "canceled", "missed", "skipped"};
    for (size_t i = 0; i < sizeof final / sizeof *final; i++)
        if (strcmp(final[i], state) == 0)
            return true;
    return false;
}

static void rest(int64_t us)
{
    nanosleep(&(struct timespec){.tv_sec = us / SECOND, .tv_nsec = us % SECOND * 1000}, NULL);
}

// Finer than ago_format: the first waits are often below a second.
static void format_until(wall then, wall now, char text[static AGO_TEXT + 3])
{
    char span[AGO_TEXT];
    span_format(then.us - now.us, span);
    snprintf(text, AGO_TEXT + 3, then.us > now.us ? "in %s" : "now", span);
}

// One line for each new state.
static void show_progress(struct session *s, const json_t *run, char *last, size_t size)
{
    const char *state = field_text(run, "state");
    char line[128], when[AGO_TEXT + 3] = "";
    size_t attempts = json_array_size(json_object_get(run, "attempts"));
    wall due = field_moment(run, "due_at");
    if (strcmp(state, "scheduled") == 0 || strcmp(state, "waiting") == 0)
        if (wall_is_set(due))
            format_until(due, wall_now(), when);
    char key[64];
    snprintf(key, sizeof key, "%.40s %zu", state, attempts);
    if (strcmp(key, last) == 0)
        return;
    snprintf(last, size, "%s", key);
    if (strcmp(state, "waiting") == 0)
        snprintf(line, sizeof line, "waiting: attempt %zu did not succeed, the next is %s",
                 attempts, when);
    else
        snprintf(line, sizeof line, "%.60s%s%s", state, *when ? " " : "", when);
    screen_line(&s->err, 0, DIM, "%s", line);
    screen_show(&s->err);
}

// Whether to try again: the server is away, and not for too long.
static bool bear(struct session *s, enum leave leave, const struct answer *answer,
                 steady *away_since)
{
    if (leave != LEAVE_UNREACHABLE && answer->status != 503)
        return false;
    steady now = steady_now();
    if (away_since->us == 0) {
        *away_since = now;
        screen_line(&s->err, 0, DIM, "the server is away (%s); still trying", answer->why);
        screen_show(&s->err);
    }
    return now.us - away_since->us < MAX_AWAY;
}

enum leave wait_for_run(struct session *s, const char *id, json_t **ret)
{
    struct buffer path;
    buffer_init(&path, 4096);
    buffer_text(&path, "/v1/runs");
    path_add(&path, id);
    struct request request = {.method = "GET", .path = buffer_string(&path)};
    char last[64] = "";
    steady away_since = {0};
    int64_t pause_us = FIRST_PAUSE;
    enum leave leave;
    for (*ret = NULL; !*ret; rest(*ret ? 0 : pause_us)) {
        struct answer answer;
        leave = client_ask(&s->client, &request, &answer);
        const char *state = leave == LEAVE_OK ? field_text(answer.json, "state") : NULL;
        bool again = leave != LEAVE_OK && bear(s, leave, &answer, &away_since);
        if (leave == LEAVE_OK && !state) {
            leave = LEAVE_TROUBLE;
            snprintf(answer.why, sizeof answer.why, "the answer is no run");
        }
        if (leave == LEAVE_OK) {
            away_since = (steady){0};
            show_progress(s, answer.json, last, sizeof last);
            if (is_final(state))
                *ret = json_incref(answer.json);
        } else if (!again) {
            session_complain(s, leave, &answer, NULL);
        }
        client_answer_done(&answer);
        if (leave != LEAVE_OK && !again)
            break;
        pause_us = pause_us * 3 / 2 < LONGEST_PAUSE ? pause_us * 3 / 2 : LONGEST_PAUSE;
    }
    buffer_done(&path);
    return leave;
}

enum leave wait_verdict(const json_t *run)
{
    const char *state = field_text(run, "state");
    return state && strcmp(state, "succeeded") == 0 ? LEAVE_OK : LEAVE_NO;
}

enum leave wait_or_show(struct session *s, json_t *run)
{
    enum leave leave = LEAVE_OK;
    const char *id = field_text(run, "id");
    if (options_flag(&s->options, "wait") && id) {
        json_t *ended = NULL;
        leave = wait_for_run(s, id, &ended);
        s->out.now = wall_now();
        if (leave == LEAVE_OK) {
            leave = wait_verdict(ended);
            if (s->json)
                session_json(s, ended);
            else
                run_view(&s->out, ended);
        }
        json_decref(ended);
    } else if (s->json) {
        session_json(s, run);
    } else {
        char *due = screen_moment(&s->out, field_moment(run, "due_at"));
        const char *state = field_text(run, "state");
        screen_line(&s->out, 0, PLAIN, "%s is %s; its time: %s", id ? id : "the run",
                    state ? state : "made", due);
        free(due);
    }
    json_decref(run);
    return leave;
}
