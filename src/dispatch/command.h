/*
 * command - attempts as child processes
 *
 *   RUNNING --timeout, abort--> ENDING --kill_after--> KILLED
 *      |                          |                      |
 *      +--------- exits ----------+----------------------+--> EXITED --its output ends, or a short
 * grace--> report
 *
 * SIGTERM at the timeout, SIGKILL later, both to the whole process group; what is left of the group
 * when the leader exits is killed. A process that left the group and holds the pipe does not hold
 * the run.
 *
 * Used by dispatch.c, on the dispatcher's thread.
 */
#pragma once

#include "dispatch/effort.h"

struct commands;

// `efforts` and its options must outlive it.
struct commands *commands_new(struct efforts *efforts, int epoll);
void commands_free(struct commands *c); // nothing may be under way; NULL is fine

void command_start(struct commands *c, struct effort *effort);
// Asks it to end; it is reported as canceled once it has.
void command_abort(struct commands *c, struct effort *effort, const char *why);
// Ends it without asking, waits for it (a killed process goes quickly) and reports it as canceled.
void command_kill(struct commands *c, struct effort *effort, const char *why);

// What epoll found; a false alarm is fine.
void commands_exited(struct commands *c, int fd, uint32_t events);
void commands_output(struct commands *c, int fd, uint32_t events);
void commands_input(struct commands *c, int fd, uint32_t events);
// When commands_turn wants to be called.
steady commands_deadline(const struct commands *c);
void commands_turn(struct commands *c, steady now);
