#include "dispatch/keyring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define KEYS 2

struct named_keys {
    const char *name;               // NULL: the default; the configuration's
    struct signing_key *keys[KEYS]; // newest first, NULL where absent
    char why[160];                  // why it cannot be used; "" when it can
};

struct keyring {
    struct named_keys *secrets;
    size_t count;
};

static void read_keys(struct named_keys *to, const struct secret *from)
{
    size_t got = 0;
    to->name = from->name;
    for (size_t i = 0; i < KEYS; i++)
        if (from->keys[i] &&
            signing_key_read(from->keys[i], &to->keys[got], to->why, sizeof to->why) == STATUS_OK) {
            to->why[0] = '\0';
            got++;
        } else if (from->keys[i]) {
            return; // the reason stands in why
        }
    if (got == 0)
        snprintf(to->why, sizeof to->why, "it has no key");
}

struct keyring *keyring_new(const struct secret *secrets, size_t count)
{
    struct keyring *ring = memory_new(sizeof *ring);
    ring->count = count;
    ring->secrets = memory_array(count, sizeof *ring->secrets);
    for (size_t i = 0; i < count; i++)
        read_keys(&ring->secrets[i], &secrets[i]);
    return ring;
}

void keyring_free(struct keyring *ring)
{
    if (!ring)
        return;
    for (size_t i = 0; i < ring->count; i++)
        for (size_t k = 0; k < KEYS; k++)
            signing_key_free(ring->secrets[i].keys[k]);
    free(ring->secrets);
    free(ring);
}

static bool same_name(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

enum status keyring_sign(const struct keyring *ring, const char *name, const char *id,
                         int64_t timestamp_s, const char *body, size_t size, struct buffer *to,
                         char *why, size_t why_size)
{
    const struct named_keys *found = NULL;
    for (size_t i = 0; i < ring->count && !found; i++)
        if (same_name(ring->secrets[i].name, name))
            found = &ring->secrets[i];
    if (!found || found->why[0]) {
        snprintf(why, why_size, name ? "%s \"%s\" %s%s" : "%s%s %s%s",
                 name ? "the signing secret" : "the default signing secret", name ? name : "",
                 found ? "cannot be used: " : "is not in the server's configuration",
                 found ? found->why : "");
        return STATUS_FORBIDDEN;
    }
    for (size_t k = 0; k < KEYS && found->keys[k]; k++)
        signing_key_sign(found->keys[k], id, timestamp_s, body, size, to);
    return STATUS_OK;
}
