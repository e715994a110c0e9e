/* SPDX-License-Identifier: Apache-2.0
 * core/models/decoder.c: the numbers of parameters of published models, and arguments that are refused.  Values are
 * compared with transformers in tests/dist/trainer/test_decoder_training.c. */
#include "core/graph/graph.h"
#include "tests/unit.h"

static int64_t parameters(ls_decoder_args a)
{
    int64_t n = 0;
    a.g       = ls_graph_new();
    a.x       = ls_input(a.g, "tokens", LS_I32, 8);
    ls__decoder(a);
    assert_ok(ls_graph_status(a.g));
    for (int i = 0; i < a.g->tensors; i++)
        if (a.g->tensor[i]->role == LS_ROLE_PARAM) n += ls__numel(a.g->tensor[i]);
    ls_graph_free(a.g);
    return n;
}

static void published_sizes(void **state)
{
    const ls_decoder_args llama = {.norm = LS_NORM_RMS, .activation = LS_SILU, .tied = true};
    ls_decoder_args       a     = llama;
    a.vocab = 49152, a.width = 576, a.layers = 30, a.heads = 9, a.kv_heads = 3, a.hidden = 1536;
    assert_int_equal(parameters(a), 134515008); /* SmolLM2 135M */
    a       = llama;
    a.vocab = 128256, a.width = 2048, a.layers = 16, a.heads = 32, a.kv_heads = 8, a.hidden = 8192;
    assert_int_equal(parameters(a), 1235814400); /* Llama 3.2 1B */
    a       = llama;
    a.vocab = 151936, a.width = 896, a.layers = 24, a.heads = 14, a.kv_heads = 2, a.hidden = 4864, a.bias = LS_BIAS_QKV;
    assert_int_equal(parameters(a), 494032768); /* Qwen2.5 0.5B */
    a       = llama;
    a.vocab = 151936, a.width = 1024, a.layers = 28, a.heads = 16, a.kv_heads = 8, a.head_width = 128, a.hidden = 3072,
    a.qk_norm = true;
    assert_int_equal(parameters(a), 596049920); /* Qwen3 0.6B */
    a       = llama;
    a.vocab = 262144, a.width = 1152, a.layers = 26, a.heads = 4, a.kv_heads = 1, a.head_width = 256, a.hidden = 6912,
    a.qk_norm = true, a.sandwich = true, a.norm = LS_NORM_RMS_PLUS_ONE, a.activation = LS_GELU_TANH;
    assert_int_equal(parameters(a), 999885952); /* Gemma 3 1B */
}

static void mistakes_are_named(void **state)
{
    static const struct {
        ls_decoder_args args;
        bool            target, floats;
        const char     *says;
    } table[] = {
        {{.heads = 4, .kv_heads = 3}, .says = "heads that are a multiple of kv_heads"},
        {{.layers = -1}, .says = "found layers -1"},
        {{.heads = 4, .head_width = 3}, .says = "an even head_width"},
        {{.heads = INT32_MAX, .kv_heads = 1}, .says = "widths of at most 1048576, found layers 4, heads 2147483647"},
        {{.hidden = (int64_t)1 << 40}, .says = "hidden 1099511627776"},
        {{.context = 7}, .says = "expected at most 7 positions, the context"},
        {{.rope_share = 2}, .says = "expected a rope_share from 0 to 1, found 2"},
        {{.cached = 9}, .target = true, .says = "cached and a target exclude each other"},
        {{.cached = 9, .textbook = true}, .says = "cached and textbook exclude each other"},
        {{.activation = LS_RELU}, .says = "a gated perceptron has the activation silu or gelu"},
        {{.activation = LS_SILU}, .floats = true, .says = "expected tokens, B x T of int32"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        ls_graph       *g = ls_graph_new();
        ls_decoder_args a = table[i].args;
        a.g               = g;
        a.x               = ls_input(g, "tokens", table[i].floats ? LS_F32 : LS_I32, 8);
        if (table[i].target) a.target = ls_input(g, "target", LS_I32, 8);
        assert_null(ls__decoder(a));
        assert_fails(ls_graph_status(g), LS_ERR_USAGE, table[i].says);
        ls_graph_free(g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(published_sizes), cmocka_unit_test(mistakes_are_named)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
