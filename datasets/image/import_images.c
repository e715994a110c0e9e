/* SPDX-License-Identifier: Apache-2.0
 *
 * Imports a tree of image files, in three steps:
 *
 *   1. Every rank lists the files, in the same order.  File i of N has a slot i in a temporary file of the dataset
 *      folder, for a record and for its pixels.
 *   2. Rank r of R decodes the files N r / R to N (r + 1) / R, on all its threads, and writes their slots.
 *   3. Rank 0 reads the records, chooses the split valid, computes mean and std of train from exact integer sums, and
 *      writes the dataset from the slots in the order of the files.
 *
 * Where the dataset keeps image files instead of pixels, step 2 decodes them all the same, for mean and std and to find
 * those that cannot be read.  The slots then hold only the records, and step 3 copies the files.
 *
 * So neither the ranks nor the threads show in the dataset, and memory does not depend on the number of pixels.
 *
 * The split valid is stratified: of each class, the files with the smallest keys, where the key of a file is the seeded
 * XXH3 of its XXH128.  Files of equal content stay on one side, and names and order of the files have no influence.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <omp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/io/file_access.h"
#include "datasets/files/options.h"
#include "datasets/image/image_decode.h"
#include "datasets/image/image_encoded.h"
#include "datasets/image/image_tree.h"

enum { MAX_BLOCK = 32, BLOCK_BYTES = 1 << 20 };

typedef enum record_state { RECORD_NONE, RECORD_VALID, RECORD_UNREADABLE } record_state;

typedef struct record {
    uint64_t hash[2];           /* XXH128 of the file */
    uint64_t bytes;             /* of the file        */
    uint64_t sum[3], square[3]; /* of the pixels of each channel, and of their squares */
    uint32_t state;
    uint32_t rotated; /* 1: the orientation of the file was reverted */
} record;

typedef struct image_import {
    ls_images_import o;
    ls_image_tree    tree;
    bool             resize; /* the caller has set the size */
    const char      *first;  /* file that has set the size, without resize */
    int64_t          sample; /* bytes of an image           */
    int64_t          slot;   /* bytes of pixels in a slot   */
    int              block;  /* images that are read and written at once */
    char             slots[LS_PATH_BYTES];
    int              fd; /* of the slots; -1: closed */

    record  *records;
    uint8_t *pixels;                /* of a block   */
    int64_t *sizes[LS_TREE_SPLITS]; /* bytes of the image files of a split */
} image_import;

static void say(const image_import *m, ls_images_note kind, const char *text)
{
    if (m->o.note) m->o.note(m->o.context, kind, text);
}

static ls_status agree(const image_import *m, ls_status own)
{
    return m->o.agree ? m->o.agree(m->o.context, own) : own;
}

/* ---- decoding ---------------------------------------------------------------------------------------------------- */

/* Decodes a file and puts it upright. */
static ls_status decode(const image_import *m, const ls_encoded *file, ls_pixels *p, record *r)
{
    int orientation;
    LS_TRY(ls__image_decode(file, p, &orientation));
    if (m->o.options.as_stored) return LS_OK;
    r->rotated = orientation > 1;
    return ls__image_orient(file->path, p, orientation);
}

static ls_status check_size(const image_import *m, const char *path, const ls_pixels *p)
{
    LS_CHECK(m->resize || (p->height == m->o.height && p->width == m->o.width), LS_ERR_USAGE,
             "%s: an image of %d x %d pixels, but %s has %d x %d; expected one size" LS_HINT
             "--size HxW resizes all images",
             path, p->height, p->width, m->first, m->o.height, m->o.width);
    return LS_OK;
}

static void add_sums(const image_import *m, const uint8_t *planes, record *r)
{
    enum { PART = 4096 }; /* 32 bits hold the sum of so many squares */
    int64_t plane = (int64_t)m->o.height * m->o.width;
    for (int c = 0; c < m->o.channels; c++, planes += plane)
        for (int64_t first = 0; first < plane; first += PART) {
            uint32_t sum = 0, square = 0, n = (uint32_t)(plane - first < PART ? plane - first : PART);
            for (uint32_t i = 0; i < n; i++) {
                uint32_t value = planes[first + i];
                sum += value;
                square += value * value;
            }
            r->sum[c] += sum;
            r->square[c] += square;
        }
}

