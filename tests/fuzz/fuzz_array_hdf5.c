/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of named arrays.  First byte even: the other bytes are the file.  Odd: they describe an HDF5 file with /x, /y
 * and /class_names (random_hdf5.h).  Bit 1: classification; bit 2: a split of the file; bit 3: without targets.
 */
#include "tests/fuzz/random_hdf5.h"

static void make_arrays(const char *path, bool classes, source *s)
{
    hid_t   file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), names = H5Tcopy(H5T_C_S1);
    hsize_t dims[4] = {1 + next(s) % 32, 1 + next(s) % 4, 1 + next(s) % 3, 1 + next(s) % 3}, count = 1 + next(s) % 4;
    int     rank = 1 + (int)(next(s) % 4);
    H5Tset_size(names, next(s) & 1 ? H5T_VARIABLE : 4);
    make_set(file, "x", next(s) & 1 ? H5T_IEEE_F32LE : H5T_IEEE_F64BE, rank, dims, s);
    make_set(file, "y", classes ? H5T_STD_U8LE : H5T_IEEE_F64LE, 1, dims, s);
    if (next(s) & 1) make_set(file, "class_names", names, 1, &count, s);
    H5Tclose(names);
    H5Fclose(file);
}

/* Reads and scales all samples, as a run does. */
static void use_arrays(ls_dataset *d)
{
    ls_dataset_info info = ls_dataset_info_of(d);
    ls_scaler      *scaler;
    ls_loader      *loader;
    ls_batch        batch;
    int             files, checked;
    fuzz_expect(info.count >= 1 && info.columns >= 1 && info.columns <= 2 && info.classes >= 0);
    int64_t elements = 0;
    for (int c = 0; c < info.columns; c++) {
        int64_t n = 1;
        for (int i = 0; i < info.column[c].rank; i++) n *= info.column[c].dim[i];
        elements += n;
    }
    if (info.count > 1 << 12 || info.count * elements > 1 << 16) return;
    fuzz_status(ls_dataset_verify(d, &files, &checked));
    ls_status status = ls_scaler_fit(&scaler, d);
    fuzz_status(status);
    if (status == LS_OK) {
        ls_scaler *copy;
        char      *json = ls_scaler_to_json(scaler);
        fuzz_expect(json && ls_scaler_from_json(&copy, "seed", json) == LS_OK);
        fuzz_expect(ls_dataset_scale(d, copy) == LS_OK);
        ls_scaler_free(copy);
        free(json);
    }
    ls_scaler_free(scaler);
    status = ls_loader_new(&loader, d, .batch = 7, .shards = 2, .ranks = 1, .seed = 1, .epochs = 1);
    fuzz_status(status);
    if (status != LS_OK) return;
    while (ls_loader_next(loader, &batch))
        for (int64_t i = 0; i < batch.rows && info.classes; i++) {
            int32_t label = ((const int32_t *)batch.data[1])[i];
            fuzz_expect(label >= 0 && label < info.classes);
        }
    fuzz_status(ls_loader_status(loader));
    ls_loader_free(loader);
}

FUZZ_TARGET(array_hdf5)
{
    char        path[FILES_PATH + 16];
    ls_dataset *d;
    source      s = {data + 1, data + bytes};
    if (!bytes) return;
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    snprintf(path, sizeof path, "%s/arrays.h5", fuzz_folder());
    bool classes = data[0] & 2, targets = !(data[0] & 8);
    if (data[0] & 1)
        make_arrays(path, classes, &s);
    else
        file_write(path, data + 1, bytes - 1);
    ls_array_columns c      = {.inputs  = 1,
                               .targets = targets,
                               .input   = {"x"},
                               .target  = {"y"},
                               .task    = classes ? LS_ARRAY_CLASSIFICATION : LS_ARRAY_REGRESSION};
    ls_status        status = ls_dataset_open_arrays(&d, path, data[0] & 4 ? "train" : NULL, &c);
    fuzz_status(status);
    if (status == LS_OK) {
        use_arrays(d);
        ls_dataset_free(d);
    }
    unlink(path);
}
