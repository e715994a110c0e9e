/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads PNG and JPEG files, writes PNG files.
 *
 * Reading checks the size, decodes to RGB, converts to grey if one channel is wanted (ITU-R BT.601: 0.299 R + 0.587 G +
 * 0.114 B), and scales each direction with a triangle filter.  The filter is as wide as a pixel of the coarser grid:
 * bilinear interpolation when the image grows, an area average when it shrinks.
 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>
#include <png.h>

#include "core/io/atomic_file.h"
#include "datasets/files/dataset.h"

enum { MAX_PIXELS = 1 << 26, MAX_SCANS = 200 };

typedef struct rgb {
    int      width, height;
    uint8_t *pixels; /* height x width x 3 */
} rgb;

static ls_status reserve(const char *path, rgb *p, int64_t width, int64_t height)
{
    LS_CHECK(width >= 1 && height >= 1 && width <= LS_MAX_SIDE && height <= LS_MAX_SIDE && width * height <= MAX_PIXELS,
             LS_ERR_DATA, "%s: an image of %lld x %lld pixels; expected at most %d a side and %d million in total",
             path, (long long)width, (long long)height, LS_MAX_SIDE, MAX_PIXELS >> 20);
    p->width  = (int)width;
    p->height = (int)height;
    p->pixels = malloc((size_t)(3 * width * height));
    LS_CHECK(p->pixels, LS_ERR_ENV, "%s: out of memory for %lld x %lld pixels", path, (long long)width,
             (long long)height);
    return LS_OK;
}

/* ---- PNG --------------------------------------------------------------------------------------------------------- */

static ls_status read_png(const char *path, FILE *file, rgb *p)
{
    png_image image = {.version = PNG_IMAGE_VERSION};
    ls_status status;
    if (!png_image_begin_read_from_stdio(&image, file)) {
        status = LS_FAIL(LS_ERR_DATA, "%s: is a damaged PNG file: %s", path, image.message);
        png_image_free(&image);
        return status;
    }
    image.format = PNG_FORMAT_RGB;
    status       = reserve(path, p, image.width, image.height);
    if (status == LS_OK) {
        png_color white = {255, 255, 255}; /* background of transparent pixels */
        if (!png_image_finish_read(&image, &white, p->pixels, 0, NULL))
            status = LS_FAIL(LS_ERR_DATA, "%s: is a damaged PNG file: %s", path, image.message);
    }
    png_image_free(&image);
    return status;
}

/* ---- JPEG -------------------------------------------------------------------------------------------------------- */

typedef struct jpeg_failure {
    struct jpeg_error_mgr base;
    jmp_buf               back;
    char                  text[JMSG_LENGTH_MAX];
} jpeg_failure;

static void fail_jpeg(j_common_ptr j)
{
    jpeg_failure *failure = (jpeg_failure *)j->err;
    failure->base.format_message(j, failure->text);
    longjmp(failure->back, 1);
}

/* libjpeg fills missing data with grey and warns; here an incomplete image is an error. */
static void warn_jpeg(j_common_ptr j, int level)
{
    int code = j->err->msg_code;
    if (level < 0 && (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER || code == JWRN_HUFF_BAD_CODE)) fail_jpeg(j);
}

/* Limits the scans, because a small progressive file can demand thousands of passes over a large image. */
static void count_scans(j_common_ptr j)
{
    if (!j->is_decompressor || ((j_decompress_ptr)j)->input_scan_number <= MAX_SCANS) return;
    jpeg_failure *failure = (jpeg_failure *)j->err;
    snprintf(failure->text, sizeof failure->text, "more than %d scans", MAX_SCANS);
    longjmp(failure->back, 1);
}

static ls_status read_jpeg(const char *path, FILE *file, rgb *p)
{
    struct jpeg_decompress_struct j;
    struct jpeg_progress_mgr      progress = {.progress_monitor = count_scans};
    jpeg_failure                  failure;
    j.err                     = jpeg_std_error(&failure.base);
    failure.base.error_exit   = fail_jpeg;
    failure.base.emit_message = warn_jpeg;
    if (setjmp(failure.back)) {
        jpeg_destroy_decompress(&j);
        return LS_FAIL(LS_ERR_DATA, "%s: is a damaged or unknown JPEG file: %s", path, failure.text);
    }
    jpeg_create_decompress(&j);
    j.progress               = &progress;
    j.mem->max_memory_to_use = 1L << 30;
    jpeg_stdio_src(&j, file);
    jpeg_read_header(&j, TRUE);
    j.out_color_space = JCS_RGB;
    ls_status status  = reserve(path, p, j.image_width, j.image_height);
    if (status != LS_OK) {
        jpeg_destroy_decompress(&j);
        return status;
    }
    jpeg_start_decompress(&j);
    while (j.output_scanline < j.output_height) {
        JSAMPROW row = p->pixels + (size_t)j.output_scanline * 3 * (size_t)p->width;
        jpeg_read_scanlines(&j, &row, 1);
    }
    jpeg_finish_decompress(&j);
    jpeg_destroy_decompress(&j);
    return LS_OK;
}

