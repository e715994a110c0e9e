/* SPDX-License-Identifier: Apache-2.0
 *
 * ResNet in Hugging Face's transformers (ResNetForImageClassification): the network of torchvision and timm under other
 * parameter names, with a config.json that states its stages.
 */
#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dist/interop/image_models.h"

/* ---- names of parameters ----------------------------------------------------------------------------------------- */

/* Beginnings of names.  A digit or more stand at each '#', counted from 0, and at each '+', counted from 1. */
static const struct {
    const char *ours, *theirs;
} names[] = {
    {"conv1.", "resnet.embedder.embedder.convolution."},
    {"bn1.", "resnet.embedder.embedder.normalization."},
    {"layer+.#.conv+.", "resnet.encoder.stages.#.layers.#.layer.#.convolution."},
    {"layer+.#.bn+.", "resnet.encoder.stages.#.layers.#.layer.#.normalization."},
    {"layer+.#.downsample.0.", "resnet.encoder.stages.#.layers.#.shortcut.convolution."},
    {"layer+.#.downsample.1.", "resnet.encoder.stages.#.layers.#.shortcut.normalization."},
    {"fc.", "classifier.1."},
};
enum { NAMES = sizeof names / sizeof *names, NUMBERS = 3 };

/* Matches the beginning of a name; returns the rest and its numbers, counted from 0, or NULL. */
static const char *match(const char *pattern, const char *name, long number[NUMBERS])
{
    int found = 0;
    for (; *pattern; pattern++) {
        if (*pattern != '#' && *pattern != '+') {
            if (*name++ != *pattern) return NULL;
            continue;
        }
        if (!isdigit((unsigned char)*name) || found == NUMBERS) return NULL;
        char *end;
        number[found++] = strtol(name, &end, 10) - (*pattern == '+');
        name            = end;
    }
    return name;
}

/* Prints a beginning with its numbers, then the rest. */
static bool print_name(const char *pattern, const long number[NUMBERS], const char *rest, char *name, size_t room)
{
    size_t used = 0;
    for (; *pattern && used < room; pattern++)
        used += *pattern == '#' ? (size_t)snprintf(name + used, room - used, "%ld", *number++)
                                : (size_t)snprintf(name + used, room - used, "%c", *pattern);
    if (used < room) used += (size_t)snprintf(name + used, room - used, "%s", rest);
    return used < room;
}

bool ls__transformers_resnet_name(const char *param, char *name, size_t room)
{
    for (int i = 0; i < NAMES; i++) {
        long        number[NUMBERS];
        const char *rest = match(names[i].ours, param, number);
        if (rest) return print_name(names[i].theirs, number, rest, name, room);
    }
    return false;
}

/* ---- config.json ------------------------------------------------------------------------------------------------- */

static bool is_text(const json_t *json, const char *key, const char *text)
{
    const char *found = json_string_value(json_object_get(json, key));
    return found && strcmp(found, text) == 0;
}

/* Whether the file describes the ResNet of a row. */
static bool is_of(const json_t *json, const ls_image_model *m)
{
    const json_t *depths = json_object_get(json, "depths"), *sizes = json_object_get(json, "hidden_sizes");
    if (!m->blocks[0] || !is_text(json, "layer_type", m->bottleneck ? "bottleneck" : "basic") ||
        json_array_size(depths) != LS_RESNET_STAGES || json_array_size(sizes) != LS_RESNET_STAGES)
        return false;
    for (int s = 0; s < LS_RESNET_STAGES; s++)
        if (json_integer_value(json_array_get(depths, (size_t)s)) != m->blocks[s] ||
            json_integer_value(json_array_get(sizes, (size_t)s)) != m->features >> (LS_RESNET_STAGES - 1 - s))
            return false;
    return true;
}

/* Whether the entries that a ResNet of transformers can change besides its stages have their usual values. */
static bool is_usual(const json_t *json)
{
    const json_t *width = json_object_get(json, "embedding_size"), *act = json_object_get(json, "hidden_act");
    return (!width || json_integer_value(width) == 64) && (!act || is_text(json, "hidden_act", "relu")) &&
           !json_is_true(json_object_get(json, "downsample_in_first_stage")) &&
           !json_is_true(json_object_get(json, "downsample_in_bottleneck"));
}

static ls_status describe(const char *path, const json_t *json, ls_pretrained *p)
{
    const size_t          labels = json_object_size(json_object_get(json, "id2label"));
    const ls_image_model *m      = ls__image_models;
    while (m->architecture && !is_of(json, m)) m++;
    LS_CHECK(m->architecture && is_usual(json), LS_ERR_DATA,
             "%s: depths, hidden_sizes and layer_type: expected those of ResNet-18, 34, 50, 101 or 152, and otherwise "
             "usual values, found others",
             path);
    LS_CHECK(labels >= 1 && labels <= INT32_MAX, LS_ERR_DATA,
             "%s: id2label: expected an object with a name for each class", path);
    p->model      = m->model;
    p->options[0] = 0;
    p->images     = true;
    p->classes    = (int64_t)labels;
    return LS_OK;
}

ls_status ls__transformers_resnet_read(const char *path, ls_pretrained *p)
{
    json_error_t error;
    json_t      *json   = json_load_file(path, 0, &error);
    ls_status    status = json && is_text(json, "model_type", "resnet") ? describe(path, json, p) : LS_OK;
    json_decref(json);
    return status;
}
