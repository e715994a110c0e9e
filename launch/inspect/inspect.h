/* SPDX-License-Identifier: Apache-2.0
 * Computes and draws the internals of a language model for `lockstep explain --attention`, `--dot-product`,
 * `--positions` and `--scores`, the paths of optimizers for `--valley`, and the alignments of a model of translation
 * for `--align`.  The functions that compute are separate from those that draw. */
#ifndef LS_LAUNCH_INSPECT_INSPECT_H
#define LS_LAUNCH_INSPECT_INSPECT_H

#include "launch/inspect/attention_values.h"
#include "launch/report/png_plot.h"
#include "launch/run/run_setup.h"

/* ---- attention --------------------------------------------------------------------------------------------------- */

/* A text in a model with self-attention: tokens, and their vectors before the first and after the last layer. */
typedef struct ls_attended {
    int64_t      tokens, width;
    const char **label;            /* of the tokens, for axes                                             */
    const float *embedding, *last; /* tokens x width; embeddings without positions; output of the last norm */
    const ls_attention_map *map;
    int                     layers;
} ls_attended;

/* Returns a token as a label of an axis: spaces and new lines visible, bytes that are not UTF-8 as numbers, long tokens
 * cut. */
const char *ls_token_label(const ls_tokenizer *t, int32_t id, ls_arena *memory);

/* Computes the first two principal components of n rows: positions x and y.  Returns their part of the variance. */
double ls_principal_components(const float *rows, int64_t n, int64_t width, ls_arena *memory, double *x, double *y);

/* ---- positions --------------------------------------------------------------------------------------------------- */

typedef struct ls_positions {
    ls_encoding  kind;
    int64_t      rows, cols; /* positions, dims                                                       */
    const float *table;      /* rows x cols: the encoding; rotary: the rotated pairs (1, 0)           */
    const float *dots;       /* rows x rows: dot products of the rows                                 */
    double      *mean;       /* rows: mean of the dot products at each distance between two positions */
} ls_positions;

/* Computes the encoding of the first `rows` positions in a graph; a learned encoding has its own number of positions.
 * LS_ERR_USAGE: the graph has no position encoding. */
ls_status ls_positions_of(const ls_graph *g, ls_params *params, int64_t rows, ls_arena *memory,
                          ls_positions *positions);

/* ---- scores ------------------------------------------------------------------------------------------------------ */

/* Statistics of scores and of their softmax; means over queries. */
typedef struct ls_score_stats {
    double variance; /* variance of the scores that are not masked                                              */
    double largest;  /* largest weight of a query                                                               */
    double entropy;  /* entropy of a query's weights, nats                                                      */
    double gradient; /* norm of the gradient of a query's scores, for a randomly weighted sum of the weights    */
} ls_score_stats;

/* Computes the statistics of scores (matrices x n x n) times `scale`. */
ls_status ls_score_measure(const float *scores, int64_t matrices, int64_t n, float scale, bool causal, ls_arena *memory,
                           ls_score_stats *stats);

/* Computes the scores q k (matrices x n x n) of random queries and keys with elements from N(0, 1) and head width d. */
ls_status ls_score_random(int64_t matrices, int64_t n, int64_t d, uint64_t seed, ls_arena *memory,
                          const float **scores);

/* ---- optimizers -------------------------------------------------------------------------------------------------- */

enum { LS_VALLEY_STEPS = 200 };

/* The path of an optimizer over the valley f(x, y) = (1 - x)^2 + 10 (y - x^2)^2 from (-1.2, 1.2): positions and heights
 * before each step and after the last. */
typedef struct ls_valley_path {
    const char *name; /* of the optimizer */
    double      rate;
    double      x[LS_VALLEY_STEPS + 1], y[LS_VALLEY_STEPS + 1], height[LS_VALLEY_STEPS + 1];
} ls_valley_path;

double ls_valley_height(double x, double y);
/* Walks with the rule and the settings of an optimizer, at the rate o->lr. */
void ls_valley_walk(const ls_optim *o, ls_valley_path *path);
/* The path that ends lowest among 41 rates from 1e-4 to 1.  recipe: settings of the optimizer of that kind; those of
 * other kinds are the defaults. */
void ls_valley_best(const ls_optim *recipe, ls_optim_kind kind, ls_valley_path *best);

/* ---- `lockstep explain` ------------------------------------------------------------------------------------------ */

typedef struct ls_inspect_options {
    const char  *model;     /* run directory, or a recipe                                     */
    int          overrides; /* "key=value", applied to the recipe                             */
    char *const *override;
    const char  *text;        /* --attention, --dot-product, --align: the text                                 */
    int          layer, head; /* --dot-product */
    const char  *png;         /* file for the picture; NULL: in the run directory, or RECIPE-NAME.png */
} ls_inspect_options;

/* The inspected model: that of a run directory with its trained parameters, or that of a recipe with its initial ones.
 */
typedef struct ls_inspected {
    ls_run     *run;
    char        folder[PATH_MAX]; /* run directory; "": a recipe            */
    const char *name;             /* of a folder of transformers; NULL: a run or a recipe */
    const char *from;             /* origin of the parameters, for captions */
} ls_inspected;
/* Opens the model.  only_runs: refuses a recipe, accepts a run directory only.  data: opens the splits as well. */
ls_status ls_inspect(ls_inspected *s, ls_run *run, const ls_inspect_options *options, bool only_runs, bool data);

/* Runs a language model of a run, or of a folder of transformers (decoders, GPT-2, encoders such as BERT) on
 * options->text.  option: its name, for messages. */
ls_status ls_inspect_text(ls_inspected *s, ls_run *run, const ls_inspect_options *options, const char *option,
                          ls_attended *t);

/* Loads the recipe alone, of a run directory or by name. */
ls_status ls_inspect_recipe(ls_inspected *s, ls_run *run, const ls_inspect_options *options);

/* Opens a run of a model of translation, without its dataset. */
ls_status ls_inspect_translation(ls_inspected *s, ls_run *run, const ls_inspect_options *options);

/* Writes the picture, puts it into the report of the run directory, and prints its path. */
ls_status ls_inspect_save(const ls_inspected *s, const ls_inspect_options *options, ls_png *plot, const char *name);

ls_status ls__explain_align(ls_run *run, const ls_inspect_options *options);
ls_status ls__explain_attention(ls_run *run, const ls_inspect_options *options);
ls_status ls__explain_dot_product(ls_run *run, const ls_inspect_options *options);
ls_status ls__explain_positions(ls_run *run, const ls_inspect_options *options);
ls_status ls__explain_scores(ls_run *run, const ls_inspect_options *options);
ls_status ls__explain_valley(ls_run *run, const ls_inspect_options *options);

#endif
