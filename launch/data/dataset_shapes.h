/* SPDX-License-Identifier: Apache-2.0
 * A stand-in dataset with given shapes and pseudorandom values, for `explain` and `bench` without the data. */
#ifndef LS_LAUNCH_DATA_DATASET_SHAPES_H
#define LS_LAUNCH_DATA_DATASET_SHAPES_H

#include "datasets/datasets.h"

/* Creates the stand-in from a description: text when info->context is set, else images. */
ls_status ls_data_shapes(ls_dataset **dataset, const ls_dataset_info *info);

#endif
