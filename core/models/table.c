/* SPDX-License-Identifier: Apache-2.0
 * The models by name. */
#include "core/nn/nn.h"

static ls_tensor *build_lenet5(const void *args) { return ls__lenet5(*(const ls_lenet5_args *)args); }
static ls_tensor *build_mlp(const void *args) { return ls__mlp(*(const ls_mlp_args *)args); }

const ls_model_entry ls__model_table[] = {
    {"lenet5", "LeNet-5 (LeCun 1998), for pictures of about 28 x 28", sizeof(ls_lenet5_args), LS_FIELDS(LS_FIELD(INT64, ls_lenet5_args, classes)),
     build_lenet5},
    {"mlp", "a perceptron: hidden linear + relu layers", sizeof(ls_mlp_args),
     LS_FIELDS(LS_FIELD(INT64, ls_mlp_args, classes), LS_FIELD(INT64, ls_mlp_args, hidden), LS_FIELD(INT, ls_mlp_args, layers)), build_mlp},
    {0},
};