/* Computes the pixels of a file, in planes, and its record. */
static ls_status read_image(const image_import *m, const char *path, uint8_t *planes, record *r)
{
    char     *text;
    size_t    bytes;
    ls_pixels p = {0};
    *r          = (record){.state = RECORD_NONE};
    if (ls__file_text(path, LS_MAX_IMAGE_FILE, &text, &bytes) != LS_OK) {
        ls_error error = ls_error_save(LS_ERR_DATA); /* whatever the reason, the policy for unreadable files applies */
        return ls_error_restore(&error);
    }
    ls_encoded    file = {.path = path, .data = (const uint8_t *)text, .bytes = bytes};
    XXH128_hash_t hash = XXH3_128bits(text, bytes);
    r->hash[0]         = hash.low64;
    r->hash[1]         = hash.high64;
    r->bytes           = bytes;
    ls_status status   = decode(m, &file, &p, r);
    free(text);
    if (status == LS_OK) status = check_size(m, path, &p);
    if (status == LS_OK)
        status = ls__image_fit(path, &p, &m->o.options, m->o.channels, m->o.height, m->o.width, planes);
    free(p.data);
    if (status == LS_OK) add_sums(m, planes, r);
    return status;
}

/* ---- slots ------------------------------------------------------------------------------------------------------- */

static int64_t record_at(int64_t i) { return i * (int64_t)sizeof(record); }
static int64_t pixels_at(const image_import *m, int64_t i) { return record_at(m->tree.files) + i * m->slot; }

/* Fills `n` slots from slot `first` on.  buffer: n images. */
static ls_status import_block(const image_import *m, int64_t first, int n, uint8_t *buffer)
{
    record r[MAX_BLOCK];
    for (int k = 0; k < n; k++) {
        ls_status status = read_image(m, m->tree.file[first + k].path, buffer + k * m->sample, &r[k]);
        if (status != LS_OK && status != LS_ERR_DATA) return ls__trace(status, __FILE__, __LINE__, __func__);
        r[k].state = status == LS_OK ? RECORD_VALID : RECORD_UNREADABLE;
    }
    LS_TRY(ls__file_write_at(m->slots, m->fd, pixels_at(m, first), buffer, (size_t)(n * m->slot)));
    return ls__file_write_at(m->slots, m->fd, record_at(first), r, (size_t)n * sizeof *r);
}

/* Decodes this rank's files on all threads.  The first error ends the work. */
static ls_status import_part(image_import *m)
{
    int64_t     first = m->tree.files * m->o.rank / m->o.ranks, end = m->tree.files * (m->o.rank + 1) / m->o.ranks;
    atomic_int  failed = 0;
    atomic_long done   = 0;
    ls_error    error  = {.status = LS_OK};
#pragma omp parallel
    {
        uint8_t *buffer = calloc((size_t)m->block, (size_t)m->sample);
#pragma omp for schedule(dynamic)
        for (int64_t i = first; i < end; i += m->block) {
            if (atomic_load(&failed)) continue;
            int       n      = end - i < m->block ? (int)(end - i) : m->block;
            ls_status status = buffer ? import_block(m, i, n, buffer)
                                      : LS_FAIL(LS_ERR_ENV, "%s: out of memory for %d images", m->o.out, m->block);
            if (status != LS_OK && !atomic_exchange(&failed, 1)) error = ls_error_save(status);
            int64_t so_far = atomic_fetch_add(&done, n) + n;
            if (m->o.progress && omp_get_thread_num() == 0) m->o.progress(m->o.context, so_far, end - first);
        }
        free(buffer);
    }
    return error.status == LS_OK ? LS_OK : ls_error_restore(&error);
}

/* Rank 0 makes the file of the slots, then the other ranks open it. */
static ls_status open_slots(image_import *m, bool create)
{
    if (create) {
        LS_TRY(ls__make_folders(m->o.out, NULL));
        unlink(m->slots); /* left by an import that was killed */
    }
    m->fd = open(m->slots, create ? O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC : O_RDWR | O_CLOEXEC, 0666);
    if (m->fd < 0 && !create)
        return LS_FAIL(LS_ERR_ENV, "%s: %s" LS_HINT "all ranks need a folder that they share", m->slots,
                       strerror(errno));
    if (m->fd < 0) return LS_FAIL_ERRNO("%s: cannot be created", m->slots);
    if (create && ftruncate(m->fd, pixels_at(m, m->tree.files)))
        return LS_FAIL_ERRNO("%s: the temporary file of the decoded images cannot grow", m->slots);
    return LS_OK;
}

