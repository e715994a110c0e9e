/* SPDX-License-Identifier: Apache-2.0
 *
 * Builds the schedule of an all-reduce: see dist/allreduce/allreduce_schedule.h.
 *
 * merge_siblings() produces every order of additions.  Partial sums are pushed on a stack from left to right, and the
 * two on top are added when they are siblings.  Pushing the groups of each micro-step gives the merges of one rank;
 * pushing the blocks of all members gives the additions within a host; pushing the partial sums of all hosts gives the
 * additions between hosts.
 */
#include "dist/allreduce/allreduce_schedule.h"

#include <stdlib.h>
#include <string.h>

#include "core/core.h"

/* Adjacent partial sums, from left to right. */
typedef struct stack {
    int             shards; /* shards of the global batch */
    int             depth;
    ls_partial_sum *partial;
} stack;

static int next_power_of_two(int n)
{
    int p = 1;
    while (p < n) p *= 2;
    return p;
}

int ls__allreduce_nodes(int first, int shards, int total, ls_tree_node out[LS_ALLREDUCE_MAX_NODES])
{
    int n = 0, end = first + shards, leaves = next_power_of_two(total);
    while (first < end) {
        int span = 1;
        while (span < leaves && first % (2 * span) == 0 && (first + 2 * span <= end || end == total)) span *= 2;
        int existing = first + span < total ? span : total - first;
        out[n++]     = (ls_tree_node){first, existing, span};
        first += existing;
    }
    return n;
}

/* ---- orders of additions ----------------------------------------------------------------------------------------- */

/* Extends the top of the stack over absent leaves and merges it with its left sibling, as often as there is one.
 * Writes each merge as (left vector, right vector); returns the number of merges. */
static int merge_siblings(stack *s, ls_allreduce_merge *out)
{
    int merges = 0, leaves = next_power_of_two(s->shards);
    for (;;) {
        ls_partial_sum *top = &s->partial[s->depth - 1];
        while (top->span < leaves && top->first % (2 * top->span) == 0 && top->first + top->span >= s->shards)
            top->span *= 2;
        if (s->depth < 2) return merges;
        ls_partial_sum *left = top - 1;
        if (left->span != top->span || left->first % (2 * top->span) != 0 || left->first + top->span != top->first)
            return merges;
        out[merges++] = (ls_allreduce_merge){left->vector, top->vector};
        left->span *= 2;
        s->depth--;
    }
}

/* Pushes a partial sum and appends the additions that follow from it. */
static void push(stack *s, ls_partial_sum partial, ls_allreduce_merge *room, ls_addition *addition, int *additions)
{
    s->partial[s->depth++] = partial;
    int merges             = merge_siblings(s, room);
    for (int i = 0; i < merges; i++) addition[(*additions)++] = (ls_addition){room[i].into, room[i].into, room[i].from};
}

static int take_lowest_free(bool *used)
{
    int slot = 0;
    while (used[slot]) slot++;
    used[slot] = true;
    return slot;
}

/* ---- one rank ---------------------------------------------------------------------------------------------------- */

/* Schedules one micro-step over the shards [first, end): its groups are the largest aligned powers of two, and complete
 * siblings are merged. */
static void plan_micro_step(ls_arena *arena, ls_allreduce_micro_step *out, int *slots, stack *s, bool *used, int first,
                            int end)
{
    ls_allreduce_group group[LS_ALLREDUCE_MAX_NODES];
    ls_allreduce_merge merge[2 * LS_ALLREDUCE_MAX_NODES];
    *out = (ls_allreduce_micro_step){.first_shard = first, .shards = end - first};
    for (int at = first; at < end;) {
        int span = 1;
        while (at % (2 * span) == 0 && at + 2 * span <= end) span *= 2;
        int slot             = take_lowest_free(used);
        group[out->groups++] = (ls_allreduce_group){at - first, span, slot};
        if (slot >= *slots) *slots = slot + 1;
        at += span;
    }
    for (int k = 0; k < out->groups; k++) {
        s->partial[s->depth++] = (ls_partial_sum){first + group[k].first, group[k].shards, group[k].slot};
        int merges             = merge_siblings(s, merge + out->merges);
        for (int i = 0; i < merges; i++) used[merge[out->merges + i].from] = false;
        out->merges += merges;
    }
    ls_allreduce_group *groups = ls_arena_alloc(arena, sizeof *groups * (size_t)(out->groups + 1));
    ls_allreduce_merge *merges = ls_arena_alloc(arena, sizeof *merges * (size_t)(out->merges + 1));
    memcpy(groups, group, sizeof *groups * (size_t)out->groups);
    memcpy(merges, merge, sizeof *merges * (size_t)out->merges);
    out->group = groups;
    out->merge = merges;
}

