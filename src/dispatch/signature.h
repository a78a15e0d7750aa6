/*
 * signature - Standard Webhooks 1.0
 *
 * `webhook-signature`: space-delimited "v1,<base64 HMAC-SHA256>" or "v1a,<base64 ed25519>" over
 * "id.timestamp.body". Part of libsodium's home.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"

struct signing_key; // decoded once

// "whsec_" + base64 of 24 to 64 bytes (HMAC) or "whsk_" + base64 of 64 or 32 bytes (ed25519).
// STATUS_INVALID with why in words.
enum status signing_key_read(const char *text, struct signing_key **ret, char *why, size_t size);
void signing_key_free(struct signing_key *key); // wipes it; NULL is fine
// A fresh "whsec_..." of 32 random bytes. Free with free().
char *signing_secret_new(void);

// Appends one signature to `to` (with a space before it where `to` is not empty).
void signing_key_sign(const struct signing_key *key, const char *id, int64_t timestamp_s,
                      const char *body, size_t size, struct buffer *to);

// Fills `bytes` with randomness fit for secrets and seeds.
void entropy(void *bytes, size_t size);
// Compares without telling by its time where they differ.
bool same_secret(const char *a, const char *b);
