// GET /health and /ready.

#include <fcntl.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "api/handlers.h"
#include "api/request.h"
#include "base/now.h"

#define LAG_MOST (10 * SECOND)
#define TURN_MOST (5 * SECOND)
#define STEP_SHOWN (MINUTE)
#define DISK_LEAST (UINT64_C(64) << 20)

static pthread_once_t health_once = PTHREAD_ONCE_INIT;
static struct MHD_Response *health;

// One response for all requests and threads: this call is also the measure of what the HTTP library
// can do.
static void make_health(void)
{
    static char body[] = "{\"ok\":true}\n";
    health = MHD_create_response_from_buffer(sizeof body - 1, body, MHD_RESPMEM_PERSISTENT);
    MHD_add_response_header(health, "Content-Type", "application/json");
    MHD_add_response_header(health, "X-Content-Type-Options", "nosniff");
}

void health_get(struct request *r)
{
    pthread_once(&health_once, make_health);
    r->answer.code = 200;
    r->answer.whole = health;
    r->answer.whole_is_shared = true;
}

// Begins {"ok": ..., "detail": ...}; the caller may add fields and ends it.
static void begin_check(struct writer *w, const char *name, bool ok, const char *detail)
{
    member_object(w, name);
    member_bool(w, "ok", ok);
    member_text(w, "detail", detail);
}

static bool check_store(struct writer *w, const struct pulse_values *pulse)
{
    char words[sizeof pulse->store_problem + 80];
    snprintf(words, sizeof words, "a write failed, so nothing more is accepted: %s",
             pulse->store_problem);
    begin_check(w, "store", pulse->store_ok, pulse->store_ok ? "writes succeed" : words);
    writer_end_object(w);
    return pulse->store_ok;
}

static bool check_lag(struct writer *w, const struct pulse_values *pulse)
{
    bool ok = pulse->lag_us <= LAG_MOST;
    begin_check(w, "lag", ok,
                ok ? "due runs are started in time" : "runs have been due for more than 10 s");
    member_ms(w, "lag_ms", pulse->lag_us);
    writer_end_object(w);
    return ok;
}

static bool check_disk(struct writer *w, const char *store)
{
    char folder[4096];
    snprintf(folder, sizeof folder, "%s", store);
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = '\0';
    else
        snprintf(folder, sizeof folder, ".");
    struct statvfs disk;
    bool known = statvfs(folder, &disk) == 0;
    uint64_t room = known ? (uint64_t)disk.f_bavail * disk.f_frsize : 0;
    bool read_only = known && disk.f_flag & ST_RDONLY;
    // Of one file, or for the server's user: EROFS and EACCES alike.
    bool writable = known && !read_only && faccessat(AT_FDCWD, store, W_OK, AT_EACCESS) == 0;
    bool ok = writable && room >= DISK_LEAST;
    begin_check(w, "disk", ok,
                !known      ? "the store's folder cannot be looked at"
                : read_only ? "the store's file system is read-only"
                : !writable ? "the store's file cannot be written"
                : ok        ? "there is room"
                            : "less than 64 MiB are free");
    member_known(w, "free_bytes", known ? (int64_t)room : -1);
    writer_end_object(w);
    return ok;
}

// A step is worth knowing about; the schedules live with it (design, 6), so it fails nothing.
static void check_clock(struct writer *w, const struct pulse_values *pulse, steady now)
{
    bool test = wall_is_stopped();
    bool stepped = pulse->clock_step_us != 0 && now.us - pulse->clock_stepped.us <= STEP_SHOWN;
    begin_check(w, "clock", true,
                test      ? "a test clock: it stands still until POST /v1/test/clock moves it"
                : stepped ? "the wall clock was set within the last minute"
                          : "steady");
    member_int(w, "step_ms", stepped ? pulse->clock_step_us / MILLISECOND : 0);
    member_bool(w, "test", test);
    writer_end_object(w);
}

static bool check_scheduler(struct writer *w, const struct pulse_values *pulse, steady now)
{
    int64_t since = now.us - pulse->last_turn.us;
    bool ok = !pulse->stopping && since <= TURN_MOST;
    begin_check(w, "scheduler", ok,
                pulse->stopping ? "the server is stopping"
                : ok            ? "it takes its turns"
                                : "it has not taken a turn for more than 5 s");
    member_int(w, "since_last_turn_ms", since > 0 ? since / MILLISECOND : 0);
    writer_end_object(w);
    return ok;
}

// Differences that the auditor has found within the last hour.
static bool check_audit(struct writer *w, const struct audit_pulse *audit)
{
    bool ok = !audit->failed && audit->differences == 0;
    begin_check(w, "audit", ok,
                audit->failed ? "the auditor cannot read the store"
                : !ok ? "what is recorded differs from what was due: `punctual audit` says where"
                : audit->rounds_total ? "all that was due is recorded"
                                      : "the first round is under way");
    member_int(w, "differences", audit->differences);
    member_moment(w, "until", audit->rounds_total ? audit->until : WALL_NONE);
    writer_end_object(w);
    return ok;
}

void ready_get(struct request *r)
{
    struct pulse_values pulse = pulse_read(r->service->pulse);
    steady now = steady_now();
    struct buffer checks;
    buffer_init(&checks, 16 << 10);
    struct writer c = writer_on(&checks);
    writer_object(&c);
    bool ready = check_store(&c, &pulse);
    ready &= check_lag(&c, &pulse);
    ready &= check_disk(&c, r->service->options->store);
    ready &= check_scheduler(&c, &pulse, now);
    struct audit_pulse audit = pulse_read_audit(r->service->pulse);
    ready &= check_audit(&c, &audit);
    check_clock(&c, &pulse, now);
    writer_end_object(&c);

    struct writer w = request_answer(r, ready ? 200 : 503);
    writer_object(&w);
    member_bool(&w, "ok", ready);
    member_raw(&w, "checks", checks.data, checks.size);
    writer_end_object(&w);
    r->answer.retry_after_s = ready ? 0 : 1;
    buffer_done(&checks);
}
