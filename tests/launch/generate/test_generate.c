/* SPDX-License-Identifier: Apache-2.0 */
/* labels: mpi */
/* lockstep generate: the text is the same on any number of ranks and threads, with and without the cache, and beyond
 * the model's context; invalid input is refused. */
#include "tests/launch/run_program.h"

static char *read_all(const char *path)
{
    FILE *f    = fopen(path, "r");
    char *text = calloc(1, 1 << 16);
    assert_non_null(f);
    assert_true(fread(text, 1, (1 << 16) - 1, f) > 0);
    fclose(f);
    return text;
}

static void expect_text(const char *expected)
{
    char *text = read_all("out");
    assert_string_equal(text, expected);
    free(text);
}

static void expect_error(const char *part)
{
    char *text = read_all("err");
    if (!strstr(text, part)) fail_msg("expected '%s' in: %s", part, text);
    free(text);
}

/* Trains a small model on one sentence, repeated. */
static int set_up(void **state)
{
    (void)state;
    folder_enter();
    FILE *f = fopen("text", "w");
    for (int i = 0; i < 400; i++) fputs("the quick brown fox jumps over the lazy dog. ", f);
    fclose(f);
    f = fopen("small.yaml", "w");
    fputs(
        "data: {path: data, context: 48}\nmodel: {name: gpt, options: {layers: 1, heads: 2, width: 32, context: 48}}\n"
        "train: {batch: 16, max_steps: 250, epochs: 0}\noptim: {name: adamw, lr: 0.01}\nschedule: {name: cosine, "
        "warmup: 20}\n",
        f);
    fclose(f);
    return run("data import text text data --tokenizer chars") || run("train small.yaml run.dir=r");
}

static int tear_down(void **state)
{
    (void)state;
    folder_leave();
    return 0;
}

#define GREEDY "generate r --prompt 'the quick' --max-tokens 150 --temperature 0"
#define SAMPLED                                                                                                        \
    "generate r --prompt 'the quick brown fox jumps over the lazy ' --max-tokens 150 --seed 5 --temperature 1.5 "      \
    "--top-k 8"

static void test_ranks_threads_and_cache(void **state)
{
    static const char *const commands[] = {GREEDY, SAMPLED};
    (void)state;
    for (int i = 0; i < 2; i++) {
        char without[512];
        assert_int_equal(run(commands[i]), 0);
        char *text = read_all("out");
        snprintf(without, sizeof without, "%s --no-cache", commands[i]);
        assert_int_equal(run(without), 0);
        expect_text(text);
        assert_int_equal(run(commands[i], .threads = 3), 0);
        expect_text(text);
        assert_int_equal(run(commands[i], .ranks = 2), 0);
        expect_text(text);
        free(text);
    }
}

static void test_training_text(void **state)
{
    (void)state;
    assert_int_equal(run("generate r --prompt 'the quick' --max-tokens 36 --temperature 0"), 0);
    expect_text("the quick brown fox jumps over the lazy dog. \n");
}

/* A tokenizer of words: the end of a line does not end the text. */
static void test_lines_of_words(void **state)
{
    (void)state;
    FILE *f = fopen("lines", "w");
    for (int i = 0; i < 400; i++) fputs("the quick brown fox\njumps over the lazy dog\n", f);
    fclose(f);
    assert_int_equal(run("data import text lines words --tokenizer words"), 0);
    assert_int_equal(run("train small.yaml data.path=words run.dir=w train.max_steps=60"), 0);
    assert_int_equal(run("generate w --prompt 'the quick' --max-tokens 12 --temperature 0"), 0);
    expect_text("the quick brown fox \njumps over the lazy dog \nthe quick brown \n");
}

static void test_seeds_and_ids(void **state)
{
    (void)state;
    assert_int_equal(run("generate r --prompt 'the' --temperature 3 --seed 1"), 0);
    char *one = read_all("out");
    assert_int_equal(run("generate r --prompt 'the' --temperature 3 --seed 2"), 0);
    char *two = read_all("out");
    assert_string_not_equal(one, two);
    free(one);
    free(two);
    assert_int_equal(run("generate r --prompt 'the' --max-tokens 2 --temperature 0 --ids"), 0);
    char *ids = read_all("out");
    int   a, b, c, d, e;
    assert_int_equal(sscanf(ids, "%d %d %d %d %d", &a, &b, &c, &d, &e), 5);
    free(ids);
}

static void test_bad_input(void **state)
{
    static const struct {
        const char *arguments;
        int         code;
        const char *message;
    } table[] = {
        {"generate r --prompt 'the quick brown fox jumps over the lazy dog. the quick'", 2,
         "the prompt has 54 tokens, more than the model's context of 48"},
        {"generate r --prompt 'THE'", 3, "U+0054"},
        {"generate r --prompt-file nothing", 2, "nothing: cannot be read"},
        {"generate r --prompt-file r", 2, "expected a regular file of at most"},
        {"generate r --prompt-file pipe", 2, "expected a regular file of at most"},
        {"generate r --prompt a --prompt-file text", 2, "found both"},
        {"generate r --top-p 2", 2, "--top-p: expected a number from 0 to 1, found '2'"},
        {"generate r --temperature x", 2, "--temperature: expected a number"},
        {"generate r --max-tokens 0", 2, "--max-tokens: expected a whole number"},
        {"generate nothing", 2, "expected the folder of a run"},
        {"predict r x.png", 2, "a model for language modelling makes no predictions"},
    };
    (void)state;
    assert_int_equal(mkfifo("pipe", 0600), 0); /* generate must not block on a pipe */
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        int code = run(table[i].arguments);
        if (code != table[i].code)
            fail_msg("`%s` exited with %d, expected %d", table[i].arguments, code, table[i].code);
        expect_error(table[i].message);
    }
    assert_int_equal(run("generate r --prompt 'THE'", .ranks = 2), 3);
}

