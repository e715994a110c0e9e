/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes a model for images as a folder of timm or of transformers: model.safetensors with the names of that library,
 * and config.json, which states the model, the names of the classes and how images become its input.  transformers has
 * the last part in preprocessor_config.json.
 */
#include "launch/transfer/export_model.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io/paths.h"
#include "dist/interop/image_models.h"
#include "dist/interop/json_file.h"
#include "dist/interop/tensor_names.h"

typedef struct export
{
    const ls_image_model  *model;
    const ls_dataset_info *data;
    ls_params             *params;
    const char            *folder;
}
export;

/* ---- which model it is ------------------------------------------------------------------------------------------- */

/* Options of models that change what is computed, and their defaults. */
static const struct {
    const char *name, *fallback;
} options[] = {{"depth", "11"}, {"batch_norm", "false"}, {"variant", "torchvision"}, {"tensorflow", "false"}};
enum { OPTIONS = sizeof options / sizeof *options };

static const char *option_of(const ls_recipe *r, int i)
{
    const ls_recipe_layer *o = &r->model.options;
    for (int k = 0; k < o->attributes; k++)
        if (strcmp(o->attribute[k].name, options[i].name) == 0) return o->attribute[k].text;
    return options[i].fallback;
}

/* Whether the recipe's model is that of a row. */
static ls_status is_of(const ls_recipe *r, const ls_image_model *m, bool *is)
{
    char       text[256];
    ls_recipe *row;
    *is = r->model.name && strcmp(r->model.name, m->model) == 0;
    if (!*is) return LS_OK;
    snprintf(text, sizeof text, "{model: {name: %s, options: {%s}}}", m->model, m->options);
    LS_TRY(ls_recipe_parse(&row, text, strlen(text), m->architecture, 0, NULL));
    for (int i = 0; i < OPTIONS; i++) *is = *is && strcmp(option_of(r, i), option_of(row, i)) == 0;
    ls_recipe_free(row);
    return LS_OK;
}

static ls_status find_model(const ls_run *run, const ls_image_model **model)
{
    char known[512];
    for (*model = ls__image_models; (*model)->architecture; (*model)++) {
        bool is;
        LS_TRY(is_of(run->recipe, *model, &is));
        if (is) return LS_OK;
    }
    ls__image_model_find("", known);
    LS_CHECK(run->data.kind != LS_DATA_TEXT, LS_ERR_USAGE,
             "ckpt export: expected a model for images, found a language model" LS_HINT
             "its run directory is a folder of transformers already: config.json, model.safetensors, tokenizer.json");
    return LS_FAIL(LS_ERR_USAGE,
                   "ckpt export: expected a model that other libraries have (%s), found %s" LS_HINT
                   "model.safetensors in the run directory has its parameters under the names of `lockstep explain`",
                   known, run->recipe->model.name ? run->recipe->model.name : "a list of layers");
}

