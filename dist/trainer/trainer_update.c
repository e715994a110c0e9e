/* SPDX-License-Identifier: Apache-2.0
 *
 * The instructions that a trainer adds to a program: sums of the loss, all-reduce of a bucket, update.
 *
 * The step flags of each rank travel with the first bucket, so every rank has the errors of all ranks before it changes
 * a parameter.  If any rank has an error, no rank updates.
 *
 * A rank updates its partition (dist/trainer/trainer_partition.c).  The update is elementwise, so its bits do not
 * depend on the bounds of partitions.  The norm of the gradient is a sum over all elements, whose order of additions
 * must not depend on partitions either: each block of NORM_BLOCK floats is summed by its owner, and every rank adds the
 * block sums in the same order.
 */
#include <math.h>
#include <string.h>

#include "dist/trainer/trainer_internal.h"

/* ---- loss, accuracy, step flags ---------------------------------------------------------------------------------- */

/* Counts the targets of samples [begin, end) that are not ignored, and those whose logit is the largest. */
static void count_correct(const ls_trainer *t, const float *logits, const int32_t *label, int64_t begin, int64_t end,
                          float *sums)
{
    int64_t classes = ls__cols(t->options.logits), rows = ls__rows(t->options.logits);
    int64_t correct = 0, targets = 0;
    for (int64_t i = begin * rows; i < end * rows; i++) {
        const float *z       = logits + i * classes;
        int64_t      largest = 0;
        if (label[i] < 0 || label[i] >= classes) continue;
        for (int64_t v = 1; v < classes; v++)
            if (z[v] > z[largest]) largest = v;
        correct += largest == label[i];
        targets++;
    }
    sums[HEADER_CORRECT] = (float)correct;
    sums[HEADER_TARGETS] = (float)targets;
}

/* Sums loss, weight and correct targets over the samples of each shard. */
static void sum_shards(const ls_trainer *t, const ls_execution *run)
{
    const phase   *ph     = run->training ? &t->train : &t->eval;
    const float   *loss   = ls__program_value(ph->program, run, t->loss);
    const float   *weight = t->loss->weight ? ls__program_value(ph->program, run, t->loss->weight) : NULL;
    const float   *logits = t->options.logits ? ls__program_value(ph->program, run, t->options.logits) : NULL;
    const int32_t *label  = t->options.logits ? ls__program_value(ph->program, run, t->options.label) : NULL;
    for (int s = 0; s < run->shards; s++) {
        double loss_sum = 0, weight_sum = 0;
        float *sums = t->shard_sums + (size_t)s * HEADER_SAMPLE_SUMS;
        for (int64_t i = run->bound[s]; i < run->bound[s + 1]; i++) {
            loss_sum += loss[i];
            weight_sum += weight ? weight[i] : 1;
        }
        sums[HEADER_LOSS]   = (float)loss_sum;
        sums[HEADER_WEIGHT] = (float)weight_sum;
        if (logits && run->bound[s] < run->bound[s + 1])
            count_correct(t, logits, label, run->bound[s], run->bound[s + 1], sums);
    }
}

static void write_flags(const ls_step_flags *flags, float *header)
{
    header[HEADER_FAILED] = flags->status != LS_OK;
    for (int i = 0; i < LS_CONTROL_FLAGS; i++) header[HEADER_CONTROL + i] = (float)(flags->control >> i & 1);
}

static void read_flag_counts(ls_step_flag_counts *counts, const float *header)
{
    counts->failed = (int)header[HEADER_FAILED];
    for (int i = 0; i < LS_CONTROL_FLAGS; i++) counts->control[i] = (int)header[HEADER_CONTROL + i];
}

/* Adds the sums of the shards of each group, in the order of the gradient's tree, and writes the headers.  In the last
 * micro-step the header of the first group also carries this rank's step flags. */
