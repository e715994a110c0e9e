/* SPDX-License-Identifier: Apache-2.0
 * `lockstep data import csv`: a dataset of arrays from a table in a text file. */
#include <stdio.h>
#include <string.h>

#include "launch/commands/data/cmd_data_internal.h"
#include "launch/report/unit_text.h"
#include "launch/run/progress.h"

enum { MAX_NAMES = 1024, NAMES_BYTES = 1 << 16 };

/* Names of columns from an option "a,b,c". */
typedef struct column_list {
    int         names;
    const char *name[MAX_NAMES];
    char        text[NAMES_BYTES];
} column_list;

static ls_status read_columns(const ls_args *args, const char *option, column_list *list)
{
    const char *value = ls_args_option(args, option);
    list->names       = 0;
    if (!value) return LS_OK;
    LS_CHECK(strlen(value) < NAMES_BYTES, LS_ERR_USAGE, "%s: --%s: expected at most %d bytes, found %zu",
             args->command->name, option, NAMES_BYTES - 1, strlen(value));
    memcpy(list->text, value, strlen(value) + 1);
    char *rest = NULL;
    for (char *name = strtok_r(list->text, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
        LS_CHECK(list->names < MAX_NAMES, LS_ERR_USAGE, "%s: --%s: expected at most %d columns, found more",
                 args->command->name, option, MAX_NAMES);
        list->name[list->names++] = name;
    }
    return LS_OK;
}

static void print_summary(const ls_csv_import *csv)
{
    char count[2][32];
    ls__count_text(count[0], sizeof count[0], csv->train_rows);
    ls__count_text(count[1], sizeof count[1], csv->valid_rows);
    printf("%s: %s + %s rows (train + valid), %d features", csv->out, count[0], count[1], csv->features);
    if (csv->classes) printf(", %d classes", csv->classes);
    printf("\n");
}

static ls_status import_csv(int argc, char **argv)
{
    static ls_args     args;
    static column_list targets, drops;
    ls_bar             bar;
    double             valid;
    LS_TRY(ls_args_parse(&args, argc, argv));
    LS_TRY(ls__import_valid(&args, &valid));
    LS_TRY(read_columns(&args, "target", &targets));
    LS_TRY(read_columns(&args, "drop", &drops));
    const char *separator = ls_args_option(&args, "separator");
    LS_CHECK(!separator || strlen(separator) == 1, LS_ERR_USAGE,
             "data import csv: --separator: expected one character, found '%s'", separator);
    ls_csv_import csv = {.size       = sizeof csv,
                         .file       = args.positional[0],
                         .out        = args.positional[1],
                         .separator  = separator ? separator[0] : 0,
                         .targets    = targets.names,
                         .target     = targets.name,
                         .drops      = drops.names,
                         .drop       = drops.name,
                         .named      = ls_args_option(&args, "named") != NULL,
                         .valid      = valid,
                         .valid_last = ls_args_option(&args, "valid-last") != NULL,
                         .progress   = ls__import_progress,
                         .context    = &bar};
    ls_bar_open(&bar, true);
    ls_status status = ls_import_csv(&csv);
    ls_bar_close(&bar);
    if (status == LS_OK) print_summary(&csv);
    return status;
}

const ls_command ls__command_data_import_csv = {
    .name      = "data import csv",
    .arguments = "FILE OUT",
    .text      = "make a dataset of arrays from a table of numbers",
    .help      = "The first line of FILE holds the names of the columns, each further line one sample.  OUT becomes a "
                 "folder with\n"
                 "train.h5 and valid.h5, which hold /x (rows x features, float64) and /y (the targets).  A target "
                 "column with text\n"
                 "becomes class indices, and /class_names their names.\n"
                 "\n"
                 "  lockstep data import csv wine.csv data/wine --target quality --drop id --valid 0.2",
    .options   = LS_OPTIONS(
          {"target", "NAMES", "columns to predict, separated by commas; default: none, so no /y"},
          {"drop", "NAMES", "columns to leave out, separated by commas; default: none"},
          {"named", NULL, "write one array per column, named as the column, instead of /x and /y"},
          {"valid", "FRACTION",
           "fraction of the rows, drawn at random, held out as the split valid; 0: none; default 0.1"},
          {"valid-last", NULL, "hold out the last rows instead of random ones (time series)"},
          {"separator", "C", "character between fields; default: comma, semicolon or tab, as in the first line"}),
    .run = import_csv,
};
