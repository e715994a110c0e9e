/* SPDX-License-Identifier: Apache-2.0
 *
 * Selects costly activations to recompute in backward, to lower the peak memory of a step.
 *
 * A step uses most memory at one instruction, usually the loss over a large vocabulary.  Only activations in use there
 * are candidates.  They are selected one by one, those that free most bytes per floating-point operation first, until
 *   - the next one would raise the arithmetic of a step by more than 1/16 in total, or
 *   - the peak no longer falls, because another instruction has become the peak.
 * (Chen 2016 keeps only the square root of the number of layers, for a third more arithmetic.)
 *
 * With options.arena_bytes the selection continues until the arena fits.  Any value may then be recomputed, at any
 * cost, and from recomputed values as well.  A round adds the node that frees most bytes at the peak per operation,
 * and the nodes on which it depends.  If the peak does not fall, the round is undone.  At the end the nodes that the
 * limit does not need are removed, the most costly first.
 *
 * The selection depends on shapes alone.  The bits are those of a program without recomputation.
 */
#include "core/graph/recompute.h"

#include <string.h>

#include "core/graph/build_program.h"
#include "core/graph/graph.h"
#include "core/graph/planner.h"

enum {
    MAX_EXTRA_PART  = 16,     /* recomputation takes at most 1 / MAX_EXTRA_PART of the arithmetic of a step */
    MIN_VALUE_BYTES = 4 << 20 /* smaller activations are not worth it */
};

/* Whether a buffer is in use during instruction `at` without being read by it, and shares its memory with no other. */
static bool spans(const ls_program *p, int buffer, int at)
{
    const ls_buffer *b = &p->buffer[buffer];
    for (int i = 0; i < p->buffers; i++)
        if (i != buffer && p->buffer[i].home == buffer) return false;
    for (int k = 0; k < LS_MAX_IN; k++)
        if (p->instr[at].in[k] == buffer) return false;
    return b->place == LS_PLACE_STEP && b->home == buffer && b->born < at && b->last > at &&
           b->bytes >= MIN_VALUE_BYTES;
}

static bool is_candidate(const ls_program *p, const ls_node *n, int at)
{
    const ls_op *op    = ls__op(n);
    const int    value = p->value_of[n->out[0]->index];
    return op->recompute_costly && op->flops && !n->loop && !p->recompute[n->index] && value >= 0 &&
           ls__can_recompute(p, n) && spans(p, value, at);
}

/* The best node to recompute if instruction `at` is the peak; NULL: none. */
static const ls_node *best_candidate(const ls_program *p, int at)
{
    const ls_node *best = NULL;
    double         all = 0, spent = 0, best_gain = 0, best_bytes = 0;
    for (int i = 0; i < p->instrs; i++) all += p->instr[i].flops;
    for (int i = 0; i < p->graph->nodes; i++)
        if (p->recompute[i]) spent += ls__op(p->graph->node[i])->flops(p->graph->node[i]);
    for (int i = 0; i < p->graph->nodes; i++) {
        const ls_node *n = p->graph->node[i];
        if (!is_candidate(p, n, at)) continue;
        const double flops = ls__op(n)->flops(n);
        const double bytes = (double)p->buffer[p->value_of[n->out[0]->index]].bytes;
        const double gain  = bytes / flops;
        if ((spent + flops) * MAX_EXTRA_PART > all - spent) continue;
        const bool equal_gain = gain < best_gain * 1.001 && gain >= best_gain * 0.999;
        if (best && (gain < best_gain * 0.999 || (equal_gain && bytes <= best_bytes))) continue;
        best       = n;
        best_gain  = gain;
        best_bytes = bytes;
    }
    return best;
}

ls_status ls__build_with_recompute(ls_program *p)
{
    int    at   = 0;
    size_t peak = SIZE_MAX;
    LS_TRY(ls__build_program(p));
    if (!p->options.loss) return LS_OK;
    for (const ls_node *n = NULL;;) {
        const size_t bytes = ls__program_peak(p, &at);
        if (n && bytes >= peak) { /* the last one did not help */
            p->recompute[n->index] = false;
            return ls__build_program(p);
        }
        peak = bytes;
        n    = best_candidate(p, at);
        if (!n) return LS_OK;
        p->recompute[n->index] = true;
        LS_TRY(ls__build_program(p));
    }
}

/* ---- a given arena ----------------------------------------------------------------------------------------------- */

/* The search in one program.  By node: `tried` and dropped; `with`: recomputed for the candidate that is examined. */
typedef struct search {
    ls_program *p;
    bool       *tried, *with, *before;
    int         backward; /* position after the first backward instruction, that of the loss */
    double      flops;    /* of `with`, per sample */
} search;

static double flops_of_node(const ls_node *n)
{
    return ls__op(n)->flops ? ls__op(n)->flops(n) : (double)ls__numel(n->out[0]);
}

/* Whether backward can compute out[0] of a node again, at any cost. */
static bool may_recompute(const ls_program *p, const ls_node *n)
{
    const ls_op     *op    = ls__op(n);
    const ls_tensor *value = n->out[0], *loss = ls__root(p->options.loss);
    bool             kept = value == loss || (p->options.gradient && value == ls__root(p->options.gradient));
    for (int i = 0; i < p->options.outputs; i++) kept |= ls__root(p->options.output[i]) == value;
    for (int k = 0; k < n->ins; k++) kept |= n->in[k] && op->updates >> k & 1; /* it writes a state */
    return !kept && !n->loop && !op->view && ls__results(n) == 1 && value->needs_grad && p->value_of[value->index] >= 0;
}

/* Adds a node to `with`, and the nodes that it reads and backward does not have.  Returns false if one of them cannot
 * be recomputed. */
