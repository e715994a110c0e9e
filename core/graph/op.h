/* SPDX-License-Identifier: Apache-2.0
 *
 * The types of a graph and of its ops: tensor, node, op descriptor, and the arguments of a kernel.  Not public.
 *
 * A tensor has a name, a type and a shape, and no data.  A node is one use of an op: inputs, attributes, outputs.
 */
#ifndef LS_CORE_GRAPH_OP_H
#define LS_CORE_GRAPH_OP_H

#include "core/base/isa.h"
#include "core/core.h"

enum { LS_MAX_IN = 9, LS_MAX_OUT = 5 };

typedef struct ls_op   ls_op;
typedef struct ls_call ls_call;

typedef enum ls_role { LS_ROLE_INPUT, LS_ROLE_PARAM, LS_ROLE_STATE, LS_ROLE_VALUE } ls_role;

struct ls_tensor {
    const char *name;
    ls_graph   *graph;
    ls_node    *node;    /* node that computes the tensor; NULL for inputs, parameters and states */
    ls_tensor  *view_of; /* tensor whose memory this one shows under another shape; NULL: own memory */
    ls_role     role;
    ls_dtype    type;
    bool        batched;    /* B samples of `dim`; false: `dim` once (a parameter, or computed from parameters) */
    bool        needs_grad; /* depends on a trainable parameter */
    bool        frozen;     /* parameter without gradient */
    int         rank;       /* number of dims, without the batch */
    int64_t     dim[LS_MAX_DIMS];
    int64_t     max_dim0; /* input: greatest first dim, for which programs are planned */
    int         index;    /* position within the graph */
    ls_init     init;     /* initialiser of a parameter */
    ls_loop    *loop;     /* value of one step of this loop; NULL: outside of loops */
    ls_node    *next;     /* carried value (ls_loop_carry): the node with its value in the next step */
    ls_tensor  *weight;   /* of a loss: divisor of its sum, B values; NULL: 1 per sample */
    ls_where    where;
};

struct ls_node {
    int        op;    /* ls_op_id; ls__op(node) is the descriptor */
    int        index; /* position within the graph; part of the key of the node's random numbers */
    int        ins, outs;
    ls_tensor *in[LS_MAX_IN];   /* NULL: optional input not given */
    ls_tensor *out[LS_MAX_OUT]; /* the results of the op, then what is saved for backward (a mask, an argmax) */
    void      *args;            /* copy of the op's args struct, in which infer may resolve defaults */
    ls_graph  *graph;
    ls_loop   *loop; /* the node is in the body of this loop; NULL: none */
    ls_where   where;
    /* In a program: nodes that the kernel applies to its result (core/graph/fuse.c); NULL: none.  It adds the last
     * input, as `add` does, and then applies ls_op.value of `map`. */
    const ls_node *add, *map;
};

/* ---- the descriptor of an op ------------------------------------------------------------------------------------- */

/* Bits of ls_op.saves: the values that backward reads besides the gradients of the outputs.  The memory of all other
 * values may be reused before backward runs. */
#define LS_SAVES_IN(i) (1u << (i))
#define LS_SAVES_OUT(i) (1u << (LS_MAX_IN + (i)))

typedef enum ls_field_kind {
    LS_FIELD_INT,
    LS_FIELD_INT64,
    LS_FIELD_FLOAT,
    LS_FIELD_BOOL,
    LS_FIELD_INIT,
    LS_FIELD_DIMS,
    LS_FIELD_CHOICE /* an enum of the size of int whose values have names */
} ls_field_kind;

/* An attribute by name, as recipes set it, `explain` prints it and tests vary it. */
typedef struct ls_field {
    const char        *name;
    ls_field_kind      kind;
    size_t             offset;  /* within the args struct, bytes */
    const char *const *choices; /* LS_FIELD_CHOICE: the names by value; LS_FIELD_INT64: names of -1, -2, ...; ended by
                                   NULL */
} ls_field;
/* clang-format off */
#define LS_FIELD(kind, args_type, member) {#member, LS_FIELD_##kind, offsetof(args_type, member)}
#define LS_FIELD_OF(names, args_type, member) {#member, LS_FIELD_CHOICE, offsetof(args_type, member), (names)}
#define LS_FIELD_NAMED(names, args_type, member) {#member, LS_FIELD_INT64, offsetof(args_type, member), (names)}
/* clang-format on */
#define LS_FIELDS(...) ((const ls_field[]){__VA_ARGS__, {0}})

