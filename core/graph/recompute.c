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
 * The selection depends on shapes alone.  The bits are those of a program without recomputation.
 */
#include "core/graph/recompute.h"

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
