/* SPDX-License-Identifier: Apache-2.0
 * The class token of a Vision Transformer, from layer to layer: where it attends, and which class it stands for. */
#ifndef LS_LAUNCH_VISION_CLASS_TOKEN_H
#define LS_LAUNCH_VISION_CLASS_TOKEN_H

#include "launch/inspect/inspect.h"

/* The class token of an image after a layer. */
typedef struct ls_class_token_layer {
    const char *name;
    float      *attention;   /* rows x columns: its weights for the patches, mean over the heads           */
    float      *rollout;     /* rows x columns: share of each patch in it, over all layers so far          */
    int         best;        /* class with the largest logit, by the model's last norm and head            */
    double      probability; /* its probability                                                            */
} ls_class_token_layer;

typedef struct ls_class_token {
    int64_t               rows, columns; /* of the grid of patches */
    int                   layers;
    ls_class_token_layer *layer;
} ls_class_token;

/* Multiplies a rollout (tokens x tokens, row-major) by the attention of one more layer, the mean over the heads, with
 * half of each row for the token itself: rollout = (0.5 attention + 0.5) rollout (Abnar & Zuidema 2020). */
void ls_attention_rollout(const ls_attention_map *map, double *rollout, ls_arena *memory);

/* Whether the run's model is a Vision Transformer: patches, self-attention, and a head on its first token. */
bool ls_has_class_token(const ls_run *run);
/* Computes the path for an image as the model reads it.  LS_ERR_USAGE: the model is another one. */
ls_status ls_class_token_of(const ls_run *run, const float *image, ls_arena *memory, ls_class_token *token);
/* Draws the path over the image (bytes).  title: origin of model and image. */
ls_status ls_class_token_draw(const ls_run *run, const ls_class_token *token, const uint8_t *pixels, const char *title,
                              ls_png **plot);

/* `lockstep explain RUN --class-token FILE`. */
ls_status ls__explain_class_token(ls_run *run, const ls_inspect_options *options);

#endif
