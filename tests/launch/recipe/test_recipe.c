/* SPDX-License-Identifier: Apache-2.0
 * Recipes: each kind of invalid recipe gives an error with its place, and writing a recipe and reading it again gives
 * the same values and hash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/graph/graph.h"
#include "launch/recipe/recipe.h"
#include "launch/recipe/builtin_recipes.h"

#define MODEL "model:\n  name: mlp\n"
#define OVERRIDES(...)                                                                                                 \
    (int)(sizeof((char *[]){__VA_ARGS__}) / sizeof(char *)), (char *[]) { __VA_ARGS__ }

static ls_recipe *parse(const char *text, int overrides, char *const *override)
{
    ls_recipe *r;
    ls_status  status = ls_recipe_parse(&r, text, strlen(text), "r.yaml", overrides, override);
    if (status != LS_OK) fail_msg("%s", ls_error_message());
    return r;
}

static void expect_error(const char *text, size_t bytes, int overrides, char *const *override, const char *part,
                         const char *hint)
{
    ls_recipe *r;
    ls_status  status = ls_recipe_parse(&r, text, bytes, "r.yaml", overrides, override);
    if (status != LS_ERR_USAGE) fail_msg("accepted (status %d): %.200s", status, text);
    assert_null(r);
    if (!strstr(ls_error_message(), part)) fail_msg("expected '%s' in: %s", part, ls_error_message());
    if (hint && !strstr(ls_error_message(), hint)) fail_msg("expected '%s' in: %s", hint, ls_error_message());
}

/* ---- mistakes in the file ---------------------------------------------------------------------------------------- */

