/* SPDX-License-Identifier: Apache-2.0
 *
 * The stages that set up a run: ranks, recipe, data, graph, trainer.  Called in this order; each returns the same
 * status on every rank:
 *
 *     ls_run run;
 *     LS_TRY_GOTO(status, ls_run_start(&run, comm), done);                     instruction set, threads, watchdog
 *     LS_TRY_GOTO(status, ls_run_recipe(&run, name, n, overrides), done);      recipe, the same on all ranks
 *     LS_TRY_GOTO(status, ls_run_data(&run, LS_SPLITS_BOTH), done);
 *     LS_TRY_GOTO(status, ls_run_graph(&run), done);                           model, loss, parameter layout
 *     LS_TRY_GOTO(status, ls_run_trainer(&run), done);
 *     done: ls_run_close(&run);
 */
#ifndef LS_LAUNCH_RUN_RUN_SETUP_H
#define LS_LAUNCH_RUN_RUN_SETUP_H

#include <limits.h>

#include "core/base/arena.h"
#include "core/base/isa.h"
#include "core/cpu/gemm/product_table.h"
#include "datasets/datasets.h"
#include "dist/comm/comm.h"
#include "dist/dist.h"
#include "launch/recipe/recipe.h"
#include "launch/lockstep.h"

typedef struct ls_task ls_task;

struct ls_run {
    ls_arena       *memory; /* names and small lists of the run                                                   */
    ls_comm        *comm;   /* belongs to the caller                                                              */
    int             rank, ranks, threads; /* threads: of this rank                                                */
    bool            is_root;              /* rank 0, which prints and writes                                      */
    ls_recipe      *recipe;
    const ls_task  *task;                    /* set with the data                                                 */
    const char     *directory;               /* run directory of an opened model; NULL: a run from a recipe       */
    ls_dataset     *train, *test;            /* test: the held-out split, whatever its name                       */
    ls_dataset_info data;                    /* of the first split that is open, or of the dataset card           */
    int64_t         train_count, test_count; /* samples of an epoch of each split                                 */
    const ls_product_table *products;        /* libraries of matrix products; NULL: none                     */
    const char             *products_text;   /* their names; NULL: none                                      */
    ls_graph               *graph;
    ls_tensor              *loss;
    ls_tensor    *logits;     /* output of the model: logits or predicted values; NULL for text                     */
    ls_tensor    *label;      /* classes, for accuracy; NULL: none                                                  */
    char          layout[17]; /* digest of the parameters' names and shapes, hexadecimal                        */
    ls_trainer   *trainer;
    bool          averaged;  /* the trainer holds the average of the parameters (optim.ema)                     */
    ls_params    *loaded;    /* parameters of a folder of Hugging Face, which has no trainer; else NULL         */
    ls_scaler    *scaler;    /* normalisation of arrays; NULL for other data                                    */
    ls_tokenizer *tokenizer; /* of a language model or of the target, once it is needed                       */
    ls_tokenizer *source_tokenizer; /* of a model of translation, likewise                                    */
    const char   *origin;           /* the recipe's model.pretrained, also of a run that is continued or opened       */
    const char   *loading;          /* table of the tensors that model.pretrained has loaded; NULL: none             */
    const char   *examined;         /* section of report.html that the task has written (rank 0); NULL: none         */
    int           shards;           /* virtual shards of the global batch                               */
    int64_t       epoch_steps, total_steps; /* steps of an epoch, of the run                                    */
};

/* LS_TRY for a call that only some ranks make, or that fails on some ranks only.  COLLECTIVE: every rank must reach it.
 * It exchanges the status of all ranks; when `call` failed on any rank, every rank returns from the calling function
 * with the error of the lowest such rank. */
#define LS_TRY_COLLECTIVE(run, call) LS_TRY(ls_comm_agree((run)->comm, (call)))

/* Sets up a run on the ranks of `comm`: agrees on the instruction set, chooses the number of threads, starts the
 * watchdog.  Collective. */
ls_status ls_run_start(ls_run *run, ls_comm *comm);
/* Loads a recipe and checks that all ranks have the same.  Collective. */
ls_status ls_run_recipe(ls_run *run, const char *recipe, int overrides, char *const *override);
/* The same for a recipe that is loaded; the run owns it from here on.  Collective. */
ls_status ls_run_set_recipe(ls_run *run, ls_recipe *recipe);
/* Loads the recipe of a run directory, or of a checkpoint in it.  Sets `folder` to the run directory and *step to the
 * checkpoint's step; -1: `path` names the directory.  Collective. */
