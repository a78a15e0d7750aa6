// What users were promised: every accepted request, every attempt and its end, followed by hand.
// What the server answers and does is held against it as it comes.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "sim/world.h"

bool is_pending(enum run_state state)
{
    return state == RUN_SCHEDULED || state == RUN_WAITING;
}

struct owed *owed_find(struct world *w, run_id id)
{
    size_t place = (size_t)map_get(&w->by_id, (uint64_t)id.value);
    return place ? &w->runs[place - 1] : NULL;
}

struct owed *owed_shown(struct world *w, run_id id)
{
    struct owed *run = owed_find(w, id);
    return run && !run->cleared ? run : NULL;
}

struct owed *owed_add(struct world *w, run_id id)
{
    if (id.value <= 0 || owed_find(w, id))
        broken(w, "P3", "run id %s was given twice", id_text(id));
    if (w->run_count == w->run_room) {
        w->run_room = w->run_room ? w->run_room * 2 : 256;
        w->runs = memory_resize(w->runs, w->run_room, sizeof *w->runs);
    }
    struct owed *run = &w->runs[w->run_count++];
    *run = (struct owed){
        .id = id, .task = -1, .spec = -1, .made_us = w->now_us, .deadline = WALL_NEVER};
    map_put(&w->by_id, (uint64_t)id.value, (void *)w->run_count);
    return run;
}

int task_of(const char *name)
{
    return name && name[0] == 't' ? atoi(name + 1) : -1;
}

int spec_of(const struct world *w, const struct task *task)
{
    for (int i = w->spec_count; i-- > 0;)
        if (w->specs[i].task == task || strcmp(w->specs[i].task->definition, task->definition) == 0)
            return i;
    return -1;
}

bool same_definition(const struct world *w, int a, int b)
{
    return strcmp(w->specs[a].task->definition, w->specs[b].task->definition) == 0;
}

static void expect(struct world *w, const struct message *m, bool heard, enum status expected)
{
    if (heard && m->reply.status != expected)
        broken(w, "P4", "request %d about %s was answered \"%s\" (%s), and \"%s\" is right",
               m->kind, m->name ? m->name : id_text(m->run), status_text(m->reply.status),
               m->reply.detail, status_text(expected));
}

// --- tasks ---

// P5: what had started under the old definition is in the answer, and nothing else.
static void check_running(struct world *w, int task, const struct message *m)
{
    const char *list = strstr(buffer_string(&m->reply.body), "\"running\":[");
    int flying = 0, listed = 0;
    if (!list)
        broken(w, "P5", "the answer about t%d does not list what had started", task);
    const char *end = strchr(list, ']');
    for (const char *at = list; (at = strstr(at, "\"run_")) && at < end; at++)
        listed++;
    for (size_t i = 0; i < w->run_count; i++) {
        const struct owed *run = &w->runs[i];
        if (run->task != task || !run->flying)
            continue;
        flying++;
        const char *at = strstr(list, id_text(run->id));
        if (!at || at > end)
            broken(w, "P5", "the answer about t%d does not list %s, which had started", task,
                   id_text(run->id));
    }
    if (flying != listed)
        broken(w, "P5", "the answer about t%d lists %d runs as started, and %d had", task, listed,
               flying);
}

static void end_span(struct world *w, struct known *known)
{
    if (known->span < 0)
        return;
    struct span *span = &w->spans[known->span];
    wall now = wall_of(w);
    span->ended = true;
    if (now.us > span->until.us)
        span->until = now;
    known->span = -1;
}

// What was claimed ahead of its time goes out, and its instant is not made once more.
static wall behind_claimed(const struct world *w, int task)
{
    wall after = wall_of(w);
    for (size_t i = 0; i < w->run_count; i++) {
        const struct owed *run = &w->runs[i];
        if (run->flying && run->task == task && run->generation && run->nominal.us > after.us)
            after = run->nominal;
    }
    return after;
}

static void begin_span(struct world *w, int task)
{
    struct known *known = &w->tasks[task];
    if (w->span_count == SPANS)
        broken(w, "sim", "too many generations for the simulator");
    wall from = behind_claimed(w, task);
    known->span = w->span_count;
    w->spans[w->span_count++] = (struct span){.task = task,
                                              .generation = known->generation,
                                              .spec = known->spec,
                                              .from = from,
                                              .until = from};
}

static void cancel_pending(struct world *w, int task, bool only_occurrences)
{
    for (size_t i = 0; i < w->run_count; i++) {
        struct owed *run = &w->runs[i];
        if (run->task == task && is_pending(run->state) &&
            (!only_occurrences || (run->generation && run->attempts == 0))) {
            run->state = RUN_CANCELED;
            run->swept = true;
        }
    }
}

