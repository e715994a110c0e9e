/* SPDX-License-Identifier: Apache-2.0
 *
 * Which values that are dear to compute again are not kept all the same.  A step needs most memory at one instruction,
 * as a rule where the loss of a large vocabulary is made; only what lives there is worth a second computation.  Of
 * that, values that free most bytes for their arithmetic are given up one by one, until the next would make the step
 * longer by more than a 16th of its arithmetic, or until the most memory is needed elsewhere (Chen 2016 gives up all
 * but the square root of the layers, for a third more arithmetic).
 *
 * All is decided by shapes, and the bits are the same.
 */
#include "core/cpu/isa_table.h"
#include "core/graph/program.h"

enum { SHARE = 16, SMALL = 4 << 20 /* bytes that are not worth it */ };

/* Whether a value is read by an instruction before `at` and by one behind, and is no other's memory. */
static bool spans(const ls_program *p, int buffer, int at)
{
    const ls_buffer *b = &p->buffer[buffer];
    for (int i = 0; i < p->buffers; i++)
        if (i != buffer && p->buffer[i].home == buffer) return false;
    for (int k = 0; k < LS_MAX_IN; k++)
        if (p->instr[at].in[k] == buffer) return false;
    return b->place == LS_PLACE_STEP && b->home == buffer && b->born < at && b->last > at && b->bytes >= SMALL;
}

static bool by_arithmetic(const ls_program *p, const ls_node *n)
{
    const ls_op *op = ls__op(n);
    return op->recompute_costly && op->flops && !p->spared[n->index] && p->value_of[n->out[0]->index] >= 0;
}

const ls_node *ls__program_spare(const ls_program *p, int at)
{
    const ls_node *best = NULL;
    double         all = 0, spent = 0, gain = 0;
    for (int i = 0; i < p->instrs; i++) all += p->instr[i].flops;
    for (int i = 0; i < p->graph->nodes; i++)
        if (p->spared[i]) spent += ls__op(p->graph->node[i])->flops(p->graph->node[i]);
    for (int i = 0; i < p->graph->nodes; i++) {
        const ls_node *n = p->graph->node[i];
        if (!by_arithmetic(p, n) || !ls__program_can_recompute(p, n) || !spans(p, p->value_of[n->out[0]->index], at))
            continue;
        const double flops = ls__op(n)->flops(n), bytes = (double)p->buffer[p->value_of[n->out[0]->index]].bytes;
        if ((spent + flops) * SHARE > all - spent) continue;
        if (best && bytes / flops < gain * 1.001 &&
            (bytes / flops < gain * 0.999 || bytes <= (double)p->buffer[p->value_of[best->out[0]->index]].bytes))
            continue;
        best = n;
        gain = bytes / flops;
    }
    return best;
}
