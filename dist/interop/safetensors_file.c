/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads one safetensors file (https://github.com/huggingface/safetensors, format of version 0.4):
 *
 *     8 bytes   N, little endian
 *     N bytes   JSON: {"conv1.weight": {"dtype": "F32", "shape": [6, 1, 5, 5], "data_offsets": [0, 600]}, ...},
 *               padded with spaces; "__metadata__" may hold texts, and nothing else
 *     the rest  the values, row-major, little endian; the tensors follow one another without gap or overlap
 *
 * No field is trusted before it is checked.  F16 and BF16 are widened to float32, which represents all their values.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/io/file_access.h"
#include "dist/interop/tensor_set.h"

enum { BUFFER = 1 << 16 }; /* bytes that are widened at a time */
#define DAMAGED LS_HINT "the file is damaged: get it again, or write it again"
#define MAX_HEADER ((uint64_t)100 << 20) /* limit of the reference implementation */

/* Converts a float16, given by its bits, to float32. */
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

static void narrow_f32(void *out, const float *in, size_t n) { memcpy(out, in, n * sizeof *in); }

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static void narrow_bf16(void *out, const float *in, size_t n)
{
    uint16_t *to = out;
    for (size_t i = 0; i < n; i++) {
        const uint32_t bits = bits_of(in[i]);
        to[i] = (uint16_t)(in[i] != in[i] ? bits >> 16 | 0x40u : (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
    }
}

/* Rounds to float16: adding and subtracting a power of two rounds a value to the step of its binade. */
static uint16_t to_half(float x)
{
    const uint32_t sign = bits_of(x) >> 16 & 0x8000u;
    const float    size = x < 0 ? -x : x;
    if (x != x) return (uint16_t)(sign | 0x7e00u);
    if (size >= 65520.0f) return (uint16_t)(sign | 0x7c00u);
    if (size < 0x1p-14f) { /* subnormal: a multiple of 2^-24 */
        const float rounded = size + 0x1p-1f;
        return (uint16_t)(sign | (bits_of(rounded) - bits_of(0x1p-1f)));
    }
    const uint32_t bits = bits_of(size), rounded = bits + 0xfffu + (bits >> 13 & 1u);
    return (uint16_t)(sign | ((rounded >> 13) - (112u << 10)));
}

static void narrow_f16(void *out, const float *in, size_t n)
{
    uint16_t *to = out;
    for (size_t i = 0; i < n; i++) to[i] = to_half(in[i]);
}

static const ls_stored_type types[] = {
    {"F32", 4, widen_f32, narrow_f32},
    {"F16", 2, widen_f16, narrow_f16},
    {"BF16", 2, widen_bf16, narrow_bf16},
    {"F64", 8, NULL},
    {"I64", 8, NULL},
    {"I32", 4, NULL},
    {"I16", 2, NULL},
    {"I8", 1, NULL},
    {"U64", 8, NULL},
    {"U32", 4, NULL},
    {"U16", 2, NULL},
    {"U8", 1, NULL},
    {"BOOL", 1, NULL},
    {"F8_E4M3", 1, NULL},
    {"F8_E5M2", 1, NULL},
};

const ls_stored_type *ls__stored_type_named(const char *name)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].narrow && strcmp(types[i].name, name) == 0) return &types[i];
    return NULL;
}

const char *ls__stored_shape(char text[256], int rank, const int64_t *dim)
{
    size_t used = (size_t)snprintf(text, 256, rank ? "" : "(scalar)");
    for (int i = 0; i < rank && used < 230; i++)
        used += (size_t)snprintf(text + used, 256 - used, "%s%" PRId64, i ? " x " : "", dim[i]);
    return text;
}

/* ---- the header -------------------------------------------------------------------------------------------------- */

static ls_status open_file(ls_tensor_file *f)
{
    struct stat info;
    LS_TRY(ls__file_open(f->path, &f->fd));
    if (fstat(f->fd, &info) != 0) return LS_FAIL_ERRNO("%s: cannot be read", f->path);
    f->bytes = info.st_size;
    return LS_OK;
}

