/* SPDX-License-Identifier: Apache-2.0
 *
 * One data-parallel step.  The program of a step is forward, loss, backward, and between the backward instructions, as
 * soon as a bucket of gradients is complete, its sum over all ranks; then the update.  The loss, the weight it is divided
 * by and the hits travel in the header of the gradient block, with its first range: every rank sees the same numbers and
 * takes the same decisions.
 *
 * Gradients are sums; they are divided once, in the update, by the weight of the whole batch.
 */
#include "dist/trainer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dist/buckets.h"
#include "dist/checkpoint.h"
#include "dist/comm.h"
#include "dist/tree.h"
#include "dist/window.h"

/* The header of a gradient block. */
enum { HEAD_LOSS, HEAD_WEIGHT, HEAD_HITS, HEAD_JUDGED, HEAD_USED };
enum { NORM_BLOCK = 4096, MAX_SHARDS = 4096 };

/* A run of the parameter block with one learning rate and weight decay. */
typedef struct span {
    size_t offset, count;
    float  lr_scale, weight_decay;
} span;

/* A program, the tree that sums what it makes, and what a run of it needs. */
typedef struct phase {
    ls_program *program;
    ls_tree    *tree;
    ls_window  *window; /* holds the gradients */
    float      *grads;
    size_t      stride; /* floats between the blocks of two slots */
    int         micros;
    ls_run      run;
} phase;

struct ls_trainer {
    ls_comm           *comm;
    bool               own_comm;
    ls_graph          *graph;
    ls_params         *params;
    ls_tensor         *loss;
    ls_trainer_options options;
    phase              train, eval;
    ls_block           states, arena, snapshot;
    ls_kept            kept;
    int                n_states, n_spans;
    span              *span;
    double            *norm_part;
    ls_group          *group;
    int64_t           *bound;
    float             *leaf; /* HEAD_USED floats per shard */
    int64_t            steps;
    ls_metrics         metrics;
    double            *seconds;
};

int ls_default_shards(int64_t batch)
{
    int shards = batch >= 128 ? 16 : 8;
    while (shards > 1 && shards > batch) shards /= 2;
    return shards;
}

/* ---- instructions of the step ------------------------------------------------------------------------------------ */

/* Correct positions and judged positions of samples [from, to). */
static void count_hits(const ls_trainer *t, const float *logits, const int32_t *label, int64_t from, int64_t to, float *leaf)
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

/* Loss, weight and hits of each shard, added up as the same tree as the gradients. */
static ls_status sum_loss(void *context, const ls_run *run)
{
    ls_trainer    *t      = context;
    phase         *ph     = run->training ? &t->train : &t->eval;
    const float   *loss   = ls__program_value(ph->program, run, t->loss);
    const float   *weight = t->loss->weight ? ls__program_value(ph->program, run, t->loss->weight) : NULL;
    const float   *logits = t->options.logits ? ls__program_value(ph->program, run, t->options.logits) : NULL;
    const int32_t *label  = t->options.logits ? ls__program_value(ph->program, run, t->options.label) : NULL;
    for (int s = 0; s < run->shards; s++) {
        double sum = 0, count = 0;
        float *leaf = t->leaf + (size_t)s * HEAD_USED;
        for (int64_t i = run->bound[s]; i < run->bound[s + 1]; i++) {
            sum += loss[i];
            count += weight ? weight[i] : 1;
        }
        memset(leaf, 0, HEAD_USED * sizeof *leaf);
        leaf[HEAD_LOSS]   = (float)sum;
        leaf[HEAD_WEIGHT] = (float)count;
        if (logits && run->bound[s] < run->bound[s + 1]) count_hits(t, logits, label, run->bound[s], run->bound[s + 1], leaf);
    }
    for (int k = 0; k < run->groups; k++) {
        const ls_group *g    = &run->group[k];
        float          *base = t->leaf + (size_t)g->first * HEAD_USED;
        for (int distance = 1; distance < g->shards; distance *= 2)
            for (int s = 0; s + distance < g->shards; s += 2 * distance)
                for (int i = 0; i < HEAD_USED; i++) base[s * HEAD_USED + i] += base[(s + distance) * HEAD_USED + i];
        memset(run->grads + g->offset, 0, LS_HEADER * sizeof(float));
        memcpy(run->grads + g->offset, base, HEAD_USED * sizeof(float));
    }
    return LS_OK;
}

