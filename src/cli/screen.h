/*
 * screen - what a command shows
 *
 * Collects a page and knows where it goes: how wide it may be, whether in colour, and what time it
 * is for "2 min ago".
 */
#pragma once

#include <stdio.h>

#include "base/buffer.h"
#include "base/moment.h"
#include "cli/colour.h"
#include "cli/table.h"

struct screen {
    FILE *stream;
    struct buffer out;
    int width; // columns; 0: not a terminal, no limit
    bool colours;
    wall now;
};

void screen_init(struct screen *screen, FILE *stream, wall now);
void screen_done(struct screen *screen); // shows what is left
void screen_show(struct screen *screen); // writes what was collected and forgets it

// A terminal's width: $COLUMNS, else what the terminal says, else 80. 0 where the stream is no
// terminal.
int screen_width(FILE *stream);

// A line of words, cleaned and wrapped, with `indent` spaces before it.
void screen_line(struct screen *screen, int indent, enum colour colour, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
// A heading with an empty line before it.
void screen_heading(struct screen *screen, const char *title);
// "  label     text", the text wrapped below itself. Nothing where text is NULL or empty.
void screen_field(struct screen *screen, const char *label, const char *text);
void screen_table(struct screen *screen, int indent, const struct table *table);
// "2026-03-29 01:00:00 UTC, 2 min ago"; "-" where not set. Free with free().
char *screen_moment(const struct screen *screen, wall t);
