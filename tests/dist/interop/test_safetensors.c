/* SPDX-License-Identifier: Apache-2.0
 * */
/* labels: io */
/* Safetensors files: written files are read back, and every kind of malformed file has its message. */
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/graph/params.h"
#include "dist/dist.h"
#include "tests/unit.h"

static char       folder[] = "/tmp/lockstep-safetensors-XXXXXX", path[128];
static ls_graph  *graph;
static ls_params *params;
#define LENGTH(x) (sizeof(x) / sizeof *(x))

/* w: 2 x 3, b: 2, scale: a scalar */
static int setup(void **state)
{
    if (!mkdtemp(folder)) return 1;
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    graph        = ls_graph_new();
    ls_init init = {.kind = LS_INIT_NORMAL};
    ls_param(graph, "w", init, 2, 3);
    ls_param(graph, "b", init, 2);
    ls_param(graph, "scale", init, 1);
    return ls_params_new(&params, graph, 1) != LS_OK;
}

static int teardown(void **state)
{
    ls_params_free(params);
    ls_graph_free(graph);
    unlink(path);
    return rmdir(folder); /* fails if a temporary file is left */
}

static float *values(const char *name) { return ls_params_get(params, ls_params_find(params, name), NULL, NULL, NULL); }

static void write_file(const void *prefix, const char *header, const void *data, size_t bytes)
{
    FILE    *f      = fopen(path, "wb");
    uint64_t length = strlen(header);
    if (prefix) memcpy(&length, prefix, sizeof length);
    fwrite(&length, sizeof length, 1, f);
    fwrite(header, strlen(header), 1, f);
    fwrite(data, bytes, 1, f);
    fclose(f);
}

static void test_round_trip(void **state)
{
    uint64_t digest = ls_params_digest(params);
    assert_ok(ls_safetensors_save(path, params, NULL));
    memset(values("w"), 0, 6 * sizeof(float));
    memset(values("b"), 0, 2 * sizeof(float));
    assert_int_not_equal(ls_params_digest(params), digest);
    assert_ok(ls_safetensors_load(path, params, false));
    assert_int_equal(ls_params_digest(params), digest);
}

/* The exact bytes of a written file. */
static void test_layout(void **state)
{
    for (int i = 0; i < 6; i++) values("w")[i] = (float)i;
    values("b")[0] = -1, values("b")[1] = 0.5f, values("scale")[0] = 7;
    assert_ok(ls_safetensors_save(path, params, NULL));
    static const char header[] =
        "{\"__metadata__\":{\"format\":\"pt\"},\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
        "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[24,32]},"
        "\"scale\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[32,36]}}";
    char               text[512];
    FILE              *f      = fopen(path, "rb");
    size_t             bytes  = fread(text, 1, sizeof text, f);
    uint64_t           length = (strlen(header) + 7) / 8 * 8;
    static const float data[] = {0, 1, 2, 3, 4, 5, -1, 0.5f, 7};
    fclose(f);
    assert_int_equal(bytes, 8 + length + sizeof data);
    assert_memory_equal(text, &length, 8);
    assert_memory_equal(text + 8, header, strlen(header));
    for (size_t i = strlen(header); i < length; i++) assert_int_equal(text[8 + i], ' ');
    assert_memory_equal(text + 8 + length, data, sizeof data);
}

static void test_half_types_and_order(void **state)
{
    /* F16: 1, -2, 65504 (the largest), 2^-24 (the smallest subnormal), -0, inf; BF16: 1.5, -3; in another order than
     * the parameters */
    static const uint16_t data[] = {0x3fc0, 0xc040, 0x3c00, 0xc000, 0x7bff, 0x0001, 0x8000, 0x7c00, 0x0000, 0x4000};
    write_file(NULL,
               "{\"b\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_offsets\":[0,4]},\"scale\":{\"dtype\":\"F32\","
               "\"shape\":[1],\"data_"
               "offsets\":[16,20]},"
               "\"w\":{\"dtype\":\"F16\",\"shape\":[2,3],\"data_offsets\":[4,16]}}",
               data, sizeof data);
    assert_ok(ls_safetensors_load(path, params, false));
    static const float w[] = {1, -2, 65504, 0x1p-24f, -0.0f, __builtin_inff()}, b[] = {1.5f, -3}, scale = 2;
    assert_memory_equal(values("w"), w, sizeof w);
    assert_memory_equal(values("b"), b, sizeof b);
    assert_memory_equal(values("scale"), &scale, sizeof scale);
}

/* Stored bfloat16 values reach the products of a bfloat16 graph unchanged: the copy that is made of the widened values
 * has the bytes of the file.  The file has every bfloat16 value but the two kinds that no product distinguishes:
 * denormal numbers, which products take as zero, and signalling NaNs, which become quiet. */
