// punctual audit: of the server, or with --store of a file, whether a server runs or not.
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/field.h"
#include "cli/session.h"
#include "store/audit.h"

const struct option_rule audit_options[] = {
    {"from", "WHEN",
     "from this instant, or a duration before now; a day before --to where not said"},
    {"to", "WHEN", "before this instant; now where not said"},
    {"task", "NAME", "only this task, without the books"},
    {"store", "PATH", "read the database file instead of asking the server; counts every run"},
    {0},
};

static const struct column columns[] = {
    {"KIND"}, {"TASK", .least = 12}, {"AT"}, {"RUN"}, {"WHAT", .least = 20}};

static void show_differences(struct session *s, const json_t *list)
{
    size_t i;
    json_t *d;
    struct table *table = table_new(columns, sizeof columns / sizeof *columns);
    json_array_foreach(list, i, d)
    {
        table_text(table, RED, field_text(d, "kind"));
        table_text(table, PLAIN, field_text(d, "task"));
        table_text(table, PLAIN, field_text(d, "at"));
        table_text(table, PLAIN, field_text(d, "run"));
        table_text(table, PLAIN, field_text(d, "detail"));
    }
    screen_table(&s->out, 0, table);
    table_free(table);
}

static void show_books(struct session *s, const json_t *books)
{
    static const char *const names[] = {"succeeded", "failed", "canceled", "missed",
                                        "skipped",   "live",   NULL};
    struct buffer line;
    if (!books)
        return;
    buffer_init(&line, 4096);
    buffer_format(&line, "books: %lld due =", (long long)field_int(books, "due"));
    for (size_t i = 0; names[i]; i++)
        buffer_format(&line, "%s %lld %s", i ? " +" : "", (long long)field_int(books, names[i]),
                      names[i]);
    buffer_format(&line, "; %lld cleared since", (long long)field_int(books, "cleared"));
    screen_line(&s->out, 0, PLAIN, "%s", buffer_string(&line));
    buffer_done(&line);
}

static enum leave show(struct session *s, const json_t *audit)
{
    const json_t *ok = json_object_get(audit, "ok");
    const char *from = field_text(audit, "from"), *audited = field_text(audit, "audited_from");
    int64_t pending = field_int(audit, "pending");
    if (!json_is_boolean(ok))
        return screen_line(&s->err, 0, PLAIN, "punctual: the answer is no audit"), LEAVE_TROUBLE;
    if (s->json) {
        session_json(s, audit);
        return json_is_true(ok) ? LEAVE_OK : LEAVE_NO;
    }
    if (from && audited && strcmp(from, audited) != 0)
        screen_line(&s->out, 0, YELLOW,
                    "History was cleared: what was due before %s cannot be judged any more.",
                    audited);
    if (!json_is_true(ok))
        show_differences(s, json_object_get(audit, "differences"));
    screen_line(
        &s->out, 0, PLAIN, "%lld tasks, %lld occurrences, %lld runs looked at: %lld differences.",
        (long long)field_int(audit, "tasks"), (long long)field_int(audit, "occurrences"),
        (long long)field_int(audit, "runs"), (long long)field_int(audit, "differences_total"));
    if (pending > 0)
        screen_line(&s->out, 0, PLAIN,
                    "%lld occurrences are still to be recorded: the server is away or behind.",
                    (long long)pending);
    show_books(s, field(audit, "books"));
    return json_is_true(ok) ? LEAVE_OK : LEAVE_NO;
}

// --- a file ---

static wall moment_of(const char *text, wall otherwise)
{
    wall t = otherwise;
    if (text)
        wall_parse(text, strlen(text), &t); // session_moment wrote it
    return t;
}

static enum leave audit_file(struct session *s, const char *path, const char *from, const char *to)
{
    struct audit_options options = {.to = moment_of(to, s->out.now),
                                    .task = options_text(&s->options, "task"),
                                    .count_most = INT64_MAX};
    struct reader *reader = NULL;
    char why[512];
    options.from = moment_of(from, wall_plus(options.to, -DAY));
    if (options.from.us >= options.to.us)
        return session_usage(s, "--from must be before --to");
    if (reader_open_sqlite(path, &reader, why, sizeof why) != STATUS_OK) {
        screen_line(&s->err, 0, PLAIN, "punctual: %s", why);
        return LEAVE_USAGE;
    }
    struct audit *audit = audit_new(reader, &options);
    enum status status;
    enum leave leave = LEAVE_TROUBLE;
    while ((status = audit_step(audit)) == STATUS_OK)
        ;
    if (status == STATUS_END) {
        struct buffer text;
        struct json_place place;
        json_t *json = NULL;
        buffer_init(&text, 16 << 20);
        struct writer w = writer_on(&text);
        audit_write(audit, &w);
        if (json_read(buffer_string(&text), text.size, &json, &place) == STATUS_OK)
            leave = show(s, json);
        json_decref(json);
        buffer_done(&text);
    } else if (status == STATUS_NOT_FOUND) {
        screen_line(&s->err, 0, PLAIN, "punctual: %s never had a task named \"%s\"", path,
                    options.task);
        leave = LEAVE_REFUSED;
    } else {
        screen_line(&s->err, 0, PLAIN, "punctual: %s cannot be read", path);
    }
    audit_free(audit);
    reader_close(reader);
    return leave;
}

// --- the server ---

static enum leave audit_server(struct session *s, const char *from, const char *to)
{
    struct buffer path;
    struct answer answer;
    buffer_init(&path, 64 << 10);
    buffer_text(&path, "/v1/audit");
    query_add(&path, "from", from);
    query_add(&path, "to", to);
    query_add(&path, "task", options_text(&s->options, "task"));
    enum leave leave = session_get(s, buffer_string(&path), &answer);
    if (leave == LEAVE_OK)
        leave = show(s, answer.json);
    client_answer_done(&answer);
    buffer_done(&path);
    return leave;
}

static enum leave audit(struct session *s)
{
    char from_text[MOMENT_TEXT], to_text[MOMENT_TEXT];
    const char *from, *to, *store = options_text(&s->options, "store");
    enum leave leave = session_moment(s, "from", -1, from_text, &from);
    if (leave == LEAVE_OK)
        leave = session_moment(s, "to", -1, to_text, &to);
    if (leave != LEAVE_OK)
        return leave;
    return store ? audit_file(s, store, from, to) : audit_server(s, from, to);
}

int audit_run(int argc, char **argv)
{
    return session_run(argc, argv, audit_options, "", audit);
}
