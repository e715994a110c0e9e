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

LS_PUBLIC_BEGIN

/* ---- communicators ----------------------------------------------------------------------------------------------- */

typedef struct ls_comm ls_comm;

/* One rank, without MPI. */
ls_status ls_comm_self(ls_comm **comm);

/* The ranks that mpirun or srun has started.  Starts MPI (thread level at least MPI_THREAD_FUNNELED) unless the program
 * has done so.  Then
 * - all ranks agree on the lowest instruction-set level among them, so that mixed hosts compute equal bits;
 * - unless OMP_NUM_THREADS is set, each rank takes its part of the cores of its host (omp_set_num_threads);
 * - a watchdog thread starts, see ls_comm_watchdog.
 * Collective.  On error *comm is NULL, or the communicator when all ranks return this same error. */
ls_status ls_comm_mpi(ls_comm **comm, int *argc, char ***argv);

/* Stops the watchdog and frees the communicator; finalizes MPI if ls_comm_mpi has started it.  Collective unless an
 * earlier call has failed.  NULL is allowed. */
void ls_comm_free(ls_comm *comm);

/* The watchdog of a communicator, a thread of each rank that calls neither MPI nor CUDA.  When a rank hangs, is stopped,
 * is killed, or calls other collectives than the rest, one watchdog prints one line on stderr that names the rank, the
 * instruction and the step, every rank writes FOLDER/crash-rankN.txt, and all processes end with exit code LS_ERR_ENV
 * (LS_ERR_FAILED for collectives that differ).
 *
 *     LS_TRY(ls_comm_watchdog(comm, &(ls_watchdog_settings){.floor_s = 30, .folder = "logs"}));
 *
 * ls_comm_mpi starts it with the default settings; for a communicator of one rank this call starts it.  Not
 * collective, but give all ranks the same settings. */
typedef struct ls_watchdog_settings {
    bool        off;           /* true: no diagnosis; the flight recorder stays on                               */
    double      floor_s;       /* shortest deadline of an instruction, seconds; 0: default 60                    */
    const char *folder;        /* of crash files, created when needed; NULL: no crash files                      */
    bool        progress_line; /* true: erase the current line of the terminal before the diagnosis is printed   */
} ls_watchdog_settings;
ls_status ls_comm_watchdog(ls_comm *comm, const ls_watchdog_settings *settings);

/* Returns true on the rank that prints the error with which a program ends: rank 0 for an error that all ranks share,
 * without a communicator (NULL) every rank, because its error is its own; false for LS_OK.  When the communicator has failed on this rank only, its
 * watchdog prints the error with the rank's name and ends all processes; this call then does not return. */
bool ls_comm_prints_error(ls_comm *comm, ls_status status);

/* The cores of this host. */
typedef struct ls_comm_cores {
    int ranks;   /* ranks on this host                                     */
    int allowed; /* cores that these ranks may use, all together           */
    int online;  /* cores of the host                                      */
    int threads; /* threads of this rank                                   */
} ls_comm_cores;
/* Divides the cores that the ranks of this host may use among them, and sets the number of OpenMP threads of this rank
 * unless OMP_NUM_THREADS is set.  ls_comm_mpi calls it.  Collective. */
ls_status ls_comm_divide_cores(ls_comm *comm, ls_comm_cores *cores);

/* Ranks as threads of this process, for tests with many ranks, slow links and faults.  Calls body(comm, context) once
 * for each rank, each in its own thread, and divides the threads of the caller among the ranks.  Returns when all ranks
 * have returned: LS_OK, or the first error in order of cause.  status[r] (NULL: not wanted): result of rank r.
 *
 *     ls_threads_fault fault = {.rank = 2, .call = 17, .kind = LS_THREADS_FAULT_DIE};
 *     status = ls_comm_threads_run(4, &(ls_threads_options){.bytes_per_s = 125e6, .fault = &fault, .faults = 1},
 *                                  train, &job, NULL); */
typedef enum ls_threads_fault_kind {
    LS_THREADS_FAULT_DIE,  /* the call returns LS_ERR_ENV, and the rank counts as ended for all others */
    LS_THREADS_FAULT_DELAY /* the call begins `seconds` later                                          */
} ls_threads_fault_kind;

