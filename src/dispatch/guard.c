#include "dispatch/guard.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

enum reach { REACH_GLOBAL, REACH_LOOPBACK, REACH_PRIVATE };

struct address {
    unsigned char bytes[16];
};

// The first row that matches decides. From the special-purpose registries of IANA (RFC 6890); IPv4
// as v4-mapped.
static const struct kind {
    struct address_range range;
    enum reach reach;
    const char *words;
} kinds[] = {
#define V4(a, b, c, bits)                                                \
    {                                                                    \
        {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c}, 96 + (bits) \
    }
    {V4(0, 0, 0, 8), REACH_PRIVATE, "an address of \"this network\""},
    {V4(10, 0, 0, 8), REACH_PRIVATE, "a private address"},
    {V4(100, 64, 0, 10), REACH_PRIVATE, "a shared (carrier) address"},
    {V4(127, 0, 0, 8), REACH_LOOPBACK, "a loopback address"},
    {V4(169, 254, 0, 16), REACH_PRIVATE, "a link-local address"},
    {V4(172, 16, 0, 12), REACH_PRIVATE, "a private address"},
    {V4(192, 0, 0, 24), REACH_PRIVATE, "a reserved address"},
    {V4(192, 0, 2, 24), REACH_PRIVATE, "a documentation address"},
    {V4(192, 88, 99, 24), REACH_PRIVATE, "a reserved address"},
    {V4(192, 168, 0, 16), REACH_PRIVATE, "a private address"},
    {V4(198, 18, 0, 15), REACH_PRIVATE, "a benchmarking address"},
    {V4(198, 51, 100, 24), REACH_PRIVATE, "a documentation address"},
    {V4(203, 0, 113, 24), REACH_PRIVATE, "a documentation address"},
    {V4(224, 0, 0, 4), REACH_PRIVATE, "a multicast address"},
    {V4(240, 0, 0, 4), REACH_PRIVATE, "a reserved address"},
    {V4(0, 0, 0, 0), REACH_GLOBAL, ""},
#undef V4
    {{{0}, 128}, REACH_PRIVATE, "the unspecified address"},
    {{{[15] = 1}, 128}, REACH_LOOPBACK, "a loopback address"},
    {{{0xfc}, 7}, REACH_PRIVATE, "a private address"},
    {{{0xfe, 0x80}, 10}, REACH_PRIVATE, "a link-local address"},
    {{{0xfe, 0xc0}, 10}, REACH_PRIVATE, "a private address"},
    {{{0xff}, 8}, REACH_PRIVATE, "a multicast address"},
    {{{0x20, 0x01, 0x00}, 23},
     REACH_PRIVATE,
     "a reserved address"}, // Teredo, ORCHID, benchmarking, ...
    {{{0x20, 0x01, 0x0d, 0xb8}, 32}, REACH_PRIVATE, "a documentation address"},
    {{{0x3f, 0xff}, 20}, REACH_PRIVATE, "a documentation address"}, // RFC 9637
    {{{0x20}, 3}, REACH_GLOBAL, ""},
    {{{0}, 0}, REACH_PRIVATE, "not a global address"},
};

// IPv6 forms that carry an IPv4 address, and where.
static const struct carrier {
    struct address_range range;
    int at;
} carriers[] = {
    {{{0x20, 0x02}, 16}, 2},                          // 6to4, RFC 3056
    {{{0x00, 0x64, 0xff, 0x9b}, 96}, 12},             // NAT64, RFC 6052
    {{{0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96}, 12}, // RFC 2765, 2.1
};

static bool range_has(const struct address_range *range, const struct address *a)
{
    size_t whole = (size_t)range->bits / 8;
    int rest = range->bits % 8;
    if (memcmp(range->prefix, a->bytes, whole) != 0)
        return false;
    return rest == 0 || (range->prefix[whole] ^ a->bytes[whole]) >> (8 - rest) == 0;
}

static struct address mapped(const unsigned char v4[static 4])
{
    struct address a = {{[10] = 0xff, [11] = 0xff}};
    memcpy(a.bytes + 12, v4, 4);
    return a;
}

// The IPv4 address inside, as v4-mapped, or `a` itself.
static struct address innermost(const struct address *a)
{
    static const unsigned char zeros[12], isatap[3] = {0x00, 0x5e, 0xfe};
    for (size_t i = 0; i < sizeof carriers / sizeof carriers[0]; i++)
        if (range_has(&carriers[i].range, a))
            return mapped(a->bytes + carriers[i].at);
    // RFC 4291, 2.5.5.1: v4-compatible; :: and ::1 are not.
    if (memcmp(a->bytes, zeros, 12) == 0 && (a->bytes[12] || a->bytes[13]))
        return mapped(a->bytes + 12);
    // RFC 5214, 6.1: an ISATAP interface identifier, universal bit set or not.
    if ((a->bytes[8] & 0xfd) == 0 && memcmp(a->bytes + 9, isatap, 3) == 0)
        return mapped(a->bytes + 12);
    return *a;
}

static bool read_address(const struct sockaddr *from, struct address *ret)
{
    if (from->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)from;
        *ret = mapped((const unsigned char *)&v4->sin_addr);
        return true;
    }
    if (from->sa_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)from;
        memcpy(ret->bytes, &v6->sin6_addr, sizeof ret->bytes);
        return true;
    }
    return false;
}

