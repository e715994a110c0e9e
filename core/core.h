/* SPDX-License-Identifier: Apache-2.0
 *
 * Lockstep's core: tensors, graphs, ops, layers, models, optimizers.  Public.
 *
 *     ls_tensor *lenet5(ls_graph *g, ls_tensor *x)       x: B x 1 x 28 x 28  ->  logits: B x 10
 *     {
 *         x = ls_max_pool2d(ls_relu(ls_conv2d(g, "conv1", x, 6, .kernel = 5, .padding = 2)), .kernel = 2);
 *         x = ls_max_pool2d(ls_relu(ls_conv2d(g, "conv2", x, 16, .kernel = 5)), .kernel = 2);
 *         x = ls_relu(ls_linear(g, "fc1", ls_flatten(x), 120));
 *         x = ls_relu(ls_linear(g, "fc2", x, 84));
 *         return ls_linear(g, "fc3", x, 10);
 *     }
 *
 * Dims alphabet: B batch, T time, C channels, H W height and width, K kernel, V vocabulary; O output channels.
 *
 * Two rules shape everything below.
 *  - The batch is the leading dim of every tensor that is not a parameter, and it is implicit: it is not given, it is
 *    known only when a step runs, and it may be different from step to step.
 *  - No op looks across samples.  What is computed for a sample depends on that sample alone; sums over the batch (the
 *    gradients of parameters, the loss) are made by the framework, as trees over shards, so that their bits do not
 *    depend on ranks or threads.
 */
#ifndef LS_CORE_CORE_H
#define LS_CORE_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

LS_PUBLIC_BEGIN

#define LS_VERSION "0.1.0"

typedef struct ls_graph  ls_graph;
typedef struct ls_node   ls_node;
typedef struct ls_tensor ls_tensor;

/* Where in the user's source a tensor was made. */
typedef struct ls_where {
    const char *file;
    int         line;
} ls_where;
#define LS_HERE ((ls_where){__FILE__, __LINE__})

/* ---- types and devices ------------------------------------------------------------------------------------------- */

#define LS_DTYPE_LIST(X) X(F32, "float32", 4) X(I32, "int32", 4) X(U8, "uint8", 1)
typedef enum ls_dtype {
#define X(name, text, bytes) LS_##name,
    LS_DTYPE_LIST(X)
#undef X
} ls_dtype;

#define LS_DEVICE_LIST(X) X(CPU, "cpu") X(CUDA, "cuda")
typedef enum ls_device {
#define X(name, text) LS_##name,
    LS_DEVICE_LIST(X)
#undef X
        LS_DEVICES
} ls_device;

enum { LS_MAX_DIMS = 6 };

/* Some dims: LS_DIMS(6, -1) is {2, {6, -1}}. */
typedef struct ls_dims {
    int     rank;
    int64_t dim[LS_MAX_DIMS];
} ls_dims;

/* ---- graphs ------------------------------------------------------------------------------------------------------ */

/* An empty graph.  Building keeps the first error and goes on quietly: tensors made after it are NULL, and every
 * function takes NULL tensors.  Ask once, at the end, with ls_graph_status; ls_trainer_new and ls_model_new do. */
ls_graph *ls_graph_new(void);
void      ls_graph_free(ls_graph *g);
ls_status ls_graph_status(const ls_graph *g);

/* An input of B samples of `dims` each (none: a scalar per sample). */
typedef struct ls_input_args {
    ls_graph   *g;
    const char *name;
    ls_dtype    type;
    int64_t     dim0, dim1, dim2, dim3, dim4, dim5; /* the first 0 ends them */
} ls_input_args;
#define ls_input(...) ls__input((ls_input_args){__VA_ARGS__})

/* A trainable parameter of its own, for models that need more than layers: shape `dims`, filled by `init`.  A second
 * call with the same name gives the same parameter (the shapes must agree): that is how weights are tied. */
#define ls_param(g, name, init, ...) ls__param((g), (name), (init), LS_HERE, LS_DIMS(__VA_ARGS__))

