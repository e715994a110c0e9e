/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads reference values of PyTorch, and generates numbers by formula.  tests/golden/make.py writes the files:
 *
 *     # a comment
 *     case NAME setting=value setting=value ...
 *     array NAME f32 2 3                           a type (f32, i32) and dims
 *     0.5 -1.25 3 7 9 2                            then the numbers, on any number of lines
 *
 * A test reads them case by case:
 *
 *     golden g = golden_open("values/optims.txt");
 *     while (golden_next(&g)) {
 *         float lr = golden_number(&g, "lr", 0);
 *         const golden_array *last = golden_get(&g, "last");
 *     }
 *     golden_close(&g);
 *
 * golden_check_op("softmax") in tests/golden_op.h runs all cases of tests/golden/ops/softmax.txt.
 */
#ifndef LS_TESTS_GOLDEN_H
#define LS_TESTS_GOLDEN_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/arena.h"
#include "core/core.h"

enum { GOLDEN_SETTINGS = 16, GOLDEN_ARRAYS = 64 };

typedef struct golden_array {
    const char *name;
    ls_dtype    type;
    int         rank;
    int64_t     dim[LS_MAX_DIMS + 1], count;
    float      *f32; /* f32 or i32, by type; the other is NULL */
    int32_t    *i32;
} golden_array;

typedef struct golden {
    ls_arena    *arena;
    const char  *path;
    char        *at; /* rest of the text */
    int          number, settings, arrays;
    const char  *name, *key[GOLDEN_SETTINGS], *value[GOLDEN_SETTINGS];
    golden_array array[GOLDEN_ARRAYS];
} golden;

/* Opens a file of a folder. */
static inline golden golden_open_in(const char *folder, const char *name)
{
    golden g = {0};
    assert_int_equal(ls_arena_new(&g.arena, "golden"), LS_OK);
    g.path  = ls_arena_printf(g.arena, "%s/%s", folder, name);
    FILE *f = fopen(g.path, "rb");
    if (!f) fail_msg("%s: expected a file made by tests/golden/make.py, found none", g.path);
    fseek(f, 0, SEEK_END);
    size_t bytes = (size_t)ftell(f);
    rewind(f);
    g.at = ls_arena_alloc(g.arena, bytes + 1);
    assert_int_equal(fread(g.at, 1, bytes, f), bytes);
    fclose(f);
    return g;
}

/* Opens a file below tests/golden. */
static inline golden golden_open(const char *path) { return golden_open_in(LOCKSTEP_SOURCE "/tests/golden", path); }

static inline void golden_close(golden *g) { ls_arena_free(g->arena); }

static inline char *golden_line(golden *g)
{
    if (!*g->at) return NULL;
    char *line = g->at, *end = strchr(line, '\n');
    g->at = end ? end + 1 : line + strlen(line);
    if (end) *end = 0;
    return line;
}

static inline void golden_read_array(golden *g, char *line)
{
    assert_true(g->arrays < GOLDEN_ARRAYS);
    golden_array *a = &g->array[g->arrays++];
    char         *rest, *type;
    *a = (golden_array){.count = 1};
    strtok_r(line, " ", &rest);
    a->name = strtok_r(NULL, " ", &rest);
    type    = strtok_r(NULL, " ", &rest);
    a->type = strcmp(type, "i32") == 0 ? LS_I32 : LS_F32;
    for (char *dim; (dim = strtok_r(NULL, " ", &rest)); a->count *= a->dim[a->rank++]) {
        assert_true(a->rank <= LS_MAX_DIMS);
        a->dim[a->rank] = strtoll(dim, NULL, 10);
    }
    a->f32 = ls_arena_alloc(g->arena, (size_t)a->count * 4 + 1);
    a->i32 = (int32_t *)(void *)a->f32;
    for (int64_t i = 0; i < a->count; i++) {
        char *end;
        if (a->type == LS_I32)
            a->i32[i] = (int32_t)strtol(g->at, &end, 10);
        else
            a->f32[i] = strtof(g->at, &end);
        if (end == g->at)
            fail_msg("%s: case %d, '%s': expected %lld numbers, found %lld", g->path, g->number, a->name,
                     (long long)a->count, (long long)i);
        g->at = end;
    }
    g->at += *g->at == '\n';
    if (a->type == LS_I32)
        a->f32 = NULL;
    else
        a->i32 = NULL;
}

