/* SPDX-License-Identifier: Apache-2.0
 * `lockstep lr-find`: trains a few steps with a learning rate that rises exponentially, and suggests a rate (Smith
 * 2017, "Cyclical learning rates for training neural networks").
 *
 * The definitions are fastai's: the loss is averaged with the weight 0.98 and corrected for its start; the steps end
 * when it exceeds 4 times its minimum; the suggestion lies half-way down the "valley", the longest decreasing
 * subsequence of the losses. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/optim/optim_rule.h"
#include "launch/commands/command_run.h"
#include "launch/report/png_plot.h"
#include "launch/run/train_loop.h"

enum { MAX_STEPS = 10000, ROWS = 20, BAR = 50 };

typedef struct search {
    ls_run     *run;
    double      from, to;
    int         wanted, n; /* steps */
    double     *rate, *loss;
    const char *png;
} search;

static ls_status read_rate(const ls_args *args, const char *name, double otherwise, double *rate)
{
    const char *text = ls_args_option(args, name);
    char       *end;
    *rate = text ? strtod(text, &end) : otherwise;
    LS_CHECK(!text || (end != text && !*end && *rate > 0 && *rate <= 1e6), LS_ERR_USAGE,
             "lr-find: --%s: expected a learning rate above 0, found '%s'", name, text);
    return LS_OK;
}

static ls_status read_options(search *s, const ls_args *args)
{
    long long steps;
    LS_TRY(read_rate(args, "from", 1e-7, &s->from));
    LS_TRY(read_rate(args, "to", 10, &s->to));
    LS_TRY(ls_args_int(args, "steps", 20, MAX_STEPS, 100, &steps));
    LS_CHECK(s->to > s->from, LS_ERR_USAGE, "lr-find: --to: expected more than --from, %g, found %g", s->from, s->to);
    s->wanted = (int)steps;
    s->png    = ls_args_option(args, "png");
    return LS_OK;
}

/* The rate of step t is from (to / from)^(t / (steps - 1)). */
static void set_schedule(const search *s)
{
    ls_optim *o                    = &s->run->recipe->optim;
    o->lr                          = (float)s->from;
    o->schedule                    = ls_schedule_default(LS_SCHEDULE_EXPONENTIAL);
    o->schedule.gamma              = (float)pow(s->to / s->from, 1.0 / (s->wanted - 1));
    s->run->recipe->trainer.on_nan = LS_ON_NAN_ABORT;
}

/* Trains until the loss exceeds 4 times its minimum or is not finite.  Collective. */
static ls_status train(search *s, ls_loader *loader)
{
    enum { TIMES = 4 };
    const double weight  = 0.98;
    double       average = 0, least = INFINITY;
    for (s->n = 0; s->n < s->wanted; s->n++) {
        ls_batch   batch;
        ls_metrics metrics;
        LS_TRY_COLLECTIVE(s->run, ls_loader_next(loader, &batch) ? LS_OK : ls_loader_status(loader));
        const ls_status status = ls_trainer_step(s->run->trainer, &batch, &metrics);
        if (status == LS_ERR_DIVERGED && s->n > 0) return LS_OK;
        LS_TRY(status);
        average       = weight * average + (1 - weight) * metrics.loss;
        s->rate[s->n] = (double)metrics.lr;
        s->loss[s->n] = average / (1 - pow(weight, s->n + 1));
        if (s->loss[s->n] > TIMES * least) {
            s->n++;
            return LS_OK;
        }
        least = fmin(least, s->loss[s->n]);
    }
    return LS_OK;
}

/* The rate half-way down the longest decreasing subsequence of the losses, without the first tenth and the last 5
 * steps; 0: the loss never decreases.  `length` has room for n numbers. */
static double suggestion(const search *s, int *length)
{
    const int     skipped = s->wanted / 10, n = s->n - skipped - 5;
    const double *loss = s->loss + skipped;
    int           end  = 0;
    if (n < 2) return 0;
    for (int i = 0; i < n; i++) {
        length[i] = 1;
        for (int k = 0; k < i; k++)
            if (loss[i] < loss[k] && length[i] < length[k] + 1) length[i] = length[k] + 1;
        if (length[end] < length[i]) end = i;
    }
    const int    start   = end - length[end] > 0 ? end - length[end] : 0;
    const double section = (end - start) / 3.0;
    return length[end] > 1 ? s->rate[skipped + start + (int)section + (int)(section / 2)] : 0;
}

/* ---- results ----------------------------------------------------------------------------------------------------- */

