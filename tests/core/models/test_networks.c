/* SPDX-License-Identifier: Apache-2.0
 * Convolutional networks: numbers of parameters as torchvision's and timm's, which do not count running statistics, and
 * what the models refuse.  tests/dist/trainer/test_network_training.c compares names and values. */
#include "core/graph/params.h"
#include "tests/unit.h"

enum { RESNET, RESNET_CIFAR, ALEXNET, ALEXNET_ORIGINAL, VGG, VGG_BN, EFFICIENTNET, EFFICIENTNET_TF, FAST_CIFAR };

static ls_tensor *build(int model, ls_graph *g, int depth)
{
    ls_tensor *x = ls_input(g, "image", LS_F32, 3, 224, 224);
    switch (model) {
    case RESNET:
        return ls_resnet(g, x, .depth = depth);
    case RESNET_CIFAR:
        return ls_resnet_cifar(g, x, .depth = depth);
    case ALEXNET:
        return ls_alexnet(g, x);
    case ALEXNET_ORIGINAL:
        return ls_alexnet(g, x, .variant = LS_ALEXNET_ORIGINAL);
    case VGG:
        return ls_vgg(g, x, .depth = depth);
    case VGG_BN:
        return ls_vgg(g, x, .depth = depth, .batch_norm = true);
    case EFFICIENTNET:
        return ls_efficientnet_lite0(g, x, .dropout = 0.2f, .drop_path = 0.2f);
    case EFFICIENTNET_TF:
        return ls_efficientnet_lite0(g, x, .tensorflow = true);
    default:
        return ls_fast_cifar(g, x, .last_width = depth);
    }
}

static void parameters(void **state)
{
    static const struct {
        int     model, depth;
        int64_t classes, parameters;
    } table[] = {{RESNET, 18, 1000, 11689512},
                 {RESNET, 34, 1000, 21797672},
                 {RESNET, 50, 1000, 25557032},
                 {RESNET, 101, 1000, 44549160},
                 {RESNET, 152, 1000, 60192808},
                 {RESNET_CIFAR, 0, 10, 269722},
                 {RESNET_CIFAR, 32, 10, 464154},
                 {RESNET_CIFAR, 44, 10, 658586},
                 {RESNET_CIFAR, 56, 10, 853018},
                 {ALEXNET, 0, 1000, 61100840},
                 {ALEXNET_ORIGINAL, 0, 1000, 60965224},
                 {VGG, 11, 1000, 132863336},
                 {VGG, 13, 1000, 133047848},
                 {VGG, 16, 1000, 138357544},
                 {VGG, 19, 1000, 143667240},
                 {VGG_BN, 11, 1000, 132868840},
                 {VGG_BN, 13, 1000, 133053736},
                 {VGG_BN, 16, 1000, 138365992},
                 {VGG_BN, 19, 1000, 143678248},
                 {EFFICIENTNET, 0, 1000, 4652008},
                 {EFFICIENTNET_TF, 0, 1000, 4652008},
                 {FAST_CIFAR, 0, 10, 569016},
                 {FAST_CIFAR, 256, 10, 1971640}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        ls_graph  *g     = ls_graph_new();
        ls_tensor *y     = build(table[i].model, g, table[i].depth);
        int64_t    total = 0;
        assert_ok(ls_graph_status(g));
        assert_int_equal(y->dim[0], table[i].classes);
        for (int k = 0; k < g->tensors; k++) {
            const ls_tensor *t = g->tensor[k];
            if (t->role == LS_ROLE_PARAM && !strstr(t->name, "running_")) total += ls__numel(t);
        }
        assert_int_equal(total, table[i].parameters);
        ls_graph_free(g);
    }
}

/* The first layer of fast_cifar is a constant. */
static void whitening_is_frozen(void **state)
{
    ls_graph *g      = ls_graph_new();
    int       frozen = 0;
    build(FAST_CIFAR, g, 0);
    for (int k = 0; k < g->tensors; k++)
        frozen += g->tensor[k]->frozen && strcmp(g->tensor[k]->name, "whiten.weight") == 0;
    assert_int_equal(frozen, 1);
    ls_graph_free(g);
}

static void unknown_depths_are_refused(void **state)
{
    static const struct {
        int         model, depth;
        const char *says;
    } table[] = {{RESNET, 20, "18, 34, 50, 101 or 152, found 20"},
                 {RESNET_CIFAR, 18, "6 n + 2, such as 20, 32, 44 or 56, found 18"},
                 {RESNET_CIFAR, 2, "found 2"},
                 {VGG, 12, "11, 13, 16 or 19, found 12"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        ls_graph *g = ls_graph_new();
        assert_null(build(table[i].model, g, table[i].depth));
        assert_fails(ls_graph_status(g), LS_ERR_USAGE, table[i].says);
        ls_graph_free(g);
    }
}

static void grey_images_are_refused_by_fast_cifar(void **state)
{
    ls_graph *g = ls_graph_new();
    assert_null(ls_fast_cifar(g, ls_input(g, "image", LS_F32, 1, 28, 28)));
    assert_fails(ls_graph_status(g), LS_ERR_USAGE, "expected an input B x 3 x H x W");
    ls_graph_free(g);
}

/* The layers of layer_decay are those of timm's group_matcher: the stem, each block, the last convolution and the
 * head. */
static void layers_are_those_of_timm(void **state)
{
    static const struct {
        int         model, depth, layers;
        const char *name[6];
        int         layer[6];
    } table[] = {{RESNET,
                  18,
                  10,
                  {"conv1.weight", "bn1.bias", "layer1.0.conv1.weight", "layer2.0.downsample.1.weight",
                   "layer4.1.bn2.weight", "fc.bias"},
                  {0, 0, 1, 3, 8, 9}},
                 {EFFICIENTNET,
                  0,
                  19,
                  {"conv_stem.weight", "bn1.weight", "blocks.0.0.conv_dw.weight", "blocks.6.0.bn3.bias", "bn2.weight",
                   "classifier.weight"},
                  {0, 0, 1, 16, 17, 18}}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        ls_graph  *g = ls_graph_new();
        ls_params *p;
        int        layer[1024];
        build(table[i].model, g, table[i].depth);
        assert_ok(ls__params_lay_out(&p, g, g->arena));
        assert_true(p->count <= 1024);
        assert_int_equal(ls__param_layers(p, layer), table[i].layers);
        for (int k = 0; k < 6; k++) {
            const int at = ls_params_find(p, table[i].name[k]);
            if (at < 0) fail_msg("no parameter '%s'", table[i].name[k]);
            if (layer[at] != table[i].layer[k])
                fail_msg("%s: layer %d, expected %d", table[i].name[k], layer[at], table[i].layer[k]);
        }
        ls_graph_free(g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters), cmocka_unit_test(whitening_is_frozen), cmocka_unit_test(layers_are_those_of_timm),
        cmocka_unit_test(unknown_depths_are_refused), cmocka_unit_test(grey_images_are_refused_by_fast_cifar)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
