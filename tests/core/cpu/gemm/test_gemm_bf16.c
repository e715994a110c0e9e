/* SPDX-License-Identifier: Apache-2.0
 * Matrix products of bfloat16 have the bits of the chains in gemm.h, at every instruction-set level of this processor,
 * for all threads, layouts and parts; VDPBF16PS and TDPBF16PS compute these chains. */
/* timeout: 600 */
#include <math.h>
#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/philox.h"
#include "core/cpu/isa_table.h"
#include "tests/core/cpu/gemm/gemm_layout.h"
#include "tests/round_bf16.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define EACH_LEVEL(isa) for (int isa = 0; isa <= (int)ls_isa_best(); isa++)

static bool is_amx(int isa) { return strcmp(ls_isa_name((ls_isa)isa), "amx") == 0; }

static uint32_t random_bits(uint64_t key, int64_t i) { return ls_philox(key, 0, (uint64_t)i).v[0]; }

static uint16_t *filled(int64_t count, uint64_t key)
{
    uint16_t *p = malloc((size_t)count * sizeof *p);
    for (int64_t i = 0; i < count; i++) p[i] = round_bf16(2 * ls_uniform01(random_bits(key, i)) - 1);
    return p;
}

typedef struct product {
    ls_gemm   g;
    uint16_t *x, *w;
    float    *y, *bias;
    int64_t   bound[17];
} product;

/* x_layout, w_layout: 0 row-major, 1 column-major, 2 with gaps in both dims.  The values are the same. */
static product product_new(int64_t m, int64_t n, int64_t k, int x_layout, int w_layout)
{
    product         p = {.x    = filled(m * k * 6 + 8, 1),
                         .w    = filled(k * n * 6 + 8, 2),
                         .y    = malloc((size_t)(m * (n + 3)) * sizeof(float)),
                         .bias = malloc((size_t)n * sizeof(float))};
    uint16_t *const x = filled(m * k, 3), *w = filled(k * n, 4);
    p.g = (ls_gemm){.m = m, .n = n, .k = k, .x = p.x, .w = p.w, .y = p.y, .y_row = n + 3, .type = LS_BF16};
    set_layout(&p.g, x_layout, w_layout);
    for (int64_t i = 0; i < m; i++)
        for (int64_t c = 0; c < k; c++) p.x[i * p.g.x_row + c * p.g.x_col] = x[i * k + c];
    for (int64_t c = 0; c < k; c++)
        for (int64_t j = 0; j < n; j++) p.w[c * p.g.w_row + j * p.g.w_col] = w[c * n + j];
    for (int64_t j = 0; j < n; j++) p.bias[j] = 2 * ls_uniform01(random_bits(5, j)) - 1;
    for (int64_t i = 0; i < m * (n + 3); i++) p.y[i] = 2 * ls_uniform01(random_bits(6, i)) - 1;
    free(x);
    free(w);
    return p;
}

static void product_free(product *p)
{
    free(p->x);
    free(p->w);
    free(p->y);
    free(p->bias);
}

/* ---- the definition ---------------------------------------------------------------------------------------------- */

/* The sum of AMX: each block of 32 positions has a chain of even and one of odd positions. */
static float chains_of_amx(const ls_gemm *g, int64_t i, int64_t j, int64_t from, int64_t to)
{
    const uint16_t *x = (const uint16_t *)g->x + i * g->x_row, *w = (const uint16_t *)g->w + j;
    float           c = 0;
    for (int64_t block = from; block < to; block += 32) {
        float sum[2] = {0, 0};
        for (int64_t k = block; k < to && k < block + 32; k++)
            sum[(k - block) % 2] = fmaf(widen_bf16(x[k]), widen_bf16(w[k * g->w_row]), sum[(k - block) % 2]);
        c += sum[0] + sum[1];
    }
    return c;
}

static float chain(const ls_gemm *g, int64_t i, int64_t j, int64_t from, int64_t to)
{
    const uint16_t *x = (const uint16_t *)g->x + i * g->x_row, *w = (const uint16_t *)g->w + j;
    float           c = 0;
    for (int64_t k = from; k < to; k += 2) {
        const bool pair = k + 1 < to;
        c               = fmaf(pair ? widen_bf16(x[k + 1]) : 0, pair ? widen_bf16(w[(k + 1) * g->w_row]) : 0, c);
        c               = fmaf(widen_bf16(x[k]), widen_bf16(w[k * g->w_row]), c);
    }
    return c;
}

