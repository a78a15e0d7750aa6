#include "api/auth.h"

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

bool auth_check(struct request *r)
{
    const char *key = r->service->options->api_key;
    if (!key || (r->match.route && r->match.route->open))
        return true;
    if (auth_value_has_key(request_header(r, "Authorization"), key))
        return true;
    request_refuse(r, PROBLEM_UNAUTHORIZED,
                   "send the server's key as \"Authorization: Bearer KEY\"");
    r->answer.challenge = true;
    return false;
}
