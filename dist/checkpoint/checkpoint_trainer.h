/* SPDX-License-Identifier: Apache-2.0
 *
 * Checkpoints of a trainer.  Not public; the public functions are in dist/dist.h.
 */
#ifndef LS_DIST_CHECKPOINT_CHECKPOINT_TRAINER_H
#define LS_DIST_CHECKPOINT_CHECKPOINT_TRAINER_H

#include "dist/dist.h"

/* Returns the bytes that this rank copies when a checkpoint is written by `writers` ranks (0: the default number). */
size_t ls__checkpoint_snapshot_bytes(ls_trainer *t, int writers);

#endif
