/* SPDX-License-Identifier: Apache-2.0
 * Receptive fields, padding and unread pixels against values computed by hand. */
#include "launch/vision/layer_windows.h"

#include "tests/unit.h"

typedef struct expected {
    const char *name; /* NULL: any */
    int64_t     out, field, jump;
} expected;

static int windows_of(const ls_graph *g, ls_layer_windows **windows, ls_arena **memory)
{
    assert_ok(ls_graph_status(g));
    assert_ok(ls_arena_new(memory, "test"));
    return ls_layer_windows_of(g, *memory, windows);
}

static void check(ls_graph *g, const expected *e, int n)
{
    ls_layer_windows *w;
    ls_arena         *memory;
    assert_int_equal(windows_of(g, &w, &memory), n);
    for (int i = 0; i < n; i++) {
        if (w[i].h.out != e[i].out || w[i].h.field != e[i].field || w[i].h.jump != e[i].jump ||
            w[i].w.field != e[i].field || (e[i].name && strcmp(e[i].name, w[i].node->out[0]->name) != 0))
            fail_msg("%s: output %lld, field %lld, jump %lld", w[i].node->out[0]->name, (long long)w[i].h.out,
                     (long long)w[i].h.field, (long long)w[i].h.jump);
    }
    ls_arena_free(memory);
    ls_graph_free(g);
}

/* field += (kernel - 1) jump; then jump *= stride. */
static void lenet5(void **state)
{
    static const expected e[] = {{"conv1", 28, 5, 1}, {NULL, 14, 6, 2}, {"conv2", 10, 14, 2}, {NULL, 5, 16, 4}};
    ls_graph             *g   = ls_graph_new();
    ls_lenet5(g, ls_input(g, "image", LS_F32, 1, 28, 28), .classes = 10);
    check(g, e, 4);
}

static void alexnet(void **state)
{
    static const expected e[] = {{"features.0", 55, 11, 4},    {NULL, 27, 19, 8},          {"features.3", 27, 51, 8},
                                 {NULL, 13, 67, 16},           {"features.6", 13, 99, 16}, {"features.8", 13, 131, 16},
                                 {"features.10", 13, 163, 16}, {NULL, 6, 195, 32},         {NULL, 6, 195, 32}};
    ls_graph             *g   = ls_graph_new();
    ls_alexnet(g, ls_input(g, "image", LS_F32, 3, 224, 224), .classes = 1000);
    check(g, e, 9);
}

/* Behind the first pooling: field 11, jump 4.  A basic block adds 4 jumps; where it has stride 2, the second half of
 * them counts double: 11 + 4 * 8 = 43, + 8 + 16 + 32 = 99, + 112 = 211, + 224 = 435. */
static void resnet18(void **state)
{
    static const expected ends[] = {{NULL, 56, 43, 4}, {NULL, 28, 99, 8}, {NULL, 14, 211, 16}, {NULL, 7, 435, 32}};
    ls_graph             *g      = ls_graph_new();
    ls_layer_windows     *w;
    ls_arena             *memory;
    int                   found = 0;
    ls_resnet(g, ls_input(g, "image", LS_F32, 3, 224, 224), .depth = 18, .classes = 1000);
    const int n = windows_of(g, &w, &memory);
    assert_int_equal(n, 1 + 1 + 16 + 3 + 1); /* conv1, pooling, blocks, shortcuts, mean */
    for (int stage = 0; stage < 4; stage++) {
        char name[32];
        snprintf(name, sizeof name, "layer%d.1.conv2", stage + 1);
        for (int i = 0; i < n; i++) {
            if (strcmp(w[i].node->out[0]->name, name) != 0) continue;
            found++;
            assert_int_equal(w[i].h.out, ends[stage].out);
            assert_int_equal(w[i].h.field, ends[stage].field);
            assert_int_equal(w[i].w.jump, ends[stage].jump);
        }
    }
    assert_int_equal(found, 4);
    assert_int_equal(w[0].h.start, -3);
    assert_int_equal(w[n - 1].h.field, 435 + 6 * 32);
    ls_arena_free(memory);
    ls_graph_free(g);
}

