/* SPDX-License-Identifier: Apache-2.0
 *
 * Decodes JPEG files with libjpeg's default inverse DCT and upsampling, as Pillow does.
 *
 * Inks of a file with four components are inverted, the convention of Adobe, and become RGB by
 * R = K' - (255 - C') K' / 255, where C' and K' are the stored values.  Warnings of libjpeg are ignored, except those
 * that report missing image data.
 */
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

#include "datasets/image/image_decode.h"

enum { MAX_SCANS = 200, ROWS = 16, APP1 = JPEG_APP0 + 1 };

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

static bool starts_with(const jpeg_saved_marker_ptr m, const char *text, size_t bytes)
{
    return m->marker == APP1 && m->data_length > bytes && !memcmp(m->data, text, bytes);
}

static int orientation_of(j_decompress_ptr j)
{
    static const char exif[] = "Exif\0", xmp[] = "http://ns.adobe.com/xap/1.0/"; /* each with its final 0 */
    int               found = 0;
    for (jpeg_saved_marker_ptr m = j->marker_list; m && !found; m = m->next)
        if (starts_with(m, exif, sizeof exif))
            found = ls__exif_orientation(m->data + sizeof exif, m->data_length - sizeof exif);
    for (jpeg_saved_marker_ptr m = j->marker_list; m && !found; m = m->next)
        if (starts_with(m, xmp, sizeof xmp))
            found = ls__xmp_orientation(m->data + sizeof xmp, m->data_length - sizeof xmp);
    return found ? found : 1;
}

/* Rounded a b / 255. */
static int product_255(int a, int b)
{
    int t = a * b + 128;
    return ((t >> 8) + t) >> 8;
}

static void inks_to_rgb(const uint8_t *cmyk, int width, uint8_t *rgb)
{
    for (int x = 0; x < width; x++, cmyk += 4)
        for (int c = 0; c < 3; c++) *rgb++ = (uint8_t)(cmyk[3] - product_255(255 - cmyk[c], cmyk[3]));
}

static ls_status read_header(const char *path, j_decompress_ptr j, ls_pixels *p, int *orientation)
{
    jpeg_save_markers(j, APP1, 0xffff);
    jpeg_read_header(j, TRUE);
    int n = j->num_components;
    LS_CHECK(n == 1 || n == 3 || n == 4, LS_ERR_DATA, "%s: is a JPEG file with %d components; expected 1, 3 or 4", path,
             n);
    *orientation       = orientation_of(j);
    j->out_color_space = n == 1 ? JCS_GRAYSCALE : n == 3 ? JCS_RGB : JCS_CMYK;
    return ls__pixels_new(path, p, j->image_width, j->image_height, n == 1 ? 1 : 3);
}

static void read_rows(j_decompress_ptr j, ls_pixels *p)
{
    size_t     row  = (size_t)p->width * (size_t)p->channels;
    JSAMPARRAY inks = NULL;
    if (j->out_color_space == JCS_CMYK)
        inks = j->mem->alloc_sarray((j_common_ptr)j, JPOOL_IMAGE, (JDIMENSION)p->width * 4, 1);
    while (j->output_scanline < j->output_height) {
        uint8_t *at = p->data + (size_t)j->output_scanline * row;
        if (inks) {
            jpeg_read_scanlines(j, inks, 1);
            inks_to_rgb(inks[0], p->width, at);
            continue;
        }
        JSAMPROW rows[ROWS];
        unsigned n = j->output_height - j->output_scanline < ROWS ? j->output_height - j->output_scanline : ROWS;
        for (unsigned i = 0; i < n; i++) rows[i] = at + i * row;
        jpeg_read_scanlines(j, rows, n);
    }
}

ls_status ls__decode_jpeg(const ls_encoded *file, ls_pixels *p, int *orientation)
{
    struct jpeg_decompress_struct j;
    struct jpeg_progress_mgr      progress = {.progress_monitor = count_scans};
    jpeg_failure                  failure;
    j.err                     = jpeg_std_error(&failure.base);
    failure.base.error_exit   = fail_jpeg;
    failure.base.emit_message = warn_jpeg;
    if (setjmp(failure.back)) {
        jpeg_destroy_decompress(&j);
        return LS_FAIL(LS_ERR_DATA, "%s: is a damaged or unknown JPEG file: %s", file->path, failure.text);
    }
    jpeg_create_decompress(&j);
    j.progress               = &progress;
    j.mem->max_memory_to_use = 1L << 30;
    jpeg_mem_src(&j, file->data, (unsigned long)file->bytes);
    ls_status status = read_header(file->path, &j, p, orientation);
    if (status == LS_OK) {
        jpeg_start_decompress(&j);
        read_rows(&j, p);
        jpeg_finish_decompress(&j);
    }
    jpeg_destroy_decompress(&j);
    return status;
}
