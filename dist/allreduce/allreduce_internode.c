/* SPDX-License-Identifier: Apache-2.0
 *
 * The sums between hosts: see dist/allreduce/allreduce.h for what is computed, dist/allreduce/allreduce_schedule.c for
 * the order.
 *
 * What is begun goes on while the step does.  A slice is cut into passes; a pass takes a *lane*, of which there are a
 * few, so that one pass is added up while another is on its way.  In a lane
 *
 *     STAGE_SCATTER   the pieces of this rank's team go to the owners of the parts, those of the other teams come for
 * its own part STAGE_ADDED     it has added them up, in tree order STAGE_GATHER    the totals go from their owners to
 * the other teams STAGE_DONE      and were copied to whoever else needs them
 *
 * and no lane is ahead of one that was taken before it: then all ranks begin their messages in the same order, and a
 * total that another one needs (ls_allreduce_slice.plus) is there.  Nothing waits in here: ls__allreduce_advance does
 * what can be done, and is called whenever the rank has a moment, which is between two instructions
 * (ls__allreduce_poll), within long ones (core/base/progress_hook.h), by a thread of its own where there is a core for
 * it, and in the end, in ls__allreduce_end, by who has nothing else to do.
 */
#include "dist/comm/bfloat16.h"
#include "dist/allreduce/allreduce_internal.h"

#include <string.h>

/* Whether this rank speaks for its team with the owner of the part. */
static bool speaks(const ls_allreduce *t, int part)
{
    return t->team_of[part] != t->mine && ls__allreduce_agent(t, t->mine, part) == t->comm->rank;
}

/* Floats [from, from + count) of a slice: what pass `pass` takes of a part. */
static ls_allreduce_range piece_of(const ls_allreduce *t, int64_t count, int part, int64_t pass)
{
    int64_t begin = ls__allreduce_part(count, part, t->comm->size) + pass * t->room,
            end   = ls__allreduce_part(count, part + 1, t->comm->size);
    if (begin >= end) return (ls_allreduce_range){end, 0};
    return (ls_allreduce_range){begin, end - begin < t->room ? end - begin : t->room};
}

static int64_t longest_part(const ls_allreduce *t, int64_t count)
{
    int64_t longest = 0;
    for (int part = 0; part < t->comm->size; part++) {
        int64_t length =
            ls__allreduce_part(count, part + 1, t->comm->size) - ls__allreduce_part(count, part, t->comm->size);
        if (length > longest) longest = length;
    }
    return longest;
}

static int64_t passes_of(const ls_allreduce *t, const waiting *w)
{
    int64_t longest = longest_part(t, w->slice.count);
    return longest || !w->head ? (longest + t->room - 1) / t->room : 1;
}

/* ---- the header -------------------------------------------------------------------------------------------------- */

/* The pieces of a team go to each rank of another one from its agent for the part that this rank owns: adds these
 * messages. */
static void send_heads(ls_allreduce *t, int *sends, int *receives)
{
    const team *own  = &t->team[t->mine];
    size_t      head = (size_t)t->head;
    int         k    = 0;
    ls__allreduce_add_own_heads(t);
    for (int r = 0; r < t->comm->size; r++) {
        if (t->team_of[r] == t->mine || ls__allreduce_agent(t, t->mine, r) != t->comm->rank) continue;
        for (int i = 0; i < own->pieces; i++)
            t->send[(*sends)++] = (ls_transfer){r, t->head_node + (size_t)own->piece[i].slot * head, head};
    }
    for (int i = 0; i < t->pieces; i++) {
        float *to = t->head_vector + (size_t)i * head;
        if (t->piece_team[i] == t->mine)
            memcpy(to, t->head_node + (size_t)own->piece[k++].slot * head, head * sizeof(float));
        else
            t->receive[(*receives)++] =
                (ls_transfer){ls__allreduce_agent(t, t->piece_team[i], t->comm->rank), to, head};
    }
}

static void take_heads(ls_allreduce *t)
{
    ls__allreduce_add_heads(t->head, t->head_vector, t->adds, t->adding);
    memcpy(t->head_total, t->head_vector + (size_t)(t->adds ? t->pieces : 0) * (size_t)t->head,
           (size_t)t->head * sizeof(float));
}

/* ---- a lane ------------------------------------------------------------------------------------------------------ */

/* What goes over the link for `count` floats at `x`: they themselves, or half of each, in the lane's room for what it
 * sends. */
static ls_transfer outgoing(ls_allreduce *t, const lane *l, int rank, float *x, int64_t count, int64_t *used)
{
    if (!t->bf16 || l->base) return (ls_transfer){rank, x, (size_t)count};
    float *packed = (float *)t->packed.data + (size_t)(l - t->lane) * t->packed_room + *used;
    ls__bf16_pack(count, x, packed);
    *used += ls__bf16_room(count);
    return (ls_transfer){rank, packed, (size_t)ls__bf16_room(count)};
}

