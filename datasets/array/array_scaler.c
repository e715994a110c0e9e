/* SPDX-License-Identifier: Apache-2.0
 *
 * The scaler: mean and standard deviation of the inputs and regression targets of a training split, as scikit-learn's
 * StandardScaler has them.
 *
 * A sample of rank >= 2 has one mean and std per channel (its first dim); a vector has one per element.  They are
 * computed in float64, in one pass over the samples in file order, so that every rank gets the same bits.  Per channel,
 * the n values seen so far have the mean m and the sum of squared deviations M.  A sample adds k values with the mean
 * m' and the sum M' (Chan, Golub, LeVeque 1983):
 *
 *     d = m' - m      m += d k / (n + k)      M += M' + d^2 n k / (n + k)      std = sqrt(M / n)
 *
 * A channel whose variance is below the rounding errors of this sum is constant, and its std is set to 1 (the bound is
 * scikit-learn's).
 */
#include <float.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/array/array.h"

enum { READ_BYTES = 1 << 20 };

/* ---- memory ------------------------------------------------------------------------------------------------------ */

static ls_status scaler_new(ls_scaler **scaler)
{
    ls_arena *arena;
    *scaler = NULL;
    LS_TRY(ls_arena_new(&arena, "scaler"));
    *scaler          = ls_arena_alloc(arena, sizeof **scaler);
    (*scaler)->arena = arena;
    return LS_OK;
}

void ls_scaler_free(ls_scaler *s)
{
    if (s) ls_arena_free(s->arena);
}

static ls_scaler_column *add_column(ls_scaler *s, const char *name, int64_t count, int64_t each)
{
    ls_scaler_column *c = &s->column[s->columns++];
    snprintf(c->name, sizeof c->name, "%s", name);
    c->count = count;
    c->each  = each;
    c->mean  = ls_arena_alloc(s->arena, (size_t)count * sizeof *c->mean);
    c->std   = ls_arena_alloc(s->arena, (size_t)count * sizeof *c->std);
    return c;
}

static const ls_scaler_column *find(const ls_scaler *s, const char *name)
{
    for (int c = 0; c < s->columns; c++)
        if (!strcmp(s->column[c].name, name)) return &s->column[c];
    return NULL;
}

/* ---- fitting ----------------------------------------------------------------------------------------------------- */

/* Adds one sample, the n-th (from 0), to the mean and, in `std`, the sum of squared deviations. */
static void add_sample(ls_scaler_column *c, int64_t n, const double *x)
{
    const double k = (double)c->each, weight = 1 / (double)(n + 1);
    for (int64_t i = 0; i < c->count; i++, x += c->each) {
        double mean = 0, sum = 0;
        for (int64_t j = 0; j < c->each; j++) mean += x[j];
        mean /= k;
        for (int64_t j = 0; j < c->each; j++) sum += (x[j] - mean) * (x[j] - mean);
        double d = mean - c->mean[i];
        c->mean[i] += d * weight;
        c->std[i] += sum + d * d * k * (double)n * weight;
    }
}

static void finish_column(ls_scaler_column *c, int64_t samples)
{
    double n = (double)samples * (double)c->each;
    for (int64_t i = 0; i < c->count; i++) {
        double variance = c->std[i] / n, rounding = n * c->mean[i] * DBL_EPSILON;
        bool   constant = variance <= n * DBL_EPSILON * variance + rounding * rounding;
        c->std[i]       = constant ? 1 : sqrt(variance);
    }
}

static ls_status fit_column(ls_scaler *s, ls_array_set *d, int column, double *values, int64_t rows)
{
    const ls_array_column_data *a = &d->column[column];
    int64_t           count = a->column.rank >= 2 ? a->column.dim[0] : a->elements, samples = d->base.info.count;
    ls_scaler_column *c = add_column(s, a->column.name, count, a->elements / count);
    for (int64_t i = 0; i < samples; i += rows) {
        int64_t n = samples - i < rows ? samples - i : rows;
        LS_TRY(ls__array_values(d, column, i, n, values));
        for (int64_t k = 0; k < n; k++) add_sample(c, i + k, values + k * a->elements);
    }
    finish_column(c, samples);
    for (int64_t i = 0; i < count; i++)
        LS_CHECK(isfinite(c->mean[i]) && isfinite(c->std[i]), LS_ERR_DATA,
                 "%s: /%s: %s %lld: the mean and variance exceed float64" LS_HINT
                 "scale the values before writing them",
                 d->base.info.path, a->dataset, a->column.rank >= 2 ? "channel" : "element", (long long)i);
    return LS_OK;
}

