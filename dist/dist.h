/* SPDX-License-Identifier: Apache-2.0
 *
 * Data-parallel training: communicators, the trainer, checkpoints, exchange of weights.  Public.
 *
 *     ls_comm    *comm;
 *     ls_trainer *t;
 *     LS_TRY(ls_comm_mpi(&comm, &argc, &argv));
 *     LS_TRY(ls_trainer_new(&t, g, loss, .comm = comm, .batch = 512, .optim = ls_adamw(.lr = 1e-3f)));
 *     while (ls_loader_next(data, &batch))
 *         LS_TRY(ls_trainer_step(t, &batch, &metrics));
 *     ls_trainer_free(t);
 *
 * Every function marked "collective" must be called by all ranks, in the same order.
 *
 * Structs and ABI: structs of options begin with their size, which the macros ls_trainer_new, ls_saver_new,
 * LS_WATCHDOG_SETTINGS and LS_THREADS_OPTIONS set; a library accepts the smaller struct of an older program.  An option
 * that is left 0 takes its default, and 0 has no second meaning in any of them.  Structs that the caller allocates for
 * results have reserved room.  Structs that callbacks receive belong to the library and may grow at the end.
 *
 * This header compiles as C11 and as C++17.  The macros with designated initialisers exist in C only; in C++ fill a
 * struct, set its `size`, and call the function behind the macro.
 */
#ifndef LS_DIST_DIST_H
#define LS_DIST_DIST_H

#include "core/base/enum_text.h"
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

/* The watchdog of a communicator, a thread of each rank that calls neither MPI nor CUDA.  When a rank hangs, is
 * stopped, is killed, or calls other collectives than the rest, one watchdog prints one line on stderr that names the
 * rank, the instruction and the step, every rank writes FOLDER/crash-rankN.txt, and all processes end with exit code
 * LS_ERR_ENV (LS_ERR_FAILED for collectives that differ).
 *
 *     LS_TRY(ls_comm_watchdog(comm, LS_WATCHDOG_SETTINGS(.floor_s = 30, .folder = "logs")));
 *
 * ls_comm_mpi starts it with the default settings; for a communicator of one rank this call starts it.  Not
 * collective, but give all ranks the same settings. */
typedef struct ls_watchdog_settings {
    size_t      size;          /* sizeof(ls_watchdog_settings) */
    bool        off;           /* true: no diagnosis; the flight recorder stays on                               */
    double      floor_s;       /* shortest deadline of an instruction, seconds; 0: default 60                    */
    const char *folder;        /* of crash files, created when needed; NULL: no crash files                      */
    bool        progress_line; /* true: erase the current line of the terminal before the diagnosis is printed   */
} ls_watchdog_settings;
#ifndef __cplusplus
#define LS_WATCHDOG_SETTINGS(...) (&(ls_watchdog_settings){.size = sizeof(ls_watchdog_settings), __VA_ARGS__})
#endif
ls_status ls_comm_watchdog(ls_comm *comm, const ls_watchdog_settings *settings);

/* Returns true on the rank that prints the error with which a program ends: rank 0 for an error that all ranks share,
 * without a communicator (NULL) every rank, because its error is its own; false for LS_OK.  When the communicator has
 * failed on this rank only, its watchdog prints the error with the rank's name and ends all processes; this call then
 * does not return. */
bool ls_comm_prints_error(ls_comm *comm, ls_status status);

/* The cores of this host. */
typedef struct ls_comm_cores {
    int ranks;   /* ranks on this host                                     */
    int allowed; /* cores that these ranks may use, all together           */
    int online;  /* cores of the host                                      */
    int threads; /* threads of this rank                                   */
    int reserved[4];
} ls_comm_cores;
/* Divides the cores that the ranks of this host may use among them, and sets the number of OpenMP threads of this rank
 * unless OMP_NUM_THREADS is set.  ls_comm_mpi calls it.  Collective. */
ls_status ls_comm_divide_cores(ls_comm *comm, ls_comm_cores *cores);