static void end_pause(struct world *w, struct known *known)
{
    if (known->pause >= 0)
        w->pauses[known->pause].to = wall_of(w);
    known->pause = -1;
}

void begin_pause(struct world *w, int task)
{
    if (w->pause_count == PAUSES)
        broken(w, "sim", "too many pauses for the simulator");
    w->tasks[task].pause = w->pause_count;
    w->pauses[w->pause_count++] = (struct pause){task, wall_of(w), WALL_NEVER};
    w->tasks[task].edits++;
    jobs_paused(w, task);
}

static void move_between(const struct world *w, struct known *known, int spec)
{
    known->moved_between_endpoints = true;
    if (goes_to_queue(w, spec) || goes_to_queue(w, known->spec))
        known->disturbed_us = w->now_us; // what waited there for a worker comes here late
}

static void define(struct world *w, int task, int spec)
{
    struct known *known = &w->tasks[task];
    if (known->alive && same_definition(w, known->spec, spec))
        return;
    bool again = known->alive;
    bool kind = again && w->specs[spec].monitor != w->specs[known->spec].monitor;
    bool schedules =
        !again || kind || strcmp(w->specs[spec].schedules, w->specs[known->spec].schedules);
    if (known->ever && w->specs[spec].endpoint != w->specs[known->spec].endpoint)
        move_between(w, known, spec);
    known->ever = known->alive = true;
    known->edits++;
    int before = known->spec;
    known->spec = spec;
    if (++known->revision == REVISIONS)
        broken(w, "sim", "too many revisions for the simulator");
    known->specs[known->revision] = spec;
    policies_defined(w, task, before, again);
    if (!again)
        known->pause = -1;
    if (!schedules)
        return;
    known->generation++;
    end_span(w, known);
    if (again)
        cancel_pending(w, task, !kind || !w->specs[spec].monitor);
    begin_span(w, task);
}

static void remove_task(struct world *w, int task)
{
    struct known *known = &w->tasks[task];
    known->alive = false;
    policies_removed(w, task);
    known->generation++;
    known->edits++;
    end_span(w, known);
    end_pause(w, known);
    cancel_pending(w, task, false);
}

static bool is_stale(const struct known *known, const struct message *m)
{
    int revision = known->alive ? known->revision : 0;
    return m->expected == REVISION_NONE ? revision != 0
                                        : m->expected > 0 && m->expected != revision;
}

static void answered_task(struct world *w, int task, const struct message *m, bool heard)
{
    expect(w, m, heard, STATUS_OK);
    if (!heard)
        return;
    if (m->reply.revision != w->tasks[task].revision)
        broken(w, "P4", "t%d is answered as revision %d, and it is %d", task, m->reply.revision,
               w->tasks[task].revision);
    check_running(w, task, m);
}

static void took_put(struct world *w, struct message *m, bool heard)
{
    int task = task_of(m->name);
    if (is_stale(&w->tasks[task], m)) {
        expect(w, m, heard, STATUS_STALE);
        return;
    }
    define(w, task, spec_of(w, m->task));
    answered_task(w, task, m, heard);
}

static void took_delete(struct world *w, struct message *m, bool heard)
{
    int task = task_of(m->name);
    const struct known *known = &w->tasks[task];
    if (!known->alive || is_stale(known, m)) {
        expect(w, m, heard, known->alive ? STATUS_STALE : STATUS_NOT_FOUND);
        return;
    }
    answered_task(w, task, m, heard);
    remove_task(w, task);
}

static void took_rollback(struct world *w, struct message *m, bool heard)
{
    int task = task_of(m->name);
    const struct known *known = &w->tasks[task];
    int wanted = m->revision ? m->revision : known->revision - 1;
    if (!known->alive) {
        expect(w, m, heard, STATUS_NOT_FOUND);
    } else if (wanted < 1 || wanted > known->revision) {
        expect(w, m, heard, STATUS_NOT_FOUND);
    } else {
        define(w, task, known->specs[wanted]);
        answered_task(w, task, m, heard);
    }
}

static void took_pause(struct world *w, struct message *m, bool heard)
{
    int task = task_of(m->name);
    if (!w->tasks[task].alive) {
        expect(w, m, heard, STATUS_NOT_FOUND);
        return;
    }
    if (w->tasks[task].pause < 0)
        begin_pause(w, task);
    answered_task(w, task, m, heard);
}

