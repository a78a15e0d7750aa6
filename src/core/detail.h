/*
 * detail - a receiver's own words on why it failed
 *
 * The member `detail` of a problem document (RFC 9457, 3.1.4), made fit for one line.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define DETAIL_MOST 300               // bytes
#define DETAIL_TEXT (DETAIL_MOST + 4) // with "..." and a NUL

// Blanks and control characters between words become one space, and what is longer is cut behind a
// whole character and ends in "...". False where `body` is no JSON object with such a text, or
// where the text says nothing.
bool detail_read(const char *body, size_t size, char text[static DETAIL_TEXT]);