static const struct kind *kind_of(const struct address *a)
{
    const struct kind *kind = kinds;
    while (!range_has(&kind->range, a))
        kind++; // the last row matches everything
    return kind;
}

static bool listed(const struct dispatch_options *options, const struct address *a)
{
    for (size_t i = 0; i < options->allowed_count; i++)
        if (range_has(&options->allowed[i], a))
            return true;
    return false;
}

static void write_address(const struct address *a, char text[static INET6_ADDRSTRLEN])
{
    struct address v4 = mapped(a->bytes + 12);
    if (memcmp(v4.bytes, a->bytes, sizeof v4.bytes) == 0)
        inet_ntop(AF_INET, a->bytes + 12, text, INET6_ADDRSTRLEN);
    else
        inet_ntop(AF_INET6, a->bytes, text, INET6_ADDRSTRLEN);
}

bool guard_allows(const struct dispatch_options *options, const struct sockaddr *address, char *why,
                  size_t size)
{
    struct address a;
    if (!read_address(address, &a)) {
        snprintf(why, size, "only IPv4 and IPv6 addresses can be called");
        return false;
    }
    struct address inner = innermost(&a);
    const struct kind *kind = kind_of(&inner);
    bool allowed[] = {[REACH_GLOBAL] = true,
                      [REACH_LOOPBACK] = options->allow_loopback,
                      [REACH_PRIVATE] = options->allow_private};
    if (allowed[kind->reach] || listed(options, &a) || listed(options, &inner))
        return true;
    char text[INET6_ADDRSTRLEN];
    write_address(&a, text);
    snprintf(why, size, "%s is %s; allow it with allow_targets in the configuration", text,
             kind->words);
    return false;
}

// Digits only, at most `most`.
static bool read_bits(const char *text, int most, int *ret)
{
    int bits = 0;
    if (!*text)
        return false;
    for (const char *p = text; *p; p++) {
        if (*p < '0' || *p > '9' || p - text >= 3)
            return false;
        bits = bits * 10 + (*p - '0');
    }
    *ret = bits;
    return bits <= most;
}

// Bits beyond the prefix would say that the author meant something else.
static bool is_clean(const struct address_range *range)
{
    for (int bit = range->bits; bit < 128; bit++)
        if (range->prefix[bit / 8] & 0x80 >> bit % 8)
            return false;
    return true;
}

enum status address_range_parse(const char *text, struct address_range *ret)
{
    char host[INET6_ADDRSTRLEN];
    const char *slash = strchrnul(text, '/');
    size_t length = (size_t)(slash - text);
    struct address a;
    unsigned char v4[4];
    struct address_range range = {{0}, 128};
    int before = 0; // bits that come before the ones written
    if (length >= sizeof host)
        return STATUS_INVALID;
    memcpy(host, text, length);
    host[length] = '\0';
    if (inet_pton(AF_INET, host, v4) == 1) {
        a = mapped(v4);
        before = 96;
    } else if (inet_pton(AF_INET6, host, a.bytes) != 1) {
        return STATUS_INVALID;
    }
    memcpy(range.prefix, a.bytes, sizeof range.prefix);
    if (*slash) {
        if (!read_bits(slash + 1, 128 - before, &range.bits))
            return STATUS_INVALID;
        range.bits += before;
    }
    if (!is_clean(&range))
        return STATUS_INVALID;
    *ret = range;
    return STATUS_OK;
}
