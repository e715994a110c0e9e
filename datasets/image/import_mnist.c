/* SPDX-License-Identifier: Apache-2.0
 *
 * Imports the idx files of MNIST (http://yann.lecun.com/exdb/mnist).  An idx file, gzip or not:
 *
 *     bytes 0..3   magic: 0 0 8 n     8: unsigned bytes, n: number of dims
 *     n x 4 bytes  dims, big-endian
 *     values       last dim fastest
 *
 * Files are read twice, one sample at a time.  The first pass checks them and computes mean and std of the training
 * split, the second writes.  So memory does not depend on the sizes in a header, and nothing is written before all
 * files were checked.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "datasets/files/dataset.h"

enum { CLASSES = 10, PATH_BYTES = 4096, MAX_SIDE = 4096 };

typedef struct idx {
    char     path[PATH_BYTES];
    gzFile   file;
    bool     packed;
    int64_t  dim[3];
    int      rank;
    uint64_t bytes; /* size of the file on disk */
} idx;

typedef struct pair {
    idx images, labels;
} pair;

static void close_idx(idx *f)
{
    if (f->file) gzclose(f->file);
    f->file = NULL;
}

static void close_pair(pair *p)
{
    close_idx(&p->images);
    close_idx(&p->labels);
}

static ls_status read_bytes(idx *f, void *data, size_t bytes, const char *what)
{
    for (size_t done = 0; done < bytes;) {
        unsigned    part = bytes - done > 1 << 20 ? 1 << 20 : (unsigned)(bytes - done);
        int         n    = gzread(f->file, (char *)data + done, part), error;
        const char *text = gzerror(f->file, &error);
        LS_CHECK(n >= 0, LS_ERR_DATA, "%s: %s cannot be read: %s" LS_HINT "the file is damaged: download it again",
                 f->path, what, error == Z_ERRNO ? strerror(errno) : text);
        LS_CHECK(n > 0, LS_ERR_DATA, "%s: ends within %s" LS_HINT "the file is truncated: download it again", f->path,
                 what);
        done += (size_t)n;
    }
    return LS_OK;
}

