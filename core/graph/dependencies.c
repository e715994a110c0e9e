/* SPDX-License-Identifier: Apache-2.0
 * Needed nodes, and uses of gradients.  The value that a loop carries depends on a node behind its readers, so both
 * searches repeat until they find nothing new. */
#include "core/graph/dependencies.h"

void ls__mark_needed(const ls_graph *g, ls_tensor *const *output, int outputs, const ls_tensor *loss, bool *needed)
{
    bool *wanted = ls_arena_alloc(g->arena, (size_t)g->tensors + 1);
    for (int i = 0; i < outputs; i++) wanted[output[i]->index] = true;
    if (loss) wanted[loss->index] = true;
    if (loss && loss->weight) wanted[loss->weight->index] = true;
    for (bool changed = true; changed;) { /* once, unless a loop carries values */
        changed = false;
        for (int i = g->nodes - 1; i >= 0; i--) {
            const ls_node *n   = g->node[i];
            bool           was = needed[i];
            for (int k = 0; k < n->outs; k++)
                if (wanted[n->out[k]->index]) needed[i] = true;
            if (was || !needed[i]) continue;
            for (int k = 0; k < n->ins; k++)
                if (n->in[k]) wanted[n->in[k]->index] = true;
            if (n->out[0]->next) wanted[n->out[0]->next->out[0]->index] = true;
            changed |= n->out[0]->next != NULL;
        }
    }
}

int ls__gradient_uses_of(const ls_node *n, int k)
{
    const ls_tensor *x = n->in[k];
    if (!x || !x->needs_grad || ls__op(n)->no_grad & 1u << k) return 0;
    return n->loop && !x->batched && !ls__op(n)->defers ? LS_USES_OF_STEPS : 1;
}

int *ls__gradient_uses(const ls_graph *g, const ls_tensor *loss, ls_arena *memory)
{
    int  *uses    = ls_arena_alloc(memory, ((size_t)g->tensors + 1) * sizeof *uses);
    bool *counted = ls_arena_alloc(memory, (size_t)g->nodes + 1);

    uses[ls__root(loss)->index] = 1;
    for (bool changed = true; changed;) { /* once, unless a loop carries values */
        changed = false;
        for (int i = g->nodes - 1; i >= 0; i--) {
            const ls_node *n    = g->node[i];
            bool           used = false;
            for (int k = 0; k < ls__results(n); k++) used |= uses[ls__root(n->out[k])->index] > 0;
            if (ls__op(n)->view || !n->out[0]->needs_grad || !used || counted[i]) continue;
            for (int k = 0; k < n->ins; k++)
                if (ls__gradient_uses_of(n, k)) uses[ls__root(n->in[k])->index] += ls__gradient_uses_of(n, k);
            counted[i] = true;
            changed |= n->loop != NULL;
        }
    }
    return uses;
}
