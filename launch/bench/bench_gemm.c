/* SPDX-License-Identifier: Apache-2.0
 *
 * `lockstep bench gemm`: measures the rate of matrix products with the kernels of core/cpu/gemm, with OpenBLAS and with
 * oneDNN.  The libraries alternate, so that other load on the machine affects all of them equally.  Rates are medians
 * in GFLOP/s. */

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/philox.h"
#include "core/cpu/isa_table.h"
#include "core/graph/graph.h"
#include "launch/commands/command_table.h"
#include "launch/recipe/recipe.h"
#include "launch/recipe/product_table_file.h"

enum { SIDES = LS_PRODUCT_BYS, MAX_REPEAT = 1000, MAX_PARTS = 16, SHARDS = 8, SAMPLES = 64 };

/* The measured products.
 *
 * Linear layer with M samples, N outputs, K inputs:
 *     forward    y = x w^T
 *     dx         dx = dy w
 *     dw         dw = dy^T x, one sum over the samples
 *     dw shards  the same as one partial sum per shard, as in training (libraries: one sum)
 * Convolution with M output channels, N pixels, K = channels x kernel:
 *     conv       y = w cols for each of SAMPLES samples, which the threads divide
 *     conv dw    dw = dy cols^T, summed over N in parts */
typedef enum pass { FORWARD, DX, DW, DW_SHARDS, CONV_FORWARD, CONV_DW, PASSES } pass;
static const char *const pass_names[PASSES] = {"forward", "dx", "dw", "dw shards", "conv x 64", "conv dw"};
#define LINEAR (1 << FORWARD | 1 << DX | 1 << DW)
#define TRAINED (LINEAR | 1 << DW_SHARDS)

typedef struct shape {
    const char *name;
    int64_t     m, n, k;
    unsigned    passes;
} shape;

static const shape shapes[] = {
    {"GPT mlp", 512, 3072, 768, LINEAR},
    {"GPT logits", 2048, 50304, 384, LINEAR},
    {"GPT 384, 256 rows", 256, 1152, 384, TRAINED},
    {"GPT 384, 256 rows", 256, 384, 384, TRAINED},
    {"GPT 384, 256 rows", 256, 1536, 384, TRAINED},
    {"GPT 384, 256 rows", 256, 384, 1536, TRAINED},
    {"GPT 384, 256 rows", 256, 50304, 384, TRAINED},
    {"GPT-2, 256 rows", 256, 2304, 768, TRAINED},
    {"GPT-2, 256 rows", 256, 768, 768, TRAINED},
    {"GPT-2, 256 rows", 256, 3072, 768, TRAINED},
    {"GPT-2, 256 rows", 256, 768, 3072, TRAINED},
    {"AlexNet fc", 128, 4096, 9216, LINEAR},
    {"LSTM gates", 64, 2048, 512, LINEAR},
    {"LeNet fc1", 64, 120, 400, TRAINED},
    {"LeNet fc2", 64, 84, 120, TRAINED},
    {"LeNet fc3", 64, 10, 84, TRAINED},
    {"LeNet conv1", 6, 784, 25, 1 << CONV_FORWARD},
    {"LeNet conv1", 6, 36864, 25, 1 << CONV_DW},
    {"LeNet conv2", 16, 100, 150, 1 << CONV_FORWARD},
    {"LeNet conv2", 16, 6400, 150, 1 << CONV_DW},
};

/* One product, or one per sample; the w and y of consecutive samples are contiguous. */
typedef struct product {
    ls_gemm g;
    int     samples;
} product;

typedef struct bench {
    int      threads, repeat;
    ls_dtype type; /* of the operands */
    double   peak;
    bool     found[SIDES];
    ls_block x, w, y;
    int64_t  bound[MAX_PARTS + 1];

    ls_product_table *table; /* receives the fastest library of each class; NULL: not wanted */
} bench;

static int samples_of(pass p) { return p == CONV_FORWARD ? SAMPLES : 1; }

