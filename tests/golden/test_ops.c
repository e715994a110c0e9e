/* SPDX-License-Identifier: Apache-2.0
 * Every op of which tests/golden/ops has a file computes what PyTorch computes. */
#include <dirent.h>

#include "tests/golden_op.h"

enum { MOST = 256 };

static void as_pytorch(void **state)
{
    char name[64];
    snprintf(name, sizeof name, "%s", (const char *)*state);
    *strstr(name, ".txt") = 0;
    golden_check_op(name);
}

int main(void)
{
    struct dirent   **file;
    struct CMUnitTest test[MOST] = {{0}};
    int               n = scandir(LOCKSTEP_SOURCE "/tests/golden/ops", &file, NULL, alphasort), tests = 0;
    for (int i = 0; i < n && tests < MOST; i++)
        if (strstr(file[i]->d_name, ".txt"))
            test[tests++] =
                (struct CMUnitTest){.name = file[i]->d_name, .test_func = as_pytorch, .initial_state = file[i]->d_name};
    int failed = tests ? _cmocka_run_group_tests("ops", test, (size_t)tests, NULL, NULL) : 1;
    for (int i = 0; i < n; i++) free(file[i]);
    free(file);
    return failed;
}
