/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokenizers.  The first byte chooses the meaning of the other bytes: 0 a tokenizer.json; 1 a vocab.json and a
 * merges.txt with a zero byte between them; 2 a text to encode; 3 a text to train a tokenizer on.  A tokenizer that
 * loads must decode its encoding to the same text, cut a text only where it reports a cut, and be equal after saving
 * and loading.
 */
#include "datasets/tokenizer/tokenizer_tables.h"
#include "datasets/tokenizer/unicode/unicode.h"
#include "tests/fuzz/fuzz.h"

static const char some_text[] = "the cat's  hat\n\n \xc3\xa9t\xc3\xa9 12<|endoftext|>aaaa bbbb \xff\xe2\x82";

static ls_status encode_in_pieces(const ls_tokenizer *t, const char *text, size_t bytes, ls_tokens *list)
{
    for (size_t at = 0, end = 0; at < bytes;) {
        end        = end + 7 < bytes ? end + 7 : bytes;
        size_t cut = end == bytes ? bytes - at : ls_tokenizer_cut(t, text + at, end - at);
        fuzz_expect(cut <= end - at);
        LS_TRY(ls_tokenizer_encode(t, text + at, cut, list));
        at += cut;
    }
    return LS_OK;
}

/* True if the text of the tokens may differ from the encoded text. */
static bool may_change(const ls_tokenizer *t)
{
    bool loses = t->kind == LS_TOKENIZER_WORDS || t->kind == LS_TOKENIZER_WORDPIECE || t->lowercase || t->beside ||
                 t->rules.nfc || t->rules.split == LS_SPLIT_SPACES;
    for (int b = 0; b < 256; b++) loses |= t->kind == LS_TOKENIZER_BPE && t->byte[b] < 0;
    return loses;
}

/* Pairs of texts keep their limit, and have words in order. */
static void check_texts(const ls_tokenizer *t, const char *text, size_t bytes)
{
    const ls_text_line first = {text, bytes / 3}, second = {text + bytes / 3, bytes - bytes / 3};
    ls_text_tokens     e = {0};
    for (int64_t max = 0; max < 40; max += 13) {
        const ls_status status = ls_tokenizer_encode_texts(t, &first, max % 2 ? NULL : &second, max, &e);
        fuzz_status(status);
        if (status != LS_OK) continue;
        fuzz_expect(!max || e.count <= max);
        for (int64_t i = 0; i < e.count; i++) {
            fuzz_expect(e.id[i] >= 0 && e.id[i] < ls_tokenizer_size(t) && e.type[i] >= 0 && e.type[i] <= 1);
            if (i && e.word[i] >= 0 && e.type[i] == e.type[i - 1]) fuzz_expect(e.word[i] >= e.word[i - 1]);
        }
    }
    ls_text_tokens_free(&e);
}

static void check_text(const ls_tokenizer *t, const char *text, size_t bytes)
{
    ls_tokens whole = {0}, pieces = {0}, plain = {0};
    ls_string back = {0}, clean = {0};
    int64_t   replaced = 0;
    ls_status status   = ls_tokenizer_encode(t, text, bytes, &whole);
    fuzz_status(status);
    fuzz_expect(status == LS_OK || ls_tokenizer_kind_of(t) == LS_TOKENIZER_CHARS);
    if (status == LS_OK) {
        bool as_it_is = ls_tokenizer_kind_of(t) == LS_TOKENIZER_BYTES;
        fuzz_expect(ls__utf8_clean((const uint8_t *)text, bytes, &clean, &replaced) == LS_OK);
        fuzz_expect(ls_tokenizer_decode(t, whole.id, whole.count, &back) == LS_OK);
        fuzz_expect(may_change(t) || (back.bytes == (as_it_is ? bytes : clean.bytes) &&
                                      (!bytes || memcmp(back.data, as_it_is ? text : clean.data, back.bytes) == 0)));
        fuzz_expect(as_it_is || whole.replaced == replaced);
        fuzz_expect(encode_in_pieces(t, text, bytes, &pieces) == LS_OK && pieces.count == whole.count);
        fuzz_expect(whole.count == 0 || memcmp(pieces.id, whole.id, (size_t)whole.count * sizeof *whole.id) == 0);
    }
    fuzz_status(ls_tokenizer_encode_plain(t, text, bytes, &plain));
    ls_tokens_free(&whole);
    ls_tokens_free(&pieces);
    ls_tokens_free(&plain);
    ls_string_free(&back);
    ls_string_free(&clean);
}