ls_status ls__trainer_sum_loss(void *context, const ls_execution *run)
{
    ls_trainer *t = context;
    memset(t->shard_sums, 0, (size_t)run->shards * HEADER_SAMPLE_SUMS * sizeof *t->shard_sums);
    if (!run->idle) sum_shards(t, run);
    for (int k = 0; k < run->groups; k++) {
        const ls_group *g    = &run->group[k];
        float          *sums = t->shard_sums + (size_t)g->first * HEADER_SAMPLE_SUMS;
        for (int distance = 1; distance < g->shards; distance *= 2)
            for (int s = 0; s + distance < g->shards; s += 2 * distance)
                for (int i = 0; i < HEADER_SAMPLE_SUMS; i++)
                    sums[s * HEADER_SAMPLE_SUMS + i] += sums[(s + distance) * HEADER_SAMPLE_SUMS + i];
        memset(run->grads + g->offset, 0, LS_HEADER * sizeof(float));
        memcpy(run->grads + g->offset, sums, HEADER_SAMPLE_SUMS * sizeof(float));
    }
    if (run->training && run->micro == run->micros - 1) write_flags(&t->flags, run->grads + run->group[0].offset);
    return LS_OK;
}

void ls__trainer_read_header(ls_metrics *m, const float *header)
{
    m->weight   = header[HEADER_WEIGHT];
    m->loss     = (double)header[HEADER_LOSS] / header[HEADER_WEIGHT];
    m->accuracy = header[HEADER_TARGETS] > 0 ? (double)header[HEADER_CORRECT] / header[HEADER_TARGETS] : NAN;
}

/* ---- sums over the batch ----------------------------------------------------------------------------------------- */

static ls_allreduce_request sums_request(const batch_sums_call *b)
{
    return (ls_allreduce_request){.range       = {b->range.offset + b->trainer->sums_shift, b->range.count},
                                  .everywhere  = true,
                                  .trace_shift = -b->trainer->sums_shift};
}

ls_status ls__trainer_sum_batch(void *context, const ls_execution *run)
{
    const batch_sums_call *b    = context;
    const ls_tensor       *x    = b->node->in[0];
    phase                 *p    = &b->trainer->train;
    const int64_t          rows = run->batch->global_rows, values = ls__numel(x) / x->dim[0];
    LS_CHECK(run->idle || rows * values > 1, LS_ERR_USAGE,
             "%s: expected more than one value per channel in the global batch, found a batch of one sample of '%s' "
             "(%s)" LS_HINT "raise train.batch, or choose it such that no last batch of one sample remains",
             ls__op(b->node)->name, x->name, ls__shape(x));
    const ls_allreduce_request request = sums_request(b);
    LS_TRY(ls__allreduce_run(p->allreduce, p->grads, p->stride, &request));
    p->run.sums = ls__allreduce_everywhere(p->allreduce);
    return LS_OK;
}

/* The sums are complete when the last bucket is. */
ls_status ls__trainer_sum_groups(void *context, const ls_execution *run)
{
    const batch_sums_call     *b       = context;
    phase                     *p       = &b->trainer->train;
    const ls_allreduce_request request = sums_request(b);
    if (run->micro < run->micros - 1) return LS_OK; /* the blocks are merged after the micro-step */
    LS_TRY(ls__allreduce_begin(p->allreduce, p->grads, p->stride, &request));
    p->run.sums = ls__allreduce_everywhere(p->allreduce);
    return LS_OK;
}

/* The samples of the global batch, or the groups of node n in it. */
static int64_t samples_or_groups(const ls_trainer *t, const ls_node *n)
{
    const int64_t rows = t->train.run.batch->global_rows, size = ls__group_rows(n);
    const int     shards = t->options.shards;
    int64_t       groups = 0;
    if (!size) return rows;
    for (int s = 0; s < shards; s++)
        groups += ls__groups_of(ls_shard_first(rows, shards, s + 1) - ls_shard_first(rows, shards, s), size);
    return groups;
}

/* Renews the running statistics.  Of the ranks that share the parameters, one does it. */
static void update_running(const ls_trainer *t)
{
    const ls_graph *g = t->graph;
    if (t->values->me != 0) return;
    for (int i = 0; i < g->nodes; i++) {
        const ls_node *n            = g->node[i];
        float         *x[LS_MAX_IN] = {NULL};
        if (!ls__batch_sums(n, false)) continue;
        for (int k = 0; k < n->ins; k++)
            if (n->in[k] && ls__root(n->in[k])->role == LS_ROLE_PARAM)
                x[k] = (float *)t->params->block.data +
                       t->params->slot[t->params->slot_of[ls__root(n->in[k])->index]].offset;
        ls__op(n)->update_running(n,
                                  t->train.run.sums + ((int64_t)ls__batch_sums_at(t->params, n, false) + t->sums_shift),
                                  samples_or_groups(t, n), x);
    }
}

