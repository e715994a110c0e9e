/* SPDX-License-Identifier: Apache-2.0
 * Writes a split of pairs of sentences (format: datasets.h). */
#include <stdio.h>

#include "core/io/hdf5_write.h"
#include "datasets/pairs/pairs.h"

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

static bool put_attributes(void *context, hid_t file)
{
    const ls_pairs_contents *c     = context;
    const int                joint = c->joint;
    bool                     ok    = ls__h5_put_attribute(file, "joint", H5T_STD_I32LE, H5T_NATIVE_INT, 0, &joint);
    for (int side = 0; side < LS_SIDES && ok; side++)
        ok = put_side(file, side ? "target" : "source", c->side[side].vocabulary, c->side[side].end,
                      c->side[side].tokenizer, c->side[side].hash);
    return ok;
}

ls_status ls__pairs_write(ls_split_writer *w, const char *folder, const char *split, const ls_pairs_contents *c)
{
    const int64_t  starts  = 2 * c->count + 1;
    ls_split_array array[] = {{"pair_tokens", H5T_STD_U32LE, c->tokens, c->start[starts - 1]},
                              {"pair_starts", H5T_STD_I64LE, c->start, starts},
                              {"lines", H5T_STD_U8LE, c->lines, c->line_start[starts - 1]},
                              {"line_starts", H5T_STD_I64LE, c->line_start, starts}};
    return ls__split_write_arrays(w, folder, split, array, 4, put_attributes, (void *)(uintptr_t)c);
}
