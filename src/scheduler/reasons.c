#include "scheduler/reasons.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "base/utf8.h"

#define OTHERS "other reasons"

void reasons_done(struct reasons *r)
{
    free(r->list);
    *r = (struct reasons){0};
}

static size_t find(const struct reasons *r, const char *text)
{
    size_t at = 0;
    while (at < r->count && strcmp(r->list[at].text, text) != 0)
        at++;
    return at;
}

void reasons_count(struct reasons *r, const char *reason, int64_t times)
{
    char text[REASON_TEXT];
    snprintf(text, sizeof text, "%s", reason && *reason ? reason : "no reason given");
    utf8_trim(text); // or it would read back as another one
    if (!r->list)
        r->list = memory_array(REASONS_MAX + 1, sizeof *r->list); // the last for OTHERS
    size_t at = find(r, text);
    if (at == r->count && at >= REASONS_MAX) {
        snprintf(text, sizeof text, "%s", OTHERS);
        at = find(r, text);
    }
    if (at == r->count) {
        memcpy(r->list[at].text, text, sizeof text);
        r->list[at].count = 0;
        r->count++;
    }
    r->list[at].count += times;
}

void reasons_read(struct reasons *r, const char *text)
{
    json_t *list, *item;
    struct json_place place;
    size_t i;
    if (!text || json_read(text, strlen(text), &list, &place) != STATUS_OK)
        return;
    json_array_foreach(list, i, item)
    {
        const char *reason = json_string_value(json_object_get(item, "reason"));
        if (reason)
            reasons_count(r, reason, json_integer_value(json_object_get(item, "count")));
    }
    json_decref(list);
}

void reasons_write(struct writer *w, const struct reasons *r)
{
    writer_array(w);
    for (size_t i = 0; i < r->count; i++) {
        writer_object(w);
        member_text(w, "reason", r->list[i].text);
        member_int(w, "count", r->list[i].count);
        writer_end_object(w);
    }
    writer_end_array(w);
}
