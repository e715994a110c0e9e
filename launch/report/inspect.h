/* SPDX-License-Identifier: Apache-2.0
 * Looking into a model of language: `lockstep explain --attention`, --positions and --scores.  What they compute stands
 * apart from what they draw. */
#ifndef LS_LAUNCH_REPORT_INSPECT_H
#define LS_LAUNCH_REPORT_INSPECT_H

#include "launch/report/png_plot.h"
#include "launch/run/run_setup.h"

/* ---- attention --------------------------------------------------------------------------------------------------- */

/* Attention of one layer on a text of `tokens` tokens. */
typedef struct ls_attention_map {
    const char  *name;                 /* "transformer.h.0.attn"                                                    */
    int64_t      heads, tokens, width; /* width: of a head                                             */
    float        scale;                /* what scores are multiplied by                                             */
    const float *weights;              /* heads x tokens x tokens: row t is where query t looks; its sum is 1        */
    const float *scores;               /* heads x tokens x tokens: q k, neither scaled nor masked                   */
} ls_attention_map;

/* The maps of all layers, in the memory of `memory`: the recipe's model, built with textbook attention over `params`,
 * is run on the tokens.  LS_ERR_USAGE: the model is of a kind that shows no attention. */
ls_status ls_attention_maps(const ls_recipe *recipe, ls_params *params, int64_t vocabulary, const int32_t *tokens,
                            int64_t n, ls_arena *memory, const ls_attention_map **maps, int *layers);

/* ---- positions --------------------------------------------------------------------------------------------------- */

typedef struct ls_positions {
    ls_encoding  kind;
    int64_t      rows, cols; /* positions, dims                                                                    */
    const float *table;      /* rows x cols: of rotary encoding, what it makes of pairs (1, 0)                     */
    const float *dots;       /* rows x rows: products of the rows                                                  */
    double      *mean;       /* rows: mean of the products at each distance                                        */
} ls_positions;

/* What the graph adds to, or does with, `rows` positions.  LS_ERR_USAGE: nothing. */
ls_status ls_positions_of(const ls_graph *g, ls_params *params, int64_t rows, ls_arena *memory,
                          ls_positions *positions);

/* ---- scores ------------------------------------------------------------------------------------------------------ */

/* What a softmax makes of scores, means over queries. */
typedef struct ls_score_stats {
    double variance; /* of the scores that are seen                                                             */
    double largest;  /* weight                                                                                  */
    double entropy;  /* in nats                                                                                 */
    double gradient; /* norm, over a query's scores, of that of a sum of the weights with random signs and sizes */
} ls_score_stats;

/* scores: matrices x n x n, multiplied by `scale`. */
ls_status ls_score_measure(const float *scores, int64_t matrices, int64_t n, float scale, bool causal, ls_arena *memory,
                           ls_score_stats *stats);

/* q k of random queries and keys, of elements N(0, 1): matrices x n x n, for heads of width d. */
ls_status ls_score_random(int64_t matrices, int64_t n, int64_t d, uint64_t seed, ls_arena *memory,
                          const float **scores);

/* ---- `lockstep explain` ------------------------------------------------------------------------------------------ */

typedef struct ls_inspect_options {
    const char  *model;     /* run directory, or a recipe                                     */
    int          overrides; /* "key=value", applied to the recipe                             */
    char *const *override;
    const char  *text; /* --attention: the text                                               */
    const char  *png;  /* file for the picture; NULL: in the run directory, or RECIPE-NAME.png */
} ls_inspect_options;

/* The inspected model: that of a run directory with its trained parameters, or that of a recipe with its initial ones. */
typedef struct ls_inspected {
    ls_run     *run;
    char        folder[PATH_MAX]; /* run directory; "": a recipe            */
    const char *from;             /* origin of the parameters, for captions */
} ls_inspected;
/* Opens the model.  only_runs: a recipe is an error; data: opens the splits as well. */
ls_status ls_inspect(ls_inspected *s, ls_run *run, const ls_inspect_options *options, bool only_runs, bool data);

/* Writes the picture, puts it into the report of the run directory, and prints its path. */
ls_status ls_inspect_save(const ls_inspected *s, const ls_inspect_options *options, ls_png *plot, const char *name);

ls_status ls__explain_attention(ls_run *run, const ls_inspect_options *options);
ls_status ls__explain_positions(ls_run *run, const ls_inspect_options *options);
ls_status ls__explain_scores(ls_run *run, const ls_inspect_options *options);

#endif
