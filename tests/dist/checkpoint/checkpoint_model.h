/* SPDX-License-Identifier: Apache-2.0
 * For tests of checkpoints: a model of two parameters.  The first has two optimizer states, the second is frozen. */
#ifndef LS_TESTS_DIST_CHECKPOINT_CHECKPOINT_MODEL_H
#define LS_TESTS_DIST_CHECKPOINT_CHECKPOINT_MODEL_H

#include "dist/checkpoint/checkpoint_folder.h"
#include "dist/checkpoint/checkpoint_load.h"
#include "dist/checkpoint/checkpoint_saver.h"

enum { W = 600, B = 3, ARRAYS = 4 };
typedef struct model {
    float          w[W], b[B], m[W], v[W];
    ls_state_array array[ARRAYS];
    ls_state_range part[ARRAYS][2];
    ls_state       state;
} model;

static const int64_t w_dims[] = {20, 30}, b_dims[] = {3};
static const char   *state_names[] = {"exp_avg", "exp_avg_sq"};

static inline float model_value(float scale, int array, int64_t i) { return scale * (float)(1000 * array + i + 1); }

static inline void model_fill(model *m, float scale)
{
    for (int i = 0; i < ARRAYS; i++) {
        const ls_state_range *part;
        ls_state_range        whole;
        int                   n = ls__state_parts(&m->array[i], &part, &whole);
        for (int p = 0; p < n; p++)
            for (int64_t k = 0; k < part[p].range.count; k++)
                part[p].data[k] = model_value(scale, i, part[p].range.offset + k);
    }
}

static inline void model_make(model *m, float scale)
{
    *m          = (model){.state = {.arrays = ARRAYS, .array = m->array, .states = 2, .state_name = state_names}};
    m->array[0] = (ls_state_array){"conv1.weight", NULL, 2, w_dims, W, m->w};
    m->array[1] = (ls_state_array){"conv1.bias", NULL, 1, b_dims, B, m->b};
    m->array[2] = (ls_state_array){"conv1.weight", "exp_avg", 2, w_dims, W, m->m};
    m->array[3] = (ls_state_array){"conv1.weight", "exp_avg_sq", 2, w_dims, W, m->v};
    model_fill(m, scale);
}

/* Leaves of each optimizer state only the partition of `rank`: two ranges, at different offsets for the two states. */
static inline void model_divide(model *m, float scale, int rank, int ranks)
{
    for (int i = 2; i < ARRAYS; i++) {
        int position = i == 2 ? rank : ranks - 1 - rank, half = W / 2;
        for (int p = 0; p < 2; p++) {
            int64_t first = p * half + half * position / ranks;
            m->part[i][p] = (ls_state_range){{first, p * half + half * (position + 1) / ranks - first},
                                             (i == 2 ? m->m : m->v) + first};
        }
        m->array[i].divided = true;
        m->array[i].data    = NULL;
        m->array[i].parts   = 2;
        m->array[i].part    = m->part[i];
    }
    model_fill(m, scale);
}

static inline bool model_is(const model *m, float scale)
{
    for (int i = 0; i < ARRAYS; i++) {
        const ls_state_range *part;
        ls_state_range        whole;
        int                   n = ls__state_parts(&m->array[i], &part, &whole);
        for (int p = 0; p < n; p++)
            for (int64_t k = 0; k < part[p].range.count; k++)
                if (part[p].data[k] != model_value(scale, i, part[p].range.offset + k)) return false;
    }
    return true;
}

#endif
