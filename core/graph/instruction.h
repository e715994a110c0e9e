/* SPDX-License-Identifier: Apache-2.0
 *
 * The types of a program: instruction, buffer, options, program, execution.  Not public.
 */
#ifndef LS_CORE_GRAPH_INSTRUCTION_H
#define LS_CORE_GRAPH_INSTRUCTION_H

#include "core/base/flight_recorder.h"
#include "core/base/progress_hook.h"
#include "core/graph/params.h"

typedef struct ls_program   ls_program;
typedef struct ls_execution ls_execution;

#define LS_INSTR_LIST(X)                                                                                               \
    X(LS_INSTR_FORWARD, "forward")                                                                                     \
    X(LS_INSTR_RECOMPUTE, "recompute") /* forward again, for the backward instruction that follows */                  \
    X(LS_INSTR_BACKWARD, "backward")                                                                                   \
    X(LS_INSTR_FOLD, "fold") /* sums the per-shard leaves of a gradient as a tree */                                   \
    X(LS_INSTR_PACK, "pack") /* packs operands that the steps of a loop read */                                        \
    X(LS_INSTR_LOOP, "loop") /* begins the body of a loop */                                                           \
    X(LS_INSTR_END, "end")   /* ends it: goes back to the beginning until all steps are done */                        \
    X(LS_INSTR_CALL, "call") /* calls a function from above core: a collective, the update */
typedef enum ls_instr_kind { LS_ENUMERATORS(LS_INSTR_LIST) } ls_instr_kind;
enum { LS_INSTR_KINDS = LS_ENUM_COUNT(LS_INSTR_LIST) };
extern const char *const ls__instr_kind[]; /* the texts */

/* The job of a CALL instruction.  `id` of the instruction is the number of its bucket, 0 for the others. */
#define LS_TAG_LIST(X)                                                                                                 \
    X(LS_TAG_NONE, "none")                                                                                             \
    X(LS_TAG_LOSS_SUM, "loss sum")     /* sums loss, weight and hits over the shards of this rank */                   \
    X(LS_TAG_BATCH_SUMS, "batch sums") /* all-reduces the sums of an op over the batch, and waits for them */          \
    X(LS_TAG_ALLREDUCE, "all-reduce")  /* starts the all-reduce of a bucket */                                         \
    X(LS_TAG_WAIT, "wait")             /* waits until a bucket has been read, before its memory is reused */           \
    X(LS_TAG_UPDATE, "update")         /* the optimizer step */
typedef enum ls_instr_tag { LS_ENUMERATORS(LS_TAG_LIST) } ls_instr_tag;

typedef struct ls_instr {
    ls_instr_kind  kind;
    const char    *name;
    const char    *label; /* text for people: "conv1 (conv2d)", "all-reduce 2 (fc1.weight .. conv2.bias)"; NULL: name */
    const ls_node *node;  /* forward, recompute, backward */
    /* Buffers; -1: none. */
    int  in[LS_MAX_IN];
    int  out[LS_MAX_OUT];
    int  dout[LS_MAX_OUT];
    int  din[LS_MAX_IN];
    int  packed;         /* operands that a PACK instruction has packed */
    bool add[LS_MAX_IN]; /* backward: add to din[i] instead of writing it */
    bool sum[LS_MAX_IN]; /* in a loop: din[i] is a sum over the steps; `add` is that of the first step executed */
    /* In a loop: the loop of LOOP and END, and whether it runs from the last step to the first. */
    const ls_loop *loop;
    bool           reverse;
    const ls_node *deferred; /* backward, deferred: the node in the body of the loop.  `node` is its copy, which covers
                                all steps */
    /* backward: the gradient of the parameter at input `leaf` is one leaf per shard; -1: none.  Gradients of inputs
     * that are not batched are otherwise one per group, in the gradient block. */
    int leaf;
    int slot; /* fold: the slot of its parameter */
    /* An op with batch_sums: the stage, and offsets in the gradient block of the sums of this pass and of forward. */
    ls_stage stage;
    size_t   sums, forward_sums;
    bool     handed_over; /* backward, LS_STAGE_REST: the first stage has applied node->map (ls_call) */
    /* call */
    ls_instr_tag     tag;
    int              id;
    const ls_tensor *reads[LS_MAX_IN]; /* tensors whose values the call reads; NULL ends them */
    ls_status (*call)(void *context, const ls_execution *run);
    void    *context;
    ls_phase phase; /* LS_PHASE_REDUCE: a collective; LS_PHASE_NONE: part of the update */
    /* call: the range of the gradient block that it works on, floats; fold: `offset` is its destination. */
    size_t offset, count;
    /* Workspace: bytes, and offset in the arena, bytes. */
    size_t scratch, at;
    /* Additional workspace in the gradient block: bytes, and offset, floats. */
    size_t gradient_scratch, gradient_scratch_at;
    double flops; /* per sample */
} ls_instr;

