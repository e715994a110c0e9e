/* SPDX-License-Identifier: Apache-2.0 */
/* labels: io mpi */
/* timeout: 600 */
/* Invalid input of every kind gives one message and the right exit code on every rank, without a hang, and leaves no
 * files behind. */
#include <hdf5.h>
#include <math.h>

#include "datasets/datasets.h"
#include "tests/launch/run_program.h"

#define SMALL "data.train_count=64 data.test_count=32 train.batch=16 train.epochs=1 "

/* Shell command of each rank that writes r.yaml atomically. */
#define RECIPE(text) "printf '" text "' > t.$$; mv t.$$ r.yaml;"

/* A character-level model: an embedding and a linear layer. */
#define TEXT_RECIPE                                                                                                    \
    RECIPE("data: {path: words, context: 8}\\nmodel:\\n  layers: [embedding: {vocab: 27, width: 4}, linear: {out: "    \
           "27}]\\ntrain: {batch: 8, epochs: 1}\\n")

typedef struct bad {
    const char *name;
    const char *before; /* shell commands that each rank runs first                    */
    const char *arguments;
    int         code;
    const char *part;   /* expected part of the message                                */
    const char *part2;  /* another expected part, mostly of the hint; NULL: none       */
    bool        serial; /* not tested under mpirun                                     */
} bad;

