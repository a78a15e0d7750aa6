#include "base/memory.h"
#include "core/task.h"

#include "test.h"

static struct task *decode(const char *text)
{
    char *json = memory_text(text);
    struct task *task;
    for (char *p = json; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    if (task_decode_text("nightly", json, strlen(json), &task) != STATUS_OK)
        TEST_FAIL("refused: %s", text);
    free(json);
    return task;
}

#define URL "'http': {'url': 'http://a/x'}"

TEST(a_difference_is_told_leaf_by_leaf_with_what_really_held)
{
    static const struct row {
        const char *before, *after, *diff;
        bool same_schedules;
    } rows[] = {
        {"{" URL "}", "{" URL "}", "[]", true},
        {"{" URL ", 'timeout': '30s'}", "{" URL "}", "[]", true},
        {"{" URL "}", "{" URL ", 'timeout': '1m'}",
         "[{'field':'/timeout','before':'30s','after':'1m'}]", true},
        {"{" URL ", 'retry': {'max_attempts': 5, 'max': '1m'}}",
         "{" URL ", 'retry': {'max': '2m'}}",
         "[{'field':'/retry/max_attempts','before':5,'after':3},{'field':'/retry/"
         "max','before':'1m','after':'2m'}]",
         true},
        {"{" URL ", 'overlap': 'skip', 'catch_up': {'window': '1h'}}",
         "{" URL ", 'catch_up': {'policy': 'all'}, 'deadline': '1h'}",
         "[{'field':'/overlap','before':'skip','after':'allow'},"
         "{'field':'/catch_up/window','before':'1h','after':null},"
         "{'field':'/catch_up/policy','before':'latest','after':'all'},"
         "{'field':'/deadline','before':null,'after':'1h'}]",
         true},
        {"{" URL ", 'retry': {'max_attempts': 5}}", "{" URL "}",
         "[{'field':'/retry/max_attempts','before':5,'after':3}]", true},
        {"{" URL ", 'schedule': {'cron': '0 4 * * *', 'timezone': 'Europe/Berlin'}}",
         "{" URL ", 'schedule': {'cron': '0 5 * * *'}}",
         "[{'field':'/schedule/cron','before':'0 4 * * *','after':'0 5 * * *'},"
         "{'field':'/schedule/timezone','before':'Europe/Berlin','after':'UTC'}]",
         false},
        {"{" URL ", 'schedule': {'cron': '0 4 * * *', 'timezone': 'Europe/Berlin'}}", "{" URL "}",
         "[{'field':'/schedule/cron','before':'0 4 * * *','after':null},"
         "{'field':'/schedule/timezone','before':'Europe/Berlin','after':null}]",
         false},
        {"{" URL ", 'schedule': {'every': '1m'}}",
         "{" URL ", 'schedule': [{'every': '1m'}, {'every': '2m'}]}",
         "[{'field':'/schedule','before':{'every':'1m'},'after':[{'every':'1m'},{'every':'2m'}]}]",
         false},
        {"{" URL ", 'schedule': [{'every': '1m'}, {'every': '2m'}]}",
         "{" URL ", 'schedule': [{'every': '1m'}, {'every': '3m'}, {'every': '4m'}]}",
         "[{'field':'/schedule/1/every','before':'2m','after':'3m'},"
         "{'field':'/schedule/2/every','before':null,'after':'4m'}]",
         false},
        {"{" URL ", 'payload': {'a/b': [1, 2], 'c': {}}}",
         "{" URL ", 'payload': {'a/b': [1], 'c': 1}}",
         "[{'field':'/payload/a~1b/1','before':2,'after':null},{'field':'/payload/"
         "c','before':{},'after':1}]",
         true},
        {"{'http': {'url': 'http://a/x', 'method': 'GET'}}", "{" URL "}",
         "[{'field':'/http/method','before':'GET','after':'POST'}]", true},
        {"{" URL "}", "{'command': ['a']}",
         "[{'field':'/http/url','before':'http://a/x','after':null},"
         "{'field':'/command/0','before':null,'after':'a'}]",
         true},
        {"{" URL ", 'expect': {'status': 204, 'headers': {'status': 'x'}}}", "{" URL "}",
         "[{'field':'/expect/status','before':204,'after':'2xx'},"
         "{'field':'/expect/headers/status','before':'x','after':null}]",
         true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        test_row = rows[i].after;
        struct task *before = decode(rows[i].before), *after = decode(rows[i].after);
        json_t *diff = task_diff(before, after);
        char *text = json_write(diff, NULL);
        for (char *p = text; *p; p++)
            *p = *p == '"' ? '\'' : *p;
        CHECK_TEXT(rows[i].diff, text);
        CHECK_INT(rows[i].same_schedules, task_same_schedules(before, after));
        free(text);
        json_decref(diff);
        task_drop(before);
        task_drop(after);
    }
}

TESTS_MAIN
