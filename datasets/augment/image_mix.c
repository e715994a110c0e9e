/* SPDX-License-Identifier: Apache-2.0
 *
 * Mixup (Zhang 2018) and CutMix (Yun 2019) as torchvision's MixUp and CutMix.  A global batch has one share, drawn from
 * Beta(alpha, alpha).  The partner of a sample is the sample before it in the batch; that of the first is the last.
 *
 * Beta(alpha, alpha) is G1 / (G1 + G2) with two numbers of the gamma distribution (Marsaglia and Tsang 2000).  The
 * share is rounded to a multiple of 2^-16, so that it does not depend on the last bits of log and exp.
 */
#include <math.h>

#include "datasets/augment/image_augment.h"

/* A number in (0, 1]. */
static double positive(ls_draws *d) { return (ls__draw(d) + 1.0) * 0x1p-32; }

/* Box and Muller 1958. */
static double normal(ls_draws *d)
{
    const double radius = sqrt(-2 * log(positive(d)));
    return radius * cos(2 * M_PI * positive(d));
}

/* The logarithm of a number of Gamma(alpha), which is 0 in double for small alpha. */
static double log_gamma(ls_draws *d, double alpha)
{
    const double more = alpha < 1 ? log(positive(d)) / alpha : 0, shape = (alpha < 1 ? alpha + 1 : alpha) - 1.0 / 3;
    for (;;) {
        const double x = normal(d), root = 1 + x / sqrt(9 * shape), v = root * root * root;
        if (root > 0 && log(positive(d)) < x * x / 2 + shape - shape * v + shape * log(v))
            return more + log(shape) + log(v);
    }
}

static double beta(ls_draws *d, double alpha)
{
    const double first = log_gamma(d, alpha), second = log_gamma(d, alpha);
    return floor(0x1p16 / (1 + exp(second - first)) + 0.5) * 0x1p-16;
}

static int clamped(int i, int n) { return i < 0 ? 0 : i > n ? n : i; }

ls_mix ls__mix_draw(const ls_augment *a, int height, int width, uint64_t seed, int64_t epoch, int64_t batch_first)
{
    ls_draws     d   = {.key = ls_key(seed, "augment.mix"), .epoch = epoch, .sample = batch_first};
    const bool   cut = a->cutmix > 0 && (a->mixup <= 0 || ls__draw_bit(&d));
    const double own = beta(&d, cut ? (double)a->cutmix : (double)a->mixup);
    if (!cut) return (ls_mix){.share = (float)(1 - own)};
    const int    x = ls__draw_below(&d, width), y = ls__draw_below(&d, height);
    const double half       = 0.5 * sqrt(1 - own);
    const int    half_width = (int)(half * width), half_height = (int)(half * height);
    ls_mix       m = {.cut    = true,
                      .left   = clamped(x - half_width, width),
                      .right  = clamped(x + half_width, width),
                      .top    = clamped(y - half_height, height),
                      .bottom = clamped(y + half_height, height)};
    m.share        = (float)((double)(m.right - m.left) * (m.bottom - m.top) / ((double)width * height));
    return m;
}

void ls__mix(const ls_mix *m, int channels, int height, int width, const float *partner, float *x)
{
    if (!m->cut) {
        for (int64_t i = 0; i < (int64_t)channels * height * width; i++)
            x[i] = partner[i] * m->share + x[i] * (1 - m->share);
        return;
    }
    for (int c = 0; c < channels; c++)
        for (int i = m->top; i < m->bottom; i++)
            for (int j = m->left; j < m->right; j++) {
                const int64_t at = ((int64_t)c * height + i) * width + j;
                x[at]            = partner[at];
            }
}
