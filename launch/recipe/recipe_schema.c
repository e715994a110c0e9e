/* SPDX-License-Identifier: Apache-2.0
 * Every key of a recipe, in one table, and what the table alone decides: reading, checking and printing a value. */
#include <ctype.h>
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/enum_text.h"
#include "datasets/datasets.h"
#include "launch/recipe/recipe_internal.h"

const char *const        ls__optim_texts[]    = LS_ENUM_TEXTS(LS_OPTIM_LIST);
const char *const        ls__schedule_texts[] = LS_ENUM_TEXTS(LS_SCHEDULE_LIST);
static const char *const device_names[]       = LS_ENUM_TEXTS(LS_DEVICE_LIST);

static const char *const window_names[] = LS_ENUM_TEXTS(LS_SHARED_MEMORY_LIST);

static const char *const overlap_names[] = LS_ENUM_TEXTS(LS_OVERLAP_LIST);

static const char *const wire_names[] = LS_ENUM_TEXTS(LS_WIRE_LIST);

static const char *const on_nan_names[] = LS_ENUM_TEXTS(LS_ON_NAN_LIST);

static const char *const loss_names[] = LS_ENUM_TEXTS(LS_TRAIN_LOSS_LIST);

/* Largest bound of an integer key: up to here a double, which the range check uses, holds every integer. */
#define MANY 9007199254740992.0

/* Kind, place and range of a key; the member is one of ls_recipe. */
#define AT(kind_, member) .kind = LS_KEY_##kind_, .offset = offsetof(ls_recipe, member)
#define INT(member, low_, high_) AT(INT, member), .low = (low_), .high = (high_)
#define INT32(member, low_, high_) AT(INT32, member), .low = (low_), .high = (high_)
#define FLOAT(member, low_, high_) AT(FLOAT, member), .low = (low_), .high = (high_)
#define BOOL(member) AT(BOOL, member), .high = 1
#define ENUM(member, words_) AT(ENUM, member), .words = (words_)
#define LIST(kind_, member, most) AT(kind_, member), .high = (most)

