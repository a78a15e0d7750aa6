// The text of a cron expression. core/cron_next.c walks the calendar with what is read here.

#include "core/cron.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/moment.h"

#define BITS 4 // 64-bit words: enough for the years, counted from 1970

static const char *const months[] = {"JAN", "FEB", "MAR", "APR", "MAY", "JUN",
                                     "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"};
static const char *const weekdays[] = {"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"};

enum { SECONDS, MINUTES, HOURS, DAYS, MONTHS, WEEKDAYS, YEARS, FIELDS };

static const struct field {
    const char *name, *allowed;
    int least, most;          // what a number may be
    int star_most;            // the last of *: 7 is a second Sunday
    const char *const *names; // of least, least + 1, ...; NULL: none
    int name_count;
} fields[FIELDS] = {
    [SECONDS] = {"second", "0-59", 0, 59, 59},
    [MINUTES] = {"minute", "0-59", 0, 59, 59},
    [HOURS] = {"hour", "0-23", 0, 23, 23},
    [DAYS] = {"day-of-month", "1-31", 1, 31, 31},
    [MONTHS] = {"month", "1-12 or JAN-DEC", 1, 12, 12, months, 12},
    [WEEKDAYS] = {"day-of-week", "0-7 (0 and 7 are Sunday) or SUN-SAT", 0, 7, 6, weekdays, 7},
    [YEARS] = {"year", "1970-2199", 1970, 2199, 2199},
};

