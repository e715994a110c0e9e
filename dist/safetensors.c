/* SPDX-License-Identifier: Apache-2.0
 *
 * Parameters as a safetensors file (https://github.com/huggingface/safetensors, format of version 0.4):
 *
 *     8 bytes   N, little endian
 *     N bytes   JSON: {"conv1.weight": {"dtype": "F32", "shape": [6, 1, 5, 5], "data_offsets": [0, 600]}, ...},
 *               padded with spaces; "__metadata__" may hold texts
 *     the rest  the values, row-major, little endian; the tensors follow one another without gap or overlap
 *
 * Read, every field is hostile until checked, and no parameter is touched before all of the header is. F16 and BF16 are
 * widened on the way; each of their values is a float32.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/arena.h"
#include "dist/atomic.h"
#include "dist/dist.h"

enum { PREFIX = 8, MAX_RANK = 32, LISTED = 8, PIECE = 1 << 16 };
#define MAX_HEADER ((uint64_t)100 << 20) /* as in the reference implementation */

typedef void widen_fn(float *out, const void *in, size_t n);

/* (sign, exponent, fraction) of 16 bits to those of 32. */
static float from_half(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = (h >> 10) & 31, fraction = h & 0x3ffu, bits;
    if (exponent == 31) {
        bits = 0x7f800000u | fraction << 13;
    } else if (exponent) {
        bits = (exponent + 112) << 23 | fraction << 13;
    } else { /* 0 or subnormal: fraction * 2^-24, exact in float32 */
        float value = (float)fraction * 0x1p-24f;
        memcpy(&bits, &value, sizeof bits);
    }
    bits |= sign;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void widen_f16(float *out, const void *in, size_t n)
{
    const uint16_t *half = in;
    for (size_t i = 0; i < n; i++) out[i] = from_half(half[i]);
}

static void widen_bf16(float *out, const void *in, size_t n)
{
    const uint16_t *top = in;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = (uint32_t)top[i] << 16;
        memcpy(&out[i], &bits, sizeof bits);
    }
}

static void widen_f32(float *out, const void *in, size_t n) { memcpy(out, in, n * sizeof *out); }

static const struct kind {
    const char *name;
    int         bytes;
    widen_fn   *widen; /* NULL: can't be a parameter, but may stand in the file */
} kinds[] = {
    {"F32", 4, widen_f32}, {"F16", 2, widen_f16}, {"BF16", 2, widen_bf16}, {"F64", 8, NULL},     {"I64", 8, NULL},
    {"I32", 4, NULL},      {"I16", 2, NULL},      {"I8", 1, NULL},         {"U64", 8, NULL},     {"U32", 4, NULL},
    {"U16", 2, NULL},      {"U8", 1, NULL},       {"BOOL", 1, NULL},       {"F8_E4M3", 1, NULL}, {"F8_E5M2", 1, NULL},
};

typedef struct entry {
    const char        *name;
    const struct kind *kind;
    int                rank;
    int64_t            dim[MAX_RANK], numel;
    int64_t            begin, end; /* bytes, from the end of the header */
    bool               wanted;
} entry;

/* A file being read. */
typedef struct reader {
    const char *path;
    int         fd;
    int64_t     bytes, data_at; /* of the file; where its values begin */
    json_t     *header;
    ls_arena   *arena;
    entry      *entry;
    int         entries;
} reader;

static const char *shape_text(char text[256], int rank, const int64_t *dim)
{
    size_t used = (size_t)snprintf(text, 256, rank ? "" : "(scalar)");
    for (int i = 0; i < rank && used < 230; i++) used += (size_t)snprintf(text + used, 256 - used, "%s%" PRId64, i ? " x " : "", dim[i]);
    return text;
}

/* ---- the header ---------------------------------------------------------------------------------------------------- */

