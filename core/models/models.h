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

/* LeNet-5 (LeCun 1998): two convolutions, three linear layers; 61,706 parameters on 1 x 28 x 28. */
typedef struct ls_lenet5_args {
    ls_graph  *g;
    ls_tensor *x;       /* B x C x H x W, at least 12 x 12 */
    int64_t    classes; /* 0: 10 */
} ls_lenet5_args;
#define ls_lenet5(...) ls__lenet5((ls_lenet5_args){__VA_ARGS__})
ls_tensor *ls__lenet5(ls_lenet5_args args);

#endif
