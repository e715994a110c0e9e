/* SPDX-License-Identifier: Apache-2.0
 * Changes of an image's colours, with the bytes of Pillow's ImageEnhance and ImageOps, and of torchvision's adjust_hue
 * for images of Pillow. */
#include <string.h>

#include "datasets/augment/image_augment.h"

static int64_t plane_of(const ls_augmenter *a) { return (int64_t)a->height * a->width; }

/* ---- one table a channel ----------------------------------------------------------------------------------------- */

static void look_up(uint8_t *x, int64_t n, const uint8_t table[256])
{
    for (int64_t i = 0; i < n; i++) x[i] = table[x[i]];
}

/* Pillow's Image.blend of two bytes: from `base` at factor 0 to `x` at factor 1, and beyond. */
static uint8_t blend(int base, int x, float factor)
{
    float y = (float)base + factor * (float)(x - base);
    return (uint8_t)(y <= 0 ? 0 : y >= 255 ? 255 : y);
}

static void blend_with_constant(ls_augmenter *a, int base, float factor)
{
    uint8_t table[256];
    for (int v = 0; v < 256; v++) table[v] = blend(base, v, factor);
    look_up(a->pixels, plane_of(a) * a->channels, table);
}

void ls__colour_brightness(ls_augmenter *a, float factor) { blend_with_constant(a, 0, factor); }

void ls__colour_posterize(ls_augmenter *a, int bits)
{
    uint8_t table[256];
    for (int v = 0; v < 256; v++) table[v] = (uint8_t)(v & (0xff << (8 - bits)));
    look_up(a->pixels, plane_of(a) * a->channels, table);
}

void ls__colour_solarize(ls_augmenter *a, float threshold)
{
    uint8_t table[256];
    for (int v = 0; v < 256; v++) table[v] = (uint8_t)((float)v < threshold ? v : 255 - v);
    look_up(a->pixels, plane_of(a) * a->channels, table);
}

/* Applies to each channel the table that `fill` makes from the histogram of the channel; false: leaves it as it is. */
static void by_histogram(ls_augmenter *a, bool (*fill)(const int64_t count[256], uint8_t table[256]))
{
    for (int c = 0; c < a->channels; c++) {
        uint8_t *x          = a->pixels + c * plane_of(a), table[256];
        int64_t  count[256] = {0};
        for (int64_t i = 0; i < plane_of(a); i++) count[x[i]]++;
        if (fill(count, table)) look_up(x, plane_of(a), table);
    }
}

static bool stretch(const int64_t count[256], uint8_t table[256])
{
    int low = 0, high = 255;
    while (low < 255 && !count[low]) low++;
    while (high > 0 && !count[high]) high--;
    if (high <= low) return false;
    const double scale = 255.0 / (high - low), offset = -low * scale;
    for (int v = 0; v < 256; v++) {
        const double y = v * scale + offset;
        table[v]       = (uint8_t)(y < 0 ? 0 : y > 255 ? 255 : y);
    }
    return true;
}

void ls__colour_autocontrast(ls_augmenter *a) { by_histogram(a, stretch); }

static bool flatten(const int64_t count[256], uint8_t table[256])
{
    int64_t all = 0, last = 0;
    for (int v = 0; v < 256; v++) {
        all += count[v];
        if (count[v]) last = count[v];
    }
    const int64_t step = (all - last) / 255;
    int64_t       sum  = step / 2;
    if (!step) return false;
    for (int v = 0; v < 256; sum += count[v++]) table[v] = (uint8_t)(sum / step > 255 ? 255 : sum / step);
    return true;
}

void ls__colour_equalize(ls_augmenter *a) { by_histogram(a, flatten); }

/* ---- grey, saturation, hue --------------------------------------------------------------------------------------- */

/* ITU-R BT.601 in 16-bit fixed point, as Pillow's convert("L"). */
static uint8_t grey(const uint8_t *x, int64_t plane, int channels)
{
    return channels < 3 ? *x : (uint8_t)((x[0] * 19595 + x[plane] * 38470 + x[2 * plane] * 7471 + 0x8000) >> 16);
}

void ls__colour_contrast(ls_augmenter *a, float factor)
{
    int64_t sum = 0;
    for (int64_t i = 0; i < plane_of(a); i++) sum += grey(a->pixels + i, plane_of(a), a->channels);
    blend_with_constant(a, (int)((double)sum / (double)plane_of(a) + 0.5), factor);
}

