/* SPDX-License-Identifier: Apache-2.0
 *
 * data.json, the dataset card: what a run directory records of its dataset (shape, classes, normalisation; of text
 * vocabulary and tokenizer), so that the model can be used without the data.  Not collective. */
#ifndef LS_LAUNCH_DATA_DATASET_CARD_H
#define LS_LAUNCH_DATA_DATASET_CARD_H

#include "core/base/arena.h"
#include "launch/tasks/task.h"

ls_status ls_dataset_card_write(const char *path, const ls_dataset_card *card);
/* Reads a card; strings are allocated in `memory`.  card->scaler belongs to the caller. */
ls_status ls_dataset_card_read(const char *path, ls_dataset_card *card, ls_arena *memory);
/* Checks that a dataset fits the card in `folder`: LS_ERR_USAGE when it holds other data.  A folder without a card
 * passes. */
ls_status ls_dataset_card_check(const char *folder, const ls_dataset_info *info, ls_arena *memory);

#endif
