// Queues: workers that wait, and the runs that go to them.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "core/target.h"
#include "scheduler/state.h"

#define HANDED_OUT_A_TURN 1000
#define HELD_BACK_MOST 64
#define ANSWER_BYTES (8 << 20) // beyond this a worker gets the rest with its next request
#define COMES_BACK_US (2 * SECOND)

// The poll that is being served.
struct handing {
    struct message *message;
    struct queue *queue;
    struct writer w;
    struct due_row held[HELD_BACK_MOST]; // not due for a moment yet: others go before them
    size_t held_count;
};

// --- queues and polls ---

static const struct queue_limit *limit_of(const struct scheduler *s, const char *name)
{
    static const struct queue_limit none;
    for (size_t i = 0; i < s->options.queue_count; i++)
        if (strcmp(s->options.queues[i].name, name) == 0)
            return &s->options.queues[i];
    return &none;
}

static struct queue *queue_at(struct scheduler *s, const char *name)
{
    uint64_t lane = queue_lane(name);
    struct queue *queue = map_get(&s->queues.by_lane, lane);
    if (!queue) {
        queue = memory_new(sizeof *queue);
        queue->name = memory_text(name);
        queue->lane = lane;
        const struct queue_limit *limit = limit_of(s, name);
        queue->max_running = limit->max_running;
        queue->rate = limit->rate;
        map_put(&s->queues.by_lane, lane, queue);
    }
    return queue;
}

static void queue_free(struct queue *queue)
{
    free(queue->name);
    free(queue);
}

void queues_done(struct queues *queues)
{
    uint64_t key;
    void *queue;
    for (size_t at = 0; map_each(&queues->by_lane, &at, &key, &queue);)
        queue_free(queue); // who waits still owns the messages
    map_done(&queues->by_lane);
}

// By what a worker's wait is counted: it waits for real, also where the clock stands still.
static steady waits_at(const struct scheduler *s, wall now)
{
    return s->waits.us ? s->waits : steady_at(s, now);
}

static struct message *next_poll(const struct message *m)
{
    return (struct message *)m->letter.next;
}

void take_poll(struct scheduler *s, wall now, struct message *m)
{
    if (s->stopping) {
        refuse(m, STATUS_UNAVAILABLE, "the server is stopping, and hands out nothing new");
        send_reply(s, m);
        return;
    }
    struct queue *queue = queue_at(s, m->name);
    m->lease.until = steady_plus(waits_at(s, now), m->lease.wait_us);
    m->letter.next = NULL;
    if (queue->last)
        queue->last->letter.next = &m->letter;
    else
        queue->first = m;
    queue->last = m;
    queue->waiting++;
    if (s->queues.waiting++ == 0 || m->lease.until.us < s->queues.expires.us)
        s->queues.expires = m->lease.until;
}

// Takes the poll behind `before` (NULL: the first) out of the queue.
static struct message *leave_queue(struct scheduler *s, struct queue *queue, struct message *before)
{
    struct message *m = before ? next_poll(before) : queue->first;
    if (before)
        before->letter.next = m->letter.next;
    else
        queue->first = next_poll(m);
    if (queue->last == m)
        queue->last = before;
    queue->waiting--;
    queue->left = s->waits;
    s->queues.waiting--;
    return m;
}

static void answer_empty(struct scheduler *s, struct message *m)
{
    buffer_text(&m->reply.body, "{\"runs\":[]}");
    send_reply(s, m);
}

// --- handing out ---

static void write_handed(struct writer *w, const struct run *run, const struct flight *flight,
                         wall until)
{
    char id[RUN_ID_TEXT];
    const struct task *task = flight->task;
    run_id_format(run->id, id);
    writer_object(w);
    writer_key(w, "run");
    writer_text(w, id);
    writer_key(w, "task");
    writer_text(w, task->name);
    writer_key(w, "attempt");
    writer_int(w, run->attempts + 1);
    writer_key(w, "fence");
    writer_int(w, flight->fence);
    writer_key(w, "lease_until");
    writer_moment(w, until);
    writer_key(w, "scheduled_for");
    writer_moment(w, run->scheduled_for);
    writer_key(w, "due_at");
    writer_moment(w, run->due_at);
    writer_key(w, "priority");
    writer_int(w, run->priority);
    writer_key(w, "payload");
    if (run->payload)
        writer_raw(w, run->payload, run->payload_size);
    else
        writer_raw(w, task->payload, task->payload_size);
    writer_end_object(w);
}