static void print_curve(const search *s)
{
    double least = INFINITY, most = -INFINITY;
    for (int i = 0; i < s->n; i++) {
        least = fmin(least, s->loss[i]);
        most  = fmax(most, s->loss[i]);
    }
    printf("%12s %12s\n", "rate", "loss");
    for (int row = 0; row < ROWS && row < s->n; row++) {
        const int i   = s->n <= ROWS ? row : (int)((int64_t)row * (s->n - 1) / (ROWS - 1));
        const int bar = most > least ? (int)lround(BAR * (s->loss[i] - least) / (most - least)) : 0;
        printf("%12.3g %12.4f ", s->rate[i], s->loss[i]);
        for (int k = 0; k < bar; k++) putchar('#');
        putchar('\n');
    }
}

static ls_status draw(const search *s)
{
    enum { WIDTH = 900, HEIGHT = 560 };
    ls_png     *p;
    double     *exponent = ls_arena_alloc(s->run->memory, sizeof *exponent * (size_t)s->n);
    ls_png_line line     = {.n = s->n, .x = exponent, .y = s->loss};
    for (int i = 0; i < s->n; i++) exponent[i] = log10(s->rate[i]);
    LS_TRY(ls_png_new(&p, WIDTH, HEIGHT));
    ls_png_lines(p, &(ls_lines){.x      = 70,
                                .y      = 50,
                                .width  = WIDTH - 110,
                                .height = HEIGHT - 140,
                                .title  = "Loss while the learning rate rises",
                                .x_name = "log10 of the learning rate",
                                .count  = 1,
                                .line   = &line});
    ls_status status = ls_png_save(p, s->png);
    ls_png_free(p);
    return status;
}

static ls_status show(const search *s)
{
    if (!s->run->is_root) return LS_OK;
    const double rate = suggestion(s, ls_arena_alloc(s->run->memory, sizeof(int) * (size_t)s->wanted));
    print_curve(s);
    if (s->png) {
        LS_TRY(draw(s));
        printf("picture        %s\n", s->png);
    }
    if (rate > 0)
        printf("suggestion     optim.lr=%.2g\n", rate);
    else
        printf("suggestion     none: the loss does not decrease; raise --steps, or widen --from and --to\n");
    return LS_OK;
}

static ls_status find(search *s, const ls_args *args)
{
    ls_run    *run    = s->run;
    ls_loader *loader = NULL;
    LS_TRY_COLLECTIVE(run, read_options(s, args));
    LS_TRY(ls_run_recipe(run, args->positional[0], args->overrides, args->override));
    set_schedule(s);
    s->rate = ls_arena_alloc(run->memory, sizeof *s->rate * (size_t)s->wanted);
    s->loss = ls_arena_alloc(run->memory, sizeof *s->loss * (size_t)s->wanted);
    LS_TRY(ls_run_setup(run));
    ls_status status = ls_comm_agree(
        run->comm, ls_loader_new(&loader, run->train, .batch = run->recipe->train.batch, .shards = run->shards,
                                 .ranks = run->ranks, .rank = run->rank, .seed = (uint64_t)run->recipe->train.seed,
                                 .threads = ls_run_loader_threads(run)));
    if (status == LS_OK) status = train(s, loader);
    ls_loader_free(loader);
    LS_TRY(status);
    return ls_comm_agree(run->comm, show(s));
}

static ls_status run_lr_find(int argc, char **argv)
{
    ls_run    run;
    ls_args   args;
    search    s      = {.run = &run};
    ls_status status = ls_command_start(&run, &args, argc, argv);
    if (status == LS_OK) status = find(&s, &args);
    ls_command_finish(&run, status);
    return status;
}

const ls_command ls__command_lr_find = {
    .name      = "lr-find",
    .arguments = "RECIPE [key=value ...]",
    .text      = "suggest a learning rate: a few steps with a rising rate",
    .help      = "Trains the recipe for some steps with a learning rate that rises exponentially, until the loss is 4 "
                 "times its minimum.\n"
                 "Prints the loss, averaged, by rate, and a rate for optim.lr by the rules of fastai's lr_find.\n"
                 "Writes no run directory.\n"
                 "The numbers are the same on any number of ranks.\n"
                 "\n"
                 "  lockstep lr-find resnet20-cifar10\n"
                 "  mpirun -np 2 lockstep lr-find ./my.yaml optim.name=lars --from 1e-3 --to 100 --png rate.png",
    .options   = LS_OPTIONS(
          {"from", "RATE", "first learning rate; default 1e-7"}, {"to", "RATE", "last learning rate; default 10"},
          {"steps", "N", "number of steps, 20 to 10000; default 100"}, {"png", "FILE", "draw the curve"}),
    .run = run_lr_find,
};
