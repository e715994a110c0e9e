/* SPDX-License-Identifier: Apache-2.0
 * `lockstep transfer`: the worth of a pretrained model for a dataset.  Compares three ways to train the recipe's model,
 * each with several seeds. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "launch/commands/command_run.h"
#include "launch/report/seed_figures.h"
#include "launch/report/unit_text.h"
#include "launch/run/open_model.h"
#include "launch/run/run_directory.h"
#include "launch/run/stop_signals.h"
#include "launch/run/train_loop.h"
#include "launch/tasks/task.h"
#include "launch/transfer/probe.h"

enum { MAX_SEEDS = 100, MAX_EXTRA = 8 };

typedef enum method { SCRATCH, PROBE, FINE_TUNE, METHODS } method;

static const struct {
    const char *name, *text;
} methods[METHODS] = {{"scratch", "from random initial parameters"},
                      {"probe", "last layer alone, on the features of the pretrained model"},
                      {"fine-tune", "all layers, from the pretrained model and the probe's last layer"}};

typedef struct transfer {
    ls_comm       *comm;
    const ls_args *args;
    const char    *folder; /* DIR; holds the folder of each run, "fine-tune-1" */
    ls_arena      *memory;
    int            seeds;
    bool           wanted[METHODS];
    double         accuracy[METHODS][MAX_SEEDS], seconds[METHODS];
    int64_t        samples;
    bool           is_root;
} transfer;

/* Loads the recipe with the overrides of the command line and further ones, and starts a run with it.  Collective. */
static ls_status start_run(transfer *t, ls_run *run, int extras, char *const *extra)
{
    const ls_args *args     = t->args;
    char         **override = ls_arena_alloc(t->memory, sizeof *override * (size_t)(args->overrides + extras + 1));
    memcpy(override, args->override, sizeof *override * (size_t)args->overrides);
    memcpy(override + args->overrides, extra, sizeof *override * (size_t)extras);
    LS_TRY(ls_run_start(run, t->comm));
    LS_TRY(ls_run_recipe(run, args->positional[0], args->overrides + extras, override));
    LS_TRY_COLLECTIVE(run, run->recipe->model.pretrained
                               ? LS_OK
                               : LS_FAIL(LS_ERR_USAGE,
                                         "transfer: model.pretrained: expected a file or folder with parameters, found "
                                         "none" LS_HINT "add model.pretrained=PATH"));
    return LS_OK;
}

static const char *folder_of(const transfer *t, method m, int seed)
{
    return ls_arena_printf(t->memory, "%s/%s-%d", t->folder, methods[m].name, seed);
}

/* Trains the recipe, from random parameters or from the model of the probe.  Collective. */
static ls_status train(transfer *t, ls_run *run, method m, int seed)
{
    ls_train_result   result;
    ls_train_options  options = {.handle_signals = true, .brief = true};
    const char *const pretrained =
        m == FINE_TUNE ? ls_arena_printf(t->memory, "model.pretrained=%s/model.safetensors", folder_of(t, PROBE, seed))
                       : "model.pretrained=";
    char *const set[] = {(char *)pretrained, "model.freeze="};
    /* The input that the pretrained model states is already set; a model from random parameters freezes nothing. */
    LS_TRY_COLLECTIVE(run, ls_recipe_set(run->recipe, m == SCRATCH ? 2 : 1, set));
    LS_TRY(ls_run_setup(run));
    LS_TRY(ls_run_train(run, &options, &result));
    t->accuracy[m][seed - 1] = ls_run_score(run, &result.scores, "accuracy");
    t->samples               = result.scores.samples;
    return LS_OK;
}

/* Fits the last layer, and writes the model.  Collective. */
static ls_status probe(transfer *t, ls_run *run, int seed)
{
    ls_probe_result  result;
    ls_run_directory directory = {.lock = -1};
    LS_TRY(ls_run_setup(run));
    ls_run_directory_name(&directory, run->recipe);
    LS_TRY_COLLECTIVE(run, run->is_root ? ls_run_directory_open(&directory, run->recipe, false) : LS_OK);
    ls_status status = ls_run_probe(run, t->folder, &result);
    if (status == LS_OK && run->is_root)
        status = ls_run_save_model(run, ls_run_directory_file(&directory, "model.safetensors"));
    ls_run_directory_close(&directory);
    LS_TRY_COLLECTIVE(run, status);
    t->accuracy[PROBE][seed - 1] = result.accuracy;
    t->samples                   = result.samples;
    if (run->is_root)
        fprintf(stderr, "probe: accuracy %.2f %%, weight decay %.1e, %d iterations%s\n", 100 * result.accuracy,
                result.decay, result.iterations, result.cached ? ", features from the cache" : "");
    return LS_OK;
}