typedef struct bucket_call {
    ls_trainer *trainer;
    phase      *phase;
    ls_bucket   bucket;
    bool        last; /* after it the sums are needed */
} bucket_call;

static ls_status reduce_bucket(void *context, const ls_run *run)
{
    bucket_call *b = context;
    if (run->micro < run->micros - 1) return LS_OK; /* its blocks are merged after the micro-step */
    LS_TRY(ls__tree_begin(b->phase->tree, b->phase->grads, b->phase->stride, (int64_t)b->bucket.offset, (int64_t)b->bucket.count));
    if (b->last) LS_TRY(ls__tree_end(b->phase->tree));
    return LS_OK;
}

/* The two parts of the gradients of tied weights, both of them sums over all ranks by now. */
static ls_status add_tied(void *context, const ls_run *run)
{
    ls_trainer      *t = context;
    const ls_params *p = t->params;
    if (run->micro < run->micros - 1) return LS_OK;
    for (int k = 0; k < p->tied; k++) {
        const ls_param_slot *s = &p->slot[p->seconds[k]];
        float               *x = t->train.grads + s->offset;
        const float         *y = t->train.grads + s->second;
#pragma omp parallel for schedule(static) if (s->count > 16384)
        for (int64_t i = 0; i < s->count; i++) x[i] += y[i];
    }
    return LS_OK;
}

/* The 2-norm of the summed gradient, in fixed blocks: bits depend on the number of parameters alone. */
static double grad_norm(ls_trainer *t)
{
    const float  *g      = t->train.grads;
    const int64_t end    = (int64_t)t->params->trained, blocks = (end - LS_HEADER + NORM_BLOCK - 1) / NORM_BLOCK;
    double       *part   = t->norm_part, sum = 0;
#pragma omp parallel for schedule(static) if (blocks > 8)
    for (int64_t b = 0; b < blocks; b++) {
        int64_t from = LS_HEADER + b * NORM_BLOCK, to = from + NORM_BLOCK < end ? from + NORM_BLOCK : end;
        double  s    = 0;
        for (int64_t i = from; i < to; i++) s += (double)g[i] * g[i];
        part[b] = s;
    }
    for (int64_t b = 0; b < blocks; b++) sum += part[b];
    return sqrt(sum);
}

static void read_head(ls_metrics *m, const float *head)
{
    m->weight   = head[HEAD_WEIGHT];
    m->loss     = (double)head[HEAD_LOSS] / head[HEAD_WEIGHT];
    m->accuracy = head[HEAD_JUDGED] > 0 ? (double)head[HEAD_HITS] / head[HEAD_JUDGED] : NAN;
}

static ls_status update(void *context, const ls_run *run)
{
    ls_trainer *t = context;
    if (run->micro < run->micros - 1) return LS_OK;
    const ls_optim *o = &t->options.optim;
    ls_metrics     *m = &t->metrics;
    read_head(m, t->train.grads);
    m->grad_norm = NAN;
    LS_CHECK(m->weight > 0, LS_ERR_DATA, "step %lld: no position of the batch counts: every target is ignored", (long long)t->steps + 1);
    LS_CHECK(isfinite(m->loss), LS_ERR_DIVERGED,
             "step %lld: the loss is %g; the parameters are those of the step before" LS_HINT
             "lower optim.lr, set optim.clip_norm=1, add schedule.warmup, or look for bad values in the data (`lockstep data verify`)",
             (long long)t->steps + 1, m->loss);
    double scale = 1 / m->weight;
    if (o->clip_norm > 0) {
        m->grad_norm = grad_norm(t) * scale;
        double coef  = o->clip_norm / (m->grad_norm + 1e-6); /* as torch.nn.utils.clip_grad_norm_ */
        if (coef < 1) scale *= coef;
    }
    m->lr = ls_optim_lr(o, t->steps, t->options.steps);
    for (int i = 0; i < t->n_spans; i++) {
        const span   *s    = &t->span[i];
        ls_optim_step step = {.count = (int64_t)s->count, .step = t->steps, .param = (float *)t->params->block.data + s->offset,
                              .grad = t->train.grads + s->offset, .lr = m->lr * s->lr_scale, .weight_decay = s->weight_decay,
                              .grad_scale = (float)scale};
        for (int k = 0; k < t->n_states; k++) step.state[k] = (float *)t->states.data + (size_t)k * t->params->trained + s->offset;
        ls_optim_apply(o, &step);
    }
    return LS_OK;
}

