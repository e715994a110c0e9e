/* SPDX-License-Identifier: Apache-2.0
 * */
/* labels: io */
/* Folders as Hugging Face writes them: transposed matrices, several files with an index, other names. */
#include <sys/stat.h>
#include <unistd.h>

#include "core/graph/graph.h"
#include "dist/dist.h"
#include "tests/datasets/dataset_files_for_tests.h"
#include "tests/unit.h"

enum { V = 5, C = 3 };
#define WIDE (((int64_t)1 << 18) + 3) /* a row longer than a tile of the transposition */

static char       folder[FILES_PATH];
static ls_graph  *graph;
static ls_params *params;

/* transformer.wte.weight: 5 x 3;  transformer.h.0.attn.c_attn.weight: 4 x 3, stored transposed */
static int setup(void **state)
{
    folder_make(folder);
    graph        = ls_graph_new();
    ls_init init = {.kind = LS_INIT_NORMAL};
    ls_param(graph, "transformer.wte.weight", init, V, C);
    ls_param(graph, "transformer.h.0.attn.c_attn.weight", init, 4, 3);
    ls__graph_model(graph, "gpt", &(ls_gpt_args){0}, sizeof(ls_gpt_args));
    return ls_params_new(&params, graph, 1) != LS_OK;
}

static int teardown(void **state)
{
    ls_params_free(params);
    ls_graph_free(graph);
    folder_remove(folder);
    return 0;
}

static float *values(int i) { return ls_params_get(params, i, NULL, NULL, NULL); }

static const char *in_folder(const char *name)
{
    static char path[4][FILES_PATH + 64];
    static int  next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", folder, name);
    return path[next];
}

static void put_text(const char *name, const char *text) { file_write(in_folder(name), text, strlen(text)); }

static void put_tensors(const char *name, const char *header, const float *data, size_t floats)
{
    uint64_t length = strlen(header);
    char     bytes[4096];
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, header, length);
    memcpy(bytes + 8 + length, data, floats * sizeof *data);
    file_write(in_folder(name), bytes, 8 + length + floats * sizeof *data);
}

/* Values of the file: 0, 1, 2, ... of the embedding, and 100, 101, ... of the matrix, stored as 3 x 4. */
static float stored[15 + 12 + 15];
static void  fill(void)
{
    for (int i = 0; i < 15; i++) stored[i] = stored[27 + i] = (float)i;
    for (int i = 0; i < 12; i++) stored[15 + i] = (float)(100 + i);
}

static void assert_loaded(void)
{
    for (int i = 0; i < 15; i++) assert_true(values(0)[i] == (float)i);
    for (int o = 0; o < 4; o++)
        for (int i = 0; i < 3; i++) assert_true(values(1)[o * 3 + i] == (float)(100 + i * 4 + o));
    for (int i = 0; i < 15; i++) values(0)[i] = -1;
    for (int i = 0; i < 12; i++) values(1)[i] = -1;
}

#define WTE(name) "\"" name "\":{\"dtype\":\"F32\",\"shape\":[5,3],\"data_offsets\":[0,60]}"
#define ATTN(name) "\"" name "\":{\"dtype\":\"F32\",\"shape\":[3,4],\"data_offsets\":[60,108]}"
#define REST(name, shape) "\"" name "\":{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":[108,168]}"
#define BOTH "{" WTE("transformer.wte.weight") "," ATTN("transformer.h.0.attn.c_attn.weight")

static void conv1d_is_stored_in_by_out(void **state)
{
    char text[512];
    fill();
    put_tensors("model.safetensors", BOTH "}", stored, 27);
    assert_ok(ls_safetensors_load(in_folder("model.safetensors"), params, false));
    assert_loaded();
    assert_ok(ls_safetensors_load(folder, params, false));
    assert_ok(ls_safetensors_save(in_folder("again"), params, NULL));
    size_t bytes = file_read(in_folder("again"), text, sizeof text);
    assert_memory_equal(text + bytes - 27 * 4, stored, 27 * 4);
    text[bytes - 27 * 4] = 0;
    assert_non_null(strstr(text + 8, "\"transformer.h.0.attn.c_attn.weight\":{\"dtype\":\"F32\",\"shape\":[3,4]"));
    assert_loaded();
}

