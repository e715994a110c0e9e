/* SPDX-License-Identifier: Apache-2.0
 * Construction of a tokenizer, its properties, and decoding: tokens to text. */
#include "datasets/tokenizer/tokenizer_make.h"

#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/base/enum_text.h"
#include "datasets/tokenizer/growable.h"
#include "datasets/tokenizer/tokenizer_bpe.h"
#include "datasets/tokenizer/tokenizer_normalize.h"
#include "datasets/tokenizer/tokenizer_spaced.h"
#include "datasets/tokenizer/tokenizer_wordpiece.h"
#include "datasets/tokenizer/unicode/unicode.h"

/* ---- construction ------------------------------------------------------------------------------------------------ */

static void *copy(ls_arena *arena, const void *data, size_t bytes)
{
    void *to = ls_arena_alloc(arena, bytes);
    if (bytes) memcpy(to, data, bytes);
    return to;
}

/* Orders added tokens by first byte, then longest first, so that the first match is the longest. */
static int by_text(const void *x, const void *y)
{
    const ls_added *p = x, *q = y;
    if (p->text[0] != q->text[0]) return p->text[0] < q->text[0] ? -1 : 1;
    return p->bytes != q->bytes ? (p->bytes > q->bytes ? -1 : 1) : p->id < q->id ? -1 : p->id > q->id;
}

/* Sets the text by which an added token is found: its own, or, for one that is searched late, the normalized one. */
static ls_status set_added_text(const ls_tokenizer *t, const char *path, ls_added *add)
{
    ls_string hold[2] = {{0}};
    ls_status status  = LS_OK;
    if (add->text) {
        add->text = copy(t->arena, add->text, add->bytes);
    } else {
        add->text  = t->text + t->at[add->id];
        add->bytes = t->at[add->id + 1] - t->at[add->id];
    }
    if (!add->late || !ls__normalizes(t)) return LS_OK;
    status = ls__normalize(t, &add->text, &add->bytes, hold);
    if (status == LS_OK && !add->bytes)
        status = LS_FAIL(LS_ERR_DATA,
                         "%s: added_tokens: token %d: expected text after normalization, found none" LS_HINT
                         "save the tokenizer with normalized=False for this token",
                         path, add->id);
    if (status == LS_OK) add->text = copy(t->arena, add->text, add->bytes);
    for (int i = 0; i < 2; i++) ls_string_free(&hold[i]);
    return status;
}

/* Builds the tables by which an added token is found: by its hash, for each length of those with its first byte. */
static void set_added_tables(ls_tokenizer *t)
{
    uint64_t slots = 16;
    while (slots < 2 * (uint64_t)t->added + 2) slots *= 2;
    int32_t *slot   = ls_arena_alloc(t->arena, slots * sizeof *slot);
    size_t  *length = ls_arena_alloc(t->arena, ((size_t)t->added + 1) * sizeof *length);
    int      n      = 0;
    for (uint64_t i = 0; i < slots; i++) slot[i] = -1;
    for (int i = 0; i < t->added; i++) {
        const ls_added *add = &t->add[i];
        uint64_t        at  = XXH3_64bits_withSeed(add->text, add->bytes, add->late);
        while (slot[at & (slots - 1)] >= 0) at++;
        slot[at & (slots - 1)] = i;
        if (i && add[-1].text[0] == add->text[0] && add[-1].bytes == add->bytes) continue;
        length[n++] = add->bytes;
        t->length_first[add->text[0] + 1]++;
    }
    for (int b = 0; b < 256; b++) t->length_first[b + 1] += t->length_first[b];
    t->add_slot   = slot;
    t->add_mask   = slots - 1;
    t->add_length = length;
}

static ls_status set_added(ls_tokenizer *t, const ls_tokenizer_parts *parts)
{
    ls_added *add = copy(t->arena, parts->add, (size_t)parts->added * sizeof *add);
    for (int i = 0; i < parts->added; i++) LS_TRY(set_added_text(t, parts->path, &add[i]));
    if (parts->added) qsort(add, (size_t)parts->added, sizeof *add, by_text);
    t->added = parts->added;
    t->add   = add;
    t->end   = t->kind == LS_TOKENIZER_WORDS ? parts->end : t->role[LS_TOKEN_EOS];
    for (int i = 0; i < t->added; i++) {
        size_t      bytes;
        const char *text = ls_tokenizer_token(t, add[i].id, &bytes);
        t->add_first[add[i].text[0] + 1]++;
        t->late |= add[i].late;
        t->beside |= add[i].lstrip || add[i].rstrip || add[i].single_word;
        if (add[i].bytes > t->add_longest) t->add_longest = add[i].bytes;
        if (bytes == strlen(LS_END_TEXT) && memcmp(text, LS_END_TEXT, bytes) == 0) t->end = add[i].id;
    }
    for (int b = 0; b < 256; b++) t->add_first[b + 1] += t->add_first[b];
    set_added_tables(t);
    return LS_OK;
}

