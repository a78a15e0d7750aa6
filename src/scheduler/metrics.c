// GET /metrics in Prometheus's text format 0.0.4.
#include <stdlib.h>

#include "base/logline.h"
#include "base/memory.h"
#include "scheduler/state.h"

#define TALLIES_MAX 10000 // tasks with figures of their own; what is beyond is one figure

static void tally_free(struct tally *tally)
{
    free(tally->task);
    free(tally);
}

// Makes room where tasks have been deleted.
static void drop_deleted(struct metrics *metrics)
{
    struct map kept = {0};
    uint64_t key;
    void *value;
    for (size_t at = 0; map_each(&metrics->tallies, &at, &key, &value);) {
        if (((struct tally *)value)->deleted)
            tally_free(value);
        else
            map_put(&kept, key, value);
    }
    map_done(&metrics->tallies);
    metrics->tallies = kept;
    metrics->deleted_tallies = 0;
}

static struct tally *tally_of(struct metrics *metrics, int64_t task_id, const char *task)
{
    struct tally *tally = map_get(&metrics->tallies, (uint64_t)task_id);
    if (tally)
        return tally;
    if (metrics->tallies.count >= TALLIES_MAX && metrics->deleted_tallies)
        drop_deleted(metrics);
    if (metrics->tallies.count >= TALLIES_MAX)
        return &metrics->other_tallies;
    tally = memory_new(sizeof *tally);
    tally->task = memory_text(task);
    map_put(&metrics->tallies, (uint64_t)task_id, tally);
    return tally;
}

void count_run(struct metrics *metrics, int64_t task_id, const char *task, enum run_state state)
{
    metrics->runs[state]++;
    if (!task_id || !task)
        return;
    struct tally *tally = tally_of(metrics, task_id, task);
    tally->runs[state]++;
    if (state == RUN_SCHEDULED)
        tally->deleted = false; // a task of this name was made again
}

void count_no_more(struct metrics *metrics, int64_t task_id)
{
    struct tally *tally = map_get(&metrics->tallies, (uint64_t)task_id);
    if (tally) {
        tally->deleted = true;
        metrics->deleted_tallies++;
    }
}

uint64_t count_ended(const struct metrics *metrics)
{
    uint64_t ended = 0;
    for (unsigned i = RUN_SUCCEEDED; i < RUN_STATE_COUNT; i++)
        ended += metrics->runs[i];
    return ended;
}

void metrics_done(struct metrics *metrics)
{
    uint64_t key;
    void *value;
    for (size_t at = 0; map_each(&metrics->tallies, &at, &key, &value);)
        tally_free(value);
    map_done(&metrics->tallies);
}

