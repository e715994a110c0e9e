/* SPDX-License-Identifier: Apache-2.0
 * Image files: the first byte chooses channels, size and options of the result, the other bytes are the file. */
#include "tests/fuzz/fuzz.h"

FUZZ_TARGET(image_file)
{
    static uint8_t pixels[3 * 64 * 64];
    char           path[FILES_PATH + 16];
    if (!bytes) return;
    snprintf(path, sizeof path, "%s/picture", fuzz_folder());
    file_write(path, data + 1, bytes - 1);
    ls_image_options options = {.interpolation = data[0] & 2 ? LS_BICUBIC : LS_BILINEAR,
                                .fit           = data[0] & 4 ? LS_FIT_CROP : LS_FIT_STRETCH};
    fuzz_status(
        ls_image_read(path, &options, data[0] & 1 ? 3 : 1, 1 + data[0] / 2 % 8 * 9, 1 + data[0] / 16 * 4, pixels));
}
