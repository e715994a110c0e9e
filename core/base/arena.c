/* SPDX-License-Identifier: Apache-2.0
 * Arenas as chains of chunks, and blocks as private mappings with a guard page. */
#include "core/base/arena.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <unistd.h>

enum { ALIGN = 64, CHUNK = 256 * 1024 };
#define HUGE_PAGE ((size_t)2 << 20)

typedef struct chunk {
    struct chunk *next;
    void         *raw; /* pointer from calloc, for free */
    size_t        used, size;
    _Alignas(ALIGN) unsigned char data[];
} chunk;

struct ls_arena {
    chunk *chunks;
    char   name[48];
};

static _Atomic uint64_t allocations;

uint64_t ls_alloc_count(void) { return atomic_load(&allocations); }

void (*ls__at_no_memory)(void);

void ls__no_memory(void)
{
    if (ls__at_no_memory) ls__at_no_memory();
    fprintf(stderr, "lockstep: error: %s\n", ls_error_message());
    abort();
}

ls_status ls_arena_new(ls_arena **arena, const char *name)
{
    *arena = calloc(1, sizeof **arena);
    LS_CHECK(*arena, LS_ERR_ENV, "arena '%s': no memory", name);
    snprintf((*arena)->name, sizeof(*arena)->name, "%s", name);
    return LS_OK;
}

void ls_arena_free(ls_arena *arena)
{
    if (!arena) return;
    for (chunk *c = arena->chunks, *next; c; c = next) {
        next = c->next;
        free(c->raw);
    }
    free(arena);
}

void *ls_arena_alloc(ls_arena *arena, size_t bytes)
{
    size_t need = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    chunk *c    = arena->chunks;
    if (!c || c->size - c->used < need) {
        size_t size = need > CHUNK ? need : CHUNK, total = sizeof *c + ALIGN + size;
        void  *raw =
            need < bytes || total < size ? NULL : calloc(1, total); /* calloc touches no page of a large chunk */
        if (!raw) {
            (void)LS_FAIL(LS_ERR_ENV, "arena '%s': no memory for %zu bytes", arena->name, bytes);
            ls__no_memory();
        }
        c             = (chunk *)(((uintptr_t)raw + ALIGN - 1) / ALIGN * ALIGN);
        c->raw        = raw;
        c->size       = size;
        c->next       = arena->chunks;
        arena->chunks = c;
        atomic_fetch_add(&allocations, 1);
    }
    void *p = c->data + c->used;
    c->used += need;
    return p;
}

char *ls_arena_strdup(ls_arena *arena, const char *text)
{
    size_t bytes = strlen(text) + 1;
    return memcpy(ls_arena_alloc(arena, bytes), text, bytes);
}

char *ls_arena_printf(ls_arena *arena, const char *format, ...)
{
    va_list args, copy;
    va_start(args, format);
    va_copy(copy, args);
    int   length = vsnprintf(NULL, 0, format, args);
    char *text   = ls_arena_alloc(arena, (size_t)length + 1);
    vsnprintf(text, (size_t)length + 1, format, copy);
    va_end(copy);
    va_end(args);
    return text;
}

size_t ls_machine_memory(void)
{
    struct sysinfo s;
    return sysinfo(&s) == 0 ? ((size_t)s.totalram + (size_t)s.totalswap) * s.mem_unit : SIZE_MAX;
}

ls_status ls_block_new(ls_block *block, size_t bytes, const char *name)
{
    *block = (ls_block){0};
    if (bytes == 0) return LS_OK;
    LS_CHECK(bytes <= ls_machine_memory(), LS_ERR_ENV,
             "%s block: no memory for %zu bytes, more than the %zu of this machine" LS_HINT
             "use a smaller model, a smaller train.batch or more ranks",
             name, bytes, ls_machine_memory());
    size_t page  = (size_t)sysconf(_SC_PAGESIZE);
    size_t body  = (bytes + page - 1) / page * page;
    size_t total = body + page + HUGE_PAGE; /* with room to align the start, and a guard page */
    LS_CHECK(total > bytes, LS_ERR_ENV, "%s block: %zu bytes are more than the address space", name, bytes);
    unsigned char *raw = mmap(NULL, total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    LS_CHECK(raw != MAP_FAILED, LS_ERR_ENV,
             "%s block: no memory for %zu bytes" LS_HINT "use a smaller train.batch or more ranks", name, bytes);
    unsigned char *data = (unsigned char *)(((uintptr_t)raw + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE);
    if (data > raw) munmap(raw, (size_t)(data - raw));
    size_t behind = (size_t)(raw + total - (data + body + page));
    if (behind) munmap(data + body + page, behind);
    if (mprotect(data, body, PROT_READ | PROT_WRITE) != 0) {
        munmap(data, body + page);
        return LS_FAIL(LS_ERR_ENV,
                       "%s block: no memory for %zu bytes" LS_HINT "use a smaller train.batch or more ranks", name,
                       bytes);
    }
    madvise(data, body, MADV_HUGEPAGE);
    *block = (ls_block){.data = data, .bytes = bytes, .mapped = body + page};
    atomic_fetch_add(&allocations, 1);
    return LS_OK;
}

void ls_block_free(ls_block *block)
{
    if (block->data) munmap(block->data, block->mapped);
    *block = (ls_block){0};
}
