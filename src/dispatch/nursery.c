#include "dispatch/nursery.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "dispatch/keeper.h"
#include "dispatch/sweep.h"

#define KEEPERS_MAX 16384
#define END_WAIT_MS 3000
#define WORDS_MAX (16 << 20)
#define FDS_MAX 4
#define LOOK_AGAIN_US 10000

struct nursery {
    pid_t pid; // 0: there is none (any more)
    int socket, watch;
};

struct nursery_order { // with it: the descriptors of keeper_parts, in their order
    int32_t kill;      // the number of a keeper; 0: start one
};

// --- the process ---

struct nest {
    int socket, signals;
    pid_t keepers[KEEPERS_MAX];
    size_t count;
    pid_t children[2 * KEEPERS_MAX]; // for kill_strays
    bool ending;
};

static size_t nest_find(const struct nest *nest, pid_t pid)
{
    size_t at = 0;
    while (at < nest->count && nest->keepers[at] != pid)
        at++;
    return at;
}

static void refuse_keeper(int control, int error)
{
    struct keeper_word word = {.kind = KEEPER_FAILED, .error = error};
    (void)!send(control, &word, sizeof word, MSG_NOSIGNAL);
}

static void start_keeper(struct nest *nest, const struct keeper_parts *parts)
{
    pid_t pid = nest->count < KEEPERS_MAX ? fork() : (errno = EAGAIN, -1);
    if (pid == 0) {
        close(nest->socket);
        close(nest->signals);
        keeper_run(parts);
    }
    if (pid > 0)
        nest->keepers[nest->count++] = pid;
    else
        refuse_keeper(parts->control, errno);
}

static size_t take_descriptors(struct msghdr *message, int fds[static FDS_MAX])
{
    size_t count = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(fds, CMSG_DATA(c), count * sizeof(int));
    }
    return count;
}

static void take_order(struct nest *nest)
{
    struct nursery_order order = {0};
    int fds[FDS_MAX] = {-1, -1, -1, -1};
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof fds)];
    struct iovec piece = {&order, sizeof order};
    struct msghdr message = {.msg_iov = &piece,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    ssize_t got = recvmsg(nest->socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        nest->ending = true;
        return;
    }
    size_t count = take_descriptors(&message, fds);
    if (order.kill && nest_find(nest, order.kill) < nest->count)
        kill(order.kill, SIGKILL); // not reaped yet, so the number is still its own
    else if (count >= 3)
        start_keeper(nest, &(struct keeper_parts){fds[0], fds[1], fds[2], fds[3]});
    for (size_t i = 0; i < count; i++)
        close(fds[i]);
}

// Who is our child and no keeper has lost its keeper.
static void kill_strays(struct nest *nest)
{
    size_t count;
    if (!children_list(nest->children, 2 * KEEPERS_MAX, &count))
        return;
    for (size_t i = 0; i < count; i++)
        if (nest_find(nest, nest->children[i]) == nest->count)
            kill(nest->children[i], SIGKILL);
}

static void take_signals(struct nest *nest)
{
    struct signalfd_siginfo info;
    int how;
    pid_t pid;
    bool strays = false;
    (void)!read(nest->signals, &info, sizeof info);
    while ((pid = waitpid(-1, &how, WNOHANG)) > 0 || (pid < 0 && errno == EINTR)) {
        if (pid < 0)
            continue; // there may be nothing more to wake for it
        size_t at = nest_find(nest, pid);
        strays |= at == nest->count || how != 0;
        if (at < nest->count)
            nest->keepers[at] = nest->keepers[--nest->count];
    }
    if (strays)
        kill_strays(nest);
}

// Signals to the whole house (Ctrl-C, a service manager's SIGTERM) are the server's to take: it
// lets commands finish. Keepers inherit this.
static void settle(struct nest *nest, int socket)
{
    static const int not_ours[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2};
    sigset_t child;
    setsid();
    for (size_t i = 0; i < sizeof not_ours / sizeof not_ours[0]; i++)
        signal(not_ours[i], SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_SETMASK, &child, NULL);
    // Nothing of the server's is held open: not its store's lock, not its listener.
    close_range(3, (unsigned)socket - 1, 0);
    close_range((unsigned)socket + 1, ~0U, 0);
    prctl(PR_SET_NAME, "nursery");
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    nest->socket = socket;
    nest->signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
}

_Noreturn static void nursery_run(int socket)
{
    static struct nest nest;
    settle(&nest, socket);
    while (nest.signals >= 0 && (!nest.ending || nest.count)) {
        struct pollfd fds[] = {{.fd = nest.ending ? -1 : nest.socket, .events = POLLIN},
                               {.fd = nest.signals, .events = POLLIN}};
        // Where it cannot wait, it looks at both now and then: neither of them blocks.
        bool heard = poll(fds, 2, -1) >= 0;
        if (!heard)
            usleep(LOOK_AGAIN_US);
        if (!heard || fds[1].revents)
            take_signals(&nest);
        if ((!heard && !nest.ending) || fds[0].revents)
            take_order(&nest);
    }
    _exit(0);
}

// --- the server's side ---

static void forget(struct nursery *n)
{
    if (n->socket >= 0)
        close(n->socket);
    if (n->watch >= 0)
        close(n->watch);
    n->socket = n->watch = -1;
    n->pid = 0;
}

