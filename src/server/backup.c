#include "server/backup.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/now.h"
#include "base/writer.h"
#include "cli/leave.h"
#include "store/backup.h"

const struct option_rule backup_options[] = {
    {"store", "PATH", "the server's database file; else PUNCTUAL_STORE, else punctual.db"},
    {0},
};
const struct option_rule restore_options[] = {
    {"store", "PATH", "where the store is to be; else PUNCTUAL_STORE, else punctual.db"},
    {"force", NULL, "move the store that is there aside"},
    {0},
};

// Reads the arguments of either: one word, and where the store is.
static bool read_arguments(int argc, char **argv, const struct option_rule *rules, const char *word,
                           struct options *ret, const char **ret_store)
{
    char why[300];
    if (options_read(ret, rules, word, argc, argv, why, sizeof why) != STATUS_OK) {
        fprintf(stderr, "punctual: %s\n  `punctual help %s` shows how it is used.\n", why, argv[0]);
        return false;
    }
    const char *given = options_text(ret, "store"), *set = getenv("PUNCTUAL_STORE");
    *ret_store = given ? given : set && *set ? set : "punctual.db";
    return true;
}

static int leave_with(enum status status, const char *why)
{
    fprintf(stderr, "punctual: %s\n", why);
    return status == STATUS_FAILED ? LEAVE_TROUBLE : LEAVE_REFUSED;
}

static void write_copied(struct writer *w, const struct backup_result *copied)
{
    member_int(w, "tasks", copied->tasks);
    member_int(w, "runs", copied->runs);
    member_int(w, "attempts", copied->attempts);
    member_int(w, "bytes", copied->bytes);
    member_int(w, "schema", copied->schema);
}

static void print_buffer(struct buffer *text)
{
    puts(buffer_string(text));
    buffer_done(text);
}

// --- backup ---

static void show_backup(const struct options *options, const char *store, const char *to,
                        const struct backup_result *copied)
{
    if (!options_flag(options, "json")) {
        printf("%s is now in %s: %lld tasks, %lld runs, %lld attempts, %.1f MB, verified.\n", store,
               to, (long long)copied->tasks, (long long)copied->runs, (long long)copied->attempts,
               (double)copied->bytes / 1e6);
        return;
    }
    struct buffer text;
    buffer_init(&text, 64 << 10);
    struct writer w = writer_on(&text);
    writer_object(&w);
    write_copied(&w, copied);
    writer_end_object(&w);
    print_buffer(&text);
}

int backup_command(int argc, char **argv)
{
    struct options options;
    const char *store;
    if (!read_arguments(argc, argv, backup_options, "TO", &options, &store))
        return LEAVE_USAGE;
    const char *to = options_word(&options, 0);
    struct backup_result copied;
    char why[600];
    enum status status = backup_make(store, to, &copied, why, sizeof why);
    if (status != STATUS_OK)
        return leave_with(status, why);
    show_backup(&options, store, to, &copied);
    return LEAVE_OK;
}

// --- restore ---

static void show_restore(const struct options *options, const char *store, const char *from,
                         const struct restore_result *restored)
{
    const struct backup_result *copied = &restored->copied;
    if (!options_flag(options, "json")) {
        printf("%s is restored from %s: %lld tasks, %lld runs, %lld attempts, verified.\n", store,
               from, (long long)copied->tasks, (long long)copied->runs,
               (long long)copied->attempts);
        if (restored->running)
            printf("%lld runs were under way then: at the next start their attempts count as "
                   "lost.\n",
                   (long long)restored->running);
        printf("Fences go on from %lld: reports of attempts from before are refused.\n",
               (long long)restored->fence_base);
        if (*restored->aside)
            printf("The store that was there is now %s.\n", restored->aside);
        return;
    }
    struct buffer text;
    buffer_init(&text, 64 << 10);
    struct writer w = writer_on(&text);
    writer_object(&w);
    write_copied(&w, copied);
    member_int(&w, "running", restored->running);
    member_int(&w, "fence_base", restored->fence_base);
    member_text(&w, "aside", *restored->aside ? restored->aside : NULL);
    writer_end_object(&w);
    print_buffer(&text);
}

int restore_command(int argc, char **argv)
{
    struct options options;
    const char *store;
    if (!read_arguments(argc, argv, restore_options, "FROM", &options, &store))
        return LEAVE_USAGE;
    const char *from = options_word(&options, 0);
    struct restore_result restored;
    char why[600];
    enum status status = backup_restore(from, store, options_flag(&options, "force"), wall_now(),
                                        &restored, why, sizeof why);
    if (status != STATUS_OK)
        return leave_with(status, why);
    show_restore(&options, store, from, &restored);
    return LEAVE_OK;
}
