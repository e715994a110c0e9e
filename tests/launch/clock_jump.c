/* SPDX-License-Identifier: Apache-2.0
 *
 * A wall clock that jumps, for LD_PRELOAD: beginning CLOCK_JUMP_AFTER milliseconds (default 300) after the start of the
 * process, CLOCK_REALTIME is alternately one day ahead and one day behind, for 370 ms each.  Monotonic clocks are not
 * changed. */
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { DAY_S = 86400, PERIOD_MS = 370, AFTER_MS = 300 };

static long long milliseconds(void)
{
    struct timespec t;
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t);
    return (long long)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static long long began;

__attribute__((constructor)) static void begin(void)
{
    const char *asked = getenv("CLOCK_JUMP_AFTER");
    began             = milliseconds() + (asked ? atoi(asked) : AFTER_MS);
}

/* Current offset of the wall clock, seconds. */
static time_t offset(void)
{
    long long after = milliseconds() - began;
    if (!began || after < 0) return 0;
    return after / PERIOD_MS % 2 ? -DAY_S : DAY_S;
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
    int code = (int)syscall(SYS_clock_gettime, clock, t);
    if (code == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI))
        t->tv_sec += offset();
    return code;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone)
{
    int code = (int)syscall(SYS_gettimeofday, t, zone);
    if (code == 0) t->tv_sec += offset();
    return code;
}

time_t time(time_t *to)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    if (to) *to = t.tv_sec;
    return t.tv_sec;
}
