#include "core/task.h"

#include "base/buffer.h"
#include "base/memory.h"
#include "test.h"

// Decodes a definition written with ' for ". NULL with faults.
static struct task *decode(const char *text, const char *defaults_text, struct faults *faults)
{
    char *json = memory_text(text), *defaults_json = memory_text(defaults_text);
    struct json_place place;
    json_t *value = NULL, *defaults = NULL;
    struct task *task = NULL;
    for (char *p = json; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    for (char *p = defaults_json; p && *p; p++)
        *p = *p == '\'' ? '"' : *p;
    if (json_read(json, strlen(json), &value, &place) != STATUS_OK)
        TEST_FAIL("the test's own JSON: %s", place.detail);
    if (defaults_json)
        json_read(defaults_json, strlen(defaults_json), &defaults, &place);
    enum status status = task_decode("nightly", value, defaults, "", faults, &task);
    json_decref(value);
    json_decref(defaults);
    free(json);
    free(defaults_json);
    CHECK_INT(task ? STATUS_OK : STATUS_INVALID, status);
    return task;
}

static struct task *good(const char *text, const char *defaults)
{
    struct faults faults = {0};
    struct task *task = decode(text, defaults, &faults);
    if (!task)
        TEST_FAIL("refused: %s: %s", faults.items[0].pointer, faults.items[0].detail);
    return task;
}

#define URL "'http':{'url':'http://a.example/x'}"

static const struct canon {
    const char *in, *out;
    const char *defaults;
} canons[] = {
    {"{" URL "}", "{" URL "}"},
    {"{'http': {'url': 'http://a.example/x', 'method': 'post', 'headers': {}}}", "{" URL "}"},
    {"{'timeout': '0.5m', 'retry': {'max_attempts': 3, 'max': 'PT10M'}, " URL
     ", 'expect': {'status': '2xx', 'json': {}}, 'payload': null, 'runbook': {}}",
     "{" URL "}"},
    {"{'timeout': '90s', " URL ", 'summary': 'x'}", "{'summary':'x'," URL ",'timeout':'1m30s'}"},
    {"{" URL ", 'schedule': [{'cron': '30  2 * * *'}]}",
     "{'schedule':{'cron':'30 2 * * *'}," URL "}"},
    {"{" URL ", 'schedule': [{'every': '90s'}, {'at': '2026-12-24T18:00:00+01:00'}]}",
     "{'schedule':[{'every':'1m30s'},{'at':'2026-12-24T17:00:00.000Z'}]," URL "}"},
    {"{" URL ", 'schedule': {'cron': '30 2 * * *', 'timezone': 'UTC', 'dst_gap': 'run'}}",
     "{'schedule':{'cron':'30 2 * * *'}," URL "}"},
    {"{" URL ", 'schedule': {'cron': '30 2 * * *'}}",
     "{'schedule':{'cron':'30 2 * * *','timezone':'Europe/Berlin'}," URL "}",
     "{'timezone': 'Europe/Berlin'}"},
    {"{" URL ", 'schedule': {'cron': '30 2 * * *', 'timezone': 'UTC'}}",
     "{'schedule':{'cron':'30 2 * * *'}," URL "}", "{'timezone': 'Europe/Berlin'}"},
    {"{'payload': {'b': 1.10, 'a': [true, 0.1]}, " URL "}",
     "{" URL ",'payload':{'b':1.1,'a':[true,0.1]}}"},
    {"{'payload': 'just text', " URL "}", "{" URL ",'payload':'just text'}"},
    {"{'http': {'url': 'HTTP://A.example', 'method': 'GET', 'headers': {'X-b': '1', 'a': ''}}}",
     "{'http':{'method':'GET','url':'HTTP://A.example','headers':{'a':'','X-b':'1'}}}"},
    {"{'http': {'url': 'http://[::1]:8080/a?b[]=%20', 'body': 'plain\\n'}}",
     "{'http':{'url':'http://[::1]:8080/a?b[]=%20','body':'plain\\n'}}"},
    {"{'command': ['date', '-u']}", "{'command':['date','-u']}"},
    {"{'schedule': {'every': '1h'}, 'monitor': {'grace': '300s', 'max_duration': '24h'}}",
     "{'schedule':{'every':'1h'},'monitor':{}}"},
    {"{'schedule': {'every': '1h'}, 'monitor': {'grace': '1m', 'max_duration': '90m'}}",
     "{'schedule':{'every':'1h'},'monitor':{'grace':'1m','max_duration':'1h30m'}}",
     "{'timeout': '1m', 'retry': {'max_attempts': 5}, 'expect': {'headers': {'a': 'b'}}}"},
    {"{" URL ", 'notify': {'url': 'http://b', 'on': ['recovered', 'missed', 'failed']}}",
     "{" URL ",'notify':{'url':'http://b'}}"},
    {"{" URL ", 'notify': {'cooldown': '60m'}}",
     "{" URL ",'notify':{'url':'http://b','on':['missed'],'cooldown':'1h'}}",
     "{'notify': {'url': 'http://b', 'on': ['missed']}}"},
    {"{" URL ", 'notify': null}", "{" URL "}", "{'notify': {'url': 'http://b'}}"},
    {"{" URL "}", "{" URL "}", "{'notify': {'cooldown': '1h'}}"},
    {"{'command': {'argv': ['date'], 'env': {}}}", "{'command':['date']}"},
    {"{'command': {'stdin': '', 'cwd': '/tmp', 'env': {'B': '2', 'A': ''}, 'argv': ['cat']}}",
     "{'command':{'argv':['cat'],'env':{'A':'','B':'2'},'cwd':'/tmp','stdin':''}}"},
    {"{'command': ['true'], 'expect': {'exit_code': 3, 'max_duration': '60s'}}",
     "{'command':['true'],'expect':{'exit_code':3,'max_duration':'1m'}}"},
    {"{" URL ", 'expect': {'status': 202, 'headers': {'ETag': 'x'}, 'json': {'/b': {'z': 1, 'a': "
     "2}, '/a': null}}}",
     "{" URL
     ",'expect':{'status':202,'headers':{'ETag':'x'},'json':{'/a':null,'/b':{'a':2,'z':1}}}}"},
    {"{'queue': {'name': 'emails'}}", "{'queue':{'name':'emails'}}"},
    {"{'queue': {'name': 'a.b-c_1'}, 'timeout': '30s', 'expect': {'json': {'/ok': true}}}",
     "{'queue':{'name':'a.b-c_1'},'timeout':'30s','expect':{'json':{'/ok':true}}}"},
    {"{'queue': {'name': 'x'}}", "{'queue':{'name':'x'},'timeout':'1m'}", "{'timeout': '1m'}"},
    {"{" URL ", 'completion': 'callback'}", "{" URL ",'completion':'callback'}"},
    {"{" URL ", 'completion': 'response'}", "{" URL "}"},
    {"{" URL ", 'expect': {'status': '4xx'}}", "{" URL ",'expect':{'status':'4xx'}}"},
    {"{" URL ", 'retry': {'max_attempts': 1, 'backoff': 'fixed', 'initial': '1s', 'max': '1s'}}",
     "{" URL ",'retry':{'max_attempts':1,'backoff':'fixed','initial':'1s','max':'1s'}}"},
    {"{" URL ", 'runbook': {'noticed_at': 'n', 'owner': 'o'}, 'signing_secret': 'billing'}",
     "{" URL ",'runbook':{'owner':'o','noticed_at':'n'},'signing_secret':'billing'}"},
    {"{" URL ", 'priority': 5, 'max_running': 2}", "{" URL ",'max_running':2}"},
    {"{" URL ", 'rate_limit': {'key': 'stripe', 'per': '60s', 'limit': 100}, 'priority': 9}",
     "{" URL ",'priority':9,'rate_limit':{'limit':100,'per':'1m','key':'stripe'}}"},
    {"{" URL ", 'rate_limit': {'limit': 3, 'per': '1s'}}",
     "{" URL ",'priority':2,'max_running':1,'rate_limit':{'limit':3,'per':'1s','key':'all'}}",
     "{'priority': 2, 'max_running': 1, 'rate_limit': {'limit': 9, 'per': '2s', 'key': 'all'}}"},
    {"{'delivery': 'at_most_once', 'deadline': '60m', 'catch_up': {'max': 5, 'window': '90m',"
     " 'policy': 'all'}, 'overlap': 'queue', " URL "}",
     "{" URL ",'overlap':'queue','catch_up':{'policy':'all','window':'1h30m','max':5},"
     "'deadline':'1h','delivery':'at_most_once'}"},
    {"{'delivery': 'at_least_once', 'catch_up': {'max': 100, 'policy': 'latest'}, 'overlap':"
     " 'allow', " URL "}",
     "{" URL "}"},
    {"{" URL ", 'catch_up': {'max': 7}}",
     "{" URL ",'overlap':'skip','catch_up':{'policy':'all','max':7}}",
     "{'overlap': 'skip', 'catch_up': {'policy': 'all', 'max': 9}}"},
    // What the defaults of a set say becomes part of the definition, field by field.
    {"{" URL ", 'retry': {'initial': '1s'}}",
     "{" URL ",'timeout':'1m','retry':{'max_attempts':5,'initial':'1s'}}",
     "{'timeout': '1m', 'retry': {'max_attempts': 5, 'initial': '7s'}}"},
    {"{" URL ", 'timeout': '30s', 'retry': {'max_attempts': 3}}", "{" URL "}",
     "{'timeout': '1m', 'retry': {'max_attempts': 5}}"},
    {"{'command': ['true']}", "{'command':['true'],'expect':{'max_duration':'1m'}}",
     "{'expect': {'status': 204, 'headers': {'a': 'b'}, 'max_duration': '1m'}}"},
    {"{" URL "}", "{" URL ",'expect':{'status':204,'max_duration':'1m'}}",
     "{'expect': {'status': 204, 'exit_code': 4, 'max_duration': '1m'}}"},
};

TEST(the_same_meaning_has_the_same_definition_and_reads_back_to_it)
{
    for (size_t i = 0; i < sizeof canons / sizeof *canons; i++) {
        test_row = canons[i].in;
        struct task *task = good(canons[i].in, canons[i].defaults), *again;
        char *expected = memory_text(canons[i].out);
        for (char *p = expected; *p; p++)
            *p = *p == '\'' ? '"' : *p;
        CHECK_TEXT(expected, task->definition);
        CHECK_INT(strlen(expected), task->definition_size);
        CHECK_INT(STATUS_OK,
                  task_decode_text("nightly", task->definition, task->definition_size, &again));
        CHECK_TEXT(expected, again->definition);
        CHECK_INT(task->lane, again->lane);
        CHECK(task_same_schedules(task, again));
        task_drop(task);
        task_drop(again);
        free(expected);
    }
}

TEST(what_is_not_said_has_the_stated_default)
{
    struct task *task = good("{" URL "}", NULL);
    CHECK_TEXT("nightly", task->name);
    CHECK_TEXT("POST", task->target.http.method);
    CHECK_INT(30 * SECOND, task->timeout_us);
    CHECK_INT(3, task->retry.max_attempts);
    CHECK_INT(BACKOFF_EXPONENTIAL, task->retry.backoff);
    CHECK_INT(5 * SECOND, task->retry.initial_us);
    CHECK_INT(10 * MINUTE, task->retry.max_us);
    CHECK_INT(200, task->expect.status_least);
    CHECK_INT(299, task->expect.status_most);
    CHECK_INT(0, task->expect.exit_code);
    CHECK_INT(0, task->expect.max_duration_us);
    CHECK_INT(5, task->priority);
    CHECK_INT(0, task->max_running);
    CHECK_INT(0, task->rate_limit.limit);
    CHECK(!task->payload && !task->summary && !task->signing_secret && task->schedule_count == 0);
    task_drop(task);
}

TEST(a_mistake_is_named_with_its_place_and_what_would_be_right)
{
    static const struct row {
        const char *in, *pointer, *word;
    } rows[] = {
        {"[]", "", "must be an object with the fields summary, schedule"},
        {"{}", "", "does not say what to do"},
        {"{" URL ", 'shedule': {}}", "/shedule", "did you mean \"schedule\"?"},
        {"{" URL ", 'a/b': 1}", "/a~1b",
         "unknown field \"a/b\"; known are summary, schedule, http"},
        {"{" URL ", 'priority': 10}", "/priority", "from 0 to 9"},
        {"{" URL ", 'priority': 'high'}", "/priority", "whole number"},
        {"{" URL ", 'max_running': 0}", "/max_running", "from 1 to 10000"},
        {"{" URL ", 'rate_limit': 5}", "/rate_limit", "limit, per, key"},
        {"{" URL ", 'rate_limit': {'limit': 5}}", "/rate_limit", "\"per\" is missing"},
        {"{" URL ", 'rate_limit': {'limit': 0, 'per': '1m'}}", "/rate_limit/limit",
         "from 1 to 10000"},
        {"{" URL ", 'rate_limit': {'limit': 5, 'per': '1ms'}}", "/rate_limit/per",
         "from 100ms to 1d"},
        {"{" URL ", 'rate_limit': {'limit': 5, 'per': '1m', 'key': ''}}", "/rate_limit/key",
         "is empty"},
        {"{'queue': {'name': 'X'}}", "/queue/name", "is no queue name"},
        {"{'queue': 'emails'}", "/queue", "write {\"name\": \"emails\"}"},
        {"{'queue': {}}", "/queue", "\"name\" is missing"},
        {"{'queue': {'name': 'x'}, 'command': ['date']}", "/queue", "a task has one target"},
        {"{'queue': {'name': 'x'}, 'completion': 'callback'}", "/completion", "has a queue"},
        {"{'queue': {'name': 'x'}, 'expect': {'status': 204}}", "/expect/status", "has a queue"},
        {"{'queue': {'name': 'x'}, 'signing_secret': 's'}", "/signing_secret", "has a queue"},
        {"{" URL ", 'completion': 'later'}", "/completion", "callback"},
        {"{" URL ", 'overlap': 'forbid'}", "/overlap", "allow, skip, queue or replace"},
        {"{" URL ", 'catch_up': 'latest'}", "/catch_up", "policy, window, max"},
        {"{" URL ", 'catch_up': {'policy': 'none'}}", "/catch_up/policy", "skip, latest or all"},
        {"{" URL ", 'catch_up': {'window': '0s'}}", "/catch_up/window", "from 1s"},
        {"{" URL ", 'catch_up': {'policy': 'all', 'max': 0}}", "/catch_up/max", "from 1 to 10000"},
        {"{" URL ", 'deadline': 60}", "/deadline", "with its unit"},
        {"{" URL ", 'deadline': '10ms'}", "/deadline", "from 1s"},
        {"{" URL ", 'delivery': 'exactly_once'}", "/delivery", "at_least_once or at_most_once"},
        {"{" URL ", 'command': ['true']}", "/command", "one target"},
        {"{" URL ", 'summary': 7}", "/summary", "write it in quotes, \"7\""},
        {"{" URL ", 'summary': ''}", "/summary", "is empty"},
        {"{" URL ", 'summary': 'a\\u001bb'}", "/summary", "control characters (found 0x1b"},
        {"{" URL ", 'summary': null}", "/summary", "leave the field out"},
        {"{" URL ", 'schedule': '30 2 * * *'}", "/schedule", "write {\"cron\": \"30 2 * * *\"}"},
        {"{" URL ", 'schedule': ['@daily']}", "/schedule/0", "{\"cron\": \"@daily\"}"},
        {"{" URL ", 'schedule': []}", "/schedule", "1 to 16"},
        {"{" URL ", 'schedule': [{'every': '1m'}, {'cron': '61 * * * *'}]}", "/schedule/1/cron",
         ""},
        {"{" URL ", 'schedule': {'cron': '0 4 * * *', 'timezone': 'Europe/Berlni'}}",
         "/schedule/timezone", "Europe/Berlin"},
        {"{'http': 'https://a.example'}", "/http", "write {\"url\": \"https://a.example\"}"},
        {"{'http': {'method': 'GET'}}", "/http", "\"url\" is missing"},
        {"{'http': {'url': 'a.example/x'}}", "/http/url", "begin with http:// or https://"},
        {"{'http': {'url': 'ftp://a.example/x'}}", "/http/url", "begin with http:// or https://"},
        {"{'http': {'url': 'https:///x'}}", "/http/url", "has no host"},
        {"{'http': {'url': 'https://u:p@a.example/x'}}", "/http/url", "Authorization"},
        {"{'http': {'url': 'https://a.example/x#y'}}", "/http/url", "fragment"},
        {"{'http': {'url': 'https://a.example/a b'}}", "/http/url", "%20"},
        {"{'http': {'url': 'https://a.example/a\\nb'}}", "/http/url", "control characters"},
        {"{'http': {'url': 'https://a.example/\xC3\xA4'}}", "/http/url", "ASCII"},
        {"{'http': {'url': 'https://a.example/%g'}}", "/http/url", "%25"},
        {"{'http': {'url': 'https://a.example:0/'}}", "/http/url", "1 to 65535"},
        {"{'http': {'url': 'https://a.example:99999/'}}", "/http/url", "1 to 65535"},
        {"{'http': {'url': 'https://a.example:/'}}", "/http/url", "1 to 65535"},
        {"{'http': {'url': 'https://[::g]/'}}", "/http/url", "IPv6"},
        {"{'http': {'url': 'https://[::1/'}}", "/http/url", "without its ]"},
        {"{'http': {'url': 'https://a,b/'}}", "/http/url", "letters, digits"},
        {"{'http': {'url': '${APP_URL}/x'}}", "/http/url", "only in files"},
        {"{'http': {'url': 'http://a', 'method': 'FETCH'}}", "/http/method", "one of GET"},
        {"{'http': {'url': 'http://a', 'headers': {'a b': 'x'}}}", "/http/headers/a b",
         "no header name"},
        {"{'http': {'url': 'http://a', 'headers': {'a': 'x\\ny'}}}", "/http/headers/a",
         "line breaks"},
        {"{'http': {'url': 'http://a', 'headers': {'a': 5}}}", "/http/headers/a",
         "in quotes, \"5\""},
        {"{'http': {'url': 'http://a', 'headers': {'Webhook-Id': 'x'}}}",
         "/http/headers/Webhook-Id", "set by Punctual"},
        {"{'http': {'url': 'http://a', 'headers': {'HOST': 'x'}}}", "/http/headers/HOST",
         "set by Punctual"},
        {"{'http': {'url': 'http://a', 'headers': {'X-a': '1', 'x-A': '2'}}}", "/http/headers/x-A",
         "write it once"},
        {"{'http': {'url': 'http://a', 'method': 'GET', 'body': 'x'}}", "/http/body", "use POST"},
        {"{'http': {'url': 'http://a', 'body': 'x'}, 'payload': 1}", "/payload", "http.body"},
        {"{'command': 'date -u'}", "/command", "[\"sh\", \"-c\", \"date -u\"]"},
        {"{'command': []}", "/command", "1 to 256"},
        {"{'command': ['sleep', 5]}", "/command/1", "in quotes, \"5\""},
        {"{'command': ['']}", "/command/0", "name the program"},
        {"{'command': {'env': {}}}", "/command", "\"argv\" is missing"},
        {"{'command': {'argv': ['a'], 'env': {'1A': 'x'}}}", "/command/env/1A", "no variable name"},
        {"{'command': {'argv': ['a'], 'env': {'PUNCTUAL_RUN': 'x'}}}", "/command/env/PUNCTUAL_RUN",
         "must not begin with PUNCTUAL_"},
        {"{'command': {'argv': ['a'], 'cwd': 'tmp'}}", "/command/cwd", "absolute"},
        {"{'command': {'argv': ['a'], 'shell': true}}", "/command/shell",
         "known are argv, env, cwd, stdin"},
        {"{" URL ", 'timeout': 30}", "/timeout", "with its unit"},
        {"{" URL ", 'timeout': '30'}", "/timeout", "no duration"},
        {"{" URL ", 'timeout': '0s'}", "/timeout", "from 1ms to 1d"},
        {"{" URL ", 'timeout': '25h'}", "/timeout", "from 1ms to 1d"},
        {"{'monitor': {}}", "/schedule", "says when its job runs"},
        {"{'schedule': {'every': '1h'}, 'monitor': {'grace': '0s'}}", "/monitor/grace", "from 1s"},
        {"{'schedule': {'every': '1h'}, 'monitor': {}, 'payload': 1}", "/payload",
         "runs elsewhere"},
        {"{'schedule': {'every': '1h'}, 'monitor': {}, 'retry': {}}", "/retry", "runs elsewhere"},
        {"{'schedule': {'every': '1h'}, 'monitor': {}, " URL "}", "/monitor",
         "keep http or monitor"},
        {"{" URL ", 'notify': 'https://b'}", "/notify", "write {\"url\": \"https://b\"}"},
        {"{" URL ", 'notify': {'on': ['failed']}}", "/notify/url", "is missing"},
        {"{" URL ", 'notify': {'url': 'b'}}", "/notify/url", "begin with http"},
        {"{" URL ", 'notify': {'url': 'http://b', 'on': ['dead', 'failed']}}", "/notify/on/0",
         "failed, missed or recovered"},
        {"{" URL ", 'notify': {'url': 'http://b', 'on': ['recovered']}}", "/notify/on",
         "only after one of them"},
        {"{" URL ", 'notify': {'url': 'http://b', 'on': ['failed', 'failed']}}", "/notify/on/1",
         "write it once"},
        {"{" URL ", 'notify': {'url': 'http://b', 'cooldown': '8d'}}", "/notify/cooldown", "to 7d"},
        {"{" URL ", 'retry': 5}", "/retry", "max_attempts, backoff, initial, max"},
        {"{" URL ", 'retry': {'max_attempts': 0}}", "/retry/max_attempts", "from 1 to 100"},
        {"{" URL ", 'retry': {'max_attempts': 1.5}}", "/retry/max_attempts", "without a fraction"},
        {"{" URL ", 'retry': {'max_attempts': '5'}}", "/retry/max_attempts", "without quotes"},
        {"{" URL ", 'retry': {'backoff': 'expo'}}", "/retry/backoff",
         "exponential, linear or fixed"},
        {"{" URL ", 'retry': {'max': '1s'}}", "/retry/max", "shorter than initial (5s)"},
        {"{" URL ", 'retry': {'initial': '1h'}}", "/retry/initial", "raise max"},
        {"{" URL ", 'expect': {'status': 600}}", "/expect/status", "\"2xx\""},
        {"{" URL ", 'expect': {'status': '6xx'}}", "/expect/status", "\"2xx\""},
        {"{" URL ", 'expect': {'status': [200]}}", "/expect/status", "\"2xx\""},
        {"{" URL ", 'expect': {'json': {'ok': true}}}", "/expect/json/ok", "as in \"/ok\""},
        {"{" URL ", 'expect': {'json': {'/a~2': true}}}", "/expect/json/~1a~02", "~0"},
        {"{" URL ", 'expect': {'json': []}}", "/expect/json", "{\"/ok\": true}"},
        {"{" URL ", 'expect': {'exit_code': 0}}", "/expect/exit_code", "is for a command"},
        {"{'command': ['a'], 'expect': {'status': 200}}", "/expect/status",
         "is for an http target"},
        {"{'command': ['a'], 'signing_secret': 'x'}", "/signing_secret", "is for an http target"},
        {"{" URL ", 'signing_secret': 'whsec_abc'}", "/signing_secret", "is a secret itself"},
        {"{" URL ", 'runbook': {'ower': 'x'}}", "/runbook/ower", "\"owner\"?"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct faults faults = {0};
        test_row = rows[i].in;
        CHECK(!decode(rows[i].in, NULL, &faults));
        CHECK_TEXT(rows[i].pointer, faults.items[0].pointer);
        CHECK_HAS(rows[i].word, faults.items[0].detail);
        CHECK_INT(1, faults.count);
        faults_done(&faults);
    }
}

TEST(one_answer_names_every_mistake)
{
    struct faults faults = {0};
    CHECK(!decode(
        "{'sumary': 'x', 'timeout': 5, 'schedule': [{'cron': 'x'}, 'y'], "
        "'http': {'url': 'x', 'headers': {'Host': 'y'}}, 'retry': {'max_attempts': 0, 'max': 'x'}}",
        NULL, &faults));
    CHECK_INT(8, faults.count);
    faults_done(&faults);
}

TEST(more_mistakes_than_are_kept_are_still_counted)
{
    struct faults faults = {0};
    char text[2000] = "{" URL;
    for (int i = 0; i < 50; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), ", 'field-%d': 1", i);
    CHECK(!decode(strcat(text, "}"), NULL, &faults));
    CHECK_INT(50, faults.count);
    CHECK_INT(FAULT_MAX, faults_kept(&faults));
    faults_done(&faults);
}

// "{URL, 'payload': " + count * open + middle + count * close + "}"
static char *nested(const char *head, size_t count, char open, const char *middle, char close)
{
    struct buffer b;
    buffer_init(&b, 4 << 20);
    buffer_text(&b, head);
    for (size_t i = 0; i < count; i++)
        buffer_byte(&b, open);
    buffer_text(&b, middle);
    for (size_t i = 0; i < count; i++)
        buffer_byte(&b, close);
    buffer_text(&b, "}");
    return buffer_take(&b, NULL);
}

TEST(what_is_too_deep_or_too_large_is_refused_and_what_just_fits_is_not)
{
    struct faults faults = {0};
    char *text = nested("{" URL ", 'payload': ", 64, '[', "1", ']');
    task_drop(good(text, NULL));
    free(text);

    text = nested("{" URL ", 'payload': ", 65, '[', "1", ']');
    CHECK(!decode(text, NULL, &faults));
    CHECK_TEXT("/payload", faults.items[0].pointer);
    CHECK_HAS("deeper than 64", faults.items[0].detail);
    faults_done(&faults);
    free(text);

    char *large = memory_array(TASK_PAYLOAD_MAX + 2, 1);
    memset(large, 'x', TASK_PAYLOAD_MAX - 2);
    text = nested("{" URL ", 'payload': ", 1, '\'', large, '\'');
    task_drop(good(text, NULL));
    free(text);
    memset(large, 'x', TASK_PAYLOAD_MAX - 1);
    text = nested("{" URL ", 'payload': ", 1, '\'', large, '\'');
    CHECK(!decode(text, NULL, &faults));
    CHECK_HAS("at most 256 KiB", faults.items[0].detail);
    faults_done(&faults);
    free(text);

    // Each part fits, the whole does not: escapes make the definition longer than its texts.
    memset(large, '\x7F', TASK_PAYLOAD_MAX - 2);
    text = nested("{'http': {'url': 'http://a', 'body': ", 1, '\'', large, '\'');
    text = memory_resize(text, strlen(text) + 2, 1);
    CHECK(!decode(strcat(text, "}"), NULL, &faults));
    CHECK_TEXT("", faults.items[0].pointer);
    CHECK_HAS("512 KiB in all", faults.items[0].detail);
    faults_done(&faults);
    free(text);
    free(large);
}

TEST(a_name_is_lower_case_and_short)
{
    static const struct row {
        const char *name;
        enum status status;
    } rows[] = {
        {"a", STATUS_OK},
        {"0-a.b_c", STATUS_OK},
        {"", STATUS_INVALID},
        {"Nightly", STATUS_INVALID},
        {"-a", STATUS_INVALID},
        {"a b", STATUS_INVALID},
        {"a/b", STATUS_INVALID},
        {"\xC3\xA4", STATUS_INVALID},
        {"01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678"
         "90123456789",
         STATUS_OK},
        {"01234567890123456789012345678901234567890123456789012345678901234567890123456789012345678"
         "901234567890",
         STATUS_INVALID},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct faults faults = {0};
        test_row = rows[i].name;
        CHECK_INT(rows[i].status, task_check_name(rows[i].name, "/name", &faults));
        CHECK_INT(rows[i].status != STATUS_OK, faults.count);
        if (faults.count) {
            CHECK_TEXT("/name", faults.items[0].pointer);
            CHECK_HAS("a-z, 0-9", faults.items[0].detail);
        }
        faults_done(&faults);
    }
}

TEST(targets_of_one_endpoint_share_a_lane)
{
    static const struct row {
        const char *one, *other;
        bool same;
    } rows[] = {
        {"{'http':{'url':'http://a.example/x'}}", "{'http':{'url':'HTTP://A.Example:80?y'}}", true},
        {"{'http':{'url':'https://a.example'}}", "{'http':{'url':'https://a.example:443/y'}}",
         true},
        {"{'http':{'url':'http://a.example'}}", "{'http':{'url':'https://a.example'}}", false},
        {"{'http':{'url':'http://a.example'}}", "{'http':{'url':'http://a.example:81'}}", false},
        {"{'command':['a']}", "{'command':['b']}", true},
        {"{'command':['a']}", "{'http':{'url':'http://a.example'}}", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        test_row = rows[i].other;
        struct task *one = good(rows[i].one, NULL), *other = good(rows[i].other, NULL);
        CHECK_INT(rows[i].same, one->lane == other->lane);
        task_drop(one);
        task_drop(other);
    }
}

TEST(a_task_lives_until_its_last_reference_goes)
{
    struct task *task = good("{" URL "}", NULL), *again = task_hold(task);
    task_drop(task);
    CHECK_TEXT("nightly", again->name);
    task_drop(again);
    task_drop(NULL);
}

TEST(a_definition_that_is_none_is_refused)
{
    struct task *task;
    CHECK_INT(STATUS_INVALID, task_decode_text("a", "{", 1, &task));
    CHECK_INT(STATUS_INVALID, task_decode_text("a", "{}", 2, &task));
}

TESTS_MAIN
