/* SPDX-License-Identifier: Apache-2.0
 * core/models/lenet5.c: parameters, and logits equal to those of PyTorch's LeNet-5 with the same weights. */
#include "core/base/isa.h"
#include "tests/golden_lenet5.h"

static const struct {
    const char *name;
    int64_t     dim[4];
} layout[] = {
    {"conv1.weight", {6, 1, 5, 5}}, {"conv1.bias", {6}}, {"conv2.weight", {16, 6, 5, 5}}, {"conv2.bias", {16}},
    {"fc1.weight", {120, 400}},     {"fc1.bias", {120}}, {"fc2.weight", {84, 120}},       {"fc2.bias", {84}},
    {"fc3.weight", {10, 84}},       {"fc3.bias", {10}},
};
enum { PARAMS = sizeof layout / sizeof *layout };

/* Parameters have PyTorch's names, order and layouts. */
static void parameters(void **state)
{
    (void)state;
    ls_graph  *g = ls_graph_new();
    ls_params *params;
    ls_lenet5(g, ls_input(g, "image", LS_F32, 1, 28, 28));
    if (ls_params_new(&params, g, 1) != LS_OK) fail_msg("%s", ls_error_message());
    assert_int_equal(ls_params_total(params), 61706);
    assert_int_equal(ls_params_count(params), PARAMS);
    for (int i = 0; i < PARAMS; i++) {
        const char    *name;
        const int64_t *dim;
        int            rank;
        ls_params_get(params, i, &name, &rank, &dim);
        assert_string_equal(name, layout[i].name);
        for (int d = 0; d < 4; d++) assert_int_equal(d < rank ? dim[d] : 0, layout[i].dim[d]);
    }
    ls_params_free(params);
    ls_graph_free(g);
}

static void logits_as_pytorch(void **state)
{
    (void)state;
    static golden_batch batch;
    golden              file = golden_open("values/lenet5.txt");
    assert_true(golden_next(&file));
    const golden_array *want = golden_get(&file, "logits");
    golden_batch_fill(&batch, 0);
    for (int isa = 0; isa <= (int)ls_isa_best(); isa++) {
        assert_int_equal(ls_isa_set((ls_isa)isa), LS_OK);
        ls_graph  *g      = ls_graph_new();
        ls_tensor *logits = ls_lenet5(g, ls_input(g, "image", LS_F32, 1, 28, 28));
        ls_params *params;
        ls_model  *m;
        if (ls_params_new(&params, g, 1) != LS_OK || ls_model_new(&m, g, params, &logits, 1, GOLDEN_BATCH) != LS_OK)
            fail_msg("%s", ls_error_message());
        golden_weights(params);
        for (int64_t rows = GOLDEN_BATCH; rows > 0; rows -= 7) { /* the whole batch, and parts of it */
            ls_batch share = golden_share(&batch, GOLDEN_BATCH - rows, rows);
            share.inputs   = 1;
            if (ls_model_run(m, &share) != LS_OK) fail_msg("%s", ls_error_message());
            golden_close_to(&file, "logits", rows * 10, ls_model_output(m, 0), want->f32 + (GOLDEN_BATCH - rows) * 10,
                            1e-5, 1e-5);
        }
        ls_model_free(m);
        ls_params_free(params);
        ls_graph_free(g);
    }
    golden_close(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(parameters), cmocka_unit_test(logits_as_pytorch)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
