/* SPDX-License-Identifier: Apache-2.0
 *
 * Counts words within a memory limit.  When there are too many distinct words, those below a count are removed, so that
 * half of the memory is free again, as word2vec prunes its vocabulary.  Merges are learned from frequent words, so the
 * loss of rare ones has little effect.
 */
#include "datasets/tokenizer/training/tokenizer_words.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

/* Limit of the text, bytes per word: twice the mean of natural text. */
enum { TEXT_PER_WORD = 16 };

static ls_status out_of_memory(const ls_words *w)
{
    return LS_FAIL(LS_ERR_ENV,
                   "tokenizer training: out of memory for %lld words" LS_HINT "set a smaller max_words (--words)",
                   (long long)w->words);
}

static ls_status rehash(ls_words *w, int64_t slots)
{
    uint32_t *slot = calloc((size_t)slots, sizeof *slot);
    if (!slot) return out_of_memory(w);
    for (int64_t i = 0; i < w->words; i++) {
        uint64_t h = XXH3_64bits(w->text + w->word[i].at, w->word[i].bytes);
        while (slot[h & (uint64_t)(slots - 1)]) h++;
        slot[h & (uint64_t)(slots - 1)] = (uint32_t)i + 1;
    }
    free(w->slot);
    w->slot  = slot;
    w->slots = slots;
    return LS_OK;
}

static bool too_many(const ls_words *w, int64_t words, uint64_t bytes)
{
    return words > w->most || bytes > (uint64_t)w->most * TEXT_PER_WORD;
}

/* Removes the words below the smallest power of two that halves the memory. */
static ls_status remove_rare(ls_words *w)
{
    int64_t  least = 1, kept;
    uint64_t bytes;
    do {
        least *= 2;
        kept  = 0;
        bytes = 0;
        for (int64_t i = 0; i < w->words; i++)
            if (w->word[i].count >= least) {
                kept++;
                bytes += w->word[i].bytes;
            }
    } while (too_many(w, 2 * kept, 2 * bytes));
    kept  = 0;
    bytes = 0;
    for (int64_t i = 0; i < w->words; i++) {
        ls_word_count word = w->word[i];
        if (word.count < least) {
            w->forgotten += word.count;
            continue;
        }
        memmove(w->text + bytes, w->text + word.at, word.bytes);
        word.at = bytes;
        bytes += word.bytes;
        w->word[kept++] = word;
    }
    w->words = kept;
    w->bytes = bytes;
    return rehash(w, w->slots);
}

static ls_status reserve(ls_words *w, size_t bytes)
{
    if (w->words > 0 && too_many(w, w->words + 1, w->bytes + bytes)) LS_TRY(remove_rare(w));
    if (w->words == w->word_room) {
        int64_t        room = w->word_room ? 2 * w->word_room : 1024;
        ls_word_count *word = realloc(w->word, (size_t)room * sizeof *word);
        if (!word) return out_of_memory(w);
        w->word      = word;
        w->word_room = room;
    }
    if (w->bytes + bytes > w->text_room) {
        uint64_t room = 2 * w->text_room > w->bytes + bytes ? 2 * w->text_room : w->bytes + bytes;
        uint8_t *text = realloc(w->text, room);
        if (!text) return out_of_memory(w);
        w->text      = text;
        w->text_room = room;
    }
    if (2 * (w->words + 1) > w->slots) LS_TRY(rehash(w, w->slots ? 2 * w->slots : 2048));
    return LS_OK;
}

static uint32_t *find(const ls_words *w, const uint8_t *word, size_t bytes)
{
    for (uint64_t h = XXH3_64bits(word, bytes);; h++) {
        uint32_t *slot = &w->slot[h & (uint64_t)(w->slots - 1)];
        if (!*slot) return slot;
        const ls_word_count *there = &w->word[*slot - 1];
        if (there->bytes == bytes && memcmp(w->text + there->at, word, bytes) == 0) return slot;
    }
}

ls_status ls__words_count(ls_words *w, const uint8_t *word, size_t bytes)
{
    uint32_t *slot = w->slots ? find(w, word, bytes) : NULL;
    if (slot && *slot) {
        w->word[*slot - 1].count++;
        return LS_OK;
    }
    LS_TRY(reserve(w, bytes));
    slot = find(w, word, bytes);
    memcpy(w->text + w->bytes, word, bytes);
    w->word[w->words++] = (ls_word_count){w->bytes, 1, (uint32_t)bytes};
    w->bytes += bytes;
    *slot = (uint32_t)w->words;
    return LS_OK;
}

void ls__words_free(ls_words *w)
{
    free(w->word);
    free(w->text);
    free(w->slot);
    *w = (ls_words){0};
}
