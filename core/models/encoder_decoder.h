/* SPDX-License-Identifier: Apache-2.0
 * Parts that models of translation share.  Not public. */
#ifndef LS_CORE_MODELS_ENCODER_DECODER_H
#define LS_CORE_MODELS_ENCODER_DECODER_H

#include "core/models/model_table.h"

/* The token that no loss counts. */
enum { LS_IGNORED_TOKEN = -1 };

/* Checks that the inputs which the part needs are there; LS_ERR_USAGE in the graph and false otherwise. */
bool ls__translation_check(const ls_translation_inputs *in, const char *model);

/* The embedding of source or target, V x width: "embedding.weight" if they share it. */
ls_tensor *ls__translation_embedding(const ls_translation_inputs *in, bool source, int64_t width, ls_init init);

/* Hands a value of the encoder over to the decoder, or declares the input that receives it, B x S x width.  Returns
 * what the decoder reads; of the encoder alone NULL. */
ls_tensor *ls__translation_memory(const ls_translation_inputs *in, ls_tensor *value, int64_t width);

/* Hands the first value of a carry over, NULL for zeros, or declares the input that receives it, B x width.  Returns
 * what the decoder begins with: of the whole model `value`, of the encoder alone NULL. */
ls_tensor *ls__translation_carry(const ls_translation_inputs *in, ls_tensor *value, int64_t width);

/* The loss of the decoder's outputs, B x T x width, or their logits. */
ls_tensor *ls__translation_output(const ls_translation_inputs *in, ls_tensor *x, ls_tensor *w);

#endif