/* Without a prompt the text begins with token 0, because this tokenizer has neither a newline nor <|endoftext|>. */
static void test_without_a_prompt(void **state)
{
    (void)state;
    assert_int_equal(run("generate r --prompt '' --max-tokens 5 --temperature 0", .ranks = 2), 0);
    char *text = read_all("out");
    assert_int_equal(strlen(text), 6);
    assert_int_equal(run("generate r --max-tokens 5 --temperature 0"), 0);
    expect_text(text);
    free(text);
}

static void test_missing_or_wrong_tokenizer(void **state)
{
    (void)state;
    assert_int_equal(system("cp -r r lost && rm lost/tokenizer.json && cp -r r other"), 0);
    for (int ranks = 0; ranks < 3; ranks += 2) {
        assert_int_equal(run("generate lost --prompt the", .ranks = ranks), 3);
        expect_error("lost: expected a tokenizer.json beside data.json, found none\n  hint: copy the tokenizer.json");
    }
    assert_int_equal(run("generate lost --prompt the", .before = "rm lost/data.json; mkfifo lost/data.json;"), 3);
    expect_error("lost/data.json: expected a file\n");
    assert_int_equal(run("data train-tokenizer --kind chars --end text other"), 0);
    assert_int_equal(run("generate other --prompt the"), 3);
    expect_error("other/tokenizer.json: is not the tokenizer of the dataset in this folder");
}

/* generate reads a folder in the format of Hugging Face, here the files that a run exports. */
static void test_hugging_face_folder(void **state)
{
    static const struct {
        const char *change, *message;
    } table[] = {
        {"rm hf/tokenizer.json; mkfifo hf/tokenizer.json", "hf/tokenizer.json: expected a file"},
        {"rm hf/tokenizer.json", "expected tokenizer.json, or vocab.json and merges.txt, found neither"},
        {"rm hf/model.safetensors", "expected a folder with model.safetensors"},
        {"printf '\\000\\000\\300\\177' | dd of=hf/model.safetensors bs=1 seek=$(($(stat -c %s hf/model.safetensors) - "
         "4)) conv=notrunc 2> dd",
         "hf: 1 of the 32 values of 'transformer.ln_f.bias' are infinite or NaN"},
        {"echo '{' > hf/config.json", "hf/config.json:2:0: expected JSON"},
        {"echo '{\"model_type\": \"mamba\"}' > hf/config.json",
         "hf/config.json: model_type: expected one of gpt2, lockstep_gpt, llama, mistral, "},
        {"echo '{\"model_type\": \"llama\"}' > hf/config.json",
         "hf/config.json: vocab_size: expected a whole number from 1 to 2147483647, found nothing"},
        {"sed -i s/gelu_new/relu/ hf/config.json", "activation_function is \"relu\""},
        {"sed -i 's/n_layer\": 1/n_layer\": \"1\"/' hf/config.json",
         "n_layer: expected a whole number from 1 to 2147483647, found \"1\""},
        {"sed -i 's/n_layer\": 1/n_layer\": 100000000/' hf/config.json", "hf/config.json: gpt.c:"},
        {"sed -i 's/n_head\": 2/n_head\": 3/' hf/config.json", "a width that is a multiple of heads"},
        {"sed -i 's/n_positions\": 48/n_positions\": 2147483647/' hf/config.json",
         "parameters, but the safetensors files have"},
        {"sed -i 's/n_positions\": 48/n_positions\": 49/' hf/config.json",
         "'transformer.wpe.weight' is 48 x 32, the model's is 49 x 32"},
        {"sed -i 's/\"norm\": \"layer\"/\"norm\": \"x, dropout: 1\"/' hf/config.json",
         "norm: expected one of layer, rms, rms_plus_one, found 'x, dropout: 1'"},
        {"sed -i 's/vocab_size\": 28/vocab_size\": 1048577/' hf/config.json", "tokens, found 1048577"},
        {"seq 100 > many && $P data train-tokenizer --kind chars many hf",
         "hf: the tokenizer has 11 tokens, but the model's vocabulary (config.json) has 28"},
    };
    (void)state;
    assert_int_equal(run(GREEDY), 0);
    char *text = read_all("out");
#define COPY "rm -rf hf; mkdir hf; cp r/config.json r/model.safetensors r/tokenizer.json hf; "
    assert_int_equal(run("generate hf --prompt 'the quick' --max-tokens 150 --temperature 0", .before = COPY), 0);
    expect_text(text);
    assert_int_equal(run("generate hf --prompt 'the quick' --max-tokens 150 --temperature 0 --no-cache", .ranks = 2),
                     0);
    expect_text(text);
    free(text);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char before[512];
        snprintf(before, sizeof before, COPY "%s;", table[i].change);
        int code = run("generate hf --prompt 'the'", .before = before);
        if (code != 3) fail_msg("after `%s` generate exited with %d, expected 3", table[i].change, code);
        expect_error(table[i].message);
    }
    assert_int_equal(run("generate hf --prompt 'the'", .ranks = 2), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ranks_threads_and_cache),
                                       cmocka_unit_test(test_training_text),
                                       cmocka_unit_test(test_lines_of_words),
                                       cmocka_unit_test(test_seeds_and_ids),
                                       cmocka_unit_test(test_bad_input),
                                       cmocka_unit_test(test_without_a_prompt),
                                       cmocka_unit_test(test_missing_or_wrong_tokenizer),
                                       cmocka_unit_test(test_hugging_face_folder)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
