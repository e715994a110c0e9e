/* SPDX-License-Identifier: Apache-2.0
 *
 * What train, eval, predict, explain and bench have in common: the ranks, the recipe, the data, the graph, the trainer.
 * Stages, in this order; each returns the same status on every rank:
 *
 *     ls_run  j;
 *     ls_args args;
 *     LS_TRY_GOTO(status, ls_run_start(&j, &args, argc, argv), done);        communicator, instruction set, threads
 *     LS_TRY_GOTO(status, ls_run_recipe(&j, name, n, overrides), done);      recipe, the same on all ranks
 *     LS_TRY_GOTO(status, ls_run_data(&j, LS_SPLITS_BOTH), done);
 *     LS_TRY_GOTO(status, ls_run_graph(&j), done);                           model, loss, parameter layout
 *     LS_TRY_GOTO(status, ls_run_trainer(&j), done);
 *     done: ls_run_free(&j, status);
 */
#ifndef LS_LAUNCH_RUN_RUN_SETUP_H
#define LS_LAUNCH_RUN_RUN_SETUP_H

#include <limits.h>

#include "core/base/arena.h"
#include "core/base/isa.h"
#include "datasets/datasets.h"
#include "dist/dist.h"
#include "dist/comm/comm.h"
#include "launch/commands/command_table.h"
#include "launch/recipe/recipe.h"

typedef struct ls_run {
    ls_arena       *memory;
    ls_comm        *comm;
    int             rank, ranks, threads;
    bool            first; /* rank 0: the one that speaks and writes      */
    ls_recipe      *recipe;
    ls_dataset     *train, *test;            /* test: what is held out, whatever its name   */
    ls_dataset_info data;                    /* of the first split that is open             */
    int64_t         train_count, test_count; /* samples of an epoch                         */
    int64_t         judged;                  /* samples of the last evaluation              */
    ls_graph       *graph;
    ls_tensor      *input, *target, *loss; /* image and label; of text, tokens and those that follow */
    ls_tensor      *logits;                /* of pictures; NULL of text                   */
    char            layout[17];            /* digest of the parameters' names and shapes  */
    ls_trainer     *trainer;
    int             shards;                   /* virtual shards of the global batch          */
    int64_t         epoch_steps, total_steps; /* of an epoch, of the run                     */
} ls_run;

/* Returns from the calling function, on every rank, when `call` failed on any. */
#define LS_TRY_COLLECTIVE(j, call) LS_TRY(ls_comm_agree((j)->comm, (call)))

ls_status ls_run_start(ls_run *j, ls_args *args, int argc, char **argv);
ls_status ls_run_recipe(ls_run *j, const char *recipe, int overrides, char *const *override);
/* The recipe of a run's folder, or of a checkpoint in it; *folder is the run's folder, *step the checkpoint's step or
 * -1. */
ls_status ls_run_run(ls_run *j, const char *path, int overrides, char *const *override, char folder[PATH_MAX],
                     int64_t *step);

/* Fills the trainer's parameters from the run's folder: checkpoint `step`, or when that is -1 the newest one, or else
 * model.safetensors.  *from says which, in the arena of the job. */
ls_status ls_run_load(ls_run *j, const char *folder, int64_t step, const char **from);

typedef enum ls_splits { LS_SPLITS_TRAIN = 1, LS_SPLITS_TEST = 2, LS_SPLITS_BOTH = 3 } ls_splits;
ls_status ls_run_data(ls_run *j, ls_splits splits);
ls_status ls_run_graph(ls_run *j);
ls_status ls_run_trainer(ls_run *j);
/* This rank's share of the first batch, which stays valid as long as nobody asks the loader for the next.  Collective.
 */
ls_status ls_run_first_batch(ls_run *j, ls_loader **loader, ls_batch *batch);
/* Says first what went wrong: when MPI has ended on all ranks, mpirun may end them before the first one has said it. */
void ls_run_free(ls_run *j, ls_status status);

/* Configures the watchdog from the recipe.  folder: of crash files; NULL: none. */
ls_status ls_run_watch(ls_run *j, const char *folder);

/* Notes for the watchdog what the rank is in while it does `call`, whose status this is. */
#define LS_IN_PHASE(j, phase, what, call) (ls_run_begins((j), (phase), (what), 0), ls_run_ends((j), (call)))
static inline void ls_run_begins(ls_run *j, ls_phase phase, const char *what, int64_t step)
{
    ls__flight_begin(j->comm->flight,
                     &(ls_flight_note){.phase = phase, .what = what, .step = step}); /* step 0: as before */
}
static inline ls_status ls_run_ends(ls_run *j, ls_status status)
{
    ls__flight_end(j->comm->flight);
    return status;
}

/* Loss and accuracy (NaN of text) over a split, or its first eval.samples.  Collective. */
ls_status ls_run_evaluate(ls_run *j, ls_dataset *split, double *loss, double *accuracy);

