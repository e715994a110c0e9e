/* SPDX-License-Identifier: Apache-2.0
 * labels: io
 * Tokenizer files: a saved tokenizer loads again, and each malformed file has its message. */
#include "datasets/tokenizer/tokenizer_spaced.h"
#include "tests/datasets/dataset_files_for_tests.h"
#include "tests/unit.h"

static char root[FILES_PATH], *good; /* a tokenizer.json: bytes, aa, bb, " bb", <|endoftext|> */

static ls_tokenizer *learn(ls_tokenizer_kind kind, int32_t size, const char *text, size_t bytes)
{
    char          path[FILES_PATH + 16];
    const char   *file = path;
    ls_tokenizer *t;
    snprintf(path, sizeof path, "%s/text", root);
    file_write(path, text, bytes);
    assert_ok(ls_tokenizer_train(&t, .kind = kind, .size = size, .files = 1, .file = &file, .end = true));
    return t;
}

static const char *at_root(const char *name)
{
    static char ring[4][FILES_PATH + 64];
    static int  turn;
    turn = (turn + 1) % 4;
    snprintf(ring[turn], sizeof ring[turn], "%s/%s", root, name);
    return ring[turn];
}

static int setup(void **state)
{
    static const char text[] = "aaaa bbbb\naaaa bbbb\naaaa bbbb\n";
    folder_make(root);
    ls_tokenizer *t = learn(LS_TOKENIZER_BPE, 260, text, sizeof text - 1);
    assert_ok(ls_tokenizer_save(t, at_root("good")));
    ls_tokenizer_free(t);
    good = calloc(1, 1 << 16);
    assert_in_range(file_read(at_root("good/tokenizer.json"), good, 1 << 16), 1000, (1 << 16) - 1);
    return 0;
}

static int teardown(void **state)
{
    folder_remove(root);
    free(good);
    return 0;
}

