/* SPDX-License-Identifier: Apache-2.0 */
/* Buckets that take turns: none is where another one still is, and what no instruction writes is known. */
#include "dist/trainer/zero2_buffers.h"

#include "tests/unit.h"

enum { MOST = 128, WIDE = 40 };

static ls_status nothing(void *context, const ls_execution *run) { return LS_OK; }

/* A program with the instructions that begin the sums, as the trainer makes it. */
typedef struct model {
    ls_graph       *g;
    ls_params      *params;
    ls_program     *p;
    ls_bucket      *bucket;
    int             n, begins[MOST];
    ls_zero2_buffer stage[MOST];
    size_t          floats;
} model;

static void sort_by_ready(const ls_program *p, ls_bucket *bucket, int n)
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

/* `uses` of a weight besides the first: 1: two segments; 2: leaves and a fold. */
static void make(model *m, int layers, int uses, int64_t bytes)
{
    *m           = (model){.g = ls_graph_new()};
    ls_tensor *h = ls_input(m->g, "x", LS_F32, WIDE), *y = ls_input(m->g, "y", LS_I32);
    for (int i = 0; i < layers; i++)
        h = ls_relu(ls_linear(m->g, ls_arena_printf(m->g->arena, "layer%d", i), h, i % 3 ? WIDE : 2 * WIDE));
    h = ls_linear(m->g, "last", h, WIDE);
    for (int i = 0; i <= uses; i++) h = ls_relu(ls_linear(m->g, "again", h, WIDE));
    ls_tensor *loss = ls_cross_entropy(h, y);
    assert_ok(ls__params_lay_out(&m->params, m->g));
    ls__params_tie(m->params, loss);
    assert_ok(
        ls__program_new(&m->p, m->g, m->params, &(ls_program_options){.loss = loss, .max_rows = 8, .max_shards = 4}));
    m->n = ls__buckets(m->params, bytes, 0, m->g->arena, &m->bucket);
    assert_true(m->n < MOST);
    sort_by_ready(m->p, m->bucket, m->n);
    for (int i = 0; i < m->n; i++) {
        int at = ls__program_ready(m->p, (size_t)m->bucket[i].range.offset, (size_t)m->bucket[i].range.count);
        assert_ok(ls__program_insert(
            m->p, at, &(ls_instr){.kind = LS_INSTR_CALL, .name = "sum", .call = nothing, .context = &m->bucket[i]}));
    }
    for (int k = 0; k < m->p->instrs; k++)
        if (m->p->instr[k].call == nothing) m->begins[(ls_bucket *)m->p->instr[k].context - m->bucket] = k;
    m->floats = ls__stages_plan(m->g->arena, m->p, m->bucket, m->begins, m->n, m->stage);
}

static void unmake(model *m)
{
    ls__program_free(m->p);
    ls_graph_free(m->g);
}

/* In floats that are not the header's. */
static bool share_memory(const model *m, int i, int k)
{
    size_t from_i = m->stage[i].at ? m->stage[i].at : LS_PARAM_START,
           from_k = m->stage[k].at ? m->stage[k].at : LS_PARAM_START;
    return from_i < m->stage[k].at + (size_t)m->bucket[k].range.count &&
           from_k < m->stage[i].at + (size_t)m->bucket[i].range.count;
}

static void check_places(const model *m)
{
    for (int i = 0; i < m->n; i++) {
        int last = -1;
        assert_true((size_t)m->bucket[i].range.offset ? m->stage[i].at >= LS_PARAM_START : m->stage[i].at == 0);
        assert_true(m->stage[i].at % LS_PARAM_ALIGN == 0 &&
                    m->stage[i].at + (size_t)m->bucket[i].range.count <= m->floats);
        assert_true(i == 0 || m->begins[i] > m->begins[i - 1]);
        for (int k = 0; k < i; k++) {
            if (!share_memory(m, i, k)) continue;
            assert_true(i - k >= 3); /* two sums go on while a bucket is written */
            size_t between = 0;
            for (int b = k + 1; b < i; b++) between += (size_t)m->bucket[b].range.count;
            assert_true((size_t)m->bucket[i].range.count >= (size_t)m->bucket[k].range.count ||
                        between >= (size_t)m->bucket[k].range.count); /* a large sum is not waited for soon */
            assert_true(m->begins[k] < ls__zero2_buffer_first(m->p, &m->bucket[i], m->begins[i]));
            last = k;
        }
        assert_int_equal(m->stage[i].after, last);
    }
}