/* One row per key.  bits: the key decides the bits of the result; a run is continued only with the same value. */
const ls_key ls__keys[] = {
    {"run.name", AT(STRING, run.name), .help = "name of the run; default: the name of the recipe"},
    {"run.dir", AT(STRING, run.dir), .help = "run directory; default runs/<name>"},

    {"data.path", AT(STRING, data.path), .fallback = "digits", .bits = true,
     .help = "digits (synthetic digits, made by the program), a known dataset (mnist, shakespeare), or the file or "
             "folder of a dataset"},
    {"data.train_count", INT(data.train_count, 1, 1e9), .fallback = "30000", .bits = true,
     .help = "digits: number of training samples"},
    {"data.test_count", INT(data.test_count, 1, 1e9), .fallback = "10000", .bits = true,
     .help = "digits: number of held-out samples"},
    {"data.seed", INT(data.seed, 0, MANY), .fallback = "1", .bits = true, .help = "digits: seed of the samples"},
    {"data.tokenizer", AT(STRING, data.tokenizer), .bits = true,
     .help = "text: chars, bytes, bpe or the path of a tokenizer; a known text (shakespeare) is imported with it, by "
             "default with chars"},
    {"data.vocab", INT(data.vocab, 0, 1 << 20), .fallback = "0", .bits = true,
     .help = "a known text with the tokenizer bpe: number of tokens to learn; 0: 8192"},
    {"data.context", INT(data.context, 0, LS_MAX_CONTEXT), .fallback = "0", .bits = true,
     .help = "text: tokens of a window; 0: the model's option context"},
    {"data.inputs", LIST(STRINGS, data.inputs, LS_MAX_INPUTS), .bits = true,
     .help = "arrays: names of the HDF5 datasets that the model reads, with the samples in the first dimension; "
             "several are flattened and concatenated"},
    {"data.targets", LIST(STRINGS, data.targets, LS_MAX_INPUTS), .bits = true,
     .help = "arrays: names of the HDF5 datasets that the model predicts; one of integers is a classification, unless "
             "train.loss is mse or mae"},

    {"model.name", AT(MODEL, model.name), .bits = true, .help = "name of a model"},
    {"model.options", LIST(OPTIONS, model.options, 64), .bits = true,
     .help = "options of the named model: {hidden: 256}"},
    {"model.layers", LIST(LAYERS, model.layer, 4096), .bits = true,
     .help = "instead of a name, a list of layers: - conv2d: {name: conv1, out: 6, kernel: 5}"},
    {"model.classes", INT(model.classes, 0, 1e7), .fallback = "0", .bits = true,
     .help = "number of the model's logits; 0: the classes of the dataset, or its vocabulary"},
    {"model.pretrained", AT(STRING, model.pretrained), .bits = true,
     .help = "initial parameters: a safetensors file, or a folder with config.json and model.safetensors, as Hugging "
             "Face saves it"},

    {"train.batch", INT(train.batch, 1, 1e9), .fallback = "64", .bits = true,
     .help = "samples (windows of text) of a step, all ranks together"},
    {"train.epochs", INT(train.epochs, 0, 1e9), .fallback = "10", .help = "passes over the training data"},
    {"train.max_steps", INT(train.max_steps, 0, MANY), .fallback = "0",
     .help = "largest number of steps; 0: train.epochs alone ends the run"},
    {"train.max_hours", FLOAT(train.max_hours, 0, 1e6), .fallback = "0",
     .help = "hours before which the run stops with a checkpoint, to be continued; 0: no limit"},
    {"train.seed", INT(train.seed, 0, MANY), .fallback = "1", .bits = true,
     .help = "seed of initial parameters, order of samples and dropout"},
    {"train.shards", INT32(trainer.shards, 0, 65536), .fallback = "0", .bits = true,
     .help = "virtual shards of a batch, whatever the number of ranks; 0: chosen from the batch"},
    {"train.reproducible", BOOL(train.reproducible), .fallback = "true", .bits = true,
     .help = "same bits for any number of ranks and threads"},
    {"train.accumulate", INT32(trainer.accumulate, 1, 65536), .fallback = "1",
     .help = "micro-batches of a step; more need less memory"},
    {"train.bucket_bytes", INT(trainer.bucket_bytes, 0, MANY), .fallback = "0",
     .help =
         "bytes of gradients that one collective reduces; 0: 4 MiB, between hosts the size found best at the start"},
    {"train.window", ENUM(trainer.shared_memory, window_names), .fallback = "auto",
     .help = "ranks of a host reduce gradients in shared memory; off: by messages"},
    {"train.wire", ENUM(trainer.wire, wire_names), .fallback = "float32", .bits = true,
     .help =
         "type of gradients in messages between hosts; bfloat16 halves the bytes, and the bits depend on the number "
         "of hosts"},
    {"train.overlap", ENUM(trainer.overlap, overlap_names), .fallback = "auto",
     .help = "progress of collectives between hosts during computation: by polling, by a thread, or off"},
    {"train.zero", INT32(trainer.zero, 0, 2), .fallback = "0",
     .help = "ZeRO stage. 0: optimizer state replicated on each host, partitioned over its ranks; 1: partitioned over "
             "all ranks; 2: gradients partitioned as well"},
    {"train.on_nan", ENUM(trainer.on_nan, on_nan_names), .fallback = "abort",
     .help = "reaction to a loss or gradient that is not finite: end the run, skip the step, or continue from the "
             "newest checkpoint with the next batches"},
    {"train.check_every", INT(trainer.check_every, 0, MANY), .fallback = "1000",
     .help = "steps between comparisons of the parameters of all hosts; 0: never"},
    {"train.label_smoothing", FLOAT(train.label_smoothing, 0, 1), .fallback = "0", .bits = true,
     .help = "part of the target distribution that is spread evenly over all classes"},
    {"train.loss", ENUM(train.loss, loss_names), .fallback = "auto", .bits = true,
     .help =
         "auto: cross_entropy for classifications and text, mse for regressions; mse: mean squared error; mae: mean "
         "absolute error"},

    {"optim.name", ENUM(optim.kind, ls__optim_texts), .fallback = "sgd", .bits = true,
     .help = "optimizer; nesterov means nag"},
    {"optim.lr", FLOAT(optim.lr, 0, 1e6), .bits = true,
     .help = "base learning rate; default 1e-3, with adagrad and rmsprop 1e-2"},
    {"optim.momentum", FLOAT(optim.momentum, 0, 1), .bits = true,
     .help = "momentum, nag: default 0.9; rmsprop: default 0"},
    {"optim.dampening", FLOAT(optim.dampening, 0, 1), .bits = true,
     .help = "momentum: dampening of the gradient; default 0"},
    {"optim.weight_decay", FLOAT(optim.weight_decay, 0, 1e6), .bits = true,
     .help = "L2 term of the gradient, with adamw decoupled weight decay; default 0"},
    {"optim.betas", LIST(FLOATS, optim.betas, 1), .bits = true,
     .help = "adam, adamw: decay of the first and second moment; default [0.9, 0.999]"},
    {"optim.alpha", FLOAT(optim.alpha, 0, 1), .bits = true, .help = "rmsprop: decay of the mean square; default 0.99"},
    {"optim.eps", FLOAT(optim.eps, 0, 1), .bits = true,
     .help = "added to the denominator; default 1e-8, with adagrad 1e-10"},
    {"optim.centered", BOOL(optim.centered), .fallback = "false", .bits = true,
     .help = "rmsprop: divide by the variance instead of the second moment"},
    {"optim.lr_decay", FLOAT(optim.lr_decay, 0, 1e6), .bits = true,
     .help = "adagrad: decay of the learning rate with the steps; default 0"},
    {"optim.initial_accumulator_value", FLOAT(optim.initial_accumulator_value, 0, 1e6), .bits = true,
     .help = "adagrad: first value of the accumulator; default 0"},
    {"optim.clip_norm", FLOAT(optim.clip_norm, 0, 1e30), .bits = true,
     .help = "largest global norm of the gradient; 0, the default: no clipping"},
    {"optim.clip_value", FLOAT(optim.clip_value, 0, 1e30), .bits = true,
     .help = "largest absolute value of an element of the gradient; 0, the default: no clipping"},
    {"optim.groups", LIST(GROUPS, optim.group, LS_MAX_PARAM_GROUPS - 1), .bits = true,
     .help = "list of {params: '*.bias', lr_scale: 1, weight_decay: 0}; the first match applies"},

    {"schedule.name", ENUM(optim.schedule.kind, ls__schedule_texts), .fallback = "constant", .bits = true,
     .help = "schedule of the learning rate"},
    {"schedule.warmup", INT(optim.schedule.warmup, 0, MANY), .bits = true,
     .help = "steps of linear warm-up; default 0"},
    {"schedule.start_factor", FLOAT(optim.schedule.start_factor, 0, 1), .bits = true,
     .help = "first multiple of the warm-up; default 0"},
    {"schedule.total_steps", INT(optim.schedule.total_steps, 0, MANY), .bits = true,
     .help = "cosine, linear, onecycle: length in steps; 0, the default: length of the run"},
    {"schedule.end_factor", FLOAT(optim.schedule.end_factor, 0, 1e6), .bits = true,
     .help = "cosine, linear: last multiple; default 0"},
    {"schedule.step_size", INT(optim.schedule.step_size, 0, MANY), .bits = true,
     .help = "step, exponential: steps between two decays; default 1"},
    {"schedule.gamma", FLOAT(optim.schedule.gamma, 0, 1), .bits = true,
     .help = "step, multistep, exponential: factor of a decay; default 0.1"},
    {"schedule.milestones", LIST(INTS, optim.schedule.milestones, LS_MAX_MILESTONES - 1), .low = 1, .bits = true,
     .help = "multistep: list of the steps of the decays, increasing"},
    {"schedule.pct_start", FLOAT(optim.schedule.pct_start, 0, 1), .bits = true,
     .help = "onecycle: fraction of the steps in which the rate rises; default 0.3"},
    {"schedule.div_factor", FLOAT(optim.schedule.div_factor, 0, 1e9), .bits = true,
     .help = "onecycle: peak rate / first rate; default 25"},
    {"schedule.final_div_factor", FLOAT(optim.schedule.final_div_factor, 0, 1e30), .bits = true,
     .help = "onecycle: first rate / last rate; default 1e4"},

    {"eval.batch", INT(eval.batch, 0, 1e9), .fallback = "0",
     .help = "samples of a batch in evaluations; 0: train.batch"},
    {"eval.every", INT(eval.every, 0, 1e9), .fallback = "1",
     .help = "epochs between evaluations; 0: only at the end of the run"},
    {"eval.every_steps", INT(eval.every_steps, 0, MANY), .fallback = "0",
     .help = "steps between further evaluations; 0: none"},
    {"eval.samples", INT(eval.samples, 0, MANY), .fallback = "0",
     .help = "evaluate on the first N samples, rounded up to whole batches; 0: the whole split"},
    {"log.every", INT(log.every, 1, MANY), .fallback = "50", .help = "steps between two step events of metrics.jsonl"},
    {"checkpoint.every", INT(checkpoint.every, 0, MANY), .fallback = "0",
     .help = "steps between checkpoints, besides that of each epoch's end; 0: as often as checkpoint.budget allows"},
    {"checkpoint.budget", FLOAT(checkpoint.budget, 0, 1), .fallback = "0.035",
     .help = "part of the run's time that checkpoints between the ends of epochs may take; 0: there are none"},
    {"checkpoint.seconds", FLOAT(checkpoint.seconds, 0, 1e9), .fallback = "60",
     .help = "least seconds between two of these checkpoints"},
    {"checkpoint.keep_last", INT(checkpoint.keep_last, 0, 1e6), .fallback = "3",
     .help = "number of the newest checkpoints to keep; 0: all"},
    {"checkpoint.keep_every", INT(checkpoint.keep_every, 0, MANY), .fallback = "0",
     .help = "keep every checkpoint whose step is a multiple of this; 0: none"},
    {"checkpoint.best", BOOL(checkpoint.best), .fallback = "true",
     .help = "keep the checkpoint with the smallest held-out loss"},
    {"checkpoint.background", BOOL(checkpoint.background), .fallback = "true",
     .help = "write a copy of the state while training continues; false: training waits, and no memory for a copy is "
             "needed"},
    {"checkpoint.writers", INT(checkpoint.writers, 0, 9999), .fallback = "0",
     .help = "ranks that write a file each; 0: as many as have 1 MiB to write; more where each has a partition of its "
             "own"},
    {"watchdog.floor_s", FLOAT(watchdog.floor_s, 0, 1e9), .fallback = "60",
     .help = "shortest time limit of an instruction before the run is diagnosed as hanging, seconds; 0: no watchdog"},
    {"device", ENUM(device, device_names), .fallback = "cpu", .help = "device that computes"},
    {0},
};

