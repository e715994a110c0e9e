/* SPDX-License-Identifier: Apache-2.0
 *
 * Graph to instructions.  Forward: the nodes that the outputs and the loss need, in order.  Backward: reverse-mode
 * differentiation (Linnainmaa 1970): the nodes in reverse order; the backward instruction of a node reads the gradients
 * of its outputs and computes those of its inputs.  The first writer of a gradient writes, later ones add, so no
 * gradient is zero-filled.
 *
 * Recomputation (Chen 2016, "Training deep nets with sublinear memory cost"): backward reads the values of forward,
 * except that cheap values (a norm, a gelu) are computed again from inputs that are saved anyway, and so are a few
 * costly values at the instruction where a step uses most memory (core/graph/recompute.c).  The bits are equal.
 *
 * Loss: an op with loss_in_backward computes the loss in its backward instruction, unless another op reads the loss.
 *
 * Gradients of parameters are written into the gradient block; tied weights have two segments there (params.h).  A
 * parameter with more uses (recurrence) has one leaf per shard instead: every use adds to the leaves, and a FOLD
 * instruction after the last use sums them as a tree.  The sum over uses is thus made within each shard, and its bits
 * do not depend on which rank owns which shard.  Leaves have groups and strides of their own, so each operand with
 * leaves gets a BACKWARD instruction of its own.
 *
 * Elementwise ops are first fused into the node before them, where its kernel supports that (core/graph/fuse.c).
 *
 * Ops that read the whole batch (ls_op.batch_sums) have two instructions in forward and two in backward.  The first one
 * sums over the samples of this rank.  The trainer inserts an all-reduce of the sums before the second one.  Ops that
 * read groups of samples (ls_op.group_rows) have one instruction each.
 */
#include "core/graph/build_program.h"

#include <string.h>

#include "core/graph/dependencies.h"
#include "core/graph/fuse.h"
#include "core/graph/graph.h"
#include "core/graph/loop.h"

/* ---- buffers ----------------------------------------------------------------------------------------------------- */

static int add_buffer(ls_program *p, ls_buffer b)
{
    b.home                  = p->buffers;
    b.born                  = -1;
    b.last                  = -1;
    p->buffer[p->buffers++] = b;
    return p->buffers - 1;
}

/* Cap of a buffer: larger than any memory, and small enough that the planner can add thousands of them without
 * overflow.  Allocating the arena then fails with a clear error. */
#define MAX_BYTES ((size_t)1 << 47)

static size_t times(size_t bytes, int64_t n)
{
    size_t all;
    return __builtin_mul_overflow(bytes, (size_t)n, &all) || all > MAX_BYTES ? MAX_BYTES : all;
}

static size_t planned_bytes(const ls_program *p, const ls_tensor *t)
{
    return times((size_t)ls__numel(t) * ls__dtype_bytes(t->type), t->batched ? p->options.max_rows : 1);
}

int ls__value_buffer(ls_program *p, const ls_tensor *tensor)
{
    const ls_tensor *t = ls__root(tensor);
    int             *b = &p->value_of[t->index];
    if (*b < 0) {
        static const ls_place places[]  = {[LS_ROLE_INPUT] = LS_PLACE_INPUT,
                                           [LS_ROLE_PARAM] = LS_PLACE_PARAM,
                                           [LS_ROLE_STATE] = LS_PLACE_STATE,
                                           [LS_ROLE_VALUE] = LS_PLACE_STEP};
        const size_t          row_bytes = t->batched ? (size_t)ls__numel(t) * ls__dtype_bytes(t->type) : 0;
        *b                              = add_buffer(p, (ls_buffer){.name      = t->name,
                                                                    .tensor    = t,
                                                                    .place     = places[t->role],
                                                                    .bytes     = planned_bytes(p, t),
                                                                    .row_bytes = row_bytes});
        if (t->role == LS_ROLE_PARAM) p->buffer[*b].offset = p->params->slot[p->params->slot_of[t->index]].offset;
    }
    return *b;
}

