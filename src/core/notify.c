#include "core/notify.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "core/task_definition.h"
#include "core/url.h"

static const char *const kinds[NOTICE_KIND_COUNT] = {
    [NOTICE_FAILED] = "failed",
    [NOTICE_MISSED] = "missed",
    [NOTICE_RECOVERED] = "recovered",
};

void notify_done(struct notify *notify)
{
    free(notify->url);
    *notify = task_plain.notify;
}

static void read_url(const struct place *at, const struct field *field, const json_t *value,
                     void *into)
{
    (void)field;
    struct notify *notify = into;
    char origin[ORIGIN_TEXT], why[160];
    if (!decode_is(at, value, JSON_STRING, "a URL such as \"https://example.com/alerts\""))
        return;
    if (url_origin(json_string_value(value), origin, why, sizeof why) != STATUS_OK) {
        faults_add(at->faults, at->pointer, "%s", why);
        return;
    }
    free(notify->url);
    notify->url = memory_text(json_string_value(value));
}

static bool kind_parse(const json_t *value, unsigned *ret)
{
    for (unsigned i = 0; i < NOTICE_KIND_COUNT && json_is_string(value); i++)
        if (strcmp(json_string_value(value), kinds[i]) == 0) {
            *ret = 1u << i;
            return true;
        }
    return false;
}

static void read_on(const struct place *at, const struct field *field, const json_t *value,
                    void *into)
{
    (void)field;
    struct notify *notify = into;
    if (!decode_is(at, value, JSON_ARRAY, "a list such as [\"failed\", \"missed\"]"))
        return;
    unsigned on = 0, kind = 0;
    size_t i;
    json_t *item;
    char pointer[POINTER_MAX];
    json_array_foreach((json_t *)value, i, item)
    {
        struct place below = place_item(at, i, pointer);
        if (!kind_parse(item, &kind))
            faults_add(below.faults, below.pointer, "must be failed, missed or recovered");
        else if (on & kind)
            faults_add(below.faults, below.pointer, "stands there twice: write it once");
        on |= kind;
    }
    if (!(on & ~(1u << NOTICE_RECOVERED)))
        faults_add(at->faults, at->pointer,
                   "must name failed, missed or both: a recovery is told only after one of them");
    notify->on = on;
}

static const struct field fields[] = {
    {"url", read_url},
    {"on", read_on},
    {"cooldown", decode_duration, offsetof(struct notify, cooldown_us), SECOND, 7 * DAY},
};

void notify_read(const struct place *at, const struct field *field, const json_t *value, void *into)
{
    struct notify *notify = (struct notify *)((char *)into + field->offset);
    if (json_is_null(value))
        notify_done(notify);
    else if (json_is_string(value))
        faults_add(at->faults, at->pointer, "must be an object: write {\"url\": \"%.200s\"}",
                   json_string_value(value));
    else
        decode_object(at, fields, sizeof fields / sizeof *fields, value, notify);
}

void notify_check(const struct place *at, const json_t *value, const struct notify *notify)
{
    const json_t *written = json_object_get(value, "notify");
    char pointer[POINTER_MAX];
    // A URL that is there and wrong has its own fault.
    if (!json_is_object(written) || notify->url || json_object_get(written, "url"))
        return;
    struct place below = place_below(at, "notify", pointer);
    faults_add(at->faults, place_below(&below, "url", pointer).pointer,
               "is missing: say who is told, such as \"https://example.com/alerts\"");
}

void notify_write(struct writer *w, const struct notify *notify)
{
    if (!notify->url)
        return;
    member_object(w, "notify");
    member_text(w, "url", notify->url);
    if (notify->on != task_plain.notify.on) {
        member_array(w, "on");
        for (unsigned i = 0; i < NOTICE_KIND_COUNT; i++)
            if (notify->on >> i & 1)
                writer_text(w, kinds[i]);
        writer_end_array(w);
    }
    if (notify->cooldown_us != task_plain.notify.cooldown_us) {
        char text[DURATION_TEXT];
        duration_format(notify->cooldown_us, text);
        member_text(w, "cooldown", text);
    }
    writer_end_object(w);
}
