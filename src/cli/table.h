/*
 * table - rows and columns that fit the terminal
 *
 * Columns are as wide as their widest cell. Where that is too much, those that may be cut give way,
 * the widest first, and their cells end in "…"; what still does not fit is left out from the right,
 * and the titles end in "…". Not for JSON: scripts ask for that.
 *
 *     static const struct column columns[] = {{"TASK", .least = 8}, {"TOOK", .right = true}};
 *     struct table *table = table_new(columns, 2);
 *     table_cell(table, PLAIN, "%s", name);
 *     table_cell(table, DIM, "%d", n);
 *     table_write(table, 2, 80, true, &out);
 *     table_free(table);
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "cli/colour.h"

struct column {
    const char *title;
    bool right; // numbers
    int least;  // may be cut to this many columns; 0: is never cut
};

struct table;

struct table *table_new(const struct column *columns, size_t count); // columns must outlive it
void table_free(struct table *table);                                // NULL is fine

// The next cell, row by row. Its text is cleaned of control characters; NULL and "" stay empty.
void table_cell(struct table *table, enum colour colour, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void table_text(struct table *table, enum colour colour, const char *text);
size_t table_rows(const struct table *table);

// width 0: no limit. No line of titles where all are empty. Every line begins with `indent` spaces
// and has none at its end.
void table_write(const struct table *table, int indent, int width, bool colours, struct buffer *to);
