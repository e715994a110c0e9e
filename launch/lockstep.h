/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs: what `lockstep train`, `eval`, `predict` and `generate` do, for C programs.  Public.
 *
 *     ls_comm   *comm;
 *     ls_recipe *recipe;
 *     ls_run    *run;
 *     ls_scores  scores;
 *     LS_TRY(ls_comm_mpi(&comm, &argc, &argv));
 *     LS_TRY(ls_recipe_load(&recipe, "lenet5-digits", 1, (char *[]){"train.epochs=3"}));
 *     LS_TRY(ls_run_new(&run, comm, recipe));
 *     LS_TRY(ls_run_train(run, &(ls_train_options){.handle_signals = true}, NULL));
 *     LS_TRY(ls_run_evaluate(run, "test", &scores));
 *     ls_run_free(run);
 *
 * All functions that take a run or a communicator are collective: every rank calls them, and every rank gets the same
 * status.
 */
#ifndef LS_LAUNCH_LOCKSTEP_H
#define LS_LAUNCH_LOCKSTEP_H

#include "dist/dist.h"

LS_PUBLIC_BEGIN

/* ---- recipes ----------------------------------------------------------------------------------------------------- */

typedef struct ls_recipe ls_recipe;

/* Loads a recipe: the name of a built-in one, or a path, which contains '/' or ends in .yaml or .yml; then applies the
 * overrides, each "key=value".  LS_ERR_USAGE gives the place of the first error.  Not collective. */
ls_status ls_recipe_load(ls_recipe **recipe, const char *name, int overrides, char *const *override);
void      ls_recipe_free(ls_recipe *recipe); /* NULL is allowed */

/* ---- a run ------------------------------------------------------------------------------------------------------- */

typedef struct ls_run ls_run;

/* Sets up a run on the ranks of `comm`: checks that all ranks have the same recipe, opens the dataset, builds the model
 * and creates the trainer.  The run owns the recipe from here on, also after an error; the communicator stays the
 * caller's and has to live longer than the run. */
ls_status ls_run_new(ls_run **run, ls_comm *comm, ls_recipe *recipe);

typedef struct ls_open_options {
    const char *precision; /* type of matrix products: "float32", "bfloat16"; NULL: train.precision of the run */
} ls_open_options;

/* Opens a trained model for evaluation, prediction and generation: a run directory, a checkpoint in it, or a folder in
 * the format of Hugging Face.  The dataset is not needed; ls_run_evaluate opens it.  NULL options: all defaults. */
ls_status ls_run_open(ls_run **run, ls_comm *comm, const char *path, const ls_open_options *options);
void      ls_run_free(ls_run *run); /* NULL is allowed */

/* The trainer, with the run's parameters: for ls_trainer_digest, ls_trainer_params. */
ls_trainer *ls_run_get_trainer(ls_run *run);

/* Scores of an evaluation. */
enum { LS_TASK_METRICS = 4 };
typedef struct ls_scores {
    int64_t samples;                 /* samples evaluated                                                     */
    double  loss;                    /* mean loss; NaN: not evaluated                                         */
    double  metric[LS_TASK_METRICS]; /* in the order of the task's metrics, see ls_run_score; NaN: not known  */
} ls_scores;

/* Returns a score by its name in metrics.jsonl: "loss", "accuracy", "perplexity", "r2"; NaN when the run's task has no
 * such metric.  Not collective. */
double ls_run_score(const ls_run *run, const ls_scores *scores, const char *name);

/* Computes loss and metrics on the split "train" or on the held-out split (NULL, or its name). */
ls_status ls_run_evaluate(ls_run *run, const char *split, ls_scores *scores);

/* ---- training ---------------------------------------------------------------------------------------------------- */

typedef struct ls_train_options {
    bool        fresh;          /* remove the run that is in the run directory instead of continuing it              */
    bool        quiet;          /* no progress on stderr                                                             */
    bool        brief;          /* no examination of the model for the report, which takes as long as an evaluation  */
    bool        handle_signals; /* stop with a checkpoint at SIGTERM, SIGINT, SIGUSR1, after max_hours, or before the
                                   end of a batch job; ls_run_train then returns LS_STOPPED                          */
    double      max_hours;      /* limit in hours, with handle_signals; 0: train.max_hours                            */
    const char *trace;          /* file for a trace of some steps in Chrome's format; NULL: none                     */
    const char *trace_steps;    /* "A-B", counted from the start of the call; NULL: "3-12"                           */
} ls_train_options;

typedef struct ls_train_result {
    bool        was_finished; /* the run directory holds a finished run; no step was trained */
    int64_t     step;         /* steps done                                                  */
    double      wall_s;       /* duration of the run, without interruptions, seconds         */
    double      samples_per_s;
    uint64_t    digest;    /* of the parameters                                           */
    ls_scores   scores;    /* of the last evaluation                                      */
    const char *directory; /* run directory; valid until ls_run_free                      */
} ls_train_result;

/* Trains until the recipe's end, or continues the run in the run directory from its newest checkpoint.  Writes
 * metrics.jsonl, checkpoints, report.html and at the end model.safetensors.  NULL options: all defaults; NULL result:
 * not wanted. */
ls_status ls_run_train(ls_run *run, const ls_train_options *options, ls_train_result *result);

/* ---- prediction -------------------------------------------------------------------------------------------------- */

