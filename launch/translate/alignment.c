/* SPDX-License-Identifier: Apache-2.0
 * Weights of attention between tokens, as weights and links between words. */
#include "launch/translate/alignment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/* Finds the word of each of n tokens; -1: white space alone.  Returns the number of words. */
static int64_t words_of(const ls_tokenizer *t, const int32_t *token, int64_t n, int64_t *word)
{
    const bool each  = ls_tokenizer_kind_of(t) == LS_TOKENIZER_WORDS;
    int64_t    words = 0;
    bool       ended = true; /* the text so far ends with white space */
    for (int64_t i = 0; i < n; i++) {
        size_t      bytes = 0;
        const char *text  = ls_tokenizer_token(t, token[i], &bytes);
        word[i]           = -1;
        ended             = ended || each;
        for (size_t k = 0; text && k < bytes; k++) {
            if (!is_space(text[k]) && ended) words++;
            ended = is_space(text[k]);
            if (!ended && word[i] < 0) word[i] = words - 1;
        }
    }
    return words;
}

void ls_alignment_of(ls_alignment *a, const ls_run *run, const ls_translated *t, ls_arena *memory)
{
    const int64_t n = t->tokens, m = t->weights ? t->source_tokens - 1 : 0; /* without the end tokens */
    int64_t      *row = ls_arena_alloc(memory, (size_t)(n + 1) * sizeof *row),
            *col      = ls_arena_alloc(memory, (size_t)(m + 1) * sizeof *col);
    a->rows           = words_of(run->tokenizer, t->token, n, row) + 1;
    a->cols           = words_of(run->source_tokenizer, t->source, m, col) + 1;
    row[n]            = a->rows - 1;
    col[m]            = a->cols - 1;
    int64_t *tokens   = ls_arena_alloc(memory, (size_t)a->rows * sizeof *tokens); /* of each word */
    a->weight         = ls_arena_alloc(memory, (size_t)(a->rows * a->cols) * sizeof *a->weight);
    memset(tokens, 0, (size_t)a->rows * sizeof *tokens);
    memset(a->weight, 0, (size_t)(a->rows * a->cols) * sizeof *a->weight);
    for (int64_t i = 0; i <= n && t->weights; i++) {
        if (row[i] < 0) continue;
        tokens[row[i]]++;
        for (int64_t k = 0; k <= m; k++)
            if (col[k] >= 0) a->weight[row[i] * a->cols + col[k]] += t->weights[i * (m + 1) + k];
    }
    for (int64_t r = 0; r < a->rows; r++)
        for (int64_t c = 0; c < a->cols && tokens[r]; c++) a->weight[r * a->cols + c] /= (float)tokens[r];
}

/* The column below `cols` with the greatest weight of a row. */
static int64_t greatest(const ls_alignment *a, int64_t row, int64_t cols)
{
    const float *w    = a->weight + row * a->cols;
    int64_t      best = 0;
    for (int64_t c = 1; c < cols; c++)
        if (w[c] > w[best]) best = c;
    return best;
}

int64_t ls_alignment_link(const ls_alignment *a, int64_t word)
{
    const int64_t best = greatest(a, word, a->cols);
    return best == a->cols - 1 ? -1 : best;
}

/* The word of a line with a number; empty: there is none. */
static ls_text_line word_of_line(const char *line, int64_t word)
{
    for (;; word--) {
        while (is_space(*line)) line++;
        size_t bytes = 0;
        while (line[bytes] && !is_space(line[bytes])) bytes++;
        if (!word || !bytes) return (ls_text_line){line, bytes};
        line += bytes;
    }
}

static ls_status append(ls_string *s, const char *data, size_t bytes)
{
    if (s->bytes + bytes + 1 > s->room) {
        const size_t room = 2 * (s->bytes + bytes + 1);
        char        *more = realloc(s->data, room);
        LS_CHECK(more, LS_ERR_ENV, "translate: no memory for a translation of %zu bytes", room);
        s->data = more;
        s->room = room;
    }
    memcpy(s->data + s->bytes, data, bytes);
    s->bytes += bytes;
    s->data[s->bytes] = 0;
    return LS_OK;
}

ls_status ls_alignment_replace(const ls_alignment *a, const ls_run *run, const ls_translated *t, const char *line,
                               ls_string *text)
{
    const int32_t unknown = ls_tokenizer_unknown(run->tokenizer);
    text->bytes           = 0;
    for (int64_t i = 0; i < t->tokens; i++) { /* a token is a word */
        size_t       bytes;
        const char  *data = ls_tokenizer_token(run->tokenizer, t->token[i], &bytes);
        ls_text_line word = {data, bytes};
        if (t->token[i] == unknown && a->cols > 1) word = word_of_line(line, greatest(a, i, a->cols - 1));
        if (i) LS_TRY(append(text, " ", 1));
        while (word.bytes && is_space(word.data[word.bytes - 1])) word.bytes--;
        LS_TRY(append(text, word.data, word.bytes));
    }
    return LS_OK;
}

void ls_alignment_write(const ls_alignment *a, bool weights, FILE *f)
{
    const char *space = "";
    for (int64_t r = 0; r < a->rows && weights; r++, space = " ")
        for (int64_t c = 0; c < a->cols; c++) fprintf(f, "%s%.4f", c ? "," : space, (double)a->weight[r * a->cols + c]);
    for (int64_t r = 0; r < a->rows - 1 && !weights; r++) {
        const int64_t source = ls_alignment_link(a, r);
        if (source < 0) continue;
        fprintf(f, "%s%lld-%lld", space, (long long)source, (long long)r);
        space = " ";
    }
}