typedef struct ls_threads_fault {
    int                   rank;
    int64_t               call; /* index of the rank's call of a communicator function, from 0 */
    ls_threads_fault_kind kind;
    double                seconds;
} ls_threads_fault;

typedef struct ls_threads_options {
    double                  latency_s;   /* of each message                                     */
    double                  bytes_per_s; /* send bandwidth of a rank; 0: unlimited              */
    int                     faults;
    const ls_threads_fault *fault; /* [faults]                                                  */
} ls_threads_options;

ls_status ls_comm_threads_run(int ranks, const ls_threads_options                   *options,
                              ls_status (*body)(ls_comm *comm, void *context), void *context, ls_status *status);

int         ls_comm_rank(const ls_comm *comm);
int         ls_comm_size(const ls_comm *comm);
int         ls_comm_local_size(const ls_comm *comm); /* ranks on this host             */
const char *ls_comm_name(const ls_comm *comm);       /* "self", "mpi", "threads"       */

ls_status ls_comm_barrier(ls_comm *comm);
ls_status ls_comm_bcast(ls_comm *comm, void *data, size_t bytes, int root);
/* Gathers `bytes` bytes from every rank, in rank order, on every rank. */
ls_status ls_comm_allgather(ls_comm *comm, const void *send, void *receive, size_t bytes);

/* Agrees on errors: returns LS_OK on all ranks, or on all ranks the status and message of the lowest rank that failed.
 * With it an error on one rank (a missing file) stops all ranks without a hang. */
ls_status ls_comm_agree(ls_comm *comm, ls_status own);

/* Checks that every rank passes the same value for each of `n` names (version, recipe hash, ...).  On a difference every
 * rank returns LS_ERR_ENV with a table of the values that differ. */
ls_status ls_comm_same(ls_comm *comm, int n, const char *const *names, const char *const *values);

/* ---- the trainer ------------------------------------------------------------------------------------------------- */

typedef struct ls_trainer ls_trainer;

/* Whether ranks of one host sum gradients in memory that they share: where they can; or it is an error; or never, but
 * by messages. The bits are the same. */
#define LS_SHARED_MEMORY_LIST(X) X(AUTO, "auto") X(ON, "on") X(OFF, "off")
typedef enum ls_shared_memory_mode {
#define X(name, text) LS_SHARED_MEMORY_##name,
    LS_SHARED_MEMORY_LIST(X)
#undef X
} ls_shared_memory_mode;

/* How sums between hosts go on while a rank computes: it looks after them between instructions and within long ones; or
 * a thread does, for which there should be a core; or not before all is computed.  AUTO: poll.  The bits are the same.
 */
#define LS_OVERLAP_LIST(X) X(AUTO, "auto") X(POLL, "poll") X(THREAD, "thread") X(OFF, "off")
typedef enum ls_overlap {
#define X(name, text) LS_OVERLAP_##name,
    LS_OVERLAP_LIST(X)
#undef X
} ls_overlap;

/* What hosts tell each other their gradients in. */
#define LS_WIRE_LIST(X) X(FLOAT32, "float32") X(BFLOAT16, "bfloat16")
typedef enum ls_wire {
#define X(name, text) LS_WIRE_##name,
    LS_WIRE_LIST(X)
#undef X
} ls_wire;

/* What becomes of a step whose loss or gradient is not finite: the run ends with LS_ERR_DIVERGED; the step changes
 * nothing, and the run goes on; or, for ls_trainer_step the same as the first, the caller goes back to a checkpoint. */
#define LS_ON_NAN_LIST(X) X(ABORT, "abort") X(SKIP, "skip") X(ROLLBACK, "rollback")
typedef enum ls_on_nan {
#define X(name, text) LS_ON_NAN_##name,
    LS_ON_NAN_LIST(X)
#undef X
} ls_on_nan;

