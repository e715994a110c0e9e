/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes tokenizer.json for Hugging Face's `tokenizers`: the file that the tokenizer was loaded from, unchanged, or one
 * that is made from its tables:
 *
 *     bpe     model BPE, with the regular expression of ByteLevel
 *     bytes   model BPE without merges
 *     words   model WordLevel; texts are split at white space, after the normalizer has replaced newlines by <eos>
 *     chars   model WordLevel; texts are split into single characters, each written as characters for its bytes, so
 *             that any character, 0 included, can be a key
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <jansson.h>

#include "core/io/atomic_file.h"
#include "datasets/tokenizer/tokenizer_spaced.h"
#include "datasets/tokenizer/unicode/unicode.h"

/* ---- the text ---------------------------------------------------------------------------------------------------- */

static bool is_added(const ls_tokenizer *t, int32_t id)
{
    for (int i = 0; i < t->added; i++)
        if (t->add[i].id == id) return true;
    return false;
}

/* Returns the text of a token in the file: a character for each byte, or an added token or a word as it is.  The caller
 * frees it. */
static char *write_token(const ls_tokenizer *t, int32_t id)
{
    size_t      bytes;
    const char *token =
        t->kind == LS_TOKENIZER_WORDS ? ls__spaced_word(t, id, &bytes) : ls_tokenizer_token(t, id, &bytes);
    char *text = malloc(2 * bytes + 1), *end = text;
    bool  raw = t->kind == LS_TOKENIZER_WORDS || is_added(t, id);
    for (size_t i = 0; text && i < bytes; i++) {
        if (raw)
            *end++ = token[i];
        else
            end += ls__utf8_put((uint8_t *)end, ls__byte_char((unsigned char)token[i]));
    }
    if (text) *end = 0;
    return text;
}

static json_t *make_vocab(const ls_tokenizer *t)
{
    json_t *vocab = json_object();
    for (int32_t id = 0; id < t->size; id++) {
        char *text  = write_token(t, id);
        int   wrong = !text || json_object_set_new(vocab, text, json_integer(id));
        free(text);
        if (wrong) {
            json_decref(vocab);
            return NULL;
        }
    }
    return vocab;
}

static json_t *make_merges(const ls_tokenizer *t)
{
    json_t *merges = json_array();
    for (int64_t m = 0; m < t->merges; m++) {
        char *left = write_token(t, t->merge[m].left), *right = write_token(t, t->merge[m].right);
        int   wrong = !left || !right || json_array_append_new(merges, json_sprintf("%s %s", left, right));
        free(left);
        free(right);
        if (wrong) {
            json_decref(merges);
            return NULL;
        }
    }
    return merges;
}

static int by_id(const void *x, const void *y)
{
    const ls_added *p = x, *q = y;
    return p->id < q->id ? -1 : p->id > q->id;
}

static json_t *make_added(const ls_tokenizer *t)
{
    json_t   *list  = json_array();
    ls_added *add   = malloc((size_t)t->added * sizeof *add + 1);
    int       wrong = !add;
    if (add && t->added) memcpy(add, t->add, (size_t)t->added * sizeof *add);
    if (add) qsort(add, (size_t)t->added, sizeof *add, by_id);
    for (int i = 0; i < t->added && !wrong; i++) {
        char *text = write_token(t, add[i].id);
        wrong      = !text ||
                json_array_append_new(list, json_pack("{s:i, s:s, s:b, s:b, s:b, s:b, s:b}", "id", (int)add[i].id,
                                                      "content", text, "single_word", 0, "lstrip", 0, "rstrip", 0,
                                                      "normalized", (int)add[i].late, "special", (int)add[i].special));
        free(text);
    }
    free(add);
    if (wrong) {
        json_decref(list);
        return NULL;
    }
    return list;
}

static json_t *make_level(bool prefix, bool regex)
{
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", (int)prefix, "trim_offsets", 1,
                     "use_regex", (int)regex);
}

static json_t *make_model(const ls_tokenizer *t)
{
    if (t->kind == LS_TOKENIZER_CHARS || t->kind == LS_TOKENIZER_WORDS)
        return json_pack("{s:s, s:o, s:s}", "type", "WordLevel", "vocab", make_vocab(t), "unk_token",
                         t->kind == LS_TOKENIZER_WORDS ? LS_UNKNOWN_WORD : "<|unknown|>");
    return json_pack("{s:s, s:n, s:n, s:s, s:s, s:b, s:b, s:b, s:o, s:o}", "type", "BPE", "dropout", "unk_token",
                     "continuing_subword_prefix", "", "end_of_word_suffix", "", "fuse_unk", 0, "byte_fallback", 0,
                     "ignore_merges", 0, "vocab", make_vocab(t), "merges", make_merges(t));
}

