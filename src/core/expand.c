#include "core/expand.h"

#include <stdio.h>
#include <string.h>

#define NAME_MAX_BYTES 100

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";

// One ${...}; `text` stands behind the brace. Returns where it ends, NULL with why in words.
static const char *expand_one(const char *text, char *(*environment)(const char *),
                              struct buffer *to, char *why, size_t size)
{
    char name[NAME_MAX_BYTES + 1];
    size_t length = strspn(text, letters);
    const char *rest = text + length, *end = strchr(rest, '}');
    bool has_other = strncmp(rest, ":-", 2) == 0;
    if (length == 0 || length > NAME_MAX_BYTES || (*text >= '0' && *text <= '9') || !end ||
        (!has_other && rest != end)) {
        snprintf(why, size,
                 "has a ${ that is not understood: write ${NAME} or ${NAME:-other}, and $${ for a "
                 "plain ${");
        return NULL;
    }
    snprintf(name, sizeof name, "%.*s", (int)length, text);
    const char *value = environment(name);
    if (!value && !has_other) {
        snprintf(why, size,
                 "the variable %s is not set: set it, or write ${%s:-other} to say what holds "
                 "without it",
                 name, name);
        return NULL;
    }
    if (has_other && (!value || !*value))
        buffer_add(to, rest + 2, (size_t)(end - rest) - 2);
    else
        buffer_text(to, value);
    return end + 1;
}

enum status text_expand(const char *text, char *(*environment)(const char *), struct buffer *to,
                        char *why, size_t size)
{
    while (*text) {
        if (strncmp(text, "$${", 3) == 0) {
            buffer_text(to, "${");
            text += 3;
        } else if (strncmp(text, "${", 2) == 0) {
            text = expand_one(text + 2, environment, to, why, size);
            if (!text)
                return STATUS_INVALID;
        } else {
            size_t plain = strcspn(text + 1, "$") + 1;
            buffer_add(to, text, plain);
            text += plain;
        }
    }
    if (!to->overflow)
        return STATUS_OK;
    snprintf(why, size, "is too long with its variables filled in");
    return STATUS_INVALID;
}