typedef struct ls_trainer_options {
    ls_comm *comm;       /* NULL: one rank                                                                   */
    int64_t  batch;      /* samples of a global batch (all ranks together)                                   */
    int64_t  eval_batch; /* of ls_trainer_eval; 0: batch                                                     */
    ls_optim optim;
    uint64_t seed;
    int      shards;           /* virtual shards; 0: ls_default_shards(batch)                                      */
    int      accumulate;       /* micro-steps a step; 0: 1                                                         */
    bool     not_reproducible; /* one shard a rank: bits depend on the number of ranks                             */
    int64_t  steps;            /* length of the run, for schedules; 0: unknown                                     */
    int64_t  bucket_bytes;     /* of gradients a collective; 0: 4 MiB, or between hosts what is found to be good    */
    ls_shared_memory_mode window; /* within a host                                                                    */
    ls_overlap overlap;           /* between hosts                                                                    */
    ls_wire    wire; /* BFLOAT16: half the bytes between hosts; bits then depend on how many there are    */
    int zero; /* 0: every host has all of the optimizer's state, divided among ranks that share memory; 1: all ranks
                 divide it; 2: the summed gradient, too, and buckets take turns in memory, but not with `accumulate` */
    ls_on_nan  on_nan;      /* other than ABORT: the gradient is looked at in every step, as with optim.clip_norm */
    int64_t    check_every; /* steps; then ranks compare their parameters; 0: never                            */
    ls_device  device;
    bool       snapshot; /* memory for a copy of what this rank writes of checkpoints                        */
    int        writers;  /* of them: see ls_saver_options                                                    */
    ls_tensor *logits;   /* counts the samples whose largest logit is `label`'s, for metrics; NULL: not      */
    ls_tensor *label;
} ls_trainer_options;

#define ls_trainer_new(trainer, graph, loss, ...)                                                                      \
    ls__trainer_new((trainer), (graph), (loss), &(ls_trainer_options){__VA_ARGS__})
ls_status ls__trainer_new(ls_trainer **t, ls_graph *g, ls_tensor *loss, const ls_trainer_options *options);
void      ls_trainer_free(ls_trainer *t);

/* 16 from a batch of 128 on, else 8, and never more than the batch: the default depends on the batch alone. */
int ls_default_shards(int64_t batch);

typedef struct ls_metrics {
    int64_t step;     /* steps done, this one included                       */
    double  loss;     /* mean over the global batch, before the update       */
    double  accuracy; /* NaN without logits                                  */
    double  weight;   /* what the loss was divided by                        */
    float   lr;
    double  grad_norm; /* NaN unless clipping by norm is on, or on_nan        */
    bool    skipped;   /* not finite: nothing was changed                     */
} ls_metrics;

/* One step: forward, backward, the sum over all ranks, update.  `batch` holds this rank's share (ls_trainer_share).
 * All ranks return the same status: when the batch of one is not its share, that is every rank's error, and nothing was
 * changed. */
ls_status ls_trainer_step(ls_trainer *t, const ls_batch *batch, ls_metrics *metrics);

/* Loss and accuracy of a batch without training (dropout off); the sums over ranks are trees too. */
ls_status ls_trainer_eval(ls_trainer *t, const ls_batch *batch, ls_metrics *metrics);

/* This rank's share of a global batch of `global_rows` samples. */
ls_batch_partition ls_trainer_share(const ls_trainer *t, int64_t global_rows);

ls_params *ls_trainer_params(ls_trainer *t);
uint64_t   ls_trainer_digest(const ls_trainer *t);
int64_t    ls_trainer_steps(const ls_trainer *t);         /* done so far */
size_t     ls_trainer_planned_bytes(const ls_trainer *t); /* parameters, gradients, optimizer state, step arena */
size_t     ls_trainer_peak_bytes(const ls_trainer *t);    /* of these, touched so far (resident)                */

/* ---- checkpoints -------------------------------------------------------------------------------------------------
 * A checkpoint is a folder `step-00000128` with one HDF5 file of each rank that writes, and a manifest with their
 * checksums: per parameter its value and optimizer state, by name; and what the caller wants to keep beside them.  Laid
 * out without ranks: any number of ranks reads it.  Beside the folders, the link `latest` leads to the newest, `best`
 * to that with the least loss. */
