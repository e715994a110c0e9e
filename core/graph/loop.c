/* SPDX-License-Identifier: Apache-2.0
 * Loops: building them in a graph; copies of values and deferred gradients in a program. */
#include "core/graph/loop.h"

#include <string.h>

#include "core/base/integer.h"
#include "core/graph/graph.h"

enum { ALIGN = 64 };

/* ---- in a graph -------------------------------------------------------------------------------------------------- */

int64_t ls__loop_steps(const ls_loop *l) { return l->over->dim[0]; }

bool ls__is_carried(const ls_tensor *t) { return t->loop && t->node && t->node->op == LS_OP_carry && !t->view_of; }

double ls__node_flops(const ls_node *n)
{
    const ls_op *op = ls__op(n);
    if (op->view) return 0;
    return (op->flops ? op->flops(n) : (double)ls__numel(n->out[0])) * (n->loop ? (double)ls__loop_steps(n->loop) : 1);
}

ls_loop *ls__loop_of(const ls_node *n)
{
    ls_graph    *g    = n->graph;
    const ls_op *op   = ls__op(n);
    ls_loop     *loop = NULL;
    for (int i = 0; i < n->ins; i++) {
        const ls_tensor *x     = n->in[i];
        const ls_node   *maker = x ? ls__root(x)->node : NULL;
        if (!x) continue;
        if (x->loop && x->loop != g->loop)
            ls__graph_fail(g, n->where,
                           "%s: '%s' is a value of one step of a loop that has ended" LS_HINT
                           "ls_loop_stack gives the values of all steps",
                           op->name, x->name);
        if (g->loop && maker && maker->loop == g->loop && !ls__root(x)->loop)
            ls__graph_fail(g, n->where,
                           "%s: '%s' has the values of all steps, and the loop has not ended" LS_HINT
                           "use it after ls_loop_end",
                           op->name, x->name);
        if (x->loop) loop = x->loop;
    }
    for (int i = 0; loop && i < n->ins; i++)
        if (op->batch_sums || (n->in[i] && op->updates & 1u << i))
            ls__graph_fail(g, n->where, "%s: %s, which is not possible in a loop", op->name,
                           op->batch_sums ? "sums over the batch" : "updates a state");
    return loop;
}

/* The place in the user's source that an error about tensor t names. */
static ls_where place(const ls_tensor *t) { return t->where.file ? t->where : LS_HERE; }

/* Whether a function may add to the loop; else records an error. */
static bool is_open(const ls_loop *l, const char *function)
{
    if (!l || l->graph->status != LS_OK) return false;
    if (l->graph->loop == l) return true;
    ls__graph_fail(l->graph, LS_HERE, "%s: the loop has ended", function);
    return false;
}

ls_loop *ls_loop_begin(ls_graph *g)
{
    if (!g || g->status != LS_OK) return NULL;
    if (g->loop) {
        ls__graph_fail(g, LS_HERE, "ls_loop_begin: another loop has not ended" LS_HINT "loops are not nested");
        return NULL;
    }
    g->loop  = ls_arena_alloc(g->arena, sizeof *g->loop);
    *g->loop = (ls_loop){.graph = g, .begin = g->nodes};
    g->loops = true;
    return g->loop;
}

ls_tensor *ls_loop_step(ls_loop *l, ls_tensor *x)
{
    if (!is_open(l, "ls_loop_step") || !x) return NULL;
    if (!x->batched || x->rank < 1 || x->loop || (l->over && x->dim[0] != ls__loop_steps(l)))
        return ls__graph_fail(l->graph, place(x),
                              "ls_loop_step: '%s' is %s%s, expected B x T x ... of outside, with the "
                              "same T for all",
                              x->name, ls__shape(x), x->loop ? " of a step" : "");
    if (!l->over) l->over = x;
    return ls__apply_in(l->graph, l, LS_OP_select, &(ls_select_args){.x = x, .each = true}, x->where);
}

/* Makes a tensor outside of the loop its carried value. */
static ls_tensor *carried(ls_loop *l, ls_tensor *t)
{
    if (t) t->loop = l;
    return t;
}

ls_tensor *ls_loop_carry(ls_loop *l, ls_tensor *h0)
{
    if (!is_open(l, "ls_loop_carry") || !h0) return NULL;
    if (h0->loop)
        return ls__graph_fail(l->graph, place(h0), "ls_loop_carry: '%s' is a value of a step, expected one of outside",
                              h0->name);
    return carried(l, ls__apply_in(l->graph, NULL, LS_OP_carry, &(ls_carry_args){.x = h0}, h0->where));
}

ls_tensor *ls_loop_zeros(ls_loop *l, int64_t width)
{
    if (!is_open(l, "ls_loop_zeros")) return NULL;
    return carried(l, ls__apply_in(l->graph, NULL, LS_OP_carry, &(ls_carry_args){.width = width}, LS_HERE));
}

