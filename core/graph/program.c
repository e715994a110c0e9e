/* SPDX-License-Identifier: Apache-2.0
 * Programs: making and freeing them, inserting CALL instructions, and the ranges of the gradient block that
 * instructions write.  core/graph/build_program.c builds the instructions. */
#include "core/graph/program.h"

#include <string.h>

#include "core/graph/build_program.h"
#include "core/graph/graph.h"
#include "core/graph/recompute.h"

static ls_status check_loss(const ls_tensor *loss)
{
    LS_CHECK(loss->type == LS_F32 && loss->batched && !loss->loop && ls__numel(loss) == 1, LS_ERR_USAGE,
             "loss '%s': expected one float per sample, found the shape %s" LS_HINT
             "end the model in a loss op, ls_sum or ls_mean",
             loss->name, ls__shape(loss));
    LS_CHECK(loss->needs_grad, LS_ERR_USAGE, "loss '%s': depends on no trainable parameter", loss->name);
    return LS_OK;
}

/* Chooses the nodes to recompute, so that the arena has at most options.arena_bytes.  A second program serves the
 * search; its memory is freed at the end. */
static ls_status fit_into_arena(ls_program *p)
{
    ls_program        *other;
    ls_program_options options = p->options;
    options.arena_bytes        = 0;
    LS_TRY(ls__program_new(&other, p->graph, p->params, &options));
    const ls_status status = ls__recompute_for_arena(other, p->options.arena_bytes);
    memcpy(p->recompute, other->recompute, (size_t)p->graph->nodes);
    ls__program_free(other);
    LS_TRY(status);
    return ls__build_program(p);
}

ls_status ls__program_new(ls_program **out, ls_graph *g, ls_params *params, const ls_program_options *options)
{
    ls_arena *memory;
    LS_TRY(ls_graph_status(g));
    LS_CHECK(options->max_rows >= 1 && options->max_shards >= 1, LS_ERR_USAGE,
             "program: expected at least one sample and one shard, found %lld and %d", (long long)options->max_rows,
             options->max_shards);
    LS_CHECK(!g->loop, LS_ERR_USAGE, "program: a loop of the graph has not ended" LS_HINT "call ls_loop_end");
    for (int i = 0; i < options->outputs; i++) {
        LS_CHECK(options->output[i], LS_ERR_USAGE, "model: output %d is NULL", i);
        LS_CHECK(!options->output[i]->loop, LS_ERR_USAGE,
                 "model: output '%s' is a value of one step of a loop" LS_HINT "ls_loop_stack gives the values of all "
                 "steps",
                 options->output[i]->name);
    }
    LS_TRY(ls__graph_reshape(g, NULL));
    if (options->loss) LS_TRY(check_loss(options->loss));
    LS_TRY(ls_arena_new(&memory, "program"));
    ls_program *p = ls_arena_alloc(memory, sizeof *p);
    *p            = (ls_program){.graph = g, .params = params, .options = *options, .memory = memory};
    if (options->outputs) {
        ls_tensor **copy = ls_arena_alloc(memory, (size_t)options->outputs * sizeof *copy);
        memcpy(copy, options->output, (size_t)options->outputs * sizeof *copy);
        p->options.output = copy;
    }
    p->buffer        = ls_arena_alloc(memory, ls__program_buffers(g) * sizeof *p->buffer);
    p->value_of      = ls_arena_alloc(memory, ((size_t)g->tensors + 1) * sizeof *p->value_of);
    p->grad_of       = ls_arena_alloc(memory, ((size_t)g->tensors + 1) * sizeof *p->grad_of);
    p->narrow_of     = ls_arena_alloc(memory, ((size_t)g->tensors + 1) * sizeof *p->narrow_of);
    p->recomputed_of = ls_arena_alloc(memory, ((size_t)g->tensors + 1) * sizeof *p->recomputed_of);
    p->input         = ls_arena_alloc(memory, ((size_t)g->tensors + 1) * sizeof(ls_tensor *));
    p->recompute     = ls_arena_alloc(memory, (size_t)g->nodes + 1);
    p->packed_of     = ls_arena_alloc(memory, ((size_t)g->nodes + 1) * sizeof *p->packed_of);
    p->deferral      = ls_arena_alloc(memory, ((size_t)g->nodes + 1) * sizeof *p->deferral);
    ls_status status = ls__build_with_recompute(p);
    if (status == LS_OK && options->loss && options->arena_bytes) status = fit_into_arena(p);
    if (status != LS_OK) {
        ls__program_free(p);
        return status;
    }
    for (int i = 0; i < g->tensors; i++)
        if (g->tensor[i]->role == LS_ROLE_INPUT && p->value_of[i] >= 0) p->input[p->inputs++] = g->tensor[i];
    *out = p;
    return LS_OK;
}

