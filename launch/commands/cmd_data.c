/* SPDX-License-Identifier: Apache-2.0
 * `lockstep data`: import, fetch, verify and inspect datasets. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "launch/commands/cmd_data_internal.h"
#include "launch/report/unit_text.h"
#include "launch/run/progress.h"
#include "launch/tasks/task.h"

static void show_import(void *bar, int64_t bytes, int64_t of)
{
    ls_bar_update(bar, &(ls_bar_state){.what          = "MB",
                                       .step          = bytes >> 20,
                                       .steps         = of >> 20,
                                       .loss          = NAN,
                                       .samples_per_s = NAN,
                                       .seconds_left  = NAN});
}

static ls_status import_text(const ls_args *args)
{
    enum { MOST_SHARDS = 99999, MOST_VOCABULARY = 1 << 20 };
    long long   shards, vocabulary;
    const char *tokenizer = ls_args_option(args, "tokenizer"), *valid = ls_args_option(args, "valid"),
               *out = args->positional[args->positionals - 1];
    char  *end      = NULL;
    double part     = valid ? strtod(valid, &end) : 0.1;
    ls_bar bar;
    char   count[4][32];
    LS_TRY(ls_args_int(args, "shards", 1, MOST_SHARDS, 1, &shards));
    LS_TRY(ls_args_int(args, "vocab", 1, MOST_VOCABULARY, 0, &vocabulary));
    LS_CHECK(!valid || (end != valid && !*end && part >= 0 && part < 1), LS_ERR_USAGE,
             "data import: --valid: expected a part of the text, from 0 to less than 1, found '%s'", valid);
    ls_bar_open(&bar, true);
    ls_text_import import = {.size       = sizeof(ls_text_import),
                             .files      = args->positionals - 2,
                             .file       = (const char *const *)args->positional + 1,
                             .out        = out,
                             .tokenizer  = tokenizer ? tokenizer : "bpe",
                             .vocabulary = (int32_t)vocabulary,
                             .valid      = part,
                             .shards     = (int)shards,
                             .progress   = show_import,
                             .context    = &bar};
    ls_status      status = ls_import_text(&import);
    ls_bar_close(&bar);
    LS_TRY(status);
    ls__count_text(count[0], sizeof count[0], import.train_tokens);
    ls__count_text(count[1], sizeof count[1], import.valid_tokens);
    ls__count_text(count[2], sizeof count[2], import.bytes);
    ls__count_text(count[3], sizeof count[3], import.vocabulary);
    printf("%s: %s + %s tokens (train + valid) of %s bytes, a vocabulary of %s\n", out, count[0], count[1], count[2],
           count[3]);
    if (import.replaced)
        printf("%s: %lld sequences that are not UTF-8 were replaced by U+FFFD\n", out, (long long)import.replaced);
    return LS_OK;
}

/* Cuts "a,b,c" into names, in place; returns their number. */
static int cut_names(char *text, const char **names, int most)
{
    int   n    = 0;
    char *rest = text;
    for (char *name; n < most && (name = strtok_r(n ? NULL : text, ",", &rest));) names[n++] = name;
    return n;
}

static ls_status import_csv(const ls_args *args)
{
    enum { MOST_NAMES = 1024, NAMES_BYTES = 1 << 16 };
    static char        text[2][NAMES_BYTES];
    static const char *name[2][MOST_NAMES];
    const char        *option[2] = {ls_args_option(args, "target"), ls_args_option(args, "drop")};
    const char        *valid = ls_args_option(args, "valid"), *separator = ls_args_option(args, "separator");
    int                names[2] = {0};
    char              *end      = NULL;
    double             part     = valid ? strtod(valid, &end) : 0.1;
    ls_bar             bar;
    char               count[2][32];
    LS_CHECK(args->positionals == 3, LS_ERR_USAGE, "data import csv: expected one FILE and OUT, found %d words",
             args->positionals - 1);
    LS_CHECK(!valid || (end != valid && !*end && part >= 0 && part < 1), LS_ERR_USAGE,
             "data import csv: --valid: expected a part of the rows, from 0 to less than 1, found '%s'", valid);
    LS_CHECK(!separator || strlen(separator) == 1, LS_ERR_USAGE,
             "data import csv: --separator: expected one character, found '%s'", separator);
    for (int k = 0; k < 2; k++) {
        if (!option[k]) continue;
        LS_CHECK(strlen(option[k]) < NAMES_BYTES, LS_ERR_USAGE, "data import csv: --%s: expected fewer names",
                 k ? "drop" : "target");
        snprintf(text[k], sizeof text[k], "%s", option[k]);
        names[k] = cut_names(text[k], name[k], MOST_NAMES);
    }
    ls_bar_open(&bar, true);
    ls_csv_import csv    = {.size       = sizeof(ls_csv_import),
                            .file       = args->positional[1],
                            .out        = args->positional[2],
                            .separator  = separator ? separator[0] : 0,
                            .targets    = names[0],
                            .target     = name[0],
                            .drops      = names[1],
                            .drop       = name[1],
                            .named      = ls_args_option(args, "named"),
                            .valid      = part,
                            .valid_last = ls_args_option(args, "valid-last"),
                            .progress   = show_import,
                            .context    = &bar};
    ls_status     status = ls_import_csv(&csv);
    ls_bar_close(&bar);
    LS_TRY(status);
    ls__count_text(count[0], sizeof count[0], csv.train_rows);
    ls__count_text(count[1], sizeof count[1], csv.valid_rows);
    printf("%s: %s + %s rows (train + valid), %d features", csv.out, count[0], count[1], csv.features);
    if (csv.classes) printf(", %d classes", csv.classes);
    printf("\n");
    return LS_OK;
}

