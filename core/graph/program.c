/* SPDX-License-Identifier: Apache-2.0
 *
 * Graph to program.  Forward: the nodes that the outputs and the loss need, in order.  Backward: reverse-mode
 * differentiation (Linnainmaa 1970): the nodes in reverse; a node's backward instruction reads the gradients of its
 * outputs and gives those of its inputs.  The first writer of a gradient writes, later ones add, so nothing is
 * zero-filled.
 *
 * Backward reads what forward made, but for cheap values that are computed again rather than kept (Chen 2016, "Training
 * deep nets with sublinear memory cost"): a norm, a gelu, whose inputs are kept anyway; and a few dear ones, where the
 * step needs most memory (core/graph/recompute.c).  The bits are the same.
 *
 * The loss of an op that can make it in backward (loss_in_backward) is made there, unless some other op wants to read
 * it.
 *
 * Gradients of parameters go straight into the gradient block, those of tied weights into two segments of it
 * (params.h).  A parameter with more uses (recurrence) gets one leaf per shard instead, to which every use adds, and a
 * FOLD instruction after the last use: the sum over uses is made within each shard, so its bits do not depend on how
 * shards fall on ranks.
 */
#include "core/graph/program.h"

#include <string.h>

#include "core/cpu/isa_table.h"

/* ---- buffers ----------------------------------------------------------------------------------------------------- */

static int add_buffer(ls_program *p, ls_buffer b)
{
    b.home                  = p->buffers;
    b.born                  = -1;
    b.last                  = -1;
    p->buffer[p->buffers++] = b;
    return p->buffers - 1;
}

/* More than any memory has, and so little that the plan can add up thousands of them: making the block then says that
 * there is no room. */
#define MOST_BYTES ((size_t)1 << 47)

static size_t times(size_t bytes, int64_t n)
{
    size_t all;
    return __builtin_mul_overflow(bytes, (size_t)n, &all) || all > MOST_BYTES ? MOST_BYTES : all;
}

static size_t planned_bytes(const ls_program *p, const ls_tensor *t)
{
    return times((size_t)ls__numel(t) * ls__dtype_bytes(t->type), t->batched ? p->options.max_rows : 1);
}

static int value_buffer(ls_program *p, const ls_tensor *tensor)
{
    const ls_tensor *t = ls__root(tensor);
    int             *b = &p->value_of[t->index];
    if (*b < 0) {
        static const ls_place places[] = {[LS_ROLE_INPUT] = LS_PLACE_INPUT,
                                          [LS_ROLE_PARAM] = LS_PLACE_PARAM,
                                          [LS_ROLE_STATE] = LS_PLACE_STATE,
                                          [LS_ROLE_VALUE] = LS_PLACE_STEP};
        *b                             = add_buffer(p, (ls_buffer){.name      = t->name,
                                                                   .tensor    = t,
                                                                   .place     = places[t->role],
                                                                   .bytes     = planned_bytes(p, t),
                                                                   .row_bytes = t->batched ? (size_t)ls__numel(t) * ls__dtype_bytes(t->type) : 0});
        if (t->role == LS_ROLE_PARAM) p->buffer[*b].offset = p->params->slot[p->params->slot_of[t->index]].offset;
    }
    return *b;
}

static int value_gradient(ls_program *p, const ls_tensor *t)
{
    int *b = &p->grad_of[t->index];
    if (*b < 0)
        *b = add_buffer(p, (ls_buffer){.name      = ls_arena_printf(p->memory, "d %s", t->name),
                                       .tensor    = t,
                                       .place     = LS_PLACE_STEP,
                                       .gradient  = true,
                                       .bytes     = planned_bytes(p, t),
                                       .row_bytes = (size_t)ls__numel(t) * sizeof(float)});
    return *b;
}

/* Where the next use of a parameter, in the order of backward, puts its gradient: tied weights change to their other
 * segment. */