static ls_status read_at(const reader *r, void *data, size_t bytes, int64_t at)
{
    char *out = data;
    while (bytes) {
        ssize_t n = pread(r->fd, out, bytes < (size_t)1 << 30 ? bytes : (size_t)1 << 30, at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return LS_FAIL_ERRNO("cannot read %s", r->path);
        LS_CHECK(n > 0, LS_ERR_DATA, "%s: ended at byte %" PRId64 " while it was read" LS_HINT "is another program writing it?", r->path,
                 at);
        out += n;
        at += n;
        bytes -= (size_t)n;
    }
    return LS_OK;
}

static ls_status open_file(reader *r)
{
    struct stat info;
    r->fd = open(r->path, O_RDONLY | O_CLOEXEC);
    if (r->fd < 0) return LS_FAIL_ERRNO("cannot read %s", r->path);
    if (fstat(r->fd, &info) != 0) return LS_FAIL_ERRNO("cannot read %s", r->path);
    LS_CHECK(S_ISREG(info.st_mode), LS_ERR_DATA, "%s: expected a safetensors file, found something that is not a file", r->path);
    r->bytes = info.st_size;
    return LS_OK;
}

static ls_status read_header(reader *r)
{
    unsigned char prefix[PREFIX];
    LS_CHECK(r->bytes >= PREFIX + 2, LS_ERR_DATA, "%s: expected a safetensors file, found only %" PRId64 " bytes", r->path, r->bytes);
    LS_TRY(read_at(r, prefix, PREFIX, 0));
    uint64_t length = 0;
    for (int i = PREFIX - 1; i >= 0; i--) length = length << 8 | prefix[i];
    LS_CHECK(length >= 2 && length <= (uint64_t)r->bytes - PREFIX, LS_ERR_DATA,
             "%s: its first 8 bytes announce a header of %" PRIu64 " bytes, but the file has only %" PRId64 LS_HINT
             "is it a safetensors file, and complete?",
             r->path, length, r->bytes);
    LS_CHECK(length <= MAX_HEADER, LS_ERR_DATA, "%s: a header of %" PRIu64 " bytes is larger than the %" PRIu64 " that the format allows",
             r->path, length, MAX_HEADER);
    char *text = malloc(length);
    LS_CHECK(text, LS_ERR_ENV, "%s: no memory for a header of %" PRIu64 " bytes", r->path, length);
    ls_status    status = read_at(r, text, length, PREFIX);
    json_error_t error;
    if (status == LS_OK && text[0] != '{')
        status = LS_FAIL(LS_ERR_DATA, "%s: expected a header that begins with '{', found byte 0x%02x", r->path, (unsigned char)text[0]);
    if (status == LS_OK && !(r->header = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error)))
        status = LS_FAIL(LS_ERR_DATA, "%s: its header is no JSON: %s (line %d, column %d)", r->path, error.text, error.line, error.column);
    free(text);
    r->data_at = PREFIX + (int64_t)length;
    return status;
}

static ls_status read_kind(const reader *r, entry *e, const json_t *value)
{
    const char *name = json_string_value(value);
    LS_CHECK(name, LS_ERR_DATA, "%s: tensor '%s': expected a text as its dtype", r->path, e->name);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, name) == 0) e->kind = &kinds[i];
    LS_CHECK(e->kind, LS_ERR_DATA, "%s: tensor '%s': unknown dtype '%.20s'", r->path, e->name, name);
    return LS_OK;
}

static ls_status read_shape(const reader *r, entry *e, const json_t *value)
{
    LS_CHECK(json_is_array(value), LS_ERR_DATA, "%s: tensor '%s': expected a list as its shape", r->path, e->name);
    size_t rank = json_array_size(value);
    LS_CHECK(rank <= MAX_RANK, LS_ERR_DATA, "%s: tensor '%s' has %zu dims; at most %d are read", r->path, e->name, rank, MAX_RANK);
    e->rank  = (int)rank;
    e->numel = 1;
    for (int i = 0; i < e->rank; i++) {
        const json_t *dim = json_array_get(value, (size_t)i);
        LS_CHECK(json_is_integer(dim) && json_integer_value(dim) >= 0, LS_ERR_DATA, "%s: tensor '%s': dim %d is not a size", r->path,
                 e->name, i);
        e->dim[i] = json_integer_value(dim);
        LS_CHECK(!__builtin_mul_overflow(e->numel, e->dim[i], &e->numel), LS_ERR_DATA, "%s: tensor '%s' is larger than an address space",
                 r->path, e->name);
    }
    return LS_OK;
}

static ls_status read_offsets(const reader *r, entry *e, const json_t *value)
{
    int64_t       data  = r->bytes - r->data_at, bytes;
    const json_t *begin = json_array_get(value, 0), *end = json_array_get(value, 1);
    LS_CHECK(json_array_size(value) == 2 && json_is_integer(begin) && json_is_integer(end), LS_ERR_DATA,
             "%s: tensor '%s': expected [begin, end] as its data_offsets", r->path, e->name);
    e->begin = json_integer_value(begin);
    e->end   = json_integer_value(end);
    LS_CHECK(e->begin >= 0 && e->begin <= e->end && e->end <= data, LS_ERR_DATA,
             "%s: tensor '%s' lies at [%" PRId64 ", %" PRId64 "), outside of the %" PRId64 " bytes of values" LS_HINT
             "is the file complete?",
             r->path, e->name, e->begin, e->end, data);
    char shape[256];
    LS_CHECK(!__builtin_mul_overflow(e->numel, (int64_t)e->kind->bytes, &bytes), LS_ERR_DATA,
             "%s: tensor '%s' is larger than an address space", r->path, e->name);
    LS_CHECK(bytes == e->end - e->begin, LS_ERR_DATA, "%s: tensor '%s' has %" PRId64 " bytes, but %s of %s takes %" PRId64, r->path,
             e->name, e->end - e->begin, shape_text(shape, e->rank, e->dim), e->kind->name, bytes);
    return LS_OK;
}

