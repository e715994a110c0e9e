/* SPDX-License-Identifier: Apache-2.0
 *
 * A network that learns CIFAR-10 in few epochs (Jordan 2024, "94% on CIFAR-10 in 3.29 seconds on a single GPU").
 *
 *     x = gelu(whiten(x))                                         2 x 2, 24 filters; a constant, with a bias
 *     x = gelu(norm2(conv2(gelu(norm1(max_pool(conv1(x)))))))     3 x 3, for each of block1 to block3
 *     logits = fc(max over positions) / 9                         without bias
 *
 * whiten decorrelates the patches of 2 x 2 pixels: the filters are the eigenvectors of their covariance divided by
 * sqrt(eigenvalue + 5e-4), and the same negated.  They are constants of the training images of CIFAR-10, normalised by
 * channel (tests/golden/make_whitening.py).  Batch norms have no weight, and the newest batch has a share of 0.4 in
 * their running statistics.  The first filters of each convolution begin as copies of its input channels (dirac).
 */
#include "core/graph/graph.h"

enum { FILTERS = 24, VALUES = FILTERS * 3 * 2 * 2 };

/* One filter a line: red, green and blue, each with its upper and its lower row. */
/* clang-format off */
static const float whitening[VALUES] = {
    .0896f, .0895f, .0891f, .089f, .0936f, .0936f, .0929f, .0928f, .0899f, .0899f, .0892f, .0891f,
    -.395f, -.395f, -.402f, -.402f, -.00436f, -.00451f, -.0135f, -.0135f, .412f, .412f, .401f, .401f,
    -.481f, -.467f, .444f, .458f, -.462f, -.448f, .474f, .488f, -.434f, -.421f, .428f, .441f,
    -.493f, .508f, -.508f, .493f, -.499f, .515f, -.514f, .499f, -.46f, .474f, -.474f, .46f,
    -.51f, -.512f, -.536f, -.537f, .987f, .986f, .962f, .961f, -.479f, -.48f, -.504f, -.505f,
    -1.25f, 1.24f, 1.24f, -1.24f, -1.26f, 1.26f, 1.26f, -1.26f, -1.17f, 1.17f, 1.17f, -1.17f,
    -4.67f, -4.66f, 4.68f, 4.7f, .643f, .648f, -.655f, -.651f, 4.31f, 4.28f, -4.31f, -4.34f,
    5.51f, -5.55f, 5.55f, -5.51f, -.6f, .618f, -.618f, .598f, -5.27f, 5.28f, -5.27f, 5.26f,
    -3.49f, -3.44f, 3.43f, 3.48f, 8.02f, 7.95f, -7.94f, -8.02f, -4.97f, -4.94f, 4.94f, 4.97f,
    4.07f, -4.09f, 4.1f, -4.08f, -8.9f, 8.98f, -8.97f, 8.89f, 5.28f, -5.35f, 5.36f, -5.29f,
    12.2f, -12.2f, -12.2f, 12.2f, 1.3f, -1.3f, -1.29f, 1.29f, -14.4f, 14.4f, 14.4f, -14.4f,
    -9.83f, 9.82f, 9.82f, -9.81f, 16.1f, -16.1f, -16.1f, 16.1f, -6.87f, 6.86f, 6.87f, -6.87f,
    -.0896f, -.0895f, -.0891f, -.089f, -.0936f, -.0936f, -.0929f, -.0928f, -.0899f, -.0899f, -.0892f, -.0891f,
    .395f, .395f, .402f, .402f, .00436f, .00451f, .0135f, .0135f, -.412f, -.412f, -.401f, -.401f,
    .481f, .467f, -.444f, -.458f, .462f, .448f, -.474f, -.488f, .434f, .421f, -.428f, -.441f,
    .493f, -.508f, .508f, -.493f, .499f, -.515f, .514f, -.499f, .46f, -.474f, .474f, -.46f,
    .51f, .512f, .536f, .537f, -.987f, -.986f, -.962f, -.961f, .479f, .48f, .504f, .505f,
    1.25f, -1.24f, -1.24f, 1.24f, 1.26f, -1.26f, -1.26f, 1.26f, 1.17f, -1.17f, -1.17f, 1.17f,
    4.67f, 4.66f, -4.68f, -4.7f, -.643f, -.648f, .655f, .651f, -4.31f, -4.28f, 4.31f, 4.34f,
    -5.51f, 5.55f, -5.55f, 5.51f, .6f, -.618f, .618f, -.598f, 5.27f, -5.28f, 5.27f, -5.26f,
    3.49f, 3.44f, -3.43f, -3.48f, -8.02f, -7.95f, 7.94f, 8.02f, 4.97f, 4.94f, -4.94f, -4.97f,
    -4.07f, 4.09f, -4.1f, 4.08f, 8.9f, -8.98f, 8.97f, -8.89f, -5.28f, 5.35f, -5.36f, 5.29f,
    -12.2f, 12.2f, 12.2f, -12.2f, -1.3f, 1.3f, 1.29f, -1.29f, 14.4f, -14.4f, -14.4f, 14.4f,
    9.83f, -9.82f, -9.82f, 9.81f, -16.1f, 16.1f, 16.1f, -16.1f, 6.87f, -6.86f, -6.87f, 6.87f,
};
/* clang-format on */

static ls_tensor *conv(ls_graph *g, const char *name, ls_tensor *x, int64_t out)
{
    return ls_conv2d(g, name, x, out, .kernel = 3, .padding = 1, .no_bias = true,
                     .weight_init = {.kind = LS_INIT_DIRAC});
}

static ls_tensor *norm_gelu(ls_graph *g, const char *name, ls_tensor *x)
{
    return ls_gelu(ls_batch_norm(g, name, x, .eps = 1e-12f, .momentum = 0.4f, .no_weight = true));
}

static ls_tensor *block(ls_graph *g, const char *scope, ls_tensor *x, int64_t out)
{
    ls_scope(g, scope);
    x = norm_gelu(g, "norm1", ls_max_pool2d(conv(g, "conv1", x, out), .kernel = 2));
    x = norm_gelu(g, "norm2", conv(g, "conv2", x, out));
    ls_scope_end(g);
    return x;
}

ls_tensor *ls__fast_cifar(ls_fast_cifar_args a)
{
    const int64_t width = a.width ? a.width : 64, last = a.last_width ? a.last_width : 128;
    if (!a.g || !a.x) return NULL;
    if (a.x->rank != 3 || a.x->dim[0] != 3)
        return ls__graph_fail(a.g, LS_HERE, "fast_cifar: expected an input B x 3 x H x W, found %s", ls__shape(a.x));
    ls_tensor *x =
        ls_conv2d(a.g, "whiten", a.x, FILTERS, .kernel = 2,
                  .weight_init = {.kind = LS_INIT_VALUES, .values = whitening}, .bias_init = {.kind = LS_INIT_ZEROS});
    ls_freeze(a.g, "*whiten.weight");
    x = block(a.g, "block1", ls_gelu(x), width);
    x = block(a.g, "block2", x, last);
    x = block(a.g, "block3", x, last);
    x = ls_linear(a.g, "fc", ls_flatten(ls_adaptive_max_pool2d(x)), a.classes ? a.classes : 10, .no_bias = true);
    return ls_scale(x, .factor = 1.0f / 9);
}
