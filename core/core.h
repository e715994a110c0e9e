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
 * Two rules:
 *  - The batch is the leading dim of every tensor that is not a parameter, and it is implicit: it is not declared, is
 *    known only when a step runs, and may differ from step to step.
 *  - No op looks across samples: the result for a sample depends on that sample alone.  The framework computes sums
 * over
 *    the batch (the loss, gradients of parameters) as trees over shards, so that their bits do not depend on the number
 *    of ranks or threads.
 *
 * Arguments have defaults: a field that is not given is 0, and the comment of a field says what 0 stands for.  Where 0
 * stands for another value, 0 itself is invalid or has another spelling, which the comment gives.  An `eps` that is to
 * have no effect is FLT_MIN.
 *
 * The header compiles as C11 and as C++17.  In C++ the macros that build compound literals (ls_conv2d, ls_adamw, ...)
 * do not work; call the functions behind them (ls__conv2d) with a struct.
 */
#ifndef LS_CORE_CORE_H
#define LS_CORE_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/enum_text.h"
#include "core/base/status.h"

LS_PUBLIC_BEGIN

#define LS_VERSION "0.1.0"

typedef struct ls_graph  ls_graph;
typedef struct ls_node   ls_node;
typedef struct ls_tensor ls_tensor;
typedef struct ls_loop   ls_loop;

/* The place in the user's source at which a tensor was made. */
typedef struct ls_where {
    const char *file;
    int         line;
} ls_where;
#define LS_HERE ((ls_where){__FILE__, __LINE__})

/* ---- types and devices ------------------------------------------------------------------------------------------- */

#define LS_DTYPE_LIST(X) X(LS_F32, "float32", 4) X(LS_BF16, "bfloat16", 2) X(LS_I32, "int32", 4) X(LS_U8, "uint8", 1)
typedef enum ls_dtype { LS_ENUMERATORS(LS_DTYPE_LIST) } ls_dtype;

#define LS_DEVICE_LIST(X) X(LS_CPU, "cpu") X(LS_CUDA, "cuda")
typedef enum ls_device { LS_ENUMERATORS(LS_DEVICE_LIST) LS_DEVICES } ls_device;

enum { LS_MAX_DIMS = 6 };

/* A list of dims: LS_DIMS(6, -1) is {2, {6, -1}}. */
typedef struct ls_dims {
    int     rank;
    int64_t dim[LS_MAX_DIMS];
} ls_dims;

/* ---- graphs ------------------------------------------------------------------------------------------------------ */

/* Makes an empty graph; NULL: no memory.  A graph records the first error of building it.  Tensors made after the error
 * are NULL, and every function accepts NULL tensors, so that a model needs no checks.  ls_graph_status returns the
 * error; ls_trainer_new and ls_model_new return it as well. */
ls_graph *ls_graph_new(void);

/* Sets the type of matrix products and of the values between ops: LS_F32 (default) or LS_BF16.  Call before the first
 * op.  Parameters, their gradients, sums and losses stay float32.  In a bfloat16 graph an op that knows float32 alone
 * gets converted inputs. */
void ls_graph_precision(ls_graph *g, ls_dtype type);

/* Sets over how many samples batch norms compute statistics in training unless they say so: 0, the default: over the
 * global batch; N: over groups of N samples, which do not depend on ranks.  Call before the first op. */
void ls_graph_norm_over(ls_graph *g, int64_t samples);

void      ls_graph_free(ls_graph *g);
ls_status ls_graph_status(const ls_graph *g);

/* An input: B samples of dim0 x dim1 x ...; without dims, a scalar per sample. */
typedef struct ls_input_args {
    ls_graph   *g;
    const char *name;
    ls_dtype    type;
    int64_t     dim0, dim1, dim2, dim3, dim4, dim5; /* the first 0 ends the list */
} ls_input_args;
#define ls_input(...) ls__input((ls_input_args){__VA_ARGS__})

