#include "explore.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/map.h"
#include "inspect.h"
#include "vfs.h"

// One in so many images lives on, and its life is cut at so many points.
#define RELIVED 64
#define RELIVED_POINTS 12

// --- one image ---

// What a store that has just come up holds.
static bool holds(const struct history *h, struct store *store, int64_t answered, int64_t trying,
                  int64_t *ret_found, char *problem, size_t size)
{
    char value[40] = "0", why[400];
    enum status status = store_get_setting(store, "serial", value, sizeof value);
    int64_t found = atoll(value);
    if (status != STATUS_OK && status != STATUS_NOT_FOUND) {
        snprintf(problem, size, "cannot be read: %s", store_problem(store));
        return false;
    }
    if (!inspect_check(inspect_handle(store), why, sizeof why)) {
        snprintf(problem, size, "%s", why);
        return false;
    }
    if (found != answered && (!trying || found != trying)) {
        snprintf(problem, size,
                 "turn %" PRId64 " was answered, %" PRId64 " was under way, and %" PRId64
                 " is what is there",
                 answered, trying, found);
        return false;
    }
    const struct model *model = h->models[found];
    if (model->whole && inspect_hash(inspect_handle(store)) != model->whole) {
        snprintf(problem, size, "turn %" PRId64 " is there, and not whole", found);
        return false;
    }
    if (!model->whole && !model_check(model, store, why, sizeof why)) {
        snprintf(problem, size, "turn %" PRId64 ": %s", found, why);
        return false;
    }
    *ret_found = found;
    return true;
}

bool explore_image(const struct history *h, const struct image *image, int64_t answered,
                   int64_t trying, int64_t *ret_found, char *problem, size_t size)
{
    char why[500] = "";
    struct store *store = NULL;
    struct disk *disk = disk_from(image);
    vfs_mount(disk, h->path, h->seed);
    bool well = store_open_sqlite(h->path, &store, why, sizeof why) == STATUS_OK;
    if (!well)
        snprintf(problem, size, "cannot be opened: %s", why);
    else
        well = holds(h, store, answered, trying, ret_found, problem, size);
    disk->dead = true; // closing would only write
    store_close(store);
    disk_free(disk);
    return well;
}

// --- every point of a history ---

struct walk {
    const struct history *h;
    struct search *search;
    struct platter *platter;
    int64_t point;            // how many operations of the disk so far
    int64_t answered, trying; // what may be found now
};

// The image lives on for some turns; then that life is cut at some of its points.
static bool live_on(struct walk *w, const struct image *image, int64_t found, uint64_t seed)
{
    struct search deeper = {
        .points = RELIVED_POINTS, .only_point = -1, .shallow = true, .tally = w->search->tally};
    struct history *next = history_from(w->h, image, found, seed);
    bool well = history_live(next, 1) && explore(next, &deeper);
    if (!well)
        snprintf(w->search->problem, sizeof w->search->problem, "living on: %.400s%.400s",
                 next->problem, deeper.problem);
    w->search->tally->relived++;
    history_free(next);
    return well;
}

// Somewhere behind the header of the main file.
static void rot(struct image *image, struct random *chance)
{
    size_t size = image->files[FILE_MAIN].size;
    if (size > 4096)
        image->files[FILE_MAIN].bytes[4096 + random_below(chance, (int64_t)size - 4096)] ^= 1;
}

static bool try_cut(struct walk *w, enum cut cut, uint64_t seed)
{
    struct tally *tally = w->search->tally;
    struct random chance;
    struct image image;
    int64_t found = 0;
    char why[600];
    random_seed(&chance, seed);
    platter_cut(w->platter, cut, &chance, &image);
    if (w->h->trick && w->h->trick->rots)
        rot(&image, &chance);
    bool well = explore_image(w->h, &image, w->answered, w->trying, &found, why, sizeof why);
    tally->images++;
    tally->by_cut[cut]++;
    if (!well)
        snprintf(w->search->problem, sizeof w->search->problem, "%s: %s", cut_text(cut), why);
    else if (found == w->answered)
        tally->found_answered++;
    else
        tally->found_trying++;
    if (well && !w->search->shallow && random_below(&chance, RELIVED) == 0)
        well = live_on(w, &image, found, random_next(&chance));
    image_done(&image);
    return well;
}

static bool try_point(struct walk *w, const struct op *op)
{
    static const enum cut some[] = {CUT_KEPT, CUT_ODD, CUT_PREFIX, CUT_SUBSET, CUT_TORN, CUT_TORN};
    uint64_t where[] = {w->h->seed, (uint64_t)w->point};
    uint64_t seed = hash_bytes(where, sizeof where);
    w->search->ret_point = w->point;
    w->search->tally->points++;
    w->search->tally->by_op[op->kind]++;
    if (platter_pending(w->platter) == 0)
        return try_cut(w, CUT_DROPPED, seed);
    // What is surely there changes with a sync alone.
    if (op->kind != OP_WRITE && !try_cut(w, CUT_DROPPED, seed))
        return false;
    return try_cut(w, some[seed % (sizeof some / sizeof *some)], seed);
}

static void learn(struct walk *w, const struct op *op)
{
    if (op->kind == OP_TRYING) {
        w->trying = op->at;
    } else {
        w->answered = op->at;
        w->trying = 0;
    }
}

static bool is_note(const struct op *op)
{
    return op->kind == OP_TRYING || op->kind == OP_ANSWERED || op->kind == OP_FOUND;
}

bool explore(const struct history *h, struct search *search)
{
    struct walk w = {h, search, platter_new(&h->base), 0, 0, 0};
    int64_t operations = 0, tried = 0;
    bool well = true;
    for (size_t i = 0; i < h->disk->op_count; i++)
        operations += !is_note(&h->disk->ops[i]);
    // Fewer points than operations: spread evenly over them.
    int64_t stride = search->points ? operations / search->points : 1;
    w.answered = h->first;
    for (size_t i = 0; i < h->disk->op_count && well; i++) {
        const struct op *op = &h->disk->ops[i];
        if (is_note(op)) {
            learn(&w, op);
            continue;
        }
        platter_follow(w.platter, op);
        w.point++;
        bool chosen = search->only_point >= 0 ? w.point == search->only_point
                                              : stride <= 1 || w.point % stride == 0;
        if (!chosen || (search->points && tried >= search->points))
            continue;
        well = try_point(&w, op);
        tried++;
    }
    platter_free(w.platter);
    return well;
}