int ls__key_count(void) { return (int)(sizeof ls__keys / sizeof *ls__keys) - 1; }

/* The words that a key can be, ended by NULL; NULL when it is no word. */
static const char *const *words_of(const ls_key *k) { return k->kind == LS_KEY_MODEL ? ls__model_names() : k->words; }

/* ---- finding ----------------------------------------------------------------------------------------------------- */

int ls__key_find(const char *path)
{
    for (int i = 0; ls__keys[i].path; i++)
        if (!strcmp(ls__keys[i].path, path)) return i;
    return -1;
}

bool ls__key_is_section(const char *path)
{
    size_t length = strlen(path);
    for (const ls_key *k = ls__keys; k->path; k++)
        if (!strncmp(k->path, path, length) && k->path[length] == '.') return true;
    return false;
}

const char *ls__key_nearest(ls_arena *arena, const char *path)
{
    int          n = 0, sections = 0;
    const char **known = ls_arena_alloc(arena, (size_t)ls__key_count() * 2 * sizeof *known);
    for (const ls_key *k = ls__keys; k->path; k++) {
        known[n++]       = k->path;
        const char *last = strrchr(k->path, '.');
        if (last && !strcmp(last + 1, path)) return k->path; /* the section was forgotten */
    }
    const char *near = ls_nearest(path, n, known);
    if (near || strchr(path, '.')) return near;
    for (const ls_key *k = ls__keys; k->path; k++)
        known[n + sections++] = ls_arena_printf(arena, "%.*s", (int)strcspn(k->path, "."), k->path);
    return ls_nearest(path, sections, known + n);
}