/* Adds a trainable parameter with the given dims, filled by `init`, for models that need more than layers.  A second
 * call with the same name and dims returns the same parameter, which ties weights. */
#define ls_param(g, name, init, ...) ls__param((g), (name), (init), LS_HERE, LS_DIMS(__VA_ARGS__))

/* Adds a state: an array that a model keeps from one run to the next (a cache of keys and values, a hidden state).
 * ls_state(g, "cache", LS_F32, 1024, 768) is B x 1024 x 768, for B samples of the largest batch; sample i of a run uses
 * row i.  States are zeroed when the model is made and by ls_model_reset.  They have no gradient.  Only ops with
 * `updates` write them, in place. */
#define ls_state(...) ls__state((ls_input_args){__VA_ARGS__}, LS_HERE)

/* Prefixes the names of parameters and states until ls_scope_end: in ls_scope(g, "block0") the weight of the layer
 * "fc1" is the parameter "block0.fc1.weight". */
void ls_scope(ls_graph *g, const char *name);
void ls_scope_end(ls_graph *g);

/* Freezes the parameters that match the glob: they get no gradient and no optimizer state.  If the running statistics
 * of a batch norm match, training uses them and does not renew them.  Returns the number of parameters. */
int ls_freeze(ls_graph *g, const char *glob);

/* ---- properties of a tensor -------------------------------------------------------------------------------------- */

const char *ls_tensor_name(const ls_tensor *x);
/* Result i of the op that computed x, its result 0: the last state of a recurrence.  NULL: there is none. */
ls_tensor *ls_output(ls_tensor *x, int i);
ls_dtype   ls_tensor_type(const ls_tensor *x);
/* Copies the dims, without the batch.  Returns their number. */
int  ls_tensor_dims(const ls_tensor *x, int64_t dims[LS_MAX_DIMS]);
bool ls_tensor_batched(const ls_tensor *x); /* false: a parameter */

/* ---- initialisers -------------------------------------------------------------------------------------------------
 * Values depend on the seed and the parameter's name only, which are the key of the random numbers (Philox).  fan_in
 * and fan_out follow PyTorch's torch.nn.init (dim 1 and dim 0, times the receptive field). */
#define LS_INIT_LIST(X)                                                                                                \
    X(LS_INIT_ZEROS, "zeros")                                                                                          \
    X(LS_INIT_CONSTANT, "constant")                                                                                    \
    X(LS_INIT_UNIFORM, "uniform")                                                                                      \
    X(LS_INIT_NORMAL, "normal")                                                                                        \
    X(LS_INIT_TRUNC_NORMAL, "trunc_normal")                                                                            \
    X(LS_INIT_XAVIER_UNIFORM, "xavier_uniform")                                                                        \
    X(LS_INIT_XAVIER_NORMAL, "xavier_normal")                                                                          \
    X(LS_INIT_KAIMING_UNIFORM, "kaiming_uniform")                                                                      \
    X(LS_INIT_KAIMING_NORMAL, "kaiming_normal")                                                                        \
    X(LS_INIT_DIRAC, "dirac") /* filter i < C copies channel i; the others are PyTorch's default */
typedef enum ls_init_kind {
    LS_INIT_DEFAULT,
    LS_ENUMERATORS(LS_INIT_LIST) LS_INIT_VALUES /* a table, not in recipes */
} ls_init_kind;

typedef struct ls_init {
    ls_init_kind kind;
    float        mean;      /* normal, trunc_normal */
    float        std;       /* normal, trunc_normal; 0: 1 */
    float        low, high; /* uniform; trunc_normal: the bounds, both 0: mean +- 2 std */
    float        value;     /* constant */
    float        gain;      /* xavier, kaiming; 0: 1 for xavier, sqrt(2) for kaiming */
    bool         fan_out;   /* kaiming: scale by fan_out instead of fan_in */
    int64_t      fan;       /* uniform: the bounds are +- 1/sqrt(fan), as PyTorch's biases; 0: low, high */
    const float *values;    /* values: static memory, one for each element */
} ls_init;

