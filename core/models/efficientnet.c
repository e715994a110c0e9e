/* SPDX-License-Identifier: Apache-2.0
 *
 * EfficientNet-Lite0 (Tan & Le 2019; Lite: without squeeze-and-excitation, relu6 in place of swish), as timm's
 * efficientnet_lite0 and tf_efficientnet_lite0.
 *
 *     x = relu6(bn1(conv_stem(x)))             3 x 3, stride 2, 32 channels
 *     x = block(x)                             for each block of the stages blocks.0 to blocks.6
 *     logits = classifier(mean over positions of relu6(bn2(conv_head(x))))             1 x 1, 1280 channels
 *
 * block: 1 x 1 to `expansion` times the channels, depthwise, 1 x 1 to `out` channels without activation (Sandler 2018);
 * without the first convolution if the expansion is 1.  Each convolution is followed by a batch norm.  If the shape
 * does not change, x is added.
 */
#include <math.h>
#include <stdio.h>

#include "core/graph/graph.h"

static const struct {
    int blocks, kernel, stride, expansion, out;
} stages[] = {{1, 3, 1, 1, 16},  {2, 3, 2, 6, 24},  {2, 5, 2, 6, 40}, {3, 3, 2, 6, 80},
              {3, 5, 1, 6, 112}, {4, 5, 2, 6, 192}, {1, 3, 1, 6, 320}};

enum { BLOCKS = 16 };

/* A convolution without bias, with the padding of the model, and its batch norm. */
static ls_tensor *conv_norm(const ls_efficientnet_args *a, const char *conv, const char *norm, ls_tensor *x,
                            int64_t out, int kernel, int stride, int groups)
{
    const double fan_out = (double)(kernel * kernel * out / groups);
    x = ls_conv2d(a->g, conv, x, out, .kernel = kernel, .stride = stride, .padding = a->tensorflow ? 0 : kernel / 2,
                  .same = a->tensorflow ? LS_SAME_TENSORFLOW : LS_SAME_NONE, .groups = groups, .no_bias = true,
                  .weight_init = {.kind = LS_INIT_NORMAL, .std = (float)sqrt(2 / fan_out)});
    return ls_batch_norm(a->g, norm, x, .eps = a->tensorflow ? 1e-3f : 1e-5f);
}

static ls_tensor *block(const ls_efficientnet_args *a, ls_tensor *x, int stage, int stride, float drop_path)
{
    const bool expand = stages[stage].expansion > 1;
    const int  in = x ? (int)x->dim[0] : 1, width = in * stages[stage].expansion, out = stages[stage].out;
    ls_tensor *y = x;
    if (expand) y = ls_relu6(conv_norm(a, "conv_pw", "bn1", y, width, 1, 1, 1));
    y = ls_relu6(conv_norm(a, "conv_dw", expand ? "bn2" : "bn1", y, width, stages[stage].kernel, stride, width));
    y = conv_norm(a, expand ? "conv_pwl" : "conv_pw", expand ? "bn3" : "bn2", y, out, 1, 1, 1);
    if (stride != 1 || in != out) return y;
    return ls_add(drop_path > 0 ? ls_drop_path(y, drop_path) : y, x);
}

ls_tensor *ls__efficientnet_lite0(ls_efficientnet_args a)
{
    const int64_t classes = a.classes ? a.classes : 1000;
    ls_tensor    *x       = ls_relu6(conv_norm(&a, "conv_stem", "bn1", a.x, 32, 3, 2, 1));
    char          name[16];
    ls_scope(a.g, "blocks");
    for (int stage = 0, n = 0; stage < (int)(sizeof stages / sizeof *stages); stage++) {
        snprintf(name, sizeof name, "%d", stage);
        ls_scope(a.g, name);
        for (int i = 0; i < stages[stage].blocks; i++, n++) {
            snprintf(name, sizeof name, "%d", i);
            ls_scope(a.g, name);
            x = block(&a, x, stage, i == 0 ? stages[stage].stride : 1, a.drop_path * (float)n / BLOCKS);
            ls_scope_end(a.g);
        }
        ls_scope_end(a.g);
    }
    ls_scope_end(a.g);
    x = ls_flatten(ls_adaptive_avg_pool2d(ls_relu6(conv_norm(&a, "conv_head", "bn2", x, 1280, 1, 1, 1))));
    if (a.dropout > 0) x = ls_dropout(x, a.dropout);
    return ls_linear(a.g, "classifier", x, classes, .weight_init = {.kind = LS_INIT_UNIFORM, .fan = classes},
                     .bias_init = {.kind = LS_INIT_ZEROS});
}
