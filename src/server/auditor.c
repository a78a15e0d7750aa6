#include "server/auditor.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/logline.h"
#include "base/memory.h"
#include "base/now.h"
#include "store/audit.h"

// What is younger is left alone: it is still being recorded.
#define SETTLE_US (5 * SECOND)
#define ROUND_US (5 * SECOND)
// The first round looks back over the restart.
#define LOOK_BACK_US (10 * MINUTE)
// How long what was found is shown on /ready and in the gauge.
#define SHOWN_US HOUR
#define ROUNDS_SHOWN 256
#define LOGGED_MOST 20 // of one round
// After each step a break this many times as long: looking over tasks costs what there are,
// however idle they lie; looking over runs what there was to do.
#define BREAK_AT_TASKS 1000
#define BREAK_AT_RUNS 50
#define BREAK_MOST_US SECOND
#define BREAK_LEAST_US (20 * MILLISECOND) // shorter ones are taken together: to wake up costs, too

struct found { // in one round that found something
    steady at;
    int64_t count;
};

struct auditor {
    const char *store;
    struct pulse *pulse;
    pthread_t thread;
    int stop_fd; // an eventfd: time to end
    atomic_bool ending;
    struct found found[ROUNDS_SHOWN];
    size_t found_count; // how many rounds found something; the newest ROUNDS_SHOWN are kept
    struct audit_pulse values;
};

// False when it is time to end.
static bool pause_for(struct auditor *auditor, int64_t us)
{
    struct pollfd fd = {.fd = auditor->stop_fd, .events = POLLIN};
    if (us > 0 && !atomic_load(&auditor->ending))
        (void)poll(&fd, 1, (int)(us / MILLISECOND) + 1);
    return !atomic_load(&auditor->ending);
}

// --- what was found ---

static void log_difference(const struct difference *d)
{
    struct logline line;
    logline_begin(&line, wall_now(), LEVEL_ERROR, "audit_difference");
    member_text(&line.w, "kind", difference_kind_text(d->kind));
    member_text(&line.w, "task", *d->task ? d->task : NULL);
    member_run(&line.w, "run", d->run);
    member_moment(&line.w, "at", d->at);
    member_text(&line.w, "detail", d->detail);
    logline_end(&line);
}

static int64_t count_shown(const struct auditor *auditor, steady now)
{
    int64_t count = 0;
    size_t kept = auditor->found_count < ROUNDS_SHOWN ? auditor->found_count : (size_t)ROUNDS_SHOWN;
    for (size_t i = 0; i < kept; i++)
        if (now.us - auditor->found[i].at.us < SHOWN_US)
            count += auditor->found[i].count;
    return count;
}

static void conclude(struct auditor *auditor, const struct audit *audit, wall until)
{
    const struct audit_totals *totals = audit_totals(audit);
    const struct difference *d;
    steady now = steady_now();
    for (size_t i = 0; i < LOGGED_MOST && (d = audit_difference(audit, i)); i++)
        log_difference(d);
    if (totals->differences > LOGGED_MOST)
        logline_say(wall_now(), LEVEL_ERROR, "audit_differences",
                    "%lld differences in one round; `punctual audit` lists them",
                    (long long)totals->differences);
    if (totals->differences)
        auditor->found[auditor->found_count++ % ROUNDS_SHOWN] =
            (struct found){now, totals->differences};
    auditor->values.differences = count_shown(auditor, now);
    auditor->values.differences_total += totals->differences;
    auditor->values.pending = totals->pending;
    auditor->values.occurrences_total += totals->occurrences;
    auditor->values.runs_total += totals->runs;
    auditor->values.rounds_total++;
    auditor->values.until = until;
    pulse_publish_audit(auditor->pulse, &auditor->values);
}

// --- rounds ---

// STATUS_END: all of the window was looked over. STATUS_OK: it is time to end.
static enum status go_over(struct auditor *auditor, struct audit *audit)
{
    int64_t rest = 0;
    for (;;) {
        steady before = steady_now();
        int64_t times = audit_is_at_tasks(audit) ? BREAK_AT_TASKS : BREAK_AT_RUNS;
        enum status status = audit_step(audit);
        if (status != STATUS_OK)
            return status;
        rest += (steady_now().us - before.us) * times;
        if (rest < BREAK_LEAST_US)
            continue;
        if (!pause_for(auditor, rest < BREAK_MOST_US ? rest : BREAK_MOST_US))
            return STATUS_OK;
        rest = 0;
    }
}

static void *run(void *context)
{
    struct auditor *auditor = context;
    struct reader *reader = NULL;
    char why[512];
    wall from = wall_plus(wall_now(), -LOOK_BACK_US);
    sched_setscheduler(0, SCHED_IDLE, &(struct sched_param){0});
    if (reader_open_sqlite(auditor->store, &reader, why, sizeof why) != STATUS_OK) {
        logline_say(wall_now(), LEVEL_ERROR, "audit_failed", "%s", why);
        auditor->values.failed = true;
        pulse_publish_audit(auditor->pulse, &auditor->values);
        return NULL;
    }
    enum status status = STATUS_END;
    while (status == STATUS_END && pause_for(auditor, ROUND_US)) {
        wall to = wall_plus(wall_now(), -SETTLE_US);
        if (to.us <= from.us) // the clock was set back: there is nothing new to look at
            continue;
        struct audit *audit = audit_new(reader, &(struct audit_options){.from = from, .to = to});
        status = go_over(auditor, audit);
        if (status == STATUS_END) {
            conclude(auditor, audit, to);
            from = to;
        }
        audit_free(audit);
    }
    if (status != STATUS_END && status != STATUS_OK) {
        logline_say(wall_now(), LEVEL_ERROR, "audit_failed", "the store cannot be read");
        auditor->values.failed = true;
        pulse_publish_audit(auditor->pulse, &auditor->values);
    }
    reader_close(reader);
    return NULL;
}

struct auditor *auditor_start(const char *store, struct pulse *pulse)
{
    struct auditor *auditor = memory_new(sizeof *auditor);
    auditor->store = store;
    auditor->pulse = pulse;
    auditor->stop_fd = eventfd(0, EFD_CLOEXEC);
    if (auditor->stop_fd >= 0 && pthread_create(&auditor->thread, NULL, run, auditor) == 0)
        return auditor;
    close(auditor->stop_fd);
    free(auditor);
    return NULL;
}

void auditor_stop(struct auditor *auditor)
{
    if (!auditor)
        return;
    uint64_t one = 1;
    atomic_store(&auditor->ending, true);
    (void)!write(auditor->stop_fd, &one, sizeof one);
    pthread_join(auditor->thread, NULL);
    close(auditor->stop_fd);
    free(auditor);
}
