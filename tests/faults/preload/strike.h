/*
 * strike - which call of the server is to fail, as a test says it
 *
 * A library of this folder is loaded before libc (LD_PRELOAD) and stands in for the calls that it
 * names. A test maps the same file (CALLS_CONTROL) and writes into it which call fails, of which
 * threads, the how many-th and with what; so a call can begin and cease to fail while the server
 * runs, and processes that it forks see the same plan. Nothing of this is in the server.
 *
 * tests/support/calls.py is the other side and knows this layout.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct plan {
    _Atomic int64_t armed;  // 0: nothing fails. Written last by the test
    _Atomic int64_t seen;   // calls that were meant, since it was armed
    _Atomic int64_t struck; // of them, those that failed
    int64_t nth;            // from 1
    int64_t forever;        // not 0: all from the n-th on
    int64_t error;          // errno, or what the call itself returns (pthread_create, getaddrinfo)
    int64_t least;          // allocations: only those of at least so many bytes
    char call[24];          // its name in C
    char who[24];           // how the thread's name begins; "": whoever
};

// Counts a call of `name`, of `size` bytes where that means something. True: it is to fail, with
// *ret_error.
bool strike(const char *name, size_t size, int *ret_error);