static void test_bfloat16_is_exact(void **state)
{
    static const char header[] = "{\"m.weight\":{\"dtype\":\"BF16\",\"shape\":[256,256],\"data_offsets\":[0,131072]}}";
    enum { ROWS = 256, N = ROWS * ROWS };
    static uint16_t data[N];
    ls_graph       *g = ls_graph_new();
    ls_params      *p;
    ls_graph_precision(g, LS_BF16);
    ls_tensor *x = ls_input(g, "x", LS_F32, ROWS), *y = ls_linear(g, "m", x, ROWS, .no_bias = true);
    assert_ok(ls_params_new(&p, g, 1));
    for (unsigned i = 0; i < N; i++) {
        const unsigned exponent = i >> 7 & 0xff, mantissa = i & 0x7f;
        const bool     denormal = !exponent && mantissa, signalling = exponent == 0xff && mantissa && mantissa < 0x40;
        data[i] = (uint16_t)(denormal ? i & 0x8000 : signalling ? i | 0x40 : i);
    }
    write_file(NULL, header, data, sizeof data);
    assert_ok(ls_safetensors_load(path, p, false));
    ls__params_refresh(p);
    const ls_param_slot *s    = &p->slot[0];
    const uint16_t      *copy = (const uint16_t *)p->narrow.data + s->offset;
    assert_int_equal(s->count, N);
    assert_memory_equal(copy, data, sizeof data);
    /* A product with x = 1 at position 3 and 0 elsewhere returns column 3 of finite values. */
    float     one[ROWS] = {[3] = 1};
    ls_model *m;
    assert_ok(ls_model_new(&m, g, p, &y, 1, 1));
    for (int i = 0; i < N; i++) data[i] = (uint16_t)(0x3f80 + i % 97);
    write_file(NULL, header, data, sizeof data);
    assert_ok(ls_safetensors_load(path, p, false));
    assert_ok(ls_model_run(m, &(ls_batch){.inputs = 1, .name = {"x"}, .data = {one}, .rows = 1, .global_rows = 1}));
    for (int i = 0; i < ROWS; i++) {
        const uint32_t bits = (uint32_t)data[i * ROWS + 3] << 16;
        assert_memory_equal(&ls_model_output(m, 0)[i], &bits, sizeof bits);
    }
    ls_model_free(m);
    ls_params_free(p);
    ls_graph_free(g);
}

#define W "\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
#define B "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[24,32]},"
#define S "\"scale\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[32,36]}"

static void test_extra_tensors(void **state)
{
    static const float data[10] = {1, 2, 3};
    write_file(NULL, "{" W B S ",\"head\":{\"dtype\":\"I32\",\"shape\":[],\"data_offsets\":[36,40]}}", data,
               sizeof data);
    assert_fails(ls_safetensors_load(path, params, false), LS_ERR_DATA, "1 tensors are not in the model: head");
    assert_ok(ls_safetensors_load(path, params, true));
    assert_memory_equal(values("w"), data, 12);
}

/* A model with a batch norm and a head, and the verdicts of loading it. */
typedef struct verdicts {
    char text[1024];
} verdicts;

static void note(const ls_loaded_tensor *t, void *context)
{
    static const char *const texts[] = LS_ENUM_TEXTS(LS_TENSOR_VERDICT_LIST);
    verdicts                *v       = context;
    size_t                   used    = strlen(v->text);
    snprintf(v->text + used, sizeof v->text - used, "%s: %s; ", t->param ? t->param : t->stored, texts[t->verdict]);
}

/* norm.weight, .bias, .running_mean, .running_var: 2; head.weight: classes x 2, head.bias: classes */
static ls_params *with_head(ls_graph **g, int classes, uint64_t seed)
{
    ls_params *p;
    *g           = ls_graph_new();
    ls_tensor *x = ls_input(*g, "x", LS_F32, 2);
    ls_linear(*g, "head", ls_batch_norm(*g, "norm", x), classes);
    assert_ok(ls_params_new(&p, *g, seed));
    return p;
}

static float *of(ls_params *p, const char *name) { return ls_params_get(p, ls_params_find(p, name), NULL, NULL, NULL); }

