// What users ask for. Each row of the table makes one message, or none where it has no sense now.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "sim/world.h"

static bool odds(struct random *chance, int in_hundred)
{
    return random_below(chance, 100) < in_hundred;
}

static int any_task(struct random *chance)
{
    return (int)random_below(chance, TASKS);
}

static char *name_of(int task)
{
    char name[16];
    snprintf(name, sizeof name, "t%d", task);
    return memory_text(name);
}

static struct message *about(enum message_kind kind, int task, struct random *chance)
{
    struct message *m = message_new(kind);
    m->name = name_of(task);
    m->author = memory_text("ann");
    m->note = odds(chance, 50) ? memory_text("a note") : NULL;
    return m;
}

// --- definitions ---

static void put(struct world *w, struct random *chance)
{
    int task = any_task(chance);
    struct known *known = &w->tasks[task];
    bool same = known->alive && odds(chance, 10);
    int spec = same ? known->spec : spec_new(w, chance, task, known->alive);
    if (spec < 0)
        return;
    struct message *m = about(MESSAGE_PUT_TASK, task, chance);
    m->task = task_hold(w->specs[spec].task);
    if (odds(chance, 20))
        m->expected = odds(chance, 30) ? REVISION_NONE : known->revision + odds(chance, 30);
    post(w, m);
}

static void delete_task(struct world *w, struct random *chance)
{
    struct message *m = about(MESSAGE_DELETE_TASK, any_task(chance), chance);
    if (odds(chance, 20))
        m->expected = 1 + (int)random_below(chance, 4);
    post(w, m);
}

static void roll_back(struct world *w, struct random *chance)
{
    struct message *m = about(MESSAGE_ROLLBACK, any_task(chance), chance);
    m->revision = (int)random_below(chance, 5);
    post(w, m);
}

static void pause(struct world *w, struct random *chance)
{
    post(w, about(MESSAGE_PAUSE, any_task(chance), chance));
}

static void resume(struct world *w, struct random *chance)
{
    for (int task = 0; task < TASKS; task++)
        if (w->tasks[task].pause >= 0 && odds(chance, 60))
            post(w, about(MESSAGE_RESUME, task, chance));
}

static void apply(struct world *w, struct random *chance)
{
    struct message *m = message_new(MESSAGE_APPLY);
    int first = any_task(chance), count = 1 + (int)random_below(chance, 3);
    m->set.tasks = memory_array((size_t)count, sizeof *m->set.tasks);
    m->dry_run = odds(chance, 30);
    m->prune = odds(chance, 15);
    for (int i = 0; i < count; i++) {
        int task = (first + i) % TASKS;
        const struct known *known = &w->tasks[task];
        bool same = known->alive && odds(chance, 50);
        int spec = same ? known->spec : spec_new(w, chance, task, known->alive);
        if (spec >= 0)
            m->set.tasks[m->set.count++] = task_hold(w->specs[spec].task);
    }
    post(w, m);
}

// --- runs ---

int wishes_of(const struct creation *what)
{
    return what->flood ? what->flood : what->count;
}

uint64_t fingerprint_of(const struct creation *what)
{
    uint64_t parts[16] = {(uint64_t)wishes_of(what), what->batch, what->other_body};
    for (int i = 0; i < what->count; i++) {
        parts[3 + i] = (uint64_t)what->task[i] << 32 | (uint32_t)what->spec[i];
        parts[7 + i] = (uint64_t)what->payload[i];
    }
    return hash_bytes(parts, sizeof parts);
}

static void ask(struct world *w, const struct creation *what)
{
    struct message *m = message_new(MESSAGE_CREATE_RUNS);
    m->wish_count = (size_t)wishes_of(what);
    m->wishes = memory_array(m->wish_count, sizeof *m->wishes);
    m->batch = what->batch;
    m->fingerprint = fingerprint_of(what);
    for (int at = 0; at < wishes_of(what); at++) {
        struct wish *wish = &m->wishes[at];
        int i = what->flood ? 0 : at;
        char payload[40];
        if (what->task[i] >= 0)
            wish->task_name = name_of(what->task[i]);
        else
            wish->target = task_hold(w->specs[what->spec[i]].task);
        snprintf(payload, sizeof payload, "{\"n\":%d}", what->payload[i]);
        wish->payload = what->payload[i] ? memory_text(payload) : NULL;
        wish->payload_size = what->payload[i] ? strlen(payload) : 0;
        wish->due_at = what->delay_us < 0 ? WALL_NONE : wall_plus(wall_of(w), what->delay_us);
    }
    if (what->key) {
        char key[20];
        snprintf(key, sizeof key, "key-%d", what->key);
        m->key = memory_text(key);
    }
    m->sender = memory_copy(what, sizeof *what); // freed where the message is
    post(w, m);
}