/* The buffer from which node n reads input k: its value, or the bfloat16 copy of a parameter. */
static int input_buffer(ls_program *p, const ls_node *n, int k)
{
    const ls_tensor *t = ls__root(n->in[k]);
    int             *b = &p->narrow_of[t->index];
    if (ls__input_type(n, k) == n->in[k]->type) return ls__value_buffer(p, t);
    if (*b < 0)
        *b = add_buffer(p, (ls_buffer){.name   = ls_arena_printf(p->memory, "%s, bfloat16", t->name),
                                       .tensor = t,
                                       .place  = LS_PLACE_NARROW,
                                       .bytes  = planned_bytes(p, t) / 2,
                                       .offset = p->params->slot[p->params->slot_of[t->index]].offset});
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
                                       .row_bytes = (size_t)ls__numel(t) * ls__dtype_bytes(t->type)});
    return *b;
}

/* The buffer for the gradient of the next use of a parameter, in the order of backward.  One use: the segment of the
 * parameter.  Two uses (tied weights): the second segment, then the first.  More uses: leaves, one per shard. */
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
    const int            uses = p->uses[t->index];
    if (uses == 2 && s->second) {
        if (*b < 0) {
            made.name   = ls_arena_printf(p->memory, "d %s, second", t->name);
            made.offset = s->second;
        }
        *b = add_buffer(p, made);
        return *b;
    }
    if (*b >= 0) return *b;
    if (uses > 1) {
        made.place  = LS_PLACE_STEP;
        made.offset = 0;
        made.bytes  = times(made.bytes, p->options.max_shards);
    }
    *b = add_buffer(p, made);
    return *b;
}

static int grad_buffer(ls_program *p, const ls_tensor *tensor)
{
    const ls_tensor *t = ls__root(tensor);
    return t->role == LS_ROLE_PARAM ? param_gradient(p, t) : value_gradient(p, t);
}

/* ---- instructions ------------------------------------------------------------------------------------------------ */

ls_instr ls__blank_instr(ls_instr_kind kind, const char *name)
{
    ls_instr instr = {.kind = kind, .name = name, .slot = -1, .leaf = -1, .packed = -1};
    for (int k = 0; k < LS_MAX_IN; k++) instr.in[k] = instr.din[k] = -1;
    for (int k = 0; k < LS_MAX_OUT; k++) instr.out[k] = instr.dout[k] = -1;
    return instr;
}

void ls__append_instr(ls_program *p, const ls_instr *instr)
{
    if (p->instrs == p->instr_room) {
        int       room  = p->instr_room ? p->instr_room * 2 : 128;
        ls_instr *wider = ls_arena_alloc(p->memory, (size_t)room * sizeof *wider);
        if (p->instrs) memcpy(wider, p->instr, (size_t)p->instrs * sizeof *wider);
        p->instr      = wider;
        p->instr_room = room;
    }
    p->instr[p->instrs++] = *instr;
}

static double flops_of(const ls_node *n)
{
    const double all = (double)ls__numel(n->out[0]);
    return ls__node_flops(n) + (n->add ? all : 0) + (n->map ? all : 0);
}

/* Whether node n computes the loss in its backward instruction instead of a forward instruction. */
static bool loss_in_backward(const ls_program *p, const ls_node *n, const bool *needed)
{
    if (!ls__op(n)->loss_in_backward || !p->options.loss || ls__root(p->options.loss) != n->out[0]) return false;
    for (int i = n->index + 1; i < p->graph->nodes; i++)
        for (int k = 0; needed[i] && k < p->graph->node[i]->ins; k++) {
            const ls_tensor *x = p->graph->node[i]->in[k];
            if (x && ls__root(x)->node == n && !ls__op(p->graph->node[i])->view) return false;
        }
    return true;
}

/* "conv2d", or "batch_norm + add + relu" for a fused node. */
static const char *node_name(const ls_program *p, const ls_node *n)
{
    if (!n->add && !n->map) return ls__op(n)->name;
    return ls_arena_printf(p->memory, "%s%s%s%s", ls__op(n)->name, n->add ? " + add" : "", n->map ? " + " : "",
                           n->map ? ls__op(n->map)->name : "");
}

