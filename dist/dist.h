/* SPDX-License-Identifier: Apache-2.0
 *
 * Data-parallel training: communicators, the trainer, checkpoints.  Public.
 *
 *     ls_comm    *comm;
 *     ls_trainer *t;
 *     LS_TRY(ls_comm_mpi(&comm, &argc, &argv));
 *     LS_TRY(ls_trainer_new(&t, g, loss, .comm = comm, .batch = 512, .optim = ls_adamw(.lr = 1e-3f)));
 *     while (ls_loader_next(data, &batch))
 *         LS_TRY(ls_trainer_step(t, &batch, &metrics));
 */
#ifndef LS_DIST_DIST_H
#define LS_DIST_DIST_H

#include "core/core.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- communicators ----------------------------------------------------------------------------------------------- */

typedef struct ls_comm ls_comm;

ls_status ls_comm_self(ls_comm **comm); /* one rank, no MPI */
/* Starts MPI (threads: funneled) unless the program already did. */
ls_status ls_comm_mpi(ls_comm **comm, int *argc, char ***argv);
void      ls_comm_free(ls_comm *comm);

/* Ranks as threads of this process, for trying what is hard to try otherwise: many ranks, slow links, faults.  Calls
 * body(comm, context) once for each rank, each in its own thread (with the caller's threads divided by the ranks), and returns when
 * all have returned: LS_OK, or the first cause.  status (NULL: not wanted): what each rank returned.
 *
 *     ls_sim_fault fault = {.rank = 2, .call = 17, .kind = LS_SIM_DIE};
 *     status = ls_sim_run(4, &(ls_sim_options){.bytes_per_s = 125e6, .fault = &fault, .faults = 1}, train, &job, NULL); */
typedef enum ls_sim_kind {
    LS_SIM_DIE,  /* the call returns LS_ERR_ENV, and the rank is gone for all others */
    LS_SIM_DELAY /* the call begins `seconds` later                                  */
} ls_sim_kind;

typedef struct ls_sim_fault {
    int         rank;
    int64_t     call;    /* of a function of the communicator, counted from 0 */
    ls_sim_kind kind;
    double      seconds;
} ls_sim_fault;

typedef struct ls_sim_options {
    double              latency_s;   /* of every message                            */
    double              bytes_per_s; /* of what a rank sends, at most; 0: no limit  */
    int                 faults;
    const ls_sim_fault *fault;
} ls_sim_options;

ls_status ls_sim_run(int ranks, const ls_sim_options *options, ls_status (*body)(ls_comm *comm, void *context), void *context, ls_status *status);

int         ls_comm_rank(const ls_comm *comm);
int         ls_comm_size(const ls_comm *comm);
int         ls_comm_local_size(const ls_comm *comm); /* ranks on this host */
const char *ls_comm_name(const ls_comm *comm);       /* "self", "mpi"      */

ls_status ls_comm_barrier(ls_comm *comm);
ls_status ls_comm_bcast(ls_comm *comm, void *data, size_t bytes, int root);
/* `bytes` from every rank, in rank order, to every rank. */
ls_status ls_comm_allgather(ls_comm *comm, const void *send, void *receive, size_t bytes);

/* Every rank gives its own status; all return LS_OK, or all return the status of the lowest rank that failed, with that
 * rank's message.  This is how an error on one rank (a missing file, say) stops all of them, without a hang. */
ls_status ls_comm_agree(ls_comm *comm, ls_status mine);

/* Checks that every rank passed the same text for each of `n` names (version, recipe hash, instruction set, ...); when not,
 * every rank returns LS_ERR_ENV with a table of who has what. */
ls_status ls_comm_same(ls_comm *comm, int n, const char *const *names, const char *const *values);

/* ---- the trainer ------------------------------------------------------------------------------------------------- */

typedef struct ls_trainer ls_trainer;

/* Whether ranks of one host sum gradients in memory that they share: where they can; or it is an error; or never, but by messages.
 * The bits are the same. */
#define LS_WINDOW_LIST(X) X(AUTO, "auto") X(ON, "on") X(OFF, "off")
typedef enum ls_window_mode {
#define X(name, text) LS_WINDOW_##name,
    LS_WINDOW_LIST(X)
#undef X
} ls_window_mode;

typedef struct ls_trainer_options {
    ls_comm    *comm;            /* NULL: one rank                                                                   */
    int64_t     batch;           /* samples of a global batch (all ranks together)                                   */
    int64_t     eval_batch;      /* of ls_trainer_eval; 0: batch                                                     */
    ls_optim    optim;
    uint64_t    seed;
    int         shards;          /* virtual shards; 0: ls_default_shards(batch)                                      */
    int         accumulate;      /* micro-steps a step; 0: 1                                                         */
    bool        not_reproducible;/* one shard a rank: bits depend on the number of ranks                             */
    int64_t     steps;           /* length of the run, for schedules; 0: unknown                                     */
    int64_t     bucket_bytes;    /* of gradients a collective; 0: 4 MiB                                              */
    ls_window_mode window;       /* within a host                                                                    */
    ls_device   device;
    ls_tensor  *logits;          /* counts the samples whose largest logit is `label`'s, for metrics; NULL: not      */
    ls_tensor  *label;
} ls_trainer_options;

#define ls_trainer_new(trainer, graph, loss, ...) ls__trainer_new((trainer), (graph), (loss), &(ls_trainer_options){__VA_ARGS__})
ls_status ls__trainer_new(ls_trainer **t, ls_graph *g, ls_tensor *loss, const ls_trainer_options *options);
void      ls_trainer_free(ls_trainer *t);

