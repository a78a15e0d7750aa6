/*
 * power - the parts of this program and what they share
 *
 *     points.c   cuts the power at many points of many histories
 *     faults.c   makes every call to the disk fail, once and for ever
 *     readers.c  the same for those who only read
 *     tricks.c   seeded bugs: each must be found by one of the above
 *
 * A part prints what it has done and answers how many of its checks passed and failed.
 */
#pragma once

#include "history.h"

struct score {
    int passed, failed;
};

// Where the store is said to be. A real, empty file and the store's lock lie there; what is written
// goes to a disk in memory. One for each process.
const char *power_path(void);

struct score points_run(int64_t points, uint64_t seed, int jobs);
// One point again, with what the disk was asked to do before it.
struct score points_replay(uint64_t seed, int64_t point);
// Every call, or each `every`th of a kind where that takes too long.
struct score faults_run(int64_t every);
struct score readers_run(void);
struct score tricks_run(void);

// Makes the n-th call of some kind fail in the life of a store and holds it to P19 and P4. False:
// problem says why. ret_reached says whether it came to that call.
bool faults_try(const struct strike *strike, const struct trick *trick, bool *ret_reached,
                bool *ret_stopped, char *problem, size_t size);