void ls__program_free(ls_program *p)
{
    if (!p) return;
    ls_block_free(&p->ones);
    if (!p->shares) ls_block_free(&p->state);
    ls_arena_free(p->memory);
}

/* ---- positions --------------------------------------------------------------------------------------------------- */

int ls__program_find(const ls_program *p, ls_instr_tag tag, int id)
{
    for (int i = 0; i < p->instrs; i++)
        if (p->instr[i].kind == LS_INSTR_CALL && p->instr[i].tag == tag && p->instr[i].id == id) return i;
    return -1;
}

int ls__program_next_sums(const ls_program *p, int at)
{
    while (at < p->instrs && (p->instr[at].stage != LS_STAGE_SUMS || ls__group_rows(p->instr[at].node))) at++;
    return at < p->instrs ? at : -1;
}

/* "all-reduce 2 (fc1.weight .. conv2.bias)": a collective with the first and last parameter of its range.  NULL: the
 * range has no parameter. */
static const char *range_label(const ls_program *p, const ls_instr *instr)
{
    const ls_params *params = p->params;
    const char      *first = NULL, *last = NULL;
    for (int i = 0; params && instr->phase == LS_PHASE_REDUCE && i < params->count; i++) {
        const ls_param_slot *s = &params->slot[params->order[i]];
        if (!s->trained || s->offset >= instr->offset + instr->count || s->offset + (size_t)s->count <= instr->offset)
            continue;
        if (!first) first = s->tensor->name;
        last = s->tensor->name;
    }
    if (!first) return NULL;
    return first == last ? ls_arena_printf(p->memory, "%s (%s)", instr->name, first)
                         : ls_arena_printf(p->memory, "%s (%s .. %s)", instr->name, first, last);
}

ls_status ls__program_insert(ls_program *p, int at, const ls_instr *given)
{
    LS_CHECK(at >= 0 && at <= p->instrs, LS_ERR_FAILED, "instruction '%s': expected a position from 0 to %d, found %d",
             given->name, p->instrs, at);
    ls_instr instr = ls__blank_instr(given->kind, ls_arena_strdup(p->memory, given->name));
    instr.tag      = given->tag;
    instr.id       = given->id;
    instr.call     = given->call;
    instr.context  = given->context;
    instr.offset   = given->offset;
    instr.count    = given->count;
    instr.phase    = given->phase;
    instr.label    = range_label(p, &instr);
    for (int i = 0; i < LS_MAX_IN && given->reads[i]; i++) {
        instr.reads[i] = given->reads[i];
        instr.in[i]    = ls__value_buffer(p, given->reads[i]);
    }
    ls__append_instr(p, &instr);
    memmove(p->instr + at + 1, p->instr + at, (size_t)(p->instrs - 1 - at) * sizeof *p->instr);
    p->instr[at] = instr;
    return LS_OK;
}