static json_t *make_normalizer(const ls_tokenizer *t)
{
    json_t *lower = t->lowercase ? json_pack("{s:s}", "type", "Lowercase") : json_null();
    if (t->kind != LS_TOKENIZER_WORDS) return lower;
    json_t *lines =
        json_pack("{s:s, s:{s:s}, s:s}", "type", "Replace", "pattern", "String", "\n", "content", " " LS_END_WORD " ");
    return t->lowercase ? json_pack("{s:s, s:[o, o]}", "type", "Sequence", "normalizers", lines, lower) : lines;
}

static json_t *make_cutting(const ls_tokenizer *t)
{
    if (t->kind == LS_TOKENIZER_WORDS) return json_pack("{s:s}", "type", "WhitespaceSplit");
    json_t *cut = make_level(false, t->kind == LS_TOKENIZER_BPE);
    if (t->kind == LS_TOKENIZER_CHARS)
        cut = json_pack("{s:s, s:[{s:s, s:{s:s}, s:s, s:b}, o]}", "type", "Sequence", "pretokenizers", "type", "Split",
                        "pattern", "Regex", "[\\s\\S]", "behavior", "Isolated", "invert", 0, cut);
    return cut;
}

static json_t *make_root(const ls_tokenizer *t)
{
    return json_pack("{s:s, s:n, s:n, s:o, s:o, s:o, s:n, s:o, s:o}", "version", "1.0", "truncation", "padding",
                     "added_tokens", make_added(t), "normalizer", make_normalizer(t), "pre_tokenizer", make_cutting(t),
                     "post_processor", "decoder", t->kind == LS_TOKENIZER_WORDS ? json_null() : make_level(true, true),
                     "model", make_model(t));
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

static int write_text(const char *data, size_t bytes, void *stream)
{
    return fwrite(data, 1, bytes, stream) == bytes ? 0 : -1;
}

static ls_status write_json(const json_t *json, ls_file *f)
{
    FILE *stream;
    LS_TRY(ls__file_stream(f, &stream));
    bool written = json_dump_callback(json, write_text, stream, JSON_COMPACT) == 0 && fputc('\n', stream) != EOF;
    LS_CHECK(written || ferror(stream), LS_ERR_ENV, "%s: no memory to write it", f->path);
    return LS_OK; /* a failed write of the stream is reported by ls__file_finish */
}

static ls_status make_file(const ls_tokenizer *t, const char *folder)
{
    char    path[LS_PATH_BYTES];
    ls_file f;
    LS_TRY(ls__path(path, "%s/tokenizer.json", folder));
    json_t *json = make_root(t);
    LS_CHECK(json, LS_ERR_ENV, "%s: no memory for the text of %d tokens", path, t->size);
    ls_status status = ls__file_create(&f, path);
    if (status == LS_OK) status = ls__file_finish(&f, write_json(json, &f));
    json_decref(json);
    return status;
}

static ls_status write_data(const ls_tokenizer_file *file, ls_file *f)
{
    FILE *stream;
    LS_TRY(ls__file_stream(f, &stream));
    fwrite(file->data, 1, file->bytes, stream);
    return LS_OK; /* a failed write of the stream is reported by ls__file_finish */
}

ls_status ls_tokenizer_save(const ls_tokenizer *t, const char *folder)
{
    if (mkdir(folder, 0777) != 0 && errno != EEXIST) return LS_FAIL_ERRNO("%s: cannot be written", folder);
    if (!t->file[0].data) return make_file(t, folder);
    for (int i = 0; i < LS_TOKENIZER_FILES; i++) {
        char    path[LS_PATH_BYTES];
        ls_file f;
        if (!t->file[i].data) continue;
        LS_TRY(ls__path(path, "%s/%s", folder, t->file[i].name));
        LS_TRY(ls__file_create(&f, path));
        LS_TRY(ls__file_finish(&f, write_data(&t->file[i], &f)));
    }
    return LS_OK;
}
