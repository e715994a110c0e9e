/* SPDX-License-Identifier: Apache-2.0
 *
 * The struct of a trainer, and the functions between its files.  Not public.
 *
 *     dist/trainer/trainer_create.c     creation and destruction
 *     dist/trainer/trainer_step.c       one step, one evaluation
 *     dist/trainer/trainer_build.c      options, programs with their collectives, shared memory
 *     dist/trainer/trainer_update.c     the instructions of a step: loss sums, all-reduce, update
 *     dist/trainer/trainer_matrices.c   hidden matrices of the optimizer muon: which rank orthogonalises which
 *     dist/trainer/trainer_partition.c  which rank updates which parameters; positions of gradients and state
 *     dist/trainer/trainer_fit.c        recomputation for a limit of memory
 *     dist/trainer/trainer_memory.c     sizes of the memory
 *     dist/trainer/replica_check.c      comparison of the parameters of all ranks
 *     dist/trainer/zero2_buffers.c      positions of buckets that share memory (ZeRO stage 2)
 */
#ifndef LS_DIST_TRAINER_TRAINER_INTERNAL_H
#define LS_DIST_TRAINER_TRAINER_INTERNAL_H

#include "dist/allreduce/allreduce.h"
#include "dist/allreduce/buckets.h"
#include "dist/allreduce/shared_memory.h"
#include "dist/comm/comm.h"
#include "dist/trainer/trainer.h"
#include "dist/trainer/zero2_buffers.h"

/* The header of a gradient block: sums over samples, then sums over ranks.  The latter are small integers, which are
 * exact in any order of additions. */
enum {
    HEADER_LOSS,
    HEADER_WEIGHT,  /* divisor of the loss */
    HEADER_CORRECT, /* targets whose largest logit is theirs */
    HEADER_TARGETS, /* targets that are not ignored */
    HEADER_SAMPLE_SUMS,
    HEADER_FAILED = HEADER_SAMPLE_SUMS, /* ranks with an error */
    HEADER_CONTROL,                     /* ranks that set each control flag */
    HEADER_USED = HEADER_CONTROL + LS_CONTROL_FLAGS
};
_Static_assert((int)HEADER_USED <= (int)LS_HEADER, "the header has no room for all sums");

/* Floats with a sum of squares of their own in the norm of the gradient. */
enum { NORM_BLOCK = LS_PARAM_ALIGN };

/* Parameters with one learning rate and weight decay. */
typedef struct optim_range {
    ls_range range;
    float    lr_scale, weight_decay;
    float    trust_ratio; /* optimizer lars: of the parameter, in this step */
    int64_t  rows, cols;  /* optimizer muon: dims of the hidden matrix at the start of the range; 0: no matrix */
} optim_range;

/* The partition of a rank: the parameters that it updates and has optimizer state for.  The ranges are by offset, not
 * adjacent, at multiples of LS_PARAM_ALIGN. */
typedef struct partition {
    int       ranges;
    ls_range *range;        /* in the parameter block */
    int64_t  *state_offset; /* floats of the ranges before each range */
    int64_t   count;        /* floats of all ranges */
} partition;

/* A range of this rank's partition with one set of settings.  Its gradient and its states are contiguous. */
typedef struct update_piece {
    const optim_range *optim;
    ls_range           range;                      /* in the parameter block */
    int64_t            grad;                       /* start in ls__allreduce_output */
    int64_t            state[LS_MAX_OPTIM_STATES]; /* start in the state block; -1: no such state */
} update_piece;

/* A hidden matrix of the optimizer muon. */
typedef struct owned_matrix {
    const optim_range *optim;
    double             flops; /* of its orthogonalisation */
    int                owner; /* rank */
} owned_matrix;

