/* SPDX-License-Identifier: Apache-2.0
 * `lockstep compare`: trains several recipes with several seeds.  Shows their results in one table and one picture. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/format_text.h"
#include "core/graph/params.h"
#include "launch/commands/command_run.h"
#include "launch/report/png_plot.h"
#include "launch/report/seed_figures.h"
#include "launch/report/unit_text.h"
#include "launch/run/metrics.h"
#include "launch/run/train_loop.h"
#include "launch/tasks/task.h"

enum { MAX_SEEDS = 100, MAX_RECIPES = 8, MAX_POINTS = 1000 };

/* A recipe of the comparison, "NAME,key=value,...", and its results. */
typedef struct candidate {
    const char *recipe, *label; /* the name; the whole word */
    int         keys;
    char      **key;
    int64_t     params;
    double      figure[MAX_SEEDS], seconds;
    int         points; /* evaluations of the shortest run */
    double      epoch[MAX_POINTS], sum[MAX_POINTS];
} candidate;

typedef struct comparison {
    ls_comm       *comm;
    const ls_args *args;
    ls_arena      *memory;
    const char    *folder;
    int            seeds, candidates;
    candidate     *candidate;
    const ls_task *task; /* of the runs, which must be the same */
    int64_t        samples;
    bool           is_root;
} comparison;

/* The figure of a run that is compared: its first metric with a label, else the loss. */
static const ls_task_metric *metric_of(const comparison *c)
{
    const ls_task_metric *m = c->task->metric;
    while (m->key && !m->label) m++;
    return m->key ? m : NULL;
}

static double scaled(const comparison *c, double value)
{
    const ls_task_metric *m = metric_of(c);
    return m && m->scale > 0 ? m->scale * value : value;
}

/* Whether a word of the command line is a recipe with keys of its own: "NAME,key=value". */
static bool has_own_keys(const char *word)
{
    const char *equals = strchr(word, '=');
    return equals && memchr(word, ',', (size_t)(equals - word));
}

/* ---- runs -------------------------------------------------------------------------------------------------------- */

/* The evaluations of one run. */
typedef struct curve {
    const char *key;
    int         points;
    double      epoch[MAX_POINTS], value[MAX_POINTS];
} curve;

static void take_evaluation(const json_t *event, void *data)
{
    curve *v = data;
    if (!ls_events_is(event, "eval") || v->points == MAX_POINTS) return;
    v->epoch[v->points]   = ls_events_real(event, "epoch", NAN);
    v->value[v->points++] = ls_events_real(event, v->key, NAN);
}

/* Adds the evaluations of a run to those of the other seeds. */
static ls_status add_curve(comparison *c, candidate *x, const char *directory, int seed)
{
    curve *v = ls_arena_alloc(c->memory, sizeof *v);
    v->key   = metric_of(c) ? metric_of(c)->key : "loss";
    LS_TRY(ls_events_read(ls_arena_printf(c->memory, "%s/metrics.jsonl", directory), take_evaluation, v));
    x->points = seed == 1 || v->points < x->points ? v->points : x->points;
    for (int i = 0; i < x->points; i++) {
        x->epoch[i] = v->epoch[i];
        x->sum[i]   = (seed == 1 ? 0 : x->sum[i]) + v->value[i];
    }
    return LS_OK;
}

static ls_status check_task(comparison *c, const ls_run *run)
{
    LS_CHECK(!c->task || c->task == run->task, LS_ERR_USAGE,
             "compare: %s: expected a task as the recipes before (%s), found %s", run->recipe->name, c->task->name,
             run->task->name);
    c->task = run->task;
    return LS_OK;
}

static ls_status train(comparison *c, candidate *x, int seed, ls_run *run)
{
    ls_train_result result;
    const ls_args  *a     = c->args;
    char          **key   = ls_arena_alloc(c->memory, sizeof *key * (size_t)(a->overrides + x->keys + 2));
    int             count = 0;
    for (int i = 0; i < a->overrides; i++)
        if (!has_own_keys(a->override[i])) key[count++] = a->override[i];
    for (int i = 0; i < x->keys; i++) key[count++] = x->key[i];
    key[count++] = ls_arena_printf(c->memory, "train.seed=%d", seed);
    key[count++] = ls_arena_printf(c->memory, "run.dir=%s/%s-%d", c->folder, x->label, seed);
    LS_TRY(ls_run_start(run, c->comm));
    LS_TRY(ls_run_recipe(run, x->recipe, count, key));
    LS_TRY(ls_run_setup(run));
    LS_TRY(check_task(c, run));
    LS_TRY(ls_run_train(run, &(ls_train_options){.handle_signals = true}, &result));
    const ls_params *p = ls_trainer_params(run->trainer);
    x->params          = 0;
    for (int i = 0; i < p->count; i++) x->params += p->slot[i].trained ? p->slot[i].count : 0;
    x->figure[seed - 1] =
        scaled(c, metric_of(c) ? result.scores.metric[metric_of(c) - c->task->metric] : result.scores.loss);
    c->samples = result.scores.samples;
    x->seconds += result.wall_s;
    return ls_comm_agree(c->comm, c->is_root ? add_curve(c, x, result.directory, seed) : LS_OK);
}