/* Edits (insert, delete, replace, exchange of neighbours) that make `from` of `to`; -1: more than fit the table. */
static int distance(const char *from, const char *to)
{
    enum { MOST = 64 };
    int n = (int)strlen(from), m = (int)strlen(to);
    int row[3][MOST + 1];
    if (n > MOST || m > MOST) return -1;
    for (int j = 0; j <= m; j++) row[0][j] = j;
    for (int i = 1; i <= n; i++) {
        int *now = row[i % 3], *up = row[(i + 2) % 3], *upper = row[(i + 1) % 3];
        now[0] = i;
        for (int j = 1; j <= m; j++) {
            int best = up[j - 1] + (tolower((unsigned char)from[i - 1]) != tolower((unsigned char)to[j - 1]));
            if (up[j] + 1 < best) best = up[j] + 1;
            if (now[j - 1] + 1 < best) best = now[j - 1] + 1;
            if (i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] && upper[j - 2] + 1 < best)
                best = upper[j - 2] + 1;
            now[j] = best;
        }
    }
    return row[n % 3][m];
}

const char *ls_nearest(const char *word, int n, const char *const *words)
{
    const char *nearest = NULL;
    int         best    = (int)strlen(word) / 3 + 2;
    for (int i = 0; i < n; i++) {
        int d = distance(word, words[i]);
        if (d >= 0 && d < best && d < (int)strlen(words[i])) {
            best    = d;
            nearest = words[i];
        }
    }
    return nearest;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

bool ls__read_int(const ls_yaml *y, int64_t *value)
{
    if (y->kind != LS_YAML_SCALAR || y->quoted) return false;
    const char *digits = y->text + (*y->text == '-' || *y->text == '+');
    if (!*digits || digits[strspn(digits, "0123456789")]) return false;
    errno  = 0;
    *value = strtoll(y->text, NULL, 10);
    return errno == 0;
}

bool ls__read_float(const ls_yaml *y, double *value)
{
    if (y->kind != LS_YAML_SCALAR || y->quoted || !*y->text || y->text[strspn(y->text, "0123456789.eE+-")])
        return false;
    char *end;
    *value = strtod(y->text, &end);
    return !*end && isfinite(*value);
}

static const char *words_list(ls_arena *arena, const char *const *words)
{
    const char *list = "";
    for (int i = 0; words[i]; i++) list = ls_arena_printf(arena, "%s%s%s", list, i ? ", " : "", words[i]);
    return list;
}

#define UNREACHED 1e6 /* messages name no upper bound from here on, unless the value exceeds it */

static const char *range(ls_arena *arena, const char *what, double low, double high)
{
    if (high >= UNREACHED) return ls_arena_printf(arena, "%s of at least %g", what, low);
    return ls_arena_printf(arena, "%s from %g to %.9g", what, low, high);
}

const char *ls__key_expects(ls_arena *arena, const ls_key *k)
{
    switch (k->kind) {
    case LS_KEY_INT:
    case LS_KEY_INT32:
        return range(arena, "a whole number", k->low, k->high);
    case LS_KEY_FLOAT:
        return range(arena, "a number", k->low, k->high);
    case LS_KEY_BOOL:
        return "true or false";
    case LS_KEY_STRING:
        return "a text";
    case LS_KEY_ENUM:
    case LS_KEY_MODEL:
        return ls_arena_printf(arena, "one of %s", words_list(arena, words_of(k)));
    case LS_KEY_STRINGS:
        return ls_arena_printf(arena, "a list of 1 to %g names, like [x, y]", k->high);
    case LS_KEY_INTS:
        return ls_arena_printf(arena, "a list of at most %g increasing whole numbers, like [100, 200]", k->high);
    case LS_KEY_FLOATS:
        return ls_arena_printf(arena, "a list of two numbers from %g to %g, like [0.9, 0.999]", k->low, k->high);
    case LS_KEY_LAYERS:
        return ls_arena_printf(arena, "a list of at most %g layers", k->high);
    case LS_KEY_OPTIONS:
        return "a map of the model's options, like {hidden: 256}";
    case LS_KEY_GROUPS:
        return ls_arena_printf(arena, "a list of at most %g maps {params, lr_scale, weight_decay}", k->high);
    }
    return "";
}

static bool set_ints(const ls_key *k, void *at, const ls_yaml *list)
{
    int64_t *values = at, value;
    int      n      = 0;
    if (list->kind != LS_YAML_LIST) return false;
    memset(values, 0, ((size_t)k->high + 1) * sizeof *values);
    for (const ls_yaml *y = list->first; y; y = y->next) {
        if (n >= (int)k->high || !ls__read_int(y, &value) || value < (int64_t)k->low || (n && value <= values[n - 1]))
            return false;
        values[n++] = value;
    }
    return true;
}

static bool set_floats(const ls_key *k, void *at, const ls_yaml *list)
{
    double value[2];
    int    n = 0;
    if (list->kind != LS_YAML_LIST) return false;
    for (const ls_yaml *y = list->first; y; y = y->next, n++)
        if (n == 2 || !ls__read_float(y, &value[n]) || value[n] < k->low || value[n] > k->high) return false;
    if (n != 2) return false;
    for (int i = 0; i < 2; i++) ((float *)at)[i] = (float)value[i];
    return true;
}

/* One name, or a list of names without repetition. */
static bool set_strings(const ls_key *k, const char **at, const ls_yaml *y)
{
    int n = 0;
    memset(at, 0, ((size_t)k->high + 1) * sizeof *at);
    if (y->kind == LS_YAML_MAP) return false;
    for (const ls_yaml *part = y->kind == LS_YAML_LIST ? y->first : y; part; part = part->next) {
        if (n >= (int)k->high || part->kind != LS_YAML_SCALAR || ls__yaml_is_null(part)) return false;
        for (int i = 0; i < n; i++)
            if (!strcmp(at[i], part->text)) return false;
        at[n++] = part->text;
        if (y->kind != LS_YAML_LIST) break;
    }
    return n > 0;
}

static int find_word(const char *const *words, const ls_yaml *y)
{
    if (words == ls__optim_texts && y->kind == LS_YAML_SCALAR && !strcmp(y->text, "nesterov")) return LS_OPTIM_NAG;
    for (int i = 0; y->kind == LS_YAML_SCALAR && words[i]; i++)
        if (!strcmp(words[i], y->text)) return i;
    return -1;
}

/* Whether `y` is a value of the key; if so, it is in its place. */
static bool set_value(ls_recipe *r, const ls_key *k, const ls_yaml *y)
{
    void   *at = (char *)r + k->offset;
    int64_t whole;
    double  real;
    int     word;
    switch (k->kind) {
    case LS_KEY_INT:
        if (!ls__read_int(y, &whole) || (double)whole < k->low || (double)whole > k->high) return false;
        *(int64_t *)at = whole;
        return true;
    case LS_KEY_INT32:
        if (!ls__read_int(y, &whole) || (double)whole < k->low || (double)whole > k->high) return false;
        *(int *)at = (int)whole;
        return true;
    case LS_KEY_FLOAT:
        if (!ls__read_float(y, &real) || real < k->low || real > k->high) return false;
        *(float *)at = (float)real;
        return true;
    case LS_KEY_BOOL:
        if (y->kind != LS_YAML_SCALAR || y->quoted || (strcmp(y->text, "true") != 0 && strcmp(y->text, "false") != 0))
            return false;
        *(bool *)at = *y->text == 't';
        return true;
    case LS_KEY_STRING:
        if (y->kind != LS_YAML_SCALAR) return false;
        *(const char **)at = y->text;
        return true;
    case LS_KEY_ENUM:
        if ((word = find_word(words_of(k), y)) < 0) return false;
        memcpy(at, &word, sizeof word); /* an enum, which is as large as an int */
        return true;
    case LS_KEY_MODEL:
        if ((word = find_word(words_of(k), y)) < 0) return false;
        *(const char **)at = words_of(k)[word];
        return true;
    case LS_KEY_INTS:
        return set_ints(k, at, y);
    case LS_KEY_STRINGS:
        return set_strings(k, at, y);
    case LS_KEY_FLOATS:
        return set_floats(k, at, y);
    case LS_KEY_LAYERS:
    case LS_KEY_OPTIONS:
    case LS_KEY_GROUPS:
        return false; /* not a value but a tree: recipe_layers.c */
    }
    return false;
}

/* A number above a bound that `range` leaves out. */
static bool beyond_all(const ls_key *k, const ls_yaml *y)
{
    bool number = k->kind == LS_KEY_INT || k->kind == LS_KEY_INT32 || k->kind == LS_KEY_FLOAT;
    return number && k->high >= UNREACHED && y->kind == LS_YAML_SCALAR && strtod(y->text, NULL) > k->high;
}

ls_status ls__key_set(ls_recipe *r, const ls_key *k, const ls_yaml *value, const char *place)
{
    if (k->kind == LS_KEY_LAYERS) return ls__layers_set(r, value, place);
    if (k->kind == LS_KEY_OPTIONS) return ls__options_set(r, value, place);
    if (k->kind == LS_KEY_GROUPS) return ls__groups_set(r, value, place);
    if (set_value(r, k, value)) return LS_OK;
    const char *const *words = words_of(k);
    const char        *near  = NULL;
    if (words && value->kind == LS_YAML_SCALAR) {
        int n = 0;
        while (words[n]) n++;
        near = ls_nearest(value->text, n, words);
    }
    const char *hint = near ? ls_arena_printf(r->arena, LS_HINT "did you mean '%s'?", near) : "";
    const char *what =
        beyond_all(k, value) ? ls_arena_printf(r->arena, "at most %.16g", k->high) : ls__key_expects(r->arena, k);
    return LS_FAIL(LS_ERR_USAGE, "%s: expected %s, found %s%s", place, what, ls__yaml_describe(r->arena, value), hint);
}

/* ---- printing ---------------------------------------------------------------------------------------------------- */

/* The shortest text that reads back as the same float: 0.05, not 0.0500000007. */
static void print_float(FILE *out, float x)
{
    char text[32];
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)x);
        if (strtof(text, NULL) == x) break;
    }
    fputs(text, out);
}

