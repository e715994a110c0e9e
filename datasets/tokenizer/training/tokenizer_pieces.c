/* SPDX-License-Identifier: Apache-2.0
 *
 * Training of the kind wordpiece, as Hugging Face's WordPieceTrainer: byte-pair encoding (Sennrich 2016) over
 * characters, of which one that begins a word and one that continues it ("##c") are different symbols.  The tokens that
 * the merges make are the pieces; the merges themselves are forgotten.
 *
 *     id 0 to 4      [PAD] [UNK] [CLS] [SEP] [MASK]
 *     then           the symbols, in the order of their characters, first those that begin words
 *     then           the merged pieces, in the order of the merges
 *
 * A character that only continues words is a symbol that begins words as well, so that unknown words have pieces.
 * The 250 most frequent symbols take part in merges.  That is enough for an alphabet; ideographs are words of one
 * character, which have nothing to merge.  All symbols are pieces, as long as there is room for them.
 */
#include "datasets/tokenizer/training/tokenizer_pieces.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "datasets/tokenizer/tokenizer_parse.h"
#include "datasets/tokenizer/training/tokenizer_merges.h"
#include "datasets/tokenizer/unicode/unicode.h"

enum { SPECIALS = 5, MERGED_SYMBOLS = 250, MOST_PIECE = 1024 };
enum { SEP_ID = 3, CLS_ID = 2 };
static const char *const special[SPECIALS] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};

/* ---- the file ---------------------------------------------------------------------------------------------------- */

static json_t *item(const char *kind, const char *id, int type)
{
    return json_pack("{s:{s:s, s:i}}", kind, "id", id, "type_id", type);
}

static json_t *template_of(int texts)
{
    json_t *list = json_pack("[o, o, o]", item("SpecialToken", "[CLS]", 0), item("Sequence", "A", 0),
                             item("SpecialToken", "[SEP]", 0));
    if (texts == 1) return list;
    json_array_append_new(list, item("Sequence", "B", 1));
    json_array_append_new(list, item("SpecialToken", "[SEP]", 1));
    return list;
}

static json_t *make_root(json_t *vocab, bool lowercase)
{
    json_t *added = json_array(), *ids = json_object();
    for (int i = 0; i < SPECIALS; i++)
        json_array_append_new(added,
                              json_pack("{s:i, s:s, s:b, s:b, s:b, s:b, s:b}", "id", i, "content", special[i],
                                        "single_word", 0, "lstrip", 0, "rstrip", 0, "normalized", 0, "special", 1));
    for (int i = CLS_ID; i <= SEP_ID; i++)
        json_object_set_new(ids, special[i],
                            json_pack("{s:s, s:[i], s:[s]}", "id", special[i], "ids", i, "tokens", special[i]));
    return json_pack(
        "{s:s, s:n, s:n, s:o, s:{s:s, s:b, s:b, s:n, s:b}, s:{s:s}, s:{s:s, s:o, s:o, s:o}, s:{s:s, s:s, s:b}, "
        "s:{s:s, s:s, s:s, s:i, s:o}}",
        "version", "1.0", "truncation", "padding", "added_tokens", added, "normalizer", "type", "BertNormalizer",
        "clean_text", 1, "handle_chinese_chars", 1, "strip_accents", "lowercase", (int)lowercase, "pre_tokenizer",
        "type", "BertPreTokenizer", "post_processor", "type", "TemplateProcessing", "single", template_of(1), "pair",
        template_of(2), "special_tokens", ids, "decoder", "type", "WordPiece", "prefix", "##", "cleanup", 1, "model",
        "type", "WordPiece", "unk_token", "[UNK]", "continuing_subword_prefix", "##", "max_input_chars_per_word", 100,
        "vocab", vocab);
}

static json_t *special_vocab(void)
{
    json_t *vocab = json_object();
    for (int i = 0; i < SPECIALS; i++) json_object_set_new(vocab, special[i], json_integer(i));
    return vocab;
}

static ls_status make(ls_tokenizer **t, json_t *vocab, bool lowercase)
{
    json_t *root = make_root(vocab, lowercase);
    LS_CHECK(root, LS_ERR_ENV, "tokenizer training: out of memory for the pieces");
    ls_status status = ls__tokenizer_parse(t, "tokenizer training", root);
    json_decref(root);
    return status;
}

ls_status ls__pieces_base(ls_tokenizer **t, bool lowercase) { return make(t, special_vocab(), lowercase); }

/* ---- symbols ----------------------------------------------------------------------------------------------------- */

/* A character at the beginning of words, or within them. */
typedef struct symbol {
    uint32_t code;
    bool     continues;
    int64_t  count;
    int      byte; /* its number in merges; -1: it has none */
} symbol;

static int by_place(const void *p, const void *q)
{
    const symbol *x = p, *y = q;
    if (x->continues != y->continues) return x->continues ? 1 : -1;
    return x->code < y->code ? -1 : x->code > y->code;
}

static int by_count(const void *p, const void *q)
{
    const symbol *x = p, *y = q;
    return x->count != y->count ? x->count > y->count ? -1 : 1 : by_place(p, q);
}

/* Whether the character k / 2 that begins words, or for an odd k continues them, is a symbol. */
static bool has_symbol(const int64_t *seen, size_t k) { return seen[k] > 0 || (k % 2 == 0 && seen[k + 1] > 0); }