/* ---- all-reduce of a bucket -------------------------------------------------------------------------------------- */

/* Zeroes what no instruction writes: the buffer may still hold another bucket. */
static void zero_gaps(const bucket_call *b)
{
    const phase *p = b->phase;
    for (int slot = 0; b->buffer.gaps && slot < ls__allreduce_slots(p->allreduce); slot++)
        for (int k = 0; k < b->buffer.gaps; k++)
            memset(p->grads + (size_t)slot * p->stride + (size_t)b->buffer.offset + b->buffer.gap[k].offset, 0,
                   b->buffer.gap[k].count * sizeof(float));
}

ls_status ls__trainer_wait(void *context, const ls_execution *run)
{
    const bucket_call *b = context;
    (void)run;
    return ls__allreduce_wait_read(b->phase->allreduce, b->number);
}

ls_status ls__trainer_reduce(void *context, const ls_execution *run)
{
    bucket_call         *b = context;
    const phase         *p = b->phase;
    ls_allreduce_request r = {.range        = {b->buffer.offset, b->bucket.range.count},
                              .output_shift = b->output_shift,
                              .addend_shift = b->addend_shift,
                              .is_addend    = b->bucket.is_addend,
                              .trace_shift  = b->bucket.range.offset - b->buffer.offset};
    if (run->micro < run->micros - 1) return LS_OK; /* the blocks are merged after the micro-step */
    zero_gaps(b);
    LS_TRY(ls__allreduce_begin(p->allreduce, p->grads, p->stride, &r));
    b->number = ls__allreduce_begun(p->allreduce);
    if (b->last) LS_TRY(ls__allreduce_end(p->allreduce));
    return LS_OK;
}

/* ---- the norm of the gradient ------------------------------------------------------------------------------------ */

static size_t norm_blocks(int64_t floats) { return (size_t)(floats / NORM_BLOCK); }

/* The sums of squares of the blocks of `count` floats. */
static void square_blocks(const float *values, int64_t count, double *sum)
{
    const int64_t blocks = (int64_t)norm_blocks(count);
#pragma omp parallel for schedule(static) if (blocks > 32)
    for (int64_t b = 0; b < blocks; b++) {
        const float *x = values + b * NORM_BLOCK;
        double       s = 0;
        for (int k = 0; k < NORM_BLOCK; k++) s += (double)x[k] * x[k];
        sum[b] = s;
    }
}

/* The same for the gradients of range `i` of this rank's partition. */
static void square_gradients(const ls_trainer *t, int i, double *sum)
{
    square_blocks(ls__trainer_gradient(t, i), t->own.range[i].count, sum);
}

/* Fills t->norm_block with the sums of all blocks; each comes from the rank that owns the block. */
static ls_status gather_blocks(ls_trainer *t)
{
    double *to = t->norm_send;
    for (int i = 0; i < t->own.ranges; i++) {
        square_gradients(t, i, to);
        to += norm_blocks(t->own.range[i].count);
    }
    LS_TRY(ls_comm_allgather(t->comm, t->norm_send, t->norm_all, t->norm_room * sizeof(double)));
    for (int r = 0; r < ls_comm_size(t->comm); r++) {
        const double *from = t->norm_all + (size_t)r * t->norm_room;
        for (int i = 0; i < t->partition[r].ranges; i++) {
            ls_range range = t->partition[r].range[i];
            size_t   n     = norm_blocks(range.count);
            memcpy(t->norm_block + norm_blocks(range.offset - LS_PARAM_START), from, n * sizeof *from);
            from += n;
        }
    }
    return LS_OK;
}

/* The 2-norm of the summed gradient. */
static ls_status gradient_norm(ls_trainer *t, double *norm)
{
    const size_t blocks = norm_blocks((int64_t)t->params->trained - LS_PARAM_START);
    double       sum    = 0;
    if (t->divided)
        LS_TRY(gather_blocks(t));
    else
        for (int i = 0; i < t->own.ranges; i++)
            square_gradients(t, i, t->norm_block + norm_blocks(t->own.range[i].offset - LS_PARAM_START));
    for (size_t b = 0; b < blocks; b++) sum += t->norm_block[b];
    *norm = sqrt(sum);
    return LS_OK;
}