void ls_loop_next(ls_loop *l, ls_tensor *h, ls_tensor *value)
{
    if (!is_open(l, "ls_loop_next") || !h || !value) return;
    if (h->loop != l || !ls__is_carried(h) || h->next) {
        ls__graph_fail(l->graph, place(value), "ls_loop_next: '%s' %s", h->name,
                       h->next ? "has its value of the next step already"
                               : "is not a carried value of this loop" LS_HINT
                                 "ls_loop_carry and ls_loop_zeros make them");
        return;
    }
    bool same = value->batched && value->rank == h->rank;
    for (int i = 0; same && i < h->rank; i++) same = value->dim[i] == h->dim[i];
    if (!same) {
        ls__graph_fail(l->graph, place(value), "ls_loop_next: '%s' is %s, and the next value '%s' is %s", h->name,
                       ls__shape(h), value->name, ls__shape(value));
        return;
    }
    value        = ls__converted(value, h->type);
    ls_tensor *y = ls__apply_in(l->graph, l, LS_OP_carry, &(ls_carry_args){.x = value}, h->where);
    if (!y) return;
    y->view_of = h; /* copy t + 1 of its memory */
    h->next    = y->node;
}

ls_tensor *ls_loop_stack(ls_loop *l, ls_tensor *y)
{
    if (!is_open(l, "ls_loop_stack") || !y) return NULL;
    if (!l->over)
        return ls__graph_fail(l->graph, place(y),
                              "ls_loop_stack: the number of steps is not known" LS_HINT "call ls_loop_step first");
    return ls__apply_in(l->graph, l, LS_OP_stack, &(ls_unary_args){y}, y->where);
}

void ls_loop_end(ls_loop *l)
{
    if (!is_open(l, "ls_loop_end")) return;
    ls_graph *g = l->graph;
    if (!l->over) {
        ls__graph_fail(g, LS_HERE, "ls_loop_end: the loop has no steps" LS_HINT "call ls_loop_step");
        return;
    }
    for (int i = 0; i < g->tensors; i++)
        if (g->tensor[i]->loop == l && ls__is_carried(g->tensor[i]) && !g->tensor[i]->next) {
            ls__graph_fail(g, place(l->over),
                           "ls_loop_end: '%s' has no value of the next step" LS_HINT "call ls_loop_next",
                           g->tensor[i]->name);
            return;
        }
    /* nodes that read no value of a step move before the body */
    ls_node **body = ls_arena_alloc(g->arena, (size_t)(g->nodes - l->begin + 1) * sizeof *body);
    int       n = 0, before = l->begin;
    for (int i = l->begin; i < g->nodes; i++)
        if (g->node[i]->loop)
            body[n++] = g->node[i];
        else
            g->node[before++] = g->node[i];
    l->begin = before;
    l->end   = before + n;
    for (int i = 0; i < n; i++) g->node[before + i] = body[i];
    for (int i = 0; i < g->nodes; i++) g->node[i]->index = i;
    g->loop = NULL;
    ls__find_gradients(g, NULL);
}

/* ---- all steps at once ------------------------------------------------------------------------------------------- */

static ls_status all_steps_of(ls_program *p, const ls_tensor *t, ls_tensor **all)
{
    *all = (ls_tensor *)(uintptr_t)t;
    if (!t || !t->loop) return LS_OK;
    LS_CHECK(t->rank < LS_MAX_DIMS, LS_ERR_USAGE, "loop: '%s' is %s, expected at most %d dims of a value with a weight",
             t->name, ls__shape(t), LS_MAX_DIMS - 1);
    ls_tensor *copy = ls_arena_alloc(p->memory, sizeof *copy);
    *copy           = *t;
    copy->rank++;
    *all = copy;
    return LS_OK;
}

/* Sets the dims of `all` to those of `of` for all steps. */
static void reshape_all(const ls_node *of, const ls_node *all)
{
    for (int k = 0; k < of->ins + of->outs; k++) {
        const ls_tensor *t  = k < of->ins ? of->in[k] : of->out[k - of->ins];
        ls_tensor       *to = k < of->ins ? all->in[k] : all->out[k - of->ins];
        if (!t || !t->loop) continue;
        to->dim[0] = ls__loop_steps(of->loop);
        memcpy(to->dim + 1, t->dim, (size_t)t->rank * sizeof *t->dim);
    }
}

ls_status ls__loop_all_steps(ls_program *p, const ls_node *n, const ls_node **all)
{
    ls_node *copy = ls_arena_alloc(p->memory, sizeof *copy);
    *copy         = *n;
    for (int k = 0; k < n->ins; k++) LS_TRY(all_steps_of(p, n->in[k], &copy->in[k]));
    for (int k = 0; k < n->outs; k++) LS_TRY(all_steps_of(p, n->out[k], &copy->out[k]));
    reshape_all(n, copy);
    *all = copy;
    return LS_OK;
}

