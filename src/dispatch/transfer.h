/*
 * transfer - one easy handle of libcurl, and what an attempt needs beside it
 *
 * Options that never change are set once when it is made, the others per attempt. Says what came of
 * it in the words of core/attempt.h; the loop and the sockets are webhook.c's.
 *
 * Used by webhook.c.
 */
#pragma once

#include <curl/curl.h>

#include "dispatch/answer.h"
#include "dispatch/request.h"

struct webhooks;

struct transfer {
    struct transfer *next; // in the list of free ones
    struct webhooks *webhooks;
    struct effort *effort; // NULL while free
    CURL *easy;
    struct request request;
    struct answer answer;
    long connect_ms;   // how long connecting may take
    int sends;         // how often the request was about to go out
    bool connected;    // a connection was tried for it: not only refused ones
    int no_socket;     // errno, where there was none to be had; else 0
    char refused[160]; // why an address was refused; "" when none was
    char error[CURL_ERROR_SIZE];
};

struct transfer *transfer_new(struct webhooks *webhooks); // NULL where libcurl refuses
void transfer_free(struct transfer *transfer);
struct transfer *transfer_of(CURL *easy);

// Makes it ready to be added to the multi handle. False with why in words.
bool transfer_prepare(struct transfer *transfer, struct effort *effort, const struct keyring *ring,
                      size_t body_limit, char *why, size_t size);
// It is over: fills the report and ends the effort.
void transfer_finish(struct transfer *transfer, struct efforts *efforts, CURLcode code);
// It is ended before its time: the report says what is known until then, and why it ended.
void transfer_cancel(struct transfer *transfer, struct efforts *efforts, const char *why);