static int param_gradient(ls_program *p, const ls_tensor *t)
{
    const ls_param_slot *s    = &p->params->slot[p->params->slot_of[t->index]];
    int                 *b    = &p->grad_of[t->index];
    ls_buffer            made = {.name     = ls_arena_printf(p->memory, "d %s", t->name),
                                 .tensor   = t,
                                 .place    = LS_PLACE_GRAD,
                                 .gradient = true,
                                 .bytes    = planned_bytes(p, t),
                                 .offset   = s->offset};
    if (p->uses[t->index] <= 1) return *b < 0 ? (*b = add_buffer(p, made)) : *b;
    if (s->second && p->uses[t->index] == 2) {
        if (*b < 0) {
            made.name   = ls_arena_printf(p->memory, "d %s, second", t->name);
            made.offset = s->second;
        }
        return *b = add_buffer(p, made);
    }
    made.place  = LS_PLACE_STEP;
    made.offset = 0;
    made.bytes  = times(made.bytes, p->options.max_shards);
    return *b < 0 ? (*b = add_buffer(p, made)) : *b;
}

static int grad_buffer(ls_program *p, const ls_tensor *tensor)
{
    const ls_tensor *t = ls__root(tensor);
    return t->role == LS_ROLE_PARAM ? param_gradient(p, t) : value_gradient(p, t);
}

/* ---- instructions ------------------------------------------------------------------------------------------------ */

static ls_instr blank(ls_instr_kind kind, const char *name)
{
    ls_instr instr = {.kind = kind, .name = name, .slot = -1};
    for (int k = 0; k < LS_MAX_IN; k++) instr.in[k] = instr.din[k] = -1;
    for (int k = 0; k < LS_MAX_OUT; k++) instr.out[k] = instr.dout[k] = -1;
    return instr;
}

static ls_instr *append(ls_program *p, ls_instr instr)
{
    if (p->instrs == p->instr_room) {
        int       room  = p->instr_room ? p->instr_room * 2 : 128;
        ls_instr *wider = ls_arena_alloc(p->memory, (size_t)room * sizeof *wider);
        if (p->instrs) memcpy(wider, p->instr, (size_t)p->instrs * sizeof *wider);
        p->instr      = wider;
        p->instr_room = room;
    }
    p->instr[p->instrs] = instr;
    return &p->instr[p->instrs++];
}

/* Which parameters have a part in the range of the gradient block that a collective is about; NULL: none. */
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
    LS_CHECK(at >= 0 && at <= p->instrs, LS_ERR_FAILED, "instruction '%s': position %d is not within the program of %d",
             given->name, at, p->instrs);
    ls_instr instr = blank(given->kind, ls_arena_strdup(p->memory, given->name));
    instr.call     = given->call;
    instr.context  = given->context;
    instr.offset   = given->offset;
    instr.count    = given->count;
    instr.phase    = given->phase;
    instr.label    = range_label(p, &instr);
    for (int i = 0; i < LS_MAX_IN && given->reads[i]; i++) {
        instr.reads[i] = given->reads[i];
        instr.in[i]    = value_buffer(p, given->reads[i]);
    }
    append(p, instr);
    memmove(p->instr + at + 1, p->instr + at, (size_t)(p->instrs - 1 - at) * sizeof *p->instr);
    p->instr[at] = instr;
    return LS_OK;
}

static double flops_of(const ls_node *n)
{
    const ls_op *op = ls__op(n);
    return op->flops ? op->flops(n) : (double)ls__numel(n->out[0]);
}

/* The nodes that the outputs and the loss need. */
static void mark_needed(const ls_program *p, bool *needed)
{
    const ls_graph *g      = p->graph;
    bool           *wanted = ls_arena_alloc(p->memory, (size_t)g->tensors + 1);
    for (int i = 0; i < p->options.outputs; i++) wanted[p->options.output[i]->index] = true;
    if (p->options.loss) {
        wanted[p->options.loss->index] = true;
        if (p->options.loss->weight) wanted[p->options.loss->weight->index] = true;
    }
    for (int i = g->nodes - 1; i >= 0; i--) {
        const ls_node *n = g->node[i];
        for (int k = 0; k < n->outs; k++)
            if (wanted[n->out[k]->index]) needed[i] = true;
        if (!needed[i]) continue;
        for (int k = 0; k < n->ins; k++)
            if (n->in[k]) wanted[n->in[k]->index] = true;
    }
}

/* Whether the loss of node n is left to its backward instruction. */
static bool leaves_loss(const ls_program *p, const ls_node *n, const bool *needed)
{
    if (!ls__op(n)->loss_in_backward || !p->options.loss || ls__root(p->options.loss) != n->out[0]) return false;
    for (int i = n->index + 1; i < p->graph->nodes; i++)
        for (int k = 0; needed[i] && k < p->graph->node[i]->ins; k++) {
            const ls_tensor *x = p->graph->node[i]->in[k];
            if (x && ls__root(x)->node == n && !ls__op(p->graph->node[i])->view) return false;
        }
    return true;
}

