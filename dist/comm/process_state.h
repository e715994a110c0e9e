/* SPDX-License-Identifier: Apache-2.0
 *
 * State and start time of a process of this host, from /proc.  The start time distinguishes a process from a later one
 * with the same number.  Not public. */
#ifndef LS_DIST_COMM_PROCESS_STATE_H
#define LS_DIST_COMM_PROCESS_STATE_H

#include <stdbool.h>
#include <stdint.h>

/* Reads the state letter of a process (R running, S sleeping, D waiting for a device, T stopped, t traced, Z zombie,
 * X dead) and its start time in clock ticks since boot.  Returns false when the process does not exist. */
bool ls__process_state(int process, char *state, int64_t *started);

/* Reads the state letter of the process that started at `started`.  Returns false when that process has ended. */
bool ls__process_runs(int process, int64_t started, char *state);

#endif
