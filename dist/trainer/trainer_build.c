/* SPDX-License-Identifier: Apache-2.0
 *
 * Builds a trainer: the programs of a step and of an evaluation with their collectives, and all memory.
 */
#include <stdio.h>
#include <string.h>

#include "dist/checkpoint/checkpoint_trainer.h"
#include "dist/trainer/trainer_internal.h"

enum { MAX_SHARDS = 4096 };
/* Buckets that take turns are smaller than others, of which only few fit into what they save: a part of all gradients.
 */
enum { STAGED_PARTS = 16, STAGED_LEAST = 64 << 10 };
/* Between hosts the last buckets become smaller, down to this. */
enum { LEAST_LAST = 128 << 10 };

/* ---- options ----------------------------------------------------------------------------------------------------- */

ls_status ls__trainer_check_options(ls_trainer *t)
{
    ls_trainer_options *o     = &t->options;
    const int           ranks = ls_comm_size(t->comm);
    LS_CHECK(o->batch >= 1, LS_ERR_USAGE, "the batch is %lld samples, expected at least 1", (long long)o->batch);
    if (o->not_reproducible)
        o->shards = ranks; /* one partial per rank and micro-step */
    else if (!o->shards)
        o->shards = ls_default_shards(o->batch);
    if (!o->accumulate) o->accumulate = 1;
    if (o->not_reproducible) o->shards *= o->accumulate;
    LS_CHECK(o->not_reproducible || (o->shards >= 1 && o->shards <= MAX_SHARDS && (o->shards & (o->shards - 1)) == 0),
             LS_ERR_USAGE, "train.shards is %d, expected a power of two up to %d", o->shards, MAX_SHARDS);
    LS_CHECK(o->batch >= o->shards, LS_ERR_USAGE,
             "a batch of %lld samples cannot be cut into %d shards" LS_HINT "raise train.batch or lower train.shards",
             (long long)o->batch, o->shards);
    LS_CHECK(o->shards >= ranks, LS_ERR_USAGE,
             "%d shards for %d ranks: some ranks would have nothing to do" LS_HINT
             "set train.shards to a power of two of at least %d",
             o->shards, ranks, ranks);
    LS_CHECK(o->accumulate >= 1 && o->accumulate <= o->shards / ranks, LS_ERR_USAGE,
             "train.accumulate=%d, but a rank owns only %d shards, and a micro-step takes whole ones" LS_HINT
             "raise train.shards (now %d)",
             o->accumulate, o->shards / ranks, o->shards);
    LS_CHECK(o->zero >= 0 && o->zero <= 2, LS_ERR_USAGE, "train.zero is %d, expected 0, 1 or 2", o->zero);
    t->keep   = o->zero ? LS_ALLREDUCE_PARTITIONED : LS_ALLREDUCE_EVERY_HOST;
    t->staged = o->zero == 2 && ranks > 1 &&
                o->accumulate == 1; /* a node of the tree is not complete before the last micro-step */
    LS_CHECK(!o->logits == !o->label, LS_ERR_USAGE, "accuracy needs both the logits and the label");
    LS_TRY(ls_optim_check(&o->optim));
    return ls_optim_check_length(&o->optim, o->steps);
}

/* ---- programs ---------------------------------------------------------------------------------------------------- */

static ls_status insert_bucket(ls_trainer *t, phase *ph, bucket_call *call, ls_bucket bucket, int i, int at)
{
    char name[32];
    *call = (bucket_call){.trainer  = t,
                          .phase    = ph,
                          .bucket   = bucket,
                          .stage.at = (size_t)bucket.range.offset,
                          .plus     = bucket.addend ? bucket.addend - bucket.range.offset : 0};
    snprintf(name, sizeof name, "all-reduce %d", i);
    return ls__program_insert(ph->program, at,
                              &(ls_instr){.kind    = LS_INSTR_CALL,
                                          .name    = name,
                                          .call    = ls__trainer_reduce,
                                          .context = call,
                                          .offset  = (size_t)bucket.range.offset,
                                          .count   = (size_t)bucket.range.count,
                                          .phase   = LS_PHASE_REDUCE});
}

static int shards_at_most(const phase *ph)
{
    int most = 1;
    for (int m = 0; m < ph->micros; m++)
        if (ls__allreduce_micro_step(ph->tree, m)->shards > most) most = ls__allreduce_micro_step(ph->tree, m)->shards;
    return most;
}

static void mark_last_bucket(ls_program *p)
{
    for (int i = p->instrs - 1; i >= 0; i--) {
        if (p->instr[i].kind != LS_INSTR_CALL || p->instr[i].call != ls__trainer_reduce) continue;
        ((bucket_call *)p->instr[i].context)->last = true;
        return;
    }
}

