/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys of an object of config.json, read one by one.  Not public.
 *
 *     ls_config_keys k;
 *     ls__keys_open(&k, "dir/config.json", object);
 *     layers = ls__key_int(&k, "num_hidden_layers", 0);       the first error is kept; later calls return fallbacks
 *     return ls__keys_close(&k, harmless);                    the error, or one for keys that nothing has read
 */
#ifndef LS_DIST_INTEROP_CONFIG_KEYS_H
#define LS_DIST_INTEROP_CONFIG_KEYS_H

#include <jansson.h>

#include "core/core.h"

typedef struct ls_config_keys {
    const char            *path; /* of the file, for messages */
    const json_t          *object;
    char                   place[64]; /* of the object in the file: "" or "rope_scaling." */
    json_t                *seen;      /* keys that have been read */
    ls_status              status;
    struct ls_config_keys *outer; /* receives the error of an inner object; NULL: none */
} ls_config_keys;

void ls__keys_open(ls_config_keys *k, const char *path, const json_t *object);

/* Returns the first error.  harmless: keys that may be there unread, ended by NULL; NULL: none.  Always harmless are
 * null, keys that begin with '_', and at the top of the file those of all models, such as transformers_version. */
ls_status ls__keys_close(ls_config_keys *k, const char *const *harmless);

/* Returns whether the key is there and not null; it then counts as read. */
bool ls__key_has(ls_config_keys *k, const char *key);

/* A whole number of at least 0, below 2^31.  A key that is absent or null gives the fallback; a fallback of 0 makes the
 * key necessary, except with _or_none, where null gives 0. */
int64_t     ls__key_int(ls_config_keys *k, const char *key, int64_t fallback);
int64_t     ls__key_int_or_none(ls_config_keys *k, const char *key, int64_t fallback);
double      ls__key_real(ls_config_keys *k, const char *key, double fallback);
double      ls__key_real_or_none(ls_config_keys *k, const char *key, double fallback);
bool        ls__key_bool(ls_config_keys *k, const char *key, bool fallback);
const char *ls__key_text(ls_config_keys *k, const char *key, const char *fallback);

/* The activation of a perceptron by its name in transformers, and the name of an activation. */
ls_activation ls__key_activation(ls_config_keys *k, const char *key, ls_activation fallback);
const char   *ls__activation_name(ls_activation kind);

/* Returns a list of this length; NULL: absent. */
const json_t *ls__key_list(ls_config_keys *k, const char *key, int64_t length);

/* Opens an object within the object; false: absent.  Close it before k. */
bool ls__key_object(ls_config_keys *k, const char *key, ls_config_keys *inner);

/* Reports that the value of a key is not what was expected. */
void ls__key_fails(ls_config_keys *k, const char *key, const char *expected);

/* Prints a value as the file has it, cut to the length of a message. */
const char *ls__json_value(const json_t *value, char text[64]);

#endif
