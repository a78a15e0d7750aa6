#include "dispatch/guard.h"

#include <arpa/inet.h>

#include "test.h"

static char why[200];

static bool allows(const struct dispatch_options *options, const char *text)
{
    struct sockaddr_storage storage = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&storage;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&storage;
    why[0] = '\0';
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1)
        storage.ss_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1)
        storage.ss_family = AF_INET6;
    return guard_allows(options, (struct sockaddr *)&storage, why, sizeof why);
}

TEST(a_public_address_is_allowed)
{
    static const char *const rows[] = {
        "1.1.1.1",        "93.184.216.34",    "172.32.0.1",      "100.128.0.1",
        "192.0.1.1",      "223.255.255.254",  "2606:4700::1111", "2a00:1450::1",
        "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::1", "11.0.0.0",
        "2001:200::1",    "9.255.255.255",    "126.255.255.255", "128.0.0.1",
    };
    struct dispatch_options options = {0};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        test_row = rows[i];
        CHECK(allows(&options, rows[i]));
    }
}

// How each is called, and with which switch it may be called.
enum opens { BY_LOOPBACK, BY_PRIVATE };
static const struct {
    const char *text, *words;
    enum opens opens;
} refused[] = {
    {"127.0.0.1", "127.0.0.1 is a loopback address", BY_LOOPBACK},
    {"127.255.255.255", "loopback", BY_LOOPBACK},
    {"::1", "::1 is a loopback address", BY_LOOPBACK},
    {"::ffff:127.0.0.1", "127.0.0.1 is a loopback address", BY_LOOPBACK},
    {"64:ff9b::7f00:1", "loopback", BY_LOOPBACK},
    {"2002:7f00:1::", "loopback", BY_LOOPBACK},
    {"::127.0.0.1", "loopback", BY_LOOPBACK},
    {"2606:4700::200:5efe:7f00:1", "loopback", BY_LOOPBACK},
    {"::ffff:0:7f00:1", "loopback", BY_LOOPBACK},
    {"0.0.0.0", "this network", BY_PRIVATE},
    {"::", "unspecified", BY_PRIVATE},
    {"10.1.2.3", "10.1.2.3 is a private address", BY_PRIVATE},
    {"172.16.0.1", "private", BY_PRIVATE},
    {"172.31.255.255", "private", BY_PRIVATE},
    {"192.168.1.1", "private", BY_PRIVATE},
    {"100.64.0.1", "shared", BY_PRIVATE},
    {"169.254.169.254",
     "169.254.169.254 is a link-local address; allow it with allow_targets in the configuration",
     BY_PRIVATE},
    {"::ffff:169.254.169.254", "link-local", BY_PRIVATE},
    {"64:ff9b::a9fe:a9fe", "link-local", BY_PRIVATE},
    {"64:ff9b:1::a9fe:a9fe", "not a global", BY_PRIVATE},
    {"2002:a9fe:a9fe::1", "link-local", BY_PRIVATE},
    {"fe80::1", "link-local", BY_PRIVATE},
    {"fd00::1", "private", BY_PRIVATE},
    {"fec0::1", "private", BY_PRIVATE},
    {"ff02::1", "multicast", BY_PRIVATE},
    {"224.0.0.1", "multicast", BY_PRIVATE},
    {"255.255.255.255", "reserved", BY_PRIVATE},
    {"240.0.0.1", "reserved", BY_PRIVATE},
    {"192.0.2.1", "documentation", BY_PRIVATE},
    {"198.51.100.7", "documentation", BY_PRIVATE},
    {"203.0.113.7", "documentation", BY_PRIVATE},
    {"198.19.0.1", "benchmarking", BY_PRIVATE},
    {"2001:db8::1", "documentation", BY_PRIVATE},
    {"3fff::1", "documentation", BY_PRIVATE},
    {"2001::1", "reserved", BY_PRIVATE},
    {"100::1", "not a global", BY_PRIVATE},
    {"5f00::1", "not a global", BY_PRIVATE},
};

TEST(other_addresses_are_refused_in_words_and_allowed_by_their_switch)
{
    struct dispatch_options none = {0}, loopback = {.allow_loopback = true},
                            private = {.allow_private = true};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        test_row = refused[i].text;
        CHECK(!allows(&none, refused[i].text));
        CHECK_HAS(refused[i].words, why);
        CHECK_HAS("allow_targets", why);
        CHECK_INT(refused[i].opens == BY_LOOPBACK, allows(&loopback, refused[i].text));
        CHECK_INT(refused[i].opens == BY_PRIVATE, allows(&private, refused[i].text));
    }
}

TEST(a_listed_range_is_allowed_also_where_it_is_embedded)
{
    struct address_range ranges[2];
    CHECK_INT(STATUS_OK, address_range_parse("10.1.0.0/16", &ranges[0]));
    CHECK_INT(STATUS_OK, address_range_parse("fd00:1::/32", &ranges[1]));
    struct dispatch_options options = {.allowed = ranges, .allowed_count = 2};
    CHECK(allows(&options, "10.1.255.255"));
    CHECK(allows(&options, "::ffff:10.1.0.1"));
    CHECK(allows(&options, "64:ff9b::a01:203"));
    CHECK(allows(&options, "fd00:1::5"));
    CHECK(!allows(&options, "10.2.0.0"));
    CHECK(!allows(&options, "fd00:2::5"));
}

TEST(an_address_of_another_kind_is_refused)
{
    struct sockaddr other = {.sa_family = AF_UNIX};
    struct dispatch_options options = {.allow_private = true, .allow_loopback = true};
    CHECK(!guard_allows(&options, &other, why, sizeof why));
    CHECK_HAS("IPv4 and IPv6", why);
}

TEST(a_range_is_read)
{
    static const struct {
        const char *text;
        int bits;
    } rows[] = {{"10.0.0.0/8", 104}, {"192.0.2.7", 128}, {"0.0.0.0/0", 96}, {"fd00::/8", 8},
                {"::/0", 0},         {"::1", 128},       {"::1/128", 128},  {"192.0.2.7/32", 128}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct address_range range;
        test_row = rows[i].text;
        CHECK_INT(STATUS_OK, address_range_parse(rows[i].text, &range));
        CHECK_INT(rows[i].bits, range.bits);
    }
}

TEST(what_is_no_range_is_refused)
{
    static const char *const rows[] = {
        "",
        "10",
        "10.0.0.0/33",
        "10.0.0.0/",
        "10.0.0.0/-1",
        "10.0.0.0/8x",
        "10.0.0.1/8",
        "fd00::/129",
        "fd00::1/8",
        "example.com",
        "1.2.3.4.5",
        "10.0.0.0/08 ",
        "/8",
        " 10.0.0.0",
        "10.0.0.0//8",
        "10.0.0.0/0008",
        "1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct address_range range;
        test_row = rows[i];
        CHECK_INT(STATUS_INVALID, address_range_parse(rows[i], &range));
    }
}

TESTS_MAIN
