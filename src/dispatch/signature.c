#include "dispatch/signature.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define HMAC_LEAST 24
#define HMAC_MOST 64
#define KEY_MOST 64

struct signing_key {
    bool asymmetric;
    crypto_auth_hmacsha256_state hmac; // keyed and ready: a copy of it signs
    unsigned char secret[crypto_sign_SECRETKEYBYTES];
};

// Safe to repeat and from any thread. Without randomness nothing here may go on.
static void start_sodium(void)
{
    if (sodium_init() < 0) {
        fputs("punctual: libsodium cannot be started\n", stderr);
        abort();
    }
}

// Base64 with or without padding, as secrets are found in both forms.
static bool decode_base64(const char *text, unsigned char bytes[static KEY_MOST], size_t *ret_size)
{
    size_t length = strlen(text);
    return sodium_base642bin(bytes, KEY_MOST, text, length, NULL, ret_size, NULL,
                             sodium_base64_VARIANT_ORIGINAL) == 0 ||
           sodium_base642bin(bytes, KEY_MOST, text, length, NULL, ret_size, NULL,
                             sodium_base64_VARIANT_ORIGINAL_NO_PADDING) == 0;
}

static bool read_hmac(struct signing_key *key, const unsigned char *bytes, size_t size, char *why,
                      size_t why_size)
{
    if (size < HMAC_LEAST || size > HMAC_MOST) {
        snprintf(why, why_size, "whsec_ takes base64 of %d to %d bytes; these are %zu", HMAC_LEAST,
                 HMAC_MOST, size);
        return false;
    }
    crypto_auth_hmacsha256_init(&key->hmac, bytes, size);
    return true;
}

// A seed alone, or the seed and its public key. Signing with a public key that is not the seed's
// would give the secret away, so the pair is checked.
static bool read_ed25519(struct signing_key *key, const unsigned char *bytes, size_t size,
                         char *why, size_t why_size)
{
    key->asymmetric = true;
    if (size != crypto_sign_SEEDBYTES && size != crypto_sign_SECRETKEYBYTES) {
        snprintf(why, why_size, "whsk_ takes base64 of 32 or 64 bytes; these are %zu", size);
        return false;
    }
    unsigned char public[crypto_sign_PUBLICKEYBYTES];
    crypto_sign_seed_keypair(public, key->secret, bytes);
    if (size == crypto_sign_SECRETKEYBYTES && sodium_memcmp(key->secret, bytes, size) != 0) {
        snprintf(why, why_size, "the two halves of this whsk_ key do not belong together");
        return false;
    }
    return true;
}

enum status signing_key_read(const char *text, struct signing_key **ret, char *why, size_t size)
{
    static const struct {
        const char *prefix;
        bool (*read)(struct signing_key *, const unsigned char *, size_t, char *, size_t);
    } kinds[] = {{"whsec_", read_hmac}, {"whsk_", read_ed25519}};

    start_sodium();
    struct signing_key *key = memory_new(sizeof *key);
    unsigned char bytes[KEY_MOST];
    size_t length = 0;
    bool good = false;
    snprintf(why, size, "a signing secret begins with whsec_ (HMAC) or whsk_ (ed25519)");
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        size_t skip = strlen(kinds[i].prefix);
        if (strncmp(text, kinds[i].prefix, skip) != 0)
            continue;
        if (decode_base64(text + skip, bytes, &length))
            good = kinds[i].read(key, bytes, length, why, size);
        else
            snprintf(why, size, "what follows %s must be base64 of at most %d bytes",
                     kinds[i].prefix, KEY_MOST);
    }
    sodium_memzero(bytes, sizeof bytes);
    if (!good) {
        signing_key_free(key);
        return STATUS_INVALID;
    }
    *ret = key;
    return STATUS_OK;
}

void signing_key_free(struct signing_key *key)
{
    if (!key)
        return;
    sodium_memzero(key, sizeof *key);
    free(key);
}

