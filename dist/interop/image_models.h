/* SPDX-License-Identifier: Apache-2.0
 *
 * Models for images that other libraries have as well, with the same parameter names: torchvision and timm, and
 * transformers with names of its own for ResNet.  Not public. */
#ifndef LS_DIST_INTEROP_IMAGE_MODELS_H
#define LS_DIST_INTEROP_IMAGE_MODELS_H

#include "dist/dist.h"

enum { LS_RESNET_STAGES = 4 };

typedef struct ls_image_model {
    const char *architecture; /* its name in timm; in torchvision where timm has other parameter names */
    const char *model;        /* its name in recipes, with `options`: "depth: 11"                      */
    const char *options;
    const char *first, *head;             /* names of the first convolution and of the last layer       */
    int         features;                 /* inputs of the last layer in timm; 0: timm has other parameter names */
    int         blocks[LS_RESNET_STAGES]; /* of a ResNet, by stage; 0: the model is none    */
    bool        bottleneck;               /* of a ResNet                                    */
    bool        bicubic;                  /* interpolation with which it was trained        */
} ls_image_model;

extern const ls_image_model ls__image_models[]; /* ended by a row without a name */

/* Returns the model of an architecture, or NULL; then `known` lists all. */
const ls_image_model *ls__image_model_find(const char *architecture, char known[512]);

/* Describes the model of a config.json of timm or torchvision, which names an "architecture"; leaves *p unchanged when
 * the file has none.  LS_ERR_DATA: the architecture is not in the table. */
ls_status ls__timm_config_read(const char *path, ls_pretrained *p);

/* Describes the model of a config.json of transformers with model_type "resnet"; leaves *p unchanged for another type.
 * LS_ERR_DATA: it is not one of the ResNets in the table. */
ls_status ls__transformers_resnet_read(const char *path, ls_pretrained *p);

/* Sets `name` to the name that a parameter of a ResNet has in transformers; false: it has none. */
bool ls__transformers_resnet_name(const char *param, char *name, size_t room);

#endif
