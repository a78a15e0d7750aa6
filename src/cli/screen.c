#include "cli/screen.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/memory.h"
#include "cli/ago.h"
#include "cli/text.h"

#define PAGE_MAX ((size_t)256 << 20)
#define LINE_MAX_BYTES ((size_t)1 << 20)
#define LABEL_WIDTH 11

void screen_init(struct screen *screen, FILE *stream, wall now)
{
    *screen = (struct screen){.stream = stream, .now = now};
    buffer_init(&screen->out, PAGE_MAX);
    screen->width = screen_width(stream);
    screen->colours = colour_wanted(stream);
}

void screen_done(struct screen *screen)
{
    screen_show(screen);
    buffer_done(&screen->out);
}

void screen_show(struct screen *screen)
{
    if (screen->out.size)
        fwrite(screen->out.data, 1, screen->out.size, screen->stream);
    fflush(screen->stream);
    buffer_clear(&screen->out);
}

int screen_width(FILE *stream)
{
    if (isatty(fileno(stream)) != 1)
        return 0;
    const char *columns = getenv("COLUMNS");
    long given = columns ? strtol(columns, NULL, 10) : 0;
    if (given > 0 && given < 10000)
        return (int)given;
    struct winsize size;
    if (ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return 80;
}

void screen_line(struct screen *screen, int indent, enum colour colour, const char *format, ...)
{
    char *raw = NULL;
    va_list arguments;
    va_start(arguments, format);
    int size = vasprintf(&raw, format, arguments);
    va_end(arguments);
    if (size < 0)
        abort(); // memory is out
    char *clean = text_clean(raw, (size_t)size);
    struct buffer wrapped;
    buffer_init(&wrapped, LINE_MAX_BYTES);
    text_wrap(&wrapped, clean, indent, screen->width);
    text_pad(&screen->out, indent);
    colour_text(&screen->out, screen->colours, colour, buffer_string(&wrapped));
    buffer_byte(&screen->out, '\n');
    buffer_done(&wrapped);
    free(clean);
    free(raw);
}

void screen_heading(struct screen *screen, const char *title)
{
    buffer_byte(&screen->out, '\n');
    colour_text(&screen->out, screen->colours, BOLD, title);
    buffer_byte(&screen->out, '\n');
}

void screen_field(struct screen *screen, const char *label, const char *text)
{
    if (!text || !*text)
        return;
    char *clean = text_clean(text, strnlen(text, LINE_MAX_BYTES));
    text_pad(&screen->out, 2);
    colour_text(&screen->out, screen->colours, DIM, label);
    int width = text_width(label);
    text_pad(&screen->out, width < LABEL_WIDTH ? LABEL_WIDTH - width : 1);
    text_wrap(&screen->out, clean, 2 + LABEL_WIDTH, screen->width);
    buffer_byte(&screen->out, '\n');
    free(clean);
}

void screen_table(struct screen *screen, int indent, const struct table *table)
{
    table_write(table, indent, screen->width, screen->colours, &screen->out);
}

char *screen_moment(const struct screen *screen, wall t)
{
    if (!wall_is_set(t))
        return memory_text("-");
    char text[MOMENT_TEXT], ago[AGO_TEXT];
    struct buffer b;
    wall_format(t, text);
    ago_format(t, screen->now, ago);
    buffer_init(&b, 80);
    // The API's milliseconds are for machines: people get seconds.
    buffer_format(&b, "%.10s %.8s UTC, %s", text, text + 11, ago);
    return buffer_take(&b, NULL);
}
