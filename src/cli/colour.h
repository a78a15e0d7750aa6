/*
 * colour - a little colour, only where somebody looks
 *
 * On a terminal, unless NO_COLOR is set to anything (no-color.org) or TERM is "dumb". Only the
 * eight basic colours and two weights, so that the terminal's own theme decides.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "base/buffer.h"

enum colour { PLAIN, BOLD, DIM, RED, GREEN, YELLOW, BLUE, COLOUR_COUNT };

bool colour_wanted(FILE *stream);
// Adds the text, in the colour where `on`.
void colour_text(struct buffer *to, bool on, enum colour colour, const char *text);
// How a state or outcome looks: "succeeded" green, "failed" red, ... PLAIN for any other word.
enum colour colour_of_state(const char *state);
