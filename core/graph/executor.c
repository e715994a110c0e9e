/* SPDX-License-Identifier: Apache-2.0
 * Executes a planned program on the CPU: resolves buffers to pointers and calls the kernels in order. */
#include <omp.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/philox.h"
#include "core/graph/graph.h"
#include "core/graph/loop.h"
#include "core/graph/planner.h"
#include "core/graph/program.h"

ls_status ls__program_bind(ls_program *p, void *arena)
{
    p->arena = arena;
    if (p->options.loss && !p->ones.data) {
        LS_TRY(ls_block_new(&p->ones, (size_t)p->options.max_rows * sizeof(float), "seed gradient"));
        for (int64_t i = 0; i < p->options.max_rows; i++) ((float *)p->ones.data)[i] = 1;
    }
    if (!p->state.data) return ls_block_new(&p->state, p->state_bytes, "state"); /* zeroed */
    ls__program_reset(p);
    return LS_OK;
}

/* The first state at or after buffer b; p->buffers if there is none. */
static int next_state(const ls_program *p, int b)
{
    while (b < p->buffers && p->buffer[b].place != LS_PLACE_STATE) b++;
    return b;
}

ls_status ls__program_share_state(ls_program *p, const ls_program *with)
{
    int i = next_state(p, 0), k = next_state(with, 0);
    while (i < p->buffers && k < with->buffers && !strcmp(p->buffer[i].name, with->buffer[k].name) &&
           p->buffer[i].bytes == with->buffer[k].bytes && p->buffer[i].offset == with->buffer[k].offset) {
        i = next_state(p, i + 1);
        k = next_state(with, k + 1);
    }
    LS_CHECK(i == p->buffers && k == with->buffers, LS_ERR_USAGE,
             "state '%s': the model to share states with has '%s' in its place" LS_HINT
             "models that share states must have the same ones, in the same order",
             i < p->buffers ? p->buffer[i].name : "(none)", k < with->buffers ? with->buffer[k].name : "(none)");
    ls_block_free(&p->state);
    p->state  = with->state;
    p->shares = with;
    return LS_OK;
}

const ls_tensor *ls__program_state(const ls_program *p, int i, float **values)
{
    int b = next_state(p, 0);
    for (; i > 0 && b < p->buffers; i--) b = next_state(p, b + 1);
    if (b == p->buffers) return NULL;
    *values = (float *)((unsigned char *)p->state.data + p->buffer[b].offset);
    return p->buffer[b].tensor;
}

void ls__program_reset(ls_program *p)
{
    if (p->state.data) memset(p->state.data, 0, p->state_bytes);
}

/* The array of the batch for an input by name; NULL: none. */
static const void *batch_data(const ls_batch *batch, const char *name)
{
    for (int i = 0; i < batch->inputs; i++)
        if (strcmp(batch->name[i], name) == 0) return batch->data[i];
    return NULL;
}

static ls_status check_run(const ls_program *p, const ls_execution *run)
{
    const ls_program_options *o = &p->options;
    LS_CHECK(run->rows >= 0 && run->rows <= o->max_rows && run->shards <= o->max_shards, LS_ERR_USAGE,
             "batch: expected at most %lld samples in %d shards, as planned, found %lld in %d", (long long)o->max_rows,
             o->max_shards, (long long)run->rows, run->shards);
    for (int s = 0; s < run->shards; s++) {
        const int64_t rows = run->bound[s + 1] - run->bound[s];
        LS_CHECK(rows <= ls__shard_rows(o), LS_ERR_USAGE,
                 "shard %d of the batch: expected at most %lld samples, as planned, found %lld", s,
                 (long long)ls__shard_rows(o), (long long)rows);
    }
    LS_CHECK(run->sums || run->groups <= 1 || p->params->sums == p->params->grads, LS_ERR_USAGE,
             "batch: expected one group of shards, because an op sums over the batch, found %d", run->groups);
    LS_CHECK(omp_get_max_threads() <= p->threads, LS_ERR_USAGE,
             "threads: expected at most %d, as planned, found %d" LS_HINT
             "set the number of threads before the model or trainer is made",
             p->threads, omp_get_max_threads());
    for (int i = 0; i < p->inputs && run->rows > 0; i++)
        LS_CHECK(batch_data(run->batch, p->input[i]->name), LS_ERR_USAGE, "input '%s': the batch has no array for it",
                 p->input[i]->name);
    return LS_OK;
}