/* "conv1 (conv2d)" of a node that uses conv1.weight. */
static const char *node_label(const ls_program *p, const ls_node *n)
{
    for (int k = 0; k < n->ins; k++) {
        if (!n->in[k] || n->in[k]->role != LS_ROLE_PARAM) continue;
        const char *name = n->in[k]->name, *dot = strrchr(name, '.');
        return ls_arena_printf(p->memory, "%.*s (%s)", (int)(dot ? dot - name : (ptrdiff_t)strlen(name)), name,
                               ls__op(n)->name);
    }
    return NULL;
}

static ls_status emit_forward(ls_program *p, const ls_node *n)
{
    const ls_op *op    = ls__op(n);
    ls_instr     instr = blank(LS_INSTR_FORWARD, op->name);
    instr.node         = n;
    instr.label        = node_label(p, n);
    instr.flops        = flops_of(n);
    LS_CHECK(op->forward[p->options.device], LS_ERR_USAGE,
             "the op %s has no kernel for the device '%s'" LS_HINT "set device=cpu", op->name,
             p->options.device == LS_CPU ? "cpu" : "cuda");
    for (int k = 0; k < n->ins; k++) {
        if (!n->in[k]) continue;
        LS_CHECK(!p->options.loss || !(op->updates & 1u << k), LS_ERR_USAGE,
                 "the op %s (%s:%d) writes the state '%s', which a program with a backward cannot do" LS_HINT
                 "train without the state",
                 op->name, n->where.file, n->where.line, n->in[k]->name);
        instr.in[k] = value_buffer(p, n->in[k]);
    }
    for (int k = 0; k < n->outs; k++) instr.out[k] = value_buffer(p, n->out[k]);
    append(p, instr);
    return LS_OK;
}

bool ls__program_can_recompute(const ls_program *p, const ls_node *n)
{
    const ls_op *op = ls__op(n);
    if (op->saves & LS_SAVES_OUT(0) || !n->out[0]->needs_grad) return false;
    for (int k = 0; k < n->ins; k++)
        if (n->in[k] && ls__root(n->in[k])->role == LS_ROLE_VALUE && !(op->saves & LS_SAVES_IN(k))) return false;
    for (int i = 0; i < p->options.outputs; i++)
        if (ls__root(p->options.output[i]) == n->out[0]) return false;
    return true;
}

/* Whether backward does without out[0] of `n`. */
static bool is_again(const ls_program *p, const ls_node *n)
{
    return (ls__op(n)->again || p->spared[n->index]) && ls__program_can_recompute(p, n);
}

/* The buffer in which backward finds the value of `t`; it may have to be computed again first. */
static int backward_value(ls_program *p, const ls_tensor *tensor)
{
    const ls_tensor *t = ls__root(tensor);
    const ls_node   *n = t->node;
    if (!n || t != n->out[0] || !is_again(p, n)) return value_buffer(p, t);
    if (p->again_of[t->index] >= 0) return p->again_of[t->index];
    ls_instr instr = blank(LS_INSTR_RECOMPUTE, ls__op(n)->name);
    instr.node     = n;
    instr.label    = node_label(p, n);
    instr.flops    = flops_of(n);
    for (int k = 0; k < n->ins; k++)
        if (n->in[k]) instr.in[k] = backward_value(p, n->in[k]);
    p->again_of[t->index] = instr.out[0] =
        add_buffer(p, (ls_buffer){.name      = ls_arena_printf(p->memory, "%s, again", t->name),
                                  .tensor    = t,
                                  .place     = LS_PLACE_STEP,
                                  .bytes     = planned_bytes(p, t),
                                  .row_bytes = (size_t)ls__numel(t) * ls__dtype_bytes(t->type)});
    for (int k = 1; k < n->outs; k++) instr.out[k] = value_buffer(p, n->out[k]);
    append(p, instr);
    return instr.out[0];
}

static void emit_fold(ls_program *p, int buffer)
{
    const ls_tensor *t     = p->buffer[buffer].tensor;
    ls_instr         instr = blank(LS_INSTR_FOLD, t->name);
    instr.slot             = p->params->slot_of[t->index];
    instr.offset           = p->params->slot[instr.slot].offset;
    instr.dout[0]          = buffer;
    append(p, instr);
}

