/* SPDX-License-Identifier: Apache-2.0
 * lockstep eval: loss and accuracy of a run's model on a split. */
#include <stdio.h>
#include <string.h>

#include "launch/run/progress.h"
#include "launch/run/run_setup.h"

static ls_status eval(ls_run *j, const ls_args *args)
{
    char        folder[PATH_MAX];
    int64_t     step;
    const char *from, *split = ls_args_option(args, "split");
    double      loss, accuracy;
    LS_TRY(ls_run_run(j, args->positional[0], args->overrides, args->override, folder, &step));
    bool train = split && !strcmp(split, "train");
    LS_TRY(ls_run_data(j, train ? LS_SPLITS_TRAIN : LS_SPLITS_TEST));
    ls_dataset *d = train ? j->train : j->test;
    LS_TRY_COLLECTIVE(
        j, !split || !strcmp(split, j->data.split)
               ? LS_OK
               : LS_FAIL(LS_ERR_USAGE, "eval: --split: expected train or %s, found '%s'", j->data.split, split));
    LS_TRY_COLLECTIVE(j, ls_dataset_card_check(folder, &j->data, j->memory));
    LS_TRY(ls_run_graph(j));
    LS_TRY(ls_run_trainer(j));
    LS_TRY(ls_run_load(j, folder, step, &from));
    LS_TRY(ls_run_evaluate(j, d, &loss, &accuracy));
    if (!j->first) return LS_OK;
    fprintf(stderr, "%s\n", from);
    ls_print_scores(&j->data, loss, accuracy);
    char count[32];
    ls__count_text(count, sizeof count, j->judged * (ls_run_tokens(j) ? ls_run_tokens(j) : 1));
    printf("%-14s %s\n", ls_run_tokens(j) ? "tokens" : "samples", count);
    return LS_OK;
}

ls_status ls__eval_command(int argc, char **argv)
{
    ls_run    j;
    ls_args   args;
    ls_status status = ls_run_start(&j, &args, argc, argv);
    if (status == LS_OK) status = eval(&j, &args);
    ls_run_free(&j, status);
    return status;
}
