/* SPDX-License-Identifier: Apache-2.0
 * Weights of attention between tokens, as weights and links between words. */
#include "launch/translate/alignment.h"

#include <stdio.h>
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

int64_t ls_alignment_link(const ls_alignment *a, int64_t word)
{
    const float *w    = a->weight + word * a->cols;
    int64_t      best = 0;
    for (int64_t c = 1; c < a->cols; c++)
        if (w[c] > w[best]) best = c;
    return best == a->cols - 1 ? -1 : best;
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
