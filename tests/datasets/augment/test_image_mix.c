/* SPDX-License-Identifier: Apache-2.0
 * Mixup and CutMix: the partner is the sample before in the global batch, on any number of ranks and threads; shares
 * are drawn from Beta(alpha, alpha). */
#include <math.h>

#include "datasets/augment/image_augment.h"
#include "tests/datasets/augment/waves.h"

enum { BATCH = 16, SEED = 3 };

typedef struct mixed {
    float   image[PIXELS], share;
    int32_t label, partner;
} mixed;

/* Rows by epoch and position in the epoch.  COUNT is no multiple of BATCH, so that the last batch is short. */
typedef mixed diary[EPOCHS][COUNT];

static void keep(const ls_batch *b, int64_t row, int64_t epoch, void *context)
{
    diary  *out   = context;
    int32_t label = ((const int32_t *)b->data[1])[row];
    int     at    = 0;
    while (ls_sample_at(SEED, epoch, COUNT, at) != label) at++;
    mixed *m = &(*out)[epoch][at];
    memcpy(m->image, (const float *)b->data[0] + row * PIXELS, sizeof m->image);
    m->label = label;
    assert_int_equal(b->inputs, 4);
    assert_string_equal(b->name[2], "partner");
    assert_string_equal(b->name[3], "partner_share");
    m->partner = ((const int32_t *)b->data[2])[row];
    m->share   = ((const float *)b->data[3])[row];
}

static void load(const ls_augment *augment, int ranks, int64_t sample, diary out)
{
    ls_loader_options o = {
        .batch = BATCH, .shards = ranks > 1 ? 8 : 1, .ranks = ranks, .seed = SEED, .sample = sample, .threads = ranks};
    walk_waves(augment, o, keep, out);
}

static int partner_of(int at)
{
    const int first = at / BATCH * BATCH, rows = COUNT - first < BATCH ? COUNT - first : BATCH;
    return at > first ? at - 1 : first + rows - 1;
}

static void mixup_adds_the_sample_before(void **state)
{
    static diary rows;
    load(&(ls_augment){.mixup = 1}, 1, 0, rows);
    for (int e = 0; e < EPOCHS; e++)
        for (int at = 0; at < COUNT; at++) {
            const mixed *m = &rows[e][at], *before = &rows[e][partner_of(at)];
            assert_int_equal(m->partner, before->label);
            assert_true(m->share == before->share && m->share >= 0 && m->share <= 1);
            for (int p = 0; p < PIXELS; p++) {
                float own = (float)pixel_of(m->label, p) / 255.0f, other = (float)pixel_of(m->partner, p) / 255.0f;
                assert_true(m->image[p] == other * m->share + own * (1 - m->share));
            }
            if (at >= BATCH) assert_true(m->share != rows[e][at - BATCH].share);
            if (e) assert_true(m->share != rows[e - 1][at].share);
        }
}

static void cutmix_replaces_a_rectangle(void **state)
{
    static diary rows;
    int          cut = 0;
    load(&(ls_augment){.cutmix = 1}, 1, 0, rows);
    for (int e = 0; e < EPOCHS; e++)
        for (int at = 0; at < COUNT; at++) {
            const mixed *m     = &rows[e][at];
            int          other = 0, top = HEIGHT, bottom = -1, left = WIDTH, right = -1;
            assert_int_equal(m->partner, rows[e][partner_of(at)].label);
            for (int p = 0; p < HEIGHT * WIDTH; p++) {
                bool is_own = true, is_other = true;
                for (int c = 0; c < CHANNELS; c++) {
                    int q = c * HEIGHT * WIDTH + p;
                    is_own &= m->image[q] == (float)pixel_of(m->label, q) / 255.0f;
                    is_other &= m->image[q] == (float)pixel_of(m->partner, q) / 255.0f;
                }
                assert_true(is_own != is_other);
                if (!is_other) continue;
                other++;
                top    = p / WIDTH < top ? p / WIDTH : top;
                bottom = p / WIDTH > bottom ? p / WIDTH : bottom;
                left   = p % WIDTH < left ? p % WIDTH : left;
                right  = p % WIDTH > right ? p % WIDTH : right;
            }
            assert_true(m->share == (float)(other / (double)(HEIGHT * WIDTH)));
            if (other) assert_int_equal(other, (bottom - top + 1) * (right - left + 1));
            cut += other > 0;
        }
    assert_in_range(cut, EPOCHS * COUNT / 3, EPOCHS * COUNT);
}

