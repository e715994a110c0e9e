/* SPDX-License-Identifier: Apache-2.0
 *
 * Measures which bucket size is good between hosts.  Not public.
 *
 * Small buckets are complete early and leave little communication for the end of the step, but each one costs a round
 * of messages.  Before the first step a few sums of growing size are timed.  The result is the smallest size that
 * reaches 90 % of the best rate, but at least 1/8 of the gradient or 2 MiB, whichever is less.  No bit depends on it.
 */
#ifndef LS_DIST_ALLREDUCE_BUCKET_AUTOTUNE_H
#define LS_DIST_ALLREDUCE_BUCKET_AUTOTUNE_H

#include "core/base/arena.h"
#include "dist/comm/comm.h"

/* True when not all ranks are on one host.  Simulated ranks (dist/comm/costmodel.h) always have links. */
bool ls__comm_has_links(const ls_comm *comm);

/* Measures the bucket size for a gradient of `gradient_bytes`. *seconds: measured time of one sum of *bucket_bytes, the
 * same on all ranks; 0 on one host, where the default of 4 MiB is not measured.  Collective. */
ls_status ls__bucket_autotune(ls_comm *comm, ls_shared_memory_mode mode, int64_t gradient_bytes, ls_arena *arena,
                              int64_t *bucket_bytes, double *seconds);

#endif
