#include "dispatch/sweep.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

struct scan {
    pid_t *pids;
    size_t max, count;
    pid_t number; // the one being read; 0: between two
};

static void take_digit(struct scan *scan, char c)
{
    if (c >= '0' && c <= '9') {
        scan->number = scan->number * 10 + (c - '0');
    } else if (scan->number) {
        if (scan->count < scan->max)
            scan->pids[scan->count++] = scan->number;
        scan->number = 0;
    }
}

// proc(5): /proc/pid/task/tid/children, numbers with a blank behind each. We have one thread. The
// list may lack some where others exit meanwhile: the caller asks again until it is empty.
bool children_list(pid_t *pids, size_t max, size_t *ret_count)
{
    struct scan scan = {.pids = pids, .max = max};
    char piece[1024];
    ssize_t got;
    int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    while ((got = read(fd, piece, sizeof piece)) > 0 || (got < 0 && errno == EINTR))
        for (ssize_t i = 0; i < got; i++)
            take_digit(&scan, piece[i]);
    take_digit(&scan, '\0');
    close(fd);
    *ret_count = scan.count;
    return got == 0;
}