void ls__loop_reshape(ls_program *p)
{
    for (int i = 0; i < p->instrs; i++)
        if (p->instr[i].deferred) reshape_all(p->instr[i].deferred, p->instr[i].node);
}

/* ---- copies of values -------------------------------------------------------------------------------------------- */

static bool uses(const ls_instr *instr, int buffer)
{
    bool is = instr->packed == buffer;
    for (int k = 0; k < LS_MAX_IN; k++) is |= instr->in[k] == buffer || instr->din[k] == buffer;
    for (int k = 0; k < LS_MAX_OUT; k++) is |= instr->out[k] == buffer || instr->dout[k] == buffer;
    return is;
}

/* The number of copies of a buffer of a value of a step. */
static int64_t copies(const ls_program *p, int buffer)
{
    const ls_buffer *b       = &p->buffer[buffer];
    const int64_t    steps   = ls__loop_steps(b->tensor->loop);
    const bool       carried = ls__is_carried(b->tensor);
    bool             in_loop = false, outside = false; /* used after its first loop */
    int              loops = 0, first = 0;
    if (carried && b->gradient) return 2;
    for (int i = 0; i < p->instrs; i++) {
        const ls_instr *instr = &p->instr[i];
        if (instr->kind == LS_INSTR_LOOP || instr->kind == LS_INSTR_END) in_loop = instr->kind == LS_INSTR_LOOP;
        loops += instr->kind == LS_INSTR_LOOP;
        if (!uses(instr, buffer)) continue;
        if (in_loop && !first) first = loops;
        outside |= first && (!in_loop || loops != first);
    }
    return carried ? (outside ? steps + 1 : 2) : outside ? steps : 0;
}

void ls__loop_buffers(ls_program *p)
{
    for (int i = 0; i < p->buffers && p->graph->loops; i++) {
        ls_buffer *b = &p->buffer[i];
        if (b->place != LS_PLACE_STEP || !b->tensor->loop) continue;
        b->copies = copies(p, i);
        b->stride = ls__round_up_bytes(b->bytes, ALIGN);
        if (b->copies) b->bytes = (size_t)b->copies * b->stride;
    }
}

/* ---- deferred gradients ------------------------------------------------------------------------------------------ */

static size_t gathered_bytes(const ls_program *p, const ls_tensor *all)
{
    return ls__round_up_bytes((size_t)(p->options.max_rows * ls__numel(all)) * ls__dtype_bytes(all->type), ALIGN);
}

/* Whether operand `buffer` with the tensor `of` of the node in the body is copied. */
static bool is_gathered(int buffer, const ls_tensor *of) { return buffer >= 0 && of && of->loop; }

size_t ls__loop_gather_bytes(const ls_program *p, const ls_instr *instr)
{
    const ls_node *of    = instr->deferred;
    size_t         bytes = 0;
    for (int k = 0; of && k < of->ins; k++)
        if (is_gathered(instr->in[k], of->in[k])) bytes += gathered_bytes(p, instr->node->in[k]);
    for (int k = 0; of && k < of->outs; k++) {
        if (is_gathered(instr->out[k], of->out[k])) bytes += gathered_bytes(p, instr->node->out[k]);
        if (is_gathered(instr->dout[k], of->out[k])) bytes += gathered_bytes(p, instr->node->out[k]);
    }
    return bytes;
}

/* Copies all steps of an operand to c->scratch, and moves c->scratch behind them.  Returns the copy. */
static void *gather(const ls_program *p, const ls_buffer *from, const ls_tensor *all, ls_call *c)
{
    const int64_t        steps = all->dim[0];
    const size_t         bytes = (size_t)(ls__numel(all) / steps) * ls__dtype_bytes(all->type);
    const unsigned char *x     = p->arena + from->offset;
    unsigned char       *y     = c->scratch;
#pragma omp parallel for schedule(static) if (c->rows * ls__numel(all) >= 32768)
    for (int64_t b = 0; b < c->rows; b++)
        for (int64_t t = 0; t < steps; t++)
            memcpy(y + (size_t)(b * steps + t) * bytes, x + (size_t)t * from->stride + (size_t)b * bytes, bytes);
    c->scratch = y + gathered_bytes(p, all);
    return y;
}

void ls__loop_gather(const ls_program *p, const ls_instr *instr, ls_call *c)
{
    const ls_node *of = instr->deferred;
    for (int k = 0; k < of->ins; k++)
        if (is_gathered(instr->in[k], of->in[k])) c->x[k] = gather(p, &p->buffer[instr->in[k]], instr->node->in[k], c);
    for (int k = 0; k < of->outs; k++) {
        if (is_gathered(instr->out[k], of->out[k]))
            c->y[k] = gather(p, &p->buffer[instr->out[k]], instr->node->out[k], c);
        if (is_gathered(instr->dout[k], of->out[k]))
            c->dy[k] = gather(p, &p->buffer[instr->dout[k]], instr->node->out[k], c);
    }
}
