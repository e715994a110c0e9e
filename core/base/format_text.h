/* SPDX-License-Identifier: Apache-2.0
 *
 * Short texts for messages and tables.  Each text lies in one of 16 buffers of the calling thread and stays valid until
 * that thread has made 16 more.  Not public.
 */
#ifndef LS_CORE_BASE_FORMAT_TEXT_H
#define LS_CORE_BASE_FORMAT_TEXT_H

#include "core/base/status.h"

enum { LS_TEXT_BYTES = 128 };

/* An empty buffer of LS_TEXT_BYTES bytes. */
char *ls__text_buffer(void);

/* As printf; cut after LS_TEXT_BYTES - 1 bytes. */
const char *ls__text(const char *format, ...) LS_PRINTF(1, 2);

/* A number of bytes with its binary unit: "512 B", "12.3 KiB", "1.5 GiB". */
const char *ls__bytes_text(double bytes);

#endif
