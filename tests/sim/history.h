/*
 * history - what is cleared, as the model follows it
 *
 * Heard at the store: before each step of clearing it is found a second way which runs must go,
 * from the rows themselves, and afterwards that these are gone and nothing else is. What the turn
 * has committed is then held against what is known of those runs, which are asked about in vain
 * from there on.
 *
 * Included by world.h, used by the files of this folder.
 */
#pragma once

#include "core/run.h"

struct store_verbs;
struct world;

struct history_known {
    bool on; // in this life
    int64_t cleared[RUN_STATE_COUNT];
    wall until;        // the latest end of what was cleared
    int64_t looked_us; // steady
    wall looked;       // and as the clock showed it
    bool wrote;        // something, since then
    int64_t began_us;  // the round
    int64_t ended;     // how many runs had ended at the last look
    bool more;         // it has not come to its end
};

void history_choose(struct world *w); // for a life
void history_watch(struct world *w, struct store_verbs *verbs);
void history_started(struct world *w);
void history_turn(struct world *w); // begins: what was heard before is over
// The turn was committed. `idle`: it had nothing else to do. `heard`: it is known how it went.
void history_wrote(struct world *w, bool idle, bool heard);
// Whether a run is cleared in the turn under way, and when it was due.
bool history_going(const struct world *w, run_id run, wall *ret_due);
// What was cleared, that of the turn under way included.
void history_add_cleared(const struct world *w, int64_t counts[RUN_STATE_COUNT]);
void history_audit(struct world *w, bool at_end);
void history_done(void);