/* Sets the texts of an instruction of node n: its name, and "conv1 (conv2d)" if it belongs to the layer conv1. */
static void set_texts(const ls_program *p, const ls_node *n, ls_instr *instr)
{
    const char *layer = ls__layer_name(n, p->memory);
    instr->name       = node_name(p, n);
    if (layer) instr->label = ls_arena_printf(p->memory, "%s (%s)", layer, instr->name);
}

/* Whether node n needs sums over the batch in two stages.  It does so in training only. */
static bool sums_batch(const ls_program *p, const ls_node *n)
{
    return p->options.loss && ls__batch_sums(n, false) > 0 && !ls__group_rows(n);
}

/* Sets the stage of an instruction of node n, and the places of its sums. */
static void set_stage(const ls_program *p, const ls_node *n, ls_instr *instr, ls_stage stage)
{
    instr->stage        = stage;
    instr->forward_sums = ls__batch_sums_at(p->params, n, false);
    instr->sums         = ls__batch_sums_at(p->params, n, instr->kind == LS_INSTR_BACKWARD);
}

static ls_status emit_forward(ls_program *p, const ls_node *n)
{
    const ls_op *op    = ls__op(n);
    ls_instr     instr = ls__blank_instr(LS_INSTR_FORWARD, op->name);
    instr.node         = n;
    instr.flops        = flops_of(n);
    set_texts(p, n, &instr);
    LS_CHECK(op->forward[p->options.device], LS_ERR_USAGE,
             "op %s: no kernel for the device '%s'" LS_HINT "set device=cpu", op->name,
             p->options.device == LS_CPU ? "cpu" : "cuda");
    for (int k = 0; k < n->ins; k++) {
        if (!n->in[k]) continue;
        LS_CHECK(!p->options.loss || !(op->updates & 1u << k) || op->carries, LS_ERR_USAGE,
                 "op %s (%s:%d): writes the state '%s', which is possible in inference only" LS_HINT
                 "train without the state",
                 op->name, n->where.file, n->where.line, n->in[k]->name);
        instr.in[k] = input_buffer(p, n, k);
    }
    if (sums_batch(p, n)) {
        ls_instr sums = instr;
        if (n->add) sums.in[ls__added_input(n)] = -1;
        set_stage(p, n, &sums, LS_STAGE_SUMS);
        ls__append_instr(p, &sums);
        set_stage(p, n, &instr, LS_STAGE_REST);
    } else if (p->options.loss && ls__group_rows(n)) {
        set_stage(p, n, &instr, LS_STAGE_SUMS);
    }
    for (int k = 0; k < n->outs; k++) instr.out[k] = ls__value_buffer(p, n->out[k]);
    if (n->loop) instr.packed = p->packed_of[n->index];
    ls__append_instr(p, &instr);
    return LS_OK;
}

bool ls__can_recompute(const ls_program *p, const ls_node *n)
{
    const unsigned saves = ls__saves(n);
    if (saves & LS_SAVES_OUT(0) || !n->out[0]->needs_grad) return false;
    for (int k = 0; k < n->ins; k++)
        if (n->in[k] && ls__root(n->in[k])->role == LS_ROLE_VALUE && !(saves & LS_SAVES_IN(k))) return false;
    for (int i = 0; i < p->options.outputs; i++)
        if (ls__root(p->options.output[i]) == n->out[0]) return false;
    return true;
}

bool ls__is_recomputed(const ls_program *p, const ls_node *n)
{
    return p->recompute[n->index] || (ls__is_cheap(n) && ls__can_recompute(p, n));
}

static int backward_value(ls_program *p, const ls_node *user, int k_of_user);

/* The buffer of the recomputed out[0] of a node.  Emits the RECOMPUTE instruction that fills it, if backward has not
 * needed it before. */
