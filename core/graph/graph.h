/* SPDX-License-Identifier: Apache-2.0
 *
 * Tensor, node, graph, and the descriptor of an op: what every room below core/ shares.  Not public.
 *
 * A tensor has a name, a type and a shape, and no data.  A node is one use of an op: inputs, attributes, outputs.
 * A graph owns both, in the order of creation, which is an order in which they can be computed.
 */
#ifndef LS_CORE_GRAPH_GRAPH_H
#define LS_CORE_GRAPH_GRAPH_H

#include "core/base/arena.h"
#include "core/base/isa.h"
#include "core/core.h"

enum { LS_MAX_IN = 8, LS_MAX_OUT = 3 };

typedef struct ls_op   ls_op;
typedef struct ls_call ls_call;

typedef enum ls_role { LS_ROLE_INPUT, LS_ROLE_PARAM, LS_ROLE_STATE, LS_ROLE_VALUE } ls_role;

struct ls_tensor {
    const char *name;
    ls_graph   *graph;
    ls_node    *node;    /* what computes it; NULL for inputs, parameters and states             */
    ls_tensor  *view_of; /* the same memory under another shape; NULL: memory of its own         */
    ls_role     role;
    ls_dtype    type;
    bool        batched;    /* B samples of `dims`; false: `dims` once (a parameter, or made of them) */
    bool        needs_grad; /* a trainable parameter stands somewhere behind it                     */
    bool        frozen;     /* parameter without gradient                                           */
    int         rank;       /* number of dims, without the batch                                    */
    int64_t     dim[LS_MAX_DIMS];
    int         index;  /* within the graph                                                     */
    ls_init     init;   /* of a parameter                                                       */
    ls_tensor  *weight; /* of a loss: what its sum is divided by (B), NULL: 1 a sample          */
    ls_where    where;
};

struct ls_node {
    int        op;    /* ls_op_id; the descriptor is ls__op(node)         */
    int        index; /* within the graph: keys its random numbers        */
    int        ins, outs;
    ls_tensor *in[LS_MAX_IN]; /* NULL for an optional input not given     */
    ls_tensor
         *out[LS_MAX_OUT]; /* out[0] is the result, the others are what backward needs besides (a mask, an argmax) */
    void *args;            /* a copy of the op's args struct; infer may resolve defaults in place */
    ls_graph *graph;
    ls_where  where;
};

struct ls_graph {
    ls_arena   *arena;
    ls_tensor **tensor;
    int         tensors, tensor_room;
    ls_node   **node;
    int         nodes, node_room;
    ls_status   status;
    char       *message, *trace;
    char        scope[256];
    const char *model;      /* name of the model function that built the graph, such as "gpt"; NULL: none */
    const void *model_args; /* a copy of its arguments: ls_gpt_args for "gpt"                              */
};

/* Records which model the graph holds, with a copy of its arguments.  dist/interop exchanges weights by them. */
void ls__graph_model(ls_graph *g, const char *model, const void *args, size_t bytes);

/* ---- the descriptor of an op ------------------------------------------------------------------------------------- */

/* What backward reads, besides the gradients of the outputs.  Everything else may be overwritten before. */
#define LS_SAVES_IN(i) (1u << (i))
#define LS_SAVES_OUT(i) (1u << (8 + (i)))

typedef enum ls_field_kind {
    LS_FIELD_INT,
    LS_FIELD_INT64,
    LS_FIELD_FLOAT,
    LS_FIELD_BOOL,
    LS_FIELD_INIT,
    LS_FIELD_DIMS,
    LS_FIELD_CHOICE /* an enum, of the size of int, whose values have names */
} ls_field_kind;

/* An attribute, by name: how recipes set it, `explain` prints it and tests vary it. */
typedef struct ls_field {
    const char        *name;
    ls_field_kind      kind;
    size_t             offset;  /* in the args struct */
    const char *const *choices; /* of LS_FIELD_CHOICE: the names, NULL ends them */
} ls_field;
#define LS_FIELD(kind, args_type, member)                                                                              \
    {                                                                                                                  \
#member, LS_FIELD_##kind, offsetof(args_type, member)                                                          \
    }
