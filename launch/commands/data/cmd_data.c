/* SPDX-License-Identifier: Apache-2.0
 * `lockstep data fetch` and `lockstep data verify`, and the functions that importers share. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "launch/commands/data/cmd_data_internal.h"
#include "launch/data/dataset_fetch.h"
#include "launch/report/unit_text.h"
#include "launch/run/progress.h"
#include "launch/tasks/task.h"

void ls__import_progress(void *bar, int64_t bytes, int64_t of)
{
    ls_bar_update(bar, &(ls_bar_state){.what          = "MB",
                                       .step          = bytes >> 20,
                                       .steps         = of >> 20,
                                       .loss          = NAN,
                                       .samples_per_s = NAN,
                                       .seconds_left  = NAN});
}

ls_status ls__import_valid(const ls_args *args, double *fraction)
{
    const char *text = ls_args_option(args, "valid");
    char       *end  = NULL;
    *fraction        = text ? strtod(text, &end) : 0.1;
    LS_CHECK(!text || (end != text && !*end && *fraction >= 0 && *fraction < 1), LS_ERR_USAGE,
             "%s: --valid: expected a fraction of at least 0 and less than 1, found '%s'", args->command->name, text);
    return LS_OK;
}

/* ---- verify ------------------------------------------------------------------------------------------------------ */

static ls_status verify_split(const char *path, const char *split)
{
    ls_dataset *d;
    int         files, checked;
    LS_TRY(ls_dataset_open(&d, path, split));
    ls_dataset_info info   = ls_dataset_info_of(d);
    const ls_task  *task   = ls_task_of(&info);
    ls_status       status = ls_dataset_verify(d, &files, &checked);
    if (status == LS_OK && task->verify_files) status = task->verify_files(&info);
    if (status == LS_OK)
        printf("%s: %s: %lld %s in %d file%s: ok%s\n", path, info.split, (long long)ls_task_split_units(task, &info),
               task->unit, files, files == 1 ? "" : "s",
               checked == files ? ", checksums match"
               : checked        ? ", some files have no checksum"
                                : ", no checksum to compare with");
    ls_dataset_free(d);
    return status;
}

static ls_status verify(int argc, char **argv)
{
    static ls_args args;
    char           path[LS_DATA_PATH], splits[LS_MAX_SPLITS][LS_SPLIT_NAME];
    int            count;
    struct stat    st;
    LS_TRY(ls_args_parse(&args, argc, argv));
    LS_TRY(ls_data_resolve(args.positional[0], NULL, path, sizeof path));
    if (stat(path, &st) || !S_ISDIR(st.st_mode)) return verify_split(path, NULL);
    LS_TRY(ls_dataset_splits(path, splits, &count));
    LS_CHECK(count, LS_ERR_DATA, "%s: has no .h5 files" LS_HINT "make a dataset with `lockstep data import`", path);
    for (int i = 0; i < count; i++) LS_TRY(verify_split(path, splits[i]));
    return LS_OK;
}

const ls_command ls__command_data_verify = {
    .name      = "data verify",
    .arguments = "DATASET",
    .text      = "read every sample of a dataset and compare its checksums",
    .run       = verify,
};

/* ---- fetch ------------------------------------------------------------------------------------------------------- */

static ls_status fetch(int argc, char **argv)
{
    static ls_args args;
    LS_TRY(ls_args_parse(&args, argc, argv));
    return ls__data_fetch(args.positional[0], args.positionals > 1 ? args.positional[1] : NULL);
}

const ls_command ls__command_data_fetch = {
    .name      = "data fetch",
    .arguments = "NAME [OUT]",
    .text      = "download and import a public dataset",
    .help = "NAME is mnist, shakespeare, multi30k or cifar10.  The files are compared with known checksums before the "
            "import.  "
            "OUT is the dataset\n"
            "folder to write; default: the cache, where data.path=NAME finds it.  With LOCKSTEP_DATA=FOLDER in "
            "the environment,\n"
            "the copies in FOLDER/NAME are imported and nothing is downloaded.  cifar10 needs it: "
            "FOLDER/cifar10/cifar10-jpeg.tar.xz is extracted by tar.",
    .run  = fetch,
};
