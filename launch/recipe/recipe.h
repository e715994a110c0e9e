/* SPDX-License-Identifier: Apache-2.0
 *
 * Recipes: the settings of a run, read from a YAML file and command-line overrides into one typed struct.
 *
 *     ls_recipe *r;
 *     LS_TRY(ls_recipe_load(&r, "lenet5-digits", overrides, override));       override[i]: "optim.lr=0.1"
 *     LS_CHECK(r->train.batch >= shards, LS_ERR_USAGE, "%s: train.batch: ...", ls_recipe_where(r, "train.batch"));
 *     LS_TRY(ls_recipe_build(r, g, x, &(ls_recipe_output){classes, "class", "images"}, &logits));
 *
 * One table (launch/recipe/recipe_schema.c) has every key with its type, range, default and help text.  An error
 * message gives the file, line and column (or the command line), the expected and the found value, and the nearest
 * known key.
 */
#ifndef LS_LAUNCH_RECIPE_RECIPE_H
#define LS_LAUNCH_RECIPE_RECIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/base/arena.h"
#include "core/core.h"
#include "datasets/datasets.h"
#include "dist/dist.h"
#include "launch/lockstep.h"

enum { LS_MAX_FREEZE = 32, LS_MAX_CLASS_LIST = 256 }; /* most entries of model.freeze and of data.classes */

/* A list of numbers. */
typedef struct ls_reals {
    int   count;
    float value[4];
} ls_reals;

/* One attribute of a layer as the recipe spells it.  The field table of the layer decides how `text` is read.  A nested
 * map has dotted names: "weight_init: {std: 0.02}" is the attribute "weight_init.std". */
typedef struct ls_recipe_attribute {
    const char *name, *text;
    const char *where; /* "file:line:column", for messages */
} ls_recipe_attribute;

/* Layers in the order of their computation: model.layers, or a list of a block. */
typedef struct ls_layer_list {
    int                     count; /* entries of `layer` */
    struct ls_recipe_layer *layer;
} ls_layer_list;

/* One entry of model.layers, "- conv2d: {name: conv1, out: 6, kernel: 5}"; or model.options, with op
 * "model.options". */
typedef struct ls_recipe_layer {
    const char                  *op;         /* name of the layer, op or block                     */
    const char                  *where;      /* "file:line:column", for messages                   */
    ls_where                     at;         /* the same file and line, for messages of the graph  */
    int                          attributes; /* entries of `attribute`                             */
    ls_recipe_attribute         *attribute;
    const struct ls_layer_block *block; /* NULL: a layer or op                                */
    int                          lists; /* entries of `list`                                  */
    ls_layer_list               *list;  /* the lists of a block: its paths                    */
} ls_recipe_layer;

/* One phase of train.phases: the keys that it sets, each "key=value". */
enum { LS_MAX_PHASE_KEYS = 32 };
typedef struct ls_recipe_phase {
    int   keys;
    char *key[LS_MAX_PHASE_KEYS];
} ls_recipe_phase;

/* Loss function of a model without a loss of its own (recipe key train.loss). */
#define LS_TRAIN_LOSS_LIST(X) X(AUTO, "auto") X(CROSS_ENTROPY, "cross_entropy") X(MSE, "mse") X(MAE, "mae")
typedef enum ls_train_loss {
#define X(name, text) LS_TRAIN_LOSS_##name,
    LS_TRAIN_LOSS_LIST(X)
#undef X
} ls_train_loss;

/* Kernels of 3 x 3 convolutions of stride 1 (recipe key train.conv). */
#define LS_TRAIN_CONV_LIST(X) X(AUTO, "auto") X(DIRECT, "direct")
typedef enum ls_train_conv {
#define X(name, text) LS_TRAIN_CONV_##name,
    LS_TRAIN_CONV_LIST(X)
#undef X
} ls_train_conv;

#define LS_EVAL_AUGMENT_LIST(X) X(NONE, "none") X(FLIP, "flip") X(FLIP_SHIFT, "flip+shift")
typedef enum ls_eval_augment {
#define X(name, text) LS_EVAL_AUGMENT_##name,
    LS_EVAL_AUGMENT_LIST(X)
#undef X
} ls_eval_augment;