static void test_another_head(void **state)
{
    ls_graph             *from_graph, *to_graph;
    ls_params            *from = with_head(&from_graph, 3, 1), *to = with_head(&to_graph, 4, 2);
    verdicts              v     = {""};
    ls_pretrained_options o     = {.head = {"head.weight", "head.bias"}, .each = note, .context = &v};
    static const int      row[] = {2, -1, 0, -1};
    float                 initial[8];
    char                 *text;
    of(from, "norm.running_mean")[1] = 5;
    memcpy(initial, of(to, "head.weight"), sizeof initial);
    assert_ok(ls_safetensors_save(path, from, (ls_metadata[]){{"classes", "a b c"}, {NULL, NULL}}));
    assert_ok(ls_safetensors_metadata(path, "classes", &text));
    assert_string_equal(text, "a b c");
    free(text);
    assert_ok(ls_safetensors_metadata(path, "other", &text));
    assert_null(text);

    assert_fails(ls_pretrained_load(path, to, NULL), LS_ERR_DATA, "'head.weight' is 3 x 2, the model's is 4 x 2");
    assert_ok(ls_pretrained_load(path, to, &o));
    assert_string_equal(v.text, "norm.weight: loaded; norm.bias: loaded; norm.running_mean: loaded; "
                                "norm.running_var: loaded; head.weight: initial values; head.bias: initial values; "
                                "norm.num_batches_tracked: skipped; ");
    assert_memory_equal(of(to, "head.weight"), initial, sizeof initial);
    assert_true(of(to, "norm.running_mean")[1] == 5);

    o.head_row = row;
    o.each     = NULL;
    assert_ok(ls_pretrained_load(path, to, &o));
    for (int k = 0; k < 4; k++) {
        const float *expected = row[k] < 0 ? initial + 2 * k : of(from, "head.weight") + 2 * row[k];
        assert_memory_equal(of(to, "head.weight") + 2 * k, expected, 2 * sizeof *expected);
        if (row[k] >= 0) assert_true(of(to, "head.bias")[k] == of(from, "head.bias")[row[k]]);
    }
    ls_params_free(from), ls_params_free(to);
    ls_graph_free(from_graph), ls_graph_free(to_graph);
}

