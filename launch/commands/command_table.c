/* SPDX-License-Identifier: Apache-2.0
 * The table of commands, in the order of the help.  COMMAND(data_import_csv) names the descriptor
 * ls__command_data_import_csv, which the file of the command defines. */
#include "launch/commands/command_table.h"

#define COMMANDS(COMMAND)                                                                                              \
    COMMAND(train)                                                                                                     \
    COMMAND(lr_find)                                                                                                   \
    COMMAND(transfer)                                                                                                  \
    COMMAND(compare)                                                                                                   \
    COMMAND(eval)                                                                                                      \
    COMMAND(predict)                                                                                                   \
    COMMAND(generate)                                                                                                  \
    COMMAND(embed)                                                                                                     \
    COMMAND(translate)                                                                                                 \
    COMMAND(score)                                                                                                     \
    COMMAND(bleu)                                                                                                      \
    COMMAND(explain)                                                                                                   \
    COMMAND(data_import_images)                                                                                        \
    COMMAND(data_import_mnist)                                                                                         \
    COMMAND(data_import_cifar)                                                                                         \
    COMMAND(data_import_text)                                                                                          \
    COMMAND(data_import_pairs)                                                                                         \
    COMMAND(data_import_labelled)                                                                                      \
    COMMAND(data_import_csv)                                                                                           \
    COMMAND(data_fetch)                                                                                                \
    COMMAND(data_train_tokenizer)                                                                                      \
    COMMAND(data_inspect)                                                                                              \
    COMMAND(data_verify)                                                                                               \
    COMMAND(recipes_ls)                                                                                                \
    COMMAND(recipes_cat)                                                                                               \
    COMMAND(recipes_cp)                                                                                                \
    COMMAND(recipes_layers)                                                                                            \
    COMMAND(recipes_keys)                                                                                              \
    COMMAND(ckpt_ls)                                                                                                   \
    COMMAND(ckpt_inspect)                                                                                              \
    COMMAND(ckpt_verify)                                                                                               \
    COMMAND(ckpt_diff)                                                                                                 \
    COMMAND(ckpt_prune)                                                                                                \
    COMMAND(ckpt_export)                                                                                               \
    COMMAND(ckpt_import)                                                                                               \
    COMMAND(bench_step)                                                                                                \
    COMMAND(bench_overlap)                                                                                             \
    COMMAND(bench_gemm)                                                                                                \
    COMMAND(bench_allreduce)                                                                                           \
    COMMAND(doctor)

#define DECLARE(name) extern const ls_command ls__command_##name;
COMMANDS(DECLARE)
#undef DECLARE

#define ROW(name) &ls__command_##name,
const ls_command *const ls__commands[] = {COMMANDS(ROW) NULL};
#undef ROW
