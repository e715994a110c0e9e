/* SPDX-License-Identifier: Apache-2.0
 * The public functions for runs: see launch/lockstep.h. */
#include "launch/lockstep.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "launch/data/dataset_card.h"
#include "launch/run/evaluate.h"
#include "launch/run/open_model.h"
#include "launch/run/train_loop.h"
#include "launch/tasks/task.h"

static ls_status start(ls_run **run, ls_comm *comm)
{
    *run             = calloc(1, sizeof **run);
    ls_status status = *run ? LS_OK : LS_FAIL(LS_ERR_ENV, "run: no memory");
    LS_TRY(ls_comm_agree(comm, status));
    return ls_run_start(*run, comm);
}

/* Returns the status; after an error the run is freed first. */
static ls_status finish(ls_run **run, ls_status status)
{
    if (status == LS_OK) return LS_OK;
    ls_run_free(*run);
    *run = NULL;
    return ls__trace(status, __FILE__, __LINE__, __func__);
}

ls_status ls_run_new(ls_run **run, ls_comm *comm, ls_recipe *recipe)
{
    ls_status status = start(run, comm);
    if (status != LS_OK)
        ls_recipe_free(recipe);
    else
        status = ls_run_set_recipe(*run, recipe);
    if (status == LS_OK) status = ls_run_setup(*run);
    return finish(run, status);
}

ls_status ls_run_open(ls_run **run, ls_comm *comm, const char *path, const ls_open_options *options)
{
    ls_status status = start(run, comm);
    if (status == LS_OK) status = ls_run_open_model(*run, path, options ? options->precision : NULL);
    return finish(run, status);
}

void ls_run_free(ls_run *run)
{
    if (!run) return;
    ls_run_close(run);
    free(run);
}

ls_trainer *ls_run_get_trainer(ls_run *run) { return run->trainer; }

double ls_run_score(const ls_run *run, const ls_scores *scores, const char *name)
{
    if (!strcmp(name, "loss")) return scores->loss;
    for (int i = 0; i < ls_task_metrics(run->task); i++)
        if (!strcmp(name, run->task->metric[i].key)) return scores->metric[i];
    return NAN;
}

static ls_status check_split(const ls_run *run, const char *name)
{
    const ls_dataset_info held_out = ls_dataset_info_of(run->test);
    LS_CHECK(!name || !strcmp(name, held_out.split), LS_ERR_USAGE, "split '%s': expected train or %s", name,
             held_out.split);
    return LS_OK;
}

ls_status ls_run_evaluate(ls_run *run, const char *split, ls_scores *scores)
{
    const bool train = split && !strcmp(split, "train");
    if (!(train ? run->train : run->test)) {
        LS_TRY(ls_run_data(run, train ? LS_SPLITS_TRAIN : LS_SPLITS_TEST));
        if (run->directory) LS_TRY_COLLECTIVE(run, ls_dataset_card_check(run->directory, &run->data, run->memory));
    }
    if (!train) LS_TRY_COLLECTIVE(run, check_split(run, split));
    return ls_run_evaluate_split(run, train ? run->train : run->test, scores);
}

static ls_status ignore(const ls_prediction *prediction, void *context)
{
    (void)prediction;
    (void)context;
    return LS_OK;
}

ls_status ls_run_predict(ls_run *run, const ls_predict_options *options)
{
    enum { TOP = 5 };
    ls_predict_options o = *options;
    if (!o.top) o.top = TOP;
    if (!o.invert) o.invert = "auto";
    if (!o.each) o.each = ignore;
    LS_CHECK(run->task->predict, LS_ERR_USAGE, "%s: a model for %s makes no predictions" LS_HINT "%s",
             run->directory ? run->directory : run->recipe->name, run->task->name, run->task->use);
    LS_TRY(ls_run_swap_average(run));
    ls_status status = run->task->predict(run, &o);
    LS_TRY(ls_run_swap_average(run));
    return status;
}