static bool wants_grad(const ls_node *n, int k)
{
    return n->in[k] && n->in[k]->needs_grad && !(ls__op(n)->no_grad & 1u << k);
}

/* `written[b]`: writers of gradient buffer b so far. */
static ls_status emit_backward(ls_program *p, const ls_node *n, const bool *needed, int *written)
{
    const ls_op *op    = ls__op(n);
    int          dout  = p->grad_of[ls__root(n->out[0])->index];
    ls_instr     instr = blank(LS_INSTR_BACKWARD, op->name);
    if (dout < 0 || !n->out[0]->needs_grad || op->view) return LS_OK;
    LS_CHECK(op->backward[p->options.device], LS_ERR_USAGE,
             "the op %s (%s:%d) has no backward kernel for the device '%s'", op->name, n->where.file, n->where.line,
             p->options.device == LS_CPU ? "cpu" : "cuda");
    LS_CHECK(n->out[0]->batched, LS_ERR_USAGE,
             "the op %s (%s:%d) works on parameters alone, and its gradient is wanted" LS_HINT
             "apply it to something that depends on the batch, or freeze the parameter",
             op->name, n->where.file, n->where.line);
    instr.node    = n;
    instr.flops   = 2 * flops_of(n);
    instr.dout[0] = dout;
    for (int k = 0; k < n->ins; k++)
        if (n->in[k] && op->saves & LS_SAVES_IN(k)) instr.in[k] = backward_value(p, n->in[k]);
    bool with_loss = leaves_loss(p, n, needed);
    if (with_loss) instr.flops += flops_of(n);
    for (int k = 0; k < n->outs; k++)
        if (with_loss || op->saves & LS_SAVES_OUT(k)) instr.out[k] = value_buffer(p, n->out[k]);
    for (int k = 0; k < n->ins; k++) {
        if (!wants_grad(n, k)) continue;
        instr.din[k] = grad_buffer(p, n->in[k]);
        instr.add[k] = written[instr.din[k]]++ > 0;
    }
    append(p, instr);
    for (int k = 0; k < n->ins; k++) { /* the last use of a parameter with several */
        if (instr.din[k] < 0) continue;
        const ls_tensor *t = ls__root(n->in[k]);
        if (t->role == LS_ROLE_PARAM && p->buffer[instr.din[k]].place == LS_PLACE_STEP &&
            written[instr.din[k]] == p->uses[t->index])
            emit_fold(p, instr.din[k]);
    }
    return LS_OK;
}

static ls_status check_loss(const ls_tensor *loss)
{
    LS_CHECK(loss->type == LS_F32 && loss->batched && ls__numel(loss) == 1, LS_ERR_USAGE,
             "the loss '%s' has the shape %s, expected one float per sample" LS_HINT
             "end in a loss op, or in ls_sum or ls_mean",
             loss->name, ls__shape(loss));
    LS_CHECK(loss->needs_grad, LS_ERR_USAGE, "the loss '%s' depends on no trainable parameter", loss->name);
    return LS_OK;
}

static ls_status build(ls_program *p)
{
    const ls_graph *g       = p->graph;
    ls_tensor      *loss    = p->options.loss;
    bool           *needed  = ls_arena_alloc(p->memory, (size_t)g->nodes + 1);
    int            *written = ls_arena_alloc(p->memory, ((size_t)g->tensors * 4 + 2) * sizeof *written);
    mark_needed(p, needed);
    for (int i = 0; i < g->nodes; i++)
        if (needed[i] && !ls__op(g->node[i])->view && !leaves_loss(p, g->node[i], needed))
            LS_TRY(emit_forward(p, g->node[i]));
    if (!loss) return LS_OK;
    p->uses                 = ls__gradient_uses(g, loss, p->memory);
    const ls_tensor *seed   = ls__root(loss);
    p->grad_of[seed->index] = add_buffer(p, (ls_buffer){.name      = "ones",
                                                        .tensor    = seed,
                                                        .place     = LS_PLACE_ONES,
                                                        .gradient  = true,
                                                        .row_bytes = sizeof(float),
                                                        .bytes     = (size_t)p->options.max_rows * sizeof(float)});
    for (int i = g->nodes - 1; i >= 0; i--)
        if (needed[i]) LS_TRY(emit_backward(p, g->node[i], needed, written));
    return LS_OK;
}

