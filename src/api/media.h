/*
 * media - which types of content a route reads
 *
 * No Content-Type at all is fine: it is taken for the first of the list, JSON.
 */
#pragma once

#include "api/request.h"

enum media { MEDIA_JSON, MEDIA_MERGE, MEDIA_NDJSON, MEDIA_YAML, MEDIA_OTHER };

// What a Content-Type says, without its parameters and whatever its case. NULL is JSON.
enum media media_read(const char *content_type);
enum media media_of(const struct request *r);
// Refuses with 415 what the route does not read.
void media_check(struct request *r);
