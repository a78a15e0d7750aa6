#include "cli/colour.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// ECMA-48, 8.3.117: select graphic rendition.
static const char *const codes[COLOUR_COUNT] = {
    [PLAIN] = "",         [BOLD] = "\x1b[1m",    [DIM] = "\x1b[2m",   [RED] = "\x1b[31m",
    [GREEN] = "\x1b[32m", [YELLOW] = "\x1b[33m", [BLUE] = "\x1b[34m",
};

static const struct {
    const char *state;
    enum colour colour;
} states[] = {
    {"succeeded", GREEN}, {"failed", RED},     {"timed_out", RED},  {"unreachable", RED},
    {"broken", RED},      {"refused", RED},    {"lost", RED},       {"running", BLUE},
    {"due", BLUE},        {"waiting", YELLOW}, {"missed", YELLOW},  {"skipped", YELLOW},
    {"canceled", DIM},    {"created", GREEN},  {"changed", YELLOW}, {"removed", RED},
    {"deleted", RED},     {"paused", YELLOW},  {"resumed", GREEN},  {"unchanged", DIM},
};

bool colour_wanted(FILE *stream)
{
    const char *no = getenv("NO_COLOR"), *terminal = getenv("TERM");
    if ((no && *no) || (terminal && strcmp(terminal, "dumb") == 0))
        return false;
    return isatty(fileno(stream)) == 1;
}

void colour_text(struct buffer *to, bool on, enum colour colour, const char *text)
{
    bool dressed = on && colour != PLAIN && *text;
    if (dressed)
        buffer_text(to, codes[colour]);
    buffer_text(to, text);
    if (dressed)
        buffer_text(to, "\x1b[0m");
}

enum colour colour_of_state(const char *state)
{
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (strcmp(states[i].state, state) == 0)
            return states[i].colour;
    return PLAIN;
}
