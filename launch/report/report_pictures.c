/* SPDX-License-Identifier: Apache-2.0
 * Embeds the pictures of `lockstep explain` in report.html, encoded in base64. */
#include <errno.h>
#include <limits.h>
#include <nettle/base64.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io/atomic_file.h"
#include "core/io/file_access.h"
#include "launch/report/report_html.h"

#define BEGINS "<!-- pictures -->\n"
#define ENDS "<!-- end of pictures -->\n"

static const struct picture {
    const char *file, *title;
} pictures[] = {
    {"maps.png", "Filters and feature maps"},
    {"class-token.png", "The path of the class token"},
    {"attention.png", "Attention"},
    {"dot-product.png", "Scaled dot-product attention"},
    {"alignment.png", "Alignment"},
    {"positions.png", "Positions"},
    {"scores.png", "Scores"},
    {"valley.png", "Optimizers in a valley"},
};

enum { PART = 3 * 4096 }; /* bytes that are encoded at once, a multiple of 3 */

void ls_html_base64(FILE *f, const void *data, size_t bytes)
{
    char out[BASE64_ENCODE_RAW_LENGTH(PART)];
    for (size_t at = 0; at < bytes; at += PART) {
        const size_t n = bytes - at < PART ? bytes - at : PART;
        base64_encode_raw(out, n, (const uint8_t *)data + at);
        fwrite(out, 1, BASE64_ENCODE_RAW_LENGTH(n), f);
    }
}

static void write_file(FILE *to, FILE *from)
{
    uint8_t in[PART];
    for (size_t n; (n = fread(in, 1, sizeof in, from)) > 0;) ls_html_base64(to, in, n);
}

void ls__report_pictures(FILE *f, const char *folder)
{
    char path[PATH_MAX];
    fputs(BEGINS, f);
    for (size_t i = 0; i < sizeof pictures / sizeof *pictures; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, pictures[i].file);
        FILE *png = fopen(path, "re");
        if (!png) continue;
        fprintf(f,
                "<figure class=\"card\" style=\"margin-bottom:18px\"><figcaption><b>%s</b></figcaption><img alt=\"%s\" "
                "style=\"max-width:100%%;height:auto;"
                "border-radius:6px;display:block;margin:0 auto 8px\" src=\"data:image/png;base64,",
                pictures[i].title, pictures[i].title);
        write_file(f, png);
        fputs("\"></figure>\n", f);
        fclose(png);
    }
    fputs(ENDS, f);
}

/* Rewrites the report with the pictures of `folder`: they replace text[begin, end). */
static ls_status replace_pictures(const char *path, const char *folder, const char *text, size_t bytes, size_t begin,
                                  size_t end)
{
    ls_file f;
    FILE   *stream;
    LS_TRY(ls__file_create(&f, path));
    ls_status status = ls__file_stream(&f, &stream);
    if (status == LS_OK) {
        fwrite(text, 1, begin, stream);
        ls__report_pictures(stream, folder);
        fwrite(text + end, 1, bytes - end, stream);
    }
    return ls__file_finish(&f, status);
}

ls_status ls_report_show(const char *folder, bool *shown)
{
    char   path[LS_PATH_BYTES], *text;
    size_t bytes;
    *shown = false;
    LS_TRY(ls__path(path, "%s/report.html", folder));
    if (access(path, F_OK) != 0 && errno == ENOENT) return LS_OK;
    LS_TRY(ls__file_text(path, INT32_MAX, &text, &bytes));
    /* Pictures are placed before the tables of a report that has none so far. */
    const char *begins = strstr(text, BEGINS), *ends = begins ? strstr(begins, ENDS) : NULL;
    const char *tables = strstr(text, "<section class=\"tables\">");
    const char *from = ends ? begins : tables, *to = ends ? ends + strlen(ENDS) : tables;
    ls_status   status = LS_OK;
    if (from) status = replace_pictures(path, folder, text, bytes, (size_t)(from - text), (size_t)(to - text));
    *shown = from && status == LS_OK;
    free(text);
    return status;
}
