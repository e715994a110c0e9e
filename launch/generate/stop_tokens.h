/* SPDX-License-Identifier: Apache-2.0
 * The tokens that end a text, as a folder of Hugging Face states them. */
#ifndef LS_LAUNCH_GENERATE_STOP_TOKENS_H
#define LS_LAUNCH_GENERATE_STOP_TOKENS_H

#include "core/core.h"

enum { LS_MAX_STOP_TOKENS = 16 };
typedef struct ls_stop_tokens {
    int     count; /* 0: the folder states none */
    int32_t id[LS_MAX_STOP_TOKENS];
} ls_stop_tokens;

/* Reads eos_token_id of generation_config.json, or else of config.json. */
ls_status ls_stop_tokens_read(const char *folder, ls_stop_tokens *stop);

#endif
