// What ran when the last process ended: those attempts are lost. They count, and the runs are tried
// again.
#include "base/memory.h"
#include "scheduler/state.h"

#define CHUNK 200

// The definition a run's last attempt used; for a task's run that is a revision of it.
static enum status recover_run(struct scheduler *s, wall now, const struct run *run)
{
    struct task *task;
    enum status status = known_definition(&s->known, run->revision_id, &task);
    if (status != STATUS_OK)
        return status;
    if (recover_monitor(s, run, task))
        return STATUS_OK;
    status = resume_lease(s, now, run, task);
    if (status != STATUS_NOT_FOUND) // somebody else works on it, and goes on doing so
        return status;
    struct message *m = message_new(MESSAGE_REPORT);
    m->task = task_hold(task);
    m->attempt.run = run->id;
    m->attempt.number = run->attempts;
    m->attempt.fence = run->fence;
    attempt_started(&m->attempt, run->attempt_started_at, run->due_at);
    m->attempt.outcome = ATTEMPT_LOST;
    m->attempt.error = memory_text("the server stopped in the middle of this attempt");
    finish_attempt(s, now, &m->attempt, task, run->task, run->priority);
    send_attempt(s, m); // leaves with the first turn
    return s->broken ? STATUS_FAILED : STATUS_OK;
}

static enum status recover_chunk(struct scheduler *s, wall now, run_id *after, size_t *ret_count)
{
    struct run runs[CHUNK];
    enum status status = store_load_running(s->store, *after, CHUNK, runs, ret_count);
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; i < *ret_count; i++) {
        if (status == STATUS_OK)
            status = recover_run(s, now, &runs[i]);
        *after = runs[i].id;
        run_done(&runs[i]);
    }
    return status;
}

enum status recover_lost_runs(struct scheduler *s, wall now)
{
    run_id after = {0};
    size_t count = CHUNK;
    enum status status = STATUS_OK;
    s->attempts_end = &s->attempts;
    while (status == STATUS_OK && count == CHUNK) {
        buffer_clear(&s->journal);
        status = store_begin(s->store);
        if (status == STATUS_OK)
            status = recover_chunk(s, now, &after, &count);
        if (status == STATUS_OK)
            tell_notices(s, now);
        if (status == STATUS_OK && s->journal.size)
            status = store_add_journal(s->store, ++s->turn, now, s->journal.data, s->journal.size);
        if (status == STATUS_OK)
            status = store_commit(s->store);
        else
            store_rollback(s->store);
    }
    return status == STATUS_OK ? STATUS_OK : STATUS_FAILED;
}