static int recomputed_value(ls_program *p, const ls_node *n)
{
    const ls_tensor *t = n->out[0];
    if (p->recomputed_of[t->index] >= 0) return p->recomputed_of[t->index];
    ls_instr instr = ls__blank_instr(LS_INSTR_RECOMPUTE, ls__op(n)->name);
    instr.node     = n;
    instr.flops    = flops_of(n);
    set_texts(p, n, &instr);
    for (int k = 0; k < n->ins; k++)
        if (n->in[k]) instr.in[k] = backward_value(p, n, k);
    p->recomputed_of[t->index] = instr.out[0] =
        add_buffer(p, (ls_buffer){.name      = ls_arena_printf(p->memory, "%s, recomputed", t->name),
                                  .tensor    = t,
                                  .place     = LS_PLACE_STEP,
                                  .bytes     = planned_bytes(p, t),
                                  .row_bytes = (size_t)ls__numel(t) * ls__dtype_bytes(t->type)});
    for (int k = 1; k < n->outs; k++) instr.out[k] = ls__value_buffer(p, n->out[k]);
    if (sums_batch(p, n)) set_stage(p, n, &instr, LS_STAGE_REST);
    ls__append_instr(p, &instr);
    return instr.out[0];
}

/* The buffer from which backward reads an input of `user`. */
static int backward_value(ls_program *p, const ls_node *user, int k_of_user)
{
    const ls_tensor *t = ls__root(user->in[k_of_user]);
    const ls_node   *n = p->maker[t->index];
    if (!n || t != n->out[0] || !ls__is_recomputed(p, n)) return input_buffer(p, user, k_of_user);
    return recomputed_value(p, n);
}

static void emit_fold(ls_program *p, int buffer)
{
    const ls_tensor *t     = p->buffer[buffer].tensor;
    ls_instr         instr = ls__blank_instr(LS_INSTR_FOLD, t->name);
    instr.slot             = p->params->slot_of[t->index];
    instr.offset           = p->params->slot[instr.slot].offset;
    instr.dout[0]          = buffer;
    ls__append_instr(p, &instr);
}

static bool wants_grad(const ls_node *n, int k) { return ls__gradient_uses_of(n, k) > 0; }

/* Whether input k of a backward instruction has leaves, one per shard. */
static bool has_leaves(const ls_program *p, const ls_instr *instr, int k)
{
    return instr->din[k] >= 0 && p->buffer[instr->din[k]].place == LS_PLACE_STEP && !instr->node->in[k]->batched;
}

static int wanted_gradients(const ls_instr *instr)
{
    int n = 0;
    for (int k = 0; k < LS_MAX_IN; k++) n += instr->din[k] >= 0;
    return n;
}

/* Appends a part of backward instruction `all`: that for the inputs k with `part[k]`. */
static void append_part(ls_program *p, const ls_instr *all, const bool *part, int leaf)
{
    ls_instr instr = *all;
    instr.leaf     = leaf;
    for (int k = 0; k < LS_MAX_IN; k++)
        if (!part[k]) instr.din[k] = -1;
    instr.flops = all->flops * wanted_gradients(&instr) / wanted_gradients(all);
    ls__append_instr(p, &instr);
}

/* Appends one BACKWARD instruction per operand with leaves, then one for all other parameters.  The gradients of
 * batched inputs come with the last of them, because they may overwrite the gradients of the outputs. */
static void append_backward(ls_program *p, const ls_instr *all)
{
    const ls_node *n               = all->node;
    bool           rest[LS_MAX_IN] = {false};
    bool           params          = false;
    int            last            = -1;
    for (int k = 0; k < n->ins; k++) {
        if (has_leaves(p, all, k)) {
            last = k;
            continue;
        }
        rest[k] = true;
        params |= all->din[k] >= 0 && !n->in[k]->batched;
    }
    for (int k = 0; k <= last; k++) {
        bool part[LS_MAX_IN] = {false};
        if (!has_leaves(p, all, k)) continue;
        if (k == last && !params) memcpy(part, rest, sizeof part);
        part[k] = true;
        append_part(p, all, part, k);
    }
    if (last < 0 || params) append_part(p, all, rest, -1);
}

