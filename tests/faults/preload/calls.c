// Stands in for the calls of sockets, descriptors, processes and threads that the server and its
// libraries make. Each counts and fails as strike.h says, else it is the real one.
// Both names of a call, with 64 and without, are wanted as they are.
#undef _FILE_OFFSET_BITS

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "strike.h"

// Looked up at the first call and not before: a constructor of another library may come ahead of
// ours.
#define REAL(type, name) ((type)(uintptr_t)dlsym(RTLD_NEXT, name))

#define STAND_IN_NAMED(result, failed, symbol, name, parameters, arguments)    \
    result symbol parameters;                                                  \
    result symbol parameters                                                   \
    {                                                                          \
        static result(*_Atomic real) parameters;                               \
        int error;                                                             \
        if (strike(name, 0, &error)) {                                         \
            errno = error;                                                     \
            return (result)failed;                                             \
        }                                                                      \
        if (!real)                                                             \
            real = (result(*) parameters)(uintptr_t)dlsym(RTLD_NEXT, #symbol); \
        return real arguments;                                                 \
    }
#define STAND_IN(result, name, parameters, arguments) \
    STAND_IN_NAMED(result, -1, name, #name, parameters, arguments)

// --- sockets ---
STAND_IN(int, socket, (int domain, int type, int protocol), (domain, type, protocol))
STAND_IN(int, socketpair, (int domain, int type, int protocol, int pair[2]),
         (domain, type, protocol, pair))
STAND_IN(int, bind, (int fd, const struct sockaddr *at, socklen_t size), (fd, at, size))
STAND_IN(int, listen, (int fd, int backlog), (fd, backlog))
STAND_IN(int, accept4, (int fd, struct sockaddr *at, socklen_t *size, int flags),
         (fd, at, size, flags))
STAND_IN(int, connect, (int fd, const struct sockaddr *at, socklen_t size), (fd, at, size))
STAND_IN(int, getsockname, (int fd, struct sockaddr *at, socklen_t *size), (fd, at, size))
STAND_IN(int, getpeername, (int fd, struct sockaddr *at, socklen_t *size), (fd, at, size))
STAND_IN(int, getsockopt, (int fd, int level, int name, void *value, socklen_t *size),
         (fd, level, name, value, size))
STAND_IN(int, setsockopt, (int fd, int level, int name, const void *value, socklen_t size),
         (fd, level, name, value, size))
STAND_IN(ssize_t, recv, (int fd, void *to, size_t size, int flags), (fd, to, size, flags))
STAND_IN(ssize_t, send, (int fd, const void *from, size_t size, int flags), (fd, from, size, flags))
STAND_IN(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags))
STAND_IN(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags))

// --- waiting ---
STAND_IN(int, epoll_create1, (int flags), (flags))
STAND_IN(int, epoll_ctl, (int epoll, int how, int fd, struct epoll_event *event),
         (epoll, how, fd, event))
STAND_IN(int, epoll_wait, (int epoll, struct epoll_event *events, int max, int ms),
         (epoll, events, max, ms))
STAND_IN(int, poll, (struct pollfd * fds, nfds_t count, int ms), (fds, count, ms))
STAND_IN(int, eventfd, (unsigned count, int flags), (count, flags))
STAND_IN(int, timerfd_create, (int clock, int flags), (clock, flags))
STAND_IN(int, timerfd_settime,
         (int fd, int flags, const struct itimerspec *when, struct itimerspec *old),
         (fd, flags, when, old))
STAND_IN(int, signalfd, (int fd, const sigset_t *set, int flags), (fd, set, flags))

// --- files and pipes ---
STAND_IN(int, pipe2, (int pair[2], int flags), (pair, flags))
STAND_IN(int, dup2, (int from, int to), (from, to))
STAND_IN(ssize_t, read, (int fd, void *to, size_t size), (fd, to, size))
STAND_IN(ssize_t, write, (int fd, const void *from, size_t size), (fd, from, size))
STAND_IN_NAMED(ssize_t, -1, pread64, "pread", (int fd, void *to, size_t size, off_t at),
               (fd, to, size, at))
STAND_IN_NAMED(ssize_t, -1, pwrite64, "pwrite", (int fd, const void *from, size_t size, off_t at),
               (fd, from, size, at))
STAND_IN_NAMED(int, -1, mkostemp64, "mkostemp", (char *path, int flags), (path, flags))
STAND_IN(int, memfd_create, (const char *name, unsigned flags), (name, flags))
STAND_IN_NAMED(void *, -1, mmap64, "mmap",
               (void *at, size_t size, int how, int flags, int fd, off_t from),
               (at, size, how, flags, fd, from))
