/* SPDX-License-Identifier: Apache-2.0
 *
 * Parameters to and from safetensors files (dist/interop/safetensors_file.c has the format).
 *
 * Read, no parameter is touched before everything about every tensor is checked; what does not fit is one message with
 * all of it.  A model's names are Hugging Face's, and three things of its files are understood beyond them:
 *  - the prefix of a base model ("transformer.") may be missing in the file;
 *  - GPT-2's files hold causal masks as attn.bias and attn.masked_bias: no parameters;
 *  - a tied head may stand there as lm_head.weight: beside the embedding when both are equal, or in its place.
 * A matrix that is stored transposed (Conv1D) is turned on the way, a piece at a time.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/graph/params.h"
#include "core/io/atomic_file.h"
#include "core/io/file_access.h"
#include "dist/dist.h"
#include "dist/interop/safetensors.h"

enum { LISTED = 8, PIECE = 1 << 18 /* floats */ };

static bool turned(const ls_tensor *t) { return t->stored_transposed && t->rank == 2; }

/* A parameter's dims as a file has them. */
static int stored_dims(const ls_tensor *t, int64_t dim[LS_MAX_DIMS])
{
    for (int i = 0; i < t->rank; i++) dim[i] = t->dim[turned(t) ? t->rank - 1 - i : i];
    return t->rank;
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

static const char *const prefixes[] = {"transformer."};

/* Tensors of files that repeat a parameter. */
static const struct tie {
    const char *name, *param;
} ties[] = {{"lm_head.weight", "transformer.wte.weight"}};

/* Tensors of files that are no parameters where the model has `sibling`. */
static const struct buffer {
    const char *ending, *sibling;
} buffers[] = {{".attn.bias", ".attn.c_attn.weight"}, {".attn.masked_bias", ".attn.c_attn.weight"}};

#define EACH(item, list) (size_t item = 0; item < sizeof(list) / sizeof *(list); item++)

static ls_stored *find_stored(const ls_tensor_set *set, const char *param)
{
    ls_stored *e = ls__tensor_set_find(set, param);
    for
        EACH(i, prefixes)
        {
            size_t length = strlen(prefixes[i]);
            if (!e && !strncmp(param, prefixes[i], length)) e = ls__tensor_set_find(set, param + length);
        }
    for
        EACH(i, ties)
    if (!e && !strcmp(ties[i].param, param)) e = ls__tensor_set_find(set, ties[i].name);
    return e;
}

static int find_param(const ls_params *params, const char *name)
{
    int at = ls_params_find(params, name);
    for
        EACH(i, prefixes)
        {
            char longer[640];
            snprintf(longer, sizeof longer, "%s%s", prefixes[i], name);
            if (at < 0) at = ls_params_find(params, longer);
        }
    return at;
}

/* Such as a causal mask. */
static bool is_buffer(const ls_params *params, const char *name)
{
    for
        EACH(i, buffers)
        {
            size_t length = strlen(name), ending = strlen(buffers[i].ending);
            char   sibling[512];
            if (length < ending || length >= 256 || strcmp(name + length - ending, buffers[i].ending) != 0) continue;
            snprintf(sibling, sizeof sibling, "%.*s%s", (int)(length - ending), name, buffers[i].sibling);
            if (find_param(params, sibling) >= 0) return true;
        }
    return false;
}

/* The slot of the parameter that a tensor repeats; -1: none. */
static int tied_to(const ls_params *params, const char *name)
{
    for
        EACH(i, ties)
    if (!strcmp(ties[i].name, name)) return ls_params_find(params, ties[i].param);
    return -1;
}

/* ---- against the parameters
 * ------------------------------------------------------------------------------------------ */

typedef struct names {
    char   text[800];
    size_t used;
    int    count;
} names;

LS_PRINTF(2, 3) static void add_name(names *n, const char *format, ...)
{
    char    text[320];
    va_list args;
    if (n->count++ >= LISTED || n->used + 1 >= sizeof n->text) return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    n->used += (size_t)snprintf(n->text + n->used, sizeof n->text - n->used, "%s%s", n->count > 1 ? ", " : "", text);
    if (n->used >= sizeof n->text) n->used = sizeof n->text - 1;
}

static const char *rest(const names *n) { return n->count > LISTED ? ", ..." : ""; }

typedef struct misfits {
    names missing, extra, shape, type;
} misfits;

static void check_pair(const ls_tensor *t, const ls_stored *e, misfits *m)
{
    char    its[256], ours[256];
    int64_t dim[LS_MAX_DIMS];
    int     rank  = stored_dims(t, dim);
    bool    equal = e->rank == rank;
    for (int d = 0; d < rank && equal; d++) equal = e->dim[d] == dim[d];
    if (!equal)
        add_name(&m->shape, "'%.80s' is %.60s, the model's is %.60s%s", e->name, ls__stored_shape(its, e->rank, e->dim),
                 ls__stored_shape(ours, rank, dim), turned(t) ? " (in x out)" : "");
    if (!e->type->widen) add_name(&m->type, "'%.80s' is %s", e->name, e->type->name);
}

static ls_status report(const ls_tensor_set *set, const misfits *m)
{
    const struct {
        const names *names;
        const char  *what;
    } parts[] = {{&m->missing, "of the model's parameters are missing"},
                 {&m->extra, "tensors are not in the model"},
                 {&m->shape, "tensors have another shape"},
                 {&m->type, "tensors have a dtype that is none of F32, F16 and BF16"}};
    char   text[3600];
    size_t used = 0;
    for
        EACH(i, parts)
    if (parts[i].names->count && used < sizeof text)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%d %s: %s%s", used ? "; " : "",
                                 parts[i].names->count, parts[i].what, parts[i].names->text, rest(parts[i].names));
    LS_CHECK(!used, LS_ERR_DATA, "%s: %s" LS_HINT "is it of the same model?  `lockstep ckpt inspect` lists what it has",
             set->path, text);
    return LS_OK;
}

