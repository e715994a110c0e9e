/* SPDX-License-Identifier: Apache-2.0
 *
 * Builds a trainer: checks its options, compiles the programs of a step and of an evaluation, inserts their
 * collectives, and allocates all memory.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/optim/hidden_matrices.h"
#include "core/optim/optim_rule.h"

#include "dist/trainer/trainer_internal.h"

enum {
    MAX_SHARDS       = 4096,
    MIN_BUCKET_BYTES = 128 << 10, /* between hosts: down to this size the last buckets shrink */
    ZERO2_BUCKETS    = 16, /* train.zero=2: a bucket is at most this fraction of the gradient; larger ones would use up
                                  what sharing memory saves, because several are resident at once */
    ZERO2_MIN_BUCKET_BYTES = 64 << 10
};

/* ---- options ----------------------------------------------------------------------------------------------------- */

static ls_status check_shards(ls_trainer_options *o, int ranks)
{
    if (o->not_reproducible) o->shards = ranks * o->accumulate; /* one partial sum per rank and micro-step */
    LS_CHECK(o->not_reproducible || (o->shards >= 1 && o->shards <= MAX_SHARDS && (o->shards & (o->shards - 1)) == 0),
             LS_ERR_USAGE, "train.shards: expected a power of two up to %d, found %d", MAX_SHARDS, o->shards);
    LS_CHECK(o->batch >= o->shards, LS_ERR_USAGE,
             "train.batch: a batch of %lld samples cannot be cut into %d shards" LS_HINT
             "raise train.batch or lower train.shards",
             (long long)o->batch, o->shards);
    LS_CHECK(o->shards >= ranks, LS_ERR_USAGE,
             "train.shards: %d shards for %d ranks leave ranks without work" LS_HINT
             "set train.shards to a power of two of at least %d",
             o->shards, ranks, ranks);
    LS_CHECK(o->accumulate >= 1 && o->accumulate <= o->shards / ranks, LS_ERR_USAGE,
             "train.accumulate: expected 1 to %d, the shards of a rank, because a micro-step takes whole shards; found "
             "%d" LS_HINT "raise train.shards (now %d)",
             o->shards / ranks, o->accumulate, o->shards);
    return LS_OK;
}

int ls__shards_for_groups(int64_t batch, int64_t group_rows, int shards)
{
    while (group_rows && shards > 1 && batch % (shards * group_rows)) shards /= 2;
    return shards;
}

/* Checks that groups of samples, over which an op computes statistics, divide the virtual shards. */
static ls_status check_groups_of_samples(const ls_trainer *t)
{
    const ls_trainer_options *o = &t->options;
    for (int i = 0; i < t->graph->nodes; i++) {
        const ls_node *n    = t->graph->node[i];
        const int64_t  size = ls__group_rows(n);
        const int      fit  = ls__shards_for_groups(o->batch, size, o->shards);
        if (!size) continue;
        LS_CHECK(
            o->batch % size == 0, LS_ERR_USAGE,
            "%s of '%s': expected groups of N samples that divide the batch of %lld samples, found over=%lld" LS_HINT
            "choose another train.batch, or another N",
            ls__op(n)->name, n->in[0]->name, (long long)o->batch, (long long)size);
        LS_CHECK(fit == o->shards, LS_ERR_USAGE,
                 "%s of '%s': expected groups of N samples that divide the virtual shards, which have %.6g samples; "
                 "found over=%lld" LS_HINT "set train.shards=%d, which is also the largest number of ranks",
                 ls__op(n)->name, n->in[0]->name, (double)o->batch / o->shards, (long long)size, fit);
    }
    return LS_OK;
}

/* The default number of shards, which the groups of samples of all ops divide. */
static int default_shards(const ls_trainer *t)
{
    int shards = ls_default_shards(t->options.batch);
    for (int i = 0; i < t->graph->nodes; i++)
        shards = ls__shards_for_groups(t->options.batch, ls__group_rows(t->graph->node[i]), shards);
    return shards;
}

static bool wants_zero2(const ls_trainer *t)
{
    return t->options.zero == 2 && ls_comm_size(t->comm) > 1 && t->options.accumulate == 1;
}