/* Ranks as threads of this process, for tests with many ranks, slow links and faults.  Calls body(comm, context) once
 * for each rank, each in its own thread, and divides the threads of the caller among the ranks.  Returns when all ranks
 * have returned: LS_OK, or the first error in order of cause.  status[r] (NULL: not wanted): result of rank r.
 *
 *     ls_threads_fault fault = {.rank = 2, .call = 17, .kind = LS_THREADS_FAULT_DIE};
 *     status = ls_comm_threads_run(4, LS_THREADS_OPTIONS(.bytes_per_s = 125e6, .fault = &fault, .faults = 1),
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
    size_t                  size;        /* sizeof(ls_threads_options) */
    double                  latency_s;   /* of each message                                     */
    double                  bytes_per_s; /* send bandwidth of a rank; 0: unlimited              */
    int                     faults;
    const ls_threads_fault *fault; /* [faults]                                                  */
} ls_threads_options;
#ifndef __cplusplus
#define LS_THREADS_OPTIONS(...) (&(ls_threads_options){.size = sizeof(ls_threads_options), __VA_ARGS__})
#endif

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
 * The message begins with "rank N" when not all ranks failed.  With it an error on one rank (a missing file) stops all
 * ranks without a hang. */
ls_status ls_comm_agree(ls_comm *comm, ls_status own);

/* Checks that every rank passes the same value for each of `n` names (version, recipe hash, ...).  On a difference
 * every rank returns LS_ERR_ENV with a table of the values that differ. */
ls_status ls_comm_same(ls_comm *comm, int n, const char *const *names, const char *const *values);

/* ---- the trainer ------------------------------------------------------------------------------------------------- */

typedef struct ls_trainer ls_trainer;

/* Shared memory for gradients and parameters of the ranks of a host (recipe key train.window).  AUTO: if it works; ON:
 * required, otherwise an error; OFF: the ranks exchange messages.  The result has the same bits. */
#define LS_SHARED_MEMORY_LIST(X)                                                                                       \
    X(LS_SHARED_MEMORY_AUTO, "auto")                                                                                   \
    X(LS_SHARED_MEMORY_ON, "on")                                                                                       \
    X(LS_SHARED_MEMORY_OFF, "off")
typedef enum ls_shared_memory_mode { LS_ENUMERATORS(LS_SHARED_MEMORY_LIST) } ls_shared_memory_mode;

/* Overlap of inter-host communication with computation (recipe key train.overlap).  POLL: the rank advances messages
 * between instructions and inside long ones; THREAD: a progress thread does, which needs a core; OFF: messages advance
 * after the computation only; AUTO: POLL.  The result has the same bits. */
#define LS_OVERLAP_LIST(X)                                                                                             \
    X(LS_OVERLAP_AUTO, "auto")                                                                                         \
    X(LS_OVERLAP_POLL, "poll")                                                                                         \
    X(LS_OVERLAP_THREAD, "thread")                                                                                     \
    X(LS_OVERLAP_OFF, "off")
typedef enum ls_overlap { LS_ENUMERATORS(LS_OVERLAP_LIST) } ls_overlap;

/* Number format of gradients in messages between hosts (recipe key train.wire). */
#define LS_WIRE_LIST(X)                                                                                                \
    X(LS_WIRE_FLOAT32, "float32")                                                                                      \
    X(LS_WIRE_BFLOAT16, "bfloat16")
typedef enum ls_wire { LS_ENUMERATORS(LS_WIRE_LIST) } ls_wire;

/* Reaction to a loss or gradient that is not finite (recipe key train.on_nan).  ABORT: ls_trainer_step returns
 * LS_ERR_DIVERGED; SKIP: the step changes nothing and training continues, up to nine times in a row; ROLLBACK: same as
 * ABORT for ls_trainer_step, the run loop then reloads a checkpoint. */
#define LS_ON_NAN_LIST(X)                                                                                              \
    X(LS_ON_NAN_ABORT, "abort")                                                                                        \
    X(LS_ON_NAN_SKIP, "skip")                                                                                          \
    X(LS_ON_NAN_ROLLBACK, "rollback")
typedef enum ls_on_nan { LS_ENUMERATORS(LS_ON_NAN_LIST) } ls_on_nan;

