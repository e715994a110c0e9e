/* SPDX-License-Identifier: Apache-2.0
 * Writes a model, and opens a trained one without its dataset.  The model is in a run directory, in a folder of
 * transformers or timm, whose config.json and weights dist/interop reads, or in a file with weights alone. */
#include "launch/run/open_model.h"

#include <stdio.h>
#include <string.h>

#include "core/graph/graph.h"
#include "core/graph/params.h"
#include "datasets/files/dataset.h"
#include "dist/dist.h"
#include "dist/interop/image_models.h"
#include "dist/interop/tensor_names.h"
#include "launch/data/dataset_card.h"
#include "launch/data/pretrained.h"
#include "launch/tasks/task.h"

/* ---- folders of Hugging Face and timm ---------------------------------------------------------------------------- */

/* Names for classes without names: "class 0", "class 1", ... */
static const char *const *class_numbers(ls_arena *memory, int classes)
{
    const char **name = ls_arena_alloc(memory, sizeof *name * (size_t)classes);
    for (int i = 0; i < classes; i++) name[i] = ls_arena_printf(memory, "class %d", i);
    return name;
}

/* Describes the images for which a folder of timm has a model. */
static ls_status describe_images(ls_run *run, const char *folder, const char *config, int classes)
{
    ls_pretrained_input in;
    int                 names = 0;
    LS_TRY(ls_pretrained_input_read(folder, &in, run->memory));
    LS_CHECK(in.known, LS_ERR_DATA,
             "%s: expected pretrained_cfg, with the size and normalisation of the images, found "
             "none",
             config);
    while (in.class_name && in.class_name[names]) names++;
    LS_CHECK(!names || names == classes, LS_ERR_DATA, "%s: label_names: expected %d names, found %d", config, classes,
             names);
    run->task = &ls__task_image_classification;
    run->data = (ls_dataset_info){.kind          = LS_DATA_IMAGES,
                                  .split         = "",
                                  .path          = config,
                                  .channels      = in.channels,
                                  .height        = in.height,
                                  .width         = in.width,
                                  .classes       = classes,
                                  .class_names   = names ? in.class_name : class_numbers(run->memory, classes),
                                  .image_options = in.options};
    memcpy(run->data.mean, in.mean, sizeof in.mean);
    memcpy(run->data.std, in.std, sizeof in.std);
    return LS_OK;
}

/* Describes the texts that a folder of transformers has a classifier for. */
static ls_status describe_texts(ls_run *run, const char *folder, const char *config, const ls_encoder_args *a)
{
    enum { ROBERTA_FIRST = 2 };
    const char *const *names;
    int                count;
    LS_TRY(ls_pretrained_labels(folder, &names, &count, run->memory));
    LS_CHECK(
        count, LS_ERR_USAGE,
        "%s: expected an encoder that classifies texts (*ForSequenceClassification), found one without classes" LS_HINT
        "`lockstep embed` computes its vectors of texts; `train bert-sst2 model.pretrained=%s` makes a classifier "
        "of it",
        config, folder);
    run->data = (ls_dataset_info){.kind           = LS_DATA_LABELLED,
                                  .split          = "",
                                  .path           = config,
                                  .tokenizer      = "",
                                  .tokenizer_hash = "",
                                  .vocabulary     = (int)a->vocab,
                                  .classes        = count > 1 ? count : 0,
                                  .class_names    = names,
                                  .context        = a->context - (a->kind == LS_ROBERTA ? ROBERTA_FIRST : 0)};
    run->task = ls_task_of(&run->data);
    return LS_OK;
}

