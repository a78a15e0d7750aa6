/*
 * cursor - where a list goes on
 *
 * Opaque text for the client: base64url (RFC 4648, 5, without padding) of the list's letter and the
 * last key shown.
 */
#pragma once

#include "base/id.h"
#include "base/writer.h"

#define CURSOR_TEXT 192 // enough for every key, with a NUL

// `list` is a letter of the list's own, so that a cursor of one list does not fit another.
void cursor_format(char list, const char *key, char text[static CURSOR_TEXT]);
// The member `next_cursor` of a list's answer: where it goes on after `key`. NULL: it has ended.
void cursor_write(struct writer *w, char list, const char *key);
void cursor_write_run(struct writer *w, char list,
                      run_id last); // of a list of runs; 0: it has ended
// False where it is no cursor of this list. `key` gets at most `size` bytes with the NUL.
bool cursor_parse(char list, const char *text, char *key, size_t size);
