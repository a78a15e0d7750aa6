#include "api/routes.h"

#include <string.h>

#include "api/handlers.h"

// The most called first: the search is a walk.
static const struct route routes[] = {
    {"POST", "/v1/runs", run_post, BODY_JSON, "", false},
    {"GET", "/health", health_get, BODY_NONE, "", true},
    {"POST", "/v1/runs/batch", batch_post, BODY_RUNS, "", false},
    {"GET", "/v1/runs/{id}", run_get, BODY_NONE, "", false},
    {"GET", "/v1/runs", runs_list, BODY_NONE, "task state from to limit cursor", false},
    {"POST", "/v1/tasks/{name}/runs", task_trigger, BODY_OPTIONAL, "", false},
    {"GET", "/v1/tasks/{name}", task_get, BODY_NONE, "", false},
    {"GET", "/v1/tasks", tasks_list, BODY_NONE, "limit cursor figures", false},
    {"PUT", "/v1/tasks/{name}", task_put, BODY_JSON, "note", false},
    {"PATCH", "/v1/tasks/{name}", task_patch, BODY_MERGE, "note", false},
    {"DELETE", "/v1/tasks/{name}", task_delete, BODY_NONE, "note", false},
    {"POST", "/v1/tasks/{name}/pause", task_pause, BODY_JSON, "", false},
    {"POST", "/v1/tasks/{name}/resume", task_resume, BODY_OPTIONAL, "", false},
    {"POST", "/v1/tasks/{name}/rollback", task_rollback, BODY_OPTIONAL, "", false},
    {"GET", "/v1/tasks/{name}/upcoming", task_upcoming, BODY_NONE, "from to limit", false},
    {"GET", "/v1/tasks/{name}/revisions", task_revisions, BODY_NONE, "limit cursor", false},
    {"POST", "/v1/apply", apply_post, BODY_SET, "dry_run prune note", false},
    {"POST", "/v1/runs/{id}/cancel", run_cancel, BODY_OPTIONAL, "", false},
    {"POST", "/v1/runs/{id}/retry", run_retry, BODY_OPTIONAL, "", false},
    {"POST", "/v1/queues/{queue}/lease", queue_lease, BODY_OPTIONAL, "", false},
    {"POST", "/v1/leases/heartbeat", leases_heartbeat, BODY_JSON, "", false},
    {"POST", "/v1/leases/complete", leases_complete, BODY_JSON, "", false},
    {"POST", "/v1/leases/fail", leases_fail, BODY_JSON, "", false},
    {"POST", "/v1/leases/release", leases_release, BODY_JSON, "", false},
    {"POST", "/v1/runs/{id}/complete", run_complete, BODY_JSON, "", false},
    {"POST", "/v1/runs/{id}/heartbeat", run_heartbeat, BODY_JSON, "", false},
    {"GET", "/v1/queues/{queue}", queue_get, BODY_NONE, "", false},
    {"GET", "/v1/queues", queues_list, BODY_NONE, "", false},
    {"POST", "/v1/checkins/{name}", checkin_post, BODY_OPTIONAL, "", false},
    {"GET", "/v1/dead-letters", dead_list, BODY_NONE, "task from to reason limit cursor", false},
    {"POST", "/v1/dead-letters/retry", dead_retry, BODY_JSON, "dry_run", false},
    {"POST", "/v1/dead-letters/discard", dead_discard, BODY_JSON, "dry_run", false},
    {"GET", "/v1/events", events_get, BODY_NONE, "task types after", false},
    {"GET", "/v1/audit", audit_get, BODY_NONE, "from to task", false},
    {"GET", "/v1/test/clock", test_clock_get, BODY_NONE, "", false},
    {"POST", "/v1/test/clock", test_clock_post, BODY_OPTIONAL, "", false},
    {"GET", "/metrics", metrics_get, BODY_NONE, "", false},
    {"GET", "/ready", ready_get, BODY_NONE, "", true},
    {"GET", "/openapi.json", openapi_get, BODY_NONE, "", true},
    {"GET", "/docs", docs_get, BODY_NONE, "", true},
};

#define ROUTES (sizeof routes / sizeof *routes)

const struct route *route_at(size_t place)
{
    return place < ROUTES ? &routes[place] : NULL;
}

// Whether the path has the pattern's form. {name} takes one segment that is not empty.
static bool matches(const char *pattern, const char *path, struct route_match *ret)
{
    int parameter = 0;
    while (*pattern) {
        if (*pattern != '{') {
            if (*pattern++ != *path++)
                return false;
            continue;
        }
        size_t size = strcspn(path, "/");
        if (size == 0 || size >= ROUTE_PARAMETER_TEXT || parameter == ROUTE_PARAMETERS_MAX)
            return false;
        memcpy(ret->parameters[parameter], path, size);
        ret->parameters[parameter++][size] = '\0';
        path += size;
        pattern = strchr(pattern, '}') + 1;
    }
    return *path == '\0';
}

// A fixed path beats a pattern: /v1/runs/batch is no run with the id "batch".
static bool is_fixed(const char *path)
{
    bool fixed = false;
    for (size_t i = 0; i < ROUTES; i++)
        fixed |= strcmp(routes[i].path, path) == 0 && !strchr(path, '{');
    return fixed;
}

static void add_method(char *allow, size_t size, const char *method)
{
    size_t at = strlen(allow), more = strlen(method);
    if (at + more + 3 > size)
        return;
    if (at > 0) {
        memcpy(allow + at, ", ", 2);
        at += 2;
    }
    memcpy(allow + at, method, more + 1);
}

// Every method of the path, for 405 and OPTIONS.
static void list_methods(const char *path, struct route_match *ret)
{
    struct route_match scratch;
    bool fixed = is_fixed(path);
    for (size_t i = 0; i < ROUTES; i++) {
        if (fixed ? strcmp(routes[i].path, path) != 0 : !matches(routes[i].path, path, &scratch))
            continue;
        ret->path_known = true;
        add_method(ret->allow, sizeof ret->allow, routes[i].method);
        if (strcmp(routes[i].method, "GET") == 0)
            add_method(ret->allow, sizeof ret->allow, "HEAD");
    }
    if (ret->path_known)
        add_method(ret->allow, sizeof ret->allow, "OPTIONS");
}

void route_find(const char *method, const char *path, struct route_match *ret)
{
    ret->route = NULL;
    ret->path_known = false;
    ret->allow[0] = '\0';
    const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;
    for (size_t i = 0; i < ROUTES; i++)
        if (strcmp(routes[i].method, wanted) == 0 && matches(routes[i].path, path, ret)) {
            ret->route = &routes[i];
            ret->path_known = true;
            break;
        }
    if (ret->route && strchr(ret->route->path, '{') && is_fixed(path))
        ret->route = NULL;
    if (!ret->route)
        list_methods(path, ret);
}

bool names_have(const char *names, const char *name)
{
    size_t size = strlen(name);
    while (*names) {
        size_t word = strcspn(names, " ");
        if (word == size && memcmp(names, name, size) == 0)
            return true;
        names += word;
        names += strspn(names, " ");
    }
    return false;
}
