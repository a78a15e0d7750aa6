#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/nearest.h"
#include "cli/next.h"
#include "cli/screen.h"
#include "cli/text.h"

static const struct command commands[] = {
    {"apply", "apply [FILE] [--prune] [--note TEXT] [--dry-run]",
     "define the tasks of a file on the server", apply_run, apply_options,
     "FILE is punctual.yaml where not said, - is standard input. ${NAME} in the file is taken from "
     "the environment "
     "of this command. All of the file is applied or nothing; exit code 1 when a definition is "
     "wrong.",
     "punctual apply\n"
     "punctual apply ops/punctual.yaml --prune --note \"release 42\"\n"},
    {"diff", "diff [FILE] [--prune]", "what apply would change; exit code 1 when it would",
     diff_run, diff_options,
     "Exit code 0 when there is no difference, 1 when there is one or a definition is wrong.",
     "punctual diff\n"
     "punctual diff ops/punctual.yaml --prune || echo \"not in step\"\n"},
    {"tasks", "tasks [--limit N]", "list the tasks", tasks_run, tasks_options, NULL,
     "punctual tasks\n"
     "punctual tasks --json | jq -r '.tasks[].name'\n"},
    {"task", "task NAME [--runs N]", "one task: when it runs, how it does, its runbook", task_run,
     task_options, NULL, "punctual task nightly-invoices\n"},
    {"runs", "runs [--task NAME] [--state STATE] [--from WHEN] [--to WHEN] [--limit N]",
     "list runs, the newest first", runs_run, runs_options, NULL,
     "punctual runs --state failed --from 24h\n"
     "punctual runs --task nightly-invoices --limit 100\n"},
    {"run", "run ID", "one run and its attempts", run_run, run_options, NULL,
     "punctual run run_0c4x9k2m1p7qz\n"},
    {"trigger",
     "trigger NAME [--payload JSON] [--delay DURATION | --at WHEN] [--priority 0-9] [--wait]",
     "run a task now, or once later", trigger_run, trigger_options, NULL,
     "punctual trigger nightly-invoices --wait\n"
     "punctual trigger nightly-invoices --payload '{\"kind\": \"monthly\"}' --delay 10m\n"},
    {"pause", "pause NAME --reason TEXT", "keep a task from starting", pause_run, pause_options,
     NULL, "punctual pause nightly-invoices --reason \"the database moves\"\n"},
    {"resume", "resume NAME", "let a paused task start again", resume_run, resume_options, NULL,
     "punctual resume nightly-invoices\n"},
    {"cancel", "cancel ID [--reason TEXT]", "end a run that is not over", cancel_run,
     cancel_options, NULL, "punctual cancel run_0c4x9k2m1p7qz\n"},
    {"retry", "retry ID [--wait]", "make a new run of one that is over", retry_run, retry_options,
     NULL, "punctual retry run_0c4x9k2m1p7qz --wait\n"},
    {"dead",
     "dead [retry | discard] [ID ...] [--task NAME] [--reason TEXT] [--from WHEN] [--to WHEN] "
     "[--limit N] [--all] [--max N] [--note TEXT] [--dry-run]",
     "list the failed runs that nobody has dealt with; retry or discard them", dead_run,
     dead_options,
     "A retry makes a new run linked to the old, which stays failed and leaves the list. More than "
     "1,000 at once need --max.",
     "punctual dead --task nightly-invoices\n"
     "punctual dead retry run_0c4x9k2m1p7qz\n"
     "punctual dead retry --reason \"503\" --from 2h --dry-run\n"
     "punctual dead discard --task old-report --note \"nobody reads it\"\n"},
    {"checkin",
     "checkin NAME [--start | --failure] [--message TEXT] [--duration DURATION] [--run ID]",
     "say that the job of a monitor has started, succeeded or failed", checkin_run, checkin_options,
     "Without --start or --failure it has succeeded. A job that cannot reach the server should run "
     "all the same: exit code 3 says so.",
     "punctual checkin nightly-backup --start\n"
     "./backup.sh && punctual checkin nightly-backup || punctual checkin nightly-backup "
     "--failure\n"},
    {"rollback", "rollback NAME [--revision N] [--note TEXT]",
     "make an earlier revision of a task the newest", rollback_run, rollback_options, NULL,
     "punctual rollback nightly-invoices\n"
     "punctual rollback nightly-invoices --revision 3 --note \"wrong endpoint\"\n"},
    {"queues", "queues", "what waits in the queues, and who works", queues_run, queues_options,
     NULL,
     "punctual queues\n"
     "punctual queues --json | jq '.queues[] | select(.due > 100)'\n"},
    {"events", "events [--task NAME] [--after ID]", "follow what happens, a line each", events_run,
     events_options,
     "Connects again by itself and misses nothing. Times are UTC. With --json one object per line. "
     "Ctrl-C ends it.",
     "punctual events\n"
     "punctual events --json --after 1042-0\n"},
    {"audit", "audit [--from WHEN] [--to WHEN] [--task NAME] [--store PATH]",
     "hold what was due against what is recorded", audit_run, audit_options,
     "Recomputes what was due from the definitions and their edits, looks for the run of each "
     "occurrence, looks over runs and attempts, and checks the books. Exit code 0 when all is as "
     "promised, 1 when there is a difference.",
     "punctual audit --from 24h\n"
     "punctual audit --task nightly-invoices --from 2026-03-01T00:00:00Z\n"
     "punctual audit --store /var/lib/punctual/punctual.db --from 30d --json\n"},
    {"next", "next EXPRESSION [--timezone ZONE] [--from TIME] [--count N]",
     "when a cron expression comes; needs no server", next_command, NULL, NULL, NULL},
    {"version", "version", "print the version", version_run, version_options, NULL, NULL},
};
#define COMMANDS (sizeof commands / sizeof *commands)

