/* SPDX-License-Identifier: Apache-2.0
 *
 * Sizes of a trainer's memory: bytes reserved, and bytes that the system has backed with pages.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dist/trainer/trainer_internal.h"

/* Bytes of a block that the system has backed with pages. */
static size_t touched_bytes(const ls_block *b)
{
    unsigned char in_core[1024];
    size_t        page = (size_t)sysconf(_SC_PAGESIZE), bytes = 0;
    for (size_t at = 0; at < b->bytes; at += page * sizeof in_core) {
        size_t length = b->bytes - at < page * sizeof in_core ? b->bytes - at : page * sizeof in_core;
        if (mincore((unsigned char *)b->data + at, length, in_core) != 0) return b->bytes;
        for (size_t i = 0; i * page < length; i++)
            if (in_core[i] & 1) bytes += length - i * page < page ? length - i * page : page;
    }
    return bytes;
}

int ls__trainer_memory(const ls_trainer *t, ls_memory_line lines[LS_MEMORY_LINES])
{
    static const ls_block none;
    const ls_program     *train = t->train.program, *eval = t->eval.program;
    const struct {
        const char     *name;
        const ls_block *block, *more;
    } table[] = {
        {"parameters", &t->values->own, &none},
        {"gradients", &t->train.memory->own, &t->summed_gradient},
        {"optimizer state", &t->state_block, &none},
        {"step arena", &t->arena_block, &none},
        {"evaluation", &t->eval.memory->own, &none},
        {"checkpoint", &t->snapshot, &none},
        {"orthogonalisation", t->matrices ? &t->orthogonal : &none, t->directions ? &t->directions->own : &none},
        {"bfloat16 parameters", t->copy ? &t->copy->own : &none, &none}};
    int n = 0;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (table[i].block == &none) continue;
        lines[n++] = (ls_memory_line){table[i].name, table[i].block->bytes + table[i].more->bytes,
                                      touched_bytes(table[i].block) + touched_bytes(table[i].more)};
    }
    if (train->state_bytes + eval->state_bytes)
        lines[n++] = (ls_memory_line){"model state", train->state_bytes + eval->state_bytes,
                                      touched_bytes(&train->state) + touched_bytes(&eval->state)};
    return n;
}

size_t ls_trainer_planned_bytes(const ls_trainer *t)
{
    ls_memory_line lines[LS_MEMORY_LINES];
    size_t         bytes = 0;
    for (int i = ls__trainer_memory(t, lines) - 1; i >= 0; i--) bytes += lines[i].planned;
    return bytes;
}

size_t ls_trainer_peak_bytes(const ls_trainer *t)
{
    ls_memory_line lines[LS_MEMORY_LINES];
    size_t         bytes = 0;
    for (int i = ls__trainer_memory(t, lines) - 1; i >= 0; i--) bytes += lines[i].touched;
    return bytes;
}

size_t ls__trainer_high_water(const ls_trainer *t, size_t *planned)
{
    if (planned) *planned = t->train.program->arena_bytes;
    return t->train.program->high_water;
}
