/* SPDX-License-Identifier: Apache-2.0
 * labels: io mpi
 * timeout: 300
 * `lockstep ckpt import` and `ckpt export`: every bit of the parameters survives the way through the names of
 * torchvision, timm and transformers, predictions stay the same, and what does not fit is refused. */
#include "core/core.h"
#include "datasets/datasets.h"
#include "dist/dist.h"
#include "tests/launch/run_program.h"

enum { SIDE = 32, IMAGE = 50, CLASSES = 3 };

static void save_network(const char *path, ls_tensor *(*build)(ls_graph *g, ls_tensor *x))
{
    ls_graph  *g = ls_graph_new();
    ls_params *params;
    build(g, ls_input(g, "image", LS_F32, 3, SIDE, SIDE));
    assert_int_equal(ls_params_new(&params, g, 5), LS_OK);
    assert_int_equal(ls_safetensors_save(path, params, NULL), LS_OK);
    ls_params_free(params);
    ls_graph_free(g);
}

static ls_tensor *resnet18(ls_graph *g, ls_tensor *x) { return ls_resnet(g, x, .classes = CLASSES); }
static ls_tensor *lite0(ls_graph *g, ls_tensor *x) { return ls_efficientnet_lite0(g, x, .classes = CLASSES); }

static int prepare(void **state)
{
    static uint8_t pixels[IMAGE * IMAGE * 3];
    folder_enter();
    for (int i = 0; i < IMAGE * IMAGE * 3; i++) pixels[i] = (uint8_t)(i * 7 + i * i / 50);
    assert_int_equal(ls_image_write("image.png", 3, IMAGE, IMAGE, pixels), LS_OK);
    assert_int_equal(ls_image_write("other.png", 3, IMAGE - 1, IMAGE, pixels), LS_OK);
    save_network("r18.safetensors", resnet18);
    save_network("lite0.safetensors", lite0);
    return 0;
}

static int tear_down(void **state)
{
    folder_leave();
    return 0;
}

static void expect_prediction(const char *model, const char *prediction)
{
    char line[128];
    snprintf(line, sizeof line, "predict %s image.png", model);
    assert_int_equal(run(line), 0);
    if (strcmp(text_of("out"), prediction) != 0)
        fail_msg("%s: expected %s, found %s", model, prediction, text_of("out"));
}

/* file -> timm -> transformers -> timm -> timm. */
static void every_bit_survives(void **state)
{
    assert_int_equal(run("ckpt import r18.safetensors timm --model resnet18 --size 32"), 0);
    assert_non_null(strstr(text_of("out"), "3 classes"));
    assert_non_null(strstr(text_of("out"), "input: 3 x 32 x 32, bilinear, crop 0.875; mean 0.485 0.456 0.406"));
    assert_int_equal(system("cmp r18.safetensors timm/model.safetensors"), 0);
    assert_int_equal(run("predict timm image.png"), 0);
    char *prediction = strdup(text_of("out"));
    assert_non_null(strstr(prediction, "class 2"));

    assert_int_equal(run("ckpt export timm hf --format transformers", .ranks = 2), 0);
    expect_prediction("hf", prediction);
    assert_int_equal(run("ckpt import hf back"), 0);
    assert_int_equal(system("cmp timm/model.safetensors back/model.safetensors"), 0);
    expect_prediction("back", prediction);
    assert_int_equal(run("ckpt export back again"), 0);
    assert_int_equal(system("cmp back/model.safetensors again/model.safetensors"), 0);
    assert_int_equal(system("cmp back/config.json again/config.json"), 0);
    free(prediction);
}

static void the_variant_of_a_model_is_kept(void **state)
{
    assert_int_equal(run("ckpt import lite0.safetensors tf --model tf_efficientnet_lite0"), 0);
    assert_non_null(strstr(text_of("tf/config.json"), "\"architecture\": \"tf_efficientnet_lite0\""));
    assert_int_equal(run("ckpt export tf tf2"), 0);
    assert_non_null(strstr(text_of("tf2/config.json"), "\"architecture\": \"tf_efficientnet_lite0\""));
    assert_int_equal(run("ckpt import lite0.safetensors plain --model efficientnet_lite0"), 0);
    assert_int_equal(run("ckpt export plain plain2"), 0);
    assert_non_null(strstr(text_of("plain2/config.json"), "\"architecture\": \"efficientnet_lite0\""));
    assert_int_equal(run("ckpt export plain none --format transformers"), 2);
    assert_non_null(strstr(text_of("err"), "expected a ResNet, found efficientnet_lite0"));
    assert_false(exists("none"));
}