/* Every float of a bucket is written by an instruction, or lies in a gap. */
static void check_gaps(const model *m)
{
    for (int i = 0; i < m->n; i++) {
        const ls_bucket *b    = &m->bucket[i];
        char            *seen = calloc((size_t)b->range.count, 1);
        assert_non_null(seen);
        for (int k = 0; k < m->params->count; k++) {
            const ls_param_slot *s       = &m->params->slot[k];
            size_t               from[2] = {s->offset, s->second};
            for (int w = 0; w < (s->second ? 2 : 1); w++)
                if (s->trained && from[w] >= (size_t)b->range.offset &&
                    from[w] < (size_t)b->range.offset + (size_t)b->range.count)
                    memset(seen + (from[w] - (size_t)b->range.offset), 1, (size_t)s->count);
        }
        for (int k = 0; k < m->stage[i].gaps; k++)
            for (size_t c = 0; c < m->stage[i].gap[k].count; c++) {
                assert_int_equal(seen[m->stage[i].gap[k].offset + c], 0);
                seen[m->stage[i].gap[k].offset + c] = 1;
            }
        for (size_t c = (size_t)b->range.offset ? 0 : LS_PARAM_START; c < (size_t)b->range.count; c++)
            assert_int_equal(seen[c], 1);
        free(seen);
    }
}

static void buckets_never_meet(void **state)
{
    for (int uses = 0; uses < 3; uses++)
        for (int64_t bytes = 256; bytes <= 1 << 17; bytes *= 8) {
            model m;
            make(&m, 20, uses, bytes);
            check_places(&m);
            check_gaps(&m);
            if (bytes == 2048 && !uses) assert_true(3 * m.floats < m.params->grads); /* it is worth it */
            unmake(&m);
        }
}

/* Instructions write where the bucket is now. */
static void gradients_move(void **state)
{
    model         m;
    ls_grad_range range[MOST];
    size_t        to[MOST];
    make(&m, 12, 2, 4096);
    for (int i = 0; i < m.n; i++) {
        range[i] = (ls_grad_range){(size_t)m.bucket[i].range.offset, (size_t)m.bucket[i].range.count};
        to[i]    = m.stage[i].at;
    }
    ls__program_move_gradients(m.p, range, to, m.n);
    int folds = 0;
    for (int b = 0; b < m.p->buffers; b++)
        assert_true(m.p->buffer[b].place != LS_PLACE_GRAD ||
                    m.p->buffer[b].offset + (size_t)ls__numel(m.p->buffer[b].tensor) <= m.floats);
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

/* A parameter that the loss does not depend on is nothing but a gap. */
static void what_is_not_written_is_a_gap(void **state)
{
    ls_graph     *g = ls_graph_new();
    ls_params    *params;
    ls_program   *p;
    ls_grad_range gap[8];
    ls_tensor    *x = ls_input(g, "x", LS_F32, WIDE), *y = ls_input(g, "y", LS_I32);
    ls_linear(g, "unused", x, WIDE);
    ls_tensor *loss = ls_cross_entropy(ls_linear(g, "used", x, WIDE, .no_bias = true), y);
    assert_ok(ls__params_lay_out(&params, g));
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(buckets_never_meet), cmocka_unit_test(gradients_move),
                                       cmocka_unit_test(what_is_not_written_is_a_gap)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