/* Reads the next case.  False: the end. */
static inline bool golden_next(golden *g)
{
    char *line = golden_line(g), *rest;
    while (line && (*line == '#' || !*line)) line = golden_line(g);
    if (!line) return false;
    if (strncmp(line, "case ", 5) != 0) fail_msg("%s: expected a case, found '%s'", g->path, line);
    g->number++;
    g->settings = g->arrays = 0;
    g->name                 = strtok_r(line + 5, " ", &rest);
    for (char *word; (word = strtok_r(NULL, " ", &rest)); g->settings++) {
        char *equals = strchr(word, '=');
        assert_true(equals && g->settings < GOLDEN_SETTINGS);
        *equals               = 0;
        g->key[g->settings]   = word;
        g->value[g->settings] = equals + 1;
    }
    while (strncmp(g->at, "array ", 6) == 0) golden_read_array(g, golden_line(g));
    return true;
}

/* A setting of the case as text; NULL: not given. */
static inline const char *golden_text(const golden *g, const char *key)
{
    for (int i = 0; i < g->settings; i++)
        if (strcmp(g->key[i], key) == 0) return g->value[i];
    return NULL;
}

static inline float golden_number(const golden *g, const char *key, float otherwise)
{
    const char *text = golden_text(g, key);
    return text ? strtof(text, NULL) : otherwise;
}

/* An array of the case; NULL: none of this name. */
static inline const golden_array *golden_find(const golden *g, const char *name)
{
    for (int i = 0; i < g->arrays; i++)
        if (strcmp(g->array[i].name, name) == 0) return &g->array[i];
    return NULL;
}

static inline const golden_array *golden_get(const golden *g, const char *name)
{
    const golden_array *a = golden_find(g, name);
    if (!a) fail_msg("%s: case %d '%s' has no array '%s'", g->path, g->number, g->name, name);
    return a;
}

/* Asserts that each element differs by at most `relative` times its magnitude plus `absolute`. */
static inline void golden_close_to(const golden *g, const char *what, int64_t n, const float *got, const float *want,
                                   double relative, double absolute)
{
    for (int64_t i = 0; i < n; i++) {
        double error = fabs((double)got[i] - (double)want[i]);
        if (got[i] != want[i] && (isinf(want[i]) || !(error <= relative * fabs((double)want[i]) + absolute)))
            fail_msg("%s: case %d '%s': %s[%lld] is %.9g, PyTorch has %.9g (off by %.2e of it)", g->path, g->number,
                     g->name, what, (long long)i, (double)got[i], (double)want[i], error / fabs((double)want[i]));
    }
}

/* ---- numbers by formula: tests/golden/formula.py ----------------------------------------------------------------- */

static inline uint32_t golden_state(const char *name)
{
    uint32_t s = 0x811C9DC5u;
    for (; *name; name++) s = (s ^ (unsigned char)*name) * 0x01000193u;
    return s;
}

static inline void golden_fill(const char *name, int64_t n, double scale, float *x)
{
    uint32_t s = golden_state(name);
    for (int64_t i = 0; i < n; i++, s = s * 1664525u + 1013904223u) x[i] = (float)(scale * ((s >> 8) * 0x1p-24 - 0.5));
}

static inline void golden_labels(const char *name, int64_t n, uint32_t classes, int32_t *x)
{
    uint32_t s = golden_state(name);
    for (int64_t i = 0; i < n; i++, s = s * 1664525u + 1013904223u) x[i] = (int32_t)((s >> 16) % classes);
}

/* Fills every parameter by its name. */
static inline void golden_fill_params(ls_params *params, double scale)
{
    for (int i = 0; i < ls_params_count(params); i++) {
        const char    *name;
        const int64_t *dim;
        int            rank;
        float         *values = ls_params_get(params, i, &name, &rank, &dim);
        golden_fill(name, dim[0] * (rank > 1 ? dim[1] : 1), scale, values);
    }
}

/* Fills weights of two or more dims and the biases after them, uniform within +- 2 / sqrt(fan in).  The fan in of a
 * bias is that of its weight.  The parameters of norms keep their values. */
static inline void golden_weights(ls_params *params)
{
    double fan    = 1;
    bool   biased = false; /* the parameter before has two or more dims */
    for (int i = 0; i < ls_params_count(params); i++) {
        const char    *name;
        const int64_t *dim;
        int            rank;
        int64_t        count  = 1;
        float         *values = ls_params_get(params, i, &name, &rank, &dim);
        for (int d = 0; d < rank; d++) count *= dim[d];
        if (rank > 1) fan = (double)(count / dim[0]);
        if (rank > 1 || (biased && strstr(name, ".bias"))) golden_fill(name, count, 4 / sqrt(fan), values);
        biased = rank > 1;
    }
}

#endif
