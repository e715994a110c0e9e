/* SPDX-License-Identifier: Apache-2.0
 * `lockstep data inspect` of labelled texts: prints counts, classes, a histogram of lengths, and the first samples. */
#include <stdio.h>
#include <stdlib.h>

#include "core/base/integer.h"
#include "launch/commands/data/cmd_data_internal.h"
#include "launch/report/unit_text.h"

enum { BAR = 40, ROWS = 16, SHOWN = 5, MOST_CLASSES = 20 };

static void print_bar(int64_t count, int64_t most, int64_t all)
{
    const int bar = (int)((double)count * BAR / (double)ls__max(most, 1) + 0.5);
    printf(" %8lld %5.1f %% ", (long long)count, 100.0 * (double)count / (double)all);
    for (int i = 0; i < bar; i++) printf("█");
    printf("\n");
}

static ls_status print_counts(ls_dataset *d, const ls_dataset_info *info, ls_labelled_text *text, int64_t *class_count)
{
    const int64_t step       = ls__round_up(ls__ceil_div(info->context, ROWS), 4);
    int64_t       rows[ROWS] = {0}, most = 0, most_class = 0, pairs = 0;
    double        sum = 0, squares = 0;
    for (int64_t i = 0; i < info->count; i++) {
        LS_TRY(ls_dataset_text(d, i, text));
        rows[(text->tokens.count - 1) / step]++;
        pairs += text->second < text->tokens.count;
        sum += text->label;
        squares += text->label * text->label;
        if (info->classes) class_count[(int)text->label]++;
    }
    printf("  lengths    %.1f tokens in a sample, of %d in the vocabulary; tokenizer %s; %lld pairs of texts\n",
           (double)info->tokens / (double)info->count, info->vocabulary, info->tokenizer, (long long)pairs);
    for (int r = 0; r < ROWS; r++) most = ls__max(most, rows[r]);
    for (int r = 0; r < ROWS && r * step < info->context; r++) {
        printf("  %6lld to %-6lld", (long long)(r * step + 1), (long long)((r + 1) * step));
        print_bar(rows[r], most, info->count);
    }
    for (int c = 0; c < info->classes; c++) most_class = ls__max(most_class, class_count[c]);
    for (int c = 0; c < info->classes && c < MOST_CLASSES; c++) {
        printf("  %-16.16s", info->class_names[c]);
        print_bar(class_count[c], most_class, info->count);
    }
    if (info->classes > MOST_CLASSES) printf("  ... %d classes\n", info->classes);
    const double mean = sum / (double)info->count;
    if (!info->classes)
        printf("  labels     mean %.4g, variance %.4g\n", mean, squares / (double)info->count - mean * mean);
    return LS_OK;
}

static ls_status print_samples(ls_dataset *d, const ls_dataset_info *info, ls_labelled_text *text)
{
    ls_tokenizer *t;
    ls_string     line   = {0};
    ls_status     status = ls_data_tokenizer(&t, info);
    for (int64_t i = 0; i < info->count && i < SHOWN && status == LS_OK && t; i++) {
        line.bytes = 0;
        status     = ls_dataset_text(d, i, text);
        if (status == LS_OK) status = ls_tokenizer_decode(t, text->tokens.id, text->tokens.count, &line);
        if (status != LS_OK) break;
        if (info->classes)
            printf("  %-16.16s ", info->class_names[(int)text->label]);
        else
            printf("  %-16.6g ", text->label);
        ls__print_escaped(line.data, line.bytes);
        printf("\n");
    }
    ls_string_free(&line);
    ls_tokenizer_free(t);
    return status;
}

ls_status ls__data_inspect_labelled(ls_dataset *d)
{
    const ls_dataset_info info        = ls_dataset_info_of(d);
    ls_labelled_text      text        = {0};
    int64_t              *class_count = calloc((size_t)info.classes + 1, sizeof *class_count);
    char                  count[32];
    LS_CHECK(class_count, LS_ERR_ENV, "%s: no memory for %d classes", info.path, info.classes);
    ls__count_text(count, sizeof count, info.count);
    printf("%s: %s, %s labelled texts\n", info.path, info.split, count);
    ls_status status = print_counts(d, &info, &text, class_count);
    if (status == LS_OK) status = print_samples(d, &info, &text);
    ls_tokens_free(&text.tokens);
    free(class_count);
    return status;
}
