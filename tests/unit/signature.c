#include "dispatch/signature.h"

#include <sodium.h>

#include "test.h"

#define VECTOR_SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define VECTOR_ID "msg_p5jXN8AQM9LWM0D4loKWxJek"
#define VECTOR_TIMESTAMP 1614265330
#define VECTOR_BODY "{\"test\": 2432232314}"
#define VECTOR_SIGNATURE "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

static char why[200];

static struct signing_key *read_key(const char *text)
{
    struct signing_key *key = NULL;
    CHECK_INT(STATUS_OK, signing_key_read(text, &key, why, sizeof why));
    return key;
}

// prefix + base64 of `size` bytes
static const char *secret_of(const char *prefix, const unsigned char *bytes, size_t size)
{
    static char text[256];
    size_t skip = (size_t)snprintf(text, sizeof text, "%s", prefix);
    sodium_bin2base64(text + skip, sizeof text - skip, bytes, size, sodium_base64_VARIANT_ORIGINAL);
    return text;
}

static void sign_vector(struct signing_key *key, struct buffer *to)
{
    signing_key_sign(key, VECTOR_ID, VECTOR_TIMESTAMP, VECTOR_BODY, strlen(VECTOR_BODY), to);
}

TEST(the_vector_of_standard_webhooks_is_signed_as_published)
{
    struct buffer to;
    buffer_init(&to, 1000);
    struct signing_key *key = read_key(VECTOR_SECRET);
    sign_vector(key, &to);
    CHECK_TEXT(VECTOR_SIGNATURE, buffer_string(&to));
    signing_key_free(key);
    buffer_done(&to);
}

TEST(a_key_signs_the_same_again)
{
    struct buffer to;
    buffer_init(&to, 1000);
    struct signing_key *key = read_key(VECTOR_SECRET);
    sign_vector(key, &to);
    sign_vector(key, &to);
    CHECK_TEXT(VECTOR_SIGNATURE " " VECTOR_SIGNATURE, buffer_string(&to));
    signing_key_free(key);
    buffer_done(&to);
}

TEST(an_empty_body_is_signed_too)
{
    struct buffer to;
    buffer_init(&to, 1000);
    struct signing_key *key = read_key(VECTOR_SECRET);
    signing_key_sign(key, "run_1", 1, "", 0, &to);
    CHECK_INT(strlen(VECTOR_SIGNATURE), to.size);
    signing_key_free(key);
    buffer_done(&to);
}

TEST(an_ed25519_signature_is_verified_with_the_public_key)
{
    unsigned char public[32], secret[64], signature[64], seed[32];
    size_t size = 0;
    struct buffer to;
    entropy(seed, sizeof seed);
    crypto_sign_seed_keypair(public, secret, seed);
    const struct {
        const unsigned char *bytes;
        size_t size;
    } forms[] = {{seed, sizeof seed}, {secret, sizeof secret}};
    for (size_t i = 0; i < 2; i++) {
        buffer_init(&to, 1000);
        struct signing_key *key = read_key(secret_of("whsk_", forms[i].bytes, forms[i].size));
        sign_vector(key, &to);
        CHECK(strncmp(buffer_string(&to), "v1a,", 4) == 0);
        CHECK_INT(0, sodium_base642bin(signature, sizeof signature, to.data + 4, to.size - 4, NULL,
                                       &size, NULL, sodium_base64_VARIANT_ORIGINAL));
        const char *signed_text = VECTOR_ID ".1614265330." VECTOR_BODY;
        CHECK_INT(0, crypto_sign_verify_detached(signature, (const unsigned char *)signed_text,
                                                 strlen(signed_text), public));
        signing_key_free(key);
        buffer_done(&to);
    }
}

TEST(a_fresh_secret_can_be_read_and_is_never_the_same)
{
    char *a = signing_secret_new(), *b = signing_secret_new();
    CHECK(strcmp(a, b) != 0);
    signing_key_free(read_key(a));
    signing_key_free(read_key(b));
    free(a);
    free(b);
}

TEST(a_secret_that_cannot_be_used_is_refused_in_words)
{
    static const unsigned char zeros[80];
    char rows[6][256],
        *words[] = {"whsec_", "base64", "24 to 64", "24 to 64", "32 or 64", "halves"};
    unsigned char secret[64] = {1};
    snprintf(rows[0], sizeof rows[0], "secret");
    snprintf(rows[1], sizeof rows[1], "whsec_!!!");
    snprintf(rows[2], sizeof rows[2], "whsec_");
    snprintf(rows[3], sizeof rows[3], "%s", secret_of("whsec_", zeros, 23));
    snprintf(rows[4], sizeof rows[4], "%s", secret_of("whsk_", zeros, 33));
    snprintf(rows[5], sizeof rows[5], "%s", secret_of("whsk_", secret, sizeof secret));
    for (size_t i = 0; i < 6; i++) {
        struct signing_key *key = NULL;
        test_row = rows[i];
        CHECK_INT(STATUS_INVALID, signing_key_read(rows[i], &key, why, sizeof why));
        CHECK(!key);
        CHECK_HAS(words[i], why);
    }
    const char *too_long = secret_of("whsec_", zeros, 65);
    struct signing_key *key = NULL;
    CHECK_INT(STATUS_INVALID, signing_key_read(too_long, &key, why, sizeof why));
}

TEST(secrets_are_the_same_only_when_every_byte_is)
{
    CHECK(same_secret("abc", "abc"));
    CHECK(same_secret("", ""));
    CHECK(!same_secret("abc", "abd"));
    CHECK(!same_secret("abc", "abcd"));
    CHECK(!same_secret("", "a"));
}

TESTS_MAIN