/* What a model keeps from one run to the next (a cache of keys and values, a hidden state carried over): one array of
 * `dims` (none: a scalar) per sample of the largest batch, zeroed when the model is made and by ls_model_reset.  Sample
 * i of a run has row i.  It has no gradient, and only ops that say so write it, in place: ls_state(g, "cache", LS_F32,
 * 1024, 768) is B x 1024 x 768. */
#define ls_state(...) ls__state((ls_input_args){__VA_ARGS__}, LS_HERE)

/* Names start with this until ls_scope_end: ls_scope(g, "block0") makes "fc1" the parameter "block0.fc1.weight". */
void ls_scope(ls_graph *g, const char *name);
void ls_scope_end(ls_graph *g);

/* Parameters whose names match the glob get no gradient and no optimizer state; how many matched. */
int ls_freeze(ls_graph *g, const char *glob);

/* ---- what a tensor is -------------------------------------------------------------------------------------------- */

const char *ls_tensor_name(const ls_tensor *x);
ls_dtype    ls_tensor_type(const ls_tensor *x);
int         ls_tensor_dims(const ls_tensor *x, int64_t dims[LS_MAX_DIMS]); /* without the batch; how many */
bool        ls_tensor_batched(const ls_tensor *x);                         /* false: a parameter                */

/* ---- initialisers -------------------------------------------------------------------------------------------------
 * Drawn from Philox keyed by the seed and the parameter's name: the values do not depend on anything else.  fan_in and
 * fan_out follow PyTorch's torch.nn.init (dim 1 and dim 0, times the receptive field). */
#define LS_INIT_LIST(X)                                                                                                \
    X(ZEROS, "zeros")                                                                                                  \
    X(CONSTANT, "constant")                                                                                            \
    X(UNIFORM, "uniform")                                                                                              \
    X(NORMAL, "normal") X(TRUNC_NORMAL, "trunc_normal") X(XAVIER_UNIFORM, "xavier_uniform")                            \
        X(XAVIER_NORMAL, "xavier_normal") X(KAIMING_UNIFORM, "kaiming_uniform") X(KAIMING_NORMAL, "kaiming_normal")
typedef enum ls_init_kind {
    LS_INIT_DEFAULT,
#define X(name, text) LS_INIT_##name,
    LS_INIT_LIST(X)
#undef X
} ls_init_kind;

typedef struct ls_init {
    ls_init_kind kind;
    float        mean;      /* normal, trunc_normal                                    */
    float        std;       /* normal, trunc_normal; 0: 1                              */
    float        low, high; /* uniform; trunc_normal: the bounds, 0 0: mean +- 2 std   */
    float        value;     /* constant                                                */
    float        gain;      /* xavier, kaiming; 0: 1 for xavier, sqrt(2) for kaiming   */
    bool         fan_out;   /* kaiming: scale by fan_out instead of fan_in             */
    int64_t      fan;       /* uniform: bounds +- 1/sqrt(fan), as PyTorch's biases; 0: low, high */
} ls_init;

/* ---- ops ------------------------------------------------------------------------------------------------------------
 * Inputs first, in order; then attributes by name: ls_dropout(x, .p = 0.1f).  Attributes not given are the defaults. */

typedef struct ls_unary_args {
    ls_tensor *x;
} ls_unary_args;
typedef struct ls_binary_args {
    ls_tensor *x, *y;
} ls_binary_args;

#include "core/ops/op_prototypes.h"

/* ---- layers: own parameters, compose ops ------------------------------------------------------------------------- */

#include "core/nn/layers.h"

/* ---- models ------------------------------------------------------------------------------------------------------ */

#include "core/models/models.h"

/* ---- optimizers and schedules ------------------------------------------------------------------------------------ */

#include "core/optim/optim.h"

/* ---- batches ------------------------------------------------------------------------------------------------------
 * What a loader hands to a trainer or a model: one array per input of the graph, `rows` samples each. */
enum { LS_MAX_INPUTS = 8 };

