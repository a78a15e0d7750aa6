#include "api/auth.h"

#include <string.h>
#include <strings.h>

#include "dispatch/signature.h"

bool auth_value_has_key(const char *value, const char *key)
{
    if (!key)
        return true;
    // RFC 9110, 11.1: the scheme's name is case-insensitive, followed by one space or more.
    if (!value || strncasecmp(value, "Bearer ", 7) != 0)
        return false;
    value += 7;
    while (*value == ' ')
        value++;
    return same_secret(value, key);
}

bool auth_origin_is_own(const char *origin, const char *host)
{
    if (!origin)
        return true;
    if (!host)
        return false;
    if (strncasecmp(origin, "http://", 7) == 0)
        return strcasecmp(origin + 7, host) == 0;
    return strncasecmp(origin, "https://", 8) == 0 && strcasecmp(origin + 8, host) == 0;
}

bool auth_host_is_near(const char *host)
{
    static const char *const kept_near[] = {".localhost", ".internal"}; // RFC 6761, 6.3; ICANN
    if (!host || *host == '[')                                          // an IPv6 address
        return true;
    size_t size = strcspn(host, ":");
    const char *dot = memrchr(host, '.', size);
    if (!dot)
        return true; // "localhost", or a name of this machine or its network
    size_t last = size - (size_t)(dot - host);
    if (last > 1 && strspn(dot + 1, "0123456789") == last - 1)
        return true; // no name ends in a number: an IPv4 address
    for (size_t i = 0; i < sizeof kept_near / sizeof *kept_near; i++)
        if (strlen(kept_near[i]) == last && strncasecmp(dot, kept_near[i], last) == 0)
            return true;
    return false;
}

static bool check_page(struct request *r)
{
    const char *origin = request_header(r, "Origin"), *host = request_header(r, "Host");
    if (!auth_origin_is_own(origin, host))
        request_refuse(r, PROBLEM_FORBIDDEN,
                       "a web page of %.200s asks; without an API key none of another origin may",
                       origin);
    else if (!auth_host_is_near(host))
        request_refuse(r, PROBLEM_FORBIDDEN,
                       "the server was asked for as \"%.200s\"; without an API key it answers to "
                       "addresses, localhost and names without a dot",
                       host);
    else
        return true;
    return false;
}

bool auth_check(struct request *r)
{
    const char *key = r->service->options->api_key;
    if (r->match.route && r->match.route->open)
        return true;
    if (!key)
        return check_page(r);
    if (auth_value_has_key(request_header(r, "Authorization"), key))
        return true;
    request_refuse(r, PROBLEM_UNAUTHORIZED,
                   "send the server's key as \"Authorization: Bearer KEY\"");
    r->answer.challenge = true;
    return false;
}
