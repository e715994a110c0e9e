/* SPDX-License-Identifier: Apache-2.0 */
/* dist/checkpoint/checkpoint_state.h: every element is written by exactly one writer, whatever their number. */
#include "tests/dist/checkpoint/checkpoint_model.h"
#include "tests/unit.h"

/* Counts in `written` how often each element of each array is written. */
static void add_written(const ls_state *partition, int written[ARRAYS][W], const model *m)
{
    for (int i = 0; i < partition->arrays; i++)
        for (int k = 0; k < partition->array[i].parts; k++) {
            const ls_state_range *r = &partition->array[i].part[k];
            if (m->array[i].data) assert_ptr_equal(r->data, m->array[i].data + r->range.offset);
            for (int64_t e = 0; e < r->range.count; e++) written[i][r->range.offset + e]++;
        }
}

static void expect_once(int written[ARRAYS][W], const ls_state *s)
{
    for (int i = 0; i < s->arrays; i++)
        for (int64_t e = 0; e < s->array[i].count; e++)
            if (written[i][e] != 1) fail_msg("element %d of array %d is written %d times", (int)e, i, written[i][e]);
}

static void replicated_arrays_are_cut_evenly(void **state)
{
    model m;
    model_make(&m, 1);
    for (int writers = 1; writers <= 7; writers++) {
        static int written[ARRAYS][W];
        int64_t    all = 0;
        ls_arena  *arena;
        memset(written, 0, sizeof written);
        assert_ok(ls_arena_new(&arena, "test"));
        for (int w = 0; w < writers; w++) {
            ls_state partition;
            int64_t  elements = ls__state_partition(&m.state, w, writers, arena, &partition);
            assert_in_range(elements, (3 * W + B) / writers, (3 * W + B) / writers + 1);
            add_written(&partition, written, &m);
            all += elements;
        }
        assert_int_equal(all, 3 * W + B);
        expect_once(written, &m.state);
        ls_arena_free(arena);
    }
}

static void a_divided_state_is_written_by_its_owners(void **state)
{
    static int written[ARRAYS][W];
    ls_arena  *arena;
    memset(written, 0, sizeof written);
    assert_ok(ls_arena_new(&arena, "test"));
    model m[3];
    for (int rank = 0; rank < 3; rank++) {
        ls_state partition;
        model_make(&m[rank], 1);
        model_divide(&m[rank], 1, rank, 3);
        ls__state_partition(&m[rank].state, rank, 3, arena, &partition);
        add_written(&partition, written, &m[rank]);
    }
    expect_once(written, &m[0].state);
    ls_arena_free(arena);
}

static void a_rank_that_does_not_write_has_nothing(void **state)
{
    model     m;
    ls_state  partition;
    ls_arena *arena;
    model_make(&m, 1);
    assert_ok(ls_arena_new(&arena, "test"));
    assert_int_equal(ls__state_partition(&m.state, -1, 2, arena, &partition), 0);
    ls_arena_free(arena);
}

static void one_writer_for_each_mebibyte(void **state)
{
    static const int64_t dims[] = {1 << 20};
    static float         values[1 << 20];
    ls_state_array       a    = {"w", NULL, 1, dims, 1 << 20, values};
    ls_state             four = {.arrays = 1, .array = &a}; /* MiB */
    assert_int_equal(ls__state_writers(&four, 8, 0), 4);
    assert_int_equal(ls__state_writers(&four, 3, 0), 3);
    assert_int_equal(ls__state_writers(&four, 8, 6), 6);
    a.divided = true;
    assert_int_equal(ls__state_writers(&four, 8, 1), 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replicated_arrays_are_cut_evenly),
        cmocka_unit_test(a_divided_state_is_written_by_its_owners),
        cmocka_unit_test(a_rank_that_does_not_write_has_nothing),
        cmocka_unit_test(one_writer_for_each_mebibyte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
