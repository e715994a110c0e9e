/* SPDX-License-Identifier: Apache-2.0
 * labels: io mpi
 * timeout: 900
 * Malformed weights, folders of models, image files, datasets and settings, on one rank and on two: one message, the
 * same exit code on all ranks, no hang, and no change in the files that were there before. */
#include "core/core.h"
#include "datasets/datasets.h"
#include "dist/dist.h"
#include "tests/launch/run_program.h"

enum { SIDE = 8, CLASSES = 3, PER_CLASS = 6, BYTES = 1 << 20 };

/* ---- the files that stay ----------------------------------------------------------------------------------------- */

static const char recipe[] = "data: {path: keep/set}\n"
                             "model:\n"
                             "  layers:\n"
                             "    - conv2d: {name: conv, out: 4, kernel: 3, no_bias: true}\n"
                             "    - batch_norm: {name: norm}\n"
                             "    - relu\n"
                             "    - flatten\n"
                             "    - linear: {name: head, out: 3}\n"
                             "train: {batch: 6, epochs: 1}\n"
                             "optim: {name: momentum, lr: 0.01}\n";

static void save_resnet(const char *path)
{
    ls_graph  *g = ls_graph_new();
    ls_params *params;
    ls_resnet(g, ls_input(g, "image", LS_F32, 3, 32, 32), .classes = CLASSES);
    assert_int_equal(ls_params_new(&params, g, 5), LS_OK);
    assert_int_equal(ls_safetensors_save(path, params, NULL), LS_OK);
    ls_params_free(params);
    ls_graph_free(g);
}

static int prepare(void **state)
{
    static const char *const names[CLASSES] = {"ant", "bee", "cow"};
    folder_enter();
    assert_int_equal(system("mkdir -p keep/tree/ant keep/tree/bee keep/tree/cow keep/timm"), 0);
    for (int i = 0; i < CLASSES * PER_CLASS; i++) {
        char    path[64];
        uint8_t rgb[3 * SIDE * SIDE];
        for (int k = 0; k < (int)sizeof rgb; k++) rgb[k] = (uint8_t)(k * (i + 3) + i * 50);
        snprintf(path, sizeof path, "keep/tree/%s/%02d.png", names[i % CLASSES], i);
        assert_int_equal(ls_image_write(path, 3, SIDE, SIDE, rgb), LS_OK);
    }
    assert_int_equal(run("data import images keep/tree keep/set --split 0.34"), 0);
    assert_int_equal(run("data import images keep/tree keep/files --split 0.34 --store files"), 0);
    save_text("keep/r.yaml", recipe);
    if (run("train keep/r.yaml run.dir=keep/run")) fail_msg("%s", text_of("err"));
    assert_int_equal(system("cp keep/run/model.safetensors keep/good.safetensors"), 0);
    save_resnet("keep/timm/model.safetensors");
    save_text(
        "keep/timm/config.json",
        "{\"architecture\": \"resnet18\", \"num_classes\": 3, \"pretrained_cfg\": {\"input_size\": [3, 32, 32], "
        "\"interpolation\": \"bicubic\", \"crop_pct\": 0.8, \"crop_mode\": \"center\", \"mean\": [0.5, 0.4, 0.3], "
        "\"std\": [0.25, 0.5, 0.2]}, \"label_names\": [\"ant\", \"bee\", \"cow\"]}");
    assert_int_equal(system("find keep -type f | sort | xargs sha1sum >keep.sum; find keep | sort >keep.list"), 0);
    return 0;
}

static int tear_down(void **state)
{
    folder_leave();
    return 0;
}

/* ---- malformed inputs -------------------------------------------------------------------------------------------- */

typedef struct malformed {
    const char *from, *to; /* text in the header of keep/good.safetensors, and its replacement in bad.safetensors */
    const char *before;    /* shell commands                                                                    */
    const char *line, *message;
    int         code;
    bool        one_rank; /* two ranks have another message: they need two samples in a batch */
} malformed;

#define PRETRAINED "train keep/r.yaml run.dir=new model.pretrained=bad.safetensors"
#define TIMM "predict bad keep/tree/ant/00.png"
#define COPY_TIMM "mkdir bad; ln -s ../keep/timm/model.safetensors bad/model.safetensors; "
#define EDIT_TIMM(edit) COPY_TIMM "sed '" edit "' keep/timm/config.json >bad/config.json"
#define CONV "\"conv.weight\":{\"dtype\":\"F32\",\"shape\":[4,3,3,3]"

