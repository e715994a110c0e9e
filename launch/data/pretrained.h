/* SPDX-License-Identifier: Apache-2.0
 * Tokenizers in folders of pretrained models as Hugging Face transformers writes them.  ls_pretrained_read and
 * ls_pretrained_load of dist/dist.h read config.json and the parameters. */
#ifndef LS_LAUNCH_DATA_PRETRAINED_H
#define LS_LAUNCH_DATA_PRETRAINED_H

#include "datasets/datasets.h"

/* Loads the tokenizer in the folder.  LS_ERR_DATA: the folder has no tokenizer, the tokenizer has more tokens than the
 * model's vocabulary, or fewer than 7/8 of it.  A smaller tokenizer is valid because models may round their vocabulary
 * up. */
ls_status ls_pretrained_tokenizer(ls_tokenizer **t, const char *folder, int vocabulary);

/* Checks that the folder's tokenizer, if it has one, is the one with which the dataset was imported, because another
 * tokenizer gives the token ids another meaning. */
ls_status ls_pretrained_check_tokenizer(const char *folder, const ls_dataset_info *data);

#endif
