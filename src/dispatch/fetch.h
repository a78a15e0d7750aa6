/*
 * fetch - one HTTP request, waited for
 *
 * For the command line: a plain blocking call of the API. libcurl's home is this folder.
 */
#pragma once

#include <stdbool.h>

#include "base/buffer.h"
#include "base/status.h"

struct fetch {
    const char *method, *url;
    const char *const *headers; // "Name: value", NULL-terminated; NULL: none
    const char *body;           // NULL: none
    size_t body_size;
    long timeout_ms; // 0: none
    // Called with each piece of the body as it arrives; NULL: collected in `answer`. False stops
    // the transfer (STATUS_END).
    bool (*piece)(void *context, const char *bytes, size_t size);
    void *context;
    // filled:
    int status;           // HTTP
    struct buffer answer; // init with its limit before
    struct buffer etag;   // init before
    char why[256];        // in words, on STATUS_FAILED
};

// STATUS_OK whenever an HTTP status came back, whatever it is. STATUS_FAILED: no answer.
enum status fetch(struct fetch *fetch);
