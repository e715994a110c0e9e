/* SPDX-License-Identifier: Apache-2.0
 * Windows of text: disjoint within an epoch, at other offsets in the next, and equal for any number of ranks and after
 * a resume. */
#include "core/base/arena.h"
#include "datasets/files/dataset.h"
#include "tests/unit.h"

/* Token i of the fake text is i, so that the first token of a window is its offset. */
typedef struct fake {
    ls_dataset base;
} fake;

static ls_status read_fake(ls_dataset *d, int64_t first, int64_t n, int32_t *tokens)
{
    for (int64_t i = 0; i < n; i++) tokens[i] = (int32_t)(first + i);
    assert_true(first >= 0 && first + n <= d->info.tokens);
    return LS_OK;
}

static void close_fake(ls_dataset *d) { free(d); }

static ls_dataset *fake_new(int64_t tokens, int64_t context)
{
    fake *f = calloc(1, sizeof *f);
    assert_ok(ls_arena_new(&f->base.arena, "fake"));
    f->base.info =
        (ls_dataset_info){.split = "train", .path = "fake", .kind = LS_DATA_TEXT, .tokens = tokens, .classes = 1 << 20};
    f->base.tokens = read_fake;
    f->base.close  = close_fake;
    assert_ok(ls_dataset_window(&f->base, context));
    return &f->base;
}

/* Collects the offsets of the windows in the order of the global batches, with all ranks in lockstep. */
static int64_t walk(ls_dataset *d, ls_loader_options o, int64_t batches, int64_t *start)
{
    ls_loader *l[4];
    int64_t    n = 0, context = d->info.context;
    o.size = sizeof o;
    for (o.rank = 0; o.rank < o.ranks; o.rank++) assert_ok(ls__loader_new(&l[o.rank], d, &o));
    for (int64_t k = 0; batches < 0 || k < batches; k++) {
        bool more = false;
        for (int r = 0; r < o.ranks; r++) {
            ls_batch b;
            more = ls_loader_next(l[r], &b);
            assert_ok(ls_loader_status(l[r]));
            if (!more) continue;
            assert_string_equal(b.name[0], "tokens");
            assert_string_equal(b.name[1], "target");
            for (int64_t i = 0; i < b.rows; i++) {
                const int32_t *x = (const int32_t *)b.data[0] + i * context,
                              *y = (const int32_t *)b.data[1] + i * context;
                for (int64_t t = 0; t < context; t++) {
                    assert_int_equal(x[t], x[0] + t);
                    assert_int_equal(y[t], x[t] + 1);
                }
                start[n++] = x[0];
            }
        }
        if (!more) break;
    }
    for (int r = 0; r < o.ranks; r++) ls_loader_free(l[r]);
    return n;
}

static int by_value(const void *p, const void *q)
{
    return (*(const int64_t *)p > *(const int64_t *)q) - (*(const int64_t *)p < *(const int64_t *)q);
}

/* True if the sorted windows follow each other without gaps, from an offset below T on. */
static int64_t offset_of(int64_t *start, int64_t n, int64_t context)
{
    qsort(start, (size_t)n, sizeof *start, by_value);
    for (int64_t i = 0; i < n; i++) assert_int_equal(start[i], start[0] + i * context);
    assert_in_range(start[0], 0, context - 1);
    return start[0];
}

static void epochs(void **state)
{
    const int64_t  lengths[] = {65, 66, 127, 128, 129, 191, 192, 193, 1000, 12801};
    static int64_t start[1000];
    for (size_t k = 0; k < sizeof lengths / sizeof *lengths; k++) {
        ls_dataset *d   = fake_new(lengths[k], 64);
        int64_t     all = ls_dataset_epoch(d, true, 1), some = ls_dataset_epoch(d, false, 1);
        assert_int_equal(all, (lengths[k] - 1) / 64);
        assert_true(some >= 1 && (some == all || some == all - 1));
        ls_loader_options o = {.batch = 5, .shards = 2, .ranks = 1, .seed = 3, .in_order = true, .epochs = 1};
        assert_int_equal(walk(d, o, -1, start), all);
        for (int64_t i = 0; i < all; i++) assert_int_equal(start[i], 64 * i);
        o.in_order = false;
        int moved  = 0;
        for (o.epoch = 0; o.epoch < 20; o.epoch++) {
            o.epochs = o.epoch + 1;
            assert_int_equal(walk(d, o, -1, start), some);
            moved += offset_of(start, some, 64) != 0;
        }
        if (lengths[k] >= 192) assert_in_range(moved, 15, 20); /* 1 of 64 offsets is 0 */
        ls_dataset_free(d);
    }
}