void hand_out(struct scheduler *s, wall now, const struct run *run, struct flight *flight)
{
    struct message *m = s->queues.handing->message;
    struct queue *queue = s->queues.handing->queue;
    struct lease *lease = memory_new(sizeof *lease);
    steady t = steady_at(s, now);
    int64_t timeout_us = flight->task->timeout_us;
    lease->kind = LEASE_WORKER;
    lease->due_at = run->due_at;
    lease->started = t;
    lease->most = timeout_us ? steady_plus(t, timeout_us) : (steady){INT64_MAX};
    lease->length_us = m->lease.length_us;
    lease->worker = memory_text(m->lease.worker);
    attempt_init(&lease->attempt);
    lease->attempt.run = run->id;
    lease->attempt.number = run->attempts + 1;
    lease->attempt.fence = flight->fence;
    lease->attempt.started_at = now;
    lease->attempt.lateness_us = now.us - run->due_at.us;
    lease->attempt.node = memory_text(m->lease.worker);
    grant_lease(s, now, flight, lease);
    write_handed(&s->queues.handing->w, run, flight, lease_until(s, lease));
    struct lease_row *row = &m->leases[m->lease_count++];
    attempt_init(&row->attempt);
    row->attempt.run = run->id;
    row->attempt.fence = flight->fence;
    if (queue->rate.limit)
        limits_queue_started(s, now, run, queue->lane, queue->rate);
}

void hold_back(struct scheduler *s, const struct run *run, uint64_t lane)
{
    struct handing *handing = s->queues.handing;
    handing->held[handing->held_count++] =
        (struct due_row){run->id, run->due_at, lane, run->task, run->priority};
    if (run->due_at.us < s->queues.early.us)
        s->queues.early = run->due_at;
}

static bool is_full(const struct scheduler *s, const struct queue *queue)
{
    return queue->max_running && lane_running(&s->lanes, queue->lane) >= queue->max_running;
}

// When its rate lets one more start: now, or later.
static wall opens_at(struct scheduler *s, wall now, const struct queue *queue)
{
    return queue->rate.limit ? limits_queue_opens(s, now, queue->lane, queue->rate) : now;
}

static bool has_room(struct scheduler *s, wall now, const struct queue *queue)
{
    return !is_full(s, queue) && opens_at(s, now, queue).us <= now.us;
}

bool queue_has_room(struct scheduler *s, wall now, uint64_t lane)
{
    const struct queue *queue = map_get(&s->queues.by_lane, lane);
    return queue && queue->first && has_room(s, now, queue);
}

// As much as it wants and there is. The poll stays where it is.
static void fill(struct scheduler *s, wall now, struct queue *queue, struct handing *handing,
                 int *budget)
{
    struct message *m = handing->message;
    wall until = wall_plus(now, s->options.claim_ahead_us);
    run_id run;
    while (!s->broken && *budget > 0 && handing->held_count < HELD_BACK_MOST &&
           m->lease_count < (size_t)m->lease.max && m->reply.body.size < ANSWER_BYTES &&
           has_room(s, now, queue) && lane_take(&s->lanes, queue->lane, &run)) {
        --*budget;
        start_run(s, now, until, run, queue->lane);
    }
    while (handing->held_count) {
        const struct due_row *row = &handing->held[--handing->held_count];
        (void)lane_add(&s->lanes, row->lane, row->due_at, row->run, row->priority);
    }
}

// The first poll of the queue. False: nothing more is to be had for this queue now.
static bool serve_first(struct scheduler *s, wall now, struct queue *queue, int *budget)
{
    struct message *m = queue->first;
    struct handing handing = {.message = m, .queue = queue, .w = writer_on(&m->reply.body)};
    s->queues.handing = &handing;
    if (!m->leases)
        m->leases = memory_array((size_t)m->lease.max, sizeof *m->leases);
    writer_object(&handing.w);
    writer_key(&handing.w, "runs");
    writer_array(&handing.w);
    fill(s, now, queue, &handing, budget);
    s->queues.handing = NULL;
    if (m->lease_count == 0) {
        buffer_clear(&m->reply.body);
        return false;
    }
    writer_end_array(&handing.w);
    writer_end_object(&handing.w);
    leave_queue(s, queue, NULL);
    send_reply(s, m);
    return true;
}