/* Rows longer than a tile, and many rows of an odd length. */
static void large_matrices_are_transposed_in_tiles(void **state)
{
    static const int64_t dims[][2] = {{WIDE, 2}, {1000, 777}, {1, 5}};
    for (size_t k = 0; k < sizeof dims / sizeof *dims; k++) {
        ls_graph  *g = ls_graph_new();
        ls_params *p;
        int64_t    out = dims[k][0], in = dims[k][1];
        ls_param(g, "h.0.mlp.c_fc.weight", (ls_init){.kind = LS_INIT_ZEROS}, out, in);
        ls__graph_model(g, "gpt", &(ls_gpt_args){0}, sizeof(ls_gpt_args));
        assert_ok(ls_params_new(&p, g, 1));
        float *w = ls_params_get(p, 0, NULL, NULL, NULL), *file = malloc((size_t)(out * in) * sizeof *file + 4096);
        for (int64_t i = 0; i < out * in; i++) w[i] = (float)i;
        assert_ok(ls_safetensors_save(in_folder("large"), p, NULL));
        size_t bytes = file_read(in_folder("large"), file, (size_t)(out * in) * sizeof *file + 4096);
        float *data  = (float *)((char *)file + bytes - (size_t)(out * in) * sizeof *file);
        for (int64_t i = 0; i < in; i++)
            for (int64_t o = 0; o < out; o++)
                if (data[i * out + o] != (float)(o * in + i))
                    fail_msg("element %lld, %lld", (long long)i, (long long)o);
        memset(w, 0, (size_t)(out * in) * sizeof *w);
        assert_ok(ls_safetensors_load(in_folder("large"), p, false));
        for (int64_t i = 0; i < out * in; i++)
            if (w[i] != (float)i) fail_msg("value %lld", (long long)i);
        free(file);
        ls_params_free(p);
        ls_graph_free(g);
    }
}

static void names_of_hugging_face(void **state)
{
    static const char *const good[] = {
        "{" WTE("wte.weight") "," ATTN("h.0.attn.c_attn.weight") "}",
        BOTH "," REST("transformer.h.0.attn.bias", "[1,1,15]") "}",
        "{" WTE("wte.weight") "," ATTN("h.0.attn.c_attn.weight") "," REST("h.0.attn.masked_bias", "[15]") "}",
        BOTH "," REST("lm_head.weight", "[5,3]") "}",
        "{" WTE("lm_head.weight") "," ATTN("transformer.h.0.attn.c_attn.weight") "}",
    };
    fill();
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        put_tensors("model.safetensors", good[i], stored, strstr(good[i], "168") ? 42 : 27);
        assert_ok(ls_safetensors_load(folder, params, false));
        assert_loaded();
    }
    static const struct {
        const char *header, *message;
    } bad[] = {
        {BOTH "," REST("transformer.h.1.attn.bias", "[15]") "}",
         "1 tensors are not in the model: transformer.h.1.attn.bias"},
        {BOTH "," REST("h.0.mlp.bias", "[15]") "}", "not in the model: h.0.mlp.bias"},
        {BOTH "," REST("wte.weight", "[5,3]") "}", "not in the model: wte.weight"},
        {BOTH "," REST("lm_head.weight", "[3,5]") "}", "'lm_head.weight' is 3 x 5, the model's is 5 x 3"},
        {"{" WTE(
             "wte.weight") ",\"h.0.attn.c_attn.weight\":{\"dtype\":\"F32\",\"shape\":[4,3],\"data_offsets\":[60,108]}}",
         "'h.0.attn.c_attn.weight' is 4 x 3, the model's is 3 x 4 (in x out)"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put_tensors("model.safetensors", bad[i].header, stored, strstr(bad[i].header, "168") ? 42 : 27);
        assert_fails(ls_safetensors_load(folder, params, false), LS_ERR_DATA, bad[i].message);
    }
    stored[27 + 7] = 6.5f;
    put_tensors("model.safetensors", BOTH "," REST("lm_head.weight", "[5,3]") "}", stored, 42);
    assert_fails(ls_safetensors_load(folder, params, false), LS_ERR_DATA,
                 "'lm_head.weight' and 'transformer.wte.weight' differ (6.5 and 7 at element 7)");
}

