/* SPDX-License-Identifier: Apache-2.0
 * core/base/arena.c: arenas grow, blocks end at a guard page. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/arena.h"

static bool zeroed(const unsigned char *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (x[i]) return false;
    return true;
}

/* Allocations of any size are zeroed, aligned to 64, and do not overlap. */
static void allocations(void **state)
{
    (void)state;
    enum { PIECES = 300 };
    static const size_t size[] = {1, 63, 64, 65, 0, 4096, 100000, 262143, 262144, 262145, 1000000, 7};
    ls_arena           *a;
    unsigned char      *piece[PIECES];
    assert_int_equal(ls_arena_new(&a, "test"), LS_OK);
    for (int i = 0; i < PIECES; i++) {
        size_t bytes = size[i % 12] / (i < 24 ? 1 : 8);
        piece[i]     = ls_arena_alloc(a, bytes);
        assert_non_null(piece[i]);
        assert_int_equal((uintptr_t)piece[i] % 64, 0);
        assert_true(zeroed(piece[i], bytes));
        memset(piece[i], 1 + i % 255, bytes);
    }
    for (int i = 0; i < PIECES; i++) {
        size_t bytes = size[i % 12] / (i < 24 ? 1 : 8);
        for (size_t k = 0; k < bytes; k++) assert_int_equal(piece[i][k], 1 + i % 255);
    }
    ls_arena_free(a);
    ls_arena_free(NULL);
}

static void texts(void **state)
{
    (void)state;
    ls_arena *a;
    assert_int_equal(ls_arena_new(&a, "test"), LS_OK);
    char  source[] = "conv1";
    char *copy     = ls_arena_strdup(a, source);
    source[0]      = 'x';
    assert_string_equal(copy, "conv1");
    assert_string_equal(ls_arena_strdup(a, ""), "");
    assert_string_equal(ls_arena_printf(a, "%s.%d", copy, 7), "conv1.7");
    char *wide = ls_arena_printf(a, "%300000d", 5);
    assert_int_equal(strlen(wide), 300000);
    ls_arena_free(a);
}

/* The counter of allocations counts growth only, so that a test finds a run that allocates after its start. */
static void counts_growth(void **state)
{
    (void)state;
    ls_arena *a;
    ls_block  b;
    uint64_t  before = ls_alloc_count();
    assert_int_equal(ls_arena_new(&a, "test"), LS_OK);
    ls_arena_alloc(a, 1);
    assert_int_equal(ls_alloc_count(), before + 1);
    for (int i = 0; i < 1000; i++) ls_arena_alloc(a, 64);
    assert_int_equal(ls_alloc_count(), before + 1);
    ls_arena_alloc(a, 300000);
    assert_int_equal(ls_alloc_count(), before + 2);
    assert_int_equal(ls_block_new(&b, 1, "test"), LS_OK);
    assert_int_equal(ls_alloc_count(), before + 3);
    ls_block_free(&b);
    ls_arena_free(a);
    assert_int_equal(ls_alloc_count(), before + 3);
}

/* The signal that ends a child process that writes to the address; 0: none. */
static int signal_of_write(volatile unsigned char *at)
{
    pid_t child = fork();
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        signal(SIGBUS, SIG_DFL);
        *at = 1;
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void blocks_end_at_a_guard_page(void **state)
{
    (void)state;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), huge = (size_t)2 << 20;
    const size_t size[] = {1, page - 1, page, page + 1, huge - page, huge - 1, huge, huge + 1, 3 * huge + 5};
    for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
        ls_block b;
        assert_int_equal(ls_block_new(&b, size[i], "test"), LS_OK);
        assert_int_equal((uintptr_t)b.data % huge, 0);
        assert_int_equal(b.bytes, size[i]);
        unsigned char *data = b.data;
        size_t         body = (size[i] + page - 1) / page * page;
        assert_true(zeroed(data, body));
        memset(data, 0xff, size[i]);
        assert_int_equal(signal_of_write(data + size[i] - 1), 0);
        assert_int_equal(signal_of_write(data + body - 1), 0);
        assert_int_equal(signal_of_write(data + body), SIGSEGV);
        assert_int_equal(signal_of_write(data + body + page - 1), SIGSEGV);
        ls_block_free(&b);
        assert_null(b.data);
        ls_block_free(&b);
    }
}

/* The number of mapped pages of this process, read without a buffer, which would be mapped as well. */
static size_t mapped_pages(void)
{
    char    text[128] = {0};
    int     file      = open("/proc/self/statm", O_RDONLY);
    ssize_t n         = read(file, text, sizeof text - 1);
    assert_true(file >= 0 && n > 0);
    close(file);
    return strtoull(text, NULL, 10);
}

/* A block maps no more pages than it uses, and freeing it unmaps all of them. */
static void freed_blocks_are_unmapped(void **state)
{
    (void)state;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    ls_block     b[20];
    size_t       before = mapped_pages();
    for (int i = 0; i < 20; i++) assert_int_equal(ls_block_new(&b[i], 3 * page, "test"), LS_OK);
    assert_int_equal(mapped_pages(), before + 20 * 4);
    for (int i = 0; i < 20; i++) ls_block_free(&b[i]);
    assert_int_equal(mapped_pages(), before);
}

static void empty_blocks(void **state)
{
    (void)state;
    ls_block b = {.data = &b, .bytes = 7};
    assert_int_equal(ls_block_new(&b, 0, "test"), LS_OK);
    assert_null(b.data);
    assert_int_equal(b.bytes, 0);
    ls_block_free(&b);
}

static void too_much(void **state)
{
    (void)state;
    const size_t size[] = {SIZE_MAX, SIZE_MAX - 4096, SIZE_MAX - (size_t)(3 << 20), (size_t)1 << 62,
                           ls_machine_memory() + 1};
    for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
        ls_block b;
        char     text[32];
        assert_int_equal(ls_block_new(&b, size[i], "activation"), LS_ERR_ENV);
        assert_null(b.data);
        snprintf(text, sizeof text, "%zu bytes", size[i]);
        assert_non_null(strstr(ls_error_message(), "activation"));
        assert_non_null(strstr(ls_error_message(), text));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations),
        cmocka_unit_test(texts),
        cmocka_unit_test(counts_growth),
        cmocka_unit_test(blocks_end_at_a_guard_page),
        cmocka_unit_test(freed_blocks_are_unmapped),
        cmocka_unit_test(empty_blocks),
        cmocka_unit_test(too_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