static const char exit_codes[] =
    "  0    done\n"
    "  1    the answer is no: a failed run, a difference, a wrong definition\n"
    "  2    the command line makes no sense\n"
    "  3    the server cannot be reached\n"
    "  4    the server refused\n"
    "  5    the server is in trouble\n"
    "  130  interrupted\n";

// The command at a place of both tables joined, the roof's first; NULL behind the last.
static const struct command *command_at(const struct command *more, size_t count, size_t at)
{
    if (at < count)
        return &more[at];
    return at - count < COMMANDS ? &commands[at - count] : NULL;
}

static const struct command *find_command(const struct command *more, size_t count,
                                          const char *name)
{
    const struct command *command;
    for (size_t i = 0; (command = command_at(more, count, i)); i++)
        if (strcmp(command->name, name) == 0)
            return command;
    return NULL;
}

static void show_overview(struct screen *screen, const struct command *more, size_t count)
{
    screen_line(screen, 0, PLAIN,
                "punctual runs scheduled tasks reliably, and shows what happened.");
    screen_heading(screen, "usage");
    screen_line(screen, 2, PLAIN, "punctual COMMAND [ARGUMENT ...] [--json] [--url URL]");
    screen_heading(screen, "commands");
    const struct command *command;
    for (size_t i = 0; (command = command_at(more, count, i)); i++)
        screen_field(screen, command->name, command->summary);
    screen_field(screen, "help", "this page; `punctual help COMMAND` says more, with examples");
    screen_heading(screen, "environment");
    screen_line(screen, 2, PLAIN,
                "PUNCTUAL_URL      the server; http://127.0.0.1:8640 where not set");
    screen_line(screen, 2, PLAIN, "PUNCTUAL_API_KEY  the key, where the server asks for one");
    screen_line(screen, 2, PLAIN,
                "PUNCTUAL_AUTHOR   who asks, for the record; user@host where not set");
    screen_line(screen, 2, PLAIN, "NO_COLOR          no colours");
    screen_heading(screen, "exit codes");
    buffer_text(&screen->out, exit_codes);
    screen_heading(screen, "examples");
    buffer_text(&screen->out, "  punctual apply punctual.yaml\n"
                              "  punctual trigger nightly-invoices --wait\n"
                              "  punctual runs --state failed --from 24h\n");
}

