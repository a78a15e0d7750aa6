/*
 * spawn - starts a program as a child process
 *
 * In a session and process group of its own, with default signals, only descriptors 0 to 2,
 * standard output and error in one. It dies with its parent. Does not wait for it: the caller
 * reaps. Allocates nothing, so it may be called in a process that was forked from several threads.
 *
 * Used by keeper.c.
 */
#pragma once

#include <sys/types.h>

struct program {
    char *const *argv, *const *environment;
    const char *cwd; // NULL is ours
    int input;       // its standard input; -1: it reads /dev/null
    int output;      // its standard output and error
};

// Returns 0, or the errno of what failed: then nothing runs. Descriptors 0 to 2 of this process
// must be open. The child's number is also that of its process group.
int spawn(const struct program *program, pid_t *ret);