static ls_status check(const export *e, ls_export_format format)
{
    const ls_dataset_info *d = e->data;
    LS_CHECK(format == LS_EXPORT_TIMM || e->model->blocks[0], LS_ERR_USAGE,
             "ckpt export: --format transformers: expected a ResNet, found %s", e->model->architecture);
    LS_CHECK(d->image_options.fit != LS_FIT_CROP || d->height == d->width, LS_ERR_USAGE,
             "ckpt export: expected square images, because other libraries cut other windows out of images of %d x %d",
             d->height, d->width);
    return LS_OK;
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

static json_t *channels(const export *e, const float *value)
{
    json_t *list = json_array();
    for (int c = 0; c < e->data->channels; c++) json_array_append_new(list, json_real((double)value[c]));
    return list;
}

static json_t *ints(int n, const int *value)
{
    json_t *list = json_array();
    for (int i = 0; i < n; i++) json_array_append_new(list, json_integer(value[i]));
    return list;
}

static double crop_of(const ls_dataset_info *d)
{
    return d->image_options.crop > 0 ? (double)d->image_options.crop : 1;
}

static json_t *timm_config(const export *e)
{
    enum { STRIDE = 32 }; /* of all these models, image to last feature map */
    const ls_image_model  *m = e->model;
    const ls_dataset_info *d = e->data;
    const ls_image_options o = d->image_options;
    const int input[] = {d->channels, d->height, d->width}, pool[] = {d->height / STRIDE, d->width / STRIDE};
    json_t   *labels = json_array();
    for (int k = 0; k < d->classes; k++) json_array_append_new(labels, json_string(d->class_names[k]));
    json_t *cfg =
        json_pack("{s:s, s:b, s:o, s:b, s:s, s:f, s:s, s:o, s:o, s:i, s:o, s:s, s:s}", "tag", "lockstep", "custom_load",
                  0, "input_size", ints(3, input), "fixed_input_size", 0, "interpolation",
                  o.interpolation == LS_BICUBIC ? "bicubic" : "bilinear", "crop_pct", crop_of(d), "crop_mode",
                  o.fit == LS_FIT_CROP ? "center" : "squash", "mean", channels(e, d->mean), "std", channels(e, d->std),
                  "num_classes", d->classes, "pool_size", ints(2, pool), "first_conv", m->first, "classifier", m->head);
    json_t *config = json_pack("{s:s, s:i, s:i, s:o, s:o}", "architecture", m->architecture, "num_classes", d->classes,
                               "num_features", m->features, "pretrained_cfg", cfg, "label_names", labels);
    if (d->channels != 3) json_object_set_new(config, "model_args", json_pack("{s:i}", "in_chans", d->channels));
    return config;
}

static json_t *transformers_config(const export *e)
{
    const ls_image_model  *m     = e->model;
    const ls_dataset_info *d     = e->data;
    json_t                *names = json_object(), *ids = json_object();
    int                    width[LS_RESNET_STAGES];
    char                   id[16];
    for (int s = 0; s < LS_RESNET_STAGES; s++) width[s] = m->features >> (LS_RESNET_STAGES - 1 - s);
    for (int k = 0; k < d->classes; k++) {
        snprintf(id, sizeof id, "%d", k);
        json_object_set_new(names, id, json_string(d->class_names[k]));
        json_object_set_new(ids, d->class_names[k], json_integer(k));
    }
    return json_pack("{s:s, s:[s], s:i, s:i, s:o, s:o, s:s, s:s, s:b, s:b, s:o, s:o, s:s}", "model_type", "resnet",
                     "architectures", "ResNetForImageClassification", "num_channels", d->channels, "embedding_size", 64,
                     "hidden_sizes", ints(LS_RESNET_STAGES, width), "depths", ints(LS_RESNET_STAGES, m->blocks),
                     "layer_type", m->bottleneck ? "bottleneck" : "basic", "hidden_act", "relu",
                     "downsample_in_first_stage", 0, "downsample_in_bottleneck", 0, "id2label", names, "label2id", ids,
                     "torch_dtype", "float32");
}

static json_t *transformers_preprocessor(const export *e)
{
    enum { PIL_BILINEAR = 2, PIL_BICUBIC = 3 };
    const ls_dataset_info *d      = e->data;
    const bool             crop   = d->image_options.fit == LS_FIT_CROP;
    json_t                *window = json_pack("{s:i, s:i}", "height", d->height, "width", d->width);
    json_t                *size =
        crop ? json_pack("{s:i}", "shortest_edge", (int)((float)d->height / (float)crop_of(d))) : json_incref(window);
    return json_pack("{s:s, s:b, s:b, s:o, s:i, s:b, s:o, s:b, s:f, s:b, s:o, s:o}", "image_processor_type",
                     "CLIPImageProcessor", "do_convert_rgb", d->channels == 3, "do_resize", 1, "size", size, "resample",
                     d->image_options.interpolation == LS_BICUBIC ? PIL_BICUBIC : PIL_BILINEAR, "do_center_crop", crop,
                     "crop_size", window, "do_rescale", 1, "rescale_factor", 1 / 255.0, "do_normalize", 1, "image_mean",
                     channels(e, d->mean), "image_std", channels(e, d->std));
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static ls_status write_json(const export *e, const char *name, json_t *json)
{
    char            path[LS_PATH_BYTES];
    const ls_status status = ls__path(path, "%s/%s", e->folder, name);
    if (status == LS_OK) return ls__json_write(path, json, false);
    json_decref(json);
    return status;
}

static ls_status write_files(const export *e, ls_export_format format)
{
    char path[LS_PATH_BYTES];
    LS_TRY(ls__path(path, "%s/model.safetensors", e->folder));
    if (format == LS_EXPORT_TIMM) {
        LS_TRY(ls_safetensors_save(path, e->params, NULL));
        return write_json(e, "config.json", timm_config(e));
    }
    LS_TRY(ls__safetensors_save_as(path, e->params, NULL, &(ls_saving){.naming = ls__transformers_resnet_name}));
    LS_TRY(write_json(e, "preprocessor_config.json", transformers_preprocessor(e)));
    return write_json(e, "config.json", transformers_config(e));
}

static void remove_files(const char *folder)
{
    static const char *const names[] = {"model.safetensors", "preprocessor_config.json", "config.json"};
    char                     path[LS_PATH_BYTES];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (ls__path(path, "%s/%s", folder, names[i]) == LS_OK) unlink(path);
    rmdir(folder);
}

static ls_status write_folder(const export *e, ls_export_format format)
{
    LS_CHECK(mkdir(e->folder, 0777) == 0 || errno != EEXIST, LS_ERR_USAGE,
             "%s: exists already; expected the name of a new folder", e->folder);
    if (access(e->folder, W_OK)) return LS_FAIL_ERRNO("%s: cannot be created", e->folder);
    ls_status status = write_files(e, format);
    if (status == LS_OK) return LS_OK;
    ls_error error = ls_error_save(status);
    remove_files(e->folder);
    return ls_error_restore(&error);
}

ls_status ls_export_model(ls_run *run, const char *folder, ls_export_format format)
{
    export e = {
        .data = &run->data, .params = run->loaded ? run->loaded : ls_trainer_params(run->trainer), .folder = folder};
    LS_TRY_COLLECTIVE(run, find_model(run, &e.model));
    LS_TRY_COLLECTIVE(run, check(&e, format));
    LS_TRY_COLLECTIVE(run, run->is_root ? write_folder(&e, format) : LS_OK);
    return LS_OK;
}