/* Schedules all micro-steps of a rank.  Writes the slots that its partial sums end in; returns their number. */
static int plan_rank(ls_arena *arena, const ls_allreduce_schedule *s, int rank, ls_allreduce_micro_step *micro_step,
                     int *slots, int slot[LS_ALLREDUCE_MAX_NODES])
{
    ls_batch_partition owned                            = ls_batch_partition_of(s->shards, s->shards, s->ranks, rank);
    bool               used[2 * LS_ALLREDUCE_MAX_NODES] = {false};
    ls_partial_sum     room[2 * LS_ALLREDUCE_MAX_NODES];
    stack              sums = {.shards = s->shards, .partial = room};
    *slots                  = 1;
    for (int m = 0; m < s->micro_steps; m++) {
        int first = owned.first_shard + (int)((int64_t)owned.shards * m / s->micro_steps);
        int end   = owned.first_shard + (int)((int64_t)owned.shards * (m + 1) / s->micro_steps);
        plan_micro_step(arena, &micro_step[m], slots, &sums, used, first, end);
    }
    for (int i = 0; i < sums.depth; i++) slot[i] = room[i].vector;
    return sums.depth;
}

/* ---- hosts ------------------------------------------------------------------------------------------------------- */

static void find_hosts(ls_arena *arena, ls_allreduce_schedule *s, const int *host_of_rank)
{
    int n      = s->ranks;
    s->host    = ls_arena_alloc(arena, sizeof *s->host * (size_t)n);
    s->host_of = ls_arena_alloc(arena, sizeof *s->host_of * (size_t)n);
    for (int r = 0; r < n; r++) {
        int lowest            = host_of_rank ? host_of_rank[r] : r;
        s->host_of[r]         = lowest == r ? s->hosts++ : s->host_of[lowest];
        ls_allreduce_host *of = &s->host[s->host_of[r]];
        if (lowest == r) of->rank = ls_arena_alloc(arena, sizeof *of->rank * (size_t)(n - r));
        if (r == s->rank) s->member = of->members;
        of->rank[of->members++] = r;
    }
    s->own_host = s->host_of[s->rank];
}

/* Schedules the additions within a host. */
static void plan_host(ls_arena *arena, const ls_allreduce_schedule *s, ls_allreduce_host *h)
{
    ls_tree_node node[LS_ALLREDUCE_MAX_NODES];
    stack        sums = {.shards = s->shards};
    int          room = 1;
    for (int m = 0; m < h->members; m++) {
        ls_batch_partition owned = ls_batch_partition_of(s->shards, s->shards, s->ranks, h->rank[m]);
        room += ls__allreduce_nodes(owned.first_shard, owned.shards, s->shards, node);
    }
    ls_allreduce_merge *merge = ls_arena_alloc(arena, sizeof *merge * (size_t)room);
    h->member                 = ls_arena_alloc(arena, sizeof *h->member * (size_t)room);
    h->slot                   = ls_arena_alloc(arena, sizeof *h->slot * (size_t)room);
    h->addition               = ls_arena_alloc(arena, sizeof *h->addition * (size_t)room);
    sums.partial              = ls_arena_alloc(arena, sizeof *sums.partial * (size_t)room);
    for (int m = 0; m < h->members; m++) {
        ls_batch_partition owned = ls_batch_partition_of(s->shards, s->shards, s->ranks, h->rank[m]);
        int                nodes = ls__allreduce_nodes(owned.first_shard, owned.shards, s->shards, node);
        for (int k = 0; k < nodes; k++) {
            int vector        = h->vectors++;
            h->member[vector] = m;
            push(&sums, (ls_partial_sum){node[k].first, node[k].span, vector}, merge, h->addition, &h->additions);
        }
    }
    h->partial  = sums.partial;
    h->partials = sums.depth;
}

