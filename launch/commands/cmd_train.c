/* SPDX-License-Identifier: Apache-2.0
 * `lockstep train`: trains a recipe, or continues an interrupted run. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "launch/commands/command_run.h"
#include "launch/report/unit_text.h"
#include "launch/run/stop_signals.h"
#include "launch/run/train_loop.h"
#include "launch/tasks/task.h"

static void print_result(const ls_run *run, const ls_train_result *r)
{
    char            steps[32], speed[32], time[32];
    ls_dataset_info test = ls_dataset_info_of(run->test);
    ls__count_text(steps, sizeof steps, r->step);
    ls__count_text(speed, sizeof speed, llround(r->samples_per_s * (double)ls_task_units(run->task, &run->data)));
    ls__time_text(time, sizeof time, r->wall_s);
    ls_scores_print(run->task, test.split, &r->scores);
    printf("steps          %s in %s, %s %s/s\n", steps, time, speed, run->task->unit);
    printf("digest         %016" PRIx64 "\n", r->digest);
    printf("run            %s\n", r->directory);
    printf("model          %s/model.safetensors\n", r->directory);
    printf("report         %s/report.html\n", r->directory);
}

/* Reads the time limit of the run, hours: --max-hours, else train.max_hours of the recipe; 0: no limit. */
static ls_status read_hours(const ls_args *args, const ls_recipe *r, double *hours)
{
    const char *text = ls_args_option(args, "max-hours");
    char       *end;
    *hours = text ? strtod(text, &end) : r->train.max_hours;
    LS_CHECK(!text || (end != text && !*end && *hours > 0 && *hours <= 1e6), LS_ERR_USAGE,
             "train: --max-hours: expected a number of hours above 0, found '%s'", text);
    return LS_OK;
}

/* Trains a run.  Its recipe is loaded. */
static ls_status train(ls_run *run, const ls_args *args, bool is_last)
{
    double          hours;
    ls_train_result result;
    LS_TRY(read_hours(args, run->recipe, &hours));
    ls_stop_signals_install(hours, run->is_root); /* before the data are opened, which may take long */
    LS_TRY(ls_run_setup(run));
    ls_train_options options = {.fresh       = ls_args_option(args, "fresh") != NULL,
                                .trace       = ls_args_option(args, "trace"),
                                .trace_steps = ls_args_option(args, "trace-steps")};
    LS_TRY(ls_run_train(run, &options, &result));
    if (!run->is_root || !is_last) return LS_OK;
    if (result.was_finished)
        fprintf(stderr, "%s: the run is finished; a larger train.epochs continues it, --fresh starts over\n",
                result.directory);
    print_result(run, &result);
    return LS_OK;
}

/* ---- phases ------------------------------------------------------------------------------------------------------ */

/* The run directory of a phase: run.dir for the last one, else a folder in it. */
static char *phase_directory(const ls_recipe *whole, int phase)
{
    if (phase == whole->train.phases - 1) return ls_arena_printf(whole->arena, "%s", whole->run.dir);
    return ls_arena_printf(whole->arena, "%s/phase-%d", whole->run.dir, phase + 1);
}

/* The overrides of a phase: those of the command line, its keys, and what follows from its index. */
static int phase_overrides(const ls_recipe *whole, const ls_args *args, int phase, char ***out)
{
    const ls_recipe_phase *p    = &whole->train.phase[phase];
    char                 **word = ls_arena_alloc(whole->arena, sizeof *word * (size_t)(args->overrides + p->keys + 4));
    int                    n    = 0;
    for (int i = 0; i < args->overrides; i++) word[n++] = args->override[i];
    word[n++] = ls_arena_printf(whole->arena, "train.phases=[]");
    word[n++] = ls_arena_printf(whole->arena, "train.seed=%lld", (long long)whole->train.seed + phase);
    for (int i = 0; i < p->keys; i++) word[n++] = p->key[i];
    word[n++] = ls_arena_printf(whole->arena, "run.dir=%s", phase_directory(whole, phase));
    if (phase > 0) word[n++] = ls_arena_printf(whole->arena, "model.pretrained=%s", phase_directory(whole, phase - 1));
    *out = word;
    return n;
}

