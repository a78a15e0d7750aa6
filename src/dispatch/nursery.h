/*
 * nursery - where commands are started
 *
 * A small process, forked before the server grows and has threads, that forks one keeper
 * (keeper.h) for each command. So starting a command costs the same however big the server is, and
 * what a command leaves behind never becomes a child of the server. It is the subreaper of its
 * keepers: where one of them is killed, it kills what that one looked after. It ends when the
 * server does; where it was killed, the next command starts another.
 *
 * Used by command.c, on the dispatcher's thread.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct nursery;

struct spawned {
    int keeper; // packets of struct keeper_word; end: the keeper is gone
    int input;  // to its standard input, not blocking; -1: it reads /dev/null
    int output; // of its standard output and error, not blocking
};

// NULL where the system refuses.
struct nursery *nursery_new(void);
// Waits a moment until all of it has ended. NULL is fine.
void nursery_free(struct nursery *nursery);

// Returns 0, or the errno of what failed: then nothing runs. Whether the program could be started
// is the keeper's first word.
int nursery_spawn(struct nursery *nursery, char *const *argv, char *const *environment,
                  const char *cwd, bool with_input, struct spawned *ret);
// A keeper that does not do as it is told: it, and what it looked after.
void nursery_kill(struct nursery *nursery, pid_t keeper);
