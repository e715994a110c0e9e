/* SPDX-License-Identifier: Apache-2.0
 *
 * config.json: what Hugging Face's transformers keeps beside model.safetensors, so that from_pretrained can make the
 * model again. What stands in it is what the model said when it was built (ls__graph_facts); read back, it gives the
 * options to build it with.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/graph/graph.h"
#include "core/io/atomic_file.h"
#include "dist/interop/hf_config.h"
#include "dist/dist.h"

enum { MOST_CONFIG = 1 << 20 };

/* ---- writing
 * --------------------------------------------------------------------------------------------------------- */

static json_t *value_of(const ls_config_fact *f)
{
    switch (f->kind) {
    case LS_CONFIG_FACT_TEXT:
        return f->text ? json_string(f->text) : json_null();
    case LS_CONFIG_FACT_LIST:
        return json_pack("[s]", f->text);
    case LS_CONFIG_FACT_INT:
        return json_integer(f->whole);
    case LS_CONFIG_FACT_REAL:
        return json_real(f->real);
    case LS_CONFIG_FACT_BOOL:
        return json_boolean(f->whole);
    }
    return NULL;
}

ls_status ls_hf_config_save(const char *path, const ls_graph *g, bool *written)
{
    ls_file f;
    *written = g->facts > 0;
    if (!*written) return LS_OK;
    json_t *config = json_object();
    bool    good   = config;
    for (int i = 0; i < g->facts; i++)
        good = json_object_set_new(config, g->fact[i].key, value_of(&g->fact[i])) == 0 && good;
    char *text = good ? json_dumps(config, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(config);
    LS_CHECK(text, LS_ERR_ENV, "%s: no memory for its text", path);
    ls_status status = ls__file_create(&f, path);
    if (status == LS_OK) {
        status = ls__file_write(&f, text, strlen(text));
        if (status == LS_OK) status = ls__file_write(&f, "\n", 1);
        status = ls__file_finish(&f, status);
    }
    free(text);
    LS_TRY(status);
    return LS_OK;
}

/* ---- checking
 * -------------------------------------------------------------------------------------------------------- */

static ls_status read_text(int fd, const char *path, json_t **config)
{
    struct stat  info;
    json_error_t error;
    size_t       used = 0;
    if (fstat(fd, &info) != 0) return LS_FAIL_ERRNO("cannot read %s", path);
    LS_CHECK(S_ISREG(info.st_mode) && info.st_size <= MOST_CONFIG, LS_ERR_DATA,
             "%s: expected a file of at most %d bytes", path, MOST_CONFIG);
    char *text = malloc((size_t)info.st_size + 1);
    LS_CHECK(text, LS_ERR_ENV, "%s: no memory for its text", path);
    while (used < (size_t)info.st_size) {
        ssize_t n = read(fd, text + used, (size_t)info.st_size - used);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        used += (size_t)n;
    }
    *config = json_loadb(text, used, JSON_REJECT_DUPLICATES, &error);
    free(text);
    LS_CHECK(*config, LS_ERR_DATA,
             "%s: it is no JSON: %s (line %d, column %d)" LS_HINT "the file is damaged or not complete: get it again",
             path, error.text, error.line, error.column);
    LS_CHECK(json_is_object(*config), LS_ERR_DATA,
             "%s: expected an object of settings, like {\"n_layer\": 12}" LS_HINT "is it the config.json of a model?",
             path);
    return LS_OK;
}

static ls_status read_config(const char *path, json_t **config)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return LS_FAIL_ERRNO("cannot read %s", path);
    ls_status status = read_text(fd, path, config);
    close(fd);
    LS_TRY(status);
    return LS_OK;
}

static bool agrees(const ls_config_fact *f, const json_t *value)
{
    const char *text = json_string_value(json_is_array(value) ? json_array_get(value, 0) : value);
    switch (f->kind) {
    case LS_CONFIG_FACT_TEXT:
    case LS_CONFIG_FACT_LIST:
        return text && (!strcmp(text, f->text) || (f->same && !strcmp(text, f->same)));
    case LS_CONFIG_FACT_INT:
        return json_is_integer(value) && json_integer_value(value) == f->whole;
    case LS_CONFIG_FACT_REAL:
        return json_is_number(value) && fabs(json_number_value(value) - f->real) <= 1e-6 * fabs(f->real);
    case LS_CONFIG_FACT_BOOL:
        return json_is_boolean(value) && json_is_true(value) == (f->whole != 0);
    }
    return false;
}

