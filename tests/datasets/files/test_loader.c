/* SPDX-License-Identifier: Apache-2.0
 * The loader: for any number of ranks, all ranks together deliver each sample of an epoch once, in the same order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/base/arena.h"
#include "datasets/files/dataset.h"

/* A dataset of 2 x 2 x 3 pixels that are functions of the sample's index; reading sample `broken` fails. */
typedef struct fake {
    ls_dataset base;
    int64_t    broken;
    bool       all; /* the samples after `broken` are broken as well */
} fake;

static ls_status read_fake(ls_dataset *d, int64_t i, uint8_t *pixels, int32_t *label)
{
    const fake *f = (fake *)d;
    LS_CHECK(i != f->broken && !(f->all && i > f->broken), LS_ERR_DATA, "sample %lld is broken", (long long)i);
    for (int p = 0; p < 12; p++) pixels[p] = (uint8_t)(i * 31 + p);
    *label = (int32_t)i;
    return LS_OK;
}

static void close_fake(ls_dataset *d) { free(d); }

static ls_dataset *fake_new(int64_t count)
{
    fake *f = calloc(1, sizeof *f);
    assert_int_equal(ls_arena_new(&f->base.arena, "fake"), LS_OK);
    f->base.info  = (ls_dataset_info){"train", "fake", count, 2, 2, 3, 10, {0.25f, 0.5f}, {0.5f, 2.0f}, NULL};
    f->base.read  = read_fake;
    f->base.close = close_fake;
    f->broken     = -1;
    return &f->base;
}

typedef struct trail {
    int64_t at[4096]; /* labels in the order of the global batches */
    int64_t count, batches;
} trail;

/* Reads n batches (-1: to the end) on all ranks in lockstep, and checks the rows and positions of each batch. */
static void walk(ls_dataset *d, ls_loader_options o, int64_t n, trail *t)
{
    ls_loader *l[8];
    t->count = t->batches = 0;
    o.size                = sizeof o;
    for (o.rank = 0; o.rank < o.ranks; o.rank++) assert_int_equal(ls__loader_new(&l[o.rank], d, &o), LS_OK);
    for (; n < 0 || t->batches < n; t->batches++) {
        int64_t rows = 0, global = 0;
        bool    more = false;
        for (int r = 0; r < o.ranks; r++) {
            ls_batch b;
            more = ls_loader_next(l[r], &b);
            assert_int_equal(ls_loader_status(l[r]), LS_OK);
            if (!more) {
                assert_int_equal(r ? rows : 0, 0);
                continue;
            }
            if (!r) global = b.global_rows;
            assert_int_equal(b.global_rows, global);
            assert_int_equal(b.first, rows);
            assert_int_equal(b.inputs, 2);
            assert_string_equal(b.name[0], "image");
            assert_string_equal(b.name[1], "label");
            for (int64_t i = 0; i < b.rows; i++) t->at[t->count + rows + i] = ((const int32_t *)b.data[1])[i];
            rows += b.rows;
        }
        if (!more) break;
        assert_int_equal(rows, global);
        t->count += rows;
        ls_position p = ls_loader_position(l[0]);
        for (int r = 1; r < o.ranks; r++) {
            ls_position q = ls_loader_position(l[r]);
            assert_true(p.epoch == q.epoch && p.sample == q.sample && p.epoch_ends == q.epoch_ends);
        }
        assert_int_equal(p.epoch_ends, p.sample == d->info.count);
    }
    for (int r = 0; r < o.ranks; r++) ls_loader_free(l[r]);
}

static const int ranks_to_try[] = {1, 2, 3, 4, 8};

static void every_sample_once_on_any_number_of_ranks(void **state)
{
    static const int64_t sizes[] = {1, 7, 100, 937};
    static const struct {
        int64_t batch;
        int     shards;
    } cuts[] = {{1, 1}, {8, 8}, {64, 16}, {100, 3}, {2000, 16}, {10, 1}};
    static trail one, many;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (size_t c = 0; c < sizeof cuts / sizeof *cuts; c++)
            for (size_t k = 0; k < sizeof ranks_to_try / sizeof *ranks_to_try; k++) {
                ls_dataset *d = fake_new(sizes[s]);
                trail      *t = k ? &many : &one;
                walk(d,
                     (ls_loader_options){.batch   = cuts[c].batch,
                                         .shards  = cuts[c].shards,
                                         .ranks   = ranks_to_try[k],
                                         .seed    = 11,
                                         .epochs  = 2,
                                         .threads = (int)(k + c) % 4},
                     -1, t);
                assert_int_equal(t->count, 2 * sizes[s]);
                assert_int_equal(t->batches, 2 * ((sizes[s] + cuts[c].batch - 1) / cuts[c].batch));
                for (int epoch = 0; epoch < 2; epoch++) {
                    char *seen = calloc((size_t)sizes[s], 1);
                    for (int64_t i = 0; i < sizes[s]; i++) assert_int_equal(seen[t->at[epoch * sizes[s] + i]]++, 0);
                    free(seen);
                }
                assert_memory_equal(one.at, t->at, sizeof *t->at * (size_t)t->count);
                ls_dataset_free(d);
            }
}

