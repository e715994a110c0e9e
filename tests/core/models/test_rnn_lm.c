/* SPDX-License-Identifier: Apache-2.0
 * core/models/rnn_lm.c: number of parameters of PyTorch's example word_language_model, and messages. */
#include "core/graph/graph.h"
#include "tests/unit.h"

static void parameters(void **state)
{
    static const struct {
        ls_rnn_cell cell;
        bool        tied;
        int64_t     want;
    } table[] = {{LS_RNN_LSTM, false, 13987678},
                 {LS_RNN_LSTM, true, 7332078},
                 {LS_RNN_GRU, false, 13826878},
                 {LS_RNN_TANH, false, 13505278}};
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        ls_graph  *g = ls_graph_new();
        ls_params *params;
        ls_tensor *y = ls_rnn_lm(g, ls_input(g, "tokens", LS_I32, 35), .vocab = 33278, .cell = table[i].cell,
                                 .tied = table[i].tied);
        assert_ok(ls_graph_status(g));
        assert_string_equal(ls__shape(y), "B x 35 x 33278");
        assert_ok(ls_params_new(&params, g, 1));
        assert_int_equal(ls_params_total(params), table[i].want);
        ls_params_free(params);
        ls_graph_free(g);
    }
}

static void messages(void **state)
{
    static const struct {
        ls_rnn_lm_args a;
        ls_dtype       type;
        bool           target;
        const char    *message;
    } table[] = {{{.embedding = 7, .tied = true}, LS_I32, false, "as wide as the hidden state"},
                 {{.textbook = true}, LS_I32, false, "no attention"},
                 {{.layers = -1}, LS_I32, false, "one layer"},
                 {{0}, LS_F32, false, "expected tokens"}};
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        ls_rnn_lm_args a = table[i].a;
        a.g              = ls_graph_new();
        a.x              = ls_input(a.g, "tokens", table[i].type, 5);
        if (table[i].target) a.target = ls_input(a.g, "next", LS_I32, 5);
        assert_null(ls__rnn_lm(a));
        assert_fails(ls_graph_status(a.g), LS_ERR_USAGE, table[i].message);
        ls_graph_free(a.g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(parameters), cmocka_unit_test(messages)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
