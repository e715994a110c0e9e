/* SPDX-License-Identifier: Apache-2.0
 * Writes a split of pairs of sentences (format: datasets.h). */
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/io/hdf5_write.h"
#include "datasets/pairs/pairs.h"

/* The arrays of the file, in their order in it. */
enum { TOKENS, STARTS, LINES, LINE_STARTS, ARRAYS };

typedef struct skeleton {
    const ls_pairs_contents *contents;
    const char              *split;
    hsize_t                  count[ARRAYS];
    int64_t                  at[ARRAYS]; /* positions in the file */
} skeleton;

static bool put_side(hid_t file, const char *side, int64_t vocabulary, int64_t end, const char *tokenizer,
                     const char *hash)
{
    char name[4][64];
    for (int k = 0; k < 4; k++)
        snprintf(name[k], sizeof name[k], "%s_%s", side,
                 (const char *const[]){"vocabulary", "end", "tokenizer", "tokenizer_hash"}[k]);
    return ls__h5_put_attribute(file, name[0], H5T_STD_I64LE, H5T_NATIVE_INT64, 0, &vocabulary) &&
           ls__h5_put_attribute(file, name[1], H5T_STD_I64LE, H5T_NATIVE_INT64, 0, &end) &&
           ls__h5_put_text(file, name[2], tokenizer) && ls__h5_put_text(file, name[3], hash);
}

static bool put_skeleton(void *context, hid_t file)
{
    static const char *const name[] = {"pair_tokens", "pair_starts", "lines", "line_starts"};
    skeleton                *s      = context;
    const ls_pairs_contents *c      = s->contents;
    const hid_t              type[] = {H5T_STD_U32LE, H5T_STD_I64LE, H5T_STD_U8LE, H5T_STD_I64LE};
    const int                format = 1, joint = c->joint;
    bool ok = ls__h5_put_attribute(file, "lockstep_format", H5T_STD_I32LE, H5T_NATIVE_INT, 0, &format) &&
              ls__h5_put_attribute(file, "joint", H5T_STD_I32LE, H5T_NATIVE_INT, 0, &joint) &&
              ls__h5_put_text(file, "split", s->split) && ls__put_checksum(file);
    for (int side = 0; side < LS_SIDES && ok; side++)
        ok = put_side(file, side ? "target" : "source", c->side[side].vocabulary, c->side[side].end,
                      c->side[side].tokenizer, c->side[side].hash);
    for (int k = 0; k < ARRAYS && ok; k++) ok = ls__h5_reserve(file, name[k], type[k], 1, &s->count[k], &s->at[k]);
    return ok;
}

/* Writes `count` integers of 4 or 8 bytes, or bytes, as little-endian values. */
static ls_status write_array(ls_split_writer *w, XXH3_state_t *sum, int64_t at, const void *values, int64_t count,
                             size_t width)
{
    enum { VALUES = 4096 };
    union {
        uint64_t wide[VALUES];
        uint32_t narrow[VALUES];
    } buffer;
    for (int64_t done = 0, n; done < count; done += n) {
        n = count - done < VALUES ? count - done : VALUES;
        memcpy(&buffer, (const char *)values + (size_t)done * width, (size_t)n * width);
        for (int64_t i = 0; i < n && width == 8; i++) buffer.wide[i] = htole64(buffer.wide[i]);
        for (int64_t i = 0; i < n && width == 4; i++) buffer.narrow[i] = htole32(buffer.narrow[i]);
        LS_TRY(ls__split_write(w, at + done * (int64_t)width, &buffer, (size_t)n * width));
        XXH3_64bits_update(sum, &buffer, (size_t)n * width);
    }
    return LS_OK;
}

ls_status ls__pairs_write(ls_split_writer *w, const char *folder, const char *split, const ls_pairs_contents *c)
{
    const int64_t starts = 2 * c->count + 1, tokens = c->start[starts - 1], bytes = c->line_start[starts - 1];
    skeleton      s             = {.contents = c, .split = split};
    const int64_t count[ARRAYS] = {tokens, starts, bytes, starts};
    for (int k = 0; k < ARRAYS; k++) s.count[k] = (hsize_t)count[k];
    LS_TRY(ls__split_prepare(w, folder, split, 1));
    w->what  = "bytes";
    w->total = 4 * tokens + 16 * starts + bytes;
    LS_TRY(ls__split_begin(w, w->total, put_skeleton, &s));
    const struct {
        const void *values;
        size_t      width;
    } array[]         = {{c->tokens, 4}, {c->start, 8}, {c->lines, 1}, {c->line_start, 8}};
    XXH3_state_t *sum = XXH3_createState();
    LS_CHECK(sum, LS_ERR_ENV, "%s: out of memory", folder);
    XXH3_64bits_reset(sum);
    ls_status status = LS_OK;
    for (int k = 0; k < ARRAYS && status == LS_OK; k++) {
        status = write_array(w, sum, s.at[k], array[k].values, count[k], array[k].width);
        w->done += count[k] * (int64_t)array[k].width;
    }
    const uint64_t checksum = XXH3_64bits_digest(sum);
    XXH3_freeState(sum);
    LS_TRY(status);
    return ls__split_end(w, &checksum);
}