/* The training step or the evaluation. */
typedef struct phase {
    ls_program       *program;
    ls_allreduce     *allreduce;
    ls_shared_memory *memory; /* holds the gradient blocks */
    float            *grads;  /* block 0 */
    size_t            stride; /* floats between two blocks */
    int               micros; /* micro-steps of a step */
    ls_execution      run;
} phase;

/* The all-reduce of one bucket as an instruction. */
typedef struct bucket_call {
    ls_trainer     *trainer;
    phase          *phase;
    ls_bucket       bucket;
    bool            last;         /* the last bucket of the step: waits for all sums */
    ls_zero2_buffer buffer;       /* position in the gradient block */
    int64_t         output_shift; /* see ls_allreduce_request */
    int64_t         addend_shift;
    uint64_t        number; /* buckets begun when it was begun (ls__allreduce_begun) */
} bucket_call;

/* The all-reduce of the sums of a node over the batch, or of all sums over groups, as an instruction. */
typedef struct batch_sums_call {
    ls_trainer    *trainer;
    const ls_node *node;  /* NULL: of all nodes with groups */
    ls_range       range; /* in the layout of ls_params */
} batch_sums_call;

struct ls_trainer {
    ls_arena         *arena; /* holds the trainer itself */
    ls_comm          *comm;
    bool              own_comm;
    ls_graph         *graph;
    ls_params        *params;
    ls_shared_memory *values;      /* the parameters: one block per host, where memory is shared */
    ls_shared_memory *copy;        /* their bfloat16 copy, likewise; NULL: none */
    bool              renews_copy; /* the ranks that share a copy update all parameters, and renew the copy meanwhile */
    ls_tensor        *loss;
    ls_trainer_options options;
    phase              train, eval;
    ls_block           arena_block; /* activations of a step */

    int64_t       sums_shift; /* from the layout of ls_params to the gradient block, for sums over the batch */
    int           optim_ranges;
    optim_range  *optim_range;
    int           states; /* names of optimizer states */
    int           pieces; /* of this rank's partition, by offset */
    update_piece *piece;
    ls_block      state_block;
    ls_block      snapshot;

    bool         links; /* the ranks are on several hosts */
    int          buckets;
    bucket_call *bucket; /* by the position at which they are complete */
    double       bucket_seconds;
    int64_t      max_bucket_bytes; /* 0: no limit */
    int64_t      least_memory;     /* bytes that this rank needs, if options.memory is less; 0: it suffices */
    bool         zero2;            /* buckets share memory, and the summed gradient is partitioned */
    ls_block     summed_gradient;  /* zero2: the sums of this rank's partition, in the layout of a state block */

    ls_allreduce_output output;
    bool                divided;   /* the ranks divide the update */
    partition          *partition; /* of each rank; unless `divided` only of rank 0 and of this rank */
    partition           own;       /* of this rank */

    int               matrices; /* optimizer muon: hidden matrices, by offset */
    owned_matrix     *matrix;
    ls_range          span;       /* zero2: range of the parameter block that holds all matrices */
    ls_shared_memory *directions; /* zero2: memory for that range, one block per host where memory is shared */
    ls_block          orthogonal; /* workspace of the orthogonalisation */
    float            *exchange;   /* several hosts: chunks of matrices, of this rank and then of all ranks */

    double *square_of_params; /* optimizer lars: sum of squares of the parameters of each block of NORM_BLOCK floats */
    double *norm_block;       /* sum of squares of each block of NORM_BLOCK floats */
    double *norm_send;        /* those of this rank */
    double *norm_all;         /* those of all ranks, norm_room for each */
    size_t  norm_room;

    ls_progress_hook poller; /* advances the all-reduce inside instructions */
    ls_group        *group;
    int64_t         *bound;
    float           *shard_sums; /* HEADER_SAMPLE_SUMS floats for each shard */

    int64_t             steps;
    ls_step_flags       flags; /* of this rank, in this step */
    ls_step_flag_counts counts;
    ls_metrics          metrics;
    int                 skipped; /* consecutive skipped steps */
    double             *seconds; /* see ls__trainer_time */
};

