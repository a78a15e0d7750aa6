#include "strike.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct plan *plan;

// By system calls alone: the functions of their names are stood in for.
__attribute__((constructor)) static void find_plan(void)
{
    const char *path = getenv("CALLS_CONTROL");
    if (!path || strcmp(program_invocation_short_name, "punctual") != 0)
        return;
    long fd = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
    if (fd < 0)
        return;
    long at = syscall(SYS_mmap, NULL, sizeof *plan, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0L);
    syscall(SYS_close, fd);
    if (at > 0 || at < -4095)
        plan = (struct plan *)at;
}

static bool is_meant(const char *name, size_t size)
{
    char thread[16] = "";
    if (strcmp(plan->call, name) != 0 || (int64_t)size < plan->least)
        return false;
    if (!*plan->who)
        return true;
    syscall(SYS_prctl, PR_GET_NAME, thread, 0, 0, 0);
    return strncmp(thread, plan->who, strlen(plan->who)) == 0;
}

bool strike(const char *name, size_t size, int *ret_error)
{
    int before = errno;
    bool strikes = false;
    if (plan && atomic_load(&plan->armed) && is_meant(name, size)) {
        int64_t nth = atomic_fetch_add(&plan->seen, 1) + 1;
        strikes = plan->forever ? nth >= plan->nth : nth == plan->nth;
    }
    errno = before;
    if (strikes) {
        atomic_fetch_add(&plan->struck, 1);
        *ret_error = (int)plan->error;
    }
    return strikes;
}