/* Returns the product of a pass over a shape: its m, n, k and the strides of its operands. */
static product product_of(bench *b, const shape *s, pass p)
{
    ls_gemm g = {.m = s->m, .n = s->n, .k = s->k, .x_col = 1, .w_col = 1, .type = b->type};
    if (p == DX) g.n = s->k, g.k = s->n;
    bool dw = p == DW || p == DW_SHARDS;
    if (!dw && p != CONV_DW) g.y_type = b->type; /* gradients of weights are float32 */
    if (dw) g.m = s->n, g.n = s->k, g.k = s->m;
    if (p == CONV_DW) g.n = s->k, g.k = s->n;
    g.x_row = g.k;
    g.w_row = g.y_row = g.n;
    if (dw) g.x_row = 1, g.x_col = g.m;
    if (p == FORWARD || p == CONV_DW) g.w_row = 1, g.w_col = g.k;
    if (p == CONV_DW || p == DW_SHARDS) {
        g.splits = p == CONV_DW ? MAX_PARTS : SHARDS;
        g.bound  = b->bound;
        for (int i = 0; i <= g.splits; i++) b->bound[i] = g.k * i / g.splits;
    }
    g.x = b->x.data;
    g.w = b->w.data;
    g.y = b->y.data;
    return (product){g, samples_of(p)};
}