static int64_t segment_start(int64_t len, int64_t s, int64_t segments, int64_t align)
{
    const int64_t start = (len * s / segments + align - 1) / align * align;
    return start < len ? start : len;
}

/* y: the value that the sum is added to; NULL: none. */
static float part_sum(const ls_gemm *g, int64_t i, int64_t j, int64_t from, int64_t to, const float *y, bool amx)
{
    const int64_t longest = amx ? 512 : 384 /* LS_KC_AMX, LS_KC_PAIRS */, align = amx ? 32 : 2;
    const int64_t len = to - from, segments = (len + longest - 1) / longest;
    float         sum = y ? *y : 0;
    for (int64_t s = 0; s < segments; s++) {
        const int64_t begin = from + segment_start(len, s, segments, align),
                      end   = from + segment_start(len, s + 1, segments, align);
        const float c       = amx ? chains_of_amx(g, i, j, begin, end) : chain(g, i, j, begin, end);
        sum                 = s || y ? sum + c : c;
    }
    return sum;
}

static float tree(const ls_gemm *g, int64_t i, int64_t j, int first, int parts, bool amx)
{
    if (parts == 1) return part_sum(g, i, j, g->bound[first], g->bound[first + 1], NULL, amx);
    return tree(g, i, j, first, parts / 2, amx) + tree(g, i, j, first + parts / 2, parts / 2, amx);
}

/* The value of an element of row-major operands; y: as above. */
static float element(const ls_gemm *g, int64_t i, int64_t j, const float *y, bool amx)
{
    if (g->splits <= 1) return part_sum(g, i, j, 0, g->k, y, amx);
    return y ? *y + tree(g, i, j, 0, g->splits, amx) : tree(g, i, j, 0, g->splits, amx);
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static void multiply(int isa, const ls_gemm *g)
{
    assert_int_equal(ls_isa_set((ls_isa)isa), LS_OK);
    ls__isa_table_of((ls_isa)isa)->gemm(g);
    assert_int_equal(ls_isa_set(ls_isa_best()), LS_OK);
}

static const int64_t sizes[][4] = {
    {1, 1, 1, 1},      {1, 7, 3, 1},     {7, 1, 5, 2},      {5, 33, 0, 1},     {7, 33, 65, 4},   {33, 7, 257, 1},
    {6, 16, 256, 1},   {13, 31, 300, 1}, {64, 10, 84, 8},   {67, 130, 64, 16}, {6, 25, 2001, 2}, {130, 160, 77, 4},
    {201, 40, 521, 1}, {9, 300, 31, 4},  {75, 200, 511, 1}, {20, 90, 1025, 1}, {470, 70, 515, 1}};

/* Compares a product with the sums `want`, or with `added`, which include the values of y.  narrow: y is bfloat16. */
static void check(int isa, product *p, const float *want, const float *added, bool add, bool bias, bool narrow,
                  const char *layout)
{
    const int64_t m = p->g.m, n = p->g.n, row = p->g.y_row;
    uint16_t     *half   = malloc((size_t)(m * row) * sizeof *half);
    float        *before = malloc((size_t)(m * row) * sizeof *before);
    memcpy(before, p->y, (size_t)(m * row) * sizeof *before);
    for (int64_t i = 0; i < m * row; i++) half[i] = round_bf16(p->y[i]);
    p->g.y      = narrow ? (void *)half : p->y;
    p->g.y_type = narrow ? LS_BF16 : LS_F32;
    p->g.add    = add;
    p->g.bias   = bias ? p->bias : NULL;
    multiply(isa, &p->g);
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            const int64_t  at  = i * row + j;
            float          sum = (add && !narrow ? added : want)[i * n + j];
            const uint16_t old = round_bf16(before[at]);
            if (bias) sum += p->bias[j];
            if (add && narrow) sum = widen_bf16(old) + sum;
            const float found    = narrow ? widen_bf16(half[at]) : p->y[at],
                        expected = narrow ? widen_bf16(round_bf16(sum)) : sum;
            if (memcmp(&found, &expected, sizeof found) != 0)
                fail_msg("%s: %d x %d x %d, %d parts, layout %s, %d threads%s%s%s: expected %.9g at %d, %d, found %.9g",
                         ls_isa_name((ls_isa)isa), (int)m, (int)n, (int)p->g.k, p->g.splits, layout,
                         omp_get_max_threads(), add ? ", add" : "", bias ? ", bias" : "", narrow ? ", bfloat16" : "",
                         (double)expected, (int)i, (int)j, (double)found);
        }
    memcpy(p->y, before, (size_t)(m * row) * sizeof *before);
    free(before);
    free(half);
}

