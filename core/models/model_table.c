/* SPDX-License-Identifier: Apache-2.0
 * The table of models by name. */
#include "core/base/enum_text.h"
#include "core/models/model_table.h"
#include "core/nn/layer_table.h"

static ls_tensor *build_lenet5(const void *args) { return ls__lenet5(*(const ls_lenet5_args *)args); }
static ls_tensor *build_mlp(const void *args) { return ls__mlp(*(const ls_mlp_args *)args); }

/* A residual network of a published depth. */
static ls_tensor *build_resnet(const void *args, int depth)
{
    ls_resnet_args a = *(const ls_resnet_args *)args;
    a.depth          = depth;
    return ls__resnet(a);
}
static ls_tensor *build_resnet18(const void *args) { return build_resnet(args, 18); }
static ls_tensor *build_resnet34(const void *args) { return build_resnet(args, 34); }
static ls_tensor *build_resnet50(const void *args) { return build_resnet(args, 50); }
static ls_tensor *build_resnet101(const void *args) { return build_resnet(args, 101); }
static ls_tensor *build_resnet152(const void *args) { return build_resnet(args, 152); }

static const ls_field resnet_fields[] = {LS_FIELD(INT64, ls_resnet_args, classes), {0}};
#define RESNET_ENTRY(depth, text)                                                                                      \
    {                                                                                                                  \
        "resnet" #depth, "residual network (He 2015): " text, sizeof(ls_resnet_args), resnet_fields,                   \
            build_resnet##depth                                                                                        \
    }

/* ---- language models --------------------------------------------------------------------------------------------- */

static ls_tensor *build_gpt(const void *args) { return ls__gpt(*(const ls_gpt_args *)args); }

/* A GPT-2 of a published size; options that are given replace the published values. */
static ls_tensor *build_gpt2(const void *args, int layers, int heads, int64_t width)
{
    ls_gpt_args a = *(const ls_gpt_args *)args;
    if (!a.layers) a.layers = layers;
    if (!a.heads) a.heads = heads;
    if (!a.width) a.width = width;
    return ls__gpt(a);
}
static ls_tensor *build_gpt2_small(const void *args) { return build_gpt2(args, 12, 12, 768); }
static ls_tensor *build_gpt2_medium(const void *args) { return build_gpt2(args, 24, 16, 1024); }
static ls_tensor *build_gpt2_large(const void *args) { return build_gpt2(args, 36, 20, 1280); }
static ls_tensor *build_gpt2_xl(const void *args) { return build_gpt2(args, 48, 25, 1600); }

static const char *const norms[] = LS_ENUM_TEXTS(LS_NORM_LIST);

#define GPT(kind, member) LS_FIELD(kind, ls_gpt_args, member)
static const ls_field gpt_fields[] = {{"classes", LS_FIELD_INT64, offsetof(ls_gpt_args, vocab)},
                                      GPT(INT, layers),
                                      GPT(INT, heads),
                                      GPT(INT64, width),
                                      GPT(INT64, context),
                                      GPT(FLOAT, dropout),
                                      LS_FIELD_OF(ls__encodings, ls_gpt_args, position),
                                      LS_FIELD_OF(norms, ls_gpt_args, norm),
                                      GPT(BOOL, no_bias),
                                      GPT(FLOAT, eps),
                                      GPT(FLOAT, attention_scale),
                                      GPT(BOOL, textbook),
                                      {0}};
#define GPT_ENTRY(name, text, build)                                                                                   \
    {                                                                                                                  \
        name, text, sizeof(ls_gpt_args), gpt_fields, build, .language = true                                           \
    }

const ls_model_entry ls__model_table[] = {
    {"lenet5", "LeNet-5 (LeCun 1998), for images of about 28 x 28", sizeof(ls_lenet5_args),
     LS_FIELDS(LS_FIELD(INT64, ls_lenet5_args, classes)), build_lenet5},
    {"mlp", "perceptron: hidden layers of linear and relu", sizeof(ls_mlp_args),
     LS_FIELDS(LS_FIELD(INT64, ls_mlp_args, classes), LS_FIELD(INT64, ls_mlp_args, hidden),
               LS_FIELD(INT, ls_mlp_args, layers)),
     build_mlp},
    RESNET_ENTRY(18, "11.7 million parameters with 1,000 classes"),
    RESNET_ENTRY(34, "21.8 million"),
    RESNET_ENTRY(50, "25.6 million"),
    RESNET_ENTRY(101, "44.5 million"),
    RESNET_ENTRY(152, "60.2 million"),
    GPT_ENTRY("gpt", "GPT-2 architecture (Radford 2019) of any size: layers, heads, width, context", build_gpt),
    GPT_ENTRY("gpt2-small", "GPT-2, 124 million parameters: 12 layers, 12 heads, 768 wide", build_gpt2_small),
    GPT_ENTRY("gpt2-medium", "GPT-2, 355 million: 24 layers, 16 heads, 1,024 wide", build_gpt2_medium),
    GPT_ENTRY("gpt2-large", "GPT-2, 774 million: 36 layers, 20 heads, 1,280 wide", build_gpt2_large),
    GPT_ENTRY("gpt2-xl", "GPT-2, 1,558 million: 48 layers, 25 heads, 1,600 wide", build_gpt2_xl),
    {0},
};
