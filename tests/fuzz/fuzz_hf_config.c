/* SPDX-License-Identifier: Apache-2.0
 * config.json: the bytes are the file.  It is compared with a GPT, and read as the options of a GPT or a decoder, or as
 * a model for images of timm or transformers. */
#include "core/graph/graph.h"
#include "dist/interop/hf_config.h"
#include "dist/dist.h"
#include "tests/fuzz/fuzz.h"

static const ls_graph *fuzz_gpt(void)
{
    static ls_graph *g;
    if (g) return g;
    g = ls_graph_new();
    ls_gpt(.g = g, .x = ls_input(g, "tokens", LS_I32, 8), .vocab = 8, .layers = 1, .heads = 1, .width = 8,
           .context = 8);
    fuzz_expect(ls_graph_status(g) == LS_OK);
    return g;
}

/* An encoder of texts has no classes of its own. */
static bool fuzz_classes_are_sound(const char *model, int64_t classes)
{
    return classes >= (strcmp(model, "encoder") != 0) && classes <= INT32_MAX;
}

FUZZ_TARGET(config)
{
    char path[FILES_PATH + 32];
    snprintf(path, sizeof path, "%s/config.json", fuzz_folder());
    file_write(path, data, bytes);
    fuzz_status(ls_hf_config_check(path, fuzz_gpt()));
    const ls_architecture *a      = NULL;
    ls_status              status = ls__hf_config_architecture(path, &a);
    ls_pretrained          p      = {.classes = -1};
    memset(p.options, 'x', sizeof p.options);
    if (status == LS_OK) status = ls__hf_config_read(path, a, &p);
    fuzz_status(status);
    if (status == LS_OK) {
        fuzz_expect(memchr(p.options, 0, sizeof p.options) && !strchr(p.options, '\n'));
        fuzz_expect(fuzz_classes_are_sound(a->model, p.classes));
    }
    status = ls_pretrained_read(fuzz_folder(), &p);
    fuzz_status(status);
    fuzz_expect(status != LS_OK || (*p.model && fuzz_classes_are_sound(p.model, p.classes)));
    unlink(path);
}
