/* SPDX-License-Identifier: Apache-2.0
 * Small pictures of pixels, embedded in report.html as PNG. */
#ifndef LS_LAUNCH_VISION_PICTURE_H
#define LS_LAUNCH_VISION_PICTURE_H

#include <stdio.h>

#include "datasets/datasets.h"

typedef struct ls_picture {
    int      width, height;
    uint8_t *rgb; /* height x width x 3 */
} ls_picture;

ls_status ls_picture_new(ls_picture *p, int width, int height);
void      ls_picture_free(ls_picture *p);

/* Makes a picture of an image of a dataset (channels x height x width bytes): enlarged by a whole factor until it has
 * about 112 pixels, or reduced by one until it has at most 160. */
ls_status ls_picture_of(ls_picture *p, const ls_dataset_info *info, const uint8_t *pixels);

/* Lays a map of rows x columns values from 0 to 1, enlarged bilinearly, over the picture, whose colours become grey. */
void ls_picture_heat(ls_picture *p, const float *map, int rows, int columns);

/* Writes the picture as the data URL of a PNG file: "data:image/png;base64,...". */
ls_status ls_picture_url(FILE *f, const ls_picture *p);

#endif
