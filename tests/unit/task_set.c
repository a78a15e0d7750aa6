#include "base/buffer.h"
#include "base/memory.h"
#include "core/task.h"

#include "test.h"

static enum status decode(const char *text, struct faults *faults, struct task_set *set)
{
    char *json = memory_text(text);
    struct json_place place;
    json_t *value = NULL;
    for (char *p = json; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    if (json_read(json, strlen(json), &value, &place) != STATUS_OK)
        TEST_FAIL("the test's own JSON: %s", place.detail);
    enum status status = task_set_decode(value, faults, set);
    json_decref(value);
    free(json);
    return status;
}

TEST(a_set_keeps_the_order_in_which_it_was_written_and_applies_its_defaults)
{
    struct faults faults = {0};
    struct task_set set;
    CHECK_INT(
        STATUS_OK,
        decode("{'tasks': {'b': {'command': ['b']}, 'a': {'http': {'url': 'http://a'}, 'timeout': "
               "'2m',"
               " 'schedule': {'cron': '@daily'}}},"
               " 'version': 1, 'defaults': {'timezone': 'Europe/Berlin', 'timeout': '1m', 'retry': "
               "{'max_attempts': 5}, 'expect': {'status': 200}}}",
               &faults, &set));
    CHECK_INT(2, set.count);
    CHECK_TEXT("b", set.tasks[0]->name);
    CHECK_TEXT("a", set.tasks[1]->name);
    CHECK_TEXT("{\"command\":[\"b\"],\"timeout\":\"1m\",\"retry\":{\"max_attempts\":5}}",
               set.tasks[0]->definition);
    CHECK_TEXT("{\"schedule\":{\"cron\":\"@daily\",\"timezone\":\"Europe/"
               "Berlin\"},\"http\":{\"url\":\"http://a\"},"
               "\"timeout\":\"2m\",\"retry\":{\"max_attempts\":5},\"expect\":{\"status\":200}}",
               set.tasks[1]->definition);
    task_set_done(&set);
    CHECK_INT(0, set.count);
}

TEST(a_set_may_be_empty)
{
    struct faults faults = {0};
    struct task_set set;
    CHECK_INT(STATUS_OK, decode("{'version': 1, 'tasks': {}}", &faults, &set));
    CHECK_INT(0, set.count);
    task_set_done(&set);
}

TEST(a_mistake_in_a_set_is_named_once_with_its_place)
{
    static const struct row {
        const char *in, *pointer, *word;
    } rows[] = {
        {"[]", "", "must be an object with the fields version, defaults, tasks"},
        {"{'tasks': {}}", "", "\"version\" is missing"},
        {"{'version': 2, 'tasks': {}}", "/version", "must be 1"},
        {"{'version': '1', 'tasks': {}}", "/version", "must be 1"},
        {"{'version': 1}", "", "\"tasks\" is missing"},
        {"{'version': 1, 'tasks': null}", "/tasks", "must be an object"},
        {"{'version': 1, 'task': {}, 'tasks': {}}", "/task", "\"tasks\"?"},
        {"{'version': 1, 'tasks': {'A': {'command': ['a']}}}", "/tasks/A", "no task name"},
        {"{'version': 1, 'tasks': {'a': 1}}", "/tasks/a", "must be an object"},
        {"{'version': 1, 'tasks': {'a': {'command': ['a']}, 'b': {'command': 'b'}}}",
         "/tasks/b/command", "list"},
        {"{'version': 1, 'defaults': {'timezone': 'Mars'}, 'tasks': {'a': {'command': ['a']}, 'b': "
         "{'command': "
         "['b']}}}",
         "/defaults/timezone", "no time zone"},
        {"{'version': 1, 'defaults': {'retry': {'max_attempts': 0}}, 'tasks': {'a': {'command': "
         "['a']}}}",
         "/defaults/retry/max_attempts", "from 1 to 100"},
        {"{'version': 1, 'defaults': {'retry': {'initial': '1h'}}, 'tasks': {'a': {'command': "
         "['a']}}}",
         "/defaults/retry/initial", "raise max"},
        {"{'version': 1, 'defaults': {'summary': 'x'}, 'tasks': {}}", "/defaults/summary",
         "known are timezone, timeout, retry, expect"},
        {"{'version': 1, 'defaults': null, 'tasks': {}}", "/defaults", "must be an object"},
        {"{'version': 1, 'defaults': {'retry': {'max': '1m'}}, 'tasks': {'a': {'command': ['a'], "
         "'retry': {'initial': "
         "'2m'}}}}",
         "/tasks/a/retry/initial", "max (1m) must not be shorter than initial (2m)"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct faults faults = {0};
        struct task_set set;
        test_row = rows[i].in;
        CHECK_INT(STATUS_INVALID, decode(rows[i].in, &faults, &set));
        CHECK_TEXT(rows[i].pointer, faults.items[0].pointer);
        CHECK_HAS(rows[i].word, faults.items[0].detail);
        CHECK_INT(1, faults.count);
        faults_done(&faults);
    }
}

TEST(ten_thousand_tasks_are_one_set_and_one_more_is_not)
{
    struct buffer b;
    struct faults faults = {0};
    struct task_set set;
    buffer_init(&b, 4 << 20);
    buffer_text(&b, "{'version': 1, 'tasks': {");
    for (int i = 0; i < 10000; i++)
        buffer_format(&b, "%s't%d': {'command': ['true']}", i ? ", " : "", i);
    size_t size = b.size;
    buffer_text(&b, "}}");
    CHECK_INT(STATUS_OK, decode(buffer_string(&b), &faults, &set));
    CHECK_INT(10000, set.count);
    task_set_done(&set);
    b.size = size;
    buffer_text(&b, ", 'more': {'command': ['true']}}}");
    CHECK_INT(STATUS_INVALID, decode(buffer_string(&b), &faults, &set));
    CHECK_TEXT("/tasks", faults.items[0].pointer);
    CHECK_HAS("at most 10000", faults.items[0].detail);
    faults_done(&faults);
    buffer_done(&b);
}

TESTS_MAIN