/* Hashes everything that decides about the tokens of a text, and nothing about the file it came from. */
static uint64_t hash_of(const ls_tokenizer *t)
{
    int32_t  numbers[3] = {(int32_t)t->kind, t->size, t->added};
    uint64_t hash       = XXH3_64bits(numbers, sizeof numbers);
    hash                = XXH3_64bits_withSeed(t->at, ((size_t)t->size + 1) * sizeof *t->at, hash);
    hash                = XXH3_64bits_withSeed(t->text, t->at[t->size], hash);
    for (int i = 0; i < t->added; i++) {
        int32_t added[3]  = {t->add[i].id, t->add[i].special, t->add[i].late};
        hash              = XXH3_64bits_withSeed(added, sizeof added, hash);
        int32_t beside[3] = {t->add[i].lstrip, t->add[i].rstrip, t->add[i].single_word};
        if (t->beside) hash = XXH3_64bits_withSeed(beside, sizeof beside, hash);
    }
    hash = XXH3_64bits_withSeed(t->byte, sizeof t->byte, hash);
    if (t->unknown >= 0) hash = XXH3_64bits_withSeed(&t->unknown, sizeof t->unknown, hash);
    if (t->lowercase) hash = XXH3_64bits_withSeed("lowercase", 9, hash);
    if (memcmp(&t->rules, &(ls_rules){0}, sizeof t->rules))
        hash = XXH3_64bits_withSeed(&t->rules, sizeof t->rules, hash);
    if (t->piece) {
        hash = XXH3_64bits_withSeed(t->piece, (size_t)t->size, hash);
        hash = XXH3_64bits_withSeed(&t->max_word, sizeof t->max_word, hash);
    }
    return XXH3_64bits_withSeed(t->merge, (size_t)t->merges * sizeof *t->merge, hash);
}

/* Copies the templates, and lists the tokens before and after a single text. */
static void set_templates(ls_tokenizer *t, const ls_template *single, const ls_template *pair)
{
    bool after     = false;
    t->single_text = single ? *single : (ls_template){{{LS_TEMPLATE_A, 0}}, 1};
    t->text_pair   = pair ? *pair : (ls_template){{{LS_TEMPLATE_A, 0}, {LS_TEMPLATE_B, 1}}, 2};
    for (int i = 0; i < t->single_text.count; i++) {
        const int32_t id = t->single_text.item[i].id;
        if (id == LS_TEMPLATE_A)
            after = true;
        else if (after)
            t->after[t->afters++] = id;
        else
            t->before[t->befores++] = id;
    }
}

void ls__tokenizer_keep(ls_tokenizer *t, int index, const ls_tokenizer_file *file)
{
    t->file[index] = (ls_tokenizer_file){file->name, copy(t->arena, file->data, file->bytes), file->bytes};
}

ls_status ls__tokenizer_make(ls_tokenizer **out, const ls_tokenizer_parts *parts)
{
    ls_arena *arena;
    LS_TRY(ls_arena_new(&arena, "tokenizer"));
    ls_tokenizer *t = ls_arena_alloc(arena, sizeof *t);
    t->arena        = arena;
    t->kind         = parts->kind;
    t->lowercase    = parts->lowercase;
    t->unknown      = t->kind == LS_TOKENIZER_WORDS || t->kind == LS_TOKENIZER_WORDPIECE ? parts->unknown : -1;
    t->max_word     = parts->max_word;
    t->size         = parts->size;
    t->at           = copy(arena, parts->at, ((size_t)parts->size + 1) * sizeof *t->at);
    t->text         = copy(arena, parts->text, t->at[t->size]);
    t->merges       = parts->merges;
    t->merge        = copy(arena, parts->merge, (size_t)parts->merges * sizeof *t->merge);
    t->classes      = ls__unicode_classes();
    t->flags        = ls__unicode_flags();
    t->rules        = parts->rules;
    set_templates(t, parts->single, parts->pair);
    for (int r = 0; r < LS_TOKEN_ROLES; r++) t->role[r] = parts->role ? parts->role[r] : -1;
    ls_status status = set_added(t, parts);
    if (status != LS_OK) {
        ls_arena_free(arena);
        return status;
    }
    if (parts->piece) t->piece = copy(arena, parts->piece, (size_t)t->size);
    if (t->kind == LS_TOKENIZER_CHARS || t->rules.split == LS_SPLIT_SPACES) ls__char_table(t);
    if (t->kind == LS_TOKENIZER_BPE) ls__bpe_tables(t, parts->byte);
    if (t->kind == LS_TOKENIZER_WORDS) ls__spaced_table(t);
    if (t->kind == LS_TOKENIZER_WORDPIECE) ls__wordpiece_table(t);
    t->hash = hash_of(t);
    *out    = t;
    return LS_OK;
}

