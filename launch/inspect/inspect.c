/* SPDX-License-Identifier: Apache-2.0
 * Opens the model that `lockstep explain` draws, and saves the picture. */
#include "launch/inspect/inspect.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "launch/data/dataset_card.h"
#include "launch/report/report_html.h"
#include "launch/tasks/task.h"

static bool is_folder(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

static ls_status expect_task(const ls_run *run, const ls_task *task, const char *what)
{
    const bool language = task == &ls__task_language_model;
    LS_CHECK(run->task == task, LS_ERR_USAGE, "%s: expected a %s, found one for %s" LS_HINT "%s", what,
             language ? "language model" : "model of translation", run->task->name,
             language ? "--attention, --positions and --scores draw language models with attention, such as gpt"
                      : "--align draws models of translation");
    return LS_OK;
}

static ls_status open_run(ls_inspected *s, const ls_inspect_options *options, const ls_task *task, bool data)
{
    ls_run         *run = s->run;
    ls_dataset_card card;
    int64_t         step;
    const char     *from;
    LS_TRY(ls_run_find(run, options->model, options->overrides, options->override, s->folder, &step));
    LS_TRY(ls_dataset_card_read(ls_arena_printf(run->memory, "%s/data.json", s->folder), &card, run->memory));
    run->data   = card.info;
    run->scaler = card.scaler;
    run->task   = ls_task_of(&run->data);
    LS_TRY(expect_task(run, task, s->folder));
    if (data) LS_TRY(ls_run_data(run, LS_SPLITS_TEST));
    LS_TRY(ls_run_graph(run));
    LS_TRY(ls_run_trainer(run));
    LS_TRY(ls_run_load(run, s->folder, step, &from));
    s->from = ls_arena_strdup(run->memory, from);
    return LS_OK;
}

ls_status ls_inspect(ls_inspected *s, ls_run *run, const ls_inspect_options *options, bool only_runs, bool data)
{
    *s = (ls_inspected){.run = run};
    if (only_runs || is_folder(options->model)) return open_run(s, options, &ls__task_language_model, data);
    LS_TRY(ls_run_recipe(run, options->model, options->overrides, options->override));
    LS_TRY(ls_run_data(run, LS_SPLITS_BOTH));
    LS_TRY(expect_task(run, &ls__task_language_model, run->recipe->name));
    LS_TRY(ls_run_graph(run));
    LS_TRY(ls_run_trainer(run));
    s->from = ls_arena_printf(run->memory, "%s, initial parameters", run->recipe->name);
    return LS_OK;
}

ls_status ls_inspect_translation(ls_inspected *s, ls_run *run, const ls_inspect_options *options)
{
    *s = (ls_inspected){.run = run};
    return open_run(s, options, &ls__task_translation, false);
}

ls_status ls_inspect_recipe(ls_inspected *s, ls_run *run, const ls_inspect_options *options)
{
    int64_t step;
    *s = (ls_inspected){.run = run};
    return is_folder(options->model)
               ? ls_run_find(run, options->model, options->overrides, options->override, s->folder, &step)
               : ls_run_recipe(run, options->model, options->overrides, options->override);
}

ls_status ls_inspect_save(const ls_inspected *s, const ls_inspect_options *options, ls_png *plot, const char *name)
{
    const char *path = options->png;
    bool        run  = !path && *s->folder;
    if (run)
        path = ls_arena_printf(s->run->memory, "%s/%s.png", s->folder, name);
    else if (!path)
        path = ls_arena_printf(s->run->memory, "%s-%s.png", s->name ? s->name : s->run->recipe->name, name);
    LS_CHECK(*path, LS_ERR_USAGE, "explain: --png: expected the name of a file, found nothing");
    LS_TRY(ls_png_save(plot, path));
    bool shown = false;
    if (run) LS_TRY(ls_report_show(s->folder, &shown));
    printf("%s%s\n", path, shown ? ", also in report.html" : "");
    return LS_OK;
}
