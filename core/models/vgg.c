/* SPDX-License-Identifier: Apache-2.0
 *
 * VGG (Simonyan & Zisserman 2014), as torchvision's vgg11 to vgg19 and vgg11_bn to vgg19_bn.
 *
 *     x = max_pool(relu(conv(x)) ...)          for each of five stages of 3 x 3 convolutions, with 64 to 512 channels;
 *                                              with batch_norm, relu(norm(conv(x)))
 *     logits = three linear layers of the mean over windows, 7 x 7, with dropout after the relu of the first two
 *
 * The names features.N and classifier.N count the modules of torchvision, which include relu, pooling and dropout.
 */
#include "core/graph/graph.h"

enum { STAGES = 5 };

static const struct {
    int depth, convs[STAGES];
} sizes[] = {{11, {1, 1, 2, 2, 2}}, {13, {2, 2, 2, 2, 2}}, {16, {2, 2, 3, 3, 3}}, {19, {2, 2, 4, 4, 4}}};

ls_tensor *ls__vgg(ls_vgg_args a)
{
    enum { SIZES = sizeof sizes / sizeof *sizes };
    const ls_init kaiming = {.kind = LS_INIT_KAIMING_NORMAL, .fan_out = true}, zeros = {.kind = LS_INIT_ZEROS};
    const ls_init normal  = {.kind = LS_INIT_NORMAL, .std = 0.01f};
    const int     depth   = a.depth ? a.depth : 11;
    const float   dropout = a.dropout == 0 ? 0.5f : a.dropout;
    ls_tensor    *x       = a.x;
    int           s = 0, module = 0;
    if (!a.g) return NULL;
    while (s < SIZES && sizes[s].depth != depth) s++;
    if (s == SIZES) return ls__graph_fail(a.g, LS_HERE, "vgg: expected a depth of 11, 13, 16 or 19, found %d", depth);
    for (int stage = 0; stage < STAGES; stage++, module++) {
        const int64_t out = stage < 4 ? 64 << stage : 512;
        for (int i = 0; i < sizes[s].convs[stage]; i++, module++) {
            x = ls_conv2d(a.g, ls_arena_printf(a.g->arena, "features.%d", module++), x, out, .kernel = 3, .padding = 1,
                          .weight_init = kaiming, .bias_init = zeros);
            if (a.batch_norm) x = ls_batch_norm(a.g, ls_arena_printf(a.g->arena, "features.%d", module++), x);
            x = ls_relu(x);
        }
        x = ls_max_pool2d(x, .kernel = 2);
    }
    x = ls_flatten(ls_adaptive_avg_pool2d(x, 7));
    for (int i = 0; i < 2; i++) {
        x = ls_relu(ls_linear(a.g, i == 0 ? "classifier.0" : "classifier.3", x, 4096, .weight_init = normal,
                              .bias_init = zeros));
        if (dropout > 0) x = ls_dropout(x, dropout);
    }
    return ls_linear(a.g, "classifier.6", x, a.classes ? a.classes : 1000, .weight_init = normal, .bias_init = zeros);
}
