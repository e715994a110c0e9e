/* SPDX-License-Identifier: Apache-2.0
 *
 * Checkpoints of a trainer.  Not public; the public functions are in dist/dist.h.
 */
#ifndef LS_DIST_CHECKPOINT_CHECKPOINT_TRAINER_H
#define LS_DIST_CHECKPOINT_CHECKPOINT_TRAINER_H

#include "dist/dist.h"

/* Reserves memory of the trainer for the copy that this rank writes in the background when `writers` ranks (0: the
 * default number) write a checkpoint.  Not collective. */
ls_status ls__checkpoint_reserve(ls_trainer *t, int writers);

#endif