/* A trained run keeps classes, size and normalisation. */
static void a_run_is_exported(void **state)
{
    assert_int_equal(system("for c in ant bee cow; do mkdir -p tree/$c && cp image.png other.png tree/$c; done"), 0);
    assert_int_equal(run("data import images tree set --size 40 --split 0.5"), 0);
    FILE *f = fopen("r.yaml", "w");
    assert_non_null(f);
    fputs("data: {path: set, size: 32}\nmodel: {name: resnet18}\ntrain: {batch: 3, epochs: 1}\n"
          "optim: {name: momentum, lr: 0.01}\n",
          f);
    fclose(f);
    if (run("train ./r.yaml run.dir=r")) fail_msg("%s", text_of("err"));
    assert_int_equal(run("predict r image.png"), 0);
    char *prediction = strdup(text_of("out"));
    assert_non_null(strstr(prediction, "bee"));
    assert_int_equal(run("ckpt export r e1"), 0);
    assert_non_null(strstr(text_of("e1/config.json"), "\"crop_mode\": \"squash\""));
    expect_prediction("e1", prediction);
    assert_int_equal(run("ckpt export r e2 --format transformers"), 0);
    expect_prediction("e2", prediction);
    free(prediction);
}

static const struct {
    const char *before, *line, *message;
    int         code;
} refused[] = {
    {"mkdir there;", "ckpt import r18.safetensors there --model resnet18", "there: exists already", 2},
    {"", "ckpt import r18.safetensors new --model resnet19", "expected the name of a model (resnet18, ", 2},
    {"", "ckpt import r18.safetensors new --model resnet34", "of the model's parameters are missing: layer1.2.conv1",
     3},
    {"", "ckpt import r18.safetensors new --model resnet50", "tensors have another shape", 3},
    {"", "ckpt import r18.safetensors new --model vgg11_bn", "expected a tensor 'features.0.weight'", 3},
    {"head -c 1000 r18.safetensors >cut.safetensors;", "ckpt import cut.safetensors new --model resnet18",
     "cut.safetensors", 3},
    {"", "ckpt import nowhere new --model resnet18", "nowhere", 4},
    {"", "ckpt import nowhere new", "nowhere", 2},
    {"", "ckpt import r18.safetensors new --model resnet18 --size 0", "--size", 2},
    {"", "ckpt import timm new --size 64", "expected together with --model", 2},
    {"", "ckpt export timm new --format onnx", "expected timm, torchvision or transformers", 2},
    {"echo old >file;", "ckpt export timm file", "file: exists already", 2},
    {"", "ckpt export timm no/parent", "no/parent: cannot be created", 4},
    {"sed -i 's/\"center\"/\"border\"/' timm/config.json;", "ckpt export timm new", "pretrained_cfg: expected", 3},
    {"sed -i 's/\"basic\"/\"bottleneck\"/' hf/config.json;", "ckpt import hf new",
     "depths, hidden_sizes and layer_type", 3},
    {"sed -i 's/\"bottleneck\"/\"basic\"/; s/\"2\": \"class 2\"/\"3\": \"class 2\"/' hf/config.json;",
     "ckpt import hf new", "id2label: expected a name for each class", 3},
    {"sed -i 's/\"resample\": 2/\"resample\": 1/' hf/preprocessor_config.json;", "ckpt import hf new",
     "preprocessor_config.json: expected size", 3},
    {"rm hf/preprocessor_config.json;", "ckpt import hf new", "expected pretrained_cfg", 3},
};

static void others_are_refused(void **state)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        int code = run(refused[i].line, .before = refused[i].before, .ranks = i % 3 == 2 ? 2 : 0);
        if (code != refused[i].code || !strstr(text_of("err"), refused[i].message))
            fail_msg("%s: exit code %d, expected %d and '%s': %s", refused[i].line, code, refused[i].code,
                     refused[i].message, text_of("err"));
        assert_false(exists("new"));
    }
    assert_string_equal(text_of("file"), "old\n");
    assert_int_equal(system("test -z \"$(ls -A there)\""), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_bit_survives),

                                       cmocka_unit_test(the_variant_of_a_model_is_kept),
                                       cmocka_unit_test(a_run_is_exported), cmocka_unit_test(others_are_refused)};
    return cmocka_run_group_tests(tests, prepare, tear_down);
}
