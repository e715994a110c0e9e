/* SPDX-License-Identifier: Apache-2.0
 *
 * Features of a linear probe: see launch/transfer/features.h.
 *
 * A file has a header, the features (float32), the labels (int32), and the XXH64 of both. */
#include "launch/transfer/features.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "core/graph/params.h"
#include "core/io/atomic_file.h"
#include "launch/run/evaluate.h"

/* ---- the head ---------------------------------------------------------------------------------------------------- */

ls_status ls_features_head(const ls_run *run, const ls_node **head)
{
    const ls_node *n = NULL;
    for (int i = 0; run->logits && i < run->graph->nodes; i++)
        if (run->graph->node[i]->out[0] == run->logits) n = run->graph->node[i];
    *head = n;
    LS_CHECK(n && strcmp(ls__op(n)->name, "linear") == 0 && n->in[0]->type == LS_F32 &&
                 ls__numel(n->in[0]) == ls__cols(n->in[0]),
             LS_ERR_USAGE,
             "%s: a linear probe needs a model that ends with a linear layer in float32, found %s" LS_HINT
             "set train.precision=float32, or choose a model that ends with a linear layer",
             run->recipe->name, n ? ls__op(n)->name : "a language model");
    return LS_OK;
}

/* ---- the cache --------------------------------------------------------------------------------------------------- */

typedef struct file_header {
    char     magic[8];
    int64_t  count, width;
    uint64_t key, hash;
} file_header;

static const char magic[8] = "LSFEAT1";

/* Adds all labels and the pixels of 16 images to the hash. */
static ls_status hash_samples(const ls_dataset_info *info, ls_dataset *split, XXH64_state_t *state)
{
    enum { PIXELS_OF = 16 };
    const size_t  bytes  = (size_t)info->channels * (size_t)info->height * (size_t)info->width;
    const int64_t every  = info->count / PIXELS_OF + 1;
    uint8_t      *pixels = malloc(bytes);
    ls_status     status = pixels ? LS_OK : LS_FAIL(LS_ERR_ENV, "%s: no memory for an image", info->path);
    for (int64_t i = 0; i < info->count && status == LS_OK; i++) {
        int32_t    label         = 0;
        const bool hashes_pixels = i % every == 0;
        status                   = ls_dataset_read(split, i, hashes_pixels ? pixels : NULL, &label);
        XXH64_update(state, &label, sizeof label);
        if (hashes_pixels) XXH64_update(state, pixels, bytes);
    }
    free(pixels);
    return status;
}

static ls_status find_key(const ls_run *run, ls_dataset *split, const ls_node *head, uint64_t *key)
{
    const ls_params      *params = ls_trainer_params(run->trainer);
    const ls_dataset_info info   = ls_dataset_info_of(split);
    const char           *isa    = ls_isa_name(ls_isa_current());
    XXH64_state_t        *state  = XXH64_createState();
    LS_CHECK(state, LS_ERR_ENV, "features: no memory");
    XXH64_reset(state, 0);
    for (int i = 0; i < params->count; i++) {
        const ls_tensor *t      = params->slot[i].tensor;
        const uint64_t   digest = ls__param_digest(params, i);
        if (t == head->in[1] || t == head->in[2]) continue;
        XXH64_update(state, t->name, strlen(t->name) + 1);
        XXH64_update(state, &digest, sizeof digest);
    }
    const int64_t size[] = {info.count, info.channels, info.height, info.width};
    XXH64_update(state, run->layout, sizeof run->layout);
    XXH64_update(state, size, sizeof size);
    XXH64_update(state, info.mean, sizeof info.mean);
    XXH64_update(state, info.std, sizeof info.std);
    XXH64_update(state, isa, strlen(isa));
    ls_status status = hash_samples(&info, split, state);
    *key             = XXH64_digest(state);
    XXH64_freeState(state);
    return status;
}

