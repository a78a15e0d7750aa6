#include "core/fault.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

void faults_done(struct faults *f)
{
    for (size_t i = 0; i < faults_kept(f); i++) {
        free(f->items[i].pointer);
        free(f->items[i].detail);
    }
    *f = (struct faults){0};
}

size_t faults_kept(const struct faults *f)
{
    return f->count < FAULT_MAX ? f->count : FAULT_MAX;
}

void faults_add(struct faults *f, const char *pointer, const char *format, ...)
{
    if (f->count++ >= FAULT_MAX)
        return;
    char detail[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(detail, sizeof detail, format, arguments);
    va_end(arguments);
    f->items[f->count - 1] =
        (struct fault){.pointer = memory_text(pointer), .detail = memory_text(detail)};
}

void pointer_join(char *text, size_t size, const char *prefix, const char *token)
{
    size_t at = strlen(prefix);
    if (size == 0)
        return;
    if (at >= size)
        at = size - 1;
    memmove(text, prefix, at); // text and prefix may be the same
    text[at] = '\0';
    if (at + 1 < size)
        text[at++] = '/';
    for (const char *p = token; *p && at + 2 < size; p++) {
        // RFC 6901, 3: "~" is "~0", "/" is "~1".
        if (*p == '~' || *p == '/') {
            text[at++] = '~';
            text[at++] = *p == '~' ? '0' : '1';
        } else {
            text[at++] = *p;
        }
    }
    text[at < size ? at : size - 1] = '\0';
}
