/* SPDX-License-Identifier: Apache-2.0
 * Samples of masked text: their layout, the number and kinds of masks, the second part, whole words; other masks in
 * each epoch, and the same ones for any number of ranks. */
#include <math.h>

#include "core/base/arena.h"
#include "datasets/files/dataset.h"
#include "tests/unit.h"

/* Token i of the fake text is i + FIRST; a token that is 1, 2 or 3 modulo 4 continues the word of the one before. */
enum { TOKENS = 4000, FIRST = 10, CLASSES = TOKENS + FIRST, CONTEXT = 32, CLS = 2, SEP = 3, MASK = 4 };

static ls_status read_fake(ls_dataset *d, int64_t first, int64_t n, int32_t *tokens)
{
    for (int64_t i = 0; i < n; i++) tokens[i] = (int32_t)(FIRST + first + i);
    assert_true(first >= 0 && first + n <= d->info.tokens);
    return LS_OK;
}

static void close_fake(ls_dataset *d) { free(d); }

static ls_dataset *fake_new(void)
{
    ls_dataset *d = calloc(1, sizeof *d);
    assert_ok(ls_arena_new(&d->arena, "fake"));
    d->info =
        (ls_dataset_info){.split = "train", .path = "fake", .kind = LS_DATA_TEXT, .tokens = TOKENS, .classes = CLASSES};
    d->tokens = read_fake;
    d->close  = close_fake;
    return d;
}

static ls_masking masking(bool pairs, bool words)
{
    static bool continues[CLASSES];
    for (int i = FIRST; i < CLASSES; i++) continues[i] = (i - FIRST) % 4 != 0;
    return (ls_masking){
        .part = 0.15f, .pairs = pairs, .cls = CLS, .sep = SEP, .mask = MASK, .continues = words ? continues : NULL};
}

typedef struct counts {
    int64_t samples, positions, masked, kept, replaced, next, whole, part;
} counts;

/* Checks row r.  The column target has the original tokens of the masked positions. */
static void check_row(const ls_batch *b, int64_t r, bool pairs, bool words, counts *c)
{
    const int32_t *x = (const int32_t *)b->data[0] + r * CONTEXT, *type = (const int32_t *)b->data[1] + r * CONTEXT,
                  *y     = (const int32_t *)b->data[3] + r * CONTEXT;
    const int32_t length = ((const int32_t *)b->data[2])[r], next = ((const int32_t *)b->data[4])[r];
    int32_t       text[CONTEXT];
    int           sep = 0, n = 0, first = 0, masks = 0;
    assert_true(length >= 4 && length <= CONTEXT);
    assert_int_equal(x[0], CLS);
    assert_int_equal(x[length - 1], SEP);
    for (int t = 0; t < CONTEXT; t++) {
        if (t >= length) assert_true(!x[t] && !type[t] && y[t] == -1);
        if (t >= length || x[t] == CLS) continue;
        if (y[t] < 0 && x[t] == SEP) {
            if (!sep++) first = n;
            continue;
        }
        assert_int_equal(type[t], sep);
        text[n++] = y[t] < 0 ? x[t] : y[t];
        masks += y[t] >= 0;
        c->masked += y[t] >= 0 && x[t] == MASK;
        c->kept += y[t] >= 0 && x[t] == y[t];
        c->replaced += y[t] >= 0 && x[t] != MASK && x[t] != y[t];
    }
    assert_int_equal(sep, pairs ? 2 : 1);
    assert_int_equal(length, n + (pairs ? 3 : 2));
    assert_int_equal(masks, (int)lround(0.15 * n) ? (int)lround(0.15 * n) : 1);
    for (int k = 1; k < n; k++)
        if (k != first || (pairs && !next)) assert_int_equal(text[k], text[k - 1] + 1);
    if (!pairs) assert_int_equal(next, 0);
    c->samples++;
    c->positions += masks;
    c->next += next;
    for (int t = 1; words && t < length; t++) { /* masked runs begin where words begin, all but the last end there */
        const bool begins = y[t] >= 0 && (y[t] - FIRST) % 4 == 0, before = y[t - 1] >= 0;
        if (y[t] >= 0 && !begins && !before) assert_true(x[t - 1] == CLS || (x[t - 1] == SEP && y[t - 1] < 0));
    }
}

