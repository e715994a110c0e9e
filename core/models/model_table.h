/* SPDX-License-Identifier: Apache-2.0
 * The models by name, for recipes.  Not public. */
#ifndef LS_CORE_MODELS_MODEL_TABLE_H
#define LS_CORE_MODELS_MODEL_TABLE_H

#include "core/graph/graph.h"

/* The arguments with which a model's struct begins, and what it computes. */
typedef enum ls_model_kind {
    LS_MODEL_OF_SAMPLES,  /* ls_model_head: B x ... to B x classes */
    LS_LANGUAGE_MODEL,    /* ls_language_head: tokens to logits of the next ones, or with a target to the loss */
    LS_TRANSLATION_MODEL, /* ls_translation_inputs: likewise, with a source */
    LS_TEXT_ENCODER       /* ls_encoder_args: tokens to rows, for vectors of texts */
} ls_model_kind;

/* A model that a recipe can name.  `args` is its struct from models.h. */
typedef struct ls_model_entry {
    const char     *name;
    const char     *text; /* one line for `lockstep recipes` */
    size_t          args_bytes;
    const ls_field *fields; /* options that recipes can set, ended by a field without a name */
    ls_tensor *(*build)(const void *args);
    ls_model_kind kind;
    bool          carries;  /* a language model that carries a state from step to step, in training as well */
    const void   *defaults; /* (optional) args before a recipe sets its options; NULL: zeros */
} ls_model_entry;
extern const ls_model_entry ls__model_table[]; /* ended by a model without a name */

extern const char *const ls__alexnet_variants[]; /* the texts of ls_alexnet_variant, ended by NULL */
extern const char *const ls__rnn_cells[];        /* the texts of ls_rnn_cell, ended by NULL */
extern const char *const ls__attention_scores[]; /* the texts of ls_attention_score, ended by NULL */

/* The first members of a model's struct.  The model returns logits, B x classes. */
typedef struct ls_model_head {
    ls_graph  *g;
    ls_tensor *x;
    int64_t    classes;
} ls_model_head;

/* The first members of a language model's struct.  The model returns logits, B x T x classes; with a target the loss,
 * one number per sample. */
typedef struct ls_language_head {
    ls_graph  *g;
    ls_tensor *x;        /* tokens, B x T of int32 */
    int64_t    classes;  /* size of the vocabulary */
    ls_tensor *target;   /* next tokens, B x T of int32; NULL: none */
    ls_tensor *start;    /* position of the first token of each sample, B of int32; NULL: 0 */
    int64_t    cached;   /* generation: positions of the states that hold keys and values of earlier runs; 0: none */
    bool       textbook; /* attention as separate ops: its weights are the tensors *.weights */
} ls_language_head;

/* Number of types of texts of an encoder with these arguments; 0: it has none. */
int64_t ls__encoder_types(const ls_encoder_args *args);

#endif
