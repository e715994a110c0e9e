/* SPDX-License-Identifier: Apache-2.0
 *
 * Recipes: what a run is, as a YAML file and overrides from the command line, read into one typed struct.
 *
 *     ls_recipe *r;
 *     LS_TRY(ls_recipe_load(&r, "lenet5-digits", overrides, override));       override[i]: "optim.lr=0.1"
 *     LS_CHECK(r->train.batch >= shards, LS_ERR_USAGE, "%s: train.batch: ...", ls_recipe_where(r, "train.batch"));
 *     LS_TRY(ls_recipe_build(r, g, x, classes, &logits));
 *
 * Every key stands in one table (launch/recipe/recipe_schema.c) with its type, range, default and help.  An error names
 * the file, line and column (or the command line), what was expected, what was found, and the nearest known key.
 */
#ifndef LS_LAUNCH_RECIPE_RECIPE_H
#define LS_LAUNCH_RECIPE_RECIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/base/arena.h"
#include "core/core.h"
#include "dist/dist.h"
#include "launch/lockstep.h"

/* One attribute of a layer, as written; `text` is read as the kind that the op's field table says.  Attributes of an
 * attribute ("weight_init: {kind: normal, std: 0.02}") have dotted names: "weight_init.std". */
typedef struct ls_recipe_attribute {
    const char *name, *text, *where; /* where: "file:line:column" */
} ls_recipe_attribute;

/* One entry of model.layers: "- conv2d: {name: conv1, out: 6, kernel: 5}"; or model.options, with the model's name as
 * op. */
typedef struct ls_recipe_layer {
    const char          *op, *where;
    ls_where             at; /* the same, for the graph */
    int                  attributes;
    ls_recipe_attribute *attribute;
} ls_recipe_layer;

/* Loss of a model that gives plain outputs. */
#define LS_TRAIN_LOSS_LIST(X) X(AUTO, "auto") X(CROSS_ENTROPY, "cross_entropy") X(MSE, "mse") X(MAE, "mae")
typedef enum ls_train_loss {
#define X(name, text) LS_TRAIN_LOSS_##name,
    LS_TRAIN_LOSS_LIST(X)
#undef X
} ls_train_loss;

struct ls_recipe {
    struct {
        const char *name, *dir;
    } run; /* name: by default the recipe's; dir: NULL: runs/<name>       */
    struct {
        const char *path;                          /* "digits": the embedded data set; else a file, a folder, or a known
                                                      name ("mnist") to be looked for                              */
        int64_t     train_count, test_count, seed; /* of digits                                                    */
        const char *tokenizer;                     /* of a known text; NULL: "chars"                               */
        int64_t     vocab, context;                /* of bpe; tokens of a window (0: ls_recipe_context)            */
        const char *inputs[LS_MAX_INPUTS + 1];     /* names of the arrays that the model reads; none: other data   */
        const char *targets[LS_MAX_INPUTS + 1];    /* names of the arrays that it predicts                         */
    } data;
    struct {
        const char      *name;       /* "lenet5", "mlp"; NULL when there are layers                  */
        const char      *pretrained; /* safetensors file to start from, or NULL                      */
        int64_t          classes;    /* 0: the data set's                                            */
        ls_recipe_layer  options;    /* of a named model: {hidden: 256}                              */
        int              layers;
        ls_recipe_layer *layer; /* a model listed layer by layer                                */
    } model;
    ls_optim optim; /* with its schedule and parameter groups                       */
    struct {
        int64_t       batch, epochs, max_steps, seed; /* max_steps: 0: no limit                                       */
        bool          reproducible;
        ls_train_loss loss;
        float         label_smoothing, max_hours; /* max_hours: 0: no limit                                       */
    } train;
    ls_trainer_options trainer; /* keys that only the trainer reads; ls_run_trainer_options sets the other fields */
    struct {
        int64_t batch, every, every_steps, samples;
    } eval; /* batch: 0: a good one; every: epochs between evaluations; samples: 0: all */
    struct {
        int64_t every;
    } log; /* steps                                                        */
    struct {
        int64_t every, keep_last, keep_every, writers; /* every: steps besides each epoch's end, 0: by the budget */
        float   budget, seconds; /* part of the run's time; at least so many between two         */
        bool    best, background;
    } checkpoint;
    struct {
        float floor_s;
    } watchdog; /* 0: none                                                         */
    ls_device device;

    const char  *name;          /* of the recipe: file name without folder and ending           */
    char         hash[33];      /* of what decides the bits: a run is continued only with the same */
    char         full_hash[33]; /* of everything: all ranks must have the same                  */
    ls_arena    *arena;         /* holds every string and list above                            */
    const char  *note;          /* settings of the file that were dropped, for the user; NULL: none */
    const char **where;         /* of each key of the schema: NULL: not set                     */
};

/* Parses a recipe from text, then applies the overrides; `file` names it in messages. */
ls_status ls_recipe_parse(ls_recipe **r, const char *text, size_t bytes, const char *file, int overrides,
                          char *const *override);

/* Where a key of the schema was set: "lenet5.yaml:7:10", "command line", or "default". */
const char *ls_recipe_where(const ls_recipe *r, const char *key);

/* Adds the recipe's model to the graph: x: B x ... -> *out: B x outputs.  For a classification model.classes may ask
 * for more outputs.  LS_ERR_USAGE when the model ends with another shape. */
typedef struct ls_recipe_output {
    int64_t     count; /* classes, or predicted values                    */
    const char *unit;  /* one output, for messages: "class", "value"      */
    const char *data;  /* what the dataset holds, for messages: "images"  */
} ls_recipe_output;
ls_status ls_recipe_build(const ls_recipe *r, ls_graph *g, ls_tensor *x, const ls_recipe_output *output,
                          ls_tensor **out);

/* The same for text: tokens x: B x T of int32 -> *out: logits B x T x V or, with the tokens that follow (target), the
 * loss. */
typedef struct ls_language_inputs {
    ls_tensor *x, *target;
    ls_tensor *start;            /* for generation: the place of the first token of each sample, B of int32; NULL: 0 */
    bool       cached, textbook; /* keep keys and values from call to call; attention op by op (named models only)   */
} ls_language_inputs;
ls_status ls_recipe_build_language(const ls_recipe *r, ls_graph *g, const ls_language_inputs *inputs,
                                   int64_t vocabulary, ls_tensor **out);

/* Returns whether the named model is a language model. */
bool ls_recipe_is_language(const ls_recipe *r);

/* Tokens of a window of text: data.context, or else the option `context` of the named model. */
ls_status ls_recipe_context(const ls_recipe *r, int64_t *context);

/* The merged recipe as YAML that ls_recipe_load reads back to the same hash: what run folders keep as recipe.yaml. */
ls_status ls_recipe_write(const ls_recipe *r, const char *path);
void      ls_recipe_print(const ls_recipe *r, FILE *out);

/* Every key with type, default and help, as a table for people. */
void ls_recipe_print_keys(FILE *out);

/* Every model and layer that a recipe can name, with its attributes. */
void ls_recipe_print_layers(FILE *out);

/* The nearest of `n` words to `word`, or NULL when none is near enough to be what was meant. */
const char *ls_nearest(const char *word, int n, const char *const *words);

#endif