typedef struct ls_trainer_options {
    size_t   size;             /* sizeof(ls_trainer_options) */
    ls_comm *comm;             /* must outlive the trainer.  NULL: one rank */
    int64_t  batch;            /* samples of a global batch, over all ranks.  Required */
    int64_t  eval_batch;       /* samples of a global batch of ls_trainer_eval.  Default: batch */
    ls_optim optim;            /* Default: ls_sgd() */
    uint64_t seed;             /* for initial parameters and dropout; 0 is a seed like any other */
    int      shards;           /* virtual shards, a power of two.  Default: ls_default_shards(batch) */
    int      accumulate;       /* micro-steps of a step.  Default: 1 */
    bool     not_reproducible; /* one shard per rank; the bits then depend on the number of ranks */
    int64_t  steps;            /* length of the run in steps, for schedules.  Default: unknown */
    int64_t  bucket_bytes;     /* gradient bytes of one all-reduce.  Default: 4 MiB on one host, measured on several */
    ls_shared_memory_mode shared_memory; /* within a host */
    ls_overlap            overlap;       /* between hosts */
    ls_wire               wire;          /* between hosts; with BFLOAT16 the bits depend on the number of hosts */
    /* ZeRO stage. 0: each host holds the whole optimizer state, partitioned over its ranks with shared memory,
     * otherwise replicated; 1: partitioned over all ranks; 2: the summed gradient is partitioned as well, and buckets
     * share memory (same as 1 with accumulate > 1). */
    int        zero;
    ls_on_nan  on_nan;      /* other than ABORT: the norm of the gradient is computed in every step */
    int64_t    check_every; /* steps between comparisons of the parameters of all ranks.  Default: never */
    ls_device  device;
    ls_tensor *logits; /* with `label`: for the accuracy in metrics.  Default: NaN */
    ls_tensor *label;
    /* Planned memory of a rank, bytes, as if it shared the parameters with no other rank: values are recomputed in
     * backward until it suffices.  LS_ERR_USAGE names the least.  0: no limit */
    int64_t memory;
    bool    snapshot; /* with `memory`: a copy for checkpoints is part of it (ls_saver_new) */
} ls_trainer_options;

/* Creates a trainer, with the options as designated initialisers.  Several trainers may use one graph, at different
 * times.  The graph must outlive them.  Collective. */
#ifndef __cplusplus
#define ls_trainer_new(trainer, graph, loss, ...)                                                                      \
    ls__trainer_new((trainer), (graph), (loss), &(ls_trainer_options){.size = sizeof(ls_trainer_options), __VA_ARGS__})
#endif
ls_status ls__trainer_new(ls_trainer **t, ls_graph *g, ls_tensor *loss, const ls_trainer_options *options);
/* Releases all memory of the trainer, including ls_trainer_params().  Not collective.  Accepts NULL. */
void ls_trainer_free(ls_trainer *t);

/* The default number of virtual shards: 16 for a batch of at least 128 samples, else 8, but not more than the batch.
 * It depends on the batch alone, never on ranks. */
int ls_default_shards(int64_t batch);

typedef struct ls_metrics {
    int64_t step;      /* steps done, including this one */
    double  loss;      /* mean over the global batch, before the update */
    double  accuracy;  /* part of the targets whose logit is the largest; NaN without logits */
    double  weight;    /* divisor of the loss: samples, or targets that are not ignored */
    float   lr;        /* learning rate of this step */
    double  grad_norm; /* 2-norm of the gradient before clipping; NaN unless clip_norm or on_nan needs it */
    bool    skipped;   /* loss or gradient were not finite; nothing was changed */
    double  reserved[8];
} ls_metrics;

/* Executes one step: forward, backward, all-reduce, update.  `batch` holds this rank's samples (ls_trainer_share).  All
 * ranks return the same status; if the batch of any rank is not its share, that is the error of all, and nothing was
 * changed.  metrics NULL: not wanted.  Collective. */
ls_status ls_trainer_step(ls_trainer *t, const ls_batch *batch, ls_metrics *metrics);

/* Computes loss and accuracy of a batch without an update and without dropout.  Like a step, its bits do not depend on
 * the number of ranks.  Collective. */
ls_status ls_trainer_eval(ls_trainer *t, const ls_batch *batch, ls_metrics *metrics);

/* The samples of this rank in a global batch of `global_rows` samples. */
ls_batch_partition ls_trainer_share(const ls_trainer *t, int64_t global_rows);

/* The parameters.  They belong to the trainer, and on a host with shared memory to all of its ranks. */
ls_params *ls_trainer_params(ls_trainer *t);
/* A 64-bit hash of all parameters. */
uint64_t ls_trainer_digest(const ls_trainer *t);
/* Steps done so far. */
int64_t ls_trainer_steps(const ls_trainer *t);
/* Bytes reserved by this rank for parameters, gradients, optimizer state and the step arena. */
size_t ls_trainer_planned_bytes(const ls_trainer *t);
/* Bytes of these that the system has backed with pages so far. */
size_t ls_trainer_peak_bytes(const ls_trainer *t);

