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

json_t *problem_of_file(const char *detail, const struct faults *faults)
{
    json_t *problem = json_object();
    json_object_set_new(problem, "type", json_string("/docs#problem-invalid"));
    json_object_set_new(problem, "title", json_string("The file makes no sense"));
    json_object_set_new(problem, "status", json_integer(400));
    json_object_set_new(problem, "detail", json_string(detail));
    problem_put_faults(problem, faults);
    if (faults->count > faults_kept(faults))
        json_object_set_new(problem, "errors_in_all", json_integer((json_int_t)faults->count));
    return problem;
}

static json_t *fault_encode(const struct fault *fault)
{
    bool is_parameter = fault->pointer[0] == '?';
    json_t *error = json_object();
    json_object_set_new(error, is_parameter ? "parameter" : "pointer",
                        json_string(fault->pointer + is_parameter));
    json_object_set_new(error, "detail", json_string(fault->detail));
    if (fault->line > 0)
        json_object_set_new(error, "line", json_integer(fault->line));
    if (fault->column > 0)
        json_object_set_new(error, "column", json_integer(fault->column));
    return error;
}

void problem_put_faults(json_t *problem, const struct faults *faults)
{
    json_t *errors = json_array();
    for (size_t i = 0; i < faults_kept(faults); i++)
        json_array_append_new(errors, fault_encode(&faults->items[i]));
    json_object_set_new(problem, "errors", errors);
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
