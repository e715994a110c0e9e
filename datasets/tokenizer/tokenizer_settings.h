/* SPDX-License-Identifier: Apache-2.0
 * Settings of a tokenizer.json beside its vocabulary.  Internal. */
#ifndef LS_DATASETS_TOKENIZER_TOKENIZER_SETTINGS_H
#define LS_DATASETS_TOKENIZER_TOKENIZER_SETTINGS_H

#include "datasets/tokenizer/tokenizer_vocab.h"

/* Reads the settings into l.  A setting that would change the tokens and is not supported is LS_ERR_DATA. */
ls_status ls__settings_read(ls_vocab_file *l, const json_t *root);
/* Reads the post-processor: the tokens that stand before, between and after texts.  l has its tokens. */
ls_status ls__settings_template(ls_vocab_file *l, const json_t *root);
/* Reads which tokens have which role from tokenizer_config.json.  l has its tokens. */
ls_status ls__settings_roles(ls_vocab_file *l, const json_t *config);

#endif
