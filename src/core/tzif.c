#include "core/tzif.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/moment.h"

#define HEADER_SIZE 44
#define CHANGES_MAX 5000 // no zone has a tenth of it
#define INSTANT_MAX (INT64_C(1) << 59)
#define FIRST_RULE_YEAR 1900 // for a file that has a rule and no table

// A data block and its counts, in the order of the header (RFC 9636, 3.1).
struct block {
    uint32_t ut_count, std_count, leap_count, time_count, type_count, char_count;
    size_t time_size; // bytes of an instant: 4 in version 1, else 8
    const uint8_t *at;
};

static uint64_t read_big(const uint8_t *at, size_t size)
{
    uint64_t n = 0;
    for (size_t i = 0; i < size; i++)
        n = n << 8 | at[i];
    return n;
}

static bool read_header(const uint8_t *at, const uint8_t *end, size_t time_size, struct block *ret)
{
    if (end - at < HEADER_SIZE || memcmp(at, "TZif", 4) != 0)
        return false;
    uint32_t counts[6];
    for (size_t i = 0; i < 6; i++)
        counts[i] = (uint32_t)read_big(at + 20 + 4 * i, 4);
    *ret = (struct block){counts[0], counts[1], counts[2], counts[3],
                          counts[4], counts[5], time_size, at + HEADER_SIZE};
    return true;
}

// Where the block ends; NULL where it would be beyond `end`.
static const uint8_t *block_end(const struct block *b, const uint8_t *end)
{
    uint64_t size = (uint64_t)b->time_count * (b->time_size + 1) + (uint64_t)b->type_count * 6 +
                    b->char_count + (uint64_t)b->leap_count * (b->time_size + 4) + b->std_count +
                    b->ut_count;
    return size <= (uint64_t)(end - b->at) ? b->at + size : NULL;
}

static bool counts_make_sense(const struct block *b)
{
    return b->type_count >= 1 && b->type_count <= 256 && b->char_count >= 1 &&
           b->time_count <= CHANGES_MAX && b->leap_count == 0 &&
           (b->ut_count == 0 || b->ut_count == b->type_count) &&
           (b->std_count == 0 || b->std_count == b->type_count);
}

static void add_span(struct tzif *t, int64_t start, uint16_t kind)
{
    t->starts[t->count] = start;
    t->kinds[t->count++] = kind;
}

static bool read_kinds(const struct block *b, struct tzif *t)
{
    const uint8_t *at = b->at + (size_t)b->time_count * (b->time_size + 1);
    const uint8_t *names = at + (size_t)b->type_count * 6;
    for (size_t i = 0; i < b->type_count; i++, at += 6) {
        int32_t offset = (int32_t)read_big(at, 4);
        size_t name = at[5];
        if (offset < -TZ_OFFSET_MAX || offset > TZ_OFFSET_MAX || name >= b->char_count)
            return false;
        size_t length = strnlen((const char *)names + name, b->char_count - name);
        if (length == b->char_count - name || length >= TZ_ABBREVIATION)
            return false;
        t->table[i].offset_s = offset;
        memcpy(t->table[i].abbreviation, names + name, length + 1);
    }
    t->table_count = b->type_count;
    return true;
}

static bool read_spans(const struct block *b, struct tzif *t)
{
    const uint8_t *kinds = b->at + (size_t)b->time_count * b->time_size;
    add_span(t, INT64_MIN, 0); // RFC 9636, 3.2: before the first change, type 0
    for (size_t i = 0; i < b->time_count; i++) {
        uint64_t raw = read_big(b->at + i * b->time_size, b->time_size);
        int64_t start = b->time_size == 4 ? (int32_t)(uint32_t)raw : (int64_t)raw;
        if (start < -INSTANT_MAX || start > INSTANT_MAX || start <= t->starts[t->count - 1] ||
            kinds[i] >= b->type_count)
            return false;
        add_span(t, start, kinds[i]);
    }
    return true;
}

static uint16_t add_kind(struct tzif *t, int offset_s, const char *abbreviation)
{
    t->table[t->table_count].offset_s = offset_s;
    memcpy(t->table[t->table_count].abbreviation, abbreviation, strlen(abbreviation) + 1);
    return (uint16_t)t->table_count++;
}

