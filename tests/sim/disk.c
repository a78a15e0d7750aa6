// The store's disk as the simulator wants it: the real store, with verbs that fail when told to.
#include "sim/world.h"
#include "store/verbs.h"

static struct {
    const struct store_verbs *real;
    struct store_verbs ours;
    enum disk_fault fault;
    int calls; // DISK_VERB_FAILS: how many still go well
    bool failed, committed;
} disk;

static bool goes_well(void)
{
    if (disk.fault == DISK_VERB_FAILS && disk.calls-- <= 0)
        disk.failed = true;
    return !disk.failed;
}

#define FALLIBLE(verb, parameters, arguments)                           \
    static enum status fallible_##verb parameters                       \
    {                                                                   \
        return goes_well() ? disk.real->verb arguments : STATUS_FAILED; \
    }

FALLIBLE(begin, (struct store * s), (s))
FALLIBLE(find_task, (struct store * s, const char *name, struct task_record *ret), (s, name, ret))
FALLIBLE(find_task_by_id, (struct store * s, int64_t id, struct task_record *ret), (s, id, ret))
FALLIBLE(save_task, (struct store * s, struct task_record *record, const struct edit *edit),
         (s, record, edit))
FALLIBLE(mark_task,
         (struct store * s, const struct task_record *record, const char *what,
          const struct edit *edit),
         (s, record, what, edit))
FALLIBLE(put_cursor, (struct store * s, const struct cursor *cursor), (s, cursor))
FALLIBLE(drop_cursors, (struct store * s, int64_t task), (s, task))
FALLIBLE(add_run, (struct store * s, const struct run *run), (s, run))
FALLIBLE(find_run, (struct store * s, run_id id, struct run *ret), (s, id, ret))
FALLIBLE(start_run, (struct store * s, run_id id, wall at, int64_t revision, uint64_t lane),
         (s, id, at, revision, lane))
FALLIBLE(finish_attempt,
         (struct store * s, const struct attempt *attempt, const struct verdict *verdict, wall now),
         (s, attempt, verdict, now))
FALLIBLE(end_run, (struct store * s, run_id id, enum run_state state, const char *reason, wall now),
         (s, id, state, reason, now))
FALLIBLE(keep_key,
         (struct store * s, const char *key, uint64_t fingerprint, const char *body, size_t size,
          wall expires_at),
         (s, key, fingerprint, body, size, expires_at))
FALLIBLE(add_journal, (struct store * s, int64_t turn, wall at, const char *events, size_t size),
         (s, turn, at, events, size))

FALLIBLE(put_lease, (struct store * s, const struct lease_record *record), (s, record))
FALLIBLE(drop_lease, (struct store * s, run_id run), (s, run))
FALLIBLE(find_lease, (struct store * s, run_id run, struct lease_record *ret), (s, run, ret))
FALLIBLE(release_run, (struct store * s, run_id run, int64_t fence), (s, run, fence))

FALLIBLE(clear_history,
         (struct store * s, const struct history_limits *limits, struct history_place *place,
          size_t max, struct history_cleared *ret),
         (s, limits, place, max, ret))

static enum status commit(struct store *store)
{
    bool lies = disk.fault == DISK_COMMIT_LIES;
    disk.committed = false;
    disk.failed =
        disk.failed || lies || disk.fault == DISK_CRASH_BEFORE || disk.fault == DISK_COMMIT_FAILS;
    if (disk.failed && !lies) {
        disk.real->rollback(store);
        return STATUS_FAILED;
    }
    enum status status = disk.real->commit(store);
    disk.committed = status == STATUS_OK;
    return lies ? STATUS_FAILED : status;
}

void disk_take(struct world *w, struct store *store)
{
    disk.real = store->verbs;
    disk.ours = *store->verbs;
    disk.ours.begin = fallible_begin;
    disk.ours.find_task = fallible_find_task;
    disk.ours.find_task_by_id = fallible_find_task_by_id;
    disk.ours.save_task = fallible_save_task;
    disk.ours.mark_task = fallible_mark_task;
    disk.ours.put_cursor = fallible_put_cursor;
    disk.ours.drop_cursors = fallible_drop_cursors;
    disk.ours.add_run = fallible_add_run;
    disk.ours.find_run = fallible_find_run;
    disk.ours.start_run = fallible_start_run;
    disk.ours.finish_attempt = fallible_finish_attempt;
    disk.ours.end_run = fallible_end_run;
    disk.ours.keep_key = fallible_keep_key;
    disk.ours.add_journal = fallible_add_journal;
    disk.ours.commit = commit;
    if (w->workers.on) {
        disk.ours.put_lease = fallible_put_lease;
        disk.ours.drop_lease = fallible_drop_lease;
        disk.ours.find_lease = fallible_find_lease;
        disk.ours.release_run = fallible_release_run;
    }
    if (w->history.on)
        disk.ours.clear_history = fallible_clear_history;
    policies_watch(&disk.ours);
    history_watch(w, &disk.ours);
    notices_watch(w, &disk.ours);
    store->verbs = &disk.ours;
    disk_arm(DISK_WELL, 0);
    w->store = store;
}

void disk_arm(enum disk_fault fault, int calls)
{
    disk.fault = fault;
    disk.calls = calls;
    disk.committed = disk.failed = false;
}

bool disk_committed(void)
{
    return disk.committed;
}

bool disk_failed(void)
{
    return disk.failed;
}
