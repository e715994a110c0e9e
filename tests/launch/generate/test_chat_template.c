/* SPDX-License-Identifier: Apache-2.0
 * launch/generate/chat_template.h: the texts that the published templates give, as Jinja renders them, and templates
 * that are recognised or refused; launch/generate/stop_tokens.h. */
#include "launch/generate/chat_template.h"
#include "launch/generate/stop_tokens.h"
#include "tests/datasets/dataset_files_for_tests.h"
#include "tests/unit.h"

#define IM(role, text) "<|im_start|>" role "\n" text "<|im_end|>\n"
#define L3(role, text) "<|start_header_id|>" role "<|end_header_id|>\n\n" text "<|eot_id|>"
#define DATES "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"
#define USER " Hello there "

static const struct {
    const char *name, *plain, *with_system; /* the system turn is " Be brief. "; NULL: refused */
} rendered[] = {
    {"smollm2",
     IM("system", "You are a helpful AI assistant named SmolLM, trained by Hugging Face")
         IM("user", USER) "<|im_start|>assistant\n",
     IM("system", " Be brief. ") IM("user", USER) "<|im_start|>assistant\n"},
    {"qwen2.5",
     IM("system", "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.")
         IM("user", USER) "<|im_start|>assistant\n",
     IM("system", " Be brief. ") IM("user", USER) "<|im_start|>assistant\n"},
    {"qwen3", IM("user", USER) "<|im_start|>assistant\n",
     IM("system", " Be brief. ") IM("user", USER) "<|im_start|>assistant\n"},
    {"llama3", "<|begin_of_text|>" L3("user", "Hello there") "<|start_header_id|>assistant<|end_header_id|>\n\n",
     "<|begin_of_text|>" L3("system", "Be brief.")
         L3("user", "Hello there") "<|start_header_id|>assistant<|end_header_id|>\n\n"},
    {"llama3.1",
     "<|begin_of_text|>" L3("system", DATES)
         L3("user", "Hello there") "<|start_header_id|>assistant<|end_header_id|>\n\n",
     "<|begin_of_text|>" L3("system", DATES "Be brief.")
         L3("user", "Hello there") "<|start_header_id|>assistant<|end_header_id|>\n\n"},
    {"gemma", "<bos><start_of_turn>user\nHello there<end_of_turn>\n<start_of_turn>model\n", NULL},
    {"gemma3", "<bos><start_of_turn>user\nHello there<end_of_turn>\n<start_of_turn>model\n",
     "<bos><start_of_turn>user\n Be brief. \n\nHello there<end_of_turn>\n<start_of_turn>model\n"},
    {"phi3", "<|user|>\n Hello there <|end|>\n<|assistant|>\n",
     "<|system|>\n Be brief. <|end|>\n<|user|>\n Hello there <|end|>\n<|assistant|>\n"},
};

static void texts_of_conversations(void **state)
{
    char      known[256];
    ls_arena *memory;
    assert_ok(ls_arena_new(&memory, "test"));
    for (size_t i = 0; i < sizeof rendered / sizeof *rendered; i++) {
        const ls_chat_template *t = ls_chat_template_named(rendered[i].name, known);
        assert_non_null(t);
        assert_string_equal(ls_chat_prompt(t, NULL, USER, memory), rendered[i].plain);
        const char *text = ls_chat_prompt(t, " Be brief. ", USER, memory);
        if (rendered[i].with_system)
            assert_string_equal(text, rendered[i].with_system);
        else
            assert_null(text);
    }
    assert_null(ls_chat_template_named("none", known));
    assert_string_equal(known, "smollm2, qwen2.5, qwen3, llama3, llama3.1, gemma, gemma3, phi3");
    ls_arena_free(memory);
}

static void write_file(const char *name, const char *text)
{
    FILE *f = fopen(name, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void templates_are_recognised_by_their_text(void **state)
{
    static const char gemma[] =
        "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% "
        "endif %}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ "
        "raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if "
        "(message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif "
        "%}{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}{% if "
        "add_generation_prompt %}{{'<start_of_turn>model\n'}}{% endif %}\n";
    char                    folder[FILES_PATH], path[FILES_PATH + 32], config[FILES_PATH + 32];
    const ls_chat_template *t = NULL;
    folder_make(folder);
    snprintf(path, sizeof path, "%s/chat_template.jinja", folder);
    snprintf(config, sizeof config, "%s/tokenizer_config.json", folder);
    assert_fails(ls_chat_template_of(folder, &t), LS_ERR_DATA, "expected chat_template.jinja, or chat_template in");
    write_file(path, gemma);
    assert_ok(ls_chat_template_of(folder, &t));
    assert_string_equal(t->name, "gemma");
    write_file(path, "{{ messages }}");
    assert_fails(ls_chat_template_of(folder, &t), LS_ERR_DATA, "is none of those that are known: smollm2, ");
    unlink(path);
    write_file(config, "{\"chat_template\": \"{{ messages }}\"}");
    assert_fails(ls_chat_template_of(folder, &t), LS_ERR_DATA, "tokenizer_config.json: its chat template");
    write_file(config, "{");
    assert_fails(ls_chat_template_of(folder, &t), LS_ERR_DATA, "expected JSON");
    write_file(config, "{\"chat_template\": [1]}");
    assert_fails(ls_chat_template_of(folder, &t), LS_ERR_DATA, "found neither");
    folder_remove(folder);
}

static void tokens_that_end_a_text(void **state)
{
    static const struct {
        const char *generation, *config; /* NULL: no such file */
        int         count;
        int32_t     first;
        const char *says;
    } table[] = {
        {NULL, NULL, 0, 0, NULL},
        {NULL, "{\"eos_token_id\": 7}", 1, 7, NULL},
        {"{\"eos_token_id\": [5, 6]}", "{\"eos_token_id\": 7}", 2, 5, NULL},
        {"{\"eos_token_id\": null}", "{\"eos_token_id\": 7}", 1, 7, NULL},
        {"{\"eos_token_id\": \"x\"}", NULL, 0, 0, "eos_token_id: expected a token, or a list of at most 16"},
        {"{\"eos_token_id\": [-1]}", NULL, 0, 0, "eos_token_id: expected a token"},
        {"[", NULL, 0, 0, "expected JSON"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char           folder[FILES_PATH], path[FILES_PATH + 32];
        ls_stop_tokens stop;
        folder_make(folder);
        snprintf(path, sizeof path, "%s/generation_config.json", folder);
        if (table[i].generation) write_file(path, table[i].generation);
        snprintf(path, sizeof path, "%s/config.json", folder);
        if (table[i].config) write_file(path, table[i].config);
        if (table[i].says) {
            assert_fails(ls_stop_tokens_read(folder, &stop), LS_ERR_DATA, table[i].says);
        } else {
            assert_ok(ls_stop_tokens_read(folder, &stop));
            assert_int_equal(stop.count, table[i].count);
            if (stop.count) assert_int_equal(stop.id[0], table[i].first);
        }
        folder_remove(folder);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(texts_of_conversations),
                                       cmocka_unit_test(templates_are_recognised_by_their_text),
                                       cmocka_unit_test(tokens_that_end_a_text)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