static void serve_queue(struct scheduler *s, wall now, struct queue *queue, int *budget)
{
    while (queue->first && !s->broken && lane_has_ready(&s->lanes, queue->lane) &&
           has_room(s, now, queue) && serve_first(s, now, queue, budget))
        ;
    if (*budget <= 0 && queue->first)
        s->queues.again = true;
    if (!queue->first || s->broken || is_full(s, queue) || !lane_has_ready(&s->lanes, queue->lane))
        return;
    wall opens = opens_at(s, now, queue);
    if (opens.us > now.us && opens.us < s->queues.opens.us)
        s->queues.opens = opens;
}

// Those whose wait is over are answered empty; all of them, when the server stops.
static void end_polls(struct scheduler *s, struct queue *queue, steady t)
{
    struct message *before = NULL;
    for (struct message *m = queue->first, *next; m; m = next) {
        next = next_poll(m);
        if (s->stopping || m->lease.until.us <= t.us) {
            answer_empty(s, leave_queue(s, queue, before));
            continue;
        }
        if (m->lease.until.us < s->queues.expires.us)
            s->queues.expires = m->lease.until;
        before = m;
    }
}

// With a clock that stands still: its worker is with what it got, or between two requests.
static bool was_left_lately(const struct scheduler *s, const struct queue *queue)
{
    return s->waits.us - queue->left.us <= COMES_BACK_US;
}

// A queue that nobody waits at is forgotten: its runs are in its lane.
static void forget_idle(struct queues *queues, uint64_t *idle, size_t count)
{
    for (size_t i = 0; i < count; i++)
        queue_free(map_remove(&queues->by_lane, idle[i]));
}

void hand_out_runs(struct scheduler *s, wall now)
{
    struct queues *queues = &s->queues;
    if (s->broken || queues->by_lane.count == 0)
        return;
    uint64_t *idle = memory_array(queues->by_lane.count, sizeof *idle), key;
    size_t idle_count = 0;
    int budget = s->stopping ? 0 : HANDED_OUT_A_TURN;
    steady t = waits_at(s, now);
    void *value;
    bool look = s->stopping || queues->expires.us <= t.us;
    queues->again = false;
    queues->early = queues->opens = WALL_NEVER;
    if (look)
        queues->expires = (steady){INT64_MAX};
    for (size_t at = 0; map_each(&queues->by_lane, &at, &key, &value);) {
        struct queue *queue = value;
        serve_queue(s, now, queue, &budget);
        if (look && !s->broken)
            end_polls(s, queue, t);
        if (!queue->first && !(s->waits.us && was_left_lately(s, queue)))
            idle[idle_count++] = key;
    }
    forget_idle(queues, idle, idle_count);
    free(idle);
}

void give_up_polls(struct scheduler *s)
{
    uint64_t key;
    void *value;
    for (size_t at = 0; map_each(&s->queues.by_lane, &at, &key, &value);) {
        struct queue *queue = value;
        while (queue->first)
            send_reply(s, leave_queue(s, queue, NULL));
    }
}

wall pull_next(const struct scheduler *s, wall now)
{
    const struct queues *queues = &s->queues;
    if (queues->waiting == 0)
        return WALL_NEVER;
    if (s->stopping || queues->again)
        return now;
    wall next = s->waits.us ? WALL_NEVER : (wall){queues->expires.us + s->wall_minus_steady_us};
    next = queues->early.us < next.us ? queues->early : next;
    return queues->opens.us < next.us ? queues->opens : next;
}

bool worker_comes_back(struct scheduler *s, wall now)
{
    uint64_t lane;
    void *value;
    for (size_t at = 0; map_each(&s->queues.by_lane, &at, &lane, &value);) {
        const struct queue *queue = value;
        if (!queue->first && was_left_lately(s, queue) && lane_has_ready(&s->lanes, lane) &&
            has_room(s, now, queue))
            return true;
    }
    return false;
}

// --- looking at queues ---

struct shown { // a line of the list
    const char *name;
    uint64_t lane;
    const struct queue_load *load; // NULL: the store has nothing of it
};

