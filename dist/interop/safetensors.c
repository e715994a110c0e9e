/* SPDX-License-Identifier: Apache-2.0
 *
 * Parameters to and from safetensors files (format: dist/interop/safetensors_file.c), with the names and layouts of the
 * model's architecture (dist/interop/architecture.h).
 *
 * Loading checks every tensor before it changes any parameter, and reports all mismatches in one message.  A matrix
 * that files hold transposed (Conv1D) is transposed on the way, tile by tile.
 */
#include "dist/interop/tensor_set.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/graph/params.h"
#include "core/io/atomic_file.h"
#include "dist/dist.h"
#include "dist/interop/tensor_names.h"

enum {
    LISTED_NAMES  = 8,      /* most names that a message lists; further ones are only counted */
    TILE_ELEMENTS = 1 << 18 /* elements that are read or written at a time */
};

/* Sets the dimensions of a part of a parameter as files have them; returns the rank. */
static int stored_dims(const ls_architecture *a, const ls_tensor *t, const ls_part *part, int64_t dim[LS_STORED_RANK])
{
    const bool transposed = ls__is_stored_transposed(a, t);
    const int  first      = part->ones;
    for (int i = 0; i < first; i++) dim[i] = 1;
    for (int i = 0; i < t->rank; i++) dim[first + i] = t->dim[transposed ? t->rank - 1 - i : i];
    if (!transposed && t->rank) dim[first] = part->rows;
    return first + t->rank;
}

/* ---- comparison with the parameters ------------------------------------------------------------------------------ */

/* A list of names for a message. */
typedef struct name_list {
    char   text[800];
    size_t used;
    int    count;
} name_list;

LS_PRINTF(2, 3) static void add_name(name_list *n, const char *format, ...)
{
    char    text[320];
    va_list args;
    if (n->count++ >= LISTED_NAMES || n->used + 1 >= sizeof n->text) return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    n->used += (size_t)snprintf(n->text + n->used, sizeof n->text - n->used, "%s%s", n->count > 1 ? ", " : "", text);
    if (n->used >= sizeof n->text) n->used = sizeof n->text - 1;
}

/* All differences between the tensors and the parameters, by kind. */
typedef struct mismatches {
    name_list missing, extra, shape, type;
} mismatches;

static void compare_tensor(const ls_architecture *a, const ls_tensor *t, const ls_part *part, const ls_stored *e,
                           mismatches *m)
{
    char    found[256], expected[256];
    int64_t dim[LS_STORED_RANK];
    int     rank  = stored_dims(a, t, part, dim);
    bool    equal = e->rank == rank;
    for (int d = 0; d < rank && equal; d++) equal = e->dim[d] == dim[d];
    if (!equal)
        add_name(&m->shape, "'%.80s' is %.60s, the model's is %.60s%s", e->name,
                 ls__stored_shape(found, e->rank, e->dim), ls__stored_shape(expected, rank, dim),
                 ls__is_stored_transposed(a, t) ? " (in x out)" : "");
    if (!e->type->widen) add_name(&m->type, "'%.80s' is %s", e->name, e->type->name);
}

static ls_status report(const ls_tensor_set *set, const mismatches *m)
{
    const struct {
        const name_list *names;
        const char      *text;
    } kinds[] = {{&m->missing, "of the model's parameters are missing"},
                 {&m->extra, "tensors are not in the model"},
                 {&m->shape, "tensors have another shape"},
                 {&m->type, "tensors have a dtype that is none of F32, F16 and BF16"}};
    char   text[3600];
    size_t used = 0;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const name_list *n = kinds[i].names;
        if (n->count && used < sizeof text)
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%d %s: %s%s", used ? "; " : "", n->count,
                                     kinds[i].text, n->text, n->count > LISTED_NAMES ? ", ..." : "");
    }
    LS_CHECK(!used, LS_ERR_DATA, "%s: %s" LS_HINT "is it of the same model?  `lockstep ckpt inspect` lists its tensors",
             set->path, text);
    return LS_OK;
}

/* The tensors of a parameter. */
typedef struct found_parts {
    int        count;
    ls_part    part[LS_PARTS];
    ls_stored *stored[LS_PARTS]; /* NULL: missing */
} found_parts;