/* ---- rank 0: which files become samples -------------------------------------------------------------------------- */

static ls_status read_records(image_import *m)
{
    size_t bytes = (size_t)m->tree.files * sizeof *m->records;
    m->records   = malloc(bytes);
    m->pixels    = malloc((size_t)(m->block * m->sample));
    LS_CHECK(m->records && m->pixels, LS_ERR_ENV, "%s: out of memory for %lld files", m->o.out,
             (long long)m->tree.files);
    return ls__file_read_at(m->slots, m->fd, 0, m->records, bytes);
}

/* Counts the files that cannot be read, and reads each again for its message. */
static ls_status check_records(image_import *m)
{
    const char *first = NULL;
    for (int64_t i = 0; i < m->tree.files; i++) {
        const char *path = m->tree.file[i].path;
        record      r;
        m->o.rotated += m->records[i].rotated && m->records[i].state == RECORD_VALID;
        if (m->records[i].state == RECORD_VALID) continue;
        ls_status   status = read_image(m, path, m->pixels, &r);
        const char *text   = status != LS_OK ? ls_error_message() : ls_arena_printf(m->tree.arena, "%s: changed", path);
        int         length = (int)strcspn(text, "\n"); /* without the hint */
        text               = ls_arena_printf(m->tree.arena, "%.*s", length, text);
        if (!first) first = text;
        m->o.unreadable++;
        say(m, LS_IMAGES_UNREADABLE, text);
    }
    LS_CHECK(!first || m->o.skip, LS_ERR_DATA,
             "%s: %lld of %lld files cannot be read, the first: %s" LS_HINT "--on-error skip leaves them out",
             m->o.folder, (long long)m->o.unreadable, (long long)m->tree.files, first);
    return LS_OK;
}

typedef struct keyed {
    uint64_t key[2];
    int64_t  i; /* index of the file */
} keyed;

static int by_key(const void *a, const void *b)
{
    const keyed *x = a, *y = b;
    for (int k = 0; k < 2; k++)
        if (x->key[k] != y->key[k]) return x->key[k] < y->key[k] ? -1 : 1;
    return x->i < y->i ? -1 : x->i > y->i;
}

static bool is_valid(const image_import *m, int64_t i) { return m->records[i].state == RECORD_VALID; }

/* Moves files of one class from train to valid. */
static void hold_out(image_import *m, keyed *k, int64_t n)
{
    int64_t cut = (int64_t)llround((double)n * m->o.valid);
    qsort(k, (size_t)n, sizeof *k, by_key);
    if (cut == 0) return;
    while (cut < n && k[cut].key[0] == k[cut - 1].key[0]) cut++; /* equal content */
    for (int64_t j = 0; j < cut; j++) m->tree.file[k[j].i].split = LS_TREE_VALID;
}

static void choose_valid(image_import *m, keyed *k)
{
    int64_t n = 0;
    for (int64_t i = 0; i <= m->tree.files; i++) {
        const ls_tree_file *f = i < m->tree.files ? &m->tree.file[i] : NULL;
        if (n && (!f || f->split != LS_TREE_TRAIN || f->label != m->tree.file[k[0].i].label)) {
            hold_out(m, k, n);
            n = 0;
        }
        if (f && f->split == LS_TREE_TRAIN && is_valid(m, i))
            k[n++] = (keyed){.key = {XXH3_64bits_withSeed(m->records[i].hash, sizeof m->records[i].hash, m->o.seed)},
                             .i   = i};
    }
}

