/* SPDX-License-Identifier: Apache-2.0
 * Opens a trained model without its dataset, and predicts files with it. */
#include "launch/run/predict.h"

#include <stdio.h>

#include "launch/data/dataset_card.h"
#include "launch/data/pretrained.h"
#include "launch/tasks/task.h"

/* Opens a folder as Hugging Face writes it.  Collective. */
static ls_status open_pretrained(ls_run *run, const char *folder)
{
    char digest[17];
    LS_TRY_COLLECTIVE(run, ls_pretrained_open(run, folder, &run->graph, &run->loaded));
    LS_TRY_COLLECTIVE(run, ls_pretrained_tokenizer(&run->tokenizer, folder, run->data.classes));
    snprintf(digest, sizeof digest, "%016llx", (unsigned long long)ls_params_digest(run->loaded));
    const char *names[] = {"parameters"}, *values[] = {digest};
    return ls_comm_same(run->comm, 1, names, values);
}

static ls_status open_run(ls_run *run, const char *path)
{
    char        folder[PATH_MAX];
    int64_t     step;
    const char *from;
    LS_TRY(ls_run_find(run, path, 0, NULL, folder, &step));
    const char *card = ls_arena_printf(run->memory, "%s/data.json", folder);
    LS_TRY_COLLECTIVE(run, ls_dataset_card_read(card, &run->data, run->memory));
    run->task      = ls_task_of(&run->data);
    run->directory = ls_arena_strdup(run->memory, folder);
    LS_TRY(ls_run_graph(run));
    LS_TRY(ls_run_trainer(run));
    return ls_run_load(run, folder, step, &from);
}

ls_status ls_run_open_model(ls_run *run, const char *path)
{
    /* All ranks must find the same kind of folder, because the two take different collective calls. */
    bool        pretrained = ls_pretrained_is(path);
    const char *names[] = {"folder"}, *values[] = {pretrained ? "one of Hugging Face" : "a run"};
    LS_TRY(ls_comm_same(run->comm, 1, names, values));
    return pretrained ? open_pretrained(run, path) : open_run(run, path);
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
    return run->task->predict(run, &o);
}
