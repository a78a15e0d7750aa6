/*
 * workers - those who take runs out of queues, and the leases they hold
 *
 * In some lives a part of the tasks and one-offs go to queues. workers.c is the workers: they wait
 * with and without patience, keep leases alive, complete, fail, give back, vanish, come late and
 * say nonsense. leases.c is the model: who may hold which run, under which fence and until when.
 * Chance here is of its own, so that lives without workers are what they were.
 *
 * Included by world.h, used by the files of this folder.
 */
#pragma once

#include "core/message.h"
#include "core/task.h"

#define QUEUES 2
#define MONITORS (ENDPOINTS + QUEUES)
#define PLACES (MONITORS + 1) // where runs go: endpoints, queues, and nowhere from monitors

struct world;
struct owed;
struct spec;
struct try;

struct lease_known { // what the model believes of a lease
    int64_t length_us;
    int64_t until_us, most_us; // steady; most: INT64_MAX where it has no end
    wall until, most;          // the same by the wall clock, when it was last written
    int64_t boot;              // which start of the machine its steady times are of
    bool callback;             // an endpoint's that has answered 202
    bool unseen;               // given in a turn of which nobody has heard
};

struct poll { // a worker waits; the message's sender
    int queue;
    int64_t since_us, until_us; // steady, once a turn has taken it
};

struct deed { // what a worker is going to say
    int64_t at_us;
    run_id run;
    int64_t fence;
    enum lease_word word;
    int64_t extend_us, retry_after_us; // -1: not said
    bool final;
};

struct workers {
    bool on; // in this life
    struct random chance;
    struct queue_limit limits[QUEUES];
    struct message **polls; // the scheduler has them, the longest wait first
    size_t poll_count, poll_room;
    size_t *leased; // places of runs
    size_t leased_count, leased_room;
    struct deed *deeds;
    size_t deed_count, deed_room;
    int64_t full_us[QUEUES];   // max_running has left no room
    struct rule rules[QUEUES]; // of the configuration; limit 0: none
    struct random writing;     // of it
    struct rate_log rates[QUEUES];
    int64_t boot, booted_us; // the machine's start
    bool start_failed;       // the store may know more of leases than the model
    int64_t turned_us;       // the latest turn
};

// workers.c
void workers_choose(struct world *w);                  // for a life
void workers_configured(struct world *w);              // anew, at a start
void workers_draw(struct world *w, struct spec *spec); // whether it goes to a queue
void workers_spare(const struct world *w, struct spec *spec);
int64_t workers_next(const struct world *w); // steady; INT64_MAX: never
void workers_work(struct world *w);
// A run was handed to a worker, which makes up its mind about it.
void workers_got(struct world *w, const struct owed *run);
int64_t steady_of_server(const struct world *w); // its clock begins with the machine's start
void workers_done(struct world *w);

// Puts something on the list of what is going to be said.
void workers_intend(struct world *w, struct deed deed);

// callbacks.c
void callbacks_seen(struct world *w, struct try *try);
void callback_opened(struct world *w, struct owed *run, const struct attempt *attempt);
bool callback_comes_early(struct world *w, struct owed *run, int64_t fence, enum lease_word word);

// leases.c
void lease_begin(struct world *w, struct owed *run, struct lease_known lease);
void leases_turn(struct world *w, struct message **asked, size_t count); // begins
void leases_reap(struct world *w);
// What leaves a turn for those who wait; `orders` have left before. `well`: it has been committed;
// `heard`: and the workers know.
void leases_answer(struct world *w, struct letter *replies, int orders, bool well, bool heard);
void took_words(struct world *w, struct message *m, bool heard);
void lease_end(struct world *w, struct owed *run); // nothing where it has none
void lease_unseen(struct world *w, struct owed *run);
void lease_learn(struct world *w, struct owed *run); // from the store
void leases_mark(struct world *w);
void leases_crash(struct world *w, bool dies); // the polls are gone
void leases_recovered(struct world *w);
void leases_audit(struct world *w, bool at_end);
// Until when the rate of the queue that a definition goes to holds back, steady.
int64_t queue_opens_us(const struct world *w, int spec);
void queue_start_unseen(struct world *w, int spec);
bool goes_to_queue(const struct world *w, int spec);