/* Reports files of equal content that are in different splits or classes. */
static void find_duplicates(image_import *m, keyed *k)
{
    int64_t n = 0;
    for (int64_t i = 0; i < m->tree.files; i++)
        if (is_valid(m, i)) k[n++] = (keyed){.key = {m->records[i].hash[0], m->records[i].hash[1]}, .i = i};
    qsort(k, (size_t)n, sizeof *k, by_key);
    for (int64_t j = 1; j < n; j++) {
        if (memcmp(k[j].key, k[j - 1].key, sizeof k[j].key) != 0) continue;
        const ls_tree_file *a = &m->tree.file[k[j - 1].i], *b = &m->tree.file[k[j].i];
        m->o.duplicates++;
        m->o.across += a->split != b->split;
        if (a->split == b->split && a->label == b->label) continue;
        say(m, LS_IMAGES_DUPLICATE,
            ls_arena_printf(m->tree.arena, "%s (%s, class %s) has the content of %s (%s, class %s)", b->path,
                            ls__tree_split[b->split], m->tree.class_name[b->label], a->path, ls__tree_split[a->split],
                            m->tree.class_name[a->label]));
    }
}

/* Counts the samples of each split and class, and remarks on classes without any. */
static ls_status count_samples(image_import *m)
{
    int      classes = m->tree.classes;
    int64_t *of      = ls_arena_alloc(m->tree.arena, sizeof *of * (size_t)classes * LS_TREE_SPLITS);
    for (int64_t i = 0; i < m->tree.files; i++)
        if (is_valid(m, i)) {
            m->o.count[m->tree.file[i].split]++;
            of[m->tree.file[i].split * classes + m->tree.file[i].label]++;
        }
    for (int s = 0; s < LS_TREE_SPLITS; s++) {
        LS_CHECK(m->o.count[s] || (s != LS_TREE_TRAIN && !m->tree.has[s]), LS_ERR_DATA,
                 "%s: the split %s has no image that can be read", m->o.folder, ls__tree_split[s]);
        for (int c = 0; c < classes && m->o.count[s]; c++)
            if (!of[s * classes + c])
                say(m, LS_IMAGES_REMARK,
                    ls_arena_printf(m->tree.arena, "the class %s has no image in the split %s", m->tree.class_name[c],
                                    ls__tree_split[s]));
    }
    if (m->tree.hidden + m->tree.loose)
        say(m, LS_IMAGES_REMARK,
            ls_arena_printf(m->tree.arena, "ignored: %lld hidden names, %lld files outside of the folders of classes",
                            (long long)m->tree.hidden, (long long)m->tree.loose));
    return LS_OK;
}

static ls_status choose_samples(image_import *m)
{
    LS_TRY(check_records(m));
    keyed *k = malloc(sizeof *k * (size_t)m->tree.files);
    LS_CHECK(k, LS_ERR_ENV, "%s: out of memory for %lld files", m->o.out, (long long)m->tree.files);
    if (m->o.valid > 0) choose_valid(m, k);
    find_duplicates(m, k);
    free(k);
    return count_samples(m);
}

/* ---- rank 0: writing --------------------------------------------------------------------------------------------- */

static void mean_and_std(image_import *m)
{
    double n = (double)m->o.count[LS_TREE_TRAIN] * m->o.height * m->o.width;
    for (int c = 0; c < m->o.channels; c++) {
        uint64_t sum = 0, square = 0;
        for (int64_t i = 0; i < m->tree.files; i++) {
            if (!is_valid(m, i) || m->tree.file[i].split != LS_TREE_TRAIN) continue;
            sum += m->records[i].sum[c];
            square += m->records[i].square[c];
        }
        double mean = (double)sum / n, variance = (double)square / n - mean * mean;
        m->o.mean[c] = (float)(mean / 255);
        m->o.std[c]  = variance > 0 ? (float)(sqrt(variance) / 255) : 1.0f; /* all pixels are equal */
    }
}

/* The files of a split that become samples, one after the other. */
static bool in_split(const image_import *m, int64_t i, int split)
{
    return is_valid(m, i) && m->tree.file[i].split == split;
}

static ls_status write_pixels(image_import *m, int split, ls_writer *w)
{
    int64_t first = 0, end = 0; /* slots of the block in memory */
    for (int64_t i = 0; i < m->tree.files; i++) {
        if (!in_split(m, i, split)) continue;
        if (i >= end) {
            first = i;
            end   = m->tree.files - i < m->block ? m->tree.files : i + m->block;
            LS_TRY(ls__file_read_at(m->slots, m->fd, pixels_at(m, i), m->pixels, (size_t)((end - i) * m->sample)));
        }
        LS_TRY(ls_writer_add(w, m->pixels + (i - first) * m->sample, m->tree.file[i].label));
    }
    return LS_OK;
}

