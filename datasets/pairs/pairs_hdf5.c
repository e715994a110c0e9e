/* SPDX-License-Identifier: Apache-2.0
 *
 * Pairs of sentences in an HDF5 file (format: datasets.h), or in memory.
 *
 * Files are untrusted.  Opening checks all headers and the starts of all sentences, which it keeps in memory because
 * batches are made by length.  Each read checks its tokens against the vocabulary, and the starts of its lines.
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/base/integer.h"
#include "core/io/file_access.h"
#include "core/io/hdf5.h"
#include "core/io/hdf5_heap.h"
#include "datasets/files/length_batches.h"
#include "datasets/pairs/pairs.h"
#include "datasets/tokenizer/growable.h"

enum { KIND = 32, MAX_LINE = 1 << 26, PER_READ = 1 << 16 };

static const char *const side_name[] = {"source", "target"};

/* ---- headers ----------------------------------------------------------------------------------------------------- */

static ls_status find_arrays(ls_pairs *p, int64_t file_bytes)
{
    const ls_dataset_file *f = &p->file;
    int64_t                starts, line_starts;
    LS_TRY(ls__split_array(f, file_bytes, "pair_tokens", H5T_INTEGER, 4, false, &p->tokens, &p->tokens_at));
    LS_TRY(ls__split_array(f, file_bytes, "pair_starts", H5T_INTEGER, 8, true, &starts, &p->starts_at));
    LS_TRY(ls__split_array(f, file_bytes, "lines", H5T_INTEGER, 1, false, &p->bytes, &p->lines_at));
    LS_TRY(ls__split_array(f, file_bytes, "line_starts", H5T_INTEGER, 8, true, &line_starts, &p->line_starts_at));
    LS_CHECK(starts >= 3 && starts % 2 == 1, LS_ERR_DATA,
             "%s: /pair_starts: expected 2 N + 1 values for N pairs, N at least 1, found %lld", f->path,
             (long long)starts);
    LS_CHECK(line_starts == starts, LS_ERR_DATA,
             "%s: /line_starts: expected %lld values, as /pair_starts has, found %lld", f->path, (long long)starts,
             (long long)line_starts);
    p->base.info.count = starts / 2;
    return LS_OK;
}

static ls_status read_side(ls_pairs *p, int side)
{
    const ls_dataset_file *f    = &p->file;
    ls_dataset_info       *info = &p->base.info;
    const char            *name = side_name[side];
    int64_t                vocabulary, end;
    char                   key[64], kind[KIND], hash[LS_CHECKSUM + 1];
#define KEY(suffix) (snprintf(key, sizeof key, "%s_%s", name, suffix), key)
    LS_TRY(ls__h5_int(f->path, f->file, KEY("vocabulary"), &vocabulary));
    LS_CHECK(vocabulary >= 1 && vocabulary <= LS_MAX_CLASSES, LS_ERR_DATA,
             "%s: attribute '%s': expected 1 to %d, found %lld", f->path, key, LS_MAX_CLASSES, (long long)vocabulary);
    LS_TRY(ls__h5_int(f->path, f->file, KEY("end"), &end));
    LS_CHECK(end >= 0 && end < vocabulary, LS_ERR_DATA,
             "%s: attribute '%s': expected the id of a token, 0 to %lld, found %lld", f->path, key,
             (long long)vocabulary - 1, (long long)end);
    LS_TRY(ls__h5_text(f->path, f->file, KEY("tokenizer"), true, kind, sizeof kind));
    LS_TRY(ls__h5_text(f->path, f->file, KEY("tokenizer_hash"), true, hash, sizeof hash));
#undef KEY
    *(side ? &info->classes : &info->source_vocabulary)            = (int)vocabulary;
    *(side ? &info->end : &info->source_end)                       = (int32_t)end;
    *(side ? &info->tokenizer : &info->source_tokenizer)           = ls_arena_strdup(p->base.arena, kind);
    *(side ? &info->tokenizer_hash : &info->source_tokenizer_hash) = ls_arena_strdup(p->base.arena, hash);
    return LS_OK;
}

static ls_status read_attributes(ls_pairs *p)
{
    ls_dataset_info *info = &p->base.info;
    int64_t          joint;
    LS_TRY(ls__split_attributes(&p->file, p->base.arena, &info->split));
    LS_TRY(ls__h5_int(p->file.path, p->file.file, "joint", &joint));
    for (int side = 0; side < LS_SIDES; side++) LS_TRY(read_side(p, side));
    info->joint = joint != 0;
    bool same   = info->classes == info->source_vocabulary && info->end == info->source_end &&
                !strcmp(info->tokenizer_hash, info->source_tokenizer_hash);
    LS_CHECK(!info->joint || same, LS_ERR_DATA,
             "%s: attribute 'joint': expected 0, because source and target have vocabularies of %d and %d tokens, with "
             "hashes %s and %s",
             p->file.path, info->source_vocabulary, info->classes, info->source_tokenizer_hash, info->tokenizer_hash);
    return LS_OK;
}

