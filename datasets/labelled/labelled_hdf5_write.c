/* SPDX-License-Identifier: Apache-2.0
 * Writes a split of labelled texts (format: datasets.h). */
#include "core/io/hdf5_write.h"
#include "datasets/labelled/labelled.h"

static bool put_attributes(void *context, hid_t file)
{
    const ls_labelled_contents *c       = context;
    const int64_t               classes = c->classes;
    return ls__h5_put_attribute(file, "vocabulary", H5T_STD_I64LE, H5T_NATIVE_INT64, 0, &c->vocabulary) &&
           ls__h5_put_attribute(file, "classes", H5T_STD_I64LE, H5T_NATIVE_INT64, 0, &classes) &&
           ls__h5_put_text(file, "tokenizer", c->tokenizer) && ls__h5_put_text(file, "tokenizer_hash", c->hash) &&
           (!c->classes || ls__put_class_names(file, c->classes, c->class_names));
}

ls_status ls__labelled_write(ls_split_writer *w, const char *folder, const char *split, const ls_labelled_contents *c)
{
    ls_split_array array[] = {{"text_tokens", H5T_STD_U32LE, c->tokens, c->start[c->count]},
                              {"text_starts", H5T_STD_I64LE, c->start, c->count + 1},
                              {"text_second", H5T_STD_I32LE, c->second, c->count},
                              {"label", c->classes ? H5T_STD_I32LE : H5T_IEEE_F32LE, c->label, c->count}};
    return ls__split_write_arrays(w, folder, split, array, 4, put_attributes, (void *)(uintptr_t)c);
}