ls_status ls__trainer_check_options(ls_trainer *t)
{
    ls_trainer_options *o     = &t->options;
    const int           ranks = ls_comm_size(t->comm);
    LS_CHECK(o->batch >= 1, LS_ERR_USAGE, "train.batch: expected at least 1 sample, found %lld", (long long)o->batch);
    if (!o->accumulate) o->accumulate = 1;
    if (!o->shards && !o->not_reproducible) o->shards = default_shards(t);
    LS_TRY(check_shards(o, ranks));
    LS_TRY(check_groups_of_samples(t));
    LS_CHECK(o->zero >= 0 && o->zero <= 2, LS_ERR_USAGE, "train.zero: expected 0, 1 or 2, found %d", o->zero);
    t->output = o->zero ? LS_ALLREDUCE_PARTITIONED : LS_ALLREDUCE_EVERY_HOST;
    /* With micro-steps no node of the tree is complete before the last one. */
    t->zero2 = wants_zero2(t);
    LS_CHECK(!o->logits == !o->label, LS_ERR_USAGE,
             "ls_trainer_options: accuracy needs both logits and label, found one of them");
    if (!o->optim.size) o->optim = ls_sgd();
    LS_TRY(ls_optim_check(&o->optim));
    return ls_optim_check_length(&o->optim, o->steps);
}

/* ---- parameters -------------------------------------------------------------------------------------------------- */

/* The learning-rate scale and weight decay of a parameter: those of the first parameter group that matches it.  With
 * layer_decay the scale has another factor, for the layer: timm's param_groups_layer_decay (BEiT, Bao 2022).
 * *matrices becomes false if the group excludes the parameter from the hidden matrices. */
static optim_range settings_of(const ls_optim *o, const ls_param_slot *s, int layers_behind, bool *matrices)
{
    optim_range r = {.range.offset = (int64_t)s->offset, .lr_scale = 1, .weight_decay = o->weight_decay};
    for (int k = 0; k < LS_MAX_PARAM_GROUPS && o->group[k].glob; k++) {
        if (!ls__glob(o->group[k].glob, s->tensor->name)) continue;
        r.lr_scale     = o->group[k].lr_scale;
        r.weight_decay = o->group[k].weight_decay;
        *matrices      = *matrices && !o->group[k].adamw;
        break;
    }
    if (o->layer_decay > 0) r.lr_scale *= (float)pow(ls__decimal(o->layer_decay), layers_behind);
    return r;
}

/* Checks that each parameter group matches a parameter, which may be a frozen one. */
static ls_status check_groups(const ls_optim *o, const ls_params *p)
{
    for (int k = 0; k < LS_MAX_PARAM_GROUPS && o->group[k].glob; k++) {
        int i = 0;
        while (i < p->count && !ls__glob(o->group[k].glob, p->slot[i].tensor->name)) i++;
        LS_CHECK(i < p->count, LS_ERR_USAGE,
                 "parameter group '%s' matches no parameter" LS_HINT "`lockstep explain` lists their names",
                 o->group[k].glob);
    }
    return LS_OK;
}

/* Appends the settings of a parameter, which joins the one before it if these are equal.  With lars each parameter has
 * a range of its own. */
static void append_range(ls_trainer *t, const optim_range *r)
{
    optim_range *last = t->optim_ranges ? &t->optim_range[t->optim_ranges - 1] : NULL;
    if (last && t->options.optim.kind != LS_OPTIM_LARS && !last->rows && last->lr_scale == r->lr_scale &&
        last->weight_decay == r->weight_decay)
        last->range.count += r->range.count;
    else
        t->optim_range[t->optim_ranges++] = *r;
}

/* Appends a range for each of the n matrices of a parameter, which begin at the rows `bound`. */
static void append_matrices(ls_trainer *t, const optim_range *whole, const ls_tensor *param, int n,
                            const int64_t *bound)
{
    const int64_t cols = ls__numel(param) / param->dim[0], end = ls__range_end(whole->range);
    for (int i = 0; i < n; i++) {
        optim_range r  = *whole;
        r.rows         = bound[i + 1] - bound[i];
        r.cols         = cols;
        r.range.offset = whole->range.offset + bound[i] * cols;
        r.range.count  = (i + 1 < n ? whole->range.offset + bound[i + 1] * cols : end) - r.range.offset;
        t->optim_range[t->optim_ranges++] = r;
    }
}

static bool has_matrices(const ls_trainer *t)
{
    bool found = false;
    for (int i = 0; i < t->optim_ranges; i++) found |= t->optim_range[i].rows > 0;
    return found;
}