bool ls__key_print(const ls_recipe *r, const ls_key *k, FILE *out)
{
    const void    *at    = (const char *)r + k->offset;
    const int64_t *whole = at;
    const char    *text;
    int            word;
    switch (k->kind) {
    case LS_KEY_INT:
        fprintf(out, "%lld", (long long)*whole);
        return true;
    case LS_KEY_INT32:
        fprintf(out, "%d", *(const int *)at);
        return true;
    case LS_KEY_FLOAT:
        print_float(out, *(const float *)at);
        return true;
    case LS_KEY_BOOL:
        fputs(*(const bool *)at ? "true" : "false", out);
        return true;
    case LS_KEY_STRING:
    case LS_KEY_MODEL:
        if (!(text = *(const char *const *)at)) return false;
        ls__yaml_print_string(out, text);
        return true;
    case LS_KEY_ENUM:
        memcpy(&word, at, sizeof word);
        fputs(k->words[word], out);
        return true;
    case LS_KEY_INTS:
        if (!*whole) return false;
        for (int i = 0; whole[i]; i++) fprintf(out, "%s%lld", i ? ", " : "[", (long long)whole[i]);
        fputs("]", out);
        return true;
    case LS_KEY_FLOATS:
        fputs("[", out);
        print_float(out, ((const float *)at)[0]);
        fputs(", ", out);
        print_float(out, ((const float *)at)[1]);
        fputs("]", out);
        return true;
    case LS_KEY_STRINGS:
        if (!*(const char *const *)at) return false;
        for (const char *const *name = at; *name; name++) {
            fputs(name == at ? "[" : ", ", out);
            ls__yaml_print_string(out, *name);
        }
        fputs("]", out);
        return true;
    case LS_KEY_LAYERS:
        if (!r->model.layers) return false;
        ls__layers_print(r, out);
        return true;
    case LS_KEY_OPTIONS:
        if (!r->model.options.attributes) return false;
        ls__options_print(r, out);
        return true;
    case LS_KEY_GROUPS:
        if (!r->optim.group[0].glob) return false;
        ls__groups_print(r, out);
        return true;
    }
    return false;
}

void ls_recipe_print_keys(FILE *out)
{
    static const char *const kinds[] = {"int",  "int",  "float", "bool", "text", "word", "word",
                                        "list", "list", "list",  "list", "map",  "list"};
    ls_arena                *arena;
    if (ls_arena_new(&arena, "recipe keys") != LS_OK) return;
    for (const ls_key *k = ls__keys; k->path; k++) {
        if (k > ls__keys && strncmp(k->path, k[-1].path, strcspn(k->path, ".") + 1) != 0) fputc('\n', out);
        fprintf(out, "%-32s %-6s %-9s %s", k->path, kinds[k->kind], k->fallback ? k->fallback : "-", k->help);
        if (words_of(k)) fprintf(out, ": %s", words_list(arena, words_of(k)));
        fputc('\n', out);
    }
    ls_arena_free(arena);
}