static int label_width(const struct option_rule *rules)
{
    int widest = 0;
    for (; rules->name; rules++) {
        int width = (int)(strlen(rules->name) + (rules->value ? 1 + strlen(rules->value) : 0)) + 2;
        widest = width > widest ? width : widest;
    }
    return widest;
}

// "  --name VALUE  what it does", the explanations below each other and wrapped, so that nothing is
// cut.
static void show_options(struct screen *screen, const struct option_rule *rules, int width)
{
    for (; rules->name; rules++) {
        char label[64];
        snprintf(label, sizeof label, "--%s%s%s", rules->name, rules->value ? " " : "",
                 rules->value ? rules->value : "");
        buffer_format(&screen->out, "  %-*s  ", width, label);
        text_wrap(&screen->out, rules->help, 2 + width + 2, screen->width);
        buffer_byte(&screen->out, '\n');
    }
}

static void show_command(struct screen *screen, const struct command *command)
{
    screen_line(screen, 0, PLAIN, "punctual %s: %s", command->name, command->summary);
    screen_heading(screen, "usage");
    screen_line(screen, 2, PLAIN, "punctual %s", command->usage);
    if (command->about) {
        buffer_byte(&screen->out, '\n');
        screen_line(screen, 2, PLAIN, "%s", command->about);
    }
    if (command->options) {
        screen_heading(screen, "options");
        int own = label_width(command->options), common = label_width(options_common);
        show_options(screen, command->options, own > common ? own : common);
        show_options(screen, options_common, own > common ? own : common);
    }
    if (command->examples) {
        screen_heading(screen, "examples");
        for (const char *line = command->examples; *line; line = strchr(line, '\n') + 1)
            screen_line(screen, 2, PLAIN, "%.*s", (int)strcspn(line, "\n"), line);
    }
}

static int say_unknown(const char *name, const struct command *more, size_t count)
{
    struct screen screen;
    struct nearest nearest = nearest_to(name);
    const struct command *command;
    screen_init(&screen, stderr, WALL_NONE);
    for (size_t i = 0; (command = command_at(more, count, i)); i++)
        nearest_try(&nearest, command->name);
    nearest_try(&nearest, "help");
    if (nearest.best)
        screen_line(&screen, 0, PLAIN, "punctual: there is no command \"%s\"; did you mean \"%s\"?",
                    name, nearest.best);
    else
        screen_line(&screen, 0, PLAIN, "punctual: there is no command \"%s\"", name);
    screen_line(&screen, 0, DIM, "`punctual help` lists them.");
    screen_done(&screen);
    return LEAVE_USAGE;
}

static int help(const char *name, const struct command *more, size_t count)
{
    const struct command *command = name ? find_command(more, count, name) : NULL;
    if (name && !command && strcmp(name, "help") != 0)
        return say_unknown(name, more, count);
    if (command && !command->options && !command->about && !command->examples)
        return command->run(2, (char *[]){(char *)command->name, "--help", NULL});
    struct screen screen;
    screen_init(&screen, stdout, WALL_NONE);
    if (command)
        show_command(&screen, command);
    else
        show_overview(&screen, more, count);
    screen_done(&screen);
    return LEAVE_OK;
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (is_help(argv[i]))
            return true;
    return false;
}

int cli_main(int argc, char **argv, const struct command *more, size_t count)
{
    const char *name = argc > 1 ? argv[1] : "help";
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
        return version_run(1, (char *[]){"version", NULL});
    if (strcmp(name, "help") == 0 || is_help(name))
        return help(argc > 2 && !is_help(argv[2]) ? argv[2] : NULL, more, count);
    const struct command *command = find_command(more, count, name);
    if (!command)
        return say_unknown(name, more, count);
    if (asks_for_help(argc - 1, argv + 1))
        return help(name, more, count);
    return command->run(argc - 1, argv + 1);
}
