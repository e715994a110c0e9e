/* SPDX-License-Identifier: Apache-2.0
 * `lockstep data inspect` of text: prints counts, the most frequent tokens, and the start of the text. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch/commands/data/cmd_data_internal.h"
#include "launch/report/unit_text.h"

enum { BAR = 40, SHOWN = 20, FIRST = 256, IDS = 24, CHUNK = 1 << 16, DOCUMENTS = 5 };

/* Prints a token 16 columns wide; control characters and single bytes of a character are escaped. */
static void print_token(const ls_tokenizer *t, int32_t id)
{
    size_t      bytes = 0;
    const char *text  = t ? ls_tokenizer_token(t, id, &bytes) : NULL;
    char        out[64];
    int         used = 0, columns = 0;
    for (size_t i = 0; i < bytes && used < 40; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '\n')
            used += snprintf(out + used, sizeof out - (size_t)used, "\\n");
        else if (c < 0x20 || c == 0x7f || (c >= 0x80 && bytes < 2))
            used += snprintf(out + used, sizeof out - (size_t)used, "\\x%02x", c);
        else
            out[used++] = (char)c;
    }
    out[used] = 0;
    for (int i = 0; i < used; i++) columns += ((unsigned char)out[i] & 0xc0) != 0x80;
    printf("    %7d %s%s%s%*s", id, text ? "'" : "", out, text ? "'" : "", columns < 16 ? 16 - columns : 0, "");
}

void ls__print_escaped(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        const unsigned char c = (unsigned char)text[i];
        if (c < 0x20 || c == 0x7f)
            printf("\\x%02x", c);
        else
            putchar(c);
    }
}

static void print_frequent(const ls_tokenizer *t, int64_t *count, int classes, int64_t tokens)
{
    int     used    = 0;
    int64_t most    = 0;
    double  entropy = 0;
    for (int i = 0; i < classes; i++) {
        used += count[i] > 0;
        if (count[i]) entropy -= (double)count[i] / (double)tokens * log((double)count[i] / (double)tokens);
    }
    printf("  entropy    %.3f nats per token: the loss of a model that knows only how often tokens occur\n", entropy);
    printf("  used       %d of the %d tokens of the vocabulary; the most frequent:\n", used, classes);
    for (int k = 0; k < SHOWN && k < used; k++) {
        int best = 0;
        for (int i = 1; i < classes; i++)
            if (count[i] > count[best]) best = i;
        if (!most) most = count[best];
        print_token(t, best);
        printf(" %12lld  %5.1f %%  ", (long long)count[best], 100.0 * (double)count[best] / (double)tokens);
        for (int i = 0; i < (int)((double)count[best] * BAR / (double)most + 0.5); i++) printf("█");
        printf("\n");
        count[best] = 0; /* leaves the others for the next search */
    }
}

static ls_status count_tokens(ls_dataset *d, const ls_dataset_info *info, int64_t *count, int32_t *ids)
{
    for (int64_t i = 0; i < info->tokens; i += CHUNK) {
        int64_t n = info->tokens - i < CHUNK ? info->tokens - i : CHUNK;
        LS_TRY(ls_dataset_tokens(d, i, n, ids));
        for (int64_t k = 0; k < n; k++) count[ids[k]]++;
    }
    return LS_OK;
}

static ls_status print_beginning(ls_dataset *d, const ls_dataset_info *info, const ls_tokenizer *t)
{
    int32_t   ids[FIRST];
    int64_t   n    = info->tokens < FIRST ? info->tokens : FIRST;
    ls_string text = {0};
    LS_TRY(ls_dataset_tokens(d, 0, n, ids));
    printf("  begins    ");
    for (int64_t i = 0; i < n && i < IDS; i++) printf(" %d", ids[i]);
    printf("%s\n", n > IDS ? " ..." : "");
    if (!t) return LS_OK;
    ls_status status = ls_tokenizer_decode(t, ids, n, &text);
    if (status == LS_OK) {
        printf("    ");
        for (size_t i = 0; i < text.bytes; i++) {
            if (text.data[i] == '\n')
                printf("\n    ");
            else
                ls__print_escaped(text.data + i, 1);
        }
        printf("\n");
    }
    ls_string_free(&text);
    return status;
}

static ls_status print_documents(ls_dataset *d, const ls_dataset_info *info)
{
    int64_t start[DOCUMENTS], n = info->documents < DOCUMENTS ? info->documents : DOCUMENTS;
    LS_TRY(ls_dataset_documents(d, 0, n, start));
    printf("  documents  %lld", (long long)info->documents);
    for (int64_t i = 0; i < n; i++) printf("%s %lld", i ? "," : ", beginning at", (long long)start[i]);
    printf("%s\n", info->documents > n ? ", ..." : "");
    return LS_OK;
}

static ls_status print_all(ls_dataset *d, const ls_dataset_info *info, const ls_tokenizer *t, int64_t *count,
                           int32_t *ids)
{
    char tokens[32], bytes[32];
    ls__count_text(tokens, sizeof tokens, info->tokens);
    ls__count_text(bytes, sizeof bytes, info->bytes);
    printf("%s: %s, %s tokens\n", info->path, info->split, tokens);
    if (info->bytes)
        printf("  text       %s bytes, %.3f per token\n", bytes, (double)info->bytes / (double)info->tokens);
    printf("  tokenizer  %s%s%s, vocabulary of %d\n", *info->tokenizer ? info->tokenizer : "unknown",
           t ? "" : ", tokenizer.json missing", *info->tokenizer_hash ? "" : ", without a hash", info->classes);
    LS_TRY(print_documents(d, info));
    LS_TRY(count_tokens(d, info, count, ids));
    print_frequent(t, count, info->classes, info->tokens);
    return print_beginning(d, info, t);
}

ls_status ls__data_inspect_text(ls_dataset *d)
{
    ls_dataset_info info = ls_dataset_info_of(d);
    ls_tokenizer   *t;
    LS_TRY(ls_data_tokenizer(&t, &info));
    int64_t  *count  = calloc((size_t)info.classes, sizeof *count);
    int32_t  *ids    = malloc(CHUNK * sizeof *ids);
    ls_status status = count && ids ? print_all(d, &info, t, count, ids)
                                    : LS_FAIL(LS_ERR_ENV, "%s: no memory for %d counts", info.path, info.classes);
    free(count);
    free(ids);
    ls_tokenizer_free(t);
    return status;
}