#define MAP(wte, attn) "{\"metadata\":{},\"weight_map\":{\"wte.weight\":" wte ",\"h.0.attn.c_attn.weight\":" attn "}}"

static void several_files_with_an_index(void **state)
{
    unlink(in_folder("model.safetensors"));
    assert_fails(ls_safetensors_load(folder, params, false), LS_ERR_DATA,
                 "with model.safetensors, or with model.safetensors.index.json, found neither");
    fill();
    put_tensors("a.safetensors", "{" WTE("wte.weight") "}", stored, 15);
    put_tensors("b.safetensors",
                "{\"h.0.attn.c_attn.weight\":{\"dtype\":\"F32\",\"shape\":[3,4],\"data_offsets\":[0,48]}}", stored + 15,
                12);
    put_text("model.safetensors.index.json", MAP("\"a.safetensors\"", "\"b.safetensors\""));
    assert_ok(ls_safetensors_load(folder, params, false));
    assert_loaded();
    static const struct {
        const char *index, *message;
    } bad[] = {
        {"", "expected JSON, found: "},
        {"[]", "expected an object with a 'weight_map'"},
        {"{\"weight_map\":[]}", "expected an object with a 'weight_map'"},
        {"{\"weight_map\":{}}", "its weight_map is empty"},
        {MAP("3", "\"b.safetensors\""),
         "tensor 'wte.weight': expected the name of a file in the same folder, found no text"},
        {MAP("\"../a.safetensors\"", "\"b.safetensors\""), "found '../a.safetensors'"},
        {MAP("\"/a.safetensors\"", "\"b.safetensors\""), "found '/a.safetensors'"},
        {MAP("\"..\"", "\"b.safetensors\""), "found '..'"},
        {MAP("\"\"", "\"b.safetensors\""), "found ''"},
        {MAP("\"c.safetensors\"", "\"b.safetensors\""),
         "index.json: the file 'c.safetensors' that it names is missing"},
        {MAP("\"b.safetensors\"", "\"a.safetensors\""),
         "tensor 'wte.weight' is not in b.safetensors, where the index has it"},
        {MAP("\"a.safetensors\"", "\"a.safetensors\""), "'h.0.attn.c_attn.weight' is not in a.safetensors"},
        {"{\"weight_map\":{\"wte.weight\":\"a.safetensors\",\"wpe.weight\":\"b.safetensors\"}}",
         "tensor 'wpe.weight' is not in b.safetensors"},
        {MAP("\"model.safetensors.index.json\"", "\"b.safetensors\""), "announce a header of"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put_text("model.safetensors.index.json", bad[i].index);
        ls_status status = ls_safetensors_load(folder, params, false);
        if (status != LS_ERR_DATA || !strstr(ls_error_message(), bad[i].message))
            fail_msg("%s\nexpected: %s\nfound: %s", bad[i].index, bad[i].message, ls_error_message());
    }
    put_tensors("b.safetensors", BOTH "}", stored, 27);
    put_text(
        "model.safetensors.index.json",
        "{\"weight_map\":{\"wte.weight\":\"a.safetensors\",\"transformer.h.0.attn.c_attn.weight\":\"b.safetensors\"}}");
    assert_fails(ls_safetensors_load(folder, params, false), LS_ERR_DATA, "'transformer.wte.weight' is in ");
    put_tensors("b.safetensors", "{" WTE("wte.weight") "}", stored, 15);
    assert_fails(ls_safetensors_load(folder, params, false), LS_ERR_DATA, "'wte.weight' is in two of its files");
    unlink(in_folder("model.safetensors.index.json"));
    assert_int_equal(mkfifo(in_folder("model.safetensors.index.json"), 0600), 0); /* opening it must not block */
    assert_fails(ls_safetensors_load(folder, params, false), LS_ERR_DATA, "index.json: expected a regular file");
    unlink(in_folder("model.safetensors.index.json"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conv1d_is_stored_in_by_out), cmocka_unit_test(large_matrices_are_transposed_in_tiles),
        cmocka_unit_test(names_of_hugging_face), cmocka_unit_test(several_files_with_an_index)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
