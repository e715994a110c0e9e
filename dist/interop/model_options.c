/* SPDX-License-Identifier: Apache-2.0
 *
 * Implements dist/interop/model_options.h.
 */
#include "dist/interop/model_options.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/models/model_table.h"
#include "dist/interop/json_file.h"

static const ls_model_entry *entry_of(const char *model)
{
    const ls_model_entry *m = ls__model_table;
    while (m->name && strcmp(m->name, model) != 0) m++;
    return m;
}

static bool counts(const ls_field *f)
{
    static const char *const not_in_files[] = {"classes", "dropout", "textbook", "pool"};
    for (size_t i = 0; i < sizeof not_in_files / sizeof *not_in_files; i++)
        if (strcmp(f->name, not_in_files[i]) == 0) return false;
    return true;
}

static const void *value_of(const ls_field *f, const void *args) { return (const char *)args + f->offset; }

static bool is_equal(const ls_field *f, const void *args, const void *other)
{
    const void *x = value_of(f, args), *y = value_of(f, other);
    switch (f->kind) {
    case LS_FIELD_INT:
    case LS_FIELD_CHOICE:
        return *(const int *)x == *(const int *)y;
    case LS_FIELD_INT64:
        return *(const int64_t *)x == *(const int64_t *)y;
    case LS_FIELD_BOOL:
        return *(const bool *)x == *(const bool *)y;
    case LS_FIELD_FLOAT:
        return fabs((double)*(const float *)x - (double)*(const float *)y) <= 1e-6 * fabs((double)*(const float *)x);
    case LS_FIELD_INIT:
    case LS_FIELD_DIMS:
        break;
    }
    return true; /* no model has such an option */
}

static const char *print_value(const ls_field *f, const void *args, char text[64])
{
    const void *x = value_of(f, args);
    switch (f->kind) {
    case LS_FIELD_INT:
        snprintf(text, 64, "%d", *(const int *)x);
        break;
    case LS_FIELD_INT64:
        snprintf(text, 64, "%" PRId64, *(const int64_t *)x);
        break;
    case LS_FIELD_FLOAT:
        snprintf(text, 64, "%.9g", ls__shortest(*(const float *)x));
        break;
    case LS_FIELD_BOOL:
        snprintf(text, 64, "%s", *(const bool *)x ? "true" : "false");
        break;
    case LS_FIELD_CHOICE:
        snprintf(text, 64, "%s", f->choices[*(const int *)x]);
        break;
    case LS_FIELD_INIT:
    case LS_FIELD_DIMS:
        *text = 0;
    }
    return text;
}

void ls__model_options_print(const char *model, const void *args, char *text, size_t room)
{
    const ls_model_entry *m           = entry_of(model);
    size_t                used        = 0;
    char                  zeros[1024] = {0}, value[64];
    const void           *defaults    = m->defaults ? m->defaults : zeros;
    *text                             = 0;
    for (const ls_field *f = m->fields; f && f->name; f++)
        if (counts(f) && !is_equal(f, args, defaults) && used < room)
            used += (size_t)snprintf(text + used, room - used, "%s%s: %s", used ? ", " : "", f->name,
                                     print_value(f, args, value));
}

bool ls__model_options_equal(const char *model, const void *args, const void *other)
{
    for (const ls_field *f = entry_of(model)->fields; f && f->name; f++)
        if (counts(f) && !is_equal(f, args, other)) return false;
    return true;
}

ls_status ls__model_options_compare(const char *path, const char *model, const void *file, const void *args)
{
    char                  differences[2048] = "", options[1024], found[64], expected[64];
    size_t                used              = 0;
    const ls_model_entry *m = entry_of(model); /* the classes of a model of samples are those of the data */
    for (const ls_field *f = m->fields; f && f->name; f++)
        if ((counts(f) || (m->kind == LS_LANGUAGE_MODEL && !strcmp(f->name, "classes"))) && !is_equal(f, file, args) &&
            used < sizeof differences)
            used += (size_t)snprintf(differences + used, sizeof differences - used, "%s%s is %s, the model's is %s",
                                     used ? "; " : "", f->name, print_value(f, file, found),
                                     print_value(f, args, expected));
    ls__model_options_print(model, file, options, sizeof options);
    LS_CHECK(!used, LS_ERR_DATA, "%s: it is of another model: %s" LS_HINT "make the model with {%s}", path, differences,
             options);
    return LS_OK;
}