typedef struct ls_progress {
    int64_t  step, epoch;
    int64_t  sample; /* samples of the epoch already trained on */
    uint64_t seed;
    char     recipe_hash[33]; /* of what must not change between stop and resume */
    char     isa[16];
    uint64_t digest;
    double   loss; /* of what is held out; NaN: not known     */
} ls_progress;

/* Which checkpoints stay when one is published; it itself always does. */
typedef struct ls_checkpoint_retention {
    int     last;  /* so many of the newest; 0: all           */
    int64_t every; /* those whose step is a multiple; 0: none */
    bool    best;  /* that with the least loss                */
} ls_checkpoint_retention;

/* Writes to a temporary folder, syncs, renames, then removes what need not be kept, and those of later steps than this
 * one: they belong to a continuation that was given up.  After an error nothing has changed.  Collective. */
ls_status ls_checkpoint_save(ls_trainer *t, const char *folder, const ls_progress *progress,
                             const ls_checkpoint_retention *keep);
/* Loads the newest sound checkpoint below `folder`, going back to older ones when one is damaged (with a warning on
 * stderr).  *found is false when there is none at all.  When there are some but all are damaged: LS_ERR_DATA; when the
 * newest sound one is of another model or optimizer: LS_ERR_USAGE; after either the trainer's values are undefined.
 * Collective. */
ls_status ls_checkpoint_load(ls_trainer *t, const char *folder, ls_progress *progress, bool *found);

/* One checkpoint by its folder, RUN/checkpoints/step-00000128.  Collective. */
ls_status ls_checkpoint_read(ls_trainer *t, const char *checkpoint, ls_progress *progress);

/* Checkpoints of a run that goes on while they are written.  At a step each rank copies its part of the state
 * (ls_saver_begin); a thread writes the copy; and at a later step, when all ranks know of each other that they are
 * done, the checkpoint is published.
 *
 *     LS_TRY(ls_saver_new(&s, t, &(ls_saver_options){.folder = folder, .keep = {.last = 3}}));
 *     each step:  all ranks exchange ls_saver_written(s) with what else they tell each other
 *                 if (all have written) LS_TRY(ls_saver_publish(s));
 *                 if (a checkpoint is due) LS_TRY(ls_saver_begin(s, &progress));
 *                 while (ls_saver_news_next(s, &news)) ...                      on rank 0: what has become of them
 *     LS_TRY(ls_saver_finish(s)); */
typedef struct ls_saver ls_saver;
typedef struct ls_saver_options {
    const char             *folder;
    ls_checkpoint_retention keep;
    int                     writers;    /* ranks that write; 0: as many as have at least 1 MiB of it     */
    bool                    background; /* else ls_saver_begin writes, and publishes                      */
} ls_saver_options;

typedef struct ls_saver_news {
    int64_t   step;
    uint64_t  digest;
    ls_status status; /* LS_OK: it is published; else why it is not, and `message` */
    const char
        *message; /* also of a published one: what could not be removed, say; "": nothing.  Valid until the next call */
    double  seconds; /* from the copy until it was published                      */
    int64_t bytes;
} ls_saver_news;

/* In the background with a trainer whose options say so, too: its memory then has room for the copy.  Collective. */
ls_status ls_saver_new(ls_saver **s, ls_trainer *t, const ls_saver_options *options);
/* Takes the copy; waits for the checkpoint before it when that is under way.  Collective.  LS_OK also when writing
 * fails: see the news. */
ls_status ls_saver_begin(ls_saver *s, const ls_progress *progress);
/* This rank has nothing to write any more for a checkpoint that is to be published. */
bool ls_saver_written(const ls_saver *s);
/* Nothing at all is under way; on rank 0. */
bool ls_saver_idle(ls_saver *s);
/* To be called once all ranks have written.  Collective. */
ls_status ls_saver_publish(ls_saver *s);
/* What has become of a checkpoint, each one once; on rank 0. */
bool ls_saver_news_next(ls_saver *s, ls_saver_news *news);
/* Waits until all is written and published.  Collective; all return why the last checkpoint is not there, or LS_OK. */
ls_status ls_saver_finish(ls_saver *s);
/* Not collective: waits for this rank's thread alone. */
void ls_saver_free(ls_saver *s);

