/* SPDX-License-Identifier: Apache-2.0
 *
 * A step as a flat list of instructions, its memory, and its execution.  Not public.
 *
 *     ls_program *p;
 *     LS_TRY(ls__program_new(&p, graph, params, &(ls_program_options){.loss = loss, .max_rows = 64, .max_shards = 8}));
 *     LS_TRY(ls__program_insert(p, ls__program_ready(p, offset, count), &(ls_instr){.kind = LS_INSTR_CALL, ...}));
 *     LS_TRY(ls__program_plan(p));                 every tensor has an offset now
 *     LS_TRY(ls__program_bind(p, arena));          arena: p->arena_bytes; states are zero now
 *     LS_TRY(ls__program_run(p, &run));            as often as you like; allocates nothing
 *
 * Compiling walks the nodes that the outputs need in order (forward), then in reverse (backward); planning gives every
 * buffer an offset in one arena by its lifetime.
 */
#ifndef LS_CORE_GRAPH_PROGRAM_H
#define LS_CORE_GRAPH_PROGRAM_H

#include <stdio.h>

#include "core/base/flight_recorder.h"
#include "core/base/progress_hook.h"
#include "core/graph/params.h"

typedef struct ls_program   ls_program;
typedef struct ls_execution ls_execution;

typedef enum ls_instr_kind {
    LS_INSTR_FORWARD,
    LS_INSTR_RECOMPUTE, /* forward once more, for the backward instruction that follows: what it makes was not kept */
    LS_INSTR_BACKWARD,
    LS_INSTR_FOLD, /* the gradient of a parameter with several uses: its per-shard leaves are added up as a tree */
    LS_INSTR_CALL  /* something from above core: a collective, the update */
} ls_instr_kind;
enum { LS_INSTR_KINDS = LS_INSTR_CALL + 1 };

typedef struct ls_instr {
    ls_instr_kind    kind;
    const char      *name;
    const ls_node   *node;          /* forward, backward                                         */
    int              in[LS_MAX_IN]; /* buffers, -1: none.  call: what it reads (fill with tensors) */
    int              out[LS_MAX_OUT];
    int              dout[LS_MAX_OUT];
    int              din[LS_MAX_IN];
    bool             add[LS_MAX_IN];
    int              slot;             /* fold: of the parameter                                    */
    const ls_tensor *reads[LS_MAX_IN]; /* call: tensors whose values must still be there; NULL ends  */
    ls_status (*call)(void *context, const ls_execution *run);
    void  *context;
    size_t offset, count; /* call: the range of the gradient block that it is about, in floats; fold: where it writes */
    ls_phase    phase;    /* call: LS_PHASE_REDUCE of a collective; LS_PHASE_NONE: a part of the update */
    const char *label;    /* what people see: "conv1 (conv2d)", "all-reduce 2 (fc1.weight .. conv2.bias)"; NULL: name */
    size_t      scratch, at; /* bytes of workspace, and where in the arena                */
    size_t      lent, from;  /* bytes that the gradient block lends besides, and from where on, in floats */
    double      flops;       /* per sample                                                */
} ls_instr;

typedef enum ls_place {
    LS_PLACE_STEP,
    LS_PLACE_INPUT,
    LS_PLACE_PARAM,
    LS_PLACE_GRAD,
    LS_PLACE_STATE,
    LS_PLACE_ONES
} ls_place;

/* Memory with a name and a lifetime. */
typedef struct ls_buffer {
    const char      *name;
    const ls_tensor *tensor;
    ls_place         place;
    bool             gradient;
    size_t           row_bytes;  /* of one sample; 0 when not batched               */
    size_t           bytes;      /* of max_rows samples                             */
    int              born, last; /* instructions, both inclusive                    */
    int              home;       /* the buffer whose memory this is (in place); itself otherwise */
    size_t           offset;     /* step, state: bytes in the arena; param, grad: floats in the block */
} ls_buffer;

