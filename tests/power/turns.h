/*
 * turns - random verbs of the store, each with what it means for the model
 *
 * For history.c.
 */
#pragma once

#include "history.h"

// Calls one verb by chance, also ones that must be refused. Whatever is not STATUS_OK has broken
// the store; a refusal that should not be, or the reverse, is a violation.
enum status turn_verb(struct history *h);
