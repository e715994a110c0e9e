/* SPDX-License-Identifier: Apache-2.0
 * Images as a classifier reads them. */
#ifndef LS_LAUNCH_VISION_IMAGE_INPUT_H
#define LS_LAUNCH_VISION_IMAGE_INPUT_H

#include "datasets/datasets.h"

/* Normalises an image (channels x height x width bytes) with the mean and the standard deviation of a dataset. */
void ls_image_normalise(const ls_dataset_info *d, const uint8_t *pixels, float *image);

/* Reads an image file as the dataset's images were imported: its pixels, and the model's input.  invert: "yes", "no",
 * or "auto".  auto inverts an image for a model of one channel when its border is lighter than its inside while the
 * dataset's mean pixel is below 0.5: scanned handwriting is mostly dark on light, datasets of digits are light on
 * dark.  *inverted: the image was inverted. */
ls_status ls_image_input(const ls_dataset_info *d, const char *path, const char *invert, uint8_t *pixels, float *image,
                         bool *inverted);

/* Computes the probabilities of n classes from their logits. */
void ls_probabilities(const float *logits, int n, double *probability);

#endif
