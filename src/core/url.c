#include "core/url.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define HOST_MAX 253 // RFC 1035, 2.3.4

static const struct scheme {
    const char *name;
    int port;
} schemes[] = {{"http", 80}, {"https", 443}};

struct authority {
    const char *host;
    size_t host_size;
    int port; // 0: not said
};

static bool letter_or_digit(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// RFC 3986, 2: what is neither reserved nor unreserved stands percent-encoded.
static const char *check_characters(const char *url)
{
    if (strlen(url) > URL_MAX)
        return "is longer than 2048 bytes";
    if (strstr(url, "${"))
        return "holds ${...}: variables are replaced only in files; send the URL itself";
    for (const char *p = url; *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7F)
            return "must not hold control characters";
        if (*p == ' ')
            return "must not hold spaces: write %20";
        if ((unsigned char)*p >= 0x80)
            return "must be ASCII: percent-encode the path, and write the host in its xn-- form";
        if (strchr("\"<>\\^`{|}", *p))
            return "must not hold any of \"<>\\^`{|}: percent-encode them";
        if (*p == '%' && !(strspn(p + 1, "0123456789abcdefABCDEF") >= 2))
            return "has a % that is not followed by two hex digits: write %25 for a plain one";
        if (*p == '#')
            return "must not have a fragment: take out # and what follows";
    }
    return NULL;
}

static const char *check_port(const char *text, size_t size, int *ret)
{
    int port = 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9' || port > 65535)
            return "has a port that is no number from 1 to 65535";
        port = port * 10 + (text[i] - '0');
    }
    if (port < 1 || port > 65535)
        return "has a port that is no number from 1 to 65535";
    *ret = port;
    return NULL;
}

static const char *check_host(const char *host, size_t size)
{
    if (size == 0)
        return "has no host: write https://HOST/PATH";
    if (size > HOST_MAX)
        return "has a host longer than 253 bytes";
    if (host[0] == '[') {
        char address[HOST_MAX + 1];
        unsigned char bytes[16];
        snprintf(address, sizeof address, "%.*s", (int)(size - 2), host + 1);
        return inet_pton(AF_INET6, address, bytes) == 1 ? NULL
                                                        : "has no IPv6 address between [ and ]";
    }
    for (size_t i = 0; i < size; i++)
        if (!letter_or_digit(host[i]) && !strchr("-._", host[i]))
            return "has a host with characters other than letters, digits, '-', '.' and '_'";
    return NULL;
}

// host[:port], the host perhaps an IPv6 address in brackets.
static const char *split_authority(const char *text, size_t size, struct authority *ret)
{
    if (memchr(text, '@', size))
        return "must not carry credentials: send them in a header such as Authorization";
    size_t host = 0;
    if (size && text[0] == '[') {
        const char *end = memchr(text, ']', size);
        if (!end)
            return "has a [ without its ]";
        host = (size_t)(end - text) + 1;
    } else {
        while (host < size && text[host] != ':')
            host++;
    }
    *ret = (struct authority){text, host, 0};
    if (host < size && text[host] != ':')
        return "has characters between ] and the port";
    const char *wrong = check_host(text, host);
    if (!wrong && host < size)
        wrong = check_port(text + host + 1, size - host - 1, &ret->port);
    return wrong;
}

enum status url_origin(const char *url, char origin[static ORIGIN_TEXT], char *why, size_t size)
{
    const struct scheme *scheme = NULL;
    struct authority authority = {0};
    const char *colon = strstr(url, "://"), *wrong = check_characters(url);
    for (size_t i = 0; colon && i < sizeof schemes / sizeof *schemes; i++)
        if (strlen(schemes[i].name) == (size_t)(colon - url) &&
            strncasecmp(schemes[i].name, url, (size_t)(colon - url)) == 0)
            scheme = &schemes[i];
    if (!wrong && !scheme)
        wrong = "must begin with http:// or https://";
    if (!wrong)
        wrong = split_authority(colon + 3, strcspn(colon + 3, "/?"), &authority);
    if (wrong) {
        snprintf(why, size, "%s", wrong);
        return STATUS_INVALID;
    }
    snprintf(origin, ORIGIN_TEXT, "%s://%.*s:%d", scheme->name, (int)authority.host_size,
             authority.host, authority.port ? authority.port : scheme->port);
    for (char *p = origin; *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
    return STATUS_OK;
}