// OCPS 1.1, 3.1: written exactly so, in small letters.
static const struct {
    const char *name, *means;
} nicknames[] = {
    {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"},
    {"@weekly", "0 0 * * 0"}, {"@daily", "0 0 * * *"},    {"@midnight", "0 0 * * *"},
    {"@hourly", "0 * * * *"},
};

struct piece { // of the text
    const char *at, *end;
};

struct reader {
    char *detail;
    size_t size;
    struct piece parts[FIELDS];
    int part_count;
    uint64_t bits[FIELDS][BITS];
    bool star[FIELDS]; // begins with *
    bool plus;         // + before the day of week
};

struct value {
    int n;
    bool named;
    struct piece text;
};

__attribute__((format(printf, 2, 3))) static bool complain(struct reader *r, const char *format,
                                                           ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(r->detail, r->size, format, arguments);
    va_end(arguments);
    return false;
}

// A piece of the user's text for a message: short, and plain ASCII so that no character is cut in
// two.
struct quote {
    char text[32];
};

static struct quote quote(struct piece p)
{
    struct quote q = {{0}};
    size_t at = 0;
    for (; p.at < p.end && at < sizeof q.text - 4; p.at++)
        q.text[at++] = *p.at >= ' ' && *p.at <= '~' ? *p.at : '?';
    if (p.at < p.end)
        memcpy(q.text + at, "...", 3);
    return q;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static bool is_letter(char c)
{
    return upper(c) >= 'A' && upper(c) <= 'Z';
}

static bool equals_ignoring_case(const char *wanted, struct piece p)
{
    for (; *wanted && p.at < p.end; wanted++, p.at++)
        if (upper(*wanted) != upper(*p.at))
            return false;
    return !*wanted && p.at == p.end;
}

// --- one value ---

// Signs of the specification's later increments, and of ours, that this version does not know.
static bool complain_of_the_unknown(struct reader *r, const struct field *f, struct piece item)
{
    static const struct {
        char sign;
        const char *means;
    } later[] = {{'#', "the n-th weekday of a month"},
                 {'L', "the last day"},
                 {'W', "the working day nearest to a date"},
                 {'H', "a minute or hour spread by the task's name"}};
    struct quote q = quote(item);
    struct piece rest = item;
    while (rest.at < rest.end && is_digit(*rest.at))
        rest.at++;
    size_t letters = 0;
    while (rest.at + letters < rest.end && is_letter(rest.at[letters]))
        letters++;
    for (size_t i = 0; i < sizeof later / sizeof *later; i++) {
        bool there = later[i].sign == '#'
                         ? memchr(item.at, '#', (size_t)(item.end - item.at)) != NULL
                         : letters >= 1 && letters <= 2 && upper(*rest.at) == later[i].sign;
        if (there)
            return complain(r, "\"%s\" in the %s field: %c (%s) is not supported in this version",
                            q.text, f->name, later[i].sign, later[i].means);
    }
    if (memchr(item.at, '?', (size_t)(item.end - item.at)))
        return complain(r,
                        "\"%s\" in the %s field: ? may only stand alone as the day of the month "
                        "or of the week: write *",
                        q.text, f->name);
    if (memchr(item.at, '+', (size_t)(item.end - item.at)))
        return complain(r,
                        "\"%s\" in the %s field: + may only stand once, before the day of week, "
                        "as in 0 12 1 * +MON",
                        q.text, f->name);
    return complain(r,
                    "\"%s\" in the %s field is not understood: write %s, lists as 1,2, ranges as "
                    "1-5, steps as */5",
                    q.text, f->name, f->allowed);
}

static bool read_number(struct reader *r, const struct field *f, struct piece *p, int *ret)
{
    struct piece digits = {p->at, p->at};
    int n = 0;
    for (; p->at < p->end && is_digit(*p->at); p->at++)
        n = n > 9999 ? n : n * 10 + (*p->at - '0');
    digits.end = p->at;
    *ret = n;
    if (n < f->least || n > f->most)
        return complain(r, "%s %s is out of range: write %s", f->name, quote(digits).text,
                        f->allowed);
    return true;
}

static bool read_value(struct reader *r, const struct field *f, struct piece item, struct piece *p,
                       struct value *ret)
{
    ret->text.at = p->at;
    ret->named = false;
    if (p->at < p->end && is_digit(*p->at)) {
        if (!read_number(r, f, p, &ret->n))
            return false;
        ret->text.end = p->at;
        return true;
    }
    struct piece word = {p->at, p->at};
    while (word.end < p->end && is_letter(*word.end))
        word.end++;
    for (int i = 0; i < f->name_count; i++)
        if (equals_ignoring_case(f->names[i], word)) {
            *ret = (struct value){f->least + i, true, word};
            p->at = word.end;
            return true;
        }
    return complain_of_the_unknown(r, f, item);
}

// --- one item of a list ---

static struct quote value_text(const struct field *f, const struct value *like, int n)
{
    struct quote q;
    if (like->named && n - f->least < f->name_count)
        snprintf(q.text, sizeof q.text, "%s", f->names[n - f->least]);
    else
        snprintf(q.text, sizeof q.text, "%d", n);
    return q;
}

static struct quote range_text(const struct field *f, const struct value *like, int low, int high)
{
    if (low >= high)
        return value_text(f, like, low);
    struct quote q, from = value_text(f, like, low), to = value_text(f, like, high);
    snprintf(q.text, sizeof q.text, "%.12s-%.12s", from.text, to.text);
    return q;
}

// OCPS 1.0, 6.2: a range whose end comes first is an error. Mostly one that runs over midnight or
// the year's end is meant, and that is two ranges.
static bool complain_of_order(struct reader *r, const struct field *f, const struct value *low,
                              const struct value *high)
{
    struct piece both = {low->text.at, high->text.end};
    return complain(r, "the range %s in the %s field runs backwards: write %s,%s", quote(both).text,
                    f->name, range_text(f, low, low->n, f->star_most).text,
                    range_text(f, high, f->least, high->n).text);
}

static bool read_range(struct reader *r, const struct field *f, struct piece item, struct piece *p,
                       struct value *low, struct value *high, bool *ret_range)
{
    if (!read_value(r, f, item, p, low))
        return false;
    *high = *low;
    *ret_range = p->at < p->end && *p->at == '-';
    if (!*ret_range)
        return true;
    p->at++;
    if (!read_value(r, f, item, p, high))
        return false;
    if (f == &fields[WEEKDAYS] && high->named && high->n == 0 && low->n > 0)
        high->n = 7; // OCPS 1.0, 4.2: SUN is 0 or 7, so FRI-SUN is a range
    return low->n <= high->n || complain_of_order(r, f, low, high);
}

static bool read_step(struct reader *r, const struct field *f, struct piece item, struct piece *p,
                      int *ret)
{
    struct piece digits = {p->at + 1, p->at + 1};
    int n = 0, most = f->star_most - f->least + 1;
    for (p->at++; p->at < p->end && is_digit(*p->at); p->at++)
        n = n > 9999 ? n : n * 10 + (*p->at - '0');
    digits.end = p->at;
    *ret = n;
    if (digits.at == digits.end)
        return complain(
            r, "\"%s\" in the %s field has no number after the /: write */5 for every fifth",
            quote(item).text, f->name);
    if (n == 0)
        return complain(r, "\"%s\" in the %s field: a step of 0 never ends: write 1 or more",
                        quote(item).text, f->name);
    // */90 in the minute field would be once an hour, which nobody means who writes it.
    return n <= most || complain(r,
                                 "\"%s\" in the %s field: a step is at most %d here: for longer "
                                 "periods write @every, as in @every 90m",
                                 quote(item).text, f->name, most);
}

static bool read_item(struct reader *r, int at, struct piece item)
{
    const struct field *f = &fields[at];
    struct piece p = item;
    struct value low = {.n = f->least}, high = {.n = f->star_most};
    bool range = true;
    int step = 1;
    if (p.at == p.end)
        return complain(r, "the %s field has an empty item: take the extra comma away", f->name);
    if (*p.at == '*')
        p.at++;
    else if (*p.at == '?' && p.end - p.at == 1 && (at == DAYS || at == WEEKDAYS))
        p.at++; // OCPS 1.4, 4.2: the same as *
    else if (*p.at == '/')
        return complain(r, "\"%s\" in the %s field: a step follows * or a range: write *%s",
                        quote(item).text, f->name, quote(item).text);
    else if (!read_range(r, f, item, &p, &low, &high, &range))
        return false;
    if (p.at < p.end && *p.at == '/') {
        if (!range) // OCPS 1.0, 6.2
            return complain(r, "\"%s\" in the %s field: a step follows * or a range: write %s%s",
                            quote(item).text, f->name,
                            range_text(f, &low, low.n, f->star_most).text, quote(p).text);
        if (!read_step(r, f, item, &p, &step))
            return false;
    }
    if (p.at < p.end)
        return complain_of_the_unknown(r, f, item);
    int base = at == YEARS ? f->least : 0;
    for (int n = low.n; n <= high.n; n += step) {
        int bit = at == WEEKDAYS ? n % 7 : n - base;
        r->bits[at][bit / 64] |= UINT64_C(1) << bit % 64;
    }
    return true;
}

static bool read_field(struct reader *r, int at, struct piece text)
{
    if (at == WEEKDAYS && *text.at == '+') {
        r->plus = true;
        text.at++;
    }
    size_t length = (size_t)(text.end - text.at);
    if (length > 1 && memchr(text.at, '?', length))
        return complain_of_the_unknown(r, &fields[at], text);
    r->star[at] = text.at < text.end && (*text.at == '*' || *text.at == '?');
    struct piece item = {text.at, text.at};
    for (;; item.at = ++item.end) {
        while (item.end < text.end && *item.end != ',')
            item.end++;
        if (!read_item(r, at, item))
            return false;
        if (item.end == text.end)
            return true;
    }
}

// --- the whole ---

static bool split(struct reader *r, const char *text)
{
    int count = 0;
    while (is_space(*text))
        text++;
    while (*text) {
        struct piece part = {text, text};
        while (*part.end && !is_space(*part.end))
            part.end++;
        if (count < FIELDS)
            r->parts[count] = part;
        count++;
        for (text = part.end; is_space(*text);)
            text++;
    }
    r->part_count = count;
    if (count >= 5 && count <= FIELDS)
        return true;
    return complain(
        r,
        "a cron expression has 5 fields (minute hour day-of-month month day-of-week), 6 with "
        "seconds first or 7 with years last; this one has %d",
        count);
}

static bool expand_nickname(struct reader *r, const char **text)
{
    struct piece name = {*text, *text};
    while (is_space(*name.at))
        name.at++;
    if (*name.at != '@')
        return true;
    for (name.end = name.at; *name.end && !is_space(*name.end);)
        name.end++;
    const char *rest = name.end;
    while (is_space(*rest))
        rest++;
    for (size_t i = 0; i < sizeof nicknames / sizeof *nicknames; i++) {
        if (!equals_ignoring_case(nicknames[i].name, name))
            continue;
        if (memcmp(nicknames[i].name, name.at, (size_t)(name.end - name.at)) != 0)
            return complain(r, "nicknames are written in small letters: write %s",
                            nicknames[i].name);
        if (*rest)
            return complain(r, "%s stands alone: take away what follows it", nicknames[i].name);
        *text = nicknames[i].means;
        return true;
    }
    if (equals_ignoring_case("@reboot", name))
        return complain(
            r, "@reboot names no time and is not supported: a server that restarts would run "
               "the task again; write a time or @every");
    if (equals_ignoring_case("@every", name))
        return complain(r, "@every is followed by a duration, as in @every 15m");
    return complain(r,
                    "\"%s\" is not known: write @yearly, @annually, @monthly, @weekly, @daily, "
                    "@midnight, @hourly or @every with a duration",
                    quote(name).text);
}

// Why nothing ever matches. OCPS 1.0, 6.2 calls such an expression valid and without a next time: a
// task that never runs is a mistake, so it is refused here.
static bool complain_of_never(struct reader *r, const struct cron *cron)
{
    static const char *const names[] = {"January",   "February", "March",    "April",
                                        "May",       "June",     "July",     "August",
                                        "September", "October",  "November", "December"};
    int day = __builtin_ctz(cron->days), longest = 0, count = 0, month = 0;
    for (int m = 1; m <= 12; m++)
        if (cron->months >> m & 1) {
            int length = days_in_month(2000, m);
            longest = length > longest ? length : longest;
            month = m;
            count++;
        }
    if (day > longest && count == 1)
        return complain(r, "this never comes: %s never has %d days", names[month - 1], day);
    if (day > longest)
        return complain(r, "this never comes: none of these months has %d days", day);
    if (day == 29 && cron->months == 1 << 2 && cron->has_years && !cron->and_days)
        return complain(
            r, "this never comes: February has 29 days only in leap years, and none of these "
               "years is one");
    return complain(r,
                    "this never comes: the day of the month and the day of the week never meet in "
                    "these months and years");
}

static void fill(struct cron *cron, const struct reader *r)
{
    *cron = (struct cron){
        .seconds = r->bits[SECONDS][0],
        .minutes = r->bits[MINUTES][0],
        .hours = (uint32_t)r->bits[HOURS][0],
        .days = (uint32_t)r->bits[DAYS][0],
        .months = (uint16_t)r->bits[MONTHS][0],
        .weekdays = (uint8_t)r->bits[WEEKDAYS][0],
        .has_seconds = r->part_count >= 6,
        .has_years = r->part_count == 7,
        .day_is_star = r->star[DAYS],
        .weekday_is_star = r->star[WEEKDAYS],
        .and_days = r->plus,
        .elapsed = r->star[MINUTES] || r->star[HOURS],
    };
    memcpy(cron->years, r->bits[YEARS], sizeof cron->years);
}

static bool read_fields(struct reader *r)
{
    static const char any[] = "*", zero[] = "0";
    int first = r->part_count == 5 ? MINUTES : SECONDS, last = first + r->part_count;
    for (int at = SECONDS; at < FIELDS; at++) {
        struct piece text = at < first  ? (struct piece){zero, zero + 1}
                            : at < last ? r->parts[at - first]
                                        : (struct piece){any, any + 1};
        if (!read_field(r, at, text))
            return false;
    }
    return true;
}

enum status cron_parse(const char *text, struct cron *ret, char *ret_detail, size_t size)
{
    struct reader r = {.detail = ret_detail, .size = size};
    struct cron cron;
    int64_t first;
    bool ok = expand_nickname(&r, &text) && split(&r, text) && read_fields(&r);
    if (ok) {
        fill(&cron, &r);
        ok = cron_next_local(&cron, -SECOND, &first) || complain_of_never(&r, &cron);
    }
    if (!ok)
        return STATUS_INVALID;
    *ret = cron;
    return STATUS_OK;
}