/* Bytes of one sample of a buffer in this run; 0: not batched. */
static size_t row_bytes(const ls_buffer *b)
{
    return b->row_bytes ? (size_t)ls__numel(b->tensor) * ls__dtype_bytes(b->tensor->type) : 0;
}

/* The memory of a buffer; of a value of a loop, that of `step`. */
static void *address_in(const ls_program *p, const ls_execution *run, int buffer, int64_t step)
{
    if (buffer < 0) return NULL;
    const ls_buffer *b = &p->buffer[buffer];
    switch (b->place) {
    case LS_PLACE_STEP:
        return p->arena + b->offset + (b->copies ? (size_t)(step % b->copies) * b->stride : 0);
    case LS_PLACE_PARAM:
        return (float *)p->params->block.data + b->offset;
    case LS_PLACE_NARROW:
        return (uint16_t *)p->params->narrow.data + b->offset;
    case LS_PLACE_GRAD:
        return run->grads + b->offset;
    case LS_PLACE_STATE:
        return (unsigned char *)p->state.data + b->offset;
    case LS_PLACE_ONES:
        return p->ones.data;
    case LS_PLACE_INPUT: {
        const unsigned char *data = batch_data(run->batch, b->tensor->name);
        return data ? (void *)(uintptr_t)(data + (size_t)run->skip * row_bytes(b)) : NULL;
    }
    }
    return NULL;
}

static void *address(const ls_program *p, const ls_execution *run, int buffer)
{
    return address_in(p, run, buffer, p->step);
}

void *ls__program_value(const ls_program *p, const ls_execution *run, const ls_tensor *t)
{
    return address(p, run, p->value_of[ls__root(t)->index]);
}

void *ls__program_gradient(const ls_program *p, const ls_execution *run)
{
    return address(p, run, p->grad_of[ls__root(p->options.gradient)->index]);
}

static uint64_t mix(uint64_t key, uint64_t by)
{
    ls_philox4 r = ls_philox(key, 0, by);
    return (uint64_t)r.v[0] << 32 | r.v[1];
}

/* Raises p->high_water to the end of the arena memory that the instruction used. */
static void note_high_water(ls_program *p, const ls_execution *run, const ls_instr *instr)
{
    const int *lists[] = {instr->out, instr->din};
    const int  sizes[] = {LS_MAX_OUT, LS_MAX_IN};
    if (instr->scratch && instr->at + instr->scratch > p->high_water) p->high_water = instr->at + instr->scratch;
    for (int l = 0; l < 2; l++)
        for (int k = 0; k < sizes[l]; k++) {
            if (lists[l][k] < 0) continue;
            const ls_buffer *b = &p->buffer[lists[l][k]];
            if (b->place != LS_PLACE_STEP) continue;
            size_t end = b->offset + (b->row_bytes && !b->copies ? row_bytes(b) * (size_t)run->rows : b->bytes);
            end        = (end + 63) / 64 * 64;
            if (end > p->high_water) p->high_water = end;
        }
}

/* Gives a call one group per shard, with the leaves of input instr->leaf as destinations. */
static void use_leaves(const ls_program *p, const ls_execution *run, const ls_instr *instr, ls_call *c)
{
    const size_t count = (size_t)ls__numel(c->node->in[instr->leaf]);
    for (int s = 0; s < run->shards; s++)
        p->leaf_group[s] = (ls_group){.first = s, .shards = 1, .offset = (size_t)s * count};
    c->groups = run->shards;
    c->group  = p->leaf_group;
}

/* Zeroes the padding between parameters in gradient memory that an instruction used as workspace: the padding is
 * all-reduced and updated together with the parameters, and must stay zero. */