#define LS_FIELD_OF(names, args_type, member)                                                                          \
    {                                                                                                                  \
#member, LS_FIELD_CHOICE, offsetof(args_type, member), (names)                                                 \
    }
#define LS_FIELDS(...) ((const ls_field[]){__VA_ARGS__, {0}})

/* A kernel computes one node for the samples of `c`.  It never allocates and never fails. */
typedef void ls_kernel(const ls_call *c);

struct ls_op {
    const char *name;
    size_t      args_bytes; /* sizeof its args struct, which starts with its input tensors          */
    int         ins, outs;
    unsigned    optional;         /* (optional) bit i: input i may be NULL                                */
    unsigned    saves;            /* (optional) LS_SAVES_IN(i) | LS_SAVES_OUT(i)                          */
    bool        inplace;          /* (optional) forward may write out[0] over in[0] (same shape)          */
    bool        inplace_backward; /* (optional) backward may write the gradient of in[0] over that of out[0] */
    bool        over_input;       /* (optional) backward may write the gradient of in[0] over in[0] itself        */
    bool     again; /* (optional) so cheap that out[0] is computed again for backward rather than kept; what that reads,
                   its own backward reads too                                       */
    bool     recompute_costly; /* (optional) the same, but worth its arithmetic only where memory is short
                              (core/graph/recompute.c) */
    bool     view;             /* (optional) out[0] is in[0] under another shape: no kernels           */
    bool     random;       /* (optional) draws random numbers; off in inference (then forward gets c->training false) */
    unsigned no_grad;      /* (optional) bit i: input i has no gradient by nature (targets, indices) */
    bool loss_in_backward; /* (optional) backward also writes the outputs given (c->y), instead of forward, where out[0]
                              is what a program trains on; it saves no outputs                       */
    unsigned        updates;        /* (optional) bit i: forward writes input i in place, which must be a state */
    const ls_field *fields;         /* (optional) attributes, ended by a field without a name               */
    ls_status (*infer)(ls_node *n); /* sets the outputs' shapes with ls_out(), or gives a clear error       */
    ls_kernel *forward[LS_DEVICES];
    ls_kernel *backward[LS_DEVICES];
    /* (optional, default none) bytes of workspace that a call needs, for up to `rows` samples in up to `shards` shards,
     * of which none has more than rows / shards, rounded up */
    size_t (*scratch)(const ls_node *n, int64_t rows, int shards, int threads, bool backward);
    /* (optional, default all of it) what of the workspace of a backward call is still needed where `lent` bytes are
     * lent to it */
    size_t (*borrows)(const ls_node *n, int64_t rows, int shards, size_t lent);
    double (*flops)(const ls_node *n); /* (optional, default one per output element) of forward, per sample; backward
                                          counts double */
};

/* The descriptor in core/ops/softmax.c is LS_OP(softmax) = {.name = "softmax", ...}; one exists per level. */
#define LS_OP(id) const ls_op LS_ISA_NAME(ls__op_##id)

const ls_op *ls__op(const ls_node *n); /* at the level in use */
const ls_op *ls__op_by_id(int op);
int          ls__op_find(const char *name); /* -1: none            */

/* `*` matches any run of characters, `?` one. */
bool ls__glob(const char *glob, const char *text);

/* ---- for infer --------------------------------------------------------------------------------------------------- */

/* The tensor whose memory a view shows. */
static inline const ls_tensor *ls__root(const ls_tensor *t)
{
    while (t->view_of) t = t->view_of;
    return t;
}