static const struct {
    const char *text, *part, *hint;
} bad_texts[] = {
    {"", "r.yaml: expected a recipe, found an empty file", NULL},
    {"# only a comment\n", "r.yaml: expected a recipe, found an empty file", NULL},
    {"- a\n- b\n", "r.yaml:1:1: expected a map of keys, found a list", NULL},
    {"just text", "r.yaml:1:1: expected a map of keys, found 'just text'", NULL},
    {MODEL "optim:\n  lr: abc\n", "r.yaml:4:7: optim.lr: expected a number of at least", NULL},
    {MODEL "optim:\n  lr: abc\n", "found 'abc'", NULL},
    {MODEL "optim:\n  lr: -1\n", "optim.lr: expected a number", NULL},
    {MODEL "optim:\n  lr: nan\n", "found 'nan'", NULL},
    {MODEL "optim:\n  lr: 1e999\n", "found '1e999'", NULL},
    {MODEL "optim:\n  lr: 0x10\n", "found '0x10'", NULL},
    {MODEL "optim:\n  lr: [1]\n", "found a list", NULL},
    {MODEL "optim:\n  lr: {x: 1}\n", "found a map", NULL},
    {MODEL "optim:\n  lr: \"0.1\"\n", "found the text '0.1'", NULL},
    {MODEL "optim:\n  name: adamx\n", "r.yaml:4:9: optim.name: expected one of sgd, momentum", "did you mean 'adam"},
    {MODEL "optim:\n  betas: [0.9, 1.5]\n", "optim.betas: expected a list of two numbers from 0 to 1", NULL},
    {MODEL "optim:\n  betas: 0.9\n", "optim.betas: expected a list of two numbers from 0 to 1", NULL},
    {MODEL "optim:\n  beta1: 0.9\n", "unknown key 'optim.beta1'", "it is named optim.betas"},
    {MODEL "schedule:\n  peak_at: 0.3\n", "unknown key 'schedule.peak_at'", "it is named schedule.pct_start"},
    {MODEL "optim: 3\n", "r.yaml:3:8: optim: expected a map of keys, found '3'", NULL},
    {MODEL "optmi:\n  lr: 1\n", "r.yaml:3:1: unknown key 'optmi'", "did you mean 'optim'"},
    {MODEL "optim:\n  lrr: 1\n", "r.yaml:4:3: unknown key 'optim.lrr'", "did you mean 'optim.lr'"},
    {MODEL "lr: 1\n", "unknown key 'lr'", "did you mean 'optim.lr'"},
    {MODEL "wholly_unlike: 1\n", "unknown key 'wholly_unlike'", "lockstep recipes keys"},
    {MODEL "train:\n  batch: 1.5\n", "r.yaml:4:10: train.batch: expected a whole number", NULL},
    {MODEL "train:\n  batch: 0\n", "train.batch: expected a whole number of at least 1, found '0'", NULL},
    {MODEL "train:\n  batch: 99999999999999999999\n",
     "train.batch: expected at most 1000000000, found '99999999999999999999'", NULL},
    {MODEL "optim:\n  lr: 1e30\n", "r.yaml:4:7: optim.lr: expected at most 1000000, found '1e30'", NULL},
    {MODEL "train:\n  reproducible: yes\n", "train.reproducible: expected true or false, found 'yes'", NULL},
    {MODEL "train:\n  batch: 8\n  shards: 16\n",
     "r.yaml:5:11: train.shards: expected at most train.batch = 8, found 16", NULL},
    {MODEL "train:\n  epochs: 0\n", "train.epochs: expected at least 1", NULL},
    {MODEL "train:\n  batch: 8\n  batch: 9\n", "r.yaml:5:3: the key 'batch' is given twice; first at r.yaml:4:3", NULL},
    {MODEL "train:\n  batch: 8\ntrain.batch: 9\n", "the key 'train.batch' is given twice", NULL},
    {MODEL "train:\n\tbatch: 8\n", "r.yaml:4:", "indent with spaces"},
    {MODEL "train:\n  batch: 8\n bad: 1\n", "r.yaml:5:", NULL},
    {MODEL "train: {batch: 8\n", "r.yaml:", NULL},
    {MODEL "run:\n  name: a/b\n", "r.yaml:4:9: run.name: expected a name without '/', found 'a/b'", NULL},
    {MODEL "run:\n  dir: ''\n", "run.dir: expected a folder", NULL},
    {MODEL "data:\n  path: ''\n", "data.path: expected a dataset", NULL},
    {MODEL "data:\n  path: [a]\n", "data.path: expected a text, found a list", NULL},
    {MODEL "device: tpu\n", "r.yaml:3:9: device: expected one of cpu, cuda, found 'tpu'", NULL},
    {MODEL "x: &a 1\n", "r.yaml:3:4: expected plain values, found an anchor", NULL},
    {MODEL "x: *a\n", "found an alias", NULL},
    {MODEL "x: !!int 1\n", "found a tag", NULL},
    {MODEL "---\na: 1\n", "expected one document, found a second", NULL},
    {MODEL "? [a]\n: 1\n", "expected a key, found a list", NULL},
    {MODEL "schedule:\n  name: multistep\n", "schedule.name: multistep needs schedule.milestones", NULL},
    {MODEL "schedule:\n  milestones: [20, 10]\n", "schedule.milestones: expected a list of at most 15 increasing",
     NULL},
    {MODEL "schedule:\n  milestones: 20\n", "schedule.milestones: expected a list", NULL},
    {MODEL "optim:\n  groups: [{lr_scale: 1}]\n", "optim.groups[0]: expected the key params", NULL},
    {MODEL "optim:\n  groups: [{params: a}, {params: b, lr_scal: 1}]\n", "optim.groups[1]: unknown key 'lr_scal'",
     "did you mean lr_scale"},
    {MODEL "optim:\n  groups: [3]\n", "r.yaml:4:12: optim.groups[0]: expected a map", NULL},
    {MODEL "optim:\n  groups: [{params: a, lr_scale: x}]\n", "lr_scale: expected a number from 0", NULL},
    {"train:\n  batch: 8\n", "r.yaml: expected a model, found neither", NULL},
    {"model:\n  name: lenet\n", "model.name: expected one of", "did you mean 'lenet5'"},
    {"model:\n  name: mlp\n  layers: [relu]\n", "r.yaml:3:11: model.name and model.layers exclude each other", NULL},
    {"model:\n  name: mlp\n  options: {hiden: 5}\n", "r.yaml:3:20: mlp has no attribute 'hiden'",
     "did you mean 'hidden'"},
    {"model:\n  name: mlp\n  options: {classes: 3}\n", "mlp: 'classes' is not an option", "set the key model.classes"},
    {"model:\n  name: mlp\n  options: {hidden: x}\n", "mlp: hidden: expected a whole number, found 'x'", NULL},
    {"model:\n  layers: [relu]\n  options: {hidden: 5}\n", "only a model given by model.name has options", NULL},
    {"model:\n  layers: relu\n", "model.layers: expected a list", NULL},
    {"model:\n  layers:\n    - relux\n", "r.yaml:3:7: there is no layer 'relux'", "did you mean 'relu'"},
    {"model:\n  layers:\n    - cross_entropy\n",
     "'cross_entropy': expected a layer or op with one input, found one with 2", NULL},
    {"model:\n  layers:\n    - linear: {out: 3, nam: a}\n", "r.yaml:3:29: linear has no attribute 'nam'",
     "did you mean 'name'"},
    {"model:\n  layers:\n    - linear: {out: three}\n",
     "r.yaml:3:21: linear: out: expected a whole number, found 'three'", NULL},
    {"model:\n  layers:\n    - linear: {no_bias: 1}\n", "no_bias: expected true or false", NULL},
    {"model:\n  layers:\n    - linear: {out: 3, weight_init: kaiming_norm}\n", "weight_init: expected kaiming_normal",
     NULL},
    {"model:\n  layers:\n    - linear: {out: 3, weight_init: {stdd: 1}}\n",
     "linear has no attribute 'weight_init.stdd'", NULL},
    {"model:\n  layers:\n    - linear: {out: [3, [4]]}\n", "expected a value for out, found a list", NULL},
    {"model:\n  layers:\n    - linear: {out: }\n", "expected a value for out, found nothing", NULL},
    {"model:\n  layers:\n    - reshape: {dims: [a]}\n", "reshape: dims: expected up to 6 whole numbers", NULL},
    {"model:\n  layers:\n    - linear: 3\n", "expected its attributes as a map, found '3'", NULL},
    {"model:\n  layers:\n    - linear: {out: 3}\n      relu:\n", "found a map of several keys", "in braces"},
    {"model:\n  layers:\n    -\n", "model.layers[0]: expected a layer", NULL},
    {"model:\n  layers:\n    - repeat\n", "r.yaml:3:7: repeat: expected the key layers with a list of layers", NULL},
    {"model:\n  layers:\n    - repeat: {layers: [relu]}\n", "repeat: times: expected a number of repetitions from 1",
     NULL},
    {"model:\n  layers:\n    - repeat: {times: 2, layers: relu}\n", "list of layers, found 'relu'", NULL},
    {"model:\n  layers:\n    - repeat: {times: 2, layers: []}\n", "list of layers, found a list", NULL},
    {"model:\n  layers:\n    - repeat: {tims: 2, layers: [relu]}\n", "repeat has no attribute 'tims'",
     "did you mean 'times'"},
    {"model:\n  layers:\n    - repeat: {times: 100, layers: [repeat: {times: 100, layers: [relu]}]}\n",
     "r.yaml:3:7: repeat: expected at most 4096 layers, found 10000 with repetitions", NULL},
    {"model:\n  layers:\n    - residual: {layers: [relu, relux]}\n", "r.yaml:3:33: there is no layer 'relux'",
     "did you mean 'relu'"},
    {"model:\n  layers:\n    - residual: {layers: [relu], shortcut: relu}\n",
     "expected a list of layers for shortcut, found 'relu'", NULL},
    {"model:\n  layers:\n    - residual: {layers: [[relu]]}\n", "layers[0]: expected a layer", NULL},
    {"model:\n  layers:\n    - residul: {layers: [relu]}\n", "there is no layer 'residul'", "did you mean 'residual'"},
    {"model:\n  layers:\n    - branch: {paths: [[relu]]}\n", "branch: paths: expected at least two paths, found 1",
     NULL},
    {"model:\n  layers:\n    - branch: {paths: [[relu], tanh]}\n",
     "paths[1]: expected a list of layers for paths, found 'tanh'", NULL},
    {"model:\n  layers:\n    - branch: {join: max, paths: [[relu], []]}\n",
     "branch: join: expected one of concat, add, found 'max'", NULL},
    {MODEL "data:\n  augment: 4\n", "r.yaml:4:12: data.augment: expected a map of keys, found '4'", NULL},
    {MODEL "data:\n  augment: {crp: 4}\n", "r.yaml:4:13: unknown key 'data.augment.crp'",
     "did you mean 'data.augment.crop'?"},
    {MODEL "data:\n  augment: {crop: -1}\n", "r.yaml:4:19: data.augment.crop: expected a whole number from 0 to 16384",
     NULL},
    {MODEL "data:\n  augment: {crop_mode: mirror}\n", "data.augment.crop_mode: expected one of zeros, reflect", NULL},
    {MODEL "data:\n  augment: {resized_crop: 0.5}\n",
     "r.yaml:4:27: data.augment.resized_crop: expected a list of two numbers from 0 to 1", NULL},
    {MODEL "data:\n  augment: {mixup: -1}\n", "data.augment.mixup: expected a number from 0 to 1000, found '-1'", NULL},
    {MODEL "data:\n  augment: {flip: 0.5}\n", "data.augment.flip: expected true or false, found '0.5'", NULL},
    {"a: [[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]\n", "expected at most 16 levels of nesting", NULL},
};