/* A recipe.  Help texts of the keys: launch/recipe/recipe_schema.c. */
struct ls_recipe {
    struct {
        const char *name; /* default: ls_recipe.name */
        const char *dir;  /* default: runs/<name>    */
    } run;
    struct {
        const char *path;                       /* "digits", made pairs, the name of a known dataset, or a path      */
        int64_t     train_count, test_count;    /* samples of "digits" and of made pairs                             */
        int64_t     seed;                       /* of "digits" and of made pairs                                     */
        int64_t     min_length, max_length;     /* digits of a sequence of made pairs                                */
        const char *tokenizer;                  /* kind or path of a tokenizer; NULL: default of the dataset         */
        int64_t     vocab;                      /* vocabulary size for "bpe", tokens; 0: 8192; limit for "words"     */
        int64_t     min_count;                  /* "words": smallest count of a word; 0: 1                           */
        bool        lowercase;                  /* a new tokenizer lower-cases texts                                 */
        int64_t     context;                    /* tokens of a sample; 0: see ls_recipe_context                      */
        const char *inputs[LS_MAX_INPUTS + 1];  /* HDF5 datasets that the model reads; none: not a task of arrays    */
        const char *targets[LS_MAX_INPUTS + 1]; /* HDF5 datasets that the model predicts                             */
        ls_augment  augment;                    /* random changes of training images                                 */
        const char *classes[LS_MAX_CLASS_LIST + 1];  /* classes of images that remain; none: all                    */
        int64_t     train_per_class, test_per_class; /* images of each class that remain; 0: all                    */
        bool        streams;                         /* text: samples continue each other, states are carried       */
        float       mask;                            /* text, encoders: part of the tokens that are masked          */
        bool        whole_words;                     /* text, encoders: whole words are masked                      */
        bool        shuffle_pixels;                  /* one permutation of the pixels of all images                 */
        int         size;                            /* images are resized to size x size pixels; 0: as they are    */
        int         interpolation;                   /* of that resize, ls_interpolation                            */
        ls_reals    mean, std;                       /* normalisation of images by channel; none: the dataset's     */
        int         loader_threads;                  /* of each rank; 0: see ls_run_loader_threads                  */
    } data;
    struct {
        const char     *name;                      /* "lenet5", "mlp"; NULL: the model is a list of layers        */
        const char     *pretrained;                /* initial parameters: file or folder; NULL: random            */
        const char     *freeze[LS_MAX_FREEZE + 1]; /* globs on names of parameters, or "body"       */
        int64_t         classes;                   /* number of logits; 0: that of the dataset                    */
        int64_t         norm_over;                 /* samples of the statistics of batch norms; 0: global batch   */
        ls_recipe_layer options;                   /* options of the named model: {hidden: 256}                   */
        ls_layer_list   layers;                    /* empty: the model has a name                                 */
    } model;
    ls_optim optim; /* optimizer, schedule and parameter groups */
    struct {
        int64_t          batch;     /* samples of a global batch   */
        int64_t          epochs;    /* passes over the training data */
        int64_t          max_steps; /* 0: no limit */
        int64_t          seed;
        bool             reproducible;
        const char      *product_table; /* file of ls__product_table_read; NULL: none */
        ls_dtype         precision;     /* LS_F32 or LS_BF16 */
        ls_train_conv    conv;
        ls_train_loss    loss;
        float            label_smoothing; /* fraction, 0 to 1      */
        float            max_hours;       /* 0: no limit           */
        int64_t          patience;        /* evaluations without a lower held-out loss that end the run; 0: no limit */
        int              phases;          /* entries of `phase`    */
        ls_recipe_phase *phase;           /* the run is a sequence of runs, each with keys of its own */
    } train;
    ls_trainer_options trainer; /* keys that only the trainer reads; ls_run_trainer_options sets the other fields */
    struct {
        int64_t         batch;        /* samples; 0: train.batch                       */
        int64_t         every;        /* epochs between evaluations; 0: only at the end  */
        int64_t         every_steps;  /* steps between further evaluations; 0: none      */
        int64_t         samples;      /* samples to evaluate; 0: the whole split         */
        int64_t         translations; /* sentences to translate for BLEU; 0: none           */
        int64_t         beam;         /* hypotheses of each                                 */
        const char     *split;        /* name of the held-out split; NULL: see ls_data_open */
        ls_eval_augment augment;      /* views of an image; their logits are averaged */
    } eval;
    struct {
        int64_t every; /* steps between two step events */
    } log;
    struct {
        int64_t every;      /* steps between checkpoints within an epoch; 0: by the budget         */
        int64_t keep_last;  /* newest checkpoints that are not deleted; 0: all                     */
        int64_t keep_every; /* checkpoints whose step is a multiple are not deleted; 0: none       */
        int64_t writers;    /* ranks that write; 0: chosen from the size of the state              */
        float   budget;     /* fraction of the run's time for checkpoints within epochs            */
        float   seconds;    /* shortest time between two checkpoints within an epoch, seconds      */
        bool    best;       /* the checkpoint with the lowest held-out loss is kept                */
        bool    background; /* a thread writes a copy while training continues                     */
    } checkpoint;
    struct {
        float floor_s; /* shortest time limit of an instruction, seconds; 0: no watchdog */
    } watchdog;
    ls_device device;

    const char  *name;          /* name of the recipe: its file's name without folder and extension               */
    char         hash[33];      /* hash of all keys that decide bits; a run is continued only with the same hash  */
    char         full_hash[33]; /* hash of all keys; all ranks must have the same                                 */
    ls_arena    *arena;         /* memory of every string and list above                                          */
    const char  *note;          /* note for the user about dropped settings of the file; NULL: none               */
    const char **where;         /* place of each key of the schema: "file:line:column"; NULL: not set             */
};

