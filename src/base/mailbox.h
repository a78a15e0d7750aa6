/*
 * mailbox - how threads talk
 *
 * Any thread posts, one thread takes. A message is a struct whose first member is `struct letter`;
 * posting hands it over, taking hands over the whole list in the order of posting. The descriptor
 * becomes readable when the box stops being empty, so one post in a burst pays for a system call
 * and the rest do not.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>

struct letter {
    struct letter *next;
};

struct mailbox {
    pthread_mutex_t lock;
    struct letter *first, **last;
    int fd; // eventfd: poll it for reading
};

// Aborts when the system has no descriptor left: only at the start.
void mailbox_init(struct mailbox *box);
void mailbox_done(struct mailbox *box); // must be empty

void mailbox_post(struct mailbox *box, struct letter *letter);
// Posts a chain of letters linked by `next`, in order, with one lock. NULL is fine.
void mailbox_post_all(struct mailbox *box, struct letter *first);
// All that has come, oldest first; NULL when nothing. Makes the descriptor unreadable again.
struct letter *mailbox_take(struct mailbox *box);
