/* SPDX-License-Identifier: Apache-2.0
 * CPU topology: a described machine of two L3 domains with two threads per core, and this machine. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/cpu_topology.h"

static char folder[] = "/tmp/lockstep-topology-XXXXXX";

static void put(int cpu, const char *file, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "mkdir -p $(dirname %s/cpu%d/%s)", folder, cpu, file);
    assert_int_equal(system(path), 0);
    snprintf(path, sizeof path, "%s/cpu%d/%s", folder, cpu, file);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

/* CPU i and i + 6 are the threads of core i; cores 0-3 share one L3 cache, 4 and 5 another. */
static int describe(void **state)
{
    assert_non_null(mkdtemp(folder));
    for (int cpu = 0; cpu < 12; cpu++) {
        const int core = cpu % 6;
        char      siblings[32];
        snprintf(siblings, sizeof siblings, "%d,%d\n", core, core + 6);
        put(cpu, "topology/thread_siblings_list", siblings);
        put(cpu, "cache/index0/level", "1\n");
        put(cpu, "cache/index0/shared_cpu_list", siblings);
        put(cpu, "cache/index3/level", "3\n");
        put(cpu, "cache/index3/shared_cpu_list", core < 4 ? "0-3,6-9\n" : "4-5,10-11\n");
    }
    return 0;
}

static int clean(void **state)
{
    char command[256];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static cpu_set_t cpus(int first, int end)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    for (int i = first; i < end; i++) CPU_SET(i, &set);
    return set;
}

static void test_domains(void **state)
{
    static const struct {
        int first, end, cores, domains, domain_cores;
    } cases[] = {{0, 12, 6, 2, 4}, {0, 6, 6, 2, 4}, {2, 6, 4, 2, 2}, {3, 6, 3, 2, 2},
                 {0, 4, 4, 1, 4},  {5, 7, 2, 2, 1}, {0, 1, 1, 1, 1}, {6, 8, 2, 1, 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static ls_cpu_topology t;
        const cpu_set_t        set = cpus(cases[i].first, cases[i].end);
        assert_int_equal(ls__cpu_topology_read(&t, folder, &set), LS_OK);
        assert_int_equal(t.cpus, cases[i].end - cases[i].first);
        assert_int_equal(t.cores, cases[i].cores);
        assert_int_equal(t.domains, cases[i].domains);
        assert_int_equal(t.domain_cores, cases[i].domain_cores);
        assert_int_equal(t.cache_level, 3);
    }
}

/* Threads of one core are no pair. */
static void test_pairs(void **state)
{
    static ls_cpu_topology t;
    int                    a, b;
    cpu_set_t              set = cpus(0, 12);
    assert_int_equal(ls__cpu_topology_read(&t, folder, &set), LS_OK);
    assert_true(ls__cpu_pair(&t, true, &a, &b));
    assert_true(a % 6 != b % 6 && (a % 6 < 4) == (b % 6 < 4));
    assert_true(ls__cpu_pair(&t, false, &a, &b));
    assert_true((a % 6 < 4) != (b % 6 < 4));
    set = cpus(0, 4);
    assert_int_equal(ls__cpu_topology_read(&t, folder, &set), LS_OK);
    assert_false(ls__cpu_pair(&t, false, &a, &b));
    CPU_ZERO(&set);
    CPU_SET(1, &set);
    CPU_SET(7, &set);
    assert_int_equal(ls__cpu_topology_read(&t, folder, &set), LS_OK);
    assert_int_equal(t.cores, 1);
    assert_false(ls__cpu_pair(&t, true, &a, &b));
}

static void test_missing(void **state)
{
    static ls_cpu_topology t;
    const cpu_set_t        set = cpus(11, 13);
    assert_int_equal(ls__cpu_topology_read(&t, folder, &set), LS_ERR_ENV);
    assert_non_null(strstr(ls_error_message(), "/cpu12: expected topology/thread_siblings_list"));
}

/* A cache line takes more than nothing, and a CPU that does not exist is refused. */
static void test_latency(void **state)
{
    cpu_set_t set;
    int       first = -1, second = -1;
    assert_int_equal(sched_getaffinity(0, sizeof set, &set), 0);
    for (int i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &set)) *(first < 0 ? &first : &second) = i;
    assert_true(ls__cache_line_ns(first, CPU_SETSIZE - 1) < 0);
    if (second < 0) return;
    const double ns = ls__cache_line_ns(first, second); /* negative on a busy machine */
    assert_true(ns < 0 || (ns > 1 && isfinite(ns)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_domains),
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_latency),
    };
    return cmocka_run_group_tests(tests, describe, clean);
}
