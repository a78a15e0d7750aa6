#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>

#include "explore.h"
#include "power.h"

#define SEEDS 100
#define POINTS 400 // at most, of each history

#define ALL_FILES ((1u << FILE_NAMES) - 1)

static const struct trick of_power[] = {
    {.name = "no sync does anything", .lies = ALL_FILES},
    {.name = "a sync of the log does nothing", .lies = 1u << FILE_LOG},
    {.name = "a sync of the main file does nothing", .lies = 1u << FILE_MAIN},
    {.name = "a sync of the folder does nothing", .folder_lies = true},
    {.name = "the answer leaves before the commit", .answers_early = true},
    {.name = "synchronous = NORMAL", .pragma = "PRAGMA synchronous = NORMAL"},
    {.name = "synchronous = OFF", .pragma = "PRAGMA synchronous = OFF"},
    {.name = "a turn commits in its middle", .halves = true},
    {.name = "a start answers from a log that it did not sync", .starts_unsynced = true},
    {.name = "a bit of the disk rots", .rots = true},
    {.name = "a start gives a fence out again",
     .sabotage = "UPDATE runs SET fence = fence - 1 WHERE state = 2"},
    {.name = "a start lets a final run go on",
     .sabotage = "UPDATE runs SET state = 0 WHERE state = 4"},
    {.name = "a start forgets an idempotency key",
     .sabotage = "DELETE FROM keys WHERE id = (SELECT max(id) FROM keys)"},
    {.name = "a start forgets the newest run",
     .sabotage = "DELETE FROM runs WHERE id = (SELECT max(id) FROM runs)"},
    {.name = "a start moves a cursor on", .sabotage = "UPDATE cursors SET next_at = next_at + 1"},
    {.name = "a start forgets an attempt",
     .sabotage = "DELETE FROM attempts WHERE number = 1 AND run_id = (SELECT max(run_id) FROM"
                 " attempts)"},
};

static const struct trick of_faults[] = {
    {.name = "work goes on after a failure", .forgives = true},
    {.name = "a commit that failed is answered", .trusts = true},
    {.name = "a broken store writes at its close", .writes_at_close = true},
};

static bool caught_by_power(const struct trick *trick)
{
    static struct tally tally;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct search search = {
            .points = POINTS, .only_point = -1, .shallow = true, .tally = &tally};
        struct history *h = history_new(seed, power_path(), trick);
        bool survived = history_live(h, 5) && explore(h, &search);
        if (!survived)
            printf("caught: %-40s seed %" PRIu64 ", %s: %s%s\n", trick->name, seed,
                   *h->problem ? "by the model" : "by an image", h->problem, search.problem);
        history_free(h);
        if (!survived)
            return true;
    }
    return false;
}

static bool caught_by_faults(const struct trick *trick)
{
    static const struct strike strikes[] = {{CALL_SYNC, 0, false, SQLITE_IOERR_FSYNC},
                                            {CALL_WRITE, 0, false, SQLITE_IOERR_WRITE}};
    char problem[700];
    for (size_t i = 0; i < sizeof strikes / sizeof *strikes; i++) {
        struct strike strike = strikes[i];
        bool reached = true, stopped;
        for (strike.nth = 1; reached; strike.nth++) {
            if (faults_try(&strike, trick, &reached, &stopped, problem, sizeof problem))
                continue;
            printf("caught: %-40s call %" PRId64 " of %s: %s\n", trick->name, strike.nth,
                   call_text(strike.call), problem);
            return true;
        }
    }
    return false;
}

static void judge(struct score *score, const struct trick *trick, bool caught)
{
    if (caught)
        score->passed++;
    else
        score->failed++;
    if (!caught)
        printf("SURVIVED: %s\n", trick->name);
}

struct score tricks_run(void)
{
    struct score score = {0};
    for (size_t i = 0; i < sizeof of_power / sizeof *of_power; i++)
        judge(&score, &of_power[i], caught_by_power(&of_power[i]));
    for (size_t i = 0; i < sizeof of_faults / sizeof *of_faults; i++)
        judge(&score, &of_faults[i], caught_by_faults(&of_faults[i]));
    return score;
}