static ls_status build_optim_ranges(ls_trainer *t)
{
    const ls_params *p      = t->params;
    const ls_optim  *o      = &t->options.optim;
    int             *layer  = ls_arena_alloc(t->arena, ((size_t)p->count + 1) * sizeof *layer);
    const int        layers = ls__param_layers(p, layer);
    const size_t     room   = (size_t)p->count * (ls__optim_matrices(o) ? LS_MATRIX_PARTS : 1) + 1;
    LS_TRY(check_groups(o, p));
    t->optim_range = ls_arena_alloc(t->arena, room * sizeof *t->optim_range);
    for (int i = 0; i < p->count && p->slot[p->order[i]].trained; i++) {
        const ls_param_slot *s        = &p->slot[p->order[i]];
        const ls_param_slot *next     = i + 1 < p->count ? &p->slot[p->order[i + 1]] : NULL;
        size_t               end      = next && next->trained ? next->offset : p->trained;
        bool                 matrices = ls__optim_matrices(o) != NULL;
        optim_range          r        = settings_of(o, s, layers - 1 - layer[p->order[i]], &matrices);
        int64_t              bound[LS_MATRIX_PARTS + 1];
        const int            n = matrices ? ls__hidden_matrices(t->graph, s->tensor, t->arena, bound) : 0;
        r.range.count          = (int64_t)(end - s->offset);
        if (n)
            append_matrices(t, &r, s->tensor, n, bound);
        else
            append_range(t, &r);
    }
    LS_CHECK(!ls__optim_matrices(o) || has_matrices(t), LS_ERR_USAGE,
             "optimizer 'muon': expected a model with hidden matrices, the weights of linear layers and convolutions "
             "before the last layer, found none" LS_HINT "use adamw");
    ls__trainer_find_owners(t);
    return LS_OK;
}

ls_status ls__trainer_lay_out(ls_trainer *t)
{
    LS_TRY(ls__params_lay_out(&t->params, t->graph, t->arena));
    LS_CHECK(t->params->trained > LS_PARAM_START, LS_ERR_USAGE, "the model has no trainable parameter");
    ls__params_tie(t->params, t->loss);
    LS_TRY(build_optim_ranges(t));
    LS_CHECK(t->params->sums == t->params->group_sums || t->options.accumulate == 1, LS_ERR_USAGE,
             "train.accumulate: expected 1, because the model has batch norm over the global batch, whose statistics "
             "need all samples before any sample goes on; found %d" LS_HINT
             "model.norm_over=N computes them over groups of N samples, or use layer_norm",
             t->options.accumulate);
    t->states       = ls_optim_states(&t->options.optim);
    t->train.micros = t->options.accumulate;
    t->eval.micros  = 1;
    t->train.stride = t->params->grads;
    t->eval.stride  = LS_HEADER;
    if (t->zero2 && !t->options.bucket_bytes)
        t->max_bucket_bytes = (int64_t)(t->params->grads * sizeof(float)) / ZERO2_BUCKETS;
    return LS_OK;
}

/* ---- collectives ------------------------------------------------------------------------------------------------- */

static ls_status insert_bucket(ls_trainer *t, phase *ph, bucket_call *call, int i, int at)
{
    char            name[32];
    const ls_bucket b   = call->bucket;
    call->trainer       = t;
    call->phase         = ph;
    call->buffer.offset = b.range.offset;
    call->addend_shift  = b.addend ? b.addend - b.range.offset : 0;
    snprintf(name, sizeof name, "all-reduce %d", i);
    LS_TRY(ls__program_insert(ph->program, at,
                              &(ls_instr){.kind    = LS_INSTR_CALL,
                                          .name    = name,
                                          .tag     = LS_TAG_ALLREDUCE,
                                          .id      = i,
                                          .call    = ls__trainer_reduce,
                                          .context = call,
                                          .offset  = (size_t)b.range.offset,
                                          .count   = (size_t)b.range.count,
                                          .phase   = LS_PHASE_REDUCE}));
    return LS_OK;
}

