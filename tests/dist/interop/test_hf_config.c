/* SPDX-License-Identifier: Apache-2.0
 * */
/* labels: io */
/* config.json: written from the entries of a model, compared with them, and read as options. */
#include "dist/interop/hf_config.h"
#include "dist/dist.h"
#include "tests/datasets/dataset_files_for_tests.h"
#include "tests/unit.h"

static char folder[FILES_PATH], path[FILES_PATH + 32];

static const ls_config_entry entries[] = {
    {"model_type", LS_CONFIG_TEXT, "gpt2", .checked = true},
    {"architectures", LS_CONFIG_LIST, "GPT2LMHeadModel"},
    {"n_layer", LS_CONFIG_INT, .whole = 2, .checked = true, .required = true, .option = "layers"},
    {"n_head", LS_CONFIG_INT, .whole = 4, .checked = true, .required = true, .option = "heads"},
    {"activation_function", LS_CONFIG_TEXT, "gelu_new", "gelu_pytorch_tanh", .checked = true},
    {"layer_norm_epsilon", LS_CONFIG_REAL, .real = 1e-5, .checked = true},
    {"embd_pdrop", LS_CONFIG_REAL, .real = 0.1},
    {"eos_token_id", LS_CONFIG_TEXT},
    {"tie_word_embeddings", LS_CONFIG_BOOL, .whole = true, .checked = true},
    {"vocab_size", LS_CONFIG_INT, .whole = 9, .option = "classes"},
    {"bias", LS_CONFIG_BOOL, .whole = true, .option = "no_bias"},
    {"norm", LS_CONFIG_TEXT, "layer", .option = "norm"},
};
enum { ENTRIES = sizeof entries / sizeof *entries };

static int setup(void **state)
{
    folder_make(folder);
    snprintf(path, sizeof path, "%s/config.json", folder);
    return 0;
}

static int teardown(void **state)
{
    folder_remove(folder);
    return 0;
}

static void written_files_match(void **state)
{
    static const char expected[] =
        "{\n  \"activation_function\": \"gelu_new\",\n  \"architectures\": [\n    \"GPT2LMHeadModel\"\n  ],\n";
    char      text[1024];
    bool      written;
    ls_graph *silent = ls_graph_new();
    assert_ok(ls_hf_config_save(path, silent, &written));
    assert_false(written);
    assert_int_equal(file_bytes(path), -1);
    assert_ok(ls__hf_config_write(path, entries, ENTRIES));
    text[file_read(path, text, sizeof text - 1)] = 0;
    assert_memory_equal(text, expected, sizeof expected - 1);
    assert_non_null(strstr(text, "\"embd_pdrop\": 0.1,\n"));
    assert_non_null(strstr(text, "\"eos_token_id\": null,\n"));
    assert_non_null(strstr(text, "\"n_layer\": 2,\n"));
    assert_non_null(strstr(text, "\"tie_word_embeddings\": true,\n"));
    assert_ok(ls__hf_config_compare(path, entries, ENTRIES));
    ls_graph_free(silent);
}

static void all_differences_are_listed(void **state)
{
    static const char *const good[] = {
        "{\"n_layer\":2,\"n_head\":4}",
        "{\"n_layer\":2,\"n_head\":4,\"layer_norm_epsilon\":0.00001,\"tie_word_embeddings\":null}",
        "{\"n_layer\":2,\"n_head\":4,\"activation_function\":\"gelu_pytorch_tanh\",\"embd_pdrop\":0.5,\"other\":[1]}"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        file_write(path, good[i], strlen(good[i]));
        assert_ok(ls__hf_config_compare(path, entries, ENTRIES));
    }
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"", "expected JSON, found: "},
        {"{\"n_layer\":2,\"n_layer\":2}", "expected JSON, found: duplicate object key"},
        {"[]", "expected an object of settings"},
        {"{\"n_layer\":2}", "n_head is missing, the model's is 4"},
        {"{\"n_layer\":12,\"n_head\":null}", "n_layer is 12, the model's is 2; n_head is missing, the model's is 4\n  "
                                             "hint: make the model with {layers: 12}"},
        {"{\"n_layer\":12,\"n_head\":16}", "n_layer is 12, the model's is 2; n_head is 16, the model's is 4\n  hint: "
                                           "make the model with {layers: 12, heads: 16}"},
        {"{\"n_layer\":\"2\",\"n_head\":4}", "n_layer is \"2\""},
        {"{\"n_layer\":2,\"n_head\":4,\"activation_function\":\"relu\"}",
         "activation_function is \"relu\", the model's is \"gelu_new\""},
        {"{\"n_layer\":2,\"n_head\":4,\"layer_norm_epsilon\":1e-6}", "layer_norm_epsilon is 1e-6, the model's is 1"},
        {"{\"n_layer\":2,\"n_head\":4,\"tie_word_embeddings\":false}",
         "tie_word_embeddings is false, the model's is true"},
        {"{\"n_layer\":2,\"n_head\":4,\"model_type\":\"bert\"}", "it is of another model: model_type is \"bert\""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        file_write(path, bad[i].text, strlen(bad[i].text));
        assert_fails(ls__hf_config_compare(path, entries, ENTRIES), LS_ERR_DATA, bad[i].says);
        assert_fails(ls__hf_config_compare(path, entries, ENTRIES), LS_ERR_DATA, path);
    }
}

