/*
 * keyring - the signing keys of the server's configuration, decoded once
 *
 * Used by request.c, on the dispatcher's thread.
 */
#pragma once

#include "dispatch/dispatch.h"
#include "dispatch/signature.h"

struct keyring;

struct keyring *keyring_new(const struct secret *secrets, size_t count);
void keyring_free(struct keyring *ring);

// Appends the signatures of every key of the secret `name` (NULL: the default one).
// STATUS_FORBIDDEN with why in words where there is no such secret or it cannot be read: nothing is
// ever sent unsigned.
enum status keyring_sign(const struct keyring *ring, const char *name, const char *id,
                         int64_t timestamp_s, const char *body, size_t size, struct buffer *to,
                         char *why, size_t why_size);