/* ---- trust ratios of LARS ---------------------------------------------------------------------------------------- */

/* Every rank squares all parameters.  Ranks that share the parameters finish this before one of them updates, because
 * the norm of the gradient, which follows, is collective. */
static void square_params(const ls_trainer *t)
{
    const int64_t count = (int64_t)t->params->trained - LS_PARAM_START;
    square_blocks((const float *)t->params->block.data + LS_PARAM_START, count, t->square_of_params);
}

/* The norm over a range, from sums of squares of blocks, which are added in order. */
static double norm_of_range(const double *block, ls_range range)
{
    const size_t first = norm_blocks(range.offset - LS_PARAM_START), blocks = norm_blocks(range.count);
    double       sum = 0;
    for (size_t b = first; b < first + blocks; b++) sum += block[b];
    return sqrt(sum);
}

static void find_trust_ratios(const ls_trainer *t, double grad_scale)
{
    for (int i = 0; i < t->optim_ranges; i++) {
        optim_range *o = &t->optim_range[i];
        o->trust_ratio =
            ls_optim_trust_ratio(&t->options.optim, o->weight_decay, norm_of_range(t->square_of_params, o->range),
                                 grad_scale * norm_of_range(t->norm_block, o->range));
    }
}

/* ---- the update -------------------------------------------------------------------------------------------------- */

/* Updates the parameters from `offset` on.  A chunk is rounded to the bfloat16 copy while it is in the cache. */
static void apply(ls_trainer *t, const ls_optim_step *step, size_t offset)
{
    enum { CHUNK = 1 << 18 };
    const bool    narrows = t->copy && t->renews_copy;
    const int64_t chunk   = narrows ? CHUNK : step->count;
    for (int64_t at = 0; at < step->count; at += chunk) {
        ls_optim_step part = *step;
        part.count         = step->count - at < chunk ? step->count - at : chunk;
        part.param += at;
        part.grad += at;
        for (int k = 0; k < t->states; k++)
            if (part.state[k]) part.state[k] += at;
        ls_optim_apply(&t->options.optim, &part);
        if (narrows) ls__params_narrow(t->params, offset + (size_t)at, (size_t)part.count);
    }
}

/* The learning rate of a range in this step.  With muon, a parameter that is no hidden matrix has the rate of AdamW. */
static float rate_of(const ls_trainer *t, const optim_range *o)
{
    ls_optim adamw = t->options.optim;
    if (!t->matrices || o->rows) return t->metrics.lr * o->lr_scale;
    adamw.lr = adamw.adamw_lr;
    return ls_optim_lr(&adamw, t->steps, t->options.steps) * o->lr_scale;
}

ls_optim_step ls__trainer_step_of(const ls_trainer *t, const update_piece *p, double grad_scale)
{
    ls_optim_step step = {.count        = p->range.count,
                          .step         = t->steps,
                          .run_steps    = t->options.steps,
                          .param        = (float *)t->params->block.data + p->range.offset,
                          .grad         = ls__allreduce_output(t->train.allreduce) + p->grad,
                          .lr           = rate_of(t, p->optim),
                          .weight_decay = p->optim->weight_decay,
                          .grad_scale   = (float)grad_scale,
                          .trust_ratio  = p->optim->trust_ratio,
                          .rows         = p->optim->rows,
                          .cols         = p->optim->cols};
    for (int k = 0; k < t->states; k++)
        step.state[k] = p->state[k] < 0 ? NULL : (float *)t->state_block.data + p->state[k];
    return step;
}

static void update_partition(ls_trainer *t, double grad_scale)
{
    for (int i = 0; i < t->pieces; i++) {
        const update_piece *p    = &t->piece[i];
        ls_optim_step       step = ls__trainer_step_of(t, p, grad_scale);
        if (p->optim->rows) step.grad = ls__trainer_directions(t, p->range.offset);
        apply(t, &step, (size_t)p->range.offset);
    }
}

/* Sends the updated partitions to the other hosts, and waits for theirs. */
static ls_status gather_params(ls_trainer *t)
{
    for (int i = 0; i < t->buckets; i++) {
        const ls_bucket *b = &t->bucket[i].bucket;
        if (!b->is_addend)
            LS_TRY(ls__allreduce_gather(t->train.allreduce, t->params->block.data, ls__bucket_params(b)));
    }
    return ls__allreduce_release(t->train.allreduce);
}

