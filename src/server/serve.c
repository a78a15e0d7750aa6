#include "server/serve.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "base/logline.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/now.h"
#include "dispatch/signature.h"
#include "server/apply_file.h"
#include "server/auditor.h"
#include "server/back.h"
#include "server/config.h"
#include "server/secret.h"
#include "server/test_clock.h"

#define EXIT_CONFIGURATION 2
#define POLL_AGAIN_US 10000
// With a test clock: what is due is loaded years ahead, so that the clock need not stop to load it;
// and the steady clock of leases is the wall clock, also after a restart.
#define TEST_HORIZON_US (10 * 365 * DAY)
#define TEST_BOOT (-1)
#define TEST_SEED 1 // what is left to chance is the same in each run of a test

struct house { // in the order of building
    struct config config;
    struct dispatch_options dispatch;
    struct front_options front_options;
    char secret[SECRET_TEXT], node[65], url[160];
    int signals, failed;
    int listener, port; // listener: 0 where there is none, or the front has it
    struct store *store;
    struct mailbox messages;
    struct pulse pulse;
    struct dispatcher *dispatcher;
    struct scheduler *scheduler;
    struct front *front;
    struct back *back;
    struct auditor *auditor;
    enum status applied; // what became of the file of tasks
};

static bool complain(const char *format, const char *detail)
{
    fprintf(stderr, "punctual: ");
    fprintf(stderr, format, detail);
    fputc('\n', stderr);
    return false;
}

// Signals arrive as bytes to read, in this thread alone.
static bool take_signals(struct house *h)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); // a limit on file sizes is an error to report, as a full disk is
    h->signals = signalfd(-1, &set, SFD_CLOEXEC);
    h->failed = eventfd(0, EFD_CLOEXEC);
    // Connections in and out each need a descriptor: as many as the system lets us have.
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    return h->signals >= 0 && h->failed >= 0 ? true
                                             : complain("no descriptors left: %s", strerror(errno));
}

static bool open_store(struct house *h)
{
    char why[512];
    enum status status =
        h->config.clock.stands
            ? store_open_sqlite_unsynced(h->config.store, &h->store, why, sizeof why)
            : store_open_sqlite(h->config.store, &h->store, why, sizeof why);
    if (status != STATUS_OK)
        return complain("%s", why);
    return true;
}

// The clock stops before anything looks at it.
static bool set_clock(struct house *h)
{
    char why[512];
    wall start;
    enum status status = h->config.clock.stands ? test_clock_start(h->store, h->config.clock.at,
                                                                   &start, why, sizeof why)
                                                : test_clock_refuse(h->store, why, sizeof why);
    if (status != STATUS_OK)
        return complain("%s", why);
    if (h->config.clock.stands)
        wall_stop(start);
    return true;
}

// The configuration's default secret, or the store's own.
static bool find_secret(struct house *h)
{
    for (size_t i = 0; i < h->config.secret_count; i++)
        if (!h->config.secrets[i].name)
            return true;
    if (secret_find_or_make(h->store, h->secret) != STATUS_OK)
        return complain("the store cannot keep a signing secret: %s", store_problem(h->store));
    config_add_secret(&h->config, h->secret);
    return true;
}

static bool start_dispatcher(struct house *h)
{
    const struct config *c = &h->config;
    bool bracket = strchr(c->address, ':') != NULL;
    snprintf(h->url, sizeof h->url, "http://%s%s%s:%d", bracket ? "[" : "", c->address,
             bracket ? "]" : "", h->port);
    gethostname(h->node, sizeof h->node - 1);
    h->dispatch = (struct dispatch_options){.node = h->node,
                                            .secrets = c->secrets,
                                            .secret_count = c->secret_count,
                                            .allow_commands = c->allow_commands,
                                            .allow_loopback = c->allow_loopback,
                                            .allow_private = c->allow_private,
                                            .allowed = c->allowed,
                                            .allowed_count = c->allowed_count,
                                            .response_max = 4096,
                                            .kill_after_us = 5 * SECOND,
                                            .server_url = h->url};
    h->dispatcher = dispatcher_start(&h->dispatch, &h->messages);
    return h->dispatcher ? true : complain("cannot start the dispatcher: %s", strerror(errno));
}

// Which start of the machine this is: the steady clock begins anew with each. 0 where nobody says.
static int64_t boot_number(void)
{
    char id[64] = "";
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (file) {
        (void)!fgets(id, sizeof id, file);
        fclose(file);
    }
    return *id ? (int64_t)(hash_bytes(id, strlen(id)) | 1) : 0;
}

static bool start_scheduler(struct house *h)
{
    struct scheduler_options options = scheduler_defaults;
    options.breaker_failures = h->config.breaker.failures;
    options.breaker_open_us = h->config.breaker.open_for_us;
    options.catch_up_per_s = h->config.catch_up_per_s;
    entropy(&options.seed, sizeof options.seed);
    options.history_age_us = h->config.history.age_us;
    options.history_rows = h->config.history.rows;
    options.history_bytes = h->config.history.bytes;
    options.queues = h->config.queues;
    options.queue_count = h->config.queue_count;
    if (h->config.clock.stands) {
        options.claim_ahead_us = 0; // the clock does not come nearer by itself
        options.horizon_us = TEST_HORIZON_US;
        options.boot = TEST_BOOT;
        options.seed = TEST_SEED;
    } else {
        options.wall_minus_steady_us = wall_now().us - steady_now().us;
        options.boot = boot_number();
    }
    if (scheduler_new(&options, h->store, wall_now(), &h->scheduler) != STATUS_OK)
        return complain("the store cannot be read: %s", store_problem(h->store));
    return true;
}

