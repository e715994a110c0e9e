/* SPDX-License-Identifier: Apache-2.0
 * Checks the tokenizer that an import of text asks for. */
#include "datasets/tokenizer/training/tokenizer_choice.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Vocabulary that bpe learns by default, tokens. */
enum { DEFAULT_VOCABULARY = 8192 };

ls_status ls__training_choose(ls_tokenizer_training *t, const char *command, const char *tokenizer, int32_t vocabulary,
                              int64_t min_count, bool lowercase, bool *trained)
{
    int kind = LS_TOKENIZER_WORDPIECE;
    while (kind >= 0 && strcmp(tokenizer, ls_tokenizer_kind_text((ls_tokenizer_kind)kind))) kind--;
    const bool words = kind == LS_TOKENIZER_WORDS, bpe = kind == LS_TOKENIZER_BPE || kind == LS_TOKENIZER_WORDPIECE;
    *trained = kind > LS_TOKENIZER_BYTES;
    LS_CHECK(kind >= 0 || access(tokenizer, F_OK) == 0, LS_ERR_USAGE,
             "%s: tokenizer: expected bytes, chars, bpe, words, wordpiece or the path of a tokenizer, found '%s': %s",
             command, tokenizer, strerror(errno));
    LS_CHECK(bpe || words || !vocabulary, LS_ERR_USAGE,
             "%s: --vocab %d: the tokenizer %s has a fixed size; only bpe, words and wordpiece are trained to a size",
             command, vocabulary, tokenizer);
    LS_CHECK(words || !min_count, LS_ERR_USAGE, "%s: --min-count %lld: expected with the tokenizer words, found %s",
             command, (long long)min_count, tokenizer);
    LS_CHECK(*trained || !lowercase, LS_ERR_USAGE,
             "%s: --lowercase: expected with a tokenizer that is trained (bpe, words, wordpiece, chars), found %s",
             command, tokenizer);
    t->kind      = (ls_tokenizer_kind)(kind < 0 ? LS_TOKENIZER_BYTES : kind);
    t->size      = vocabulary || !bpe ? vocabulary : DEFAULT_VOCABULARY;
    t->min_count = min_count;
    t->lowercase = lowercase;
    return LS_OK;
}