STAND_IN_NAMED(int, -1, fstat64, "fstat", (int fd, struct stat64 *ret), (fd, ret))
STAND_IN(int, fsync, (int fd), (fd))
STAND_IN(int, fdatasync, (int fd), (fd))
STAND_IN_NAMED(int, -1, ftruncate64, "ftruncate", (int fd, off_t size), (fd, size))
STAND_IN(int, flock, (int fd, int how), (fd, how))
STAND_IN(int, link, (const char *old, const char *new), (old, new))
STAND_IN(int, rename, (const char *old, const char *new), (old, new))
STAND_IN(int, renameat2, (int from, const char *old, int to, const char *new, unsigned flags),
         (from, old, to, new, flags))

static int open_with(const char *symbol, const char *path, int flags, mode_t mode)
{
    int error;
    if (strike("open", 0, &error)) {
        errno = error;
        return -1;
    }
    return REAL(int (*)(const char *, int, ...), symbol)(path, flags, mode);
}

static mode_t mode_of(int flags, va_list arguments)
{
    bool makes = flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE;
    return makes ? (mode_t)va_arg(arguments, int) : 0;
}

#define OPEN(symbol)                                                         \
    int symbol(const char *path, int flags, ...);                            \
    int symbol(const char *path, int flags, ...)                             \
    {                                                                        \
        va_list arguments;                                                   \
        va_start(arguments, flags);                                          \
        int fd = open_with(#symbol, path, flags, mode_of(flags, arguments)); \
        va_end(arguments);                                                   \
        return fd;                                                           \
    }
OPEN(open)
OPEN(open64)

#define FCNTL(symbol)                                                             \
    int symbol(int fd, int what, ...);                                            \
    int symbol(int fd, int what, ...)                                             \
    {                                                                             \
        int error;                                                                \
        va_list arguments;                                                        \
        va_start(arguments, what);                                                \
        void *more = va_arg(arguments, void *); /* one word, whatever it means */ \
        va_end(arguments);                                                        \
        if (strike("fcntl", 0, &error)) {                                         \
            errno = error;                                                        \
            return -1;                                                            \
        }                                                                         \
        return REAL(int (*)(int, int, ...), #symbol)(fd, what, more);             \
    }
FCNTL(fcntl)
FCNTL(fcntl64)

// --- processes and threads ---
STAND_IN(pid_t, fork, (void), ())
STAND_IN(pid_t, setsid, (void), ())
STAND_IN(int, chdir, (const char *path), (path))
STAND_IN(pid_t, waitpid, (pid_t pid, int *how, int flags), (pid, how, flags))
STAND_IN(int, waitid, (idtype_t kind, id_t id, siginfo_t *info, int flags), (kind, id, info, flags))
STAND_IN(int, execvpe, (const char *file, char *const argv[], char *const environment[]),
         (file, argv, environment))
STAND_IN(int, kill, (pid_t pid, int number), (pid, number))

// pidfd_open is called by its number: older versions of libc have no name for it. Others pass.
long syscall(long number, ...)
{
    static long (*_Atomic real)(long, ...);
    int error;
    long words[6];
    va_list arguments;
    va_start(arguments, number);
    for (int i = 0; i < 6; i++)
        words[i] = va_arg(arguments, long);
    va_end(arguments);
    if (number == SYS_pidfd_open && strike("pidfd_open", 0, &error)) {
        errno = error;
        return -1;
    }
    if (!real)
        real = REAL(long (*)(long, ...), "syscall");
    return real(number, words[0], words[1], words[2], words[3], words[4], words[5]);
}

// A function cannot come back twice on its caller's stack, so what starts is a fork: the child only
// makes system calls, and cannot tell.
pid_t vfork(void)
{
    int error;
    if (strike("vfork", 0, &error)) {
        errno = error;
        return -1;
    }
    return REAL(pid_t(*)(void), "fork")();
}

int prctl(int what, ...)
{
    int error;
    unsigned long words[4];
    va_list arguments;
    va_start(arguments, what);
    for (int i = 0; i < 4; i++)
        words[i] = va_arg(arguments, unsigned long);
    va_end(arguments);
    if (strike("prctl", 0, &error)) {
        errno = error;
        return -1;
    }
    return REAL(int (*)(int, ...), "prctl")(what, words[0], words[1], words[2], words[3]);
}

// These two return what is wrong, and leave errno alone.
int pthread_create(pthread_t *ret, const pthread_attr_t *how, void *(*body)(void *), void *context)
{
    int error;
    if (strike("pthread_create", 0, &error))
        return error;
    return REAL(int (*)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *),
                "pthread_create")(ret, how, body, context);
}

int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                struct addrinfo **ret)
{
    int error;
    if (strike("getaddrinfo", 0, &error))
        return error;
    // A name that is asked for, and is there on every machine.
    if (host && strcmp(host, "receiver.test") == 0)
        host = "127.0.0.1";
    return REAL(int (*)(const char *, const char *, const struct addrinfo *, struct addrinfo **),
                "getaddrinfo")(host, service, hints, ret);
}
