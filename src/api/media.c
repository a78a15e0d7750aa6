#include "api/media.h"

#include <string.h>
#include <strings.h>

static const struct {
    const char *type;
    enum media media;
} types[] = {
    {"application/json", MEDIA_JSON},
    {"application/merge-patch+json", MEDIA_MERGE},
    {"application/x-ndjson", MEDIA_NDJSON},
    {"application/ndjson", MEDIA_NDJSON},
    {"application/jsonl", MEDIA_NDJSON},
    {"application/yaml", MEDIA_YAML},
    {"application/x-yaml", MEDIA_YAML},
    {"text/yaml", MEDIA_YAML},
    {"text/x-yaml", MEDIA_YAML},
};

#define BIT(media) (1u << MEDIA_##media)

static const struct {
    unsigned media; // bits; 0: the body is not read
    const char *names;
} reads[BODY_COUNT] = {
    [BODY_NONE] = {0, ""},
    [BODY_JSON] = {BIT(JSON), "application/json"},
    [BODY_OPTIONAL] = {BIT(JSON), "application/json"},
    [BODY_MERGE] = {BIT(JSON) | BIT(MERGE), "application/merge-patch+json or application/json"},
    [BODY_RUNS] = {BIT(JSON) | BIT(NDJSON), "application/json or application/x-ndjson"},
    [BODY_SET] = {BIT(JSON) | BIT(YAML), "application/json or application/yaml"},
};

enum media media_read(const char *content_type)
{
    if (!content_type)
        return MEDIA_JSON;
    size_t size = strcspn(content_type, "; \t");
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strlen(types[i].type) == size && strncasecmp(types[i].type, content_type, size) == 0)
            return types[i].media;
    return MEDIA_OTHER;
}

enum media media_of(const struct request *r)
{
    return media_read(request_header(r, "Content-Type"));
}

void media_check(struct request *r)
{
    unsigned wanted = reads[r->match.route->body].media;
    if (!wanted || wanted & 1u << media_of(r))
        return;
    const char *type = request_header(r, "Content-Type");
    bool form = type && strncasecmp(type, "application/x-www-form-urlencoded", 33) == 0;
    request_refuse(r, PROBLEM_MEDIA, "Content-Type is \"%.100s\"; send %s%s", type ? type : "",
                   reads[r->match.route->body].names,
                   form ? " (curl says so with --json, or with -H 'Content-Type: ...')" : "");
}