static void ranks_and_resuming(void **state)
{
    static int64_t    whole[2000], part[2000];
    ls_dataset       *d = fake_new(5000, 32);
    ls_loader_options o = {.batch = 12, .shards = 8, .ranks = 1, .seed = 7, .epochs = 3};
    int64_t           n = walk(d, o, -1, whole), epoch = ls_dataset_epoch(d, false, 1);
    assert_int_equal(n, 3 * epoch);
    assert_memory_not_equal(whole, whole + epoch, (size_t)epoch * sizeof *whole);
    for (o.ranks = 2; o.ranks <= 4; o.ranks++) {
        assert_int_equal(walk(d, o, -1, part), n);
        assert_memory_equal(part, whole, (size_t)n * sizeof *whole);
    }
    for (int64_t at = 0; at < n; at += 12 * 5) { /* checkpoints are taken at the end of a batch */
        o.ranks      = 1 + (int)(at % 3);
        o.epoch      = at / epoch;
        o.sample     = at % epoch / 12 * 12;
        int64_t from = o.epoch * epoch + o.sample;
        assert_int_equal(walk(d, o, -1, part), n - from);
        assert_memory_equal(part, whole + from, (size_t)(n - from) * sizeof *whole);
    }
    o = (ls_loader_options){.batch = 12, .shards = 8, .ranks = 1, .seed = 8, .epochs = 3};
    walk(d, o, -1, part);
    assert_memory_not_equal(part, whole, (size_t)epoch * sizeof *whole);
    ls_dataset_free(d);
}

/* Sample b of each batch continues stream b; ranks and resuming change nothing. */
static void streams(void **state)
{
    enum { STREAMS = 5, LENGTH = 24, EPOCH = STREAMS * LENGTH };
    static int64_t whole[3 * EPOCH], part[3 * EPOCH];
    ls_dataset    *d = fake_new(1000, 8); /* 124 windows */
    (void)state;
    assert_ok(ls_dataset_streams(d));
    assert_int_equal(ls_dataset_epoch(d, false, STREAMS), EPOCH);
    ls_loader_options o = {.batch = STREAMS, .shards = 4, .ranks = 1, .seed = 7, .epochs = 3};
    assert_int_equal(walk(d, o, -1, whole), 3 * EPOCH);
    for (int i = 0; i < 3 * EPOCH; i++) assert_int_equal(whole[i], 8 * (i % STREAMS * LENGTH + i / STREAMS % LENGTH));
    for (o.ranks = 2; o.ranks <= 4; o.ranks++) {
        assert_int_equal(walk(d, o, -1, part), 3 * EPOCH);
        assert_memory_equal(part, whole, sizeof whole);
    }
    o.ranks = 2, o.epoch = 1, o.sample = 7 * STREAMS;
    assert_int_equal(walk(d, o, -1, part), 2 * EPOCH - 7 * STREAMS);
    assert_memory_equal(part, whole + EPOCH + 7 * STREAMS, (size_t)(2 * EPOCH - 7 * STREAMS) * sizeof *whole);

    ls_loader *l;
    ls_batch   b;
    assert_ok(ls_loader_new(&l, d, .batch = STREAMS, .shards = 1, .ranks = 1, .epochs = 2));
    for (int i = 0; ls_loader_next(l, &b); i++) {
        assert_int_equal(b.inputs, 3);
        assert_string_equal(b.name[2], "start");
        for (int r = 0; r < STREAMS; r++) assert_int_equal(((const int32_t *)b.data[2])[r], 8 * (i % LENGTH));
    }
    ls_loader_free(l);
    assert_fails(ls_loader_new(&l, d, .batch = 125, .shards = 1, .ranks = 1), LS_ERR_DATA,
                 "expected at least one for each of 125 streams");
    ls_dataset_free(d);
}

static void too_long(void **state)
{
    ls_dataset *d = fake_new(65, 64);
    assert_fails(ls_dataset_window(d, 65), LS_ERR_DATA,
                 "has 65 tokens, but a window of 65 tokens and its target need 66");
    assert_fails(ls_dataset_window(d, 0), LS_ERR_USAGE, "context: expected 1 to");
    ls_dataset_free(d);
}

static void without_windows(void **state)
{
    ls_dataset *d = fake_new(65, 64);
    ls_loader  *l;
    d->info.context = 0;
    assert_fails(ls_loader_new(&l, d, .batch = 2, .shards = 1, .ranks = 1), LS_ERR_USAGE, "ls_dataset_window");
    ls_dataset_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(epochs),   cmocka_unit_test(ranks_and_resuming), cmocka_unit_test(streams),
        cmocka_unit_test(too_long), cmocka_unit_test(without_windows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
