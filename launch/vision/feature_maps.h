/* SPDX-License-Identifier: Apache-2.0
 * Filters of the first layer, and the feature maps of an image, as a picture. */
#ifndef LS_LAUNCH_VISION_FEATURE_MAPS_H
#define LS_LAUNCH_VISION_FEATURE_MAPS_H

#include "launch/inspect/inspect.h"

/* The values of a layer for one image: channels x height x width. */
typedef struct ls_feature_map {
    const char  *name; /* of its convolution, "layer1.0.conv1"; of a pooling, the op */
    const char  *ops;  /* "conv2d, batch_norm, relu"; NULL: a pooling                */
    int64_t      channels, height, width;
    const float *value;
} ls_feature_map;

typedef struct ls_feature_maps {
    int              layers, left_out; /* layers shown, and others that the model has as well    */
    ls_feature_map  *layer;
    const ls_tensor *filters;      /* weight of the first convolution: O x C x KH x KW; NULL: none */
    const float     *filter_value; /* its values                                                   */
    int              best;         /* class with the largest logit                                 */
    double           probability;  /* its probability                                              */
} ls_feature_maps;

/* Computes the feature maps of an image as the model reads it, in the memory of `memory`: those of at most 16 layers,
 * evenly chosen.  Each layer ends after its norms and nonlinearities.  LS_ERR_USAGE: the model has no convolution. */
ls_status ls_feature_maps_of(const ls_run *run, const float *image, ls_arena *memory, ls_feature_maps *maps);

/* Draws the image (bytes), the filters and the maps on a page.  title: origin of model and image. */
ls_status ls_feature_maps_draw(const ls_run *run, const ls_feature_maps *maps, const uint8_t *pixels, const char *title,
                               ls_png **plot);

/* Opens the classifier of a run or of a folder, and reads the image file options->text as it does.  option: its name,
 * for messages. */
ls_status ls_inspect_image(ls_inspected *s, ls_run *run, const ls_inspect_options *options, const char *option,
                           const uint8_t **bytes, const float **input);

/* `lockstep explain RUN --maps FILE`. */
ls_status ls__explain_maps(ls_run *run, const ls_inspect_options *options);

#endif
