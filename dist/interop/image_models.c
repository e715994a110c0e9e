/* SPDX-License-Identifier: Apache-2.0
 * The table of dist/interop/image_models.h, and config.json of timm, which names a row of it. */
#include "dist/interop/image_models.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define RESNET(depth, kind, inputs, ...)                                                                               \
    {                                                                                                                  \
        "resnet" #depth, "resnet" #depth, "", .first = "conv1", .head = "fc", .features = inputs,                      \
                                              .blocks = __VA_ARGS__, .bottleneck = kind                                \
    }
#define VGG(depth)                                                                                                     \
    {"vgg" #depth, "vgg", "depth: " #depth ", batch_norm: false", .first = "features.0", .head = "classifier.6"},      \
    {                                                                                                                  \
        "vgg" #depth "_bn", "vgg", "depth: " #depth ", batch_norm: true", .first = "features.0",                       \
                                                                          .head = "classifier.6"                       \
    }
#define LITE0(architecture, tensorflow)                                                                                \
    {                                                                                                                  \
        architecture, "efficientnet_lite0", "tensorflow: " #tensorflow, .first = "conv_stem", .head = "classifier",    \
                                                                        .features = 1280, .bicubic = true              \
    }

const ls_image_model ls__image_models[] = {
    RESNET(18, false, 512, {2, 2, 2, 2}),
    RESNET(34, false, 512, {3, 4, 6, 3}),
    RESNET(50, true, 2048, {3, 4, 6, 3}),
    RESNET(101, true, 2048, {3, 4, 23, 3}),
    RESNET(152, true, 2048, {3, 8, 36, 3}),
    LITE0("efficientnet_lite0", false),
    LITE0("tf_efficientnet_lite0", true),
    {"alexnet", "alexnet", "variant: torchvision", .first = "features.0", .head = "classifier.6"},
    VGG(11),
    VGG(13),
    VGG(16),
    VGG(19),
    {0},
};

const ls_image_model *ls__image_model_find(const char *architecture, char known[512])
{
    size_t used = 0;
    known[0]    = 0;
    for (const ls_image_model *m = ls__image_models; m->architecture; m++) {
        if (strcmp(m->architecture, architecture) == 0) return m;
        if (used < 512) used += (size_t)snprintf(known + used, 512 - used, "%s%s", used ? ", " : "", m->architecture);
    }
    return NULL;
}

static ls_status describe(const char *path, const char *architecture, ls_pretrained *p)
{
    char                  known[512];
    const ls_image_model *m = ls__image_model_find(architecture, known);
    LS_CHECK(m, LS_ERR_DATA, "%s: architecture: expected one of %s, found '%.60s'", path, known, architecture);
    p->model  = m->model;
    p->images = true;
    snprintf(p->options, sizeof p->options, "%s", m->options);
    return LS_OK;
}

ls_status ls__timm_config_read(const char *path, ls_pretrained *p)
{
    json_error_t error;
    json_t      *json = json_load_file(path, 0, &error);
    if (!json) return LS_OK; /* the reader of transformers' config.json has the message */
    const char *architecture = json_string_value(json_object_get(json, "architecture"));
    ls_status   status       = architecture ? describe(path, architecture, p) : LS_OK;
    json_int_t  classes      = json_integer_value(json_object_get(json, "num_classes"));
    if (p->images && (classes < 1 || classes > INT32_MAX))
        status = LS_FAIL(LS_ERR_DATA, "%s: num_classes: expected a whole number of at least 1", path);
    if (p->images) p->classes = classes;
    json_decref(json);
    return status;
}
