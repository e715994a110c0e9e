/* SPDX-License-Identifier: Apache-2.0
 *
 * TrivialAugment (Mueller and Hutter 2021) as torchvision's TrivialAugmentWide: one of 14 changes.  Its strength is one
 * of 31 values at equal distances, with either sign where the change has a direction.
 */
#include <math.h>

#include "datasets/augment/image_augment.h"

static void identity(ls_augmenter *a, float m)
{
    (void)a;
    (void)m;
}

static void shear_x(ls_augmenter *a, float m)
{
    ls__augment_affine(a, (const double[]){1, (double)m, 0, 0, 1, 0}, LS_AFFINE_NEAREST);
}

static void shear_y(ls_augmenter *a, float m)
{
    ls__augment_affine(a, (const double[]){1, 0, 0, (double)m, 1, 0}, LS_AFFINE_NEAREST);
}

static void translate_x(ls_augmenter *a, float m) { ls__augment_turn(a, 0, (int)m, 0, LS_AFFINE_NEAREST); }

static void translate_y(ls_augmenter *a, float m) { ls__augment_turn(a, 0, 0, (int)m, LS_AFFINE_NEAREST); }

/* torchvision's rotate is counterclockwise, and its affine clockwise. */
static void rotate(ls_augmenter *a, float m) { ls__augment_turn(a, -(double)m, 0, 0, LS_AFFINE_NEAREST); }

static void brightness(ls_augmenter *a, float m) { ls__colour_brightness(a, (float)(1.0 + (double)m)); }

static void saturation(ls_augmenter *a, float m) { ls__colour_saturation(a, (float)(1.0 + (double)m)); }

static void contrast(ls_augmenter *a, float m) { ls__colour_contrast(a, (float)(1.0 + (double)m)); }

static void sharpness(ls_augmenter *a, float m) { ls__colour_sharpness(a, (float)(1.0 + (double)m)); }

static void posterize(ls_augmenter *a, float m) { ls__colour_posterize(a, 8 - (int)(m + 0.5f)); }

static void autocontrast(ls_augmenter *a, float m)
{
    (void)m;
    ls__colour_autocontrast(a);
}

static void equalize(ls_augmenter *a, float m)
{
    (void)m;
    ls__colour_equalize(a);
}

static const struct {
    void (*apply)(ls_augmenter *a, float strength);
    float first, last; /* strength at the first and at the last of the values */
    bool  has_sign;
} changes[LS_TRIVIAL_CHANGES] = {
    {identity, 0, 0, false},      {shear_x, 0, 0.99f, true},    {shear_y, 0, 0.99f, true},
    {translate_x, 0, 32, true},   {translate_y, 0, 32, true},   {rotate, 0, 135, true},
    {brightness, 0, 0.99f, true}, {saturation, 0, 0.99f, true}, {contrast, 0, 0.99f, true},
    {sharpness, 0, 0.99f, true},  {posterize, 0, 6, false},     {ls__colour_solarize, 255, 0, false},
    {autocontrast, 0, 0, false},  {equalize, 0, 0, false},
};

void ls__augment_trivial(ls_augmenter *a, int change, int value, bool negative)
{
    /* torch.linspace(first, last, 31) in float32: counts from both ends, with one rounding a value. */
    const float first = changes[change].first, last = changes[change].last, step = (last - first) / LS_TRIVIAL_LAST;
    const float strength = value < (LS_TRIVIAL_LAST + 1) / 2
                               ? (float)((double)first + (double)step * value)
                               : (float)((double)last - (double)step * (LS_TRIVIAL_LAST - value));
    changes[change].apply(a, negative && changes[change].has_sign ? -strength : strength);
}
