/* SPDX-License-Identifier: Apache-2.0
 * ranks: 2
 * timeout: 400
 * AlexNet and VGG equal torchvision's. */
#include "tests/dist/trainer/network_training.h"

static ls_comm *comm;

static ls_tensor *alexnet(ls_graph *g, ls_tensor *x) { return ls_alexnet(g, x, 10, .dropout = -1); }
static ls_tensor *alexnet_original(ls_graph *g, ls_tensor *x)
{
    return ls_alexnet(g, x, 10, LS_ALEXNET_ORIGINAL, .dropout = -1);
}
static ls_tensor *vgg11_bn(ls_graph *g, ls_tensor *x)
{
    return ls_vgg(g, x, 10, 11, .batch_norm = true, .dropout = -1);
}

#define TEST(name)                                                                                                     \
    static void name##_trains_as_pytorchs(void **state) { network_training(comm, #name, name, true); }
TEST(alexnet)
TEST(alexnet_original)
TEST(vgg11_bn)

static void vgg11_bn_with_tiles_trains_as_pytorchs(void **state)
{
    network_training(comm, "vgg11_bn", vgg11_bn, false);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alexnet_trains_as_pytorchs), cmocka_unit_test(alexnet_original_trains_as_pytorchs),
        cmocka_unit_test(vgg11_bn_trains_as_pytorchs), cmocka_unit_test(vgg11_bn_with_tiles_trains_as_pytorchs)};
    if (ls_comm_mpi(&comm, &argc, &argv) != LS_OK) return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ls_comm_free(comm);
    return failed;
}
