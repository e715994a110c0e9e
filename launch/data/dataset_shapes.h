/* SPDX-License-Identifier: Apache-2.0
 * A dataset with the shapes of another one and pseudo-random values, for `explain` and `bench` without the data. */
#ifndef LS_LAUNCH_DATA_DATASET_SHAPES_H
#define LS_LAUNCH_DATA_DATASET_SHAPES_H

#include "datasets/datasets.h"

/* Creates the dataset from a description: images, or with info->context text. */
ls_status ls_data_shapes(ls_dataset **dataset, const ls_dataset_info *info);

#endif
