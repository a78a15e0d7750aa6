/*
 * dispatch - performs attempts
 *
 * A thread for each core, up to four (hand.h). Takes orders, starts each at its due instant and
 * never before, and posts a report for each (MESSAGE_REPORT), always exactly one. Decides nothing
 * about runs: retries, states and limits are the scheduler's.
 */
#pragma once

#include "base/mailbox.h"
#include "core/attempt.h"
#include "core/message.h"

struct secret {    // a named signing secret; two while it rotates, newest first
    char *name;    // NULL: the default one
    char *keys[2]; // "whsec_..." or "whsk_...", NULL
};

struct address_range { // a CIDR block in IPv6 form (IPv4 as v4-mapped)
    unsigned char prefix[16];
    int bits;
};

struct dispatch_options {
    const char *node; // the name that attempts carry; NULL: none
    const struct secret *secrets;
    size_t secret_count;
    bool allow_commands;
    bool allow_loopback; // 127.0.0.0/8 and ::1
    bool allow_private;  // RFC 1918, RFC 4193, link-local, and all else that is not global
    const struct address_range *allowed; // further ranges that are allowed
    size_t allowed_count;
    size_t response_max;    // bytes of a response or output that are kept: 4 KiB where not said
    int64_t kill_after_us;  // SIGTERM, then SIGKILL this much later: 5 s
    const char *server_url; // for commands: PUNCTUAL_URL
    int hands;              // threads; 0: one for each core
};

struct dispatcher;

// Starts the threads. `reports` gets the reports. The options must outlive it. NULL where the
// system refuses.
struct dispatcher *dispatcher_start(const struct dispatch_options *options,
                                    struct mailbox *reports);
// Hands over an order, or a chain of them linked by `next` (NULL is fine). One thread posts.
void dispatcher_post(struct dispatcher *d, struct order *order);
void dispatcher_post_all(struct dispatcher *d, struct letter *first);
// Stops everything still running at once (each is reported as canceled), then the threads. NULL is
// fine.
void dispatcher_stop(struct dispatcher *d);

// "10.0.0.0/8", "fd00::/8", "192.0.2.7". STATUS_INVALID otherwise.
enum status address_range_parse(const char *text, struct address_range *ret);