ls_status ls_run_find(ls_run *run, const char *path, int overrides, char *const *override, char folder[PATH_MAX],
                      int64_t *step);

/* Sets the precision of inference: "float32" or "bfloat16"; NULL: that of the recipe.  Call before ls_run_graph.
 * Collective. */
ls_status ls_run_set_precision(ls_run *run, const char *precision);

/* Loads the trainer's parameters from the run directory: from checkpoint `step`, or with -1 from the newest checkpoint,
 * or where there is none from model.safetensors.  *from names the file, in the arena of the run.  Collective. */
ls_status ls_run_load(ls_run *run, const char *folder, int64_t step, const char **from);

/* With optim.ema: exchanges the parameters of a training with their average, for an evaluation; a second call restores
 * them.  A loaded model holds the average already, and nothing is done.  Collective. */
ls_status ls_run_swap_average(ls_run *run);

typedef enum ls_splits { LS_SPLITS_TRAIN = 1, LS_SPLITS_TEST = 2, LS_SPLITS_BOTH = 3 } ls_splits;
/* Opens splits of the recipe's dataset and computes the steps of an epoch and of the run.  Collective. */
ls_status ls_run_data(ls_run *run, ls_splits splits);
/* The same for commands that need shapes and not values: where the data are absent and the recipe determines their
 * shapes, opens a stand-in with pseudo-random values as the training split, and prints a note.  Collective. */
ls_status ls_run_data_or_shapes(ls_run *run, ls_splits splits);
/* Chooses the libraries of matrix products, if train.reproducible is false.  Call before ls_run_graph; without it no
 * library is used.  Collective. */
ls_status ls_run_products(ls_run *run);
/* Builds model and loss.  Collective. */
ls_status ls_run_graph(ls_run *run);
/* Creates the trainer and loads model.pretrained.  Collective. */
ls_status ls_run_trainer(ls_run *run);
/* Number of threads of a loader (data.loader_threads). */
int ls_run_loader_threads(const ls_run *run);

/* Opens a loader and returns this rank's part of the first batch, valid until the loader's next batch.  Collective. */
ls_status ls_run_first_batch(ls_run *run, ls_loader **loader, ls_batch *batch);
/* Frees everything but the communicator. */
void ls_run_close(ls_run *run);

/* Passes the recipe's settings to the watchdog.  folder: where crash reports go; NULL: none are written. */
ls_status ls_run_watch(ls_run *run, const char *folder);

/* Records the phase of this rank for the watchdog, from ls_run_phase_begin until ls_run_phase_end.  step 0: as
 * before. */
static inline void ls_run_phase_begin(ls_run *run, ls_phase phase, const char *what, int64_t step)
{
    ls__flight_begin(run->comm->flight, &(ls_flight_note){.phase = phase, .what = what, .step = step});
}
static inline void ls_run_phase_end(ls_run *run) { ls__flight_end(run->comm->flight); }

/* LS_TRY for a call that is a phase of its own for the watchdog. */
#define LS_TRY_IN_PHASE(run, phase, what, call)                                                                        \
    do {                                                                                                               \
        ls_run_phase_begin((run), (phase), (what), 0);                                                                 \
        ls_status in_phase_status_ = (call);                                                                           \
        ls_run_phase_end(run);                                                                                         \
        LS_TRY(in_phase_status_);                                                                                      \
    } while (0)

/* Describes the data: "15683 + 1742 windows of 64 tokens, a vocabulary of 65". */
const char *ls_run_samples_text(const ls_run *run);
/* Samples of a global batch of evaluations. */
int64_t ls_run_eval_batch(const ls_run *run);
/* Maximum of a value over all ranks.  Collective. */
ls_status ls_run_maximum(ls_run *run, uint64_t mine, uint64_t *maximum);

/* Options of the trainer that ls_run_trainer creates. */
ls_trainer_options ls_run_trainer_options(const ls_run *run);
/* Creates the trainer of the run, and reserves memory for checkpoints that are written in the background. */
ls_status ls_run_new_trainer(ls_run *run, const ls_trainer_options *options);

#endif