typedef struct ls_batch {
    int         inputs;
    const char *name[LS_MAX_INPUTS]; /* of the graph's input                                                       */
    const void *data[LS_MAX_INPUTS]; /* rows x dims, of the input's type, densely packed                           */
    int64_t     rows;                /* samples of this rank in this call                                          */
    int64_t     first;               /* index of the first of them within the global batch                         */
    int64_t     global_rows;         /* samples of the global batch, all ranks together                            */
} ls_batch;

/* The samples of a global batch that a rank gets.  The batch is cut into `shards` pieces, shard s being the samples
 * [s rows / shards, (s + 1) rows / shards); rank r of n owns the shards [r shards / n, (r + 1) shards / n). */
typedef struct ls_batch_partition {
    int     first_shard, shards; /* shards owned: [first_shard, first_shard + shards)        */
    int64_t first, rows;         /* samples owned: [first, first + rows) of the global batch */
} ls_batch_partition;
ls_batch_partition ls_batch_partition_of(int64_t global_rows, int total_shards, int ranks, int rank);

/* First sample of shard s. */
static inline int64_t ls_shard_first(int64_t global_rows, int total_shards, int s)
{
    return global_rows * s / total_shards;
}

/* ---- inference ----------------------------------------------------------------------------------------------------
 * A graph compiled without a loss.  Several models may run over the same parameters. */
typedef struct ls_params ls_params;
typedef struct ls_model  ls_model;

/* The parameters of a graph: one block, filled by the initialisers with `seed`. */
ls_status ls_params_new(ls_params **params, ls_graph *g, uint64_t seed);
void      ls_params_free(ls_params *params);

/* Number of parameters (arrays) and of scalars in them. */
int     ls_params_count(const ls_params *params);
int64_t ls_params_total(const ls_params *params);

/* Parameter i in the order of creation: its name, dims (how many: *rank) and values. */
float *ls_params_get(ls_params *params, int i, const char **name, int *rank, const int64_t **dims);
int    ls_params_find(const ls_params *params, const char *name); /* -1: none */

/* The digest: one number for all parameters, by name order of creation; equal bits, equal digest. */
uint64_t ls_params_digest(const ls_params *params);

/* Computes `outputs` (n of them) from the graph's inputs, for up to `max_rows` samples a call.  The parameters may be
 * those of another graph, a trainer's for example, which has each parameter of this one, by name and shape; they are
 * not copied. */
ls_status ls_model_new(ls_model **m, ls_graph *g, ls_params *params, ls_tensor **outputs, int n, int64_t max_rows);
ls_status ls_model_run(ls_model *m, const ls_batch *batch);
/* Values of output i of the last run: rows x dims. */
const float *ls_model_output(const ls_model *m, int i);
/* From now on `m` keeps its states where `with` does, which must have the same ones and outlive it: one cache, read and
 * written by a model for many tokens a call and one for a single token. */
ls_status ls_model_share_state(ls_model *m, const ls_model *with);
/* Zeroes what the model keeps from run to run (ls_state). */
void ls_model_reset(ls_model *m);
void ls_model_free(ls_model *m);

/* ---- inside the macros ------------------------------------------------------------------------------------------- */

/* LS_DIMS(6, 1, 5, 5) is {4, {6, 1, 5, 5}}. */
#define LS_DIMS(...) ((ls_dims){(int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), {__VA_ARGS__}})

ls_tensor *ls__input(ls_input_args args);
ls_tensor *ls__state(ls_input_args args, ls_where where);
ls_tensor *ls__param(ls_graph *g, const char *name, ls_init init, ls_where where, ls_dims dims);

/* Adds op `op` with `args` (its args struct: the input tensors, then the attributes) and gives its first output. */
ls_tensor *ls__apply(int op, const void *args, ls_where where);
#define LS_APPLY(op, args_type, ...) ls__apply(LS_OP_##op, &(args_type){__VA_ARGS__}, LS_HERE)

LS_PUBLIC_END
#endif