/* Where each parameter stands, in found[slot]; and nothing is left over. */
static ls_status match(ls_tensor_set *set, const ls_params *params, bool partial, ls_stored **found)
{
    misfits *m = ls_arena_alloc(set->arena, sizeof *m);
    for (int i = 0; i < params->count; i++) {
        const ls_tensor *t = params->slot[i].tensor;
        found[i]           = find_stored(set, t->name);
        if (!found[i]) {
            add_name(&m->missing, "%.80s", t->name);
            continue;
        }
        found[i]->wanted = true;
        check_pair(t, found[i], m);
    }
    for (int i = 0; i < set->count; i++) {
        const ls_stored *e = set->stored[i];
        if (e->wanted || is_buffer(params, e->name)) continue;
        int slot = tied_to(params, e->name);
        if (slot >= 0)
            check_pair(params->slot[slot].tensor, e, m);
        else if (!partial)
            add_name(&m->extra, "%.80s", e->name);
    }
    return report(set, m);
}

/* Tied weights that a file holds twice are the same. */
static ls_status compare_tied(ls_tensor_set *set, const ls_params *params, ls_stored *const *found, float *piece)
{
    for (int i = 0; i < set->count; i++) {
        const ls_stored *e    = set->stored[i];
        int              slot = e->wanted || is_buffer(params, e->name) ? -1 : tied_to(params, e->name);
        const int64_t    most = PIECE / 2;
        for (int64_t at = 0; slot >= 0 && at < e->numel; at += most) {
            int64_t n = e->numel - at < most ? e->numel - at : most;
            LS_TRY(ls__stored_read(e, at, n, piece));
            LS_TRY(ls__stored_read(found[slot], at, n, piece + most));
            for (int64_t k = 0; k < n; k++)
                LS_CHECK(piece[k] == piece[most + k] || (piece[k] != piece[k] && piece[most + k] != piece[most + k]),
                         LS_ERR_DATA,
                         "%s: '%s' and '%s' differ (%g and %g at element %" PRId64
                         "), but in this model they are one parameter" LS_HINT
                         "a head of its own can't be loaded: the model's is tied to its embedding",
                         set->path, e->name, found[slot]->name, (double)piece[k], (double)piece[most + k], at + k);
        }
    }
    return LS_OK;
}

/* ---- values
 * ---------------------------------------------------------------------------------------------------------- */

/* A file's matrix, in x out, in tiles of whole rows (of parts of a row, when a row is longer than a piece), between
 * `piece`, laid out as the file, and the parameter, out x in. */
typedef struct tile {
    int64_t row, rows, col, cols;
} tile;

/* The tile after t, of a matrix of in x out; the first when t->rows is 0.  False at the end. */
static bool next_tile(tile *t, int64_t in, int64_t out)
{
    if (t->rows && (t->col += t->cols) >= out) {
        t->col = 0;
        t->row += t->rows;
    }
    t->cols = out - t->col < PIECE ? out - t->col : PIECE;
    t->rows = t->cols == out ? PIECE / out : 1;
    if (t->rows > in - t->row) t->rows = in - t->row;
    return t->row < in;
}

static ls_status read_turned(const ls_stored *e, int64_t in, int64_t out, float *w, float *piece)
{
    for (tile t = {0}; next_tile(&t, in, out);) {
        LS_TRY(ls__stored_read(e, t.row * out + t.col, t.rows * t.cols, piece));
        for (int64_t o = 0; o < t.cols; o++)
            for (int64_t i = 0; i < t.rows; i++) w[(t.col + o) * in + t.row + i] = piece[i * t.cols + o];
    }
    return LS_OK;
}

