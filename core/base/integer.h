/* SPDX-License-Identifier: Apache-2.0
 * Integer arithmetic on sizes and counts, all of them non-negative.  Not public. */
#ifndef LS_CORE_BASE_INTEGER_H
#define LS_CORE_BASE_INTEGER_H

#include <stddef.h>
#include <stdint.h>

static inline int64_t ls__min(int64_t x, int64_t y) { return x < y ? x : y; }
static inline int64_t ls__max(int64_t x, int64_t y) { return x > y ? x : y; }

/* x / y, rounded up. */
static inline int64_t ls__ceil_div(int64_t x, int64_t y) { return (x + y - 1) / y; }

/* The lowest multiple of `unit` that is at least x. */
static inline int64_t ls__round_up(int64_t x, int64_t unit) { return ls__ceil_div(x, unit) * unit; }
static inline size_t  ls__round_up_bytes(size_t x, size_t unit) { return (x + unit - 1) / unit * unit; }

#endif
