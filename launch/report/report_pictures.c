/* SPDX-License-Identifier: Apache-2.0
 * Pictures of `lockstep explain` in report.html, as part of that one file. */
#include <errno.h>
#include <limits.h>
#include <nettle/base64.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "launch/report/report_html.h"

#define BEGINS "<!-- pictures -->\n"
#define ENDS "<!-- end of pictures -->\n"

static const struct picture {
    const char *file, *title;
} pictures[] = {
    {"attention.png", "Attention"},
    {"positions.png", "Positions"},
    {"scores.png", "Scores"},
};

static void write_base64(FILE *to, FILE *from)
{
    uint8_t in[3 * 4096];
    char    out[BASE64_ENCODE_RAW_LENGTH(sizeof in)];
    for (size_t n; (n = fread(in, 1, sizeof in, from)) > 0;) {
        base64_encode_raw(out, n, in);
        fwrite(out, 1, BASE64_ENCODE_RAW_LENGTH(n), to);
    }
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
        write_base64(f, png);
        fputs("\"></figure>\n", f);
        fclose(png);
    }
    fputs(ENDS, f);
}

/* All of a file, ended by 0; NULL and errno. */
static char *read_whole(const char *path, size_t *bytes)
{
    struct stat s;
    FILE       *f = fopen(path, "re");
    if (!f) return NULL;
    char *text = fstat(fileno(f), &s) == 0 && s.st_size < (off_t)1 << 31 ? malloc((size_t)s.st_size + 1) : NULL;
    *bytes     = text ? fread(text, 1, (size_t)s.st_size, f) : 0;
    if (text) text[*bytes] = 0;
    fclose(f);
    return text;
}

ls_status ls_report_show(const char *folder, bool *shown)
{
    char   path[PATH_MAX], temporary[PATH_MAX];
    size_t bytes = 0;
    *shown       = false;
    LS_CHECK(snprintf(path, sizeof path, "%s/report.html", folder) + 5 < (int)sizeof path, LS_ERR_USAGE,
             "%.60s...: the name is too long", folder);
    snprintf(temporary, sizeof temporary, "%.*s.tmp", (int)sizeof temporary - 8, path);
    char *text = read_whole(path, &bytes);
    if (!text && errno == ENOENT) return LS_OK;
    LS_CHECK(text, LS_ERR_ENV, "%s: cannot read: %s", path, strerror(errno));
    /* A report of a program that knew no pictures has its tables where they would begin. */
    char *begins = strstr(text, BEGINS), *ends = begins ? strstr(begins, ENDS) : NULL,
         *tables   = strstr(text, "<section class=\"tables\">");
    char     *from = ends ? begins : tables, *to = ends ? ends + strlen(ENDS) : tables;
    FILE     *f      = from ? fopen(temporary, "we") : NULL;
    ls_status status = !from || f ? LS_OK : LS_FAIL(LS_ERR_ENV, "%s: cannot write: %s", temporary, strerror(errno));
    if (f) {
        fwrite(text, 1, (size_t)(from - text), f);
        ls__report_pictures(f, folder);
        fwrite(to, 1, bytes - (size_t)(to - text), f);
        bool bad = ferror(f) != 0;
        if (fclose(f) != 0 || bad || rename(temporary, path) != 0) {
            status = LS_FAIL(LS_ERR_ENV, "%s: cannot write: %s", path, strerror(errno));
            unlink(temporary);
        } else {
            *shown = true;
        }
    }
    free(text);
    return status;
}
