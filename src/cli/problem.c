#include "cli/problem.h"

#include <inttypes.h>
#include <stdio.h>

#include "cli/field.h"

static const struct {
    int status;
    const char *hint;
} hints[] = {
    {401, "the key comes from PUNCTUAL_API_KEY or --api-key-file"},
    {413, "a larger set can be applied in parts"},
    {429, "try again a little later"},
    {503, "the server is starting, stopping or overloaded: try again a little later"},
};

enum leave problem_leave(int status)
{
    if (status >= 200 && status < 300)
        return LEAVE_OK;
    return status >= 500 ? LEAVE_TROUBLE : LEAVE_REFUSED;
}

void problem_faults(const json_t *problem, struct faults *ret)
{
    *ret = (struct faults){0};
    size_t i;
    json_t *error;
    json_array_foreach(json_object_get(problem, "errors"), i, error)
    {
        const char *pointer = field_text(error, "pointer"), *detail = field_text(error, "detail");
        const char *parameter =
            field_text(error, "parameter"); // of the query, instead of a place in the body
        char place[200];
        snprintf(place, sizeof place, "%s%s", parameter ? "?" : "",
                 parameter ? parameter
                 : pointer ? pointer
                           : "");
        faults_add(ret, place, "%s", detail ? detail : "is wrong");
        if (ret->count > FAULT_MAX)
            continue;
        int64_t line = field_int(error, "line"), column = field_int(error, "column");
        ret->items[ret->count - 1].line = line > 0 && line < INT32_MAX ? (int)line : 0;
        ret->items[ret->count - 1].column = column > 0 && column < INT32_MAX ? (int)column : 0;
    }
}

void problem_show_faults(struct screen *to, const struct faults *faults, const char *file)
{
    for (size_t i = 0; i < faults_kept(faults); i++) {
        const struct fault *fault = &faults->items[i];
        const char *pointer = *fault->pointer ? fault->pointer : "the whole document";
        if (file && fault->line)
            screen_line(to, 0, PLAIN, "%s:%d:%d: %s: %s", file, fault->line, fault->column, pointer,
                        fault->detail);
        else if (file)
            screen_line(to, 0, PLAIN, "%s: %s: %s", file, pointer, fault->detail);
        else if (fault->line)
            screen_line(to, 2, PLAIN, "%s: %s (line %d, column %d)", pointer, fault->detail,
                        fault->line, fault->column);
        else
            screen_line(to, 2, PLAIN, "%s: %s", pointer, fault->detail);
    }
    if (faults->count > FAULT_MAX)
        screen_line(to, file ? 0 : 2, PLAIN, "and %zu more", faults->count - FAULT_MAX);
}

void problem_show(struct screen *to, int status, const json_t *problem, const char *file)
{
    const char *title = field_text(problem, "title"), *detail = field_text(problem, "detail");
    if (title && detail)
        screen_line(to, 0, PLAIN, "punctual: %s (%d): %s", title, status, detail);
    else if (title || detail)
        screen_line(to, 0, PLAIN, "punctual: %s (%d)", title ? title : detail, status);
    else
        screen_line(to, 0, PLAIN,
                    "punctual: the answer was %d without a reason: is this the address of a "
                    "Punctual server?",
                    status);
    struct faults faults;
    problem_faults(problem, &faults);
    problem_show_faults(to, &faults, file);
    faults_done(&faults);
    for (size_t i = 0; i < sizeof hints / sizeof *hints; i++)
        if (hints[i].status == status)
            screen_line(to, 2, DIM, "%s", hints[i].hint);
}
