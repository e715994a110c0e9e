/* SPDX-License-Identifier: Apache-2.0
 * ranks: 1 2 3 4
 * Networks with batch norm equal torchvision's and timm's on any number of ranks, because batch norm is over the global
 * batch, or over groups of samples that do not depend on ranks. */
#include "tests/dist/trainer/network_training.h"

static ls_comm *comm; /* timeout: 400 */

static ls_tensor *resnet18(ls_graph *g, ls_tensor *x) { return ls_resnet(g, x, 10, .depth = 18); }
static ls_tensor *resnet20_cifar(ls_graph *g, ls_tensor *x) { return ls_resnet_cifar(g, x); }
static ls_tensor *resnet20_cifar_over2(ls_graph *g, ls_tensor *x) { return ls_resnet_cifar(g, x); }
static ls_tensor *efficientnet_lite0(ls_graph *g, ls_tensor *x) { return ls_efficientnet_lite0(g, x, 10); }
static ls_tensor *tf_efficientnet_lite0(ls_graph *g, ls_tensor *x)
{
    return ls_efficientnet_lite0(g, x, 10, .tensorflow = true);
}
static ls_tensor *fast_cifar(ls_graph *g, ls_tensor *x) { return ls_fast_cifar(g, x); }

#define TEST(name)                                                                                                     \
    static void name##_trains_as_pytorchs(void **state) { network_training(comm, #name, name, true); }
TEST(resnet18)
TEST(resnet20_cifar)
TEST(resnet20_cifar_over2)
TEST(efficientnet_lite0)
TEST(tf_efficientnet_lite0)
TEST(fast_cifar)

/* With Winograd's tiles. */
static void resnet18_trains_in_tiles(void **state) { network_training(comm, "resnet18", resnet18, false); }
static void resnet20_cifar_trains_in_tiles(void **state)
{
    network_training(comm, "resnet20_cifar", resnet20_cifar, false);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(resnet18_trains_as_pytorchs),
                                       cmocka_unit_test(resnet20_cifar_trains_as_pytorchs),
                                       cmocka_unit_test(resnet20_cifar_over2_trains_as_pytorchs),
                                       cmocka_unit_test(efficientnet_lite0_trains_as_pytorchs),
                                       cmocka_unit_test(tf_efficientnet_lite0_trains_as_pytorchs),
                                       cmocka_unit_test(fast_cifar_trains_as_pytorchs)};
    if (ls_comm_mpi(&comm, &argc, &argv) != LS_OK) return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    const struct CMUnitTest in_tiles[] = {cmocka_unit_test(resnet18_trains_in_tiles),
                                          cmocka_unit_test(resnet20_cifar_trains_in_tiles)};
    failed += cmocka_run_group_tests(in_tiles, NULL, NULL);
    ls_comm_free(comm);
    return failed;
}
