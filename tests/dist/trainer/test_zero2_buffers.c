/* SPDX-License-Identifier: Apache-2.0 */
/* Buckets that share memory (train.zero=2): buckets that live at the same time do not overlap, and the ranges that no
 * instruction writes are listed as gaps. */
#include <stdlib.h>
#include <string.h>

#include "dist/trainer/zero2_buffers.h"

#include "tests/unit.h"

enum { MAX_BUCKETS = 128, WIDE = 40 };

static ls_status no_operation(void *context, const ls_execution *run) { return LS_OK; }

/* A program with an instruction for each bucket that begins its all-reduce. */
typedef struct model {
    ls_graph       *g;
    ls_params      *params;
    ls_program     *p;
    ls_bucket      *bucket;
    int             n, begins[MAX_BUCKETS];
    ls_zero2_buffer buffer[MAX_BUCKETS];
    int64_t         floats;
} model;

static void sort_by_completion(const ls_program *p, ls_bucket *bucket, int n)
{
    for (int i = 1; i < n; i++)
        for (int k = i;
             k > 0 && ls__program_ready(p, (size_t)bucket[k - 1].range.offset, (size_t)bucket[k - 1].range.count) >
                          ls__program_ready(p, (size_t)bucket[k].range.offset, (size_t)bucket[k].range.count);
             k--) {
            ls_bucket b   = bucket[k];
            bucket[k]     = bucket[k - 1];
            bucket[k - 1] = b;
        }
}

/* `uses`: further uses of one weight.  1: its gradient has two segments; 2: its gradient is folded from leaves. */
static void make(model *m, int layers, int uses, int64_t bytes)
{
    *m           = (model){.g = ls_graph_new()};
    ls_tensor *h = ls_input(m->g, "x", LS_F32, WIDE), *y = ls_input(m->g, "y", LS_I32);
    for (int i = 0; i < layers; i++)
        h = ls_relu(ls_linear(m->g, ls_arena_printf(m->g->arena, "layer%d", i), h, i % 3 ? WIDE : 2 * WIDE));
    h = ls_linear(m->g, "last", h, WIDE);
    for (int i = 0; i <= uses; i++) h = ls_relu(ls_linear(m->g, "tied", h, WIDE));
    ls_tensor *loss = ls_cross_entropy(h, y);
    assert_ok(ls__params_lay_out(&m->params, m->g, m->g->arena));
    ls__params_tie(m->params, loss);
    assert_ok(
        ls__program_new(&m->p, m->g, m->params, &(ls_program_options){.loss = loss, .max_rows = 8, .max_shards = 4}));
    m->n = ls__buckets(m->params, bytes, 0, m->g->arena, &m->bucket);
    assert_true(m->n < MAX_BUCKETS);
    sort_by_completion(m->p, m->bucket, m->n);
    for (int i = 0; i < m->n; i++) {
        int at = ls__program_ready(m->p, (size_t)m->bucket[i].range.offset, (size_t)m->bucket[i].range.count);
        assert_ok(ls__program_insert(m->p, at,
                                     &(ls_instr){.kind    = LS_INSTR_CALL,
                                                 .name    = "all-reduce",
                                                 .tag     = LS_TAG_ALLREDUCE,
                                                 .id      = i,
                                                 .call    = no_operation,
                                                 .context = &m->bucket[i]}));
    }
    for (int i = 0; i < m->n; i++) m->begins[i] = ls__program_find(m->p, LS_TAG_ALLREDUCE, i);
    m->floats = ls__zero2_plan(m->g->arena, m->p, m->bucket, m->begins, m->n, m->buffer);
}

static void unmake(model *m)
{
    ls__program_free(m->p);
    ls_graph_free(m->g);
}

/* The memory of a bucket without the header, which no two buckets share. */
static ls_range memory_of(const model *m, int i)
{
    int64_t begin = m->buffer[i].offset ? m->buffer[i].offset : LS_PARAM_START;
    return (ls_range){begin, m->buffer[i].offset + m->bucket[i].range.count - begin};
}

static void check_places(const model *m)
{
    for (int i = 0; i < m->n; i++) {
        int     last   = -1;
        int64_t offset = m->buffer[i].offset, count = m->bucket[i].range.count;
        assert_true(m->bucket[i].range.offset ? offset >= LS_PARAM_START : offset == 0);
        assert_true(offset % LS_PARAM_ALIGN == 0 && offset + count <= m->floats);
        assert_true(i == 0 || m->begins[i] > m->begins[i - 1]);
        for (int k = 0; k < i; k++) {
            const int64_t earlier = m->bucket[k].range.count;
            int64_t       between = 0;
            if (ls__range_intersect(memory_of(m, i), memory_of(m, k)).count == 0) continue;
            assert_true(i - k >= 3); /* two all-reduces are in progress while a bucket is written */
            for (int b = k + 1; b < i; b++) between += m->bucket[b].range.count;
            assert_true(count >= earlier || between >= earlier); /* the program does not wait soon for a large bucket */
            assert_true(m->begins[k] < ls__zero2_first_write(m->p, &m->bucket[i], m->begins[i]));
            last = k;
        }
        assert_int_equal(m->buffer[i].after, last);
    }
}