static bool add_node(search *s, const ls_node *n)
{
    const ls_program *p = s->p;
    if (s->with[n->index]) return true;
    if (!may_recompute(p, n)) return false;
    s->with[n->index] = true;
    if (p->recomputed_of[n->out[0]->index] < 0) s->flops += flops_of_node(n);
    for (int k = 0; k < n->ins; k++) {
        const ls_tensor *x = n->in[k] ? ls__root(n->in[k]) : NULL;
        const ls_node   *m = x ? p->maker[x->index] : NULL;
        if (!m || p->recomputed_of[x->index] >= 0) continue;
        const bool again = x == m->out[0] && ls__is_recomputed(p, m);
        if (!again && p->buffer[p->value_of[x->index]].last >= s->backward) continue;
        if (x != m->out[0] || !add_node(s, m)) return false;
    }
    return true;
}

/* The bytes that the value of a node takes at instruction `at`, which does not read it. */
static size_t bytes_at(const ls_program *p, const ls_node *n, int at)
{
    const int        value = p->value_of[n->out[0]->index];
    const ls_buffer *b     = &p->buffer[value];
    for (int k = 0; k < LS_MAX_IN; k++)
        if (p->instr[at].in[k] == value) return 0;
    return b->place == LS_PLACE_STEP && p->buffer[b->home].born < at && b->last > at ? b->bytes : 0;
}

static void clear(search *s)
{
    for (int i = 0; i < s->p->graph->nodes; i++) s->with[i] = false;
    s->flops = 0;
}

/* Sets `with` to the best nodes to recompute if instruction `at` is the peak.  Returns the node that they are for;
 * NULL: none. */
static const ls_node *best_nodes(search *s, int at, size_t peak)
{
    enum { LEAST_PART = 4096 }; /* smaller parts of the peak are not worth it */
    const ls_program *p    = s->p;
    const ls_node    *best = NULL;
    double            most = 0;
    for (int i = 0; i < p->graph->nodes; i++) {
        const ls_node *n     = p->node[i];
        const size_t   bytes = n && p->value_of[n->out[0]->index] >= 0 ? bytes_at(p, n, at) : 0;
        if (!bytes || bytes < peak / LEAST_PART || s->tried[n->index] || p->recompute[n->index]) continue;
        clear(s);
        if (!add_node(s, n) || (double)bytes <= most * s->flops) continue;
        best = n;
        most = (double)bytes / s->flops;
    }
    clear(s);
    return best && add_node(s, best) ? best : NULL;
}

static int backward_position(const ls_program *p)
{
    int at = 0;
    while (at < p->instrs && p->instr[at].kind != LS_INSTR_BACKWARD) at++;
    return at + 1;
}

static size_t build_and_plan(ls_program *p, ls_status *status)
{
    *status = ls__build_program(p);
    if (*status == LS_OK) *status = ls__program_plan(p);
    return p->arena_bytes;
}

/* Recomputes more and more, until the arena has at most `limit` bytes or nothing lowers the peak. */
static ls_status lower_peak(search *s, size_t limit)
{
    ls_program *p = s->p;
    ls_status   status;
    while (build_and_plan(p, &status) > limit && status == LS_OK) {
        int          at = 0, new_at = 0;
        const size_t peak    = ls__program_peak(p, &at);
        const size_t nodes   = (size_t)p->graph->nodes;
        s->backward          = backward_position(p);
        const ls_node *n     = best_nodes(s, at, peak);
        const ls_instr is_at = p->instr[at];
        if (!n) return LS_OK;
        memcpy(s->before, p->recompute, nodes);
        for (size_t i = 0; i < nodes; i++) p->recompute[i] |= s->with[i];
        LS_TRY(ls__build_program(p));
        const size_t   new_peak = ls__program_peak(p, &new_at);
        const ls_instr is_now   = p->instr[new_at];
        const bool     same     = is_now.node == is_at.node && is_now.kind == is_at.kind;
        if (new_peak < peak || (new_peak == peak && !same)) continue;
        memcpy(p->recompute, s->before, nodes);
        s->tried[n->index] = true;
    }
    return status;
}

/* Drops nodes that are not necessary for the limit, the most costly first. */
static ls_status drop_unnecessary(search *s, const bool *first, size_t limit)
{
    ls_program *p      = s->p;
    ls_status   status = LS_OK;
    for (int i = 0; i < p->graph->nodes; i++) s->tried[i] = false;
    for (;;) {
        const ls_node *n = NULL;
        for (int i = 0; i < p->graph->nodes; i++) {
            const ls_node *m = p->graph->node[i];
            if (p->recompute[i] && !first[i] && !s->tried[i] && (!n || flops_of_node(m) > flops_of_node(n))) n = m;
        }
        if (!n) return LS_OK;
        s->tried[n->index]     = true;
        p->recompute[n->index] = false;
        p->recompute[n->index] = build_and_plan(p, &status) > limit;
        LS_TRY(status);
    }
}

ls_status ls__recompute_for_arena(ls_program *p, size_t bytes)
{
    const size_t nodes = (size_t)p->graph->nodes + 1;
    search       s     = {.p      = p,
                          .tried  = ls_arena_alloc(p->memory, nodes),
                          .with   = ls_arena_alloc(p->memory, nodes),
                          .before = ls_arena_alloc(p->memory, nodes)};
    bool        *first = ls_arena_alloc(p->memory, nodes);
    memcpy(first, p->recompute, nodes);
    for (size_t i = 0; i < nodes; i++) s.tried[i] = false;
    LS_TRY(lower_peak(&s, bytes));
    return p->arena_bytes <= bytes ? drop_unnecessary(&s, first, bytes) : LS_OK;
}