/* A file or folder that is being loaded into the parameters of a model. */
typedef struct loading {
    ls_tensor_set          set;
    ls_params             *params;
    const ls_architecture *architecture;
    ls_pretrained_options  options;
    found_parts           *found;   /* by slot; a parameter of the head may have none, and keeps its initial values */
    ls_tensor_verdict     *verdict; /* by slot */
    float                 *tile;
} loading;

static bool is_head(const loading *l, const ls_tensor *t)
{
    for (int i = 0; i < 2; i++)
        if (l->options.head[i] && strcmp(l->options.head[i], t->name) == 0) return true;
    return false;
}

/* The verdict on a parameter of the head.  Its first dimension may differ, and the others as well if no row is kept. */
static ls_tensor_verdict head_verdict(const loading *l, const ls_tensor *t, const ls_stored *e)
{
    bool rows_fit = e && e->type->widen && e->rank == t->rank;
    for (int d = 1; rows_fit && d < t->rank; d++) rows_fit = e->dim[d] == t->dim[d];
    if (!rows_fit) return LS_TENSOR_INITIAL;
    if (!l->options.head_row) return e->dim[0] == t->dim[0] ? LS_TENSOR_LOADED : LS_TENSOR_INITIAL;
    for (int64_t r = 0; r < t->dim[0]; r++)
        if (l->options.head_row[r] >= 0 && l->options.head_row[r] < e->dim[0]) return LS_TENSOR_ROWS_BY_CLASS;
    return LS_TENSOR_INITIAL;
}

/* Finds the tensors of a parameter that is not of the head. */
static void match_parts(loading *l, int slot, mismatches *m)
{
    const ls_tensor *t = l->params->slot[slot].tensor;
    found_parts     *f = &l->found[slot];
    l->verdict[slot]   = LS_TENSOR_LOADED;
    for (int k = 0; k < f->count; k++) {
        const ls_stored *e = f->stored[k];
        if (!e && l->options.head[0] && ls__param_of_head(l->params->graph, t)) {
            l->verdict[slot] = LS_TENSOR_INITIAL;
            return;
        }
        if (!e) {
            add_name(&m->missing, "%.80s", f->part[k].name);
            continue;
        }
        if (strcmp(e->name, t->name) != 0) l->verdict[slot] = LS_TENSOR_RENAMED;
        compare_tensor(l->architecture, t, &f->part[k], e, m);
    }
}

/* Looks for the one tensor that holds a parameter in another library. */
static void find_whole(loading *l, const ls_tensor *t, found_parts *f)
{
    ls_part    whole;
    ls_stored *e = ls__param_whole(l->params->graph, t, &whole) ? ls__tensor_set_find(&l->set, whole.name) : NULL;
    if (!e) return;
    e->wanted = true;
    *f        = (found_parts){.count = 1, .part = {whole}, .stored = {e}};
}

/* Finds the tensors of every parameter, and checks that no tensor is left over (allowed with `partial`). */
static ls_status match_tensors(loading *l, bool partial)
{
    mismatches      *m      = ls_arena_alloc(l->set.arena, sizeof *m);
    const ls_params *params = l->params;
    for (int i = 0; i < params->count; i++) {
        const ls_tensor *t = params->slot[i].tensor;
        found_parts     *f = &l->found[i];
        f->count           = ls__param_parts(params->graph, t, f->part);
        for (int k = 0; k < f->count; k++) {
            f->stored[k] = ls__stored_of_param(l->architecture, &l->set, f->part[k].name);
            if (f->stored[k]) f->stored[k]->wanted = true;
        }
        if (!f->stored[0]) find_whole(l, t, f);
        if (is_head(l, t))
            l->verdict[i] = head_verdict(l, t, f->stored[0]);
        else
            match_parts(l, i, m);
    }
    for (int i = 0; i < l->set.count; i++) {
        const ls_stored *e = l->set.stored[i];
        if (e->wanted || ls__is_buffer(l->architecture, params, &l->set, e->name)) continue;
        int slot = ls__slot_of_tied(l->architecture, params, e->name);
        if (slot >= 0)
            compare_tensor(l->architecture, params->slot[slot].tensor, &l->found[slot].part[0], e, m);
        else if (!partial)
            add_name(&m->extra, "%.80s", e->name);
    }
    return report(&l->set, m);
}

