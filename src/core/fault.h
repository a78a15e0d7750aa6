/*
 * fault - what is wrong with an outsider's input, and where
 *
 * A list of (JSON pointer, what would be right). Decoders add to it and go on, so that one answer
 * names everything; beyond FAULT_MAX only the count grows. Line and column are 0 where the input
 * was not a file.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define FAULT_MAX 20

struct fault {
    char *pointer; // RFC 6901, e.g. "/tasks/nightly/schedule/cron"; "" is the whole document
    char *detail;  // a sentence that says what would be right
    int line, column;
};

struct faults {
    struct fault items[FAULT_MAX];
    size_t count; // how many were found; only the first FAULT_MAX are kept
};

void faults_done(struct faults *f);
void faults_add(struct faults *f, const char *pointer, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
// How many are kept in items.
size_t faults_kept(const struct faults *f);
// Joins "prefix" and one more reference token (escaping ~ and /). Writes into text, cut at its
// size.
void pointer_join(char *text, size_t size, const char *prefix, const char *token);
