#include "core/visibility.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"

// A text of known length that is eaten from the front.
struct rest {
    const char *at, *end;
};

static bool eat(struct rest *r, char c)
{
    if (r->at == r->end || *r->at != c)
        return false;
    r->at++;
    return true;
}

static void eat_blanks(struct rest *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t'))
        r->at++;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

// RFC 9110, 5.6.2: tchar; ':' and '/' too, which tokens of structured fields may hold.
static bool is_token(char c)
{
    return is_letter(c) || is_digit(c) || (c && strchr("!#$%&'*+-.^_`|~:/", c));
}

static struct rest eat_token(struct rest *r)
{
    struct rest token = {r->at, r->at};
    while (r->at < r->end && is_token(*r->at))
        r->at++;
    token.end = r->at;
    return token;
}

// A quoted text with backslash escapes; what is between the quotes. False where it has no end.
static bool eat_quoted(struct rest *r, struct rest *ret)
{
    const char *p = r->at + 1;
    while (p < r->end && *p != '"')
        p += *p == '\\' && p + 1 < r->end ? 2 : 1;
    if (p >= r->end)
        return false;
    *ret = (struct rest){r->at + 1, p};
    r->at = p + 1;
    return true;
}

static bool is(struct rest word, const char *text)
{
    size_t size = (size_t)(word.end - word.at);
    return size == strlen(text) && strncasecmp(word.at, text, size) == 0;
}

// The value of a parameter in a structured field (RFC 9651, 3.3): text, bytes (":...:"), a boolean,
// else a token or number.
static bool eat_value(struct rest *r, struct rest *ret)
{
    const char *begin = r->at;
    if (r->at < r->end && *r->at == '"')
        return eat_quoted(r, ret);
    if (eat(r, '?')) {
        r->at += r->at < r->end;
        *ret = (struct rest){begin, r->at};
        return is(*ret, "?0") || is(*ret, "?1");
    }
    *ret = eat_token(r);
    while (eat(r, '=')) // the padding of bytes
        ret->end = r->at;
    if (eat(r, ':'))
        ret->end = r->at;
    return ret->at < ret->end;
}

// One cache of the list: its name, then parameters. False where it cannot be read.
static bool eat_cache(struct rest *r, bool *ret_hit, bool *ret_forwarded)
{
    struct rest name, value;
    *ret_hit = *ret_forwarded = false;
    if (!eat_value(r, &name))
        return false;
    for (;;) {
        eat_blanks(r);
        if (!eat(r, ';'))
            return true;
        eat_blanks(r);
        name = eat_token(r);
        if (name.at == name.end)
            return false;
        value = (struct rest){"?1", NULL};
        value.end = value.at + 2;
        if (eat(r, '=') && !eat_value(r, &value))
            return false;
        if (is(name, "hit"))
            *ret_hit = is(value, "?1");
        else if (is(name, "fwd"))
            *ret_forwarded = true;
    }
}

void visibility_cache_status(struct attempt *attempt, const char *value, size_t size)
{
    struct rest r = {value, value + size};
    bool any_hit = false, all_forwarded = true;
    eat_blanks(&r);
    if (r.at == r.end)
        return;
    do {
        bool hit, forwarded;
        eat_blanks(&r);
        if (!eat_cache(&r, &hit, &forwarded))
            return;
        any_hit |= hit;
        all_forwarded &= forwarded && !hit;
    } while (eat(&r, ','));
    if (r.at != r.end)
        return; // RFC 9651, 4.2: a field that does not parse is ignored whole
    if (any_hit || attempt->cache == CACHE_WARM)
        attempt->cache = CACHE_WARM;
    else
        attempt->cache = all_forwarded ? CACHE_COLD : CACHE_UNKNOWN;
}

// A plain decimal number in thousandths, cut; -1 where it is none. Without strtod, which asks the
// locale.
static int64_t read_thousandths(struct rest text)
{
    int64_t n = 0;
    int decimals = -1; // digits after the point; -1: before it
    if (text.at == text.end)
        return -1;
    for (const char *p = text.at; p < text.end; p++) {
        if (*p == '.' && decimals < 0 && text.end - text.at > 1) {
            decimals = 0;
        } else if (!is_digit(*p) || n > INT64_C(1000000000000)) {
            return -1;
        } else if (decimals < 3) {
            n = n * 10 + (*p - '0');
            decimals += decimals >= 0;
        }
    }
    for (int i = decimals < 0 ? 0 : decimals; i < 3; i++)
        n *= 10;
    return n;
}

static bool mentions_calls(struct rest text)
{
    static const char *const words[] = {"quer", "call", "statement", "request"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        for (const char *p = text.at; (size_t)(text.end - p) >= strlen(words[i]); p++)
            if (strncasecmp(p, words[i], strlen(words[i])) == 0)
                return true;
    return false;
}

// The number of calls in a description: the only number in it, and either in front ("6 queries",
// "6") or beside a word that says what it counts ("queries: 6"). "PostgreSQL 15" counts nothing. -1
// where none.
static int64_t read_count(struct rest text)
{
    int64_t count = -1;
    bool first = false;
    eat_blanks(&text);
    for (const char *p = text.at; p < text.end;) {
        if (!is_digit(*p)) {
            p++;
            continue;
        }
        struct rest digits = {p, p};
        while (p < text.end && (is_digit(*p) || (*p == '.' && p + 1 < text.end && is_digit(p[1]))))
            digits.end = ++p;
        int64_t n = read_thousandths(digits);
        if (count >= 0 || n < 0 || n % 1000 != 0)
            return -1;
        first = digits.at == text.at;
        count = n / 1000;
    }
    return first || mentions_calls(text) ? count : -1;
}

static void add_known(int64_t *to, int64_t more)
{
    if (more >= 0)
        *to = (*to < 0 ? 0 : *to) + more;
}

struct metric {
    bool is_db;
    int64_t time_us, calls; // -1: not said
};

// A parameter's value, quoted or bare up to the next separator.
static struct rest eat_loose_value(struct rest *r)
{
    struct rest value = {r->at, r->at};
    eat_blanks(r);
    if (r->at < r->end && *r->at == '"' && eat_quoted(r, &value))
        return value;
    value.at = r->at;
    while (r->at < r->end && *r->at != ';' && *r->at != ',')
        r->at++;
    value.end = r->at;
    while (value.end > value.at && (value.end[-1] == ' ' || value.end[-1] == '\t'))
        value.end--;
    return value;
}

// W3C Server Timing, 4: the first of several equal parameters counts; what cannot be read is passed
// over.
static void eat_parameter(struct rest *r, struct metric *metric)
{
    struct rest value = {r->at, r->at};
    eat_blanks(r);
    struct rest name = eat_token(r);
    eat_blanks(r);
    if (eat(r, '='))
        value = eat_loose_value(r);
    if (is(name, "dur") && metric->time_us < 0)
        metric->time_us = read_thousandths(value);
    else if ((is(name, "desc") || is(name, "count")) && metric->calls < 0)
        metric->calls = read_count(value);
}

static struct metric eat_metric(struct rest *r)
{
    struct metric metric = {.time_us = -1, .calls = -1};
    eat_blanks(r);
    struct rest name = eat_token(r);
    metric.is_db = name.end - name.at >= 2 && strncasecmp(name.at, "db", 2) == 0;
    while (r->at < r->end && *r->at != ',') {
        if (eat(r, ';'))
            eat_parameter(r, &metric);
        else
            r->at++;
    }
    return metric;
}

void visibility_server_timing(struct attempt *attempt, const char *value, size_t size)
{
    struct rest r = {value, value + size};
    do {
        struct metric metric = eat_metric(&r);
        if (metric.is_db) {
            add_known(&attempt->db_time_us, metric.time_us);
            add_known(&attempt->db_calls, metric.calls);
        }
    } while (eat(&r, ','));
}

static bool read_cache(const json_t *value, enum cache_status *ret)
{
    static const struct {
        const char *word;
        enum cache_status status;
    } words[] = {{"hit", CACHE_WARM},
                 {"warm", CACHE_WARM},
                 {"miss", CACHE_COLD},
                 {"cold", CACHE_COLD},
                 {"unknown", CACHE_UNKNOWN}};
    if (!value || json_is_null(value))
        return true;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (json_is_string(value) && strcmp(json_string_value(value), words[i].word) == 0) {
            *ret = words[i].status;
            return true;
        }
    return false;
}

// A number that is not negative, times `unit`; absent and null leave what is there.
static bool read_number(const json_t *value, bool whole, double unit, int64_t *ret)
{
    if (!value || json_is_null(value))
        return true;
    double n = json_number_value(value);
    if (!(whole ? json_is_integer(value) : json_is_number(value)) || !(n >= 0) || n > 1e12)
        return false;
    *ret = (int64_t)llround(n * unit);
    return true;
}

enum status visibility_report(struct attempt *attempt, const char *json, size_t size, char *why,
                              size_t room)
{
    json_t *report = NULL;
    struct json_place place;
    if (json_read(json, size, &report, &place) != STATUS_OK) {
        snprintf(why, room, "line %d, column %d: %s", place.line, place.column, place.detail);
        return STATUS_INVALID;
    }
    enum cache_status cache = attempt->cache;
    int64_t calls = attempt->db_calls, time_us = attempt->db_time_us;
    const char *wrong = NULL;
    if (!json_is_object(report))
        wrong = "must be an object such as {\"db_calls\": 6}";
    else if (!read_cache(json_object_get(report, "cache"), &cache))
        wrong = "/cache must be hit, miss, warm, cold or unknown";
    else if (!read_number(json_object_get(report, "db_calls"), true, 1, &calls))
        wrong = "/db_calls must be a whole number, 0 or more";
    else if (!read_number(json_object_get(report, "db_time_ms"), false, 1000, &time_us))
        wrong = "/db_time_ms must be a number of milliseconds, 0 or more";
    json_decref(report);
    if (wrong) {
        snprintf(why, room, "%s", wrong);
        return STATUS_INVALID;
    }
    attempt->cache = cache;
    attempt->db_calls = calls;
    attempt->db_time_us = time_us;
    return STATUS_OK;
}
