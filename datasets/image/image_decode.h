/* SPDX-License-Identifier: Apache-2.0
 *
 * Decodes image files in memory.  Internal.
 *
 * The results are those of Pillow's Image.open(file).convert("RGB"), to the byte: alpha is dropped, palettes are looked
 * up, inks of CMYK become RGB as in Pillow's Convert.c.  A file that Pillow would read with a loss (16-bit grey, a
 * truncated file, the first frame of an animation) is refused.
 */
#ifndef LS_DATASETS_IMAGE_IMAGE_DECODE_H
#define LS_DATASETS_IMAGE_IMAGE_DECODE_H

#include "datasets/files/dataset.h"

enum { LS_MAX_IMAGE_FILE = 1 << 28 }; /* bytes of an image file */

/* A file in memory; `path` is for messages. */
typedef struct ls_encoded {
    const char    *path;
    const uint8_t *data;
    size_t         bytes;
} ls_encoded;

/* height x width x channels bytes, interleaved.  channels: 1 (grey) or 3 (RGB). */
typedef struct ls_pixels {
    int      width, height, channels;
    uint8_t *data; /* NULL, or freed by the owner of the struct */
} ls_pixels;

/* Allocates pixels that are not initialised.  LS_ERR_DATA for more than 16,384 a side or 64 million in total;
 * *p is unchanged after an error. */
ls_status ls__pixels_new(const char *path, ls_pixels *p, int64_t width, int64_t height, int channels);

/* Decodes a file of the format that its first bytes announce.  *orientation is 1 to 8 as in EXIF; 1: stored upright.
 * After an error p->data is NULL. */
ls_status ls__image_decode(const ls_encoded *file, ls_pixels *p, int *orientation);

/* Reverts an EXIF orientation, as Pillow's ImageOps.exif_transpose. */
ls_status ls__image_orient(const char *path, ls_pixels *p, int orientation);

/* Converts to 1 channel (ITU-R BT.601 in 16-bit fixed point, as Pillow's convert("L")) or to 3. */
ls_status ls__image_convert(const char *path, ls_pixels *p, int channels);

/* Replaces the pixels by a resized image, with the bytes of Pillow's Image.resize. */
ls_status ls__image_resize(const char *path, ls_pixels *p, int height, int width, ls_interpolation interpolation);

/* Converts and scales a decoded image to channels x height x width bytes, in planes. */
ls_status ls__image_fit(const char *path, ls_pixels *p, const ls_image_options *o, int channels, int height, int width,
                        uint8_t *planes);

/* Decodes a file, puts it upright unless the options say otherwise, and fits it. */
ls_status ls__image_decode_fit(const ls_encoded *file, const ls_image_options *o, int channels, int height, int width,
                               uint8_t *planes);

/* ---- one format each; the first bytes are checked by the caller ---- */

ls_status ls__decode_png(const ls_encoded *file, ls_pixels *p, int *orientation);
ls_status ls__decode_jpeg(const ls_encoded *file, ls_pixels *p, int *orientation);
ls_status ls__decode_bmp(const ls_encoded *file, ls_pixels *p, int *orientation);
ls_status ls__decode_pnm(const ls_encoded *file, ls_pixels *p, int *orientation);

/* Returns the orientation in a TIFF header with its first directory, as EXIF has it, or in an XMP packet; 0: none. */
int ls__exif_orientation(const uint8_t *data, size_t bytes);
int ls__xmp_orientation(const uint8_t *data, size_t bytes);

#endif
