/*
 * random - chance, given like `now`
 *
 * xoshiro256** (Blackman and Vigna 2018), seeded by splitmix64. For jitter and tests, never for
 * secrets (those come from libsodium in dispatch/signature). The same seed gives the same numbers
 * on every machine.
 */
#pragma once

#include <stdint.h>

struct random {
    uint64_t state[4];
};

void random_seed(struct random *r, uint64_t seed);
uint64_t random_next(struct random *r);
// Uniform in [0, bound); 0 for a bound <= 0.
int64_t random_below(struct random *r, int64_t bound);
