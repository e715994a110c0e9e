/* SPDX-License-Identifier: Apache-2.0
 * What --attention, --positions and --scores of `lockstep explain` have in common. */
#include "launch/report/inspect.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "launch/report/report_html.h"

static bool is_folder(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

static ls_status refuse_pictures(const ls_run *j, const char *what)
{
    return j->data.kind == LS_DATA_TEXT
               ? LS_OK
               : LS_FAIL(LS_ERR_USAGE,
                         "%s: expected a model of language, found one of pictures" LS_HINT
                         "--attention, --positions and --scores look into models with attention, such as gpt",
                         what);
}

static ls_status see_run(ls_inspected *s, const ls_args *args, bool data)
{
    ls_run     *j = s->job;
    int64_t     step;
    const char *from;
    LS_TRY(ls_run_run(j, args->positional[0], args->overrides, args->override, s->folder, &step));
    LS_TRY(ls_dataset_card_read(ls_arena_printf(j->memory, "%s/data.json", s->folder), &j->data, j->memory));
    LS_TRY(refuse_pictures(j, s->folder));
    if (data) LS_TRY(ls_run_data(j, LS_SPLITS_TEST));
    LS_TRY(ls_run_graph(j));
    LS_TRY(ls_run_trainer(j));
    LS_TRY(ls_run_load(j, s->folder, step, &from));
    s->from = ls_arena_strdup(j->memory, from);
    return LS_OK;
}

ls_status ls_inspect(ls_inspected *s, ls_run *j, const ls_args *args, bool only_runs, bool data)
{
    *s = (ls_inspected){.job = j};
    if (only_runs || is_folder(args->positional[0])) return see_run(s, args, data);
    LS_TRY(ls_run_recipe(j, args->positional[0], args->overrides, args->override));
    LS_TRY(ls_run_data(j, LS_SPLITS_BOTH));
    LS_TRY(refuse_pictures(j, j->recipe->name));
    LS_TRY(ls_run_graph(j));
    LS_TRY(ls_run_trainer(j));
    s->from = ls_arena_printf(j->memory, "%s, as it starts", j->recipe->name);
    return LS_OK;
}

ls_status ls_inspect_save(const ls_inspected *s, const ls_args *args, ls_png *plot, const char *name)
{
    const char *path = ls_args_option(args, "png");
    bool        run  = !path && *s->folder;
    if (run)
        path = ls_arena_printf(s->job->memory, "%s/%s.png", s->folder, name);
    else if (!path)
        path = ls_arena_printf(s->job->memory, "%s-%s.png", s->job->recipe->name, name);
    LS_CHECK(*path, LS_ERR_USAGE, "--png: expected the name of a file, found nothing");
    LS_TRY(ls_png_save(plot, path));
    bool shown = false;
    if (run) LS_TRY(ls_report_show(s->folder, &shown));
    printf("%s%s\n", path, shown ? ", and in report.html" : "");
    return LS_OK;
}
