/* SPDX-License-Identifier: Apache-2.0
 *
 * The dataset card, data.json: a run directory's description of its dataset, with which the trained model is used
 * without the dataset.  It holds shape, classes and normalisation, or vocabulary and tokenizer.  Functions are not
 * collective. */
#ifndef LS_LAUNCH_DATA_DATASET_CARD_H
#define LS_LAUNCH_DATA_DATASET_CARD_H

#include "core/base/arena.h"
#include "launch/tasks/task.h"

/* The key under which the metadata of a safetensors file hold the card of the dataset that the model was trained on. */
#define LS_DATASET_METADATA "lockstep_dataset"

/* Returns a card as JSON, in `memory`.  `name` stands for the card in messages. */
ls_status ls_dataset_card_text(const char *name, const ls_dataset_card *card, ls_arena *memory, const char **text);
/* The reverse; strings are allocated in `memory`.  card->scaler belongs to the caller. */
ls_status ls_dataset_card_parse(const char *name, const char *text, ls_dataset_card *card, ls_arena *memory);

/* Writes a card as JSON; the file appears complete or not at all. */
ls_status ls_dataset_card_write(const char *path, const ls_dataset_card *card, ls_arena *memory);
/* Reads a card; strings are allocated in `memory`.  card->scaler belongs to the caller. */
ls_status ls_dataset_card_read(const char *path, ls_dataset_card *card, ls_arena *memory);
/* Checks that a dataset matches the card in the folder of a run that continues.  LS_ERR_USAGE: the dataset holds other
 * data.  A folder without a card passes. */
ls_status ls_dataset_card_check(const char *folder, const ls_dataset_info *info, ls_arena *memory);

#endif
