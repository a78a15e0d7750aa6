/*
 * reasons - why runs failed, and how often for each reason
 *
 * The first few different ones, in the order they came; those beyond are counted together. So it is
 * bounded, and no count is lost.
 *
 * Used by notices.c and group.c, on the scheduler's thread.
 */
#pragma once

#include "base/writer.h"

#define REASONS_MAX 5
#define REASON_TEXT 240

struct reasons {
    struct reason {
        char text[REASON_TEXT];
        int64_t count;
    } * list; // NULL: none
    size_t count;
};

void reasons_done(struct reasons *r); // and empty again

void reasons_count(struct reasons *r, const char *reason, int64_t times);

// As JSON: [{"reason": text, "count": n}]. What cannot be read is left out.
void reasons_read(struct reasons *r, const char *text);
void reasons_write(struct writer *w, const struct reasons *r);
