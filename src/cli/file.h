/*
 * file - reading what an argument names
 */
#pragma once

#include "base/buffer.h"
#include "base/status.h"

#define FILE_MAX ((size_t)16 << 20)

// Reads a whole file, or standard input for "-". STATUS_FAILED or STATUS_TOO_LARGE: why in words.
// Inits `ret`, which is the caller's in every case.
enum status file_read(const char *path, struct buffer *ret, char *why, size_t size);
