/* SPDX-License-Identifier: Apache-2.0
 * Reading safetensors: the bytes are the file.  An odd first byte, which is taken off, allows extra tensors. */
#include "dist/dist.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/params.h"

FUZZ_TARGET(safetensors)
{
    char       path[FILES_PATH + 32];
    ls_params *params = fuzz_params();
    float     *w      = ls_params_get(params, 0, NULL, NULL, NULL);
    if (!bytes) return;
    snprintf(path, sizeof path, "%s/model.safetensors", fuzz_folder());
    file_write(path, data + 1, bytes - 1);
    w[0]             = 4711;
    ls_status status = ls_safetensors_load(path, params, data[0] & 1);
    fuzz_status(status);
    fuzz_expect(status == LS_OK || w[0] == 4711); /* all is checked before anything is read */
    if (status == LS_OK) {
        fuzz_expect(ls_safetensors_save(path, params) == LS_OK);
        fuzz_expect(ls_safetensors_load(path, params, false) == LS_OK);
    }
    unlink(path);
}