/* The good file with one text replaced, once. */
static char *changed(const char *text, const char *from, const char *to)
{
    char       *out = malloc(strlen(text) + strlen(to) + 1);
    const char *at  = strstr(text, from);
    if (!at) fail_msg("'%s' is not in the tokenizer.json: %s", from, text);
    sprintf(out, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    return out;
}

static void check_refused(const char *path, const char *part)
{
    ls_tokenizer *t      = NULL;
    ls_status     status = ls_tokenizer_load(&t, path);
    if (status == LS_OK) fail_msg("expected '%s', and it loads", part);
    assert_int_equal(status, LS_ERR_DATA);
    const char *message = ls_error_message();
    if (!strstr(message, part)) fail_msg("'%s' is not in: %s", part, message);
    if (!strstr(message, path)) fail_msg("'%s' is not in: %s", path, message);
}

#define TEMPLATE(piece, tokens)                                                                                        \
    "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[" piece "],\"special_tokens\":" tokens "}"

static const struct {
    const char *from, *to, *part;
} wrong_json[] = {
    {"\"aa\":256", "\"aa\":257", "the tokens 'aa' and 'bb' both have the id 257"},
    {"\"aa\":256", "\"aa\":300", "token 'aa': id: expected 0 to 259, because there are 260 tokens, found 300"},
    {"\"aa\":256", "\"aa\":-1", "token 'aa': id: expected 0 to 259, because there are 260 tokens, found -1"},
    {"\"aa\":256", "\"aa\":9223372036854775807", "found 9223372036854775807"},
    {"\"aa\":256", "\"aa\":99999999999999999999", "expected JSON"},
    {"\"aa\":256", "\"aa\":2.5", "token 'aa': id: expected a number, found a number with a fraction"},
    {"\"aa\":256", "\"aa\":null", "found null"},
    {"\"aa\":256", "\"aa\":256,\"aa\":256", "expected JSON: duplicate"},
    {"\"aa\":256", "\"\":256", "token 256: expected text, found nothing"},
    {"\"aa\":256", "\"a\\u0000\":256", "expected JSON"},
    {"\"aa\":256", "\"a\xff\":256", "expected JSON"},
    {"\"aa\":256,", "", "token '<|endoftext|>': id: expected 0 to 258, because there are 259 tokens, found 259"},
    {"\"unk_token\":null,\"continuing_subword_prefix\":\"\",\"end_of_word_suffix\":\"\",\"fuse_unk\":false,"
     "\"byte_fallback\":false,\"ignore_merges\":false,\"vocab\":{\"!\":0",
     "\"unk_token\":\"aa\",\"vocab\":{\"aaa\":0",
     "the vocabulary has no token for the byte 0x21, and model.unk_token is 'aa'"},
    {"\"\xc4\xa0"
     "bb\":258",
     "\"\xe2\x96\x81"
     "bb\":258",
     "the token '\xc4\xa0"
     "bb'"},
    {"\"aa\":256", "\"\\u001b[31m\":257,\"aa\":256", "'?[31m'"},
    {"\"a a\"", "\"a c\"", "tokenizer.json, merge 1: the token 'ac' is not in the vocabulary"},
    {"\"b b\"", "\"b zz\"", "merge 2: the token 'zz'"},
    {"\"a a\"", "\"aa\"", "merge 1: expected two tokens with one space between them, found 'aa'"},
    {"\"a a\"", "\"a a a\"", "merge 1: expected two tokens with one space"},
    {"\"a a\"", "\" a\"", "merge 1: the token ''"},
    {"\"a a\"", "17", "merge 1: expected two tokens, found a number"},
    {"\"a a\"", "[\"a\"]", "merge 1: expected two tokens, found an array"},
    {"\"a a\"", "\"a a\",\"b b\",\"a a\"", "merges 1 and 3 are the same: 'a a'"},
    {"\"merges\":[\"a a\",", "\"merges\":7,\"other\":[", "model.merges: expected an array, found a number"},
    {"\"vocab\":{", "\"vocab\":7,\"other\":{", "model.vocab: expected an object, found a number"},
    {"\"model\":{", "\"model\":7,\"other\":{", "model: expected an object, found a number"},
    {"\"type\":\"BPE\"", "\"type\":\"Unigram\"", "model.type: expected BPE, found Unigram"},
    {"\"pre_tokenizer\":{\"type\":\"ByteLevel\"", "\"pre_tokenizer\":{\"type\":\"Unigram\"",
     "BertPreTokenizer, or WhitespaceSplit, found Unigram"},
    {"\"pre_tokenizer\":{\"type\":\"ByteLevel\"",
     "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Digits\"},{\"type\":\"ByteLevel\"}]",
     "found Digits, ByteLevel"},
    {"\"pre_tokenizer\":{\"type\":\"ByteLevel\"",
     "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[1,2,{\"type\":\"x\"},3,4]",
     "found a number, a number, x, a number, ..."},
    {"\"pre_tokenizer\":{", "\"pre_tokenizer\":null,\"other\":{", "or WhitespaceSplit, found null"},
    {"\"add_prefix_space\":false", "\"add_prefix_space\":true", "expected add_prefix_space false"},
    {"\"use_regex\":true", "\"use_regex\":false", "expected ByteLevel with use_regex true"},
    {"\"normalizer\":null", "\"normalizer\":{\"type\":\"NFD\"}",
     "normalizer: expected null, Lowercase, NFC, or Replace of newlines"},
    {"\"normalizer\":null",
     "\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\"\\n\"},\"content\":\" <eos> \"}",
     "normalizer: expected Replace of newlines by ' <eos> ' for words that WhitespaceSplit separates"},
    {"\"pre_tokenizer\":{\"type\":\"ByteLevel\"", "\"pre_tokenizer\":{\"type\":\"WhitespaceSplit\"",
     "normalizer: expected Replace of newlines by ' <eos> ' for words that WhitespaceSplit separates"},
    {"\"post_processor\":null",
     "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"A\"}},"
     "{\"Sequence\":{\"id\":\"A\"}}]}",
     "post_processor.single: expected SpecialToken or Sequence with an id and type_id 0 or 1"},
    {"\"post_processor\":null", TEMPLATE("{\"SpecialToken\":{\"id\":\"x\",\"type_id\":0}}", "{}"),
     "post_processor.special_tokens: expected 'x' with its ids, found nothing"},
    {"\"post_processor\":null", TEMPLATE("{\"SpecialToken\":{\"id\":\"x\",\"type_id\":0}}", "{\"x\":{\"ids\":[260]}}"),
     "post_processor: expected the id of a token, 0 to 259, found 260"},
    {"\"post_processor\":null",
     TEMPLATE("{\"SpecialToken\":{\"id\":\"x\",\"type_id\":0}}",
              "{\"x\":{\"ids\":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}}"),
     "post_processor: expected at most 16 tokens around a text"},
    {"\"post_processor\":null", TEMPLATE("{\"Sequence\":{\"id\":\"B\",\"type_id\":0}}", "{}"),
     "post_processor.single: expected the text A, once, found 'B'"},
    {"\"post_processor\":null", "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[]}",
     "post_processor.single: expected the text A, found none"},
    {"\"post_processor\":null", "\"post_processor\":{\"type\":\"BertProcessing\"}",
     "post_processor: expected the id of a token, 0 to 259, found nothing"},
    {"\"post_processor\":null", "\"post_processor\":{\"type\":\"Other\"}",
     "post_processor: expected null, ByteLevel, and one of TemplateProcessing, BertProcessing and "
     "RobertaProcessing, found Other"},
    {"\"decoder\":{\"type\":\"ByteLevel\"", "\"decoder\":{\"type\":\"WordPiece\"",
     "decoder: expected ByteLevel or null, found WordPiece"},
    {"\"byte_fallback\":false", "\"byte_fallback\":true", "model.byte_fallback: expected null, found true"},
    {"\"dropout\":null", "\"dropout\":0.1", "model.dropout: expected null, found a number with a fraction"},
    {"\"end_of_word_suffix\":\"\"", "\"end_of_word_suffix\":\"</w>\"",
     "model.end_of_word_suffix: expected null, found </w>"},
    {"\"lstrip\":false", "\"lstrip\":2", "an added token's 'lstrip': expected true or false, found a number"},
    {"\"special\":true", "\"special\":1", "an added token's 'special': expected true or false, found a number"},
    {"\"id\":259", "\"id\":5",
     "the added token '<|endoftext|>' has the id 5 in added_tokens, and 259 in the vocabulary"},
    {"\"content\":\"<|endoftext|>\"", "\"content\":\"\"", "expected objects with a 'content'"},
    {"\"content\":\"<|endoftext|>\"", "\"content\":\"<|end|>\"", "'<|endoftext|>' and '<|end|>' both have the id 259"},
    {"\"added_tokens\":[", "\"added_tokens\":[7,", "expected objects with a 'content', found a number"},
    {"\"added_tokens\":[", "\"added_tokens\":[{\"id\":259,\"content\":\"<|endoftext|>\"},", "occurs twice"},
    {"\"added_tokens\":[", "\"added_tokens\":[{\"id\":220,\"content\":\"\xc4\xa0\"},",
     "is both an added token and the bytes of another token"},
};

static void test_wrong_json(void **state)
{
    for (size_t i = 0; i < sizeof wrong_json / sizeof *wrong_json; i++) {
        char *text = changed(good, wrong_json[i].from, wrong_json[i].to);
        file_write(at_root("tokenizer.json"), text, strlen(text));
        check_refused(at_root("tokenizer.json"), wrong_json[i].part);
        assert_null(strchr(ls_error_message(), '\x1b'));
        free(text);
    }
    for (size_t n = 0; n < strlen(good) - 1; n += 97) {
        file_write(at_root("tokenizer.json"), good, n);
        check_refused(at_root("tokenizer.json"), "expected JSON");
    }
}

static void test_wrong_pair(void **state)
{
    ls_tokenizer *t;
    char         *vocab = strstr(good, "\"vocab\":{") + 8, *end = strstr(vocab, "},\"merges\"");
    mkdir(at_root("pair"), 0777);
    check_refused(at_root("pair"), "expected tokenizer.json, or vocab.json and merges.txt, found neither");
    file_write(at_root("pair/vocab.json"), vocab, (size_t)(end + 1 - vocab));
    check_refused(at_root("pair"), "merges.txt: is missing");
    static const struct {
        const char *merges, *part;
    } wrong[] = {
        {"#version: 0.2\na a\nb c\n", "merges.txt, line 3: the token 'bc'"},
        {"a a\n\nb b\n", "line 2: expected two tokens"},
        {"a a\r\n", "line 1: the token 'a?'"},
        {"a a b\n", "line 1: expected two tokens with one space"},
        {"a a\nb b\na a", "merges 1 and 3 are the same"},
        {"a\xff a\n", "line 1: the token"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        file_write(at_root("pair/merges.txt"), wrong[i].merges, strlen(wrong[i].merges));
        check_refused(at_root("pair"), wrong[i].part);
    }
    file_write(at_root("pair/merges.txt"), "a \0 a\n", 6);
    check_refused(at_root("pair/merges.txt"), "line 1: expected two tokens");
    file_write(at_root("pair/vocab.json"), "[1]", 3);
    check_refused(at_root("pair"), "expected an object, found an array");
    assert_fails(ls_tokenizer_load(&t, at_root("nowhere")), LS_ERR_DATA, "No such file");
}

/* GPT-2's two files, found by either name or by their folder, and tokenizer.json give the same tokenizer. */
static void test_same_tokenizer(void **state)
{
    static const char merges[] = "#version: 0.2\na a\nb b\n\xc4\xa0 bb\n";
    const char       *paths[]  = {"two", "two/vocab.json", "two/merges.txt", "good/tokenizer.json"};
    char             *vocab = strstr(good, "\"vocab\":{") + 8, *end = strstr(vocab, "},\"merges\"");
    ls_tokenizer     *want, *t;
    mkdir(at_root("two"), 0777);
    file_write(at_root("two/vocab.json"), vocab, (size_t)(end + 1 - vocab));
    file_write(at_root("two/merges.txt"), merges, sizeof merges - 1);
    assert_ok(ls_tokenizer_load(&want, at_root("good")));
    assert_int_equal(ls_tokenizer_size(want), 260);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        assert_ok(ls_tokenizer_load(&t, at_root(paths[i])));
        assert_int_equal(ls_tokenizer_hash(t), ls_tokenizer_hash(want));
        assert_int_equal(ls_tokenizer_end(t), 259);
        ls_tokenizer_free(t);
    }
    ls_tokenizer_free(want);
}

/* The template that transformers 5 writes for GPT-2. */
static void test_empty_template(void **state)
{
    static const char template[] =
        "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],"
        "\"pair\":[],\"special_tokens\":{}}";
    char         *text = changed(good, "\"post_processor\":null", template);
    ls_tokenizer *t, *want;
    file_write(at_root("tokenizer.json"), text, strlen(text));
    assert_ok(ls_tokenizer_load(&t, at_root("tokenizer.json")));
    assert_ok(ls_tokenizer_load(&want, at_root("good")));
    assert_int_equal(ls_tokenizer_hash(t), ls_tokenizer_hash(want));
    ls_tokenizer_free(t);
    ls_tokenizer_free(want);
    free(text);
}

static void check_ids(const int32_t *id, int n, int count, const int32_t *want)
{
    assert_int_equal(n, count);
    for (int i = 0; i < n; i++) assert_int_equal(id[i], want[i]);
}

/* Tokens around texts, roles of tokens, and both files unchanged after saving. */
static void test_roles(void **state)
{
    static const char config[] =
        "{\"bos_token\": \"<|endoftext|>\", \"eos_token\": {\"content\": \"aa\"}, \"pad_token\": \"none\", "
        "\"model_max_length\": 1000000000000000019884624838656}";
    static const char roberta[] = "\"post_processor\":{\"type\":\"Sequence\",\"processors\":[{\"type\":\"ByteLevel\"},"
                                  "{\"type\":\"RobertaProcessing\",\"sep\":[\"</s>\",2],\"cls\":[\"<s>\",1]}]}";
    char             *text      = changed(good, "\"post_processor\":null", roberta), back[1 << 16];
    ls_tokenizer     *t;
    int               n;
    mkdir(at_root("roles"), 0777);
    file_write(at_root("roles/tokenizer.json"), text, strlen(text));
    file_write(at_root("roles/tokenizer_config.json"), config, sizeof config - 1);
    assert_ok(ls_tokenizer_load(&t, at_root("roles")));
    const int32_t *before = ls_tokenizer_before(t, &n);
    check_ids(before, n, 1, (int32_t[]){1});
    const int32_t *after = ls_tokenizer_after(t, &n);
    check_ids(after, n, 1, (int32_t[]){2});
    assert_int_equal(ls_tokenizer_role(t, LS_TOKEN_BOS), 259);
    assert_int_equal(ls_tokenizer_role(t, LS_TOKEN_EOS), 256);
    assert_int_equal(ls_tokenizer_role(t, LS_TOKEN_PAD), -1);
    assert_int_equal(ls_tokenizer_role(t, LS_TOKEN_MASK), -1);
    assert_int_equal(ls_tokenizer_find(t, "<|endoftext|>"), 259);
    assert_int_equal(ls_tokenizer_find(t, " bb"), 258);
    assert_int_equal(ls_tokenizer_find(t, "bbb"), -1);
    assert_true(ls_tokenizer_is_special(t, 259));
    assert_false(ls_tokenizer_is_special(t, 258));
    assert_false(ls_tokenizer_is_special(t, 260));
    assert_ok(ls_tokenizer_save(t, at_root("again")));
    assert_int_equal(folder_count(at_root("again")), 2);
    assert_int_equal(file_read(at_root("again/tokenizer.json"), back, sizeof back), strlen(text));
    assert_memory_equal(back, text, strlen(text));
    assert_int_equal(file_read(at_root("again/tokenizer_config.json"), back, sizeof back), sizeof config - 1);
    assert_memory_equal(back, config, sizeof config - 1);
    ls_tokenizer_free(t);
    file_write(at_root("roles/tokenizer_config.json"), "{\"bos_token\": 7}", 16);
    assert_fails(ls_tokenizer_load(&t, at_root("roles")), LS_ERR_DATA,
                 "tokenizer_config.json: bos_token: expected the text of a token, found a number");
    file_write(at_root("roles/tokenizer_config.json"), "[]", 2);
    assert_fails(ls_tokenizer_load(&t, at_root("roles")), LS_ERR_DATA,
                 "tokenizer_config.json: expected an object, found an array");
    free(text);
}

/* All kinds are unchanged after saving and loading; different tokenizers have different hashes. */
static void test_saved(void **state)
{
    static const char text[] = "a\0b\xc3\xa9\xff \xf0\x9f\x98\x80\n";
    enum { MADE = 4 };
    ls_tokenizer *made[MADE], *t;
    assert_ok(ls_tokenizer_bytes(&made[0]));
    made[1] = learn(LS_TOKENIZER_CHARS, 0, text, sizeof text - 1);
    made[2] = learn(LS_TOKENIZER_BPE, 257, text, sizeof text - 1);
    made[3] = learn(LS_TOKENIZER_WORDS, 0, text, sizeof text - 1);
    for (int i = 0; i < MADE; i++) {
        assert_ok(ls_tokenizer_save(made[i], at_root("saved")));
        assert_int_equal(folder_count(at_root("saved")), 1);
        assert_ok(ls_tokenizer_load(&t, at_root("saved")));
        assert_int_equal(ls_tokenizer_kind_of(t), i);
        for (int k = 0; k < MADE; k++) assert_int_equal(ls_tokenizer_hash(t) == ls_tokenizer_hash(made[k]), i == k);
        ls_tokenizer_free(t);
    }
    assert_fails(ls_tokenizer_save(made[0], at_root("text")), LS_ERR_ENV, "cannot be written");
    assert_fails(ls_tokenizer_save(made[0], at_root("no/such")), LS_ERR_ENV, "cannot be written");
    for (int i = 0; i < MADE; i++) ls_tokenizer_free(made[i]);
}

static void test_wrong_words(void **state)
{
    static const struct {
        const char *from, *to, *part;
    } wrong[] = {
        {"\"<unk>\":0,", "\"unknown\":0,", "the vocabulary has no token '<unk>'"},
        {"\"<eos>\":1,", "\"end\":1,", "the vocabulary has no token '<eos>'"},
        {",\"unk_token\":\"<unk>\"", "", "the vocabulary has no token ''"},
        {"\"added_tokens\":[]", "\"added_tokens\":[{\"id\":0,\"content\":\"<unk>\"}]",
         "added_tokens: expected none for a tokenizer of words, found 1"},
        {" <eos> ", "<eos>", "normalizer: expected null, Lowercase, NFC, or Replace of newlines"},
        {"\"type\":\"WordLevel\"", "\"type\":\"BPE\"", "model.type: expected WordLevel, found BPE"},
    };
    char          text[1 << 12] = "";
    ls_tokenizer *t             = learn(LS_TOKENIZER_WORDS, 0, "a b a", 5);
    assert_ok(ls_tokenizer_save(t, at_root("words")));
    ls_tokenizer_free(t);
    file_read(at_root("words/tokenizer.json"), text, sizeof text - 1);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char *other = changed(text, wrong[i].from, wrong[i].to);
        file_write(at_root("tokenizer.json"), other, strlen(other));
        check_refused(at_root("tokenizer.json"), wrong[i].part);
        free(other);
    }
    char *other = malloc(LS_MAX_WORD + 64), *all;
    snprintf(other, LS_MAX_WORD + 64, "\"%0*d\":2,", LS_MAX_WORD + 1, 7);
    all = changed(text, "\"a\":2,", other);
    file_write(at_root("tokenizer.json"), all, strlen(all));
    check_refused(at_root("tokenizer.json"), "has 4097 bytes, expected at most 4096");
    free(other);
    free(all);
}