struct list {
    struct map by_lane; // lane -> 1 + the place in items
    struct shown *items;
    size_t count, capacity;
};

static struct shown *show(struct list *list, const char *name, uint64_t lane)
{
    size_t place = (size_t)(uintptr_t)map_get(&list->by_lane, lane);
    if (place)
        return &list->items[place - 1];
    if (list->count == list->capacity) {
        list->capacity = 2 * list->capacity + 16;
        list->items = memory_resize(list->items, list->capacity, sizeof *list->items);
    }
    list->items[list->count++] = (struct shown){.name = name, .lane = lane};
    map_put(&list->by_lane, lane, (void *)(uintptr_t)list->count);
    return &list->items[list->count - 1];
}

static void collect(const struct scheduler *s, const struct message *m, struct list *list)
{
    uint64_t key;
    void *value;
    for (size_t i = 0; i < s->options.queue_count; i++)
        show(list, s->options.queues[i].name, queue_lane(s->options.queues[i].name));
    for (size_t at = 0; map_each(&s->queues.by_lane, &at, &key, &value);)
        show(list, ((const struct queue *)value)->name, key);
    for (size_t at = 0; map_each(&s->flights, &at, &key, &value);) {
        const struct flight *flight = value;
        if (flight->lane & LANE_QUEUE)
            show(list, flight->task->target.queue.name, flight->lane);
    }
    for (size_t i = 0; i < m->queue_count; i++)
        show(list, m->queues[i].name, m->queues[i].lane)->load = &m->queues[i];
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct shown *)a)->name, ((const struct shown *)b)->name);
}

static void write_rate(struct scheduler *s, wall now, struct writer *w, const struct shown *shown,
                       const struct queue_limit *limit)
{
    struct rate_rule rule = limit->rate;
    wall opens = rule.limit ? limits_queue_opens(s, now, shown->lane, rule) : WALL_NONE;
    char per[DURATION_TEXT];
    writer_key(w, "rate_limit");
    if (rule.limit) {
        duration_format(rule.per_us, per);
        writer_object(w);
        writer_key(w, "limit");
        writer_int(w, rule.limit);
        writer_key(w, "per");
        writer_text(w, per);
        writer_end_object(w);
    } else {
        writer_null(w);
    }
    writer_key(w, "opens_at");
    writer_moment(w, opens.us > now.us ? opens : WALL_NONE);
}

static void write_queue(struct scheduler *s, wall now, struct writer *w, const struct shown *shown)
{
    const struct queue *queue = map_get(&s->queues.by_lane, shown->lane);
    const struct queue_load *load = shown->load;
    const struct queue_limit *limit = limit_of(s, shown->name);
    writer_object(w);
    writer_key(w, "name");
    writer_text(w, shown->name);
    writer_key(w, "due");
    writer_int(w, load ? load->due : 0);
    writer_key(w, "scheduled");
    writer_int(w, load ? load->scheduled : 0);
    writer_key(w, "running");
    writer_int(w, lane_running(&s->lanes, shown->lane));
    writer_key(w, "waiting_workers");
    writer_int(w, queue ? (int64_t)queue->waiting : 0);
    writer_key(w, "oldest_due_at");
    writer_moment(w, load ? load->oldest : WALL_NONE);
    writer_key(w, "max_running");
    writer_known(w, limit->max_running ? limit->max_running : -1);
    write_rate(s, now, w, shown, limit);
    writer_end_object(w);
}

void answer_queues(struct scheduler *s, wall now, struct message *m)
{
    struct list list = {0};
    struct writer w = writer_on(&m->reply.body);
    if (m->name) {
        struct shown one = {m->name, queue_lane(m->name), m->queue_count ? m->queues : NULL};
        write_queue(s, now, &w, &one);
        return;
    }
    collect(s, m, &list);
    if (list.count)
        qsort(list.items, list.count, sizeof *list.items, by_name);
    writer_object(&w);
    writer_key(&w, "queues");
    writer_array(&w);
    for (size_t i = 0; i < list.count; i++)
        write_queue(s, now, &w, &list.items[i]);
    writer_end_array(&w);
    writer_end_object(&w);
    free(list.items);
    map_done(&list.by_lane);
}
