/* SPDX-License-Identifier: Apache-2.0
 * `lockstep data import mnist`: a dataset from the four idx files of MNIST. */
#include <stdio.h>

#include "launch/commands/cmd_data_internal.h"

static ls_status import_mnist(int argc, char **argv)
{
    static ls_args args;
    long long      shards;
    LS_TRY(ls_args_parse(&args, argc, argv));
    LS_TRY(ls_args_int(&args, "shards", 1, LS_IMPORT_MAX_SHARDS, 1, &shards));
    LS_TRY(ls_import_mnist(args.positional[0], args.positional[1], (int)shards));
    printf("%s: imported from %s\n", args.positional[1], args.positional[0]);
    return LS_OK;
}

const ls_command ls__command_data_import_mnist = {
    .name      = "data import mnist",
    .arguments = "FOLDER OUT",
    .text      = "make a dataset from the files of MNIST",
    .help      = "FOLDER holds the four idx files of MNIST, or of a dataset in the same format, gzipped or not.  OUT "
                 "becomes a\n"
                 "folder with train.h5 and test.h5.",
    .options   = LS_OPTIONS({"shards", "N", "number of files that each split is cut into; default 1"}),
    .run       = import_mnist,
};
