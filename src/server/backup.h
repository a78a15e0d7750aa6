/*
 * backup - punctual backup, punctual restore
 *
 * Commands of the roof: they work on the server's files, not through its API. store/backup.h does
 * the work.
 */
#pragma once

#include "cli/options.h"

extern const struct option_rule backup_options[], restore_options[];
int backup_command(int argc, char **argv);
int restore_command(int argc, char **argv);