static const bad table[] = {
    /* batch norm, which needs the whole global batch in one step */
    {"batch norm with micro-steps", "", "train cnn-mnist data.path=digits " SMALL "train.accumulate=2", 2,
     "train.accumulate: expected 1", "model.norm_over=N", false},
    {"batch norm of one sample", "",
     "train cnn-mnist data.path=digits data.train_count=33 data.test_count=32 train.batch=16 train.epochs=1", 2,
     "train.batch: expected more than one sample", "set train.batch=17", false},
    /* the command line */
    {"unknown command", "", "trian lenet5-digits", 2, "trian", "train"},
    {"unknown option", "", "train lenet5-digits --frehs", 2, "--frehs", "--fresh"},
    {"no recipe", "", "train", 2, "RECIPE", "--help"},
    {"unknown recipe", "", "train lenet5-digit", 2, "lenet5-digit", "lenet5-digits"},
    {"missing recipe file", "", "train ./nothing.yaml", 2, "nothing.yaml", NULL},
    {"unknown key on the command line", "", "train lenet5-digits optim.lrr=1", 2, "optim.lrr", "optim.lr"},
    {"ill-typed value", "", "train lenet5-digits train.batch=many", 2, "train.batch", "many"},
    {"value out of range", "", "train lenet5-digits train.batch=0", 2, "train.batch", "0"},
    {"unknown word", "", "train lenet5-digits optim.name=adamx", 2, "adamx", "adam"},
    /* the recipe */
    {"unknown key in a file", RECIPE("train:\\n  bach: 3\\n"), "train ./r.yaml", 2, ".yaml:2:3", "train.batch"},
    {"broken YAML", RECIPE("train: [\\n"), "train ./r.yaml", 2, ".yaml:", NULL},
    {"no YAML at all", "head -c 300 /dev/zero > t.$$; mv t.$$ r.yaml;", "train ./r.yaml", 2, ".yaml", NULL},
    {"unknown layer", RECIPE("model:\\n  layers:\\n    - linaer: {out: 10}\\n"), "train ./r.yaml " SMALL, 2,
     ".yaml:3:7", "linear"},
    {"a layer that does not fit", RECIPE("model:\\n  layers:\\n    - conv2d: {name: c, out: 4, kernel: 99}\\n"),
     "train ./r.yaml " SMALL, 2, ".yaml:3", NULL},
    {"logits of the wrong shape", RECIPE("model:\\n  layers:\\n    - linear: {name: f, out: 7}\\n"),
     "train ./r.yaml " SMALL, 2, "expected B x 10", NULL},
    {"fewer classes than the data", "", "train lenet5-digits " SMALL "model.classes=4", 2, "model.classes", "10"},
    {"batch smaller than the shards", "", "train lenet5-digits " SMALL "train.shards=32", 2, "train.batch", "shards"},
    {"shards not a power of two", "", "train lenet5-digits " SMALL "train.shards=6", 2, "shards", "power of two"},
    {"a GPU where there is none", "", "train lenet5-digits " SMALL "device=cuda", 4, "device", "cpu"},
    /* the data */
    {"a crop larger than the images", "", "train lenet5-digits " SMALL "data.augment.crop=28", 2,
     "data.augment.crop: expected less than 28", "crop is the padding of each side"},
    {"areas of crops in the wrong order", "", "train lenet5-digits " SMALL "data.augment.resized_crop=[0.5,0.2]", 2,
     "data.augment.resized_crop: expected two increasing areas", "[0.08, 1] is usual"},
    {"augmented text", TEXT_RECIPE, "train ./r.yaml data.augment.flip=true", 2,
     "data.augment.flip: expected a dataset of images, found text", "leave out data.augment"},
    {"missing data", "", "train lenet5-digits data.path=./nowhere", 3, "nowhere", NULL},
    {"truncated HDF5", "", "train lenet5-digits data.path=truncated", 3, "truncated/train.h5", NULL},
    {"text instead of HDF5", "", "train lenet5-digits data.path=text", 3, "text/train.h5", "HDF5"},
    {"images of the wrong type", "", "train lenet5-digits data.path=floats", 3, "floats/train.h5", "image"},
    {"labels out of range", "", "train lenet5-digits train.batch=16 train.epochs=1 data.path=labels", 3, "label", "77"},
    {"no samples", "", "train lenet5-digits data.path=empty", 3, "empty", NULL},
    {"NaN in the data", "", "train lenet5-digits data.path=nan", 3, "nan/train.h5", "mean"},
    {"fewer labels than images", "", "train lenet5-digits data.path=short", 3, "short/train.h5", "label"},
    {"truncated idx", "", "data import mnist idx-truncated made", 3, "train-images", NULL, true},
    {"idx longer than its header states", "", "data import mnist idx-oversized made", 3, "train-images", NULL, true},
    {"idx of another kind", "", "data import mnist idx-magic made", 3, "train-images", NULL, true},
    {"missing idx", "", "data import mnist idx-none made", 3, "idx-none", NULL, true},
    /* text */
    {"text for an image model", "", "train lenet5-digits data.path=words data.context=8", 2,
     "lenet5 is a model of single samples, but the dataset holds text", "model.name"},
    {"images for a language model", TEXT_RECIPE, "train ./r.yaml " SMALL "data.path=digits", 2, "r.yaml:3", NULL},
    {"no context length", TEXT_RECIPE, "train ./r.yaml data.context=0", 2, "data.context", "model.options"},
    {"context longer than the text", TEXT_RECIPE, "train ./r.yaml data.context=4096", 3,
     "window of 4096 tokens and its target need 4097", "more text"},
    {"fewer logits than tokens", TEXT_RECIPE, "train ./r.yaml model.classes=4", 2, "model.classes", "27 tokens"},
    {"logits for another vocabulary", TEXT_RECIPE, "train ./r.yaml model.classes=30", 2, "expected B x 8 x 30",
     "linear: {out: 30}"},
    {"a token beyond the vocabulary", TEXT_RECIPE, "train ./r.yaml data.path=beyond run.dir=diverged", 3,
     "beyond/train.h5: /tokens: token 100 is 27", "import the text again"},
    {"text without a held-out split", TEXT_RECIPE, "train ./r.yaml data.path=alone", 3, "alone: has no test.h5",
     "train"},
    {"the tokenizer of another text", TEXT_RECIPE, "train ./r.yaml data.path=mixed", 3,
     "mixed/tokenizer.json: is not the tokenizer", "import the text again"},
    {"a damaged tokenizer", TEXT_RECIPE, "train ./r.yaml data.path=torn", 3, "torn/tokenizer.json", NULL},
    {"another tokenizer than the recipe's", TEXT_RECIPE, "train ./r.yaml data.tokenizer=bpe", 2, "data.tokenizer",
     "expected bpe"},
    {"a known text that was not fetched", TEXT_RECIPE "export XDG_CACHE_HOME=$PWD/idx-none;",
     "train ./r.yaml data.path=shakespeare", 3, "was not fetched", "lockstep data fetch"},
    {"empty text", "", "data import text empty.txt made", 3, "the text is empty", NULL, true},
    {"missing text", "", "data import text nothing.txt made", 3, "nothing.txt", NULL, true},
    {"a folder instead of a text file", "", "data import text words made", 3, "expected a regular file", NULL, true},
    {"unknown tokenizer", "", "data import text words.txt made --tokenizer bpf", 2, "found 'bpf'", "chars", true},
    {"a file that is not a tokenizer", "", "data import text words.txt made --tokenizer text/train.h5", 3,
     "text/train.h5", NULL, true},
    {"--valid out of range", "", "data import text words.txt made --valid 2", 2, "--valid", "found '2'", true},
    {"less text than files", "", "data import text words.txt made --tokenizer chars --shards 5000", 3,
     "too few for 5000 files", "--shards", true},
    {"text into a folder below a file", "", "data import text words.txt file/made", 4, "file", NULL, true},
    {"no space for a text", "ulimit -f 1;", "data import text words.txt made --tokenizer chars", 4, "made", NULL, true},
    /* files to start from */
    {"missing pretrained file", "", "train lenet5-digits " SMALL "model.pretrained=./no.safetensors", 3,
     "no.safetensors", NULL},
    {"damaged pretrained file", "", "train lenet5-digits " SMALL "model.pretrained=./text/train.h5", 3, "text/train.h5",
     NULL},
    {"no run to evaluate", "", "eval ./nothing", 2, "./nothing", "lockstep train"},
    /* the environment */
    {"run.dir below a file", "", "train lenet5-digits " SMALL "run.dir=file/run", 4, "file", "run.dir"},
    {"run.dir that cannot be created", "", "train lenet5-digits " SMALL "run.dir=/proc/lockstep", 4, "/proc/lockstep",
     "run.dir"},
    {"no space left", "ulimit -f 1;", "train lenet5-digits " SMALL "run.dir=full log.every=1 train.epochs=40", 4,
     "full/", NULL},
    {"unknown instruction set", "LOCKSTEP_ISA=v9", "train lenet5-digits " SMALL, 4, "LOCKSTEP_ISA=v9", "v2"},
    /* the ranks */
    {"divergence", "",
     "train lenet5-digits " SMALL "train.epochs=30 optim.lr=1000000 run.dir=diverged schedule.name=constant", 5,
     "the loss is", "optim.lr"},
};

