/*
 * fdatasync - what one sync of the disk costs
 *
 * Overwrites and syncs one page of a file that is there already, as a write-ahead log does.
 *
 *     bench-fdatasync --file PATH [--count N]
 *     {"count": 500, "p50_us": 230, "p99_us": 900, "max_us": 2000}
 */
#include <fcntl.h>
#include <unistd.h>

#include "bench.h"

#define PAGE 4096
#define PAGES 1024

int main(int argc, char **argv)
{
    const char *path = option_text(argc, argv, "file", "fdatasync.tmp");
    int64_t count = option_int(argc, argv, "count", 500);
    char page[PAGE];
    memset(page, 'p', sizeof page);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        give_up(path);
    for (int i = 0; i < PAGES; i++)
        if (pwrite(fd, page, PAGE, (off_t)i * PAGE) != PAGE)
            give_up("pwrite");
    if (fsync(fd) != 0)
        give_up("fsync");

    struct samples samples = {0};
    for (int64_t i = 0; i < count; i++) {
        if (pwrite(fd, page, PAGE, (off_t)(i % PAGES) * PAGE) != PAGE)
            give_up("pwrite");
        int64_t start = now_us();
        if (fdatasync(fd) != 0)
            give_up("fdatasync");
        samples_add(&samples, now_us() - start);
    }
    samples_sort(&samples);
    printf("{\"count\": %zu, \"p50_us\": %lld, \"p99_us\": %lld, \"max_us\": %lld}\n",
           samples.count, (long long)samples_at(&samples, 0.5),
           (long long)samples_at(&samples, 0.99), (long long)samples_at(&samples, 1));
    close(fd);
    unlink(path);
    free(samples.us);
    return EXIT_SUCCESS;
}