static ls_status read_header(ls_tensor_file *f)
{
    unsigned char prefix[LS_STORED_PREFIX];
    LS_CHECK(f->bytes >= LS_STORED_PREFIX + 2, LS_ERR_DATA,
             "%s: expected a safetensors file, found a file of %" PRId64 " bytes", f->path, f->bytes);
    LS_TRY(ls__file_read_at(f->path, f->fd, 0, prefix, LS_STORED_PREFIX));
    uint64_t length = 0;
    for (int i = LS_STORED_PREFIX - 1; i >= 0; i--) length = length << 8 | prefix[i];
    LS_CHECK(length >= 2 && length <= (uint64_t)f->bytes - LS_STORED_PREFIX, LS_ERR_DATA,
             "%s: its first 8 bytes announce a header of %" PRIu64 " bytes, but the file has %" PRId64 LS_HINT
             "is it a safetensors file, and complete?",
             f->path, length, f->bytes);
    LS_CHECK(length <= MAX_HEADER, LS_ERR_DATA,
             "%s: a header of %" PRIu64 " bytes is larger than the %" PRIu64 " that the format allows", f->path, length,
             MAX_HEADER);
    char *text = malloc(length);
    LS_CHECK(text, LS_ERR_ENV, "%s: no memory for a header of %" PRIu64 " bytes", f->path, length);
    ls_status    status = ls__file_read_at(f->path, f->fd, LS_STORED_PREFIX, text, length);
    json_error_t error;
    if (status == LS_OK && text[0] != '{')
        status =
            LS_FAIL(LS_ERR_DATA,
                    "%s: expected a header that begins with '{', found byte 0x%02x" LS_HINT "is it a safetensors file?",
                    f->path, (unsigned char)text[0]);
    if (status == LS_OK && !(f->header = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error)))
        status = LS_FAIL(LS_ERR_DATA,
                         "%s: expected JSON in its header, found: %s (line %d, column %d)" LS_HINT
                         "is it a safetensors file, and complete?",
                         f->path, error.text, error.line, error.column);
    free(text);
    f->data_at = LS_STORED_PREFIX + (int64_t)length;
    return status;
}

static ls_status read_type(const ls_tensor_file *f, ls_stored *e, const json_t *value)
{
    const char *name = json_string_value(value);
    LS_CHECK(name, LS_ERR_DATA, "%s: tensor '%s': expected a text as its dtype" DAMAGED, f->path, e->name);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].name, name) == 0) e->type = &types[i];
    LS_CHECK(e->type, LS_ERR_DATA,
             "%s: tensor '%s': unknown dtype '%.20s'" LS_HINT
             "F32, F16 and BF16 can be loaded: save it as one of these",
             f->path, e->name, name);
    return LS_OK;
}

static ls_status read_shape(const ls_tensor_file *f, ls_stored *e, const json_t *value)
{
    LS_CHECK(json_is_array(value), LS_ERR_DATA, "%s: tensor '%s': expected a list as its shape" DAMAGED, f->path,
             e->name);
    size_t rank = json_array_size(value);
    LS_CHECK(rank <= LS_STORED_RANK, LS_ERR_DATA, "%s: tensor '%s': expected at most %d dimensions, found %zu", f->path,
             e->name, LS_STORED_RANK, rank);
    e->rank  = (int)rank;
    e->numel = 1;
    for (int i = 0; i < e->rank; i++) {
        const json_t *dim = json_array_get(value, (size_t)i);
        LS_CHECK(json_is_integer(dim) && json_integer_value(dim) >= 0, LS_ERR_DATA,
                 "%s: tensor '%s': dimension %d: expected a whole number of at least 0" DAMAGED, f->path, e->name, i);
        e->dim[i] = json_integer_value(dim);
        LS_CHECK(!__builtin_mul_overflow(e->numel, e->dim[i], &e->numel), LS_ERR_DATA,
                 "%s: tensor '%s' is larger than an address space" DAMAGED, f->path, e->name);
    }
    return LS_OK;
}

static ls_status read_offsets(const ls_tensor_file *f, ls_stored *e, const json_t *value)
{
    int64_t       data  = f->bytes - f->data_at, bytes;
    const json_t *begin = json_array_get(value, 0), *end = json_array_get(value, 1);
    LS_CHECK(json_array_size(value) == 2 && json_is_integer(begin) && json_is_integer(end), LS_ERR_DATA,
             "%s: tensor '%s': expected [begin, end] as its data_offsets" DAMAGED, f->path, e->name);
    e->begin = json_integer_value(begin);
    e->end   = json_integer_value(end);
    LS_CHECK(e->begin >= 0 && e->begin <= e->end && e->end <= data, LS_ERR_DATA,
             "%s: tensor '%s' lies at [%" PRId64 ", %" PRId64 "), outside of the %" PRId64 " bytes of values" LS_HINT
             "is the file complete?",
             f->path, e->name, e->begin, e->end, data);
    char shape[256];
    LS_CHECK(!__builtin_mul_overflow(e->numel, (int64_t)e->type->bytes, &bytes), LS_ERR_DATA,
             "%s: tensor '%s' is larger than an address space" DAMAGED, f->path, e->name);
    LS_CHECK(bytes == e->end - e->begin, LS_ERR_DATA,
             "%s: tensor '%s' has %" PRId64 " bytes, but %s of %s takes %" PRId64 DAMAGED, f->path, e->name,
             e->end - e->begin, ls__stored_shape(shape, e->rank, e->dim), e->type->name, bytes);
    return LS_OK;
}

