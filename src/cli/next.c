#include "cli/next.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/now.h"
#include "base/writer.h"
#include "cli/next_batch.h"

enum { EXIT_OK, EXIT_WRONG, EXIT_USAGE };

static const char help[] =
    "Usage: punctual next EXPRESSION [--timezone ZONE] [--from TIME] [--count N] [--json]\n"
    "       punctual next --batch\n"
    "\n"
    "Shows when a cron expression comes next, with the daylight saving rule that applies. Needs no "
    "server.\n"
    "\n"
    "  EXPRESSION          5 fields, 6 with seconds first, 7 with years last; @daily and the like; "
    "@every 15m\n"
    "  --timezone ZONE     such as Europe/Berlin (default: UTC)\n"
    "  --from TIME         an instant such as 2026-03-28T00:00:00+01:00 (default: now); what comes "
    "after it is shown\n"
    "  --count N           how many, 1 to 10000 (default: 5)\n"
    "  --dst-gap RULE      a time that the clock jumps over: run (default, at the gap's end) or "
    "skip\n"
    "  --dst-overlap RULE  a time that comes twice: first (default) or both\n"
    "  --json              one JSON object instead of lines\n"
    "  --batch             answers one JSON object a line on standard input with one a line on "
    "standard output;\n"
    "                      without \"from\" it begins now, without \"count\" it gives one\n"
    "\n"
    "Examples:\n"
    "  punctual next \"30 2 * * *\" --timezone Europe/Berlin --from 2026-03-27T12:00:00+01:00 "
    "--count 3\n"
    "  punctual next \"0 9 * * MON-FRI\" --timezone America/New_York\n"
    "  punctual next \"@every 15m\" --json\n"
    "  echo '{\"cron\": \"0 0 1 * *\", \"timezone\": \"UTC\", \"from\": \"2026-01-01T00:00:00Z\", "
    "\"count\": 2}' |\n"
    "      punctual next --batch\n"
    "\n"
    "Exit codes: 0 done, 1 the expression or its time zone is wrong, 2 wrong usage.\n";

struct wish {
    const char *expression, *timezone, *gap, *overlap;
    wall from;
    long count;
    bool json, batch, help;
};

__attribute__((format(printf, 1, 2))) static bool usage(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("punctual next: ", stderr);
    vfprintf(stderr, format, arguments);
    fputs("\nSee punctual next --help.\n", stderr);
    va_end(arguments);
    return false;
}

static bool read_from(struct wish *wish, const char *text)
{
    return wall_parse(text, strlen(text), &wish->from) == STATUS_OK ||
           usage(
               "--from is an instant with its offset such as 2026-03-28T00:00:00+01:00, not \"%s\"",
               text);
}

static bool read_count(struct wish *wish, const char *text)
{
    char *end;
    wish->count = strtol(text, &end, 10);
    return (end != text && !*end && wish->count >= 1 && wish->count <= NEXT_COUNT_MAX) ||
           usage("--count is a number from 1 to %d, not \"%s\"", NEXT_COUNT_MAX, text);
}

