/*
 * due - which run falls due next
 *
 * A heap in memory over the runs whose time comes within a horizon, ordered by due time, then by
 * id. It is a hint and never the truth: only the store may say that a run starts. What is canceled
 * or moved stays in it and is found out when it is claimed. After a restart it is filled again.
 *
 * Everything that is due at or before `edge` is in memory; what is later is only in the store.
 *
 * Used by the files of this folder, on the scheduler's thread.
 */
#pragma once

#include "base/heap.h"
#include "base/map.h"
#include "store/store.h"

struct due {
    struct heap heap;     // key: due_at and priority, order: id, item: lane
    struct heap catch_up; // the same, of runs that catch up: they start when there is room for such
    wall edge;            // the last (due_at, id) loaded
    run_id edge_id;
    wall covered; // nothing between the edge and this instant is left in the store
    int64_t horizon_us;
    size_t limit;
    struct map *notices; // the caller's: run -> anything, of the notices among them
};

void due_init(struct due *due, int64_t horizon_us, size_t limit, struct map *notices);
void due_done(struct due *due);

// Remembers a run just written to the store, if it lies within what is loaded.
void due_add(struct due *due, const struct due_row *row);
// Takes out the earliest run that is due by `until`. False when there is none.
bool due_take(struct due *due, wall until, struct due_row *ret);
// The same for those that catch up, whatever the time.
bool due_take_catch_up(struct due *due, struct due_row *ret);
// One that was taken and could not start comes back.
void due_put_back(struct due *due, const struct due_row *row);
// The earliest instant held, of those that do not catch up; WALL_NEVER when empty.
wall due_first(const struct due *due);

// Everything that is due by then is held or was taken.
wall due_reached(const struct due *due);

// Loads the next stretch from the store, if the horizon is near its end and there is room. At most
// one chunk.
enum status due_load(struct due *due, struct store *store, wall now);
// When due_load should be called next; <= now while there is more to load.
wall due_load_at(const struct due *due, wall now);