/* Value of element i of an operand or of y. */
static float value_of(const void *p, ls_dtype type, int64_t i)
{
    if (type == LS_F32) return ((const float *)p)[i];
    const uint32_t bits = (uint32_t)((const uint16_t *)p)[i] << 16;
    float          x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Fills a block with numbers from -0.5 to 0.5; those of bfloat16 are rounded towards zero. */
static void fill(ls_block *block, ls_dtype type, int64_t count, uint64_t key)
{
#pragma omp parallel for
    for (int64_t i = 0; i < count; i += 4) {
        ls_philox4 random = ls_philox(key, 0, (uint64_t)i);
        for (int64_t j = i; j < i + 4 && j < count; j++) {
            const float x = ls_uniform01(random.v[j - i]) - 0.5f;
            uint32_t    bits;
            memcpy(&bits, &x, sizeof bits);
            if (type == LS_F32)
                ((float *)block->data)[j] = x;
            else
                ((uint16_t *)block->data)[j] = (uint16_t)(bits >> 16);
        }
    }
}

static ls_status multiply_one(int side, const ls_gemm *g)
{
    if (side == LS_BY_LOCKSTEP) {
        ls__isa_table()->gemm(g);
        return LS_OK;
    }
    ls_gemm whole = *g;
    whole.splits  = 0;
    return ls__isa_table()->product_with((ls_product_by)side, &whole);
}

static ls_gemm sample_of(const product *p, int sample)
{
    ls_gemm      g    = p->g;
    const size_t size = ls__dtype_bytes(g.type);
    g.w               = (const char *)g.w + size * (size_t)(sample * g.k * g.n);
    g.y               = (char *)g.y + ls__dtype_bytes(g.y_type) * (size_t)(sample * g.m * g.n);
    g.serial          = p->samples > 1;
    return g;
}

static ls_status multiply(int side, const product *p)
{
    ls_status status = LS_OK;
    if (p->samples == 1) return multiply_one(side, &p->g);
#pragma omp parallel for schedule(static) reduction(max : status)
    for (int sample = 0; sample < p->samples; sample++) {
        ls_gemm   g     = sample_of(p, sample);
        ls_status found = multiply_one(side, &g);
        if (found > status) status = found;
    }
    return status;
}

/* Compares some elements of y, drawn at random, with sums in float64. */
static ls_status check(int side, const ls_gemm *g)
{
    enum { ELEMENTS = 2000 };
    const ls_dtype y_type = g->y_type;
    for (int64_t s = 0; s < ELEMENTS; s++) {
        ls_philox4 random = ls_philox(7, 0, (uint64_t)s);
        int64_t    i      = s < 4 ? (s & 1) * (g->m - 1) : random.v[0] % g->m,
                j         = s < 4 ? (s >> 1) * (g->n - 1) : random.v[1] % g->n;
        double want = 0, size = 1e-3, found = value_of(g->y, y_type, i * g->y_row + j);
        for (int64_t k = 0; k < g->k; k++) {
            double term = (double)value_of(g->x, g->type, i * g->x_row + k * g->x_col) *
                          value_of(g->w, g->type, k * g->w_row + j * g->w_col);
            want += term;
            size += fabs(term);
        }
        LS_CHECK(fabs(found - want) <= (y_type == LS_F32 ? 1e-6 * size : 1e-6 * size + fabs(want) / 256), LS_ERR_FAILED,
                 "%s: %lld x %lld x %lld: expected %.8g at row %lld, column %lld, found %.8g",
                 side == LS_BY_LOCKSTEP ? "core/cpu/gemm" : ls__product_library((ls_product_by)side)->name,
                 (long long)g->m, (long long)g->n, (long long)g->k, want, (long long)i, (long long)j, found);
    }
    return LS_OK;
}

static int by_value(const void *left, const void *right)
{
    double l = *(const double *)left, r = *(const double *)right;
    return (l > r) - (l < r);
}

/* Enters the fastest library into the table, if it is clearly faster than Lockstep. */
static void enter(const bench *b, const ls_gemm *g, const double rate[SIDES])
{
    const double     gain = 1.05; /* a class changes sides only for a difference above the noise of a measurement */
    ls_product_class c;
    int              best = LS_BY_LOCKSTEP;
    for (int side = LS_BY_LOCKSTEP + 1; side < SIDES; side++)
        if (rate[side] > gain * rate[LS_BY_LOCKSTEP] && rate[side] > rate[best]) best = side;
    if (ls__product_class_of(g, &c)) b->table->by[c.bf16][c.layout][c.m][c.n][c.k] = (unsigned char)best;
}

/* Measures the rate of each library, GFLOP/s; 0 for one that is not installed. */
static ls_status measure(const bench *b, const product *p, double rate[SIDES])
{
    static double took[SIDES][MAX_REPEAT];
    const double  flops = 2.0 * (double)p->g.m * (double)p->g.n * (double)p->g.k * p->samples;
    const double  least = b->table ? 1e8 : 4e8; /* operations of a measurement: a table has 375 classes in each type */
    const int     calls = flops > least ? 1 : (int)(least / flops) + 1;
    for (int r = 0; r < b->repeat; r++)
        for (int side = 0; side < SIDES; side++) {
            if (!b->found[side]) continue;
            double start = ls__clock_s();
            for (int i = 0; i < calls; i++) LS_TRY(multiply(side, p));
            took[side][r] = (ls__clock_s() - start) / calls;
        }
    for (int side = 0; side < SIDES; side++) {
        qsort(took[side], (size_t)b->repeat, sizeof(double), by_value);
        rate[side] = b->found[side] ? flops / took[side][b->repeat / 2] * 1e-9 : 0;
    }
    return LS_OK;
}

static ls_status run_pass(bench *b, const shape *s, pass p)
{
    product       whole = product_of(b, s, p);
    const ls_gemm g     = whole.g;
    double        rate[SIDES];
    for (int side = 0; side < SIDES; side++) {
        if (!b->found[side]) continue;
        LS_TRY(multiply(side, &whole));
        for (int sample = 0; sample < whole.samples; sample += SAMPLES - 1) {
            ls_gemm one = sample_of(&whole, sample);
            LS_TRY(check(side, &one));
        }
    }
    LS_TRY(measure(b, &whole, rate));
    if (b->table) enter(b, &g, rate);
    char   text[48], beside[SIDES][16];
    double better = fmax(rate[LS_BY_OPENBLAS], rate[LS_BY_ONEDNN]);
    for (int side = 0; side < SIDES; side++) {
        if (b->found[side])
            snprintf(beside[side], sizeof beside[side], "%.1f", rate[side]);
        else
            snprintf(beside[side], sizeof beside[side], "-");
    }
    snprintf(text, sizeof text, "%lldx%lldx%lld", (long long)g.m, (long long)g.n, (long long)g.k);
    printf("%-17s %-9s %17s %8s %9s %8s", s->name, pass_names[p], text, beside[LS_BY_LOCKSTEP], beside[LS_BY_OPENBLAS],
           beside[LS_BY_ONEDNN]);
    if (better > 0)
        printf(" %7.2f", rate[LS_BY_LOCKSTEP] / better);
    else
        printf(" %7s", "-");
    if (rate[LS_BY_OPENBLAS] > 0)
        printf(" %9.2f", rate[LS_BY_LOCKSTEP] / rate[LS_BY_OPENBLAS]);
    else
        printf(" %9s", "-");
    printf(" %6.0f %%\n", 100 * rate[LS_BY_LOCKSTEP] / b->peak);
    fflush(stdout);
    return LS_OK;
}

static ls_status run_shape(bench *b, const shape *s)
{
    const int64_t samples = s->passes >> CONV_FORWARD & 1 ? SAMPLES : 1;
    const int64_t mk = s->m * s->k, nk = s->n * s->k * samples, mn = s->m * s->n * samples,
                  most = mk > nk ? (mk > mn ? mk : mn) : (nk > mn ? nk : mn);
    ls_status status;
    LS_TRY_GOTO(status, ls_block_new(&b->x, (size_t)most * sizeof(float), "bench"), done);
    LS_TRY_GOTO(status, ls_block_new(&b->w, (size_t)most * sizeof(float), "bench"), done);
    LS_TRY_GOTO(status, ls_block_new(&b->y, (size_t)most * sizeof(float), "bench"), done);
    fill(&b->x, b->type, most, 1);
    fill(&b->w, b->type, most, 2);
    for (int p = 0; p < PASSES; p++)
        if (s->passes >> p & 1) LS_TRY_GOTO(status, run_pass(b, s, (pass)p), done);
done:
    ls_block_free(&b->x);
    ls_block_free(&b->w);
    ls_block_free(&b->y);
    return status;
}

static ls_status parse_shape(const char *text, shape *s)
{
    long long m, n, k;
    char      rest;
    LS_CHECK(sscanf(text, "%lldx%lldx%lld%c", &m, &n, &k, &rest) == 3 && m > 0 && n > 0 && k > 0 && m < 1 << 24 &&
                 n < 1 << 24 && k < 1 << 24,
             LS_ERR_USAGE,
             "bench gemm: --shape: expected MxNxK, or the beginning of a listed name, found '%s'" LS_HINT
             "for example --shape 512x3072x768, or --shape LeNet",
             text);
    *s = (shape){"given", m, n, k, TRAINED};
    return LS_OK;
}

static bool is_named(const shape *s, const char *only) { return !only || strncmp(s->name, only, strlen(only)) == 0; }

/* One product of each class of a product table: forward, dx and dw of these shapes have the three layouts. */
static ls_status run_classes(bench *b)
{
    static const int64_t measured[] = {
#define X(least, dim) dim,
        LS_PRODUCT_RANGE_LIST(X)
#undef X
    };
    for (int m = 0; m < LS_PRODUCT_RANGES; m++)
        for (int n = 0; n < LS_PRODUCT_RANGES; n++)
            for (int k = 0; k < LS_PRODUCT_RANGES; k++)
                LS_TRY(run_shape(b, &(shape){"class", measured[m], measured[n], measured[k], LINEAR}));
    return LS_OK;
}

/* Prints the header of the columns, and measures in type b->type: `given`; NULL: the listed shapes that `only` names,
 * or the classes of a table. */
static ls_status run_type(bench *b, const shape *given, const char *only)
{
    b->peak = ls__isa_table()->peak(b->type, b->threads);
    printf("instruction-set level %s, %s, %d threads, peak %.0f GFLOP/s", ls_isa_name(ls_isa_current()),
           ls__dtype_name(b->type), b->threads, b->peak);
    for (int side = LS_BY_LOCKSTEP + 1; side < SIDES; side++) {
        ls_provider *library = ls__product_library((ls_product_by)side);
        b->found[side]       = ls__provider_load(library) == LS_OK && (b->type == LS_F32 || library->bfloat16);
        if (b->found[side])
            printf("; %s %s", library->name, library->detail);
        else if (library->status != LS_OK)
            fprintf(stderr, "%s\n", library->message);
    }
    printf("\nGFLOP/s, medians of %d; ratios of lockstep to the better library, and to OpenBLAS\n\n", b->repeat);
    printf("%-17s %-9s %17s %8s %9s %8s %7s %9s %8s\n", "", "pass", "m x n x k", "lockstep", "OpenBLAS", "oneDNN",
           "ratio", "OpenBLAS", "of peak");
    if (b->table) return run_classes(b);
    if (given) return run_shape(b, given);
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        if (is_named(&shapes[s], only)) LS_TRY(run_shape(b, &shapes[s]));
    return LS_OK;
}

static ls_status run_bench_gemm(int argc, char **argv)
{
    ls_args          args;
    bench            b     = {.found = {[LS_BY_LOCKSTEP] = true}};
    ls_product_table table = {.float32_by_openblas = false};
    long long        threads, repeat;
    shape            given;
    bool             listed = false;
    LS_TRY(ls_args_parse(&args, argc, argv));
    const char *only = ls_args_option(&args, "shape"), *precision = ls_args_option(&args, "precision"),
               *path = ls_args_option(&args, "table");
    LS_CHECK(!path || !only, LS_ERR_USAGE,
             "bench gemm: --table: expected without --shape, because a table has all classes");
    LS_TRY(ls_args_int(&args, "threads", 1, 1024, omp_get_max_threads(), &threads));
    LS_TRY(ls_args_int(&args, "repeat", 1, MAX_REPEAT, path ? 5 : 9, &repeat));
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) listed |= is_named(&shapes[s], only);
    if (!listed) LS_TRY(parse_shape(only, &given));
    LS_TRY(ls_precision_parse(precision, &b.type));
    LS_TRY(ls_isa_init());
    b.threads = (int)threads;
    b.repeat  = (int)repeat;
    b.table   = path ? &table : NULL;
    omp_set_num_threads(b.threads);
    LS_TRY(run_type(&b, listed ? NULL : &given, only));
    if (!path) return LS_OK;
    if (!precision) {
        b.type = LS_BF16;
        printf("\n");
        LS_TRY(run_type(&b, NULL, NULL));
    }
    LS_TRY(ls__product_table_write(path, &table, b.threads));
    char libraries[256];
    ls__product_table_text(&table, libraries, sizeof libraries);
    printf("\n%s: %s\n", path, *libraries ? libraries : "no class is faster with a library");
    return LS_OK;
}

const ls_command ls__command_bench_gemm = {
    .name      = "bench gemm",
    .arguments = "",
    .text      = "measure matrix products beside OpenBLAS and oneDNN",
    .help =
        "Compares the matrix product of core/cpu/gemm with a plain loop.  Prints for each shape its rate, the rates of "
        "OpenBLAS\n"
        "(with its kernels for this processor) and oneDNN where they are installed, and the share of the "
        "measured peak.",
    .options = LS_OPTIONS({"threads", "N", "number of threads; default OMP_NUM_THREADS"},
                          {"repeat", "N", "number of measurements, of which the median is printed; default 9"},
                          {"precision", "TYPE", "type of the operands: float32 or bfloat16; default float32"},
                          {"table", "FILE",
                           "measure one product of each class, by default in both types, and write which library is "
                           "faster, for\ntrain.product_table; minutes"},
                          {"shape", "MxNxK|NAME",
                           "only this product and its gradients, or the shapes whose name begins so; default: all"}),
    .run     = run_bench_gemm,
};
