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

/* Whole numbers pass through double on their way to the range check: beyond this it would round. */
#define MANY 9007199254740992.0
#define AT(member) offsetof(ls_recipe, member)
#define INT(path, member, low, high, fallback, bits, help)                                                             \
    {                                                                                                                  \
        path, LS_KEY_INT, AT(member), low, high, fallback, bits, NULL, help                                            \
    }
#define FLOAT(path, member, low, high, fallback, help)                                                                 \
    {                                                                                                                  \
        path, LS_KEY_FLOAT, AT(member), low, high, fallback, true, NULL, help                                          \
    }
/* A setting of an optimizer or schedule: its default depends on which (ls_optim_default). */
#define SETTING(path, member, high, help)                                                                              \
    {                                                                                                                  \
        path, LS_KEY_FLOAT, AT(member), 0, high, NULL, true, NULL, help                                                \
    }
#define BOOL(path, member, fallback, help)                                                                             \
    {                                                                                                                  \
        path, LS_KEY_BOOL, AT(member), 0, 1, fallback, true, NULL, help                                                \
    }
#define PLAIN(path, kind, member, low, high, fallback, help)                                                           \
    {                                                                                                                  \
        path, kind, AT(member), low, high, fallback, false, NULL, help                                                 \
    } /* does not decide bits */
#define STRING(path, member, fallback, bits, help)                                                                     \
    {                                                                                                                  \
        path, LS_KEY_STRING, AT(member), 0, 0, fallback, bits, NULL, help                                              \
    }