/* ---- starts ------------------------------------------------------------------------------------------------------ */

/* Reads stored bytes at a position of the file, or of the memory that stands for one. */
static ls_status read_at(const ls_pairs *p, int64_t at, void *to, size_t bytes)
{
    if (!p->stored) return ls__file_read_at(p->file.path, p->file.fd, at, to, bytes);
    memcpy(to, p->stored + at, bytes);
    return LS_OK;
}

/* Reads n + 1 values of an array of starts, and checks that they increase by 0 to `longest` within 0 to `end`. */
static ls_status read_starts(const ls_pairs *p, const char *name, int64_t at, int64_t first, int64_t n, int64_t longest,
                             int64_t end, int64_t *start)
{
    LS_TRY(read_at(p, at + 8 * first, start, 8 * (size_t)(n + 1)));
    for (int64_t i = 0; i <= n; i++) {
        start[i] = (int64_t)le64toh((uint64_t)start[i]);
        LS_CHECK(start[i] >= 0 && start[i] <= end &&
                     (!i || (start[i] >= start[i - 1] && start[i] - start[i - 1] <= longest)),
                 LS_ERR_DATA, "%s: /%s: value %lld is %lld; expected values that increase by at most %lld, up to %lld",
                 p->file.path, name, (long long)(first + i), (long long)start[i], (long long)longest, (long long)end);
    }
    return LS_OK;
}

