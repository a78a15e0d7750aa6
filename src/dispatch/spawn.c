#include "dispatch/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_NOT_STARTED 127

static void reset_signals(void)
{
    sigset_t none;
    for (int number = 1; number <= SIGRTMAX; number++)
        signal(number, SIG_DFL); // refused for some, which have nothing else anyway
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static int arrange_descriptors(const struct program *program)
{
    int input = program->input;
    if (input < 0)
        input = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (input < 0 || dup2(input, 0) < 0 || dup2(program->output, 1) < 0 ||
        dup2(program->output, 2) < 0)
        return errno;
    // Ours are all closed on exec; this is for what came to us from elsewhere. The pipe that tells
    // of a failed exec must stay until then.
    close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    return 0;
}

// In the child. Returns only where something failed. A session of its own is a process group of its
// own, and has no terminal to ask for a password on.
static int become(const struct program *program, pid_t parent)
{
    if (setsid() < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return errno;
    if (getppid() != parent) // it died before we asked to be told
        return ECHILD;
    int bad = arrange_descriptors(program);
    if (bad)
        return bad;
    if (program->cwd && chdir(program->cwd) < 0)
        return errno;
    reset_signals();
    execvpe(program->argv[0], program->argv, program->environment);
    return errno;
}

// Until exec it has our memory, which saves a copy of all pages: it only makes system calls, and
// does not return.
_Noreturn static void run_child(const struct program *program, pid_t parent, int failure)
{
    int bad = become(program, parent);
    (void)!write(failure, &bad, sizeof bad);
    _exit(EXIT_NOT_STARTED);
}

static pid_t fork_child(const struct program *program, int failure)
{
    pid_t parent = getpid(), child = vfork();
    if (child == 0)
        run_child(program, parent, failure);
    return child;
}

// The pipe closes with a successful exec; otherwise the errno comes through it.
static int await_exec(int fd)
{
    int bad = 0;
    ssize_t got;
    do
        got = read(fd, &bad, sizeof bad);
    while (got < 0 && errno == EINTR);
    return got == (ssize_t)sizeof bad ? bad : 0;
}

int spawn(const struct program *program, pid_t *ret)
{
    int failure[2], bad = 0;
    if (pipe2(failure, O_CLOEXEC) < 0)
        return errno;
    pid_t child = fork_child(program, failure[1]);
    if (child < 0)
        bad = errno;
    close(failure[1]);
    if (!bad)
        bad = await_exec(failure[0]);
    close(failure[0]);
    if (!bad)
        *ret = child;
    else if (child > 0)
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
            ;
    return bad;
}