/* Appends the two stages of a backward instruction: parameters, then batched inputs.  The gradient of an added tensor
 * is that of the op's own result: if this is its first use, the first stage computes it, and the second one reads
 * it. */
static ls_status append_stages(ls_program *p, const ls_instr *all)
{
    const ls_node *n     = all->node;
    ls_instr       part  = *all;
    const int      added = n->add ? ls__added_input(n) : -1;
    const bool     hands_over =
        added >= 0 && all->din[added] >= 0 && !all->add[added] && n->in[added]->type == n->out[0]->type;
    for (int k = 0; k < n->ins; k++) {
        LS_CHECK(!has_leaves(p, all, k), LS_ERR_USAGE,
                 "op %s (%s:%d): the parameter '%s' has more than two uses, and the op sums over the batch" LS_HINT
                 "give each use a parameter of its own",
                 ls__op(n)->name, n->where.file, n->where.line, n->in[k]->name);
        if (n->in[k] && n->in[k]->batched && !(k == added && hands_over)) part.din[k] = -1;
    }
    set_stage(p, n, &part, LS_STAGE_SUMS);
    ls__append_instr(p, &part);
    part = *all;
    if (hands_over) {
        part.dout[0]     = part.din[added];
        part.din[added]  = -1;
        part.handed_over = true;
        part.out[0]      = -1;
    }
    for (int k = 0; k < n->ins; k++)
        if (n->in[k] && !n->in[k]->batched) part.din[k] = -1;
    if (!wanted_gradients(&part)) return LS_OK;
    set_stage(p, n, &part, LS_STAGE_REST);
    ls__append_instr(p, &part);
    return LS_OK;
}

/* Appends a FOLD instruction for each parameter of node n if all its leaves are written.  `written` counts the writers
 * of each gradient buffer; a FOLD sets the count to -1. */
static void emit_folds(ls_program *p, const ls_node *n, int *written)
{
    for (int k = 0; k < n->ins; k++) {
        if (!wants_grad(n, k) || n->in[k]->batched) continue;
        const int index = ls__root(n->in[k])->index, b = p->grad_of[index];
        if (b < 0 || p->buffer[b].place != LS_PLACE_STEP || written[b] != p->uses[index]) continue;
        emit_fold(p, b);
        written[b] = -1;
    }
}

/* Appends the backward instructions of a node in the body of a loop.  Deferred gradients of parameters are not part of
 * them: they are computed after the loop. */
static ls_status append_in_loop(ls_program *p, const ls_instr *all)
{
    const ls_node *n    = all->node;
    ls_instr       body = *all, later = *all;
    for (int k = 0; k < n->ins; k++) {
        if (all->din[k] < 0) continue;
        const bool defers                 = !n->in[k]->batched && ls__op(n)->defers;
        (defers ? &body : &later)->din[k] = -1;
        body.sum[k]                       = !n->in[k]->loop && n->op != LS_OP_select;
    }
    if (wanted_gradients(&later)) body.flops = later.flops = all->flops / 2;
    body.packed = p->packed_of[n->index];
    if (wanted_gradients(&body)) append_backward(p, &body);
    if (!wanted_gradients(&later)) return LS_OK;
    LS_TRY(ls__loop_all_steps(p, n, &later.node));
    later.deferred              = n;
    p->deferral[p->deferrals++] = later;
    return LS_OK;
}

