#include "dispatch/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

static void close_both(int pipe[static 2])
{
    for (int i = 0; i < 2; i++)
        if (pipe[i] >= 0)
            close(pipe[i]);
}

// glibc's posix_spawn is a vfork that gives back the error of exec; closing "from 3" uses
// close_range.
static int describe(posix_spawn_file_actions_t *actions, const char *cwd, int input, int output)
{
    int bad = input < 0 ? posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDONLY, 0)
                        : posix_spawn_file_actions_adddup2(actions, input, 0);
    if (!bad)
        bad = posix_spawn_file_actions_adddup2(actions, output, 1);
    if (!bad)
        bad = posix_spawn_file_actions_adddup2(actions, output, 2);
    if (!bad && cwd)
        bad = posix_spawn_file_actions_addchdir_np(actions, cwd);
    if (!bad)
        bad = posix_spawn_file_actions_addclosefrom_np(actions, 3);
    return bad;
}

// A session of its own is a process group of its own, and has no terminal to ask for a password on.
static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    int bad = posix_spawnattr_setsigdefault(attributes, &all);
    if (!bad)
        bad = posix_spawnattr_setsigmask(attributes, &none);
    if (!bad)
        bad = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK |
                                                       POSIX_SPAWN_SETSID);
    return bad;
}

static int start(char *const *argv, char *const *environment, const char *cwd, int input,
                 int output, pid_t *ret)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int bad = posix_spawn_file_actions_init(&actions);
    if (bad)
        return bad;
    bad = posix_spawnattr_init(&attributes);
    if (!bad) {
        bad = describe(&actions, cwd, input, output);
        if (!bad)
            bad = set_attributes(&attributes);
        if (!bad)
            bad = posix_spawnp(ret, argv[0], &actions, &attributes, argv, environment);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return bad;
}

// A child that cannot be watched must not run on.
static int watch_child(pid_t pid, int *ret)
{
    int fd = pidfd_open(pid, 0);
    if (fd >= 0) {
        *ret = fd;
        return 0;
    }
    int bad = errno;
    kill(-pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return bad;
}

static void set_not_blocking(int fd)
{
    if (fd >= 0)
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

int spawn(char *const *argv, char *const *environment, const char *cwd, bool with_input,
          struct spawned *ret)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1}, bad = 0;
    struct spawned child = {.pid = -1, .watch = -1, .input = -1, .output = -1};
    if (pipe2(out, O_CLOEXEC) < 0 || (with_input && pipe2(in, O_CLOEXEC) < 0))
        bad = errno;
    if (!bad)
        bad = start(argv, environment, cwd, in[0], out[1], &child.pid);
    if (!bad)
        bad = watch_child(child.pid, &child.watch);
    if (!bad) {
        child.input = in[1];
        child.output = out[0];
        set_not_blocking(child.input);
        set_not_blocking(child.output);
        in[1] = out[0] = -1;
        *ret = child;
    }
    close_both(in);
    close_both(out);
    return bad;
}