static bool is_same_value(float x, float y) { return x == y || (x != x && y != y); }

/* Checks that a tensor which repeats a parameter has the same values. */
static ls_status compare_values(loading *l, const ls_stored *e, const ls_stored *param)
{
    const int64_t half = TILE_ELEMENTS / 2;
    float        *x = l->tile, *y = l->tile + half;
    for (int64_t at = 0; at < e->numel; at += half) {
        int64_t n = e->numel - at < half ? e->numel - at : half;
        LS_TRY(ls__stored_read(e, at, n, x));
        LS_TRY(ls__stored_read(param, at, n, y));
        for (int64_t k = 0; k < n; k++)
            LS_CHECK(is_same_value(x[k], y[k]), LS_ERR_DATA,
                     "%s: '%s' and '%s' differ (%g and %g at element %" PRId64
                     "), but in this model they are one parameter" LS_HINT
                     "a head of its own cannot be loaded: the model's head is tied to its embedding",
                     l->set.path, e->name, param->name, (double)x[k], (double)y[k], at + k);
    }
    return LS_OK;
}

static ls_status compare_tied(loading *l)
{
    for (int i = 0; i < l->set.count; i++) {
        const ls_stored *e = l->set.stored[i];
        if (e->wanted || ls__is_buffer(l->architecture, l->params, &l->set, e->name)) continue;
        int slot = ls__slot_of_tied(l->architecture, l->params, e->name);
        if (slot >= 0) LS_TRY(compare_values(l, e, l->found[slot].stored[0]));
    }
    return LS_OK;
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

/* Part of a matrix that a file holds as in x out: whole rows, or a part of one row when a row is longer than a tile. */
typedef struct tile_range {
    int64_t row, rows, col, cols;
} tile_range;

/* Advances to the next tile; starts with the first when t->rows is 0.  Returns false at the end. */
static bool next_tile(tile_range *t, int64_t in, int64_t out)
{
    t->col += t->cols;
    if (t->rows && t->col >= out) {
        t->col = 0;
        t->row += t->rows;
    }
    t->cols = out - t->col < TILE_ELEMENTS ? out - t->col : TILE_ELEMENTS;
    t->rows = t->cols == out ? TILE_ELEMENTS / out : 1;
    if (t->rows > in - t->row) t->rows = in - t->row;
    return t->row < in;
}

/* Reads a matrix of in x out into a parameter of out x in. */
static ls_status read_transposed(const ls_stored *e, int64_t in, int64_t out, float *w, float *tile)
{
    for (tile_range t = {0}; next_tile(&t, in, out);) {
        LS_TRY(ls__stored_read(e, t.row * out + t.col, t.rows * t.cols, tile));
        for (int64_t o = 0; o < t.cols; o++)
            for (int64_t i = 0; i < t.rows; i++) w[(t.col + o) * in + t.row + i] = tile[i * t.cols + o];
    }
    return LS_OK;
}

static float *values_of(const ls_params *params, int slot)
{
    return (float *)params->block.data + params->slot[slot].offset;
}

/* ---- loading ----------------------------------------------------------------------------------------------------- */

/* Compares a folder's config.json with the model first: its message names the options that differ. */
static ls_status check_config(const char *path, const ls_params *params)
{
    struct stat info;
    char        config[LS_PATH_BYTES];
    if (stat(path, &info) != 0 || !S_ISDIR(info.st_mode)) return LS_OK;
    LS_TRY(ls__path(config, "%s/config.json", path));
    return stat(config, &info) == 0 ? ls_hf_config_check(config, params->graph) : LS_OK;
}

/* Reads the rows of the head for the classes that the file has. */
static ls_status read_rows(const loading *l, const ls_stored *e, const ls_param_slot *slot, float *w)
{
    const int64_t rows = slot->tensor->dim[0], width = slot->count / rows;
    for (int64_t r = 0; r < rows; r++) {
        const int64_t from = l->options.head_row[r];
        if (from >= 0 && from < e->dim[0]) LS_TRY(ls__stored_read(e, from * width, width, w + r * width));
    }
    return LS_OK;
}

static ls_status read_param(loading *l, int i)
{
    const ls_param_slot *slot = &l->params->slot[i];
    const ls_tensor     *t    = slot->tensor;
    float               *w    = values_of(l->params, i);
    if (l->verdict[i] == LS_TENSOR_INITIAL) return LS_OK;
    const found_parts *f = &l->found[i];
    if (l->verdict[i] == LS_TENSOR_ROWS_BY_CLASS) return read_rows(l, f->stored[0], slot, w);
    if (ls__is_stored_transposed(l->architecture, t))
        return read_transposed(f->stored[0], t->dim[1], t->dim[0], w, l->tile);
    for (int k = 0; k < f->count; w += f->stored[k]->numel, k++)
        LS_TRY(ls__stored_read(f->stored[k], 0, f->stored[k]->numel, w));
    return LS_OK;
}

/* Reports the verdict on every parameter, then on the tensors that no parameter reads. */
static void give_verdicts(const loading *l)
{
    const ls_pretrained_options *o = &l->options;
    for (int i = 0; o->each && i < l->params->count; i++)
        for (int k = 0; k < l->found[i].count; k++)
            o->each(&(ls_loaded_tensor){.param   = l->params->slot[i].tensor->name,
                                        .stored  = l->found[i].stored[k] ? l->found[i].stored[k]->name : NULL,
                                        .verdict = l->verdict[i]},
                    o->context);
    for (int i = 0; o->each && i < l->set.count; i++)
        if (!l->set.stored[i]->wanted)
            o->each(&(ls_loaded_tensor){.stored = l->set.stored[i]->name, .verdict = LS_TENSOR_SKIPPED}, o->context);
}

static ls_status load(loading *l, const char *path, bool partial)
{
    LS_TRY(check_config(path, l->params));
    LS_TRY(ls__tensor_set_open(&l->set, path));
    l->found   = ls_arena_alloc(l->set.arena, sizeof *l->found * (size_t)(l->params->count + 1));
    l->verdict = ls_arena_alloc(l->set.arena, sizeof *l->verdict * (size_t)(l->params->count + 1));
    l->tile    = ls_arena_alloc(l->set.arena, TILE_ELEMENTS * sizeof *l->tile);
    LS_TRY(match_tensors(l, partial));
    LS_TRY(compare_tied(l));
    l->params->stale = true;
    for (int i = 0; i < l->params->count; i++) LS_TRY(read_param(l, i));
    give_verdicts(l);
    return LS_OK;
}

ls_status ls__safetensors_load(const char *path, ls_params *params, bool partial, const ls_pretrained_options *options)
{
    loading l = {.params = params, .architecture = ls__architecture_of(params->graph)};
    if (options) l.options = *options;
    ls_status status = load(&l, path, partial);
    ls__tensor_set_close(&l.set);
    return status;
}

ls_status ls_safetensors_load(const char *path, ls_params *params, bool partial)
{
    return ls__safetensors_load(path, params, partial, NULL);
}

ls_status ls_safetensors_metadata(const char *path, const char *key, char **text)
{
    ls_tensor_set set    = {0};
    ls_status     status = ls__tensor_set_open(&set, path);
    const char   *value  = NULL;
    for (int i = 0; status == LS_OK && !value && i < set.files; i++)
        value = json_string_value(json_object_get(json_object_get(set.file[i].header, "__metadata__"), key));
    *text = value ? strdup(value) : NULL;
    if (value && !*text) status = LS_FAIL(LS_ERR_ENV, "%s: no memory for its metadata", path);
    ls__tensor_set_close(&set);
    return status;
}

/* ---- saving ------------------------------------------------------------------------------------------------------ */

/* The tensor that PyTorch's batch norm has besides its running statistics: the number of batches, of type int64 and
 * without dimensions.  It has no meaning when the momentum is constant, and is written as 0. */
static const char batches_ending[] = "num_batches_tracked", mean_ending[] = "running_mean";

/* Returns the length of the name of a batch norm, with the dot, if `name` is that of its running mean; otherwise 0. */
static int batch_norm_prefix(const char *name)
{
    const size_t length = strlen(name), ending = sizeof mean_ending - 1;
    return length > ending && strcmp(name + length - ending, mean_ending) == 0 ? (int)(length - ending) : 0;
}

/* The name under which a part of a parameter is written; NULL: the naming has none. */
static const char *name_of(const char *part, const ls_saving *how, char room[LS_PATH_BYTES])
{
    if (!how->naming) return part;
    return how->naming(part, room, LS_PATH_BYTES) ? room : NULL;
}

static const ls_stored_type *type_of(const char *part, const ls_saving *how)
{
    const ls_stored *e = how->like && !how->type ? ls__tensor_set_find(how->like, part) : NULL;
    if (how->type) return how->type;
    return e && e->type->narrow ? e->type : ls__stored_type_named("F32");
}

static json_t *header_item(const char *dtype, json_t *shape, int64_t begin, int64_t bytes)
{
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtype, "shape", shape, "data_offsets", (json_int_t)begin,
                     (json_int_t)(begin + bytes));
}

