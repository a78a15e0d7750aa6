/*
 * auth - who may ask
 *
 * One static key: Authorization: Bearer KEY, compared in constant time. Health, readiness and the
 * documents need none.
 *
 * Without a key the server listens on loopback, and whoever is on the machine may ask. A web page
 * that somebody on it looks at may not, though it can send requests to loopback, too: one of
 * another origin is told by Origin, and one whose name was pointed here (DNS rebinding) by Host.
 */
#pragma once

#include "api/request.h"

// False: 401 or 403 is the answer already.
bool auth_check(struct request *r);
// Whether this header's value carries the key. NULL key: none is asked for.
bool auth_value_has_key(const char *value, const char *key);
// Whether a page of this origin is one of the server that was asked. NULL: not a page, or its own.
bool auth_origin_is_own(const char *origin, const char *host);
// Whether the Host of a request is an address or a name that no stranger can have pointed here.
bool auth_host_is_near(const char *host);
