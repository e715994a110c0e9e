/* SPDX-License-Identifier: Apache-2.0
 * Architectures of timm: see dist/interop/timm_config.h. */
#include "dist/interop/timm_config.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* The models that have the parameter names of timm. */
static const struct {
    const char *architecture, *model, *options;
} table[] = {
    {"resnet18", "resnet18", ""},
    {"resnet34", "resnet34", ""},
    {"resnet50", "resnet50", ""},
    {"resnet101", "resnet101", ""},
    {"resnet152", "resnet152", ""},
    {"efficientnet_lite0", "efficientnet_lite0", ""},
    {"tf_efficientnet_lite0", "efficientnet_lite0", "tensorflow: true"},
};
enum { ROWS = sizeof table / sizeof *table };

static ls_status describe(const char *path, const char *architecture, ls_pretrained *p)
{
    char   known[256];
    size_t used = 0;
    int    i    = 0;
    while (i < ROWS && strcmp(table[i].architecture, architecture) != 0) i++;
    if (i < ROWS) {
        p->model  = table[i].model;
        p->images = true;
        snprintf(p->options, sizeof p->options, "%s", table[i].options);
        return LS_OK;
    }
    for (i = 0; i < ROWS && used < sizeof known; i++)
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", table[i].architecture);
    return LS_FAIL(LS_ERR_DATA, "%s: architecture: expected one of %s, found '%.60s'", path, known, architecture);
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
