/* SPDX-License-Identifier: Apache-2.0
 * labels: io mpi
 * timeout: 300
 * A small GPT by command line: equal digests on any number of ranks, with dropout; export and import of Hugging Face
 * folders; `lockstep explain`. */
#include "tests/launch/train_runs.h"

#define GPT "train ./gpt.yaml "

static int prepare(void **state)
{
    folder_enter();
    FILE *text = fopen("text.txt", "w"), *recipe = fopen("gpt.yaml", "w");
    for (int i = 0; i < 40; i++)
        fprintf(text, "%d green bottles hanging on the wall, and if one green bottle should fall\n", 99 - i);
    fclose(text);
    fputs("data: {path: ./data}\n"
          "model: {name: gpt, options: {layers: 3, heads: 2, width: 16, context: 16, dropout: 0.1}}\n"
          "train: {batch: 8, max_steps: 6}\noptim: {name: adamw, lr: 0.01}\nlog: {every: 1}\n",
          recipe);
    fclose(recipe);
    return run("data import text text.txt data");
}

static void equal_digests_on_any_number_of_ranks(void **state)
{
    assert_int_equal(run(GPT "run.dir=one"), 0);
    char *one = digests_of("one");
    assert_true(count_of(one, ":") == 6);
    for (int ranks = 2; ranks <= 3; ranks++) {
        assert_int_equal(run(GPT "run.dir=many --fresh", .ranks = ranks, .threads = 4 - ranks), 0);
        char *many = digests_of("many");
        assert_string_equal(many, one);
        free(many);
    }
    assert_int_equal(run(GPT "run.dir=one.again model.options.dropout=0"), 0);
    char *other = digests_of("one.again");
    assert_string_not_equal(other, one);
    free(other);
    free(one);
}

/* v3 and the highest level give equal digests, and a run may change from one to the other.  A run that changes from v2
 * warns. */
static void levels_with_equal_digests(void **state)
{
    if (run(GPT "run.dir=v3", .before = "export LOCKSTEP_ISA=v3;") == 4) skip(); /* not supported by this processor */
    char *best = digests_of("one"), *v3 = digests_of("v3");
    assert_string_equal(v3, best);
    assert_int_equal(run(GPT "run.dir=mixed train.max_steps=3", .before = "export LOCKSTEP_ISA=v3;"), 0);
    assert_int_equal(run(GPT "run.dir=mixed"), 0);
    assert_non_null(strstr(text_of("err"), "continues after step 3"));
    assert_null(strstr(text_of("err"), "instruction set"));
    char *mixed = digests_of("mixed");
    assert_string_equal(mixed, best);
    assert_int_equal(run(GPT "run.dir=v2 train.max_steps=3", .before = "export LOCKSTEP_ISA=v2;"), 0);
    assert_int_equal(run(GPT "run.dir=v2"), 0);
    assert_non_null(strstr(text_of("err"), "but started with v2"));
    free(best);
    free(v3);
    free(mixed);
}

static void run_directory_is_a_hugging_face_folder(void **state)
{
    const char *config = text_of("one/config.json");
    assert_non_null(strstr(config, "\"GPT2LMHeadModel\""));
    assert_non_null(strstr(config, "\"n_layer\": 3"));
    assert_non_null(strstr(config, "\"n_positions\": 16"));
    assert_non_null(strstr(config, "\"embd_pdrop\": 0.1,"));
    /* The learning rate is too small to change a parameter, so that the digest is that of the pretrained model. */
    assert_int_equal(run(GPT "run.dir=start model.pretrained=./one optim.name=sgd optim.lr=1e-30", .ranks = 2), 0);
    char *digests = digests_of("one"), *last = strrchr(digests, ':');
    assert_non_null(last);
    last[17] = 0; /* "6:e33fa10f9cef1978 " */
    assert_non_null(strstr(text_of("out"), last + 1));
    free(digests);
}

static void a_folder_of_another_model(void **state)
{
    assert_int_equal(run(GPT "run.dir=other model.pretrained=./one model.options.layers=2 model.options.heads=4"), 3);
    const char *says = text_of("err");
    assert_non_null(strstr(
        says,
        "one/config.json: it is of another model: n_layer is 3, the model's is 2; n_head is 2, the model's is 4"));
    assert_non_null(strstr(says, "hint: make the model with {layers: 3, heads: 2}"));
    assert_int_equal(unlink("one/config.json"), 0);
    assert_int_equal(run(GPT "run.dir=other model.pretrained=./one model.options.layers=2"), 3);
    assert_non_null(strstr(text_of("err"), "12 tensors are not in the model: transformer.h.2."));
    assert_false(exists("other"));
}

/* A vocabulary of the same size with other tokens. */
static void a_folder_of_another_tokenizer(void **state)
{
    assert_int_equal(run("data train-tokenizer --vocabulary 264 gpt.yaml other-tokens"), 0);
    assert_int_equal(run("data import text text.txt apart --tokenizer other-tokens"), 0);
    assert_int_equal(run("data import text text.txt own --vocab 264"), 0);
    assert_int_equal(run(GPT "data.path=./own run.dir=first train.max_steps=1 train.epochs=0"), 0);
    assert_int_equal(run(GPT "data.path=./apart run.dir=second model.pretrained=./first", .ranks = 2), 3);
    assert_non_null(strstr(text_of("err"), "./first: the tokenizer has 264 tokens"));
    assert_non_null(strstr(text_of("err"), "--tokenizer ./first`"));
    assert_false(exists("second"));
    assert_int_equal(run("data import text text.txt apart --tokenizer ./first"), 0);
    assert_int_equal(run(GPT
                         "data.path=./apart run.dir=second model.pretrained=./first train.max_steps=1 train.epochs=0",
                         .ranks = 2),
                     0);
}

static void explain_prints_the_model(void **state)
{
    assert_int_equal(run("explain ./gpt.yaml --ranks 2"), 0);
    const char              *says    = text_of("out");
    static const char *const parts[] = {"transformer.h.0.attn.c_attn", "2 more, to transformer.h.2", "attention stores",
                                        "the loss computes its logits in pieces"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!strstr(says, parts[i])) fail_msg("explain does not print '%s'", parts[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_digests_on_any_number_of_ranks),   cmocka_unit_test(levels_with_equal_digests),
        cmocka_unit_test(run_directory_is_a_hugging_face_folder), cmocka_unit_test(a_folder_of_another_model),
        cmocka_unit_test(a_folder_of_another_tokenizer),          cmocka_unit_test(explain_prints_the_model)};
    return cmocka_run_group_tests(tests, prepare, tear_down);
}