/* ---- building ---------------------------------------------------------------------------------------------------- */

static ls_status insert_bucket(ls_trainer *t, phase *ph, ls_bucket bucket, int i, int at)
{
    bucket_call *call = ls_arena_alloc(t->graph->arena, sizeof *call);
    char         name[32];
    *call = (bucket_call){.trainer = t, .phase = ph, .bucket = bucket};
    snprintf(name, sizeof name, "all-reduce %d", i);
    return ls__program_insert(ph->program, at,
                              &(ls_instr){.kind = LS_INSTR_CALL, .name = name, .call = reduce_bucket, .context = call, .offset = bucket.offset, .count = bucket.count,
                                          .phase = LS_PHASE_REDUCE});
}

static int shards_at_most(const phase *ph)
{
    int most = 1;
    for (int m = 0; m < ph->micros; m++)
        if (ls__tree_schedule(ph->tree, m)->shards > most) most = ls__tree_schedule(ph->tree, m)->shards;
    return most;
}

static void mark_last_bucket(ls_program *p)
{
    for (int i = p->instrs - 1; i >= 0; i--) {
        if (p->instr[i].kind != LS_INSTR_CALL || p->instr[i].call != reduce_bucket) continue;
        ((bucket_call *)p->instr[i].context)->last = true;
        return;
    }
}

/* Samples of a micro-step, also of a batch smaller than `batch`: its shards may be cut where they take more than those of the whole. */
static int64_t rows_at_most(const ls_trainer *t, const phase *ph, int64_t batch)
{
    return (batch * shards_at_most(ph) + t->options.shards - 1) / t->options.shards;
}

/* The buckets in the order in which they are complete; the tied weights after the last; the update. */
static ls_status insert_collectives(ls_trainer *t, phase *ph)
{
    ls_bucket  *bucket;
    ls_program *p     = ph->program;
    int         n     = ls__buckets(t->params, t->options.bucket_bytes, &bucket);
    int        *ready = ls_arena_alloc(t->graph->arena, ((size_t)n + 1) * sizeof *ready);
    for (int i = 0; i < n; i++) {
        ls_bucket b  = bucket[i];
        int       r  = ls__program_ready(p, b.offset, b.count), at = i;
        for (; at > 0 && ready[at - 1] > r; at--) ready[at] = ready[at - 1], bucket[at] = bucket[at - 1];
        ready[at]  = r;
        bucket[at] = b;
    }
    for (int i = 0; i < n; i++) LS_TRY(insert_bucket(t, ph, bucket[i], i, ls__program_ready(p, bucket[i].offset, bucket[i].count)));
    ls_instr tied = {.kind = LS_INSTR_CALL, .name = "add tied", .call = add_tied, .context = t, .offset = t->params->trained,
                     .count = t->params->grads - t->params->trained};
    ls_instr last = {.kind = LS_INSTR_CALL, .name = "update", .call = update, .context = t, .offset = LS_HEADER, .count = t->params->trained - LS_HEADER};
    if (t->params->tied) LS_TRY(ls__program_insert(p, p->instrs, &tied));
    return ls__program_insert(p, p->instrs, &last);
}