static void zero_padding(const ls_program *p, const ls_execution *run, const ls_instr *instr)
{
    const size_t begin = instr->gradient_scratch_at, end = begin + instr->gradient_scratch / sizeof(float);
    for (int i = 0; i < p->params->count && instr->gradient_scratch; i++) {
        const ls_param_slot *s    = &p->params->slot[i];
        const size_t         last = s->offset + (size_t)s->count,
                     next         = (last + LS_PARAM_ALIGN - 1) / LS_PARAM_ALIGN * LS_PARAM_ALIGN;
        if (s->offset >= begin && next <= end) memset(run->grads + last, 0, (next - last) * sizeof(float));
    }
}

static void run_kernel(ls_program *p, const ls_execution *run, const ls_instr *instr)
{
    static const int64_t one[]   = {0, 1};
    const ls_node       *n       = instr->node;
    const bool           batched = n->out[0]->batched;
    ls_call              c       = {.node                   = n,
                                    .args                   = n->args,
                                    .rows                   = batched ? run->rows : 1,
                                    .shards                 = batched ? run->shards : 1,
                                    .bound                  = batched ? run->bound : one,
                                    .shard_rows             = batched ? ls__shard_rows(&p->options) : 1,
                                    .training               = run->training,
                                    .groups                 = run->groups,
                                    .group                  = run->group,
                                    .scratch                = instr->scratch ? p->arena + instr->at : NULL,
                                    .gradient_scratch_bytes = instr->gradient_scratch,
                                    .packed                 = address(p, run, instr->packed),
                                    .step                   = p->step,
                                    .steps                  = p->steps,
                                    .first_sample           = run->first_sample};
    const int64_t        result  = p->step + (n->op == LS_OP_carry && n->loop); /* the step of the result */
    if (instr->gradient_scratch) c.gradient_scratch = run->grads + instr->gradient_scratch_at;
    if (instr->stage) {
        float *total   = run->sums ? (float *)(uintptr_t)run->sums : run->grads;
        c.stage        = instr->stage;
        c.handed_over  = instr->handed_over;
        c.sums         = (instr->stage == LS_STAGE_SUMS ? run->grads : total) + instr->sums;
        c.forward_sums = total + instr->forward_sums;
        c.batch_rows   = run->batch->global_rows;
    }
    c.key = mix(mix(run->seed, (uint64_t)run->step), (uint64_t)n->index);
    if (p->steps) c.key = mix(c.key, (uint64_t)p->step);
    for (int k = 0; k < n->ins; k++) {
        c.x[k]   = address(p, run, instr->in[k]);
        c.dx[k]  = address(p, run, instr->din[k]);
        c.add[k] = instr->add[k] || (instr->sum[k] && p->step + 1 < p->steps);
    }
    for (int k = 0; k < n->outs; k++) {
        c.y[k]  = address_in(p, run, instr->out[k], result);
        c.dy[k] = address_in(p, run, instr->dout[k], result);
    }
    if (instr->leaf >= 0) use_leaves(p, run, instr, &c);
    if (instr->deferred) ls__loop_gather(p, instr, &c);
    (instr->kind == LS_INSTR_BACKWARD ? ls__op(n)->backward : ls__op(n)->forward)[LS_CPU](&c);
    zero_padding(p, run, instr);
}

/* Packs the operands of a node in a loop. */
static void run_pack(const ls_program *p, const ls_execution *run, const ls_instr *instr)
{
    ls_call c = {.node = instr->node, .args = instr->node->args, .packed = address(p, run, instr->packed)};
    for (int k = 0; k < instr->node->ins; k++) c.x[k] = address(p, run, instr->in[k]);
    ls__op(instr->node)->pack[instr->reverse](&c);
}

/* Begins a loop, or ends one step of it.  Returns the position of the instruction before the next one. */
static int run_loop(ls_program *p, const ls_instr *instr, int at, int *begin)
{
    if (instr->kind == LS_INSTR_LOOP) {
        p->steps      = ls__loop_steps(instr->loop);
        p->step       = instr->reverse ? p->steps - 1 : 0;
        return *begin = at;
    }
    p->step += instr->reverse ? -1 : 1;
    if (p->step >= 0 && p->step < p->steps) return *begin;
    p->step = p->steps = 0;
    return at;
}