/* Every float of a bucket is written by an instruction, or lies in a gap, but not both. */
static void check_gaps(const model *m)
{
    for (int i = 0; i < m->n; i++) {
        const ls_range range   = m->bucket[i].range;
        char          *covered = calloc((size_t)range.count, 1);
        assert_non_null(covered);
        for (int k = 0; k < m->params->count; k++) {
            const ls_param_slot *s        = &m->params->slot[k];
            int64_t              begin[2] = {(int64_t)s->offset, (int64_t)s->second};
            for (int w = 0; w < (s->second ? 2 : 1); w++)
                if (s->trained && begin[w] >= range.offset && begin[w] < ls__range_end(range))
                    memset(covered + (begin[w] - range.offset), 1, (size_t)s->count);
        }
        for (int k = 0; k < m->buffer[i].gaps; k++)
            for (size_t c = 0; c < m->buffer[i].gap[k].count; c++) {
                assert_int_equal(covered[m->buffer[i].gap[k].offset + c], 0);
                covered[m->buffer[i].gap[k].offset + c] = 1;
            }
        for (int64_t c = range.offset ? 0 : LS_PARAM_START; c < range.count; c++) assert_int_equal(covered[c], 1);
        free(covered);
    }
}

static void buckets_do_not_overlap(void **state)
{
    for (int uses = 0; uses < 3; uses++)
        for (int64_t bytes = 256; bytes <= 1 << 17; bytes *= 8) {
            model m;
            make(&m, 20, uses, bytes);
            check_places(&m);
            check_gaps(&m);
            if (bytes == 2048 && !uses) assert_true(3 * m.floats < (int64_t)m.params->grads);
            unmake(&m);
        }
}

/* After ls__program_move_gradients, instructions write to the new positions of the buckets. */
static void gradients_move(void **state)
{
    model         m;
    ls_grad_range range[MAX_BUCKETS];
    size_t        to[MAX_BUCKETS];
    make(&m, 12, 2, 4096);
    for (int i = 0; i < m.n; i++) {
        range[i] = (ls_grad_range){(size_t)m.bucket[i].range.offset, (size_t)m.bucket[i].range.count};
        to[i]    = (size_t)m.buffer[i].offset;
    }
    ls__program_move_gradients(m.p, range, to, m.n);
    int folds = 0;
    for (int b = 0; b < m.p->buffers; b++)
        assert_true(m.p->buffer[b].place != LS_PLACE_GRAD ||
                    m.p->buffer[b].offset + (size_t)ls__numel(m.p->buffer[b].tensor) <= (size_t)m.floats);
    for (int k = 0; k < m.p->instrs; k++) {
        const ls_instr *instr = &m.p->instr[k];
        if (instr->kind != LS_INSTR_FOLD) continue;
        size_t offset = m.params->slot[instr->slot].offset;
        for (int i = 0; i < m.n; i++)
            if (offset >= range[i].offset && offset < range[i].offset + range[i].count)
                assert_true(instr->offset == to[i] + offset - range[i].offset);
        folds++;
    }
    assert_int_equal(folds, 2);
    unmake(&m);
}

/* A parameter that the loss does not depend on is a gap. */
static void an_unused_parameter_is_a_gap(void **state)
{
    ls_graph     *g = ls_graph_new();
    ls_params    *params;
    ls_program   *p;
    ls_grad_range gap[8];
    ls_tensor    *x = ls_input(g, "x", LS_F32, WIDE), *y = ls_input(g, "y", LS_I32);
    ls_linear(g, "unused", x, WIDE);
    ls_tensor *loss = ls_cross_entropy(ls_linear(g, "used", x, WIDE, .no_bias = true), y);
    assert_ok(ls__params_lay_out(&params, g, g->arena));
    ls__params_tie(params, loss);
    assert_ok(ls__program_new(&p, g, params, &(ls_program_options){.loss = loss, .max_rows = 8, .max_shards = 4}));
    int n         = ls__program_gaps(p, LS_PARAM_START, params->trained - LS_PARAM_START, gap),
        used      = ls__program_first_write(p, LS_PARAM_START, params->trained - LS_PARAM_START);
    size_t floats = 0;
    for (int i = 0; i < n; i++) floats += gap[i].count;
    assert_int_equal(params->trained - LS_PARAM_START - floats, WIDE * WIDE);
    assert_true(used < p->instrs && ls__program_first_write(p, gap[0].offset, gap[0].count) == p->instrs);
    ls__program_free(p);
    ls_graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(buckets_do_not_overlap), cmocka_unit_test(gradients_move),
                                       cmocka_unit_test(an_unused_parameter_is_a_gap)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