/* Cuts the gradient into buckets, sorted by the position at which they are complete. */
static void make_buckets(ls_trainer *t, const ls_program *p)
{
    ls_bucket *bucket;
    int        n = ls__buckets(t->params, t->options.bucket_bytes, t->links ? MIN_BUCKET_BYTES : 0, t->arena, &bucket);
    int       *complete = ls_arena_alloc(t->arena, ((size_t)n + 1) * sizeof *complete);
    t->bucket           = ls_arena_alloc(t->arena, ((size_t)n + 1) * sizeof *t->bucket);
    for (int i = 0; i < n; i++) {
        ls_range r        = bucket[i].range;
        int      position = ls__program_ready(p, (size_t)r.offset, (size_t)r.count), at = i;
        for (; at > 0 && complete[at - 1] > position; at--) {
            complete[at]  = complete[at - 1];
            t->bucket[at] = t->bucket[at - 1];
        }
        complete[at]  = position;
        t->bucket[at] = (bucket_call){.bucket = bucket[i]};
    }
    t->buckets = n;
}

int64_t ls__trainer_largest_partition(const ls_trainer *t)
{
    int64_t floats = 0;
    for (int i = 0; i < t->buckets; i++)
        floats +=
            ls__allreduce_partition(t->train.allreduce, ls_comm_size(t->comm) - 1, t->bucket[i].bucket.range.count)
                .count;
    return floats;
}

/* Optimizer muon: the floats of the hidden matrices, for which train.zero=2 needs memory of its own, per rank. */
static int64_t direction_floats(const ls_trainer *t)
{
    int64_t floats = 0;
    for (int i = 0; i < t->matrices; i++) floats += t->matrix[i].optim->range.count;
    return floats / ls_comm_size(t->comm);
}

/* train.zero=2: lets buckets share memory, if that saves any.  Before a bucket is written, the program waits until the
 * bucket that was there has been read. */
static ls_status share_bucket_memory(ls_trainer *t, phase *ph)
{
    ls_program      *p      = ph->program;
    const int        n      = t->buckets;
    const size_t     room   = (size_t)n + 1;
    int             *begins = ls_arena_alloc(t->arena, room * sizeof *begins);
    ls_bucket       *bucket = ls_arena_alloc(t->arena, room * sizeof *bucket);
    ls_zero2_buffer *buffer = ls_arena_alloc(t->arena, room * sizeof *buffer);
    ls_grad_range   *range  = ls_arena_alloc(t->arena, room * sizeof *range);
    size_t          *to     = ls_arena_alloc(t->arena, room * sizeof *to);
    for (int i = 0; i < n; i++) {
        begins[i] = ls__program_find(p, LS_TAG_ALLREDUCE, i);
        bucket[i] = t->bucket[i].bucket;
    }
    int64_t floats = ls__zero2_plan(t->arena, p, bucket, begins, n, buffer);
    t->zero2       = floats + ls__trainer_largest_partition(t) + direction_floats(t) < (int64_t)t->params->sums;
    if (!t->zero2) {
        p->options.gradient_scratch = true;
        return LS_OK;
    }
    const size_t sums = t->params->grads - t->params->sums; /* sums over the batch, which share no memory */
    ph->stride        = (size_t)floats + sums;
    range[n]          = (ls_grad_range){t->params->sums, sums};
    to[n]             = (size_t)floats;
    t->sums_shift     = floats - (int64_t)t->params->sums;
    for (int i = 0; i < n; i++) {
        char         name[48];
        bucket_call *b = &t->bucket[i];
        b->buffer      = buffer[i];
        range[i]       = (ls_grad_range){(size_t)b->bucket.range.offset, (size_t)b->bucket.range.count};
        to[i]          = (size_t)buffer[i].offset;
        if (buffer[i].after < 0) continue;
        snprintf(name, sizeof name, "wait for all-reduce %d", buffer[i].after);
        LS_TRY(ls__program_insert(p, ls__zero2_first_write(p, &b->bucket, ls__program_find(p, LS_TAG_ALLREDUCE, i)),
                                  &(ls_instr){.kind    = LS_INSTR_CALL,
                                              .name    = name,
                                              .tag     = LS_TAG_WAIT,
                                              .id      = buffer[i].after,
                                              .call    = ls__trainer_wait,
                                              .context = &t->bucket[buffer[i].after],
                                              .phase   = LS_PHASE_REDUCE}));
    }
    ls__program_move_gradients(p, range, to, n + 1);
    return LS_OK;
}

