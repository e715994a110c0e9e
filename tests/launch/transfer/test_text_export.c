/* SPDX-License-Identifier: Apache-2.0
 * labels: io mpi
 * `lockstep ckpt export` of language models: a folder of transformers comes out as it went in, a run that began with
 * one has its other files, and what does not fit is refused. */
#include "core/core.h"
#include "dist/dist.h"
#include "dist/interop/tensor_set.h"
#include "tests/launch/run_program.h"

#define DECODERS LOCKSTEP_SOURCE "/tests/golden/decoders/"

/* Copies a folder, and gives it a tokenizer of single characters, a chat template and the tokens that end a text. */
static void make_folder(const char *name, const char *to)
{
    char command[512];
    snprintf(command, sizeof command,
             "cp -r " DECODERS "%s %s && chmod -R u+w %s && cp data/tokenizer.json %s && echo '{\"eos_token_id\": [2, "
             "3]}' > %s/generation_config.json && echo 'a template' > %s/chat_template.jinja",
             name, to, to, to, to, to);
    assert_int_equal(system(command), 0);
}

static int set_up(void **state)
{
    (void)state;
    folder_enter();
    FILE *f = fopen("text", "w");
    for (int i = 0; i < 3000; i++) fputc(i % 36 < 26 ? 'a' + i * 7 % 26 : '0' + i % 10, f);
    fclose(f);
    return run("data import text text data --tokenizer chars");
}

static int tear_down(void **state)
{
    (void)state;
    folder_leave();
    return 0;
}

static void compare_weights(const char *a, const char *b)
{
    ls_tensor_set x, y;
    assert_int_equal(ls__tensor_set_open(&x, a), LS_OK);
    assert_int_equal(ls__tensor_set_open(&y, b), LS_OK);
    assert_int_equal(x.count, y.count);
    for (int i = 0; i < x.count; i++) {
        const ls_stored *e = x.stored[i], *f = ls__tensor_set_find(&y, e->name);
        float            v[4096], w[4096];
        assert_non_null(f);
        assert_string_equal(e->type->name, f->type->name);
        assert_int_equal(e->rank, f->rank);
        assert_memory_equal(e->dim, f->dim, (size_t)e->rank * sizeof *e->dim);
        assert_in_range(e->numel, 1, 4096);
        assert_int_equal(ls__stored_read(e, 0, e->numel, v), LS_OK);
        assert_int_equal(ls__stored_read(f, 0, e->numel, w), LS_OK);
        assert_memory_equal(v, w, (size_t)e->numel * sizeof *v);
    }
    ls__tensor_set_close(&x);
    ls__tensor_set_close(&y);
}

static void a_folder_comes_out_as_it_went_in(void **state)
{
    static const char *const names[] = {"llama",   "llama3", "mistral", "qwen2", "qwen3",
                                        "smollm3", "gemma",  "gemma2",  "gemma3"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char command[256], in[32], out[32];
        snprintf(in, sizeof in, "in-%s", names[i]);
        snprintf(out, sizeof out, "out-%s", names[i]);
        make_folder(names[i], in);
        snprintf(command, sizeof command, "ckpt export %s %s --dtype same", in, out);
        assert_int_equal(run(command), 0);
        compare_weights(in, out);
        snprintf(command, sizeof command, "diff -r -x model.safetensors %s %s", in, out);
        assert_int_equal(system(command), 0);
    }
    assert_int_equal(run("ckpt export in-llama float"), 0);
    assert_int_equal(system("grep -q '\"dtype\": \"float32\"' float/config.json"), 0);
    assert_int_equal(run("ckpt export float again --dtype bfloat16"), 0);
    compare_weights("in-llama", "again");
}

static void a_run_has_the_files_of_its_folder(void **state)
{
    (void)state;
    make_folder("qwen3", "qwen");
    FILE *f = fopen("tune.yaml", "w");
    fputs("data: {path: data, context: 16}\nmodel: {pretrained: qwen}\ntrain: {batch: 4, epochs: 0, max_steps: 3}\n"
          "optim: {name: adamw, lr: 0.01}\n",
          f);
    fclose(f);
    assert_int_equal(run("train tune.yaml run.dir=r", .ranks = 2), 0);
    assert_int_equal(run("train tune.yaml run.dir=alone"), 0);
    assert_int_equal(system("cmp r/model.safetensors alone/model.safetensors"), 0);
    assert_int_equal(system("cmp r/generation_config.json qwen/generation_config.json && cmp r/chat_template.jinja "
                            "qwen/chat_template.jinja && grep -q '\"model_type\": \"qwen3\"' r/config.json"),
                     0);
    assert_int_equal(run("ckpt export r tuned"), 0);
    compare_weights("r/model.safetensors", "tuned");
    assert_int_equal(run("generate tuned --prompt abc --max-tokens 5 --temperature 0"), 0);
    assert_int_equal(system("cp out text-of-export"), 0);
    assert_int_equal(run("generate r --prompt abc --max-tokens 5 --temperature 0", .ranks = 3), 0);
    assert_int_equal(system("cmp out text-of-export"), 0);
}

static void mistakes_are_named(void **state)
{
    static const struct {
        const char *arguments;
        int         code;
        const char *says;
    } table[] = {
        {"ckpt export in-llama out-llama", 2, "out-llama: exists already"},
        {"ckpt export in-llama o --dtype int8", 2, "--dtype: expected same, float32, bfloat16 or float16"},
        {"ckpt export large o --dtype float16", 2, "float16 ends at 65504, and a parameter has the value 70144"},
        {"generate in-llama --chat --prompt abc", 3, "chat_template.jinja: its chat template"},
        {"generate in-llama --template none --prompt abc", 2, "--template: expected one of smollm2, "},
        {"generate in-llama --chat", 2, "--chat: expected a --prompt or --prompt-file"},
        {"generate in-llama --system abc --prompt abc", 2, "--system: expected --chat or --template as well"},
        {"generate in-llama --prompt abc --repetition-penalty 0", 2, "repetition-penalty"},
    };
    (void)state;
    /* The last value of the file becomes 70144, in bfloat16. */
    assert_int_equal(system("cp -r in-llama large && printf '\\211\\107' | dd of=large/model.safetensors bs=1 "
                            "seek=$(($(stat -c %s large/model.safetensors) - 2)) conv=notrunc 2> dd"),
                     0);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char command[256];
        assert_int_equal(run(table[i].arguments), table[i].code);
        assert_int_not_equal(access("o", F_OK), 0); /* nothing incomplete is left */
        snprintf(command, sizeof command, "grep -qF -e '%s' err || { cat err; false; }", table[i].says);
        assert_int_equal(system(command), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_folder_comes_out_as_it_went_in),
                                       cmocka_unit_test(a_run_has_the_files_of_its_folder),
                                       cmocka_unit_test(mistakes_are_named)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