static void test_bits_are_those_of_the_chain(void **state)
{
    static const char *const names[] = {"rows", "columns", "gaps"};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const int64_t m = sizes[s][0], n = sizes[s][1], k = sizes[s][2];
        const int     splits = (int)sizes[s][3];
        product       plain  = product_new(m, n, k, 0, 0);
        float        *want   = malloc((size_t)(2 * m * n) * sizeof *want); /* the chain, and the chains of AMX */
        float        *added  = malloc((size_t)(2 * m * n) * sizeof *added);
        if (splits > 1) set_parts(&plain.g, splits, plain.bound);
        for (int64_t i = 0; i < 2 * m * n; i++) {
            const int64_t at = i % (m * n), row = at / n, column = at % n;
            const bool    amx = i >= m * n;
            want[i]           = element(&plain.g, row, column, NULL, amx);
            added[i]          = element(&plain.g, row, column, &plain.y[row * plain.g.y_row + column], amx);
        }
        product_free(&plain);
        for (int layout = 0; layout < 9; layout++) {
            product p = product_new(m, n, k, layout / 3, layout % 3);
            char    text[32];
            snprintf(text, sizeof text, "%s x %s", names[layout / 3], names[layout % 3]);
            if (splits > 1) set_parts(&p.g, splits, p.bound);
            EACH_LEVEL(isa)
            {
                omp_set_num_threads(layout % 4 + 1);
                for (int add = 0; add <= 1; add++)
                    for (int narrow = 0; narrow <= (splits == 1); narrow++)
                        check(isa, &p, want + is_amx(isa) * m * n, added + is_amx(isa) * m * n, add, (add + layout) % 2,
                              narrow, text);
            }
            product_free(&p);
        }
        free(want);
        free(added);
    }
}

/* Values of all exponents, with denormal numbers and products that underflow: from v3 to v4_bf16 the bits are equal. */
static void test_wide_values(void **state)
{
    enum { M = 40, N = 70, K = 90 };
    product p    = product_new(M, N, K, 0, 1);
    float  *want = NULL;
    for (int64_t i = 0; i < M * K; i++)
        p.x[i] = (uint16_t)((random_bits(7, i) & 0x807f) | (random_bits(8, i) % 190) << 7);
    for (int64_t i = 0; i < K * N; i++)
        p.w[i] = (uint16_t)((random_bits(9, i) & 0x807f) | (random_bits(10, i) % 60) << 7);
    for (int isa = 1; isa <= (int)ls_isa_best() && !is_amx(isa); isa++) {
        multiply(isa, &p.g);
        if (!want) want = memcpy(malloc(sizeof(float) * M * (N + 3)), p.y, sizeof(float) * M * (N + 3));
        if (memcmp(want, p.y, sizeof(float) * M * (N + 3)) != 0)
            fail_msg("%s and %s differ", ls_isa_name((ls_isa)isa), ls_isa_name((ls_isa)1));
    }
    free(want);
    product_free(&p);
}

#if defined(__x86_64__)
enum { MODES = 5 };

/* The exponents of random values: normal, wide, cancelling, denormal, any bits. */
static const struct {
    uint32_t base, range;
} exponent[MODES] = {{120, 14}, {60, 120}, {126, 2}, {0, 70}, {0, 256}};

