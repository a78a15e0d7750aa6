/*
 * config_fields - what a configuration may say, and how each of it is read
 *
 * One table for the file, the environment and the command line alike.
 *
 * Used by config.c.
 */
#pragma once

#include "core/decode.h"
#include "server/config.h"

#define THREADS_MAX 64

extern const struct field_table config_fields; // into a struct config