static ls_transfer incoming(const ls_allreduce *t, const lane *l, int rank, float *x, int64_t count)
{
    if (!t->bf16 || l->base) return (ls_transfer){rank, x, (size_t)count};
    return (ls_transfer){rank, ls__bf16_rear(count, x), (size_t)ls__bf16_room(count)};
}

/* Where the pieces of all teams are that make this rank's part; and for those of other teams, whom they come from, to
 * t->receive. */
static int place_pieces(ls_allreduce *t, const lane *l, ls_allreduce_range mine)
{
    const team *own = &t->team[t->mine];
    float      *buffer =
        (float *)t->buffer.data + (size_t)(l - t->lane) * (size_t)(t->pieces - own->pieces) * (size_t)t->room;
    int receives = 0, k = 0;
    ls__allreduce_place(t, &l->slice, mine.offset);
    for (int i = 0; i < t->pieces; i++) {
        if (t->piece_team[i] == t->mine) {
            t->vector[i] = t->node[own->piece[k++].slot];
            continue;
        }
        t->vector[i] = buffer;
        t->receive[receives++] =
            incoming(t, l, ls__allreduce_agent(t, t->piece_team[i], t->comm->rank), buffer, mine.count);
        buffer += t->room;
    }
    t->vector[t->pieces] = t->node[own->nodes];
    return receives;
}

static ls_status start_scatter(ls_allreduce *t, lane *l)
{
    const team *own = &t->team[t->mine];
    int         n = t->comm->size, rank = t->comm->rank, sends = 0;
    int64_t     used = 0;
    for (int d = 1; d <= n; d++) { /* every rank begins with its neighbour, so that not all write to the same one */
        int                part = (rank + d) % n;
        ls_allreduce_range r    = piece_of(t, l->slice.count, part, l->pass);
        if (part != rank && !speaks(t, part)) continue;
        ls__allreduce_place(t, &l->slice, r.offset);
        ls__allreduce_add(r.count, own->adds, own->adding, t->node, &(finish){0});
        for (int i = 0; i < own->pieces && part != rank; i++)
            t->send[sends++] = outgoing(t, l, part, t->node[own->piece[i].slot], r.count, &used);
    }
    int receives = place_pieces(t, l, piece_of(t, l->slice.count, rank, l->pass));
    if (l->head) send_heads(t, &sends, &receives);
    LS_TRY(ls__comm_start(t->comm, LS_CHANNEL_SCATTER, sends, t->send, receives, t->receive, &l->flow));
    return LS_OK;
}

static void add_up(ls_allreduce *t, lane *l)
{
    ls_allreduce_range mine = piece_of(t, l->slice.count, t->comm->rank, l->pass);
    if (l->head) take_heads(t);
    place_pieces(t, l, mine);
    for (int i = 0; i < t->pieces && t->bf16; i++)
        if (t->piece_team[i] != t->mine)
            ls__bf16_unpack(mine.count, t->vector[i]);
        else
            ls__bf16_round_all(mine.count, t->vector[i]); /* or who owns what would decide bits */
    finish f = {.result = t->vector[t->pieces], .plus = ls__allreduce_plus(t, &l->slice, mine.offset)};
    if (t->adds == 0 && t->vector[0] != f.result) memcpy(f.result, t->vector[0], (size_t)mine.count * sizeof(float));
    ls__allreduce_add(mine.count, t->adds, t->adding, t->vector, &f);
    if (t->bf16 && !l->slice.addend) ls__bf16_round_all(mine.count, f.result); /* as the others will have it */
}

/* What this rank owns goes to one rank of every other team. */
static ls_status start_gather(ls_allreduce *t, lane *l)
{
    int                n = t->comm->size, rank = t->comm->rank, sends = 0, receives = 0;
    float             *base = l->base ? l->base : ls__allreduce_total(t, &l->slice, 0);
    ls_allreduce_range mine = piece_of(t, l->slice.count, rank, l->pass);
    int64_t            used = 0;
    ls_transfer        out  = outgoing(t, l, rank, base + mine.offset, mine.count, &used);
    for (int d = 1; d < t->teams; d++) {
        out.rank         = ls__allreduce_agent(t, (t->mine + d) % t->teams, rank);
        t->send[sends++] = out;
    }
    for (int d = 1; d < n; d++) {
        int                from = (rank - d + n) % n;
        ls_allreduce_range r    = piece_of(t, l->slice.count, from, l->pass);
        if (speaks(t, from)) t->receive[receives++] = incoming(t, l, from, base + r.offset, r.count);
    }
    LS_TRY(ls__comm_start(t->comm, LS_CHANNEL_GATHER, sends, t->send, receives, t->receive, &l->flow));
    return LS_OK;
}