static ls_status build_program(ls_trainer *t, phase *ph, int64_t batch, bool training)
{
    ls_tensor         *output[3] = {t->loss};
    ls_program_options options   = {.output = output, .outputs = 1, .loss = training ? t->loss : NULL, .max_rows = rows_at_most(t, ph, batch),
                                    .max_shards = shards_at_most(ph), .device = t->options.device};
    ls_instr           sum       = {.kind = LS_INSTR_CALL, .name = "loss", .call = sum_loss, .context = t,
                                   .phase = training ? LS_PHASE_FORWARD : LS_PHASE_EVAL};
    if (t->loss->weight) output[options.outputs++] = t->loss->weight;
    if (t->options.logits) output[options.outputs++] = t->options.logits;
    for (int i = 0; i < options.outputs; i++) sum.reads[i] = output[i];
    if (t->options.label) sum.reads[options.outputs] = t->options.label;
    LS_TRY(ls__program_new(&ph->program, t->graph, t->params, &options));
    LS_TRY(ls__program_insert(ph->program, ls__program_loss_known(ph->program), &sum));
    if (!training)
        LS_TRY(insert_bucket(t, ph, (ls_bucket){0, LS_HEADER}, 0, ph->program->instrs));
    else
        LS_TRY(insert_collectives(t, ph));
    mark_last_bucket(ph->program);
    return ls__program_plan(ph->program);
}

/* Runs of parameters that share a parameter group. */
static ls_status build_spans(ls_trainer *t)
{
    const ls_params *p                        = t->params;
    const ls_optim  *o                        = &t->options.optim;
    bool             used[LS_MAX_PARAM_GROUPS] = {false};
    t->span = ls_arena_alloc(t->graph->arena, ((size_t)p->count + 1) * sizeof *t->span);
    for (int i = 0; i < p->count && p->slot[p->order[i]].trained; i++) {
        const ls_param_slot *s    = &p->slot[p->order[i]];
        size_t               end  = i + 1 < p->count && p->slot[p->order[i + 1]].trained ? p->slot[p->order[i + 1]].offset : p->trained;
        span                 here = {s->offset, end - s->offset, 1, o->weight_decay};
        bool                 found = false;
        for (int k = 0; k < LS_MAX_PARAM_GROUPS && o->group[k].glob; k++) {
            if (!ls__glob(o->group[k].glob, s->tensor->name)) continue;
            used[k] = true;
            if (found) continue;
            found             = true;
            here.lr_scale     = o->group[k].lr_scale;
            here.weight_decay = o->group[k].weight_decay;
        }
        span *before = t->n_spans ? &t->span[t->n_spans - 1] : NULL;
        if (before && before->lr_scale == here.lr_scale && before->weight_decay == here.weight_decay) before->count += here.count;
        else t->span[t->n_spans++] = here;
    }
    for (int k = 0; k < LS_MAX_PARAM_GROUPS && o->group[k].glob; k++)
        LS_CHECK(used[k], LS_ERR_USAGE, "the parameter group '%s' matches no trained parameter" LS_HINT "`lockstep explain` lists their names",
                 o->group[k].glob);
    return LS_OK;
}

static ls_status check_options(ls_trainer *t, const ls_comm *comm)
{
    ls_trainer_options *o     = &t->options;
    const int           ranks = ls_comm_size(comm);
    LS_CHECK(o->batch >= 1, LS_ERR_USAGE, "the batch is %lld samples, expected at least 1", (long long)o->batch);
    if (o->not_reproducible) o->shards = ranks; /* one partial per rank and micro-step */
    else if (!o->shards) o->shards = ls_default_shards(o->batch);
    if (!o->accumulate) o->accumulate = 1;
    if (o->not_reproducible) o->shards *= o->accumulate;
    if (!o->bucket_bytes) o->bucket_bytes = 4 << 20;
    LS_CHECK(o->not_reproducible || (o->shards >= 1 && o->shards <= MAX_SHARDS && (o->shards & (o->shards - 1)) == 0), LS_ERR_USAGE,
             "train.shards is %d, expected a power of two up to %d", o->shards, MAX_SHARDS);
    LS_CHECK(o->batch >= o->shards, LS_ERR_USAGE, "a batch of %lld samples cannot be cut into %d shards" LS_HINT "raise train.batch or lower train.shards",
             (long long)o->batch, o->shards);
    LS_CHECK(o->shards >= ranks, LS_ERR_USAGE,
             "%d shards for %d ranks: some ranks would have nothing to do" LS_HINT "set train.shards to a power of two of at least %d", o->shards, ranks, ranks);
    LS_CHECK(o->accumulate >= 1 && o->accumulate <= o->shards / ranks, LS_ERR_USAGE,
             "train.accumulate=%d, but a rank owns only %d shards, and a micro-step takes whole ones" LS_HINT "raise train.shards (now %d)", o->accumulate,
             o->shards / ranks, o->shards);
    LS_CHECK(!o->logits == !o->label, LS_ERR_USAGE, "accuracy needs both the logits and the label");
    LS_TRY(ls_optim_check(&o->optim));
    return ls_optim_check_length(&o->optim, o->steps);
}