/* A run that stops at any batch and resumes on another number of ranks reads the remaining samples in the same
 * order. */
static void resumes_in_the_middle_of_an_epoch(void **state)
{
    static trail      whole, rest;
    ls_dataset       *d = fake_new(100);
    ls_loader_options o = {.batch = 16, .shards = 8, .ranks = 2, .seed = 4, .epochs = 3};
    walk(d, o, -1, &whole);
    for (int64_t stop = 0; stop <= whole.batches; stop++) {
        int64_t epoch = stop / 7, sample = stop % 7 * 16;
        o.epoch  = epoch;
        o.sample = sample;
        o.ranks  = stop % 2 ? 3 : 4;
        walk(d, o, -1, &rest);
        int64_t done = epoch * 100 + sample;
        assert_int_equal(rest.count, whole.count - done);
        assert_memory_equal(rest.at, whole.at + done, sizeof *rest.at * (size_t)rest.count);
    }
    /* The position after the last sample of epoch 0 is the start of epoch 1. */
    o.epoch  = 0;
    o.sample = 100;
    walk(d, o, -1, &rest);
    assert_int_equal(rest.count, 200);
    assert_memory_equal(rest.at, whole.at + 100, sizeof *rest.at * 200);
    ls_dataset_free(d);
}

static void in_order_is_in_order(void **state)
{
    static trail t;
    ls_dataset  *d = fake_new(50);
    walk(d, (ls_loader_options){.batch = 16, .shards = 4, .ranks = 3, .in_order = true, .epochs = 1}, -1, &t);
    assert_int_equal(t.count, 50);
    for (int64_t i = 0; i < 50; i++) assert_int_equal(t.at[i], i);
    ls_dataset_free(d);
}

static void pixels_are_normalised_per_channel(void **state)
{
    ls_dataset *d = fake_new(40);
    ls_loader  *l;
    ls_batch    b;
    assert_int_equal(ls_loader_new(&l, d, .batch = 16, .shards = 4, .ranks = 1, .epochs = 1, .input = {"x", "y"}),
                     LS_OK);
    while (ls_loader_next(l, &b)) {
        assert_string_equal(b.name[0], "x");
        assert_string_equal(b.name[1], "y");
        for (int64_t i = 0; i < b.rows; i++)
            for (int p = 0; p < 12; p++) {
                int     c        = p / 6;
                uint8_t x        = (uint8_t)(((const int32_t *)b.data[1])[i] * 31 + p);
                float   expected = ((float)x / 255.0f - d->info.mean[c]) / d->info.std[c];
                assert_memory_equal(&((const float *)b.data[0])[i * 12 + p], &expected, sizeof expected);
            }
    }
    assert_int_equal(ls_loader_status(l), LS_OK);
    ls_loader_free(l);
    ls_dataset_free(d);
}

static void columns_describe_the_batch(void **state)
{
    ls_dataset     *d    = fake_new(10);
    ls_dataset_info info = ls_dataset_info_of(d);
    assert_int_equal(info.columns, 2);
    assert_string_equal(info.column[0].name, "image");
    assert_int_equal(info.column[0].type, LS_F32);
    assert_int_equal(info.column[0].role, LS_COLUMN_INPUT);
    assert_int_equal(info.column[0].rank, 3);
    assert_int_equal(info.column[0].dim[0], 2);
    assert_int_equal(info.column[0].dim[2], 3);
    assert_string_equal(info.column[1].name, "label");
    assert_int_equal(info.column[1].type, LS_I32);
    assert_int_equal(info.column[1].role, LS_COLUMN_TARGET);
    assert_int_equal(info.column[1].rank, 0);
    ls_dataset_free(d);
}

/* The loader delivers the batches before the broken sample, and then the error in the caller's thread. */
static void errors_of_the_thread_reach_the_caller(void **state)
{
    ls_dataset *d = fake_new(100);
    ls_loader  *l;
    ls_batch    b;
    int         batches = 0;
    ((fake *)d)->broken = 35;
    assert_int_equal(ls_loader_new(&l, d, .batch = 10, .shards = 2, .ranks = 1, .in_order = true, .epochs = 1), LS_OK);
    for (; ls_loader_next(l, &b); batches++) assert_int_equal(ls_loader_status(l), LS_OK);
    assert_int_equal(batches, 3);
    LS_FAIL(LS_ERR_FAILED, "something else");
    assert_int_equal(ls_loader_status(l), LS_ERR_DATA);
    assert_string_equal(ls_error_message(), "sample 35 is broken");
    assert_false(ls_loader_next(l, &b));
    ls_loader_free(l);
    ls_dataset_free(d);
}

