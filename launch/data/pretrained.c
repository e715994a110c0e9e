/* SPDX-License-Identifier: Apache-2.0
 * Tokenizers and inputs of pretrained models: see launch/data/pretrained.h. */
#include "launch/data/pretrained.h"

#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dist/dist.h"
#include "launch/data/dataset_card.h"

enum {
    MAX_SIDE   = 16384,
    WHOLE_FROM = 384 /* pixels a side from which transformers' ConvNextImageProcessor does not cut out a window */
};

static bool has(const char *folder, const char *name)
{
    char path[PATH_MAX];
    return snprintf(path, sizeof path, "%s/%s", folder, name) < (int)sizeof path && access(path, F_OK) == 0;
}

ls_status ls_pretrained_tokenizer(ls_tokenizer **t, const char *folder, int vocabulary)
{
    *t = NULL;
    LS_CHECK(has(folder, "tokenizer.json") || has(folder, "vocab.json"), LS_ERR_DATA,
             "%s: expected tokenizer.json, or vocab.json and merges.txt, found neither" LS_HINT
             "in transformers, tokenizer.save_pretrained(DIR) writes the file",
             folder);
    LS_TRY(ls_tokenizer_load(t, folder));
    int size = ls_tokenizer_size(*t);
    if (size <= vocabulary && size >= vocabulary - vocabulary / 8) return LS_OK;
    ls_status status =
        LS_FAIL(LS_ERR_DATA,
                "%s: the tokenizer has %d tokens, but the model's vocabulary (config.json) has %d" LS_HINT
                "take both files from the same model",
                folder, size, vocabulary);
    ls_tokenizer_free(*t);
    *t = NULL;
    return status;
}

ls_status ls_pretrained_check_tokenizer(const char *folder, const ls_dataset_info *data)
{
    ls_tokenizer *t;
    char          hash[24];
    if (!data->tokenizer_hash || !*data->tokenizer_hash ||
        !(has(folder, "tokenizer.json") || has(folder, "vocab.json")))
        return LS_OK;
    LS_TRY(ls_tokenizer_load(&t, folder));
    int size = ls_tokenizer_size(t);
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)ls_tokenizer_hash(t));
    ls_tokenizer_free(t);
    LS_CHECK(!strcmp(hash, data->tokenizer_hash), LS_ERR_DATA,
             "%s: the tokenizer has %d tokens and hash %s, but the dataset was imported with another: %s has %d tokens "
             "(tokenizer %s, hash %s)" LS_HINT
             "import the data with the model's tokenizer: `lockstep data import text|labelled FILE OUT --tokenizer %s`",
             folder, size, hash, data->path, data->kind == LS_DATA_LABELLED ? data->vocabulary : data->classes,
             data->tokenizer, data->tokenizer_hash, folder);
    return LS_OK;
}

/* ---- input of an image model ------------------------------------------------------------------------------------- */

/* Reads the description of the dataset that this program writes into its models. */
static ls_status read_card(const char *path, ls_pretrained_input *in, ls_arena *memory)
{
    ls_dataset_card card;
    char           *text;
    LS_TRY(ls_safetensors_metadata(path, LS_DATASET_METADATA, &text));
    if (!text) return LS_OK;
    ls_status status = ls_dataset_card_parse(path, text, &card, memory);
    if (status == LS_OK) ls_scaler_free(card.scaler);
    if (status == LS_OK && card.info.kind == LS_DATA_IMAGES) {
        *in = (ls_pretrained_input){.known    = true,
                                    .channels = card.info.channels,
                                    .height   = card.info.height,
                                    .width    = card.info.width,
                                    .options  = card.info.image_options};
        memcpy(in->mean, card.info.mean, sizeof in->mean);
        memcpy(in->std, card.info.std, sizeof in->std);
    }
    free(text);
    return status;
}

/* Reads a list of one number per channel. */
static bool read_channels(const json_t *list, int channels, bool positive, float *value)
{
    if (json_array_size(list) != (size_t)channels) return false;
    for (int c = 0; c < channels; c++) {
        const json_t *number = json_array_get(list, (size_t)c);
        value[c]             = (float)json_number_value(number);
        if (!json_is_number(number) || !isfinite(value[c]) || (positive && !(value[c] > 0))) return false;
    }
    return true;
}

