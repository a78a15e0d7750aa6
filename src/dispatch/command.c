#include "dispatch/command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/heap.h"
#include "base/memory.h"
#include "core/visibility.h"
#include "dispatch/environment.h"
#include "dispatch/keeper.h"
#include "dispatch/nursery.h"
#include "dispatch/watch.h"

#define NEVER ((steady){INT64_MAX})
#define KILL_AFTER_DEFAULT (5 * SECOND)
#define OUTPUT_GRACE (100 * MILLISECOND)
#define KILLED_WAIT_MS 1000
#define KEEPER_WAIT (5 * SECOND) // more than it takes to sweep
#define REPORT_MAX (64 << 10)
#define PIECE (64 << 10)
#define LISTEN_AGAIN (50 * MILLISECOND)

enum child_state { CHILD_RUNNING, CHILD_ENDING, CHILD_KILLED, CHILD_EXITED };

struct child {
    struct effort *effort;
    enum child_state state;
    struct spawned process;
    const char *input; // what it is still to read
    size_t input_left;
    struct capture output;
    char *report_path;
    const char *canceled; // why, or NULL; static text
    bool timed_out;
    bool was_killed; // SIGKILL was needed
    bool lost;       // its keeper is gone without a word of how it ended
    pid_t keeper;    // 0: not known yet
    struct keeper_word exit;
    steady deadline; // of its state
};

struct commands {
    struct efforts *efforts;
    int epoll;
    struct nursery *nursery; // NULL where commands are not allowed
    struct child **by_fd;
    size_t by_fd_count;
    struct heap deadlines; // item: the run; entries that are no longer true are passed over
    steady look_at;        // epoll did not take a descriptor: when to look at all; else NEVER
    char piece[PIECE];
};

struct commands *commands_new(struct efforts *efforts, int epoll)
{
    struct commands *c = memory_new(sizeof *c);
    c->efforts = efforts;
    c->epoll = epoll;
    c->look_at = NEVER;
    if (!efforts->options->allow_commands)
        return c;
    c->nursery = nursery_new();
    if (c->nursery)
        return c;
    free(c);
    return NULL;
}

void commands_free(struct commands *c)
{
    if (!c)
        return;
    nursery_free(c->nursery);
    heap_done(&c->deadlines);
    free(c->by_fd);
    free(c);
}

static struct child *child_at(const struct commands *c, int fd)
{
    return (size_t)fd < c->by_fd_count ? c->by_fd[fd] : NULL;
}

// Where the system has no room for it, the descriptor is looked at now and then: else nobody would
// hear how the command ends.
static void watch(struct commands *c, int fd, enum watch watch, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.u64 = watch_tag(watch, fd)};
    if (epoll_ctl(c->epoll, EPOLL_CTL_ADD, fd, &event) != 0 && errno != EEXIST)
        c->look_at = steady_plus(steady_now(), LISTEN_AGAIN);
}

static void watch_fd_of(struct commands *c, struct child *child, int fd, enum watch kind,
                        uint32_t events)
{
    size_t at = (size_t)fd;
    if (at >= c->by_fd_count) {
        size_t count = at + 64;
        c->by_fd = memory_resize(c->by_fd, count, sizeof *c->by_fd);
        memset(c->by_fd + c->by_fd_count, 0, (count - c->by_fd_count) * sizeof *c->by_fd);
        c->by_fd_count = count;
    }
    c->by_fd[at] = child;
    watch(c, fd, kind, events);
}

static void close_watched(struct commands *c, int *fd)
{
    if (*fd < 0)
        return;
    if ((size_t)*fd < c->by_fd_count)
        c->by_fd[*fd] = NULL;
    close(*fd); // which takes it out of epoll: nobody else has it
    *fd = -1;
}

static void set_deadline(struct commands *c, struct child *child, steady deadline)
{
    child->deadline = deadline;
    heap_add(&c->deadlines, (struct heap_entry){
                                .key = deadline.us,
                                .item = (uint64_t)child->effort->order->run.value,
                            });
}

static void child_free(struct commands *c, struct child *child)
{
    close_watched(c, &child->process.keeper);
    close_watched(c, &child->process.output);
    close_watched(c, &child->process.input);
    capture_done(&child->output);
    if (child->report_path)
        unlink(child->report_path);
    free(child->report_path);
    free(child);
}

// An empty file that only this user can read. NULL with errno.
static char *make_report_file(void)
{
    const char *folder = getenv("TMPDIR");
    struct buffer path;
    buffer_init(&path, 4096);
    buffer_text(&path, folder && *folder ? folder : "/tmp");
    buffer_text(&path, "/punctual-XXXXXX");
    char *text = buffer_take(&path, NULL);
    int fd = mkostemp(text, O_CLOEXEC);
    if (fd < 0) {
        free(text);
        return NULL;
    }
    close(fd);
    return text;
}

