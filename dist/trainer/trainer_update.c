/* SPDX-License-Identifier: Apache-2.0
 *
 * What the trainer's own instructions do: the loss of each shard, the sum of a bucket over all ranks, the update.
 *
 * With the first bucket goes a rank's word: all know of a rank's trouble before any of them changes a parameter, and
 * then none does.
 *
 * A rank updates its share of the parameters (dist/trainer/trainer_state.c) from the totals that it keeps; all of this
 * is elementwise, so where a share ends decides nothing.  But the norm of the gradient is a sum over all of it, whose
 * order must not depend on shares: each block of NORM_BLOCK floats has a sum of its own, made by whoever owns it, and
 * all ranks add those up in order.
 */
#include <math.h>
#include <string.h>

#include "dist/trainer/trainer_internal.h"

/* Correct positions and judged positions of samples [from, to). */
static void count_hits(const ls_trainer *t, const float *logits, const int32_t *label, int64_t from, int64_t to,
                       float *leaf)
{
    int64_t classes = ls__cols(t->options.logits), rows = ls__rows(t->options.logits);
    int64_t hits = 0, judged = 0;
    for (int64_t i = from * rows; i < to * rows; i++) {
        const float *z    = logits + i * classes;
        int64_t      best = 0;
        if (label[i] < 0 || label[i] >= classes) continue;
        for (int64_t v = 1; v < classes; v++)
            if (z[v] > z[best]) best = v;
        hits += best == label[i];
        judged++;
    }
    leaf[HEAD_HITS]   = (float)hits;
    leaf[HEAD_JUDGED] = (float)judged;
}

static void judge_shards(const ls_trainer *t, const ls_execution *run)
{
    const phase   *ph     = run->training ? &t->train : &t->eval;
    const float   *loss   = ls__program_value(ph->program, run, t->loss);
    const float   *weight = t->loss->weight ? ls__program_value(ph->program, run, t->loss->weight) : NULL;
    const float   *logits = t->options.logits ? ls__program_value(ph->program, run, t->options.logits) : NULL;
    const int32_t *label  = t->options.logits ? ls__program_value(ph->program, run, t->options.label) : NULL;
    for (int s = 0; s < run->shards; s++) {
        double sum = 0, count = 0;
        float *leaf = t->leaf + (size_t)s * HEAD_SUMS;
        for (int64_t i = run->bound[s]; i < run->bound[s + 1]; i++) {
            sum += loss[i];
            count += weight ? weight[i] : 1;
        }
        leaf[HEAD_LOSS]   = (float)sum;
        leaf[HEAD_WEIGHT] = (float)count;
        if (logits && run->bound[s] < run->bound[s + 1])
            count_hits(t, logits, label, run->bound[s], run->bound[s + 1], leaf);
    }
}

/* Into one of this rank's blocks. */
static void write_word(const ls_step_flags *word, float *head)
{
    head[HEAD_FAILED] = word->status != LS_OK;
    for (int i = 0; i < LS_VOTES; i++) head[HEAD_VOTES + i] = (float)(word->votes >> i & 1);
}

static void read_words(ls_tally *all, const float *head)
{
    all->failed = (int)head[HEAD_FAILED];
    for (int i = 0; i < LS_VOTES; i++) all->votes[i] = (int)head[HEAD_VOTES + i];
}

/* Loss, weight and hits of each shard, added up as the same tree as the gradients; and, once a step, this rank's word.
 */
ls_status ls__trainer_sum_loss(void *context, const ls_execution *run)
{
    ls_trainer *t = context;
    memset(t->leaf, 0, (size_t)run->shards * HEAD_SUMS * sizeof *t->leaf);
    if (!run->idle) judge_shards(t, run);
    for (int k = 0; k < run->groups; k++) {
        const ls_group *g    = &run->group[k];
        float          *base = t->leaf + (size_t)g->first * HEAD_SUMS;
        for (int distance = 1; distance < g->shards; distance *= 2)
            for (int s = 0; s + distance < g->shards; s += 2 * distance)
                for (int i = 0; i < HEAD_SUMS; i++) base[s * HEAD_SUMS + i] += base[(s + distance) * HEAD_SUMS + i];
        memset(run->grads + g->offset, 0, LS_HEADER * sizeof(float));
        memcpy(run->grads + g->offset, base, HEAD_SUMS * sizeof(float));
    }
    if (run->training && run->micro == run->micros - 1) write_word(&t->word, run->grads + run->group[0].offset);
    return LS_OK;
}