static ls_status read_entry(const reader *r, entry *e, const json_t *value)
{
    LS_CHECK(json_is_object(value), LS_ERR_DATA, "%s: tensor '%s': expected an object with dtype, shape and data_offsets", r->path,
             e->name);
    LS_TRY(read_kind(r, e, json_object_get(value, "dtype")));
    LS_TRY(read_shape(r, e, json_object_get(value, "shape")));
    LS_TRY(read_offsets(r, e, json_object_get(value, "data_offsets")));
    return LS_OK;
}

static int by_place(const void *x, const void *y)
{
    const entry *p = x, *q = y;
    if (p->begin != q->begin) return p->begin < q->begin ? -1 : 1;
    return (p->end > q->end) - (p->end < q->end);
}

/* All tensors, in the order of their values, which fill the file without gap or overlap. */
static ls_status read_entries(reader *r)
{
    const char *name;
    json_t     *value;
    LS_CHECK(json_is_object(r->header), LS_ERR_DATA, "%s: expected a JSON object as its header", r->path);
    r->entry = ls_arena_alloc(r->arena, sizeof *r->entry * (json_object_size(r->header) + 1));
    json_object_foreach(r->header, name, value)
    {
        if (strcmp(name, "__metadata__") == 0) continue;
        entry *e = &r->entry[r->entries++];
        e->name  = name;
        LS_TRY(read_entry(r, e, value));
    }
    qsort(r->entry, (size_t)r->entries, sizeof *r->entry, by_place);
    int64_t at = 0;
    for (int i = 0; i < r->entries; i++) {
        const entry *e = &r->entry[i];
        LS_CHECK(e->begin >= at, LS_ERR_DATA, "%s: tensors '%s' and '%s' overlap", r->path, r->entry[i - 1].name, e->name);
        LS_CHECK(e->begin == at, LS_ERR_DATA, "%s: %" PRId64 " bytes before tensor '%s' belong to none", r->path, e->begin - at, e->name);
        at = e->end;
    }
    LS_CHECK(at == r->bytes - r->data_at, LS_ERR_DATA, "%s: %" PRId64 " bytes at its end belong to no tensor", r->path,
             r->bytes - r->data_at - at);
    return LS_OK;
}

/* ---- against the parameters ------------------------------------------------------------------------------------------ */

static entry *find(reader *r, const char *name)
{
    for (int i = 0; i < r->entries; i++)
        if (strcmp(r->entry[i].name, name) == 0) return &r->entry[i];
    return NULL;
}

typedef struct names {
    char   text[1024];
    size_t used;
    int    count;
} names;

static void add_name(names *n, const char *name)
{
    if (n->count++ >= LISTED || n->used >= sizeof n->text) return;
    n->used += (size_t)snprintf(n->text + n->used, sizeof n->text - n->used, "%s%.80s", n->count > 1 ? ", " : "", name);
}

static const char *rest(const names *n) { return n->count > LISTED ? ", ..." : ""; }

/* Each parameter's entry, in *found. */
static ls_status match(reader *r, ls_params *params, bool partial, entry ***found)
{
    names missing = {0}, extra = {0};
    int   count = ls_params_count(params);
    *found      = ls_arena_alloc(r->arena, sizeof **found * (size_t)(count + 1));
    for (int i = 0; i < count; i++) {
        const char    *name;
        int            rank;
        const int64_t *dim;
        ls_params_get(params, i, &name, &rank, &dim);
        entry *e = (*found)[i] = find(r, name);
        if (!e) {
            add_name(&missing, name);
            continue;
        }
        e->wanted  = true;
        bool equal = e->rank == rank;
        for (int d = 0; d < rank && equal; d++) equal = e->dim[d] == dim[d];
        char its[256], ours[256];
        LS_CHECK(equal, LS_ERR_DATA, "%s: tensor '%s' is %s, the model's is %s" LS_HINT "is the file of the same model?", r->path, name,
                 shape_text(its, e->rank, e->dim), shape_text(ours, rank, dim));
        LS_CHECK(e->kind->widen, LS_ERR_DATA, "%s: tensor '%s': expected F32, F16 or BF16, found %s", r->path, name, e->kind->name);
    }
    for (int i = 0; i < r->entries; i++)
        if (!r->entry[i].wanted) add_name(&extra, r->entry[i].name);
    LS_CHECK(missing.count == 0, LS_ERR_DATA,
             "%s: %d of the model's %d parameters are missing: %s%s%s%s%s" LS_HINT "is the file of the same model?", r->path, missing.count,
             count, missing.text, rest(&missing), extra.count ? "; it has instead: " : "", extra.text, rest(&extra));
    LS_CHECK(partial || extra.count == 0, LS_ERR_DATA, "%s: %d tensors are not in the model: %s%s" LS_HINT "is the file of the same model?",
             r->path, extra.count, extra.text, rest(&extra));
    return LS_OK;
}