/* Inserts the all-reduce of the sums over groups where all of them are complete. */
static ls_status insert_group_sums(ls_trainer *t, ls_program *p)
{
    const size_t offset = t->params->group_sums, count = t->params->grads - offset;
    if (!count) return LS_OK;
    batch_sums_call *call = ls_arena_alloc(t->arena, sizeof *call);
    *call                 = (batch_sums_call){.trainer = t, .range = {(int64_t)offset, (int64_t)count}};
    return ls__program_insert(p, ls__program_loss_known(p),
                              &(ls_instr){.kind    = LS_INSTR_CALL,
                                          .name    = "sums of all groups",
                                          .tag     = LS_TAG_BATCH_SUMS,
                                          .call    = ls__trainer_sum_groups,
                                          .context = call,
                                          .offset  = offset,
                                          .count   = count,
                                          .phase   = LS_PHASE_REDUCE});
}

/* Inserts the all-reduce of sums over the batch after each instruction that computes such sums. */
static ls_status insert_batch_sums(ls_trainer *t, ls_program *p)
{
    for (int at = ls__program_next_sums(p, 0); at >= 0; at = ls__program_next_sums(p, at + 1)) {
        const ls_instr  *of    = &p->instr[at];
        const int64_t    count = ls__batch_sums(of->node, of->kind == LS_INSTR_BACKWARD);
        batch_sums_call *call  = ls_arena_alloc(t->arena, sizeof *call);
        const char      *layer = ls__layer_name(of->node, t->arena);
        *call                  = (batch_sums_call){t, of->node, {(int64_t)of->sums, count}};
        LS_TRY(ls__program_insert(p, at + 1,
                                  &(ls_instr){.kind = LS_INSTR_CALL,
                                              .name = ls_arena_printf(t->arena, "sums of %s", layer ? layer : of->name),
                                              .tag  = LS_TAG_BATCH_SUMS,
                                              .call = ls__trainer_sum_batch,
                                              .context = call,
                                              .offset  = of->sums,
                                              .count   = (size_t)count,
                                              .phase   = LS_PHASE_REDUCE}));
    }
    return LS_OK;
}

/* Inserts the all-reduce of each bucket where it is complete, and the update at the end. */
static ls_status insert_collectives(ls_trainer *t, phase *ph)
{
    ls_program *p    = ph->program;
    int         last = 0;
    LS_TRY(insert_batch_sums(t, p));
    LS_TRY(insert_group_sums(t, p));
    make_buckets(t, p);
    for (int i = 0; i < t->buckets; i++) {
        ls_range r = t->bucket[i].bucket.range;
        LS_TRY(insert_bucket(t, ph, &t->bucket[i], i, ls__program_ready(p, (size_t)r.offset, (size_t)r.count)));
    }
    if (t->zero2) LS_TRY(share_bucket_memory(t, ph));
    for (int i = 0; i < t->buckets; i++)
        if (ls__program_find(p, LS_TAG_ALLREDUCE, i) > ls__program_find(p, LS_TAG_ALLREDUCE, last)) last = i;
    t->bucket[last].last = true;
    return ls__program_insert(p, p->instrs,
                              &(ls_instr){.kind    = LS_INSTR_CALL,
                                          .name    = "update",
                                          .tag     = LS_TAG_UPDATE,
                                          .call    = ls__trainer_update,
                                          .context = t,
                                          .offset  = LS_PARAM_START,
                                          .count   = t->params->trained - LS_PARAM_START});
}

/* ---- programs ---------------------------------------------------------------------------------------------------- */

static int max_shards(const phase *ph)
{
    int shards = 1;
    for (int m = 0; m < ph->micros; m++) {
        const ls_allreduce_micro_step *s = ls__allreduce_micro_step(ph->allreduce, m);
        if (s->shards > shards) shards = s->shards;
    }
    return shards;
}

/* Upper limit of the samples of a micro-step, for every batch of at most `batch` samples: rounding can give the shards
 * of a smaller batch more than their part. */
static int64_t max_rows(const ls_trainer *t, const phase *ph, int64_t batch)
{
    return (batch * max_shards(ph) + t->options.shards - 1) / t->options.shards;
}

