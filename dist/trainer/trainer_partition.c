/* SPDX-License-Identifier: Apache-2.0
 *
 * The partition of each rank: the parameters that it updates and has optimizer state for.
 *
 * On a host with shared memory the members always divide the update; each takes one range of the parameter block.
 * Without shared memory every rank updates all parameters.  With train.zero=1 all ranks of all hosts divide the update:
 * each takes its partition of every bucket (dist/allreduce/allreduce.h).  With train.zero=2 that partition is also all
 * that a rank stores of the summed gradient, in the layout of the optimizer state, followed by the sums of second
 * segments of tied weights.
 *
 * Positions of a gradient are therefore counted in four ways; one function below converts each into the next, and fails
 * if the position does not exist there:
 *
 *     parameter block -> position in the gradient block    gradient_position()   buckets move with train.zero=2
 *     parameter block -> position in a state block         state_position()      ranges of a partition are adjacent
 *     bucket          -> position in the summed gradient   output_position()     the state layout, then second segments
 */
#include <stdlib.h>

#include "core/optim/optim_rule.h"
#include "dist/trainer/trainer_internal.h"

/* ---- partitions -------------------------------------------------------------------------------------------------- */

static int compare_offset(const void *x, const void *y)
{
    int64_t a = ((const ls_range *)x)->offset, b = ((const ls_range *)y)->offset;
    return (a > b) - (a < b);
}

/* Sorts the ranges, joins adjacent ones, and lays out the state: contiguous parameters have contiguous state. */
static partition make_partition(ls_arena *arena, ls_range *range, int ranges)
{
    partition p = {.range = range, .state_offset = ls_arena_alloc(arena, ((size_t)ranges + 1) * sizeof(int64_t))};
    if (ranges) qsort(range, (size_t)ranges, sizeof *range, compare_offset);
    for (int i = 0; i < ranges; i++) {
        ls_range  r    = range[i];
        ls_range *last = p.ranges ? &range[p.ranges - 1] : NULL;
        if (last && ls__range_end(*last) == r.offset)
            last->count += r.count;
        else {
            p.state_offset[p.ranges] = p.count;
            range[p.ranges++]        = r;
        }
        p.count += r.count;
    }
    return p;
}

/* The parameters of a bucket that `rank` reduces. */
static ls_range owned_params(const ls_trainer *t, const ls_bucket *b, int rank)
{
    ls_range params = ls__bucket_params(b), own = ls__allreduce_partition(t->train.allreduce, rank, params.count);
    return (ls_range){params.offset + own.offset, own.count};
}

/* train.zero: the partition of `rank` of every bucket. */
static partition partition_of_buckets(const ls_trainer *t, int rank)
{
    ls_range *range  = ls_arena_alloc(t->arena, ((size_t)t->buckets + 1) * sizeof *range);
    int       ranges = 0;
    for (int i = 0; i < t->buckets; i++) {
        ls_range own = owned_params(t, &t->bucket[i].bucket, rank);
        if (!t->bucket[i].bucket.is_addend && own.count) range[ranges++] = own;
    }
    return make_partition(t->arena, range, ranges);
}

/* Without train.zero: an equal part of the parameter block for each member of the host of `rank`. */
static partition partition_of_host(const ls_trainer *t, int rank)
{
    const ls_comm *c      = t->comm;
    int64_t        units  = (int64_t)(t->params->trained - LS_PARAM_START) / LS_PARAM_ALIGN;
    int            member = 0, members = 0;
    ls_range      *range = ls_arena_alloc(t->arena, sizeof *range);
    for (int r = 0; r < c->size; r++) {
        bool same_host = t->train.memory->shared ? c->host[r] == c->host[rank] : r == rank;
        member += same_host && r < rank;
        members += same_host;
    }
    int64_t begin = units * member / members, end = units * (member + 1) / members;
    range[0] = (ls_range){LS_PARAM_START + begin * LS_PARAM_ALIGN, (end - begin) * LS_PARAM_ALIGN};
    return make_partition(t->arena, range, 1);
}

void ls__trainer_find_partitions(ls_trainer *t)
{
    const int  ranks = ls_comm_size(t->comm);
    const bool zero  = t->output == LS_ALLREDUCE_PARTITIONED;
    t->divided       = ranks > 1 && (zero || t->train.memory->shared);
    t->partition     = ls_arena_alloc(t->arena, (size_t)ranks * sizeof *t->partition);
    for (int r = 0; r < ranks; r++)
        if (t->divided || r == 0 || r == ls_comm_rank(t->comm))
            t->partition[r] = zero ? partition_of_buckets(t, r) : partition_of_host(t, r);
    t->own = t->partition[ls_comm_rank(t->comm)];
}

/* ---- positions --------------------------------------------------------------------------------------------------- */

