/* A slower disk: every fsync and fdatasync takes SLOW_SYNC_US microseconds longer. For LD_PRELOAD.
 *
 * The sleep comes after the real sync and on its thread, as a disk's would. It ends at most a microsecond late by
 * the kernel's own slack, which is 50 us unless it is asked for less. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

static long added_us;
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);

__attribute__((constructor)) static void prepare(void) {
    const char *told = getenv("SLOW_SYNC_US");
    added_us = told ? atol(told) : 0;
    *(void **)&real_fsync = dlsym(RTLD_NEXT, "fsync");
    *(void **)&real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
}

static int slowly(int result) {
    int error = errno;
    struct timespec left = {added_us / 1000000, added_us % 1000000 * 1000};
    prctl(PR_SET_TIMERSLACK, 1000UL, 0UL, 0UL, 0UL);
    while (added_us > 0 && nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
    errno = error;
    return result;
}

int fsync(int fd) { return slowly(real_fsync(fd)); }

int fdatasync(int fd) { return slowly(real_fdatasync(fd)); }
