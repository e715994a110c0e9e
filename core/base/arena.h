/* SPDX-License-Identifier: Apache-2.0
 *
 * Arenas: memory with one lifetime.  All memory of a run comes from arenas; there are no reference counts and nothing
 * is freed one by one.
 *
 *     ls_arena *a;
 *     LS_TRY(ls_arena_new(&a, "graph"));
 *     node *n = ls_arena_alloc(a, sizeof *n);          zeroed, grows as needed
 *     ls_arena_free(a);
 *
 * Blocks (ls_block_new) are one large region of a size known beforehand: aligned to 2 MiB, backed by huge pages where
 * the system gives them, zeroed, with a guard page behind the last byte.
 */
#ifndef LS_CORE_BASE_ARENA_H
#define LS_CORE_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

typedef struct ls_arena ls_arena;

ls_status ls_arena_new(ls_arena **arena, const char *name);
void      ls_arena_free(ls_arena *arena); /* NULL is allowed */

/* `bytes` zeroed bytes, aligned to 64.  Never NULL: without memory the process ends (ls__no_memory), as small
 * allocations have nobody who could do better. */
void *ls_arena_alloc(ls_arena *arena, size_t bytes);
char *ls_arena_strdup(ls_arena *arena, const char *text);
char *ls_arena_printf(ls_arena *arena, const char *format, ...) LS_PRINTF(2, 3);

typedef struct ls_block {
    void  *data;  /* NULL when bytes is 0 */
    size_t bytes; /* as asked for */
    size_t mapped;
} ls_block;

/* All there is, swap included.  Linux gives out more, and kills whoever uses it. */
size_t ls_machine_memory(void);

/* Error LS_ERR_ENV when the system has no such memory, with both sizes in the message. */
ls_status ls_block_new(ls_block *block, size_t bytes, const char *name);
void      ls_block_free(ls_block *block);

/* Ends the process with the last error as its message, for want of memory.  `ls__at_no_memory` (NULL: nobody) hears of
 * it first, and may end the process in its own way: so other ranks learn of it. */
extern void (*ls__at_no_memory)(void);
_Noreturn void ls__no_memory(void);

/* Number of arena growths and blocks made by this process so far: constant once training runs. */
uint64_t ls_alloc_count(void);

#endif