static ls_status read_entry(const ls_tensor_file *f, ls_stored *e, const json_t *value)
{
    LS_CHECK(json_is_object(value), LS_ERR_DATA,
             "%s: tensor '%s': expected an object with dtype, shape and data_offsets" DAMAGED, f->path, e->name);
    LS_TRY(read_type(f, e, json_object_get(value, "dtype")));
    LS_TRY(read_shape(f, e, json_object_get(value, "shape")));
    return read_offsets(f, e, json_object_get(value, "data_offsets"));
}

/* Checks that __metadata__ is a map from texts to texts. */
static ls_status check_metadata(const ls_tensor_file *f, json_t *metadata)
{
    const char *key;
    json_t     *value;
    LS_CHECK(json_is_object(metadata), LS_ERR_DATA, "%s: __metadata__: expected an object of texts" DAMAGED, f->path);
    json_object_foreach(metadata, key, value)
        LS_CHECK(json_is_string(value), LS_ERR_DATA, "%s: __metadata__: '%.60s': expected a text as its value" DAMAGED,
                 f->path, key);
    return LS_OK;
}

static int by_place(const void *x, const void *y)
{
    const ls_stored *p = x, *q = y;
    if (p->begin != q->begin) return p->begin < q->begin ? -1 : 1;
    return (p->end > q->end) - (p->end < q->end);
}

static bool printable(const char *name)
{
    while (*name && ((unsigned char)*name >= ' ' && *name != 0x7f)) name++;
    return !*name;
}

/* Reads all tensors, sorts them by the position of their values, and checks that these fill the file without gap or
 * overlap. */
static ls_status read_entries(ls_tensor_file *f, ls_arena *arena)
{
    const char *name;
    json_t     *value;
    LS_CHECK(json_is_object(f->header), LS_ERR_DATA, "%s: expected a JSON object as its header", f->path);
    f->stored = ls_arena_alloc(arena, sizeof *f->stored * (json_object_size(f->header) + 1));
    json_object_foreach(f->header, name, value)
    {
        if (strcmp(name, "__metadata__") == 0) {
            LS_TRY(check_metadata(f, value));
            continue;
        }
        LS_CHECK(printable(name), LS_ERR_DATA, "%s: the name of tensor %d contains control characters" DAMAGED, f->path,
                 f->count + 1);
        ls_stored *e = &f->stored[f->count++];
        e->name      = name;
        e->file      = f;
        LS_TRY(read_entry(f, e, value));
    }
    qsort(f->stored, (size_t)f->count, sizeof *f->stored, by_place);
    int64_t at = 0;
    for (int i = 0; i < f->count; i++) {
        const ls_stored *e = &f->stored[i];
        LS_CHECK(e->begin >= at, LS_ERR_DATA, "%s: tensors '%s' and '%s' overlap" DAMAGED, f->path,
                 f->stored[i - 1].name, e->name);
        LS_CHECK(e->begin == at, LS_ERR_DATA, "%s: %" PRId64 " bytes before tensor '%s' belong to no tensor" DAMAGED,
                 f->path, e->begin - at, e->name);
        at = e->end;
    }
    LS_CHECK(at == f->bytes - f->data_at, LS_ERR_DATA, "%s: %" PRId64 " bytes at its end belong to no tensor" DAMAGED,
             f->path, f->bytes - f->data_at - at);
    return LS_OK;
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

ls_status ls__tensor_file_open(ls_tensor_file *f, const char *path, ls_arena *arena)
{
    *f = (ls_tensor_file){.path = path, .fd = -1};
    LS_TRY(open_file(f));
    LS_TRY(read_header(f));
    return read_entries(f, arena);
}

void ls__tensor_file_close(ls_tensor_file *f)
{
    if (f->fd >= 0) close(f->fd);
    json_decref(f->header);
    f->fd     = -1;
    f->header = NULL;
}

ls_status ls__stored_read(const ls_stored *e, int64_t at, int64_t n, float *out)
{
    const ls_tensor_file *f     = e->file;
    const int64_t         width = e->type->bytes, begin = f->data_at + e->begin + at * width;
    if (e->type->widen == widen_f32) return ls__file_read_at(f->path, f->fd, begin, out, (size_t)n * sizeof *out);
    _Alignas(8) char buffer[BUFFER];
    const int64_t    most = BUFFER / width;
    for (int64_t done = 0; done < n;) {
        int64_t part = n - done < most ? n - done : most;
        LS_TRY(ls__file_read_at(f->path, f->fd, begin + done * width, buffer, (size_t)(part * width)));
        e->type->widen(out + done, buffer, (size_t)part);
        done += part;
    }
    return LS_OK;
}
