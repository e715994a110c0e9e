/* SPDX-License-Identifier: Apache-2.0
 *
 * Every op that has a file in tests/golden/ops gives PyTorch's values and gradients.
 */
#include <dirent.h>

#include "tests/golden_op.h"

enum { MAX_OPS = 256 };

static void test_equals_pytorch(void **state)
{
    char name[64];
    snprintf(name, sizeof name, "%s", (const char *)*state);
    *strstr(name, ".txt") = 0;
    golden_check_op(name);
}

int main(void)
{
    struct dirent   **file;
    struct CMUnitTest test[MAX_OPS] = {{0}};
    int               n = scandir(LOCKSTEP_SOURCE "/tests/golden/ops", &file, NULL, alphasort), tests = 0;
    for (int i = 0; i < n && tests < MAX_OPS; i++)
        if (strstr(file[i]->d_name, ".txt"))
            test[tests++] = (struct CMUnitTest){
                .name = file[i]->d_name, .test_func = test_equals_pytorch, .initial_state = file[i]->d_name};
    int failed = tests ? _cmocka_run_group_tests("ops", test, (size_t)tests, NULL, NULL) : 1;
    for (int i = 0; i < n; i++) free(file[i]);
    free(file);
    return failed;
}
