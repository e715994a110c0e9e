/* SPDX-License-Identifier: Apache-2.0
 * Small pictures of pixels: see launch/vision/picture.h. */
#include "launch/vision/picture.h"

#include <cairo.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "launch/report/report_html.h"

ls_status ls_picture_new(ls_picture *p, int width, int height)
{
    *p = (ls_picture){.width = width, .height = height, .rgb = calloc((size_t)width * (size_t)height, 3)};
    LS_CHECK(p->rgb, LS_ERR_ENV, "picture: no memory for %d x %d pixels", width, height);
    return LS_OK;
}

void ls_picture_free(ls_picture *p)
{
    free(p->rgb);
    p->rgb = NULL;
}

ls_status ls_picture_of(ls_picture *p, const ls_dataset_info *info, const uint8_t *pixels)
{
    enum { SMALL = 112, LARGE = 160 };
    const int longest = info->height > info->width ? info->height : info->width;
    const int more = longest < SMALL ? (SMALL + longest - 1) / longest : 1, less = (longest + LARGE - 1) / LARGE;
    LS_TRY(ls_picture_new(p, info->width * more / less, info->height * more / less));
    for (int y = 0; y < p->height; y++)
        for (int x = 0; x < p->width; x++)
            for (int c = 0; c < 3; c++) {
                /* the mean of less x less pixels */
                const uint8_t *plane =
                    pixels + (info->channels < 3 ? 0 : (size_t)c * (size_t)(info->height * info->width));
                int sum = 0;
                for (int i = 0; i < less; i++)
                    for (int k = 0; k < less; k++)
                        sum += plane[(y * less / more + i) * info->width + x * less / more + k];
                p->rgb[3 * (y * p->width + x) + c] = (uint8_t)((sum + less * less / 2) / (less * less));
            }
    return LS_OK;
}

/* The two positions between which sample i of `out` lies among `in` values, and the part of the second one: pixels are
 * areas, as in PyTorch's bilinear interpolation with align_corners=False. */
static float between(int i, int out, int in, int *low, int *high)
{
    float at = ((float)i + 0.5f) * (float)in / (float)out - 0.5f;
    at       = fminf(fmaxf(at, 0), (float)(in - 1));
    *low     = (int)at;
    *high    = *low + 1 < in ? *low + 1 : *low;
    return at - (float)*low;
}

void ls_picture_heat(ls_picture *p, const float *map, int rows, int columns)
{
    static const float from[3] = {214, 51, 32}, to[3] = {255, 220, 60}; /* red to yellow */
    for (int y = 0; y < p->height; y++)
        for (int x = 0; x < p->width; x++) {
            int         y0, y1, x0, x1;
            const float v = between(y, p->height, rows, &y0, &y1), u = between(x, p->width, columns, &x0, &x1);
            const float heat = (1 - v) * ((1 - u) * map[y0 * columns + x0] + u * map[y0 * columns + x1]) +
                               v * ((1 - u) * map[y1 * columns + x0] + u * map[y1 * columns + x1]);
            uint8_t    *pixel = p->rgb + 3 * (y * p->width + x);
            const float grey = 0.299f * pixel[0] + 0.587f * pixel[1] + 0.114f * pixel[2], part = 0.8f * heat;
            for (int c = 0; c < 3; c++)
                pixel[c] = (uint8_t)lrintf((1 - part) * 0.85f * grey + part * (from[c] + (to[c] - from[c]) * heat));
        }
}

static cairo_status_t write_bytes(void *file, const unsigned char *data, unsigned int bytes)
{
    return fwrite(data, 1, bytes, file) == bytes ? CAIRO_STATUS_SUCCESS : CAIRO_STATUS_WRITE_ERROR;
}

static bool write_png(FILE *f, const ls_picture *p)
{
    cairo_surface_t *s      = cairo_image_surface_create(CAIRO_FORMAT_RGB24, p->width, p->height);
    unsigned char   *pixels = cairo_image_surface_get_data(s);
    for (int y = 0; y < p->height && pixels; y++)
        for (int x = 0; x < p->width; x++) {
            const uint8_t *rgb   = p->rgb + 3 * (y * p->width + x);
            const uint32_t pixel = (uint32_t)rgb[0] << 16 | (uint32_t)rgb[1] << 8 | rgb[2];
            memcpy(pixels + (size_t)y * (size_t)cairo_image_surface_get_stride(s) + 4 * (size_t)x, &pixel,
                   sizeof pixel);
        }
    cairo_surface_mark_dirty(s);
    const bool written = cairo_surface_write_to_png_stream(s, write_bytes, f) == CAIRO_STATUS_SUCCESS;
    cairo_surface_destroy(s);
    return written;
}

ls_status ls_picture_url(FILE *f, const ls_picture *p)
{
    char  *png   = NULL;
    size_t bytes = 0;
    FILE  *m     = open_memstream(&png, &bytes);
    bool   good  = m && write_png(m, p);
    if (m) good = fclose(m) == 0 && good;
    if (good) {
        fputs("data:image/png;base64,", f);
        ls_html_base64(f, png, bytes);
    }
    free(png);
    LS_CHECK(good, LS_ERR_ENV, "picture: no memory for a PNG file of %d x %d pixels", p->width, p->height);
    return LS_OK;
}