/* What a loss per token comes to: e^loss, and how many bits a byte of the split's text takes (NaN when its bytes are
 * not known). */
double ls_perplexity(double loss);
double ls_bits_per_byte(const ls_dataset_info *split, double loss);

/* Prints them to stdout, a line each: "test accuracy  98.91 %". */
void ls_print_scores(const ls_dataset_info *split, double loss, double accuracy);

/* "15683 + 1742 windows of 64 tokens, a vocabulary of 65"; "60000 + 10000 samples of 1 x 28 x 28 in 10 classes". */
const char *ls_run_samples_text(const ls_run *j);
/* Tokens of a sample; 0 of pictures. */
static inline int64_t ls_run_tokens(const ls_run *j) { return j->data.kind == LS_DATA_TEXT ? j->data.context : 0; }

/* The largest of a figure over all ranks.  Collective. */
ls_status ls_run_most(ls_run *j, uint64_t mine, uint64_t *most);

/* ---- the folder of a run ----------------------------------------------------------------------------------------- */

enum { LS_NAME = 96 }; /* room for a file's name behind the folder's */

/* What a run keeps: recipe.yaml, data.json, of text tokenizer.json, metrics.jsonl, report.html, checkpoints/,
 * model.safetensors. Rank 0's business. */
typedef struct ls_run_directory {
    char path[PATH_MAX];
    int  lock; /* an open file; -1: none                              */
    int  made; /* how many of the path's parts did not exist before   */
} ls_run_directory;

/* Makes the folder where it is missing, and keeps other runs out of it until ls_run_directory_close.  fresh: forgets
 * the run that is there.  A run of another recipe that has checkpoints is LS_ERR_USAGE, with the keys that differ. */
ls_status ls_run_directory_open(ls_run_directory *f, const ls_recipe *recipe, bool fresh);
/* Keeps runs out of a folder that is there, at f->path. */
ls_status ls_run_directory_lock(ls_run_directory *f);
/* Removes what was made, when the run did not come to begin. */
void ls_run_directory_abandon(ls_run_directory *f);
void ls_run_directory_close(ls_run_directory *f);
/* path/name, in a ring of thread-local buffers. */
const char *ls_run_directory_file(const ls_run_directory *f, const char *name);
/* The folder that a recipe's run lives in, without making it. */
void ls_run_directory_name(ls_run_directory *f, const ls_recipe *recipe);

/* data.json: shape, classes, mean and std of the samples, or vocabulary and tokenizer, for using the model where the
 * data are not. Not collective. */
ls_status ls_dataset_card_write(const char *path, const ls_dataset_info *info);
ls_status ls_dataset_card_read(const char *path, ls_dataset_info *info, ls_arena *memory);
/* The data are of the same tokenizer as those that the run in `folder` began with; LS_ERR_USAGE when not.  A folder
 * without a data.json says nothing. */
ls_status ls_dataset_card_check(const char *folder, const ls_dataset_info *info, ls_arena *memory);

/* ---- what a run comes to ----------------------------------------------------------------------------------------- */

typedef struct ls_summary {
    const char *status; /* "running", "finished", "stopped", "diverged", "failed"      */
    int64_t     step;
    double      loss, accuracy; /* of what is held out, at the last evaluation; NaN: none so far */
    char        digest[17];
    double      wall_s, samples_per_s;
    uint64_t    planned_bytes, peak_bytes; /* the largest of all ranks                             */
} ls_summary;

/* Writes report.html. */
ls_status ls_run_report(const ls_run *j, const ls_summary *s, const char *metrics, const char *path);

/* "conv1" of a node that uses conv1.weight; "" of one without parameters. */
const char *ls_layer_name(const ls_node *n, ls_arena *memory);

/* A node of the graph as people see it. */
typedef struct ls_layer_row {
    const char      *name, *op;
    const ls_tensor *out;
    int64_t          parameters; /* that are used here first          */
    double           flops;      /* of forward, per sample            */
} ls_layer_row;
int ls_layer_rows(const ls_run *j, ls_arena *memory, ls_layer_row **rows);

/* The rows from `at` on that are a block which comes several times, alike but for numbers in names: the blocks of a
 * Transformer. */
typedef struct ls_layer_run {
    int  rows, times; /* of one block; how often it comes: 1, or at least 3 */
    char last[64];    /* "transformer.h.11", the last one's name            */
} ls_layer_run;
ls_layer_run ls_layer_run_of(const ls_layer_row *rows, int n, int at);

/* ---- texts ------------------------------------------------------------------------------------------------------- */

/* "Example CPU 9000", from /proc/cpuinfo; "" when it does not say. */
const char *ls_processor_name(void);

/* "12.3 MiB", in a ring of thread-local buffers. */
const char *ls_bytes_text(double bytes);

/* The options of the trainer that ls_run_trainer makes, for `ranks` ranks (explain). */
ls_trainer_options ls_run_trainer_options(const ls_run *j);

#endif