static ls_status build_trainer(ls_trainer *t)
{
    LS_TRY(ls_params_new(&t->params, t->graph, t->options.seed));
    LS_CHECK(t->params->trained > LS_HEADER, LS_ERR_USAGE, "the model has no trainable parameter");
    ls__params_tie(t->params, t->loss);
    LS_TRY(build_spans(t));
    t->kept         = (ls_kept){0, t->params->trained, 0};
    t->n_states     = ls_optim_states(&t->options.optim);
    t->train.micros = t->options.accumulate;
    t->eval.micros  = 1;
    t->train.stride = t->params->grads;
    t->eval.stride  = LS_HEADER;
    LS_TRY(ls__tree_new(&t->train.tree, t->comm, t->options.shards, t->train.micros, (int64_t)t->params->grads));
    LS_TRY(ls__tree_new(&t->eval.tree, t->comm, t->options.shards, 1, LS_HEADER));
    LS_TRY(ls_block_new(&t->states, (size_t)t->n_states * t->params->trained * sizeof(float), "optimizer state"));
    LS_TRY(build_program(t, &t->train, t->options.batch, true));
    LS_TRY(build_program(t, &t->eval, t->options.eval_batch ? t->options.eval_batch : t->options.batch, false));
    const ls_program *a = t->train.program, *b = t->eval.program;
    size_t            one = a->arena_bytes + a->scratch_bytes, two = b->arena_bytes + b->scratch_bytes;
    LS_TRY(ls_block_new(&t->arena, one > two ? one : two, "step"));
    LS_TRY(ls__program_bind(t->train.program, t->arena.data));
    LS_TRY(ls__program_bind(t->eval.program, t->arena.data));
    ls_arena *memory = t->graph->arena;
    t->group     = ls_arena_alloc(memory, (size_t)(t->options.shards + 1) * sizeof *t->group);
    t->bound     = ls_arena_alloc(memory, (size_t)(t->options.shards + 1) * sizeof *t->bound);
    t->leaf      = ls_arena_alloc(memory, (size_t)t->options.shards * HEAD_USED * sizeof *t->leaf);
    t->norm_part = ls_arena_alloc(memory, (t->params->trained / NORM_BLOCK + 1) * sizeof *t->norm_part);
    return LS_OK;
}

static size_t gradient_bytes(const phase *ph) { return (size_t)ls__tree_slots(ph->tree) * ph->stride * sizeof(float); }

static ls_status make_gradients(ls_trainer *t)
{
    phase *train = &t->train, *eval = &t->eval;
    LS_TRY(ls__window_new(&train->window, t->comm, t->options.window, gradient_bytes(train), "gradient"));
    LS_TRY(ls__window_new(&eval->window, t->comm, train->window->shared ? t->options.window : LS_WINDOW_OFF, gradient_bytes(eval), "evaluation"));
    train->grads = train->window->own.data;
    eval->grads  = eval->window->own.data;
    LS_TRY(ls__tree_share(train->tree, train->window, train->stride));
    LS_TRY(ls__tree_share(eval->tree, eval->window, eval->stride));
    return LS_OK;
}

