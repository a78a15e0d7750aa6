/*
 * expand - ${NAME} in the texts of a file
 *
 * ${NAME} is what the environment holds, ${NAME:-other} falls back where that is missing or empty,
 * and $${ is a plain ${. Any other $ stays. What comes out of a variable is not expanded again.
 *
 * Used by core/yaml. The environment is given; nothing is fetched here.
 */
#pragma once

#include "base/buffer.h"
#include "base/status.h"

// STATUS_INVALID with why in words: a variable that is not set, or a ${ that makes no sense.
enum status text_expand(const char *text, char *(*environment)(const char *), struct buffer *to,
                        char *why, size_t size);