static void took_resume(struct world *w, struct message *m, bool heard)
{
    int task = task_of(m->name);
    struct known *known = &w->tasks[task];
    if (!known->alive) {
        expect(w, m, heard, STATUS_NOT_FOUND);
        return;
    }
    if (known->pause >= 0) {
        end_pause(w, known);
        known->edits++;
        known->disturbed_us = w->now_us;
    }
    answered_task(w, task, m, heard);
}

static void took_apply(struct world *w, struct message *m, bool heard)
{
    bool among[TASKS] = {false};
    expect(w, m, heard, STATUS_OK);
    for (size_t i = 0; i < m->set.count; i++) {
        int task = task_of(m->set.tasks[i]->name);
        among[task] = true;
        if (!m->dry_run)
            define(w, task, spec_of(w, m->set.tasks[i]));
    }
    for (int task = 0; task < TASKS && m->prune && !m->dry_run; task++)
        if (!among[task] && w->tasks[task].alive)
            remove_task(w, task);
}

// --- runs ---

static struct kept_key *find_key(struct world *w, int key)
{
    for (int i = 0; i < w->key_count; i++)
        if (key && w->keys[i].key == key)
            return &w->keys[i];
    return NULL;
}

// The ids in an answer, in order.
static int read_ids(const char *body, run_id *ret, int most)
{
    int count = 0;
    for (const char *at = body; count < most && (at = strstr(at, "run_")); at++) {
        char id[RUN_ID_TEXT];
        snprintf(id, sizeof id, "%.17s", at);
        if (run_id_parse(id, &ret[count]) == STATUS_OK)
            count++;
    }
    return count;
}

static enum status may_create(const struct world *w, const struct creation *what)
{
    for (int i = 0; i < what->count; i++) {
        if (what->task[i] < 0)
            continue;
        const struct known *known = &w->tasks[what->task[i]];
        if (!known->alive)
            return STATUS_NOT_FOUND;
        if (known->pause >= 0 || is_monitor(w, what->task[i]))
            return STATUS_CONFLICT;
    }
    return STATUS_OK;
}

static void repeated(struct world *w, const struct message *m, struct kept_key *old, bool heard)
{
    if (old->fingerprint != m->fingerprint) {
        if (heard && m->reply.status != STATUS_MISMATCH)
            broken(w, "P6", "key-%d came with another request, and was answered \"%s\"", old->key,
                   status_text(m->reply.status));
        return;
    }
    if (!heard)
        return;
    uint64_t body = hash_bytes(m->reply.body.data, m->reply.body.size);
    if (m->reply.status != STATUS_OK || !m->reply.replayed || (old->heard && body != old->body))
        broken(w, "P6", "key-%d came again, and was answered otherwise: %s", old->key,
               buffer_string(&m->reply.body));
    run_id *ids = memory_array((size_t)wishes_of(&old->what), sizeof *ids);
    int count = read_ids(buffer_string(&m->reply.body), ids, wishes_of(&old->what));
    free(ids);
    if (count != wishes_of(&old->what))
        broken(w, "P6", "key-%d was answered with %d runs", old->key, count);
    old->heard = true;
    old->body = body;
}

static void keep_key(struct world *w, const struct message *m, const struct creation *what,
                     bool heard)
{
    struct kept_key *kept = find_key(w, what->key);
    if (!kept && w->key_count == KEYS)
        return;
    if (!kept)
        kept = &w->keys[w->key_count++];
    *kept = (struct kept_key){.key = what->key,
                              .fingerprint = m->fingerprint,
                              .expires_at = wall_plus(wall_of(w), w->options.key_life_us),
                              .what = *what,
                              .heard = heard};
    if (heard)
        kept->body = hash_bytes(m->reply.body.data, m->reply.body.size);
}

static void owe(struct world *w, const struct message *m, const struct creation *what)
{
    int wanted = wishes_of(what);
    run_id *ids = memory_array((size_t)wanted, sizeof *ids);
    int count = read_ids(buffer_string(&m->reply.body), ids, wanted);
    if (count != wanted)
        broken(w, "P4", "%d runs were asked for, and %d were answered", wanted, count);
    for (int at = 0; at < count; at++) {
        struct owed *run = owed_add(w, ids[at]);
        int i = what->flood ? 0 : at;
        wall due = wall_is_set(m->wishes[at].due_at) ? m->wishes[at].due_at : wall_of(w);
        run->task = what->task[i];
        run->spec = what->spec[i];
        run->trigger = TRIGGER_API;
        run->due_least = run->due_most = run->nominal = due;
        run->payload = what->payload[i];
        policies_owed(w, run, run->task >= 0 ? w->tasks[run->task].spec : run->spec);
        char policy[500] = "";
        if (run->spec >= 0)
            policy_write(&w->specs[run->spec].policy, policy, sizeof policy);
        if (!what->flood)
            trace(w, "owed: %s, task %d, spec %d%s", id_text(run->id), run->task, run->spec,
                  policy);
    }
    free(ids);
}

