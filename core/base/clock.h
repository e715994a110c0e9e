/* SPDX-License-Identifier: Apache-2.0
 *
 * The monotonic clock of this host.  It counts from an arbitrary point, does not jump when the date is set, and does
 * not advance while the machine is suspended.  Not public.
 */
#ifndef LS_CORE_BASE_CLOCK_H
#define LS_CORE_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

enum { LS_NS_PER_S = 1000000000, LS_NS_PER_MS = 1000000 };

/* Nanoseconds. */
static inline int64_t ls__clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * LS_NS_PER_S + t.tv_nsec;
}

/* Seconds. */
static inline double ls__clock_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* A time of ls__clock_ns as an absolute time for pthread_cond_clockwait and clock_nanosleep with CLOCK_MONOTONIC. */
static inline struct timespec ls__clock_timespec(int64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / LS_NS_PER_S), .tv_nsec = (long)(ns % LS_NS_PER_S)};
}

#endif