/* Reads timm's pretrained_cfg. */
static bool read_timm(const json_t *cfg, ls_pretrained_input *in)
{
    const json_t *size = json_object_get(cfg, "input_size"), *crop = json_object_get(cfg, "crop_pct");
    json_int_t    side[3];
    const char   *interpolation = json_string_value(json_object_get(cfg, "interpolation"));
    const char   *mode          = json_string_value(json_object_get(cfg, "crop_mode"));
    for (size_t i = 0; i < 3; i++) {
        side[i] = json_integer_value(json_array_get(size, i));
        if (side[i] < 1 || side[i] > MAX_SIDE) return false;
    }
    if (side[0] > 4 || json_array_size(size) != 3) return false;
    in->channels = (int)side[0];
    in->height   = (int)side[1];
    in->width    = (int)side[2];
    in->options  = (ls_image_options){.interpolation = LS_BILINEAR, .fit = LS_FIT_CROP};
    if (mode && !strcmp(mode, "squash")) in->options.fit = LS_FIT_STRETCH;
    if (mode && strcmp(mode, "squash") && strcmp(mode, "center")) return false;
    if (interpolation && !strcmp(interpolation, "bicubic")) in->options.interpolation = LS_BICUBIC;
    if (crop) in->options.crop = (float)json_number_value(crop);
    if (crop && !(in->options.crop > 0.1f && in->options.crop <= 1)) return false;
    return read_channels(json_object_get(cfg, "mean"), in->channels, false, in->mean) &&
           read_channels(json_object_get(cfg, "std"), in->channels, true, in->std);
}

/* Reads the names of the classes, where config.json has them. */
static bool read_names(const json_t *names, ls_pretrained_input *in, ls_arena *memory)
{
    const size_t count = json_array_size(names);
    const char **name  = ls_arena_alloc(memory, sizeof *name * (count + 1));
    if (!names) return true;
    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_array_get(names, i));
        if (!text) return false;
        name[i] = ls_arena_strdup(memory, text);
    }
    in->class_name = name;
    return json_is_array(names);
}

/* Reads the names of transformers' id2label: {"0": "ant", "1": "bee"}. */
static bool read_ids(const json_t *ids, ls_pretrained_input *in, ls_arena *memory)
{
    const size_t count = json_object_size(ids);
    const char **name  = ls_arena_alloc(memory, sizeof *name * (count + 1));
    for (size_t i = 0; i < count; i++) {
        char id[24];
        snprintf(id, sizeof id, "%zu", i);
        const char *text = json_string_value(json_object_get(ids, id));
        if (!text) return false;
        name[i] = ls_arena_strdup(memory, text);
    }
    in->class_name = name;
    return count > 0;
}

/* Sets the size of a resize to `edge` pixels on the short side, from which the window is cut out. */
static bool set_crop(ls_pretrained_input *in, json_int_t edge)
{
    const int side = in->height < in->width ? in->height : in->width;
    if (edge < side || edge > MAX_SIDE) return false;
    in->options.fit  = LS_FIT_CROP;
    in->options.crop = (float)side / (float)edge;
    if ((int)((float)side / in->options.crop) != edge) in->options.crop = (float)side / ((float)edge + 0.5f);
    return true;
}

/* Reads a size {"height": h, "width": w}, {"shortest_edge": s}, or s; false: none of them. */
static bool read_side(const json_t *size, json_int_t *height, json_int_t *width)
{
    const json_t *edge = json_object_get(size, "shortest_edge");
    if (json_is_integer(size)) edge = size;
    *height = json_integer_value(edge ? edge : json_object_get(size, "height"));
    *width  = json_integer_value(edge ? edge : json_object_get(size, "width"));
    return *height >= 1 && *height <= MAX_SIDE && *width >= 1 && *width <= MAX_SIDE;
}

/* Reads transformers' preprocessor_config.json, of the classes CLIPImageProcessor, ConvNextImageProcessor and
 * ViTImageProcessor: resize and cut out a window; resize to size / crop_pct and cut out; resize to a size. */
static bool read_transformers(const json_t *p, ls_pretrained_input *in)
{
    enum { PIL_BILINEAR = 2, PIL_BICUBIC = 3 };
    const json_t    *window = json_object_get(p, "crop_size"), *size = json_object_get(p, "size");
    const json_t    *percent = json_object_get(p, "crop_pct");
    const json_int_t filter  = json_integer_value(json_object_get(p, "resample"));
    const bool       cuts    = window && json_is_true(json_object_get(p, "do_center_crop"));
    json_int_t       height, width, edge, other;
    if ((filter != PIL_BILINEAR && filter != PIL_BICUBIC) || json_is_false(json_object_get(p, "do_resize")) ||
        !read_side(cuts ? window : size, &height, &width))
        return false;
    in->channels              = 3;
    in->height                = (int)height;
    in->width                 = (int)width;
    in->options.interpolation = filter == PIL_BICUBIC ? LS_BICUBIC : LS_BILINEAR;
    if (cuts) {
        if (!json_object_get(size, "shortest_edge") || !read_side(size, &edge, &other) || !set_crop(in, edge))
            return false;
    } else if (percent && height < WHOLE_FROM) {
        const double part = json_number_value(percent);
        if (!(part > 0.1 && part <= 1) || !set_crop(in, (json_int_t)((double)height / part))) return false;
    } else
        in->options.fit = LS_FIT_STRETCH;
    return read_channels(json_object_get(p, "image_mean"), in->channels, false, in->mean) &&
           read_channels(json_object_get(p, "image_std"), in->channels, true, in->std);
}

