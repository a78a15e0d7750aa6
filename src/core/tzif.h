/*
 * tzif - the time zone file format (RFC 9636, versions 1 to 4)
 *
 * Turns the bytes of a file into one table of spans, each with one offset from UTC; the rule in the
 * footer is written out until the year TZIF_LAST_YEAR, so that readers need no second way to look
 * up a far instant. Every count and index of the bytes is checked: they may come from anywhere.
 *
 * Files that count leap seconds ("right/...") are refused: an instant here has none
 * (base/moment.h).
 *
 * Used by core/zone only.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "core/posix_tz.h"

#define TZIF_LAST_YEAR 2400 // beyond it the last offset is taken to stay
#define TZIF_SIZE_MAX (1 << 20)

struct tzif_kind {
    int offset_s; // east of UTC
    char abbreviation[TZ_ABBREVIATION];
};

struct tzif {
    size_t count;    // at least 1
    int64_t *starts; // of each span, in seconds since 1970, ascending; the first is INT64_MIN
    uint16_t *kinds; // of each span: which of `table`
    struct tzif_kind *table;
    size_t table_count;
};

// STATUS_INVALID where the bytes are no such file. tzif_done on success.
enum status tzif_read(const void *bytes, size_t size, struct tzif *ret);
void tzif_done(struct tzif *tzif);