/* Samples of a micro-step, also of a batch smaller than `batch`: its shards may be cut where they take more than those
 * of the whole. */
static int64_t rows_at_most(const ls_trainer *t, const phase *ph, int64_t batch)
{
    return (batch * shards_at_most(ph) + t->options.shards - 1) / t->options.shards;
}

/* Floats of the totals that one rank has: the last one, whose parts are never smaller than those of others. */
static size_t largest_part(const ls_trainer *t)
{
    size_t floats = 0;
    for (int i = 0; i < t->n_buckets; i++)
        floats +=
            (size_t)ls__allreduce_partition(t->train.tree, ls_comm_size(t->comm) - 1, t->bucket[i].range.count).count;
    return floats;
}

/* Buckets take turns in a block that is shorter than all of them, if that saves anything: where there was another one,
 * the program waits first. */
static ls_status stage_buckets(ls_trainer *t, phase *ph)
{
    ls_program      *p      = ph->program;
    ls_arena        *memory = t->graph->arena;
    const size_t     n      = (size_t)t->n_buckets;
    int             *begins = ls_arena_alloc(memory, (n + 1) * sizeof *begins);
    ls_zero2_buffer *stage  = ls_arena_alloc(memory, (n + 1) * sizeof *stage);
    ls_grad_range   *range  = ls_arena_alloc(memory, (n + 1) * sizeof *range);
    size_t          *to     = ls_arena_alloc(memory, (n + 1) * sizeof *to);
    for (int k = 0; k < p->instrs; k++)
        if (p->instr[k].call == ls__trainer_reduce) begins[(bucket_call *)p->instr[k].context - t->calls] = k;
    size_t floats = ls__stages_plan(memory, p, t->bucket, begins, (int)n, stage);
    t->staged     = floats + largest_part(t) < t->params->grads;
    if (!t->staged) {
        p->options.lends = true;
        return LS_OK;
    }
    ph->stride = floats;
    for (int i = 0, waits = 0; i < (int)n; i++) {
        char name[48];
        t->calls[i].stage = stage[i];
        range[i]          = (ls_grad_range){(size_t)t->bucket[i].range.offset, (size_t)t->bucket[i].range.count};
        to[i]             = stage[i].at;
        if (stage[i].after < 0) continue;
        snprintf(name, sizeof name, "wait for all-reduce %d", stage[i].after);
        LS_TRY(ls__program_insert(p, ls__zero2_buffer_first(p, &t->bucket[i], begins[i] + waits),
                                  &(ls_instr){.kind    = LS_INSTR_CALL,
                                              .name    = name,
                                              .call    = ls__trainer_wait,
                                              .context = &t->calls[stage[i].after],
                                              .phase   = LS_PHASE_REDUCE}));
        waits++;
    }
    ls__program_move_gradients(p, range, to, (int)n);
    return LS_OK;
}

/* The buckets in the order in which they are complete, then the update. */
static ls_status insert_collectives(ls_trainer *t, phase *ph)
{
    ls_bucket  *bucket;
    ls_program *p = ph->program;
    int  n     = ls__buckets(t->params, t->options.bucket_bytes, t->links ? LEAST_LAST : 0, t->graph->arena, &bucket);
    int *ready = ls_arena_alloc(t->graph->arena, ((size_t)n + 1) * sizeof *ready);
    for (int i = 0; i < n; i++) {
        ls_bucket b = bucket[i];
        int       r = ls__program_ready(p, (size_t)b.range.offset, (size_t)b.range.count), at = i;
        for (; at > 0 && ready[at - 1] > r; at--) ready[at] = ready[at - 1], bucket[at] = bucket[at - 1];
        ready[at]  = r;
        bucket[at] = b;
    }
    t->bucket    = bucket;
    t->n_buckets = n;
    t->calls     = ls_arena_alloc(t->graph->arena, ((size_t)n + 1) * sizeof *t->calls);
    for (int i = 0; i < n; i++)
        LS_TRY(insert_bucket(t, ph, &t->calls[i], bucket[i], i,
                             ls__program_ready(p, (size_t)bucket[i].range.offset, (size_t)bucket[i].range.count)));
    if (t->staged) LS_TRY(stage_buckets(t, ph));
    ls_instr last = {.kind    = LS_INSTR_CALL,
                     .name    = "update",
                     .call    = ls__trainer_update,
                     .context = t,
                     .offset  = LS_PARAM_START,
                     .count   = t->params->trained - LS_PARAM_START};
    return ls__program_insert(p, p->instrs, &last);
}