static ls_status read_lengths(ls_pairs *p)
{
    ls_dataset_info *info              = &p->base.info;
    const int64_t    n                 = 2 * info->count;
    int64_t          longest[LS_SIDES] = {0}, total[LS_SIDES] = {0};
    p->start = malloc(8 * (size_t)(n + 1));
    LS_CHECK(p->start, LS_ERR_ENV, "%s: out of memory for the lengths of %lld pairs", p->file.path,
             (long long)info->count);
    LS_TRY(read_starts(p, "pair_starts", p->starts_at, 0, n, LS_MAX_SENTENCE - 1, p->tokens, p->start));
    LS_CHECK(p->start[0] == 0 && p->start[n] == p->tokens, LS_ERR_DATA,
             "%s: /pair_starts: expected values from 0 to %lld, the length of /pair_tokens, found %lld to %lld",
             p->file.path, (long long)p->tokens, (long long)p->start[0], (long long)p->start[n]);
    for (int64_t s = 0; s < n; s++) {
        const int64_t length = ls__pair_length(p, s % 2, s / 2);
        longest[s % 2]       = ls__max(longest[s % 2], length);
        total[s % 2] += length;
    }
    info->source_length = ls__round_up(longest[LS_SOURCE], LS_WIDTH_STEP);
    info->target_length = ls__round_up(longest[LS_TARGET], LS_WIDTH_STEP);
    info->source_tokens = total[LS_SOURCE];
    info->tokens        = total[LS_TARGET];
    return LS_OK;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

ls_status ls__pair_tokens(const ls_pairs *p, int64_t i, int32_t *tokens)
{
    const int64_t first = p->start[2 * i], middle = p->start[2 * i + 1] - first, n = p->start[2 * i + 2] - first;
    LS_TRY(read_at(p, p->tokens_at + 4 * first, tokens, 4 * (size_t)n));
    for (int64_t k = 0; k < n; k++) {
        const bool     target     = k >= middle;
        const uint32_t vocabulary = (uint32_t)(target ? p->base.info.classes : p->base.info.source_vocabulary),
                       id         = le32toh((uint32_t)tokens[k]);
        LS_CHECK(
            id < vocabulary, LS_ERR_DATA,
            "%s: /pair_tokens: pair %lld: token %lld of the %s is %u; expected 0 to %u, because the vocabulary has "
            "%u tokens" LS_HINT "the file is damaged, or comes from another tokenizer: import the pairs again",
            p->file.path, (long long)i, (long long)(target ? k - middle : k), side_name[target], id, vocabulary - 1,
            vocabulary);
        tokens[k] = (int32_t)id;
    }
    return LS_OK;
}

static ls_status read_tokens(const ls_pairs *p, int64_t i, ls_pair *pair)
{
    const int64_t m = ls__pair_length(p, LS_SOURCE, i) - 1, n = ls__pair_length(p, LS_TARGET, i) - 1;
    pair->source_tokens.count = pair->target_tokens.count = 0;
    LS_TRY(ls__tokens_reserve(&pair->source_tokens, m + n));
    LS_TRY(ls__tokens_reserve(&pair->target_tokens, n));
    if (m + n) LS_TRY(ls__pair_tokens(p, i, pair->source_tokens.id));
    if (n) memcpy(pair->target_tokens.id, pair->source_tokens.id + m, (size_t)n * sizeof(int32_t));
    pair->source_tokens.count = m;
    pair->target_tokens.count = n;
    return LS_OK;
}

static ls_status read_line(const ls_pairs *p, int64_t at, int64_t bytes, ls_string *line)
{
    line->bytes = 0;
    LS_TRY(ls__string_reserve(line, (size_t)bytes));
    LS_TRY(read_at(p, p->lines_at + at, line->data, (size_t)bytes));
    line->bytes       = (size_t)bytes;
    line->data[bytes] = 0;
    return LS_OK;
}

ls_status ls_dataset_pair(ls_dataset *d, int64_t i, ls_pair *pair)
{
    const ls_pairs *p = (const ls_pairs *)d;
    int64_t         start[3];
    LS_CHECK(d->info.kind == LS_DATA_PAIRS, LS_ERR_USAGE, "%s: expected a dataset of pairs", d->info.path);
    LS_CHECK(i >= 0 && i < d->info.count, LS_ERR_USAGE, "%s: pair: expected 0 to %lld, found %lld", d->info.path,
             (long long)d->info.count - 1, (long long)i);
    LS_TRY(read_tokens(p, i, pair));
    LS_TRY(read_starts(p, "line_starts", p->line_starts_at, 2 * i, 2, MAX_LINE, p->bytes, start));
    LS_TRY(read_line(p, start[0], start[1] - start[0], &pair->source));
    LS_TRY(read_line(p, start[1], start[2] - start[1], &pair->target));
    return LS_OK;
}

void ls_pair_free(ls_pair *pair)
{
    ls_string_free(&pair->source);
    ls_string_free(&pair->target);
    ls_tokens_free(&pair->source_tokens);
    ls_tokens_free(&pair->target_tokens);
}

/* ---- checksums --------------------------------------------------------------------------------------------------- */

/* Adds the stored bytes of an array to the checksum. */
static ls_status add_bytes(const ls_pairs *p, int64_t at, int64_t bytes, void *buffer, XXH3_state_t *state)
{
    for (int64_t done = 0, n; done < bytes; done += n) {
        n = ls__min(bytes - done, PER_READ);
        LS_TRY(read_at(p, at + done, buffer, (size_t)n));
        XXH3_64bits_update(state, buffer, (size_t)n);
    }
    return LS_OK;
}

static ls_status verify_all(ls_pairs *p, void *buffer, XXH3_state_t *state)
{
    const int64_t starts = 8 * (2 * p->base.info.count + 1);
    ls_pair       pair   = {0};
    ls_status     status = LS_OK;
    XXH3_64bits_reset(state);
    LS_TRY(add_bytes(p, p->tokens_at, 4 * p->tokens, buffer, state));
    LS_TRY(add_bytes(p, p->starts_at, starts, buffer, state));
    LS_TRY(add_bytes(p, p->lines_at, p->bytes, buffer, state));
    LS_TRY(add_bytes(p, p->line_starts_at, starts, buffer, state));
    LS_TRY(ls__split_checksum(p->file.path, p->file.checksum, state));
    for (int64_t i = 0; i < p->base.info.count && status == LS_OK; i++) status = ls_dataset_pair(&p->base, i, &pair);
    ls_pair_free(&pair);
    return status;
}

static ls_status verify(ls_dataset *base, int *files, int *checked)
{
    ls_pairs     *p      = (ls_pairs *)base;
    void         *buffer = malloc(PER_READ);
    XXH3_state_t *state  = XXH3_createState();
    ls_status     status = buffer && state ? verify_all(p, buffer, state)
                                           : LS_FAIL(LS_ERR_ENV, "%s: out of memory for a buffer", base->info.path);
    *files               = 1;
    *checked             = p->file.checksum[0] != 0;
    free(buffer);
    XXH3_freeState(state);
    return status;
}

/* ---- opening and closing ----------------------------------------------------------------------------------------- */

static void close_hdf5(ls_pairs *p)
{
    if (p->file.file >= 0) H5Fclose(p->file.file);
    p->file.file = -1;
}

static void close_all(ls_dataset *base)
{
    ls_pairs *p = (ls_pairs *)base;
    close_hdf5(p);
    if (p->file.fd >= 0) close(p->file.fd);
    free(p->start);
    free(p->stored);
    free(p);
}

static ls_status open_file(ls_pairs *p)
{
    int64_t bytes;
    LS_TRY(ls__split_open(p->file.path, &p->file.fd, &p->file.file, &bytes));
    LS_TRY(find_arrays(p, bytes));
    LS_TRY(ls__h5_check_heaps(p->file.path, p->file.fd, bytes, p->bytes ? p->lines_at : bytes, p->bytes));
    LS_TRY(read_attributes(p));
    close_hdf5(p);
    return read_lengths(p);
}

ls_status ls__pairs_open(ls_dataset **dataset, ls_arena *arena, const char *path, int files, const char *const *paths)
{
    LS_CHECK(files == 1, LS_ERR_DATA, "%s: expected one file for a split of pairs, found %d", path, files);
    ls_pairs *p = calloc(1, sizeof *p);
    LS_CHECK(p, LS_ERR_ENV, "%s: out of memory", path);
    p->base = (ls_dataset){
        .arena = arena, .info = {.path = path, .kind = LS_DATA_PAIRS}, .verify = verify, .close = close_all};
    p->file  = (ls_dataset_file){.path = paths[0], .fd = -1, .file = -1};
    *dataset = &p->base;
    return open_file(p);
}

/* ---- in memory --------------------------------------------------------------------------------------------------- */

/* Stores the arrays as a file holds them. */
static ls_status store(ls_pairs *p, const ls_pairs_contents *c)
{
    const int64_t n   = 2 * c->count + 1;
    p->tokens         = c->start[n - 1];
    p->bytes          = c->line_start[n - 1];
    p->line_starts_at = 8 * n;
    p->tokens_at      = p->line_starts_at + 8 * n;
    p->lines_at       = p->tokens_at + 4 * p->tokens;
    p->stored         = malloc((size_t)(p->lines_at + p->bytes));
    LS_CHECK(p->stored, LS_ERR_ENV, "%s: out of memory for %lld pairs", p->file.path, (long long)c->count);
    uint64_t *start = (uint64_t *)(void *)p->stored, *line_start = start + n;
    uint32_t *token = (uint32_t *)(void *)(line_start + n);
    for (int64_t i = 0; i < n; i++) {
        start[i]      = htole64((uint64_t)c->start[i]);
        line_start[i] = htole64((uint64_t)c->line_start[i]);
    }
    for (int64_t i = 0; i < p->tokens; i++) token[i] = htole32((uint32_t)c->tokens[i]);
    memcpy(p->stored + p->lines_at, c->lines, (size_t)p->bytes);
    p->base.info.count = c->count;
    return read_lengths(p);
}

ls_status ls__pairs_in_memory(ls_dataset **dataset, const char *path, const char *split, const ls_pairs_contents *c)
{
    *dataset    = NULL;
    ls_pairs *p = calloc(1, sizeof *p);
    LS_CHECK(p, LS_ERR_ENV, "%s: out of memory", path);
    p->file          = (ls_dataset_file){.fd = -1, .file = -1};
    p->base.verify   = verify;
    p->base.close    = close_all;
    ls_status status = ls_arena_new(&p->base.arena, "pairs");
    if (status != LS_OK) {
        free(p);
        return status;
    }
    ls_arena *a  = p->base.arena;
    p->base.info = (ls_dataset_info){.kind                  = LS_DATA_PAIRS,
                                     .path                  = ls_arena_strdup(a, path),
                                     .split                 = ls_arena_strdup(a, split),
                                     .joint                 = c->joint,
                                     .source_vocabulary     = (int)c->side[LS_SOURCE].vocabulary,
                                     .classes               = (int)c->side[LS_TARGET].vocabulary,
                                     .source_end            = (int32_t)c->side[LS_SOURCE].end,
                                     .end                   = (int32_t)c->side[LS_TARGET].end,
                                     .source_tokenizer      = ls_arena_strdup(a, c->side[LS_SOURCE].tokenizer),
                                     .tokenizer             = ls_arena_strdup(a, c->side[LS_TARGET].tokenizer),
                                     .source_tokenizer_hash = ls_arena_strdup(a, c->side[LS_SOURCE].hash),
                                     .tokenizer_hash        = ls_arena_strdup(a, c->side[LS_TARGET].hash)};
    p->file.path = p->base.info.path;
    status       = store(p, c);
    if (status == LS_OK)
        *dataset = &p->base;
    else
        ls_dataset_free(&p->base);
    return status;
}
