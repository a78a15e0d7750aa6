#include "store/audit.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "store/audit_parts.h"

// A run is recorded at most this much before its instant, or ends so, as that of a job that checks
// in early: what was cleared until t may have been due a little later.
#define AHEAD_US (MINUTE + SECOND)

static const char *const kinds[DIFFERENCE_KIND_COUNT] = {
    [DIFFERENCE_NO_RECORD] = "no_record",
    [DIFFERENCE_DOUBLE] = "double",
    [DIFFERENCE_PHANTOM] = "phantom",
    [DIFFERENCE_EARLY] = "early",
    [DIFFERENCE_WHILE_PAUSED] = "while_paused",
    [DIFFERENCE_ATTEMPTS] = "attempts",
    [DIFFERENCE_FENCES] = "fences",
    [DIFFERENCE_STATE] = "state",
    [DIFFERENCE_REASON] = "reason",
    [DIFFERENCE_BOOKS] = "books",
};

const char *difference_kind_text(enum difference_kind kind)
{
    return kinds[kind];
}

struct audit *audit_new(struct reader *reader, const struct audit_options *options)
{
    struct audit *a = memory_new(sizeof *a);
    a->reader = reader;
    a->options = *options;
    a->totals.from = options->from;
    return a;
}

void audit_free(struct audit *audit)
{
    if (!audit)
        return;
    free(audit->differences);
    free(audit);
}

void audit_found(struct audit *a, const struct difference *difference, const char *format, ...)
{
    a->totals.differences++;
    if (a->count >= AUDIT_DIFFERENCES_MAX)
        return;
    a->differences = memory_resize(a->differences, a->count + 1, sizeof *a->differences);
    struct difference *kept = &a->differences[a->count++];
    va_list arguments;
    *kept = *difference;
    va_start(arguments, format);
    vsnprintf(kept->detail, sizeof kept->detail, format, arguments);
    va_end(arguments);
}

// --- steps ---

static enum status begin(struct audit *a)
{
    wall cleared;
    enum status status = reader_cleared_until(a->reader, &cleared);
    if (status != STATUS_OK)
        return status;
    if (wall_is_set(cleared) && cleared.us + AHEAD_US > a->totals.from.us)
        a->totals.from.us = cleared.us + AHEAD_US;
    a->ended = a->totals.from;
    a->begun = true;
    return STATUS_OK;
}

static enum status next_task(struct audit *a)
{
    enum status status = !a->options.task ? reader_next_task_row(a->reader, a->task.id, &a->task)
                         : a->task.id     ? STATUS_END
                                      : reader_audited_task(a->reader, a->options.task, &a->task);
    a->in_task = status == STATUS_OK;
    a->at = a->totals.from;
    a->totals.tasks += status == STATUS_OK;
    return status;
}

static enum status step_tasks(struct audit *a)
{
    enum status status = a->in_task ? STATUS_OK : next_task(a);
    if (status == STATUS_OK)
        status = audit_task(a);
    else
        return status;
    if (status != STATUS_END)
        return status;
    a->in_task = false;
    return STATUS_OK;
}

static enum status step_ended(struct audit *a)
{
    return audit_ended_runs(a);
}

static enum status step_running(struct audit *a)
{
    return audit_live_runs(a, RUN_RUNNING);
}

static enum status step_waiting(struct audit *a)
{
    return audit_live_runs(a, RUN_WAITING);
}

static enum status step_books(struct audit *a)
{
    return a->options.task ? STATUS_END : audit_books(a);
}

enum status audit_step(struct audit *a)
{
    static enum status (*const steps[])(struct audit *) = {
        [AUDIT_TASKS] = step_tasks,     [AUDIT_ENDED] = step_ended, [AUDIT_RUNNING] = step_running,
        [AUDIT_WAITING] = step_waiting, [AUDIT_BOOKS] = step_books,
    };
    if (a->phase == AUDIT_OVER)
        return STATUS_END;
    enum status status = reader_begin(a->reader);
    if (status != STATUS_OK)
        return status;
    if (!a->begun)
        status = begin(a);
    if (status == STATUS_OK)
        status = steps[a->phase](a);
    reader_end(a->reader);
    if (status != STATUS_END)
        return status;
    a->phase++;
    a->run = (run_id){0};
    return a->phase == AUDIT_OVER ? STATUS_END : STATUS_OK;
}

bool audit_is_at_tasks(const struct audit *audit)
{
    return audit->phase == AUDIT_TASKS;
}

// --- the result ---

const struct audit_totals *audit_totals(const struct audit *audit)
{
    return &audit->totals;
}

const struct difference *audit_difference(const struct audit *audit, size_t at)
{
    return at < audit->count ? &audit->differences[at] : NULL;
}

static void write_difference(struct writer *w, const struct difference *d)
{
    char id[RUN_ID_TEXT];
    writer_object(w);
    writer_key(w, "kind");
    writer_text(w, kinds[d->kind]);
    writer_key(w, "task");
    writer_text(w, *d->task ? d->task : NULL);
    writer_key(w, "run");
    if (d->run.value)
        run_id_format(d->run, id);
    writer_text(w, d->run.value ? id : NULL);
    writer_key(w, "at");
    writer_moment(w, d->at);
    writer_key(w, "detail");
    writer_text(w, d->detail);
    writer_end_object(w);
}

static void write_count(struct writer *w, const char *key, int64_t n)
{
    writer_key(w, key);
    writer_int(w, n);
}

static void write_books(const struct audit_totals *t, struct writer *w)
{
    writer_key(w, "books");
    writer_object(w);
    write_count(w, "due", t->due);
    for (unsigned i = RUN_SUCCEEDED; i < RUN_STATE_COUNT; i++)
        write_count(w, run_state_text((enum run_state)i), t->ended[i]);
    write_count(w, "live", t->live);
    write_count(w, "cleared", t->cleared);
    writer_end_object(w);
}

void audit_write(const struct audit *audit, struct writer *w)
{
    const struct audit_totals *t = &audit->totals;
    writer_object(w);
    writer_key(w, "ok");
    writer_bool(w, t->differences == 0);
    writer_key(w, "from");
    writer_moment(w, audit->options.from);
    writer_key(w, "to");
    writer_moment(w, audit->options.to);
    // What history has cleared before this cannot be judged any more.
    writer_key(w, "audited_from");
    writer_moment(w, t->from.us < audit->options.to.us ? t->from : audit->options.to);
    write_count(w, "tasks", t->tasks);
    write_count(w, "occurrences", t->occurrences);
    write_count(w, "runs", t->runs);
    write_count(w, "pending", t->pending);
    write_count(w, "differences_total", t->differences);
    writer_key(w, "differences");
    writer_array(w);
    for (size_t i = 0; i < audit->count; i++)
        write_difference(w, &audit->differences[i]);
    writer_end_array(w);
    if (!audit->options.task)
        write_books(t, w);
    writer_end_object(w);
}
