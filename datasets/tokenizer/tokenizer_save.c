/* SPDX-License-Identifier: Apache-2.0
 *
 * tokenizer.json, as Hugging Face's `tokenizers` reads it:
 *
 *     bpe     model BPE, cut by ByteLevel's regular expression
 *     bytes   model BPE without merges
 *     chars   model WordLevel; texts are cut into single characters, then written byte by byte as the other kinds are,
 * so that every character can be a key, 0 included
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "datasets/tokenizer/tokenizer_internal.h"

/* ---- the text ---------------------------------------------------------------------------------------------------- */

static bool is_added(const ls_tokenizer *t, int32_t id)
{
    for (int i = 0; i < t->added; i++)
        if (t->add[i].id == id) return true;
    return false;
}

/* Token `id` with a character for each byte; added tokens as they are.  To be freed. */
static char *write_token(const ls_tokenizer *t, int32_t id)
{
    size_t      bytes;
    const char *token = ls_tokenizer_token(t, id, &bytes);
    char       *text = malloc(2 * bytes + 1), *end = text;
    bool        raw = is_added(t, id);
    for (size_t i = 0; text && i < bytes; i++) {
        if (raw)
            *end++ = token[i];
        else
            end += ls__utf8_put((uint8_t *)end, ls__byte_char((unsigned char)token[i]));
    }
    if (text) *end = 0;
    return text;
}

/* An added token with characters beyond printable ASCII could be taken for another one, written by bytes: it stays
 * outside. */
static bool outside(const ls_tokenizer *t, int32_t id)
{
    for (uint64_t i = t->at[id]; i < t->at[id + 1]; i++)
        if (t->text[i] <= ' ' || t->text[i] >= 0x7F) return is_added(t, id);
    return false;
}

static json_t *make_vocab(const ls_tokenizer *t)
{
    json_t *vocab = json_object();
    for (int32_t id = 0; id < t->size; id++) {
        if (outside(t, id)) continue;
        char *text  = write_token(t, id);
        int   wrong = !text || json_object_set_new(vocab, text, json_integer(id));
        free(text);
        if (wrong) return json_decref(vocab), NULL;
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
        if (wrong) return json_decref(merges), NULL;
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
    if (wrong) return json_decref(list), NULL;
    return list;
}

static json_t *make_level(bool prefix, bool regex)
{
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", (int)prefix, "trim_offsets", 1,
                     "use_regex", (int)regex);
}

static json_t *make_model(const ls_tokenizer *t)
{
    if (t->kind == LS_TOKENIZER_CHARS)
        return json_pack("{s:s, s:o, s:s}", "type", "WordLevel", "vocab", make_vocab(t), "unk_token", "<|unknown|>");
    return json_pack("{s:s, s:n, s:n, s:s, s:s, s:b, s:b, s:b, s:o, s:o}", "type", "BPE", "dropout", "unk_token",
                     "continuing_subword_prefix", "", "end_of_word_suffix", "", "fuse_unk", 0, "byte_fallback", 0,
                     "ignore_merges", 0, "vocab", make_vocab(t), "merges", make_merges(t));
}

static json_t *make_root(const ls_tokenizer *t)
{
    json_t *cut = make_level(false, t->kind == LS_TOKENIZER_BPE);
    if (t->kind == LS_TOKENIZER_CHARS)
        cut = json_pack("{s:s, s:[{s:s, s:{s:s}, s:s, s:b}, o]}", "type", "Sequence", "pretokenizers", "type", "Split",
                        "pattern", "Regex", "[\\s\\S]", "behavior", "Isolated", "invert", 0, cut);
    return json_pack("{s:s, s:n, s:n, s:o, s:n, s:o, s:n, s:o, s:o}", "version", "1.0", "truncation", "padding",
                     "added_tokens", make_added(t), "normalizer", "pre_tokenizer", cut, "post_processor", "decoder",
                     make_level(true, true), "model", make_model(t));
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

static ls_status cannot_write(const char *path, int error)
{
    return LS_FAIL(LS_ERR_ENV, "%s: cannot be written: %s" LS_HINT "%s", path, strerror(error),
                   error == ENOSPC || error == EDQUOT ? "make room, or choose another folder"
                                                      : "choose a folder that can be written to");
}

static int sink(const char *data, size_t bytes, void *file) { return fwrite(data, 1, bytes, file) == bytes ? 0 : -1; }

/* Under another name first: a file that has its name is whole. */
static ls_status write_json(const json_t *json, const char *folder, const char *path, const char *temporary)
{
    FILE *file = fopen(temporary, "wbe");
    if (!file) return cannot_write(path, errno);
    errno   = EIO;
    bool ok = json_dump_callback(json, sink, file, JSON_COMPACT) == 0 && fputc('\n', file) != EOF &&
              fflush(file) == 0 && fsync(fileno(file)) == 0;
    int error = errno;
    if (fclose(file) != 0 && ok) {
        ok    = false;
        error = errno;
    }
    if (ok && rename(temporary, path) != 0) {
        ok    = false;
        error = errno;
    }
    if (!ok) {
        unlink(temporary);
        return cannot_write(path, error);
    }
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd); /* some file systems cannot, and need not */
        close(fd);
    }
    return LS_OK;
}

ls_status ls_tokenizer_save(const ls_tokenizer *t, const char *folder)
{
    char path[PATH_MAX], temporary[PATH_MAX + 32];
    LS_CHECK(snprintf(path, sizeof path, "%s/tokenizer.json", folder) < (int)sizeof path, LS_ERR_USAGE,
             "a path of %zu letters; that is too long", strlen(folder));
    snprintf(temporary, sizeof temporary, "%s.tmp-%ld", path, (long)getpid());
    if (mkdir(folder, 0777) != 0 && errno != EEXIST) return cannot_write(folder, errno);
    json_t *json = make_root(t);
    LS_CHECK(json, LS_ERR_ENV, "%s: no memory for the text of %d tokens", path, t->size);
    ls_status status = write_json(json, folder, path, temporary);
    json_decref(json);
    return status;
}