/* `written[b]`: number of writers of gradient buffer b so far. */
static ls_status emit_backward(ls_program *p, const ls_node *n, const bool *needed, int *written)
{
    const ls_op *op     = ls__op(n);
    ls_instr     instr  = ls__blank_instr(LS_INSTR_BACKWARD, op->name);
    bool         wanted = false, used = false;
    for (int k = 0; k < n->ins; k++) wanted |= wants_grad(n, k);
    for (int k = 0; k < ls__results(n); k++) {
        instr.dout[k] = p->grad_of[ls__root(n->out[k])->index];
        used |= instr.dout[k] >= 0;
    }
    if (!used || !wanted || op->view) return LS_OK;
    LS_CHECK(op->backward[p->options.device], LS_ERR_USAGE, "op %s (%s:%d): no backward kernel for the device '%s'",
             op->name, n->where.file, n->where.line, p->options.device == LS_CPU ? "cpu" : "cuda");
    LS_CHECK(n->out[0]->batched, LS_ERR_USAGE,
             "op %s (%s:%d): its gradient is needed, but it depends on parameters alone" LS_HINT
             "apply it to a tensor that depends on the batch, or freeze the parameter",
             op->name, n->where.file, n->where.line);
    const bool with_loss = loss_in_backward(p, n, needed);
    instr.node           = n;
    instr.name           = node_name(p, n);
    instr.flops          = (with_loss ? 3 : 2) * flops_of(n);
    for (int k = 0; k < n->ins; k++)
        if (n->in[k] && ls__saves(n) & LS_SAVES_IN(k)) instr.in[k] = backward_value(p, n, k);
    for (int k = 0; k < n->outs; k++)
        if (with_loss || ls__saves(n) & LS_SAVES_OUT(k))
            instr.out[k] = k == 0 && ls__is_recomputed(p, n) ? recomputed_value(p, n) : ls__value_buffer(p, n->out[k]);
    for (int k = 0; k < n->ins; k++) {
        if (!wants_grad(n, k)) continue;
        instr.din[k] = grad_buffer(p, n->in[k]);
        instr.add[k] = written[instr.din[k]] > 0;
        written[instr.din[k]] += ls__gradient_uses_of(n, k);
    }
    if (n->loop) return append_in_loop(p, &instr);
    if (sums_batch(p, n)) return append_stages(p, &instr);
    append_backward(p, &instr);
    emit_folds(p, n, written);
    return LS_OK;
}

/* ---- loops ------------------------------------------------------------------------------------------------------- */

/* Whether node n has a backward instruction; `batched`: for an input with a batch. */
static bool has_backward(const ls_program *p, const ls_node *n, bool batched)
{
    bool used = false, wanted = false;
    for (int k = 0; k < ls__results(n); k++) used |= p->uses[ls__root(n->out[k])->index] > 0;
    for (int k = 0; k < n->ins; k++) wanted |= wants_grad(n, k) && (n->in[k]->batched || !batched);
    return used && wanted;
}

/* Appends PACK instructions for what the nodes of a body read in packed form. */
static void emit_packs(ls_program *p, const ls_loop *l, bool reverse)
{
    for (int i = l->begin; i < l->end; i++) {
        const ls_node *n   = p->node[i];
        p->packed_of[i]    = -1;
        const size_t bytes = n && ls__op(n)->packed_bytes ? ls__op(n)->packed_bytes(n, reverse) : 0;
        if (!bytes || (reverse && !has_backward(p, n, true))) continue;
        ls_instr instr = ls__blank_instr(LS_INSTR_PACK, ls__op(n)->name);
        instr.node     = n;
        instr.reverse  = reverse;
        for (int k = 0; k < n->ins; k++)
            if (n->in[k] && !n->in[k]->batched) instr.in[k] = input_buffer(p, n, k);
        instr.packed = p->packed_of[i] =
            add_buffer(p, (ls_buffer){.name   = ls_arena_printf(p->memory, "%s, packed", n->out[0]->name),
                                      .tensor = ls__root(n->in[1]),
                                      .place  = LS_PLACE_STEP,
                                      .bytes  = bytes});
        ls__append_instr(p, &instr);
    }
}

/* Recomputes values of outside of the loop that the backward of its body reads, and adds gradients of carried values,
 * which the body reads before it writes them. */
static void prepare_backward(ls_program *p, const ls_loop *l)
{
    for (int i = l->end - 1; i >= l->begin; i--) {
        const ls_node *n = p->node[i];
        for (int k = 0; n && has_backward(p, n, false) && k < n->ins; k++)
            if (n->in[k] && !n->in[k]->loop && ls__saves(n) & LS_SAVES_IN(k)) backward_value(p, n, k);
    }
    for (int i = 0; i < p->graph->tensors; i++) {
        const ls_tensor *t = p->graph->tensor[i];
        if (t->loop == l && ls__is_carried(t) && t->needs_grad && p->uses[i] > 0) value_gradient(p, t);
    }
}

