/* SPDX-License-Identifier: Apache-2.0 */
/* labels: io */
/* Batches of pairs: each pair once per epoch, the same for any number of ranks and threads and after a resume in
 * mid-pool, as wide as the longest sentence of the global batch, with equal work for the shards. */
#include <math.h>

#include "core/base/integer.h"
#include "datasets/pairs/pairs.h"
#include "tests/datasets/dataset_files_for_tests.h"
#include "tests/unit.h"

enum { COUNT = 3333, END = 256 };
enum { SOURCE, SOURCE_LENGTH, PREVIOUS, TARGET, TARGET_LENGTH };
static char        folder[FILES_PATH];
static ls_dataset *pairs;

/* Lengths as in Multi30k: most sentences are short, both sides similar. */
static int length_of(int i, int side)
{
    uint32_t x = (uint32_t)i * 2654435761u ^ (uint32_t)i << 7;
    int      n = 5 + (int)(x >> 29) + (int)(x >> 24 & 7) + (int)(x >> 20 & 3) * (int)(x >> 16 & 3);
    return n + (side ? (int)(x >> 13 & 3) : 0) + (x % 97 == 0 ? 12 : 0);
}

/* Token k of a sentence of pair i. */
static int token_of(int i, int side, int k) { return k < 4 ? '0' + i / (int[]){1, 10, 100, 1000}[k] % 10 : 'a' + side; }

static void make_files(void)
{
    for (int side = 0; side < 2; side++) {
        char path[FILES_PATH + 16];
        snprintf(path, sizeof path, "%s/text.%d", folder, side);
        FILE *f = fopen(path, "w");
        for (int i = 0; f && i < COUNT; i++) {
            for (int k = 0; k < length_of(i, side); k++) fputc(token_of(i, side, k), f);
            fputc('\n', f);
        }
        if (!f || fclose(f)) abort();
    }
}

static int set_up(void **state)
{
    char path[2][FILES_PATH + 16], out[FILES_PATH + 16];
    folder_make(folder);
    make_files();
    for (int side = 0; side < 2; side++) snprintf(path[side], sizeof path[side], "%s/text.%d", folder, side);
    snprintf(out, sizeof out, "%s/pairs", folder);
    ls_pairs_import o = {.size = sizeof o, .source = {path[0]}, .target = {path[1]}, .out = out, .tokenizer = "bytes"};
    return ls_import_pairs(&o) || ls_dataset_open(&pairs, out, "train");
}

static int tear_down(void **state)
{
    ls_dataset_free(pairs);
    folder_remove(folder);
    return 0;
}

/* One global batch, from all ranks. */
typedef struct global_batch {
    int64_t rows, width[2];
    int     sample[512];
} global_batch;

/* Checks a row, and returns its sample. */
static int check_row(const ls_batch *b, int64_t r)
{
    const int64_t  s = b->dim0[SOURCE], t = b->dim0[TARGET];
    const int32_t *source = (const int32_t *)b->data[SOURCE] + r * s, *y = (const int32_t *)b->data[PREVIOUS] + r * t,
                  *target = (const int32_t *)b->data[TARGET] + r * t;
    const int i = source[0] - '0' + 10 * (source[1] - '0') + 100 * (source[2] - '0') + 1000 * (source[3] - '0'),
              m = length_of(i, 0), n = length_of(i, 1);
    assert_int_equal(((const int32_t *)b->data[SOURCE_LENGTH])[r], m + 1);
    assert_int_equal(((const int32_t *)b->data[TARGET_LENGTH])[r], n + 1);
    assert_int_equal(y[0], END);
    for (int k = 0; k < s; k++) assert_int_equal(source[k], k < m ? token_of(i, 0, k) : k == m ? END : 0);
    for (int k = 0; k < t; k++) {
        assert_int_equal(target[k], k < n ? token_of(i, 1, k) : k == n ? END : -1);
        if (k) assert_int_equal(y[k], k <= n ? target[k - 1] : 0);
    }
    return i;
}