/* Returns whether the file holds complete features of this key, and reads them. */
static bool read_file(const char *path, uint64_t key, ls_labelled *f)
{
    file_header  h;
    const size_t floats = (size_t)(f->count * f->width);
    FILE        *file   = fopen(path, "rb");
    bool good = file && fread(&h, sizeof h, 1, file) == 1 && !memcmp(h.magic, magic, sizeof magic) && h.key == key &&
                h.count == f->count && h.width == f->width && fread(f->x, sizeof *f->x, floats, file) == floats &&
                fread(f->label, sizeof *f->label, (size_t)f->count, file) == (size_t)f->count;
    if (file) fclose(file);
    if (!good) return false;
    const uint64_t hash = XXH64(f->label, (size_t)f->count * sizeof *f->label, XXH64(f->x, floats * sizeof *f->x, 0));
    for (int64_t i = 0; i < f->count; i++) good = good && f->label[i] >= 0 && f->label[i] < f->classes;
    return good && h.hash == hash;
}

static ls_status write_file(const char *path, uint64_t key, const ls_labelled *f)
{
    const size_t bytes = (size_t)(f->count * f->width) * sizeof *f->x, labels = (size_t)f->count * sizeof *f->label;
    file_header  h = {
         .count = f->count, .width = f->width, .key = key, .hash = XXH64(f->label, labels, XXH64(f->x, bytes, 0))};
    ls_file file;
    memcpy(h.magic, magic, sizeof magic);
    LS_TRY(ls__file_create(&file, path));
    ls_status status = ls__file_write(&file, &h, sizeof h);
    if (status == LS_OK) status = ls__file_write(&file, f->x, bytes);
    if (status == LS_OK) status = ls__file_write(&file, f->label, labels);
    return ls__file_finish(&file, status);
}

/* ---- computation ------------------------------------------------------------------------------------------------- */

/* The record of a sample: its features, then its label. */
static void record_sample(void *context, const ls_batch *batch, int64_t row, const float *values, void *record)
{
    const ls_labelled *f      = context;
    const size_t       bytes  = (size_t)f->width * sizeof *values;
    const int32_t     *labels = ls_batch_array(batch, "label");
    memcpy(record, values, bytes);
    memcpy((char *)record + bytes, &labels[row], sizeof *labels);
}

static void take_sample(void *context, int64_t sample, const void *record)
{
    ls_labelled *f     = context;
    const size_t bytes = (size_t)f->width * sizeof *f->x;
    memcpy(f->x + sample * f->width, record, bytes);
    memcpy(&f->label[sample], (const char *)record + bytes, sizeof *f->label);
}

static ls_status compute(ls_run *run, ls_dataset *split, const ls_node *head, ls_labelled *f)
{
    return ls_run_pass(run, split,
                       &(ls_sample_pass){.output  = head->in[0],
                                         .bytes   = (size_t)f->width * sizeof *f->x + sizeof *f->label,
                                         .record  = record_sample,
                                         .take    = take_sample,
                                         .context = f});
}

ls_status ls_features_of(ls_run *run, ls_dataset *split, const char *folder, ls_labelled *f, bool *cached)
{
    const ls_dataset_info info = ls_dataset_info_of(split);
    const ls_node        *head;
    uint64_t              key   = 0;
    int                   found = 0;
    LS_TRY_COLLECTIVE(run, ls_features_head(run, &head));
    LS_TRY_COLLECTIVE(run, run->is_root ? find_key(run, split, head, &key) : LS_OK);
    *f   = (ls_labelled){.count = info.count, .width = (int)ls__cols(head->in[0]), .classes = (int)head->in[1]->dim[0]};
    f->x = ls_arena_alloc(run->memory, (size_t)(f->count * f->width) * sizeof *f->x);
    f->label = ls_arena_alloc(run->memory, (size_t)f->count * sizeof *f->label);
    const char *path =
        ls_arena_printf(run->memory, "%s/features-%s-%016llx", folder, info.split, (unsigned long long)key);
    if (run->is_root) found = read_file(path, key, f);
    LS_TRY(ls_comm_bcast(run->comm, &found, sizeof found, 0));
    *cached = found;
    if (!found) {
        LS_TRY(compute(run, split, head, f));
        LS_TRY_COLLECTIVE(run, run->is_root ? write_file(path, key, f) : LS_OK);
        return LS_OK;
    }
    LS_TRY(ls_comm_bcast(run->comm, f->x, (size_t)(f->count * f->width) * sizeof *f->x, 0));
    return ls_comm_bcast(run->comm, f->label, (size_t)f->count * sizeof *f->label, 0);
}
