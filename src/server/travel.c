#include "server/travel.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/now.h"
#include "core/run.h"
#include "server/test_clock.h"

#define NOTHING_TO_DO_US SECOND          // the pulse is published at least so often
#define LOOK_AGAIN_US (20 * MILLISECOND) // for a worker that is to come back
#define SHOWN_MOST 1000                  // of what is under way
#define NAMED_MOST 3                     // of them in a refusal
#define END_OF_TIME ((wall){INT64_C(7258118400) * SECOND}) // 2200-01-01: schedules end there, too

// --- answers ---

static void reply(struct travel *t, struct message *m)
{
    m->letter.next = NULL;
    front_reply(t->front, &m->letter);
}

static void write_under_way(struct writer *w, const struct under_way *list, size_t count)
{
    member_array(w, "under_way");
    for (size_t i = 0; i < count; i++) {
        writer_object(w);
        member_run(w, "run", list[i].run);
        member_text(w, "task", list[i].task);
        member_text(w, "with", list[i].with);
        writer_end_object(w);
    }
    writer_end_array(w);
}

// Where the clock stands, and what is under way all the same.
static void tell(struct travel *t, struct message *m, uint64_t ended)
{
    static struct under_way list[SHOWN_MOST]; // of the one thread
    size_t count = scheduler_under_way(t->scheduler, list, SHOWN_MOST);
    struct writer w = writer_on(&m->reply.body);
    writer_object(&w);
    member_moment(&w, "now", wall_now());
    member_moment(&w, "moving_to", t->asked ? t->target : WALL_NONE);
    member_int(&w, "runs", (int64_t)ended);
    write_under_way(&w, list, count < SHOWN_MOST ? count : SHOWN_MOST);
    writer_end_object(&w);
    reply(t, m);
}

static void refuse(struct travel *t, struct message *m, enum status status)
{
    m->reply.status = status;
    reply(t, m);
}

static void refuse_stopping(struct travel *t, struct message *m)
{
    snprintf(m->reply.detail, sizeof m->reply.detail, "the server is stopping");
    refuse(t, m, STATUS_UNAVAILABLE);
}

// "0198... of invoices (endpoint), 2 more"
static void name_under_way(const struct travel *t, char *text, size_t size)
{
    struct under_way list[NAMED_MOST];
    char id[RUN_ID_TEXT];
    size_t at = 0, count = scheduler_under_way(t->scheduler, list, NAMED_MOST);
    size_t named = count < NAMED_MOST ? count : NAMED_MOST;
    snprintf(text, size, "nothing");
    for (size_t i = 0; i < named && at < size; i++) {
        run_id_format(list[i].run, id);
        at += (size_t)snprintf(text + at, size - at, "%s%s of %.40s (%s)", i ? ", " : "", id,
                               list[i].task ? list[i].task : "no task", list[i].with);
    }
    if (count > named && at < size)
        snprintf(text + at, size - at, ", and %zu more", count - named);
}

// The request under way is over, one way or the other. Where the store fails, so does the answer.
static struct message *close_request(struct travel *t, enum status *ret)
{
    struct message *m = t->asked;
    t->asked = NULL;
    *ret = test_clock_keep(t->store, wall_now());
    if (*ret == STATUS_OK)
        return m;
    refuse(t, m, STATUS_UNAVAILABLE);
    return NULL;
}

static enum status arrive(struct travel *t)
{
    enum status status;
    struct message *m = close_request(t, &status);
    if (m)
        tell(t, m, scheduler_ended(t->scheduler) - t->ended_before);
    return status;
}

static enum status give_up(struct travel *t)
{
    char names[256], stands[MOMENT_TEXT], waited[DURATION_TEXT];
    enum status status;
    struct message *m = close_request(t, &status);
    if (!m)
        return status;
    name_under_way(t, names, sizeof names);
    wall_format(wall_now(), stands);
    duration_format(m->clock.wait_us, waited);
    snprintf(m->reply.detail, sizeof m->reply.detail,
             "%s were not enough: the clock stands at %s; under way: %s", waited, stands, names);
    refuse(t, m, STATUS_CONFLICT);
    return STATUS_OK;
}

// --- the way ---

static bool find_target(const struct clock_wish *wish, wall now, struct reply *reply, wall *ret)
{
    char stands[MOMENT_TEXT];
    wall_format(now, stands);
    bool by = !wall_is_set(wish->to);
    wall target = by ? wall_plus(now, wish->by_us) : wish->to;
    if (target.us >= now.us && target.us < END_OF_TIME.us) {
        *ret = target;
        return true;
    }
    snprintf(reply->pointer, sizeof reply->pointer, by ? "/advance" : "/to");
    snprintf(reply->detail, sizeof reply->detail,
             target.us < now.us ? "the clock stands at %s and does not go back"
                                : "the clock stands at %s and ends before the year 2200",
             stands);
    return false;
}

void travel_begin(struct travel *t, struct message *asked)
{
    wall now = wall_now(), target;
    if (t->stopping) {
        refuse_stopping(t, asked);
    } else if (asked->clock.look) {
        tell(t, asked, 0);
    } else if (t->asked) {
        snprintf(asked->reply.detail, sizeof asked->reply.detail,
                 "another request moves the clock already: wait for its answer");
        refuse(t, asked, STATUS_CONFLICT);
    } else if (!find_target(&asked->clock, now, &asked->reply, &target)) {
        refuse(t, asked, STATUS_INVALID);
    } else {
        t->asked = asked;
        t->target = target;
        t->patience = steady_plus(steady_now(), asked->clock.wait_us);
        t->ended_before = scheduler_ended(t->scheduler);
    }
}

// How long to rest. Whoever waits in real time is to be answered in time, and so is the request.
static int64_t rest_of(const struct travel *t, steady real)
{
    steady until = steady_plus(real, NOTHING_TO_DO_US), next = scheduler_next_wait(t->scheduler);
    if (t->asked && scheduler_under_way(t->scheduler, NULL, 0) == 0)
        until = steady_plus(real, LOOK_AGAIN_US);
    if (t->asked && t->patience.us < until.us)
        until = t->patience;
    int64_t rest_us = (next.us < until.us ? next.us : until.us) - real.us;
    return rest_us > 0 ? rest_us : 0;
}

enum status travel_on(struct travel *t, wall next, int64_t *ret_rest_us)
{
    wall now = wall_now();
    steady real = steady_now();
    bool rests = next.us > now.us; // the scheduler has nothing more to do at this moment
    bool done =
        rests && t->asked && !scheduler_is_busy(t->scheduler, now, t->asked->clock.past_leases);
    enum status status = STATUS_OK;
    *ret_rest_us = 0;
    if (done && now.us >= t->target.us)
        status = arrive(t);
    else if (t->asked && real.us >= t->patience.us)
        status = give_up(t);
    else if (done) {
        wall_stop(next.us < t->target.us ? next : t->target);
        return STATUS_OK;
    }
    if (rests)
        *ret_rest_us = rest_of(t, real);
    return status;
}

void travel_end(struct travel *t)
{
    struct message *m = t->asked;
    t->asked = NULL;
    t->stopping = true;
    if (m)
        refuse_stopping(t, m);
}