static ls_status write_turned(ls_file *f, int64_t in, int64_t out, const float *w, float *piece)
{
    for (tile t = {0}; next_tile(&t, in, out);) {
        for (int64_t o = 0; o < t.cols; o++)
            for (int64_t i = 0; i < t.rows; i++) piece[i * t.cols + o] = w[(t.col + o) * in + t.row + i];
        LS_TRY(ls__file_write(f, piece, (size_t)(t.rows * t.cols) * sizeof *piece));
    }
    return LS_OK;
}

static float *values_of(const ls_params *params, int slot)
{
    return (float *)params->block.data + params->slot[slot].offset;
}

/* ---- reading
 * --------------------------------------------------------------------------------------------------------- */

/* Differing sizes are better said than seen from the shapes. */
static ls_status check_config(const char *path, const ls_params *params)
{
    struct stat info;
    char        config[LS_PATH_BYTES];
    if (stat(path, &info) != 0 || !S_ISDIR(info.st_mode)) return LS_OK;
    LS_TRY(ls__path(config, "%s/config.json", path));
    return stat(config, &info) == 0 ? ls_hf_config_check(config, params->graph) : LS_OK;
}

static ls_status load(ls_tensor_set *set, const char *path, ls_params *params, bool partial)
{
    LS_TRY(check_config(path, params));
    LS_TRY(ls__tensor_set_open(set, path));
    ls_stored **found = ls_arena_alloc(set->arena, sizeof *found * (size_t)(params->count + 1));
    float      *piece = ls_arena_alloc(set->arena, PIECE * sizeof *piece);
    LS_TRY(match(set, params, partial, found));
    LS_TRY(compare_tied(set, params, found, piece));
    for (int i = 0; i < params->count; i++) {
        const ls_tensor *t = params->slot[i].tensor;
        LS_TRY(turned(t) ? read_turned(found[i], t->dim[1], t->dim[0], values_of(params, i), piece)
                         : ls__stored_read(found[i], 0, params->slot[i].count, values_of(params, i)));
    }
    return LS_OK;
}

ls_status ls_safetensors_load(const char *path, ls_params *params, bool partial)
{
    ls_tensor_set set    = {0};
    ls_status     status = load(&set, path, params, partial);
    ls__tensor_set_close(&set);
    LS_TRY(status);
    return LS_OK;
}

/* ---- writing
 * --------------------------------------------------------------------------------------------------------- */

/* The header's text, padded so that the values begin at a multiple of 8 bytes; NULL without memory, or for
 * a name that is not UTF-8. */
static char *header_text(const ls_params *params, size_t *length)
{
    json_t *header = json_pack("{s:{s:s}}", "__metadata__", "format", "pt");
    bool    good   = header;
    int64_t at     = 0;
    for (int i = 0; i < params->count; i++) {
        const ls_tensor *t = params->slot[i].tensor;
        int64_t          dim[LS_MAX_DIMS], bytes = params->slot[i].count * (int64_t)sizeof(float);
        json_t          *shape = json_array();
        for (int d = 0, rank = stored_dims(t, dim); d < rank; d++) json_array_append_new(shape, json_integer(dim[d]));
        json_t *item = json_pack("{s:s, s:o, s:[I, I]}", "dtype", "F32", "shape", shape, "data_offsets", (json_int_t)at,
                                 (json_int_t)(at + bytes));
        good         = json_object_set_new(header, t->name, item) == 0 && good;
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

static ls_status write_all(ls_file *f, const ls_params *params, float *piece)
{
    size_t        length;
    unsigned char prefix[LS_STORED_PREFIX];
    char         *text = header_text(params, &length);
    LS_CHECK(text, LS_ERR_ENV, "%s: its header could not be made" LS_HINT "is every parameter's name UTF-8?", f->path);
    for (int i = 0; i < LS_STORED_PREFIX; i++) prefix[i] = (unsigned char)((uint64_t)length >> 8 * i);
    ls_status status = ls__file_write(f, prefix, LS_STORED_PREFIX);
    if (status == LS_OK) status = ls__file_write(f, text, length);
    free(text);
    LS_TRY(status);
    for (int i = 0; i < params->count; i++) {
        const ls_tensor *t = params->slot[i].tensor;
        LS_TRY(turned(t) ? write_turned(f, t->dim[1], t->dim[0], values_of(params, i), piece)
                         : ls__file_write(f, values_of(params, i), (size_t)params->slot[i].count * sizeof(float)));
    }
    return LS_OK;
}

ls_status ls_safetensors_save(const char *path, ls_params *params)
{
    ls_file   f;
    ls_arena *memory;
    LS_TRY(ls_arena_new(&memory, "safetensors"));
    ls_status status = ls__file_create(&f, path);
    if (status == LS_OK)
        status = ls__file_finish(&f, write_all(&f, params, ls_arena_alloc(memory, PIECE * sizeof(float))));
    ls_arena_free(memory);
    LS_TRY(status);
    return LS_OK;
}
