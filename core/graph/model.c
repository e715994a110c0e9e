/* SPDX-License-Identifier: Apache-2.0
 * Inference: a program without a loss, its own arena, and the caller's parameters. */
#include "core/graph/program.h"

struct ls_model {
    ls_program *program;
    ls_block    arena;
    ls_run      run;
    int64_t     bound[2];
};

ls_status ls_model_new(ls_model **out, ls_graph *g, ls_params *params, ls_tensor **outputs, int n, int64_t max_rows)
{
    LS_TRY(ls_graph_status(g));
    ls_program *p;
    LS_TRY(ls__program_new(&p, g, params, &(ls_program_options){.output = outputs, .outputs = n, .max_rows = max_rows, .max_shards = 1}));
    ls_model *m      = ls_arena_alloc(p->memory, sizeof *m);
    m->program       = p;
    ls_status status = ls__program_plan(p);
    if (status == LS_OK) status = ls_block_new(&m->arena, p->arena_bytes + p->scratch_bytes, "inference");
    if (status == LS_OK) status = ls__program_bind(p, m->arena.data);
    if (status != LS_OK) {
        ls_model_free(m);
        return status;
    }
    *out = m;
    return LS_OK;
}

ls_status ls_model_run(ls_model *m, const ls_batch *batch)
{
    m->bound[1] = batch->rows;
    m->run      = (ls_run){.batch = batch, .rows = batch->rows, .shards = 1, .bound = m->bound, .first_sample = batch->first};
    return ls__program_run(m->program, &m->run);
}

const float *ls_model_output(const ls_model *m, int i) { return ls__program_value(m->program, &m->run, m->program->options.output[i]); }

void ls_model_reset(ls_model *m) { ls__program_reset(m->program); }

void ls_model_free(ls_model *m)
{
    if (!m) return;
    ls_block_free(&m->arena);
    ls__program_free(m->program);
}