static void took_create(struct world *w, struct message *m, bool heard)
{
    const struct creation *what = m->sender;
    struct kept_key *old = find_key(w, what->key);
    bool over = old && old->expires_at.us <= wall_of(w).us;
    // Cleared while the clock stood ahead of today: either answer is right.
    bool unsure = old && !over && old->expires_at.us <= w->highest.us;
    if (unsure && heard)
        over = !m->reply.replayed && m->reply.status != STATUS_MISMATCH;
    if (old && !over) {
        repeated(w, m, old, heard);
        return;
    }
    enum status expected = may_create(w, what);
    expect(w, m, heard, expected);
    if (expected != STATUS_OK)
        return;
    if (heard)
        owe(w, m, what);
    else
        w->unheard += wishes_of(what);
    if (what->key)
        keep_key(w, m, what, heard);
}

static void took_cancel(struct world *w, struct message *m, bool heard)
{
    struct owed *run = owed_shown(w, m->run);
    if (run && run->swept && m->reply.status == STATUS_OK)
        return; // sooner than the sweep
    if (!run || run_state_is_final(run->state)) {
        expect(w, m, heard, run ? STATUS_CONFLICT : STATUS_NOT_FOUND);
        return;
    }
    expect(w, m, heard, STATUS_OK);
    run->state = RUN_CANCELED;
    lease_end(w, run);
}

static void took_retry(struct world *w, struct message *m, bool heard)
{
    struct owed *old = owed_shown(w, m->run);
    if (old && old->swept && m->reply.status == STATUS_CONFLICT)
        return; // the sweep has not come to it yet
    enum status expected = !old                              ? STATUS_NOT_FOUND
                           : !run_state_is_final(old->state) ? STATUS_CONFLICT
                                                             : STATUS_OK;
    if (expected == STATUS_OK && old->task >= 0)
        expected = !w->tasks[old->task].alive       ? STATUS_NOT_FOUND
                   : w->tasks[old->task].pause >= 0 ? STATUS_CONFLICT
                   : is_monitor(w, old->task)       ? STATUS_CONFLICT
                                                    : STATUS_OK;
    expect(w, m, heard, expected);
    if (expected != STATUS_OK)
        return;
    if (!heard) {
        w->unheard++;
        return;
    }
    struct owed like = *old;
    struct owed *run = owed_add(w, m->reply.run);
    run->task = like.task;
    run->spec = like.task < 0 ? like.spec : -1;
    run->payload = like.payload;
    run->notice = like.notice;
    run->trigger = TRIGGER_RETRY;
    run->retry_of = like.id;
    run->due_least = run->due_most = run->nominal = wall_of(w);
    policies_owed(w, run, run->task >= 0 ? w->tasks[run->task].spec : run->spec);
    run->priority = like.priority;
}

static void took_metrics(struct world *w, struct message *m, bool heard)
{
    expect(w, m, heard, STATUS_OK);
}

// It is answered when there is something for it (leases.c).
static void took_poll(struct world *w, struct message *m, bool heard)
{
    (void)w;
    (void)m;
    (void)heard;
}

// --- messages, in the order in which a turn takes them ---

static void (*const took[MESSAGE_KIND_COUNT])(struct world *, struct message *, bool) = {
    [MESSAGE_PUT_TASK] = took_put,       [MESSAGE_DELETE_TASK] = took_delete,
    [MESSAGE_ROLLBACK] = took_rollback,  [MESSAGE_APPLY] = took_apply,
    [MESSAGE_PAUSE] = took_pause,        [MESSAGE_RESUME] = took_resume,
    [MESSAGE_CREATE_RUNS] = took_create, [MESSAGE_CANCEL_RUN] = took_cancel,
    [MESSAGE_RETRY_RUN] = took_retry,    [MESSAGE_METRICS] = took_metrics,
    [MESSAGE_REPORT] = model_report,     [MESSAGE_LEASE] = took_poll,
    [MESSAGE_LEASE_WORD] = took_words,   [MESSAGE_CHECKIN] = took_checkin,
};

void model_message(struct world *w, struct message *m, bool heard)
{
    if (m->kind != MESSAGE_REPORT && m->kind != MESSAGE_LEASE)
        trace(w, "request %d about %s: %s", m->kind, m->name ? m->name : id_text(m->run),
              status_text(m->reply.status));
    took[m->kind](w, m, heard);
}