/* Sums the leaves of each group as a binary tree, into the gradient block. */
static void run_fold(ls_program *p, const ls_execution *run, const ls_instr *instr)
{
    const ls_param_slot *slot  = &p->params->slot[instr->slot];
    const int64_t        count = slot->count;
    float               *leaf  = address(p, run, instr->dout[0]);
    for (int k = 0; k < run->groups; k++) {
        const ls_group *g    = &run->group[k];
        float          *base = leaf + g->first * count, *to = run->grads + instr->offset + g->offset;
        for (int distance = 1; distance < g->shards; distance *= 2)
            for (int s = 0; s + distance < g->shards; s += 2 * distance) {
                float       *x = base + s * count;
                const float *y = base + (s + distance) * count;
#pragma omp parallel for schedule(static) if (count > 16384)
                for (int64_t i = 0; i < count; i++) x[i] += y[i];
            }
        if (g->add)
            for (int64_t i = 0; i < count; i++) to[i] += base[i];
        else
            memcpy(to, base, (size_t)count * sizeof *to);
    }
}

static ls_status run_instr(ls_program *p, const ls_execution *run, const ls_instr *instr)
{
    switch (instr->kind) {
    case LS_INSTR_FORWARD:
    case LS_INSTR_RECOMPUTE:
    case LS_INSTR_BACKWARD:
        run_kernel(p, run, instr);
        break;
    case LS_INSTR_FOLD:
        run_fold(p, run, instr);
        break;
    case LS_INSTR_PACK:
        run_pack(p, run, instr);
        break;
    case LS_INSTR_LOOP:
    case LS_INSTR_END:
        break;
    case LS_INSTR_CALL:
        return instr->call(instr->context, run);
    }
    return LS_OK;
}

static ls_phase phase_of(const ls_execution *run, const ls_instr *instr)
{
    if (instr->phase) return instr->phase;
    if (!run->training) return LS_PHASE_EVAL;
    return instr->kind == LS_INSTR_FORWARD || (instr->kind == LS_INSTR_PACK && !instr->reverse) ? LS_PHASE_FORWARD
           : instr->kind == LS_INSTR_CALL                                                       ? LS_PHASE_UPDATE
                                                                                                : LS_PHASE_BACKWARD;
}

ls_status ls__program_run(ls_program *p, const ls_execution *run)
{
    LS_TRY(check_run(p, run));
    if (!run->idle) LS_TRY(ls__graph_reshape(p->graph, run->batch));
    LS_TRY(ls__program_check_scratch(p));
    if (p->params) ls__params_refresh(p->params);
    const bool timed  = run->seconds || run->flight;
    int64_t    start  = timed ? ls__clock_ns() : 0;
    ls_status  status = LS_OK;
    int        begin  = 0;
    p->step = p->steps = 0;
    ls__progress_hook  = run->poller;
    for (int i = 0; i < p->instrs && status == LS_OK; i++) {
        const ls_instr *instr = &p->instr[i];
        if (run->idle && instr->kind != LS_INSTR_CALL) continue;
        if (instr->kind == LS_INSTR_LOOP || instr->kind == LS_INSTR_END) {
            i = run_loop(p, instr, i, &begin);
            continue;
        }
        if (run->flight)
            ls__flight_begin_at(run->flight,
                                &(ls_flight_note){.phase = phase_of(run, instr),
                                                  .what  = instr->label ? instr->label : instr->name,
                                                  .step  = run->step + run->training,
                                                  .micro = run->micro,
                                                  .instr = i,
                                                  .count = instr->count},
                                start);
        status = run_instr(p, run, instr);
        note_high_water(p, run, instr);
        int64_t end = timed ? ls__clock_ns() : 0;
        if (run->flight) ls__flight_end_at(run->flight, end);
        if (run->seconds) run->seconds[i] += (double)(end - start) * 1e-9;
        start = end;
        ls__progress_hook_run();
    }
    ls__progress_hook = NULL;
    LS_TRY(status);
    return LS_OK;
}