typedef struct ls_program_options {
    ls_tensor *const *output; /* kept until the end of the run */
    int               outputs;
    ls_tensor        *loss;     /* NULL: forward only            */
    int64_t           max_rows; /* samples of a run, at most     */
    int               max_shards;
    bool lends; /* a run begins with gradients that nobody needs: ops may use the memory of those that it has not made
                   yet */
    ls_device device;
} ls_program_options;

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
    int               *value_of, *grad_of; /* buffer by index of the root tensor; -1: none    */
    int               *again_of;           /* of the value that is computed again; -1: none   */
    bool              *spared;             /* by node: dear to compute again, yet not kept    */
    int               *uses;               /* parts of the gradient, by index of the root tensor; NULL without a loss */
    ls_tensor        **input;
    int                inputs;
    ls_group          *leaf_group; /* one per shard, for parameters with several uses */
    int                threads;
    size_t             arena_bytes, state_bytes;
    size_t             scratch_bytes; /* of the instruction that has most: within arena_bytes */
    size_t             high_water;    /* of the arena, touched so far                    */
    unsigned char     *arena;
    ls_block           ones, state; /* state: what is kept from run to run, its own */
    const ls_program  *shares;      /* whose states these are; NULL: its own         */
};

/* One execution. */
struct ls_execution {
    const ls_batch         *batch;      /* inputs by name; rows may be fewer than batch->rows when `skip` is set */
    int64_t                 skip, rows; /* samples [skip, skip + rows) of the batch                              */
    int                     shards;
    const int64_t          *bound; /* shards + 1, from 0 to rows                                            */
    int                     groups;
    const ls_group         *group; /* offsets in floats from `grads`                                        */
    float                  *grads; /* the gradient block of slot 0                                          */
    bool                    training;
    bool                    idle; /* nothing is computed: only the calls are made, as other ranks count on them */
    uint64_t                seed;
    int64_t                 step;
    int64_t                 first_sample;  /* of sample `skip`, within the global batch                             */
    int                     micro, micros; /* which of the step's micro-steps this is                               */
    double                 *seconds;       /* (optional) time of each instruction is added here                     */
    ls_flight              *flight;        /* (optional) every instruction is noted here                            */
    const ls_progress_hook *poller;        /* (optional) called between instructions, and within long ones          */
};

ls_status ls__program_new(ls_program **p, ls_graph *g, ls_params *params, const ls_program_options *options);
void      ls__program_free(ls_program *p);

/* The position after the last instruction that writes into the floats [offset, offset + count) of the gradient block.
 */
int ls__program_ready(const ls_program *p, size_t offset, size_t count);
/* The position of the first one that does; the end when none does. */
int ls__program_first_write(const ls_program *p, size_t offset, size_t count);
/* The position where all outputs and the loss are known: after forward, or after the backward instruction that makes
 * the loss. */
int       ls__program_loss_known(const ls_program *p);
ls_status ls__program_insert(ls_program *p, int at, const ls_instr *instr);

/* The floats [offset, offset + count) of the gradient block. */
typedef struct ls_grad_range {
    size_t offset, count;
} ls_grad_range;
/* What of a range no instruction writes, to `out` (one more than there are parameters, at most), in order; how many. */
int ls__program_gaps(const ls_program *p, size_t offset, size_t count, ls_grad_range *out);
/* From now on instructions write the gradients of range[i] from to[i] on.  Nothing is asked about ranges or inserted
 * for them after that. */
void ls__program_move_gradients(ls_program *p, const ls_grad_range *range, const size_t *to, int n);

/* Lifetimes, in-place, offsets (core/graph/planner.c). */
ls_status ls__program_plan(ls_program *p);
/* Bytes of the arena that live while instruction *at runs, which is the one with most. */
size_t ls__program_peak(ls_program *p, int *at);
/* The node whose value, of those that live during instruction `at`, is the best one to compute again
 * (core/graph/recompute.c); NULL: none. */
const ls_node *ls__program_spare(const ls_program *p, int at);
/* Whether all that is needed to compute out[0] of `n` again is there when its backward runs. */
bool ls__program_can_recompute(const ls_program *p, const ls_node *n);
/* Gives the arena; several programs may share one.  Takes memory for the states, and zeroes it. */
ls_status ls__program_bind(ls_program *p, void *arena);
/* The states of `p` are those of `with`, which must have the same ones. */
ls_status ls__program_share_state(ls_program *p, const ls_program *with);
/* Zeroes the states. */
void      ls__program_reset(ls_program *p);
ls_status ls__program_run(ls_program *p, const ls_execution *run);

/* Values of a tensor in the run just made (or in a CALL that reads it). */
void *ls__program_value(const ls_program *p, const ls_execution *run, const ls_tensor *t);

extern const char *const ls__instr_kind[LS_INSTR_KINDS];
/* What each instruction reads and writes, one line each; and the memory plan (core/graph/print_program.c). */
void ls__program_print(const ls_program *p, FILE *to);
void ls__plan_print(const ls_program *p, FILE *to);
#endif
