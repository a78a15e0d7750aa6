/*
 * verbs - random verbs of the store beyond tasks, runs and keys
 *
 * Leases, sweeps, rate limits, backlogs, dead letters, notices and history. What they leave in
 * tables of their own the model does not know; the hash of every row does (inspect.h). What they do
 * to runs it does.
 *
 * For turns.c, which calls any_verb like one of its own.
 */
#pragma once

#include "history.h"

// One of them by chance. As turn_verb.
enum status any_verb(struct history *h);
