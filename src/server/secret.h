/*
 * secret - the default signing secret
 *
 * From the configuration; where that has none, one is made at the first start and kept in the
 * store, so that receivers can be set up with `punctual secret show`.
 */
#pragma once

#include "store/store.h"

// `secret` is empty where there is none yet; else as large as SECRET_TEXT.
#define SECRET_TEXT 128
enum status secret_find_or_make(struct store *store, char secret[static SECRET_TEXT]);

// punctual secret show
int secret_command(int argc, char **argv);
