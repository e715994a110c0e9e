/* SPDX-License-Identifier: Apache-2.0
 *
 * Saving the state of all ranks.  Not public; ls_saver of dist/dist.h is the saver of a trainer.
 */
#ifndef LS_DIST_CHECKPOINT_CHECKPOINT_SAVER_H
#define LS_DIST_CHECKPOINT_CHECKPOINT_SAVER_H

#include "dist/checkpoint/checkpoint_state.h"

/* Creates a saver of any state.  With options->background it copies into `snapshot`, or into its own memory when
 * `snapshot` is NULL or too small.  Collective; comm NULL: one rank. */
ls_status ls__saver_new(ls_saver **s, ls_comm *comm, const ls_state *state, const ls_block *snapshot,
                        const ls_saver_options *options);

/* Saves one checkpoint and waits until it is published.  Collective; comm NULL: one rank. */
ls_status ls__checkpoint_save(ls_comm *comm, const ls_state *state, const char *folder, const ls_progress *progress,
                              const ls_checkpoint_retention *keep);

#endif