/* The shortcut of CIFAR's networks reads every second pixel, and adds nothing to the field of the block. */
static void resnet20(void **state)
{
    ls_graph         *g = ls_graph_new();
    ls_layer_windows *w;
    ls_arena         *memory;
    ls_resnet_cifar(g, ls_input(g, "image", LS_F32, 3, 32, 32), .depth = 20, .classes = 10);
    const int n = windows_of(g, &w, &memory);
    assert_int_equal(w[n - 2].h.field, 3 + 12 + (2 + 5 * 4) + (4 + 5 * 8)); /* 19 convolutions of 3 x 3 */
    assert_int_equal(w[n - 2].h.jump, 4);
    assert_int_equal(w[n - 2].h.start, -(3 + 12 + (2 + 5 * 4) + (4 + 5 * 8) - 1) / 2);
    ls_arena_free(memory);
    ls_graph_free(g);
}

/* One layer: padding, dilation, unread pixels. */
static void single_layers(void **state)
{
    static const struct {
        ls_conv2d_layer args;
        int64_t         out, inside, unread, field, start;
    } cases[] = {
        {{.kernel = 5, .stride = 2}, 12, 12, 1, 5, 0}, /* 4 + 22 + 1 of 28        */
        {{.kernel = 3, .padding = 1}, 28, 26, 0, 3, -1},
        {{.kernel = 1, .stride = 2}, 14, 14, 14, 1, 0},
        {{.kernel = 3, .dilation = 4}, 20, 20, 0, 9, 0},
        {{.kernel = 2, .stride = 3, .padding = 1}, 10, 9, 9, 2, -1}, /* 1, 4, ... 25            */
        {{.kernel = 5, .same = LS_SAME_TENSORFLOW, .stride = 3}, 10, 8, 0, 5, -2},
        {{.kernel = 3, .pad_top = 2, .pad_left = 2, .pad_bottom = 0}, 28, 26, 0, 3, -2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ls_graph         *g    = ls_graph_new();
        ls_conv2d_layer   args = cases[i].args;
        ls_layer_windows *w;
        ls_arena         *memory;
        args.g    = g;
        args.name = "conv";
        args.x    = ls_input(g, "image", LS_F32, 2, 28, 28);
        args.out  = 3;
        ls__conv2d(args, LS_HERE);
        assert_int_equal(windows_of(g, &w, &memory), 1);
        const ls_layer_axis *h = &w->h;
        if (h->out != cases[i].out || h->inside != cases[i].inside || h->unread != cases[i].unread ||
            h->field != cases[i].field || h->start != cases[i].start)
            fail_msg("case %zu: output %lld, inside %lld, not read %lld, field %lld, start %lld", i, (long long)h->out,
                     (long long)h->inside, (long long)h->unread, (long long)h->field, (long long)h->start);
        ls_arena_free(memory);
        ls_graph_free(g);
    }
}

/* A volume has three axes, a sequence has one. */
static void other_numbers_of_dims(void **state)
{
    ls_graph         *g = ls_graph_new();
    ls_layer_windows *w;
    ls_arena         *memory;
    ls_tensor        *x = ls_conv3d(g, "conv", ls_input(g, "field", LS_F32, 1, 7, 9, 9), 2, .kernel = 3, .stride_d = 2,
                                    .padding_h = 1, .pad_front = 2);
    ls_max_pool3d(x, .kernel = 2);
    assert_int_equal(windows_of(g, &w, &memory), 2);
    assert_true(w[0].d.out == 4 && w[0].d.before == 2 && w[0].d.field == 3 && w[0].d.jump == 2 && w[0].d.inside == 3);
    assert_true(w[0].h.out == 9 && w[0].h.before == 1 && w[0].w.out == 7 && w[0].w.before == 0);
    assert_true(w[1].d.out == 2 && w[1].d.field == 5 && w[1].h.field == 4 && w[1].h.unread == 1);
    assert_true(ls_layer_padded_share(w) == 1 - 3.0 * 7 * 7 / (4 * 9 * 7));
    ls_arena_free(memory);
    ls_graph_free(g);
    g = ls_graph_new();
    x = ls_pad1d(ls_input(g, "signal", LS_F32, 3, 20), .padding = 2, .mode = LS_PAD_CIRCULAR);
    x = ls_conv1d(g, "conv", x, 4, .kernel = 5, .stride = 2, .dilation = 2);
    ls_avg_pool1d(x, .kernel = 3);
    assert_int_equal(windows_of(g, &w, &memory), 2);
    assert_true(w[0].w.in == 24 && w[0].w.out == 8 && w[0].w.field == 9 && w[0].w.start == -2 && w[0].w.jump == 2);
    assert_true(w[0].h.out == 1 && w[0].d.out == 1 && w[1].w.out == 2 && w[1].w.field == 13 && w[1].w.unread == 2);
    ls_arena_free(memory);
    ls_graph_free(g);
}

static void share_of_padding(void **state)
{
    ls_graph         *g = ls_graph_new();
    ls_layer_windows *w;
    ls_arena         *memory;
    ls_conv2d(g, "conv", ls_input(g, "image", LS_F32, 2, 8, 10), 3, .kernel = 3, .padding = 1);
    assert_int_equal(windows_of(g, &w, &memory), 1);
    assert_true(ls_layer_padded_share(w) == 1 - 6.0 * 8 / 80);
    ls_arena_free(memory);
    ls_graph_free(g);
}

static char *printed(const ls_graph *g)
{
    char     *text  = NULL;
    size_t    bytes = 0;
    ls_arena *memory;
    FILE     *f = open_memstream(&text, &bytes);
    assert_ok(ls_arena_new(&memory, "test"));
    ls_layer_windows_print(f, g, memory);
    fclose(f);
    ls_arena_free(memory);
    return text;
}

static void the_table(void **state)
{
    ls_graph  *g = ls_graph_new();
    ls_tensor *x = ls_conv2d(g, "conv", ls_input(g, "image", LS_F32, 1, 28, 30), 3, .kernel = 5, .stride = 2);
    x            = ls_max_pool2d(x, .kernel = 2, .padding = 1, .ceil_mode = true);
    ls_adaptive_avg_pool2d(x, .size = 4);
    char                    *text    = printed(g);
    static const char *const parts[] = {"12 = floor((28 + 2*0 - 1*(5 - 1) - 1) / 2) + 1",
                                        "13 = floor((30 + 2*0 - 1*(5 - 1) - 1) / 2) + 1", "1 row, 1 column: 6.8 %",
                                        "7 = ceil((12 + 2*1 - 1*(2 - 1) - 1) / 2) + 1", "4 windows of up to 3 of 7"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!strstr(text, parts[i])) fail_msg("'%s' is not in:\n%s", parts[i], text);
    free(text);
    ls_graph_free(g);
    g = ls_graph_new();
    x = ls_conv3d(g, "conv", ls_input(g, "field", LS_F32, 1, 7, 9, 9), 2, .kernel = 2, .stride_d = 2);
    ls_avg_pool3d(x, .kernel = 2);
    text                            = printed(g);
    static const char *const rows[] = {"3 = floor((7 + 2*0 - 1*(2 - 1) - 1) / 2) + 1                   2   2 x 1 x 1",
                                       "8 = floor((9 + 2*0 - 1*(2 - 1) - 1) / 1) + 1\n",
                                       "1 plane, 0 rows, 0 columns: 14.3 %", "4 x 3 x 3   4 x 2 x 2"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!strstr(text, rows[i])) fail_msg("'%s' is not in:\n%s", rows[i], text);
    free(text);
    ls_graph_free(g);
    g = ls_graph_new();
    ls_linear(g, "fc", ls_input(g, "x", LS_F32, 8), 2);
    text = printed(g);
    assert_string_equal(text, "");
    free(text);
    ls_graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lenet5),
        cmocka_unit_test(alexnet),
        cmocka_unit_test(resnet18),
        cmocka_unit_test(resnet20),
        cmocka_unit_test(single_layers),
        cmocka_unit_test(share_of_padding),
        cmocka_unit_test(other_numbers_of_dims),
        cmocka_unit_test(the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