static ls_status run_one(transfer *t, method m, int seed)
{
    ls_run       run     = {0};
    const double began   = ls__clock_s();
    char *const  extra[] = {ls_arena_printf(t->memory, "train.seed=%d", seed),
                            ls_arena_printf(t->memory, "data.seed=%d", seed),
                            ls_arena_printf(t->memory, "run.dir=%s", folder_of(t, m, seed)),
                            ls_arena_printf(t->memory, "run.name=%s-%d", methods[m].name, seed)};
    if (t->is_root) fprintf(stderr, "\n%s, seed %d of %d\n", methods[m].name, seed, t->seeds);
    ls_status status = start_run(t, &run, sizeof extra / sizeof *extra, extra);
    if (status == LS_OK) status = m == PROBE ? probe(t, &run, seed) : train(t, &run, m, seed);
    t->seconds[m] += ls__clock_s() - began;
    run.comm = NULL;
    ls_run_close(&run);
    return status;
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

static void print_table(const transfer *t)
{
    printf("%-10s %9s %9s %9s   ", "accuracy", "mean", "deviation", "gain");
    for (int s = 1; s <= t->seeds; s++) printf("   seed %-2d", s);
    printf("%10s\n", "time");
    for (method m = 0; m < METHODS; m++) {
        const double *x = t->accuracy[m];
        char          time[32], deviation[16] = "-", gain[16] = "-";
        if (!t->wanted[m]) continue;
        ls__time_text(time, sizeof time, t->seconds[m] / t->seeds);
        if (t->seeds > 1) snprintf(deviation, sizeof deviation, "%.2f", 100 * ls_seed_deviation(x, t->seeds));
        if (m != SCRATCH && t->wanted[SCRATCH])
            snprintf(gain, sizeof gain, "%+.2f",
                     100 * (ls_seed_mean(x, t->seeds) - ls_seed_mean(t->accuracy[SCRATCH], t->seeds)));
        printf("%-10s %7.2f %% %9s %9s   ", methods[m].name, 100 * ls_seed_mean(x, t->seeds), deviation, gain);
        for (int s = 0; s < t->seeds; s++) printf(" %7.2f %%", 100 * x[s]);
        printf("%10s\n", time);
    }
    printf("\n");
    for (method m = 0; m < METHODS; m++)
        if (t->wanted[m]) printf("%-10s %s\n", methods[m].name, methods[m].text);
    printf("samples    %lld held-out samples for each value; deviation: of the seeds; gain: over scratch\n",
           (long long)t->samples);
    printf("runs       %s\n", t->folder);
}

/* ---- the command ------------------------------------------------------------------------------------------------- */

static ls_status read_methods(transfer *t, const char *list)
{
    for (method m = 0; m < METHODS; m++) t->wanted[m] = !list;
    while (list && *list) {
        const size_t length = strcspn(list, ",");
        method       m      = 0;
        while (m < METHODS && (strlen(methods[m].name) != length || strncmp(list, methods[m].name, length) != 0)) m++;
        LS_CHECK(m < METHODS, LS_ERR_USAGE,
                 "transfer: --methods: expected names from scratch,probe,fine-tune, found '%.*s'", (int)length, list);
        t->wanted[m] = true;
        list += length + (list[length] == ',');
    }
    LS_CHECK(
        !t->wanted[FINE_TUNE] || t->wanted[PROBE], LS_ERR_USAGE,
        "transfer: --methods: expected probe with fine-tune, because fine-tuning starts with the last layer of the "
        "probe");
    return LS_OK;
}

static ls_status read_options(transfer *t)
{
    long long   seeds;
    const char *folder = ls_args_option(t->args, "dir"), *recipe = t->args->positional[0],
               *name = strrchr(recipe, '/') ? strrchr(recipe, '/') + 1 : recipe;
    LS_TRY(ls_args_int(t->args, "seeds", 1, MAX_SEEDS, 3, &seeds));
    t->seeds  = (int)seeds;
    t->folder = folder ? folder : ls_arena_printf(t->memory, "runs/%.*s-transfer", (int)strcspn(name, "."), name);
    return read_methods(t, ls_args_option(t->args, "methods"));
}

static ls_status transfer_all(transfer *t)
{
    for (int seed = 1; seed <= t->seeds; seed++)
        for (method m = 0; m < METHODS; m++)
            if (t->wanted[m]) LS_TRY(run_one(t, m, seed));
    if (t->is_root) print_table(t);
    return LS_OK;
}

static ls_status run_transfer(int argc, char **argv)
{
    static ls_args args;
    ls_run         run;
    transfer       t      = {.args = &args};
    ls_status      status = ls_command_start(&run, &args, argc, argv);
    t.comm                = run.comm;
    t.is_root             = run.is_root;
    if (status == LS_OK) status = ls_comm_agree(t.comm, ls_arena_new(&t.memory, "transfer"));
    if (status == LS_OK) status = ls_comm_agree(t.comm, read_options(&t));
    if (status == LS_OK) status = transfer_all(&t);
    ls_command_finish(&run, status);
    ls_arena_free(t.memory);
    return status;
}

const ls_command ls__command_transfer = {
    .name      = "transfer",
    .arguments = "RECIPE [key=value ...]",
    .text      = "compare training from scratch, a linear probe and fine-tuning",
    .help =
        "RECIPE is an image classification with model.pretrained.  Trains it in three ways, with the seeds 1 to N for "
        "the\n"
        "training and for the choice of data.train_per_class, and prints accuracies, their mean and deviation:\n"
        "\n"
        "  scratch    from random initial parameters, nothing frozen\n"
        "  probe      the last layer alone: logistic regression on the features of the pretrained model, which are\n"
        "             computed once and cached\n"
        "  fine-tune  the recipe itself, starting with the last layer of the probe\n"
        "\n"
        "A repeated command line continues where it was interrupted.\n"
        "\n"
        "  lockstep transfer transfer-cifar10 model.pretrained=efficientnet_lite0 --seeds 5",
    .options =
        LS_OPTIONS({"seeds", "N", "number of seeds, 1 to 100; default 3"},
                   {"methods", "LIST", "names of methods, separated by commas; default: scratch,probe,fine-tune"},
                   {"dir", "DIR", "folder of the runs and cached features; default: runs/RECIPE-transfer"}),
    .run = run_transfer,
};