static const malformed table[] = {
    /* weights: the header */
    {CONV, "\"conv.weight\":{\"dtype\":\"F32\",\"shape\":[3,4,3,3]", .line = PRETRAINED,
     .message = "'conv.weight' is 3 x 4 x 3 x 3, the model's is 4 x 3 x 3 x 3", .code = 3},
    {CONV, "\"conv.weight\":{\"dtype\":\"F32\",\"shape\":[108]", .line = PRETRAINED,
     .message = "'conv.weight' is 108, the model's is 4 x 3 x 3 x 3", .code = 3},
    {CONV, "\"conv.weight\":{\"dtype\":\"F32\",\"shape\":[4,3,3,4]", .line = PRETRAINED,
     .message = "has 432 bytes, but 4 x 3 x 3 x 4 of F32 takes 576", .code = 3},
    {CONV, "\"conv.weight\":{\"dtype\":\"F32\",\"shape\":[-4,-3,3,3]", .line = PRETRAINED,
     .message = "dimension 0: expected a whole number of at least 0", .code = 3},
    {CONV, "\"conv.weight\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,3,3,3]", .line = PRETRAINED,
     .message = "'conv.weight' is larger than an address space", .code = 3},
    {CONV, "\"conv.weight\":{\"dtype\":\"F32\",\"shape\":\"4\"", .line = PRETRAINED,
     .message = "'conv.weight': expected a list as its shape", .code = 3},
    {CONV, "\"conv.weight\":{\"dtype\":\"F33\",\"shape\":[4,3,3,3]", .line = PRETRAINED,
     .message = "'conv.weight': unknown dtype 'F33'", .code = 3},
    {CONV, "\"conv.weight\":{\"dtype\":\"I32\",\"shape\":[4,3,3,3]", .line = PRETRAINED,
     .message = "a dtype that is none of F32, F16 and BF16: 'conv.weight' is I32", .code = 3},
    {CONV, "\"conv.weight\":{\"dtype\":32,\"shape\":[4,3,3,3]", .line = PRETRAINED,
     .message = "'conv.weight': expected a text as its dtype", .code = 3},
    {CONV, "\"conv.weights\":{\"dtype\":\"F32\",\"shape\":[4,3,3,3]", .line = PRETRAINED,
     .message = "are missing: conv.weight; 1 tensors are not in the model: conv.weights", .code = 3},
    {CONV, "\"norm.weight\":{\"dtype\":\"F32\",\"shape\":[4,3,3,3]", .line = PRETRAINED,
     .message = "duplicate object key", .code = 3},
    {"\"norm.running_mean\":", "\"norm.mean\":", .line = PRETRAINED,
     .message = "are missing: norm.running_mean; 1 tensors are not in the model: norm.mean", .code = 3},
    {"\"data_offsets\":[8,", "\"data_offsets\":[4,", .line = PRETRAINED,
     .message = "has 436 bytes, but 4 x 3 x 3 x 3 of F32 takes 432", .code = 3},
    {"\"data_offsets\":[8,", "\"data_offsets\":[12,", .line = PRETRAINED,
     .message = "has 428 bytes, but 4 x 3 x 3 x 3 of F32 takes 432", .code = 3},
    {"\"data_offsets\":[8,", "\"data_offsets\":[-8,", .line = PRETRAINED, .message = "lies at [-8, 440), outside of",
     .code = 3},
    {"\"data_offsets\":[8,", "\"data_offsets\":[99999999,", .line = PRETRAINED,
     .message = "lies at [99999999, 440), outside of", .code = 3},
    {"\"data_offsets\":[8,", "\"data_offsets\":[\"8\",", .line = PRETRAINED,
     .message = "expected [begin, end] as its data_offsets", .code = 3},
    {"\"data_offsets\":[8,", "\"data_offsets\":[8,8,", .line = PRETRAINED,
     .message = "expected [begin, end] as its data_offsets", .code = 3},
    {"\"norm.num_batches_tracked\":", "\"extra.weight\":", .line = PRETRAINED,
     .message = "1 tensors are not in the model: extra.weight", .code = 3},
    {"\"conv.weight\"", "\"conv.weight", .line = PRETRAINED, .message = "expected JSON in its header", .code = 3},
    {"{\"", "[\"", .line = PRETRAINED, .message = "expected a header that begins with '{'", .code = 3},
    /* weights: the file */
    {.before = ": >bad.safetensors", .line = PRETRAINED, .message = "found a file of 0 bytes", .code = 3},
    {.before  = "head -c 7 keep/good.safetensors >bad.safetensors",
     .line    = PRETRAINED,
     .message = "found a file of 7 bytes",
     .code    = 3},
    {.before  = "head -c 90 keep/good.safetensors >bad.safetensors",
     .line    = PRETRAINED,
     .message = "announce a header of 1000 bytes, but the file has 90",
     .code    = 3},
    {.before  = "head -c -4 keep/good.safetensors >bad.safetensors",
     .line    = PRETRAINED,
     .message = "'head.bias' lies at [2232, 2244), outside of the 2240 bytes",
     .code    = 3},
    {.before  = "(cat keep/good.safetensors; echo more) >bad.safetensors",
     .line    = PRETRAINED,
     .message = "5 bytes at its end belong to no tensor",
     .code    = 3},
    {.before  = "(printf '\\377\\377\\377\\377\\377\\377\\377\\377'; cat keep/good.safetensors) >bad.safetensors",
     .line    = PRETRAINED,
     .message = "announce a header of 18446744073709551615 bytes",
     .code    = 3},
    {.before  = "(head -c -4 keep/good.safetensors; printf '\\0\\0\\300\\177') >bad.safetensors",
     .line    = PRETRAINED,
     .message = "1 of the 3 values of 'head.bias' are infinite or NaN",
     .code    = 3},
    {.before  = "(head -c -4 keep/good.safetensors; printf '\\0\\0\\200\\377') >bad.safetensors",
     .line    = PRETRAINED,
     .message = "1 of the 3 values of 'head.bias' are infinite or NaN",
     .code    = 3},
    {.before  = "head -c 5000 /dev/zero >bad.safetensors",
     .line    = PRETRAINED,
     .message = "announce a header of 0 bytes",
     .code    = 3},
    {.line    = "train keep/r.yaml run.dir=new model.pretrained=nowhere",
     .message = "model.pretrained: cannot read nowhere",
     .code    = 3},
    {.before  = "mkdir bad; echo '{\"weight_map\": {\"conv.weight\": \"../keep/good.safetensors\"}}' "
                ">bad/model.safetensors.index.json",
     .line    = "train keep/r.yaml run.dir=new model.pretrained=bad",
     .message = "expected the name of a file in the same folder, found '../keep",
     .code    = 3},
    {.before  = "mkdir bad",
     .line    = "train keep/r.yaml run.dir=new model.pretrained=bad",
     .message = "expected a folder with model.safetensors",
     .code    = 3},
    {.before  = "cp -r keep/run bad; head -c 500 keep/good.safetensors >bad/model.safetensors; rm -rf bad/checkpoints",
     .line    = "predict bad keep/tree/ant/00.png",
     .message = "bad/model.safetensors: its first 8 bytes announce",
     .code    = 3},
    /* folders of models */
    {.before  = COPY_TIMM "echo '{' >bad/config.json",
     .line    = TIMM,
     .message = "bad/config.json:2:0: expected JSON",
     .code    = 3},
    {.before  = EDIT_TIMM("s/resnet18/resnet19/"),
     .line    = TIMM,
     .message = "architecture: expected one of resnet18",
     .code    = 3},
    {.before  = EDIT_TIMM("s/resnet18/resnet34/"),
     .line    = TIMM,
     .message = "80 of the model's parameters are missing: layer1.2",
     .code    = 3},
    {.before  = EDIT_TIMM("s/\"num_classes\": 3/\"num_classes\": -3/"),
     .line    = TIMM,
     .message = "num_classes: expected a whole number of at least 1",
     .code    = 3},
    {.before  = EDIT_TIMM("s/\"num_classes\": 3/\"num_classes\": 4/; s/\"ant\"/\"ape\", \"ant\"/"),
     .line    = TIMM,
     .message = "'fc.weight' is 3 x 512, the model's is 4 x 512",
     .code    = 3},
    {.before  = EDIT_TIMM("s/\"ant\", //"),
     .line    = TIMM,
     .message = "label_names: expected 3 names, found 2",
     .code    = 3},
    {.before  = EDIT_TIMM("s/0.25, 0.5, 0.2/0.25, 0, 0.2/"),
     .line    = TIMM,
     .message = "pretrained_cfg: expected input_size [channels, height, width]",
     .code    = 3},
    {.before  = EDIT_TIMM("s/3, 32, 32/3, 32, -32/"),
     .line    = TIMM,
     .message = "pretrained_cfg: expected input_size [channels, height, width]",
     .code    = 3},
    {.before  = EDIT_TIMM("s/0.8/8/"),
     .line    = TIMM,
     .message = "pretrained_cfg: expected input_size [channels, height, width]",
     .code    = 3},
    {.before  = "mkdir bad; cp keep/timm/config.json bad",
     .line    = TIMM,
     .message = "expected a folder with model.safetensors",
     .code    = 3},
    {.before =
         "mkdir bad; cp keep/timm/config.json bad; head -c 100000 keep/timm/model.safetensors >bad/model.safetensors",
     .line    = TIMM,
     .message = "lies at [38816, 186272), outside of the 89160 bytes",
     .code    = 3},
    /* image files */
    {.before  = "cp -r keep/tree bad; echo text >bad/ant/x.png",
     .line    = "data import images bad new",
     .message = "1 of 19 files cannot be read, the first: bad/ant/x.png: is no image",
     .code    = 3},
    {.before  = "cp -r keep/tree bad; head -c 60 keep/tree/ant/00.png >bad/ant/x.png",
     .line    = "data import images bad new",
     .message = "bad/ant/x.png: is a damaged PNG file",
     .code    = 3},
    {.before  = "cp -r keep/tree bad; : >bad/cow/x.jpg",
     .line    = "data import images bad new",
     .message = "bad/cow/x.jpg: is empty",
     .code    = 3},
    {.before  = "mkdir -p bad/ant; printf GIF89a >bad/ant/x.gif",
     .line    = "data import images bad new --on-error skip",
     .message = "none of 1 files is an image",
     .code    = 3},
    {.before  = "mkdir -p bad; cp -r keep/tree bad/train; mkdir -p bad/test/dog; cp keep/tree/ant/00.png bad/test/dog",
     .line    = "data import images bad new",
     .message = "bad/test/dog: the class 'dog' is not one of the 3 classes",
     .code    = 3},
    {.before  = "mkdir -p bad/train; cp -r keep/tree/ant bad/train; cp -r keep/tree bad/test",
     .line    = "data import images bad new",
     .message = "bad/test/bee: the class 'bee' is not one of the 1 classes",
     .code    = 3},
    {.before = "mkdir bad", .line = "data import images bad new", .message = "bad: 0 classes", .code = 3},
    {.line = "predict keep/run keep/r.yaml", .message = "keep/r.yaml: is no image", .code = 3},
    {.line = "predict keep/run nowhere.png", .message = "nowhere.png: No such file", .code = 3},
    {.before  = "head -c 60 keep/tree/ant/00.png >bad.png",
     .line    = "predict keep/run bad.png",
     .message = "bad.png: is a damaged PNG file",
     .code    = 3},
    /* datasets */
    {.before  = "cp -r keep/set bad; head -c 2000 keep/set/train.h5 >bad/train.h5",
     .line    = "train keep/r.yaml run.dir=new data.path=bad",
     .message = "bad/train.h5: is no HDF5 file, or a damaged one",
     .code    = 3},
    {.before  = "cp -r keep/set bad; rm bad/valid.h5",
     .line    = "train keep/r.yaml run.dir=new data.path=bad",
     .message = "bad: has no test.h5; splits found: train",
     .code    = 3},
    {.before  = "cp -r keep/set bad; cp keep/set/train.h5 bad/valid.h5",
     .line    = "train keep/r.yaml run.dir=new data.path=bad",
     .message = "attribute 'split': expected 'valid', found 'train'",
     .code    = 3},
    {.before  = "cp -r keep/files bad; sed -i s/IDAT/IDAX/ bad/train.h5",
     .line    = "train keep/r.yaml run.dir=new data.path=bad",
     .message = "bad/train.h5: sample ",
     .code    = 3},
    {.before  = "cp -r keep/files bad; sed -i s/IDAT/IDAX/ bad/train.h5",
     .line    = "data verify bad",
     .message = "attribute 'checksum': expected",
     .code    = 3},
    {.before  = "cp -r keep/set bad; head -c 2000 keep/set/valid.h5 >bad/valid.h5",
     .line    = "eval keep/run data.path=bad",
     .message = "bad/valid.h5: is no HDF5 file, or a damaged one",
     .code    = 3},
    /* settings */
    {.line    = "train keep/r.yaml run.dir=new model.classes=5",
     .message = "the model ends with the shape B x 3, expected B x 5",
     .code    = 2},
    {.line    = "train keep/r.yaml run.dir=new data.classes=[ant,dog]",
     .message = "data.classes: expected names of classes in keep/set, found 'dog'",
     .code    = 2},
    {.line    = "train keep/r.yaml run.dir=new data.mean=[0.5,0.5] data.std=[0.5,0.5]",
     .message = "expected one number each for each of the 3 channels",
     .code    = 2},
    {.line    = "train keep/r.yaml run.dir=new data.augment.crop=8",
     .message = "data.augment.crop: expected less than 8",
     .code    = 2},
    {.line    = "train keep/r.yaml run.dir=new model.freeze=[nothing.*]",
     .message = "model.freeze: 'nothing.*': expected a glob",
     .code    = 2},
    {.before =
         "sed 's/- flatten/- flatten\\n    - batch_norm: {name: last}/; s/batch: 6/batch: 1/' keep/r.yaml >bad.yaml",
     .line     = "train ./bad.yaml run.dir=new",
     .message  = "train.batch: expected more than one sample in every batch",
     .code     = 2,
     .one_rank = true},
    {.before =
         "sed 's/- flatten/- flatten\\n    - batch_norm: {name: last}/; s/batch: 6/batch: 11/' keep/r.yaml >bad.yaml",
     .line    = "train ./bad.yaml run.dir=new",
     .message = "found one in the last batch of an epoch",
     .code    = 2},
};