// Before anything is written or started: a server that cannot be reached must not change the store.
static bool take_port(struct house *h)
{
    const struct config *c = &h->config;
    char why[512];
    h->front_options = (struct front_options){.address = c->address,
                                              .port = c->port,
                                              .threads = c->threads,
                                              .api_key = c->api_key,
                                              .store = c->store,
                                              .allow_commands = c->allow_commands};
    if (front_listen(&h->front_options, &h->listener, &h->port, why, sizeof why) != STATUS_OK)
        return complain("%s", why);
    return true;
}

static bool start_front(struct house *h)
{
    char why[512];
    h->front_options.listener = h->listener;
    h->listener = 0; // the front's now, also where it fails
    if (front_start(&h->front_options, &h->messages, &h->pulse, &h->front, why, sizeof why) !=
        STATUS_OK)
        return complain("%s", why);
    return true;
}

static bool start_back(struct house *h)
{
    h->back = back_start(&(struct back_parts){.messages = &h->messages,
                                              .scheduler = h->scheduler,
                                              .store = h->store,
                                              .dispatcher = h->dispatcher,
                                              .front = h->front,
                                              .pulse = &h->pulse,
                                              .failed_fd = h->failed});
    return h->back ? true : complain("cannot start a thread: %s", strerror(errno));
}

static bool start_auditor(struct house *h)
{
    h->auditor = auditor_start(h->config.store, &h->pulse);
    return h->auditor ? true : complain("cannot start a thread: %s", strerror(errno));
}

static void say_listening(const struct house *h)
{
    struct logline line;
    logline_begin(&line, wall_now(), LEVEL_INFO, "listening");
    member_text(&line.w, "address", h->config.address);
    member_int(&line.w, "port", front_port(h->front));
    member_text(&line.w, "store", h->config.store);
    member_text(&line.w, "version", PUNCTUAL_VERSION);
    if (h->config.clock.stands)
        member_moment(&line.w, "test_clock", wall_now());
    logline_end(&line);
    if (h->config.clock.stands)
        logline_say(wall_now(), LEVEL_WARNING, "test_clock",
                    "the clock is a test clock: it stands still, and time passes only by "
                    "POST /v1/test/clock");
    sd_notify(0, "READY=1");
}

// Waits for a signal or for the store to fail. True: a signal.
static bool serve(const struct house *h)
{
    struct pollfd fds[] = {{.fd = h->signals, .events = POLLIN},
                           {.fd = h->failed, .events = POLLIN}};
    while (poll(fds, 2, -1) < 0)
        usleep(POLL_AGAIN_US);
    if (!(fds[0].revents & POLLIN))
        return false;
    struct signalfd_siginfo info;
    (void)!read(h->signals, &info, sizeof info);
    return true;
}

// The store may fail while the server drains, too.
static bool has_failed(const struct house *h)
{
    struct pollfd fd = {.fd = h->failed, .events = POLLIN};
    return poll(&fd, 1, 0) > 0;
}

static bool apply_tasks(struct house *h)
{
    h->applied = apply_file(&h->config, h->scheduler, h->dispatcher);
    return h->applied == STATUS_OK;
}

// What runs is let finish, within the limit; nothing new is taken.
static void drain(struct house *h)
{
    sd_notify(0, "STOPPING=1");
    logline_say(wall_now(), LEVEL_INFO, "stopping", "taking nothing new; what runs may finish");
    front_quiesce(h->front);
    back_drain(h->back, h->config.drain_us);
}

static void take_down(struct house *h)
{
    auditor_stop(h->auditor);
    if (h->back)
        back_stop(h->back);
    if (h->dispatcher)
        dispatcher_stop(h->dispatcher);
    front_stop(h->front);
    if (h->listener)
        close(h->listener);
    for (struct letter *next, *letter = mailbox_take(&h->messages); letter; letter = next) {
        next = letter->next;
        message_free((struct message *)letter);
    }
    scheduler_free(h->scheduler);
    store_close(h->store);
    mailbox_done(&h->messages);
}

static int run_house(struct house *h)
{
    bool up = open_store(h) && take_port(h) && set_clock(h) && find_secret(h) &&
              start_dispatcher(h) && start_scheduler(h) && apply_tasks(h) && start_front(h) &&
              start_back(h) && start_auditor(h);
    bool clean = false;
    if (up) {
        say_listening(h);
        clean = serve(h);
        drain(h);
        clean = clean && !has_failed(h);
    }
    take_down(h);
    if (up)
        logline_say(wall_now(), LEVEL_INFO, "stopped",
                    clean ? "in order" : "after a failure of the store");
    logline_finish();
    if (h->applied == STATUS_INVALID)
        return EXIT_CONFIGURATION;
    return clean ? EXIT_SUCCESS : EXIT_FAILURE;
}

int serve_command(int argc, char **argv)
{
    struct house h = {0};
    struct faults faults = {0};
    int code = EXIT_CONFIGURATION;
    enum status status = config_parse(argc, argv, &h.config, &faults);
    if (status == STATUS_END) {
        fputs(config_help, stdout);
        code = EXIT_SUCCESS;
    } else if (status == STATUS_OK) {
        logline_threshold(h.config.log_level);
        logline_never_wait();
        mailbox_init(&h.messages);
        pulse_init(&h.pulse);
        code = take_signals(&h) ? run_house(&h) : EXIT_FAILURE;
        close(h.signals);
        close(h.failed);
        config_done(&h.config);
    }
    for (size_t i = 0; i < faults_kept(&faults); i++)
        fprintf(stderr, "punctual: %s%s%s\n", faults.items[i].pointer,
                *faults.items[i].pointer ? ": " : "", faults.items[i].detail);
    faults_done(&faults);
    return code;
}
