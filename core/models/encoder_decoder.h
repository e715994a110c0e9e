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

/* Passes a value from encoder to decoder, B x S x width.  The whole model returns `value`, the encoder alone records it
 * and returns NULL, the decoder alone returns a new input of the graph. */
ls_tensor *ls__translation_memory(const ls_translation_inputs *in, ls_tensor *value, int64_t width);

/* Passes the first value of a carry from encoder to decoder, B x width; NULL: zeros.  The return value is that of
 * ls__translation_memory. */
ls_tensor *ls__translation_carry(const ls_translation_inputs *in, ls_tensor *value, int64_t width);

/* The loss of the decoder's outputs, B x T x width, or their logits. */
ls_tensor *ls__translation_output(const ls_translation_inputs *in, ls_tensor *x, ls_tensor *w);

#endif
