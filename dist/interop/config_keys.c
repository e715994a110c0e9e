/* SPDX-License-Identifier: Apache-2.0
 *
 * Implements dist/interop/config_keys.h.
 */
#include "dist/interop/config_keys.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *ls__json_value(const json_t *value, char text[64])
{
    char *dump = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(9));
    snprintf(text, 64, "%.60s", dump ? dump : "?");
    free(dump);
    return text;
}

void ls__keys_open(ls_config_keys *k, const char *path, const json_t *object)
{
    *k = (ls_config_keys){.path = path, .object = object, .seen = json_object()};
}

/* Returns the value, NULL if it is absent or null; the key counts as read. */
static const json_t *value_of(ls_config_keys *k, const char *key)
{
    const json_t *value = json_object_get(k->object, key);
    if (value) json_object_set_new(k->seen, key, json_true());
    return value && !json_is_null(value) ? value : NULL;
}

/* Keys of all models that change nothing that is computed here. */
static const char *const common[] = {"architectures",
                                     "model_type",
                                     "bos_token_id",
                                     "eos_token_id",
                                     "pad_token_id",
                                     "unk_token_id",
                                     "initializer_range",
                                     "torch_dtype",
                                     "dtype",
                                     "transformers_version",
                                     "use_cache",
                                     "id2label",
                                     "label2id",
                                     "problem_type",
                                     "return_dict",
                                     "output_hidden_states",
                                     "output_attentions",
                                     "chunk_size_feed_forward",
                                     NULL};

static bool is_listed(const char *key, const char *const *list)
{
    for (; list && *list; list++)
        if (strcmp(*list, key) == 0) return true;
    return key[0] == '_';
}

ls_status ls__keys_close(ls_config_keys *k, const char *const *harmless)
{
    char        text[64];
    const char *key;
    json_t     *value;
    json_object_foreach((json_t *)(uintptr_t)k->object, key, value)
    {
        if (k->status != LS_OK || json_is_null(value) || json_object_get(k->seen, key) || is_listed(key, harmless) ||
            (!k->outer && is_listed(key, common)))
            continue;
        k->status = LS_FAIL(LS_ERR_DATA,
                            "%s: %s%.60s: %s: the key is unknown, and may change what the model computes" LS_HINT
                            "remove the key if it does not",
                            k->path, k->place, key, ls__json_value(value, text));
    }
    json_decref(k->seen);
    if (k->outer && k->outer->status == LS_OK) k->outer->status = k->status;
    return k->status;
}

void ls__key_fails(ls_config_keys *k, const char *key, const char *expected)
{
    char          text[64];
    const json_t *value = value_of(k, key);
    if (k->status != LS_OK) return;
    k->status = LS_FAIL(LS_ERR_DATA, "%s: %s%s: expected %s, found %s", k->path, k->place, key, expected,
                        value ? ls__json_value(value, text) : "nothing");
}

bool ls__key_has(ls_config_keys *k, const char *key) { return value_of(k, key) != NULL; }

static int64_t whole(ls_config_keys *k, const char *key, const json_t *value)
{
    if (json_is_integer(value) && json_integer_value(value) > 0 && json_integer_value(value) <= INT32_MAX)
        return json_integer_value(value);
    ls__key_fails(k, key, "a whole number from 1 to 2147483647");
    return 1;
}

int64_t ls__key_int(ls_config_keys *k, const char *key, int64_t fallback)
{
    const json_t *value = value_of(k, key);
    return value || !fallback ? whole(k, key, value) : fallback;
}

int64_t ls__key_int_or_none(ls_config_keys *k, const char *key, int64_t fallback)
{
    const json_t *value = json_object_get(k->object, key);
    if (!value) return fallback;
    value = value_of(k, key);
    return value ? whole(k, key, value) : 0;
}

double ls__key_real(ls_config_keys *k, const char *key, double fallback)
{
    const json_t *value = value_of(k, key);
    if (!value) return fallback;
    const double x = json_number_value(value);
    if (json_is_number(value) && x >= 0 && x <= 1e30) return x;
    ls__key_fails(k, key, "a number of at least 0");
    return fallback;
}

double ls__key_real_or_none(ls_config_keys *k, const char *key, double fallback)
{
    const json_t *value = json_object_get(k->object, key);
    return value && json_is_null(value) ? (value_of(k, key), 0) : ls__key_real(k, key, fallback);
}

bool ls__key_bool(ls_config_keys *k, const char *key, bool fallback)
{
    const json_t *value = value_of(k, key);
    if (!value) return fallback;
    if (!json_is_boolean(value)) ls__key_fails(k, key, "true or false");
    return json_is_true(value);
}

const char *ls__key_text(ls_config_keys *k, const char *key, const char *fallback)
{
    const json_t *value = value_of(k, key);
    if (!value) return fallback;
    if (!json_is_string(value)) ls__key_fails(k, key, "a text");
    return json_is_string(value) ? json_string_value(value) : fallback;
}

/* Names of activations in transformers; the first name of a kind is the one that is written. */
static const struct {
    const char   *name;
    ls_activation kind;
} activations[] = {{"silu", LS_SILU},          {"swish", LS_SILU}, {"gelu_pytorch_tanh", LS_GELU_TANH},
                   {"gelu_new", LS_GELU_TANH}, {"gelu", LS_GELU},  {"relu", LS_RELU}};
enum { ACTIVATIONS = sizeof activations / sizeof *activations };

ls_activation ls__key_activation(ls_config_keys *k, const char *key, ls_activation fallback)
{
    const char *name = ls__key_text(k, key, NULL);
    if (!name) return fallback;
    for (int i = 0; i < ACTIVATIONS; i++)
        if (strcmp(name, activations[i].name) == 0) return activations[i].kind;
    ls__key_fails(k, key, "gelu, gelu_new, gelu_pytorch_tanh, relu or silu");
    return fallback;
}

const char *ls__activation_name(ls_activation kind)
{
    int i = 0;
    while (activations[i].kind != kind) i++;
    return activations[i].name;
}

const json_t *ls__key_list(ls_config_keys *k, const char *key, int64_t length)
{
    char          expected[48];
    const json_t *value = value_of(k, key);
    if (!value) return NULL;
    if (json_is_array(value) && (int64_t)json_array_size(value) == length) return value;
    snprintf(expected, sizeof expected, "a list of %lld values", (long long)length);
    ls__key_fails(k, key, expected);
    return NULL;
}

bool ls__key_object(ls_config_keys *k, const char *key, ls_config_keys *inner)
{
    const json_t *value = value_of(k, key);
    if (!value) return false;
    if (!json_is_object(value)) {
        ls__key_fails(k, key, "an object");
        return false;
    }
    ls__keys_open(inner, k->path, value);
    inner->outer = k;
    snprintf(inner->place, sizeof inner->place, "%.20s%.40s.", k->place, key);
    return true;
}