/* Where another bucket was, what no instruction writes is not zero. */
static void fill_gaps(const bucket_call *b)
{
    const phase *p = b->phase;
    for (int slot = 0; b->stage.gaps && slot < ls__allreduce_slots(p->tree); slot++)
        for (int k = 0; k < b->stage.gaps; k++)
            memset(p->grads + (size_t)slot * p->stride + b->stage.at + b->stage.gap[k].offset, 0,
                   b->stage.gap[k].count * sizeof(float));
}

ls_status ls__trainer_wait(void *context, const ls_execution *run)
{
    const bucket_call *b = context;
    (void)run;
    return ls__allreduce_wait_read(b->phase->tree, b->number);
}

ls_status ls__trainer_reduce(void *context, const ls_execution *run)
{
    bucket_call         *b = context;
    const phase         *p = b->phase;
    ls_allreduce_request s = {.range        = {(int64_t)b->stage.at, b->bucket.range.count},
                              .addend_shift = b->plus,
                              .is_addend    = b->bucket.is_addend,
                              .output_shift = b->shift,
                              .trace_shift  = b->bucket.range.offset - (int64_t)b->stage.at};
    if (run->micro < run->micros - 1) return LS_OK; /* its blocks are merged after the micro-step */
    fill_gaps(b);
    LS_TRY(ls__allreduce_begin(p->tree, p->grads, p->stride, &s));
    b->number = ls__allreduce_begun(p->tree);
    if (b->last) LS_TRY(ls__allreduce_end(p->tree));
    return LS_OK;
}

void ls__trainer_read_head(ls_metrics *m, const float *head)
{
    m->weight   = head[HEAD_WEIGHT];
    m->loss     = (double)head[HEAD_LOSS] / head[HEAD_WEIGHT];
    m->accuracy = head[HEAD_JUDGED] > 0 ? (double)head[HEAD_HITS] / head[HEAD_JUDGED] : NAN;
}

/* ---- the norm ---------------------------------------------------------------------------------------------------- */

static size_t block_of(size_t offset) { return (offset - LS_PARAM_START) / NORM_BLOCK; }

/* Of the blocks of a run of the parameter block; runs begin and end where blocks do. */
static void norm_blocks(const ls_trainer *t, const ls_kept *run, double *part)
{
    const int64_t blocks = (int64_t)(run->count / NORM_BLOCK);
    const float  *grads  = ls__trainer_totals(t, run);
#pragma omp parallel for schedule(static) if (blocks > 32)
    for (int64_t b = 0; b < blocks; b++) {
        const float *g = grads + b * NORM_BLOCK;
        double       s = 0;
        for (int i = 0; i < NORM_BLOCK; i++) s += (double)g[i] * g[i];
        part[b] = s;
    }
}

/* The sums of all blocks, from the ranks that have them. */
static ls_status collect_norm(ls_trainer *t)
{
    double *to = t->norm_mine;
    for (int i = 0; i < t->kept.runs; i++) {
        norm_blocks(t, &t->kept.run[i], to);
        to += t->kept.run[i].count / NORM_BLOCK;
    }
    LS_TRY(ls_comm_allgather(t->comm, t->norm_mine, t->norm_all, t->norm_room * sizeof(double)));
    for (int r = 0; r < ls_comm_size(t->comm); r++) {
        const double *from = t->norm_all + (size_t)r * t->norm_room;
        for (int i = 0; i < t->holding[r].runs; i++) {
            const ls_kept *run = &t->holding[r].run[i];
            size_t         n   = run->count / NORM_BLOCK;
            memcpy(t->norm_part + block_of(run->offset), from, n * sizeof *from);
            from += n;
        }
    }
    return LS_OK;
}

/* The 2-norm of the summed gradient. */
static ls_status grad_norm(ls_trainer *t, double *norm)
{
    const size_t blocks = block_of(t->params->trained);
    double       sum    = 0;
    if (t->spread)
        LS_TRY(collect_norm(t));
    else
        for (int i = 0; i < t->kept.runs; i++)
            norm_blocks(t, &t->kept.run[i], t->norm_part + block_of(t->kept.run[i].offset));
    for (size_t b = 0; b < blocks; b++) sum += t->norm_part[b];
    *norm = sqrt(sum);
    return LS_OK;
}

/* ---- the update -------------------------------------------------------------------------------------------------- */

