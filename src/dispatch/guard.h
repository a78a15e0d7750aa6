/*
 * guard - which addresses may be connected to
 *
 * Global unicast addresses are; loopback, private and further ranges only where the configuration
 * says so. An address that carries an IPv4 address inside (v4-mapped, NAT64, 6to4, ...) counts as
 * what it carries. Asked about the address really connected to, so that no name and no change of a
 * name gets around it.
 *
 * Used by webhook.c.
 */
#pragma once

#include <sys/socket.h>

#include "dispatch/dispatch.h"

// False: `why` (size bytes) says which kind of address it is and how it would be allowed.
bool guard_allows(const struct dispatch_options *options, const struct sockaddr *address, char *why,
                  size_t size);