/* Instructions of a step: sums of loss, weight and correct targets over the samples, and the step flags; the all-reduce
 * of the sums of an op over the batch; that of the sums of all ops over groups; the all-reduce of a bucket; waiting
 * until the buffer of another bucket has been read; the update. */
ls_status ls__trainer_sum_loss(void *context, const ls_execution *run);
ls_status ls__trainer_sum_batch(void *context, const ls_execution *run);
ls_status ls__trainer_sum_groups(void *context, const ls_execution *run);
ls_status ls__trainer_reduce(void *context, const ls_execution *run);
ls_status ls__trainer_wait(void *context, const ls_execution *run);
ls_status ls__trainer_update(void *context, const ls_execution *run);

/* Computes loss, weight and accuracy from the sum of the header. */
void ls__trainer_read_header(ls_metrics *m, const float *header);

/* The parts of ls__trainer_new.  Those that say so are collective. */
ls_status ls__trainer_check_options(ls_trainer *t);
ls_status ls__trainer_lay_out(ls_trainer *t);
ls_status ls__trainer_build(ls_trainer *t); /* programs and their memory */
/* Builds the program of a step, again if there is one, for an arena of `arena_bytes`; 0: no limit. */
ls_status ls__trainer_build_step(ls_trainer *t, size_t arena_bytes);
/* Recomputes values until the planned memory is at most options.memory.  Sets least_memory if it cannot. */
ls_status ls__trainer_fit_memory(ls_trainer *t);
ls_status ls__trainer_check_memory(ls_trainer *t); /* LS_ERR_USAGE: options.memory is too small.  Collective */
ls_status ls__trainer_make_memory(ls_trainer *t);  /* shared memory, partitions, optimizer state.  Collective */

/* Checks that all ranks have the same parameters; LS_ERR_ENV names the first that differs and the ranks.  Collective.
 */
ls_status ls__trainer_check_replicas(ls_trainer *t);

/* Computes the partitions of the ranks.  The all-reduce must know its hosts. */
void ls__trainer_find_partitions(ls_trainer *t);
/* The floats of the summed gradient on the rank with the largest partition, which is the last rank. */
int64_t ls__trainer_largest_partition(const ls_trainer *t);
/* The bytes of all gradient blocks of a rank. */
size_t ls__trainer_gradient_bytes(const phase *ph);
/* zero2: allocates the summed gradient, and computes the output positions of all buckets. */
ls_status ls__trainer_place_outputs(ls_trainer *t);
/* The pieces of this rank's partition, and the size of its optimizer state, floats. */
int64_t ls__trainer_find_pieces(ls_trainer *t);
/* The summed gradient of range `i` of this rank's partition. */
float *ls__trainer_gradient(const ls_trainer *t, int i);

/* ---- optimizer muon ---------------------------------------------------------------------------------------------- */

/* Chooses the owners of the hidden matrices. */
void ls__trainer_find_owners(ls_trainer *t);
/* Allocates the memory for directions.  Collective. */
ls_status ls__trainer_make_directions(ls_trainer *t, ls_shared_memory_mode mode);
/* Allocates the workspace. */
ls_status ls__trainer_make_orthogonal(ls_trainer *t);
/* Upper limit of both, bytes. */
size_t ls__trainer_matrix_bytes(const ls_trainer *t);
/* Renews the momentum of all hidden matrices, and orthogonalises it.  Collective. */
ls_status ls__trainer_orthogonalise(ls_trainer *t, double grad_scale);
/* The orthogonalised matrices at an offset of the parameter block. */
float *ls__trainer_directions(const ls_trainer *t, int64_t offset);
/* The arguments of a step of a piece: with its summed gradient. */
ls_optim_step ls__trainer_step_of(const ls_trainer *t, const update_piece *p, double grad_scale);

#endif
