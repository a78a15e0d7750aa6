/*
 * history - the life of a store, turn by turn, with a model beside it
 *
 * A history opens a store on a disk in memory, takes turns of random verbs, checkpoints, closes,
 * is killed, loses power, and opens again: all from one seed, so the same seed is the same history
 * to the byte. After every turn the store is held against the model; what the disk was asked to do
 * and what the user was told stand in the disk's log, for explore.h.
 *
 * A trick is a bug seeded on purpose, to show that the checks would find it.
 */
#pragma once

#include "base/random.h"
#include "disk.h"
#include "model.h"

struct trick {
    const char *name;
    unsigned lies;        // a bit for each file whose syncs do nothing
    bool folder_lies;     // syncs of the folder do nothing
    const char *pragma;   // said to the store's connection after it opened
    bool answers_early;   // before commit, not after it
    bool halves;          // a turn commits in its middle
    bool rots;            // a byte of an image is another
    bool forgives;        // a failure is forgotten, and work goes on
    bool trusts;          // a commit that failed is answered as done
    bool writes_at_close; // a broken store moves its log at its close
    bool starts_unsynced; // a start does not sync the log that it finds
    const char *sabotage; // SQL that a start runs behind the store's back
};

struct history {
    uint64_t seed;
    const char *path;
    const struct trick *trick; // NULL: none
    struct disk *disk;
    struct random chance;
    struct image base;        // what it held at first
    struct store *store;      // NULL: closed
    struct sqlite3 *old_page; // a connection that stays on an old page; NULL: none
    bool blind;       // looks at nothing between turns, so that every call is the store's own
    bool small_cache; // so small that a turn's pages go to the log before its commit
    struct model now;
    int64_t first;         // the turn that the disk held at first
    int64_t serial;        // the last one given to a turn
    int64_t answered;      // the last turn that was answered
    int64_t trying;        // the turn whose commit has an unknown end; 0: none
    struct model **models; // by serial; NULL where the turn was never committed
    int64_t model_count;
    struct {
        int64_t lives, turns, checkpoints, begun_anew, cut_off, kills, cuts;
    } count;
    char problem[700]; // the first violation; "" if none
};

// On a disk of its own, empty or `image`.
struct history *history_new(uint64_t seed, const char *path, const struct trick *trick);
// One that begins where turn `serial` of `from` left the disk.
struct history *history_from(const struct history *from, const struct image *image, int64_t serial,
                             uint64_t seed);
void history_free(struct history *h); // closes; NULL is fine

// Each answers what the store did. STATUS_OK with a problem set: the store did what it must not.
// Where it is not STATUS_OK, the store is broken or could not be opened.
enum status history_open(struct history *h);
enum status history_turn(struct history *h);
enum status history_checkpoint(struct history *h, bool cut_off);
void history_close(struct history *h);
// As a process that is killed: what it wrote stays, and nothing is written after.
void history_kill(struct history *h);

// A whole history: several lives with every kind of end, closed at last. False: h->problem says
// why.
bool history_live(struct history *h, int lives);

// The first violation; the ones after it come from it.
void history_violation(struct history *h, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
