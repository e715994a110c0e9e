/* SPDX-License-Identifier: Apache-2.0
 * A linear probe: see launch/transfer/probe.h. */
#include "launch/transfer/probe.h"

#include <string.h>

#include "core/graph/params.h"
#include "launch/transfer/features.h"

static float *values_of(ls_params *p, const ls_tensor *t)
{
    return (float *)p->block.data + p->slot[p->slot_of[t->index]].offset;
}

/* Sets the parameters of the head to those of the fit, which has seen standardised features:
 * W' = W / std, b' = b - W' mean. */
static void set_head(ls_params *p, const ls_node *head, const ls_labelled *f, const double *w, const double *mean,
                     const double *std)
{
    float *weight = values_of(p, head->in[1]), *bias = head->in[2] ? values_of(p, head->in[2]) : NULL;
    for (int k = 0; k < f->classes; k++) {
        const double *row   = w + (int64_t)k * (f->width + 1);
        double        shift = row[f->width];
        for (int d = 0; d < f->width; d++) {
            weight[(int64_t)k * f->width + d] = (float)(row[d] / std[d]);
            shift -= row[d] / std[d] * mean[d];
        }
        if (bias) bias[k] = (float)shift;
    }
    p->stale = true;
}

ls_status ls_run_probe(ls_run *run, const char *folder, ls_probe_result *result)
{
    ls_labelled     train, test;
    ls_logistic_fit fit;
    const ls_node  *head;
    bool            cached[2];
    LS_TRY_COLLECTIVE(run, ls_features_head(run, &head));
    LS_TRY(ls_features_of(run, run->train, folder, &train, &cached[0]));
    LS_TRY(ls_features_of(run, run->test, folder, &test, &cached[1]));
    double *mean = ls_arena_alloc(run->memory, sizeof *mean * (size_t)train.width),
           *std  = ls_arena_alloc(run->memory, sizeof *std * (size_t)train.width);
    fit.w        = ls_arena_alloc(run->memory, sizeof *fit.w * (size_t)train.classes * ((size_t)train.width + 1));
    ls_labelled_standardise(&train, &test, mean, std);
    ls_run_phase_begin(run, LS_PHASE_START, "fitting the last layer", 0);
    ls_status status = ls_logistic_regression(run->comm, &train, &fit);
    ls_run_phase_end(run);
    LS_TRY(status);
    set_head(ls_trainer_params(run->trainer), head, &train, fit.w, mean, std);
    LS_TRY(ls_comm_barrier(run->comm));
    *result = (ls_probe_result){
        .samples = test.count, .decay = fit.decay, .iterations = fit.iterations, .cached = cached[0] && cached[1]};
    ls_logistic_score(&test, fit.w, &result->loss, &result->accuracy);
    return LS_OK;
}
