/* SPDX-License-Identifier: Apache-2.0
 * `lockstep eval`: loss and metrics of a run's model on a split. */
#include <stdio.h>
#include <string.h>

#include "launch/commands/command_run.h"
#include "launch/data/dataset_card.h"
#include "launch/report/unit_text.h"
#include "launch/run/evaluate.h"
#include "launch/tasks/task.h"

static ls_status eval(ls_run *run, const ls_args *args)
{
    char        folder[PATH_MAX], count[32], all[32];
    int64_t     step;
    const char *from, *split = ls_args_option(args, "split");
    ls_scores   scores;
    LS_TRY(ls_run_find(run, args->positional[0], args->overrides, args->override, folder, &step));
    LS_TRY(ls_run_set_precision(run, ls_args_option(args, "precision")));
    bool train = split && !strcmp(split, "train");
    if (split && !train) run->recipe->eval.split = split;
    LS_TRY(ls_run_data(run, train ? LS_SPLITS_TRAIN : LS_SPLITS_TEST));
    LS_TRY_COLLECTIVE(run, ls_dataset_card_check(folder, &run->data, run->memory));
    LS_TRY(ls_run_graph(run));
    LS_TRY(ls_run_trainer(run));
    LS_TRY(ls_run_load(run, folder, step, &from));
    LS_TRY(ls_run_evaluate_split(run, train ? run->train : run->test, &scores));
    if (!run->is_root) return LS_OK;
    fprintf(stderr, "%s%s\n", from, run->recipe->train.precision == LS_BF16 ? ", bfloat16" : "");
    ls_scores_print(run->task, run->data.split, &scores);
    const int64_t units = ls_task_units(run->task, &run->data);
    ls__count_text(count, sizeof count, scores.samples * units);
    ls__count_text(all, sizeof all, (train ? run->train_count : run->test_count) * units);
    printf("%-14s %s of %s\n", run->task->unit, count, all);
    return LS_OK;
}

static ls_status run_eval(int argc, char **argv)
{
    ls_run    run;
    ls_args   args;
    ls_status status = ls_command_start(&run, &args, argc, argv);
    if (status == LS_OK) status = eval(&run, &args);
    ls_command_finish(&run, status);
    return status;
}

const ls_command ls__command_eval = {
    .name      = "eval",
    .arguments = "RUN [key=value ...]",
    .text      = "print loss and metrics of a trained model on a split",
    .help = "RUN is a run directory, or one of its checkpoints.  Prints the loss and the metrics of the task: accuracy "
            "of a\n"
            "classification, perplexity and bits per byte of text, R2 and mean absolute error of a regression, BLEU of "
            "a\n"
            "translation.",
    .options = LS_OPTIONS(
        {"split", "NAME", "train, test, valid or another split of the dataset; default: the held-out split of the run"},
        LS_PRECISION_OPTION),
    .run = run_eval,
};
