/* SPDX-License-Identifier: Apache-2.0
 * `lockstep data import mnist` and `data import cifar`: datasets from the published files of MNIST and of CIFAR. */
#include <stdio.h>

#include "launch/commands/data/cmd_data_internal.h"

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

static ls_status import_cifar(int argc, char **argv)
{
    static ls_args args;
    long long      shards;
    LS_TRY(ls_args_parse(&args, argc, argv));
    LS_TRY(ls_args_int(&args, "shards", 1, LS_IMPORT_MAX_SHARDS, 1, &shards));
    LS_TRY(
        ls_import_cifar(args.positional[0], args.positional[1], ls_args_option(&args, "coarse") != NULL, (int)shards));
    printf("%s: imported from %s\n", args.positional[1], args.positional[0]);
    return LS_OK;
}

const ls_command ls__command_data_import_cifar = {
    .name      = "data import cifar",
    .arguments = "FOLDER OUT",
    .text      = "make a dataset from the binary files of CIFAR-10 or CIFAR-100",
    .help      = "FOLDER holds data_batch_1.bin to data_batch_5.bin and test_batch.bin (CIFAR-10), or train.bin and "
                 "test.bin\n"
                 "(CIFAR-100), as extracted from cifar-10-binary.tar.gz or cifar-100-binary.tar.gz.  OUT becomes a "
                 "folder with train.h5\n"
                 "and test.h5.",
    .options   = LS_OPTIONS({"coarse", NULL, "CIFAR-100: the 20 superclasses as labels; default: the 100 classes"},
                            {"shards", "N", "number of files that each split is cut into; default 1"}),
    .run       = import_cifar,
};
