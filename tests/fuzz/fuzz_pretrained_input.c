/* SPDX-License-Identifier: Apache-2.0
 * The description of a model's images: the bytes are up to three texts, separated by zero bytes.  They are config.json,
 * preprocessor_config.json, and the description in the metadata of model.safetensors.  An empty text leaves out the
 * file, or the metadata. */
#include <math.h>

#include <jansson.h>

#include "launch/data/dataset_card.h"
#include "launch/data/pretrained.h"
#include "tests/fuzz/fuzz.h"

enum { FUZZ_TEXTS = 3 };

/* Writes a safetensors file without tensors that has the text, if there is one and it is UTF-8, as its description. */
static void fuzz_put_card(const char *path, const char *text, size_t bytes)
{
    json_t  *value  = bytes ? json_stringn(text, bytes) : NULL;
    json_t  *all    = value ? json_pack("{s:{s:o}}", "__metadata__", LS_DATASET_METADATA, value) : json_object();
    char    *dump   = json_dumps(all, JSON_COMPACT);
    uint64_t length = strlen(dump);
    uint8_t *file   = malloc(8 + length);
    memcpy(file, &length, 8);
    memcpy(file + 8, dump, length);
    file_write(path, file, 8 + length);
    free(file);
    free(dump);
    json_decref(all);
}

static void fuzz_check_input(const ls_pretrained_input *in)
{
    fuzz_expect(in->channels >= 1 && in->channels <= 4 && in->height >= 1 && in->width >= 1);
    fuzz_expect(in->options.crop >= 0 && in->options.crop <= 1);
    for (int c = 0; c < in->channels; c++) fuzz_expect(isfinite(in->mean[c]) && in->std[c] > 0);
}

FUZZ_TARGET(pretrained_input)
{
    static const char *const names[FUZZ_TEXTS] = {"config.json", "preprocessor_config.json", "model.safetensors"};
    char                     path[FUZZ_TEXTS][FILES_PATH + 64];
    ls_pretrained_input      in;
    ls_arena                *memory;
    for (int i = 0; i < FUZZ_TEXTS; i++) {
        const uint8_t *end    = memchr(data, 0, bytes);
        const size_t   length = end ? (size_t)(end - data) : bytes, used = length + (end != NULL);
        snprintf(path[i], sizeof path[i], "%s/%s", fuzz_folder(), names[i]);
        if (i == FUZZ_TEXTS - 1)
            fuzz_put_card(path[i], (const char *)data, length);
        else if (length)
            file_write(path[i], data, length);
        data += used;
        bytes -= used;
    }
    fuzz_expect(ls_arena_new(&memory, "fuzz") == LS_OK);
    ls_status status = ls_pretrained_input_read(fuzz_folder(), &in, memory);
    fuzz_status(status);
    if (status == LS_OK && in.known) fuzz_check_input(&in);
    ls_arena_free(memory);
    for (int i = 0; i < FUZZ_TEXTS; i++) unlink(path[i]);
}
