/* SPDX-License-Identifier: Apache-2.0
 * Layout, initial values and digest of the parameter block. */
#include "core/graph/params.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "core/base/integer.h"
#include "core/cpu/isa_table.h"
#include "core/graph/dependencies.h"

/* The index of the first node that uses each parameter, by tensor index; graph->nodes if none does. */
static int *first_uses(const ls_graph *g, ls_arena *arena)
{
    int *first = ls_arena_alloc(arena, (size_t)(g->tensors + 1) * sizeof *first);
    for (int i = 0; i < g->tensors; i++) first[i] = g->nodes;
    for (int i = g->nodes - 1; i >= 0; i--)
        for (int k = 0; k < g->node[i]->ins; k++)
            if (g->node[i]->in[k] && !ls__op(g->node[i])->view) first[ls__root(g->node[i]->in[k])->index] = i;
    return first;
}

/* Sorts the slots by insertion: trained before frozen, then latest first use first, then order of creation. */
static void sort_slots(ls_params *p, const int *first)
{
    for (int i = 0; i < p->count; i++) {
        int key = i, at = i;
        while (at > 0) {
            const ls_param_slot *a = &p->slot[p->order[at - 1]], *b = &p->slot[key];
            int                  ua = first[a->tensor->index], ub = first[b->tensor->index];
            if (a->trained > b->trained || (a->trained == b->trained && ua >= ub)) break;
            p->order[at] = p->order[at - 1];
            at--;
        }
        p->order[at] = key;
    }
}

/* Limit of the block: with gradients and optimizer state it still fits into the address space. */
#define MAX_FLOATS ((size_t)1 << 42)

static size_t padded(int64_t count) { return ls__round_up_bytes((size_t)count, LS_PARAM_ALIGN); }

/* Places the sums over the batch at the end of the gradient block, those over groups last. */
static void place_sums(ls_params *p)
{
    const ls_graph *g = p->graph;
    p->grads          = p->sums;
    for (int groups = 0; groups < 2; groups++) {
        if (groups) p->group_sums = p->grads;
        for (int i = 0; i < g->nodes; i++) {
            if ((ls__group_rows(g->node[i]) > 0) != groups) continue;
            p->sums_of[i] = p->grads;
            for (int backward = 0; backward < 2; backward++) p->grads += padded(ls__batch_sums(g->node[i], backward));
        }
    }
}

size_t ls__batch_sums_at(const ls_params *p, const ls_node *n, bool backward)
{
    return p->sums_of[n->index] + (backward ? padded(ls__batch_sums(n, false)) : 0);
}

ls_status ls__params_lay_out(ls_params **out, ls_graph *g, ls_arena *arena)
{
    LS_TRY(ls_graph_status(g));
    ls_params *p = ls_arena_alloc(arena, sizeof *p);
    p->graph     = g;
    p->arena     = arena;
    p->slot_of   = ls_arena_alloc(arena, (size_t)(g->tensors + 1) * sizeof *p->slot_of);
    for (int i = 0; i < g->tensors; i++) p->slot_of[i] = g->tensor[i]->role == LS_ROLE_PARAM ? p->count++ : -1;
    p->slot    = ls_arena_alloc(arena, (size_t)(p->count + 1) * sizeof *p->slot);
    p->order   = ls_arena_alloc(arena, (size_t)(p->count + 1) * sizeof *p->order);
    int *first = first_uses(g, arena);
    for (int i = 0; i < g->tensors; i++) {
        const ls_tensor *t = g->tensor[i];
        if (p->slot_of[i] < 0) continue;
        p->slot[p->slot_of[i]] =
            (ls_param_slot){.tensor = t, .count = ls__numel(t), .trained = t->needs_grad && first[i] < g->nodes};
    }
    sort_slots(p, first);
    size_t at = p->trained = LS_PARAM_START;
    for (int i = 0; i < p->count; i++) {
        ls_param_slot *s = &p->slot[p->order[i]];
        s->offset        = at;
        at += padded(s->count);
        LS_CHECK(at <= MAX_FLOATS, LS_ERR_USAGE,
                 "parameter '%s': the model has more than %zu parameters with it, the limit" LS_HINT
                 "`lockstep explain` shows the parameters of each layer",
                 s->tensor->name, MAX_FLOATS);
        if (s->trained) p->trained = at;
    }
    p->floats  = at;
    p->sums    = p->trained;
    p->sums_of = ls_arena_alloc(arena, (size_t)(g->nodes + 1) * sizeof *p->sums_of);
    place_sums(p);
    *out = p;
    return LS_OK;
}

ls_status ls__params_fill(ls_params *p, uint64_t seed, int part, int parts)
{
    for (int i = part; i < p->count; i += parts)
        LS_TRY(ls__init_fill(p->slot[i].tensor, seed, (float *)p->block.data + p->slot[i].offset));
    return LS_OK;
}

ls_status ls__params_new_unset(ls_params **out, ls_graph *g)
{
    ls_params *p;
    LS_TRY(ls__params_lay_out(&p, g, g->arena));
    LS_TRY(ls_block_new(&p->block, p->floats * sizeof(float), "parameter"));
    ls_status status = ls__params_new_copy(p, g->precision);
    if (status != LS_OK) {
        ls_block_free(&p->block);
        return status;
    }
    *out = p;
    return LS_OK;
}

