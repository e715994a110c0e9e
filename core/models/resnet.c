/* SPDX-License-Identifier: Apache-2.0
 *
 * Residual networks for images (He, Zhang, Ren & Sun 2015), as torchvision's resnet18 to resnet152: version 1.5, which
 * has the stride of a bottleneck in its 3 x 3 convolution.
 *
 *     x = max_pool(relu(bn1(conv1(x))))       7 x 7, stride 2; 3 x 3, stride 2
 *     x = relu(branch(x) + shortcut(x))       for each block of the stages layer1 to layer4, with 64 to 512 channels
 *     logits = fc(mean over positions)
 *
 * branch of a basic block: 3 x 3, 3 x 3; of a bottleneck: 1 x 1, 3 x 3, 1 x 1 with four times the channels; each
 * convolution is followed by a batch norm.  shortcut: x, or a 1 x 1 convolution and a batch norm where the shape
 * changes.
 */
#include <stdio.h>

#include "core/graph/graph.h"

enum { STAGES = 4, EXPANSION = 4 /* output channels of a bottleneck, by its width */ };

static const struct {
    int  depth, blocks[STAGES];
    bool bottleneck;
} sizes[] = {{18, {2, 2, 2, 2}, false},
             {34, {3, 4, 6, 3}, false},
             {50, {3, 4, 6, 3}, true},
             {101, {3, 4, 23, 3}, true},
             {152, {3, 8, 36, 3}, true}};

/* A convolution without bias, and its batch norm. */
static ls_tensor *conv_norm(ls_graph *g, const char *conv, const char *norm, ls_tensor *x, int64_t out, int kernel,
                            int stride)
{
    const ls_init init = {.kind = LS_INIT_KAIMING_NORMAL, .fan_out = true};
    x = ls_conv2d(g, conv, x, out, .kernel = kernel, .stride = stride, .padding = kernel / 2, .no_bias = true,
                  .weight_init = init);
    return ls_batch_norm(g, norm, x);
}

static ls_tensor *block(ls_graph *g, ls_tensor *x, int64_t width, int stride, bool bottleneck)
{
    const int64_t out    = bottleneck ? width * EXPANSION : width;
    const bool    change = x && (stride != 1 || x->dim[0] != out);
    ls_tensor    *y;
    if (bottleneck) {
        y = ls_relu(conv_norm(g, "conv1", "bn1", x, width, 1, 1));
        y = ls_relu(conv_norm(g, "conv2", "bn2", y, width, 3, stride));
        y = conv_norm(g, "conv3", "bn3", y, out, 1, 1);
    } else {
        y = ls_relu(conv_norm(g, "conv1", "bn1", x, width, 3, stride));
        y = conv_norm(g, "conv2", "bn2", y, out, 3, 1);
    }
    return ls_relu(ls_add(y, change ? conv_norm(g, "downsample.0", "downsample.1", x, out, 1, stride) : x));
}

ls_tensor *ls__resnet(ls_resnet_args a)
{
    enum { SIZES = sizeof sizes / sizeof *sizes };
    const int depth = a.depth ? a.depth : 18;
    int       s     = 0;
    while (s < SIZES && sizes[s].depth != depth) s++;
    if (s == SIZES)
        return ls__graph_fail(a.g, LS_HERE, "resnet: expected a depth of 18, 34, 50, 101 or 152, found %d", depth);
    ls_tensor *x = ls_relu(conv_norm(a.g, "conv1", "bn1", a.x, 64, 7, 2));
    x            = ls_max_pool2d(x, .kernel = 3, .stride = 2, .padding = 1);
    for (int stage = 0; stage < STAGES; stage++) {
        char name[16];
        snprintf(name, sizeof name, "layer%d", stage + 1);
        ls_scope(a.g, name);
        for (int i = 0; i < sizes[s].blocks[stage]; i++) {
            snprintf(name, sizeof name, "%d", i);
            ls_scope(a.g, name);
            x = block(a.g, x, 64 << stage, stage > 0 && i == 0 ? 2 : 1, sizes[s].bottleneck);
            ls_scope_end(a.g);
        }
        ls_scope_end(a.g);
    }
    if (!x) return NULL;
    x = ls_avg_pool2d(x, .kernel_h = (int)x->dim[1], .kernel_w = (int)x->dim[2]);
    return ls_linear(a.g, "fc", ls_flatten(x), a.classes ? a.classes : 1000);
}
