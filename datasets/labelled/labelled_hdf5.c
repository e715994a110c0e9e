/* SPDX-License-Identifier: Apache-2.0
 *
 * Labelled texts in an HDF5 file (format: datasets.h).
 *
 * Files are untrusted.  Opening checks all headers, the starts and the labels, which it keeps in memory: batches are
 * made by length.  Each read checks its tokens against the vocabulary.
 */
#include <endian.h>
#include <math.h>
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
#include "datasets/labelled/labelled.h"
#include "datasets/tokenizer/growable.h"

enum { KIND = 32 };

/* ---- headers ----------------------------------------------------------------------------------------------------- */

static ls_status find_arrays(ls_labelled *l, int64_t file_bytes)
{
    const ls_dataset_file *f    = &l->file;
    const H5T_class_t      type = l->base.info.classes ? H5T_INTEGER : H5T_FLOAT;
    int64_t                starts, seconds, labels;
    LS_TRY(ls__split_array(f, file_bytes, "text_tokens", H5T_INTEGER, 4, false, &l->tokens, &l->tokens_at));
    LS_TRY(ls__split_array(f, file_bytes, "text_starts", H5T_INTEGER, 8, true, &starts, &l->starts_at));
    LS_TRY(ls__split_array(f, file_bytes, "text_second", H5T_INTEGER, 4, true, &seconds, &l->second_at));
    LS_TRY(ls__split_array(f, file_bytes, "label", type, 4, true, &labels, &l->label_at));
    LS_CHECK(starts >= 2, LS_ERR_DATA,
             "%s: /text_starts: expected N + 1 values for N samples, N at least 1, found %lld", f->path,
             (long long)starts);
    LS_CHECK(
        seconds == starts - 1 && labels == starts - 1, LS_ERR_DATA,
        "%s: expected %lld values in /text_second and in /label, one less than in /text_starts, found %lld and %lld",
        f->path, (long long)starts - 1, (long long)seconds, (long long)labels);
    l->base.info.count = starts - 1;
    return LS_OK;
}

static ls_status read_attributes(ls_labelled *l, int64_t file_bytes)
{
    const ls_dataset_file *f    = &l->file;
    ls_dataset_info       *info = &l->base.info;
    int64_t                vocabulary, classes;
    char                   kind[KIND], hash[LS_CHECKSUM + 1];
    LS_TRY(ls__split_attributes(&l->file, l->base.arena, &info->split));
    LS_TRY(ls__h5_int(f->path, f->file, "vocabulary", &vocabulary));
    LS_TRY(ls__h5_int(f->path, f->file, "classes", &classes));
    LS_CHECK(vocabulary >= 1 && vocabulary <= LS_MAX_CLASSES, LS_ERR_DATA,
             "%s: attribute 'vocabulary': expected 1 to %d, found %lld", f->path, LS_MAX_CLASSES,
             (long long)vocabulary);
    LS_CHECK(classes >= 0 && classes <= LS_MAX_CLASSES, LS_ERR_DATA,
             "%s: attribute 'classes': expected 0, for a regression, to %d, found %lld", f->path, LS_MAX_CLASSES,
             (long long)classes);
    LS_TRY(ls__h5_text(f->path, f->file, "tokenizer", true, kind, sizeof kind));
    LS_TRY(ls__h5_text(f->path, f->file, "tokenizer_hash", true, hash, sizeof hash));
    info->vocabulary     = (int)vocabulary;
    info->classes        = (int)classes;
    info->tokenizer      = ls_arena_strdup(l->base.arena, kind);
    info->tokenizer_hash = ls_arena_strdup(l->base.arena, hash);
    return classes
               ? ls__class_names_read(f->path, f->file, file_bytes, l->base.arena, &info->class_names, &info->classes)
               : LS_OK;
}

/* ---- starts and labels ------------------------------------------------------------------------------------------- */

