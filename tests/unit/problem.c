#include "api/problem.h"

#include "base/json.h"
#include "test.h"

static struct buffer out;

static const char *written(enum problem problem, const char *detail, const struct faults *faults)
{
    buffer_done(&out);
    buffer_init(&out, 1 << 20);
    problem_write(&out, problem, detail, "/v1/tasks/x", faults);
    return buffer_string(&out);
}

TEST(a_problem_has_the_members_of_rfc_9457)
{
    CHECK_TEXT(
        "{\"type\":\"/docs#problem-not-found\",\"title\":\"There is no such thing\",\"status\":404,"
        "\"detail\":\"there is no task\",\"instance\":\"/v1/tasks/x\"}",
        written(PROBLEM_NOT_FOUND, "there is no task", NULL));
    buffer_done(&out);
}

TEST(faults_are_listed_with_their_places)
{
    struct faults faults = {0};
    faults_add(&faults, "/schedule/cron", "must have %d fields", 5);
    faults.items[0].line = 7;
    faults.items[0].column = 12;
    faults_add(&faults, "?limit", "must be a number");
    const char *text = written(PROBLEM_INVALID, "it has errors", &faults);
    CHECK_HAS(
        "\"errors\":[{\"pointer\":\"/schedule/cron\",\"detail\":\"must have 5 fields\",\"line\":7,"
        "\"column\":12},{\"parameter\":\"limit\",\"detail\":\"must be a number\"}]",
        text);
    faults_done(&faults);
    buffer_done(&out);
}

TEST(faults_beyond_the_kept_ones_are_counted)
{
    struct faults faults = {0};
    for (int i = 0; i < FAULT_MAX + 5; i++)
        faults_add(&faults, "/a", "wrong");
    CHECK_HAS("\"errors_in_all\":25", written(PROBLEM_INVALID, "it has errors", &faults));
    faults_done(&faults);
    buffer_done(&out);
}

TEST(hostile_text_stays_text)
{
    const char *text = written(PROBLEM_INVALID, "\"},{\"status\":200,\n\x01\xff", NULL);
    json_t *value;
    struct json_place place;
    CHECK_INT(STATUS_OK, json_read(text, strlen(text), &value, &place));
    CHECK_INT(400, json_integer_value(json_object_get(value, "status")));
    json_decref(value);
    buffer_done(&out);
}

TEST(every_status_has_its_code)
{
    static const struct {
        enum status status;
        int code;
    } rows[] = {
        {STATUS_INVALID, 400},  {STATUS_FORBIDDEN, 403}, {STATUS_NOT_FOUND, 404},
        {STATUS_CONFLICT, 409}, {STATUS_STALE, 412},     {STATUS_TOO_LARGE, 413},
        {STATUS_MISMATCH, 422}, {STATUS_FAILED, 500},    {STATUS_UNAVAILABLE, 503},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        test_row = status_text(rows[i].status);
        CHECK_INT(rows[i].code, problem_code(problem_of_status(rows[i].status)));
    }
    for (unsigned i = STATUS_INVALID; i < STATUS_COUNT; i++)
        CHECK(problem_code(problem_of_status((enum status)i)) >= 400);
}

TESTS_MAIN