/* ---- datasets ---------------------------------------------------------------------------------------------------- */

static void write_split(const char *path, const char *split)
{
    ls_dataset_info info = {.split    = split,
                            .path     = path,
                            .count    = 64,
                            .channels = 1,
                            .height   = 28,
                            .width    = 28,
                            .classes  = 10,
                            .mean     = {0.2f},
                            .std      = {0.3f}};
    ls_writer      *w;
    uint8_t         pixels[28 * 28];
    assert_int_equal(ls_writer_new(&w, path, &info, 1), LS_OK);
    for (int i = 0; i < 64; i++) {
        memset(pixels, i, sizeof pixels);
        assert_int_equal(ls_writer_add(w, pixels, i % 10), LS_OK);
    }
    assert_int_equal(ls_writer_close(w), LS_OK);
    ls_writer_free(w);
}

static hid_t open_train(const char *path)
{
    char file[128];
    write_split(path, "train");
    write_split(path, "test");
    snprintf(file, sizeof file, "%s/train.h5", path);
    hid_t h = H5Fopen(file, H5F_ACC_RDWR, H5P_DEFAULT);
    assert_true(h >= 0);
    return h;
}

static void replace(hid_t h, const char *name, hid_t type, int rank, const hsize_t *dims)
{
    hid_t space = H5Screate_simple(rank, dims, NULL);
    H5Ldelete(h, name, H5P_DEFAULT);
    hid_t d = H5Dcreate2(h, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(d >= 0);
    H5Dclose(d);
    H5Sclose(space);
}

static void make_bad_sets(void)
{
    const hsize_t images[] = {64, 1, 28, 28}, none[] = {0, 1, 28, 28}, few[] = {63}, nothing[] = {0};
    int32_t       label[64] = {[5] = 77};
    float         nan_mean  = NAN;
    H5Fclose(open_train("good"));
    H5Fclose(open_train("truncated"));
    assert_int_equal(truncate("truncated/train.h5", 3000), 0);
    H5Fclose(open_train("text"));
    assert_int_equal(system("echo 'this text is not a dataset' > text/train.h5"), 0);
    hid_t h = open_train("floats");
    replace(h, "image", H5T_NATIVE_FLOAT, 4, images);
    H5Fclose(h);
    h       = open_train("labels");
    hid_t d = H5Dopen2(h, "label", H5P_DEFAULT);
    H5Dwrite(d, H5T_NATIVE_INT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, label);
    H5Dclose(d);
    H5Fclose(h);
    h = open_train("empty");
    replace(h, "image", H5T_NATIVE_UINT8, 4, none);
    replace(h, "label", H5T_NATIVE_INT32, 1, nothing);
    H5Fclose(h);
    h       = open_train("nan");
    hid_t a = H5Aopen(h, "mean", H5P_DEFAULT);
    H5Awrite(a, H5T_NATIVE_FLOAT, &nan_mean);
    H5Aclose(a);
    H5Fclose(h);
    h = open_train("short");
    replace(h, "label", H5T_NATIVE_INT32, 1, few);
    H5Fclose(h);
}

static void put(FILE *f, uint32_t x)
{
    for (int i = 24; i >= 0; i -= 8) fputc((int)(x >> i & 255), f);
}

/* Writes four idx files of 4 samples.  The file of training images has the given magic number and `bytes` bytes of
 * pixels. */
static void write_idx(const char *dir, uint32_t magic, int bytes)
{
    static const char *const names[] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte",
                                        "t10k-labels-idx1-ubyte"};
    mkdir(dir, 0777);
    for (int i = 0; i < 4; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        put(f, i % 2 ? 0x801 : i ? 0x803 : magic);
        put(f, 4);
        if (i % 2 == 0) put(f, 28), put(f, 28);
        for (int k = i % 2 ? 4 : i ? 4 * 784 : bytes; k > 0; k--) fputc(i % 2 ? k : 0, f);
        fclose(f);
    }
}