static void create(struct world *w, struct random *chance, bool batch, bool of_task)
{
    struct creation what = {.count = batch ? 1 + (int)random_below(chance, 4) : 1,
                            .batch = batch,
                            .delay_us =
                                odds(chance, 50) ? -1 : random_below(chance, w->end_us / 4)};
    int spec = -1;
    for (int i = 0; i < what.count; i++) {
        bool named = of_task || odds(chance, 30);
        spec = !named && (spec < 0 || odds(chance, 50)) ? spec_new(w, chance, -1, false) : spec;
        if (!named && spec < 0)
            return;
        what.task[i] = named ? any_task(chance) : -1;
        what.spec[i] = named ? -1 : spec;
        what.payload[i] = odds(chance, 60) ? ++w->last_payload : 0;
    }
    if (odds(chance, 40))
        what.key = ++w->last_key;
    ask(w, &what);
}

static void create_one_off(struct world *w, struct random *chance)
{
    create(w, chance, false, false);
}

static void create_batch(struct world *w, struct random *chance)
{
    create(w, chance, true, false);
}

// More than any list, chunk or turn holds.
static void create_flood(struct world *w, struct random *chance)
{
    struct creation what = {.count = 1,
                            .batch = true,
                            .flood = 300 + (int)random_below(chance, 2400),
                            .task = {odds(chance, 70) ? any_task(chance) : -1},
                            .delay_us =
                                odds(chance, 50) ? -1 : random_below(chance, w->end_us / 4)};
    if (random_below(chance, 20))
        return; // dear, so not in every life
    if (what.task[0] < 0 && (what.spec[0] = spec_new(w, chance, -1, false)) < 0)
        return;
    if (odds(chance, 50))
        what.key = ++w->last_key;
    ask(w, &what);
}

static void trigger(struct world *w, struct random *chance)
{
    create(w, chance, false, true);
}

// A client that did not hear its answer, or is confused, comes again.
static void repeat_key(struct world *w, struct random *chance)
{
    if (!w->key_count)
        return;
    const struct kept_key *old = &w->keys[random_below(chance, w->key_count)];
    struct creation what = old->what;
    what.other_body = odds(chance, 25);
    ask(w, &what);
}

static struct message *about_run(struct world *w, enum message_kind kind, struct random *chance)
{
    struct message *m = message_new(kind);
    m->author = memory_text("bob");
    // Mostly young runs, so that some are alive.
    size_t back = w->run_count < 12 || odds(chance, 20) ? w->run_count : 12;
    m->run = back ? w->runs[w->run_count - 1 - (size_t)random_below(chance, (int64_t)back)].id
                  : (run_id){12345};
    if (odds(chance, 3))
        m->run.value = 12345; // nobody's
    return m;
}

static void cancel(struct world *w, struct random *chance)
{
    post(w, about_run(w, MESSAGE_CANCEL_RUN, chance));
}

static void cancel_flying(struct world *w, struct random *chance)
{
    for (size_t i = 0; i < w->try_count; i++)
        if (odds(chance, 50)) {
            struct message *m = message_new(MESSAGE_CANCEL_RUN);
            m->run = w->tries[i].order->run;
            post(w, m);
        }
}

static void retry(struct world *w, struct random *chance)
{
    post(w, about_run(w, MESSAGE_RETRY_RUN, chance));
}

static void look(struct world *w, struct random *chance)
{
    (void)chance;
    post(w, message_new(MESSAGE_METRICS));
}

const struct event user_events[] = {
    {"put", 25, put},
    {"delete", 4, delete_task},
    {"rollback", 6, roll_back},
    {"pause", 5, pause},
    {"resume", 8, resume},
    {"apply", 4, apply},
    {"one_off", 15, create_one_off},
    {"batch", 8, create_batch},
    {"trigger", 10, trigger},
    {"flood", 1, create_flood},
    {"repeat_key", 15, repeat_key},
    {"cancel", 8, cancel},
    {"cancel_flying", 8, cancel_flying},
    {"retry", 8, retry},
    {"metrics", 4, look},
};
const size_t user_event_count = sizeof user_events / sizeof *user_events;
