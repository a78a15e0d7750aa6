#include "cli/table.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "cli/text.h"

#define GAP 2 // spaces between columns
#define CELL_MAX 4096
#define COLUMNS_MAX 16
#define MORE " …" // behind the titles: columns were left out
#define MORE_WIDTH 2

struct cell {
    char *text; // clean
    int width;
    enum colour colour;
};

struct table {
    const struct column *columns;
    size_t column_count;
    struct cell *cells;
    size_t count, capacity;
};

struct table *table_new(const struct column *columns, size_t count)
{
    assert(count > 0 && count <= COLUMNS_MAX);
    struct table *table = memory_new(sizeof *table);
    table->columns = columns;
    table->column_count = count;
    return table;
}

void table_free(struct table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->count; i++)
        free(table->cells[i].text);
    free(table->cells);
    free(table);
}

void table_text(struct table *table, enum colour colour, const char *text)
{
    if (table->count == table->capacity) {
        table->capacity = table->capacity ? table->capacity * 2 : 64;
        table->cells = memory_resize(table->cells, table->capacity, sizeof *table->cells);
    }
    size_t size = text ? strnlen(text, CELL_MAX) : 0;
    char *clean = text_clean(text ? text : "", size);
    table->cells[table->count++] = (struct cell){clean, text_width(clean), colour};
}

void table_cell(struct table *table, enum colour colour, const char *format, ...)
{
    char text[CELL_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    table_text(table, colour, text);
}

size_t table_rows(const struct table *table)
{
    return table->count / table->column_count;
}

static void measure(const struct table *table, int *widths)
{
    for (size_t i = 0; i < table->column_count; i++)
        widths[i] = text_width(table->columns[i].title);
    for (size_t i = 0; i < table->count; i++) {
        int *width = &widths[i % table->column_count];
        if (table->cells[i].width > *width)
            *width = table->cells[i].width;
    }
}

// What the first `count` columns need when all that may be cut are.
static int least_room(const struct table *table, const int *widths, size_t count)
{
    int total = GAP * ((int)count - 1);
    for (size_t i = 0; i < count; i++) {
        int least = table->columns[i].least;
        total += least > 0 && least < widths[i] ? least : widths[i];
    }
    return total;
}

// A number that is cut would be another number, so columns are left out, from the right. The first
// one stays.
static size_t columns_that_fit(const struct table *table, const int *widths, int room)
{
    size_t count = table->column_count;
    if (least_room(table, widths, count) <= room)
        return count;
    do
        count--;
    while (count > 1 && least_room(table, widths, count) > room - MORE_WIDTH);
    return count > 0 ? count : 1;
}

// Narrows the first `count` columns, one step at a time the widest that may still give, until all
// fits or none may.
static void shrink(const struct table *table, int *widths, size_t count, int room)
{
    int total = GAP * ((int)count - 1);
    for (size_t i = 0; i < count; i++)
        total += widths[i];
    while (total > room) {
        int *widest = NULL;
        for (size_t i = 0; i < count; i++) {
            int least = table->columns[i].least;
            if (least > 0 && widths[i] > least && (!widest || widths[i] > *widest))
                widest = &widths[i];
        }
        if (!widest)
            return;
        --*widest;
        total--;
    }
}

// One line without its end, built without colours first where it must be cut at the edge.
static void write_line(const struct table *table, const struct cell *cells, const int *widths,
                       size_t count, int room, bool colours, struct buffer *to)
{
    struct buffer cell;
    buffer_init(&cell, CELL_MAX * 2);
    int owed = 0; // spaces that only matter if something follows
    for (size_t i = 0; i < count; i++) {
        int width = room < widths[i] ? room : widths[i];
        buffer_clear(&cell);
        text_fit(&cell, cells[i].text, width);
        int used = text_width(buffer_string(&cell));
        int before = table->columns[i].right ? width - used : 0;
        if (used > 0) {
            text_pad(to, owed + before);
            colour_text(to, colours, cells[i].colour, buffer_string(&cell));
            owed = 0;
        } else {
            before = 0;
        }
        owed += width - used - before + GAP;
        room -= width + GAP;
        if (room <= 0)
            break;
    }
    buffer_done(&cell);
}

void table_write(const struct table *table, int indent, int width, bool colours, struct buffer *to)
{
    int widths[COLUMNS_MAX], room = width > 0 ? width - indent : 1 << 20;
    if (room < 1)
        room = 1;
    measure(table, widths);
    size_t count = columns_that_fit(table, widths, room);
    bool more = count < table->column_count && room > MORE_WIDTH;
    if (more)
        room -= MORE_WIDTH;
    shrink(table, widths, count, room);
    struct cell titles[COLUMNS_MAX];
    bool titled = false;
    for (size_t i = 0; i < table->column_count; i++) {
        titles[i] = (struct cell){(char *)table->columns[i].title, 0, DIM};
        titled = titled || *table->columns[i].title;
    }
    if (titled) {
        text_pad(to, indent);
        write_line(table, titles, widths, count, room, colours, to);
        if (more)
            colour_text(to, colours, DIM, MORE);
        buffer_byte(to, '\n');
    }
    for (size_t row = 0; row < table_rows(table); row++) {
        text_pad(to, indent);
        write_line(table, table->cells + row * table->column_count, widths, count, room, colours,
                   to);
        buffer_byte(to, '\n');
    }
}
