/* SPDX-License-Identifier: Apache-2.0
 * Loads safetensors.  With bit 1 of the first byte, the other bytes are the index of a folder with two intact files;
 * else they are the file.  Bit 0 allows extra tensors. */
#include "dist/dist.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/fuzz_params.h"

/* Writes a file with a part of the parameters of fuzz_params: w and b, or scale. */
static void fuzz_put_file(const char *name, const char *header, size_t bytes_of_values)
{
    char     path[FILES_PATH + 32], file[512] = {0};
    uint64_t length = strlen(header);
    memcpy(file, &length, 8);
    memcpy(file + 8, header, length);
    snprintf(path, sizeof path, "%s/%s", fuzz_folder(), name);
    file_write(path, file, 8 + length + bytes_of_values);
}

static const char *fuzz_put(const uint8_t *data, size_t bytes)
{
    static char path[FILES_PATH + 64];
    static bool made;
    if (!made) {
        fuzz_put_file("a",
                      "{\"w\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},\"b\":{\"dtype\":\"F32\","
                      "\"shape\":[2],\"data_offsets\":[24,32]}}",
                      32);
        fuzz_put_file("b", "{\"scale\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4);
        made = true;
    }
    snprintf(path, sizeof path, "%s/model.safetensors%s", fuzz_folder(), data[0] & 2 ? ".index.json" : "");
    file_write(path, data + 1, bytes - 1);
    return path;
}

FUZZ_TARGET(safetensors)
{
    char       saved[FILES_PATH + 32];
    ls_params *params = fuzz_params();
    float     *w      = ls_params_get(params, 0, NULL, NULL, NULL);
    if (!bytes) return;
    const char *path = fuzz_put(data, bytes);
    w[0]             = 4711;
    ls_status status = ls_safetensors_load(fuzz_folder(), params, data[0] & 1);
    fuzz_status(status);
    fuzz_expect(status == LS_OK || w[0] == 4711); /* no parameter changes before everything is checked */
    if (status == LS_OK) {
        snprintf(saved, sizeof saved, "%s/saved", fuzz_folder());
        fuzz_expect(ls_safetensors_save(saved, params, NULL) == LS_OK);
        fuzz_expect(ls_safetensors_load(saved, params, false) == LS_OK);
        unlink(saved);
    }
    unlink(path);
}
