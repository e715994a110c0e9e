/* SPDX-License-Identifier: Apache-2.0
 *
 * Decodes the formats of Netpbm: bitmaps (P1, P4), grey (P2, P5) and RGB (P3, P6) images, as text or as bytes.
 *
 * The header has the type, width, height and, except for bitmaps, the maximum value M, as decimal numbers with white
 * space and comments ("# ...") between them.  A value v becomes 255 v / M, rounded half to even.  Values above 255 are
 * two bytes, big-endian; grey images with M > 255 are refused, as other 16-bit grey images.
 */
#include <math.h>

#include "datasets/image/image_decode.h"

typedef struct pnm {
    const ls_encoded *file;
    size_t            at;
} pnm;

static bool is_space(int c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* Skips white space and comments. */
static void skip_space(pnm *f)
{
    for (bool comment = false; f->at < f->file->bytes; f->at++) {
        int c = f->file->data[f->at];
        if (comment)
            comment = c != '\n' && c != '\r';
        else if (c == '#')
            comment = true;
        else if (!is_space(c))
            return;
    }
}

static ls_status read_number(pnm *f, const char *what, int *value)
{
    int64_t number = 0;
    skip_space(f);
    size_t start = f->at;
    for (; f->at < f->file->bytes && f->at - start < 10; f->at++) {
        int c = f->file->data[f->at];
        if (c < '0' || c > '9') break;
        number = 10 * number + (c - '0');
    }
    LS_CHECK(f->at > start, LS_ERR_DATA, "%s: is a damaged PNM file: byte %zu: expected the %s, found %s",
             f->file->path, f->at, what, f->at < f->file->bytes ? "another character" : "the end of the file");
    *value = number > INT32_MAX ? INT32_MAX : (int)number;
    return LS_OK;
}

static ls_status read_bit(pnm *f, int *value)
{
    skip_space(f);
    int c = f->at < f->file->bytes ? f->file->data[f->at++] : 0;
    LS_CHECK(c == '0' || c == '1', LS_ERR_DATA, "%s: is a damaged PNM file: byte %zu: expected 0 or 1, found %s",
             f->file->path, f->at, c ? "another character" : "the end of the file");
    *value = c - '0';
    return LS_OK;
}

static uint8_t scaled(int value, int maximum)
{
    return (uint8_t)(maximum == 255 ? value : (int)rint((double)value / maximum * 255));
}

static ls_status read_text(pnm *f, const ls_pixels *p, int maximum)
{
    int64_t count = (int64_t)p->width * p->height * p->channels;
    for (int64_t i = 0; i < count; i++) {
        int value = 0;
        if (maximum)
            LS_TRY(read_number(f, "value of a pixel", &value));
        else
            LS_TRY(read_bit(f, &value));
        LS_CHECK(!maximum || value <= maximum, LS_ERR_DATA,
                 "%s: is a damaged PNM file: byte %zu: expected a value of at most %d, found %d", f->file->path, f->at,
                 maximum, value);
        p->data[i] = maximum ? scaled(value, maximum) : value ? 0 : 255;
    }
    return LS_OK;
}

static ls_status read_binary(const pnm *f, const ls_pixels *p, int maximum)
{
    const uint8_t *data  = f->file->data + f->at;
    int64_t        width = p->width, count = width * p->height * p->channels;
    int64_t        row   = (width + 7) / 8;
    int64_t        bytes = !maximum ? row * p->height : maximum > 255 ? 2 * count : count;
    LS_CHECK(bytes <= (int64_t)(f->file->bytes - f->at), LS_ERR_DATA,
             "%s: is a truncated PNM file: %lld bytes of pixels; expected %lld", f->file->path,
             (long long)(f->file->bytes - f->at), (long long)bytes);
    for (int64_t i = 0; i < count; i++) {
        if (!maximum) {
            p->data[i] = data[i / width * row + i % width / 8] >> (7 - i % width % 8) & 1 ? 0 : 255;
            continue;
        }
        int value  = maximum > 255 ? data[2 * i] << 8 | data[2 * i + 1] : data[i];
        p->data[i] = scaled(value < maximum ? value : maximum, maximum);
    }
    return LS_OK;
}

ls_status ls__decode_pnm(const ls_encoded *file, ls_pixels *p, int *orientation)
{
    pnm  f    = {.file = file, .at = 2};
    int  type = file->data[1] - '0', width, height, maximum = 0;
    bool bitmap = type == 1 || type == 4, text = type <= 3;
    *orientation = 1;
    LS_TRY(read_number(&f, "width", &width));
    LS_TRY(read_number(&f, "height", &height));
    if (!bitmap) {
        LS_TRY(read_number(&f, "maximum value", &maximum));
        LS_CHECK(maximum >= 1 && maximum <= 65535, LS_ERR_DATA,
                 "%s: is a damaged PNM file: expected a maximum value of 1 to 65535, found %d", file->path, maximum);
    }
    bool grey = type == 2 || type == 5;
    LS_CHECK(!grey || maximum <= 255, LS_ERR_DATA,
             "%s: is a PGM file with grey values up to %d; expected at most 255" LS_HINT
             "choose the range of values that becomes 0 to 255, and convert the file",
             file->path, maximum);
    LS_TRY(ls__pixels_new(file->path, p, width, height, grey || bitmap ? 1 : 3));
    if (text) return read_text(&f, p, maximum);
    LS_CHECK(f.at < file->bytes && is_space(file->data[f.at]), LS_ERR_DATA,
             "%s: is a damaged PNM file: byte %zu: expected white space before the pixels", file->path, f.at);
    f.at++;
    return read_binary(&f, p, maximum);
}