/* Writes bad.safetensors: keep/good.safetensors with `to` in place of the first `from` in its header. */
static void forge(const char *from, const char *to)
{
    static char file[BYTES], header[BYTES];
    FILE       *f     = fopen("keep/good.safetensors", "rb");
    size_t      bytes = f ? fread(file, 1, sizeof file - 1, f) : 0;
    uint64_t    length;
    assert_true(bytes > 8);
    fclose(f);
    memcpy(&length, file, 8);
    char *at = memmem(file + 8, length, from, strlen(from));
    if (!at) fail_msg("the header has no %s: %.*s", from, (int)length, file + 8);
    size_t   head = (size_t)(at - file) - 8, tail = (size_t)length - head - strlen(from);
    uint64_t made = head + strlen(to) + tail;
    memcpy(header, file + 8, head);
    memcpy(header + head, to, strlen(to));
    memcpy(header + head + strlen(to), at + strlen(from), tail);
    f = fopen("bad.safetensors", "wb");
    assert_non_null(f);
    assert_true(fwrite(&made, 8, 1, f) == 1 && fwrite(header, made, 1, f) == 1 &&
                fwrite(file + 8 + length, bytes - 8 - length, 1, f) == 1);
    fclose(f);
}

/* The number of error messages on stderr. */
static int messages(void)
{
    int count = 0;
    for (const char *at = text_of("err"); (at = strstr(at, "lockstep: error: ")); at++) count++;
    return count;
}