/* ---- ops ------------------------------------------------------------------------------------------------------------
 * Inputs in order, then attributes by name: ls_dropout(x, .p = 0.1f). */

typedef struct ls_unary_args {
    ls_tensor *x;
} ls_unary_args;
typedef struct ls_binary_args {
    ls_tensor *x, *y;
} ls_binary_args;

#include "core/ops/op_prototypes.h"

/* ---- loops ----------------------------------------------------------------------------------------------------------
 * A loop repeats ops for each position of a sequence.  It serves cells that read more than their state: attention in a
 * decoder, input feeding.  The ops are added once, for one step:
 *
 *     ls_loop   *l = ls_loop_begin(g);
 *     ls_tensor *x = ls_loop_step(l, inputs);                  inputs: B x T x I  ->  x: B x I, those of the step
 *     ls_tensor *h = ls_loop_zeros(l, 64);                     B x 64: zeros in the first step
 *     ls_tensor *y = ls_tanh(ls_linear(g, "cell", ls_concat(x, h), 64));
 *     ls_loop_next(l, h, y);                                   the value of h in the next step
 *     ls_tensor *ys = ls_loop_stack(l, y);                     B x T x 64, for use after the loop
 *     ls_loop_end(l);
 *
 * Ops that read no value of a step run once, before the loop.  Dropout draws other numbers in each step.  The number of
 * steps is the first dim of the tensors given to ls_loop_step.  Loops are not nested, and ops that sum over the batch
 * (batch norm) or update a state are not possible in them.  A function that builds the cell from tensors without T can
 * be used in a loop and outside of one, for the single steps of a search. */
ls_loop   *ls_loop_begin(ls_graph *g);
ls_tensor *ls_loop_step(ls_loop *l, ls_tensor *x);
/* A value that one step hands to the next: first h0, B x ..., then what ls_loop_next gave. */
ls_tensor *ls_loop_carry(ls_loop *l, ls_tensor *h0);
ls_tensor *ls_loop_zeros(ls_loop *l, int64_t width);
void       ls_loop_next(ls_loop *l, ls_tensor *h, ls_tensor *value);
ls_tensor *ls_loop_stack(ls_loop *l, ls_tensor *y);
void       ls_loop_end(ls_loop *l);

/* ---- layers: own parameters, compose ops ------------------------------------------------------------------------- */

#include "core/nn/layers.h"

/* ---- models ------------------------------------------------------------------------------------------------------ */

#include "core/models/models.h"

/* ---- optimizers and schedules ------------------------------------------------------------------------------------ */

#include "core/optim/optim.h"

/* ---- batches ------------------------------------------------------------------------------------------------------
 * The input of a step or of a model: one array per input of the graph, `rows` samples each. */
enum { LS_MAX_INPUTS = 32 };

typedef struct ls_batch {
    int         inputs;
    const char *name[LS_MAX_INPUTS]; /* name of the graph's input */
    const void *data[LS_MAX_INPUTS]; /* rows x dims, of the input's type, densely packed */
    int64_t     dim0[LS_MAX_INPUTS]; /* first dim of the samples in this batch, at most that of the graph's input, equal
                                        on all ranks; 0: that of the graph's input */
    int64_t     rows;                /* samples of this rank in this call */
    int64_t     first;               /* index of this rank's first sample within the global batch */
    int64_t     global_rows;         /* samples of the global batch, all ranks together */
} ls_batch;

/* The partition of a global batch that one rank owns.  The batch is cut into `total_shards` shards: shard s is the
 * samples [s rows / shards, (s + 1) rows / shards).  Rank r of n owns the shards [r shards / n, (r + 1) shards / n). */