/* Adds the counts of batches to the header; returns their bytes, or -1 after an error. */
static int64_t add_batch_counts(json_t *header, const ls_params *params, const ls_saving *how)
{
    int64_t at = 0;
    for (int i = 0; i < params->count; i++) {
        char        room[LS_PATH_BYTES], name[LS_PATH_BYTES];
        const char *mean   = name_of(params->slot[i].tensor->name, how, room);
        const int   prefix = mean ? batch_norm_prefix(mean) : 0;
        if (!prefix) continue;
        if (snprintf(name, sizeof name, "%.*s%s", prefix, mean, batches_ending) >= (int)sizeof name) return -1;
        if (json_object_set_new(header, name, header_item("I64", json_array(), at, sizeof(int64_t))) != 0) return -1;
        at += (int64_t)sizeof(int64_t);
    }
    return at;
}

/* Adds the tensors of a parameter to the header. */
static bool add_tensors(json_t *header, const ls_architecture *a, const ls_params *params, int slot,
                        const ls_saving *how, int64_t *at)
{
    const ls_tensor *t = params->slot[slot].tensor;
    ls_part          part[LS_PARTS];
    const int        parts = ls__param_parts(params->graph, t, part);
    bool             good  = true;
    for (int k = 0; k < parts; k++) {
        const ls_stored_type *type = type_of(part[k].name, how);
        int64_t               dim[LS_STORED_RANK], bytes = type->bytes;
        json_t               *shape = json_array();
        char                  room[LS_PATH_BYTES];
        const char           *name = name_of(part[k].name, how, room);
        for (int d = 0, rank = stored_dims(a, t, &part[k], dim); d < rank; bytes *= dim[d++])
            json_array_append_new(shape, json_integer(dim[d]));
        good = name && json_object_set_new(header, name, header_item(type->name, shape, *at, bytes)) == 0 && good;
        *at += bytes;
    }
    return good;
}