/* The position in the gradient block of offset `param` of the parameter block, which is in the bucket. */
static ls_status gradient_position(const bucket_call *b, int64_t param, int64_t *position)
{
    int64_t within = param - b->bucket.range.offset;
    *position      = 0;
    LS_CHECK(within >= 0 && within < b->bucket.range.count, LS_ERR_FAILED,
             "parameter offset %lld: not in the bucket [%lld, %lld)", (long long)param,
             (long long)b->bucket.range.offset, (long long)ls__range_end(b->bucket.range));
    *position = b->buffer.offset + within;
    return LS_OK;
}

/* The position in a state block of offset `param` of the parameter block, which is in the partition. */
static ls_status state_position(const partition *p, int64_t param, int64_t *position)
{
    *position = 0;
    for (int i = 0; i < p->ranges; i++) {
        if (param < p->range[i].offset || param >= ls__range_end(p->range[i])) continue;
        *position = p->state_offset[i] + (param - p->range[i].offset);
        return LS_OK;
    }
    return LS_FAIL(LS_ERR_FAILED, "parameter offset %lld: in no range of this rank's partition", (long long)param);
}

/* The position in the summed gradient of `own`, this rank's part of a bucket.  Second segments take the next position
 * behind *end. */
static ls_status output_position(const ls_trainer *t, const bucket_call *b, ls_range own, int64_t *end,
                                 int64_t *position)
{
    if (!b->bucket.is_addend) {
        LS_TRY(state_position(&t->own, own.offset, position));
        LS_CHECK(*position + own.count <= t->own.count, LS_ERR_FAILED,
                 "bucket at %lld: its partition ends behind the state", (long long)b->bucket.range.offset);
        return LS_OK;
    }
    *position = *end;
    *end += own.count;
    return LS_OK;
}

/* The bucket that holds the second segment of a tied weight. */
static ls_status addend_of(const ls_trainer *t, const bucket_call *b, const bucket_call **addend)
{
    for (int k = 0; k < t->buckets; k++) {
        *addend = &t->bucket[k];
        if ((*addend)->bucket.is_addend && (*addend)->bucket.range.offset == b->bucket.addend) {
            LS_CHECK((*addend)->bucket.range.count == b->bucket.range.count, LS_ERR_FAILED,
                     "tied weight at %lld: expected a second segment of %lld floats, found %lld",
                     (long long)b->bucket.range.offset, (long long)b->bucket.range.count,
                     (long long)(*addend)->bucket.range.count);
            return LS_OK;
        }
    }
    return LS_FAIL(LS_ERR_FAILED, "tied weight at %lld: no bucket for its second segment",
                   (long long)b->bucket.range.offset);
}

ls_status ls__trainer_place_outputs(ls_trainer *t)
{
    const int rank = ls_comm_rank(t->comm);
    int64_t   end  = t->own.count;
    if (!t->zero2) return LS_OK;
    for (int i = 0; i < t->buckets; i++) {
        bucket_call *b    = &t->bucket[i];
        ls_range     own  = owned_params(t, &b->bucket, rank);
        int64_t      from = 0, to = 0;
        if (!own.count) continue;
        LS_TRY(gradient_position(b, own.offset, &from));
        LS_TRY(output_position(t, b, own, &end, &to));
        b->output_shift = to - from;
    }
    for (int i = 0; i < t->buckets; i++) {
        bucket_call       *b      = &t->bucket[i];
        const bucket_call *addend = NULL;
        if (!b->bucket.addend) continue;
        LS_TRY(addend_of(t, b, &addend));
        b->addend_shift = addend->buffer.offset + addend->output_shift - (b->buffer.offset + b->output_shift);
    }
    /* At least one float: the all-reduce takes the separate output also on a rank with an empty partition. */
    LS_TRY(ls_block_new(&t->summed_gradient, (size_t)(end ? end : 1) * sizeof(float), "summed gradient"));
    ls__allreduce_set_separate_output(t->train.allreduce, t->summed_gradient.data);
    return LS_OK;
}

float *ls__trainer_gradient(const ls_trainer *t, int i)
{
    return ls__allreduce_output(t->train.allreduce) + (t->zero2 ? t->own.state_offset[i] : t->own.range[i].offset);
}

int64_t ls__trainer_find_pieces(ls_trainer *t)
{
    int64_t floats = 0;
    t->piece       = ls_arena_alloc(t->arena, ((size_t)t->optim_ranges + (size_t)t->own.ranges + 1) * sizeof *t->piece);
    for (int o = 0, i = 0; o < t->optim_ranges && i < t->own.ranges;) {
        const optim_range *optim = &t->optim_range[o];
        const ls_range     own = t->own.range[i], common = ls__range_intersect(optim->range, own);
        const int64_t      optim_end = ls__range_end(optim->range), own_end = ls__range_end(own);
        if (common.count)
            t->piece[t->pieces++] =
                (update_piece){.optim = optim,
                               .range = common,
                               .grad  = (t->zero2 ? t->own.state_offset[i] : own.offset) + common.offset - own.offset};
        o += optim_end <= own_end;
        i += own_end <= optim_end;
    }
    for (int k = 0; k < t->states; k++)
        for (int i = 0; i < t->pieces; i++) {
            update_piece *p   = &t->piece[i];
            const bool    has = ls__optim_has_state(&t->options.optim, k, p->optim->rows > 0);
            p->state[k]       = has ? floats : -1;
            floats += has ? p->range.count : 0;
        }
    return floats;
}

