/* SPDX-License-Identifier: Apache-2.0
 *
 * AlexNet, in two variants.
 *
 * torchvision   One tower (Krizhevsky 2014) without response norm; adaptive pooling to 6 x 6; dropout before the first
 *               two linear layers.  Torchvision's alexnet, with PyTorch's initialisers.
 * original      Krizhevsky, Sutskever & Hinton 2012: groups of channels of the two GPUs, local response norm after the
 *               relu of the first two convolutions, dropout after the relu of the first two linear layers.  Windows of
 *               the first convolution may reach over the end of the image, as in the authors' code: 224 x 224 pixels
 *               give 55 x 55 positions, and so do the 227 x 227 of Caffe.  Names are Caffe's.
 *
 * The norm divides by its number of channels, as the authors' code and Caffe do; the formula of the paper does not.
 */
#include "core/base/enum_text.h"
#include "core/graph/graph.h"

enum { CONVS = 5, LINEARS = 3 };

typedef struct conv {
    const char *name;
    int         out, kernel, stride, padding, padding_end, groups;
    bool        norm, pool; /* followed by a response norm, by max pooling */
    float       bias;       /* initial value in the original */
} conv;

static const struct {
    conv        conv[CONVS];
    const char *linear[LINEARS];
    float       bias[LINEARS];
    int         first_dropout; /* linear layer before which dropout begins */
} variants[] = {[LS_ALEXNET_TORCHVISION] = {{{"features.0", 64, 11, 4, 2, 2, 1, .pool = true},
                                             {"features.3", 192, 5, 1, 2, 2, 1, .pool = true},
                                             {"features.6", 384, 3, 1, 1, 1, 1},
                                             {"features.8", 256, 3, 1, 1, 1, 1},
                                             {"features.10", 256, 3, 1, 1, 1, 1, .pool = true}},
                                            {"classifier.1", "classifier.4", "classifier.6"}},
                [LS_ALEXNET_ORIGINAL]    = {{{"conv1", 96, 11, 4, 0, 3, 1, .norm = true, .pool = true},
                                             {"conv2", 256, 5, 1, 2, 2, 2, .norm = true, .pool = true, .bias = 1},
                                             {"conv3", 384, 3, 1, 1, 1, 1},
                                             {"conv4", 384, 3, 1, 1, 1, 2, .bias = 1},
                                             {"conv5", 256, 3, 1, 1, 1, 2, .pool = true, .bias = 1}},
                                            {"fc6", "fc7", "fc8"},
                                            {1, 1, 0},
                                            1}};

ls_tensor *ls__alexnet(ls_alexnet_args a)
{
    const bool    original = a.variant == LS_ALEXNET_ORIGINAL;
    const ls_init weight   = original ? (ls_init){.kind = LS_INIT_NORMAL, .std = 0.01f} : (ls_init){0};
    const float   dropout  = a.dropout == 0 ? 0.5f : a.dropout;
    ls_tensor    *x        = a.x;
    for (int i = 0; i < CONVS; i++) {
        const conv   *c    = &variants[a.variant].conv[i];
        const ls_init bias = original ? (ls_init){.kind = LS_INIT_CONSTANT, .value = c->bias} : (ls_init){0};
        x = ls_conv2d(a.g, c->name, x, c->out, .kernel = c->kernel, .stride = c->stride, .pad_top = c->padding,
                      .pad_left = c->padding, .pad_bottom = c->padding_end, .pad_right = c->padding_end,
                      .groups = c->groups, .weight_init = weight, .bias_init = bias);
        x = ls_relu(x);
        if (c->norm) x = ls_local_response_norm(x, 5, .alpha = 1e-4f, .beta = 0.75f, .k = 2);
        if (c->pool) x = ls_max_pool2d(x, .kernel = 3, .stride = 2);
    }
    x = ls_flatten(original ? x : ls_adaptive_avg_pool2d(x, 6));
    for (int i = 0; i < LINEARS; i++) {
        const int     first = variants[a.variant].first_dropout;
        const int64_t out   = i < LINEARS - 1 ? 4096 : a.classes ? a.classes : 1000;
        const ls_init bias  = {.kind = LS_INIT_CONSTANT, .value = variants[a.variant].bias[i]};
        if (dropout > 0 && i >= first && i < first + 2) x = ls_dropout(x, dropout);
        x = ls_linear(a.g, variants[a.variant].linear[i], x, out, .weight_init = weight,
                      .bias_init = original ? bias : (ls_init){0});
        if (i < LINEARS - 1) x = ls_relu(x);
    }
    return x;
}

const char *const ls__alexnet_variants[] = LS_ENUM_TEXTS(LS_ALEXNET_LIST);
