/* SPDX-License-Identifier: Apache-2.0
 * Reads image files at a size, writes PNG files. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <png.h>

#include "core/io/atomic_file.h"
#include "core/io/file_access.h"
#include "datasets/image/image_decode.h"

ls_status ls_image_read(const char *path, const ls_image_options *options, int channels, int height, int width,
                        uint8_t *pixels)
{
    static const ls_image_options defaults = {.interpolation = LS_BILINEAR};
    LS_CHECK((channels == 1 || channels == 3) && height >= 1 && height <= LS_MAX_SIDE && width >= 1 &&
                 width <= LS_MAX_SIDE,
             LS_ERR_USAGE, "%s: size %d x %d x %d; expected 1 or 3 channels of 1 to %d pixels a side", path, channels,
             height, width, LS_MAX_SIDE);
    char  *text;
    size_t bytes;
    LS_CHECK(access(path, R_OK) == 0, LS_ERR_DATA, "%s: %s", path, strerror(errno));
    LS_TRY(ls__file_text(path, LS_MAX_IMAGE_FILE, &text, &bytes));
    ls_encoded file   = {.path = path, .data = (const uint8_t *)text, .bytes = bytes};
    ls_status  status = ls__image_decode_fit(&file, options ? options : &defaults, channels, height, width, pixels);
    free(text);
    return status;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static ls_status put_png(ls_file *f, int channels, int height, int width, const uint8_t *pixels)
{
    FILE     *stream;
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width   = (png_uint_32)width,
                       .height  = (png_uint_32)height,
                       .format  = channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB};
    LS_TRY(ls__file_stream(f, &stream));
    bool written = png_image_write_to_stdio(&image, stream, 0, pixels, 0, NULL);
    LS_CHECK(written || ferror(stream), LS_ERR_ENV, "%s: cannot be written: %s", f->path, image.message);
    return LS_OK; /* a failed write of the stream is reported by ls__file_finish */
}

ls_status ls_image_write(const char *path, int channels, int height, int width, const uint8_t *pixels)
{
    ls_file f;
    LS_CHECK((channels == 1 || channels == 3) && height >= 1 && width >= 1, LS_ERR_USAGE,
             "%s: an image of %d x %d x %d; expected 1 or 3 channels of at least 1 pixel a side", path, channels,
             height, width);
    LS_TRY(ls__file_create(&f, path));
    return ls__file_finish(&f, put_png(&f, channels, height, width, pixels));
}