static ls_status make_recipe(ls_run *run, const char *folder, const char *config)
{
    ls_pretrained   model;
    ls_encoder_args encoder;
    LS_TRY(ls_pretrained_read(folder, &model));
    LS_CHECK(model.classes <= LS_MAX_CLASSES, LS_ERR_DATA, "%s: expected at most %d %s, found %lld", config,
             LS_MAX_CLASSES, model.images ? "classes" : "tokens", (long long)model.classes);
    const char *text = ls_arena_printf(run->memory, "{model: {name: %s, options: {%s}}}", model.model, model.options);
    LS_TRY(ls_recipe_parse(&run->recipe, text, strlen(text), config, 0, NULL));
    if (model.images) return describe_images(run, folder, config, (int)model.classes);
    if (ls_recipe_encoder(run->recipe, &encoder)) return describe_texts(run, folder, config, &encoder);
    run->task = &ls__task_language_model;
    run->data = (ls_dataset_info){.kind           = LS_DATA_TEXT,
                                  .split          = "",
                                  .path           = config,
                                  .tokenizer      = "",
                                  .tokenizer_hash = "",
                                  .classes        = (int)model.classes};
    return ls_recipe_context(run->recipe, &run->data.context);
}

static ls_status build_language(ls_run *run)
{
    ls_tensor         *logits;
    ls_language_inputs in = {.x = ls_input(run->graph, "tokens", LS_I32, 1)};
    return ls_recipe_build_language(run->recipe, run->graph, &in, run->data.classes, &logits);
}

static ls_status build_and_load(ls_run *run, const char *folder)
{
    ls_graph *g = run->graph = ls_graph_new();
    g->direct_convolution    = run->recipe->train.conv == LS_TRAIN_CONV_DIRECT;
    ls_graph_precision(g, run->recipe->train.precision);
    LS_TRY(run->data.kind == LS_DATA_TEXT ? build_language(run) : run->task->build(run));
    if (ls_pretrained_is(folder)) LS_TRY(ls_pretrained_check_size(folder, g)); /* the size in config.json */
    LS_TRY(ls__params_new_unset(&run->loaded, g));
    return ls_pretrained_load(folder, run->loaded, NULL);
}

/* Options that do not make a model are an error of config.json, not of the command line. */
static ls_status as_data_error(const char *config, ls_status status)
{
    if (status != LS_ERR_USAGE) return status;
    bool named = strstr(ls_error_message(), config) != NULL;
    return LS_FAIL(LS_ERR_DATA, "%s%s%s", named ? "" : config, named ? "" : ": ", ls_error_message());
}

/* Opens a folder as Hugging Face or timm write it.  Collective. */
static ls_status open_pretrained(ls_run *run, const char *folder, const char *precision)
{
    char        digest[17];
    const char *config = ls_arena_printf(run->memory, "%s/config.json", folder);
    LS_TRY_COLLECTIVE(run, as_data_error(config, make_recipe(run, folder, config)));
    LS_TRY(ls_run_set_precision(run, precision));
    LS_TRY_COLLECTIVE(run, as_data_error(config, build_and_load(run, folder)));
    if (run->data.kind != LS_DATA_IMAGES)
        LS_TRY_COLLECTIVE(
            run, ls_pretrained_tokenizer(&run->tokenizer, folder,
                                         run->data.kind == LS_DATA_TEXT ? run->data.classes : run->data.vocabulary));
    snprintf(digest, sizeof digest, "%016llx", (unsigned long long)ls_params_digest(run->loaded));
    const char *names[] = {"parameters"}, *values[] = {digest};
    return ls_comm_same(run->comm, 1, names, values);
}

/* ---- bare files -------------------------------------------------------------------------------------------------- */

/* Reads the numbers of channels and classes from the shapes of the first convolution and of the last layer. */
static ls_status read_shapes(const ls_tensor_set *set, const ls_image_model *m, int64_t *channels, int64_t *classes)
{
    char             first[96], head[96];
    const ls_stored *one, *last;
    snprintf(first, sizeof first, "%s.weight", m->first);
    snprintf(head, sizeof head, "%s.weight", m->head);
    one  = ls__stored_of_param(NULL, set, first);
    last = ls__stored_of_param(NULL, set, head);
    LS_CHECK(one && last, LS_ERR_DATA,
             "%s: expected a tensor '%s', as %s has it, found none" LS_HINT "`lockstep ckpt inspect` lists its tensors",
             set->path, one ? head : first, m->architecture);
    LS_CHECK(one->rank == 4 && one->dim[1] >= 1 && one->dim[1] <= 4 && last->rank == 2 && last->dim[0] >= 1 &&
                 last->dim[0] <= LS_MAX_CLASSES,
             LS_ERR_DATA, "%s: expected '%s' with 4 dimensions and 1 to 4 channels, and '%s' with classes x features",
             set->path, one->name, last->name);
    *channels = one->dim[1];
    *classes  = last->dim[0];
    return LS_OK;
}

