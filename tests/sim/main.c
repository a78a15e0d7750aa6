// sim - many lives of the server, each from one seed (tests/sim/world.h)
//
//   sim [--seeds N] [--first SEED] [--jobs N] [--twice N]   N lives; N of them twice, which must
//   agree sim --seed SEED [--steps N] [--without EVENT,EVENT] [--talk]      one life again
//
// A seed that fails is shrunk (events left out, fewer steps) and printed with the command that
// replays it.
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sim/world.h"

#define JOBS_MAX 64
#define FAILURES_SHOWN 3

static struct {
    int64_t seeds, jobs, twice;
    uint64_t first;
    bool single, brief;
    struct settings one;
} options = {.seeds = 200, .jobs = 1, .twice = 20, .first = 1, .one = {.steps = -1}};

// What the workers and their parent share.
static struct shared {
    struct figures figures[JOBS_MAX];
    int64_t passed[JOBS_MAX], failed[JOBS_MAX];
    uint64_t seed[JOBS_MAX]; // the one under way
} * shared;

static const struct event *event_at(size_t number)
{
    if (number < user_event_count)
        return &user_events[number];
    number -= user_event_count;
    if (number < fault_event_count)
        return &fault_events[number];
    number -= fault_event_count;
    return number < worker_event_count ? &worker_events[number]
                                       : &job_events[number - worker_event_count];
}

static size_t event_count(void)
{
    return user_event_count + fault_event_count + worker_event_count + job_event_count;
}

// --- one life ---

static struct verdict_of_life lived;

static bool fails(const struct settings *settings)
{
    world_live(settings, &lived);
    return lived.failed;
}

static void shrink(struct settings *settings)
{
    for (size_t i = 0; i < event_count(); i++) {
        struct settings less = *settings;
        less.without |= UINT64_C(1) << i;
        if (fails(&less))
            *settings = less;
    }
    fails(settings);
    int64_t low = 0, high = lived.steps;
    while (low < high) { // not every failure is monotonic: what is found does fail
        struct settings less = *settings;
        less.steps = low + (high - low) / 2;
        if (fails(&less))
            high = less.steps;
        else
            low = less.steps + 1;
    }
    struct settings less = *settings;
    less.steps = high;
    if (fails(&less))
        *settings = less;
}

static void print_command(const struct settings *settings)
{
    const char *comma = " --without ";
    printf("replay: sim --seed %llu", (unsigned long long)settings->seed);
    if (settings->steps >= 0)
        printf(" --steps %lld", (long long)settings->steps);
    for (size_t i = 0; i < event_count(); i++)
        if (settings->without >> i & 1) {
            printf("%s%s", comma, event_at(i)->name);
            comma = ",";
        }
    printf(" --talk\n");
}

static void print_failure(const struct settings *settings)
{
    printf("seed %llu breaks %s: %s\n", (unsigned long long)settings->seed, lived.promise,
           lived.what);
    uint64_t first = lived.line_count > LINES_KEPT ? lived.line_count - LINES_KEPT : 0;
    for (uint64_t i = first; i < lived.line_count; i++)
        printf("    %s\n", lived.lines[i % LINES_KEPT]);
    print_command(settings);
    fflush(stdout);
}

static void add_figures(struct figures *to, const struct figures *from)
{
    const uint64_t *values = (const uint64_t *)from;
    for (size_t i = 0; i < sizeof *to / sizeof *values; i++)
        ((uint64_t *)to)[i] += values[i];
}

// True when nothing was broken.
static bool live_seed(uint64_t seed, bool twice, bool show, struct figures *figures)
{
    struct settings settings = {.seed = seed, .steps = -1, .folder = options.one.folder};
    bool well = !fails(&settings);
    uint64_t trace = lived.trace;
    add_figures(figures, &lived.figures);
    if (well && twice && (fails(&settings) || lived.trace != trace)) {
        printf("seed %llu lives otherwise the second time\n", (unsigned long long)seed);
        return false;
    }
    if (!well)
        printf("seed %llu breaks %s: %s\n", (unsigned long long)seed, lived.promise, lived.what);
    if (!well && show && !options.brief) {
        if (!fails(&settings) || lived.trace != trace)
            printf("... and lives otherwise the second time\n");
        shrink(&settings);
        fails(&settings);
        print_failure(&settings);
    }
    return well;
}

// --- many ---

static void work(int job)
{
    for (int64_t i = job; i < options.seeds; i += options.jobs) {
        uint64_t seed = options.first + (uint64_t)i;
        shared->seed[job] = seed;
        if (live_seed(seed, i < options.twice, shared->failed[job] == 0, &shared->figures[job]))
            shared->passed[job]++;
        else if (++shared->failed[job] >= (options.brief ? 1 : FAILURES_SHOWN))
            break;
    }
    shared->seed[job] = 0;
}

static void start_workers(pid_t *workers)
{
    for (int job = 0; job < options.jobs; job++) {
        fflush(stdout);
        workers[job] = fork();
        if (workers[job] == 0) {
            work(job);
            fflush(stdout);
            exit(0); // so that leaks are looked for
        }
    }
}

