#include "api/routes.h"

#include <strings.h>

#include "api/pages.h"
#include "api/problem.h"
#include "base/json.h"
#include "test.h"

static struct route_match find(const char *method, const char *path)
{
    struct route_match match;
    route_find(method, path, &match);
    return match;
}

TEST(a_route_is_found_by_method_and_path_with_its_parameter)
{
    struct route_match match = find("POST", "/v1/tasks/nightly-invoices/pause");
    CHECK(match.route);
    CHECK_TEXT("/v1/tasks/{name}/pause", match.route->path);
    CHECK_TEXT("nightly-invoices", match.parameters[0]);
}

TEST(head_finds_what_get_finds)
{
    CHECK(find("HEAD", "/v1/tasks").route == find("GET", "/v1/tasks").route);
    CHECK(find("HEAD", "/health").route);
}

TEST(an_unknown_path_is_not_known_with_any_method)
{
    static const char *const paths[] = {
        "/", "", "/v1", "/v1/", "/v1/tasks/", "/v1/tasks/a/b", "/v1/runs/x/y/z", "/health/", "*"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        test_row = paths[i];
        struct route_match match = find("GET", paths[i]);
        CHECK(!match.route);
        CHECK(!match.path_known);
        CHECK_TEXT("", match.allow);
    }
}

TEST(a_known_path_tells_its_methods)
{
    struct route_match match = find("BREW", "/v1/tasks/nightly");
    CHECK(!match.route);
    CHECK(match.path_known);
    CHECK_TEXT("GET, HEAD, PUT, PATCH, DELETE, OPTIONS", match.allow);
}

TEST(a_fixed_path_is_no_parameter)
{
    struct route_match match = find("GET", "/v1/runs/batch");
    CHECK(!match.route);
    CHECK_TEXT("POST, OPTIONS", match.allow);
}

TEST(a_parameter_too_long_matches_nothing)
{
    char path[400] = "/v1/tasks/";
    memset(path + 10, 'a', 300);
    CHECK(!find("GET", path).path_known);
}

TEST(names_are_found_whole)
{
    CHECK(names_have("task state from", "state"));
    CHECK(names_have("task state from", "from"));
    CHECK(!names_have("task state from", "stat"));
    CHECK(!names_have("task state from", "fro"));
    CHECK(!names_have("", "task"));
    CHECK(!names_have("task", ""));
}

// --- the document describes the table, and nothing else ---

static json_t *read_document(void)
{
    json_t *document;
    struct json_place place;
    if (json_read(page_openapi, page_openapi_size, &document, &place) != STATUS_OK)
        TEST_FAIL("web/openapi.json: %s at line %d", place.detail, place.line);
    return document;
}

static json_t *operation(json_t *document, const char *path, const char *method)
{
    char lower[16] = "";
    for (size_t i = 0; method[i] && i + 1 < sizeof lower; i++)
        lower[i] = (char)(method[i] | 0x20);
    return json_object_get(json_object_get(json_object_get(document, "paths"), path), lower);
}

static json_t *resolve(json_t *document, json_t *value)
{
    const char *reference = json_string_value(json_object_get(value, "$ref"));
    if (!reference)
        return value;
    char path[200];
    snprintf(path, sizeof path, "%s", reference + 2);
    for (char *token = strtok(path, "/"); token; token = strtok(NULL, "/"))
        document = json_object_get(document, token);
    return document;
}

TEST(every_route_is_described_and_its_answers_too)
{
    json_t *document = read_document();
    for (size_t i = 0; route_at(i); i++) {
        const struct route *route = route_at(i);
        test_row = route->path;
        json_t *described = operation(document, route->path, route->method);
        CHECK(described);
        CHECK(json_object_get(described, "summary"));
        CHECK(json_object_get(described, "operationId"));
        CHECK(json_object_size(json_object_get(described, "responses")) > 0);
        CHECK(route->open == (json_array_size(json_object_get(described, "security")) == 0 &&
                              json_object_get(described, "security") != NULL));
        CHECK((route->body != BODY_NONE) == (json_object_get(described, "requestBody") != NULL));
        CHECK(route->open || json_object_get(json_object_get(described, "responses"), "401"));
    }
    json_decref(document);
}

TEST(every_described_operation_is_a_route)
{
    json_t *document = read_document();
    const char *path, *method;
    json_t *item, *described;
    json_object_foreach(json_object_get(document, "paths"), path, item)
    {
        json_object_foreach(item, method, described)
        {
            if (strcmp(method, "parameters") == 0)
                continue;
            char upper[16] = "";
            for (size_t i = 0; method[i] && i + 1 < sizeof upper; i++)
                upper[i] = (char)(method[i] & ~0x20);
            struct route_match match = find(upper, path);
            test_row = path;
            CHECK(match.route);
            CHECK_TEXT(path, match.route->path);
        }
    }
    json_decref(document);
}

TEST(every_query_parameter_is_described)
{
    json_t *document = read_document();
    for (size_t i = 0; route_at(i); i++) {
        const struct route *route = route_at(i);
        test_row = route->path;
        size_t described = 0, place, words = 0;
        json_t *parameter;
        json_array_foreach(
            json_object_get(operation(document, route->path, route->method), "parameters"), place,
            parameter)
        {
            parameter = resolve(document, parameter);
            if (strcmp(json_string_value(json_object_get(parameter, "in")), "query") != 0)
                continue;
            described++;
            CHECK(
                names_have(route->queries, json_string_value(json_object_get(parameter, "name"))));
        }
        for (const char *p = route->queries; *p; p++)
            words += p == route->queries || p[-1] == ' ';
        CHECK_INT(words, described);
    }
    json_decref(document);
}

TEST(every_kind_of_problem_has_its_place_in_the_page)
{
    char *page = strdup(page_docs);
    for (unsigned i = PROBLEM_INVALID; i < PROBLEM_COUNT; i++) {
        char anchor[80];
        snprintf(anchor, sizeof anchor, "problem-%s\"", problem_word((enum problem)i));
        CHECK_HAS(anchor, page);
    }
    free(page);
}

TESTS_MAIN