typedef struct ls_checkpoint_info {
    const char *path;  /* of its folder                                          */
    int64_t     bytes; /* of its files                                           */
    ls_progress progress;
    int         params, states; /* parameters; states of the optimizer for each of them   */
    int         parts;          /* files, besides the manifest                            */
    bool        latest, best;   /* where these links lead                                 */
    const char *problem;        /* NULL: sound; else the fields above may be 0             */
} ls_checkpoint_info;

/* Calls `each` for every checkpoint below `folder`, oldest first; `verify`: after reading every array, too, not only
 * comparing its files with their checksums.  A damaged one is no error here; no folder is LS_ERR_ENV.  Not collective.
 */
ls_status ls_checkpoint_list(const char *folder, bool verify, void (*each)(const ls_checkpoint_info *info, void *data),
                             void *data);

/* What a checkpoint holds, without a trainer: its progress and, for each array (the value of a parameter, or a block of
 * the optimizer's state: "value", "exp_avg", ...), a call of `each` (NULL: only the progress).  LS_ERR_DATA when
 * damaged. Not collective. */
typedef struct ls_checkpoint_array {
    const char  *param, *what;
    int          rank;
    int64_t      dim[LS_MAX_DIMS];
    int64_t      count;
    const float *values;
} ls_checkpoint_array;
ls_status ls_checkpoint_inspect(const char *checkpoint, ls_progress                              *progress,
                                void (*each)(const ls_checkpoint_array *array, void *data), void *data);

/* Compares every file of a checkpoint with the manifest, then reads every array; `each` (NULL: not wanted) hears of
 * every file, problem is NULL where it is sound.  LS_ERR_DATA when anything is damaged.  Not collective. */
ls_status ls_checkpoint_verify(const char *checkpoint, void (*each)(const char *file, const char *problem, void *data),
                               void       *data);

/* Calls `each` with the arrays of both checkpoints, in pairs by name; NULL: one of them has no such array, or it has
 * another shape there (then `a` and `b` are both given, and only a's shape fits a's values).  Not collective. */
ls_status ls_checkpoint_pairs(const char *checkpoint_a, const char *checkpoint_b, ls_progress progress[2],
                              void (*each)(const ls_checkpoint_array *a, const ls_checkpoint_array *b, void *data),
                              void *data);

/* Removes the checkpoints below `folder` that need not be kept, as a save does; `each` (NULL: not wanted) hears of
 * them; `dry`: that is all. Not collective. */
ls_status ls_checkpoint_prune(const char *folder, const ls_checkpoint_retention *keep, bool dry,
                              void (*each)(const char *path, void *data), void *data);

/* The parameters as a safetensors file (float32, names and layouts of PyTorch), written atomically. */
ls_status ls_safetensors_save(const char *path, ls_params *params);
/* Reads parameters by name from a file; or from a folder with model.safetensors, or with model.safetensors.index.json
 * and the files that it names, after its config.json, if there is one, was compared with the model.  Every parameter
 * must be there with its shape (extra ones are an error too unless `partial`), as float32, or as float16 or bfloat16,
 * which are widened; what does not fit is LS_ERR_DATA, with all of it in one message, and nothing is changed.  Names
 * may lack the prefix "transformer.", causal masks of GPT-2's files (attn.bias) are passed over, and so is
 * lm_head.weight where it equals the embedding that it is tied to. */
ls_status ls_safetensors_load(const char *path, ls_params *params, bool partial);

/* config.json, as Hugging Face has it beside model.safetensors: what the graph's model says of itself (GPT-2's sizes,
 * for one), written atomically; *written is false, and there is no file, for a model that says nothing. */
ls_status ls_hf_config_save(const char *path, const ls_graph *g, bool *written);
/* LS_ERR_DATA when the file is of another model, with all that differs in one message.  Loading a folder does this
 * first. */
ls_status ls_hf_config_check(const char *path, const ls_graph *g);

LS_PUBLIC_END
#endif
