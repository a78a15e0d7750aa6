/*
 * platter - what a power cut would leave
 *
 * Follows the operations of a disk one by one and knows at each of them what is surely on it
 * (synced) and what may be there or not: every write since the last sync of its file, in any
 * subset, whole or torn; a file's name until its folder is synced. From that it makes images.
 *
 * A write tears between two sectors of 512 bytes; only the last one before the cut may tear at any
 * byte. Bytes beside a write are never harmed, which is also what SQLite expects of the system
 * ("powersafe overwrite").
 */
#pragma once

#include "base/random.h"
#include "disk.h"

enum cut {
    CUT_DROPPED, // nothing of what was not synced
    CUT_KEPT,    // all of it
    CUT_ODD,     // all of it, but the last write torn at any byte
    CUT_PREFIX,  // in order up to some write
    CUT_SUBSET,  // some of the writes, each whole
    CUT_TORN,    // some of the sectors of some of the writes
    CUTS
};
const char *cut_text(enum cut cut);

struct platter;

struct platter *platter_new(const struct image *image); // all of it is synced
void platter_free(struct platter *platter);             // NULL is fine
// The next operation; `op` must outlive the platter.
void platter_follow(struct platter *platter, const struct op *op);
// How many operations wait for a sync.
size_t platter_pending(const struct platter *platter);
void platter_cut(const struct platter *platter, enum cut cut, struct random *chance,
                 struct image *ret);