/* A tokenizer of BERT's form: the bytes of its tokens, and its errors. */
static const char pieces[] =
    "{\"added_tokens\":[{\"id\":1,\"content\":\"[SEP]\",\"special\":true}],\"normalizer\":{\"type\":\"BertNormalizer\"}"
    ","
    "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},\"decoder\":null,\"model\":{\"type\":\"WordPiece\",\"unk_"
    "token\":\"[UNK]\","
    "\"continuing_subword_prefix\":\"##\",\"max_input_chars_per_word\":5,\"vocab\":{\"[UNK]\":0,\"[SEP]\":1,\"ab\":2,"
    "\"##c\":3,\"##\":4,\"\xe2\x82\xac\":5}}}";

static void test_wordpiece(void **state)
{
    static const struct {
        const char *from, *to, *part;
    } wrong[] = {
        {"BertNormalizer", "NFC", "normalizer: expected BertNormalizer, found NFC"},
        {"WordPiece", "BPE", "model.type: expected WordPiece, found BPE"},
        {"\"##\",\"max", "\"@@\",\"max", "model.continuing_subword_prefix: expected '##', found @@"},
        {"word\":5", "word\":0", "model.max_input_chars_per_word: expected 1 to 4096, found 0"},
        {"word\":5", "word\":4097", "model.max_input_chars_per_word: expected 1 to 4096, found 4097"},
        {"word\":5", "word\":null", "model.max_input_chars_per_word: expected 1 to 4096, found null"},
        {"\"[UNK]\":0", "\"[X]\":0", "the vocabulary has no token '[UNK]'"},
        {"\"decoder\":null", "\"decoder\":{\"type\":\"ByteLevel\"}", "decoder: expected WordPiece or null"},
        {"\"id\":1,\"content\":\"[SEP]\",\"special\":true", "\"id\":6,\"content\":\"\xc2\x85\"",
         "token 6: expected text after normalization, found none"},
    };
    ls_tokenizer *t;
    ls_tokens     list = {0};
    ls_string     back = {0};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char *text = changed(pieces, wrong[i].from, wrong[i].to);
        file_write(at_root("tokenizer.json"), text, strlen(text));
        check_refused(at_root("tokenizer.json"), wrong[i].part);
        free(text);
    }
    file_write(at_root("tokenizer.json"), pieces, strlen(pieces));
    assert_ok(ls_tokenizer_load(&t, at_root("tokenizer.json")));
    assert_int_equal(ls_tokenizer_kind_of(t), LS_TOKENIZER_WORDPIECE);
    assert_int_equal(ls_tokenizer_unknown(t), 0);
    assert_int_equal(ls_tokenizer_find(t, " ab"), 2);
    assert_int_equal(ls_tokenizer_find(t, "[SEP]"), 1);
    assert_ok(ls_tokenizer_encode(t, "ABC abcccc \xe2\x82\xac ab d[SEP]", 24, &list));
    check_ids(list.id, (int)list.count, 7, (int32_t[]){2, 3, 0, 5, 2, 0, 1});
    assert_ok(ls_tokenizer_decode(t, list.id, list.count, &back));
    assert_string_equal(back.data, " abc [UNK] \xe2\x82\xac ab [UNK][SEP]");
    ls_tokens_free(&list);
    ls_string_free(&back);
    ls_tokenizer_free(t);
}