/* Returns the text of the header, padded with spaces so that the values begin at a multiple of 8 bytes.  NULL without
 * memory, or for a name that is not UTF-8.  To be freed. */
static char *header_text(const ls_architecture *a, const ls_params *params, const ls_metadata *metadata,
                         const ls_saving *how, size_t *length)
{
    json_t *header = json_pack("{s:{s:s}}", "__metadata__", "format", "pt");
    bool    good   = header;
    int64_t at     = add_batch_counts(header, params, how);
    good           = good && at >= 0;
    for (; metadata && metadata->key; metadata++)
        good = json_object_set_new(json_object_get(header, "__metadata__"), metadata->key,
                                   json_string(metadata->text)) == 0 &&
               good;
    for (int i = 0; i < params->count; i++) good = add_tensors(header, a, params, i, how, &at) && good;
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

static ls_status write_header(ls_file *f, const ls_architecture *a, const ls_params *params,
                              const ls_metadata *metadata, const ls_saving *how)
{
    size_t        length;
    unsigned char prefix[LS_STORED_PREFIX];
    char         *text = header_text(a, params, metadata, how, &length);
    LS_CHECK(text, LS_ERR_ENV, "%s: cannot make its header" LS_HINT "is the name of every parameter UTF-8?", f->path);
    for (int i = 0; i < LS_STORED_PREFIX; i++) prefix[i] = (unsigned char)((uint64_t)length >> 8 * i);
    ls_status status = ls__file_write(f, prefix, LS_STORED_PREFIX);
    if (status == LS_OK) status = ls__file_write(f, text, length);
    free(text);
    return status;
}

#define F16_LIMIT 65520.0f /* values from here on round to infinity */

/* Writes n values as a type.  `tile` has room for 2 TILE_ELEMENTS values; values may lie in its first half. */
static ls_status write_values(ls_file *f, const float *values, int64_t n, const ls_stored_type *type, float *tile)
{
    if (type->bytes == sizeof(float)) return ls__file_write(f, values, (size_t)n * sizeof *values);
    for (int64_t i = 0; i < n && !strcmp(type->name, "F16"); i++)
        LS_CHECK(!(values[i] >= F16_LIMIT || values[i] <= -F16_LIMIT), LS_ERR_USAGE,
                 "%s: float16 ends at 65504, and a parameter has the value %g" LS_HINT "write bfloat16 or float32",
                 f->path, (double)values[i]);
    for (int64_t at = 0; at < n; at += TILE_ELEMENTS) {
        const size_t count = (size_t)(n - at < TILE_ELEMENTS ? n - at : TILE_ELEMENTS);
        type->narrow(tile + TILE_ELEMENTS, values + at, count);
        LS_TRY(ls__file_write(f, tile + TILE_ELEMENTS, count * (size_t)type->bytes));
    }
    return LS_OK;
}

static ls_status write_transposed(ls_file *f, int64_t in, int64_t out, const float *w, const ls_stored_type *type,
                                  float *tile)
{
    for (tile_range t = {0}; next_tile(&t, in, out);) {
        for (int64_t o = 0; o < t.cols; o++)
            for (int64_t i = 0; i < t.rows; i++) tile[i * t.cols + o] = w[(t.col + o) * in + t.row + i];
        LS_TRY(write_values(f, tile, t.rows * t.cols, type, tile));
    }
    return LS_OK;
}

/* Writes the values of the tensors of a parameter. */
static ls_status write_param(ls_file *f, const ls_architecture *a, const ls_params *params, int slot,
                             const ls_saving *how, float *tile)
{
    const ls_tensor *t = params->slot[slot].tensor;
    const float     *w = values_of(params, slot);
    ls_part          part[LS_PARTS];
    const int        parts = ls__param_parts(params->graph, t, part);
    if (ls__is_stored_transposed(a, t))
        return write_transposed(f, t->dim[1], t->dim[0], w, type_of(part[0].name, how), tile);
    for (int k = 0; k < parts; k++) {
        const int64_t n = parts > 1 ? params->slot[slot].count / t->dim[0] * part[k].rows : params->slot[slot].count;
        LS_TRY(write_values(f, w, n, type_of(part[k].name, how), tile));
        w += n;
    }
    return LS_OK;
}

static ls_status write_file(ls_file *f, const ls_params *params, const ls_metadata *metadata, const ls_saving *how,
                            float *tile)
{
    const ls_architecture *a           = ls__architecture_of(params->graph);
    const int64_t          batch_count = 0;
    LS_TRY(write_header(f, a, params, metadata, how));
    for (int i = 0; i < params->count; i++)
        if (batch_norm_prefix(params->slot[i].tensor->name))
            LS_TRY(ls__file_write(f, &batch_count, sizeof batch_count));
    for (int i = 0; i < params->count; i++) LS_TRY(write_param(f, a, params, i, how, tile));
    return LS_OK;
}

ls_status ls_safetensors_save(const char *path, ls_params *params, const ls_metadata *metadata)
{
    return ls__safetensors_save_as(path, params, metadata, &(ls_saving){0});
}

ls_status ls__safetensors_save_as(const char *path, ls_params *params, const ls_metadata *metadata,
                                  const ls_saving *how)
{
    ls_file   f;
    ls_arena *memory;
    LS_TRY(ls_arena_new(&memory, "safetensors"));
    ls_status status = ls__file_create(&f, path);
    if (status == LS_OK)
        status = ls__file_finish(
            &f, write_file(&f, params, metadata, how, ls_arena_alloc(memory, 2 * TILE_ELEMENTS * sizeof(float))));
    ls_arena_free(memory);
    return status;
}