static bool read_options(int argc, char **argv, struct wish *wish)
{
    static const struct option options[] = {{"timezone", required_argument, NULL, 'z'},
                                            {"from", required_argument, NULL, 'f'},
                                            {"count", required_argument, NULL, 'n'},
                                            {"dst-gap", required_argument, NULL, 'g'},
                                            {"dst-overlap", required_argument, NULL, 'o'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"batch", no_argument, NULL, 'b'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    int option;
    bool ok = true;
    optind = 0; // starts getopt anew
    opterr = 0;
    while (ok && (option = getopt_long(argc, argv, ":z:f:n:h", options, NULL)) != -1)
        switch (option) {
        case 'z':
            wish->timezone = optarg;
            break;
        case 'f':
            ok = read_from(wish, optarg);
            break;
        case 'n':
            ok = read_count(wish, optarg);
            break;
        case 'g':
            wish->gap = optarg;
            break;
        case 'o':
            wish->overlap = optarg;
            break;
        case 'j':
            wish->json = true;
            break;
        case 'b':
            wish->batch = true;
            break;
        case 'h':
            wish->help = true;
            break;
        case ':':
            ok = usage("%s needs a value", argv[optind - 1]);
            break;
        default:
            ok = usage("%s is not an option here", argv[optind - 1]);
        }
    if (!ok || wish->help)
        return ok;
    if (wish->batch)
        return optind == argc || usage("--batch takes its expressions from standard input");
    if (argc - optind == 1)
        wish->expression = argv[optind];
    return wish->expression ||
           usage(argc == optind ? "which expression?"
                                : "one expression, in quotes: punctual next \"30 2 * * *\"");
}

// --- one expression ---

static void show_lines(const struct schedule *schedule, const struct wish *wish)
{
    static const char *const weekdays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    struct occurrence at = {.nominal = wish->from};
    long left = wish->count;
    for (; left && next_occurrence(schedule, at.nominal, true, &at); left--) {
        char text[NEXT_TEXT];
        int64_t local = at.nominal.us + zone_offset(schedule->zone, at.nominal, NULL) * SECOND;
        const char *note = dst_note_text(at.dst);
        next_format(schedule->zone, at.nominal, text);
        printf("%s  %s%s%s\n", text, weekdays[weekday_from_days(local / DAY)], *note ? "  " : "",
               note);
    }
    if (left == wish->count)
        puts("No occurrence is left.");
}

static void show_json(const struct schedule *schedule, const struct wish *wish)
{
    struct buffer out;
    struct occurrence at = {.nominal = wish->from};
    buffer_init(&out, 4 << 20);
    struct writer w = writer_on(&out);
    writer_object(&w);
    member_text(&w, "expression", wish->expression);
    member_text(&w, "timezone", zone_name(schedule->zone));
    member_array(&w, "next");
    for (long left = wish->count; left && next_occurrence(schedule, at.nominal, true, &at);
         left--) {
        char text[NEXT_TEXT];
        next_format(schedule->zone, at.nominal, text);
        writer_object(&w);
        member_text(&w, "at", text);
        member_bool(&w, "skipped", at.dst == DST_SKIPPED);
        member_text(&w, "dst", at.dst == DST_NONE ? NULL : dst_note_text(at.dst));
        writer_end_object(&w);
    }
    writer_end_array(&w);
    writer_end_object(&w);
    puts(buffer_string(&out));
    buffer_done(&out);
}

static void put(json_t *object, const char *field, const char *text)
{
    // A text that is not UTF-8 is no JSON text: an empty one is refused by the decoder in its own
    // words.
    if (text && json_object_set_new(object, field, json_string(text)) != 0)
        json_object_set_new(object, field, json_string(""));
}

static int show(const struct wish *wish)
{
    json_t *object = json_object();
    struct faults faults = {0};
    struct schedule schedule;
    put(object, "cron", wish->expression);
    put(object, "timezone", wish->timezone);
    put(object, "dst_gap", wish->gap);
    put(object, "dst_overlap", wish->overlap);
    enum status status = schedule_decode(object, "", NULL, &faults, &schedule);
    if (status == STATUS_OK) {
        (wish->json ? show_json : show_lines)(&schedule, wish);
        schedule_done(&schedule);
    }
    for (size_t i = 0; i < faults_kept(&faults); i++) {
        const char *where = faults.items[i].pointer;
        fprintf(stderr, "punctual next: %s%s%s\n", *where ? where + 1 : "", *where ? ": " : "",
                faults.items[i].detail);
    }
    faults_done(&faults);
    json_decref(object);
    return status == STATUS_OK ? EXIT_OK : EXIT_WRONG;
}

int next_command(int argc, char **argv)
{
    struct wish wish = {.from = wall_now(), .count = 5};
    int code = EXIT_OK;
    if (!read_options(argc, argv, &wish))
        code = EXIT_USAGE;
    else if (wish.help)
        fputs(help, stdout);
    else if (wish.batch)
        code =
            next_batch(STDIN_FILENO, STDOUT_FILENO, wish.from) == STATUS_OK ? EXIT_OK : EXIT_WRONG;
    else
        code = show(&wish);
    return code;
}
