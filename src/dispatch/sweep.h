/*
 * sweep - ends the children of this process
 *
 * In a process that is a child subreaper, whoever loses its parent becomes our child: killing all
 * children until there are none kills all descendants, whatever session or process group they went
 * to. Needs /proc; allocates nothing.
 *
 * Used by keeper.c and nursery.c, in processes of their own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

// The numbers of at most `max` children, also of those that only wait to be reaped. False: the
// system does not tell.
bool children_list(pid_t *pids, size_t max, size_t *ret_count);
