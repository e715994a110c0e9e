/* SPDX-License-Identifier: Apache-2.0
 * Tokenizers of folders that Hugging Face's transformers has written.  ls_pretrained_read and ls_pretrained_load of
 * dist/dist.h read their config.json and weights. */
#ifndef LS_LAUNCH_DATA_PRETRAINED_H
#define LS_LAUNCH_DATA_PRETRAINED_H

#include "datasets/datasets.h"

/* Loads the tokenizer in the folder.  LS_ERR_DATA when there is none, or when it has more tokens than the model's
 * vocabulary, or fewer by more than an eighth: models may round the size of their vocabulary up. */
ls_status ls_pretrained_tokenizer(ls_tokenizer **t, const char *folder, int vocabulary);

/* Checks that the tokenizer in the folder, if there is one, is the one of the data; else a token would have another
 * meaning. */
ls_status ls_pretrained_check_tokenizer(const char *folder, const ls_dataset_info *data);

#endif