/* 16 from a batch of 128 on, else 8, and never more than the batch: the default depends on the batch alone. */
int ls_default_shards(int64_t batch);

typedef struct ls_metrics {
    int64_t step;           /* steps done, this one included                       */
    double  loss;           /* mean over the global batch, before the update       */
    double  accuracy;       /* NaN without logits                                  */
    double  weight;         /* what the loss was divided by                        */
    float   lr;
    double  grad_norm;      /* NaN unless clipping by norm is on                   */
} ls_metrics;

/* One step: forward, backward, the sum over all ranks, update.  `batch` holds this rank's share (ls_trainer_share).
 * All ranks return the same status. */
ls_status ls_trainer_step(ls_trainer *t, const ls_batch *batch, ls_metrics *metrics);

/* Loss and accuracy of a batch without training (dropout off); the sums over ranks are trees too. */
ls_status ls_trainer_eval(ls_trainer *t, const ls_batch *batch, ls_metrics *metrics);

/* This rank's share of a global batch of `global_rows` samples. */
ls_share ls_trainer_share(const ls_trainer *t, int64_t global_rows);

ls_params *ls_trainer_params(ls_trainer *t);
uint64_t   ls_trainer_digest(const ls_trainer *t);
int64_t    ls_trainer_steps(const ls_trainer *t);     /* done so far */
size_t     ls_trainer_planned_bytes(const ls_trainer *t); /* parameters, gradients, optimizer state, step arena */
size_t     ls_trainer_peak_bytes(const ls_trainer *t);    /* of these, touched so far (resident)                */

/* ---- checkpoints -------------------------------------------------------------------------------------------------
 * A checkpoint is a folder `step-00000128` with state.h5: per parameter its value and optimizer state, by name, with
 * checksums; and what the caller wants to keep beside them.  Laid out without ranks: any number of ranks reads it. */
typedef struct ls_progress {
    int64_t  step, epoch;
    int64_t  sample;          /* samples of the epoch already trained on */
    uint64_t seed;
    char     recipe_hash[33]; /* of what must not change between stop and resume */
    char     isa[16];
    uint64_t digest;
} ls_progress;

/* Writes to a temporary folder, syncs, renames, then removes all but the newest `keep` (0: keep all), and those of later
 * steps than this one: they belong to a continuation that was given up.  After an error nothing has changed.  Collective. */
ls_status ls_checkpoint_save(ls_trainer *t, const char *folder, const ls_progress *progress, int keep);
/* Loads the newest sound checkpoint below `folder`, going back to older ones when one is damaged (with a warning on
 * stderr).  *found is false when there is none at all.  When there are some but all are damaged: LS_ERR_DATA; when the
 * newest sound one is of another model or optimizer: LS_ERR_USAGE; after either the trainer's values are undefined.  Collective. */
ls_status ls_checkpoint_load(ls_trainer *t, const char *folder, ls_progress *progress, bool *found);

/* One checkpoint by its folder, RUN/checkpoints/step-00000128.  Collective. */
ls_status ls_checkpoint_read(ls_trainer *t, const char *checkpoint, ls_progress *progress);

typedef struct ls_checkpoint_info {
    const char *path;           /* of its folder                                          */
    int64_t     bytes;          /* of its files                                           */
    ls_progress progress;
    int         params, states; /* parameters; states of the optimizer for each of them   */
    const char *problem;        /* NULL: sound; else the fields above may be 0             */
} ls_checkpoint_info;

/* Calls `each` for every checkpoint below `folder`, oldest first; `verify`: after reading all of it, not only its checksum
 * and progress.  A damaged one is no error here; no folder is LS_ERR_ENV.  Not collective. */
ls_status ls_checkpoint_list(const char *folder, bool verify, void (*each)(const ls_checkpoint_info *info, void *data), void *data);

/* What a checkpoint holds, without a trainer: its progress and, for each array (the value of a parameter, or a block of the
 * optimizer's state: "value", "exp_avg", ...), a call of `each` (NULL: only the progress).  LS_ERR_DATA when damaged.
 * Not collective. */
typedef struct ls_checkpoint_array {
    const char   *param, *what;
    int           rank;
    int64_t       dim[LS_MAX_DIMS];
    int64_t       count;
    const float  *values;
} ls_checkpoint_array;
ls_status ls_checkpoint_inspect(const char *checkpoint, ls_progress *progress, void (*each)(const ls_checkpoint_array *array, void *data), void *data);

/* The parameters as a safetensors file (float32, names and layouts of PyTorch), written atomically. */
ls_status ls_safetensors_save(const char *path, ls_params *params);
/* Reads parameters by name from a file; or from a folder with model.safetensors, or with model.safetensors.index.json and the
 * files that it names, after its config.json, if there is one, was compared with the model.  Every parameter must be there with its shape (extra ones are an error too unless `partial`), as float32, or
 * as float16 or bfloat16, which are widened; what does not fit is LS_ERR_DATA, with all of it in one message, and nothing is
 * changed.  Names may lack the prefix "transformer.", causal masks of GPT-2's files (attn.bias) are passed over, and so is
 * lm_head.weight where it equals the embedding that it is tied to. */
ls_status ls_safetensors_load(const char *path, ls_params *params, bool partial);

/* config.json, as Hugging Face has it beside model.safetensors: what the graph's model says of itself (GPT-2's sizes, for one),
 * written atomically; *written is false, and there is no file, for a model that says nothing. */
ls_status ls_config_save(const char *path, const ls_graph *g, bool *written);
/* LS_ERR_DATA when the file is of another model, with all that differs in one message.  Loading a folder does this first. */
ls_status ls_config_check(const char *path, const ls_graph *g);

#ifdef __cplusplus
}
#endif
#endif