static ls_status read_starts(ls_labelled *l)
{
    ls_dataset_info *info    = &l->base.info;
    int64_t          longest = 0;
    LS_TRY(ls__file_read_at(l->file.path, l->file.fd, l->starts_at, l->start, 8 * (size_t)(info->count + 1)));
    for (int64_t i = 0; i <= info->count; i++) {
        l->start[i]          = (int64_t)le64toh((uint64_t)l->start[i]);
        const int64_t before = i ? l->start[i - 1] : -1;
        LS_CHECK(i ? l->start[i] > before && l->start[i] - before < LS_MAX_TEXT && l->start[i] <= l->tokens
                   : l->start[i] == 0,
                 LS_ERR_DATA,
                 "%s: /text_starts: value %lld is %lld; expected values from 0 on that increase by 1 to %d, up to %lld",
                 l->file.path, (long long)i, (long long)l->start[i], LS_MAX_TEXT - 1, (long long)l->tokens);
        if (i) longest = ls__max(longest, l->start[i] - before);
    }
    LS_CHECK(l->start[info->count] == l->tokens, LS_ERR_DATA,
             "%s: /text_starts: expected the last value to be %lld, the length of /text_tokens, found %lld",
             l->file.path, (long long)l->tokens, (long long)l->start[info->count]);
    info->context = ls__round_up(longest, LS_WIDTH_STEP);
    info->tokens  = l->tokens;
    return LS_OK;
}

static ls_status read_seconds(ls_labelled *l)
{
    const int64_t count = l->base.info.count;
    LS_TRY(ls__file_read_at(l->file.path, l->file.fd, l->second_at, l->second, 4 * (size_t)count));
    for (int64_t i = 0; i < count; i++) {
        l->second[i] = (int32_t)le32toh((uint32_t)l->second[i]);
        LS_CHECK(l->second[i] >= 0 && l->second[i] <= ls__labelled_length(l, i), LS_ERR_DATA,
                 "%s: /text_second: sample %lld: expected 0 to %lld, its length, found %d", l->file.path, (long long)i,
                 (long long)ls__labelled_length(l, i), l->second[i]);
    }
    return LS_OK;
}

static ls_status read_labels(ls_labelled *l)
{
    const ls_dataset_info *info = &l->base.info;
    uint32_t              *bits = l->label;
    LS_TRY(ls__file_read_at(l->file.path, l->file.fd, l->label_at, l->label, 4 * (size_t)info->count));
    for (int64_t i = 0; i < info->count; i++) {
        bits[i] = le32toh(bits[i]);
        if (info->classes)
            LS_CHECK(bits[i] < (uint32_t)info->classes, LS_ERR_DATA,
                     "%s: /label: sample %lld: expected a class, 0 to %d, found %d", l->file.path, (long long)i,
                     info->classes - 1, (int)bits[i]);
        else
            LS_CHECK(isfinite(((const float *)l->label)[i]), LS_ERR_DATA,
                     "%s: /label: sample %lld: expected a finite number, found %g", l->file.path, (long long)i,
                     (double)((const float *)l->label)[i]);
    }
    return LS_OK;
}