/* Changes a golden file of sentencepiece's or cl100k's form; it must be refused with this message. */
static void test_wrong_forms(void **state)
{
    static const struct {
        const char *file, *from, *to, *part;
    } wrong[] = {
        {"gemma.json", "\"byte_fallback\":true", "\"byte_fallback\":false",
         "model.byte_fallback: expected true for a tokenizer of characters, found false"},
        {"gemma.json", "\"<0x7F>\"", "\"<0x7f>\"",
         "the vocabulary has no token '<0x7F>', which model.byte_fallback needs"},
        {"gemma.json", "\"content\":\"\xe2\x96\x81\"}", "\"content\":\"_\"}",
         "normalizer: expected Replace of ' ' by '\xe2\x96\x81', with or without Prepend, found Replace"},
        {"gemma.json", "MergedWithPrevious", "Isolated", "WhitespaceSplit, found Split"},
        {"gemma.json", "\"type\":\"BPE\"", "\"type\":\"Unigram\"", "model.type: expected BPE, found Unigram"},
        {"gemma.json", "\"type\":\"Fuse\"", "\"type\":\"CTC\"",
         "decoder: expected Replace, ByteFallback, Fuse, Strip, Metaspace or null, found Replace, ByteFallback, CTC"},
        {"llama2.json", "{\"type\":\"Prepend\"",
         "{\"type\":\"Prepend\",\"prepend\":\"\xe2\x96\x81\"},{\"type\":\"Prepend\"",
         "with or without Prepend, found Prepend, Prepend, Replace"},
        {"llama2.json", "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[",
         "\"normalizer\":null,\"other\":{\"x\":[", "WhitespaceSplit, found null"},
        {"mistral.json", "\"normalizer\":null", "\"normalizer\":{\"type\":\"NFC\"}",
         "normalizer: expected null, because Metaspace replaces spaces, found NFC"},
        {"mistral.json", "\"prepend_scheme\":\"first\"", "\"prepend_scheme\":\"last\"",
         "WhitespaceSplit, found Metaspace"},
        {"mistral.json", "\"prepend_scheme\":\"first\"", "\"prepend_scheme\":\"first\",\"add_prefix_space\":false",
         "WhitespaceSplit, found Metaspace"},
        {"qwen2.json", "[\\\\r\\\\n]*|", "[\\\\r\\\\n]?|", "WhitespaceSplit, found Split, ByteLevel"},
        {"qwen2.json", "\"use_regex\":false", "\"use_regex\":true", "WhitespaceSplit, found Split, ByteLevel"},
        {"qwen2.json", "{\"type\":\"NFC\"}",
         "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"Lowercase\"}]}",
         "found NFC, Lowercase"},
        {"qwen2.json",
         "\"id\":700,\"content\":\"<|endoftext|>\",\"single_word\":false,\"lstrip\":false,\"rstrip\":false,"
         "\"normalized\":false,\"special\":true},{\"id\":701",
         "\"id\":701,\"content\":\"<|endoftext|>\"},{\"id\":700",
         "the added token '<|endoftext|>' has the id 701, expected 700"},
        {"llama3.json", "{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,\"use_regex\":true},",
         "{\"type\":\"TemplateProcessing\",\"single\":[{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}]},",
         "found TemplateProcessing, TemplateProcessing"},
    };
    char *text = malloc(1 << 16), path[FILES_PATH];
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        snprintf(path, sizeof path, "%s/tests/golden/tokenizer/%s", LOCKSTEP_SOURCE, wrong[i].file);
        text[file_read(path, text, (1 << 16) - 1)] = 0;
        char *other                                = changed(text, wrong[i].from, wrong[i].to);
        file_write(at_root("tokenizer.json"), other, strlen(other));
        check_refused(at_root("tokenizer.json"), wrong[i].part);
        free(other);
    }
    free(text);
}