// Not libc's pidfd_open, which came with glibc 2.36: the wheel's program runs with 2.34 too.
static int watch_process(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

static int open_nursery(struct nursery *n)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return errno;
    pid_t pid = fork();
    if (pid == 0)
        nursery_run(pair[1]);
    int bad = pid < 0 ? errno : 0;
    close(pair[1]);
    n->socket = pair[0];
    n->pid = bad ? 0 : pid;
    n->watch = bad ? -1 : watch_process(pid);
    if (bad)
        forget(n);
    return bad;
}

struct nursery *nursery_new(void)
{
    struct nursery *n = memory_new(sizeof *n);
    n->socket = n->watch = -1;
    if (open_nursery(n) == 0)
        return n;
    free(n);
    return NULL;
}

static void close_nursery(struct nursery *n)
{
    struct pollfd end = {.fd = n->watch, .events = POLLIN};
    pid_t pid = n->pid;
    close(n->socket);
    n->socket = -1;
    while (n->watch >= 0 && poll(&end, 1, END_WAIT_MS) < 0 && errno == EINTR)
        ;
    if (pid)
        waitpid(pid, NULL, WNOHANG);
    forget(n);
}

void nursery_free(struct nursery *n)
{
    if (!n)
        return;
    if (n->pid)
        close_nursery(n);
    free(n);
}

static uint32_t add_texts(struct buffer *to, char *const *texts)
{
    uint32_t count = 0;
    for (; texts[count]; count++) {
        buffer_text(to, texts[count]);
        buffer_byte(to, '\0');
    }
    return count;
}

static bool write_all(int fd, const char *bytes, size_t size, off_t at)
{
    while (size) {
        ssize_t put = pwrite(fd, bytes, size, at);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return false;
        bytes += put;
        at += put;
        size -= (size_t)put;
    }
    return true;
}

// As struct keeper_words says. Returns a descriptor, or -1 with errno.
static int write_words(char *const *argv, char *const *environment, const char *cwd)
{
    struct keeper_words head = {.has_cwd = cwd != NULL};
    struct buffer texts;
    buffer_init(&texts, WORDS_MAX);
    head.argument_count = add_texts(&texts, argv);
    head.variable_count = add_texts(&texts, environment);
    if (cwd) {
        buffer_text(&texts, cwd);
        buffer_byte(&texts, '\0');
    }
    size_t lists = ((size_t)head.argument_count + head.variable_count + 2) * sizeof(char *);
    head.size = sizeof head + lists + texts.size;
    int fd = texts.overflow ? (errno = E2BIG, -1) : memfd_create("command", MFD_CLOEXEC);
    if (fd >= 0 && (!write_all(fd, (const char *)&head, sizeof head, 0) ||
                    !write_all(fd, texts.data, texts.size, (off_t)(sizeof head + lists)))) {
        int bad = errno;
        close(fd);
        errno = bad;
        fd = -1;
    }
    buffer_done(&texts);
    return fd;
}

static int send_order(int socket, const struct nursery_order *order, const int *fds, size_t count)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(FDS_MAX * sizeof(int))] = {0};
    struct iovec piece = {(void *)(uintptr_t)order, sizeof *order};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    if (count) {
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(c), fds, count * sizeof(int));
    }
    while (sendmsg(socket, &message, MSG_NOSIGNAL) < 0)
        if (errno != EINTR)
            return errno;
    return 0;
}

// A nursery that was killed is replaced: this once, in a process that has threads, which the
// nursery and its keepers bear (they allocate nothing).
static int hand_over(struct nursery *n, const int *fds, size_t count)
{
    struct nursery_order order = {.kill = 0};
    int bad = n->pid ? send_order(n->socket, &order, fds, count) : EPIPE;
    if (bad != EPIPE && bad != ECONNRESET)
        return bad;
    if (n->pid)
        close_nursery(n);
    bad = open_nursery(n);
    return bad ? bad : send_order(n->socket, &order, fds, count);
}

static void close_both(int pair[static 2])
{
    for (int i = 0; i < 2; i++)
        if (pair[i] >= 0)
            close(pair[i]);
}

static void set_not_blocking(int fd)
{
    if (fd >= 0)
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

int nursery_spawn(struct nursery *n, char *const *argv, char *const *environment, const char *cwd,
                  bool with_input, struct spawned *ret)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1}, control[2] = {-1, -1}, words = -1, bad = 0;
    if (pipe2(out, O_CLOEXEC) < 0 || (with_input && pipe2(in, O_CLOEXEC) < 0) ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) < 0 ||
        (words = write_words(argv, environment, cwd)) < 0)
        bad = errno;
    if (!bad)
        bad = hand_over(n, (int[]){control[1], words, out[1], in[0]}, with_input ? 4 : 3);
    if (!bad) {
        *ret = (struct spawned){.keeper = control[0], .input = in[1], .output = out[0]};
        set_not_blocking(ret->input);
        set_not_blocking(ret->output);
        control[0] = in[1] = out[0] = -1;
    }
    close_both(in);
    close_both(out);
    close_both(control);
    if (words >= 0)
        close(words);
    return bad;
}

void nursery_kill(struct nursery *n, pid_t keeper)
{
    struct nursery_order order = {.kill = keeper};
    if (n->pid && keeper > 0)
        send_order(n->socket, &order, NULL, 0);
}