static void check(const malformed *m, int ranks)
{
    int code = run(m->line, .ranks = ranks);
    if (code != m->code || messages() != 1 || !strstr(text_of("err"), m->message))
        fail_msg("%s -> %s; %s; %s: exit code %d and %d messages, expected %d and '%s': %s", m->from ? m->from : "",
                 m->to ? m->to : "", m->before ? m->before : "", m->line, code, messages(), m->code, m->message,
                 text_of("err"));
    if (strncmp(m->line, "data import", 11) == 0) assert_false(exists("new"));
    if (system("sha1sum -c --quiet keep.sum >lost 2>&1 && find keep | sort | cmp -s - keep.list"))
        fail_msg("%s: files have changed: %s", m->line, text_of("lost"));
}

static void every_input_has_its_message(void **state)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (table[i].from) forge(table[i].from, table[i].to);
        if (table[i].before) assert_int_equal(system(table[i].before), 0);
        for (int ranks = 0; ranks <= (table[i].one_rank ? 0 : 2); ranks += 2) {
            check(&table[i], ranks);
            assert_int_equal(system("rm -rf new"), 0);
        }
        assert_int_equal(system("rm -rf bad bad.*"), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_input_has_its_message)};
    return cmocka_run_group_tests(tests, prepare, tear_down);
}
