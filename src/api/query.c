#include "api/query.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/cursor.h"

struct check {
    struct request *r;
    char seen[256]; // names so far, with a space between
};

static void parameter_fault(struct request *r, const char *name, const char *detail)
{
    char pointer[80];
    snprintf(pointer, sizeof pointer, "?%s", name);
    faults_add(&r->faults, pointer, "%s", detail);
}

static enum MHD_Result check_one(void *context, enum MHD_ValueKind kind, const char *name,
                                 const char *value)
{
    (void)kind, (void)value;
    struct check *check = context;
    const char *known = check->r->match.route->queries;
    size_t at = strlen(check->seen), more = strlen(name);
    char text[200];
    if (!names_have(known, name)) {
        snprintf(text, sizeof text, "is not known here; known: %s", *known ? known : "none");
        parameter_fault(check->r, name, text);
    } else if (names_have(check->seen, name)) {
        parameter_fault(check->r, name, "comes more than once");
    } else if (at + more + 2 < sizeof check->seen) {
        memcpy(check->seen + at, name, more);
        memcpy(check->seen + at + more, " ", 2);
    }
    return MHD_YES;
}

void query_check(struct request *r)
{
    if (!r->connection)
        return;
    struct check check = {.r = r};
    MHD_get_connection_values(r->connection, MHD_GET_ARGUMENT_KIND, check_one, &check);
}

const char *query_text(const struct request *r, const char *name)
{
    if (!r->connection)
        return NULL;
    return MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, name);
}

int64_t query_int(struct request *r, const char *name, int64_t least, int64_t most,
                  int64_t otherwise)
{
    const char *text = query_text(r, name);
    if (!text)
        return otherwise;
    char *end;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    bool digits = *text && strspn(text, "0123456789") == strlen(text);
    if (!digits || errno || *end || n < least || n > most) {
        char detail[120];
        snprintf(detail, sizeof detail, "must be a whole number from %lld to %lld",
                 (long long)least, (long long)most);
        parameter_fault(r, name, detail);
        return otherwise;
    }
    return n;
}

bool query_bool(struct request *r, const char *name)
{
    if (!r->connection)
        return false;
    const char *text = NULL;
    size_t size = 0;
    if (MHD_lookup_connection_value_n(r->connection, MHD_GET_ARGUMENT_KIND, name, strlen(name),
                                      &text, &size) != MHD_YES)
        return false;
    if (!text || !*text || strcmp(text, "true") == 0 || strcmp(text, "1") == 0)
        return true;
    if (strcmp(text, "false") != 0 && strcmp(text, "0") != 0)
        parameter_fault(r, name, "must be true or false");
    return false;
}

enum status moment_read(const char *text, wall *ret)
{
    char copy[64];
    size_t size = strlen(text);
    if (size >= sizeof copy)
        return STATUS_INVALID;
    memcpy(copy, text, size + 1);
    // "...T18:00:00 01:00" was "+01:00" before somebody forgot to escape it.
    char *space = strrchr(copy, ' ');
    if (space && size > 6 && space == copy + size - 6)
        *space = '+';
    return wall_parse(copy, size, ret);
}

wall query_moment(struct request *r, const char *name, wall otherwise)
{
    const char *text = query_text(r, name);
    wall t = otherwise;
    if (text && moment_read(text, &t) != STATUS_OK)
        parameter_fault(r, name, "must be an instant such as 2026-03-29T01:00:00Z (RFC 3339)");
    return t;
}

void query_check_window(struct request *r, wall from, wall to)
{
    if (from.us <= to.us)
        return;
    if (query_text(r, "from"))
        parameter_fault(r, "from", "must not be after `to`");
    else
        parameter_fault(r, "to", "must not be before now, where `from` is not said");
}

bool query_cursor(struct request *r, char list, char *key, size_t size)
{
    const char *text = query_text(r, "cursor");
    if (!text)
        return false;
    if (cursor_parse(list, text, key, size))
        return true;
    parameter_fault(r, "cursor", "is not one that this list gave out: use next_cursor as it came");
    return false;
}

run_id query_cursor_run(struct request *r, char list)
{
    char key[RUN_ID_TEXT];
    run_id run = {0};
    if (query_cursor(r, list, key, sizeof key) && run_id_parse(key, &run) != STATUS_OK)
        parameter_fault(r, "cursor",
                        "is not one that this list gave out: use next_cursor as it came");
    return run;
}