static void write_input(struct commands *c, struct child *child);

static int start_process(struct commands *c, struct child *child)
{
    const struct target *target = &child->effort->order->task->target;
    const char *text = target->command.stdin_text;
    struct environment environment;
    child->input = text ? text : effort_payload(child->effort, &child->input_left);
    if (text)
        child->input_left = strlen(text);
    environment_init(&environment, child->effort, c->efforts->options->server_url,
                     child->report_path);
    int bad = nursery_spawn(c->nursery, target->command.argv, environment.lines,
                            target->command.cwd, child->input != NULL, &child->process);
    environment_done(&environment);
    return bad;
}

// Faults of the command itself, which are for good. Anything else is this machine's, and a later
// attempt may do better.
static bool is_its_fault(int bad)
{
    static const int faults[] = {E2BIG,  EACCES, EINVAL,       EISDIR,  ELIBBAD, ELOOP,
                                 ENOENT, EPERM,  ENAMETOOLONG, ENOEXEC, ENOTDIR};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        if (faults[i] == bad)
            return true;
    return false;
}

static void report_not_started(struct commands *c, struct child *child, int bad)
{
    const struct target *target = &child->effort->order->task->target;
    const char *cwd = target->command.cwd;
    bool no_cwd = cwd && access(cwd, X_OK) != 0;
    effort_end(c->efforts, child->effort, is_its_fault(bad) ? ATTEMPT_REFUSED : ATTEMPT_UNREACHABLE,
               "%s %s: %s", no_cwd ? "cannot enter" : "cannot start",
               no_cwd ? cwd : target->command.argv[0], strerror(bad));
    child_free(c, child);
}

// A TMPDIR that is not there stays so; one without room, or not to be written, may pass.
static void report_no_file(struct commands *c, struct child *child, int bad)
{
    effort_end(c->efforts, child->effort,
               bad == ENOENT || bad == ENOTDIR ? ATTEMPT_REFUSED : ATTEMPT_UNREACHABLE,
               "cannot start %s: no file for PUNCTUAL_REPORT in TMPDIR or /tmp: %s",
               child->effort->order->task->target.command.argv[0], strerror(bad));
    child_free(c, child);
}

static void watch_process(struct commands *c, struct child *child)
{
    watch_fd_of(c, child, child->process.keeper, WATCH_EXIT, EPOLLIN);
    watch_fd_of(c, child, child->process.output, WATCH_OUTPUT, EPOLLIN);
    if (child->process.input >= 0) {
        watch_fd_of(c, child, child->process.input, WATCH_INPUT, EPOLLOUT);
        write_input(c, child);
    }
}

void command_start(struct commands *c, struct effort *effort)
{
    effort_started(effort);
    if (!c->efforts->options->allow_commands) {
        effort_end(c->efforts, effort, ATTEMPT_REFUSED,
                   "commands are not allowed; allow them with allow_commands in the configuration");
        return;
    }
    struct child *child = memory_new(sizeof *child);
    child->effort = effort;
    child->process = (struct spawned){.keeper = -1, .input = -1, .output = -1};
    capture_init(&child->output, effort_capture_limit(c->efforts, effort));
    child->report_path = make_report_file();
    if (!child->report_path) {
        report_no_file(c, child, errno);
        return;
    }
    int bad = start_process(c, child);
    if (bad) {
        report_not_started(c, child, bad);
        return;
    }
    effort->child = child;
    set_deadline(c, child, steady_plus(effort->started, effort->order->task->timeout_us));
    watch_process(c, child);
}