/* Copies an image file, which must be the one that was decoded. */
static ls_status copy_file(const image_import *m, int64_t i, ls_writer *w)
{
    const ls_tree_file *f = &m->tree.file[i];
    const record       *r = &m->records[i];
    char               *text;
    size_t              bytes;
    LS_TRY(ls__file_text(f->path, LS_MAX_IMAGE_FILE, &text, &bytes));
    XXH128_hash_t hash   = XXH3_128bits(text, bytes);
    bool          same   = bytes == r->bytes && hash.low64 == r->hash[0] && hash.high64 == r->hash[1];
    ls_status     status = same ? ls_writer_add(w, (const uint8_t *)text, f->label)
                                : LS_FAIL(LS_ERR_DATA, "%s: has changed during the import", f->path);
    free(text);
    return status;
}

static ls_status write_files(image_import *m, int split, ls_writer *w)
{
    for (int64_t i = 0; i < m->tree.files; i++)
        if (in_split(m, i, split)) LS_TRY(copy_file(m, i, w));
    return LS_OK;
}

static ls_status list_sizes(image_import *m, int split)
{
    int64_t *size   = malloc(sizeof *size * (size_t)m->o.count[split]);
    m->sizes[split] = size;
    LS_CHECK(size, LS_ERR_ENV, "%s: out of memory for %lld files", m->o.out, (long long)m->o.count[split]);
    for (int64_t i = 0; i < m->tree.files; i++)
        if (in_split(m, i, split)) *size++ = (int64_t)m->records[i].bytes;
    return LS_OK;
}

static ls_status write_split(image_import *m, int split, ls_writer **w)
{
    ls_dataset_info info = {.split         = ls__tree_split[split],
                            .count         = m->o.count[split],
                            .channels      = m->o.channels,
                            .height        = m->o.height,
                            .width         = m->o.width,
                            .classes       = m->tree.classes,
                            .class_names   = m->tree.class_name,
                            .image_options = m->o.options};
    memcpy(info.mean, m->o.mean, sizeof m->o.mean);
    memcpy(info.std, m->o.std, sizeof m->o.std);
    int shards = m->o.shards < info.count ? m->o.shards : (int)info.count;
    if (m->o.keep) LS_TRY(list_sizes(m, split));
    LS_TRY(ls__writer_new_encoded(w, m->o.out, &info, shards, m->sizes[split]));
    return (m->o.keep ? write_files : write_pixels)(m, split, *w);
}

static ls_status write_dataset(image_import *m)
{
    ls_writer *w[LS_TREE_SPLITS] = {NULL};
    ls_status  status            = LS_OK;
    mean_and_std(m);
    for (int s = 0; s < LS_TREE_SPLITS; s++)
        if (m->o.count[s]) LS_TRY_GOTO(status, write_split(m, s, &w[s]), end);
    for (int s = 0; s < LS_TREE_SPLITS; s++)
        if (w[s]) LS_TRY_GOTO(status, ls_writer_close(w[s]), end);
end:
    for (int s = LS_TREE_SPLITS - 1; s >= 0; s--) ls_writer_free(w[s]);
    return status;
}

static ls_status finish(image_import *m)
{
    LS_TRY(read_records(m));
    LS_TRY(choose_samples(m));
    return write_dataset(m);
}

/* ---- all steps --------------------------------------------------------------------------------------------------- */

/* Takes the size of the first image that can be read. */
static ls_status find_size(image_import *m)
{
    for (int64_t i = 0; i < m->tree.files && !m->o.height; i++) {
        char       *text;
        size_t      bytes;
        ls_pixels   p = {0};
        record      r;
        const char *path = m->tree.file[i].path;
        if (ls__file_text(path, LS_MAX_IMAGE_FILE, &text, &bytes) != LS_OK) continue;
        ls_encoded file = {.path = path, .data = (const uint8_t *)text, .bytes = bytes};
        if (decode(m, &file, &p, &r) == LS_OK) {
            m->o.height = p.height;
            m->o.width  = p.width;
            m->first    = path;
        }
        free(p.data);
        free(text);
    }
    LS_CHECK(m->o.height, LS_ERR_DATA, "%s: none of %lld files is an image that can be read", m->o.folder,
             (long long)m->tree.files);
    return LS_OK;
}

