/* SPDX-License-Identifier: Apache-2.0
 * Models by name: functions from an input tensor to logits.  Part of core/core.h. */
#ifndef LS_CORE_MODELS_MODELS_H
#define LS_CORE_MODELS_MODELS_H

/* A perceptron: hidden linear + relu layers of `hidden` units each, then `classes` logits. */
typedef struct ls_mlp_args {
    ls_graph  *g;
    ls_tensor *x;       /* B x any shape, flattened */
    int64_t    classes; /* 0: 10  */
    int64_t    hidden;  /* 0: 256 */
    int        layers;  /* hidden layers; 0: 2 */
} ls_mlp_args;
#define ls_mlp(...) ls__mlp((ls_mlp_args){__VA_ARGS__})
ls_tensor *ls__mlp(ls_mlp_args args);

#endif