char *signing_secret_new(void)
{
    unsigned char bytes[32];
    char text[sodium_base64_ENCODED_LEN(sizeof bytes, sodium_base64_VARIANT_ORIGINAL)];
    struct buffer secret;
    entropy(bytes, sizeof bytes);
    sodium_bin2base64(text, sizeof text, bytes, sizeof bytes, sodium_base64_VARIANT_ORIGINAL);
    buffer_init(&secret, sizeof text + 8);
    buffer_text(&secret, "whsec_");
    buffer_text(&secret, text);
    sodium_memzero(bytes, sizeof bytes);
    sodium_memzero(text, sizeof text);
    return buffer_take(&secret, NULL);
}

// What is signed: "id.timestamp." and then the raw body (Standard Webhooks 1.0, "Signature
// scheme").
static size_t write_head(char head[static 128], const char *id, int64_t timestamp_s)
{
    int length = snprintf(head, 128, "%s.%lld.", id, (long long)timestamp_s);
    assert(length > 0 && length < 128);
    return (size_t)length;
}

static void add_signature(const char *version, const unsigned char *bytes, size_t size,
                          struct buffer *to)
{
    char text[sodium_base64_ENCODED_LEN(crypto_sign_BYTES, sodium_base64_VARIANT_ORIGINAL)];
    sodium_bin2base64(text, sizeof text, bytes, size, sodium_base64_VARIANT_ORIGINAL);
    if (to->size)
        buffer_byte(to, ' ');
    buffer_text(to, version);
    buffer_text(to, text);
}

static void sign_hmac(const struct signing_key *key, const char *head, size_t head_size,
                      const char *body, size_t size, struct buffer *to)
{
    crypto_auth_hmacsha256_state state = key->hmac;
    unsigned char mac[crypto_auth_hmacsha256_BYTES];
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)head, head_size);
    if (size)
        crypto_auth_hmacsha256_update(&state, (const unsigned char *)body, size);
    crypto_auth_hmacsha256_final(&state, mac);
    sodium_memzero(&state, sizeof state);
    add_signature("v1,", mac, sizeof mac, to);
}

// Plain ed25519 needs the message in one piece (the multi-part form of libsodium is the other
// scheme, ed25519ph).
static void sign_ed25519(const struct signing_key *key, const char *head, size_t head_size,
                         const char *body, size_t size, struct buffer *to)
{
    unsigned char signature[crypto_sign_BYTES];
    struct buffer whole;
    buffer_init(&whole, head_size + size);
    buffer_add(&whole, head, head_size);
    buffer_add(&whole, body, size);
    crypto_sign_detached(signature, NULL, (const unsigned char *)whole.data, whole.size,
                         key->secret);
    buffer_done(&whole);
    add_signature("v1a,", signature, sizeof signature, to);
}

void signing_key_sign(const struct signing_key *key, const char *id, int64_t timestamp_s,
                      const char *body, size_t size, struct buffer *to)
{
    char head[128];
    size_t head_size = write_head(head, id, timestamp_s);
    (key->asymmetric ? sign_ed25519 : sign_hmac)(key, head, head_size, body, size, to);
}

void entropy(void *bytes, size_t size)
{
    start_sodium();
    randombytes_buf(bytes, size);
}

// Compares hashes of both under a key of this moment, so that neither the place of a difference nor
// a difference in length shows in the time it takes.
bool same_secret(const char *a, const char *b)
{
    unsigned char key[crypto_generichash_KEYBYTES];
    unsigned char hash_a[crypto_generichash_BYTES], hash_b[crypto_generichash_BYTES];
    entropy(key, sizeof key);
    crypto_generichash(hash_a, sizeof hash_a, (const unsigned char *)a, strlen(a), key, sizeof key);
    crypto_generichash(hash_b, sizeof hash_b, (const unsigned char *)b, strlen(b), key, sizeof key);
    return sodium_memcmp(hash_a, hash_b, sizeof hash_a) == 0;
}
