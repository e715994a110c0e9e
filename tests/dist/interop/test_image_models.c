/* SPDX-License-Identifier: Apache-2.0
 * Models of other libraries: names of parameters in transformers' ResNet, and config.json of timm and transformers. */
#include "dist/interop/image_models.h"
#include "tests/datasets/dataset_files_for_tests.h"
#include "tests/unit.h"

static void parameters_have_their_names_in_transformers(void **state)
{
    static const struct {
        const char *ours, *theirs;
    } names[] = {
        {"conv1.weight", "resnet.embedder.embedder.convolution.weight"},
        {"bn1.running_mean", "resnet.embedder.embedder.normalization.running_mean"},
        {"layer1.0.conv1.weight", "resnet.encoder.stages.0.layers.0.layer.0.convolution.weight"},
        {"layer3.22.conv3.weight", "resnet.encoder.stages.2.layers.22.layer.2.convolution.weight"},
        {"layer4.2.bn2.bias", "resnet.encoder.stages.3.layers.2.layer.1.normalization.bias"},
        {"layer2.0.downsample.0.weight", "resnet.encoder.stages.1.layers.0.shortcut.convolution.weight"},
        {"layer2.0.downsample.1.running_var", "resnet.encoder.stages.1.layers.0.shortcut.normalization.running_var"},
        {"fc.bias", "classifier.1.bias"},
    };
    static const char *const others[] = {"features.0.weight", "layer1.x.conv1.weight", "conv10.weight", "", "layer1"};
    char                     name[128];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_true(ls__transformers_resnet_name(names[i].ours, name, sizeof name));
        assert_string_equal(name, names[i].theirs);
        assert_false(ls__transformers_resnet_name(names[i].ours, name, strlen(names[i].theirs)));
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(ls__transformers_resnet_name(others[i], name, sizeof name));
}

#define RESNET(type, depths, sizes, more)                                                                              \
    "{\"model_type\": \"resnet\", \"layer_type\": \"" type "\", \"depths\": " depths ", \"hidden_sizes\": " sizes      \
    ", \"id2label\": {\"0\": \"ant\", \"1\": \"bee\"}" more "}"
#define BASIC "[64, 128, 256, 512]"
#define WIDE "[256, 512, 1024, 2048]"

static void configurations_name_their_models(void **state)
{
    static const struct {
        const char *config, *model, *options, *message;
    } cases[] = {
        {"{\"architecture\": \"resnet34\", \"num_classes\": 2}", "resnet34", ""},
        {"{\"architecture\": \"vgg16_bn\", \"num_classes\": 2}", "vgg", "depth: 16, batch_norm: true"},
        {"{\"architecture\": \"tf_efficientnet_lite0\", \"num_classes\": 2}", "efficientnet_lite0", "tensorflow: true"},
        {RESNET("basic", "[2, 2, 2, 2]", BASIC, ""), "resnet18", ""},
        {RESNET("basic", "[3, 4, 6, 3]", BASIC, ""), "resnet34", ""},
        {RESNET("bottleneck", "[3, 4, 6, 3]", WIDE, ", \"hidden_act\": \"relu\", \"embedding_size\": 64"), "resnet50",
         ""},
        {RESNET("bottleneck", "[3, 4, 23, 3]", WIDE, ""), "resnet101", ""},
        {RESNET("bottleneck", "[3, 8, 36, 3]", WIDE, ""), "resnet152", ""},
        {RESNET("bottleneck", "[2, 2, 2, 2]", WIDE, ""), .message = "expected those of ResNet-18"},
        {RESNET("basic", "[2, 2, 2]", BASIC, ""), .message = "expected those of ResNet-18"},
        {RESNET("basic", "[2, 2, 2, 2]", WIDE, ""), .message = "expected those of ResNet-18"},
        {RESNET("basic", "[2, 2, 2, 2]", BASIC, ", \"hidden_act\": \"gelu\""),
         .message = "expected those of ResNet-18"},
        {RESNET("basic", "[2, 2, 2, 2]", BASIC, ", \"embedding_size\": 32"), .message = "expected those of ResNet-18"},
        {RESNET("bottleneck", "[3, 4, 6, 3]", WIDE, ", \"downsample_in_bottleneck\": true"),
         .message = "expected those of ResNet-18"},
        {"{\"model_type\": \"resnet\", \"layer_type\": \"basic\", \"depths\": [2, 2, 2, 2], \"hidden_sizes\": " BASIC
         "}",
         .message = "id2label: expected an object"},
    };
    char folder[FILES_PATH], path[FILES_PATH + 16];
    folder_make(folder);
    snprintf(path, sizeof path, "%s/config.json", folder);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ls_pretrained p;
        file_write(path, cases[i].config, strlen(cases[i].config));
        if (cases[i].message) {
            assert_fails(ls_pretrained_read(folder, &p), LS_ERR_DATA, cases[i].message);
            continue;
        }
        assert_ok(ls_pretrained_read(folder, &p));
        assert_string_equal(p.model, cases[i].model);
        assert_string_equal(p.options, cases[i].options);
        assert_int_equal(p.classes, 2);
        assert_true(p.images);
    }
    folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(parameters_have_their_names_in_transformers),
                                       cmocka_unit_test(configurations_name_their_models)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