static ls_status train_one(comparison *c, candidate *x, int seed)
{
    ls_run run = {0};
    if (c->is_root) fprintf(stderr, "\n%s, seed %d of %d\n", x->label, seed, c->seeds);
    ls_status status = train(c, x, seed, &run);
    run.comm         = NULL;
    ls_run_close(&run);
    return status;
}

/* ---- results ----------------------------------------------------------------------------------------------------- */

static void print_table(const comparison *c)
{
    const ls_task_metric *m      = metric_of(c);
    const char           *format = m && m->result ? m->result : "%.4f";
    size_t                widest = strlen("recipe");
    for (int i = 0; i < c->candidates; i++)
        widest = strlen(c->candidate[i].label) > widest ? strlen(c->candidate[i].label) : widest;
    printf("%-*s %14s %14s %10s %10s\n", (int)widest, "recipe", "parameters", m && m->label ? m->label : "loss",
           "deviation", "time");
    for (int i = 0; i < c->candidates; i++) {
        const candidate *x = &c->candidate[i];
        char             params[32], mean[32], time[32], deviation[16] = "-";
        ls__count_text(params, sizeof params, x->params);
        ls__time_text(time, sizeof time, x->seconds / c->seeds);
        snprintf(mean, sizeof mean, format, ls_seed_mean(x->figure, c->seeds));
        if (c->seeds > 1) snprintf(deviation, sizeof deviation, "%.2f", ls_seed_deviation(x->figure, c->seeds));
        printf("%-*s %14s %14s %10s %10s\n", (int)widest, x->label, params, mean, deviation, time);
    }
    printf("\nEach value is the mean of %d seed%s on %lld held-out samples; parameters are those that are trained.\n",
           c->seeds, c->seeds == 1 ? "" : "s", (long long)c->samples);
}

/* Draws the mean of the seeds at each evaluation. */
static ls_status draw(const comparison *c, const char *path)
{
    enum { WIDTH = 900, HEIGHT = 580 };
    const ls_task_metric *m = metric_of(c);
    ls_png_line           line[MAX_RECIPES];
    ls_png               *p;
    for (int i = 0; i < c->candidates; i++) {
        candidate *x = &c->candidate[i];
        for (int k = 0; k < x->points; k++) x->sum[k] = scaled(c, x->sum[k] / c->seeds);
        line[i] = (ls_png_line){.name = x->label, .n = x->points, .x = x->epoch, .y = x->sum, .colour = i};
    }
    const ls_lines lines = {.x      = 70,
                            .y      = 50,
                            .width  = WIDTH - 110,
                            .height = HEIGHT - 140,
                            .title  = m && m->chart ? m->chart : "Loss on held-out samples",
                            .x_name = "epoch",
                            .count  = c->candidates,
                            .line   = line};
    LS_TRY(ls_png_new(&p, 1, 1)); /* measures text */
    const int rows = ls_png_legend_rows(p, &lines);
    ls_png_free(p);
    LS_TRY(ls_png_new(&p, WIDTH, HEIGHT + (rows - 1) * LS_PNG_LEGEND_ROW));
    ls_png_lines(p, &lines);
    ls_status status = ls_png_save(p, path);
    ls_png_free(p);
    return status;
}

static ls_status show(const comparison *c)
{
    const char *picture = ls_arena_printf(c->memory, "%s/compare.png", c->folder);
    if (!c->is_root) return LS_OK;
    print_table(c);
    LS_TRY(draw(c, picture));
    printf("picture        %s\n", picture);
    return LS_OK;
}

/* ---- the command ------------------------------------------------------------------------------------------------- */

/* Reads "NAME,key=value,..." */
static void read_candidate(comparison *c, const char *word, candidate *x)
{
    char *text = ls_arena_strdup(c->memory, word);
    x->label   = word;
    x->recipe  = text;
    x->key     = ls_arena_alloc(c->memory, sizeof *x->key * (strlen(word) + 1));
    for (char *comma = strchr(text, ','); comma; comma = strchr(comma + 1, ',')) {
        *comma            = 0;
        x->key[x->keys++] = comma + 1;
    }
}

