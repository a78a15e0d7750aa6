/*
 * spawn - starts a child process
 *
 * In a session and process group of its own, with default signals, only descriptors 0 to 2,
 * standard output and error in one pipe. Does not wait for it: the caller reaps.
 *
 * Used by command.c.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct spawned {
    pid_t pid;  // also the number of its process group
    int watch;  // pidfd: readable once it has exited
    int input;  // to its standard input, not blocking; -1: it reads /dev/null
    int output; // of its standard output and error, not blocking
};

// Returns 0, or the errno of what failed: then nothing runs. cwd: NULL is ours. Descriptors 0 to 2
// of this process must be open.
int spawn(char *const *argv, char *const *environment, const char *cwd, bool with_input,
          struct spawned *ret);
