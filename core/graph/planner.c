/* SPDX-License-Identifier: Apache-2.0
 *
 * The planner: computes the lifetime of every buffer, lets instructions write in place, and gives each buffer an offset
 * in one arena.  First fit by decreasing size over lifetimes (Pisarchyk & Lee, "Efficient memory management for deep
 * neural net inference", 2020): the largest buffer is placed first, each at the lowest offset at which it overlaps no
 * placed buffer that is in use at the same time.
 */
#include "core/graph/planner.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/integer.h"
#include "core/graph/fuse.h"
#include "core/graph/graph.h"
#include "core/graph/loop.h"

#include <omp.h>

enum { ALIGN = 64 };

static void touch(ls_program *p, int buffer, int at)
{
    if (buffer < 0) return;
    ls_buffer *b = &p->buffer[buffer];
    if (b->born < 0 || at < b->born) b->born = at;
    if (at > b->last) b->last = at;
}

/* Makes buffers live as long as the loop of instructions begin ... end if a step uses what is older than the step, or
 * if something after the step uses them. */
static void extend_over_loop(ls_program *p, int begin, int end)
{
    for (int b = 0; b < p->buffers; b++) {
        ls_buffer *buffer = &p->buffer[b];
        if (buffer->born < 0 || buffer->last < begin || buffer->born > end) continue;
        if (buffer->born >= begin && buffer->last <= end && !buffer->copies) continue;
        if (buffer->born > begin) buffer->born = begin;
        if (buffer->last < end) buffer->last = end;
    }
}

static void find_lifetimes(ls_program *p)
{
    for (int b = 0; b < p->buffers; b++) {
        p->buffer[b].born = p->buffer[b].last = -1;
        p->buffer[b].home                     = b;
    }
    for (int i = 0; i < p->instrs; i++) {
        const ls_instr *instr = &p->instr[i];
        touch(p, instr->packed, i);
        for (int k = 0; k < LS_MAX_IN; k++) touch(p, instr->in[k], i);
        for (int k = 0; k < LS_MAX_IN; k++) touch(p, instr->din[k], i);
        for (int k = 0; k < LS_MAX_OUT; k++) touch(p, instr->out[k], i);
        for (int k = 0; k < LS_MAX_OUT; k++) touch(p, instr->dout[k], i);
    }
    for (int i = 0; i < p->options.outputs; i++)
        touch(p, p->value_of[ls__root(p->options.output[i])->index], p->instrs);
    if (p->options.gradient) touch(p, p->grad_of[ls__root(p->options.gradient)->index], p->instrs);
    for (int i = 0; i < p->instrs && p->graph->loops; i++) {
        if (p->instr[i].kind != LS_INSTR_LOOP) continue;
        int end = i;
        while (p->instr[end].kind != LS_INSTR_END) end++;
        extend_over_loop(p, i, end);
    }
}

/* Lets instruction `at` write buffer `to` over buffer `from`, if it is the last to read `from`. */
static void write_in_place(ls_program *p, int from, int to, int at)
{
    ls_buffer *a = &p->buffer[from], *b = &p->buffer[to];
    ls_buffer *home = &p->buffer[a->home];
    if (from == to || a->place != LS_PLACE_STEP || b->place != LS_PLACE_STEP) return;
    if (home->last != at || b->born != at || a->bytes != b->bytes || a->row_bytes != b->row_bytes || b->home != to)
        return;
    b->home    = a->home;
    home->last = b->last;
}

/* Whether buffers[0] occurs a second time. */
static bool appears_again(const int *buffers, int n)
{
    for (int k = 1; k < n; k++)
        if (buffers[k] == buffers[0]) return true;
    return false;
}

/* Whether backward of a fused node writes the gradient of the added tensor, and no other of a batched input. */
static bool hands_over(const ls_instr *instr)
{
    const int k = ls__added_input(instr->node);
    return instr->node->add && instr->din[0] < 0 && instr->din[k] >= 0 && !instr->add[k];
}