typedef struct ls_batch_partition {
    int     first_shard, shards; /* owned shards: [first_shard, first_shard + shards) */
    int64_t first, rows;         /* owned samples: [first, first + rows) of the global batch */
} ls_batch_partition;
ls_batch_partition ls_batch_partition_of(int64_t global_rows, int total_shards, int ranks, int rank);

/* The first sample of shard s within the global batch. */
static inline int64_t ls_shard_first(int64_t global_rows, int total_shards, int s)
{
    return global_rows * s / total_shards;
}

/* ---- inference ----------------------------------------------------------------------------------------------------
 * A model is a graph compiled without a loss.  Several models may share parameters. */
typedef struct ls_params ls_params;
typedef struct ls_model  ls_model;

/* Allocates the parameters of a graph as one block, and fills it by the initialisers with `seed`. */
ls_status ls_params_new(ls_params **params, ls_graph *g, uint64_t seed);
void      ls_params_free(ls_params *params);

/* Number of parameters (arrays); number of their elements. */
int     ls_params_count(const ls_params *params);
int64_t ls_params_total(const ls_params *params);

/* Returns the values of parameter i, in order of creation, and its name and `*rank` dims; each may be NULL. */
float *ls_params_get(ls_params *params, int i, const char **name, int *rank, const int64_t **dims);
/* The number of the parameter of this name; -1: none. */
int ls_params_find(const ls_params *params, const char *name);

/* The digest: a hash of the bits of all parameters, in order of creation. */
uint64_t ls_params_digest(const ls_params *params);

/* Compiles the graph for `n` outputs and up to `max_rows` samples per run.  `params` may belong to another graph (that
 * of a trainer) that has all parameters of this one, by name and shape.  They are not copied. */
ls_status ls_model_new(ls_model **m, ls_graph *g, ls_params *params, ls_tensor **outputs, int n, int64_t max_rows);
ls_status ls_model_run(ls_model *m, const ls_batch *batch);
/* The values of output i in the last run: rows x dims. */
const float *ls_model_output(const ls_model *m, int i);
/* Compiles `y`, one float per sample, and its gradient with respect to `x`, an input or a value on which y depends, for
 * inference.  Freezes the parameters of the graph, which must not be used for training afterwards.  Output 0 is y,
 * output 1 is x. */
ls_status ls_model_new_gradient(ls_model **m, ls_graph *g, ls_params *params, ls_tensor *y, ls_tensor *x,
                                int64_t max_rows);
/* The gradient in the last run: rows x dims of x. */
const float *ls_model_gradient(const ls_model *m);
/* Makes `m` use the states of `with`, which must have the same states and outlive `m`.  Example: a model for many
 * tokens per run and one for a single token share a cache. */
ls_status ls_model_share_state(ls_model *m, const ls_model *with);
/* Zeroes the states. */
void ls_model_reset(ls_model *m);
/* The values of state i, in order of creation, max_rows x dims; NULL: there is no such state.  *rank and dims are those
 * of a row. */
float *ls_model_state(ls_model *m, int i, int *rank, int64_t dims[LS_MAX_DIMS]);
void   ls_model_free(ls_model *m);

/* ---- inside the macros ------------------------------------------------------------------------------------------- */

/* LS_DIMS(6, 1, 5, 5) is {4, {6, 1, 5, 5}}. */
#define LS_DIMS(...) ((ls_dims){(int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), {__VA_ARGS__}})

ls_tensor *ls__input(ls_input_args args);
ls_tensor *ls__state(ls_input_args args, ls_where where);
ls_tensor *ls__param(ls_graph *g, const char *name, ls_init init, ls_where where, ls_dims dims);

/* Adds op `op` with `args`, its args struct of input tensors and attributes.  Returns its first output. */
ls_tensor *ls__apply(int op, const void *args, ls_where where);
#define LS_APPLY(op, args_type, ...) ls__apply(LS_OP_##op, &(args_type){__VA_ARGS__}, LS_HERE)

LS_PUBLIC_END
#endif