static ls_status import_mnist(const ls_args *args)
{
    long long   shards;
    const char *out = args->positional[args->positionals - 1];
    LS_CHECK(args->positionals == 3, LS_ERR_USAGE, "data import mnist: expected one folder and OUT, found %d words",
             args->positionals - 1);
    LS_TRY(ls_args_int(args, "shards", 1, 99999, 1, &shards));
    LS_TRY(ls_import_mnist(args->positional[1], out, (int)shards));
    printf("%s: imported from %s\n", out, args->positional[1]);
    return LS_OK;
}

static ls_status import_files(const ls_args *args)
{
    static const struct {
        const char *format;
        ls_status (*import)(const ls_args *args);
        const char *options; /* each with a space before and behind it */
    } formats[]                        = {{"mnist", import_mnist, " shards "},
                                          {"text", import_text, " shards tokenizer vocab valid "},
                                          {"csv", import_csv, " target drop named valid valid-last separator "}};
    static const char *const options[] = {"shards", "tokenizer", "vocab",      "valid",    "target",
                                          "drop",   "named",     "valid-last", "separator"};
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        if (strcmp(args->positional[0], formats[i].format)) continue;
        for (size_t k = 0; k < sizeof options / sizeof *options; k++) {
            char word[32];
            snprintf(word, sizeof word, " %s ", options[k]);
            LS_CHECK(!ls_args_option(args, options[k]) || strstr(formats[i].options, word), LS_ERR_USAGE,
                     "data import %s: --%s: %s has no such option", formats[i].format, options[k], formats[i].format);
        }
        return formats[i].import(args);
    }
    return LS_FAIL(LS_ERR_USAGE,
                   "data import: expected mnist, text or csv, found '%s'" LS_HINT
                   "`lockstep data import mnist DIR OUT`, `lockstep data import text FILE ... OUT`, "
                   "`lockstep data import csv FILE OUT --target NAME`",
                   args->positional[0]);
}

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

static ls_status verify(const ls_args *args)
{
    char        path[LS_DATA_PATH], splits[LS_MAX_SPLITS][LS_SPLIT_NAME];
    int         count;
    struct stat st;
    LS_TRY(ls_data_resolve(args->positional[0], NULL, path, sizeof path));
    if (stat(path, &st) || !S_ISDIR(st.st_mode)) return verify_split(path, NULL);
    LS_TRY(ls_dataset_splits(path, splits, &count));
    LS_CHECK(count, LS_ERR_DATA, "%s: has no .h5 files" LS_HINT "make a data set with `lockstep data import`", path);
    for (int i = 0; i < count; i++) LS_TRY(verify_split(path, splits[i]));
    return LS_OK;
}

static ls_status inspect(const ls_args *args)
{
    return ls__data_inspect(args->positional[0], ls_args_option(args, "png"));
}

static ls_status fetch(const ls_args *args)
{
    return ls__data_fetch(args->positional[0], args->positionals > 1 ? args->positional[1] : NULL);
}

ls_status ls__data_command(int argc, char **argv)
{
    static const struct {
        const char *name;
        ls_status (*run)(const ls_args *args);
    } commands[] = {{"data import", import_files},
                    {"data verify", verify},
                    {"data inspect", inspect},
                    {"data fetch", fetch},
                    {"data train-tokenizer", ls__data_train_tokenizer}};
    ls_args args;
    LS_TRY(ls_args_parse(&args, argc, argv));
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (!strcmp(args.command->name, commands[i].name)) return commands[i].run(&args);
    return LS_FAIL(LS_ERR_USAGE, "%s: unknown", args.command->name);
}
