/* SPDX-License-Identifier: Apache-2.0
 *
 * Decodes PNG files: grey, RGB and palettes of any depth, interlaced or not.
 *
 * Alpha is dropped, also where a pixel is transparent; of 16 bits the high byte is kept; gamma and colour profiles are
 * ignored.  An index beyond the palette is black.  Animations are refused, and 16-bit grey: Pillow clips its values at
 * 255.
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "datasets/image/image_decode.h"

enum { SIGNATURE = 8, ERROR_BYTES = 128 };

typedef struct png_reader {
    const ls_encoded *file;
    size_t            at;
    char              text[ERROR_BYTES]; /* libpng's message */
    uint8_t         **rows;
    png_structp       png;
    png_infop         info;
} png_reader;

static void fail_png(png_structp png, png_const_charp text)
{
    png_reader *r = png_get_error_ptr(png);
    snprintf(r->text, sizeof r->text, "%s", text);
    png_longjmp(png, 1);
}

static void ignore_warning(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

static void read_bytes(png_structp png, png_bytep data, size_t bytes)
{
    png_reader *r = png_get_io_ptr(png);
    if (bytes > r->file->bytes - r->at) png_error(png, "the file ends too early");
    memcpy(data, r->file->data + r->at, bytes);
    r->at += bytes;
}

/* ---- chunks that libpng does not report -------------------------------------------------------------------------- */

static uint32_t big_endian(const uint8_t *b)
{
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* Finds the next chunk of a type from *at on; *at: then the end of that chunk. */
static const uint8_t *next_chunk(const ls_encoded *file, const char *type, size_t *at, size_t *bytes)
{
    while (*at + 12 <= file->bytes) {
        const uint8_t *chunk = file->data + *at;
        *bytes               = big_endian(chunk);
        if (*bytes > file->bytes - *at - 12) return NULL;
        *at += 12 + *bytes;
        if (!memcmp(chunk + 4, type, 4)) return chunk + 8;
    }
    return NULL;
}

static int orientation_of(const ls_encoded *file)
{
    static const char keyword[] = "XML:com.adobe.xmp"; /* with its final 0 */
    size_t            at        = SIGNATURE, bytes;
    const uint8_t    *chunk     = next_chunk(file, "eXIf", &at, &bytes);
    int               found     = chunk ? ls__exif_orientation(chunk, bytes) : 0;
    at                          = SIGNATURE;
    while (!found && (chunk = next_chunk(file, "iTXt", &at, &bytes)))
        if (bytes > sizeof keyword && !memcmp(chunk, keyword, sizeof keyword))
            found = ls__xmp_orientation(chunk, bytes);
    return found ? found : 1;
}

/* ---- pixels ------------------------------------------------------------------------------------------------------ */

/* Replaces the indices in the first third of each row by colours, from the end on. */
static void look_up(const png_reader *r, const ls_pixels *p)
{
    uint8_t    colour[256][3] = {{0}};
    png_color *palette        = NULL;
    int        colours        = 0;
    png_get_PLTE(r->png, r->info, &palette, &colours);
    for (int i = 0; i < colours && i < 256; i++)
        memcpy(colour[i], (uint8_t[]){palette[i].red, palette[i].green, palette[i].blue}, 3);
    for (int y = 0; y < p->height; y++)
        for (int x = p->width - 1; x >= 0; x--) memcpy(r->rows[y] + 3 * (size_t)x, colour[r->rows[y][x]], 3);
}

static ls_status read_image(png_reader *r, ls_pixels *p)
{
    const char *path = r->file->path;
    png_read_info(r->png, r->info);
    int type = png_get_color_type(r->png, r->info), depth = png_get_bit_depth(r->png, r->info);
    LS_CHECK(!(type == PNG_COLOR_TYPE_GRAY && depth == 16), LS_ERR_DATA,
             "%s: is a PNG file with 16-bit grey pixels; expected 8 bits" LS_HINT
             "choose the range of values that becomes 0 to 255, and convert the file",
             path);
    LS_TRY(ls__pixels_new(path, p, png_get_image_width(r->png, r->info), png_get_image_height(r->png, r->info),
                          type & PNG_COLOR_MASK_COLOR ? 3 : 1));
    png_set_strip_16(r->png);
    png_set_strip_alpha(r->png);
    if (type == PNG_COLOR_TYPE_GRAY) png_set_expand_gray_1_2_4_to_8(r->png);
    if (type == PNG_COLOR_TYPE_PALETTE) png_set_packing(r->png);
    png_set_interlace_handling(r->png);
    png_read_update_info(r->png, r->info);
    size_t row = (size_t)p->width * (size_t)p->channels;
    if (png_get_rowbytes(r->png, r->info) > row) png_error(r->png, "unexpected layout of pixels");
    r->rows = malloc((size_t)p->height * sizeof *r->rows);
    LS_CHECK(r->rows, LS_ERR_ENV, "%s: out of memory for %d rows", path, p->height);
    for (int y = 0; y < p->height; y++) r->rows[y] = p->data + (size_t)y * row;
    png_read_image(r->png, r->rows);
    if (type == PNG_COLOR_TYPE_PALETTE) look_up(r, p);
    return LS_OK;
}

ls_status ls__decode_png(const ls_encoded *file, ls_pixels *p, int *orientation)
{
    size_t at = SIGNATURE, bytes;
    LS_CHECK(!next_chunk(file, "acTL", &at, &bytes), LS_ERR_DATA,
             "%s: is an animated PNG file; expected one image" LS_HINT "save a frame as a file of its own", file->path);
    png_reader r = {.file = file};
    r.png        = png_create_read_struct(PNG_LIBPNG_VER_STRING, &r, fail_png, ignore_warning);
    r.info       = r.png ? png_create_info_struct(r.png) : NULL;
    ls_status status;
    if (!r.info)
        status = LS_FAIL(LS_ERR_ENV, "%s: out of memory to decode", file->path);
    else if (setjmp(png_jmpbuf(r.png)))
        status = LS_FAIL(LS_ERR_DATA, "%s: is a damaged PNG file: %s", file->path, r.text);
    else {
        png_set_read_fn(r.png, &r, read_bytes);
        png_set_user_limits(r.png, LS_MAX_SIDE, LS_MAX_SIDE);
        status = read_image(&r, p);
    }
    png_destroy_read_struct(&r.png, &r.info, NULL);
    free(r.rows);
    *orientation = orientation_of(file);
    return status;
}
