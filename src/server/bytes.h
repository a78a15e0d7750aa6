/*
 * bytes - sizes as people write them
 *
 * Used by config_fields.c.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

// "512MiB", "10GiB", "1TiB", "64KiB"; a number alone is bytes. STATUS_INVALID otherwise.
enum status size_parse(const char *text, size_t length, int64_t *ret);
