#include "api/problem.h"

#include "base/writer.h"

// The one table. Words are anchors of /docs; a test holds them against web/docs.html.
static const struct {
    int code;
    const char *word, *title;
} kinds[PROBLEM_COUNT] = {
    [PROBLEM_NONE] = {200, "none", "All is well"},
    [PROBLEM_INVALID] = {400, "invalid", "The request makes no sense"},
    [PROBLEM_UNAUTHORIZED] = {401, "unauthorized", "An API key is needed"},
    [PROBLEM_FORBIDDEN] = {403, "forbidden", "Not allowed by the server's configuration"},
    [PROBLEM_NOT_FOUND] = {404, "not-found", "There is no such thing"},
    [PROBLEM_METHOD] = {405, "method", "This path does not know this method"},
    [PROBLEM_CONFLICT] = {409, "conflict", "Its state does not allow this"},
    [PROBLEM_STALE] = {412, "stale", "It has changed meanwhile"},
    [PROBLEM_TOO_LARGE] = {413, "too-large", "Beyond a limit"},
    [PROBLEM_MEDIA] = {415, "media-type", "This type of content is not read here"},
    [PROBLEM_MISMATCH] = {422, "mismatch", "The idempotency key belongs to another request"},
    [PROBLEM_FAILED] = {500, "failed", "The server failed"},
    [PROBLEM_UNAVAILABLE] = {503, "unavailable", "Not now"},
};

static const enum problem of_status[STATUS_COUNT] = {
    [STATUS_OK] = PROBLEM_NONE,
    [STATUS_INVALID] = PROBLEM_INVALID,
    [STATUS_FORBIDDEN] = PROBLEM_FORBIDDEN,
    [STATUS_NOT_FOUND] = PROBLEM_NOT_FOUND,
    [STATUS_CONFLICT] = PROBLEM_CONFLICT,
    [STATUS_STALE] = PROBLEM_STALE,
    [STATUS_MISMATCH] = PROBLEM_MISMATCH,
    [STATUS_TOO_LARGE] = PROBLEM_TOO_LARGE,
    [STATUS_UNAVAILABLE] = PROBLEM_UNAVAILABLE,
    [STATUS_FAILED] = PROBLEM_FAILED,
    [STATUS_END] = PROBLEM_NOT_FOUND,
};

enum problem problem_of_status(enum status status)
{
    return (unsigned)status < STATUS_COUNT ? of_status[status] : PROBLEM_FAILED;
}

int problem_code(enum problem problem)
{
    return kinds[problem].code;
}

const char *problem_word(enum problem problem)
{
    return kinds[problem].word;
}

static void write_fault(struct writer *w, const struct fault *fault)
{
    bool is_parameter = fault->pointer[0] == '?';
    writer_object(w);
    member_text(w, is_parameter ? "parameter" : "pointer", fault->pointer + is_parameter);
    member_text(w, "detail", fault->detail);
    if (fault->line > 0)
        member_int(w, "line", fault->line);
    if (fault->column > 0)
        member_int(w, "column", fault->column);
    writer_end_object(w);
}

static void write_faults(struct writer *w, const struct faults *faults)
{
    member_array(w, "errors");
    for (size_t i = 0; i < faults_kept(faults); i++)
        write_fault(w, &faults->items[i]);
    writer_end_array(w);
    if (faults->count > faults_kept(faults))
        member_int(w, "errors_in_all", (int64_t)faults->count);
}

void problem_write(struct buffer *to, enum problem problem, const char *detail,
                   const char *instance, const struct faults *faults)
{
    struct writer w = writer_on(to);
    char type[64] = "/docs#problem-";
    size_t at = sizeof "/docs#problem-" - 1;
    for (const char *p = kinds[problem].word; *p && at + 1 < sizeof type; p++)
        type[at++] = *p;
    type[at] = '\0';
    writer_object(&w);
    member_text(&w, "type", type);
    member_text(&w, "title", kinds[problem].title);
    member_int(&w, "status", kinds[problem].code);
    member_text(&w, "detail", detail);
    member_text(&w, "instance", instance);
    if (faults && faults->count > 0)
        write_faults(&w, faults);
    writer_end_object(&w);
}