/* Reads a folder of transformers: id2label of config.json, and preprocessor_config.json. */
static ls_status read_transformers_folder(const char *folder, const json_t *config, ls_pretrained_input *in,
                                          ls_arena *memory)
{
    char         path[PATH_MAX];
    json_error_t error;
    LS_CHECK(snprintf(path, sizeof path, "%s/preprocessor_config.json", folder) < (int)sizeof path, LS_ERR_USAGE,
             "%s: the path is too long", folder);
    json_t *json = json_load_file(path, 0, &error);
    LS_CHECK(json, LS_ERR_DATA, "%s:%d: %s", path, error.line, error.text);
    in->known = read_transformers(json, in);
    json_decref(json);
    LS_CHECK(in->known, LS_ERR_DATA,
             "%s: expected size, resample 2 or 3, image_mean and image_std with three numbers each, and crop_size or "
             "crop_pct if a window is cut out, found others" LS_HINT "the files of ResNet in transformers have them",
             path);
    LS_CHECK(read_ids(json_object_get(config, "id2label"), in, memory), LS_ERR_DATA,
             "%s/config.json: id2label: expected a name for each class, from \"0\" on", folder);
    return LS_OK;
}

ls_status ls_pretrained_input_read(const char *path, ls_pretrained_input *in, ls_arena *memory)
{
    char         config[PATH_MAX];
    json_error_t error;
    *in = (ls_pretrained_input){0};
    LS_TRY(read_card(path, in, memory));
    if (in->known || !has(path, "config.json")) return LS_OK;
    LS_CHECK(snprintf(config, sizeof config, "%s/config.json", path) < (int)sizeof config, LS_ERR_USAGE,
             "%s: the path is too long", path);
    json_t *json = json_load_file(config, 0, &error);
    LS_CHECK(json, LS_ERR_DATA, "%s:%d: %s", config, error.line, error.text);
    const json_t *cfg = json_object_get(json, "pretrained_cfg");
    if (!cfg && has(path, "preprocessor_config.json")) {
        ls_status status = read_transformers_folder(path, json, in, memory);
        json_decref(json);
        return status;
    }
    in->known       = cfg && read_timm(cfg, in);
    const bool good = (in->known || !cfg) && read_names(json_object_get(json, "label_names"), in, memory);
    json_decref(json);
    LS_CHECK(good, LS_ERR_DATA,
             "%s: pretrained_cfg: expected input_size [channels, height, width], mean and std with one number for each "
             "channel, crop_pct above 0.1 and up to 1, and label_names as texts, found others" LS_HINT
             "repair the file, or remove pretrained_cfg and set data.size, data.mean and data.std",
             config);
    return LS_OK;
}

/* ---- classes of texts -------------------------------------------------------------------------------------------- */

static bool classifies(const json_t *config)
{
    const char  *name   = json_string_value(json_array_get(json_object_get(config, "architectures"), 0));
    const char   end[]  = "ForSequenceClassification";
    const size_t length = name ? strlen(name) : 0;
    return length > sizeof end - 1 && !strcmp(name + length - (sizeof end - 1), end);
}

static ls_status read_labels(const char *path, const json_t *config, const char *const **names, int *count,
                             ls_arena *memory)
{
    enum { MOST_LABELS = 1 << 20, USUAL_LABELS = 2 };
    const json_t       *ids = json_object_get(config, "id2label"), *number = json_object_get(config, "num_labels");
    const json_int_t    labels = ids      ? (json_int_t)json_object_size(ids)
                                 : number ? json_integer_value(number)
                                          : USUAL_LABELS;
    ls_pretrained_input in     = {0};
    LS_CHECK(labels >= 1 && labels <= MOST_LABELS && (!ids || read_ids(ids, &in, memory)), LS_ERR_DATA,
             "%s: id2label: expected a name for each class, from \"0\" on", path);
    *count = (int)labels;
    if (ids) {
        *names = in.class_name;
        return LS_OK;
    }
    const char **name = ls_arena_alloc(memory, sizeof *name * ((size_t)labels + 1));
    for (int i = 0; i < *count; i++) name[i] = ls_arena_printf(memory, "LABEL_%d", i);
    *names = name;
    return LS_OK;
}

ls_status ls_pretrained_labels(const char *folder, const char *const **names, int *count, ls_arena *memory)
{
    char         path[PATH_MAX];
    json_error_t error;
    *count = 0;
    *names = NULL;
    LS_CHECK(snprintf(path, sizeof path, "%s/config.json", folder) < (int)sizeof path, LS_ERR_USAGE,
             "%s: the path is too long", folder);
    json_t *config = json_load_file(path, 0, &error);
    LS_CHECK(config, LS_ERR_DATA, "%s:%d: %s", path, error.line, error.text);
    ls_status status = classifies(config) ? read_labels(path, config, names, count, memory) : LS_OK;
    json_decref(config);
    return status;
}
