/* SPDX-License-Identifier: Apache-2.0
 *
 * Arrays as rows of a batch: one column per array.  Inputs and regression targets are float32 with the shape of a
 * sample; the target of a classification is one int32.
 *
 * A value becomes (value - mean) / std in float64 and is then rounded to float32, so that float64 data with a large
 * offset lose no digits.
 */
#include <math.h>

#include "datasets/array/array.h"

static int columns(const ls_dataset_info *info, ls_column *column)
{
    for (int c = 0; c < info->columns; c++) column[c] = info->column[c];
    return info->columns;
}

/* Room for one sample of the largest column, as float64. */
static size_t workspace_bytes(const ls_dataset_info *info)
{
    size_t most = 1;
    for (int c = 0; c < info->columns; c++) {
        size_t elements = 1;
        for (int i = 0; i < info->column[c].rank; i++) elements *= (size_t)info->column[c].dim[i];
        if (elements > most) most = elements;
    }
    return most * sizeof(double);
}

/* Converts a sample to float32; returns the index of the first value that float32 cannot hold, or -1. */
static int64_t convert(const ls_scaler_column *s, int64_t elements, const double *x, float *y)
{
    int64_t count = s ? s->count : 1, each = s ? s->each : elements, bad = -1;
    for (int64_t k = 0; k < count; k++) {
        double mean = s ? s->mean[k] : 0, std = s ? s->std[k] : 1;
        for (int64_t i = k * each; i < (k + 1) * each; i++) {
            y[i] = (float)((x[i] - mean) / std);
            if (bad < 0 && !isfinite(y[i])) bad = i;
        }
    }
    return bad;
}

static ls_status row(ls_dataset *base, void *workspace, const ls_order *o, const ls_place *p, void *const *row)
{
    ls_array_set *d = (ls_array_set *)base;
    int64_t       i = o->in_order ? p->at : ls_sample_at(o->seed, p->epoch, base->info.count, p->at);
    for (int c = 0; c < d->columns; c++) {
        const ls_array_column_data *column = &d->column[c];
        if (c == d->label_column) {
            *(int32_t *)row[c] = d->labels[d->skip + i];
            continue;
        }
        LS_TRY(ls__array_values(d, c, i, 1, workspace));
        int64_t bad = convert(d->scale[c], column->elements, workspace, row[c]);
        if (bad >= 0) {
            int64_t              in_file;
            const ls_array_file *f = ls__array_file_of(d, i, &in_file);
            return LS_FAIL(LS_ERR_DATA, "%s: /%s: sample %lld: element %lld is %g; expected a value within float32%s",
                           f->path, column->dataset, (long long)in_file, (long long)bad, ((double *)workspace)[bad],
                           d->scale[c] ? " after scaling" : "");
        }
    }
    return LS_OK;
}

const ls_kind ls__kind_arrays = {
    .name            = "arrays",
    .columns         = columns,
    .workspace_bytes = workspace_bytes,
    .row             = row,
};
