/* SPDX-License-Identifier: Apache-2.0
 *
 * Decodes BMP files of Windows and OS/2: palettes of 1, 4 and 8 bits, RLE4 and RLE8, 16 bits (5-5-5, 5-6-5), 24 and 32
 * bits.
 *
 *     bytes 0..13   "BM", size of the file, two reserved words, offset of the pixels
 *     from 14 on    size of the header (12, or 40 to 124), width, height, planes, bits, compression, ..., masks
 *     then          palette: B G R, or B G R 0; rows of pixels, each padded to 4 bytes
 *
 * Rows are stored from the bottom up, unless the height is negative.  Alpha is dropped.
 */
#include <stdlib.h>
#include <string.h>

#include "datasets/image/image_decode.h"

enum { RAW, RLE8, RLE4, BITFIELDS, COLOURS = 256, HEADER_AT = 14 };

typedef struct bmp {
    const ls_encoded *file;
    int64_t           width, height; /* height: without its sign */
    bool              top_down;
    int               bits, compression;
    size_t            offset; /* of the pixels, bytes */
    uint32_t          mask[3];
    uint8_t           colour[COLOURS][3];
} bmp;

static uint32_t u16(const uint8_t *b) { return (uint32_t)b[0] | (uint32_t)b[1] << 8; }
static uint32_t u32(const uint8_t *b) { return u16(b) | u16(b + 2) << 16; }

static ls_status ends_early(const bmp *b)
{
    return LS_FAIL(LS_ERR_DATA, "%s: is a truncated BMP file: %zu bytes are too few for %lld x %lld pixels of %d bits",
                   b->file->path, b->file->bytes, (long long)b->width, (long long)b->height, b->bits);
}

/* ---- headers ----------------------------------------------------------------------------------------------------- */

static ls_status read_palette(bmp *b, size_t at, size_t entry, uint32_t colours)
{
    if (!colours) colours = 1u << b->bits;
    LS_CHECK(colours <= COLOURS, LS_ERR_DATA, "%s: is a BMP file with %u colours; expected at most %d", b->file->path,
             colours, COLOURS);
    if (at > b->file->bytes || colours * entry > b->file->bytes - at) return ends_early(b);
    for (uint32_t i = 0; i < colours; i++)
        for (int c = 0; c < 3; c++) b->colour[i][c] = b->file->data[at + i * entry + 2 - (size_t)c];
    if (!b->offset) b->offset = at + colours * entry;
    return LS_OK;
}

static ls_status read_masks(bmp *b, size_t at)
{
    if (b->file->bytes < at + 12) return ends_early(b);
    for (int c = 0; c < 3; c++) b->mask[c] = u32(b->file->data + at + 4 * c);
    return LS_OK;
}

/* Sets the masks of 16 and 32 bits. */
static ls_status choose_masks(bmp *b, uint32_t header)
{
    static const uint32_t known[][4] = {{16, 0x7c00, 0x3e0, 0x1f},      {16, 0xf800, 0x7e0, 0x1f},
                                        {32, 0xff0000, 0xff00, 0xff},   {32, 0xff000000, 0xff0000, 0xff00},
                                        {32, 0xff000000, 0xff00, 0xff}, {32, 0xff, 0xff00, 0xff0000}};
    if (b->compression == BITFIELDS) LS_TRY(read_masks(b, HEADER_AT + 40));
    bool none = !b->mask[0] && !b->mask[1] && !b->mask[2], found = false;
    if (b->compression != BITFIELDS || (none && b->bits == 32))
        memcpy(b->mask, known[b->bits == 16 ? 0 : 2] + 1, sizeof b->mask);
    for (size_t k = 0; k < sizeof known / sizeof *known; k++)
        found |= (int)known[k][0] == b->bits && !memcmp(known[k] + 1, b->mask, sizeof b->mask);
    LS_CHECK(found, LS_ERR_DATA, "%s: is a BMP file with %d bits and unknown masks %x, %x, %x", b->file->path, b->bits,
             b->mask[0], b->mask[1], b->mask[2]);
    if (!b->offset) b->offset = HEADER_AT + header + (b->compression == BITFIELDS && header == 40 ? 12 : 0);
    return LS_OK;
}

static ls_status read_header(bmp *b)
{
    const uint8_t *data   = b->file->data;
    const char    *path   = b->file->path;
    uint32_t       header = b->file->bytes >= HEADER_AT + 4 ? u32(data + HEADER_AT) : 0, colours = 0;
    bool           short_header = header == 12;
    LS_CHECK(short_header || header == 40 || header == 52 || header == 56 || header == 64 || header == 108 ||
                 header == 124,
             LS_ERR_DATA, "%s: is a damaged BMP file: a header of %u bytes; expected 12, 40, 52, 56, 64, 108 or 124",
             path, header);
    if (b->file->bytes < HEADER_AT + header) return ends_early(b);
    b->offset = u32(data + 10);
    data += HEADER_AT;
    if (short_header) {
        b->width  = u16(data + 4);
        b->height = u16(data + 6);
        b->bits   = (int)u16(data + 10);
    } else {
        b->width       = u32(data + 4);
        b->height      = (int32_t)u32(data + 8);
        b->bits        = (int)u16(data + 14);
        b->compression = u32(data + 16) <= BITFIELDS ? (int)u32(data + 16) : -1;
        colours        = u32(data + 32);
        b->top_down    = b->height < 0;
        b->height      = b->height < 0 ? -b->height : b->height;
    }
    int  bits = b->bits;
    bool fits = b->compression == RAW    ? bits == 1 || bits == 4 || bits == 8 || bits == 16 || bits == 24 || bits == 32
                : b->compression == RLE8 ? bits == 8
                : b->compression == RLE4 ? bits == 4
                : b->compression == BITFIELDS ? bits == 16 || bits == 32
                                              : false;
    LS_CHECK(fits, LS_ERR_DATA, "%s: is a BMP file with %d bits a pixel and compression %u; expected another pair",
             path, bits, short_header ? 0 : u32(data + 16));
    if (bits <= 8) return read_palette(b, HEADER_AT + header, short_header ? 3 : 4, colours);
    if (bits != 24) return choose_masks(b, header);
    if (!b->offset) b->offset = HEADER_AT + header;
    return LS_OK;
}