static ls_status describe_file(ls_run *run, const char *file, const ls_image_model *m, int side)
{
    static const float mean[4] = {0.485f, 0.456f, 0.406f}, std[4] = {0.229f, 0.224f, 0.225f}; /* of ImageNet */
    ls_tensor_set      set;
    int64_t            channels = 0, classes = 0;
    ls_status          status = ls__tensor_set_open(&set, file);
    if (status == LS_OK) status = read_shapes(&set, m, &channels, &classes);
    ls__tensor_set_close(&set);
    LS_TRY(status);
    const char *text = ls_arena_printf(run->memory, "{model: {name: %s, options: {%s}}}", m->model, m->options);
    LS_TRY(ls_recipe_parse(&run->recipe, text, strlen(text), m->architecture, 0, NULL));
    run->task = &ls__task_image_classification;
    run->data = (ls_dataset_info){
        .kind          = LS_DATA_IMAGES,
        .split         = "",
        .path          = ls_arena_strdup(run->memory, file),
        .channels      = (int)channels,
        .height        = side,
        .width         = side,
        .classes       = (int)classes,
        .class_names   = class_numbers(run->memory, (int)classes),
        .image_options = {.interpolation = m->bicubic ? LS_BICUBIC : LS_BILINEAR, .fit = LS_FIT_CROP, .crop = 0.875f}};
    for (int c = 0; c < channels; c++) {
        run->data.mean[c] = channels == 3 ? mean[c] : 0.5f;
        run->data.std[c]  = channels == 3 ? std[c] : 0.5f;
    }
    return LS_OK;
}

ls_status ls_run_open_file(ls_run *run, const char *file, const char *architecture, int side)
{
    char                  known[512];
    const ls_image_model *m = ls__image_model_find(architecture, known);
    LS_CHECK(m, LS_ERR_USAGE, "%s: expected the name of a model (%s), found '%s'", file, known, architecture);
    LS_TRY_COLLECTIVE(run, describe_file(run, file, m, side));
    LS_TRY_COLLECTIVE(run, build_and_load(run, file));
    return LS_OK;
}

/* ---- run directories --------------------------------------------------------------------------------------------- */

static ls_status open_run(ls_run *run, const char *path, const char *precision)
{
    char            folder[PATH_MAX];
    int64_t         step;
    const char     *from;
    ls_dataset_card card;
    LS_TRY(ls_run_find(run, path, 0, NULL, folder, &step));
    LS_TRY(ls_run_set_precision(run, precision));
    const char *file = ls_arena_printf(run->memory, "%s/data.json", folder);
    LS_TRY_COLLECTIVE(run, ls_dataset_card_read(file, &card, run->memory));
    run->data   = card.info;
    run->scaler = card.scaler;
    run->task   = ls_task_of(&run->data);
    LS_TRY(ls_run_graph(run));
    LS_TRY(ls_run_trainer(run));
    return ls_run_load(run, folder, step, &from);
}

ls_status ls_run_open_model(ls_run *run, const char *path, const char *precision)
{
    /* All ranks must find the same kind of folder, because the two take different collective calls. */
    bool        pretrained = ls_pretrained_is(path);
    const char *names[] = {"folder"}, *values[] = {pretrained ? "one of Hugging Face" : "a run"};
    LS_TRY(ls_comm_same(run->comm, 1, names, values));
    return pretrained ? open_pretrained(run, path, precision) : open_run(run, path, precision);
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

ls_status ls_run_save_model(ls_run *run, const char *path)
{
    const char *card;
    LS_TRY(ls_dataset_card_text(path, &(ls_dataset_card){run->data, run->scaler}, run->memory, &card));
    return ls_safetensors_save(path, ls_trainer_params(run->trainer),
                               (ls_metadata[]){{LS_DATASET_METADATA, card}, {NULL, NULL}});
}
