/*
 * message - what reaches the scheduler
 *
 * Requests come from the front, reports from the dispatcher. A request carries its own reply: the
 * scheduler fills it during a turn, and after the commit the roof hands the message back to where
 * it came from. The sender keeps ownership of a request throughout and must not touch it between
 * posting and getting it back; a report is handed over and freed by the scheduler.
 *
 * Requests are decoded and validated before they are posted: the scheduler decides, it does not
 * parse.
 */
#pragma once

#include "base/buffer.h"
#include "base/id.h"
#include "base/mailbox.h"
#include "core/attempt.h"
#include "core/task.h"

enum message_kind {
    MESSAGE_PUT_TASK,     // one definition: name, task, expected, author, note
    MESSAGE_DELETE_TASK,  // name, expected, author, note
    MESSAGE_ROLLBACK,     // name, revision (0: the one before the newest), expected, author, note
    MESSAGE_APPLY,        // set, dry_run, prune, author, note
    MESSAGE_PAUSE,        // name, author, note (the reason)
    MESSAGE_RESUME,       // name, author, note
    MESSAGE_CREATE_RUNS,  // wishes, batch, key
    MESSAGE_CANCEL_RUN,   // run, author, note
    MESSAGE_RETRY_RUN,    // run, author, note, key
    MESSAGE_LEASE,        // name (the queue), lease: a worker waits for runs
    MESSAGE_LEASE_WORD,   // word, leases, single: what those who hold leases say about them
    MESSAGE_QUEUES,       // name (NULL: all), queues
    MESSAGE_RETRY_DEAD,   // runs, by_filter, left, dry_run, author, note, key
    MESSAGE_DISCARD_DEAD, // the same
    MESSAGE_CHECKIN,      // name, checkin, run (0: the one that is expected), author, note, key
    MESSAGE_METRICS,      // nothing
    MESSAGE_REPORT,       // from the dispatcher: attempt
    MESSAGE_DRAINED,      // from the dispatcher: nothing runs any more
    MESSAGE_STOP,         // from the roof: start nothing new, and end when nothing runs
    MESSAGE_TEST_CLOCK,   // to the roof: clock
    MESSAGE_KIND_COUNT
};

#define REVISION_ANY 0     // whatever the newest is
#define REVISION_NONE (-1) // the task must not exist (If-None-Match: *)

struct wish {            // one run that somebody asks for
    char *task_name;     // a task known by name, or NULL
    struct task *target; // else the inline definition of a one-off: a reference
    char *payload;       // JSON text; NULL: the task's own
    size_t payload_size;
    wall due_at;       // WALL_NONE: now
    bool has_priority; // `priority` rather than the task's own
    int priority;
};

struct lease_wish { // a worker's request for runs of a queue
    int max;
    int64_t wait_us, length_us;
    char *worker; // its name, NULL where not said
    steady until; // the scheduler's own: when it is answered empty
};

enum lease_word { WORD_HEARTBEAT, WORD_COMPLETE, WORD_FAIL, WORD_RELEASE, LEASE_WORD_COUNT };

struct lease_row {          // of one run that somebody has the lease of
    struct attempt attempt; // run and fence; and what is said: response (the result), error, ...
    int64_t extend_us;      // of a heartbeat; -1: as long as the lease was asked for
};

struct queue_load { // what the store knows of a queue
    uint64_t lane;
    char *name;
    int64_t due, scheduled; // scheduled: not due yet
    wall oldest;            // due_at of the oldest that is due; WALL_NONE: none is
};

enum checkin_status { CHECKIN_SUCCESS, CHECKIN_START, CHECKIN_FAILURE };

struct checkin { // what a job that runs elsewhere says; its words are the note
    enum checkin_status status;
    int64_t duration_us; // how long it ran; -1: not said
};

struct clock_wish {   // what is asked of a test clock (server/travel.h)
    bool look;        // only asked where it stands
    wall to;          // WALL_NONE: by_us from where it stands
    int64_t by_us;    // 0: it stays, and what is due ends
    int64_t wait_us;  // real time: how long at most
    bool past_leases; // does not wait for those who hold leases
};

struct reply {
    enum status status;
    char detail[400];   // in words, when status is not STATUS_OK
    char pointer[48];   // the place in the request that it is about; "": the whole
    bool created;       // something new was made (201 rather than 200)
    bool replayed;      // the stored answer of an earlier request with the same idempotency key
    int revision;       // of the task answered about, for the ETag; 0: none
    run_id run;         // of the run answered about, for Location; 0: none
    struct buffer body; // JSON (or Prometheus text); empty on an error
};

struct message {
    struct letter letter;
    enum message_kind kind;

    char *name;
    struct task *task; // a reference
    int expected;      // REVISION_ANY, REVISION_NONE or the revision that must be the newest
    int revision;
    char *author, *note; // NULL where not said
    struct task_set set;
    bool dry_run, prune;
    struct wish *wishes;
    size_t wish_count;
    bool batch; // answer with a list of ids rather than one run
    run_id run;
    char *key;            // Idempotency-Key, NULL: none
    uint64_t fingerprint; // of method, route and body, to tell a repeat from another request

    struct lease_wish lease;
    enum lease_word word;
    struct lease_row *leases; // what is said; for MESSAGE_LEASE: what was handed out, filled by the
                              // scheduler
    size_t lease_count;
    bool single;     // about one run, answered with it and not with a row
    bool unanswered; // nobody waits for the reply: the scheduler frees it
    struct queue_load *queues;
    size_t queue_count;

    run_id *runs; // dead letters
    size_t run_count;
    bool by_filter; // found by a filter: what does not fit any more is passed over
    size_t left;    // how many more the filter matches
    size_t dead;    // MESSAGE_METRICS: how many dead letters are open
    struct checkin checkin;
    struct clock_wish clock;

    struct attempt attempt; // MESSAGE_REPORT

    struct reply reply;
    void *sender; // the front's own
};

#define REPLY_MAX (32 << 20)

struct message *message_new(enum message_kind kind);
void message_free(struct message *message); // NULL is fine; lets go of all it holds