/* ---- checkpoints -------------------------------------------------------------------------------------------------
 * A checkpoint is a folder `step-00000128` with one HDF5 file for each rank that writes, and a manifest with their
 * checksums.  It holds, by name, each parameter and its optimizer state, and the progress of the run.  The layout does
 * not depend on ranks: any number of ranks can load it.  Beside the folders, the link `latest` points to the newest
 * checkpoint and `best` to the one with the lowest held-out loss. */
typedef struct ls_progress {
    int64_t  step, epoch;
    int64_t  sample; /* samples of the epoch already trained on */
    uint64_t seed;
    char     recipe_hash[33]; /* hash of the settings that must not change between stop and resume */
    char     isa[16];         /* instruction-set level that the parameters were computed with */
    uint64_t digest;          /* ls_trainer_digest */
    double   loss;            /* held-out loss; NaN: unknown */
    double   reserved[4];     /* 0 */
} ls_progress;

/* Checkpoints that remain when another one is published.  The published one always remains. */
typedef struct ls_checkpoint_retention {
    int     last;        /* number of newest checkpoints to retain.  Default: all */
    int64_t every;       /* retain those whose step is a multiple of this.  Default: none */
    bool    best;        /* retain the one with the lowest held-out loss */
    int64_t reserved[2]; /* 0 */
} ls_checkpoint_retention;

/* Writes a checkpoint to a temporary folder, syncs it, renames it, and then removes checkpoints according to `keep`, as
 * well as those of later steps, which belong to an abandoned continuation.  After an error the folder is unchanged.
 * Collective. */
ls_status ls_checkpoint_save(ls_trainer *t, const char *folder, const ls_progress *progress,
                             const ls_checkpoint_retention *keep);
/* Loads the newest valid checkpoint in `folder`.  Damaged ones are passed over, with a warning on stderr.  *found is
 * false if there is no checkpoint.  LS_ERR_DATA: all are damaged; LS_ERR_USAGE: the newest valid one belongs to another
 * model or optimizer.  After an error the values of the trainer are undefined.  Collective. */
ls_status ls_checkpoint_load(ls_trainer *t, const char *folder, ls_progress *progress, bool *found);

/* Loads one checkpoint by its folder, RUN/checkpoints/step-00000128.  Collective. */
ls_status ls_checkpoint_read(ls_trainer *t, const char *checkpoint, ls_progress *progress);

/* A saver writes checkpoints while training continues. ls_saver_begin copies the state of each rank; a thread writes
 * the copy; at a later step, when all ranks have written, ls_saver_publish makes the checkpoint visible.
 *
 *     LS_TRY(ls_saver_new(&s, t, .folder = folder, .keep = {.last = 3}, .background = true));
 *     in each step:  the ranks exchange ls_saver_written(s)
 *                    if (all have written) LS_TRY(ls_saver_publish(s));
 *                    if (a checkpoint is due) LS_TRY(ls_saver_begin(s, &progress));
 *                    while (ls_saver_news_next(s, &news)) ...                  on rank 0: the result of each checkpoint
 *     LS_TRY(ls_saver_finish(s)); */
typedef struct ls_saver ls_saver;
typedef struct ls_saver_options {
    size_t                  size; /* sizeof(ls_saver_options) */
    const char             *folder;
    ls_checkpoint_retention keep;
    int                     writers;    /* number of ranks that write.  Default: one for each MiB of state, up to all */
    bool                    background; /* write in a thread.  Default: ls_saver_begin writes and publishes */
} ls_saver_options;

typedef struct ls_saver_news {
    int64_t   step;
    uint64_t  digest;
    ls_status status; /* LS_OK: published; otherwise the reason of the failure */
    const char
           *message; /* error or warning (a file that could not be removed), "" without; valid until the next call */
    double  seconds; /* from the copy to the publication */
    int64_t bytes;
    double  reserved[4];
} ls_saver_news;

