/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads a checkpoint of two files.  Bit 1 of the first byte chooses the file that is changed.  With bit 0, the other
 * bytes are a list of changes (three bytes each: what, where, how) that are made through HDF5.  Without it, the other
 * bytes are the manifest (bit 2 set) or the whole file.  After a change of a file the manifest gets the new checksum,
 * so that only the checks of dist/checkpoint/checkpoint_file_read.c and checkpoint_index.c can find the change. */
#include <hdf5.h>

#include "core/io/file_access.h"
#include "dist/checkpoint/checkpoint_file.h"
#include "dist/checkpoint/checkpoint_load.h"
#include "dist/checkpoint/checkpoint_manifest.h"
#include "tests/fuzz/fuzz.h"

enum { FUZZ_ARRAYS = 4, FUZZ_COUNT = 6 };

static const int64_t  fuzz_dims[]   = {2, 3};
static const char    *fuzz_states[] = {"exp_avg"};
static float          fuzz_values[FUZZ_ARRAYS][FUZZ_COUNT];
static ls_state_array fuzz_array[FUZZ_ARRAYS] = {
    {"w", NULL, 2, fuzz_dims, 6, fuzz_values[0]},
    {"b", NULL, 1, fuzz_dims, 2, fuzz_values[1]},
    {"scale", NULL, 0, fuzz_dims, 1, fuzz_values[2]},
    {"w", "exp_avg", 2, fuzz_dims, 6, fuzz_values[3]},
};
static const ls_state fuzz_state = {FUZZ_ARRAYS, fuzz_array, 1, fuzz_states};

static float fuzz_value(int array, int i) { return (float)(10 * array + i + 1); }

/* HDF5 objects of a checkpoint that the fuzzer changes. */
static const char *const fuzz_places[] = {
    "param/w",   "param/b@0", "param/scale", "state/exp_avg/w",   "state/exp_avg", "param",    "state",
    "param/new", "state/new", "new",         "state/exp_avg/new", "param/b@1",     "param/b@2"};
static const char *const fuzz_names[] = {"xxh64",       "format", "format_version", "step",  "epoch", "seed", "part",
                                         "recipe_hash", "isa",    "progress_xxh64", "parts", "loss"};
#define FUZZ_PICK(list, k) ((list)[(k) % (sizeof(list) / sizeof *(list))])

static hid_t fuzz_type(uint8_t how)
{
    switch (how % 8) {
    case 0:
        return H5Tcopy(H5T_IEEE_F64LE);
    case 1:
        return H5Tcopy(H5T_STD_I32LE);
    case 2:
        return H5Tcopy(H5T_IEEE_F32BE);
    case 3: {
        hid_t text = H5Tcopy(H5T_C_S1);
        H5Tset_size(text, how & 8 ? H5T_VARIABLE : (size_t)how + 1);
        return text;
    }
    case 4:
        return H5Tvlen_create(H5T_NATIVE_INT);
    case 5:
        return H5Tcreate(H5T_OPAQUE, 3);
    case 6:
        return H5Tcopy(H5T_STD_U64LE);
    default:
        return H5Tcopy(H5T_IEEE_F32LE);
    }
}

static hid_t fuzz_space(uint8_t how)
{
    hsize_t dims[3] = {2, 3, (hsize_t)1 << (how % 61)};
    switch (how % 5) {
    case 0:
        return H5Screate(H5S_NULL);
    case 1:
        return H5Screate(H5S_SCALAR);
    case 2:
        return H5Screate_simple(3, dims, NULL);
    case 3:
        dims[0] = 0;
        return H5Screate_simple(2, dims, NULL);
    default:
        return H5Screate_simple(2, dims, NULL);
    }
}