/* TDPBF16PS, through products at the level amx, and its chains. */
static void test_the_instruction_of_amx_computes_the_chains(void **state)
{
    enum { M = 64, N = 64, K = 96, ROUNDS = 40 };
    const int amx = ls_isa_find("amx");
    if ((int)ls_isa_best() < amx) skip();
    for (int mode = 0; mode < MODES; mode++)
        for (uint64_t round = 0; round < ROUNDS; round++) {
            product         p    = product_new(M, N, K, 0, 0);
            const uint32_t  base = exponent[mode].base, range = exponent[mode].range;
            uint16_t *const operand[] = {p.x, p.w};
            for (int64_t i = 0; i < 2 * M * K; i++) {
                const uint32_t r                  = random_bits(100 * round + (uint64_t)mode + 20, i);
                operand[i / (M * K)][i % (M * K)] = (uint16_t)((r & 0x807f) | (base + (r >> 16) % range) << 7);
            }
            multiply(amx, &p.g);
            const unsigned before = _mm_getcsr();
            _mm_setcsr(before | _MM_FLUSH_ZERO_ON | _MM_DENORMALS_ZERO_ON);
            for (int64_t i = 0; i < M * N; i++) {
                const float found = p.y[i / N * p.g.y_row + i % N], want = element(&p.g, i / N, i % N, NULL, true);
                if (memcmp(&found, &want, sizeof found) != 0 && !(isnan(found) && isnan(want)))
                    fail_msg("mode %d, round %d: expected %.9g, found %.9g", mode, (int)round, (double)want,
                             (double)found);
            }
            _mm_setcsr(before);
            product_free(&p);
        }
}

/* One vector of the instruction, and of the chain.  mode: 0 normal, 1 wide, 2 cancelling, 3 denormal, 4 any bits. */
__attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16"))) static int count_differences(int mode, uint64_t round)
{
    uint32_t a[16], b[16], from_chain[16], from_dot[16];
    float    c[16];
    for (int i = 0; i < 16; i++) {
        const ls_philox4 r = ls_philox(round, (uint64_t)mode, (uint64_t)i), e = ls_philox(round, 99, (uint64_t)i);
        const uint32_t   base = exponent[mode].base, range = exponent[mode].range;
        a[i]          = (r.v[0] & 0x807f807f) | (base + e.v[0] % range) << 7 | (base + e.v[0] / range % range) << 23;
        b[i]          = (r.v[1] & 0x807f807f) | (base + e.v[1] % range) << 7 | (base + e.v[1] / range % range) << 23;
        uint32_t bits = (r.v[2] & 0x807fffff) | (base + e.v[2] % range) << 23;
        memcpy(&c[i], &bits, sizeof bits);
    }
    const unsigned before = _mm_getcsr();
    _mm_setcsr(before | _MM_FLUSH_ZERO_ON | _MM_DENORMALS_ZERO_ON);
    const __m512i x = _mm512_loadu_si512(a), w = _mm512_loadu_si512(b), odd = _mm512_set1_epi32((int)0xffff0000);
    __m512        sum = _mm512_loadu_ps(c);
    _mm512_storeu_ps(from_dot, _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)w));
    sum = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_and_si512(x, odd)), _mm512_castsi512_ps(_mm512_and_si512(w, odd)),
                          sum);
    sum = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_slli_epi32(x, 16)), _mm512_castsi512_ps(_mm512_slli_epi32(w, 16)),
                          sum);
    _mm512_storeu_ps(from_chain, sum);
    _mm_setcsr(before);
    int differences = 0;
    for (int i = 0; i < 16; i++) {
        const bool nan = (from_dot[i] & 0x7fffffff) > 0x7f800000 && (from_chain[i] & 0x7fffffff) > 0x7f800000;
        differences += from_dot[i] != from_chain[i] && !nan;
    }
    return differences;
}

static void test_the_instruction_computes_the_chain(void **state)
{
    enum { ROUNDS = 20000 };
    if (ls_isa_best() < LS_ISA_V4_BF16) skip();
    for (int mode = 0; mode < MODES; mode++)
        for (uint64_t round = 0; round < ROUNDS; round++)
            if (count_differences(mode, round)) fail_msg("mode %d, round %d: different bits", mode, (int)round);
}
#else
static void test_the_instruction_computes_the_chain(void **state) { skip(); }
static void test_the_instruction_of_amx_computes_the_chains(void **state) { skip(); }
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_the_instruction_computes_the_chain),
                                       cmocka_unit_test(test_the_instruction_of_amx_computes_the_chains),
                                       cmocka_unit_test(test_bits_are_those_of_the_chain),
                                       cmocka_unit_test(test_wide_values)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