/* ---- pixels ------------------------------------------------------------------------------------------------------ */

/* The value of a mask's bits, scaled to 0 to 255. */
static uint8_t masked(uint32_t value, uint32_t mask)
{
    int shift = __builtin_ctz(mask);
    return (uint8_t)(((value & mask) >> shift) * 255u / (mask >> shift));
}

static void read_row(const bmp *b, const uint8_t *row, uint8_t *rgb)
{
    int bits = b->bits;
    for (int64_t x = 0; x < b->width; x++, rgb += 3) {
        if (bits <= 8) {
            int64_t bit = x * bits;
            int     i   = row[bit / 8] >> (8 - bits - bit % 8) & ((1 << bits) - 1);
            memcpy(rgb, b->colour[i], 3);
        } else if (bits == 24) {
            for (int c = 0; c < 3; c++) rgb[c] = row[3 * x + 2 - c];
        } else {
            uint32_t value = bits == 16 ? u16(row + 2 * x) : u32(row + 4 * x);
            for (int c = 0; c < 3; c++) rgb[c] = masked(value, b->mask[c]);
        }
    }
}

/* Decodes runs into width x height indices, in the order of the file; pixels without a run are 0. */
static ls_status read_runs(const bmp *b, uint8_t *index)
{
    const uint8_t *data = b->file->data, *end = data + b->file->bytes, *at = data + b->offset;
    int64_t        width = b->width, count = width * b->height, done = 0, x = 0; /* x: column of the next run */
    bool           four = b->compression == RLE4;
    memset(index, 0, (size_t)count);
    while (done < count) {
        if (end - at < 2) return ends_early(b);
        int n = at[0], value = at[1];
        at += 2;
        if (n) { /* n pixels of one value, RLE4: of two alternating values */
            if (n > width - x) n = x < width ? (int)(width - x) : 0;
            for (int i = 0; i < n && done < count; i++)
                index[done++] = (uint8_t)(four ? i % 2 ? value & 15 : value >> 4 : value);
            x += n;
        } else if (value == 0) { /* end of the row */
            done = (done + width - 1) / width * width;
            x    = 0;
        } else if (value == 1) { /* end of the image */
            return LS_OK;
        } else if (value == 2) { /* a step to the right and up */
            if (end - at < 2) return ends_early(b);
            done += at[0] + at[1] * width;
            x = done % width;
            at += 2;
        } else { /* `value` pixels, padded to 2 bytes */
            int64_t bytes = four ? (value + 1) / 2 : value;
            if (end - at < bytes) return ends_early(b);
            for (int i = 0; i < value && done < count; i++)
                index[done++] = (uint8_t)(four ? at[i / 2] >> (i % 2 ? 0 : 4) & 15 : at[i]);
            x += value;
            at += bytes;
            at += (at - data) % 2 && at < end;
        }
    }
    return LS_OK;
}

static ls_status read_compressed(const bmp *b, const ls_pixels *p)
{
    size_t   count = (size_t)(b->width * b->height);
    uint8_t *index = malloc(count);
    LS_CHECK(index, LS_ERR_ENV, "%s: out of memory for %zu pixels", b->file->path, count);
    ls_status status = read_runs(b, index);
    for (int64_t y = 0; y < b->height && status == LS_OK; y++) {
        const uint8_t *from = index + (b->top_down ? y : b->height - 1 - y) * b->width;
        for (int64_t x = 0; x < b->width; x++) memcpy(p->data + 3 * (y * b->width + x), b->colour[from[x]], 3);
    }
    free(index);
    return status;
}

ls_status ls__decode_bmp(const ls_encoded *file, ls_pixels *p, int *orientation)
{
    bmp b        = {.file = file};
    *orientation = 1;
    LS_TRY(read_header(&b));
    LS_TRY(ls__pixels_new(file->path, p, b.width, b.height, 3));
    if (b.offset > file->bytes) return ends_early(&b);
    if (b.compression == RLE4 || b.compression == RLE8) return read_compressed(&b, p);
    int64_t row = (b.width * b.bits + 31) / 32 * 4;
    /* Some writers leave out the padding of the last row. */
    if (row * (b.height - 1) + (b.width * b.bits + 7) / 8 > (int64_t)(file->bytes - b.offset)) return ends_early(&b);
    for (int64_t y = 0; y < b.height; y++)
        read_row(&b, file->data + b.offset + (b.top_down ? y : b.height - 1 - y) * row, p->data + 3 * y * b.width);
    return LS_OK;
}