/* With both, each batch takes one. */
static void both(void **state)
{
    int cuts = 0;
    for (int64_t batch = 0; batch < 1000; batch++)
        cuts += ls__mix_draw(&(ls_augment){.mixup = 1, .cutmix = 1}, 32, 32, 5, 2, batch * BATCH).cut;
    assert_in_range(cuts, 430, 570);
}

static void same_for_ranks_and_restarts(void **state)
{
    static const ls_augment all = {.mixup = 0.4f, .cutmix = 1, .crop = 2, .flip = true, .erase = 0.5f};
    static diary            once, again;
    load(&all, 1, 0, once);
    for (int ranks = 2; ranks <= 4; ranks++) {
        memset(again, 0, sizeof again);
        load(&all, ranks, 0, again);
        assert_memory_equal(once, again, sizeof once);
    }
    memset(again[1], 0, sizeof again[1]);
    memset(again[2], 0, sizeof again[2]);
    memset(&again[0][BATCH * 10], 0, sizeof *again[0] * (COUNT - BATCH * 10));
    load(&all, 3, BATCH * 10, again);
    assert_memory_equal(once, again, sizeof once);
}

static void keep_plain(const ls_batch *b, int64_t row, int64_t epoch, void *context)
{
    int *rows = context;
    (void)epoch;
    assert_int_equal(((const int32_t *)b->data[1])[row], ((const int32_t *)b->data[2])[row]);
    assert_true(((const float *)b->data[3])[row] == 0);
    for (int p = 0; p < PIXELS; p++)
        assert_true(((const float *)b->data[0])[row * PIXELS + p] ==
                    (float)pixel_of(((const int32_t *)b->data[1])[row], p) / 255.0f);
    ++*rows;
}

static void evaluation_is_not_mixed(void **state)
{
    int rows = 0;
    walk_waves(&(ls_augment){.mixup = 1, .flip = true, .erase = 1},
               (ls_loader_options){.batch = BATCH, .shards = 1, .ranks = 1, .in_order = true}, keep_plain, &rows);
    assert_int_equal(rows, EPOCHS * COUNT);
}

/* Mean, variance and the shares below 0.1 and 0.3 of Beta(alpha, alpha); alpha = 1 is uniform. */
static void shares_are_drawn_from_beta(void **state)
{
    static const struct {
        double alpha, below_1, below_3; /* regularised incomplete beta functions, by scipy.special.betainc */
    } cases[] = {{0.2, 0.33669, 0.4332}, {1, 0.1, 0.3}, {2.5, 0.01537, 0.18697}, {0.01, 0.4892, 0.49582}};
    enum { DRAWS = 20000 };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        double     sum = 0, squares = 0, below_1 = 0, below_3 = 0, a = cases[k].alpha;
        ls_augment o = {.mixup = (float)a};
        for (int64_t batch = 0; batch < DRAWS; batch++) {
            double share = ls__mix_draw(&o, 32, 32, 7, 0, batch).share;
            assert_true(share >= 0 && share <= 1);
            sum += share;
            squares += share * share;
            below_1 += share < 0.1;
            below_3 += share < 0.3;
        }
        double mean = sum / DRAWS;
        assert_float_equal(mean, 0.5, 0.015);
        assert_float_equal(squares / DRAWS - mean * mean, 1 / (4 * (2 * a + 1)), 0.006);
        assert_float_equal(below_1 / DRAWS, cases[k].below_1, 0.015);
        assert_float_equal(below_3 / DRAWS, cases[k].below_3, 0.015);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mixup_adds_the_sample_before),
        cmocka_unit_test(cutmix_replaces_a_rectangle),
        cmocka_unit_test(both),
        cmocka_unit_test(same_for_ranks_and_restarts),
        cmocka_unit_test(evaluation_is_not_mixed),
        cmocka_unit_test(shares_are_drawn_from_beta),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