static void find_in_place(ls_program *p)
{
    for (int i = 0; i < p->instrs; i++) {
        const ls_instr *instr = &p->instr[i];
        if (instr->kind == LS_INSTR_FORWARD && ls__op(instr->node)->inplace && !appears_again(instr->in, LS_MAX_IN))
            write_in_place(p, instr->in[0], instr->out[0], i);
        if (instr->kind == LS_INSTR_BACKWARD && ls__op(instr->node)->inplace_backward && instr->din[0] >= 0 &&
            !instr->add[0] && !appears_again(instr->din, LS_MAX_IN))
            write_in_place(p, instr->dout[0], instr->din[0], i);
        if (instr->kind == LS_INSTR_BACKWARD && hands_over(instr))
            write_in_place(p, instr->dout[0], instr->din[ls__added_input(instr->node)], i);
        if (instr->kind == LS_INSTR_BACKWARD && ls__op(instr->node)->over_input && instr->din[0] >= 0 && !instr->add[0])
            write_in_place(p, instr->in[0], instr->din[0], i);
    }
}

typedef struct placed {
    const ls_buffer *b;
    size_t           from, to;
} placed;

static int by_size(const void *x, const void *y)
{
    const ls_buffer *a = *(ls_buffer *const *)x, *b = *(ls_buffer *const *)y;
    if (a->bytes != b->bytes) return a->bytes < b->bytes ? 1 : -1;
    return a->home < b->home ? -1 : 1;
}

static int by_offset(const void *x, const void *y)
{
    const placed *a = x, *b = y;
    return a->from < b->from ? -1 : a->from > b->from;
}

/* Places the buffers, and the workspace of each instruction with a lifetime of that instruction. */
static void place_all(ls_program *p)
{
    const size_t most  = (size_t)p->buffers + (size_t)p->instrs + 1;
    ls_buffer  **order = ls_arena_alloc(p->memory, most * sizeof(ls_buffer *)),
              *space   = ls_arena_alloc(p->memory, ((size_t)p->instrs + 1) * sizeof *space);
    placed *live       = ls_arena_alloc(p->memory, most * sizeof *live),
           *done       = ls_arena_alloc(p->memory, most * sizeof *done);
    int n = 0, n_done = 0;
    for (int b = 0; b < p->buffers; b++)
        if (p->buffer[b].place == LS_PLACE_STEP && p->buffer[b].home == b && p->buffer[b].born >= 0)
            order[n++] = &p->buffer[b];
    for (int i = 0; i < p->instrs; i++) {
        space[i] = (ls_buffer){.bytes = p->instr[i].scratch, .born = i, .last = i, .home = p->buffers + i};
        if (p->instr[i].scratch) order[n++] = &space[i];
    }
    qsort(order, (size_t)n, sizeof *order, by_size);
    p->arena_bytes = 0;
    for (int i = 0; i < n; i++) {
        ls_buffer *b     = order[i];
        size_t     bytes = ls__round_up_bytes(b->bytes, ALIGN), at = 0;
        int        lives = 0;
        for (int k = 0; k < n_done; k++)
            if (done[k].b->born <= b->last && b->born <= done[k].b->last) live[lives++] = done[k];
        qsort(live, (size_t)lives, sizeof *live, by_offset);
        for (int k = 0; k < lives && live[k].from < at + bytes; k++)
            if (live[k].to > at) at = live[k].to;
        b->offset      = at;
        done[n_done++] = (placed){b, at, at + bytes};
        if (at + bytes > p->arena_bytes) p->arena_bytes = at + bytes;
    }
    for (int b = 0; b < p->buffers; b++)
        if (p->buffer[b].place == LS_PLACE_STEP) p->buffer[b].offset = p->buffer[p->buffer[b].home].offset;
    for (int i = 0; i < p->instrs; i++) p->instr[i].at = space[i].offset;
}

/* Places the states one after the other: all of them live as long as the program. */
static void place_states(ls_program *p)
{
    p->state_bytes = 0;
    for (int b = 0; b < p->buffers; b++) {
        if (p->buffer[b].place != LS_PLACE_STATE) continue;
        p->buffer[b].offset = p->state_bytes;
        p->state_bytes += ls__round_up_bytes(p->buffer[b].bytes, ALIGN);
    }
}

/* A range of the gradient block, in floats. */
typedef struct float_range {
    size_t begin, end;
} float_range;

/* The first instruction that writes the gradient that begins at float `from`; -1: none. */
static int first_writer(const ls_program *p, size_t from)
{
    for (int i = 0; i < p->instrs; i++) {
        const ls_instr *instr = &p->instr[i];
        if (instr->kind == LS_INSTR_FOLD && p->params->slot[instr->slot].offset == from) return i;
        for (int k = 0; k < LS_MAX_IN && instr->kind == LS_INSTR_BACKWARD; k++)
            if (instr->din[k] >= 0 && p->buffer[instr->din[k]].place == LS_PLACE_GRAD &&
                p->buffer[instr->din[k]].offset == from)
                return i;
    }
    return -1;
}

