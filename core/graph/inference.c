/* SPDX-License-Identifier: Apache-2.0
 * Inference: a program without a loss, its own arena, and the parameters of the caller.  With a gradient, the program
 * has a backward pass that computes no gradient of a parameter. */
#include "core/graph/program.h"

#include <string.h>

struct ls_model {
    ls_program  *program;
    ls_block     arena;
    ls_execution run;
    int64_t      bound[2];
};

/* Replaces *params by a view of them for graph `g`, with parameters matched by name, if they belong to another graph
 * (a trainer's). */
static ls_status params_for(ls_graph *g, ls_params **params)
{
    if ((*params)->graph == g) return LS_OK;
    ls_params *view = ls_arena_alloc(g->arena, sizeof *view);
    *view           = **params;
    view->origin    = *params;
    view->slot_of   = ls_arena_alloc(g->arena, (size_t)(g->tensors + 1) * sizeof *view->slot_of);
    for (int i = 0; i < g->tensors; i++) {
        const ls_tensor *t = g->tensor[i], *its;
        view->slot_of[i]   = -1;
        if (t->role != LS_ROLE_PARAM) continue;
        const int slot = view->slot_of[i] = ls_params_find(view, t->name);
        LS_CHECK(slot >= 0, LS_ERR_USAGE,
                 "parameter '%s' (%s): the given parameters, of another graph, have none of this name", t->name,
                 ls__shape(t));
        its = view->slot[slot].tensor;
        LS_CHECK(its->rank == t->rank && !memcmp(its->dim, t->dim, (size_t)t->rank * sizeof *t->dim), LS_ERR_USAGE,
                 "parameter '%s': expected the shape %s, found %s in the given parameters, of another graph", t->name,
                 ls__shape(t), ls__shape(its));
    }
    *params = view;
    return LS_OK;
}

static ls_status new_model(ls_model **out, ls_graph *g, ls_params *params, const ls_program_options *options)
{
    LS_TRY(ls__params_new_copy(params, g->precision));
    LS_TRY(params_for(g, &params));
    ls_program *p;
    LS_TRY(ls__program_new(&p, g, params, options));
    ls_model *m      = ls_arena_alloc(p->memory, sizeof *m);
    m->program       = p;
    ls_status status = ls__program_plan(p);
    if (status == LS_OK) status = ls_block_new(&m->arena, p->arena_bytes, "inference");
    if (status == LS_OK) status = ls__program_bind(p, m->arena.data);
    if (status != LS_OK) {
        ls_model_free(m);
        return status;
    }
    *out = m;
    return LS_OK;
}

ls_status ls_model_new(ls_model **out, ls_graph *g, ls_params *params, ls_tensor **outputs, int n, int64_t max_rows)
{
    LS_TRY(ls_graph_status(g));
    ls_tensor **output = ls_arena_alloc(g->arena, ((size_t)n + 1) * sizeof *output); /* read as float32 */
    for (int i = 0; i < n; i++)
        output[i] = outputs[i] && outputs[i]->type == LS_BF16 ? ls__converted(outputs[i], LS_F32) : outputs[i];
    return new_model(out, g, params,
                     &(ls_program_options){.output = output, .outputs = n, .max_rows = max_rows, .max_shards = 1});
}

ls_status ls_model_new_gradient(ls_model **out, ls_graph *g, ls_params *params, ls_tensor *y, ls_tensor *x,
                                int64_t max_rows)
{
    LS_TRY(ls_graph_status(g));
    LS_CHECK(x && y && x->type == LS_F32, LS_ERR_USAGE, "gradient: expected two tensors of float32");
    ls__differentiate((ls_tensor *)(uintptr_t)ls__root(x));
    LS_CHECK(y->needs_grad, LS_ERR_USAGE, "gradient: '%s' does not depend on '%s'", y->name, x->name);
    return new_model(out, g, params,
                     &(ls_program_options){.output     = (ls_tensor *[]){y, x},
                                           .outputs    = 2,
                                           .loss       = y,
                                           .gradient   = x,
                                           .max_rows   = max_rows,
                                           .max_shards = 1});
}

ls_status ls_model_run(ls_model *m, const ls_batch *batch)
{
    m->bound[1] = batch->rows;
    m->run      = (ls_execution){
             .batch = batch, .rows = batch->rows, .shards = 1, .bound = m->bound, .first_sample = batch->first};
    return ls__program_run(m->program, &m->run);
}

const float *ls_model_output(const ls_model *m, int i)
{
    return ls__program_value(m->program, &m->run, m->program->options.output[i]);
}

const float *ls_model_gradient(const ls_model *m) { return ls__program_gradient(m->program, &m->run); }

ls_status ls_model_share_state(ls_model *m, const ls_model *with)
{
    return ls__program_share_state(m->program, with->program);
}

void ls_model_reset(ls_model *m) { ls__program_reset(m->program); }

float *ls_model_state(ls_model *m, int i, int *rank, int64_t dims[LS_MAX_DIMS])
{
    float           *values = NULL;
    const ls_tensor *t      = ls__program_state(m->program, i, &values);
    *rank                   = t ? ls_tensor_dims(t, dims) : 0;
    return t ? values : NULL;
}

void ls_model_free(ls_model *m)
{
    if (!m) return;
    ls_block_free(&m->arena);
    ls__program_free(m->program);
}
