/*
 * bench - what the programs of `make bench` share
 *
 * Options as `--name value`, samples of time with their percentiles, CPU used so far. Each program
 * is one file with a main; each prints one JSON object on one line. One thread.
 */
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/memory.h"

// The value of `--name`, or `otherwise`.
static inline const char *option_text(int argc, char **argv, const char *name,
                                      const char *otherwise)
{
    for (int i = 1; i + 1 < argc; i++)
        if (strncmp(argv[i], "--", 2) == 0 && strcmp(argv[i] + 2, name) == 0)
            return argv[i + 1];
    return otherwise;
}

static inline int64_t option_int(int argc, char **argv, const char *name, int64_t otherwise)
{
    const char *text = option_text(argc, argv, name, NULL);
    return text ? strtoll(text, NULL, 10) : otherwise;
}

// Says what is wrong, with errno's words, and ends.
static inline void __attribute__((noreturn)) give_up(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

static inline int64_t microseconds_of(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static inline int64_t now_us(void)
{
    return microseconds_of(CLOCK_MONOTONIC);
}

static inline double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

// Times of single operations, in microseconds.
struct samples {
    int64_t *us;
    size_t count, capacity;
};

static inline void samples_add(struct samples *s, int64_t us)
{
    if (s->count == s->capacity) {
        s->capacity = s->capacity ? s->capacity * 2 : 65536;
        s->us = memory_resize(s->us, s->capacity, sizeof *s->us);
    }
    s->us[s->count++] = us;
}

static inline int samples_compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static inline void samples_sort(struct samples *s)
{
    if (s->count)
        qsort(s->us, s->count, sizeof *s->us, samples_compare);
}

// Of sorted samples: the smallest that `part` of all do not exceed; 0 where there are none.
static inline int64_t samples_at(const struct samples *s, double part)
{
    size_t at = (size_t)((double)s->count * part);
    return s->count ? s->us[at < s->count ? at : s->count - 1] : 0;
}