static void head(struct buffer *to, const char *name, const char *type, const char *help)
{
    buffer_format(to, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void single(struct buffer *to, const char *name, const char *type, const char *help,
                   double value)
{
    head(to, name, type, help);
    buffer_format(to, "%s %.10g\n", name, value);
}

static void write_tally(const struct tally *tally, const char *task, struct buffer *to)
{
    for (unsigned i = 0; i < RUN_STATE_COUNT; i++)
        if (tally->runs[i]) // a task's name needs no escape
            buffer_format(to, "punctual_task_runs_total{task=\"%s\",state=\"%s\"} %llu\n", task,
                          run_state_text(i), (unsigned long long)tally->runs[i]);
}

static void write_runs(const struct metrics *metrics, struct buffer *to)
{
    head(to, "punctual_runs_total", "counter",
         "How often runs entered each state since the start; scheduled: were made.");
    for (unsigned i = 0; i < RUN_STATE_COUNT; i++)
        if (i != RUN_DUE)
            buffer_format(to, "punctual_runs_total{state=\"%s\"} %llu\n", run_state_text(i),
                          (unsigned long long)metrics->runs[i]);
    head(to, "punctual_task_runs_total", "counter",
         "The same for each task; (others): all for which there was no room.");
    uint64_t key;
    void *value;
    for (size_t at = 0; map_each(&metrics->tallies, &at, &key, &value);)
        write_tally(value, ((struct tally *)value)->task, to);
    write_tally(&metrics->other_tallies, "(others)", to); // no task can be called that
}

static void write_attempts(const struct metrics *metrics, struct buffer *to)
{
    head(to, "punctual_attempts_total", "counter", "Attempts that ended, by outcome.");
    for (unsigned i = 0; i < ATTEMPT_OUTCOME_COUNT; i++)
        buffer_format(to, "punctual_attempts_total{outcome=\"%s\"} %llu\n", attempt_outcome_text(i),
                      (unsigned long long)metrics->attempts[i]);
}

static void write_audit(const struct audit_pulse *audit, struct buffer *to)
{
    single(to, "punctual_audit_differences", "gauge",
           "Differences between what was due and what is recorded, found within the last hour.",
           (double)audit->differences);
    single(to, "punctual_audit_differences_total", "counter", "Differences found since the start.",
           (double)audit->differences_total);
    single(to, "punctual_audit_pending", "gauge",
           "Occurrences past their time that the last round found still to be recorded.",
           (double)audit->pending);
    single(to, "punctual_audit_occurrences_total", "counter",
           "Occurrences that were audited since the start.", (double)audit->occurrences_total);
    single(to, "punctual_audit_runs_total", "counter", "Runs that were audited since the start.",
           (double)audit->runs_total);
    single(to, "punctual_audit_until_seconds", "gauge",
           "Up to when all was audited, in seconds since 1970; 0: nothing yet.",
           (double)audit->until.us / 1e6);
}

// due = succeeded + failed + canceled + missed + skipped + live, since the store was made.
static void write_books(const struct history_size *size, struct buffer *to)
{
    int64_t live = size->entered[RUN_SCHEDULED];
    head(to, "punctual_books_runs", "gauge",
         "Runs since the store was made: due is the sum of all others.");
    buffer_format(to, "punctual_books_runs{state=\"due\"} %lld\n", (long long)live);
    for (unsigned i = RUN_SUCCEEDED; i < RUN_STATE_COUNT; i++) {
        live -= size->entered[i];
        buffer_format(to, "punctual_books_runs{state=\"%s\"} %lld\n", run_state_text(i),
                      (long long)size->entered[i]);
    }
    buffer_format(to, "punctual_books_runs{state=\"live\"} %lld\n", (long long)live);
}

static void write_history(struct scheduler *s, struct buffer *to)
{
    struct history_size size;
    if (!went_well(s, store_history_size(s->store, &size)))
        return;
    write_books(&size, to);
    single(to, "punctual_history_runs", "gauge", "Ended runs that are kept.", (double)size.rows);
    single(to, "punctual_store_bytes", "gauge",
           "Bytes of the store that are in use; what was freed is used again.", (double)size.bytes);
    single(to, "punctual_history_cleared_total", "counter",
           "Ended runs that the limits of history have cleared since the start.",
           (double)s->history.cleared);
}

void answer_metrics(struct scheduler *s, wall now, struct message *m)
{
    const struct metrics *metrics = &s->metrics;
    struct buffer *to = &m->reply.body;
    struct pulse_values pulse = {0};
    scheduler_pulse(s, now, &pulse);
    write_runs(metrics, to);
    write_attempts(metrics, to);
    histogram_write(&metrics->lateness, "punctual_lateness_seconds",
                    "From the instant an attempt was due to its start.", to);
    histogram_write(&metrics->response_time, "punctual_response_time_seconds",
                    "From the start of an attempt to its end.", to);
    histogram_write(&metrics->queue_wait, "punctual_queue_wait_seconds",
                    "From the instant a run was due to its claim.", to);
    histogram_write(&metrics->commit, "punctual_commit_seconds",
                    "How long turns took, with their commit.", to);
    single(to, "punctual_workers_waiting", "gauge", "Workers that wait for runs of a queue.",
           (double)s->queues.waiting);
    single(to, "punctual_leases", "gauge",
           "Runs that workers have leased or endpoints will call back about.",
           (double)s->leases.count);
    single(to, "punctual_leases_total", "counter", "Leases that were given.",
           (double)s->leases.granted);
    single(to, "punctual_leases_expired_total", "counter", "Leases that ran out.",
           (double)s->leases.expired);
    single(to, "punctual_running", "gauge", "Attempts under way.", (double)s->flights.count);
    single(to, "punctual_waiting_for_endpoint", "gauge",
           "Runs that are due and wait for room at their endpoint.", (double)s->lanes.ready);
    single(to, "punctual_held_back", "gauge",
           "Runs that are due and held back by max_running or rate_limit.",
           (double)s->limits.parked);
    endpoints_write(&s->endpoints, to);
    single(to, "punctual_waiting_to_catch_up", "gauge",
           "Runs that fell into an outage and wait for their start.",
           (double)s->due.catch_up.count);
    single(to, "punctual_dead_letters", "gauge",
           "Failed runs that nobody has dealt with; counted up to a million.", (double)m->dead);
    single(to, "punctual_notices_pending", "gauge",
           "Notices that are made and not delivered yet, nor given up.",
           (double)s->notices_pending.count);
    single(to, "punctual_due_held", "gauge", "Runs held in the due index.",
           (double)s->due.heap.count);
    single(to, "punctual_lag_seconds", "gauge",
           "Age of the oldest run that is due, may start, and has not.",
           (double)pulse.lag_us / 1e6);
    single(to, "punctual_turns_total", "counter", "Turns of the scheduler.",
           (double)metrics->turns);
    single(to, "punctual_messages_total", "counter", "Messages the turns have taken.",
           (double)metrics->messages);
    single(to, "punctual_log_lines_dropped_total", "counter",
           "Lines of the log that its reader was too slow for.", (double)logline_dropped());
    single(to, "punctual_start_time_seconds", "gauge",
           "When the server started, in seconds since 1970.", (double)s->started.us / 1e6);
    write_audit(&metrics->audit, to);
    write_history(s, to);
}