/* Of several broken samples, the error is that of the first one, whichever thread is faster. */
static void the_first_error_counts_for_any_number_of_threads(void **state)
{
    ls_dataset *d       = fake_new(100);
    ((fake *)d)->broken = 35;
    ((fake *)d)->all    = true;
    for (int threads = 1; threads <= 6; threads++)
        for (int attempt = 0; attempt < 20; attempt++) {
            ls_loader *l;
            ls_batch   b;
            int        batches = 0;
            assert_int_equal(ls_loader_new(&l, d, .batch = 20, .shards = 2, .ranks = 1, .in_order = true, .epochs = 1,
                                           .threads = threads),
                             LS_OK);
            for (; ls_loader_next(l, &b); batches++) assert_int_equal(b.rows, 20);
            assert_int_equal(batches, 1);
            assert_int_equal(ls_loader_status(l), LS_ERR_DATA);
            assert_string_equal(ls_error_message(), "sample 35 is broken");
            ls_loader_free(l);
        }
    ls_dataset_free(d);
}

/* A loader that starts at its end delivers nothing. */
static void an_empty_stream_ends(void **state)
{
    ls_dataset *d = fake_new(10);
    ls_loader  *l;
    ls_batch    b;
    assert_int_equal(ls_loader_new(&l, d, .batch = 4, .shards = 1, .ranks = 1, .sample = 10, .epochs = 1, .threads = 2),
                     LS_OK);
    assert_false(ls_loader_next(l, &b));
    assert_int_equal(ls_loader_status(l), LS_OK);
    ls_loader_free(l);
    ls_dataset_free(d);
}

static void no_allocation_after_the_start(void **state)
{
    ls_dataset *d = fake_new(1000);
    ls_loader  *l;
    ls_batch    b;
    assert_int_equal(ls_loader_new(&l, d, .batch = 10, .shards = 2, .ranks = 1), LS_OK);
    assert_true(ls_loader_next(l, &b));
    uint64_t before = ls_alloc_count();
    for (int i = 0; i < 250; i++) assert_true(ls_loader_next(l, &b));
    assert_int_equal(ls_alloc_count(), before);
    assert_int_equal(ls_loader_position(l).epoch, 2);
    ls_loader_free(l); /* while the thread waits for a free slot */
    ls_dataset_free(d);
}

static void bad_options_are_errors(void **state)
{
    static const ls_loader_options bad[] = {
        {.batch = 0, .shards = 1, .ranks = 1},
        {.batch = 8, .shards = 0, .ranks = 1},
        {.batch = 8, .shards = 1, .ranks = 0},
        {.batch = 8, .shards = 1, .ranks = 2, .rank = 2},
        {.batch = 8, .shards = 1, .ranks = 1, .sample = 11},
        {.batch = 8, .shards = 1, .ranks = 1, .epoch = -1},
        {.batch = 8, .shards = 1, .ranks = 1, .prefetch = -1},
        {.batch = 8, .shards = 1, .ranks = 1, .threads = -1},
    };
    ls_dataset       *d     = fake_new(10);
    ls_loader_options unset = {.batch = 8, .shards = 1, .ranks = 1};
    ls_loader        *none;
    assert_int_equal(ls__loader_new(&none, d, &unset), LS_ERR_USAGE);
    assert_non_null(strstr(ls_error_message(), "ls_loader_options: size: expected at most"));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ls_loader        *l;
        ls_loader_options o = bad[i];
        o.size              = sizeof o;
        assert_int_not_equal(ls__loader_new(&l, d, &o), LS_OK);
        assert_null(l);
    }
    ls_dataset_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sample_once_on_any_number_of_ranks),
        cmocka_unit_test(resumes_in_the_middle_of_an_epoch),
        cmocka_unit_test(in_order_is_in_order),
        cmocka_unit_test(pixels_are_normalised_per_channel),
        cmocka_unit_test(columns_describe_the_batch),
        cmocka_unit_test(errors_of_the_thread_reach_the_caller),
        cmocka_unit_test(the_first_error_counts_for_any_number_of_threads),
        cmocka_unit_test(an_empty_stream_ends),
        cmocka_unit_test(no_allocation_after_the_start),
        cmocka_unit_test(bad_options_are_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
