/* SPDX-License-Identifier: Apache-2.0
 *
 * The graph, and the functions with which ops, layers and models are built into it.  Not public.
 *
 * A graph owns its tensors and nodes.  Their order of creation is an order in which they can be computed.
 */
#ifndef LS_CORE_GRAPH_GRAPH_H
#define LS_CORE_GRAPH_GRAPH_H

#include "core/base/arena.h"
#include "core/cpu/vector/typed_array.h"
#include "core/graph/op.h"

struct ls_graph {
    ls_arena   *arena;
    ls_tensor **tensor;
    int         tensors, tensor_room;
    ls_node   **node;
    int         nodes, node_room;
    ls_status   status; /* first error of building */
    char       *message, *trace;
    char        scope[256]; /* prefix of names, "transformer.h.0" */
    ls_dtype    precision;  /* LS_F32, or LS_BF16: matrix products and the values between ops are bfloat16 */
    int64_t     norm_over;  /* samples over which a batch norm computes statistics unless it says so; 0: the batch */
    const struct ls_product_table *products;   /* libraries of matrix products; NULL: none.  Must outlive the graph */
    const char                    *model;      /* name of the model function that built the graph ("gpt"); NULL: none */
    const void                    *model_args; /* copy of its arguments: ls_gpt_args for "gpt" */
    int64_t                        shape;      /* number of times that the shapes have changed (ls__graph_reshape) */
    ls_loop                       *loop;       /* loop that is being built; NULL: none */
    bool                           loops;      /* the graph has loops */
    bool direct_convolution; /* no Winograd tiles: convolutions are sums of products as in the definition */
};

/* Records the model that the graph holds, with a copy of its arguments.  dist/interop exchanges weights by them. */
void ls__graph_model(ls_graph *g, const char *model, const void *args, size_t bytes);

/* Returns the loop that a node belongs to, which follows from its inputs; NULL: none.  Records an error if an input is
 * not available at the position of the node (core/graph/loop.c). */
ls_loop *ls__loop_of(const ls_node *n);

/* Adds an op as ls__apply does, with the graph given; with a `loop`, as part of its body. */
ls_tensor *ls__apply_in(ls_graph *g, ls_loop *loop, int op, const void *args, ls_where where);

/* The descriptor of a node's op at the instruction-set level in use. */
const ls_op *ls__op(const ls_node *n);
const ls_op *ls__op_by_id(int op);
/* The number of outputs of a node that have gradients. */
int ls__results(const ls_node *n);
/* The number of sums of a node over the batch; 0: none. */
int64_t ls__batch_sums(const ls_node *n, bool backward);
/* Floating-point operations of forward of a node for one sample; in a loop, of all steps. */
double ls__node_flops(const ls_node *n);
/* The samples of a group, for a node that reads groups of samples in training; 0: none. */
int64_t ls__group_rows(const ls_node *n);
int     ls__op_find(const char *name); /* the op's id; -1: unknown name */

/* The layer that a node belongs to: "conv1" if its first parameter is conv1.weight.  NULL: no parameter, or one whose
 * name has no dot.  The text lies in `memory`. */
const char *ls__layer_name(const ls_node *n, ls_arena *memory);

/* Sets the first dim of each input to that of the batch, with NULL to the greatest, and infers the shapes of all nodes
 * again if one of them has changed.  LS_ERR_USAGE: a dim is greater than the graph's, or the shapes do not fit. */
ls_status ls__graph_reshape(ls_graph *g, const ls_batch *batch);

/* Whether `text` matches `glob`: `*` stands for any characters, `?` for one. */
bool ls__glob(const char *glob, const char *text);
/* Whether `text` matches a list of globs, ended by NULL: the last glob that matches decides, and one that begins with !
 * excludes. */
bool ls__glob_list(const char *const *globs, const char *text);

/* ls_freeze for a list of globs. */
int ls__freeze(ls_graph *g, const char *const *globs);

/* Determines which values need a gradient: `x`, if it is not NULL, and those that depend on it or on a trainable
 * parameter. */
void ls__find_gradients(ls_graph *g, const ls_tensor *x);

/* Freezes all parameters, so that a program with a loss computes the gradients of `x`, an input or a value, and of the
 * values that depend on it. */
void ls__differentiate(ls_tensor *x);

/* ---- for shape inference ----------------------------------------------------------------------------------------- */

/* Declares output i of a node with `rank` dims `dim`, without the batch. */
ls_tensor *ls__out(ls_node *n, int i, ls_dtype type, bool batched, int rank, const int64_t *dim);
/* Declares output i with the type and shape of `x`. */
ls_tensor *ls__out_like(ls_node *n, int i, const ls_tensor *x);
/* The shape as text, "B x 6 x 28 x 28"; see core/base/format_text.h for how long it is valid. */
const char *ls__shape(const ls_tensor *x);
/* The same with the type, unless it is float32: "B x 64 bfloat16". */
const char *ls__shape_and_type(const ls_tensor *x);
/* Returns an error that begins with the node: "conv2d (lenet5.c:7): ..." */
#define LS_NODE_FAIL(n, ...) ls__node_fail((n), __FILE__, __LINE__, __func__, __VA_ARGS__)
#define LS_NODE_CHECK(n, condition, ...)                                                                               \
    do {                                                                                                               \
        if (!(condition)) return LS_NODE_FAIL((n), __VA_ARGS__);                                                       \
    } while (0)
ls_status ls__node_fail(const ls_node *n, const char *file, int line, const char *func, const char *format, ...)
    LS_PRINTF(5, 6);
/* Records an error of a layer as the graph's, unless the graph already has one.  Returns NULL. */
ls_tensor               *ls__graph_fail(ls_graph *g, ls_where where, const char *format, ...) LS_PRINTF(3, 4);
size_t                   ls__dtype_bytes(ls_dtype type);
const char              *ls__dtype_name(ls_dtype type);
extern const char *const ls__dtype_names[]; /* by type, ended by NULL */
extern const char *const ls__same_names[];  /* by ls_same, ended by NULL */
extern const char *const ls__pad_names[];   /* by ls_pad_mode, ended by NULL */
extern const char *const ls__rope_names[];  /* by ls_rope_scaling, ended by NULL */

/* ---- types of values --------------------------------------------------------------------------------------------- */

/* The type in which the kernel reads input i. */
ls_dtype ls__input_type(const ls_node *n, int i);

/* `x` itself, or its conversion to `type`, which is added to the graph at most once. */
ls_tensor *ls__converted(ls_tensor *x, ls_dtype type);

/* The inputs and outputs of a call, and their gradients, with their types. */
static inline ls_array ls__x(const ls_call *c, int i) { return (ls_array){c->x[i], ls__input_type(c->node, i)}; }
static inline ls_array ls__y(const ls_call *c, int i) { return (ls_array){c->y[i], c->node->out[i]->type}; }
static inline ls_array ls__dy(const ls_call *c, int i) { return (ls_array){c->dy[i], c->node->out[i]->type}; }
static inline ls_array ls__dx(const ls_call *c, int i)
{
    const ls_tensor *x = c->node->in[i];
    return (ls_array){c->dx[i], x && x->batched ? x->type : LS_F32};
}

#endif
