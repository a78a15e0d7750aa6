// A schedule's JSON, in and out. core/schedule.c calculates with what is read here.

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "core/schedule.h"
#include "core/zone_names.h"

#define EVERY_LEAST (100 * MILLISECOND)
#define JITTER_MOST (24 * HOUR)
#define EXPRESSION_MAX 1000

struct reader {
    const char *pointer;
    struct faults *faults;
    struct schedule *to;
    int kinds;               // how many of cron, every and at were given
    const char *cron_only;   // the last field given that only a cron expression can use
    const char *window_only; // ... that a single instant cannot use
};

// --- texts ---

// A fault at one field; `field` NULL: at the schedule itself.
__attribute__((format(printf, 3, 4))) static void wrong(struct reader *r, const char *field,
                                                        const char *format, ...)
{
    char pointer[512], detail[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(detail, sizeof detail, format, arguments);
    va_end(arguments);
    snprintf(pointer, sizeof pointer, "%s", r->pointer);
    if (field)
        pointer_join(pointer, sizeof pointer, r->pointer, field);
    faults_add(r->faults, pointer, "%s", detail);
}

// The text of a field, or NULL with a fault.
static const char *text_of(struct reader *r, const char *field, const json_t *value)
{
    if (!json_is_string(value))
        wrong(r, field, "must be a text in quotes");
    else if (json_string_length(value) > EXPRESSION_MAX)
        wrong(r, field, "must have at most %d bytes", EXPRESSION_MAX);
    else
        return json_string_value(value);
    return NULL;
}

static bool read_duration(struct reader *r, const char *field, const char *text, int64_t *ret_us)
{
    if (duration_parse(text, strlen(text), ret_us) == STATUS_OK)
        return true;
    wrong(r, field,
          "must be a duration such as 250ms, 90s, 15m, 1h30m, 2d or PT1H30M, at most 100 years");
    return false;
}

static void read_instant(struct reader *r, const char *field, const json_t *value, wall *ret)
{
    const char *text = text_of(r, field, value);
    if (text && wall_parse(text, strlen(text), ret) != STATUS_OK)
        wrong(r, field,
              "must be an instant with its offset such as 2026-12-24T18:00:00+01:00 or "
              "2026-12-24T17:00:00Z, from 1970 on");
}

// --- fields ---

static void become(struct reader *r, enum schedule_kind kind, const char *expression)
{
    free(r->to->expression);
    r->to->expression = memory_text(expression);
    r->to->kind = kind;
}

static void read_every_text(struct reader *r, const char *field, const char *text)
{
    int64_t every_us;
    if (!read_duration(r, field, text, &every_us))
        return;
    if (every_us < EVERY_LEAST)
        wrong(r, field, "the shortest period is 100ms");
    else {
        r->to->every_us = every_us;
        become(r, SCHEDULE_EVERY, text);
    }
}

static void read_every(struct reader *r, const char *field, const json_t *value)
{
    const char *text = text_of(r, field, value);
    r->kinds++;
    if (text)
        read_every_text(r, field, text);
}

// "@every 15m" is `every`, written where other programs take it.
static const char *every_in_cron(const char *text)
{
    text += strspn(text, " \t");
    if (strncmp(text, "@every", 6) != 0 || (text[6] != ' ' && text[6] != '\t'))
        return NULL;
    text += 6;
    return text + strspn(text, " \t");
}

static void read_cron(struct reader *r, const char *field, const json_t *value)
{
    char detail[256];
    const char *text = text_of(r, field, value), *every = text ? every_in_cron(text) : NULL;
    r->kinds++;
    if (every && *every) {
        char *duration = memory_text(every);
        size_t length = strlen(duration);
        while (length && (duration[length - 1] == ' ' || duration[length - 1] == '\t'))
            duration[--length] = '\0';
        read_every_text(r, field, duration);
        free(duration);
    } else if (text && cron_parse(text, &r->to->cron, detail, sizeof detail) != STATUS_OK) {
        wrong(r, field, "%s", detail);
    } else if (text) {
        become(r, SCHEDULE_CRON, text);
    }
}

static void read_at(struct reader *r, const char *field, const json_t *value)
{
    r->kinds++;
    read_instant(r, field, value, &r->to->at);
    if (json_is_string(value))
        become(r, SCHEDULE_AT, json_string_value(value));
}

// A name as it may stand in a message: cut short, and nothing but printable ASCII.
static void quote(const char *text, char quoted[static 48])
{
    size_t at = 0;
    for (; text[at] && at < 47; at++)
        quoted[at] = text[at] >= ' ' && text[at] <= '~' ? text[at] : '?';
    quoted[at] = '\0';
}

static void read_zone(struct reader *r, const char *field, const char *name)
{
    enum status status = zone_find(name, &r->to->zone);
    if (status == STATUS_OK)
        return;
    char quoted[48];
    quote(name, quoted);
    const char *near = zone_near(name);
    if (near && strcmp(near, name) != 0)
        wrong(r, field, "\"%s\" is not a known time zone: is %s meant?", quoted, near);
    else if (status == STATUS_NOT_FOUND)
        wrong(r, field,
              "\"%s\" is not a known time zone: write a name such as Europe/Berlin or UTC", quoted);
    else
        wrong(r, field,
              "the time zone \"%s\" cannot be used: its file is broken or counts leap seconds",
              quoted);
}

static void read_timezone(struct reader *r, const char *field, const json_t *value)
{
    const char *name = text_of(r, field, value);
    if (name)
        read_zone(r, field, name);
}

// Which of two words is written: 0 or 1.
static int read_choice(struct reader *r, const char *field, const json_t *value, const char *zero,
                       const char *one)
{
    const char *text = json_string_value(value);
    r->cron_only = field;
    if (text && strcmp(text, one) == 0)
        return 1;
    if (!text || strcmp(text, zero) != 0)
        wrong(r, field, "must be \"%s\" or \"%s\"", zero, one);
    return 0;
}

static void read_gap(struct reader *r, const char *field, const json_t *value)
{
    r->to->gap = read_choice(r, field, value, "run", "skip") ? DST_GAP_SKIP : DST_GAP_RUN;
}

static void read_overlap(struct reader *r, const char *field, const json_t *value)
{
    r->to->overlap =
        read_choice(r, field, value, "first", "both") ? DST_OVERLAP_BOTH : DST_OVERLAP_FIRST;
}

static void read_jitter(struct reader *r, const char *field, const json_t *value)
{
    const char *text = text_of(r, field, value);
    int64_t jitter_us;
    if (!text || !read_duration(r, field, text, &jitter_us))
        return;
    if (jitter_us > JITTER_MOST)
        wrong(r, field, "must be at most 24h");
    else
        r->to->jitter_us = jitter_us;
}

static void read_start(struct reader *r, const char *field, const json_t *value)
{
    r->window_only = field;
    read_instant(r, field, value, &r->to->start);
}

static void read_end(struct reader *r, const char *field, const json_t *value)
{
    r->window_only = field;
    read_instant(r, field, value, &r->to->end);
}

static const struct {
    const char *name;
    void (*read)(struct reader *r, const char *field, const json_t *value);
} fields[] = {
    {"cron", read_cron},         {"every", read_every}, {"at", read_at},
    {"timezone", read_timezone}, {"dst_gap", read_gap}, {"dst_overlap", read_overlap},
    {"jitter", read_jitter},     {"start", read_start}, {"end", read_end},
};

// --- the whole ---

static void read_field(struct reader *r, const char *name, const json_t *value)
{
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (strcmp(fields[i].name, name) == 0) {
            fields[i].read(r, name, value);
            return;
        }
    wrong(r, name,
          "is not known here: a schedule has cron, every or at, and timezone, dst_gap, "
          "dst_overlap, jitter, start, end");
}

// What only shows when all fields are there, and is worth saying only when each of them is right.
static void check_together(struct reader *r)
{
    const struct schedule *s = r->to;
    struct occurrence first;
    if (r->cron_only && s->kind != SCHEDULE_CRON)
        wrong(r, r->cron_only,
              "has a meaning only with a cron expression: daylight saving never touches "
              "every and at");
    if (r->window_only && s->kind == SCHEDULE_AT)
        wrong(r, r->window_only, "has no meaning with at, which is a single instant");
    else if (wall_is_set(s->start) && wall_is_set(s->end) && s->end.us <= s->start.us)
        wrong(r, "end", "must be later than start");
    else if (!schedule_next(s, WALL_NONE, &first))
        wrong(r, NULL, "has no occurrence between its start and its end");
}

enum status schedule_decode(const json_t *value, const char *pointer, const char *timezone,
                            struct faults *faults, struct schedule *ret)
{
    struct schedule to = {.start = WALL_NONE, .end = WALL_NEVER};
    struct reader r = {.pointer = pointer, .faults = faults, .to = &to};
    size_t before = faults->count;
    const char *name;
    json_t *field;
    if (!json_is_object(value)) {
        faults_add(faults, pointer,
                   "a schedule is an object such as {\"cron\": \"30 2 * * *\"}, "
                   "{\"every\": \"15m\"} or {\"at\": \"2026-12-24T18:00:00+01:00\"}");
        return STATUS_INVALID;
    }
    json_object_foreach((json_t *)value, name, field) read_field(&r, name, field);
    if (!json_object_get(value, "timezone"))
        read_zone(&r, "timezone", timezone ? timezone : "UTC");
    if (r.kinds != 1)
        wrong(&r, NULL, "a schedule has exactly one of cron, every and at; this one has %d",
              r.kinds);
    if (faults->count == before)
        check_together(&r);
    if (faults->count != before) {
        schedule_done(&to);
        return STATUS_INVALID;
    }
    *ret = to;
    return STATUS_OK;
}

static void put_duration(json_t *object, const char *field, int64_t us)
{
    char text[DURATION_TEXT];
    duration_format(us, text);
    json_object_set_new(object, field, json_string(text));
}

// Milliseconds, or microseconds where the instant has some.
static void put_instant(json_t *object, const char *field, wall t)
{
    char text[MOMENT_TEXT + 3];
    int rest = (int)(t.us % MILLISECOND);
    wall_format(t, text);
    if (rest) {
        char digits[12];
        snprintf(digits, sizeof digits, "%03d", rest);
        memcpy(text + MOMENT_TEXT - 2, digits, 3);
        memcpy(text + MOMENT_TEXT + 1, "Z", 2);
    }
    json_object_set_new(object, field, json_string(text));
}

// Single blanks between the fields, none around them.
static void put_cron(json_t *object, const char *expression)
{
    char *text = memory_text(expression), *to = text;
    for (const char *from = expression + strspn(expression, " \t"); *from; from++) {
        bool blank = *from == ' ' || *from == '\t';
        if (!blank)
            *to++ = *from;
        else if (from[1] && from[1] != ' ' && from[1] != '\t')
            *to++ = ' ';
    }
    *to = '\0';
    json_object_set_new(object, "cron", json_string(text));
    free(text);
}

json_t *schedule_encode(const struct schedule *schedule)
{
    json_t *object = json_object();
    if (schedule->kind == SCHEDULE_CRON)
        put_cron(object, schedule->expression);
    else if (schedule->kind == SCHEDULE_EVERY)
        put_duration(object, "every", schedule->every_us);
    else
        put_instant(object, "at", schedule->at);
    if (strcmp(zone_name(schedule->zone), "UTC") != 0)
        json_object_set_new(object, "timezone", json_string(zone_name(schedule->zone)));
    if (schedule->gap != DST_GAP_RUN)
        json_object_set_new(object, "dst_gap", json_string("skip"));
    if (schedule->overlap != DST_OVERLAP_FIRST)
        json_object_set_new(object, "dst_overlap", json_string("both"));
    if (schedule->jitter_us)
        put_duration(object, "jitter", schedule->jitter_us);
    if (wall_is_set(schedule->start))
        put_instant(object, "start", schedule->start);
    if (wall_is_set(schedule->end))
        put_instant(object, "end", schedule->end);
    return object;
}