/* Declares output i of a node: shape `rank`, `dim` (without the batch). */
ls_tensor *ls__out(ls_node *n, int i, ls_dtype type, bool batched, int rank, const int64_t *dim);
/* Output i like tensor `x`. */
ls_tensor *ls__out_like(ls_node *n, int i, const ls_tensor *x);
/* Number of elements of one sample (or of the whole, when not batched). */
int64_t ls__numel(const ls_tensor *x);
/* Elements of the dims before the last, of one sample; and the last dim (1 for a scalar). */
int64_t ls__rows(const ls_tensor *x);
int64_t ls__cols(const ls_tensor *x);
/* "B x 6 x 28 x 28", in a small ring of thread-local buffers. */
const char *ls__shape(const ls_tensor *x);
/* An error of shape inference: "conv2d 'conv1' (lenet5.c:7): ..." */
#define LS_NODE_FAIL(n, ...) ls__node_fail((n), __FILE__, __LINE__, __func__, __VA_ARGS__)
#define LS_NODE_CHECK(n, condition, ...)                                                                               \
    do {                                                                                                               \
        if (!(condition)) return LS_NODE_FAIL((n), __VA_ARGS__);                                                       \
    } while (0)
/* Keeps an error of a layer as the graph's, unless it already has one; NULL. */
ls_tensor *ls__graph_fail(ls_graph *g, ls_where where, const char *format, ...) LS_PRINTF(3, 4);
ls_status  ls__node_fail(const ls_node *n, const char *file, int line, const char *func, const char *format, ...)
    LS_PRINTF(5, 6);
size_t      ls__dtype_bytes(ls_dtype type);
const char *ls__dtype_name(ls_dtype type);

/* ---- what a kernel gets
 * ----------------------------------------------------------------------------------------------
 *
 * The samples of a call are `rows`, cut into `shards` shards: shard s is the samples [bound[s], bound[s + 1]).  Shards
 * may be empty.
 *
 * Gradients of parameters (and of any input that is not batched) are sums over the batch.  They are asked for per
 * *group*: a group is a run of shards whose number is a power of two, and its gradient is the sum over its shards,
 * added pairwise as a binary tree on the shard index:  ((s0 + s1) + (s2 + s3)).  Each group has its own destination.
 * A kernel makes one partial per shard (samples in order within the shard) and calls ls__fold (core/cpu/shard_sum.h),
 * or hands the shard bounds to ls__gemm, which does both.
 *
 * Backward contract: read what `saves` declared and the gradients of the outputs; for every input i with dx[i] set,
 * write it, or add to it where add[i] says so; never touch anything else. */
typedef struct ls_group {
    int    first, shards; /* of the call: its shards [first, first + shards) */
    size_t offset;        /* in floats, of its gradients from the first group's */
    bool   add;           /* add to what is there (also set when add[i] is)   */
} ls_group;

struct ls_call {
    const ls_node *node;
    const void    *args;
    int64_t        rows;
    int            shards;
    const int64_t *bound;      /* shards + 1 of them                                       */
    int64_t        shard_rows; /* of a shard, at most, in any call of this program                */
    bool           training;
    void          *x[LS_MAX_IN];   /* values of the inputs                                     */
    void          *y[LS_MAX_OUT];  /* values of the outputs                                    */
    float         *dy[LS_MAX_OUT]; /* backward: gradients of the outputs (NULL: none, zero)    */
    float *dx[LS_MAX_IN];  /* backward: gradients of the inputs; NULL: not wanted.  Not batched: of the first group */
    bool   add[LS_MAX_IN]; /* backward: add to dx[i] instead of writing it             */
    int    groups;
    const ls_group *group;
    void           *scratch; /* as many bytes as op->scratch said, 64-byte aligned       */
    void           *lent;    /* more of it, lent_bytes, with op->borrows: memory of gradients that are not there yet */
    size_t          lent_bytes;
    uint64_t        key; /* random numbers: ls_philox(key, sample, element / 4); differs by seed, step and node */
    int64_t         first_sample; /* index of sample 0 within the global batch                */
};

/* Where the gradient of input i, not batched, goes for group k, and whether to add. */
static inline float *ls__group_grad(const ls_call *c, int i, int k) { return c->dx[i] + c->group[k].offset; }
static inline bool   ls__group_add(const ls_call *c, int i, int k) { return c->add[i] || c->group[k].add; }

#endif