/* The fields of an attribute for ops and layers with windows of one, two and three dims, and those of the padding of
 * each side.  With one dim, the attribute is that of the width. */
/* clang-format off */
#define LS_WINDOW_FIELDS_1(args, m) {#m, LS_FIELD_INT, offsetof(args, m##_w)}
/* clang-format on */
#define LS_WINDOW_FIELDS_2(args, m) LS_FIELD(INT, args, m), LS_FIELD(INT, args, m##_h), LS_FIELD(INT, args, m##_w)
#define LS_WINDOW_FIELDS_3(args, m) LS_WINDOW_FIELDS_2(args, m), LS_FIELD(INT, args, m##_d)
#define LS_SIDE_FIELDS_1(args) LS_FIELD(INT, args, pad_left), LS_FIELD(INT, args, pad_right)
#define LS_SIDE_FIELDS_2(args) LS_SIDE_FIELDS_1(args), LS_FIELD(INT, args, pad_top), LS_FIELD(INT, args, pad_bottom)
#define LS_SIDE_FIELDS_3(args) LS_SIDE_FIELDS_2(args), LS_FIELD(INT, args, pad_front), LS_FIELD(INT, args, pad_back)

/* Computes one node for the samples of `c`.  A kernel neither allocates nor fails. */
typedef void ls_kernel(const ls_call *c);

