/* SPDX-License-Identifier: Apache-2.0
 *
 * Arenas: memory with one lifetime.  All memory of a run comes from arenas, without reference counts and without
 * freeing single objects.
 *
 *     ls_arena *a;
 *     LS_TRY(ls_arena_new(&a, "graph"));
 *     node *n = ls_arena_alloc(a, sizeof *n);          zeroed; the arena grows as needed
 *     ls_arena_free(a);
 *
 * A block (ls_block_new) is one large region of a size known beforehand: zeroed, aligned to 2 MiB, in huge pages where
 * the system provides them, with a guard page behind the last byte.
 */
#ifndef LS_CORE_BASE_ARENA_H
#define LS_CORE_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

typedef struct ls_arena ls_arena;

ls_status ls_arena_new(ls_arena **arena, const char *name);
void      ls_arena_free(ls_arena *arena); /* NULL is allowed */

/* Returns `bytes` zeroed bytes, aligned to 64.  Never NULL: without memory the process ends (ls__no_memory). */
void *ls_arena_alloc(ls_arena *arena, size_t bytes);
char *ls_arena_strdup(ls_arena *arena, const char *text);
char *ls_arena_printf(ls_arena *arena, const char *format, ...) LS_PRINTF(2, 3);

typedef struct ls_block {
    void  *data;   /* NULL when bytes is 0 */
    size_t bytes;  /* requested size */
    size_t mapped; /* size of the mapping */
} ls_block;

/* Bytes of memory and swap of this machine.  Linux grants larger mappings, and kills the process that uses them. */
size_t ls_machine_memory(void);

/* Allocates a block.  LS_ERR_ENV: more than the machine has; the message has both sizes. */
ls_status ls_block_new(ls_block *block, size_t bytes, const char *name);
void      ls_block_free(ls_block *block);

/* Ends the process with the last error as its message, because there is no memory.  Calls `ls__at_no_memory` first, if
 * it is not NULL: dist uses it to report the error to the other ranks. */
extern void (*ls__at_no_memory)(void);
_Noreturn void ls__no_memory(void);

/* Number of chunks and blocks that this process has allocated.  Constant during training. */
uint64_t ls_alloc_count(void);

#endif
