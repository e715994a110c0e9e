/* SPDX-License-Identifier: Apache-2.0
 * Images as a classifier reads them: see launch/vision/image_input.h. */
#include "launch/vision/image_input.h"

#include <math.h>
#include <string.h>

void ls_image_normalise(const ls_dataset_info *d, const uint8_t *pixels, float *image)
{
    const size_t plane = (size_t)d->height * (size_t)d->width;
    for (size_t i = 0; i < plane * (size_t)d->channels; i++)
        image[i] = ((float)pixels[i] / 255.0f - d->mean[i / plane]) / d->std[i / plane];
}

/* Mean of the pixels on the border of an image, and of those inside. */
static void border_and_inside(const uint8_t *pixels, int height, int width, double *border, double *inside)
{
    double sum[2] = {0, 0}, n[2] = {0, 0};
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            int at = y > 0 && x > 0 && y < height - 1 && x < width - 1;
            sum[at] += pixels[y * width + x];
            n[at] += 1;
        }
    *border = sum[0] / n[0];
    *inside = n[1] > 0 ? sum[1] / n[1] : *border;
}

static bool needs_inverting(const ls_dataset_info *d, const char *invert, const uint8_t *pixels)
{
    double border, inside;
    if (strcmp(invert, "auto") != 0) return strcmp(invert, "yes") == 0;
    if (d->channels != 1 || d->mean[0] >= 0.5f) return false;
    border_and_inside(pixels, d->height, d->width, &border, &inside);
    return border > inside;
}

ls_status ls_image_input(const ls_dataset_info *d, const char *path, const char *invert, uint8_t *pixels, float *image,
                         bool *inverted)
{
    LS_TRY(ls_image_read(path, &d->image_options, d->channels, d->height, d->width, pixels));
    *inverted = needs_inverting(d, invert, pixels);
    for (size_t i = 0; *inverted && i < (size_t)d->channels * (size_t)d->height * (size_t)d->width; i++)
        pixels[i] = (uint8_t)(255 - pixels[i]);
    ls_image_normalise(d, pixels, image);
    return LS_OK;
}

void ls_probabilities(const float *logits, int n, double *probability)
{
    double largest = (double)logits[0], sum = 0;
    for (int i = 1; i < n; i++) largest = fmax(largest, (double)logits[i]);
    for (int i = 0; i < n; i++) sum += exp((double)logits[i] - largest);
    for (int i = 0; i < n; i++) probability[i] = exp((double)logits[i] - largest) / sum;
}
