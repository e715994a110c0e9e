/* SPDX-License-Identifier: Apache-2.0
 * lockstep eval: loss and accuracy of a run's model on a split. */
#include <stdio.h>
#include <string.h>

#include "launch/run/progress.h"
#include "launch/run/run_setup.h"

static ls_status eval(ls_job *j, const ls_args *args)
{
    char        folder[PATH_MAX];
    int64_t     step;
    const char *from, *split = ls_args_option(args, "split");
    double      loss, accuracy;
    LS_TRY(ls_job_run(j, args->positional[0], args->overrides, args->override, folder, &step));
    bool train = split && !strcmp(split, "train");
    LS_TRY(ls_job_data(j, train ? LS_SPLITS_TRAIN : LS_SPLITS_TEST));
    ls_dataset *d = train ? j->train : j->test;
    LS_AGREE(j, !split || !strcmp(split, j->data.split) ? LS_OK : LS_FAIL(LS_ERR_USAGE, "eval: --split: expected train or %s, found '%s'", j->data.split, split));
    LS_AGREE(j, ls_card_check(folder, &j->data, j->memory));
    LS_TRY(ls_job_graph(j));
    LS_TRY(ls_job_trainer(j));
    LS_TRY(ls_job_load(j, folder, step, &from));
    LS_TRY(ls_job_evaluate(j, d, &loss, &accuracy));
    if (!j->first) return LS_OK;
    fprintf(stderr, "%s\n", from);
    ls_print_scores(&j->data, loss, accuracy);
    char count[32];
    ls__count_text(count, sizeof count, j->judged * (ls_job_tokens(j) ? ls_job_tokens(j) : 1));
    printf("%-14s %s\n", ls_job_tokens(j) ? "tokens" : "samples", count);
    return LS_OK;
}

ls_status ls__eval_command(int argc, char **argv)
{
    ls_job    j;
    ls_args   args;
    ls_status status = ls_job_start(&j, &args, argc, argv);
    if (status == LS_OK) status = eval(&j, &args);
    ls_job_free(&j, status);
    return status;
}