/* Parses a recipe from `bytes` bytes of text, then applies the overrides, each "key=value".  `file` is the name of the
 * recipe in messages. */
ls_status ls_recipe_parse(ls_recipe **r, const char *text, size_t bytes, const char *file, int overrides,
                          char *const *override);

/* Parses "float32" or "bfloat16", the values of train.precision and of --precision.  NULL leaves *precision unchanged;
 * LS_ERR_USAGE for another text. */
ls_status ls_precision_parse(const char *text, ls_dtype *precision);

/* Sets keys of a recipe, each "key=value", as the command line does. */
ls_status ls_recipe_set(ls_recipe *r, int overrides, char *const *override);

/* Returns the place at which a key was set: "lenet5.yaml:7:10", "command line", or "default". */
const char *ls_recipe_where(const ls_recipe *r, const char *key);

/* Returns the first key of a section ("data.augment.") that the recipe sets; NULL: none. */
const char *ls_recipe_first_key(const ls_recipe *r, const char *section);

/* Outputs of a model that is not a language model. */
typedef struct ls_recipe_output {
    int64_t     count; /* number of classes, or of predicted values           */
    const char *unit;  /* name of one output, for messages: "class", "value"  */
    const char *data;  /* name of the samples, for messages: "images"         */
} ls_recipe_output;

/* Adds the recipe's model to the graph: x: B x ... -> *out: B x output->count, or B x model.classes for a
 * classification whose recipe sets more classes.  LS_ERR_USAGE when the model ends with another shape. */
ls_status ls_recipe_build(const ls_recipe *r, ls_graph *g, ls_tensor *x, const ls_recipe_output *output,
                          ls_tensor **out);

/* Inputs of a language model. */
typedef struct ls_language_inputs {
    ls_tensor *x;        /* tokens, B x T of int32                                                                */
    ls_tensor *target;   /* next tokens, B x T of int32; NULL: the model gives logits instead of the loss         */
    ls_tensor *start;    /* generation: position of each sample's first token, B of int32; NULL: 0                */
    int64_t    cached;   /* named models: positions of the cache of keys and values; 0: no cache                     */
    bool       textbook; /* named models: attention as separate ops (scores, softmax, product) instead of one     */
} ls_language_inputs;

/* Adds the recipe's language model to the graph: *out: logits, B x T x vocabulary, or the loss when there is a
 * target. */
ls_status ls_recipe_build_language(const ls_recipe *r, ls_graph *g, const ls_language_inputs *inputs,
                                   int64_t vocabulary, ls_tensor **out);

/* Adds the recipe's model of translation, or a part of it, to the graph inputs->g: *out: the loss, the logits without a
 * target, or the encoder's output. */
ls_status ls_recipe_build_translation(const ls_recipe *r, const ls_translation_inputs *inputs, ls_tensor **out);

/* Inputs of an encoder of texts. */
typedef struct ls_encoder_inputs {
    ls_tensor *x;          /* tokens, B x T of int32                                               */
    ls_tensor *length;     /* B of int32                                                           */
    ls_tensor *type;       /* B x T of int32; read by models with types, and NULL for the others   */
    int64_t    vocabulary; /* of the data; the model's may be larger                               */
    /* Pretraining: as in ls_encoder_args; target NULL: none. */
    ls_tensor  *target, *next, *scale;
    ls_tensor **scores;
} ls_encoder_inputs;

/* Adds the recipe's encoder of texts with its head to the graph: *out: B x output->count, or B x model.classes; of
 * pretraining the loss. */
ls_status ls_recipe_build_encoder(const ls_recipe *r, ls_graph *g, const ls_encoder_inputs *inputs,
                                  const ls_recipe_output *output, ls_tensor **out);

/* Sets *args to the options of the recipe's encoder of texts; false: the model is another. */
bool ls_recipe_encoder(const ls_recipe *r, ls_encoder_args *args);

/* Returns whether the named model is a language model. */
bool ls_recipe_is_language(const ls_recipe *r);

/* Returns the context length, tokens: data.context, or else the option `context` of the named model. */
ls_status ls_recipe_context(const ls_recipe *r, int64_t *context);

/* Writes the merged recipe as YAML, from which ls_recipe_load reads a recipe with the same hash.  Run directories hold
 * it as recipe.yaml. */
ls_status ls_recipe_write(const ls_recipe *r, const char *path);
void      ls_recipe_print(const ls_recipe *r, FILE *out);

/* Prints every key with type, default and help text: `lockstep recipes keys`. */
void ls_recipe_print_keys(FILE *out);

/* Prints every model and layer that a recipe can name, with its attributes: `lockstep recipes layers`. */
void ls_recipe_print_layers(FILE *out);

/* Returns the word with the smallest edit distance to `word`; NULL when the distance exceeds a third of its length plus
 * one. */
const char *ls_nearest(const char *word, int n, const char *const *words);

#endif