ls_status ls__trainer_new(ls_trainer **out, ls_graph *g, ls_tensor *loss, const ls_trainer_options *options)
{
    LS_TRY(ls_graph_status(g));
    LS_CHECK(loss, LS_ERR_USAGE, "the loss is NULL");
    ls_trainer *t = ls_arena_alloc(g->arena, sizeof *t);
    *t            = (ls_trainer){.graph = g, .loss = loss, .options = *options, .comm = options->comm};
    if (!t->comm) {
        LS_TRY(ls_comm_self(&t->comm));
        t->own_comm = true;
    }
    ls_status status = check_options(t, t->comm);
    if (status == LS_OK) {
        status = build_trainer(t);
        if (t->comm->host) status = ls_comm_agree(t->comm, status); /* what follows is done by all ranks or none */
        if (status == LS_OK) status = make_gradients(t);
        if (status == LS_OK && options->snapshot) status = ls_block_new(&t->snapshot, ls__checkpoint_snapshot_bytes(t, options->writers), "checkpoint");
    }
    if (status != LS_OK) {
        ls_trainer_free(t);
        return status;
    }
    *out = t;
    return LS_OK;
}

void ls_trainer_free(ls_trainer *t)
{
    if (!t) return;
    ls__program_free(t->train.program);
    ls__program_free(t->eval.program);
    ls__tree_free(t->train.tree);
    ls__tree_free(t->eval.tree);
    ls__window_free(t->train.window);
    ls__window_free(t->eval.window);
    ls_params_free(t->params);
    ls_block *blocks[] = {&t->states, &t->arena, &t->snapshot};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) ls_block_free(blocks[i]);
    if (t->own_comm) ls_comm_free(t->comm);
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

ls_share ls_trainer_share(const ls_trainer *t, int64_t global_rows)
{
    return ls_share_of(global_rows, t->options.shards, ls_comm_size(t->comm), ls_comm_rank(t->comm));
}

static ls_status check_batch(const ls_trainer *t, const ls_batch *batch, int64_t most)
{
    ls_share share = ls_trainer_share(t, batch->global_rows);
    LS_CHECK(batch->global_rows >= 1 && batch->global_rows <= most, LS_ERR_USAGE, "a global batch of %lld samples, expected 1 to %lld",
             (long long)batch->global_rows, (long long)most);
    LS_CHECK(batch->first == share.first && batch->rows == share.rows, LS_ERR_USAGE,
             "this rank got the samples [%lld, %lld) of the batch, but its share is [%lld, %lld)" LS_HINT "ask ls_trainer_share", (long long)batch->first,
             (long long)(batch->first + batch->rows), (long long)share.first, (long long)(share.first + share.rows));
    return LS_OK;
}

static ls_status run_phase(ls_trainer *t, phase *ph, const ls_batch *batch, bool training)
{
    for (int m = 0; m < ph->micros; m++) {
        const ls_tree_schedule *s     = ls__tree_schedule(ph->tree, m);
        int64_t                 first = ls_shard_first(batch->global_rows, t->options.shards, s->first_shard);
        for (int k = 0; k <= s->shards; k++) t->bound[k] = ls_shard_first(batch->global_rows, t->options.shards, s->first_shard + k) - first;
        for (int k = 0; k < s->groups; k++)
            t->group[k] = (ls_group){.first = s->group[k].first, .shards = s->group[k].shards, .offset = (size_t)s->group[k].slot * ph->stride};
        ph->run = (ls_run){.batch = batch, .skip = first - batch->first, .rows = t->bound[s->shards], .shards = s->shards, .bound = t->bound,
                           .groups = s->groups, .group = t->group, .grads = ph->grads, .training = training, .seed = t->options.seed, .step = t->steps,
                           .first_sample = first, .micro = m, .micros = ph->micros, .seconds = training ? t->seconds : NULL,
                           .flight = t->comm->flight};
        LS_TRY(ls__program_run(ph->program, &ph->run));
        if (m < ph->micros - 1) ls__tree_merge(ph->tree, m, ph->grads, ph->stride, (int64_t)ph->stride);
    }
    return LS_OK;
}

ls_status ls_trainer_step(ls_trainer *t, const ls_batch *batch, ls_metrics *metrics)
{
    LS_TRY(check_batch(t, batch, t->options.batch));
    LS_TRY(run_phase(t, &t->train, batch, true));
    t->metrics.step = ++t->steps;
    if (metrics) *metrics = t->metrics;
    return LS_OK;
}

