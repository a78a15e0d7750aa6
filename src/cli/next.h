/*
 * next - punctual next: when does an expression come?
 *
 * Calculates alone, without a server. argv[0] is "next". Answers the exit code: 0 done, 1 the
 * expression, the time zone or another part of the schedule is wrong, 2 wrong usage.
 */
#pragma once

int next_command(int argc, char **argv);