static ls_status build_program(ls_trainer *t, phase *ph, int64_t batch, bool training)
{
    ls_tensor         *output[3] = {t->loss};
    ls_program_options options   = {.output     = output,
                                    .outputs    = 1,
                                    .loss       = training ? t->loss : NULL,
                                    .max_rows   = rows_at_most(t, ph, batch),
                                    .max_shards = shards_at_most(ph),
                                    .lends      = ph->micros == 1 && !t->staged,
                                    .device     = t->options.device};
    ls_instr           sum       = {.kind    = LS_INSTR_CALL,
                                    .name    = "loss",
                                    .call    = ls__trainer_sum_loss,
                                    .context = t,
                                    .phase   = training ? LS_PHASE_FORWARD : LS_PHASE_EVAL};
    if (t->loss->weight) output[options.outputs++] = t->loss->weight;
    if (t->options.logits) output[options.outputs++] = t->options.logits;
    for (int i = 0; i < options.outputs; i++) sum.reads[i] = output[i];
    if (t->options.label) sum.reads[options.outputs] = t->options.label;
    LS_TRY(ls__program_new(&ph->program, t->graph, t->params, &options));
    LS_TRY(ls__program_insert(ph->program, ls__program_loss_known(ph->program), &sum));
    if (!training)
        LS_TRY(insert_bucket(t, ph, ls_arena_alloc(t->graph->arena, sizeof(bucket_call)),
                             (ls_bucket){.range.count = LS_HEADER}, 0, ph->program->instrs));
    else
        LS_TRY(insert_collectives(t, ph));
    mark_last_bucket(ph->program);
    return ls__program_plan(ph->program);
}

/* Runs of parameters that share a parameter group. */
static ls_status build_spans(ls_trainer *t)
{
    const ls_params *p                         = t->params;
    const ls_optim  *o                         = &t->options.optim;
    bool             used[LS_MAX_PARAM_GROUPS] = {false};
    t->span = ls_arena_alloc(t->graph->arena, ((size_t)p->count + 1) * sizeof *t->span);
    for (int i = 0; i < p->count && p->slot[p->order[i]].trained; i++) {
        const ls_param_slot *s = &p->slot[p->order[i]];
        size_t               end =
            i + 1 < p->count && p->slot[p->order[i + 1]].trained ? p->slot[p->order[i + 1]].offset : p->trained;
        span here  = {s->offset, end - s->offset, 1, o->weight_decay};
        bool found = false;
        for (int k = 0; k < LS_MAX_PARAM_GROUPS && o->group[k].glob; k++) {
            if (!ls__glob(o->group[k].glob, s->tensor->name)) continue;
            used[k] = true;
            if (found) continue;
            found             = true;
            here.lr_scale     = o->group[k].lr_scale;
            here.weight_decay = o->group[k].weight_decay;
        }
        span *before = t->n_spans ? &t->span[t->n_spans - 1] : NULL;
        if (before && before->lr_scale == here.lr_scale && before->weight_decay == here.weight_decay)
            before->count += here.count;
        else
            t->span[t->n_spans++] = here;
    }
    for (int k = 0; k < LS_MAX_PARAM_GROUPS && o->group[k].glob; k++)
        LS_CHECK(used[k], LS_ERR_USAGE,
                 "the parameter group '%s' matches no trained parameter" LS_HINT "`lockstep explain` lists their names",
                 o->group[k].glob);
    return LS_OK;
}

ls_status ls__trainer_lay_out(ls_trainer *t)
{
    LS_TRY(ls__params_lay_out(&t->params, t->graph));
    LS_CHECK(t->params->trained > LS_PARAM_START, LS_ERR_USAGE, "the model has no trainable parameter");
    ls__params_tie(t->params, t->loss);
    LS_TRY(build_spans(t));
    t->n_states     = ls_optim_states(&t->options.optim);
    t->train.micros = t->options.accumulate;
    t->eval.micros  = 1;
    t->train.stride = t->params->grads;
    if (t->staged && !t->options.bucket_bytes)
        t->bucket_most = (int64_t)(t->params->grads * sizeof(float)) / STAGED_PARTS;
    t->eval.stride = LS_HEADER;
    return LS_OK;
}

ls_status ls__trainer_build(ls_trainer *t)
{
    if (t->bucket_most && t->options.bucket_bytes > t->bucket_most) {
        t->options.bucket_bytes = t->bucket_most > STAGED_LEAST ? t->bucket_most : STAGED_LEAST;
        t->bucket_s             = 0; /* of this size nothing is known */
    }
    LS_TRY(ls__allreduce_new(&t->train.tree, t->comm, t->options.shards, t->train.micros, (int64_t)t->params->grads));
    LS_TRY(ls__allreduce_new(&t->eval.tree, t->comm, t->options.shards, 1, LS_HEADER));
    LS_TRY(build_program(t, &t->train, t->options.batch, true));
    LS_TRY(build_program(t, &t->eval, t->options.eval_batch ? t->options.eval_batch : t->options.batch, false));
    const ls_program *a = t->train.program, *b = t->eval.program;
    size_t            one = a->arena_bytes, two = b->arena_bytes;
    LS_TRY(ls_block_new(&t->arena, one > two ? one : two, "step"));
    LS_TRY(ls__program_bind(t->train.program, t->arena.data));
    LS_TRY(ls__program_bind(t->eval.program, t->arena.data));
    ls_arena *memory = t->graph->arena;
    t->group         = ls_arena_alloc(memory, (size_t)(t->options.shards + 1) * sizeof *t->group);
    t->bound         = ls_arena_alloc(memory, (size_t)(t->options.shards + 1) * sizeof *t->bound);
    t->leaf          = ls_arena_alloc(memory, (size_t)t->options.shards * HEAD_SUMS * sizeof *t->leaf);
    return LS_OK;
}