static ls_status fit(ls_scaler *s, ls_array_set *d)
{
    for (int c = 0; c < d->columns; c++) {
        if (c == d->label_column) continue;
        int64_t rows   = READ_BYTES / (int64_t)sizeof(double) / d->column[c].elements;
        rows           = rows ? rows : 1;
        double *values = malloc((size_t)(rows * d->column[c].elements) * sizeof *values);
        LS_CHECK(values, LS_ERR_ENV, "%s: out of memory for %lld samples", d->base.info.path, (long long)rows);
        ls_status status = fit_column(s, d, c, values, rows);
        free(values);
        LS_TRY(status);
    }
    return LS_OK;
}

ls_status ls_scaler_fit(ls_scaler **scaler, ls_dataset *train)
{
    ls_array_set *d;
    *scaler = NULL;
    LS_TRY(ls__array_set_of(train, &d));
    ls_scaler *s;
    LS_TRY(scaler_new(&s));
    ls_status status = fit(s, d);
    if (status != LS_OK) {
        ls_scaler_free(s);
        return ls__trace(status, __FILE__, __LINE__, __func__);
    }
    *scaler = s;
    return LS_OK;
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

static json_t *pack_numbers(const double *x, int64_t n)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < n; i++) json_array_append_new(list, json_real(x[i]));
    return list;
}

char *ls_scaler_to_json(const ls_scaler *s)
{
    json_t *all = json_object();
    for (int c = 0; c < s->columns; c++) {
        const ls_scaler_column *column = &s->column[c];
        json_object_set_new(all, column->name,
                            json_pack("{s:o, s:o}", "mean", pack_numbers(column->mean, column->count), "std",
                                      pack_numbers(column->std, column->count)));
    }
    char *text = json_dumps(all, JSON_REAL_PRECISION(17));
    json_decref(all);
    return text;
}

static ls_status unpack_numbers(const char *where, const char *name, const char *key, const json_t *list, bool positive,
                                int64_t count, double *x)
{
    LS_CHECK(json_is_array(list) && (int64_t)json_array_size(list) == count, LS_ERR_DATA,
             "%s: %s.%s: expected a list of %lld numbers", where, name, key, (long long)count);
    for (int64_t i = 0; i < count; i++) {
        const json_t *value = json_array_get(list, (size_t)i);
        x[i]                = json_number_value(value);
        LS_CHECK(json_is_number(value) && isfinite(x[i]) && (!positive || x[i] > 0), LS_ERR_DATA,
                 "%s: %s.%s[%lld]: expected a %s number", where, name, key, (long long)i,
                 positive ? "positive" : "finite");
    }
    return LS_OK;
}

static ls_status unpack(ls_scaler *s, const char *where, json_t *all)
{
    const char *name;
    json_t     *value;
    LS_CHECK(json_is_object(all), LS_ERR_DATA, "%s: expected a JSON object with a mean and a std for each array",
             where);
    json_object_foreach(all, name, value)
    {
        const json_t *mean = json_object_get(value, "mean");
        LS_CHECK(s->columns < LS_MAX_INPUTS && strlen(name) < LS_COLUMN_NAME, LS_ERR_DATA,
                 "%s: expected at most %d arrays with names of fewer than %d bytes", where, LS_MAX_INPUTS,
                 LS_COLUMN_NAME);
        LS_CHECK(json_array_size(mean) >= 1, LS_ERR_DATA, "%s: %s.mean: expected a list of numbers", where, name);
        ls_scaler_column *c = add_column(s, name, (int64_t)json_array_size(mean), 0);
        LS_TRY(unpack_numbers(where, name, "mean", mean, false, c->count, c->mean));
        LS_TRY(unpack_numbers(where, name, "std", json_object_get(value, "std"), true, c->count, c->std));
    }
    return LS_OK;
}