static ls_status prepare(image_import *m)
{
    ls_images_import *o = &m->o;
    LS_CHECK((!o->height && !o->width) ||
                 (o->height >= 1 && o->height <= LS_MAX_SIDE && o->width >= 1 && o->width <= LS_MAX_SIDE),
             LS_ERR_USAGE, "%s: images of %d x %d pixels; expected 1 to %d a side", o->out, o->height, o->width,
             LS_MAX_SIDE);
    LS_CHECK(o->channels == 0 || o->channels == 1 || o->channels == 3, LS_ERR_USAGE,
             "%s: %d channels; expected 1 (grey) or 3 (RGB)", o->out, o->channels);
    LS_CHECK(o->valid < 1, LS_ERR_USAGE, "%s: part of the split valid: expected less than 1, found %g", o->out,
             o->valid);
    LS_CHECK(o->rank >= 0 && o->rank < o->ranks && o->shards >= 1, LS_ERR_USAGE,
             "%s: rank %d of %d, %d shards; expected a rank below the number of ranks, and at least 1 shard", o->out,
             o->rank, o->ranks, o->shards);
    LS_TRY(ls__path(m->slots, "%s/.images.tmp", o->out));
    LS_TRY(ls__image_tree_read(&m->tree, o->folder, o->test, o->classes));
    LS_CHECK(m->tree.files, LS_ERR_DATA, "%s: the folders of %d classes hold no files", o->folder, m->tree.classes);
    o->classes_found = m->tree.classes;
    if (!o->channels) o->channels = 3;
    if (o->valid < 0) o->valid = m->tree.has[LS_TREE_VALID] || m->tree.has[LS_TREE_TEST] ? 0 : 0.1;
    LS_CHECK(!(o->valid > 0 && m->tree.has[LS_TREE_VALID]), LS_ERR_USAGE,
             "%s: has a split valid already; expected no part of train as a second one", o->folder);
    m->resize = o->height > 0;
    LS_TRY(find_size(m));
    m->sample = (int64_t)o->channels * o->height * o->width;
    LS_CHECK(m->sample <= LS_MAX_SAMPLE_BYTES, LS_ERR_DATA, "%s: images of %lld bytes; expected at most %d", o->out,
             (long long)m->sample, LS_MAX_SAMPLE_BYTES);
    m->slot  = o->keep ? 0 : m->sample;
    m->block = m->sample * MAX_BLOCK <= BLOCK_BYTES ? MAX_BLOCK
               : m->sample < BLOCK_BYTES            ? (int)(BLOCK_BYTES / m->sample)
                                                    : 1;
    return LS_OK;
}

static ls_status import(image_import *m)
{
    bool root = m->o.rank == 0;
    LS_TRY(agree(m, prepare(m)));
    LS_TRY(agree(m, root ? open_slots(m, true) : LS_OK));
    LS_TRY(agree(m, root ? LS_OK : open_slots(m, false)));
    LS_TRY(agree(m, import_part(m)));
    return agree(m, root ? finish(m) : LS_OK);
}

ls_status ls_import_images(ls_images_import *options)
{
    image_import *m = calloc(1, sizeof *m);
    LS_CHECK(m, LS_ERR_ENV, "%s: out of memory", options->out);
    m->fd            = -1;
    ls_status status = ls__options_copy(&m->o, sizeof m->o, options, "ls_images_import");
    if (status == LS_OK) {
        if (!m->o.ranks) m->o.ranks = 1;
        status = import(m);
    }
    if (m->fd >= 0) close(m->fd);
    if (m->o.rank == 0 && m->slots[0] && m->fd >= 0) unlink(m->slots);
    if (status != LS_OK && m->o.rank == 0 && m->o.out) rmdir(m->o.out); /* empty: nothing was imported */
    if (status == LS_OK) memcpy(options, &m->o, m->o.size);
    ls__image_tree_free(&m->tree);
    for (int s = 0; s < LS_TREE_SPLITS; s++) free(m->sizes[s]);
    free(m->records);
    free(m->pixels);
    free(m);
    return status;
}