static ls_status train_phase(ls_comm *comm, const ls_recipe *whole, const ls_args *args, int phase)
{
    ls_run    run = {0};
    char    **word;
    const int words = phase_overrides(whole, args, phase, &word), phases = whole->train.phases;
    ls_status status = ls_run_start(&run, comm);
    if (status == LS_OK && run.is_root) fprintf(stderr, "phase %d of %d\n", phase + 1, phases);
    if (status == LS_OK) status = ls_run_recipe(&run, args->positional[0], words, word);
    if (status == LS_OK) status = train(&run, args, phase == phases - 1);
    run.comm = NULL;
    ls_run_close(&run);
    return status;
}

/* Checks the recipes of all phases before the first one trains. */
static ls_status check_phases(const ls_recipe *whole, const ls_args *args)
{
    for (int k = 0; k < whole->train.phases; k++) {
        ls_recipe *r;
        char     **word;
        const int  words = phase_overrides(whole, args, k, &word);
        if (ls_recipe_load(&r, args->positional[0], words, word) != LS_OK)
            return LS_FAIL(LS_ERR_USAGE, "%s: train.phases[%d]: %s", ls_recipe_where(whole, "train.phases"), k,
                           ls_error_message());
        ls_recipe_free(r);
    }
    return LS_OK;
}

/* Trains the recipe, or the sequence of runs that its phases are. */
static ls_status train_recipe(ls_run *run, const ls_args *args)
{
    ls_recipe *whole = NULL;
    LS_TRY_COLLECTIVE(run, ls_recipe_load(&whole, args->positional[0], args->overrides, args->override));
    if (!whole->train.phases) {
        LS_TRY(ls_run_set_recipe(run, whole));
        return train(run, args, true);
    }
    ls_status status = ls_comm_agree(run->comm, check_phases(whole, args));
    for (int k = 0; k < whole->train.phases && status == LS_OK; k++) status = train_phase(run->comm, whole, args, k);
    ls_recipe_free(whole);
    return status;
}

static ls_status run_train(int argc, char **argv)
{
    ls_run    run;
    ls_args   args;
    ls_status status = ls_command_start(&run, &args, argc, argv);
    if (status == LS_OK) status = train_recipe(&run, &args);
    ls_command_finish(&run, status);
    return status;
}

const ls_command ls__command_train = {
    .name      = "train",
    .arguments = "RECIPE [key=value ...]",
    .text      = "train, or continue an interrupted run",
    .help = "RECIPE is a name (`lockstep recipes ls`) or a YAML file.  key=value overrides any key (`lockstep recipes "
            "keys`).\n"
            "The run directory is run.dir, by default runs/NAME.  It holds the merged recipe, metrics.jsonl, "
            "report.html,\n"
            "checkpoints and, at the end, model.safetensors.  The same command line continues an interrupted run, "
            "on any number\n"
            "of ranks.\n"
            "With train.phases the run is a sequence of runs: all but the last are in the folders phase-1, phase-2, "
            "... of the\n"
            "run directory.  The keys of a phase take precedence over key=value.\n"
            "\n"
            "  lockstep train lenet5-digits\n"
            "  mpirun -np 2 lockstep train lenet5-mnist optim.lr=0.05 train.epochs=3 run.dir=runs/try",
    .options =
        LS_OPTIONS({"fresh", NULL, "start over: remove the checkpoints of the run"},
                   {"max-hours", "H",
                    "stop with a checkpoint (exit code 75) before H hours have passed; default: train.max_hours"},
                   LS_TRACE_OPTIONS),
    .run = run_train,
};
