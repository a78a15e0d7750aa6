#include "cli/sse.h"

#include <stdlib.h>
#include <string.h>

void sse_init(struct sse *sse, bool (*event)(void *context, const char *id, const char *data),
              void *context)
{
    *sse = (struct sse){.retry_ms = -1, .event = event, .context = context};
    buffer_init(&sse->line, SSE_LINE_MAX);
    buffer_init(&sse->data, SSE_LINE_MAX);
    buffer_init(&sse->id, 1024);
}

void sse_done(struct sse *sse)
{
    buffer_done(&sse->line);
    buffer_done(&sse->data);
    buffer_done(&sse->id);
}

void sse_restart(struct sse *sse)
{
    buffer_clear(&sse->line);
    buffer_clear(&sse->data);
    sse->after_return = false;
}

static void take_field(struct sse *sse, const char *name, const char *value)
{
    if (strcmp(name, "data") == 0) {
        buffer_text(&sse->data, value);
        buffer_byte(&sse->data, '\n');
    } else if (strcmp(name, "id") == 0) {
        buffer_clear(&sse->id);
        buffer_text(&sse->id, value);
    } else if (strcmp(name, "retry") == 0 && *value &&
               strspn(value, "0123456789") == strlen(value)) {
        long ms = strtol(value, NULL, 10);
        sse->retry_ms = ms < 60000 ? (int)ms : 60000;
    }
}

// An empty line ends an event; one without data is none.
static bool take_line(struct sse *sse)
{
    bool go_on = true;
    if (sse->line.size == 0) {
        if (sse->data.size && !sse->data.overflow) {
            sse->data.data[--sse->data.size] =
                '\0'; // the last line's newline does not belong to it
            go_on = sse->event(sse->context, buffer_string(&sse->id), buffer_string(&sse->data));
        }
        buffer_clear(&sse->data);
    } else if (!sse->line.overflow && sse->line.data[0] != ':') {
        char *value = strchr(sse->line.data, ':');
        if (value)
            *value++ = '\0';
        take_field(sse, sse->line.data, !value ? "" : *value == ' ' ? value + 1 : value);
    }
    buffer_clear(&sse->line);
    return go_on;
}

bool sse_take(struct sse *sse, const char *bytes, size_t size)
{
    bool go_on = true;
    for (size_t i = 0; i < size && go_on; i++) {
        char c = bytes[i];
        bool second = c == '\n' && sse->after_return;
        sse->after_return = c == '\r';
        if (second)
            continue;
        if (c == '\n' || c == '\r')
            go_on = take_line(sse);
        else
            buffer_byte(&sse->line, c);
    }
    return go_on;
}