/* Imports a text of 27 different characters, and makes damaged copies of the dataset. */
static void make_bad_texts(void)
{
    uint16_t beyond = 27;
    hsize_t  at = 100, one = 1;
    FILE    *f = fopen("words.txt", "w");
    assert_non_null(f);
    for (int i = 0; i < 3000; i++) fputc("abcdefghijklmnopqrstuvwxyz "[i * 7 % 27], f);
    fclose(f);
    assert_int_equal(run("data import text words.txt words --tokenizer chars"), 0);
    assert_int_equal(run("data import text words.txt alone --tokenizer chars --valid 0"), 0);
    assert_int_equal(system(": > empty.txt; cp -r words beyond; cp -r words mixed; cp -r words torn; head -c 100 "
                            "words/tokenizer.json > torn/tokenizer.json; "
                            "sed 's/\"a\"/\"A\"/' words/tokenizer.json > mixed/tokenizer.json"),
                     0);
    hid_t h = H5Fopen("beyond/train.h5", H5F_ACC_RDWR, H5P_DEFAULT), d = H5Dopen2(h, "tokens", H5P_DEFAULT),
          space  = H5Dget_space(d);
    hid_t memory = H5Screate_simple(1, &one, NULL);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, &at, NULL, &one, NULL);
    assert_true(H5Dwrite(d, H5T_NATIVE_UINT16, memory, space, H5P_DEFAULT, &beyond) >= 0);
    H5Sclose(memory);
    H5Sclose(space);
    H5Dclose(d);
    H5Fclose(h);
}

static int set_up(void **state)
{
    folder_enter();
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    make_bad_sets();
    write_idx("idx-truncated", 0x803, 4 * 784 - 100);
    write_idx("idx-oversized", 0x803, 4 * 784 + 100);
    write_idx("idx-magic", 0x804, 4 * 784);
    mkdir("idx-none", 0777);
    make_bad_texts();
    return system("echo > file");
}