static void check_saved(const ls_tokenizer *t)
{
    ls_tokenizer *again;
    char          folder[FILES_PATH + 16], path[FILES_PATH + 32];
    snprintf(folder, sizeof folder, "%s/saved", fuzz_folder());
    snprintf(path, sizeof path, "%s/tokenizer.json", folder);
    fuzz_expect(ls_tokenizer_save(t, folder) == LS_OK);
    fuzz_expect(ls_tokenizer_load(&again, folder) == LS_OK);
    fuzz_expect(ls_tokenizer_hash(again) == ls_tokenizer_hash(t));
    ls_tokenizer_free(again);
    unlink(path);
    rmdir(folder);
}

static void check_file(const char *path)
{
    ls_tokenizer *t;
    ls_status     status = ls_tokenizer_load(&t, path);
    fuzz_status(status);
    if (status != LS_OK) return;
    check_text(t, some_text, sizeof some_text - 1);
    check_texts(t, some_text, sizeof some_text - 1);
    check_saved(t);
    ls_tokenizer_free(t);
}

/* Makes a tokenizer once, from a text with pairs to merge. */
static const ls_tokenizer *learnt(void)
{
    static ls_tokenizer *t;
    char                 path[FILES_PATH + 16];
    const char          *file = path;
    if (t) return t;
    snprintf(path, sizeof path, "%s/learn", fuzz_folder());
    char text[3 * sizeof some_text];
    snprintf(text, sizeof text, "%s%s%s", some_text, some_text, some_text);
    file_write(path, text, strlen(text));
    fuzz_expect(ls_tokenizer_train(&t, .kind = LS_TOKENIZER_BPE, .size = 300, .files = 1, .file = &file) == LS_OK);
    unlink(path);
    return t;
}

static void check_learning(const char *path)
{
    ls_tokenizer *t;
    const char   *files[2] = {path, path};
    for (int i = 0; i < 6; i++) {
        const ls_tokenizer_kind kind = (ls_tokenizer_kind)(LS_TOKENIZER_CHARS + i / 2);
        ls_status status = ls_tokenizer_train(&t, .kind = kind, .size = kind == LS_TOKENIZER_BPE ? 290 : 0, .files = 2,
                                              .file = files, .end = true, .lowercase = i % 2, .max_words = 16);
        fuzz_status(status);
        if (status != LS_OK) continue;
        if (kind != LS_TOKENIZER_CHARS) check_text(t, some_text, sizeof some_text - 1);
        check_saved(t);
        ls_tokenizer_free(t);
    }
}

FUZZ_TARGET(tokenizer)
{
    char        path[FILES_PATH + 16], merges[FILES_PATH + 16];
    const char *rest = (const char *)data + 1;
    if (!bytes) return;
    bytes--;
    const char *zero = memchr(rest, 0, bytes);
    snprintf(path, sizeof path, "%s/%s", fuzz_folder(), data[0] % 4 == 1 ? "vocab.json" : "file");
    snprintf(merges, sizeof merges, "%s/merges.txt", fuzz_folder());
    switch (data[0] % 4) {
    case 0:
        file_write(path, rest, bytes);
        check_file(path);
        break;
    case 1:
        file_write(path, rest, zero ? (size_t)(zero - rest) : bytes);
        if (zero) file_write(merges, zero + 1, bytes - (size_t)(zero + 1 - rest));
        check_file(path);
        unlink(merges);
        break;
    case 2:
        check_text(learnt(), rest, bytes);
        break;
    default:
        file_write(path, rest, bytes);
        check_learning(path);
    }
    unlink(path);
}