// A keeper that is gone does not hear it; that it is gone is heard in its place.
static void tell_keeper(const struct child *child, enum keeper_order order)
{
    char byte = (char)order;
    (void)!send(child->process.keeper, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void ask_to_end(struct commands *c, struct child *child)
{
    int64_t after_us = c->efforts->options->kill_after_us;
    child->state = CHILD_ENDING;
    tell_keeper(child, KEEPER_TERM);
    set_deadline(c, child, steady_plus(steady_now(), after_us > 0 ? after_us : KILL_AFTER_DEFAULT));
}

void command_abort(struct commands *c, struct effort *effort, const char *why)
{
    struct child *child = effort->child;
    if (child->state == CHILD_EXITED)
        return; // its report is a moment away, and true
    if (!child->canceled)
        child->canceled = why;
    if (child->state == CHILD_RUNNING)
        ask_to_end(c, child);
}

static struct response as_response(const struct child *child)
{
    return (struct response){
        .status = child->exit.status,
        .body = buffer_string(&child->output.kept),
        .body_size = child->output.kept.size,
        .body_cut = capture_is_cut(&child->output),
        .duration_us = child->effort->report->attempt.response_time_us,
    };
}

// `why` stays as it is where all is well.
static void parse_report(struct attempt *attempt, int fd, size_t size, char *why, size_t room)
{
    char *text = memory_new(size);
    ssize_t got = read(fd, text, size);
    if (got < 0)
        snprintf(why, room, "it cannot be read: %s", strerror(errno));
    else
        (void)visibility_report(attempt, text, (size_t)got, why, room);
    free(text);
}

// A plain file that the command wrote or put there. What is none (a pipe, a link) or no report is
// passed over, and told: the command itself has done nothing wrong.
static void read_report(struct child *child)
{
    struct attempt *attempt = &child->effort->report->attempt;
    struct stat is;
    char why[240] = "";
    int fd = open(child->report_path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return; // it has taken the file away
    if (fd < 0 || fstat(fd, &is) != 0 || !S_ISREG(is.st_mode))
        snprintf(why, sizeof why, "it is no plain file any more");
    else if (is.st_size > REPORT_MAX)
        snprintf(why, sizeof why, "it is larger than %d KiB", REPORT_MAX >> 10);
    else if (is.st_size > 0)
        parse_report(attempt, fd, (size_t)is.st_size, why, sizeof why);
    if (*why)
        attempt->report_fault = memory_text(why);
    if (fd >= 0)
        close(fd);
}

// How it ended decides first, then what the task expects.
static void report(struct commands *c, struct child *child)
{
    struct effort *effort = child->effort;
    char within[DURATION_TEXT];
    bool exited = child->exit.code == CLD_EXITED;
    effort_keep_response(c->efforts, effort, &child->output);
    read_report(child);
    if (exited)
        effort->report->attempt.status = child->exit.status;
    duration_format(effort->order->task->timeout_us, within);
    if (child->timed_out) {
        effort_end(c->efforts, effort, ATTEMPT_TIMED_OUT,
                   "no exit within %s; the process group was ended with %s", within,
                   child->was_killed ? "SIGKILL" : "SIGTERM");
    } else if (child->canceled) {
        effort_end(c->efforts, effort, ATTEMPT_CANCELED, "%s", child->canceled);
    } else if (child->lost) {
        effort_end(c->efforts, effort, ATTEMPT_BROKEN,
                   "how it ended is not known: the process that looked after it was killed, and "
                   "the command with it");
    } else if (!exited) {
        const char *name = sigabbrev_np(child->exit.status);
        effort_end(c->efforts, effort, ATTEMPT_FAILED,
                   name ? "killed by SIG%s" : "killed by signal %s", name ? name : "of real time");
    } else {
        struct response response = as_response(child);
        effort_judge(c->efforts, effort, &response);
    }
    child_free(c, child);
}

// Reads what there is. True at the end of the output.
static bool read_output(struct commands *c, struct child *child)
{
    if (child->process.output < 0)
        return true;
    // A writer that is always ahead must not keep the loop here: the rest comes with the next
    // round.
    for (int i = 0; i < 16; i++) {
        ssize_t got = read(child->process.output, c->piece, sizeof c->piece);
        if (got > 0)
            capture_add(&child->output, c->piece, (size_t)got);
        else if (got == 0 || (errno != EAGAIN && errno != EINTR))
            break;
        else if (errno == EAGAIN)
            return false;
        if (i == 15)
            return false;
    }
    close_watched(c, &child->process.output);
    return true;
}

void commands_output(struct commands *c, int fd, uint32_t events)
{
    struct child *child = child_at(c, fd);
    (void)events;
    if (child && child->process.output == fd && read_output(c, child) &&
        child->state == CHILD_EXITED)
        report(c, child);
}

static void write_input(struct commands *c, struct child *child)
{
    while (child->input_left) {
        ssize_t put = write(child->process.input, child->input, child->input_left);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0 && errno == EAGAIN)
            return;
        if (put < 0)
            break; // EPIPE: it does not want to read all of it, and that is fine
        child->input += put;
        child->input_left -= (size_t)put;
    }
    close_watched(c, &child->process.input);
}

void commands_input(struct commands *c, int fd, uint32_t events)
{
    struct child *child = child_at(c, fd);
    (void)events;
    if (child && child->process.input == fd)
        write_input(c, child);
}

static void take_exit(struct child *child, const struct keeper_word *word)
{
    child->state = CHILD_EXITED;
    child->exit = *word;
    child->effort->report->attempt.response_time_us = word->at_us - child->effort->started.us;
}

// Takes what the keeper has said. True once the command has ended, or never ran: then `failed` is
// the errno.
static bool hear_keeper(struct child *child, int *failed)
{
    struct keeper_word word;
    for (;;) {
        ssize_t got = recv(child->process.keeper, &word, sizeof word, MSG_DONTWAIT);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return false;
        if (got != (ssize_t)sizeof word) {
            child->lost = true;
            word = (struct keeper_word){.kind = KEEPER_EXITED, .at_us = steady_now().us};
        }
        if (word.kind == KEEPER_STARTED) {
            child->keeper = word.keeper;
            continue;
        }
        if (word.kind == KEEPER_EXITED)
            take_exit(child, &word);
        *failed = word.kind == KEEPER_FAILED ? word.error : 0;
        return true;
    }
}

void commands_exited(struct commands *c, int fd, uint32_t events)
{
    struct child *child = child_at(c, fd);
    int failed;
    (void)events;
    if (!child || child->process.keeper != fd || !hear_keeper(child, &failed))
        return;
    if (failed) {
        report_not_started(c, child, failed);
        return;
    }
    close_watched(c, &child->process.keeper);
    close_watched(c, &child->process.input);
    if (read_output(c, child))
        report(c, child);
    else
        set_deadline(c, child, steady_plus(steady_now(), OUTPUT_GRACE));
}

// False: it does not end in time. One that hangs in the kernel is left behind.
static bool await_end(struct child *child)
{
    struct pollfd word = {.fd = child->process.keeper, .events = POLLIN};
    int64_t until_us = steady_now().us + KILLED_WAIT_MS * MILLISECOND;
    int failed;
    while (!hear_keeper(child, &failed)) {
        int64_t left_ms = (until_us - steady_now().us) / MILLISECOND;
        if (left_ms <= 0)
            return false;
        (void)poll(&word, 1, (int)left_ms);
    }
    return true;
}

void command_kill(struct commands *c, struct effort *effort, const char *why)
{
    struct child *child = effort->child;
    if (!child->canceled)
        child->canceled = why;
    if (child->state != CHILD_EXITED) {
        tell_keeper(child, KEEPER_KILL);
        if (!await_end(child))
            nursery_kill(c->nursery, child->keeper);
    }
    read_output(c, child);
    report(c, child);
}

static void time_out(struct commands *c, struct child *child)
{
    child->timed_out = true;
    ask_to_end(c, child);
}

static void kill_all(struct commands *c, struct child *child)
{
    child->was_killed = true;
    child->state = CHILD_KILLED;
    tell_keeper(child, KEEPER_KILL);
    set_deadline(c, child, steady_plus(steady_now(), KEEPER_WAIT));
}

// It does not do as it is told: a command of the same user may stop it. With it everything goes.
static void kill_keeper(struct commands *c, struct child *child)
{
    child->deadline = NEVER;
    nursery_kill(c->nursery, child->keeper);
}

static void wait_no_longer(struct commands *c, struct child *child)
{
    read_output(c, child);
    report(c, child);
}

steady commands_deadline(const struct commands *c)
{
    const struct heap_entry *first = heap_first(&c->deadlines);
    steady next = first ? (steady){first->key} : NEVER;
    return c->look_at.us < next.us ? c->look_at : next;
}

// In epoll's place. Handlers close descriptors and free children, so each is looked up anew.
static void look_at_all(struct commands *c)
{
    c->look_at = NEVER;
    for (int fd = 0; (size_t)fd < c->by_fd_count; fd++) {
        struct child *child = c->by_fd[fd];
        if (child && child->process.keeper == fd) {
            watch(c, fd, WATCH_EXIT, EPOLLIN);
            commands_exited(c, fd, EPOLLIN);
        } else if (child && child->process.output == fd) {
            watch(c, fd, WATCH_OUTPUT, EPOLLIN);
            commands_output(c, fd, EPOLLIN);
        } else if (child && child->process.input == fd) {
            watch(c, fd, WATCH_INPUT, EPOLLOUT);
            commands_input(c, fd, EPOLLOUT);
        }
    }
}

void commands_turn(struct commands *c, steady now)
{
    static void (*const overdue[])(struct commands *, struct child *) = {
        [CHILD_RUNNING] = time_out,
        [CHILD_ENDING] = kill_all,
        [CHILD_KILLED] = kill_keeper,
        [CHILD_EXITED] = wait_no_longer,
    };
    const struct heap_entry *first;
    struct heap_entry entry;
    if (c->look_at.us <= now.us)
        look_at_all(c);
    while ((first = heap_first(&c->deadlines)) && first->key <= now.us &&
           heap_take(&c->deadlines, &entry)) {
        struct effort *effort = effort_find(c->efforts, (run_id){(int64_t)entry.item});
        struct child *child = effort ? effort->child : NULL;
        if (child && child->deadline.us == entry.key)
            overdue[child->state](c, child);
    }
}
