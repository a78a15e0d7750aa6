#include "dispatch/keeper.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/now.h"
#include "dispatch/spawn.h"
#include "dispatch/sweep.h"

#define SWEEP_MAX_US (2 * SECOND) // what takes no signal, or hangs in the kernel, is left behind
#define SWEEP_PAUSE_MS 10
#define CHILDREN_AT_ONCE 256

struct keeper {
    int control, signals;
    pid_t leader;
    siginfo_t exit; // of the leader
    bool exited;    // and not reaped yet
    bool killing;   // all of it
    bool alone;     // the server is gone
};

static void say(const struct keeper *k, struct keeper_word word)
{
    // Nobody listens where the server is gone, and that is fine.
    (void)!send(k->control, &word, sizeof word, MSG_NOSIGNAL);
}

// --- starting ---

static int map_words(int fd, struct program *program)
{
    struct keeper_words head;
    if (pread(fd, &head, sizeof head, 0) != (ssize_t)sizeof head)
        return EIO;
    char *bytes = mmap(NULL, head.size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        return errno;
    char **list = (char **)(void *)(bytes + sizeof head);
    size_t pointers = (size_t)head.argument_count + head.variable_count + 2;
    char *text = (char *)(list + pointers);
    program->argv = list;
    program->environment = list + head.argument_count + 1;
    for (size_t i = 0; i + 1 < pointers; i++) {
        if (i == head.argument_count)
            continue; // the NULL between the two lists
        list[i] = text;
        text += strlen(text) + 1;
    }
    program->cwd = head.has_cwd ? text : NULL;
    return 0;
}

static int start(struct keeper *k, const struct keeper_parts *parts)
{
    struct program program = {.input = parts->input, .output = parts->output};
    int bad = map_words(parts->words, &program);
    if (!bad)
        bad = spawn(&program, &k->leader);
    // Ours must not hold the pipes open.
    close(parts->words);
    close(parts->output);
    if (parts->input >= 0)
        close(parts->input);
    return bad;
}

// --- ending ---

// True once there is nothing left of the rest. Those who lost their parent are ours; what we reap
// here may have left some, so only an empty list is the end.
static bool reap_others(struct keeper *k)
{
    pid_t pids[CHILDREN_AT_ONCE];
    size_t count, others = 0;
    if (!children_list(pids, CHILDREN_AT_ONCE, &count))
        return true;
    for (size_t i = 0; i < count; i++) {
        if (pids[i] == k->leader)
            continue;
        waitpid(pids[i], NULL, WNOHANG);
        others++;
    }
    return others == 0;
}

static void kill_others(struct keeper *k)
{
    pid_t pids[CHILDREN_AT_ONCE];
    size_t count;
    if (!children_list(pids, CHILDREN_AT_ONCE, &count))
        return;
    for (size_t i = 0; i < count; i++)
        if (pids[i] != k->leader)
            kill(pids[i], SIGKILL);
}

// Until the leader is reaped nobody else can have its number.
static void kill_all(struct keeper *k)
{
    kill(-k->leader, SIGKILL);
    kill(k->leader, SIGKILL);
    kill_others(k);
}

static void pause_for_a_child(void)
{
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigtimedwait(&child, NULL, &(struct timespec){.tv_nsec = SWEEP_PAUSE_MS * 1000000L});
}

// After the leader's exit. Killing one generation makes the next one our children. False: some are
// left, and become the nursery's.
static bool sweep(struct keeper *k)
{
    int64_t until_us = steady_now().us + SWEEP_MAX_US;
    kill_all(k);
    waitpid(k->leader, NULL, WNOHANG);
    k->leader = 0;
    while (!reap_others(k)) {
        if (steady_now().us >= until_us)
            return false;
        kill_others(k);
        pause_for_a_child();
    }
    return true;
}

// --- its loop ---

static void look_at_leader(struct keeper *k)
{
    siginfo_t exit = {0};
    if (waitid(P_PID, (id_t)k->leader, &exit, WEXITED | WNOHANG | WNOWAIT) == 0 && exit.si_pid) {
        k->exit = exit;
        k->exited = true;
    }
}

static void take_signal(struct keeper *k)
{
    struct signalfd_siginfo info;
    (void)!read(k->signals, &info, sizeof info);
    look_at_leader(k);
    reap_others(k);
}

static void take_order(struct keeper *k)
{
    char order = 0;
    ssize_t got = recv(k->control, &order, 1, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0)
        k->killing = k->alone = true;
    else if (order == KEEPER_KILL)
        k->killing = true;
    if (order == KEEPER_TERM) {
        kill(-k->leader, SIGTERM);
        kill(-k->leader, SIGCONT); // a stopped process would not hear it
    }
}

static void look_after(struct keeper *k)
{
    struct pollfd fds[] = {{.fd = k->control, .events = POLLIN},
                           {.fd = k->signals, .events = POLLIN}};
    look_at_leader(k);
    while (!k->exited) {
        fds[0].fd = k->alone ? -1 : k->control;
        if (k->killing)
            kill_all(k);
        // Where it cannot wait, it looks at both now and then: neither of them blocks.
        bool heard = poll(fds, 2, k->killing ? SWEEP_PAUSE_MS : -1) >= 0;
        if (!heard)
            usleep(SWEEP_PAUSE_MS * 1000);
        if (!k->alone && (!heard || fds[0].revents))
            take_order(k);
        if (fds[1].revents || k->killing)
            look_at_leader(k);
        if (!heard || fds[1].revents)
            take_signal(k);
    }
}

_Noreturn void keeper_run(const struct keeper_parts *parts)
{
    sigset_t child;
    struct keeper k = {.control = parts->control};
    prctl(PR_SET_NAME, "keeper");
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    k.signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    int bad = k.signals < 0 ? errno : start(&k, parts);
    if (bad) {
        say(&k, (struct keeper_word){.kind = KEEPER_FAILED, .error = bad});
        _exit(0);
    }
    say(&k, (struct keeper_word){.kind = KEEPER_STARTED, .keeper = getpid()});
    look_after(&k);
    int64_t at_us = steady_now().us;
    bool clean = sweep(&k);
    say(&k, (struct keeper_word){.kind = KEEPER_EXITED,
                                 .code = k.exit.si_code,
                                 .status = k.exit.si_status,
                                 .at_us = at_us});
    _exit(clean ? 0 : KEEPER_LEFT_SOME);
}
