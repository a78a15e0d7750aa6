// Whole histories: how lives begin, what happens between turns, how they end.
#include <stdlib.h>

#include "history.h"
#include "inspect.h"
#include "platter.h"

static int64_t below(struct history *h, int64_t bound)
{
    return random_below(&h->chance, bound);
}

// A reader that stays: the log may not begin anew, and a checkpoint moves only a part.
static void stay_on_page(struct history *h)
{
    if (sqlite3_open_v2(h->path, &h->old_page, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK ||
        sqlite3_exec(h->old_page, "BEGIN; SELECT count(*) FROM runs", NULL, NULL, NULL) !=
            SQLITE_OK)
        history_violation(h, "a reader cannot read: %s", sqlite3_errmsg(h->old_page));
    sqlite3_db_config(h->old_page, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
}

static void leave_page(struct history *h)
{
    sqlite3_close(h->old_page);
    h->old_page = NULL;
}

static enum status spend_turn(struct history *h)
{
    enum status status = STATUS_OK;
    int64_t event = below(h, 24);
    if (event == 0 && !h->old_page)
        stay_on_page(h);
    else if (event < 4 && h->old_page)
        leave_page(h);
    else if (event < 8)
        status = history_checkpoint(h, event == 4);
    return status == STATUS_OK ? history_turn(h) : status;
}

// The power goes: of what was not synced some is there, whole or torn. It comes back.
static void lose_power(struct history *h)
{
    struct platter *platter = platter_new(&h->base);
    struct image image;
    for (size_t i = 0; i < h->disk->op_count; i++)
        platter_follow(platter, &h->disk->ops[i]);
    platter_cut(platter, (enum cut)below(h, CUTS), &h->chance, &image);
    history_kill(h);
    disk_replace(h->disk, &image);
    image_done(&image);
    platter_free(platter);
    h->count.cuts++;
}

static void be_killed(struct history *h)
{
    history_kill(h);
    h->count.kills++;
}

static void be_closed(struct history *h)
{
    history_close(h);
    h->disk->dies_after = -1;
    h->disk->dead = false;
}

static void end_life(struct history *h)
{
    static void (*const ends[])(struct history *) = {be_closed, be_killed, lose_power};
    // Half the lives end in the middle of something: a turn, a checkpoint, the closing.
    if (below(h, 2)) {
        h->disk->dies_after = below(h, 60);
        for (int i = 0; i < 3 && h->store && !h->disk->dead; i++)
            if (spend_turn(h) != STATUS_OK && !h->disk->dead)
                history_violation(h, "a turn failed on a sound disk: %s", store_problem(h->store));
    }
    ends[below(h, 3)](h);
}

static bool begin_life(struct history *h)
{
    h->small_cache = below(h, 3) == 0;
    if (below(h, 3) == 0) { // one that dies while it opens
        h->disk->dies_after = below(h, 30);
        enum status status = history_open(h);
        if (status != STATUS_OK || h->disk->dead) {
            be_killed(h);
            if (below(h, 2))
                lose_power(h);
        }
        h->disk->dies_after = -1;
    }
    if (!h->store && !*h->problem)
        history_open(h);
    return !*h->problem;
}

bool history_live(struct history *h, int lives)
{
    for (int life = 0; life < lives && begin_life(h); life++) {
        int64_t turns = 5 + below(h, 12);
        for (int64_t i = 0; i < turns && !*h->problem; i++)
            if (spend_turn(h) != STATUS_OK)
                history_violation(h, "a turn failed on a sound disk: %s", store_problem(h->store));
        if (*h->problem)
            break;
        end_life(h);
    }
    history_kill(h);
    return !*h->problem;
}
