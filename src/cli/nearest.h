/*
 * nearest - what may have been meant
 *
 * The name with the fewest slips (a letter added, left out, changed, or two swapped) from what was
 * given: "the optimal string alignment distance". None is suggested when nearly everything differs.
 *
 *     struct nearest nearest = nearest_to("tsaks");
 *     nearest_try(&nearest, "tasks");
 *     if (nearest.best) ...
 */
#pragma once

struct nearest {
    const char *given;
    const char *best; // NULL: none is near enough
    int slips;
};

struct nearest nearest_to(const char *given);
void nearest_try(struct nearest *nearest, const char *name);
