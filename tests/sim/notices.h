/*
 * notices - who is told when runs fail, are missed, and recover, as the model follows it
 *
 * In some lives tasks name webhooks, some of them the same one. Heard at the store: which runs end,
 * which definition holds at that moment, and which notices are made. Held against the rules of
 * docs/operate/failures.md, found a second way: each failure is in one notice and in no other, as
 * soon as its webhook has rested and no sooner, and so is each recovery. That a notice is tried
 * again and arrives is what is checked of every run. Chance here is of its own.
 *
 * Included by world.h, used by the files of this folder.
 */
#pragma once

#include "base/id.h"
#include "base/moment.h"
#include "base/random.h"

#define WEBHOOKS 3

enum { TELL_FAILED = 1, TELL_MISSED = 2, TELL_RECOVERED = 4, TELL_ALL = 7 };

struct store_verbs;
struct world;
struct spec;
struct owed;
struct order;

struct wish_to_know { // of a definition
    bool on;
    int webhook;
    unsigned kinds;
    int64_t cooldown_us;
};

struct trouble { // a run that failed for good or was missed, and is in no notice yet
    run_id run;
    bool missed;
    wall since;
    bool may_be_forgotten; // its task was deleted meanwhile, or told nobody
    bool moved;            // its task tells another webhook since
    int64_t most_us;       // moved: the longest cool-down before that
};

struct told_task { // what is to be told of a task
    bool alive;
    int spec;
    struct trouble *troubles; // the oldest first
    size_t count, room;
    bool well, unsure; // its last run that is told of has succeeded; unsure: it was gone meanwhile
    run_id success;    // the first since it was not well
    int success_start; // that was heard by this start of the server
    wall well_since;
    enum { NOT_FAILING, FAILING, PERHAPS_FAILING } believed; // by its webhook
    bool moved;                // it may be in the next notice of a webhook that it told before
    wall rested_from;          // it was told of, or edited; WALL_NONE: never
    int64_t least_us, most_us; // its cool-downs since
};

struct told_webhook {
    int spec;                     // of the notices
    wall failed_at, recovered_at; // when it was last told; WALL_NONE: never
    bool strangers;               // a task that named it has gone since
    int64_t least_us;             // the cool-downs of these
};

struct notices {
    bool on; // in this life
    struct random chance;
    struct told_task tasks[TASKS];
    struct told_webhook webhooks[WEBHOOKS];
    char **bodies; // of all notices
    size_t body_count, body_room;
    struct map rows; // run -> row of its task
};

void notices_choose(struct world *w); // for a life
void notices_draw(struct world *w, struct spec *spec, const struct spec *old);
// The field of a definition, after a comma.
void notices_write(const struct world *w, const struct wish_to_know *wish, char *text, size_t size);
void notices_watch(struct world *w, struct store_verbs *verbs);
void notices_turn(struct world *w);  // begins: what was due has been told in time
void notices_wrote(struct world *w); // what has been committed
const char *notice_of(const struct world *w, const struct owed *run); // NULL: it is none
void notices_end(struct world *w);
