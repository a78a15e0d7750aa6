/*
 * url - whether a text is a URL that may be called
 *
 * A small, strict check (RFC 3986, http and https only): scheme, host, port, and no characters that
 * a client and a proxy might read in two ways. Not a resolver: which address a host means, and
 * whether that is allowed, is checked by the dispatcher on the address really connected to.
 *
 * Used by core/target. Plain calculation; any thread.
 */
#pragma once

#include <stddef.h>

#include "base/status.h"

#define URL_MAX 2048
// "scheme://host:port" in lower case, the port always there: what one connection pool serves.
#define ORIGIN_TEXT 300

// `why` (size bytes) says what is wrong and what to write instead.
enum status url_origin(const char *url, char origin[static ORIGIN_TEXT], char *why, size_t size);