ls_status ls__trainer_swap_average(ls_trainer *t)
{
    const int state = ls_optim_average(&t->options.optim);
    if (state < 0) return LS_OK;
    for (int i = 0; i < t->pieces; i++) {
        const ls_range range = t->piece[i].range;
        float         *param = (float *)t->params->block.data + range.offset,
              *average       = (float *)t->state_block.data + t->piece[i].state[state];
        for (int64_t k = 0; k < range.count; k++) {
            const float p = param[k];
            param[k]      = average[k];
            average[k]    = p;
        }
    }
    t->params->stale = true;
    return gather_params(t);
}

/* The loss check: *finite is false when the loss or the gradient is not finite.  Also computes the factor of the
 * gradient: 1 / weight of the batch, times the clipping coefficient. */
static ls_status check_loss(ls_trainer *t, bool *finite, double *grad_scale)
{
    const ls_optim *o = &t->options.optim;
    ls_metrics     *m = &t->metrics;
    ls__trainer_read_header(m, ls__allreduce_header(t->train.allreduce));
    m->grad_norm = NAN;
    LS_CHECK(m->weight > 0, LS_ERR_DATA,
             "step %lld: every target in the batch equals ignore_index, so the loss is undefined",
             (long long)t->steps + 1);
    *finite         = isfinite(m->loss);
    *grad_scale     = 1 / m->weight;
    const bool lars = o->kind == LS_OPTIM_LARS;
    if (!*finite || (o->clip_norm <= 0 && t->options.on_nan == LS_ON_NAN_ABORT && !lars)) return LS_OK;
    if (lars) square_params(t);
    LS_TRY(gradient_norm(t, &m->grad_norm));
    *finite = isfinite(m->grad_norm);
    m->grad_norm *= *grad_scale;
    double coefficient = o->clip_norm / (m->grad_norm + 1e-6); /* torch.nn.utils.clip_grad_norm_ */
    if (o->clip_norm > 0 && coefficient < 1) *grad_scale *= coefficient;
    if (lars) find_trust_ratios(t, *grad_scale);
    return LS_OK;
}

/* Every rank takes the same decision because all have the same numbers. */
static ls_status skip_or_abort(ls_trainer *t)
{
    enum { MAX_CONSECUTIVE = 10 };
    const ls_metrics *m    = &t->metrics;
    bool              loss = !isfinite(m->loss), skips = t->options.on_nan == LS_ON_NAN_SKIP;
    if (skips && ++t->skipped < MAX_CONSECUTIVE) return LS_OK;
    return LS_FAIL(LS_ERR_DIVERGED,
                   "step %lld: the %s is %g%s; the parameters are those of the step before" LS_HINT
                   "lower optim.lr, set optim.clip_norm=1, add schedule.warmup, or look for bad values in the data "
                   "(`lockstep data verify`)",
                   (long long)t->steps + 1, loss ? "loss" : "norm of the gradient", loss ? m->loss : m->grad_norm,
                   skips ? ", and so were those of the nine steps before" : "");
}

ls_status ls__trainer_update(void *context, const ls_execution *run)
{
    ls_trainer *t          = context;
    bool        finite     = false;
    double      grad_scale = 0;
    if (run->micro < run->micros - 1) return LS_OK;
    read_flag_counts(&t->counts, ls__allreduce_header(t->train.allreduce));
    if (t->counts.failed) return ls__allreduce_release(t->train.allreduce);
    LS_TRY(check_loss(t, &finite, &grad_scale));
    t->metrics.lr      = ls_optim_lr(&t->options.optim, t->steps, t->options.steps);
    t->metrics.skipped = !finite;
    if (!finite) {
        LS_TRY(skip_or_abort(t));
        return ls__allreduce_release(t->train.allreduce);
    }
    t->skipped = 0;
    LS_TRY(ls__trainer_orthogonalise(t, grad_scale));
    update_partition(t, grad_scale);
    update_running(t);
    if (!t->renews_copy) t->params->stale = true; /* ranks that do not share the copy wrote parameters as well */
    return gather_params(t);
}