ls_status ls_trainer_eval(ls_trainer *t, const ls_batch *batch, ls_metrics *metrics)
{
    LS_TRY(check_batch(t, batch, t->options.eval_batch ? t->options.eval_batch : t->options.batch));
    LS_TRY(run_phase(t, &t->eval, batch, false));
    *metrics = (ls_metrics){.step = t->steps, .grad_norm = NAN};
    read_head(metrics, t->eval.grads);
    return LS_OK;
}

/* ---- what others see --------------------------------------------------------------------------------------------- */

ls_params *ls_trainer_params(ls_trainer *t) { return t->params; }
uint64_t   ls_trainer_digest(const ls_trainer *t) { return ls_params_digest(t->params); }
int64_t    ls_trainer_steps(const ls_trainer *t) { return t->steps; }

int         ls__trainer_states(const ls_trainer *t) { return t->n_states; }
const char *ls__trainer_state_name(const ls_trainer *t, int state) { return ls_optim_state_name(&t->options.optim, state); }
void        ls__trainer_set_steps(ls_trainer *t, int64_t steps) { t->steps = steps; }
ls_comm    *ls__trainer_comm(const ls_trainer *t) { return t->comm; }
const ls_block *ls__trainer_snapshot(const ls_trainer *t) { return &t->snapshot; }

float *ls__trainer_state_block(ls_trainer *t, int state) { return (float *)t->states.data + (size_t)state * t->params->trained; }
bool   ls__trainer_has_all(const ls_trainer *t) { return t != NULL; }

int ls__trainer_kept(const ls_trainer *t, const ls_kept **runs)
{
    *runs = &t->kept;
    return 1;
}

int ls__trainer_owned(const ls_trainer *t, int rank, const ls_kept **runs)
{
    *runs = &t->kept;
    return rank == 0;
}

const ls_program *ls__trainer_program(const ls_trainer *t) { return t->train.program; }
void              ls__trainer_time(ls_trainer *t, double *seconds) { t->seconds = seconds; }

/* Bytes of a block that the system has backed with memory. */
static size_t touched(const ls_block *b)
{
    unsigned char in_core[1024];
    size_t        page = (size_t)sysconf(_SC_PAGESIZE), bytes = 0;
    for (size_t at = 0; at < b->bytes; at += page * sizeof in_core) {
        size_t length = b->bytes - at < page * sizeof in_core ? b->bytes - at : page * sizeof in_core;
        if (mincore((unsigned char *)b->data + at, length, in_core) != 0) return b->bytes;
        for (size_t i = 0; i * page < length; i++)
            if (in_core[i] & 1) bytes += length - i * page < page ? length - i * page : page;
    }
    return bytes;
}

int ls__trainer_memory(const ls_trainer *t, ls_memory_line lines[8])
{
    const struct {
        const char     *name;
        const ls_block *block;
    } table[] = {{"parameters", &t->params->block}, {"gradients", &t->train.window->own}, {"optimizer state", &t->states}, {"step arena", &t->arena}, {"evaluation", &t->eval.window->own}, {"checkpoint", &t->snapshot}};
    int n = (int)(sizeof table / sizeof *table);
    for (int i = 0; i < n; i++) lines[i] = (ls_memory_line){table[i].name, table[i].block->bytes, touched(table[i].block)};
    const ls_program *a = t->train.program, *b = t->eval.program;
    if (a->state_bytes + b->state_bytes)
        lines[n++] = (ls_memory_line){"model state", a->state_bytes + b->state_bytes, touched(&a->state) + touched(&b->state)};
    return n;
}

size_t ls_trainer_planned_bytes(const ls_trainer *t)
{
    ls_memory_line lines[8];
    size_t         bytes = 0;
    for (int i = ls__trainer_memory(t, lines) - 1; i >= 0; i--) bytes += lines[i].planned;
    return bytes;
}

size_t ls_trainer_peak_bytes(const ls_trainer *t)
{
    ls_memory_line lines[8];
    size_t         bytes = 0;
    for (int i = ls__trainer_memory(t, lines) - 1; i >= 0; i--) bytes += lines[i].touched;
    return bytes;
}

size_t ls__trainer_high_water(const ls_trainer *t, size_t *planned)
{
    if (planned) *planned = t->train.program->arena_bytes;
    return t->train.program->high_water;
}