ls_status ls_tokenizer_bytes(ls_tokenizer **t)
{
    uint8_t  text[256 + sizeof LS_END_TEXT];
    uint64_t at[258];
    ls_added end = {.id = 256, .special = true};
    for (int b = 0; b < 256; b++) {
        text[b] = (uint8_t)b;
        at[b]   = (uint64_t)b;
    }
    memcpy(text + 256, LS_END_TEXT, strlen(LS_END_TEXT));
    at[256] = 256;
    at[257] = 256 + strlen(LS_END_TEXT);
    LS_TRY(ls__tokenizer_make(
        t, &(ls_tokenizer_parts){
               .kind = LS_TOKENIZER_BYTES, .size = 257, .text = text, .at = at, .added = 1, .add = &end}));
    return LS_OK;
}

void ls_tokenizer_free(ls_tokenizer *t)
{
    if (t) ls_arena_free(t->arena);
}

/* ---- properties -------------------------------------------------------------------------------------------------- */

int32_t ls_tokenizer_size(const ls_tokenizer *t) { return t->size; }

ls_tokenizer_kind ls_tokenizer_kind_of(const ls_tokenizer *t) { return t->kind; }

int32_t ls_tokenizer_end(const ls_tokenizer *t) { return t->end; }

int32_t ls_tokenizer_unknown(const ls_tokenizer *t) { return t->unknown; }

bool ls_tokenizer_lowercase(const ls_tokenizer *t) { return t->lowercase; }

uint64_t ls_tokenizer_hash(const ls_tokenizer *t) { return t->hash; }

int32_t ls_tokenizer_role(const ls_tokenizer *t, ls_token_role role) { return t->role[role]; }

const int32_t *ls_tokenizer_before(const ls_tokenizer *t, int *n)
{
    *n = t->befores;
    return t->before;
}

const int32_t *ls_tokenizer_after(const ls_tokenizer *t, int *n)
{
    *n = t->afters;
    return t->after;
}

static const ls_added *added_of(const ls_tokenizer *t, int32_t id)
{
    for (int i = 0; i < t->added; i++)
        if (t->add[i].id == id) return &t->add[i];
    return NULL;
}

bool ls_tokenizer_is_special(const ls_tokenizer *t, int32_t id)
{
    const ls_added *add = added_of(t, id);
    return add && add->special;
}

int32_t ls_tokenizer_find(const ls_tokenizer *t, const char *text)
{
    int32_t      found  = -1;
    const size_t length = strlen(text);
    for (int32_t id = 0; id < t->size; id++) {
        size_t      bytes;
        const char *token = ls_tokenizer_token(t, id, &bytes);
        if (bytes != length || memcmp(token, text, bytes) != 0) continue;
        if (added_of(t, id)) return id;
        if (found < 0) found = id;
    }
    return found;
}

const char *ls_tokenizer_kind_text(ls_tokenizer_kind kind)
{
    static const char *const text[] = LS_ENUM_TEXTS(LS_TOKENIZER_LIST);
    return text[kind];
}

/* ---- decoding ---------------------------------------------------------------------------------------------------- */

const char *ls_tokenizer_token(const ls_tokenizer *t, int32_t id, size_t *bytes)
{
    *bytes = 0;
    if (id < 0 || id >= t->size) return NULL;
    *bytes = t->at[id + 1] - t->at[id];
    return (const char *)t->text + t->at[id];
}

ls_status ls_tokenizer_decode(const ls_tokenizer *t, const int32_t *ids, int64_t n, ls_string *text)
{
    for (int64_t i = 0; i < n; i++) {
        size_t      bytes;
        const char *token = ls_tokenizer_token(t, ids[i], &bytes);
        LS_CHECK(token, LS_ERR_DATA,
                 "token %lld: expected 0 to %d, found %d" LS_HINT "these tokens come from another tokenizer",
                 (long long)i, t->size - 1, ids[i]);
        LS_TRY(ls__string_append(text, token, bytes));
    }
    return n > 0 ? LS_OK : ls__string_append(text, "", 0);
}