/* Counts the symbols of all words; the list is sorted by place. */
static ls_status find_symbols(const ls_words *w, ls_arena *memory, symbol **list, int *count)
{
    int64_t *seen = calloc(2 * (size_t)LS_UNICODE_END, sizeof *seen);
    LS_CHECK(seen, LS_ERR_ENV, "tokenizer training: out of memory for the characters");
    *count = 0;
    for (int64_t i = 0; i < w->words; i++) {
        const uint8_t *text = w->text + w->word[i].at;
        for (uint32_t at = 0, code; at < w->word[i].bytes;) {
            const bool continues = at > 0;
            at += (uint32_t)ls__utf8_valid_next(text + at, &code);
            seen[2 * (size_t)code + continues] += w->word[i].count;
        }
    }
    for (size_t k = 0; k < 2 * (size_t)LS_UNICODE_END; k++) *count += has_symbol(seen, k);
    *list  = ls_arena_alloc(memory, ((size_t)*count + 1) * sizeof **list);
    *count = 0;
    for (size_t k = 0; k < 2 * (size_t)LS_UNICODE_END; k++)
        if (has_symbol(seen, k)) (*list)[(*count)++] = (symbol){(uint32_t)(k / 2), k % 2, seen[k], -1};
    free(seen);
    qsort(*list, (size_t)*count, sizeof **list, by_count);
    for (int k = 0; k < *count && k < MERGED_SYMBOLS; k++) (*list)[k].byte = k;
    qsort(*list, (size_t)*count, sizeof **list, by_place);
    return LS_OK;
}

static const symbol *find(const symbol *list, int count, uint32_t code, bool continues)
{
    return bsearch(&(symbol){.code = code, .continues = continues}, list, (size_t)count, sizeof *list, by_place);
}

/* Writes the words as the numbers of their symbols; words with a symbol that has none are left out. */
static ls_status number_words(const ls_words *w, const symbol *list, int count, ls_words *numbers)
{
    uint8_t number[MOST_PIECE];
    for (int64_t i = 0; i < w->words; i++) {
        const uint8_t *text = w->text + w->word[i].at;
        size_t         n    = 0;
        for (uint32_t at = 0, code; at < w->word[i].bytes && n < MOST_PIECE;) {
            const bool continues = at > 0;
            at += (uint32_t)ls__utf8_valid_next(text + at, &code);
            const symbol *s = find(list, count, code, continues);
            if (s->byte < 0) n = MOST_PIECE;
            if (n < MOST_PIECE) number[n++] = (uint8_t)s->byte;
        }
        if (n < 2 || n == MOST_PIECE) continue;
        LS_TRY(ls__words_count(numbers, number, n));
        numbers->word[numbers->words - 1].count = w->word[i].count; /* all words differ, and so do their numbers */
    }
    return LS_OK;
}

/* ---- pieces ------------------------------------------------------------------------------------------------------ */

static void add_piece(json_t *vocab, const char *piece, int32_t size)
{
    if ((int32_t)json_object_size(vocab) < size && !json_object_get(vocab, piece))
        json_object_set_new(vocab, piece, json_integer((json_int_t)json_object_size(vocab)));
}

/* The text of a piece of symbols: "##" before one that continues a word. */
static void write_piece(const symbol *const of[], const uint8_t *number, size_t n, char text[4 * MOST_PIECE + 4])
{
    char *end = text;
    if (of[number[0]]->continues) end = stpcpy(end, "##");
    for (size_t k = 0; k < n; k++) end += ls__utf8_put((uint8_t *)end, of[number[k]]->code);
    *end = 0;
}

static ls_status learn(const ls_words *words, json_t *vocab, int32_t size, int64_t min_count, ls_arena *memory)
{
    const symbol *of[256] = {NULL};
    symbol       *list    = NULL;
    int           count   = 0;
    uint8_t       same[256];
    ls_learned    learned;
    ls_words      numbers = {.most = words->most};
    char          text[4 * MOST_PIECE + 4];
    LS_TRY(find_symbols(words, memory, &list, &count));
    for (int k = 0; k < count; k++) {
        char *end = text;
        if (list[k].continues) end = stpcpy(end, "##");
        end[ls__utf8_put((uint8_t *)end, list[k].code)] = 0;
        add_piece(vocab, text, size);
        if (list[k].byte >= 0) of[list[k].byte] = &list[k];
    }
    for (int b = 0; b < 256; b++) same[b] = (uint8_t)b;
    ls_status status = number_words(words, list, count, &numbers);
    if (status == LS_OK && (int32_t)json_object_size(vocab) < size && numbers.words)
        status = ls__learn_merges(&numbers, 256 + size - (int32_t)json_object_size(vocab), min_count, same, memory,
                                  &learned);
    else
        learned.size = 0;
    ls__words_free(&numbers);
    for (int32_t id = 256; id < learned.size && status == LS_OK; id++) {
        write_piece(of, learned.text + learned.at[id], (size_t)(learned.at[id + 1] - learned.at[id]), text);
        add_piece(vocab, text, size);
    }
    return status;
}

ls_status ls__pieces_learn(ls_tokenizer **t, const ls_words *words, int32_t size, int64_t min_count, bool lowercase,
                           ls_arena *memory)
{
    json_t   *vocab  = special_vocab();
    ls_status status = learn(words, vocab, size, min_count, memory);
    if (status == LS_OK) return make(t, vocab, lowercase);
    json_decref(vocab);
    return status;
}