static void test_large_token(void **state)
{
    enum { LARGE = 10 << 20 };
    size_t        bytes;
    ls_tokenizer *t;
    char         *token = malloc(LARGE + 32);
    memcpy(token, "\"<|endoftext|>\":259,\"", 21);
    memset(token + 21, 'a', LARGE);
    strcpy(token + 21 + LARGE, "\":260");
    char *text = changed(strstr(good, "\"vocab\""), "\"<|endoftext|>\":259", token),
         *all  = malloc(strlen(good) + strlen(text) + 1);
    sprintf(all, "%.*s%s", (int)(strstr(good, "\"vocab\"") - good), good, text);
    file_write(at_root("tokenizer.json"), all, strlen(all));
    assert_ok(ls_tokenizer_load(&t, at_root("tokenizer.json")));
    assert_non_null(ls_tokenizer_token(t, 260, &bytes));
    assert_int_equal(bytes, LARGE);
    ls_tokenizer_free(t);
    free(token);
    free(text);
    free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_wrong_json),     cmocka_unit_test(test_wrong_pair),
                                       cmocka_unit_test(test_same_tokenizer), cmocka_unit_test(test_empty_template),
                                       cmocka_unit_test(test_saved),          cmocka_unit_test(test_large_token),
                                       cmocka_unit_test(test_wrong_words),    cmocka_unit_test(test_roles),
                                       cmocka_unit_test(test_wordpiece),      cmocka_unit_test(test_wrong_forms)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