/* What a span and a run of the share have in common. */
static void update_common(ls_trainer *t, const span *s, const ls_kept *run, double scale)
{
    size_t begin = s->offset > run->offset ? s->offset : run->offset;
    size_t end   = s->offset + s->count < run->offset + run->count ? s->offset + s->count : run->offset + run->count;
    if (begin >= end) return;
    ls_optim_step step = {.count        = (int64_t)(end - begin),
                          .step         = t->steps,
                          .param        = (float *)t->params->block.data + begin,
                          .grad         = ls__trainer_totals(t, run) + (begin - run->offset),
                          .lr           = t->metrics.lr * s->lr_scale,
                          .weight_decay = s->weight_decay,
                          .grad_scale   = (float)scale};
    for (int k = 0; k < t->n_states; k++)
        step.state[k] = (float *)t->states.data + (size_t)k * t->kept.count + run->at + (begin - run->offset);
    ls_optim_apply(&t->options.optim, &step);
}

static void update_share(ls_trainer *t, double scale)
{
    for (int s = 0, r = 0; s < t->n_spans && r < t->kept.runs;) {
        size_t span_end = t->span[s].offset + t->span[s].count, run_end = t->kept.run[r].offset + t->kept.run[r].count;
        update_common(t, &t->span[s], &t->kept.run[r], scale);
        if (span_end <= run_end) s++;
        if (run_end <= span_end) r++;
    }
}

/* Whether the loss and the gradient are finite; and the factor of the gradient. */
static ls_status judge(ls_trainer *t, bool *sound, double *scale)
{
    const ls_optim *o = &t->options.optim;
    ls_metrics     *m = &t->metrics;
    ls__trainer_read_head(m, ls__allreduce_header(t->train.tree));
    m->grad_norm = NAN;
    LS_CHECK(m->weight > 0, LS_ERR_DATA, "step %lld: no position of the batch counts: every target is ignored",
             (long long)t->steps + 1);
    *sound = isfinite(m->loss);
    *scale = 1 / m->weight;
    if (!*sound || (o->clip_norm <= 0 && t->options.on_nan == LS_ON_NAN_ABORT)) return LS_OK;
    LS_TRY(grad_norm(t, &m->grad_norm));
    *sound = isfinite(m->grad_norm);
    m->grad_norm *= *scale;
    double coef = o->clip_norm / (m->grad_norm + 1e-6); /* as torch.nn.utils.clip_grad_norm_ */
    if (o->clip_norm > 0 && coef < 1) *scale *= coef;
    return LS_OK;
}

/* The same decision on all ranks: they have the same numbers. */
static ls_status skip_or_abort(ls_trainer *t)
{
    enum { IN_A_ROW = 10 };
    const ls_metrics *m    = &t->metrics;
    bool              loss = !isfinite(m->loss), skips = t->options.on_nan == LS_ON_NAN_SKIP;
    if (skips && ++t->skipped < IN_A_ROW) return LS_OK;
    return LS_FAIL(LS_ERR_DIVERGED,
                   "step %lld: the %s is %g%s; the parameters are those of the step before" LS_HINT
                   "lower optim.lr, set optim.clip_norm=1, add schedule.warmup, or look for bad values in the data "
                   "(`lockstep data verify`)",
                   (long long)t->steps + 1, loss ? "loss" : "norm of the gradient", loss ? m->loss : m->grad_norm,
                   skips ? ", and so were those of the nine steps before" : "");
}

ls_status ls__trainer_update(void *context, const ls_execution *run)
{
    ls_trainer *t = context;
    bool        sound;
    double      scale = 0;
    if (run->micro < run->micros - 1) return LS_OK;
    read_words(&t->told, ls__allreduce_header(t->train.tree));
    if (t->told.failed) return ls__allreduce_release(t->train.tree);
    LS_TRY(judge(t, &sound, &scale));
    t->metrics.lr      = ls_optim_lr(&t->options.optim, t->steps, t->options.steps);
    t->metrics.skipped = !sound;
    if (!sound) {
        LS_TRY(skip_or_abort(t));
        return ls__allreduce_release(t->train.tree);
    }
    t->skipped = 0;
    update_share(t, scale);
    for (int i = 0; i < t->n_buckets; i++) {
        const ls_bucket *b = &t->bucket[i];
        if (!b->is_addend) LS_TRY(ls__allreduce_gather(t->train.tree, t->params->block.data, ls__bucket_params(b)));
    }
    LS_TRY(ls__allreduce_release(t->train.tree));
    return LS_OK;
}