/* The longest range of gradients that are all written after instruction i. */
static float_range unwritten_gradients(const ls_program *p, int i)
{
    const ls_params *params = p->params;
    float_range      best = {0}, range = {0};
    for (int k = 0; k < params->count && params->slot[params->order[k]].trained; k++) {
        const ls_param_slot *s    = &params->slot[params->order[k]];
        const bool           last = k + 1 == params->count || !params->slot[params->order[k + 1]].trained;
        const size_t         end  = last ? params->trained : params->slot[params->order[k + 1]].offset;
        if (first_writer(p, s->offset) <= i) continue;
        range = (float_range){range.end == s->offset ? range.begin : s->offset, end};
        if (range.end - range.begin > best.end - best.begin) best = range;
    }
    return best;
}

/* Bytes of workspace of an instruction for the graph's present shapes, apart from its part of the gradient block. */
static size_t scratch_of(const ls_program *p, const ls_instr *instr)
{
    const ls_op             *op    = instr->node ? ls__op(instr->node) : NULL;
    const ls_program_options o     = p->options;
    size_t                   bytes = 0;
    if (!op || instr->kind == LS_INSTR_PACK) return 0;
    if (instr->gradient_scratch)
        bytes =
            op->scratch_beside_gradients(instr->node, o.max_rows, o.max_shards, p->threads, instr->gradient_scratch);
    else if (op->scratch)
        bytes = op->scratch(instr->node, o.max_rows, o.max_shards, p->threads, instr->kind == LS_INSTR_BACKWARD);
    return ls__round_up_bytes(bytes, ALIGN) + ls__loop_gather_bytes(p, instr);
}

ls_status ls__program_check_scratch(ls_program *p)
{
    if (p->shape != p->graph->shape) ls__loop_reshape(p);
    for (int i = 0; i < p->instrs && p->shape != p->graph->shape; i++)
        LS_CHECK(scratch_of(p, &p->instr[i]) <= p->instr[i].scratch, LS_ERR_FAILED,
                 "%s: needs more workspace for a smaller shape than for the greatest, %zu bytes instead of %zu",
                 p->instr[i].name, scratch_of(p, &p->instr[i]), p->instr[i].scratch);
    p->shape = p->graph->shape;
    return LS_OK;
}

static void plan_scratch(ls_program *p)
{
    p->scratch_bytes = 0;
    for (int i = 0; i < p->instrs; i++) {
        ls_instr    *instr      = &p->instr[i];
        const ls_op *op         = instr->node ? ls__op(instr->node) : NULL;
        instr->gradient_scratch = 0;
        if (op && op->scratch_beside_gradients && instr->kind == LS_INSTR_BACKWARD && p->options.gradient_scratch) {
            const float_range gradients = unwritten_gradients(p, i);
            instr->gradient_scratch_at  = gradients.begin;
            instr->gradient_scratch     = (gradients.end - gradients.begin) * sizeof(float);
        }
        instr->scratch = scratch_of(p, instr);
        if (instr->scratch > p->scratch_bytes) p->scratch_bytes = instr->scratch;
    }
}

/* Computes all that an instruction needs while it runs: lifetimes, in-place writes, workspace. */
static void find_needs(ls_program *p)
{
    p->threads = omp_get_max_threads();
    find_lifetimes(p);
    find_in_place(p);
    plan_scratch(p);
}

size_t ls__program_peak(ls_program *p, int *at)
{
    size_t most = 0;
    find_needs(p);
    for (int i = 0; i < p->instrs; i++) {
        size_t bytes = p->instr[i].scratch;
        for (int b = 0; b < p->buffers; b++) {
            const ls_buffer *buffer = &p->buffer[b];
            if (buffer->place == LS_PLACE_STEP && buffer->home == b && buffer->born >= 0 && buffer->born <= i &&
                i <= buffer->last)
                bytes += buffer->bytes;
        }
        if (bytes <= most) continue;
        most = bytes;
        *at  = i;
    }
    return most;
}

ls_status ls__program_plan(ls_program *p)
{
    find_needs(p);
    place_all(p);
    place_states(p);
    p->leaf_group = ls_arena_alloc(p->memory, (size_t)p->options.max_shards * sizeof *p->leaf_group);
    return LS_OK;
}
