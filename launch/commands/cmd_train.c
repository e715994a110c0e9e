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

static ls_status train(ls_run *run, const ls_args *args)
{
    double          hours;
    ls_train_result result;
    LS_TRY(ls_run_recipe(run, args->positional[0], args->overrides, args->override));
    LS_TRY(read_hours(args, run->recipe, &hours));
    ls_stop_signals_install(hours, run->is_root); /* before the data are opened, which may take long */
    LS_TRY(ls_run_setup(run));
    ls_train_options options = {.fresh       = ls_args_option(args, "fresh") != NULL,
                                .trace       = ls_args_option(args, "trace"),
                                .trace_steps = ls_args_option(args, "trace-steps")};
    LS_TRY(ls_run_train(run, &options, &result));
    if (!run->is_root) return LS_OK;
    if (result.was_finished)
        fprintf(stderr, "%s: the run is finished; a larger train.epochs continues it, --fresh starts over\n",
                result.directory);
    print_result(run, &result);
    return LS_OK;
}

static ls_status run_train(int argc, char **argv)
{
    ls_run    run;
    ls_args   args;
    ls_status status = ls_command_start(&run, &args, argc, argv);
    if (status == LS_OK) status = train(&run, &args);
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
