/* SPDX-License-Identifier: Apache-2.0
 *
 * Implements dist/interop/hf_config.h: config.json, which Hugging Face's transformers stores beside model.safetensors
 * and from which from_pretrained builds the model again.
 */
#include "dist/interop/hf_config.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/io/file_access.h"
#include "core/models/model_table.h"
#include "dist/dist.h"
#include "dist/interop/config_keys.h"
#include "dist/interop/json_file.h"
#include "dist/interop/model_options.h"

enum { CONFIG_BYTES = 1 << 20 }; /* largest config.json that is read */

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static json_t *value_of(const ls_config_entry *e)
{
    switch (e->kind) {
    case LS_CONFIG_TEXT:
        return e->text ? json_string(e->text) : json_null();
    case LS_CONFIG_LIST:
        return json_pack("[s]", e->text);
    case LS_CONFIG_INT:
        return json_integer(e->whole);
    case LS_CONFIG_REAL:
        return json_real(e->real);
    case LS_CONFIG_BOOL:
        return json_boolean(e->whole);
    }
    return NULL;
}

ls_status ls__hf_config_write(const char *path, const ls_config_entry *entries, int count)
{
    json_t *config = json_object();
    bool    made   = config != NULL;
    for (int i = 0; i < count; i++)
        made = json_object_set_new(config, entries[i].key, value_of(&entries[i])) == 0 && made;
    if (made) return ls__json_write(path, config, true);
    json_decref(config);
    return ls__json_write(path, NULL, true);
}