/* Finds the slots of this host's blocks. */
static void find_slots(ls_arena *arena, const ls_allreduce_schedule *s, ls_allreduce_host *h)
{
    ls_allreduce_micro_step *micro_step = ls_arena_alloc(arena, sizeof *micro_step * (size_t)s->micro_steps);
    int                      slot[LS_ALLREDUCE_MAX_NODES], slots;
    for (int m = 0, vector = 0; m < h->members; m++) {
        int owned = plan_rank(arena, s, h->rank[m], micro_step, &slots, slot);
        for (int k = 0; k < owned; k++) h->slot[vector++] = slot[k];
    }
}

/* A partial sum and its host. */
typedef struct host_partial {
    ls_partial_sum partial;
    int            host;
} host_partial;

static int compare_first(const void *x, const void *y)
{
    int a = ((const host_partial *)x)->partial.first, b = ((const host_partial *)y)->partial.first;
    return (a > b) - (a < b);
}

/* Schedules the additions over the partial sums of all hosts. */
static void plan_between_hosts(ls_arena *arena, ls_allreduce_schedule *s)
{
    int n = 0;
    for (int h = 0; h < s->hosts; h++) s->partials += s->host[h].partials;
    size_t              room  = (size_t)s->partials + 1;
    host_partial       *all   = ls_arena_alloc(arena, sizeof *all * room);
    ls_allreduce_merge *merge = ls_arena_alloc(arena, sizeof *merge * room);
    stack               sums  = {.shards = s->shards, .partial = ls_arena_alloc(arena, sizeof(ls_partial_sum) * room)};
    s->partial_host           = ls_arena_alloc(arena, sizeof *s->partial_host * room);
    s->addition               = ls_arena_alloc(arena, sizeof *s->addition * room);
    for (int h = 0; h < s->hosts; h++)
        for (int k = 0; k < s->host[h].partials; k++) all[n++] = (host_partial){s->host[h].partial[k], h};
    qsort(all, (size_t)n, sizeof *all, compare_first);
    for (int k = 0; k < n; k++) {
        s->partial_host[k] = all[k].host;
        push(&sums, (ls_partial_sum){all[k].partial.first, all[k].partial.span, k}, merge, s->addition, &s->additions);
    }
}

const ls_allreduce_schedule *ls__allreduce_schedule_new(ls_arena *arena, int rank, int ranks, const int *host_of_rank,
                                                        int shards, int micro_steps)
{
    int                    slot[LS_ALLREDUCE_MAX_NODES];
    ls_allreduce_schedule *s = ls_arena_alloc(arena, sizeof *s);
    *s            = (ls_allreduce_schedule){.rank = rank, .ranks = ranks, .shards = shards, .micro_steps = micro_steps};
    s->micro_step = ls_arena_alloc(arena, sizeof *s->micro_step * (size_t)micro_steps);
    plan_rank(arena, s, rank, s->micro_step, &s->slots, slot);
    find_hosts(arena, s, host_of_rank);
    for (int h = 0; h < s->hosts; h++) plan_host(arena, s, &s->host[h]);
    ls_allreduce_host *own = &s->host[s->own_host];
    find_slots(arena, s, own);
    plan_between_hosts(arena, s);
    /* The last addition writes directly to the output. */
    if (s->hosts == 1 && own->additions) own->addition[own->additions - 1].y = own->vectors;
    if (s->hosts > 1 && s->additions) s->addition[s->additions - 1].y = s->partials;
    return s;
}

/* ---- partitions -------------------------------------------------------------------------------------------------- */

ls_range ls__allreduce_partition_of(int64_t count, int rank, int ranks)
{
    int64_t units = (count + LS_PARTITION_ALIGN - 1) / LS_PARTITION_ALIGN;
    int64_t begin = units * rank / ranks * LS_PARTITION_ALIGN, end = units * (rank + 1) / ranks * LS_PARTITION_ALIGN;
    if (begin > count) begin = count;
    if (end > count) end = count;
    return (ls_range){begin, end - begin};
}

int ls__allreduce_delegate(const ls_allreduce_schedule *s, int host, int owner)
{
    return s->host[host].rank[owner % s->host[host].members];
}
