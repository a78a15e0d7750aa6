/*
 * auditor - the audit that never ends
 *
 * A thread with a reader of its own that goes over what became past since its last round, in small
 * steps with long breaks, and says what it found: in the log, and through the pulse on /ready and
 * as metrics. Where many tasks have to be looked over a round takes longer, rather than more of the
 * machine. store/audit.h does the work.
 *
 * Used by server/serve.c.
 */
#pragma once

#include "core/pulse.h"

struct auditor;

// NULL where the system refuses. The texts and the pulse must outlive it.
struct auditor *auditor_start(const char *store, struct pulse *pulse);
void auditor_stop(struct auditor *auditor); // NULL is fine
