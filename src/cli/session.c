#include "cli/session.h"

#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/now.h"
#include "cli/problem.h"

#define PAGE 100 // members asked for at once

static void leave_interrupted(int signal)
{
    (void)signal;
    _exit(LEAVE_INTERRUPTED);
}

// Nothing needs tidying up, and whole lines are out already: leave at once, by a number that
// scripts can tell.
static void heed_interrupts(void)
{
    struct sigaction before;
    if (sigaction(SIGINT, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
        sigaction(SIGINT, &(struct sigaction){.sa_handler = leave_interrupted}, NULL);
}

int session_run(int argc, char **argv, const struct option_rule *rules, const char *words,
                enum leave (*work)(struct session *))
{
    struct session s = {.command = argv[0]};
    char why[512];
    screen_init(&s.out, stdout, wall_now());
    screen_init(&s.err, stderr, wall_now());
    enum leave leave = LEAVE_USAGE;
    heed_interrupts();
    if (options_read(&s.options, rules, words, argc, argv, why, sizeof why) != STATUS_OK ||
        client_open(&s.client, &s.options, why, sizeof why) != LEAVE_OK) {
        session_usage(&s, "%s", why);
    } else {
        s.json = options_flag(&s.options, "json");
        leave = work(&s);
    }
    client_close(&s.client);
    screen_done(&s.out);
    screen_done(&s.err);
    return (int)leave;
}

enum leave session_usage(struct session *s, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    screen_line(&s->err, 0, PLAIN, "punctual %s: %s", s->command, text);
    screen_line(&s->err, 0, DIM, "`punctual help %s` shows how it is used.", s->command);
    return LEAVE_USAGE;
}

void session_complain(struct session *s, enum leave leave, const struct answer *answer,
                      const char *file)
{
    if (leave == LEAVE_UNREACHABLE) {
        screen_line(&s->err, 0, PLAIN, "punctual: cannot reach %s: %s", s->client.base,
                    answer->why);
        screen_line(&s->err, 2, DIM,
                    "`punctual serve` starts a server; --url or PUNCTUAL_URL names another.");
    } else if (problem_leave(answer->status) == LEAVE_OK || !answer->status) {
        screen_line(&s->err, 0, PLAIN, "punctual: %s", answer->why);
    } else {
        problem_show(&s->err, answer->status, answer->json, file);
        if (s->json && answer->json)
            session_json(s, answer->json);
    }
}

enum leave session_ask(struct session *s, const struct request *request, struct answer *ret)
{
    enum leave leave = client_ask(&s->client, request, ret);
    if (leave != LEAVE_OK)
        session_complain(s, leave, ret, NULL);
    s->out.now = wall_now(); // the answer may have taken its time
    return leave;
}

enum leave session_path(struct session *s, const char *collection, size_t word, const char *rest,
                        struct buffer *ret)
{
    const char *name = options_word(&s->options, word);
    buffer_init(ret, 64 << 10);
    // RFC 3986, 5.2.4: "." and ".." would climb out of the collection, and nothing would be the
    // collection itself.
    if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return session_usage(s, "\"%s\" can be no name", name);
    buffer_text(ret, collection);
    path_add(ret, name);
    buffer_text(ret, rest);
    return LEAVE_OK;
}

enum leave session_get(struct session *s, const char *path, struct answer *ret)
{
    return session_ask(s, &(struct request){.method = "GET", .path = path}, ret);
}

enum leave session_post(struct session *s, const char *path, json_t *body, const char *key,
                        struct answer *ret)
{
    char *text = json_write(body, NULL);
    struct request request = {.method = "POST", .path = path, .body = text, .key = key};
    enum leave leave = session_ask(s, &request, ret);
    free(text);
    json_decref(body);
    return leave;
}

static void show_it(struct session *s, const json_t *answer, show_answer *show)
{
    if (s->json)
        session_json(s, answer);
    else
        show(s, answer);
}

enum leave session_show_get(struct session *s, const char *path, show_answer *show)
{
    struct answer answer;
    enum leave leave = session_get(s, path, &answer);
    if (leave == LEAVE_OK)
        show_it(s, answer.json, show);
    client_answer_done(&answer);
    return leave;
}

enum leave session_show_post(struct session *s, const char *path, json_t *body, const char *key,
                             show_answer *show)
{
    struct answer answer;
    enum leave leave = session_post(s, path, body, key, &answer);
    if (leave == LEAVE_OK)
        show_it(s, answer.json, show);
    client_answer_done(&answer);
    return leave;
}

// One page: `path` with its limit and cursor.
static enum leave get_page(struct session *s, const char *path, int64_t limit, const char *cursor,
                           struct answer *ret)
{
    struct buffer full;
    char number[24];
    buffer_init(&full, 64 << 10);
    buffer_text(&full, path);
    snprintf(number, sizeof number, "%d", (int)(limit < PAGE ? limit : PAGE));
    query_add(&full, "limit", number);
    query_add(&full, "cursor", cursor);
    enum leave leave = session_get(s, buffer_string(&full), ret);
    buffer_done(&full);
    return leave;
}

// All pages in one: the first with all members joined, and the last one's next_cursor.
static enum leave get_pages(struct session *s, const char *path, const char *list, int64_t limit,
                            json_t **ret)
{
    json_t *whole = json_object(), *members = json_array();
    char *cursor = NULL;
    enum leave leave = LEAVE_OK;
    do {
        struct answer answer;
        leave = get_page(s, path, limit - (int64_t)json_array_size(members), cursor, &answer);
        free(cursor);
        cursor = NULL;
        if (leave == LEAVE_OK) {
            json_array_extend(members, json_object_get(answer.json, list));
            json_object_update(whole, answer.json);
            const char *next = json_string_value(json_object_get(answer.json, "next_cursor"));
            // A page without members that promises more would be asked for without end.
            cursor = json_array_size(json_object_get(answer.json, list))
                         ? (next ? strdup(next) : NULL)
                         : NULL;
        }
        client_answer_done(&answer);
    } while (leave == LEAVE_OK && cursor && (int64_t)json_array_size(members) < limit);
    free(cursor);
    json_object_set_new(whole, list, members);
    if (leave == LEAVE_OK)
        *ret = whole;
    else
        json_decref(whole);
    return leave;
}

static enum leave add_filters(struct session *s, const char *const *filters, struct buffer *path)
{
    const char *name;
    json_t *value, *members = json_object();
    enum leave leave = session_filters(s, filters, members);
    json_object_foreach(members, name, value) query_add(path, name, json_string_value(value));
    json_decref(members);
    return leave;
}

enum leave session_show_list(struct session *s, const char *path, const char *const *filters,
                             const char *list, int64_t otherwise, show_answer *show)
{
    int64_t limit;
    char why[200];
    struct buffer full;
    json_t *whole = NULL;
    if (options_int(&s->options, "limit", 1, 100000, otherwise, &limit, why, sizeof why) !=
        STATUS_OK)
        return session_usage(s, "%s", why);
    buffer_init(&full, 64 << 10);
    buffer_text(&full, path);
    enum leave leave = filters ? add_filters(s, filters, &full) : LEAVE_OK;
    if (leave == LEAVE_OK)
        leave = get_pages(s, buffer_string(&full), list, limit, &whole);
    if (leave == LEAVE_OK)
        show_it(s, whole, show);
    if (leave == LEAVE_OK && !s->json && json_is_string(json_object_get(whole, "next_cursor")))
        screen_line(&s->err, 0, DIM, "There are more: --limit shows them.");
    json_decref(whole);
    buffer_done(&full);
    return leave;
}

void session_json(struct session *s, const json_t *value)
{
    // 15 digits read well; in a pipe numbers stay exact.
    char *text = s->out.width
                     ? json_dumps(value, JSON_ENCODE_ANY | JSON_INDENT(2) | JSON_REAL_PRECISION(15))
                     : json_write(value, NULL);
    buffer_text(&s->out.out, text ? text : "null");
    buffer_byte(&s->out.out, '\n');
    free(text);
}

json_t *body_with(const char *name, const char *value)
{
    json_t *body = json_object();
    if (value)
        json_object_set_new(body, name, json_string(value));
    return body;
}

enum leave session_moment(struct session *s, const char *option, int sign,
                          char text[static MOMENT_TEXT], const char **ret)
{
    const char *given = options_text(&s->options, option);
    wall t;
    int64_t us;
    *ret = NULL;
    if (!given)
        return LEAVE_OK;
    if (wall_parse(given, strlen(given), &t) != STATUS_OK) {
        if (duration_parse(given, strlen(given), &us) != STATUS_OK)
            return session_usage(s,
                                 "--%s is an instant such as 2026-12-24T18:00:00+01:00, or a "
                                 "duration %s now such as 2h, "
                                 "not \"%s\"",
                                 option, sign < 0 ? "before" : "after", given);
        t = wall_plus(s->out.now, sign * us);
    }
    wall_format(t, text);
    *ret = text;
    return LEAVE_OK;
}

enum leave session_filters(struct session *s, const char *const *names, json_t *members)
{
    char text[MOMENT_TEXT];
    enum leave leave = LEAVE_OK;
    for (; *names && leave == LEAVE_OK; names++) {
        const char *value = options_text(&s->options, *names);
        if (strcmp(*names, "from") == 0 || strcmp(*names, "to") == 0)
            leave = session_moment(s, *names, -1, text, &value);
        if (value)
            json_object_set_new(members, *names, json_string(value));
    }
    return leave;
}