static int tear_down(void **state)
{
    folder_leave();
    return 0;
}

/* ---- the checks -------------------------------------------------------------------------------------------------- */

/* Runs the program with an invalid input.  Returns a description of the deviation from the expected behaviour; "":
 * none. */
static const char *deviation(const bad *b, int ranks)
{
    static char text[8192];
    int         code = run(b->arguments, .ranks = ranks, .before = b->before);
    const char *err  = text_of("err");
    text[0]          = 0;
    if (code != b->code)
        snprintf(text, sizeof text, "expected the exit code %d, found %d", b->code, code);
    else if (count_of(err, "lockstep: error:") != 1)
        snprintf(text, sizeof text, "expected one message, found %d", count_of(err, "lockstep: error:"));
    else if (!strstr(err, b->part) || (b->part2 && !strstr(err, b->part2)))
        snprintf(text, sizeof text, "expected '%s' and '%s' in the message", b->part, b->part2 ? b->part2 : "");
    else if (strstr(err, "Segmentation") || strstr(err, "AddressSanitizer") || strstr(err, "runtime error"))
        snprintf(text, sizeof text, "the program crashed");
    else if (exists("runs") || exists("made"))
        snprintf(text, sizeof text, "the program left a folder behind"); /* the run did not start */
    else if (system("test -z \"$(find . -name '*tmp*' -o -name '*.part' -o -name '.step-*')\"") != 0)
        snprintf(text, sizeof text, "the program left a partial file behind");
    size_t used = strlen(text);
    if (used) snprintf(text + used, sizeof text - used, "\n%.4000s", err);
    return text;
}

/* Runs one case, prints a deviation, and removes the created files.  Returns whether the case passed. */
static bool check(const bad *b, int ranks)
{
    const char *wrong = deviation(b, ranks);
    if (*wrong) print_error("%s, %s: %s\n", b->name, ranks ? "2 ranks" : "no mpirun", wrong);
    assert_int_equal(system("rm -rf r*.yaml full diverged runs made"), 0);
    return !*wrong;
}

static void alone(void **state)
{
    int wrong = 0;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) wrong += !check(&table[i], 0);
    assert_int_equal(wrong, 0);
}

static void on_two_ranks(void **state)
{
    int wrong = 0;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (!table[i].serial) wrong += !check(&table[i], 2);
    assert_int_equal(wrong, 0);
}

/* ---- errors on one rank ------------------------------------------------------------------------------------------ */

static const bad on_ranks[] = {
    {"a recipe that one rank does not have",
     "test $OMPI_COMM_WORLD_RANK = 0 && printf 'model: {name: lenet5}\\n' > r.0.yaml;",
     "train ./r.$OMPI_COMM_WORLD_RANK.yaml " SMALL, 2, "rank 1", "r.1.yaml"},
    {"recipes that differ", "", "train lenet5-digits " SMALL "optim.lr=0.$((OMPI_COMM_WORLD_RANK + 1))", 4,
     "the ranks do not agree on recipe", "hint"},
    {"a value that is wrong on one rank", "",
     "train lenet5-digits " SMALL "train.batch=$((OMPI_COMM_WORLD_RANK * 100))", 2, "rank 0", "train.batch"},
    {"data that one rank does not find", "test $OMPI_COMM_WORLD_RANK = 1 && cd idx-none;",
     "train lenet5-digits train.batch=16 data.path=./truncated/../good", 3, "rank 1", "good"},
    {"an instruction set that one rank does not know", "test $OMPI_COMM_WORLD_RANK = 1 && export LOCKSTEP_ISA=v9;",
     "train lenet5-digits " SMALL, 4, "rank 1", "v9"},
    {"an option that one rank does not know", "test $OMPI_COMM_WORLD_RANK = 1 && set -- --frehs;",
     "train lenet5-digits \"$@\"", 2, "--frehs", "--fresh"},
};

static void one_rank_only(void **state)
{
    int wrong = 0;
    for (size_t i = 0; i < sizeof on_ranks / sizeof *on_ranks; i++) wrong += !check(&on_ranks[i], 2);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alone),
        cmocka_unit_test(on_two_ranks),
        cmocka_unit_test(one_rank_only),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
