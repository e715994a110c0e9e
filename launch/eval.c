/* SPDX-License-Identifier: Apache-2.0
 * lockstep eval: loss and accuracy of a run's model on a split. */
#include <stdio.h>
#include <string.h>

#include "launch/progress.h"
#include "launch/run.h"

static ls_status eval(ls_job *j, const ls_args *args)
{
    char        folder[PATH_MAX];
    int64_t     step;
    const char *from, *split = ls_args_option(args, "split");
    double      loss, accuracy;
    if (!split) split = "test";
    LS_TRY(ls_job_run(j, args->positional[0], args->overrides, args->override, folder, &step));
    bool test = strcmp(split, "test") == 0;
    LS_AGREE(j, test || strcmp(split, "train") == 0 ? LS_OK : LS_FAIL(LS_ERR_USAGE, "eval: --split: expected train or test, found '%s'", split));
    LS_TRY(ls_job_data(j, test ? LS_SPLITS_TEST : LS_SPLITS_TRAIN));
    LS_TRY(ls_job_graph(j));
    LS_TRY(ls_job_trainer(j));
    LS_TRY(ls_job_load(j, folder, step, &from));
    LS_TRY(ls_job_evaluate(j, test ? j->test : j->train, &loss, &accuracy));
    if (!j->first) return LS_OK;
    char samples[32];
    ls__count_text(samples, sizeof samples, test ? j->test_count : j->train_count);
    fprintf(stderr, "%s\n", from);
    printf("%s accuracy  %.2f %%\n%s loss      %.4f\nsamples        %s\n", split, 100 * accuracy, split, loss, samples);
    return LS_OK;
}

ls_status ls__eval_command(int argc, char **argv)
{
    ls_job    j;
    ls_args   args;
    ls_status status = ls_job_start(&j, &args, argc, argv);
    if (status == LS_OK) status = eval(&j, &args);
    ls_job_free(&j);
    return status;
}