void ls__colour_saturation(ls_augmenter *a, float factor)
{
    const int64_t plane = plane_of(a);
    uint8_t      *x     = a->pixels;
    if (a->channels != 3) return;
    for (int64_t i = 0; i < plane; i++, x++) {
        const int base = grey(x, plane, 3);
        for (int c = 0; c < 3; c++) x[c * plane] = blend(base, x[c * plane], factor);
    }
}

/* Hue and saturation of a pixel as bytes.  The roundings to float are those of Pillow. */
static void to_hsv(const int rgb[3], uint8_t *hue, uint8_t *saturation, int *value)
{
    const int high = rgb[0] > rgb[1] ? (rgb[0] > rgb[2] ? rgb[0] : rgb[2]) : rgb[1] > rgb[2] ? rgb[1] : rgb[2];
    const int low  = rgb[0] < rgb[1] ? (rgb[0] < rgb[2] ? rgb[0] : rgb[2]) : rgb[1] < rgb[2] ? rgb[1] : rgb[2];
    *value         = high;
    *hue = *saturation = 0;
    if (high == low) return;
    const float range = (float)(high - low), s = range / (float)high;
    float       d[3], h;
    for (int c = 0; c < 3; c++) d[c] = (float)(high - rgb[c]) / range;
    if (rgb[0] == high)
        h = d[2] - d[1];
    else if (rgb[1] == high)
        h = (float)(2.0 + (double)d[0] - (double)d[2]);
    else
        h = (float)(4.0 + (double)d[1] - (double)d[0]);
    const double turn = (double)h / 6.0 + 1.0; /* 0.8 to 1.9 */
    h                 = (float)(turn < 1 ? turn : turn - 1);
    *hue              = (uint8_t)((double)h * 255.0);
    *saturation       = (uint8_t)((double)s * 255.0);
}

/* x is at least 0. */
static uint8_t rounded(double x) { return (uint8_t)(x >= 255 ? 255 : (int)(x + 0.5)); }

static void to_rgb(uint8_t hue, uint8_t saturation, int value, uint8_t rgb[3])
{
    /* Which of value, rising, falling and lowest each channel shows, by sixth of the circle. */
    static const char place[6][4] = {"vrl", "fvl", "lvr", "lfv", "rlv", "vlf"};
    const double      position    = (double)((float)hue * 6.0f) / 255.0;
    const int         sixth       = (int)position;
    const float       f = (float)(position - (double)(float)sixth), s = (float)((double)saturation / 255.0);
    const uint8_t     l = rounded(value * (1.0 - (double)s)), q = rounded(value * (1.0 - (double)(s * f))),
                  t = rounded(value * (1.0 - (double)s * (1.0 - (double)f)));
    for (int c = 0; c < 3; c++) {
        const char p = saturation ? place[sixth % 6][c] : 'v';
        rgb[c]       = p == 'v' ? (uint8_t)value : p == 'r' ? t : p == 'f' ? q : l;
    }
}

void ls__colour_hue(ls_augmenter *a, double turn)
{
    const uint8_t shift = (uint8_t)(int)(turn * 255);
    const int64_t plane = plane_of(a);
    uint8_t      *x     = a->pixels, hue, saturation, rgb[3];
    int           value;
    if (a->channels != 3) return;
    for (int64_t i = 0; i < plane; i++, x++) {
        to_hsv((const int[]){x[0], x[plane], x[2 * plane]}, &hue, &saturation, &value);
        to_rgb((uint8_t)(hue + shift), saturation, value, rgb);
        for (int c = 0; c < 3; c++) x[c * plane] = rgb[c];
    }
}

/* ---- sharpness --------------------------------------------------------------------------------------------------- */

/* Blends the image with a smoothed copy.  The kernel is 1/13 (1 1 1; 1 5 1; 1 1 1); the border is not smoothed. */
void ls__colour_sharpness(ls_augmenter *a, float factor)
{
    const int w = a->width, h = a->height;
    memcpy(a->other, a->pixels, (size_t)(plane_of(a) * a->channels));
    for (int c = 0; c < a->channels; c++)
        for (int i = 1; i < h - 1; i++)
            for (int j = 1; j < w - 1; j++) {
                const uint8_t *x   = a->pixels + c * plane_of(a) + (int64_t)i * w + j;
                int            sum = 4 * x[0];
                for (int k = -1; k <= 1; k++) sum += x[k * w - 1] + x[k * w] + x[k * w + 1];
                a->other[c * plane_of(a) + (int64_t)i * w + j] = blend((2 * sum + 13) / 26, x[0], factor);
            }
    ls__augment_swap(a);
}