static uint32_t big_endian(const uint8_t *b)
{
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* Opens STEM or STEM.gz in the folder; the stem may also have the form "train-images.idx3-ubyte". */
static ls_status find(idx *f, const char *folder, const char *stem)
{
    struct stat st;
    char        dotted[64];
    snprintf(dotted, sizeof dotted, "%s", stem);
    char *dash = strstr(dotted, "-idx");
    if (dash) *dash = '.';
    const char *const names[] = {stem, dotted};
    for (int k = 0; k < 4; k++) {
        int length = snprintf(f->path, sizeof f->path, "%s/%s%s", folder, names[k / 2], k % 2 ? ".gz" : "");
        LS_CHECK(length < PATH_BYTES, LS_ERR_USAGE, "%s: expected a path of at most %d bytes", folder, PATH_BYTES - 1);
        if (stat(f->path, &st)) continue;
        LS_CHECK(S_ISREG(st.st_mode), LS_ERR_DATA, "%s: expected a file", f->path);
        f->file = gzopen(f->path, "rbe");
        LS_CHECK(f->file, LS_ERR_DATA, "%s: %s", f->path, strerror(errno));
        gzbuffer(f->file, 1 << 17);
        f->bytes  = (uint64_t)st.st_size;
        f->packed = !gzdirect(f->file);
        return LS_OK;
    }
    return LS_FAIL(LS_ERR_DATA,
                   "%s: has no %s, nor %s.gz" LS_HINT "`lockstep data fetch mnist` downloads the four files of MNIST",
                   folder, stem, stem);
}

static ls_status read_header(idx *f, int rank)
{
    uint8_t header[4 + 4 * 3];
    size_t  bytes = 4 + 4 * (size_t)rank;
    LS_TRY(read_bytes(f, header, bytes, "its header"));
    uint32_t magic = big_endian(header), expected = 0x800 + (uint32_t)rank;
    LS_CHECK(magic == expected, LS_ERR_DATA, "%s: starts with 0x%08x; expected 0x%08x: bytes in %d dim%s" LS_HINT "%s",
             f->path, magic, expected, rank, rank == 1 ? "" : "s",
             magic >> 8 == 8 ? "check that the files of images and labels are not swapped"
                             : "check that this is an idx file");
    int64_t total = 1;
    f->rank       = rank;
    for (int i = 0; i < rank; i++) {
        f->dim[i] = big_endian(header + 4 + 4 * i);
        LS_CHECK(f->dim[i] >= 1, LS_ERR_DATA, "%s: %s", f->path,
                 i ? "images of 0 pixels; expected at least 1" : "has 0 samples; expected at least 1");
        LS_CHECK(i == 0 || f->dim[i] <= MAX_SIDE, LS_ERR_DATA, "%s: images of %lld pixels a side; expected at most %d",
                 f->path, (long long)f->dim[i], MAX_SIDE);
        total *= f->dim[i]; /* < 2^32 x 2^12 x 2^12 */
    }
    LS_CHECK(f->packed || f->bytes == (uint64_t)total + bytes, LS_ERR_DATA,
             "%s: has %llu bytes, but its header needs %llu" LS_HINT "the file is %s: download it again", f->path,
             (unsigned long long)f->bytes, (unsigned long long)total + bytes,
             f->bytes < (uint64_t)total + bytes ? "truncated" : "longer than it should be");
    return LS_OK;
}

static ls_status expect_end(idx *f)
{
    char        more;
    int         n    = gzread(f->file, &more, 1), error;
    const char *text = gzerror(f->file, &error);
    LS_CHECK(n <= 0, LS_ERR_DATA,
             "%s: has more data than the %lld samples of its header" LS_HINT
             "the file is longer than it should be: download it again",
             f->path, (long long)f->dim[0]);
    LS_CHECK(n == 0 && (error == Z_OK || error == Z_STREAM_END), LS_ERR_DATA,
             "%s: is damaged at its end: %s" LS_HINT "download it again", f->path, text);
    return LS_OK;
}

static ls_status open_pair(pair *p, const char *folder, const char *prefix)
{
    char stem[64];
    snprintf(stem, sizeof stem, "%s-images-idx3-ubyte", prefix);
    LS_TRY(find(&p->images, folder, stem));
    LS_TRY(read_header(&p->images, 3));
    snprintf(stem, sizeof stem, "%s-labels-idx1-ubyte", prefix);
    LS_TRY(find(&p->labels, folder, stem));
    LS_TRY(read_header(&p->labels, 1));
    LS_CHECK(p->images.dim[0] == p->labels.dim[0], LS_ERR_DATA,
             "%s: %lld images, but %lld labels in %s; expected as many", p->images.path, (long long)p->images.dim[0],
             (long long)p->labels.dim[0], p->labels.path);
    return LS_OK;
}

/* Reads all samples.  Counts pixel values in `histogram` and adds the samples to `w`, each unless NULL. */
static ls_status read_samples(pair *p, uint8_t *pixels, uint64_t *histogram, ls_writer *w)
{
    size_t sample = (size_t)(p->images.dim[1] * p->images.dim[2]);
    for (int64_t i = 0; i < p->images.dim[0]; i++) {
        uint8_t label;
        LS_TRY(read_bytes(&p->images, pixels, sample, "its images"));
        LS_TRY(read_bytes(&p->labels, &label, 1, "its labels"));
        LS_CHECK(label < CLASSES, LS_ERR_DATA, "%s: sample %lld has label %d; expected 0 to %d", p->labels.path,
                 (long long)i, label, CLASSES - 1);
        if (histogram)
            for (size_t k = 0; k < sample; k++) histogram[pixels[k]]++;
        if (w) LS_TRY(ls_writer_add(w, pixels, label));
    }
    LS_TRY(expect_end(&p->images));
    LS_TRY(expect_end(&p->labels));
    return LS_OK;
}

/* Opens the files of images and labels, and reads them to their end. */
static ls_status read_pair(const char *folder, const char *prefix, uint64_t *histogram, ls_writer *w,
                           ls_dataset_info *info)
{
    pair     *p      = calloc(1, sizeof *p);
    uint8_t  *pixels = NULL;
    ls_status status;
    LS_CHECK(p, LS_ERR_ENV, "%s: out of memory", folder);
    LS_TRY_GOTO(status, open_pair(p, folder, prefix), end);
    /* The files may have been replaced between the two passes. */
    if (w && (p->images.dim[0] != info->count || p->images.dim[1] != info->height || p->images.dim[2] != info->width)) {
        status = LS_FAIL(LS_ERR_DATA, "%s: changed while it was imported", p->images.path);
        goto end;
    }
    info->count    = p->images.dim[0];
    info->channels = 1;
    info->height   = (int)p->images.dim[1];
    info->width    = (int)p->images.dim[2];
    pixels         = malloc((size_t)ls__sample_bytes(info));
    status         = pixels ? read_samples(p, pixels, histogram, w)
                            : LS_FAIL(LS_ERR_ENV, "%s: out of memory for an image", p->images.path);
end:
    free(pixels);
    close_pair(p);
    free(p);
    return status;
}

/* Computes mean and std exactly, from the counts of the 256 pixel values. */
static void mean_and_std(const uint64_t histogram[256], float *mean, float *std)
{
    double n = 0, sum = 0, squares = 0;
    for (int v = 0; v < 256; v++) {
        n += (double)histogram[v];
        sum += (double)histogram[v] * v;
        squares += (double)histogram[v] * v * v;
    }
    double m = sum / n, variance = squares / n - m * m;
    *mean = (float)(m / 255);
    *std  = variance > 0 ? (float)(sqrt(variance) / 255) : 1.0f; /* all pixels are equal */
}

ls_status ls_import_mnist(const char *folder, const char *out, int shards)
{
    static const char *const names[CLASSES] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
    static const struct {
        const char *split, *prefix;
    } splits[] = {{"train", "train"}, {"test", "t10k"}};
    enum { SPLITS = sizeof splits / sizeof *splits };
    uint64_t        histogram[256] = {0};
    ls_dataset_info info[SPLITS]   = {{0}};
    ls_writer      *w[SPLITS]      = {NULL};
    ls_status       status         = LS_OK;
    for (int k = 0; k < SPLITS; k++) {
        info[k] = (ls_dataset_info){.split = splits[k].split, .classes = CLASSES, .class_names = names};
        LS_TRY(read_pair(folder, splits[k].prefix, k ? NULL : histogram, NULL, &info[k]));
        if (!k) mean_and_std(histogram, info[0].mean, info[0].std);
        info[k].mean[0] = info[0].mean[0];
        info[k].std[0]  = info[0].std[0];
    }
    LS_CHECK(info[0].height == info[1].height && info[0].width == info[1].width, LS_ERR_DATA,
             "%s: images of %d x %d for training, %d x %d for testing; expected one size", folder, info[0].height,
             info[0].width, info[1].height, info[1].width);
    for (int k = 0; k < SPLITS; k++) {
        int files = shards < info[k].count || !k
                        ? shards
                        : (int)info[k].count; /* a small test split has fewer samples than files wanted */
        LS_TRY_GOTO(status, ls_writer_new(&w[k], out, &info[k], files), end);
        LS_TRY_GOTO(status, read_pair(folder, splits[k].prefix, NULL, w[k], &info[k]), end);
    }
    for (int k = 0; k < SPLITS; k++) LS_TRY_GOTO(status, ls_writer_close(w[k]), end);
end:
    for (int k = SPLITS - 1; k >= 0; k--) ls_writer_free(w[k]); /* the first writer made the folder: free it last */
    return status;
}