/* Reads up to `most` global batches from all ranks. */
static int walk(ls_loader_options o, int most, global_batch *batch)
{
    static const char *const name[] = {"source", "source_length", "previous", "target", "target_length"};
    ls_loader               *l[4];
    int                      n = 0;
    o.size                     = sizeof o;
    for (o.rank = 0; o.rank < o.ranks; o.rank++) assert_ok(ls__loader_new(&l[o.rank], pairs, &o));
    for (bool more = true; more && n < most; n += more) {
        global_batch *g = &batch[n];
        memset(g, 0, sizeof *g);
        for (int r = 0; r < o.ranks; r++) {
            ls_batch b;
            more = ls_loader_next(l[r], &b);
            assert_ok(ls_loader_status(l[r]));
            if (!more) continue;
            assert_int_equal(b.inputs, 5);
            assert_int_equal(b.first, g->rows);
            for (int c = 0; c < 5; c++) assert_string_equal(b.name[c], name[c]);
            assert_true(!b.dim0[SOURCE_LENGTH] && !b.dim0[TARGET_LENGTH] && b.dim0[PREVIOUS] == b.dim0[TARGET]);
            for (int side = 0; side < 2; side++) {
                const int64_t width = b.dim0[side ? TARGET : SOURCE];
                if (r) assert_int_equal(width, g->width[side]);
                g->width[side] = width;
            }
            for (int64_t i = 0; i < b.rows; i++) g->sample[g->rows++] = check_row(&b, i);
            if (r == o.ranks - 1) assert_int_equal(g->rows, b.global_rows);
        }
    }
    for (int r = 0; r < o.ranks; r++) ls_loader_free(l[r]);
    return n;
}

enum { MOST = 3 * COUNT };
static global_batch first[MOST], second[MOST];

static void assert_same(const global_batch *x, const global_batch *y, int n)
{
    for (int i = 0; i < n; i++) assert_memory_equal(&x[i], &y[i], sizeof *x);
}

static void each_pair_once(void **state)
{
    const int sizes[] = {1, 7, 32, 128, 500};
    for (int k = 0; k < 5; k++)
        for (int in_order = 0; in_order < 2; in_order++) {
            ls_loader_options o           = {.batch = sizes[k], .shards = 4, .ranks = 1, .seed = 3, .epochs = 2};
            char              seen[COUNT] = {0};
            const int         batches     = (COUNT + sizes[k] - 1) / sizes[k];
            o.in_order                    = in_order;
            assert_int_equal(walk(o, MOST, first), 2 * batches);
            for (int b = 0; b < batches; b++) {
                int longest[2] = {0};
                assert_int_equal(first[b].rows, b < batches - 1 ? sizes[k] : COUNT - (batches - 1) * sizes[k]);
                for (int r = 0; r < first[b].rows; r++) {
                    const int i = first[b].sample[r];
                    assert_false(seen[i]++);
                    for (int side = 0; side < 2; side++)
                        longest[side] = (int)ls__max(longest[side], length_of(i, side) + 1);
                }
                for (int side = 0; side < 2; side++)
                    assert_int_equal(first[b].width[side], ls__round_up(longest[side], 4));
            }
            const bool same = !memcmp(first, &first[batches], (size_t)batches * sizeof *first);
            assert_int_equal(same, in_order); /* another order in each epoch */
        }
}

static void ranks_threads_and_resumes(void **state)
{
    ls_loader_options o = {.batch = 12, .shards = 6, .ranks = 1, .seed = 5, .epochs = 3};
    const int         n = walk(o, MOST, first);
    for (o.ranks = 2; o.ranks <= 4; o.ranks++) {
        o.threads = o.ranks - 1;
        assert_int_equal(walk(o, MOST, second), n);
        assert_same(first, second, n);
    }
    o.ranks = 2;
    for (int k = 1; k < 2 * n / 3; k += 77) { /* pools have 100 batches of 278 in an epoch */
        const int epoch = n / 3;
        o.epoch         = k / epoch;
        o.sample        = k % epoch * o.batch;
        assert_int_equal(walk(o, 40, second), 40);
        assert_same(first + k, second, 40);
    }
    ls_loader *l;
    assert_fails(ls_loader_new(&l, pairs, .batch = 12, .shards = 6, .ranks = 1, .sample = 13), LS_ERR_DATA,
                 "a multiple of the batch, 12");
}

