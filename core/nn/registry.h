/* SPDX-License-Identifier: Apache-2.0
 * Layers and models as tables, for whoever builds them by name (a recipe).  Not public. */
#ifndef LS_CORE_NN_REGISTRY_H
#define LS_CORE_NN_REGISTRY_H

#include "core/graph/graph.h"

/* A layer that a recipe can name.  `args` is its args struct, which starts with {graph, name, x}. */
typedef struct ls_layer {
    const char     *name;
    size_t          args_bytes;
    const ls_field *fields; /* ended by one without a name */
    ls_tensor *(*build)(const void *args, ls_where where);
} ls_layer;
extern const ls_layer ls__layer_table[]; /* ended by one without a name */

extern const char *const ls__encodings[]; /* the names of ls_encoding, ended by NULL */

/* What every layer's args struct starts with. */
typedef struct ls_layer_head {
    ls_graph   *g;
    const char *name;
    ls_tensor  *x;
} ls_layer_head;

/* y = x w^T + b with the rows [first, first + rows) of w and b (rows 0: all), for layers whose weights are stored as
 * one. */
ls_tensor *ls__linear_rows(ls_tensor *x, ls_tensor *w, ls_tensor *b, int64_t first, int64_t rows, ls_where where);
/* Attention as its separate ops, of queries, keys and values as they are: B x T x E and B x S x E.  A tensor
 * l->name.weights has the weights. */
ls_tensor *ls__textbook_attention(const ls_multihead_attention_layer *l, ls_tensor *q, ls_tensor *k, ls_tensor *v,
                                  ls_where where);

/* A model that a recipe can name: its args struct starts with ls_model_head, or with ls_language_head. */
typedef struct ls_model_entry {
    const char     *name, *text;
    size_t          args_bytes;
    const ls_field *fields;
    ls_tensor *(*build)(const void *args);
    bool language; /* of text: tokens in, and the loss comes out when there is a target */
} ls_model_entry;
extern const ls_model_entry ls__model_table[]; /* ended by one without a name */

/* Gives logits, B x classes. */
typedef struct ls_model_head {
    ls_graph  *g;
    ls_tensor *x;
    int64_t    classes;
} ls_model_head;

/* Gives logits, B x T x classes; or with a target the loss, one number per sample. */
typedef struct ls_language_head {
    ls_graph  *g;
    ls_tensor *x;        /* tokens, B x T of int32                                                                */
    int64_t    classes;  /* the vocabulary                                                                        */
    ls_tensor *target;   /* the tokens that follow, B x T of int32; or NULL                                       */
    ls_tensor *start;    /* the place of the first token of each sample, B of int32; NULL: 0                      */
    bool       cached;   /* generation: keys and values of earlier calls are kept in states, and attended to      */
    bool       textbook; /* attention op by op: its weights are the tensors *.weights                             */
} ls_language_head;

#endif
