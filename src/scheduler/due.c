#include "scheduler/due.h"

#define CHUNK 2000

void due_init(struct due *due, int64_t horizon_us, size_t limit, struct map *notices)
{
    *due = (struct due){.edge = WALL_NONE,
                        .covered = WALL_NONE,
                        .horizon_us = horizon_us,
                        .limit = limit,
                        .notices = notices};
}

void due_done(struct due *due)
{
    heap_done(&due->heap);
    heap_done(&due->catch_up);
}

static bool is_loaded(const struct due *due, wall due_at, run_id run)
{
    if (due_at.us <= due->covered.us)
        return true;
    return due_at.us < due->edge.us ||
           (due_at.us == due->edge.us && run.value <= due->edge_id.value);
}

// Instants of the year 2200 have 53 bits, so a priority finds room below them.
static int64_t key_of(const struct due_row *row)
{
    return row->due_at.us * 16 + (9 - row->priority);
}

static wall due_of(int64_t key)
{
    return (wall){key >> 4};
}

static void hold(struct due *due, const struct due_row *row)
{
    heap_add(row->catch_up ? &due->catch_up : &due->heap,
             (struct heap_entry){key_of(row), (uint64_t)row->run.value, row->lane});
}

void due_add(struct due *due, const struct due_row *row)
{
    if (is_loaded(due, row->due_at, row->run))
        hold(due, row);
}

bool due_take(struct due *due, wall until, struct due_row *ret)
{
    const struct heap_entry *first = heap_first(&due->heap);
    if (!first || due_of(first->key).us > until.us)
        return false;
    struct heap_entry entry;
    heap_take(&due->heap, &entry);
    *ret = (struct due_row){.run = {(int64_t)entry.order},
                            .due_at = due_of(entry.key),
                            .lane = entry.item,
                            .priority = 9 - (int)(entry.key & 15)};
    return true;
}

bool due_take_catch_up(struct due *due, struct due_row *ret)
{
    struct heap_entry entry;
    if (!heap_take(&due->catch_up, &entry))
        return false;
    *ret = (struct due_row){.run = {(int64_t)entry.order},
                            .due_at = due_of(entry.key),
                            .lane = entry.item,
                            .priority = 9 - (int)(entry.key & 15),
                            .catch_up = true};
    return true;
}

void due_put_back(struct due *due, const struct due_row *row)
{
    hold(due, row);
}

wall due_first(const struct due *due)
{
    const struct heap_entry *first = heap_first(&due->heap);
    return first ? due_of(first->key) : WALL_NEVER;
}

wall due_reached(const struct due *due)
{
    if (due->edge.us == WALL_NONE.us || due->covered.us >= due->edge.us)
        return due->covered;
    return wall_plus(due->edge, -1); // of the edge's own instant some may be left
}

wall due_load_at(const struct due *due, wall now)
{
    if (due->heap.count >= due->limit)
        return WALL_NEVER; // taking makes room, and every turn asks again
    if (due->covered.us == WALL_NONE.us)
        return now;
    return wall_plus(due->covered, -due->horizon_us / 2);
}

enum status due_load(struct due *due, struct store *store, wall now)
{
    if (due_load_at(due, now).us > now.us)
        return STATUS_OK;
    struct due_row rows[CHUNK];
    wall until = wall_plus(now, due->horizon_us);
    size_t count;
    enum status status = store_load_due(store, due->edge, due->edge_id, until, CHUNK, rows, &count);
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; i < count; i++) {
        hold(due, &rows[i]);
        if (rows[i].notice)
            map_put(due->notices, (uint64_t)rows[i].run.value, due);
    }
    if (count) {
        due->edge = rows[count - 1].due_at;
        due->edge_id = rows[count - 1].run;
    }
    if (count < CHUNK) { // nothing is left up to there, and what comes is held at once
        due->covered = due->edge = until;
        due->edge_id = (run_id){INT64_MAX};
    }
    return STATUS_OK;
}
