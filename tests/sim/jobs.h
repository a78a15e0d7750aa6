/*
 * jobs - what runs elsewhere and checks in: the runs of monitors
 *
 * In some lives a part of the tasks are monitors. jobs.c is the jobs, which say that they have
 * started, succeeded or failed: in time, late, early, twice, about a run by name, or never; and the
 * model: which run a check-in is about, what it makes of it, and what ends by itself. Chance here
 * is of its own.
 *
 * Included by world.h, used by the files of this folder.
 */
#pragma once

#include "core/message.h"

struct world;
struct spec;
struct owed;

struct ping { // what a job is going to say
    int64_t at_us;
    int task;
    enum checkin_status status;
    run_id run; // 0: the one that is expected
    int64_t duration_us;
};

struct jobs {
    bool on; // in this life
    struct random chance;
    struct ping *pings;
    size_t ping_count, ping_room;
    size_t *running; // places of runs that a check-in has started
    size_t running_count, running_room;
};

void jobs_choose(struct world *w);                                          // for a life
bool jobs_draw(struct world *w, struct spec *spec, const struct spec *old); // whether it is one
int64_t jobs_next(const struct world *w); // steady; INT64_MAX: never
void jobs_work(struct world *w);
void jobs_expected(struct world *w, const struct owed *run); // it is known to the jobs
void jobs_done(struct world *w);
bool is_monitor(const struct world *w, int task); // as its newest definition says

void took_checkin(struct world *w, struct message *m, bool heard);
void jobs_reap(struct world *w);             // what has run for too long ends in the very turn
void jobs_paused(struct world *w, int task); // what is waited for is skipped
void job_missed(struct world *w, const struct owed *run, const char *reason);