/* Creates a saver.  With .background it reserves memory of the trainer for the copy.  Collective. */
#ifndef __cplusplus
#define ls_saver_new(saver, trainer, ...)                                                                              \
    ls__trainer_saver_new((saver), (trainer), &(ls_saver_options){.size = sizeof(ls_saver_options), __VA_ARGS__})
#endif
ls_status ls__trainer_saver_new(ls_saver **s, ls_trainer *t, const ls_saver_options *options);
/* Copies the state; first waits for an earlier checkpoint in progress.  Returns LS_OK also when writing fails: the
 * result is in the news.  Collective. */
ls_status ls_saver_begin(ls_saver *s, const ls_progress *progress);
/* True when this rank has written its part of the checkpoint in progress. */
bool ls_saver_written(const ls_saver *s);
/* On rank 0: true when no checkpoint is in progress. */
bool ls_saver_idle(ls_saver *s);
/* Publishes the checkpoint in progress; call it when ls_saver_written is true on all ranks.  Collective. */
ls_status ls_saver_publish(ls_saver *s);
/* On rank 0: returns the result of each checkpoint once; false when there is none. */
bool ls_saver_news_next(ls_saver *s, ls_saver_news *news);
/* Blocks until everything is written and published.  All ranks return LS_OK or the error of the last checkpoint.
 * Collective. */
ls_status ls_saver_finish(ls_saver *s);
/* Waits for the thread of this rank.  Not collective. */
void ls_saver_free(ls_saver *s);

typedef struct ls_checkpoint_info {
    const char *path;  /* folder of the checkpoint */
    int64_t     bytes; /* size of its files */
    ls_progress progress;
    int         params, states; /* number of parameters, and of optimizer states for each of them */
    int         parts;          /* number of files, without the manifest */
    bool        latest, best;   /* the link of that name points here */
    const char *problem;        /* NULL: valid; otherwise the damage, and the fields above may be 0 */
} ls_checkpoint_info;

/* Calls `each` for every checkpoint in `folder`, oldest first. verify: reads every array as well; otherwise compares
 * the files with their checksums only.  A damaged checkpoint is no error; a missing folder is LS_ERR_ENV.  Not
 * collective. */
ls_status ls_checkpoint_list(const char *folder, bool verify, void (*each)(const ls_checkpoint_info *info, void *data),
                             void *data);

/* One array of a checkpoint: the value of a parameter, or one of its optimizer states. */
typedef struct ls_checkpoint_array {
    const char  *param, *what; /* name of the parameter; "value", or the name of the state ("exp_avg") */
    int          rank;         /* number of dimensions */
    int64_t      dim[LS_MAX_DIMS];
    int64_t      count;
    const float *values;
} ls_checkpoint_array;
/* Reads a checkpoint without a trainer: its progress, and a call of `each` for each array (NULL: only the progress).
 * LS_ERR_DATA: damaged.  Not collective. */
ls_status ls_checkpoint_inspect(const char *checkpoint, ls_progress                              *progress,
                                void (*each)(const ls_checkpoint_array *array, void *data), void *data);

/* Compares every file of a checkpoint with the manifest, then reads every array.  Calls `each` (NULL: not wanted) for
 * every file; problem is NULL for a valid file.  LS_ERR_DATA: something is damaged.  Not collective. */
ls_status ls_checkpoint_verify(const char *checkpoint, void (*each)(const char *file, const char *problem, void *data),
                               void       *data);

/* Calls `each` with the arrays of two checkpoints, paired by name.  An array that only one checkpoint has is paired
 * with NULL; arrays of different shapes are passed together.  Not collective. */
ls_status ls_checkpoint_pairs(const char *checkpoint_a, const char *checkpoint_b, ls_progress progress[2],
                              void (*each)(const ls_checkpoint_array *a, const ls_checkpoint_array *b, void *data),
                              void *data);

/* Removes the checkpoints in `folder` that `keep` does not retain, and calls `each` (NULL: not wanted) for each of
 * them. dry: only calls `each`.  Not collective. */
ls_status ls_checkpoint_prune(const char *folder, const ls_checkpoint_retention *keep, bool dry,
                              void (*each)(const char *path, void *data), void *data);

/* ---- exchange with Hugging Face ---------------------------------------------------------------------------------- */

/* An entry of the metadata of a safetensors file. */
typedef struct ls_metadata {
    const char *key, *text;
} ls_metadata;