static void fuzz_dataset(hid_t file, const char *place, uint8_t how)
{
    hid_t   type = fuzz_type(how), space = fuzz_space(how / 8), list = H5Pcreate(H5P_DATASET_CREATE);
    hsize_t chunk[3] = {1, 1, 1};
    int     rank     = H5Sget_simple_extent_ndims(space);
    if (how & 64 && rank > 0) H5Pset_chunk(list, rank, chunk);
    if (how & 128) H5Pset_external(list, "/etc/passwd", 0, H5F_UNLIMITED);
    hid_t set = H5Dcreate2(file, place, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    if (set >= 0) H5Dclose(set);
    H5Pclose(list);
    H5Sclose(space);
    H5Tclose(type);
}

static void fuzz_attribute(hid_t file, const char *place, const char *name, uint8_t how)
{
    hid_t where = H5Oopen(file, place, H5P_DEFAULT);
    if (where < 0) return;
    H5Adelete(where, name);
    hid_t    type = fuzz_type(how), space = H5Screate(how & 16 ? H5S_NULL : H5S_SCALAR);
    hid_t    attribute = how & 32 ? -1 : H5Acreate2(where, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    uint64_t value[32] = {how};
    if (attribute >= 0 && H5Tget_class(type) == H5T_INTEGER) H5Awrite(attribute, type, value);
    if (attribute >= 0) H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
    H5Oclose(where);
}

static void fuzz_link(hid_t file, const char *place, uint8_t how)
{
    const char *target = FUZZ_PICK(fuzz_places, how / 4);
    switch (how % 4) {
    case 0:
        H5Lcreate_soft(target, file, place, H5P_DEFAULT, H5P_DEFAULT);
        break;
    case 1:
        H5Lcreate_external("/etc/passwd", target, file, place, H5P_DEFAULT, H5P_DEFAULT);
        break;
    case 2:
        H5Lcreate_hard(file, target, file, place, H5P_DEFAULT, H5P_DEFAULT);
        break;
    default:
        H5Lcreate_soft(place, file, place, H5P_DEFAULT, H5P_DEFAULT);
        break;
    }
}

static void fuzz_change(hid_t file, uint8_t what, uint8_t where, uint8_t how)
{
    const char *place = FUZZ_PICK(fuzz_places, where);
    if (what % 8 < 5) H5Ldelete(file, place, H5P_DEFAULT);
    switch (what % 8) {
    case 0:
        break;
    case 1:
        fuzz_dataset(file, place, how);
        break;
    case 2:
        fuzz_link(file, place, how);
        break;
    case 3:
        H5Gclose(H5Gcreate2(file, place, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
        break;
    case 4: {
        hid_t type = fuzz_type(how);
        H5Tcommit2(file, place, type, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        H5Tclose(type);
        break;
    }
    case 5:
        fuzz_attribute(file, place, how & 8 ? "first" : how & 64 ? "dims" : "xxh64", how);
        break;
    default:
        fuzz_attribute(file, "/", FUZZ_PICK(fuzz_names, where), how);
        break;
    }
}

enum { FUZZ_PARTS = 2 };

/* Writes two intact files, between which an array is cut. */
static void fuzz_write_good(char path[FUZZ_PARTS][FILES_PATH + 32])
{
    static uint8_t image[FUZZ_PARTS][1 << 16];
    static size_t  length[FUZZ_PARTS];
    uint64_t       sum;
    int64_t        size;
    ls_progress    p = {.step = 7, .epoch = 1, .sample = 3, .seed = 5, .recipe_hash = "abc", .isa = "v3"};
    if (!length[0]) {
        ls_arena *arena;
        ls_state  share;
        for (int a = 0; a < FUZZ_ARRAYS; a++)
            for (int i = 0; i < FUZZ_COUNT; i++) fuzz_values[a][i] = fuzz_value(a, i);
        fuzz_expect(ls_arena_new(&arena, "fuzz") == LS_OK);
        for (int k = 0; k < FUZZ_PARTS; k++) {
            ls__state_partition(&fuzz_state, k, FUZZ_PARTS, arena, &share);
            fuzz_expect(ls__checkpoint_file_write(path[k], &share, &p, k, FUZZ_PARTS, &sum, &size) == LS_OK);
            length[k] = file_read(path[k], image[k], sizeof image[k]);
            fuzz_expect(length[k] > 0 && length[k] < sizeof image[k]);
        }
        ls_arena_free(arena);
    }
    for (int k = 0; k < FUZZ_PARTS; k++) file_write(path[k], image[k], length[k]);
}

static void fuzz_write_sums(const char *folder, char path[FUZZ_PARTS][FILES_PATH + 32])
{
    uint64_t sum[FUZZ_PARTS];
    int64_t  size;
    for (int k = 0; k < FUZZ_PARTS; k++) fuzz_expect(ls__file_checksum(path[k], &sum[k], &size) == LS_OK);
    fuzz_expect(ls__manifest_write(folder, FUZZ_PARTS, sum) == LS_OK);
}

static void fuzz_sum(const ls_checkpoint_array *array, void *data)
{
    for (int64_t i = 0; i < array->count; i++) *(double *)data += (double)array->values[i];
}

FUZZ_TARGET(checkpoint)
{
    char        folder[FILES_PATH + 16], path[FUZZ_PARTS][FILES_PATH + 32], manifest[FILES_PATH + 40];
    ls_progress progress;
    double      total = 0;
    if (!bytes) return;
    const char *changed = path[data[0] >> 1 & 1];
    snprintf(folder, sizeof folder, "%s/step-00000007", fuzz_folder());
    for (int k = 0; k < FUZZ_PARTS; k++) snprintf(path[k], sizeof path[k], "%s/part-%04d.h5", folder, k);
    snprintf(manifest, sizeof manifest, "%s/" LS_MANIFEST, folder);
    mkdir(folder, 0777);
    fuzz_write_good(path);
    if (data[0] & 1 || bytes == 1) {
        H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
        hid_t file = H5Fopen(changed, H5F_ACC_RDWR, H5P_DEFAULT);
        fuzz_expect(file >= 0);
        for (size_t i = 1; i + 3 <= bytes && i < 60; i += 3) fuzz_change(file, data[i], data[i + 1], data[i + 2]);
        H5Fclose(file);
    } else if (data[0] & 4) {
        file_write(manifest, data + 1, bytes - 1);
    } else {
        file_write(changed, data + 1, bytes - 1);
    }
    if (data[0] & 1 || bytes == 1 || !(data[0] & 4)) fuzz_write_sums(folder, path);
    memset(fuzz_values, 0, sizeof fuzz_values);
    ls_status status = ls__checkpoint_read(NULL, &fuzz_state, folder, &progress);
    fuzz_status(status);
    for (int a = 0; a < FUZZ_ARRAYS && status == LS_OK; a++)
        for (int i = 0; i < fuzz_array[a].count; i++) fuzz_expect(fuzz_values[a][i] == fuzz_value(a, i));
    fuzz_status(ls_checkpoint_inspect(folder, &progress, fuzz_sum, &total));
    fuzz_expect(status != LS_OK || progress.step == 7);
    fuzz_expect(status == LS_OK || bytes > 1); /* an unchanged checkpoint must load */
    for (int k = 0; k < FUZZ_PARTS; k++) unlink(path[k]);
    unlink(manifest);
    rmdir(folder);
}
