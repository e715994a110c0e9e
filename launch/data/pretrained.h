/* SPDX-License-Identifier: Apache-2.0
 * Tokenizers in folders of pretrained models as Hugging Face transformers writes them.  ls_pretrained_read and
 * ls_pretrained_load of dist/dist.h read config.json and the parameters. */
#ifndef LS_LAUNCH_DATA_PRETRAINED_H
#define LS_LAUNCH_DATA_PRETRAINED_H

#include "core/base/arena.h"
#include "datasets/datasets.h"

/* Loads the tokenizer in the folder.  LS_ERR_DATA: the folder has no tokenizer, the tokenizer has more tokens than the
 * model's vocabulary, or fewer than 7/8 of it.  A smaller tokenizer is valid because models may round their vocabulary
 * up. */
ls_status ls_pretrained_tokenizer(ls_tokenizer **t, const char *folder, int vocabulary);

/* Checks that the folder's tokenizer, if it has one, is the one with which the dataset was imported, because another
 * tokenizer gives the token ids another meaning. */
ls_status ls_pretrained_check_tokenizer(const char *folder, const ls_dataset_info *data);

/* How a pretrained model expects its images, as the metadata of its file, config.json (timm's pretrained_cfg) or
 * preprocessor_config.json (transformers) say. */
typedef struct ls_pretrained_input {
    bool               known;
    int                channels, height, width;
    ls_image_options   options;
    float              mean[4], std[4]; /* by channel, of pixels scaled to 0 to 1 */
    const char *const *class_name;      /* ended by NULL; NULL: not stated        */
} ls_pretrained_input;
/* Names are allocated in `memory`. */
ls_status ls_pretrained_input_read(const char *path, ls_pretrained_input *input, ls_arena *memory);

/* Reads the classes of a folder of transformers with a model *ForSequenceClassification.  *count: their number, 1 for a
 * model of one number (a regression), 0 for another model.  *names: the names of the classes. */
ls_status ls_pretrained_labels(const char *folder, const char *const **names, int *count, ls_arena *memory);

#endif