/* The totals are there, and go to whoever else of the team needs them. */
static void take_parts(ls_allreduce *t, const lane *l)
{
    float *base = ls__allreduce_total(t, &l->slice, 0);
    for (int part = 0; part < t->comm->size; part++) {
        ls_allreduce_range r = piece_of(t, l->slice.count, part, l->pass);
        if (part != t->comm->rank && !speaks(t, part)) continue;
        if (t->bf16 && part != t->comm->rank) ls__bf16_unpack(r.count, base + r.offset);
        finish f = {.result = base + r.offset, .copy = t->copy};
        f.copies = ls__allreduce_copies(t, &l->slice, f.result, l->slice.offset + r.offset);
        ls__allreduce_add(r.count, 0, NULL, NULL, &f);
    }
}

static void note(const ls_allreduce *t, const lane *l)
{
    ls__flight_travelled(t->comm->flight, &(ls_flight_travel){.begin_ns = l->began_ns,
                                                              .end_ns   = ls__flight_now(),
                                                              .offset   = (uint64_t)(l->slice.offset + l->slice.moved),
                                                              .count    = (uint64_t)l->slice.count,
                                                              .lane     = (int32_t)(l - t->lane),
                                                              .back     = l->stage == STAGE_GATHER});
}

/* To the next stage, where it can go there and the lane taken before it is not behind. */
static ls_status move_on(ls_allreduce *t, lane *l, stage before, bool *moved)
{
    const stage was = l->stage;
    if (l->stage == STAGE_SCATTER && before >= STAGE_ADDED) {
        LS_TRY(ls__comm_test(t->comm, &l->flow));
        if (!l->flow) {
            note(t, l);
            add_up(t, l);
            l->stage = t->keep == LS_ALLREDUCE_OWN || l->slice.addend ? STAGE_DONE : STAGE_ADDED;
        }
    }
    if (l->stage == STAGE_ADDED && before >= STAGE_GATHER) {
        l->began_ns = ls__flight_now();
        LS_TRY(start_gather(t, l));
        l->stage = STAGE_GATHER;
    }
    if (l->stage == STAGE_GATHER && before == STAGE_DONE) {
        LS_TRY(ls__comm_test(t->comm, &l->flow));
        if (!l->flow) {
            note(t, l);
            if (!l->base) take_parts(t, l);
            l->stage = STAGE_DONE;
        }
    }
    *moved |= l->stage != was;
    return LS_OK;
}

/* Whether more may be on its way.  With much on it, messages of one rank get ahead of those of another, and those that
 * wait for the slowest are many; and totals stand in line behind pieces that could wait. */
static bool has_room(const ls_allreduce *t)
{
    int64_t floats = 0;
    for (uint64_t i = t->first_lane; i < t->end_lane; i++) floats += t->lane[i % LANES].floats;
    return t->end_lane - t->first_lane < LANES && floats < WHOLE * t->room;
}

/* The next pass of what was begun first takes a lane, when there is one, and when all ranks of this host have come so
 * far. */
static ls_status enter(ls_allreduce *t, bool *moved)
{
    waiting *w = &t->begun[t->first_begun % BEGUN];
    if (w->pass == 0 && t->window && !w->base && !ls__shared_memory_complete(t->window, w->ticket)) return LS_OK;
    if (w->pass < passes_of(t, w)) {
        lane   *l    = &t->lane[t->end_lane % LANES];
        int64_t left = longest_part(t, w->slice.count) - w->pass * t->room;
        *l           = (lane){.slice    = w->slice,
                              .floats   = left < t->room ? left : t->room,
                              .pass     = w->pass,
                              .head     = w->head && w->pass == 0,
                              .base     = w->base,
                              .number   = t->first_begun,
                              .stage    = w->base ? STAGE_ADDED : STAGE_SCATTER,
                              .began_ns = ls__flight_now()};
        w->pass++;
        t->end_lane++;
        if (!l->base) LS_TRY(start_scatter(t, l));
    }
    if (w->pass >= passes_of(t, w)) t->first_begun++;
    *moved = true;
    return LS_OK;
}

uint64_t ls__allreduce_taken(const ls_allreduce *t)
{
    for (uint64_t i = t->first_lane; i < t->end_lane; i++)
        if (t->lane[i % LANES].stage == STAGE_SCATTER) return t->lane[i % LANES].number;
    return t->first_begun;
}

ls_status ls__allreduce_advance(ls_allreduce *t, bool *moved)
{
    bool more = true;
    while (more) {
        stage before = STAGE_DONE;
        more         = false;
        for (uint64_t i = t->first_lane; i < t->end_lane; i++) {
            lane *l = &t->lane[i % LANES];
            LS_TRY(move_on(t, l, before, &more));
            if (l->stage < before) before = l->stage;
        }
        while (t->first_lane < t->end_lane && t->lane[t->first_lane % LANES].stage == STAGE_DONE) t->first_lane++;
        if (t->first_begun < t->end_begun && has_room(t)) LS_TRY(enter(t, &more));
        *moved |= more;
    }
    if (t->totals && t->window) ls__shared_memory_done(t->window, (uint32_t)ls__allreduce_taken(t));
    return LS_OK;
}