/* A value as the file has it, short enough for a message. */
static const char *shown(const json_t *value, char text[64])
{
    char *dump = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(9));
    snprintf(text, 64, "%.60s", dump ? dump : "?");
    free(dump);
    return text;
}

/* "layers: 12": a value as the recipe's option that decides it. */
static void add_option(char *options, size_t room, const ls_config_fact *f, const json_t *value)
{
    char   text[64];
    size_t used = strlen(options);
    if (used + 128 > room) return;
    if (json_is_boolean(value)) value = json_boolean(!json_is_true(value)); /* "bias" is the denial of no_bias */
    snprintf(options + used, room - used, "%s%.30s: %s", used ? ", " : "", f->option, shown(value, text));
}

static ls_status compare(const char *path, const json_t *config, const ls_graph *g)
{
    char   differ[2048] = "", options[512] = "";
    size_t used = 0;
    for (int i = 0; i < g->facts; i++) {
        const ls_config_fact *f     = &g->fact[i];
        const json_t         *value = json_object_get(config, f->key);
        char                  its[64], ours[64];
        const bool            silent = !value || json_is_null(value);
        if (!f->checked || (silent ? !f->required : agrees(f, value))) continue;
        json_t *mine = value_of(f);
        if (used < sizeof differ)
            used +=
                (size_t)snprintf(differ + used, sizeof differ - used, "%s%s is %s, the model's is %s", used ? "; " : "",
                                 f->key, silent ? "missing" : shown(value, its), shown(mine, ours));
        json_decref(mine);
        if (f->option && !silent) add_option(options, sizeof options, f, value);
    }
    if (!used) return LS_OK;
    if (*options)
        return LS_FAIL(LS_ERR_DATA, "%s: it is of another model: %s" LS_HINT "make the model with {%s}", path, differ,
                       options);
    return LS_FAIL(LS_ERR_DATA, "%s: it is of another model: %s" LS_HINT "no option of this model makes that one", path,
                   differ);
}

ls_status ls_hf_config_check(const char *path, const ls_graph *g)
{
    json_t   *config = NULL;
    ls_status status = read_config(path, &config);
    if (status == LS_OK) status = compare(path, config, g);
    json_decref(config);
    LS_TRY(status);
    return LS_OK;
}

/* ---- building
 * ------------------------------------------------------------------------------------------------------------- */

static bool is_of_kind(const ls_config_fact *f, const json_t *value)
{
    switch (f->kind) {
    case LS_CONFIG_FACT_TEXT:
    case LS_CONFIG_FACT_LIST:
        return json_is_string(value);
    case LS_CONFIG_FACT_INT:
        return json_is_integer(value) && json_integer_value(value) > 0 && json_integer_value(value) <= INT32_MAX;
    case LS_CONFIG_FACT_REAL:
        return json_is_number(value);
    case LS_CONFIG_FACT_BOOL:
        return json_is_boolean(value);
    }
    return false;
}

static ls_status gather_options(const char *path, const json_t *config, const ls_graph *g, char *options, size_t room,
                                int64_t *classes)
{
    char        its[64];
    const char *type = json_string_value(json_object_get(config, "model_type"));
    *options         = 0;
    *classes         = 0;
    for (int i = 0; i < g->facts; i++) {
        const ls_config_fact *f      = &g->fact[i];
        const json_t         *value  = json_object_get(config, f->key);
        const bool            silent = !value || json_is_null(value);
        if (!f->option || (silent && !f->required)) continue;
        LS_CHECK(!silent, LS_ERR_DATA,
                 "%s: expected %s, found nothing; the model_type is '%.40s'" LS_HINT "it must be a model like %s's",
                 path, f->key, type ? type : "", g->fact[0].text ? g->fact[0].text : "this program");
        LS_CHECK(is_of_kind(f, value), LS_ERR_DATA, "%s: %s: expected %s, found %s", path, f->key,
                 f->kind == LS_CONFIG_FACT_INT    ? "a whole number from 1 to 2147483647"
                 : f->kind == LS_CONFIG_FACT_REAL ? "a number"
                 : f->kind == LS_CONFIG_FACT_BOOL ? "true or false"
                                                  : "a text",
                 shown(value, its));
        if (!strcmp(f->option, "classes"))
            *classes = json_integer_value(value);
        else
            add_option(options, room, f, value);
    }
    return LS_OK;
}

ls_status ls__hf_config_options(const char *path, const ls_graph *g, char *options, size_t room, int64_t *classes)
{
    json_t   *config = NULL;
    ls_status status = read_config(path, &config);
    if (status == LS_OK) status = gather_options(path, config, g, options, room, classes);
    json_decref(config);
    LS_TRY(status);
    return LS_OK;
}
