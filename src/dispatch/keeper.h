/*
 * keeper - looks after one command and everything that comes of it
 *
 * A process between the server and the command: it starts the command, says how it ended, and lets
 * nothing of it survive. It is a child subreaper, so a process that went into a session of its own
 * or lost its parent is still its descendant. What is left when the command exits is killed; all
 * of it is killed when the server says so, and when the server is gone (its socket closes with it,
 * also after kill -9).
 *
 * What cannot be done: a process of another user (sudo, a set-uid program) takes no signal from us.
 * Where the keeper itself is killed, the command dies with it and nursery.c kills the rest.
 *
 * Decides nothing: timeouts and words are command.c's. Its own process, one thread, no allocation.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

enum keeper_order { KEEPER_TERM = 'T', KEEPER_KILL = 'K' }; // one byte to the keeper

#define KEEPER_LEFT_SOME 1 // its exit code where not all could be killed

enum keeper_kind { KEEPER_STARTED, KEEPER_FAILED, KEEPER_EXITED };

struct keeper_word { // one packet from the keeper
    int32_t kind;
    int32_t keeper; // STARTED: its process number
    int32_t error;  // FAILED: errno; nothing runs
    int32_t code;   // EXITED: si_code
    int32_t status; // EXITED: si_status
    int64_t at_us;  // EXITED: steady, when it was seen
};

// What to start lies in a file in memory: this, then room for the two lists of pointers, then the
// texts, each with its NUL: arguments, environment, and the folder where there is one.
struct keeper_words {
    uint64_t size; // of all of it
    uint32_t argument_count, variable_count;
    uint32_t has_cwd;
};

struct keeper_parts {
    int control; // to the server, SOCK_SEQPACKET
    int words;
    int output;
    int input; // -1: none
};

// Does not return. SIGCHLD must be blocked.
_Noreturn void keeper_run(const struct keeper_parts *parts);