static ls_status build_program(ls_trainer *t, phase *ph, int64_t batch, bool training, size_t arena_bytes)
{
    ls_tensor         *output[3] = {t->loss};
    ls_program_options options   = {.output           = output,
                                    .outputs          = 1,
                                    .loss             = training ? t->loss : NULL,
                                    .max_rows         = max_rows(t, ph, batch),
                                    .max_shards       = max_shards(ph),
                                    .arena_bytes      = arena_bytes,
                                    .gradient_scratch = ph->micros == 1 && !t->zero2,
                                    .device           = t->options.device};
    ls_instr           sum       = {.kind    = LS_INSTR_CALL,
                                    .name    = "loss",
                                    .tag     = LS_TAG_LOSS_SUM,
                                    .call    = ls__trainer_sum_loss,
                                    .context = t,
                                    .phase   = training ? LS_PHASE_FORWARD : LS_PHASE_EVAL};
    if (t->loss->weight) output[options.outputs++] = t->loss->weight;
    if (t->options.logits) output[options.outputs++] = t->options.logits;
    for (int i = 0; i < options.outputs; i++) sum.reads[i] = output[i];
    if (t->options.label) sum.reads[options.outputs] = t->options.label;
    LS_TRY(ls__program_new(&ph->program, t->graph, t->params, &options));
    LS_TRY(ls__program_insert(ph->program, ls__program_loss_known(ph->program), &sum));
    if (training) {
        LS_TRY(insert_collectives(t, ph));
    } else {
        bucket_call *header = ls_arena_alloc(t->arena, sizeof *header);
        *header             = (bucket_call){.bucket.range.count = LS_HEADER, .last = true};
        LS_TRY(insert_bucket(t, ph, header, 0, ph->program->instrs));
    }
    return ls__program_plan(ph->program);
}

ls_status ls__trainer_build_step(ls_trainer *t, size_t arena_bytes)
{
    phase *ph = &t->train;
    ls__program_free(ph->program);
    ph->program   = NULL;
    ph->stride    = t->params->grads;
    t->zero2      = wants_zero2(t);
    t->sums_shift = 0;
    return build_program(t, ph, t->options.batch, true, arena_bytes);
}

ls_status ls__trainer_build(ls_trainer *t)
{
    const ls_trainer_options *o     = &t->options;
    const size_t              room  = (size_t)o->shards + 1;
    phase                    *train = &t->train, *eval = &t->eval;
    if (t->options.logits) t->options.logits = ls__converted(t->options.logits, LS_F32);
    LS_TRY(ls_graph_status(t->graph));
    if (t->max_bucket_bytes && o->bucket_bytes > t->max_bucket_bytes) {
        t->options.bucket_bytes =
            t->max_bucket_bytes > ZERO2_MIN_BUCKET_BYTES ? t->max_bucket_bytes : ZERO2_MIN_BUCKET_BYTES;
        t->bucket_seconds = 0; /* this size was not measured */
    }
    LS_TRY(ls__allreduce_new(&train->allreduce, t->comm, o->shards, train->micros, (int64_t)t->params->grads));
    LS_TRY(ls__allreduce_new(&eval->allreduce, t->comm, o->shards, 1, LS_HEADER));
    LS_TRY(ls__trainer_build_step(t, 0));
    LS_TRY(build_program(t, eval, o->eval_batch ? o->eval_batch : o->batch, false, 0));
    LS_TRY(ls__trainer_fit_memory(t));
    LS_CHECK(!train->program->state_bytes || train->micros == 1, LS_ERR_USAGE,
             "train.accumulate: expected 1, because the model carries states from step to step; found %d" LS_HINT
             "use fewer streams, more ranks, or leave train.accumulate out",
             train->micros);
    size_t train_bytes = train->program->arena_bytes, eval_bytes = eval->program->arena_bytes;
    LS_TRY(ls_block_new(&t->arena_block, train_bytes > eval_bytes ? train_bytes : eval_bytes, "step"));
    LS_TRY(ls__program_bind(train->program, t->arena_block.data));
    LS_TRY(ls__program_bind(eval->program, t->arena_block.data));
    t->group      = ls_arena_alloc(t->arena, room * sizeof *t->group);
    t->bound      = ls_arena_alloc(t->arena, room * sizeof *t->bound);
    t->shard_sums = ls_arena_alloc(t->arena, (size_t)o->shards * HEADER_SAMPLE_SUMS * sizeof *t->shard_sums);
    return LS_OK;
}

/* ---- memory ------------------------------------------------------------------------------------------------------ */

/* Allocates gradients and parameters.  On a host with shared memory the parameters are one block, made by its lowest
 * rank. */