static counts run_epoch(bool pairs, bool words, int64_t epoch, int ranks, uint64_t *sum)
{
    ls_dataset      *d      = fake_new();
    const ls_masking m      = masking(pairs, words);
    counts           c      = {0};
    double           scaled = 0;
    assert_ok(ls_dataset_window(d, CONTEXT));
    assert_ok(ls_dataset_mask(d, &m));
    assert_int_equal(ls_dataset_info_of(d).columns, 6);
    *sum = 0;
    for (int rank = 0; rank < ranks; rank++) {
        ls_loader *l;
        ls_batch   b;
        assert_ok(ls_loader_new(&l, d, .batch = 12, .shards = 4, .ranks = ranks, .rank = rank, .seed = 5,
                                .epoch = epoch, .epochs = epoch + 1));
        for (int64_t at = 0; ls_loader_next(l, &b); at++) {
            int64_t before = c.positions;
            for (int64_t r = 0; r < b.rows; r++) {
                check_row(&b, r, pairs, words, &c);
                for (int t = 0; t < CONTEXT; t++)
                    *sum += (uint64_t)(((const int32_t *)b.data[0])[r * CONTEXT + t] + 1) * (uint64_t)(t + 7) *
                            (uint64_t)(at + 3);
            }
            if (b.rows) scaled += (double)((const float *)b.data[5])[0] * (double)(c.positions - before);
            if (ranks == 1)
                assert_float_equal(((const float *)b.data[5])[0] * (float)(c.positions - before), (float)b.rows, 1e-3);
        }
        assert_ok(ls_loader_status(l));
        ls_loader_free(l);
    }
    assert_float_equal(scaled, (double)c.samples,
                       1e-2); /* scale x masked positions, over a global batch: its samples */
    ls_dataset_free(d);
    return c;
}

static void layout(void **state)
{
    for (int k = 0; k < 4; k++) {
        counts   all = {0};
        uint64_t sum, other;
        for (int64_t epoch = 0; epoch < 20; epoch++) {
            const counts c = run_epoch(k & 1, k & 2, epoch, 1, &sum);
            if (epoch < 2) {
                run_epoch(k & 1, k & 2, epoch, 4, &other);
                assert_int_equal(other, sum);
                run_epoch(k & 1, k & 2, epoch + 1, 1, &other);
                assert_int_not_equal(other, sum);
            }
            assert_int_equal(c.samples, TOKENS / CONTEXT - 1);
            all.samples += c.samples;
            all.positions += c.positions;
            all.masked += c.masked;
            all.kept += c.kept;
            all.replaced += c.replaced;
            all.next += c.next;
        }
        const double n = (double)all.positions;
        assert_float_equal((double)all.masked / n, 0.8, 0.02);
        assert_float_equal((double)all.kept / n, 0.1, 0.02);
        assert_float_equal((double)all.replaced / n, 0.1, 0.02);
        if (k & 1) assert_float_equal((double)all.next / (double)all.samples, 0.5, 0.04);
    }
}

static void options_are_checked(void **state)
{
    static const struct {
        ls_masking  m;
        int64_t     context;
        const char *says;
    } table[] = {{{.part = 0}, 32, "part: expected more than 0"},
                 {{.part = 1}, 32, "part: expected more than 0 and less than 1, found 1"},
                 {{.part = 0.1f}, 7, "context: expected at least 8 tokens, found 7"},
                 {{.part = 0.1f, .cls = -1}, 32, "cls, sep, mask: expected tokens"},
                 {{.part = 0.1f, .mask = CLASSES}, 32, "cls, sep, mask: expected tokens, 0 to 4009"},
                 {{.part = 0.1f}, 0, "call ls_dataset_window first"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        ls_dataset *d = fake_new();
        if (table[i].context) assert_ok(ls_dataset_window(d, table[i].context));
        assert_fails(ls_dataset_mask(d, &table[i].m), LS_ERR_USAGE, table[i].says);
        ls_dataset_free(d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(layout), cmocka_unit_test(options_are_checked)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