struct ls_op {
    const char *name;
    size_t      args_bytes; /* size of the args struct, which starts with the input tensors */
    int         ins, outs;
    int         results;          /* (optional, default 1) outputs with gradients: out[0] to out[results - 1] */
    unsigned    optional;         /* (optional) bit i: input i may be NULL */
    unsigned    saves;            /* (optional) LS_SAVES_IN(i) | LS_SAVES_OUT(i) */
    bool        inplace;          /* (optional) forward may write out[0] over in[0], which has the same shape */
    bool        inplace_backward; /* (optional) backward may write the gradient of in[0] over that of out[0] */
    bool        over_input;       /* (optional) backward may write the gradient of in[0] over the value of in[0] */
    bool        recompute;        /* (optional) out[0] is cheap: computed again in backward instead of saved.  Every
                                     value that forward reads is also in `saves` */
    bool        recompute_costly; /* (optional) as `recompute`, but only where it lowers the peak memory of a step
                                     (core/graph/recompute.c) */
    bool        view;             /* (optional) out[0] is in[0] under another shape; no kernels */
    int         dims;             /* (optional) dims of a sample behind its channels, for ops with windows */
    bool        random;           /* (optional) draws random numbers; in inference forward runs with training false */
    unsigned    no_grad;          /* (optional) bit i: input i never has a gradient (targets, indices) */
    unsigned    either;           /* (optional) bit i: batched input i may be float32 or bfloat16 */
    unsigned    narrow;           /* (optional) bit i: in a bfloat16 graph, input i is bfloat16; of a parameter the
                                     kernel reads the bfloat16 copy.  All other inputs are float32: a graph converts
                                     what it has (core/ops/cast.c) */
    bool        loss_in_backward; /* (optional) if out[0] is the loss, backward also writes the outputs (c->y) and no
                                     forward runs; `saves` has no outputs */
    unsigned    updates;          /* (optional) bit i: forward writes input i in place, which must be a state */
    bool        adds;             /* (optional) out[0] is in[0] + in[1] */
    bool        fuses;            /* (optional) the kernels apply the ops of n->add and n->map (core/graph/fuse.c) */
    bool        defers;           /* (optional) in a loop, gradients of parameters are computed after the last step, by
                                     one backward call for all steps.  Requires that a call for B x T x ... is the same
                                     as T calls for B x ..., and that input 0 is the only input with a batch */
    bool        carries;          /* (optional) training may update states as well: backward takes a state before the
                                     call as a constant (truncated backpropagation through time) */
    const ls_field *fields;       /* (optional) attributes, ended by a field without a name */
    ls_status (*infer)(ls_node *n); /* declares the outputs with ls__out(), or returns an error */
    ls_kernel *forward[LS_DEVICES];
    ls_kernel *backward[LS_DEVICES];
    /* (optional) For a function of one element: y = value(x), and dx = gradient(dy, saved) with saved = x or y as
     * `saves` declares.  The arrays have n elements and do not overlap, except that dx may be dy. */
    void (*value)(const void *args, int64_t n, const float *x, const float *unused, float *y);
    void (*gradient)(const void *args, int64_t n, const float *dy, const float *saved, float *dx);
    /* (optional, with value) The function is min(max(x, clamp[0]), clamp[1]), and its derivative 1 between the limits,
     * or 0. */
    const float *clamp;
    /* (optional) For an op that in training reads the whole batch: returns the number of sums over all samples that
     * forward, or backward, needs.  In a training step the kernel runs in two stages (ls_stage). */
    int64_t (*batch_sums)(const ls_node *n, bool backward);
    /* (optional, with batch_sums) Returns the samples of a group, if the op reads groups of samples instead of the
     * whole batch; else 0.  Then a kernel runs once, in forward in the stage LS_STAGE_SUMS.  It writes sums over the
     * groups, which only update_running reads. */
    int64_t (*group_rows)(const ls_node *n);
    /* (optional, with batch_sums) Renews running statistics, parameters without gradient, from the sums of forward.
     * count: samples of the global batch, or its groups.  x: the values of the inputs that are parameters. */
    void (*update_running)(const ls_node *n, const float *sums, int64_t count, float *const x[LS_MAX_IN]);
    /* (with update_running) Makes training use the running statistics and not renew them (ls_freeze). */
    void (*freeze_running)(ls_node *n);
    /* (optional, default 0) Returns the bytes of workspace of a call for up to `rows` samples in up to `shards` shards,
     * none of which has more than rows / shards samples, rounded up. */
    size_t (*scratch)(const ls_node *n, int64_t rows, int shards, int threads, bool backward);
    /* (optional, default: all of it) Returns the bytes of workspace that a backward call still needs if it may also use
     * `gradient_bytes` of gradient memory that later instructions write first. */
    size_t (*scratch_beside_gradients)(const ls_node *n, int64_t rows, int shards, int threads, size_t gradient_bytes);
    /* (optional) Returns the bytes of operands that forward, or the gradients of batched inputs, read in packed form
     * (ls_call.packed).  In a loop they are packed once, before the first step. */
    size_t (*packed_bytes)(const ls_node *n, bool backward);
    ls_kernel *pack[2]; /* (with packed_bytes) packs them, for forward and for backward */
    /* (optional, default one per output element) Returns the floating-point operations of forward for one sample.
     * Backward counts twice. */
    double (*flops)(const ls_node *n);
};

/* Defines the descriptor of an op at the instruction-set level of the file: LS_OP(softmax) = {.name = "softmax", ...}.
 */
#define LS_OP(id) const ls_op LS_ISA_NAME(ls__op_##id)

/* The stages of an op with batch_sums.  Between them the sums are added over all ranks, in the order of gradients.  In
 * backward the first stage also computes the gradients of parameters, and the second one those of batched inputs. */
typedef enum ls_stage {
    LS_STAGE_WHOLE, /* no stages: another op, or inference */
    LS_STAGE_SUMS,  /* writes the sums of every group */
    LS_STAGE_REST   /* reads the sums over the whole batch */
} ls_stage;

/* ---- the arguments of a kernel ------------------------------------------------------------------------------------
 *
 * A call covers `rows` samples in `shards` shards: shard s is the samples [bound[s], bound[s + 1]).  Shards may be
 * empty.
 *
 * The gradient of a parameter, and of any other input that is not batched, is a sum over the batch.  It is computed per
 * *group*: a group is 2^n consecutive shards, and its gradient is the sum over its shards as a binary tree on the shard
 * index:  ((s0 + s1) + (s2 + s3)).  Each group has its own destination.  A kernel computes one partial sum per shard
 * (samples in order within the shard) and calls ls__fold (core/cpu/shard_sum.h), or passes the shard bounds to
 * ls__product, which does both.
 *
 * Contract of a backward kernel: read the values in `saves` and the gradients of the outputs; write dx[i] for every i
 * with dx[i] not NULL, or add to it if add[i] is set; touch nothing else. */