static ls_status read_samples(ls_labelled *l)
{
    const size_t count = (size_t)l->base.info.count;
    l->start           = malloc(8 * (count + 1));
    l->second          = malloc(4 * count);
    l->label           = malloc(4 * count);
    LS_CHECK(l->start && l->second && l->label, LS_ERR_ENV, "%s: out of memory for %zu samples", l->file.path, count);
    LS_TRY(read_starts(l));
    LS_TRY(read_seconds(l));
    return read_labels(l);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

ls_status ls__labelled_tokens(const ls_labelled *l, int64_t i, int32_t *tokens)
{
    const int64_t  n          = ls__labelled_length(l, i);
    const uint32_t vocabulary = (uint32_t)l->base.info.vocabulary;
    LS_TRY(ls__file_read_at(l->file.path, l->file.fd, l->tokens_at + 4 * l->start[i], tokens, 4 * (size_t)n));
    for (int64_t k = 0; k < n; k++) {
        const uint32_t id = le32toh((uint32_t)tokens[k]);
        LS_CHECK(id < vocabulary, LS_ERR_DATA,
                 "%s: /text_tokens: sample %lld: token %lld is %u; expected 0 to %u, because the vocabulary has %u "
                 "tokens" LS_HINT "the file is damaged, or comes from another tokenizer: import the texts again",
                 l->file.path, (long long)i, (long long)k, id, vocabulary - 1, vocabulary);
        tokens[k] = (int32_t)id;
    }
    return LS_OK;
}

ls_status ls_dataset_text(ls_dataset *d, int64_t i, ls_labelled_text *text)
{
    const ls_labelled *l = (const ls_labelled *)d;
    LS_CHECK(d->info.kind == LS_DATA_LABELLED, LS_ERR_USAGE, "%s: expected a dataset of labelled texts", d->info.path);
    LS_CHECK(i >= 0 && i < d->info.count, LS_ERR_USAGE, "%s: text: expected 0 to %lld, found %lld", d->info.path,
             (long long)d->info.count - 1, (long long)i);
    const int64_t n    = ls__labelled_length(l, i);
    text->tokens.count = 0;
    LS_TRY(ls__tokens_reserve(&text->tokens, n));
    LS_TRY(ls__labelled_tokens(l, i, text->tokens.id));
    text->tokens.count = n;
    text->second       = l->second[i];
    text->label = d->info.classes ? (double)((const int32_t *)l->label)[i] : (double)((const float *)l->label)[i];
    return LS_OK;
}

/* ---- checksums --------------------------------------------------------------------------------------------------- */

static ls_status verify_all(ls_labelled *l, XXH3_state_t *state)
{
    const int64_t    count = l->base.info.count;
    ls_labelled_text text  = {0};
    ls_status        status;
    XXH3_64bits_reset(state);
    LS_TRY(ls__split_add_bytes(&l->file, l->tokens_at, 4 * l->tokens, state));
    LS_TRY(ls__split_add_bytes(&l->file, l->starts_at, 8 * (count + 1), state));
    LS_TRY(ls__split_add_bytes(&l->file, l->second_at, 4 * count, state));
    LS_TRY(ls__split_add_bytes(&l->file, l->label_at, 4 * count, state));
    status = ls__split_checksum(l->file.path, l->file.checksum, state);
    for (int64_t i = 0; i < count && status == LS_OK; i++) status = ls_dataset_text(&l->base, i, &text);
    ls_tokens_free(&text.tokens);
    return status;
}

static ls_status verify(ls_dataset *base, int *files, int *checked)
{
    ls_labelled  *l     = (ls_labelled *)base;
    XXH3_state_t *state = XXH3_createState();
    LS_CHECK(state, LS_ERR_ENV, "%s: out of memory", base->info.path);
    ls_status status = verify_all(l, state);
    XXH3_freeState(state);
    *files   = 1;
    *checked = l->file.checksum[0] != 0;
    return status;
}

/* ---- opening and closing ----------------------------------------------------------------------------------------- */

static void close_hdf5(ls_labelled *l)
{
    if (l->file.file >= 0) H5Fclose(l->file.file);
    l->file.file = -1;
}

static void close_all(ls_dataset *base)
{
    ls_labelled *l = (ls_labelled *)base;
    close_hdf5(l);
    if (l->file.fd >= 0) close(l->file.fd);
    free(l->start);
    free(l->second);
    free(l->label);
    free(l);
}

static ls_status open_file(ls_labelled *l)
{
    int64_t bytes;
    LS_TRY(ls__split_open(l->file.path, &l->file.fd, &l->file.file, &bytes));
    LS_TRY(ls__h5_check_heaps(l->file.path, l->file.fd, bytes, bytes, 0));
    LS_TRY(read_attributes(l, bytes));
    LS_TRY(find_arrays(l, bytes));
    close_hdf5(l);
    return read_samples(l);
}

ls_status ls__labelled_open(ls_dataset **dataset, ls_arena *arena, const char *path, int files,
                            const char *const *paths)
{
    LS_CHECK(files == 1, LS_ERR_DATA, "%s: expected one file for a split of labelled texts, found %d", path, files);
    ls_labelled *l = calloc(1, sizeof *l);
    LS_CHECK(l, LS_ERR_ENV, "%s: out of memory", path);
    l->base = (ls_dataset){
        .arena = arena, .info = {.path = path, .kind = LS_DATA_LABELLED}, .verify = verify, .close = close_all};
    l->file  = (ls_dataset_file){.path = paths[0], .fd = -1, .file = -1};
    *dataset = &l->base;
    return open_file(l);
}