ls_status ls_scaler_from_json(ls_scaler **scaler, const char *where, const char *json)
{
    json_error_t error;
    *scaler     = NULL;
    json_t *all = json_loads(json, JSON_REJECT_DUPLICATES, &error);
    LS_CHECK(all, LS_ERR_DATA, "%s:%d:%d: %s", where, error.line, error.column, error.text);
    ls_scaler *s;
    ls_status  status = scaler_new(&s);
    if (status == LS_OK) {
        status = unpack(s, where, all);
        if (status == LS_OK)
            *scaler = s;
        else
            ls_scaler_free(s);
    }
    json_decref(all);
    return status;
}

/* ---- use --------------------------------------------------------------------------------------------------------- */

bool ls_scaler_get(const ls_scaler *s, const char *name, int64_t *count, const double **mean, const double **std)
{
    const ls_scaler_column *c = find(s, name);
    if (!c) return false;
    *count = c->count;
    *mean  = c->mean;
    *std   = c->std;
    return true;
}

static ls_status copy_scaler(ls_scaler **copy, const ls_scaler *s)
{
    LS_TRY(scaler_new(copy));
    for (int c = 0; c < s->columns; c++) {
        const ls_scaler_column *from  = &s->column[c];
        ls_scaler_column       *to    = add_column(*copy, from->name, from->count, from->each);
        size_t                  bytes = (size_t)from->count * sizeof(double);
        memcpy(to->mean, from->mean, bytes);
        memcpy(to->std, from->std, bytes);
    }
    return LS_OK;
}

ls_status ls_dataset_scale(ls_dataset *base, const ls_scaler *s)
{
    ls_array_set *d;
    LS_TRY(ls__array_set_of(base, &d));
    for (int c = 0; c < d->columns; c++) {
        const ls_array_column_data *a = &d->column[c];
        if (c == d->label_column) continue;
        int64_t                 expected = a->column.rank >= 2 ? a->column.dim[0] : a->elements;
        const ls_scaler_column *found    = find(s, a->column.name);
        LS_CHECK(found, LS_ERR_DATA,
                 "%s: /%s: the scaler has no mean and std for this array" LS_HINT
                 "fit the scaler on a split with the same inputs and targets",
                 base->info.path, a->dataset);
        LS_CHECK(found->count == expected, LS_ERR_DATA,
                 "%s: /%s: has %lld %s, but the scaler has %lld means" LS_HINT
                 "the arrays of training had another shape",
                 base->info.path, a->dataset, (long long)expected, a->column.rank >= 2 ? "channels" : "elements",
                 (long long)found->count);
    }
    ls_scaler *copy;
    LS_TRY(copy_scaler(&copy, s));
    ls_scaler_free(d->scaler);
    d->scaler = copy;
    for (int c = 0; c < d->columns; c++) {
        d->scale[c] = NULL;
        for (int k = 0; k < copy->columns && c != d->label_column; k++)
            if (!strcmp(copy->column[k].name, d->column[c].column.name)) {
                copy->column[k].each = d->column[c].elements / copy->column[k].count;
                d->scale[c]          = &copy->column[k];
            }
    }
    return LS_OK;
}

ls_status ls_scaler_inverse(const ls_scaler *s, const char *name, int64_t rows, int64_t elements, float *values)
{
    const ls_scaler_column *c = find(s, name);
    LS_CHECK(c, LS_ERR_USAGE, "%s: the scaler has no array of this name", name);
    LS_CHECK(elements >= 1 && elements % c->count == 0, LS_ERR_USAGE,
             "%s: expected a multiple of %lld elements a sample, found %lld", name, (long long)c->count,
             (long long)elements);
    int64_t each = elements / c->count;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t k = 0; k < c->count; k++)
            for (int64_t i = 0; i < each; i++, values++) *values = (float)((double)*values * c->std[k] + c->mean[k]);
    return LS_OK;
}