const ls_key ls__keys[] = {
    STRING("run.name", run.name, NULL, false, "name of the run; by default the recipe's"),
    STRING("run.dir", run.dir, NULL, false, "folder of the run; by default runs/<name>"),

    STRING("data.path", data.path, "digits", true,
           "digits (drawn by the program), a known data set (mnist, shakespeare), or a data set's file or folder"),
    INT("data.train_count", data.train_count, 1, 1e9, "30000", true, "digits: training samples"),
    INT("data.test_count", data.test_count, 1, 1e9, "10000", true, "digits: held-out samples"),
    INT("data.seed", data.seed, 0, MANY, "1", true, "digits: what they are drawn from"),

    STRING("data.tokenizer", data.tokenizer, NULL, true,
           "text: chars, bytes, bpe or the path of a tokenizer; a known text (shakespeare) is imported with it, by "
           "default chars"),
    INT("data.vocab", data.vocab, 0, 1 << 20, "0", true,
        "a known text with the tokenizer bpe: tokens to learn; 0: 8192"),
    INT("data.context", data.context, 0, LS_MAX_CONTEXT, "0", true,
        "text: tokens of a window; 0: the model's option context"),

    {"model.name", LS_KEY_MODEL, AT(model.name), 0, 0, NULL, true, NULL, "a model by name"},
    {"model.options", LS_KEY_OPTIONS, AT(model.options), 0, 64, NULL, true, NULL,
     "what the named model can be told: {hidden: 256}"},
    {"model.layers", LS_KEY_LAYERS, AT(model.layer), 0, 4096, NULL, true, NULL,
     "or a list of layers: - conv2d: {name: conv1, out: 6, kernel: 5}"},
    INT("model.classes", model.classes, 0, 1e7, "0", true,
        "logits of the model; 0: as many as the data set has classes, or tokens"),
    STRING("model.pretrained", model.pretrained, NULL, true,
           "parameters to start from: a safetensors file, or a folder with config.json and model.safetensors, as "
           "Hugging Face saves it"),

    INT("train.batch", train.batch, 1, 1e9, "64", true, "samples (windows of text) of a step, all ranks together"),
    INT("train.epochs", train.epochs, 0, 1e9, "10", false, "passes over the training data"),
    INT("train.max_steps", train.max_steps, 0, MANY, "0", false,
        "stop after this many steps; 0: only after the epochs"),
    PLAIN("train.max_hours", LS_KEY_FLOAT, train.max_hours, 0, 1e6, "0",
          "stop with a checkpoint before these are over, to be continued; 0: no limit"),
    INT("train.seed", train.seed, 0, MANY, "1", true, "decides initial parameters, order of samples, dropout"),
    INT("train.shards", train.shards, 0, 65536, "0", true,
        "pieces a batch is cut into, whatever the ranks; 0: chosen from the batch"),
    BOOL("train.reproducible", train.reproducible, "true", "same bits for any number of ranks and threads"),
    INT("train.accumulate", train.accumulate, 1, 65536, "1", false, "parts a step is computed in, for less memory"),
    INT("train.bucket_bytes", train.bucket_bytes, 0, MANY, "0", false,
        "gradients that are summed in one collective; 0: 4 MiB, between hosts what is found to be good"),
    {"train.window", LS_KEY_ENUM, AT(train.window), 0, 0, "auto", false, window_names,
     "gradients of a host's ranks are summed in shared memory; off: by messages"},
    {"train.wire", LS_KEY_ENUM, AT(train.wire), 0, 0, "float32", true, wire_names,
     "gradients between hosts; bfloat16: half the bytes, other bits on another number of hosts"},
    {"train.overlap", LS_KEY_ENUM, AT(train.overlap), 0, 0, "auto", false, overlap_names,
     "who lets sums between hosts go on meanwhile; off: nobody"},
    INT("train.zero", train.zero, 0, 2, "0", false,
        "who has the optimizer's state: 0: every host all of it, divided among ranks that share memory; 1: divided "
        "among all ranks; 2: so is the summed gradient, and buckets take turns in memory"),
    {"train.on_nan", LS_KEY_ENUM, AT(train.on_nan), 0, 0, "abort", false, on_nan_names,
     "a loss or gradient that is not finite ends the run; or the step is skipped; or the run goes on from the newest "
     "checkpoint, with the next batches"},
    INT("train.check_every", train.check_every, 0, MANY, "1000", false,
        "steps; then hosts compare their parameters; 0: never"),
    FLOAT("train.label_smoothing", train.label_smoothing, 0, 1, "0", "part of the target spread over all classes"),

    {"optim.name", LS_KEY_ENUM, AT(optim.kind), 0, 0, "sgd", true, ls__optim_texts, "optimizer; nesterov means nag"},
    SETTING("optim.lr", optim.lr, 1e6, "base learning rate; default 1e-3, with adagrad and rmsprop 1e-2"),
    SETTING("optim.momentum", optim.momentum, 1, "momentum, nag: default 0.9; rmsprop: default 0"),
    SETTING("optim.dampening", optim.dampening, 1, "momentum: dampening of the gradient; default 0"),
    SETTING("optim.weight_decay", optim.weight_decay, 1e6,
            "L2 term of the gradient, with adamw decoupled weight decay; default 0"),
    {"optim.betas", LS_KEY_FLOATS, AT(optim.betas), 0, 1, NULL, true, NULL,
     "adam, adamw: decay of the first and second moment; default [0.9, 0.999]"},
    SETTING("optim.alpha", optim.alpha, 1, "rmsprop: decay of the mean square; default 0.99"),
    SETTING("optim.eps", optim.eps, 1, "added to the denominator; default 1e-8, with adagrad 1e-10"),
    BOOL("optim.centered", optim.centered, "false", "rmsprop: divide by the variance instead of the second moment"),
    SETTING("optim.lr_decay", optim.lr_decay, 1e6, "adagrad: decay of the learning rate with the steps; default 0"),
    SETTING("optim.initial_accumulator_value", optim.initial_accumulator_value, 1e6,
            "adagrad: first value of the accumulator; default 0"),
    SETTING("optim.clip_norm", optim.clip_norm, 1e30,
            "largest global norm of the gradient; 0, the default: no clipping"),
    SETTING("optim.clip_value", optim.clip_value, 1e30,
            "largest absolute value of an element of the gradient; 0, the default: no clipping"),
    {"optim.groups", LS_KEY_GROUPS, AT(optim.group), 0, LS_MAX_PARAM_GROUPS - 1, NULL, true, NULL,
     "list of {params: '*.bias', lr_scale: 1, weight_decay: 0}; the first match applies"},

    {"schedule.name", LS_KEY_ENUM, AT(optim.schedule.kind), 0, 0, "constant", true, ls__schedule_texts,
     "schedule of the learning rate"},
    INT("schedule.warmup", optim.schedule.warmup, 0, MANY, NULL, true, "steps of linear warm-up; default 0"),
    SETTING("schedule.start_factor", optim.schedule.start_factor, 1, "first multiple of the warm-up; default 0"),
    INT("schedule.total_steps", optim.schedule.total_steps, 0, MANY, NULL, true,
        "cosine, linear, onecycle: length in steps; 0, the default: length of the run"),
    SETTING("schedule.end_factor", optim.schedule.end_factor, 1e6, "cosine, linear: last multiple; default 0"),
    INT("schedule.step_size", optim.schedule.step_size, 0, MANY, NULL, true,
        "step, exponential: steps between two decays; default 1"),
    SETTING("schedule.gamma", optim.schedule.gamma, 1, "step, multistep, exponential: factor of a decay; default 0.1"),
    {"schedule.milestones", LS_KEY_INTS, AT(optim.schedule.milestones), 1, LS_MAX_MILESTONES - 1, NULL, true, NULL,
     "multistep: list of the steps of the decays, increasing"},
    SETTING("schedule.pct_start", optim.schedule.pct_start, 1,
            "onecycle: fraction of the steps in which the rate rises; default 0.3"),
    SETTING("schedule.div_factor", optim.schedule.div_factor, 1e9, "onecycle: peak rate / first rate; default 25"),
    SETTING("schedule.final_div_factor", optim.schedule.final_div_factor, 1e30,
            "onecycle: first rate / last rate; default 1e4"),

    INT("eval.batch", eval.batch, 0, 1e9, "0", false, "samples evaluated at a time; 0: chosen"),
    INT("eval.every", eval.every, 0, 1e9, "1", false, "epochs between evaluations; 0: only at the end"),
    INT("eval.every_steps", eval.every_steps, 0, MANY, "0", false,
        "steps between evaluations, besides those after epochs; 0: none"),
    INT("eval.samples", eval.samples, 0, MANY, "0", false,
        "judged by so many samples of the split, its first, in whole batches; 0: all of them"),
    INT("log.every", log.every, 1, MANY, "50", false, "steps between two lines of metrics.jsonl"),
    INT("checkpoint.every", checkpoint.every, 0, MANY, "0", false,
        "steps between checkpoints, besides each epoch's; 0: as often as checkpoint.budget allows"),
    PLAIN("checkpoint.budget", LS_KEY_FLOAT, checkpoint.budget, 0, 1, "0.035",
          "part of the run's time that checkpoints may take, for those between epochs; 0: there are none"),
    PLAIN("checkpoint.seconds", LS_KEY_FLOAT, checkpoint.seconds, 0, 1e9, "60", "seconds between these, at least"),
    INT("checkpoint.keep_last", checkpoint.keep_last, 0, 1e6, "3", false, "newest checkpoints to keep; 0: all"),
    INT("checkpoint.keep_every", checkpoint.keep_every, 0, MANY, "0", false,
        "checkpoints to keep for good: those whose step is a multiple; 0: none"),
    PLAIN("checkpoint.best", LS_KEY_BOOL, checkpoint.best, 0, 1, "true",
          "keep the checkpoint with the least loss of what is held out"),
    PLAIN("checkpoint.background", LS_KEY_BOOL, checkpoint.background, 0, 1, "true",
          "write a copy while the run goes on; false: it waits, and needs no memory for a copy"),
    INT("checkpoint.writers", checkpoint.writers, 0, 9999, "0", false,
        "ranks that write a file each; 0: as many as have 1 MiB to write; more where each has a part of its own"),
    PLAIN("watchdog.floor_s", LS_KEY_FLOAT, watchdog.floor_s, 0, 1e9, "60",
          "seconds that one instruction may take at least before the run is given up as stuck; 0: it never is"),
    {"device", LS_KEY_ENUM, AT(device), 0, 0, "cpu", false, device_names, "what computes"},
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

#define UNREACHED 1e6 /* an upper bound that nobody reaches is not worth reading; beyond_all is for whoever does */

static const char *range(ls_arena *arena, const char *what, double low, double high)
{
    if (high >= UNREACHED) return ls_arena_printf(arena, "%s of at least %g", what, low);
    return ls_arena_printf(arena, "%s from %g to %.9g", what, low, high);
}

const char *ls__key_expects(ls_arena *arena, const ls_key *k)
{
    switch (k->kind) {
    case LS_KEY_INT:
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
    case LS_KEY_FLOATS:
        return set_floats(k, at, y);
    case LS_KEY_LAYERS:
    case LS_KEY_OPTIONS:
    case LS_KEY_GROUPS:
        return false; /* not a value but a tree: recipe_lists.c */
    }
    return false;
}

/* A number above a bound that `range` leaves out. */
static bool beyond_all(const ls_key *k, const ls_yaml *y)
{
    bool number = k->kind == LS_KEY_INT || k->kind == LS_KEY_FLOAT;
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
    static const char *const kinds[] = {"int",  "float", "bool", "text", "word", "word",
                                        "list", "list",  "list", "map",  "list"};
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
