/* SPDX-License-Identifier: Apache-2.0
 * Reads text files in pieces.  Internal. */
#ifndef LS_DATASETS_TOKENIZER_TEXT_PIECES_H
#define LS_DATASETS_TOKENIZER_TEXT_PIECES_H

#include "datasets/tokenizer/tokenizer.h"

/* Calls `take` for each piece of a file.  Pieces end where ls_tokenizer_cut allows, or after 64 MiB without such a
 * place, between two characters. */
typedef ls_status ls_text_piece(void *context, const char *text, size_t bytes);
ls_status         ls__text_file(const ls_tokenizer *t, const char *path, ls_text_piece *take, void *context);

#endif
