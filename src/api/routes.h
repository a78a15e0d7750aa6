/*
 * routes - which call is answered by whom
 *
 * One table: method, path, handler, what body it reads, which query parameters it knows.
 * web/openapi.json describes the same routes and a test holds one against the other.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define ROUTE_PARAMETERS_MAX 1   // {name} or {id}: no path has more
#define ROUTE_PARAMETER_TEXT 128 // the longest value, with a NUL; longer ones match no route

struct request;

enum route_body {
    BODY_NONE,     // whatever comes is read and thrown away
    BODY_JSON,     // must be there
    BODY_OPTIONAL, // JSON, or nothing at all
    BODY_MERGE,    // a JSON merge patch
    BODY_RUNS,     // a JSON array, or NDJSON
    BODY_SET,      // JSON or YAML
    BODY_COUNT
};

struct route {
    const char *method;
    const char *path; // "/v1/tasks/{name}/runs"
    void (*handler)(struct request *r);
    enum route_body body;
    const char *queries; // names with a space between; "" for none
    bool open;           // needs no API key
};

struct route_match {
    const struct route *route; // NULL: no route for this path and method
    bool path_known;           // the path is there, with other methods
    char parameters[ROUTE_PARAMETERS_MAX][ROUTE_PARAMETER_TEXT];
    char allow[64]; // the methods of this path, as in Allow; "" while a route was found at once
};

// HEAD finds the route of GET. OPTIONS finds none and gets `allow`.
void route_find(const char *method, const char *path, struct route_match *ret);

// For tests and tools: the table. NULL behind the last.
const struct route *route_at(size_t place);

// True when `name` is one of the space-separated `names`.
bool names_have(const char *names, const char *name);
