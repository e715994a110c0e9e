/* SPDX-License-Identifier: Apache-2.0
 *
 * Buffers that detect accesses outside of them: the last byte lies before a page without access, and the rest of the
 * first page is filled with a pattern.
 *
 *     check_buffer b = check_buffer_new(n * sizeof(float), 4);
 *     kernel(b.data);
 *     check_buffer_verify(&b, "y");
 *     check_buffer_free(&b);
 */
#ifndef LS_TESTS_CHECK_BUFFER_H
#define LS_TESTS_CHECK_BUFFER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

/* The pattern is 3.4e38 as a float, so that a kernel that adds to it instead of writing shows. */
enum { CHECK_PATTERN = 0x7F, CHECK_PAGE = 4096 };

typedef struct check_buffer {
    unsigned char *map, *data;
    size_t         bytes, body; /* requested; mapped and usable */
} check_buffer;

/* A buffer filled with the pattern.  It ends right before the page without access, as far as `align` allows. */
static inline check_buffer check_buffer_new(size_t bytes, size_t align)
{
    size_t       body = (bytes + 2 * CHECK_PAGE - 1) / CHECK_PAGE * CHECK_PAGE;
    check_buffer b    = {.bytes = bytes, .body = body};
    b.map             = mmap(NULL, body + CHECK_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(b.map != MAP_FAILED);
    assert_int_equal(mprotect(b.map + body, CHECK_PAGE, PROT_NONE), 0);
    memset(b.map, CHECK_PATTERN, body);
    b.data = b.map + (body - bytes) / align * align;
    return b;
}

/* The first byte of a range that does not have the pattern; `bytes`: all have it. */
static inline size_t check_pattern(const unsigned char *p, size_t bytes)
{
    size_t i = 0;
    if (bytes && p[0] == CHECK_PATTERN && memcmp(p, p + 1, bytes - 1) == 0) return bytes;
    while (i < bytes && p[i] == CHECK_PATTERN) i++;
    return i;
}

static inline void check_buffer_verify(const check_buffer *b, const char *what)
{
    if (!b->map) return;
    const unsigned char *end    = b->data + b->bytes;
    const size_t         before = (size_t)(b->data - b->map), after = b->body - before - b->bytes,
                 low = check_pattern(b->map, before), high = check_pattern(end, after);
    if (low < before) fail_msg("%s: byte %td of %zu was written", what, b->map + low - b->data, b->bytes);
    if (high < after) fail_msg("%s: byte %td of %zu was written", what, end + high - b->data, b->bytes);
}

static inline void check_buffer_free(check_buffer *b)
{
    if (b->map) munmap(b->map, b->body + CHECK_PAGE);
    *b = (check_buffer){0};
}

#endif
