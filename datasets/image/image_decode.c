/* SPDX-License-Identifier: Apache-2.0
 * Chooses the decoder of an image file by its first bytes; orientation, channels and the fit to a size. */
#include "datasets/image/image_decode.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_PIXELS = 1 << 26 };

ls_status ls__pixels_new(const char *path, ls_pixels *p, int64_t width, int64_t height, int channels)
{
    LS_CHECK(width >= 1 && height >= 1 && width <= LS_MAX_SIDE && height <= LS_MAX_SIDE && width * height <= MAX_PIXELS,
             LS_ERR_DATA, "%s: an image of %lld x %lld pixels; expected at most %d a side and %d million in total",
             path, (long long)width, (long long)height, LS_MAX_SIDE, MAX_PIXELS >> 20);
    uint8_t *data = malloc((size_t)(channels * width * height));
    LS_CHECK(data, LS_ERR_ENV, "%s: out of memory for %lld x %lld pixels", path, (long long)width, (long long)height);
    *p = (ls_pixels){.width = (int)width, .height = (int)height, .channels = channels, .data = data};
    return LS_OK;
}

/* ---- formats ----------------------------------------------------------------------------------------------------- */

typedef struct format {
    const char *name;
    int         at, bytes; /* position and number of the bytes that identify the format */
    const char *magic;
    ls_status (*decode)(const ls_encoded *file, ls_pixels *p, int *orientation); /* NULL: refused */
} format;

static const format formats[] = {
    {"JPEG", 0, 3, "\xff\xd8\xff", ls__decode_jpeg},
    {"PNG", 0, 8, "\x89PNG\r\n\x1a\n", ls__decode_png},
    {"BMP", 0, 2, "BM", ls__decode_bmp},
    {"PBM", 0, 2, "P1", ls__decode_pnm},
    {"PGM", 0, 2, "P2", ls__decode_pnm},
    {"PPM", 0, 2, "P3", ls__decode_pnm},
    {"PBM", 0, 2, "P4", ls__decode_pnm},
    {"PGM", 0, 2, "P5", ls__decode_pnm},
    {"PPM", 0, 2, "P6", ls__decode_pnm},
    {"GIF", 0, 4, "GIF8", NULL},
    {"WebP", 8, 4, "WEBP", NULL},
    {"TIFF", 0, 4, "II*\0", NULL},
    {"TIFF", 0, 4, "MM\0*", NULL},
    {"AVIF", 4, 8, "ftypavif", NULL},
    {"HEIC", 4, 6, "ftyphe", NULL},
    {"HEIC", 4, 8, "ftypmif1", NULL},
    {"JPEG XL", 0, 2, "\xff\x0a", NULL},
    {"JPEG XL", 4, 4, "JXL ", NULL},
    {"JPEG 2000", 4, 4, "jP  ", NULL},
    {"ICO", 0, 4, "\0\0\1\0", NULL},
    {"PSD", 0, 4, "8BPS", NULL},
    {"PDF", 0, 4, "%PDF", NULL},
    {"SVG", 0, 4, "<svg", NULL},
};

static const format *format_of(const ls_encoded *file)
{
    for (size_t k = 0; k < sizeof formats / sizeof *formats; k++) {
        const format *f = &formats[k];
        if (file->bytes >= (size_t)(f->at + f->bytes) && !memcmp(file->data + f->at, f->magic, (size_t)f->bytes))
            return f;
    }
    return NULL;
}

ls_status ls__image_decode(const ls_encoded *file, ls_pixels *p, int *orientation)
{
    *p           = (ls_pixels){0};
    *orientation = 1;
    LS_CHECK(file->bytes, LS_ERR_DATA, "%s: is empty; expected an image", file->path);
    const format *f = format_of(file);
    LS_CHECK(f, LS_ERR_DATA, "%s: is no image; expected a JPEG, PNG, BMP, PPM or PGM file", file->path);
    LS_CHECK(f->decode, LS_ERR_DATA,
             "%s: is a %s file; expected a JPEG, PNG, BMP, PPM or PGM file" LS_HINT "convert it to one of them",
             file->path, f->name);
    ls_status status = f->decode(file, p, orientation);
    if (status == LS_OK) return LS_OK;
    free(p->data);
    p->data = NULL;
    return ls__trace(status, __FILE__, __LINE__, __func__);
}

/* ---- orientation and channels ------------------------------------------------------------------------------------ */

