/*
 * command - attempts as child processes
 *
 *   RUNNING --timeout, abort--> ENDING --kill_after--> KILLED
 *      |                          |                      |
 *      +--------- exits ----------+----------------------+--> EXITED --its output ends, or a short
 * grace--> report
 *
 * Each has a keeper (keeper.h), a process that starts it and lets nothing of it survive. SIGTERM
 * goes to the command's process group at the timeout, SIGKILL later to all its descendants, also
 * those that left the group; what is left when the command exits is killed.
 *
 * Used by dispatch.c, on the dispatcher's thread.
 */
#pragma once

#include "dispatch/effort.h"

struct commands;

// `efforts` and its options must outlive it. NULL where the system refuses.
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