static void a_folder_is_compared_before_its_tensors(void **state)
{
    ls_params *params;
    bool       written;
    ls_graph  *graph = ls_graph_new();
    ls_gpt(.g = graph, .x = ls_input(graph, "tokens", LS_I32, 8), .vocab = 9, .layers = 2, .heads = 4, .width = 8,
           .context = 8);
    assert_ok(ls_params_new(&params, graph, 1));
    assert_ok(ls_hf_config_save(path, graph, &written));
    assert_true(written);
    assert_ok(ls_hf_config_check(path, graph));
    static const char text[] = "{\"n_layer\":3,\"n_head\":4}";
    file_write(path, text, strlen(text));
    assert_fails(ls_safetensors_load(folder, params, false), LS_ERR_DATA, "n_layer is 3, the model's is 2");
    ls_params_free(params);
    ls_graph_free(graph);
}

static void options_of_another_model(void **state)
{
    static const struct {
        const char *text, *options;
        int64_t     classes;
    } good[] = {
        {"{\"n_layer\":12,\"n_head\":4}", "layers: 12, heads: 4", 0},
        {"{\"n_layer\":1,\"n_head\":1,\"vocab_size\":50257,\"bias\":false}", "layers: 1, heads: 1, no_bias: true",
         50257},
        {"{\"n_layer\":1,\"n_head\":1,\"norm\":\"a, b: \\\"c\",\"n_ctx\":5,\"bias\":null}",
         "layers: 1, heads: 1, norm: \"a, b: \\\"c\"", 0},
    };
    char    options[256];
    int64_t classes;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        file_write(path, good[i].text, strlen(good[i].text));
        assert_ok(ls__hf_config_options(path, entries, ENTRIES, options, sizeof options, &classes));
        assert_string_equal(options, good[i].options);
        assert_int_equal(classes, good[i].classes);
    }
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"{\"model_type\":\"llama\",\"n_head\":4}",
         "n_layer: expected a whole number from 1 to 2147483647, found nothing"},
        {"{\"n_layer\":0,\"n_head\":4}", "n_layer: expected a whole number from 1 to 2147483647, found 0"},
        {"{\"n_layer\":2147483648,\"n_head\":4}", "n_layer: expected a whole number from 1"},
        {"{\"n_layer\":2.0,\"n_head\":4}", "n_layer: expected a whole number from 1"},
        {"{\"n_layer\":2,\"n_head\":4,\"bias\":1}", "bias: expected true or false, found 1"},
        {"{\"n_layer\":2,\"n_head\":4,\"norm\":[1]}", "norm: expected a text, found [1]"},
        {"[", "expected JSON, found: "},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        file_write(path, bad[i].text, strlen(bad[i].text));
        assert_fails(ls__hf_config_options(path, entries, ENTRIES, options, sizeof options, &classes), LS_ERR_DATA,
                     bad[i].says);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_files_match), cmocka_unit_test(all_differences_are_listed),
        cmocka_unit_test(a_folder_is_compared_before_its_tensors), cmocka_unit_test(options_of_another_model)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
