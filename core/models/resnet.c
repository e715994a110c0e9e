/* SPDX-License-Identifier: Apache-2.0
 *
 * Residual networks for images (He, Zhang, Ren & Sun 2015).
 *
 * ls_resnet: torchvision's resnet18 to resnet152, version 1.5, which has the stride of a bottleneck in its 3 x 3
 * convolution.
 *
 *     x = max_pool(relu(bn1(conv1(x))))       7 x 7, stride 2; 3 x 3, stride 2
 *     x = relu(branch(x) + shortcut(x))       for each block of the stages layer1 to layer4, with 64 to 512 channels
 *     logits = fc(mean over positions)
 *
 * branch of a basic block: 3 x 3, 3 x 3; of a bottleneck: 1 x 1, 3 x 3, 1 x 1 with four times the channels; each
 * convolution is followed by a batch norm.  shortcut: x, or a 1 x 1 convolution and a batch norm where the shape
 * changes.
 *
 * ls_resnet_cifar: the networks of section 4.2 for images of 32 x 32, as github.com/akamaster/pytorch_resnet_cifar10.
 * conv1 is 3 x 3 with stride 1 and without pooling; layer1 to layer3 have 16 to 64 channels and (depth - 2) / 6 basic
 * blocks each.  Where the shape changes, the shortcut has no parameters (option A): every second row and column of x,
 * with channels of zeros on both sides.
 */
#include <stdio.h>

#include "core/graph/graph.h"

enum { STAGES = 4, EXPANSION = 4 /* output channels of a bottleneck, by its width */ };

typedef enum block_kind {
    BASIC,
    BOTTLENECK,
    CIFAR /* basic, with a shortcut without parameters */
} block_kind;

static const struct {
    int        depth, blocks[STAGES];
    block_kind kind;
} sizes[] = {{18, {2, 2, 2, 2}, BASIC},
             {34, {3, 4, 6, 3}, BASIC},
             {50, {3, 4, 6, 3}, BOTTLENECK},
             {101, {3, 4, 23, 3}, BOTTLENECK},
             {152, {3, 8, 36, 3}, BOTTLENECK}};

/* A convolution without bias, and its batch norm. */
static ls_tensor *conv_norm(ls_graph *g, block_kind kind, const char *conv, const char *norm, ls_tensor *x, int64_t out,
                            int kernel, int stride)
{
    const ls_init init = {.kind = LS_INIT_KAIMING_NORMAL, .fan_out = kind != CIFAR};
    x = ls_conv2d(g, conv, x, out, .kernel = kernel, .stride = stride, .padding = kernel / 2, .no_bias = true,
                  .weight_init = init);
    return ls_batch_norm(g, norm, x);
}

/* Every stride-th row and column of x, with channels of zeros on both sides.      y: B x out x ... */
static ls_tensor *subsample(ls_tensor *x, int64_t out, int stride)
{
    x                   = ls_avg_pool2d(x, .kernel = 1, .stride = stride);
    const int64_t zeros = x ? (out - x->dim[0]) / 2 : 0, height = x ? x->dim[1] : 0, width = x ? x->dim[2] : 0;
    x = ls_reshape(x, 1, -1, height * width); /* channels as rows of a plane */
    return ls_reshape(ls_pad2d(x, .padding_h = (int)zeros), out, height, width);
}

static ls_tensor *block(ls_graph *g, block_kind kind, ls_tensor *x, int64_t width, int stride)
{
    const int64_t out      = kind == BOTTLENECK ? width * EXPANSION : width;
    const bool    change   = x && (stride != 1 || x->dim[0] != out);
    ls_tensor    *shortcut = x, *y;
    if (kind == BOTTLENECK) {
        y = ls_relu(conv_norm(g, kind, "conv1", "bn1", x, width, 1, 1));
        y = ls_relu(conv_norm(g, kind, "conv2", "bn2", y, width, 3, stride));
        y = conv_norm(g, kind, "conv3", "bn3", y, out, 1, 1);
    } else {
        y = ls_relu(conv_norm(g, kind, "conv1", "bn1", x, width, 3, stride));
        y = conv_norm(g, kind, "conv2", "bn2", y, out, 3, 1);
    }
    if (change && kind == CIFAR)
        shortcut = subsample(x, out, stride);
    else if (change)
        shortcut = conv_norm(g, kind, "downsample.0", "downsample.1", x, out, 1, stride);
    return ls_relu(ls_add(y, shortcut));
}

/* The stages layer1, layer2, ... with the given numbers of blocks, the mean over positions, and the last layer. */
static ls_tensor *stages(ls_graph *g, block_kind kind, ls_tensor *x, int64_t width, int count, const int *blocks,
                         const char *last, int64_t classes)
{
    for (int stage = 0; stage < count; stage++) {
        char name[16];
        snprintf(name, sizeof name, "layer%d", stage + 1);
        ls_scope(g, name);
        for (int i = 0; i < blocks[stage]; i++) {
            snprintf(name, sizeof name, "%d", i);
            ls_scope(g, name);
            x = block(g, kind, x, width << stage, stage > 0 && i == 0 ? 2 : 1);
            ls_scope_end(g);
        }
        ls_scope_end(g);
    }
    if (!x) return NULL;
    x = ls_avg_pool2d(x, .kernel_h = (int)x->dim[1], .kernel_w = (int)x->dim[2]);
    return ls_linear(g, last, ls_flatten(x), classes);
}

ls_tensor *ls__resnet(ls_resnet_args a)
{
    enum { SIZES = sizeof sizes / sizeof *sizes };
    const int depth = a.depth ? a.depth : 18;
    int       s     = 0;
    while (s < SIZES && sizes[s].depth != depth) s++;
    if (s == SIZES)
        return ls__graph_fail(a.g, LS_HERE, "resnet: expected a depth of 18, 34, 50, 101 or 152, found %d", depth);
    ls_tensor *x = ls_relu(conv_norm(a.g, sizes[s].kind, "conv1", "bn1", a.x, 64, 7, 2));
    x            = ls_max_pool2d(x, .kernel = 3, .stride = 2, .padding = 1);
    return stages(a.g, sizes[s].kind, x, 64, STAGES, sizes[s].blocks, "fc", a.classes ? a.classes : 1000);
}

ls_tensor *ls__resnet_cifar(ls_resnet_cifar_args a)
{
    const int depth = a.depth ? a.depth : 20, n = (depth - 2) / 6;
    if (depth < 8 || depth % 6 != 2)
        return ls__graph_fail(a.g, LS_HERE,
                              "resnet_cifar: expected a depth of 6 n + 2, such as 20, 32, 44 or 56, found %d", depth);
    ls_tensor *x = ls_relu(conv_norm(a.g, CIFAR, "conv1", "bn1", a.x, 16, 3, 1));
    return stages(a.g, CIFAR, x, 16, 3, (const int[]){n, n, n}, "linear", a.classes ? a.classes : 10);
}