int ls__program_loss_known(const ls_program *p)
{
    const ls_node *loss = p->options.loss ? ls__root(p->options.loss)->node : NULL;
    int            end  = 0;
    for (int i = 0; i < p->instrs; i++) {
        const ls_instr *instr = &p->instr[i];
        if (instr->kind == LS_INSTR_FORWARD || (instr->kind == LS_INSTR_END && !instr->reverse) ||
            (instr->kind == LS_INSTR_BACKWARD && instr->node == loss && instr->out[0] >= 0))
            end = i + 1;
    }
    return end;
}

/* ---- gradients in their block ------------------------------------------------------------------------------------ */

/* Writes the ranges of the gradient block that instruction `i` writes to `out`.  Returns their number. */
static int written_by(const ls_program *p, int i, ls_grad_range out[LS_MAX_IN])
{
    const ls_instr *instr = &p->instr[i];
    int             n     = 0;
    if (instr->kind == LS_INSTR_FOLD)
        out[n++] = (ls_grad_range){instr->offset, (size_t)p->params->slot[instr->slot].count};
    for (int k = 0; k < LS_MAX_IN && instr->kind == LS_INSTR_BACKWARD; k++) {
        const ls_buffer *b = instr->din[k] < 0 ? NULL : &p->buffer[instr->din[k]];
        if (b && b->place == LS_PLACE_GRAD) out[n++] = (ls_grad_range){b->offset, (size_t)ls__numel(b->tensor)};
    }
    return n;
}

static bool writes(const ls_program *p, int i, size_t offset, size_t count)
{
    ls_grad_range range[LS_MAX_IN];
    for (int k = written_by(p, i, range) - 1; k >= 0; k--)
        if (range[k].offset < offset + count && offset < range[k].offset + range[k].count) return true;
    return false;
}

int ls__program_ready(const ls_program *p, size_t offset, size_t count)
{
    int ready = ls__program_loss_known(p);
    for (int i = 0; i < p->instrs; i++) /* keeps CALL instructions at one position in the order of insertion */
        if (writes(p, i, offset, count) || (p->instr[i].kind == LS_INSTR_CALL && i == ready)) ready = i + 1;
    return ready;
}

int ls__program_first_write(const ls_program *p, size_t offset, size_t count)
{
    for (int i = 0; i < p->instrs; i++)
        if (writes(p, i, offset, count)) return i;
    return p->instrs;
}

int ls__program_gaps(const ls_program *p, size_t offset, size_t count, ls_grad_range *out)
{
    int n = 0;
    for (size_t at = offset, end = offset + count; at < end;) {
        ls_grad_range next = {end, 0}, range[LS_MAX_IN]; /* next: the first written range at or after `at` */
        for (int i = 0; i < p->instrs; i++)
            for (int k = written_by(p, i, range) - 1; k >= 0; k--)
                if (range[k].offset + range[k].count > at && range[k].offset < next.offset) next = range[k];
        if (next.offset > at) out[n++] = (ls_grad_range){at, next.offset - at};
        at = next.offset + next.count;
        if (!next.count) break;
    }
    return n;
}

/* The new offset of the gradient at `at`. */
static size_t moved(size_t at, const ls_grad_range *range, const size_t *to, int n)
{
    for (int i = 0; i < n; i++)
        if (at >= range[i].offset && at < range[i].offset + range[i].count) return to[i] + (at - range[i].offset);
    return at;
}

void ls__program_move_gradients(ls_program *p, const ls_grad_range *range, const size_t *to, int n)
{
    for (int b = 0; b < p->buffers; b++)
        if (p->buffer[b].place == LS_PLACE_GRAD) p->buffer[b].offset = moved(p->buffer[b].offset, range, to, n);
    for (int i = 0; i < p->instrs; i++) {
        ls_instr *instr = &p->instr[i];
        if (instr->kind == LS_INSTR_FOLD) instr->offset = moved(instr->offset, range, to, n);
        if (!instr->stage) continue;
        instr->sums         = moved(instr->sums, range, to, n);
        instr->forward_sums = moved(instr->forward_sums, range, to, n);
    }
}