static ls_status decode(const char *path, FILE *file, rgb *p)
{
    uint8_t head[8] = {0};
    size_t  n       = fread(head, 1, sizeof head, file);
    rewind(file);
    if (n == 8 && !png_sig_cmp(head, 0, 8)) return read_png(path, file, p);
    if (n >= 3 && head[0] == 0xff && head[1] == 0xd8 && head[2] == 0xff) return read_jpeg(path, file, p);
    return LS_FAIL(LS_ERR_DATA, "%s: is neither a PNG nor a JPEG file" LS_HINT "convert it to one of them", path);
}

/* ---- scaling ----------------------------------------------------------------------------------------------------- */

/* Scales one direction: `lines` lines of `from` values into lines of `to` values.  Neighbours in a line are `step`
 * apart, line k starts at k * `line`. */
static void scale_lines(const float *x, int from, int x_step, int x_line, float *y, int to, int y_step, int y_line,
                        int lines)
{
    double ratio = (double)from / to, reach = ratio > 1 ? ratio : 1;
    for (int i = 0; i < to; i++) {
        double centre = (i + 0.5) * ratio, sum = 0;
        int    first = (int)fmax(floor(centre - reach), 0), end = (int)fmin(ceil(centre + reach), from);
        for (int k = first; k < end; k++) sum += fmax(1 - fabs(k + 0.5 - centre) / reach, 0);
        for (int line = 0; line < lines; line++) {
            double value = 0;
            for (int k = first; k < end; k++)
                value += fmax(1 - fabs(k + 0.5 - centre) / reach, 0) *
                         (double)x[(size_t)line * (size_t)x_line + (size_t)k * (size_t)x_step];
            y[(size_t)line * (size_t)y_line + (size_t)i * (size_t)y_step] = (float)(value / sum);
        }
    }
}

static float channel(const uint8_t *p, int channels, int c)
{
    return channels == 1 ? 0.299f * p[0] + 0.587f * p[1] + 0.114f * p[2] : (float)p[c];
}

static ls_status scale(const char *path, const rgb *p, int channels, int height, int width, uint8_t *pixels)
{
    size_t from = (size_t)p->width * (size_t)p->height, between = (size_t)p->height * (size_t)width,
           to = (size_t)height * (size_t)width;
    float *x = malloc((from + between + to) * sizeof *x), *narrow = x + from, *y = narrow + between;
    LS_CHECK(x, LS_ERR_ENV, "%s: out of memory to scale %d x %d pixels", path, p->width, p->height);
    for (int c = 0; c < channels; c++) {
        for (size_t i = 0; i < from; i++) x[i] = channel(p->pixels + 3 * i, channels, c);
        scale_lines(x, p->width, 1, p->width, narrow, width, 1, width, p->height);
        scale_lines(narrow, p->height, width, 1, y, height, width, 1, width);
        for (size_t i = 0; i < to; i++) pixels[(size_t)c * to + i] = (uint8_t)fminf(fmaxf(y[i] + 0.5f, 0), 255);
    }
    free(x);
    return LS_OK;
}

ls_status ls_image_read(const char *path, int channels, int height, int width, uint8_t *pixels)
{
    LS_CHECK((channels == 1 || channels == 3) && height >= 1 && height <= LS_MAX_SIDE && width >= 1 &&
                 width <= LS_MAX_SIDE,
             LS_ERR_USAGE, "%s: size %d x %d x %d; expected 1 or 3 channels of 1 to %d pixels a side", path, channels,
             height, width, LS_MAX_SIDE);
    FILE *file = fopen(path, "rbe");
    LS_CHECK(file, LS_ERR_DATA, "%s: %s", path, strerror(errno));
    rgb       p      = {0};
    ls_status status = decode(path, file, &p);
    fclose(file);
    if (status == LS_OK) status = scale(path, &p, channels, height, width, pixels);
    free(p.pixels);
    return status;
}

/* ---- writing
 * --------------------------------------------------------------------------------------------------------- */

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