/* ---- memory shared with other ranks ------------------------------------------------------------------------------ */

static size_t gradient_bytes(const phase *ph)
{
    return (size_t)ls__allreduce_slots(ph->tree) * ph->stride * sizeof(float);
}

/* On a host that shares memory the parameters are one block, in the window of its first rank. */
static ls_status make_windows(ls_trainer *t)
{
    phase         *train = &t->train, *eval = &t->eval;
    const ls_comm *c = t->comm;
    LS_TRY(ls__shared_memory_new(&train->window, t->comm, t->options.window, gradient_bytes(train), "gradient"));
    bool                  shared = train->window->shared, first = !shared || c->host[c->rank] == c->rank;
    ls_shared_memory_mode mode = shared ? LS_SHARED_MEMORY_ON : LS_SHARED_MEMORY_OFF;
    LS_TRY(ls__shared_memory_new(&eval->window, t->comm, mode, gradient_bytes(eval), "evaluation"));
    LS_TRY(
        ls__shared_memory_new(&t->values, t->comm, mode, first ? t->params->floats * sizeof(float) : 0, "parameter"));
    t->params->block = t->values->block[0];
    train->grads     = train->window->own.data;
    eval->grads      = eval->window->own.data;
    return LS_OK;
}

/* Errors are kept for the end of the sums. */
static void poll_sums(void *tree) { (void)ls__allreduce_poll(tree); }

static ls_status let_sums_go_on(ls_trainer *t)
{
    if (t->options.wire == LS_WIRE_BFLOAT16) LS_TRY(ls__allreduce_send_bf16(t->train.tree));
    if (t->comm->size == 1 || t->options.overlap == LS_OVERLAP_OFF) return LS_OK;
    if (t->options.overlap == LS_OVERLAP_THREAD) return ls__allreduce_start_thread(t->train.tree);
    t->poller = (ls_progress_hook){poll_sums, t->train.tree};
    return LS_OK;
}

static ls_status make_own(ls_trainer *t)
{
    ls_arena *memory   = t->graph->arena;
    size_t    blocks   = (t->params->trained - LS_PARAM_START) / NORM_BLOCK + 1;
    phase    *phases[] = {&t->train, &t->eval};
    for (int i = 0; i < 2; i++) {
        LS_TRY(ls__allreduce_use_shared_memory(phases[i]->tree, phases[i]->window, phases[i]->stride));
        LS_TRY(ls__allreduce_set_output(phases[i]->tree, t->keep, LS_HEADER));
    }
    ls__trainer_find_shares(t);
    LS_TRY(ls__trainer_make_totals(t));
    t->norm_part = ls_arena_alloc(memory, blocks * sizeof *t->norm_part);
    for (int r = 0; t->spread && r < ls_comm_size(t->comm); r++)
        if (t->holding[r].count / NORM_BLOCK > t->norm_room) t->norm_room = t->holding[r].count / NORM_BLOCK;
    if (t->spread) {
        t->norm_mine = ls_arena_alloc(memory, t->norm_room * sizeof *t->norm_mine);
        t->norm_all  = ls_arena_alloc(memory, t->norm_room * (size_t)ls_comm_size(t->comm) * sizeof *t->norm_all);
    }
    LS_TRY(ls_block_new(&t->states, (size_t)t->n_states * t->kept.count * sizeof(float), "optimizer state"));
    LS_TRY(ls__params_fill(t->params, t->options.seed, t->values->me, t->values->members));
    return let_sums_go_on(t);
}

ls_status ls__trainer_make_memory(ls_trainer *t)
{
    LS_TRY(make_windows(t));
    ls_status status = make_own(t);
    LS_TRY(ls_comm_agree(t->comm, status)); /* also: no rank goes on before all parameters have their values */
    if (t->values->shared) ls__shared_memory_settle(t->values);
    if (status == LS_OK && t->options.snapshot)
        status = ls_block_new(&t->snapshot, ls__checkpoint_snapshot_bytes(t, t->options.writers), "checkpoint");
    LS_TRY(status);
    return LS_OK;
}