static ls_status read_values(const reader *r, const entry *e, float *out)
{
    if (e->kind->widen == widen_f32) return read_at(r, out, (size_t)e->numel * sizeof *out, r->data_at + e->begin);
    _Alignas(8) char piece[PIECE];
    size_t           most = PIECE / (size_t)e->kind->bytes;
    for (int64_t at = 0; at < e->numel;) {
        size_t n = (size_t)(e->numel - at) < most ? (size_t)(e->numel - at) : most;
        LS_TRY(read_at(r, piece, n * (size_t)e->kind->bytes, r->data_at + e->begin + at * e->kind->bytes));
        e->kind->widen(out + at, piece, n);
        at += (int64_t)n;
    }
    return LS_OK;
}

static ls_status load(reader *r, ls_params *params, bool partial)
{
    entry **found;
    LS_TRY(open_file(r));
    LS_TRY(read_header(r));
    LS_TRY(read_entries(r));
    LS_TRY(match(r, params, partial, &found));
    for (int i = 0; i < ls_params_count(params); i++) LS_TRY(read_values(r, found[i], ls_params_get(params, i, NULL, NULL, NULL)));
    return LS_OK;
}

ls_status ls_safetensors_load(const char *path, ls_params *params, bool partial)
{
    reader r = {.path = path, .fd = -1};
    LS_TRY(ls_arena_new(&r.arena, "safetensors"));
    ls_status status = load(&r, params, partial);
    if (r.fd >= 0) close(r.fd);
    json_decref(r.header);
    ls_arena_free(r.arena);
    LS_TRY(status);
    return LS_OK;
}

/* ---- writing --------------------------------------------------------------------------------------------------------- */

/* The header's text, padded so that the values begin at a multiple of 8 bytes; NULL without memory, or for
 * a name that is not UTF-8. */
static char *header_text(ls_params *params, size_t *length)
{
    json_t *header = json_pack("{s:{s:s}}", "__metadata__", "format", "pt");
    bool    good   = header;
    int64_t at     = 0;
    for (int i = 0; i < ls_params_count(params); i++) {
        const char    *name;
        int            rank;
        const int64_t *dim;
        ls_params_get(params, i, &name, &rank, &dim);
        json_t *shape = json_array();
        int64_t bytes = sizeof(float);
        for (int d = 0; d < rank; d++) {
            json_array_append_new(shape, json_integer(dim[d]));
            bytes *= dim[d];
        }
        json_t *item =
            json_pack("{s:s, s:o, s:[I, I]}", "dtype", "F32", "shape", shape, "data_offsets", (json_int_t)at, (json_int_t)(at + bytes));
        good = json_object_set_new(header, name, item) == 0 && good;
        at += bytes;
    }
    char *text = good ? json_dumps(header, JSON_COMPACT) : NULL, *padded = NULL;
    json_decref(header);
    if (text) {
        size_t used = strlen(text);
        *length     = (used + 7) / 8 * 8;
        padded      = realloc(text, *length + 1);
        if (padded) memset(padded + used, ' ', *length - used);
    }
    if (!padded) free(text);
    return padded;
}

static ls_status write_all(ls_file *f, ls_params *params)
{
    size_t        length;
    unsigned char prefix[PREFIX];
    char         *text = header_text(params, &length);
    LS_CHECK(text, LS_ERR_ENV, "%s: its header could not be made" LS_HINT "is every parameter's name UTF-8?", f->path);
    for (int i = 0; i < PREFIX; i++) prefix[i] = (unsigned char)((uint64_t)length >> 8 * i);
    ls_status status = ls__file_write(f, prefix, PREFIX);
    if (status == LS_OK) status = ls__file_write(f, text, length);
    free(text);
    LS_TRY(status);
    for (int i = 0; i < ls_params_count(params); i++) {
        int            rank;
        const int64_t *dim;
        const float   *values = ls_params_get(params, i, NULL, &rank, &dim);
        size_t         bytes  = sizeof(float);
        for (int d = 0; d < rank; d++) bytes *= (size_t)dim[d];
        LS_TRY(ls__file_write(f, values, bytes));
    }
    return LS_OK;
}

ls_status ls_safetensors_save(const char *path, ls_params *params)
{
    ls_file f;
    LS_TRY(ls__file_create(&f, path));
    LS_TRY(ls__file_finish(&f, write_all(&f, params)));
    return LS_OK;
}
