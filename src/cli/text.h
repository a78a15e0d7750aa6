/*
 * text - words on a terminal
 *
 * Widths are in terminal columns (wcwidth over UTF-8, whatever the user's locale). What comes from
 * elsewhere passes text_clean first: a task's summary or an endpoint's answer must not move the
 * cursor.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"

// Without control characters: line ends, tabs and the like become a space, other controls and bytes
// that are not UTF-8 "?". Free with free().
char *text_clean(const char *text, size_t size);

bool text_is_utf8(const char *text);

// How many columns a clean text takes.
int text_width(const char *text);
// Adds as much of a clean text as fits, with "…" at the end where it was cut.
void text_fit(struct buffer *to, const char *text, int width);
// Adds a clean text in lines of at most `width` columns, broken at spaces where possible; all but
// the first begin with `indent` spaces, and the first is taken to begin there too. No newline at
// the end. width 0: one line.
void text_wrap(struct buffer *to, const char *text, int indent, int width);
// Adds spaces; none where count is not positive.
void text_pad(struct buffer *to, int count);