static void append_loop(ls_program *p, const ls_loop *l, ls_instr_kind kind, bool reverse)
{
    ls_instr instr = ls__blank_instr(kind, "");
    instr.loop     = l;
    instr.reverse  = reverse;
    if (kind == LS_INSTR_LOOP) instr.name = ls_arena_printf(p->memory, "%lld steps", (long long)ls__loop_steps(l));
    ls__append_instr(p, &instr);
}

/* Leaves the loop `from` and enters the loop `to`, if they differ; NULL: outside of loops.  written: of emit_backward;
 * NULL: forward. */
static void change_loop(ls_program *p, const ls_loop *from, const ls_loop *to, int *written)
{
    if (from == to) return;
    if (from) append_loop(p, from, LS_INSTR_END, written != NULL);
    if (from && written) {
        for (int i = 0; i < p->deferrals; i++) append_backward(p, &p->deferral[i]);
        for (int i = from->end - 1; i >= from->begin; i--)
            if (p->node[i]) emit_folds(p, p->node[i], written);
        p->deferrals = 0;
    }
    if (to && written) prepare_backward(p, to);
    if (to) emit_packs(p, to, written != NULL);
    if (to) append_loop(p, to, LS_INSTR_LOOP, written != NULL);
}

static ls_status emit_all_forward(ls_program *p, const bool *needed)
{
    const ls_loop *loop = NULL;
    for (int i = 0; i < p->graph->nodes; i++) {
        if (!p->node[i] || loss_in_backward(p, p->node[i], needed)) continue;
        change_loop(p, loop, p->node[i]->loop, NULL);
        loop = p->node[i]->loop;
        LS_TRY(emit_forward(p, p->node[i]));
    }
    change_loop(p, loop, NULL, NULL);
    return LS_OK;
}

static ls_status emit_all_backward(ls_program *p, const bool *needed, int *written)
{
    const ls_loop *loop = NULL;
    for (int i = p->graph->nodes - 1; i >= 0; i--) {
        if (!p->node[i] || !has_backward(p, p->node[i], false)) continue;
        change_loop(p, loop, p->node[i]->loop, written);
        loop = p->node[i]->loop;
        LS_TRY(emit_backward(p, p->node[i], needed, written));
    }
    change_loop(p, loop, NULL, written);
    return LS_OK;
}

ls_status ls__build_program(ls_program *p)
{
    p->buffers = p->instrs = 0;
    for (int i = 0; i < p->graph->tensors; i++)
        p->value_of[i] = p->grad_of[i] = p->recomputed_of[i] = p->narrow_of[i] = -1;
    const ls_graph *g       = p->graph;
    ls_tensor      *loss    = p->options.loss;
    bool           *needed  = ls_arena_alloc(p->memory, (size_t)g->nodes + 1);
    int            *written = ls_arena_alloc(p->memory, ls__program_buffers(g) * sizeof *written);
    ls__mark_needed(g, p->options.output, p->options.outputs, loss, needed);
    ls__fuse(p, needed);
    LS_TRY(emit_all_forward(p, needed));
    if (!loss) {
        ls__loop_buffers(p);
        return LS_OK;
    }
    p->uses                 = ls__gradient_uses(g, loss, p->memory);
    const ls_tensor *seed   = ls__root(loss);
    p->grad_of[seed->index] = add_buffer(p, (ls_buffer){.name      = "ones",
                                                        .tensor    = seed,
                                                        .place     = LS_PLACE_ONES,
                                                        .gradient  = true,
                                                        .row_bytes = sizeof(float),
                                                        .bytes     = (size_t)p->options.max_rows * sizeof(float)});
    LS_TRY(emit_all_backward(p, needed, written));
    ls__loop_buffers(p);
    return LS_OK;
}