/* The first batches of an evaluation have sentences of all lengths, for every seed. */
static void evaluation_of_a_part(void **state)
{
    ls_loader_options o    = {.batch = 32, .shards = 2, .ranks = 1, .in_order = true};
    double            part = 0, all = 0;
    assert_int_equal(walk(o, COUNT / 32, first), COUNT / 32);
    for (int b = 0; b < COUNT / 32; b++) {
        all += (double)first[b].width[1] / (COUNT / 32);
        if (b < 20) part += (double)first[b].width[1] / 20;
    }
    assert_true(fabs(part / all - 1) < 0.1);
    o.seed = 1;
    assert_int_equal(walk(o, 20, second), 20);
    assert_same(first, second, 20);
}

/* Compares padding with that of a random order, and the work of the shards of a batch. */
static void padding_and_balance(void **state)
{
    enum { BATCH = 32, SHARDS = 8 };
    const ls_loader_options o     = {.batch = BATCH, .shards = SHARDS, .ranks = 1, .seed = 1, .epochs = 1};
    const int               n     = walk(o, MOST, first);
    double                  cells = 0, tokens = 0, worst = 0, random = 0;
    int                     increasing = 0;
    for (int b = 0; b < n; b++) {
        double work[SHARDS] = {0}, all = 0;
        for (int side = 0; side < 2; side++) cells += (double)(first[b].rows * first[b].width[side]);
        for (int r = 0; r < first[b].rows; r++)
            for (int side = 0; side < 2; side++) {
                const int length = length_of(first[b].sample[r], side) + 1;
                tokens += length;
                all += length;
                work[r * SHARDS / first[b].rows] += length;
            }
        for (int s = 0; s < SHARDS && first[b].rows == BATCH; s++) worst = fmax(worst, work[s] * SHARDS / all);
        if (b) increasing += first[b].width[1] >= first[b - 1].width[1];
    }
    for (int b = 0; b * BATCH < COUNT; b++) {
        int longest[2] = {0}, rows = (int)ls__min(BATCH, COUNT - b * BATCH);
        for (int r = 0; r < rows; r++)
            for (int side = 0; side < 2; side++)
                longest[side] =
                    (int)ls__max(longest[side], length_of((int)ls_sample_at(1, 0, COUNT, b * BATCH + r), side) + 1);
        random += rows * (double)(longest[0] + longest[1]);
    }
    assert_true(1 - tokens / random > 0.3);
    assert_true(1 - tokens / cells < 0.15);
    assert_true(worst < 1.05);
    assert_in_range(increasing, n / 4, 3 * n / 4); /* the batches of a pool are shuffled */
}

static void description(void **state)
{
    const ls_dataset_info info       = ls_dataset_info_of(pairs);
    int                   longest[2] = {0};
    int64_t               total[2]   = {0};
    for (int i = 0; i < COUNT; i++)
        for (int side = 0; side < 2; side++) {
            longest[side] = (int)ls__max(longest[side], length_of(i, side) + 1);
            total[side] += length_of(i, side) + 1;
        }
    assert_int_equal(info.kind, LS_DATA_PAIRS);
    assert_int_equal(info.count, COUNT);
    assert_int_equal(info.source_length, ls__round_up(longest[0], 4));
    assert_int_equal(info.target_length, ls__round_up(longest[1], 4));
    assert_int_equal(info.source_tokens, total[0]);
    assert_int_equal(info.tokens, total[1]);
    assert_true(info.joint && info.classes == 257 && info.source_vocabulary == 257);
    assert_true(info.end == END && info.source_end == END);
    assert_int_equal(info.columns, 5);
    assert_int_equal(info.column[SOURCE].dim[0], info.source_length);
    assert_int_equal(info.column[TARGET].dim[0], info.target_length);
    assert_int_equal(info.column[TARGET].role, LS_COLUMN_TARGET);
    assert_int_equal(info.column[SOURCE_LENGTH].rank, 0);
    assert_int_equal(ls_dataset_epoch(pairs, false, 100), COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(description), cmocka_unit_test(each_pair_once),
                                       cmocka_unit_test(ranks_threads_and_resumes),
                                       cmocka_unit_test(evaluation_of_a_part), cmocka_unit_test(padding_and_balance)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