static bool is_in(char *word, int n, char *const *list)
{
    for (int i = 0; i < n; i++)
        if (list[i] == word) return true;
    return false;
}

static ls_status add_candidate(comparison *c, const char *word)
{
    LS_CHECK(c->candidates < MAX_RECIPES, LS_ERR_USAGE, "compare: expected at most %d recipes, found more",
             MAX_RECIPES);
    LS_CHECK(!memchr(word, '/', strcspn(word, ",")), LS_ERR_USAGE,
             "compare: %s: expected the name of a built-in recipe or of a file in this folder", word);
    for (int k = 0; k < c->candidates; k++)
        LS_CHECK(strcmp(word, c->candidate[k].label) != 0, LS_ERR_USAGE,
                 "compare: %s: expected different recipes, found this one twice", word);
    read_candidate(c, word, &c->candidate[c->candidates++]);
    return LS_OK;
}

static ls_status read_arguments(comparison *c, int words, char **word)
{
    long long      seeds;
    const char    *folder = ls_args_option(c->args, "dir");
    const ls_args *a      = c->args;
    LS_TRY(ls_args_int(a, "seeds", 1, MAX_SEEDS, 3, &seeds));
    c->seeds     = (int)seeds;
    c->folder    = folder ? folder : "runs/compare";
    c->candidate = ls_arena_alloc(c->memory, sizeof *c->candidate * MAX_RECIPES);
    for (int i = 0; i < words; i++)
        if (is_in(word[i], a->positionals, a->positional) ||
            (is_in(word[i], a->overrides, a->override) && has_own_keys(word[i])))
            LS_TRY(add_candidate(c, word[i]));
    return LS_OK;
}

static ls_status compare(comparison *c, int words, char **word)
{
    LS_TRY(ls_comm_agree(c->comm, read_arguments(c, words, word)));
    for (int i = 0; i < c->candidates; i++)
        for (int seed = 1; seed <= c->seeds; seed++) LS_TRY(train_one(c, &c->candidate[i], seed));
    return ls_comm_agree(c->comm, show(c));
}

static ls_status run_compare(int argc, char **argv)
{
    static ls_args args;
    ls_run         run;
    comparison     c      = {.args = &args};
    ls_status      status = ls_command_start(&run, &args, argc, argv);
    c.comm                = run.comm;
    c.is_root             = run.is_root;
    if (status == LS_OK) status = ls_comm_agree(c.comm, ls_arena_new(&c.memory, "compare"));
    if (status == LS_OK) status = compare(&c, argc, argv);
    ls_command_finish(&run, status);
    ls_arena_free(c.memory);
    return status;
}

const ls_command ls__command_compare = {
    .name      = "compare",
    .arguments = "RECIPE ... [key=value ...]",
    .text      = "train several recipes with several seeds; one table, one picture",
    .help    = "RECIPE is a name, or a name with keys of its own: NAME,key=value,...  A key=value word applies to all "
               "recipes.\n"
               "Trains each recipe with the seeds 1 to N, and prints parameters, the task's metric and its deviation.\n"
               "compare.png shows the metric by epoch.  A repeated command line continues where it was interrupted.\n"
               "\n"
               "A convolutional network and a perceptron with as many parameters, on MNIST and on MNIST with shuffled "
               "pixels:\n"
               "\n"
               "  lockstep compare cnn-or-ann cnn-or-ann-mlp cnn-or-ann,data.shuffle_pixels=true \\\n"
               "                   cnn-or-ann-mlp,data.shuffle_pixels=true\n"
               "\n"
               "Batch norm over the global batch, layer norm, and no norm, at a batch of 128 and of 4:\n"
               "\n"
               "  S=train.batch=4,optim.lr=0.01\n"
               "  lockstep compare norm-batch norm-layer norm-none norm-batch,$S norm-layer,$S norm-none,$S\n"
               "\n"
               "Batch norm over groups of 32 and of 4 samples, as on ranks with so many samples each:\n"
               "\n"
               "  lockstep compare norm-batch norm-batch,model.norm_over=32 norm-batch,model.norm_over=4",
    .options = LS_OPTIONS({"seeds", "N", "number of seeds, 1 to 100; default 3"},
                          {"dir", "DIR", "folder of the runs and of the picture; default: runs/compare"}),
    .run     = run_compare,
};