ls_status ls_params_new(ls_params **out, ls_graph *g, uint64_t seed)
{
    ls_params *p;
    LS_TRY(ls__params_new_unset(&p, g));
    ls_status status = ls__params_fill(p, seed, 0, 1);
    if (status == LS_OK)
        *out = p;
    else
        ls_params_free(p);
    return status;
}

ls_status ls__params_new_copy(ls_params *p, ls_dtype precision)
{
    if (precision == LS_F32 || p->narrow.data) return LS_OK;
    p->stale = true;
    return ls_block_new(&p->narrow, p->floats * ls__dtype_bytes(precision), "bfloat16 parameter");
}

void ls__params_narrow(ls_params *p, size_t offset, size_t count)
{
    if (!p->narrow.data) return;
    ls__isa_table()->narrow((int64_t)count, (const float *)p->block.data + offset, (uint16_t *)p->narrow.data + offset);
}

void ls__params_refresh(ls_params *p)
{
    if (p->origin) p = p->origin;
    if (p->stale) ls__params_narrow(p, LS_PARAM_START, p->floats - LS_PARAM_START);
    p->stale = false;
}

/* Length of the part of a parameter's name that names its layer. */
static size_t layer_length(const char *name)
{
    const char *end = strrchr(name, '.'), *at = name;
    while (*at) { /* a part of the name, from `at` to `next` */
        const char *next = strchr(at, '.');
        if (!next) break;
        if (strspn(at, "0123456789") == (size_t)(next - at)) {
            for (end = next; (next = strchr(end + 1, '.')); end = next)
                if (strspn(end + 1, "0123456789") != (size_t)(next - end - 1)) break;
            break;
        }
        at = next + 1;
    }
    return end ? (size_t)(end - name) : strlen(name);
}

int ls__param_layers(const ls_params *p, int *layer)
{
    int layers = 0;
    for (int i = 0; i < p->count; i++) {
        const char  *name = p->slot[i].tensor->name;
        const size_t n    = layer_length(name);
        int          same = 0;
        bool         norm = true;
        while (same < i &&
               (layer_length(p->slot[same].tensor->name) != n || strncmp(p->slot[same].tensor->name, name, n) != 0))
            same++;
        if (same < i) {
            layer[i] = layer[same];
            continue;
        }
        for (int k = i; k < p->count; k++)
            if (layer_length(p->slot[k].tensor->name) == n && !strncmp(p->slot[k].tensor->name, name, n))
                norm &= p->slot[k].tensor->rank <= 1;
        layer[i] = norm && layers ? layers - 1 : layers++;
    }
    return layers;
}

void ls__params_tie(ls_params *p, const ls_tensor *loss)
{
    const ls_graph *g    = p->graph;
    const int      *uses = ls__gradient_uses(g, loss, p->arena);
    p->seconds           = ls_arena_alloc(p->arena, ((size_t)p->count + 1) * sizeof *p->seconds);
    p->tied              = 0;
    p->sums              = p->trained;
    for (int i = 0; i < p->count; i++) p->slot[i].second = 0;
    for (int i = g->nodes - 1; i >= 0; i--) /* the order of backward */
        for (int k = 0; k < g->node[i]->ins; k++) {
            const ls_tensor *x = g->node[i]->in[k] ? ls__root(g->node[i]->in[k]) : NULL;
            if (!x || x->role != LS_ROLE_PARAM || ls__op(g->node[i])->view || uses[x->index] != 2) continue;
            ls_param_slot *s = &p->slot[p->slot_of[x->index]];
            if (!s->trained || s->second) continue;
            s->second             = p->sums;
            p->seconds[p->tied++] = p->slot_of[x->index];
            p->sums += padded(s->count);
        }
    place_sums(p);
}

void ls_params_free(ls_params *p)
{
    if (!p) return; /* all else lies in the graph's arena */
    ls_block_free(&p->block);
    ls_block_free(&p->narrow);
}

int ls_params_count(const ls_params *p) { return p->count; }

int64_t ls_params_total(const ls_params *p)
{
    int64_t total = 0;
    for (int i = 0; i < p->count; i++) total += p->slot[i].count;
    return total;
}

float *ls_params_get(ls_params *p, int i, const char **name, int *rank, const int64_t **dims)
{
    const ls_tensor *t = p->slot[i].tensor;
    if (name) *name = t->name;
    if (rank) *rank = t->rank;
    if (dims) *dims = t->dim;
    p->stale = true; /* the caller may write */
    return (float *)p->block.data + p->slot[i].offset;
}

int ls_params_find(const ls_params *p, const char *name)
{
    for (int i = 0; i < p->count; i++)
        if (strcmp(p->slot[i].tensor->name, name) == 0) return i;
    return -1;
}

static uint64_t chain(const ls_params *p, int i, uint64_t digest)
{
    return XXH3_64bits_withSeed((const float *)p->block.data + p->slot[i].offset,
                                (size_t)p->slot[i].count * sizeof(float), digest);
}

uint64_t ls__param_digest(const ls_params *p, int param) { return chain(p, param, 0); }

uint64_t ls_params_digest(const ls_params *p)
{
    uint64_t digest = 0; /* chained in order of creation, so that it does not depend on the layout of the block */
    for (int i = 0; i < p->count; i++) digest = chain(p, i, digest);
    return digest;
}
