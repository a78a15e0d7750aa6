#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "explore.h"
#include "power.h"

#define LIVES 5
#define SHOWN 12 // operations shown before a point that is replayed

static void count_history(struct tally *tally, const struct history *h)
{
    tally->histories++;
    tally->lives += h->count.lives;
    tally->turns += h->count.turns;
    tally->checkpoints += h->count.checkpoints;
    tally->begun_anew += h->count.begun_anew;
    tally->cut_off += h->count.cut_off;
    tally->kills += h->count.kills;
    tally->cuts += h->count.cuts;
}

static void say_violation(const struct history *h, const struct search *search)
{
    if (*h->problem)
        printf("VIOLATION at seed %" PRIu64 ": %s\n  again with: power replay %" PRIu64 " 0\n",
               h->seed, h->problem, h->seed);
    else
        printf("VIOLATION at seed %" PRIu64 ", point %" PRId64
               ": %s\n  again with: power replay %" PRIu64 " %" PRId64 "\n",
               h->seed, search->ret_point, search->problem, h->seed, search->ret_point);
}

static bool try_seed(uint64_t seed, struct tally *tally)
{
    struct search search = {.only_point = -1, .tally = tally};
    struct history *h = history_new(seed, power_path(), NULL);
    bool well = history_live(h, LIVES) && explore(h, &search);
    count_history(tally, h);
    if (!well)
        say_violation(h, &search);
    history_free(h);
    return well;
}

// --- several processes, each with seeds of its own ---

struct part {
    struct tally tally;
    struct score score; // of histories
};

static void work(int to, int64_t points, uint64_t seed, uint64_t step)
{
    static struct part part;
    for (; part.tally.points < points; seed += step)
        if (try_seed(seed, &part.tally))
            part.score.passed++;
        else
            part.score.failed++;
    fflush(stdout);
    if (write(to, &part, sizeof part) != sizeof part)
        _exit(1);
    _exit(0);
}

// A struct of nothing but int64_t, added up.
static void add_tally(struct tally *sum, const struct tally *more)
{
    int64_t *to = (int64_t *)sum;
    const int64_t *from = (const int64_t *)more;
    for (size_t i = 0; i < sizeof *sum / sizeof *to; i++)
        to[i] += from[i];
}

static void say_tally(const struct tally *t)
{
    printf("histories %" PRId64 ", lives %" PRId64 ", turns %" PRId64 ", checkpoints %" PRId64
           " (log begun anew %" PRId64 ", cut off %" PRId64 "), kills %" PRId64
           ", power cuts lived through %" PRId64 "\n",
           t->histories, t->lives, t->turns, t->checkpoints, t->begun_anew, t->cut_off, t->kills,
           t->cuts);
    printf("crash points %" PRId64 ", after", t->points);
    for (int i = 0; i < OP_TRYING; i++)
        if (t->by_op[i])
            printf(" %s %" PRId64, op_kind_text((enum op_kind)i), t->by_op[i]);
    printf("\nimages %" PRId64 ", not synced", t->images);
    for (int i = 0; i < CUTS; i++)
        printf("%s %s %" PRId64, i ? "," : "", cut_text((enum cut)i), t->by_cut[i]);
    printf("\nheld the answered turn %" PRId64 ", the one under way %" PRId64 "; lived on %" PRId64
           "\n",
           t->found_answered, t->found_trying, t->relived);
}

// What a run of any size has to have met, or it proves less than it says.
static void check_reach(const struct tally *t, struct score *score)
{
    const struct {
        const char *what;
        int64_t count;
    } rows[] = {
        {"a log that began anew", t->begun_anew},
        {"a log that was cut off", t->cut_off},
        {"a killed process", t->kills},
        {"a power cut lived through", t->cuts},
        {"an image with a turn that was under way", t->found_trying},
        {"an image that lived on", t->relived},
        {"a point after a delete", t->by_op[OP_DELETE]},
        {"a point after a sync of the folder", t->by_op[OP_FOLDER]},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (rows[i].count) {
            score->passed++;
            continue;
        }
        printf("never met: %s\n", rows[i].what);
        score->failed++;
    }
}

struct score points_run(int64_t points, uint64_t seed, int jobs)
{
    struct part sum = {0};
    int pipes[2];
    if (pipe(pipes) != 0)
        abort();
    fflush(stdout);
    for (int i = 0; i < jobs; i++)
        if (fork() == 0)
            work(pipes[1], (points + jobs - 1) / jobs, seed + (uint64_t)i, (uint64_t)jobs);
    close(pipes[1]);
    for (int i = 0; i < jobs; i++) {
        struct part part;
        int status = -1;
        if (read(pipes[0], &part, sizeof part) == sizeof part) {
            add_tally(&sum.tally, &part.tally);
            sum.score.passed += part.score.passed;
            sum.score.failed += part.score.failed;
        }
        if (wait(&status) < 0 || status != 0) {
            printf("a process ended with %d\n", status);
            sum.score.failed++;
        }
    }
    close(pipes[0]);
    say_tally(&sum.tally);
    check_reach(&sum.tally, &sum.score);
    return sum.score;
}

// --- one point again ---

static void say_op(const struct op *op)
{
    printf("  %-12s", op_kind_text(op->kind));
    if (op->kind >= OP_TRYING)
        printf(" turn %" PRId64, op->at);
    else if (op->kind != OP_FOLDER && op->kind != OP_REPLACED)
        printf(" %-8s inode %d at %" PRId64 " size %zu", file_name_text(op->name), op->inode,
               op->at, op->size);
    printf("\n");
}

struct score points_replay(uint64_t seed, int64_t point)
{
    static struct tally tally;
    struct search search = {.only_point = point, .tally = &tally};
    struct history *h = history_new(seed, power_path(), NULL);
    bool well = history_live(h, LIVES);
    int64_t at = 0;
    for (size_t i = 0; i < h->disk->op_count && at < point; i++) {
        at += h->disk->ops[i].kind < OP_TRYING;
        if (at > point - SHOWN)
            say_op(&h->disk->ops[i]);
    }
    well = well && explore(h, &search);
    if (!well)
        say_violation(h, &search);
    history_free(h);
    return (struct score){well, !well};
}