ls_status ls_hf_config_save(const char *path, const ls_graph *g, bool *written)
{
    ls_config_entry        entries[LS_CONFIG_ENTRIES];
    const ls_architecture *a = ls__architecture_of(g);
    *written                 = a != NULL;
    if (a && a->read) {
        json_t *config = a->write ? a->write(g->model_args) : NULL;
        *written       = config != NULL;
        return config ? ls__json_write(path, config, true) : LS_OK;
    }
    return a ? ls__hf_config_write(path, entries, a->config(g->model_args, entries)) : LS_OK;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static ls_status read_config(const char *path, json_t **config)
{
    char        *text;
    size_t       bytes;
    json_error_t error;
    LS_TRY(ls__file_text(path, CONFIG_BYTES, &text, &bytes));
    *config = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
    free(text);
    LS_CHECK(*config, LS_ERR_DATA,
             "%s:%d:%d: expected JSON, found: %s" LS_HINT "the file is damaged or incomplete: get it again", path,
             error.line, error.column, error.text);
    LS_CHECK(json_is_object(*config), LS_ERR_DATA,
             "%s: expected an object of settings, like {\"n_layer\": 12}" LS_HINT "is it the config.json of a model?",
             path);
    return LS_OK;
}

/* Room for the arguments of an architecture that reads config.json itself. */
typedef union args_room {
    ls_model_head   head;
    ls_decoder_args decoder;
    ls_encoder_args encoder;
    ls_vit_args     vit;
} args_room;

ls_status ls__hf_config_args(const char *path, const ls_architecture *a, void *args)
{
    json_t   *config = NULL;
    ls_status status = read_config(path, &config);
    if (status == LS_OK) status = a->read(path, config, args);
    json_decref(config);
    return status;
}

/* A config.json of timm names an architecture. */
static ls_status is_of_timm(const char *path, bool *timm)
{
    json_t *config = NULL;
    LS_TRY(read_config(path, &config));
    *timm = json_is_string(json_object_get(config, "architecture"));
    json_decref(config);
    return LS_OK;
}

static bool is_absent(const json_t *value) { return !value || json_is_null(value); }

/* Appends "layers: 12": a value of the file as the option of the model that sets it. */
static void add_option(char *options, size_t room, const ls_config_entry *e, const json_t *value)
{
    char   text[64];
    size_t used = strlen(options);
    if (used + 128 > room) return;
    if (json_is_boolean(value)) value = json_boolean(!json_is_true(value)); /* the option is the negation of the key */
    snprintf(options + used, room - used, "%s%.30s: %s", used ? ", " : "", e->option, ls__json_value(value, text));
}

/* ---- comparison with a model ------------------------------------------------------------------------------------- */

static bool is_equal(const ls_config_entry *e, const json_t *value)
{
    const char *text = json_string_value(json_is_array(value) ? json_array_get(value, 0) : value);
    switch (e->kind) {
    case LS_CONFIG_TEXT:
    case LS_CONFIG_LIST:
        return text && (!strcmp(text, e->text) || (e->same && !strcmp(text, e->same)));
    case LS_CONFIG_INT:
        return json_is_integer(value) && json_integer_value(value) == e->whole;
    case LS_CONFIG_REAL:
        return json_is_number(value) && fabs(json_number_value(value) - e->real) <= 1e-6 * fabs(e->real);
    case LS_CONFIG_BOOL:
        return json_is_boolean(value) && json_is_true(value) == (e->whole != 0);
    }
    return false;
}

static ls_status compare(const char *path, const json_t *config, const ls_config_entry *entries, int count)
{
    char   differences[2048] = "", options[512] = "";
    size_t used = 0;
    for (int i = 0; i < count; i++) {
        const ls_config_entry *e     = &entries[i];
        const json_t          *value = json_object_get(config, e->key);
        const bool             none  = is_absent(value);
        char                   found[64], expected[64];
        if (!e->checked || (none ? !e->required : is_equal(e, value))) continue;
        json_t *ours = value_of(e);
        if (used < sizeof differences)
            used += (size_t)snprintf(differences + used, sizeof differences - used, "%s%s is %s, the model's is %s",
                                     used ? "; " : "", e->key, none ? "missing" : ls__json_value(value, found),
                                     ls__json_value(ours, expected));
        json_decref(ours);
        if (e->option && !none) add_option(options, sizeof options, e, value);
    }
    LS_CHECK(!used || !*options, LS_ERR_DATA, "%s: it is of another model: %s" LS_HINT "make the model with {%s}", path,
             differences, options);
    LS_CHECK(!used, LS_ERR_DATA, "%s: it is of another model: %s" LS_HINT "no option of this model gives these values",
             path, differences);
    return LS_OK;
}

ls_status ls__hf_config_compare(const char *path, const ls_config_entry *entries, int count)
{
    json_t   *config = NULL;
    ls_status status = read_config(path, &config);
    if (status == LS_OK) status = compare(path, config, entries, count);
    json_decref(config);
    return status;
}

ls_status ls_hf_config_check(const char *path, const ls_graph *g)
{
    ls_config_entry        entries[LS_CONFIG_ENTRIES];
    const ls_architecture *a = ls__architecture_of(g);
    if (a && a->read) {
        args_room args;
        bool      timm = false;
        LS_TRY(is_of_timm(path, &timm));
        if (timm) return LS_OK; /* the name of its architecture gave the options */
        LS_TRY(ls__hf_config_args(path, a, &args));
        return ls__model_options_compare(path, a->model, &args, g->model_args);
    }
    return ls__hf_config_compare(path, entries, a ? a->config(g->model_args, entries) : 0);
}

/* ---- the options of a model -------------------------------------------------------------------------------------- */

static bool has_kind(const ls_config_entry *e, const json_t *value)
{
    switch (e->kind) {
    case LS_CONFIG_TEXT:
    case LS_CONFIG_LIST:
        return json_is_string(value);
    case LS_CONFIG_INT:
        return json_is_integer(value) && json_integer_value(value) > 0 && json_integer_value(value) <= INT32_MAX;
    case LS_CONFIG_REAL:
        return json_is_number(value);
    case LS_CONFIG_BOOL:
        return json_is_boolean(value);
    }
    return false;
}

static const char *kind_text(ls_config_kind kind)
{
    static const char *const texts[] = {[LS_CONFIG_TEXT] = "a text",
                                        [LS_CONFIG_LIST] = "a text",
                                        [LS_CONFIG_INT]  = "a whole number from 1 to 2147483647",
                                        [LS_CONFIG_REAL] = "a number",
                                        [LS_CONFIG_BOOL] = "true or false"};
    return texts[kind];
}

static ls_status read_options(const char *path, const json_t *config, const ls_config_entry *entries, int count,
                              char *options, size_t room, int64_t *classes)
{
    char found[64];
    *options = 0;
    *classes = 0;
    for (int i = 0; i < count; i++) {
        const ls_config_entry *e     = &entries[i];
        const json_t          *value = json_object_get(config, e->key);
        if (!e->option || (is_absent(value) && !e->required)) continue;
        LS_CHECK(!is_absent(value), LS_ERR_DATA,
                 "%s: %s: expected %s, found nothing" LS_HINT "is it the config.json of a model like %s?", path, e->key,
                 kind_text(e->kind), entries[0].text);
        LS_CHECK(has_kind(e, value), LS_ERR_DATA, "%s: %s: expected %s, found %s", path, e->key, kind_text(e->kind),
                 ls__json_value(value, found));
        if (!strcmp(e->option, "classes"))
            *classes = json_integer_value(value);
        else
            add_option(options, room, e, value);
    }
    return LS_OK;
}

ls_status ls__hf_config_options(const char *path, const ls_config_entry *entries, int count, char *options, size_t room,
                                int64_t *classes)
{
    json_t   *config = NULL;
    ls_status status = read_config(path, &config);
    if (status == LS_OK) status = read_options(path, config, entries, count, options, room, classes);
    json_decref(config);
    return status;
}

ls_status ls__hf_config_read(const char *path, const ls_architecture *a, ls_pretrained *p)
{
    ls_config_entry entries[LS_CONFIG_ENTRIES];
    args_room       args;
    if (!a->read)
        return ls__hf_config_options(path, entries, a->config(a->smallest, entries), p->options, sizeof p->options,
                                     &p->classes);
    LS_TRY(ls__hf_config_args(path, a, &args));
    ls__model_options_print(a->model, &args, p->options, sizeof p->options);
    p->classes = args.head.classes;
    p->images  = a->images;
    return LS_OK;
}

ls_status ls__hf_config_architecture(const char *path, const ls_architecture **architecture)
{
    char    known[256];
    json_t *config = NULL;
    LS_TRY(read_config(path, &config));
    const char *type = json_string_value(json_object_get(config, "model_type"));
    *architecture    = type ? ls__architecture_of_type(type, known) : &ls__arch_gpt2;
    ls_status status = LS_OK;
    if (!*architecture)
        status = LS_FAIL(LS_ERR_DATA, "%s: model_type: expected one of %s, found '%.40s'", path, known, type);
    json_decref(config);
    return status;
}