typedef struct ls_group {
    int    first, shards; /* shards [first, first + shards) of the call */
    size_t offset;        /* from the gradient of the first group, floats */
    bool   add;           /* add to the destination instead of writing it; also if add[i] of the call is set */
} ls_group;

struct ls_call {
    const ls_node  *node;
    const void     *args;
    int64_t         rows;
    int             shards;
    const int64_t  *bound;      /* shards + 1 positions */
    int64_t         shard_rows; /* upper bound of the samples of a shard, equal in all calls of a program */
    bool            training;
    void           *x[LS_MAX_IN];   /* values of the inputs */
    void           *y[LS_MAX_OUT];  /* values of the outputs */
    float          *dy[LS_MAX_OUT]; /* backward: gradients of the outputs; NULL: zero.  The gradient of a value has
                                        the type of the value, that of a parameter is float32 */
    float          *dx[LS_MAX_IN];  /* backward: gradients of the inputs, for inputs that are not batched that of the
                                        first group; NULL: not wanted */
    bool            add[LS_MAX_IN]; /* backward: add to dx[i] instead of writing it */
    int             groups;
    const ls_group *group;
    void           *scratch;          /* workspace of op->scratch bytes, 64-byte aligned */
    void           *gradient_scratch; /* additional workspace in gradient memory, for op->scratch_beside_gradients */
    size_t          gradient_scratch_bytes;
    ls_stage        stage;
    bool            handed_over;  /* backward, LS_STAGE_REST: dy[0] is the gradient of the op's own result, because the
                                     first stage has applied n->map */
    float          *sums;         /* of group 0 (LS_STAGE_SUMS), or over the whole batch (LS_STAGE_REST) */
    const float    *forward_sums; /* backward: the sums of forward over the whole batch */
    int64_t         batch_rows;   /* samples of the global batch */
    float          *packed;       /* operands that were packed before the first step of a loop; NULL: not packed */
    int64_t         step, steps;  /* in a loop: the step of the call, and the number of steps; 0, 0: no loop */
    uint64_t        key;          /* of ls_philox(key, sample, element / 4); depends on seed, step and node */
    int64_t         first_sample; /* index of sample 0 within the global batch */
};

/* The groups of samples in a shard of `rows` samples, for ops that read groups of `size` samples.  The shard is divided
 * evenly: a group has at least `size` samples, unless the shard has fewer. */
static inline int64_t ls__groups_of(int64_t rows, int64_t size) { return rows < size ? rows > 0 : rows / size; }

/* Destination of the gradient of input i, which is not batched, for group k. */
static inline float *ls__group_grad(const ls_call *c, int i, int k) { return c->dx[i] + c->group[k].offset; }
/* Whether group k adds to that destination instead of writing it. */
static inline bool ls__group_add(const ls_call *c, int i, int k) { return c->add[i] || c->group[k].add; }

/* Destination of the sums of group k, in LS_STAGE_SUMS. */
static inline float *ls__group_sums(const ls_call *c, int k) { return c->sums + c->group[k].offset; }

/* Number of elements, per sample for a batched tensor. */
static inline int64_t ls__numel(const ls_tensor *x)
{
    int64_t n = 1;
    for (int i = 0; i < x->rank; i++) n *= x->dim[i];
    return n;
}

/* The last dim; 1 for a scalar. */
static inline int64_t ls__cols(const ls_tensor *x) { return x->rank ? x->dim[x->rank - 1] : 1; }
/* Product of the dims before the last, per sample. */
static inline int64_t ls__rows(const ls_tensor *x) { return ls__numel(x) / (ls__cols(x) ? ls__cols(x) : 1); }

/* The tensor whose memory a view shows; any other tensor itself. */
static inline const ls_tensor *ls__root(const ls_tensor *t)
{
    while (t->view_of) t = t->view_of;
    return t;
}

#endif
