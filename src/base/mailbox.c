#include "base/mailbox.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

void mailbox_init(struct mailbox *box)
{
    pthread_mutex_init(&box->lock, NULL);
    box->first = NULL;
    box->last = &box->first;
    box->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (box->fd < 0) {
        perror("punctual: eventfd"); // made at the start only: nothing is under way
        _exit(EXIT_FAILURE);
    }
}

void mailbox_done(struct mailbox *box)
{
    assert(!box->first);
    close(box->fd);
    pthread_mutex_destroy(&box->lock);
}

void mailbox_post_all(struct mailbox *box, struct letter *first)
{
    if (!first)
        return;
    struct letter **last = &first->next;
    while (*last)
        last = &(*last)->next;
    pthread_mutex_lock(&box->lock);
    bool was_empty = box->first == NULL;
    *box->last = first;
    box->last = last;
    pthread_mutex_unlock(&box->lock);
    if (was_empty) {
        uint64_t one = 1;
        (void)!write(box->fd, &one, sizeof one); // fails only when already readable
    }
}

void mailbox_post(struct mailbox *box, struct letter *letter)
{
    letter->next = NULL;
    mailbox_post_all(box, letter);
}

struct letter *mailbox_take(struct mailbox *box)
{
    // The descriptor first: a letter posted in between makes it readable again, and costs one empty
    // take.
    uint64_t count;
    (void)!read(box->fd, &count, sizeof count);
    pthread_mutex_lock(&box->lock);
    struct letter *first = box->first;
    box->first = NULL;
    box->last = &box->first;
    pthread_mutex_unlock(&box->lock);
    return first;
}