/* Predictions for one file. */
typedef struct ls_prediction {
    const char        *source;      /* the file                                                             */
    const char        *note;        /* "inverted: dark on light"; NULL: none                                */
    int64_t            samples;     /* samples in the file                                                  */
    int                classes;     /* classification of one sample: entries below, likeliest first; else 0 */
    const char *const *name;        /* names of the classes                                                 */
    const double      *probability; /* their probabilities                                                  */
    const char        *out;         /* file that holds the predictions; NULL: none                          */
    const ls_scores   *scores;      /* when the file holds the targets as well; NULL: it does not           */
} ls_prediction;

typedef struct ls_predict_options {
    int                files;
    const char *const *file;
    const char        *out;    /* output file, for tasks that write one; NULL: none               */
    int                top;    /* images: classes to return of each; 0: 5                         */
    const char        *invert; /* images: "yes", "no", "auto" (dark on light is inverted); NULL: "auto" */
    /* Called on rank 0 for each file; another status than LS_OK ends the prediction with it. */
    ls_status (*each)(const ls_prediction *prediction, void *context);
    void *context;
} ls_predict_options;

/* Predicts the samples of the given files: PNG or JPEG images, or HDF5 files of arrays, as the task reads them. */
ls_status ls_run_predict(ls_run *run, const ls_predict_options *options);

/* ---- text generation --------------------------------------------------------------------------------------------- */

typedef struct ls_generate_options {
    const char    *prompt;       /* UTF-8; NULL: a new line                                                         */
    size_t         prompt_bytes; /* 0: up to the terminating zero                                                   */
    int64_t        max_tokens;   /* 0: 200                                                                          */
    double         temperature;  /* divisor of the logits; 0: the likeliest token always                            */
    int32_t        top_k;        /* only the k likeliest tokens; 0: all                                             */
    double         top_p;        /* only the likeliest tokens that together have probability p; 0: all              */
    uint64_t       seed;
    double         repetition_penalty; /* divides positive logits of tokens in the text, and multiplies negative ones
                                          (Keskar 2019); 0 or 1: none                                            */
    const int32_t *stop;               /* tokens that end the text; none: <|endoftext|>                          */
    int            stops;
    bool           silent_prompt; /* `each` is called for the generated text alone                                  */
    bool           no_stop;  /* continue after the end of a text                                                    */
    bool           no_cache; /* compute the whole window for every token instead of caching keys and values         */
    /* Called on rank 0 for every token of the prompt and of the text; text NULL: the token has no text of its own. */
    ls_status (*each)(int32_t token, const char *text, size_t bytes, void *context);
    void *context;
} ls_generate_options;

/* Generates text with a language model.  The same seed gives the same text for any number of ranks and threads, with
 * and without the cache. */
ls_status ls_run_generate(ls_run *run, const ls_generate_options *options);

/* ---- translation ------------------------------------------------------------------------------------------------- */

/* A translation of a line.  Valid during the call of ls_translate_options.each. */
typedef struct ls_translated {
    int64_t        line;   /* index of the line                                                             */
    int            place;  /* 0: the best translation of the line, 1: the second best, ...                  */
    const char    *text;   /* UTF-8, ended by a zero; an empty line has an empty translation                */
    double         score;  /* log_p / length penalty                                                        */
    double         log_p;  /* sum of the log-probabilities of its tokens and of the end token               */
    int64_t        tokens; /* number of tokens, without the end token                                       */
    const int32_t *token;
    const double  *token_log_p; /* of each token, then of the end token                                          */
    const int32_t *source;      /* tokens of the line, the last one is the end token                             */
    int64_t        source_tokens;
    const float   *weights; /* of attention, (tokens + 1) x source_tokens: for each token and the end token the
                               weights of the tokens of the line; NULL: not asked for, or an empty line          */
} ls_translated;

typedef struct ls_translate_options {
    int64_t            lines;
    const char *const *line;   /* UTF-8, each ended by a zero, without newline                                     */
    const char *const *prefix; /* text with which each translation begins; NULL: none                              */
    bool               score;  /* compute the probability of `prefix`, which holds whole translations              */
    int                beam;   /* hypotheses of each line; 0: 5, 1: greedy                                         */
    int                best;   /* translations of each line, at most `beam`; 0: 1                                  */
    double             alpha;  /* exponent of the length penalty; 0: translations are ranked by log_p              */
    bool               gnmt;   /* length penalty ((5 + n) / 6)^alpha (Wu 2016) instead of n^alpha                  */
    double  coverage; /* factor of the coverage penalty (Wu 2016), by the weights of attention; 0: none          */
    bool    replace_unknown; /* replace <unk> by the word of the line with the greatest weight of attention;
                               LS_ERR_USAGE: the tokenizer of the target is not of words                        */
    int64_t min_tokens;      /* least tokens of a translation                                */
    double  max_ratio;       /* a translation has at most max_ratio x tokens of the line ... */
    int64_t max_extra;       /* ... + max_extra tokens; both 0: 2 and 10                     */
    int64_t batch;           /* lines that a rank translates together; 0: 64.  No effect on the
                                                      translations */
    bool    weights; /* compute the weights of attention; LS_ERR_USAGE: the model has none                        */
    ls_status (*each)(const ls_translated *translation, void *context); /* on rank 0, in the order of the lines    */
    void *context;
} ls_translate_options;

/* Translates lines with a model of translation (beam search).  The ranks share the lines.  A translation is a function
 * of its line: its bytes do not depend on the other lines, the batch, ranks or threads. */
ls_status ls_run_translate(ls_run *run, const ls_translate_options *options);

LS_PUBLIC_END
#endif