static void test_bad_texts(void **state)
{
    for (size_t i = 0; i < sizeof bad_texts / sizeof *bad_texts; i++)
        expect_error(bad_texts[i].text, strlen(bad_texts[i].text), 0, NULL, bad_texts[i].part, bad_texts[i].hint);
}

static void test_bad_bytes(void **state)
{
    expect_error("model:\n  n\xff: 1\n", 14, 0, NULL, "r.yaml:2:4: expected UTF-8 text, found the byte 0xff", NULL);
    expect_error("a: \xed\xa0\x80", 6, 0, NULL, "r.yaml:1:4: expected UTF-8 text, found the byte 0xed",
                 NULL);                                                   /* a lone surrogate */
    expect_error("a: \xc0\xaf", 5, 0, NULL, "found the byte 0xc0", NULL); /* overlong          */
    expect_error("a: b\0c", 6, 0, NULL, "r.yaml:1:5: expected UTF-8 text, found the byte 0x00", NULL);
    expect_error("a: \"\\0\"", 7, 0, NULL, "a zero byte", NULL);
    size_t bytes = 300 << 10;
    char  *large = malloc(bytes);
    memset(large, '#', bytes);
    expect_error(large, bytes, 0, NULL, "expected a recipe of at most", NULL);
    free(large);
    ls_recipe_free(parse("\xef\xbb\xbf" MODEL, 0, NULL)); /* a byte order mark */
    char  *many = malloc(80000);
    size_t used = (size_t)snprintf(many, 80000, "a: [");
    for (int i = 0; i < 20100; i++) used += (size_t)snprintf(many + used, 80000 - used, "1,");
    snprintf(many + used, 80000 - used, "]");
    expect_error(many, used + 1, 0, NULL, "expected at most 20000 values", NULL);
    free(many);
}

