#include "cli/plan.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/field.h"
#include "cli/file.h"
#include "cli/problem.h"
#include "core/yaml.h"

// What a place in the file is told with.
static const char *name_of(const char *path)
{
    return strcmp(path, "-") == 0 ? "standard input" : path;
}

static void show_faults(struct session *s, const struct faults *faults, const char *path)
{
    problem_show_faults(&s->err, faults, path);
    if (!s->json)
        return;
    json_t *problem = problem_of_file("the file has faults; nothing was changed", faults);
    session_json(s, problem);
    json_decref(problem);
}

// Reads the file into JSON. Shows what is wrong with it.
static enum leave read_tasks(struct session *s, const char *path, json_t **ret,
                             struct yaml_places **ret_places)
{
    struct buffer text;
    char why[512];
    enum leave leave = LEAVE_OK;
    if (file_read(path, &text, why, sizeof why) != STATUS_OK) {
        leave = session_usage(s, "%s", why);
    } else {
        struct faults faults = {0};
        if (yaml_read(buffer_string(&text), text.size, getenv, &faults, ret, ret_places) !=
            STATUS_OK) {
            show_faults(s, &faults, name_of(path));
            leave = LEAVE_NO;
        }
        faults_done(&faults);
    }
    buffer_done(&text);
    return leave;
}

// Shows a refusal with the places of its faults in the file.
static void show_refusal(struct session *s, struct answer *answer, const struct yaml_places *places,
                         const char *path)
{
    struct faults faults;
    problem_faults(answer->json, &faults);
    for (size_t i = 0; i < faults_kept(&faults); i++)
        faults.items[i].line = faults.items[i].column =
            0; // the server's are places in the JSON it got
    yaml_place_faults(places, &faults);
    const char *detail = field_text(answer->json, "detail");
    screen_line(&s->err, 0, PLAIN, "punctual: %s",
                detail ? detail : "the file has faults; nothing was changed");
    problem_show_faults(&s->err, &faults, path);
    if (s->json) {
        problem_put_faults(answer->json, &faults);
        session_json(s, answer->json);
    }
    faults_done(&faults);
}

static const struct {
    const char *action, *done, *planned;
    const char *count; // the field of the answer
} actions[] = {
    {"created", "created", "would create", "created"},
    {"changed", "changed", "would change", "changed"},
    {"removed", "removed", "would remove", "removed"},
    {"unchanged", "unchanged", "unchanged", "unchanged"},
};
#define ACTIONS (sizeof actions / sizeof *actions)

static void show_change(struct session *s, const json_t *change)
{
    const char *pointer = field_text(change, "field");
    char *before = json_write(field(change, "before"), NULL),
         *after = json_write(field(change, "after"), NULL);
    screen_line(&s->out, 4, DIM, "%s", pointer ? pointer : "");
    if (before)
        screen_line(&s->out, 6, RED, "- %s", before);
    if (after)
        screen_line(&s->out, 6, GREEN, "+ %s", after);
    free(before);
    free(after);
}

static void show_task(struct session *s, const json_t *task, bool dry_run)
{
    const char *name = field_text(task, "name"), *action = field_text(task, "action"),
               *note = field_text(task, "note");
    if (!name || !action || strcmp(action, "unchanged") == 0)
        return;
    const char *words = action;
    for (size_t i = 0; i < ACTIONS; i++)
        if (strcmp(actions[i].action, action) == 0)
            words = dry_run ? actions[i].planned : actions[i].done;
    screen_line(&s->out, 0, colour_of_state(action), "%s %s", words, name);
    if (note)
        screen_line(&s->out, 4, YELLOW, "note: %s", note);
    size_t i;
    json_t *change;
    json_array_foreach(json_object_get(task, "changes"), i, change)
    {
        if (strcmp(action, "changed") == 0)
            show_change(s, change);
    }
}

static void show_plan(struct session *s, const json_t *answer, bool dry_run)
{
    size_t i;
    json_t *task;
    json_array_foreach(json_object_get(answer, "tasks"), i, task) show_task(s, task, dry_run);
    struct buffer line;
    buffer_init(&line, 256);
    for (i = 0; i < ACTIONS; i++) {
        int64_t count = field_int(answer, actions[i].count);
        if (count > 0)
            buffer_format(&line, "%s%" PRId64 " %s", line.size ? ", " : "", count, actions[i].done);
    }
    screen_line(&s->out, 0, BOLD, "%s%s",
                line.size ? buffer_string(&line) : "the file has no tasks",
                dry_run && plan_differences(answer) ? " (nothing was done yet)" : "");
    buffer_done(&line);
}

static enum leave send_tasks(struct session *s, const struct plan *plan, const json_t *tasks,
                             struct answer *ret)
{
    struct buffer path;
    buffer_init(&path, 64 << 10);
    buffer_text(&path, "/v1/apply");
    query_add(&path, "dry_run", plan->dry_run ? "true" : NULL);
    query_add(&path, "prune", plan->prune ? "true" : NULL);
    query_add(&path, "note", plan->note);
    char *body = json_write(tasks, NULL);
    struct request request = {.method = "POST", .path = buffer_string(&path), .body = body};
    enum leave leave = client_ask(&s->client, &request, ret);
    buffer_done(&path);
    free(body);
    return leave;
}

enum leave plan_send(struct session *s, const struct plan *plan, json_t **ret)
{
    const char *path = options_word(&s->options, 0);
    if (!path)
        path = PLAN_FILE;
    json_t *tasks = NULL;
    struct yaml_places *places = NULL;
    enum leave leave = read_tasks(s, path, &tasks, &places);
    if (leave != LEAVE_OK)
        return leave;
    struct answer answer;
    leave = send_tasks(s, plan, tasks, &answer);
    if (leave == LEAVE_REFUSED && json_array_size(json_object_get(answer.json, "errors")) > 0) {
        show_refusal(s, &answer, places, name_of(path));
        leave = LEAVE_NO;
    } else if (leave != LEAVE_OK) {
        session_complain(s, leave, &answer, NULL);
    } else {
        if (s->json)
            session_json(s, answer.json);
        else
            show_plan(s, answer.json, plan->dry_run);
        *ret = json_incref(answer.json);
    }
    client_answer_done(&answer);
    yaml_places_free(places);
    json_decref(tasks);
    return leave;
}

int64_t plan_differences(const json_t *answer)
{
    int64_t count = 0;
    for (size_t i = 0; i < ACTIONS; i++) {
        int64_t n = field_int(answer, actions[i].count);
        if (n > 0 && strcmp(actions[i].action, "unchanged") != 0)
            count += n;
    }
    return count;
}