ls_status ls__image_orient(const char *path, ls_pixels *p, int orientation)
{
    /* Of a pixel (x, y) of the result: its column and row in the file; `back`: counted from the far end. */
    static const struct {
        bool swapped, back_x, back_y;
    } maps[9] = {
        [2] = {false, true, false}, [3] = {false, true, true}, [4] = {false, false, true}, [5] = {true, false, false},
        [6] = {true, false, true},  [7] = {true, true, true},  [8] = {true, true, false}};
    if (orientation < 2 || orientation > 8) return LS_OK;
    bool      swapped = maps[orientation].swapped;
    ls_pixels from    = *p;
    LS_TRY(
        ls__pixels_new(path, p, swapped ? from.height : from.width, swapped ? from.width : from.height, from.channels));
    uint8_t *to = p->data;
    for (int y = 0; y < p->height; y++)
        for (int x = 0; x < p->width; x++) {
            int column = swapped ? y : x, row = swapped ? x : y;
            if (maps[orientation].back_x) column = from.width - 1 - column;
            if (maps[orientation].back_y) row = from.height - 1 - row;
            const uint8_t *pixel =
                from.data + ((size_t)row * (size_t)from.width + (size_t)column) * (size_t)p->channels;
            for (int c = 0; c < p->channels; c++) *to++ = pixel[c];
        }
    free(from.data);
    return LS_OK;
}

ls_status ls__image_convert(const char *path, ls_pixels *p, int channels)
{
    size_t    pixels = (size_t)p->width * (size_t)p->height;
    ls_pixels from   = *p;
    if (channels == p->channels) return LS_OK;
    if (channels == 1) { /* in place */
        const uint8_t *rgb = p->data;
        for (size_t i = 0; i < pixels; i++, rgb += 3)
            p->data[i] = (uint8_t)((rgb[0] * 19595u + rgb[1] * 38470u + rgb[2] * 7471u + 0x8000u) >> 16);
        p->channels = 1;
        return LS_OK;
    }
    LS_TRY(ls__pixels_new(path, p, from.width, from.height, channels));
    for (size_t i = 0; i < pixels; i++) memset(p->data + 3 * i, from.data[i], 3);
    free(from.data);
    return LS_OK;
}

/* ---- fit to a size ----------------------------------------------------------------------------------------------- */

/* Size to which an image is resized before a window of height x width is cut out, as by torchvision's Resize. */
static void covering_size(const ls_pixels *p, int height, int width, int64_t *h, int64_t *w)
{
    int64_t rows = p->height, columns = p->width;
    if (columns * height >= rows * width) {
        *h = height;
        *w = height * columns / rows;
    } else {
        *h = width * rows / columns;
        *w = width;
    }
}

/* Half of a number of pixels, rounded half to even, as by torchvision's CenterCrop. */
static int half_even(int n) { return n / 2 + (n % 4 == 3); }

static void split_row(const uint8_t *restrict rgb, int width, uint8_t *restrict red, uint8_t *restrict green,
                      uint8_t *restrict blue)
{
    for (int x = 0; x < width; x++) {
        red[x]   = rgb[3 * x];
        green[x] = rgb[3 * x + 1];
        blue[x]  = rgb[3 * x + 2];
    }
}

ls_status ls__image_fit(const char *path, ls_pixels *p, const ls_image_options *o, int channels, int height, int width,
                        uint8_t *planes)
{
    int64_t     h = height, w = width;
    const float crop = o->crop > 0 ? o->crop : 1;
    if (o->fit == LS_FIT_CROP) covering_size(p, (int)((float)height / crop), (int)((float)width / crop), &h, &w);
    LS_TRY(ls__image_convert(path, p, channels));
    LS_CHECK(h <= LS_MAX_SIDE && w <= LS_MAX_SIDE, LS_ERR_DATA,
             "%s: an image of %d x %d pixels cannot be resized to cover %d x %d" LS_HINT "crop it first", path,
             p->width, p->height, width, height);
    LS_TRY(ls__image_resize(path, p, (int)h, (int)w, o->interpolation));
    int     top = half_even(p->height - height), left = half_even(p->width - width);
    int64_t plane = (int64_t)height * width;
    for (int y = 0; y < height; y++, planes += width) {
        const uint8_t *row = p->data + ((size_t)(top + y) * (size_t)p->width + (size_t)left) * (size_t)channels;
        if (channels == 1)
            memcpy(planes, row, (size_t)width);
        else
            split_row(row, width, planes, planes + plane, planes + 2 * plane);
    }
    return LS_OK;
}

ls_status ls__image_decode_fit(const ls_encoded *file, const ls_image_options *o, int channels, int height, int width,
                               uint8_t *planes)
{
    ls_pixels p = {0};
    int       orientation;
    LS_TRY(ls__image_decode(file, &p, &orientation));
    ls_status status = o->as_stored ? LS_OK : ls__image_orient(file->path, &p, orientation);
    if (status == LS_OK) status = ls__image_fit(file->path, &p, o, channels, height, width, planes);
    free(p.data);
    return status;
}