/* Names of a module that PyTorch's DistributedDataParallel wraps. */
static void test_wrapped_names(void **state)
{
    static const float data[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    write_file(NULL,
               "{\"module.w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
               "\"module.b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[24,32]},"
               "\"module.scale\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[32,36]}}",
               data, sizeof data);
    assert_ok(ls_safetensors_load(path, params, false));
    assert_true(values("w")[5] == 6 && values("b")[0] == 7 && values("scale")[0] == 9);
}

/* Malformed files: the header, the number of bytes of values, and a part of the message. */
static const struct malformed {
    const char *header;
    size_t      bytes;
    const char *message;
} malformed[] = {
    {"", 0, "found a file of 8 bytes"},
    {"x", 0, "found a file of 9 bytes"},
    {"[]", 0, "begins with '{'"},
    {"{\"w\":", 0, "expected JSON in its header"},
    {"{" W W B S "}", 36, "expected JSON in its header, found: duplicate object key"},
    {"{\"w\":3}", 0, "expected an object"},
    {"{\"w\":{}}", 0, "as its dtype"},
    {"{\"w\":{\"dtype\":\"F31\"}}", 0, "unknown dtype 'F31'"},
    {"{\"w\":{\"dtype\":\"F\\u001b[2\"}}", 0, "unknown dtype 'F?[2'"},
    {"{\"w\":{\"dtype\":\"F32\"}}", 0, "as its shape"},
    {"{\"w\":{\"dtype\":\"F32\",\"shape\":[2,-3],\"data_offsets\":[0,24]}}", 24,
     "dimension 1: expected a whole number of at least 0"},
    {"{\"w\":{\"dtype\":\"F32\",\"shape\":[2,1.5],\"data_offsets\":[0,24]}}", 24,
     "dimension 1: expected a whole number of at least 0"},
    {"{\"w\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,24]}}", 24,
     "larger than an address space"},
    {"{\"w\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,24]}}", 24,
     "larger than an address space"},
    {"{\"w\":{\"dtype\":\"F32\",\"shape\":[2,3]}}", 24, "as its data_offsets"},
    {"{\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0]}}", 24, "as its data_offsets"},
    {"{\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,28]}}", 24, "outside of the 24 bytes"},
    {"{\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[24,0]}}", 24, "outside of the 24 bytes"},
    {"{\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[-24,0]}}", 24, "outside of the 24 bytes"},
    {"{\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,20]}}", 20,
     "has 20 bytes, but 2 x 3 of F32 takes 24"},
    {"{" W B S "}", 35, "outside of the 35 bytes"},
    {"{" W B S "}", 40, "4 bytes at its end belong to no tensor"},
    {"{" W "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[20,28]}," S "}", 36, "'w' and 'b' overlap"},
    {"{" W "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[28,36]}}", 36,
     "4 bytes before tensor 'b' belong to no tensor"},
    {"{" W S "}", 36, "8 bytes before tensor 'scale'"},
    {"{\"w\\u001b[31m\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}}", 24,
     "the name of tensor 1 contains control characters"},
    {"{\"__metadata__\":[]," W B S "}", 36, "__metadata__: expected an object of texts"},
    {"{\"__metadata__\":{\"format\":\"pt\",\"epochs\":3}," W B S "}", 36,
     "__metadata__: 'epochs': expected a text as its value"},
    {"{}", 0, "3 of the model's parameters are missing: w, b, scale"},
    {"{\"v\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}," B S "}", 36,
     "missing: w; 1 tensors are not in the model: v"},
    {"{\"w\":{\"dtype\":\"F32\",\"shape\":[3,2],\"data_offsets\":[0,24]}," B S "}", 36,
     "'w' is 3 x 2, the model's is 2 x 3"},
    {"{\"w\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[0,24]}," B S "}", 36, "'w' is 6, the model's is 2 x 3"},
    {"{\"w\":{\"dtype\":\"I64\",\"shape\":[3],\"data_offsets\":[0,24]},\"v\":{\"dtype\":\"F32\",\"shape\":[2],\"data_"
     "offsets\":[24,32]}," S "}",
     36,
     "1 of the model's parameters are missing: b; 1 tensors are not in the model: v; 1 tensors have another shape: 'w' "
     "is 3, the model's is 2 x 3; "
     "1 tensors have a dtype that is none of F32, F16 and BF16: 'w' is I64"},
    {"{\"w\":{\"dtype\":\"I32\",\"shape\":[2,3],\"data_offsets\":[0,24]}," B S "}", 36,
     "none of F32, F16 and BF16: 'w' is I32"},
};

static void test_malformed(void **state)
{
    static const char zeros[64];
    uint64_t          digest = ls_params_digest(params);
    for (size_t i = 0; i < LENGTH(malformed); i++) {
        write_file(NULL, malformed[i].header, zeros, malformed[i].bytes);
        assert_int_equal(ls_safetensors_load(path, params, false), LS_ERR_DATA);
        if (!strstr(ls_error_message(), malformed[i].message) || !strstr(ls_error_message(), path))
            fail_msg("%s\nexpected: %s\nfound: %s", malformed[i].header, malformed[i].message, ls_error_message());
    }
    assert_int_equal(ls_params_digest(params), digest); /* no parameter changed */
}

static void test_wrong_length(void **state)
{
    static const uint64_t lengths[] = {0, 1, 100000, UINT64_MAX, (uint64_t)1 << 63};
    for (size_t i = 0; i < LENGTH(lengths); i++) {
        write_file(&lengths[i], "{}", "", 0);
        assert_fails(ls_safetensors_load(path, params, false), LS_ERR_DATA, "announce a header of");
    }
}

static void test_deep_json(void **state)
{
    char *text = malloc(200001);
    memset(text, '[', 200000);
    memcpy(text, "{\"w\":", 5);
    text[200000] = 0;
    write_file(NULL, text, "", 0);
    assert_fails(ls_safetensors_load(path, params, false), LS_ERR_DATA, "depth");
    free(text);
}

static void test_no_file(void **state)
{
    assert_fails(ls_safetensors_load("/nowhere/model.safetensors", params, false), LS_ERR_ENV,
                 "/nowhere/model.safetensors: cannot be read: No such file");
    assert_int_equal(ls_safetensors_load(folder, params, false), LS_ERR_DATA);
    assert_int_equal(ls_safetensors_save("/nowhere/model.safetensors", params, NULL), LS_ERR_ENV);
}

/* The disk is full: the old file is unchanged, and no temporary file is left (teardown checks that). */
static void test_no_space(void **state)
{
    struct rlimit old, small = {100, RLIM_INFINITY};
    assert_ok(ls_safetensors_save(path, params, NULL));
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    setrlimit(RLIMIT_FSIZE, &small);
    values("scale")[0] += 1;
    ls_status status = ls_safetensors_save(path, params, NULL);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(status, LS_ERR_ENV);
    assert_non_null(strstr(ls_error_message(), "File too large"));
    float now = values("scale")[0];
    assert_ok(ls_safetensors_load(path, params, false));
    assert_true(values("scale")[0] == now - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_layout),
        cmocka_unit_test(test_half_types_and_order),
        cmocka_unit_test(test_bfloat16_is_exact),
        cmocka_unit_test(test_another_head),
        cmocka_unit_test(test_wrapped_names),
        cmocka_unit_test(test_extra_tensors),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_wrong_length),
        cmocka_unit_test(test_deep_json),
        cmocka_unit_test(test_no_file),
        cmocka_unit_test(test_no_space),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
