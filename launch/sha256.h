/* SPDX-License-Identifier: Apache-2.0
 * SHA-256 (FIPS 180-4), for checking what was downloaded. */
#ifndef LS_LAUNCH_SHA256_H
#define LS_LAUNCH_SHA256_H

#include <stddef.h>
#include <stdint.h>

typedef struct ls_sha256 {
    uint32_t h[8];
    uint64_t bytes;
    uint8_t  block[64];
} ls_sha256;

void ls_sha256_begin(ls_sha256 *s);
void ls_sha256_add(ls_sha256 *s, const void *data, size_t bytes);
void ls_sha256_end(ls_sha256 *s, char hex[65]);

#endif
