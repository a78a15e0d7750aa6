/*
 * commands - what cli.c's table is made of
 *
 * Each command's function and its own options (ended by {0}). One file per command; NAME.c holds
 * NAME_run and NAME_options.
 */
#pragma once

#include "cli/options.h"

#define COMMAND(name)                      \
    int name##_run(int argc, char **argv); \
    extern const struct option_rule name##_options[]

COMMAND(apply);
COMMAND(diff);
COMMAND(tasks);
COMMAND(task);
COMMAND(runs);
COMMAND(run);
COMMAND(trigger);
COMMAND(pause);
COMMAND(resume);
COMMAND(cancel);
COMMAND(retry);
COMMAND(rollback);
COMMAND(queues);
COMMAND(dead);
COMMAND(checkin);
COMMAND(events);
COMMAND(audit);
COMMAND(version);
