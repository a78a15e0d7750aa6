// Cuts the power of the store at many points, and makes each call to its disk fail: see
// docs/internals/power-cuts.md.
//
//     power points [POINTS [SEED [JOBS]]]
//     power replay SEED POINT
//     power faults [EVERY]
//     power tricks
//
// The last line is "N passed, N failed".
#include "power.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "memory.h"
#include "vfs.h"

#define FOLDER "/tmp/punctual-power-XXXXXX"

static char folder[sizeof FOLDER], path[sizeof FOLDER + 10];
static pid_t owner;

static void leave(void)
{
    char lock[sizeof path + 10];
    if (owner != getpid())
        return;
    snprintf(lock, sizeof lock, "%s.lock", path);
    unlink(lock);
    unlink(path);
    rmdir(folder);
}

const char *power_path(void)
{
    if (owner == getpid())
        return path;
    strcpy(folder, FOLDER);
    if (!mkdtemp(folder))
        abort();
    snprintf(path, sizeof path, "%s/store.db", folder);
    owner = getpid();
    atexit(leave);
    return path;
}

static int64_t number(int argc, char **argv, int at, int64_t otherwise)
{
    return at < argc ? strtoll(argv[at], NULL, 10) : otherwise;
}

int main(int argc, char **argv)
{
    const char *part = argc > 1 ? argv[1] : "";
    struct score score = {0}, more = {0};
    memory_register();
    vfs_register();
    if (strcmp(part, "points") == 0)
        score = points_run(number(argc, argv, 2, 20000), (uint64_t)number(argc, argv, 3, 1),
                           (int)number(argc, argv, 4, sysconf(_SC_NPROCESSORS_ONLN)));
    else if (strcmp(part, "replay") == 0 && argc == 4)
        score = points_replay((uint64_t)number(argc, argv, 2, 0), number(argc, argv, 3, 0));
    else if (strcmp(part, "faults") == 0) {
        score = faults_run(number(argc, argv, 2, 1));
        more = readers_run();
    } else if (strcmp(part, "tricks") == 0)
        score = tricks_run();
    else
        fputs("power points [POINTS [SEED [JOBS]]] | replay SEED POINT | faults [EVERY] | tricks\n",
              stderr);
    score.passed += more.passed;
    score.failed += more.failed;
    printf("%d passed, %d failed\n", score.passed, score.failed);
    return score.failed || !score.passed ? EXIT_FAILURE : EXIT_SUCCESS;
}