static ls_status make_shared_memory(ls_trainer *t)
{
    phase   *train = &t->train, *eval = &t->eval;
    ls_comm *c = t->comm;
    LS_TRY(ls__shared_memory_new(&train->memory, c, t->options.shared_memory, ls__trainer_gradient_bytes(train),
                                 "gradient"));
    bool                  shared = train->memory->shared, makes_params = !shared || c->host[c->rank] == c->rank;
    ls_shared_memory_mode mode        = shared ? LS_SHARED_MEMORY_ON : LS_SHARED_MEMORY_OFF;
    size_t                param_bytes = makes_params ? t->params->floats * sizeof(float) : 0;
    LS_TRY(ls__shared_memory_new(&eval->memory, c, mode, ls__trainer_gradient_bytes(eval), "evaluation"));
    LS_TRY(ls__shared_memory_new(&t->values, c, mode, param_bytes, "parameter"));
    LS_TRY(ls__trainer_make_directions(t, mode));
    t->params->block = t->values->block[0];
    if (t->graph->precision == LS_BF16) {
        LS_TRY(ls__shared_memory_new(&t->copy, c, mode, param_bytes / 2, "bfloat16 parameter"));
        t->params->narrow = t->copy->block[0];
        t->params->stale  = true;
    }
    train->grads = train->memory->own.data;
    eval->grads  = eval->memory->own.data;
    return LS_OK;
}

/* Errors are stored in the all-reduce until ls__allreduce_end. */
static void poll_allreduce(void *allreduce) { (void)ls__allreduce_poll(allreduce); }

static ls_status start_overlap(ls_trainer *t)
{
    if (t->options.wire == LS_WIRE_BFLOAT16) LS_TRY(ls__allreduce_send_bf16(t->train.allreduce));
    if (t->comm->size == 1 || t->options.overlap == LS_OVERLAP_OFF) return LS_OK;
    if (t->options.overlap == LS_OVERLAP_THREAD) return ls__allreduce_start_thread(t->train.allreduce);
    t->poller = (ls_progress_hook){poll_allreduce, t->train.allreduce};
    return LS_OK;
}

static void make_norm_memory(ls_trainer *t)
{
    const int ranks  = ls_comm_size(t->comm);
    size_t    blocks = (t->params->trained - LS_PARAM_START) / NORM_BLOCK + 1;
    t->norm_block    = ls_arena_alloc(t->arena, blocks * sizeof *t->norm_block);
    if (t->options.optim.kind == LS_OPTIM_LARS)
        t->square_of_params = ls_arena_alloc(t->arena, blocks * sizeof *t->square_of_params);
    if (!t->divided) return;
    for (int r = 0; r < ranks; r++) {
        size_t owned = (size_t)(t->partition[r].count / NORM_BLOCK);
        if (owned > t->norm_room) t->norm_room = owned;
    }
    t->norm_send = ls_arena_alloc(t->arena, t->norm_room * sizeof *t->norm_send);
    t->norm_all  = ls_arena_alloc(t->arena, t->norm_room * (size_t)ranks * sizeof *t->norm_all);
}

static bool on_one_host(const ls_comm *c)
{
    for (int r = 1; r < c->size; r++)
        if (c->host[r] != c->host[0]) return false;
    return true;
}

/* Everything after the shared memory that this rank does alone. */
static ls_status make_own_memory(ls_trainer *t)
{
    phase *phases[] = {&t->train, &t->eval};
    for (int i = 0; i < 2; i++) {
        LS_TRY(ls__allreduce_use_shared_memory(phases[i]->allreduce, phases[i]->memory, phases[i]->stride));
        LS_TRY(ls__allreduce_set_output(phases[i]->allreduce, t->output, LS_HEADER));
    }
    ls__trainer_find_partitions(t);
    t->renews_copy =
        t->comm->size == 1 || t->output != LS_ALLREDUCE_PARTITIONED || (t->values->shared && on_one_host(t->comm));
    LS_TRY(ls__trainer_place_outputs(t));
    make_norm_memory(t);
    LS_TRY(ls_block_new(&t->state_block, (size_t)ls__trainer_find_pieces(t) * sizeof(float), "optimizer state"));
    LS_TRY(ls__trainer_make_orthogonal(t));
    LS_TRY(ls__params_fill(t->params, t->options.seed, t->values->me, t->values->members));
    return start_overlap(t);
}

ls_status ls__trainer_make_memory(ls_trainer *t)
{
    LS_TRY(make_shared_memory(t));
    /* The agreement is also a barrier: no rank continues before all parameters have their initial values. */
    LS_TRY(ls_comm_agree(t->comm, make_own_memory(t)));
    if (t->values->shared) ls__shared_memory_settle(t->values);
    if (t->copy && t->copy->shared) ls__shared_memory_settle(t->copy);
    return LS_OK;
}