// One change that the rule makes: after all that are there, or not at all. Summer time that lasts
// all year ends and begins at one instant (RFC 9636, 3.3.1): there the later word counts.
static void add_rule_change(struct tzif *t, size_t fixed, int64_t start, uint16_t kind)
{
    int64_t last = t->starts[t->count - 1];
    if (start == last && t->count > fixed)
        t->kinds[t->count - 1] = kind;
    else if (start > last)
        add_span(t, start, kind);
}

static void add_rule(struct tzif *t, const struct posix_tz *rule)
{
    size_t fixed = t->count; // what stands in the file's table stays
    uint16_t standard = add_kind(t, rule->standard_s, rule->standard);
    if (fixed == 1)
        t->kinds[0] = standard; // RFC 9636, 3.3: without a table the rule holds for all time
    if (!rule->has_summer)
        return;
    uint16_t summer = add_kind(t, rule->summer_s, rule->summer);
    int64_t year = FIRST_RULE_YEAR;
    int month, day;
    if (fixed > 1)
        civil_from_days(t->starts[fixed - 1] / 86400, &year, &month, &day);
    for (year = year < FIRST_RULE_YEAR ? FIRST_RULE_YEAR : year - 1; year < TZIF_LAST_YEAR;
         year++) {
        int64_t start = posix_rule_instant(&rule->start, year, rule->standard_s);
        int64_t end = posix_rule_instant(&rule->end, year, rule->summer_s);
        if (start < end)
            add_rule_change(t, fixed, start, summer);
        add_rule_change(t, fixed, end, standard);
        if (start >= end)
            add_rule_change(t, fixed, start, summer);
    }
}

// The footer: a newline, the text of the rule or nothing, a newline (RFC 9636, 3.3).
static bool read_footer(const uint8_t *at, const uint8_t *end, bool *ret_has, struct posix_tz *ret)
{
    if (at == end || *at++ != '\n')
        return false;
    const uint8_t *stop = memchr(at, '\n', (size_t)(end - at));
    if (!stop)
        return false;
    *ret_has = stop > at;
    return stop == at || posix_tz_parse((const char *)at, (size_t)(stop - at), ret);
}

enum status tzif_read(const void *bytes, size_t size, struct tzif *ret)
{
    const uint8_t *at = bytes, *end = at + size, *after = NULL;
    struct block block;
    struct posix_tz rule;
    bool has_rule = false;
    struct tzif t = {0};
    enum status status = STATUS_INVALID;
    if (size > TZIF_SIZE_MAX || !read_header(at, end, 4, &block) ||
        !(after = block_end(&block, end)))
        return STATUS_INVALID;
    if (at[4] >= '2') { // the first block is for old readers: the second holds 64 bit instants
        if (!read_header(after, end, 8, &block) || !(after = block_end(&block, end)) ||
            !read_footer(after, end, &has_rule, &rule))
            return STATUS_INVALID;
    }
    if (!counts_make_sense(&block))
        return STATUS_INVALID;
    size_t spans =
        1 + block.time_count + (has_rule ? 2 * (TZIF_LAST_YEAR - FIRST_RULE_YEAR + 1) : 0);
    t.starts = memory_array(spans, sizeof *t.starts);
    t.kinds = memory_array(spans, sizeof *t.kinds);
    t.table = memory_array(block.type_count + 2, sizeof *t.table);
    if (read_kinds(&block, &t) && read_spans(&block, &t))
        status = STATUS_OK;
    if (status == STATUS_OK) {
        if (has_rule)
            add_rule(&t, &rule);
        t.starts = memory_resize(t.starts, t.count, sizeof *t.starts);
        t.kinds = memory_resize(t.kinds, t.count, sizeof *t.kinds);
        *ret = t;
    } else {
        tzif_done(&t);
    }
    return status;
}

void tzif_done(struct tzif *tzif)
{
    free(tzif->starts);
    free(tzif->kinds);
    free(tzif->table);
    *tzif = (struct tzif){0};
}
