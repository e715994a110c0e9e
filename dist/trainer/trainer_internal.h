/* SPDX-License-Identifier: Apache-2.0
 * Between the files of the trainer.  Not public.
 *
 *     dist/trainer/trainer.c          the public functions: a step, an evaluation
 *     dist/trainer/trainer_build.c    the programs with their collectives, and all memory
 *     dist/trainer/trainer_update.c   what the collectives and the update do, as instructions
 *     dist/trainer/trainer_state.c    who has which part of the optimizer's state, and of the gradient; memory
 *     dist/trainer/replica_check.c  whether all ranks have the same parameters
 */
#ifndef LS_DIST_TRAINER_TRAINER_INTERNAL_H
#define LS_DIST_TRAINER_TRAINER_INTERNAL_H

#include "dist/allreduce/buckets.h"
#include "dist/comm/comm.h"
#include "dist/trainer/zero2_buffers.h"
#include "dist/trainer/trainer.h"
#include "dist/allreduce/allreduce.h"
#include "dist/allreduce/shared_memory.h"

/* The header of a gradient block: sums over samples; and sums over ranks, of small whole numbers, which are exact in
 * any order. */
enum {
    HEAD_LOSS,
    HEAD_WEIGHT,
    HEAD_HITS,
    HEAD_JUDGED,
    HEAD_SUMS,
    HEAD_FAILED = HEAD_SUMS,
    HEAD_VOTES,
    HEAD_USED = HEAD_VOTES + LS_VOTES
};
enum { NORM_BLOCK = LS_PARAM_ALIGN };

/* A run of the parameter block with one learning rate and weight decay. */
typedef struct span {
    size_t offset, count;
    float  lr_scale, weight_decay;
} span;

/* A program, the tree that sums what it makes, and what a run of it needs. */
typedef struct phase {
    ls_program       *program;
    ls_allreduce     *tree;
    ls_shared_memory *window; /* holds the gradients */
    float            *grads;
    size_t            stride; /* floats between the blocks of two slots */
    int               micros;
    ls_execution      run;
} phase;

/* What a rank updates of the parameter block, and has optimizer state for. */
typedef struct holding {
    int      runs;
    ls_kept *run; /* by offset */
    size_t   count;
} holding;

struct ls_trainer {
    ls_comm            *comm;
    bool                own_comm;
    ls_graph           *graph;
    ls_params          *params;
    ls_shared_memory   *values; /* the parameters: of a host's first rank, where memory is shared */
    ls_tensor          *loss;
    ls_trainer_options  options;
    phase               train, eval;
    ls_block            states, arena, snapshot;
    int                 n_states, n_spans, n_buckets;
    span               *span;
    ls_bucket          *bucket; /* in the order in which they are complete    */
    struct bucket_call *calls;  /* what sums them                             */
    bool                staged; /* buckets take turns in memory, and this rank's part of the totals is elsewhere: */
    ls_block            totals; /* as the optimizer's state is                */
    int64_t             bucket_most; /* bytes; 0: any                             */
    bool                links;       /* between ranks: not all are on one host   */
    ls_allreduce_output keep;
    holding            *holding;   /* of each rank; without `spread` of this one only */
    holding             kept;      /* this one's                                 */
    bool                spread;    /* ranks divide the update                    */
    double             *norm_part; /* of each block                              */
    double             *norm_mine, *norm_all;
    size_t              norm_room; /* of a rank in norm_all                      */
    ls_progress_hook    poller;    /* lets sums go on while instructions run */
    ls_group           *group;
    int64_t            *bound;
    float              *leaf; /* HEAD_SUMS floats per shard */
    int64_t             steps;
    ls_step_flags       word; /* of this rank in this step                  */
    ls_tally            told; /* of all ranks                               */
    ls_metrics          metrics;
    int                 skipped; /* steps in a row                             */
    double             *seconds;
    double              bucket_s; /* how long the sum of a bucket was found to take; 0: it was not looked for */
};

typedef struct bucket_call {
    ls_trainer     *trainer;
    phase          *phase;
    ls_bucket       bucket;
    bool            last;   /* after it the sums are needed                              */
    ls_zero2_buffer stage;  /* where it is in the gradient block                         */
    int64_t         shift;  /* from there to its total                                   */
    int64_t         plus;   /* from its total to the one that is added to it; 0: none    */
    uint64_t        number; /* of its sum: see ls__allreduce_begun                            */
} bucket_call;

/* Instructions of a step: loss, weight and hits of each shard, and this rank's word; a bucket's sum over all ranks; the
 * update. */
ls_status ls__trainer_sum_loss(void *context, const ls_execution *run);
ls_status ls__trainer_reduce(void *context, const ls_execution *run);
ls_status ls__trainer_wait(void               *context,
                           const ls_execution *run); /* for the sum of another bucket, whose memory is needed */
ls_status ls__trainer_update(void *context, const ls_execution *run);

/* What the header of a phase's gradients says. */
void ls__trainer_read_head(ls_metrics *m, const float *head);

/* Checks the options, and fills in their defaults. */
ls_status ls__trainer_check_options(ls_trainer *t);
/* Parameters; of this rank alone. */
ls_status ls__trainer_lay_out(ls_trainer *t);
/* Programs and their memory; of this rank alone. */
ls_status ls__trainer_build(ls_trainer *t);
/* What is shared with other ranks, and what follows from it.  Collective. */
ls_status ls__trainer_make_memory(ls_trainer *t);

/* Every rank has the same parameters; LS_ERR_ENV with the first that differs, and on which ranks.  Collective. */
ls_status ls__trainer_check_replicas(ls_trainer *t);

/* Who updates what; after the trees know whom memory is shared with. */
void ls__trainer_find_shares(ls_trainer *t);

/* Memory for the totals of what this rank updates, where buckets take turns. */
ls_status ls__trainer_make_totals(ls_trainer *t);
/* The totals of one of the runs that this rank updates. */
float *ls__trainer_totals(const ls_trainer *t, const ls_kept *run);

#endif