const char *ls__trainer_gradient_whole(const ls_trainer *t, size_t *partition_bytes)
{
    *partition_bytes = t->summed_gradient.bytes;
    if (t->options.zero < 2 || t->zero2) return NULL;
    if (ls_comm_size(t->comm) == 1) return "there is one rank";
    return t->options.accumulate > 1
               ? "with train.accumulate no all-reduce can begin before the last micro-step; using train.zero=1"
               : "the largest buckets are most of the model, so train.zero=2 would save nothing; using train.zero=1";
}

/* ---- sections for checkpoints ------------------------------------------------------------------------------------ */

int         ls__trainer_states(const ls_trainer *t) { return t->states; }
const char *ls__trainer_state_name(const ls_trainer *t, int state)
{
    return ls_optim_state_name(&t->options.optim, state);
}
bool ls__trainer_has_state(const ls_trainer *t, int param, int state)
{
    const ls_param_slot *s      = &t->params->slot[param];
    bool                 matrix = false;
    for (int i = 0; i < t->matrices; i++)
        matrix |= ls__range_intersect((ls_range){(int64_t)s->offset, s->count}, t->matrix[i].optim->range).count > 0;
    return s->trained && ls__optim_has_state(&t->options.optim, state, matrix);
}
bool ls__trainer_state_partitioned(const ls_trainer *t) { return t->divided; }

/* True when this rank writes its partition of the optimizer state to checkpoints.  Without train.zero every host holds
 * the whole state, and only the ranks of the first host write it. */
static bool writes_own_partition(const ls_trainer *t)
{
    const ls_comm *c = t->comm;
    return t->output == LS_ALLREDUCE_PARTITIONED || c->host[c->rank] == c->host[0];
}

/* Adds the sections of one state of one parameter: the intersections with the pieces of this rank's partition. */
static int add_sections(ls_trainer *t, int param, int state, ls_trainer_section *out)
{
    const ls_param_slot *s     = &t->params->slot[param];
    const ls_range       whole = {(int64_t)s->offset, s->count};
    int                  n     = 0;
    for (int i = 0; i < t->pieces; i++) {
        const update_piece *p      = &t->piece[i];
        const ls_range      common = ls__range_intersect(whole, p->range);
        if (!common.count || p->state[state] < 0) continue;
        out[n++] = (ls_trainer_section){.param = param,
                                        .state = state,
                                        .name  = s->tensor->name,
                                        .range = {common.offset - whole.offset, common.count},
                                        .data  = (float *)t->state_block.data + p->state[state] +
                                                (common.offset - p->range.offset)};
    }
    return n;
}

int ls__trainer_sections(ls_trainer *t, ls_section_purpose purpose, ls_arena *arena, ls_trainer_section **out)
{
    const ls_params *p     = t->params;
    const bool       empty = purpose == LS_SECTIONS_WRITE && t->divided && !writes_own_partition(t);
    /* Each boundary between two pieces of the partition cuts at most one parameter. */
    size_t              room    = (size_t)p->count * (size_t)(t->states + 1) + (size_t)(t->pieces * t->states) + 1;
    ls_trainer_section *section = ls_arena_alloc(arena, room * sizeof *section);
    int                 n       = 0;
    if (purpose != LS_SECTIONS_WRITE) t->params->stale = true; /* the caller writes parameters */
    for (int i = 0; i < p->count; i++)
        section[n++] = (ls_trainer_section){.param = i,
                                            .state = -1,
                                            .name  = p->slot[i].tensor->name,
                                            .range = {0, p->slot[i].count},
                                            .data  = (float *)p->block.data + p->slot[i].offset};
    for (int k = 0; k < t->states && !empty; k++)
        for (int i = 0; i < p->count; i++)
            if (p->slot[i].trained) n += add_sections(t, i, k, section + n);
    *out = section;
    return n;
}

bool ls__trainer_carried(const ls_trainer *t, int i, ls_trainer_carried *state)
{
    const ls_batch_partition own = ls_trainer_share(t, t->options.batch);
    float                   *data;
    const ls_tensor         *x = ls__program_state(t->train.program, i, &data);
    if (!x) return false;
    *state = (ls_trainer_carried){.name    = x->name,
                                  .batch   = t->options.batch,
                                  .columns = ls__numel(x),
                                  .first   = own.first,
                                  .rows    = own.rows,
                                  .data    = data};
    return true;
}

ls_status ls__trainer_reserve_snapshot(ls_trainer *t, size_t bytes)
{
    if (t->snapshot.bytes >= bytes) return LS_OK;
    ls_block_free(&t->snapshot);
    LS_TRY(ls_block_new(&t->snapshot, bytes, "checkpoint"));
    return LS_OK;
}

const ls_block *ls__trainer_snapshot(const ls_trainer *t) { return &t->snapshot; }