static ls_status rebuild(ls_program *p)
{
    p->buffers = p->instrs = 0;
    for (int i = 0; i < p->graph->tensors; i++) p->value_of[i] = p->grad_of[i] = p->again_of[i] = -1;
    return build(p);
}

/* Dear values are given up for as long as that makes the most memory less. */
static ls_status build_lean(ls_program *p)
{
    int    at   = 0;
    size_t most = SIZE_MAX;
    LS_TRY(rebuild(p));
    for (const ls_node *n = NULL; p->options.loss;) {
        size_t bytes = ls__program_peak(p, &at);
        if (n && bytes >= most) {
            p->spared[n->index] = false;
            return rebuild(p);
        }
        most = bytes;
        n    = ls__program_spare(p, at);
        if (!n) return LS_OK;
        p->spared[n->index] = true;
        LS_TRY(rebuild(p));
    }
    return LS_OK;
}

ls_status ls__program_new(ls_program **out, ls_graph *g, ls_params *params, const ls_program_options *options)
{
    ls_arena *memory;
    LS_TRY(ls_graph_status(g));
    LS_CHECK(options->max_rows >= 1 && options->max_shards >= 1, LS_ERR_USAGE,
             "a program needs at least one sample and one shard, found %lld and %d", (long long)options->max_rows,
             options->max_shards);
    for (int i = 0; i < options->outputs; i++)
        LS_CHECK(options->output[i], LS_ERR_USAGE, "output %d of the model is NULL", i);
    if (options->loss) LS_TRY(check_loss(options->loss));
    LS_TRY(ls_arena_new(&memory, "program"));
    ls_program *p = ls_arena_alloc(memory, sizeof *p);
    *p            = (ls_program){.graph = g, .params = params, .options = *options, .memory = memory};
    if (options->outputs) { /* the caller's array need not outlive the call */
        ls_tensor **copy = ls_arena_alloc(memory, (size_t)options->outputs * sizeof *copy);
        memcpy(copy, options->output, (size_t)options->outputs * sizeof *copy);
        p->options.output = copy;
    }
    p->buffer        = ls_arena_alloc(memory, ((size_t)g->tensors * 4 + 2) * sizeof *p->buffer);
    p->value_of      = ls_arena_alloc(memory, ((size_t)g->tensors + 1) * sizeof *p->value_of);
    p->grad_of       = ls_arena_alloc(memory, ((size_t)g->tensors + 1) * sizeof *p->grad_of);
    p->again_of      = ls_arena_alloc(memory, ((size_t)g->tensors + 1) * sizeof *p->again_of);
    p->input         = ls_arena_alloc(memory, ((size_t)g->tensors + 1) * sizeof(ls_tensor *));
    p->spared        = ls_arena_alloc(memory, (size_t)g->nodes + 1);
    ls_status status = build_lean(p);
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

int ls__program_loss_known(const ls_program *p)
{
    const ls_node *loss = p->options.loss ? ls__root(p->options.loss)->node : NULL;
    int            end  = 0;
    for (int i = 0; i < p->instrs; i++) {
        const ls_instr *instr = &p->instr[i];
        if (instr->kind == LS_INSTR_FORWARD ||
            (instr->kind == LS_INSTR_BACKWARD && instr->node == loss && instr->out[0] >= 0))
            end = i + 1;
    }
    return end;
}

/* ---- gradients in their block ------------------------------------------------------------------------------------ */

/* What instruction `i` writes of the gradient block; how many ranges. */
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
    for (int i = 0; i < p->instrs;
         i++) /* what was inserted for an earlier range stays before what is inserted for a later one */
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
        ls_grad_range next = {end, 0}, range[LS_MAX_IN]; /* that begins first, or goes on, from here on */
        for (int i = 0; i < p->instrs; i++)
            for (int k = written_by(p, i, range) - 1; k >= 0; k--)
                if (range[k].offset + range[k].count > at && range[k].offset < next.offset) next = range[k];
        if (next.offset > at) out[n++] = (ls_grad_range){at, next.offset - at};
        at = next.offset + next.count;
        if (!next.count) break;
    }
    return n;
}

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
    for (int i = 0; i < p->instrs; i++)
        if (p->instr[i].kind == LS_INSTR_FOLD) p->instr[i].offset = moved(p->instr[i].offset, range, to, n);
}
