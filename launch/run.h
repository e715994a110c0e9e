/* SPDX-License-Identifier: Apache-2.0
 *
 * What train, eval, predict, explain and bench have in common: the ranks, the recipe, the data, the graph, the trainer.
 * Stages, in this order; each returns the same status on every rank:
 *
 *     ls_job  j;
 *     ls_args args;
 *     LS_TRY_GOTO(status, ls_job_start(&j, &args, argc, argv), done);        communicator, instruction set, threads
 *     LS_TRY_GOTO(status, ls_job_recipe(&j, name, n, overrides), done);      recipe, the same on all ranks
 *     LS_TRY_GOTO(status, ls_job_data(&j, LS_SPLITS_BOTH), done);
 *     LS_TRY_GOTO(status, ls_job_graph(&j), done);                           model, loss, parameter layout
 *     LS_TRY_GOTO(status, ls_job_trainer(&j), done);
 *     done: ls_job_free(&j);
 */
#ifndef LS_LAUNCH_RUN_H
#define LS_LAUNCH_RUN_H

#include <limits.h>

#include "core/base/arena.h"
#include "datasets/datasets.h"
#include "dist/dist.h"
#include "launch/commands.h"
#include "launch/recipe.h"

typedef struct ls_job {
    ls_arena       *memory;
    ls_comm        *comm;
    int             rank, ranks, threads;
    bool            first;                    /* rank 0: the one that speaks and writes      */
    ls_recipe      *recipe;
    ls_dataset     *train, *test;
    ls_dataset_info data;                     /* of the first split that is open             */
    int64_t         train_count, test_count;  /* samples                                     */
    ls_graph       *graph;
    ls_tensor      *image, *label, *logits, *loss;
    char            layout[17];               /* digest of the parameters' names and shapes  */
    ls_trainer     *trainer;
    int             shards;                   /* virtual shards of the global batch          */
    int64_t         epoch_steps, total_steps; /* of an epoch, of the run                     */
} ls_job;

/* Returns from the calling function, on every rank, when `call` failed on any. */
#define LS_AGREE(j, call) LS_TRY(ls_comm_agree((j)->comm, (call)))

ls_status ls_job_start(ls_job *j, ls_args *args, int argc, char **argv);
ls_status ls_job_recipe(ls_job *j, const char *recipe, int overrides, char *const *override);
/* The recipe of a run's folder, or of a checkpoint in it; *folder is the run's folder, *step the checkpoint's step or -1. */
ls_status ls_job_run(ls_job *j, const char *path, int overrides, char *const *override, char folder[PATH_MAX], int64_t *step);

typedef enum ls_splits { LS_SPLITS_TRAIN = 1, LS_SPLITS_TEST = 2, LS_SPLITS_BOTH = 3 } ls_splits;
ls_status ls_job_data(ls_job *j, ls_splits splits);
ls_status ls_job_graph(ls_job *j);
ls_status ls_job_trainer(ls_job *j);
void      ls_job_free(ls_job *j);

/* Loss and accuracy over a whole split.  Collective. */
ls_status ls_job_evaluate(ls_job *j, ls_dataset *split, double *loss, double *accuracy);

/* The largest of a figure over all ranks.  Collective. */
ls_status ls_job_most(ls_job *j, uint64_t mine, uint64_t *most);

/* "Example CPU 9000", from /proc/cpuinfo; "" when it does not say. */
const char *ls_processor_name(void);

/* "12.3 MiB", in a ring of thread-local buffers. */
const char *ls_bytes_text(double bytes);

/* The options of the trainer that ls_job_trainer makes, for `ranks` ranks (explain). */
ls_trainer_options ls_job_trainer_options(const ls_job *j);

#endif
