/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading a checkpoint into the state of all ranks.  Not public.
 */
#ifndef LS_DIST_CHECKPOINT_CHECKPOINT_LOAD_H
#define LS_DIST_CHECKPOINT_CHECKPOINT_LOAD_H

#include "dist/checkpoint/checkpoint_state.h"

/* Reads the newest intact checkpoint of a run's folder; *found is false when there is none.  Collective; comm NULL: one
 * rank. */
ls_status ls__checkpoint_load(ls_comm *comm, const ls_state *state, const char *folder, ls_progress *progress,
                              bool *found);

/* Reads one checkpoint by its own folder.  Collective; comm NULL: one rank. */
ls_status ls__checkpoint_read(ls_comm *comm, const ls_state *state, const char *checkpoint, ls_progress *progress);

#endif
