/* SPDX-License-Identifier: Apache-2.0
 * LeNet-5 (LeCun, Bottou, Bengio & Haffner 1998) with relu and max pooling: 61,706 parameters on 1 x 28 x 28 images.
 * Deviations from the paper: conv2 reads all channels of conv1; softmax instead of radial basis units. */
#include "core/graph/graph.h"

ls_tensor *ls__lenet5(ls_lenet5_args a)
{
    ls_graph  *g = a.g;
    ls_tensor *x = a.x;
    x            = ls_max_pool2d(ls_relu(ls_conv2d(g, "conv1", x, 6, .kernel = 5, .padding = 2)), .kernel = 2);
    x            = ls_max_pool2d(ls_relu(ls_conv2d(g, "conv2", x, 16, .kernel = 5)), .kernel = 2);
    x            = ls_relu(ls_linear(g, "fc1", ls_flatten(x), 120));
    x            = ls_relu(ls_linear(g, "fc2", x, 84));
    return ls_linear(g, "fc3", x, a.classes ? a.classes : 10);
}