/* ---- mistakes on the command line -------------------------------------------------------------------------------- */

static void test_bad_overrides(void **state)
{
    static const struct {
        char       *word;
        const char *part, *hint;
    } cases[] = {
        {"train.memory=8 elephants", "command line: train.memory=8 elephants: expected a number of bytes, such as 8GiB",
         NULL},
        {"train.memory=-1", "train.memory=-1: expected a number of bytes", NULL},
        {"optim.lr=abc", "command line: optim.lr=abc: expected a number of at least 0", NULL},
        {"optim.lr=", "command line: optim.lr=: expected a number of at least 0, found nothing", NULL},
        {"optim.lr=[1", "command line: optim.lr=[1: expected a number", NULL},
        {"optim.lrr=1", "unknown key 'optim.lrr'", "did you mean 'optim.lr'"},
        {"optim=1", "'optim' is a section", NULL},
        {"=1", "expected key=value", NULL},
        {"optim.lr", "expected key=value", NULL},
        {"data.path=", "command line: data.path: expected a dataset", NULL},
        {"train.shards=1000", "command line: train.shards: expected at most train.batch", NULL},
        {"model.layers=[relu, relux]", "there is no layer 'relux'", NULL},
        {"model.layers=[repeat: {times: 2, layers: [relu, relux]}]", "there is no layer 'relux'", NULL},
        {"model.layers=[[relu]]", "command line: model.layers=[[relu]]: [0]: expected a layer", NULL},
        {"model.options={hidden: x}", "command line: model.options={hidden: x}: mlp: hidden: expected a whole number",
         NULL},
        {"schedule.name=cosin", "expected one of constant", "did you mean 'cosine'"},
        {"train.seed=\xff", "expected", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_error(MODEL, strlen(MODEL), 1, (char *const *)&cases[i].word, cases[i].part, cases[i].hint);
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static void test_values(void **state)
{
    ls_recipe *r =
        parse(MODEL "  options: {hidden: 32}\n"
                    "data:\n  path: /a b/c\n"
                    "train: {batch: 16, reproducible: false}\n"
                    "optim:\n  name: rmsprop\n  lr: 1e-3\n  weight_decay: 0.5\n  centered: true\n"
                    "  groups:\n    - {params: '*.bias', weight_decay: 0}\n    - {params: 'fc1.*', lr_scale: 0.5}\n"
                    "schedule:\n  name: multistep\n  milestones: [5, 10, 20]\n",
              OVERRIDES("train.batch=32", "optim.lr=0.25", "train.batch=64", "model.options={layers: 3}",
                        "run.dir=/tmp/x=y: z", "train.memory=1.5 GiB"));
    assert_true(r->trainer.memory == 1610612736);
    assert_string_equal(r->name, "r");
    assert_string_equal(r->run.name, "r");
    assert_string_equal(r->run.dir, "/tmp/x=y: z");
    assert_string_equal(r->data.path, "/a b/c");
    assert_int_equal(r->train.batch, 64);
    assert_false(r->train.reproducible);
    assert_int_equal(r->train.epochs, 10);
    assert_int_equal(r->optim.kind, LS_OPTIM_RMSPROP);
    assert_float_equal(r->optim.lr, 0.25f, 0);
    assert_true(r->optim.centered);
    assert_string_equal(r->optim.group[0].glob, "*.bias");
    assert_float_equal(r->optim.group[0].lr_scale, 1, 0);
    assert_float_equal(r->optim.group[0].weight_decay, 0, 0);
    assert_float_equal(r->optim.group[1].lr_scale, 0.5f, 0);
    assert_float_equal(r->optim.group[1].weight_decay, 0.5f, 0); /* default: the optimizer's */
    assert_null(r->optim.group[2].glob);
    assert_int_equal(r->optim.schedule.kind, LS_SCHEDULE_MULTISTEP);
    assert_int_equal(r->optim.schedule.milestones[2], 20);
    assert_int_equal(r->optim.schedule.milestones[3], 0);
    assert_int_equal(r->model.options.attributes, 2);
    assert_string_equal(ls_recipe_where(r, "train.batch"), "command line");
    assert_string_equal(ls_recipe_where(r, "data.path"), "r.yaml:5:9");
    assert_string_equal(ls_recipe_where(r, "train.epochs"), "default");
    ls_recipe_free(r);

    /* An unset setting has the default of its optimizer; a setting of 0 stays 0. */
    r = parse(MODEL "optim: {name: adam, lr: 0}\n", OVERRIDES("optim.betas=[0.5, 0.75]"));
    assert_true(r->optim.lr == 0 && r->optim.eps == 1e-8f && r->optim.betas[0] == 0.5f && r->optim.betas[1] == 0.75f);
    assert_null(r->note);
    ls_recipe_free(r);

    /* Settings of the file that the optimizer chosen on the command line does not have are dropped with a note. */
    r = parse(MODEL "optim: {name: momentum, lr: 0.5, momentum: 0.75}\nschedule: {name: onecycle, pct_start: 0.5}\n",
              OVERRIDES("optim.name=adam", "schedule.name=cosine"));
    assert_true(r->optim.kind == LS_OPTIM_ADAM && r->optim.lr == 0.5f && r->optim.momentum == 0);
    assert_non_null(r->note);
    assert_non_null(strstr(r->note, "optim.momentum (r.yaml:"));
    assert_non_null(strstr(r->note, "schedule.pct_start (r.yaml:"));
    ls_recipe_free(r);
    r = parse(MODEL "optim: {name: sgd}\n", OVERRIDES("optim.name=nesterov"));
    assert_true(r->optim.kind == LS_OPTIM_NAG && r->optim.momentum == 0.9f);
    ls_recipe_free(r);

    r = parse(MODEL "train:\n", 0, NULL); /* an empty section is valid */
    assert_string_equal(r->run.dir, "runs/r");
    ls_recipe_free(r);
    r = parse("model: {layers: [relu]}", OVERRIDES("model.name=mlp"));
    assert_string_equal(r->model.name, "mlp");
    assert_int_equal(r->model.layers.count, 0);
    ls_recipe_free(r);
    r = parse("model: {name: gpt, options: {layers: 2, heads: 2}}",
              OVERRIDES("model.options.layers=6", "model.options.position=rotary"));
    assert_int_equal(r->model.options.attributes, 3);
    for (int i = 0; i < 3; i++) {
        const ls_recipe_attribute *a = &r->model.options.attribute[i];
        assert_string_equal(a->text, !strcmp(a->name, "layers") ? "6" : !strcmp(a->name, "heads") ? "2" : "rotary");
    }
    ls_recipe_free(r);
    r = parse(MODEL, OVERRIDES("model.layers=[flatten, linear: {out: 10}]"));
    assert_null(r->model.name);
    assert_int_equal(r->model.layers.count, 2);
    assert_string_equal(r->model.layers.layer[1].attribute[0].text, "10");
    ls_recipe_free(r);
}

/* ---- writing and hashing ----------------------------------------------------------------------------------------- */

static void assert_round_trip(const ls_recipe *r)
{
    char  *text  = NULL;
    size_t bytes = 0;
    FILE  *out   = open_memstream(&text, &bytes);
    ls_recipe_print(r, out);
    fclose(out);
    ls_recipe *again;
    ls_status  status = ls_recipe_parse(&again, text, bytes, "again.yaml", 0, NULL);
    if (status != LS_OK) fail_msg("%s\nin:\n%s", ls_error_message(), text);
    assert_string_equal(r->hash, again->hash);
    assert_string_equal(r->full_hash, again->full_hash);
    ls_recipe_free(again);
    free(text);
}

static void test_round_trip(void **state)
{
    ls_recipe *r = parse("model:\n  layers:\n    - flatten\n"
                         "    - linear: {name: \"a \\\"b\\\" \\\\ \\x01 ä\", out: 10, no_bias: true, weight_init: "
                         "{kind: normal, std: 0.02}}\n"
                         "    - relu:\n"
                         "data: {augment: {crop: 4, crop_mode: reflect, flip: true}}\n"
                         "run: {name: 'ünï: code # no', dir: \"tab\\there\"}\n"
                         "optim:\n  lr: 0.1\n  groups: [{params: '*.bias', lr_scale: 0.3333}]\n"
                         "schedule: {name: multistep, milestones: [1, 2]}\ntrain: {seed: 9007199254740991}\n",
                         0, NULL);
    assert_string_equal(r->run.name, "ünï: code # no");
    assert_int_equal(r->train.seed, 9007199254740991);
    assert_round_trip(r);
    ls_recipe_free(r);
    for (const ls_recipe_text *t = ls__recipes; t->name; t++) {
        if (ls_recipe_load(&r, t->name, 0, NULL) != LS_OK) fail_msg("%s", ls_error_message());
        assert_round_trip(r);
        ls_recipe_free(r);
    }
}

/* Computes both hashes of the recipe MODEL with one override. */
static void hash_with(char *override, char hash[33], char full[33])
{
    ls_recipe *r = parse(MODEL, override != NULL, &override);
    strcpy(hash, r->hash);
    strcpy(full, r->full_hash);
    ls_recipe_free(r);
}

static void test_hash(void **state)
{
    static char *const decide[]      = {"optim.lr=0.3",
                                        "train.batch=65",
                                        "train.seed=2",
                                        "train.shards=4",
                                        "train.reproducible=false",
                                        "data.seed=7",
                                        "model.options={hidden: 9}",
                                        "model.layers=[relu]",
                                        "schedule.warmup=3",
                                        "train.label_smoothing=0.1",
                                        "optim.groups=[{params: a}]",
                                        "model.name=lenet5",
                                        "data.path=x",
                                        "model.pretrained=x"};
    static char *const indifferent[] = {"run.dir=x",
                                        "run.name=x",
                                        "log.every=3",
                                        "train.epochs=99",
                                        "train.max_steps=7",
                                        "checkpoint.every=3",
                                        "checkpoint.keep_last=1",
                                        "device=cuda",
                                        "eval.every=2",
                                        "eval.batch=3",
                                        "train.bucket_bytes=4096",
                                        "train.accumulate=2",
                                        "train.memory=512MiB",
                                        "train.window=off",
                                        "watchdog.floor_s=5"};
    char               base[33], base_full[33], hash[33], full[33];
    hash_with(NULL, base, base_full);
    assert_int_equal(strlen(base), 32);
    for (size_t i = 0; i < sizeof decide / sizeof *decide; i++) {
        hash_with(decide[i], hash, full);
        if (!strcmp(hash, base)) fail_msg("%s does not change the hash", decide[i]);
        assert_string_not_equal(full, base_full);
    }
    for (size_t i = 0; i < sizeof indifferent / sizeof *indifferent; i++) {
        hash_with(indifferent[i], hash, full);
        if (strcmp(hash, base)) fail_msg("%s changes the hash", indifferent[i]);
        if (!strcmp(full, base_full)) fail_msg("%s does not change the full hash", indifferent[i]);
    }
    hash_with("train.batch=64", hash, full); /* setting a key to its default keeps the hash */
    assert_string_equal(hash, base);
    assert_string_equal(full, base_full);
}

static void test_files(void **state)
{
    char       folder[] = "/tmp/lockstep-recipe-XXXXXX", path[128];
    ls_recipe *r        = parse(MODEL, OVERRIDES("optim.lr=0.5")), *again;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/recipe.yaml", folder);
    assert_int_equal(ls_recipe_write(r, path), LS_OK);
    assert_int_equal(ls_recipe_load(&again, path, 0, NULL), LS_OK);
    assert_string_equal(again->run.name, "r"); /* recipe.yaml keeps the recipe's name "r" */
    assert_string_equal(again->full_hash, r->full_hash);
    ls_recipe_free(again);
    assert_int_equal(ls_recipe_write(r, "/nowhere/at/all.yaml"), LS_ERR_ENV);
    assert_int_equal(ls_recipe_load(&again, "/nowhere/at/all.yaml", 0, NULL), LS_ERR_USAGE);
    assert_non_null(strstr(ls_error_message(), "No such file"));
    assert_int_equal(ls_recipe_load(&again, folder, 0, NULL), LS_ERR_USAGE); /* a folder */
    assert_int_equal(ls_recipe_load(&again, "lenet5-digit", 0, NULL), LS_ERR_USAGE);
    assert_non_null(strstr(ls_error_message(), "did you mean 'lenet5-digits'"));
    unlink(path);
    rmdir(folder);
    ls_recipe_free(r);
}

/* The embedded recipes equal the files of launch/recipes, including characters that C escapes. */
static void test_embedded(void **state)
{
    static char text[1 << 16];
    int         recipes = 0;
    for (const ls_recipe_text *t = ls__recipes; t->name; t++, recipes++) {
        static const char *const folders[] = {"array", "image", "text", "translation"};
        FILE                    *in        = NULL;
        for (int i = 0; !in && i < 4; i++) {
            char path[512];
            snprintf(path, sizeof path, "%s/launch/recipes/%s/%s.yaml", LOCKSTEP_SOURCE, folders[i], t->name);
            in = fopen(path, "r");
        }
        assert_non_null(in);
        text[fread(text, 1, sizeof text - 1, in)] = 0;
        fclose(in);
        assert_string_equal(t->text, text);
    }
    assert_true(recipes >= 3);
}

/* ---- building ---------------------------------------------------------------------------------------------------- */

static ls_status build_translation(const ls_recipe *r, ls_graph *g)
{
    ls_tensor *loss;
    return ls_recipe_build_translation(r,
                                       &(ls_translation_inputs){.g              = g,
                                                                .source         = ls_input(g, "source", LS_I32, 12),
                                                                .classes        = 100,
                                                                .source_classes = 100,
                                                                .joint          = true,
                                                                .source_length  = ls_input(g, "source_length", LS_I32),
                                                                .previous       = ls_input(g, "previous", LS_I32, 8),
                                                                .target         = ls_input(g, "target", LS_I32, 8)},
                                       &loss);
}

static void test_build(void **state)
{
    ls_recipe *r;
    ls_tensor *logits;
    for (const ls_recipe_text *t = ls__recipes; t->name; t++) {
        ls_graph *g = ls_graph_new();
        assert_int_equal(ls_recipe_load(&r, t->name, 0, NULL), LS_OK);
        if (!r->model.name && !r->model.layers.count) { /* model.pretrained names the model */
            assert_non_null(r->model.pretrained);
            ls_recipe_free(r);
            ls_graph_free(g);
            continue;
        }
        if (r->model.name && !strcmp(r->model.name, "encoder")) {
            const ls_encoder_inputs in = {.x          = ls_input(g, "tokens", LS_I32, 16),
                                          .length     = ls_input(g, "length", LS_I32),
                                          .type       = ls_input(g, "type", LS_I32, 16),
                                          .vocabulary = 99};
            if (ls_recipe_build_encoder(r, g, &in, &(ls_recipe_output){10, "class", "texts"}, &logits) != LS_OK)
                fail_msg("%s: %s", t->name, ls_error_message());
            assert_int_equal(logits->dim[0], 10);
            ls_recipe_free(r);
            ls_graph_free(g);
            continue;
        }
        const int64_t side = r->model.name && !strcmp(r->model.name, "vit") ? 28 : 64; /* a multiple of the patch */
        if (!strcmp(r->data.path, "shakespeare")) {
            int64_t    context, vocabulary = r->data.vocab ? r->data.vocab : 65;
            ls_tensor *loss;
            assert_int_equal(ls_recipe_context(r, &context), LS_OK);
            ls_tensor *x = ls_input(g, "tokens", LS_I32, context), *y = ls_input(g, "target", LS_I32, context);
            logits = NULL;
            if (ls_recipe_build_language(r, g, &(ls_language_inputs){.x = x, .target = y}, vocabulary, &loss) != LS_OK)
                fail_msg("%s: %s", t->name, ls_error_message());
        } else if (!strcmp(r->data.path, "multi30k") || ls_made_pairs_named(r->data.path)) {
            logits = NULL;
            if (build_translation(r, g) != LS_OK) fail_msg("%s: %s", t->name, ls_error_message());
        } else if (ls_recipe_build(r, g, ls_input(g, "image", LS_F32, 3, side, side),
                                   &(ls_recipe_output){10, "class", "images"}, &logits) != LS_OK)
            fail_msg("%s: %s", t->name, ls_error_message());
        if (logits) {
            assert_int_equal(logits->rank, 1);
            assert_int_equal(logits->dim[0], 10);
        }
        ls_recipe_free(r);
        ls_graph_free(g);
    }
    r = parse("model:\n  layers:\n    - flatten\n    - linear: {out: 7}\n    - relu\n    - linear:\n        out: 10\n  "
              "      no_bias: true\n",
              0, NULL);
    ls_graph *g = ls_graph_new();
    assert_int_equal(ls_recipe_build(r, g, ls_input(g, "image", LS_F32, 1, 4, 4),
                                     &(ls_recipe_output){10, "class", "images"}, &logits),
                     LS_OK);
    ls_params *params;
    assert_int_equal(ls_params_new(&params, g, 1), LS_OK);
    assert_int_equal(ls_params_total(params), 16 * 7 + 7 + 7 * 10);
    assert_true(ls_params_find(params, "linear1.bias") >= 0);
    assert_true(ls_params_find(params, "linear2.weight") >= 0);
    assert_true(ls_params_find(params, "linear2.bias") < 0);
    ls_params_free(params);
    ls_graph_free(g);
    g = ls_graph_new();
    assert_int_equal(ls_recipe_build(r, g, ls_input(g, "image", LS_F32, 1, 4, 4),
                                     &(ls_recipe_output){11, "class", "images"}, &logits),
                     LS_ERR_USAGE);
    assert_non_null(strstr(ls_error_message(), "r.yaml:6:7: the model ends with the shape B x 10, expected B x 11"));
    ls_graph_free(g);
    ls_recipe_free(r);
    r = parse("model: {layers: [reshape: {dims: [2, -1]}, permute: {order: [1, 0]}, flatten, linear: {out: 10}]}", 0,
              NULL);
    g = ls_graph_new();
    assert_int_equal(ls_recipe_build(r, g, ls_input(g, "image", LS_F32, 1, 4, 4),
                                     &(ls_recipe_output){10, "class", "images"}, &logits),
                     LS_OK);
    assert_round_trip(r);
    ls_graph_free(g);
    ls_recipe_free(r);
    r = parse("model:\n  layers:\n    - flatten\n    - linear: {name: out}\n", 0, NULL);
    g = ls_graph_new();
    assert_int_equal(ls_recipe_build(r, g, ls_input(g, "image", LS_F32, 1, 4, 4),
                                     &(ls_recipe_output){10, "class", "images"}, &logits),
                     LS_ERR_USAGE);
    assert_non_null(strstr(ls_error_message(), "r.yaml:4")); /* an error of the graph has the line of the recipe */
    ls_graph_free(g);
    ls_recipe_free(r);
}

/* An option of 0 is not the default of the model. */
static void test_no_dropout(void **state)
{
    static const struct {
        const char *options;
        int         layers; /* dropout layers of the graph */
    } cases[]                         = {{"", 2}, {"dropout: 0.5", 2}, {"dropout: 0", 0}, {"dropout: 0.0", 0}};
    static const char *const models[] = {"alexnet", "vgg"};
    for (size_t k = 0; k < 2 * sizeof cases / sizeof *cases; k++) {
        char       text[128];
        ls_tensor *logits;
        ls_graph  *g     = ls_graph_new();
        int        found = 0;
        snprintf(text, sizeof text, "model: {name: %s, options: {%s}}", models[k % 2], cases[k / 2].options);
        ls_recipe *r = parse(text, 0, NULL);
        assert_int_equal(ls_recipe_build(r, g, ls_input(g, "image", LS_F32, 3, 64, 64),
                                         &(ls_recipe_output){10, "class", "images"}, &logits),
                         LS_OK);
        for (int i = 0; i < g->nodes; i++) found += strcmp(ls__op(g->node[i])->name, "dropout") == 0;
        assert_int_equal(found, cases[k / 2].layers);
        ls_graph_free(g);
        ls_recipe_free(r);
    }
}

static void test_nearest(void **state)
{
    static const char *const words[] = {"train", "eval", "predict"};
    assert_string_equal(ls_nearest("trian", 3, words), "train");
    assert_string_equal(ls_nearest("evals", 3, words), "eval");
    assert_string_equal(ls_nearest("PREDICT", 3, words), "predict");
    assert_null(ls_nearest("xyz", 3, words));
    assert_null(ls_nearest("", 3, words));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_texts), cmocka_unit_test(test_bad_bytes),  cmocka_unit_test(test_bad_overrides),
        cmocka_unit_test(test_values),    cmocka_unit_test(test_round_trip), cmocka_unit_test(test_hash),
        cmocka_unit_test(test_files),     cmocka_unit_test(test_embedded),   cmocka_unit_test(test_build),
        cmocka_unit_test(test_nearest),   cmocka_unit_test(test_no_dropout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