typedef enum ls_place {
    LS_PLACE_STEP, /* the arena */
    LS_PLACE_INPUT,
    LS_PLACE_PARAM,
    LS_PLACE_NARROW, /* the bfloat16 copy of the parameters */
    LS_PLACE_GRAD,
    LS_PLACE_STATE,
    LS_PLACE_ONES /* the gradient of the loss: 1 for each sample */
} ls_place;

/* Memory with a name and a lifetime. */
typedef struct ls_buffer {
    const char      *name;
    const ls_tensor *tensor;
    ls_place         place;
    bool             gradient;
    size_t           row_bytes;  /* of one sample; 0: not batched */
    size_t           bytes;      /* of max_rows samples */
    int64_t          copies;     /* value of a step of a loop: one after the other, for the steps; 0: one */
    size_t           stride;     /* from one copy to the next, bytes */
    int              born, last; /* first and last instruction that uses it */
    int              home;       /* buffer whose memory it takes over in place; its own index otherwise */
    size_t offset; /* step, state: in the arena or state block, bytes; param, narrow, grad: in the block, values */
} ls_buffer;

typedef struct ls_program_options {
    ls_tensor *const *output; /* tensors whose values are kept until the end of the run */
    int               outputs;
    ls_tensor        *loss;     /* NULL: forward only */
    ls_tensor        *gradient; /* the program keeps the gradient of this value; NULL: none */
    int64_t           max_rows; /* samples of a run, at most */
    int               max_shards;
    size_t            arena_bytes; /* recompute as much as needed for an arena of this size, if possible; 0: no limit */
    /* Ops may use the memory of gradients that a run has not written yet as workspace.  False if a run adds to
     * gradients of an earlier run. */
    bool      gradient_scratch;
    ls_device device;
} ls_program_options;

/* Buffers of a program, at most: for a tensor its value, gradient (two segments), recomputed value and bfloat16 copy;
 * for a node what is packed in both directions; the gradient of the loss. */
static inline size_t ls__program_buffers(const ls_graph *g)
{
    return (size_t)g->tensors * 5 + (size_t)g->nodes * 2 + 2;
}

/* Samples of a shard, at most. */
static inline int64_t ls__shard_rows(const ls_program_options *o)
{
    return (o->max_rows + o->max_shards - 1) / o->max_shards;
}

struct ls_program {
    ls_graph          *graph;
    ls_params         *params;
    ls_program_options options;
    ls_arena          *memory;
    ls_instr          *instr;
    int                instrs, instr_room;
    ls_buffer         *buffer;
    int                buffers;
    const ls_node    **node;               /* by position in the graph: the node, or a fused one; NULL: not computed */
    const ls_node    **maker;              /* by index of the tensor: the node that computes it; NULL: none */
    int               *value_of, *grad_of; /* buffer by index of the root tensor; -1: none */
    int               *narrow_of;          /* buffer of the bfloat16 copy of a parameter, likewise */
    int               *recomputed_of;      /* buffer of the recomputed value, by index of the root tensor; -1: none */
    bool              *recompute;          /* by node: costly, and recomputed in backward (core/graph/recompute.c) */
    int               *packed_of;          /* buffer of the packed operands, by node of a loop; -1: none */
    ls_instr          *deferral;           /* backward instructions that come after the loop being built */
    int                deferrals;
    int               *uses; /* number of ops that add to a gradient, by index of the root tensor */
    ls_tensor        **input;
    int                inputs;
    ls_group          *leaf_group; /* room for one group per shard */
    int                threads;
    size_t             arena_bytes, state_bytes;
    size_t             scratch_bytes; /* largest workspace of an instruction; part of arena_bytes */
    int64_t            step, steps;   /* in a loop: the step, and the number of steps; 0, 0: no loop */
    int64_t            shape;         /* ls_graph.shape for which the workspace was last checked */
    size_t             high_water;    /* bytes of the arena used so far */
    unsigned char     *arena;
    ls_block           ones, state;
    const ls_program  *shares; /* program that owns the state block; NULL: this one */
};

/* The arguments of one execution. */
struct ls_execution {
    const ls_batch         *batch;      /* inputs by name */
    int64_t                 skip, rows; /* samples [skip, skip + rows) of the batch */
    int                     shards;
    const int64_t          *bound; /* shards + 1 positions, from 0 to rows */
    int                     groups;
    const ls_group         *group; /* `offset` counts from `grads`, floats */
    float                  *grads; /* gradient block of slot 0 */
    const float            *sums;  /* gradient block that receives sums over the batch; NULL: `grads` */
    bool                    training;
    bool                    idle; /* run only the CALL instructions, in which other ranks take part */
    uint64_t                seed;
    int64_t                 step;
    int64_t                 first_sample;  /* index of sample `skip` within the global batch */
    int                     micro, micros; /* index and number of the micro-batches of the step */
    double                 *seconds;       /* (optional) the time of instruction i is added to seconds[i] */
    ls_flight              *flight;        /* (optional) recorder of instructions */
    const ls_progress_hook *poller;        /* (optional) called between instructions and within long ones */
};

#endif