static void await_workers(const pid_t *workers)
{
    for (int job = 0; job < options.jobs; job++) {
        int status = 0;
        waitpid(workers[job], &status, 0);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
            continue;
        printf("seed %llu ends the process: %s %d\n", (unsigned long long)shared->seed[job],
               WIFSIGNALED(status) ? "signal" : "exit code",
               WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        shared->failed[job]++;
    }
}

static void print_figures(const struct figures *f, double seconds)
{
    double years = (double)f->simulated_us / (double)(365.25 * DAY);
    printf("%.1f simulated years in %.1f s: %.0f years a minute\n", years, seconds,
           years / seconds * 60);
    printf("%llu turns, %llu requests, %llu runs (%llu occurrences decided without an attempt), "
           "%llu orders, %llu reports, %llu requests that endpoints saw, %llu audits\n",
           (unsigned long long)f->turns, (unsigned long long)f->requests,
           (unsigned long long)f->runs, (unsigned long long)f->occurrences,
           (unsigned long long)f->orders, (unsigned long long)f->reports,
           (unsigned long long)f->effects, (unsigned long long)f->audits);
    printf("workers: %llu leases, %llu call backs, %llu words that counted, %llu leases that ran "
           "out\n",
           (unsigned long long)f->leases, (unsigned long long)f->callbacks,
           (unsigned long long)f->words, (unsigned long long)f->expired);
    printf("history: %llu runs cleared\n", (unsigned long long)f->cleared);
    printf("notices: %llu, which tell of %llu runs of %llu that failed or were missed and are to "
           "be told of\n",
           (unsigned long long)f->notices, (unsigned long long)f->told,
           (unsigned long long)f->troubles);
    printf("check-ins: %llu that counted, %llu runs that none came for\n",
           (unsigned long long)f->checkins, (unsigned long long)f->unpinged);
    printf("faults:");
    for (size_t i = user_event_count; i < user_event_count + fault_event_count; i++)
        printf(" %s %llu", event_at(i)->name, (unsigned long long)f->events[i]);
    printf("; in a turn: died before the commit %llu, after it %llu, commit failed %llu, "
           "commit failed and was whole %llu, verb failed %llu\n",
           (unsigned long long)f->disk[DISK_CRASH_BEFORE],
           (unsigned long long)f->disk[DISK_CRASH_AFTER],
           (unsigned long long)f->disk[DISK_COMMIT_FAILS],
           (unsigned long long)f->disk[DISK_COMMIT_LIES],
           (unsigned long long)f->disk[DISK_VERB_FAILS]);
}

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int live_many(void)
{
    pid_t workers[JOBS_MAX];
    double begin = seconds_now();
    start_workers(workers);
    await_workers(workers);
    struct figures total = {0};
    int64_t passed = 0, failed = 0;
    for (int job = 0; job < options.jobs; job++) {
        add_figures(&total, &shared->figures[job]);
        passed += shared->passed[job];
        failed += shared->failed[job];
    }
    print_figures(&total, seconds_now() - begin);
    printf("%lld passed, %lld failed\n", (long long)passed, (long long)failed);
    return failed || !passed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int live_one(void)
{
    bool failed = fails(&options.one);
    if (failed)
        print_failure(&options.one);
    else
        printf("seed %llu keeps all promises in %lld steps, trace %016llx\n",
               (unsigned long long)options.one.seed, (long long)lived.steps,
               (unsigned long long)lived.trace);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

// --- the command line ---

static bool leave_out(char *names)
{
    for (char *name = strtok(names, ","); name; name = strtok(NULL, ",")) {
        size_t i = 0;
        while (i < event_count() && strcmp(event_at(i)->name, name) != 0)
            i++;
        if (i == event_count()) {
            fprintf(stderr, "sim: there is no event \"%s\"\n", name);
            return false;
        }
        options.one.without |= UINT64_C(1) << i;
    }
    return true;
}

static bool read_options(int count, char **words)
{
    static const struct option known[] = {
        {"seeds", required_argument, NULL, 'n'},   {"first", required_argument, NULL, 'f'},
        {"jobs", required_argument, NULL, 'j'},    {"twice", required_argument, NULL, 't'},
        {"seed", required_argument, NULL, 's'},    {"steps", required_argument, NULL, 'p'},
        {"without", required_argument, NULL, 'w'}, {"talk", no_argument, NULL, 'v'},
        {"brief", no_argument, NULL, 'b'},         {0},
    };
    int option;
    while ((option = getopt_long(count, words, "", known, NULL)) != -1) {
        int64_t number = optarg ? atoll(optarg) : 0;
        if (option == 'n')
            options.seeds = number;
        else if (option == 'f')
            options.first = (uint64_t)number;
        else if (option == 'j')
            options.jobs = number < 1 ? 1 : number > JOBS_MAX ? JOBS_MAX : number;
        else if (option == 't')
            options.twice = number;
        else if (option == 's')
            options.single = true, options.one.seed = (uint64_t)number;
        else if (option == 'p')
            options.one.steps = number;
        else if (option == 'b')
            options.brief = true;
        else if (option == 'v')
            options.one.talk = true;
        else if (option != 'w' || !leave_out(optarg))
            return false;
    }
    return optind == count;
}

int main(int count, char **words)
{
    if (!read_options(count, words)) {
        fprintf(stderr, "usage: sim [--seeds N] [--first SEED] [--jobs N] [--twice N] [--brief]\n"
                        "       sim --seed SEED [--steps N] [--without EVENT,...] [--talk]\n");
        return 2;
    }
    // In memory where the system has such a folder: the disk is simulated, too.
    options.one.folder = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return EXIT_FAILURE;
    return options.single ? live_one() : live_many();
}