/* Writes the parameters as a safetensors file, float32, with the names and layouts of PyTorch; atomic.  Each batch norm
 * also has PyTorch's num_batches_tracked, 0.  metadata: ended by a NULL key; NULL: none. */
ls_status ls_safetensors_save(const char *path, ls_params *params, const ls_metadata *metadata);

/* Returns an entry of the metadata of a safetensors file, or of the first file of a folder that has it; NULL: none.
 * The caller frees *text. */
ls_status ls_safetensors_metadata(const char *path, const char *key, char **text);

/* Reads parameters by name from a safetensors file, or from a folder with model.safetensors, or with
 * model.safetensors.index.json and the files that it names.  A folder's config.json is compared with the model first.
 * Every parameter must be there with its shape, as float32, float16 or bfloat16; additional tensors are an error unless
 * `partial`.  LS_ERR_DATA with all mismatches in one message; then no parameter is changed.  For GPT-2, names may lack
 * the prefix "transformer.", causal masks (attn.bias) are ignored, and so is a lm_head.weight that equals the embedding
 * to which it is tied. */
ls_status ls_safetensors_load(const char *path, ls_params *params, bool partial);

/* Writes config.json for the model of a graph, atomic.  *written is false, and no file is made, for a model without an
 * architecture in dist/interop. */
ls_status ls_hf_config_save(const char *path, const ls_graph *g, bool *written);

/* Returns LS_ERR_DATA when config.json belongs to another model, with all differences in one message. */
ls_status ls_hf_config_check(const char *path, const ls_graph *g);

/* Returns whether a folder was written by Hugging Face's transformers or by timm: it has config.json and no
 * recipe.yaml. */
bool ls_pretrained_is(const char *folder);

/* A model that config.json describes. */
typedef struct ls_pretrained {
    const char *model;         /* name of the model function, such as "gpt"                            */
    char        options[2048]; /* its options as YAML or JSON without braces: "layers: 12, heads: 12"  */
    int64_t     classes;       /* size of the vocabulary, or number of classes; 0: not stated          */
    bool        images;        /* the model classifies images (a folder of timm)                       */
} ls_pretrained;

/* Reads config.json of the folder.  LS_ERR_DATA when it does not describe a model of dist/interop. */
ls_status ls_pretrained_read(const char *folder, ls_pretrained *p);

/* Returns LS_ERR_DATA when the graph has more parameters than the folder's safetensors files can hold.  Call it before
 * memory for the parameters is allocated. */
ls_status ls_pretrained_check_size(const char *folder, const ls_graph *g);

/* Result of loading for one tensor. */
#define LS_TENSOR_VERDICT_LIST(X)                                                                                      \
    X(LS_TENSOR_LOADED, "loaded")                                                                                      \
    X(LS_TENSOR_RENAMED, "renamed")                                                                                    \
    X(LS_TENSOR_ROWS_BY_CLASS, "rows by class")                                                                        \
    X(LS_TENSOR_INITIAL, "initial values")                                                                             \
    X(LS_TENSOR_SKIPPED, "skipped")
typedef enum ls_tensor_verdict { LS_ENUMERATORS(LS_TENSOR_VERDICT_LIST) } ls_tensor_verdict;

typedef struct ls_loaded_tensor {
    const char       *param;  /* NULL: the tensor is no parameter (skipped) */
    const char       *stored; /* name in the file; NULL: the file lacks the parameter (initial values) */
    ls_tensor_verdict verdict;
} ls_loaded_tensor;

/* Options of loading.  The head (the last layer) may differ from the head in the file. */
typedef struct ls_pretrained_options {
    /* Names of the head's weight and bias, NULL: none.  A head with another shape than in the file keeps its initial
     * values. */
    const char *head[2];
    /* For each row of the head, the row in the file; -1: initial values.  NULL: a head of the same shape is loaded as
     * it is. */
    const int *head_row;
    /* Called for each parameter, then for each tensor that no parameter reads; NULL: not wanted. */
    void (*each)(const ls_loaded_tensor *tensor, void *context);
    void *context;
} ls_pretrained_options;

/* Loads all parameters as ls_safetensors_load does.  options NULL: the head is loaded as all other parameters are.
 * LS_ERR_DATA when a value is infinite or NaN. */
ls_status ls_pretrained_load(const char *path, ls_params *params, const ls_pretrained_options *options);

LS_PUBLIC_END
#endif
