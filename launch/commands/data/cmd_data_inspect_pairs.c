/* SPDX-License-Identifier: Apache-2.0
 * `lockstep data inspect` of pairs of sentences: prints counts, a histogram of lengths, and the first pairs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/integer.h"
#include "datasets/tokenizer/unicode/unicode.h"
#include "launch/commands/data/cmd_data_internal.h"
#include "launch/report/unit_text.h"

enum { SOURCE, TARGET, SIDES };
enum { BAR = 24, ROWS = 16, SHOWN = 3, TOKENS_SHOWN = 60 };

static const char *const side_name[] = {"source", "target"};

typedef struct view {
    ls_dataset     *d;
    ls_dataset_info info;
    ls_tokenizer   *tokenizer[SIDES];
    ls_pair         pair;
} view;

static void print_side(const view *v, int side, int64_t longest)
{
    const ls_dataset_info *info   = &v->info;
    const int64_t          tokens = side ? info->tokens : info->source_tokens;
    char                   count[2][32];
    ls__count_text(count[0], sizeof count[0], tokens);
    ls__count_text(count[1], sizeof count[1], side ? info->classes : info->source_vocabulary);
    printf("  %-10s %s tokens with end tokens, %.1f in a sentence, at most %lld; tokenizer %s, vocabulary of %s%s%s\n",
           side_name[side], count[0], (double)tokens / (double)info->count, (long long)longest,
           side ? info->tokenizer : info->source_tokenizer, count[1],
           ls_tokenizer_lowercase(v->tokenizer[side]) ? ", lower-cased" : "", info->joint ? ", joint" : "");
}

/* Prints the numbers of sentences by length, the end token included. */
static void print_lengths(int64_t count[SIDES][ROWS], int64_t step, int rows)
{
    int64_t most = 1, all = 0;
    for (int side = 0; side < SIDES; side++)
        for (int r = 0; r < rows; r++) most = ls__max(most, count[side][r]);
    for (int r = 0; r < rows; r++) all += count[SOURCE][r];
    printf("  %-16s %-*s %s\n", "lengths", BAR + 18, side_name[SOURCE], side_name[TARGET]);
    for (int r = 0; r < rows; r++) {
        printf("  %6lld to %-6lld", (long long)(r * step + 1), (long long)((r + 1) * step));
        for (int side = 0; side < SIDES; side++) {
            const int bar = (int)((double)count[side][r] * BAR / (double)most + 0.5);
            printf(" %8lld %5.1f %% ", (long long)count[side][r], 100.0 * (double)count[side][r] / (double)all);
            for (int i = 0; i < bar; i++) printf("█");
            if (side == SOURCE) printf("%*s", BAR - bar, "");
        }
        printf("\n");
    }
}

static ls_status count_lengths(view *v)
{
    const int64_t width        = ls__max(v->info.source_length, v->info.target_length),
                  step         = ls__round_up(ls__ceil_div(width, ROWS), 4);
    int64_t count[SIDES][ROWS] = {0}, longest[SIDES] = {0};
    for (int64_t i = 0; i < v->info.count; i++) {
        LS_TRY(ls_dataset_pair(v->d, i, &v->pair));
        for (int side = 0; side < SIDES; side++) {
            const int64_t n = (side ? v->pair.target_tokens : v->pair.source_tokens).count + 1;
            count[side][(n - 1) / step]++;
            longest[side] = ls__max(longest[side], n);
        }
    }
    for (int side = 0; side < SIDES; side++) print_side(v, side, longest[side]);
    print_lengths(count, step, (int)ls__ceil_div(width, step));
    return LS_OK;
}

/* Prints the padding of shuffled batches, part of all positions, and the number of their different widths. */
static ls_status print_padding(const view *v)
{
    enum { BATCH = 128, BATCHES = 500 };
    ls_loader *l;
    ls_batch   batch;
    int64_t    shape[BATCHES][SIDES];
    int64_t    positions = 0, tokens = 0;
    int        shapes = 0, n = 0;
    LS_TRY(ls_loader_new(&l, v->d, .batch = BATCH, .shards = 1, .ranks = 1, .epochs = 1));
    for (; n < BATCHES && ls_loader_next(l, &batch); n++) {
        const int64_t wide[SIDES] = {batch.dim0[0], batch.dim0[3]}; /* source, target */
        int           known       = 0;
        positions += batch.rows * (wide[SOURCE] + wide[TARGET]);
        for (int64_t r = 0; r < batch.rows; r++)
            tokens += ((const int32_t *)batch.data[1])[r] + ((const int32_t *)batch.data[4])[r];
        while (known < shapes && memcmp(shape[known], wide, sizeof wide)) known++;
        if (known == shapes) memcpy(shape[shapes++], wide, sizeof wide);
    }
    ls_status status = ls_loader_status(l);
    ls_loader_free(l);
    LS_TRY(status);
    printf("  batches    of %d pairs by length: %.1f %% padding, %d different widths in %d batches\n", BATCH,
           100 - 100 * (double)tokens / (double)positions, shapes, n);
    return LS_OK;
}

/* Prints the text of each token between bars; the bytes of a token that is no text are escaped. */
static void print_tokens(const ls_tokenizer *t, const ls_tokens *tokens)
{
    printf("       |");
    for (int64_t i = 0; i < tokens->count && i < TOKENS_SHOWN; i++) {
        size_t      bytes;
        const char *text = ls_tokenizer_token(t, tokens->id[i], &bytes);
        if (ls__utf8_valid((const uint8_t *)text, bytes) == bytes)
            ls__print_escaped(text, bytes);
        else
            for (size_t b = 0; b < bytes; b++) printf("\\x%02x", (unsigned char)text[b]);
        printf("|");
    }
    printf("%s\n", tokens->count > TOKENS_SHOWN ? " ..." : "");
}

static ls_status print_pairs(view *v)
{
    for (int64_t i = 0; i < v->info.count && i < SHOWN; i++) {
        LS_TRY(ls_dataset_pair(v->d, i, &v->pair));
        for (int side = 0; side < SIDES; side++) {
            const ls_string *line = side ? &v->pair.target : &v->pair.source;
            printf("  %-3.*lld  ", side ? 0 : 1, side ? 0LL : (long long)i);
            ls__print_escaped(line->data, line->bytes);
            printf("\n");
            print_tokens(v->tokenizer[side], side ? &v->pair.target_tokens : &v->pair.source_tokens);
        }
    }
    return LS_OK;
}

ls_status ls__data_inspect_pairs(ls_dataset *d)
{
    view v = {.d = d, .info = ls_dataset_info_of(d)};
    char count[32];
    LS_TRY(ls_data_pair_tokenizers(&v.tokenizer[SOURCE], &v.tokenizer[TARGET], &v.info));
    ls__count_text(count, sizeof count, v.info.count);
    printf("%s: %s, %s pairs\n", v.info.path, v.info.split, count);
    ls_status status = count_lengths(&v);
    if (status == LS_OK) status = print_padding(&v);
    if (status == LS_OK) status = print_pairs(&v);
    for (int side = 0; side < SIDES; side++) ls_tokenizer_free(v.tokenizer[side]);
    ls_pair_free(&v.pair);
    return status;
}
