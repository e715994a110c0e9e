/* SPDX-License-Identifier: Apache-2.0
 * The examination of an image classifier: see launch/vision/examine.h. */
#include "launch/vision/examine.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "launch/report/report_html.h"
#include "launch/report/svg_chart.h"
#include "launch/vision/activations.h"
#include "launch/vision/classification.h"
#include "launch/vision/class_token.h"
#include "launch/vision/feature_maps.h"
#include "launch/vision/image_input.h"
#include "launch/vision/picture.h"

enum { MOST_MISTAKES = 12 };

typedef struct examination {
    ls_run           *run;
    ls_classification c;
    ls_grad_cam      *cam; /* NULL: the model has no convolution */
    uint8_t          *pixels;
    float            *image, *map;
    FILE             *f;
} examination;

static ls_status write_picture(const examination *e, const ls_picture *p, const char *text)
{
    fprintf(e->f, "<img width=\"%d\" height=\"%d\" alt=\"%s\" src=\"", p->width, p->height, text);
    LS_TRY(ls_picture_url(e->f, p));
    fputs("\">", e->f);
    return LS_OK;
}

/* Writes the image, and beside it the map of its predicted class. */
static ls_status write_pictures(const examination *e, int predicted)
{
    ls_picture p;
    LS_TRY(ls_picture_of(&p, &e->run->data, e->pixels));
    ls_status status = write_picture(e, &p, "image");
    if (status == LS_OK && e->cam) status = ls_grad_cam_map(e->cam, e->image, predicted, e->map);
    if (status == LS_OK && e->cam) {
        ls_picture_heat(&p, e->map, ls_grad_cam_height(e->cam), ls_grad_cam_width(e->cam));
        status = write_picture(e, &p, "Grad-CAM");
    }
    ls_picture_free(&p);
    return status;
}

static ls_status write_mistake(const examination *e, int64_t sample)
{
    const ls_verdict *v = &e->c.verdict[sample];
    int32_t           label;
    LS_TRY(ls_dataset_read(e->run->test, sample, e->pixels, &label));
    ls_image_normalise(&e->run->data, e->pixels, e->image);
    fputs("<div><div class=\"images\">", e->f);
    LS_TRY(write_pictures(e, v->predicted));
    fputs("</div><p><b class=\"t1\">", e->f);
    ls_html(e->f, e->c.name[v->predicted]);
    fprintf(e->f, "</b> %.1f %%</p><p>true class <b class=\"t0\">", 100 * (double)v->confidence);
    ls_html(e->f, e->c.name[v->label]);
    fprintf(e->f, "</b> %.2g %%</p><p class=\"note\">sample %lld</p></div>\n", 100 * exp(-(double)v->loss),
            (long long)sample);
    return LS_OK;
}

static ls_status write_mistakes(const examination *e)
{
    if (!e->c.mistakes) return LS_OK;
    const int64_t n = e->c.mistakes < MOST_MISTAKES ? e->c.mistakes : MOST_MISTAKES;
    fputs("<figure class=\"card full\"><figcaption><b>Worst mistakes</b>", e->f);
    if (e->cam)
        fprintf(e->f, "<span class=\"key\">beside the image: Grad-CAM of the predicted class, from %s</span>",
                ls_grad_cam_layer(e->cam));
    fputs("</figcaption><div class=\"mistakes\">\n", e->f);
    for (int64_t i = 0; i < n; i++) LS_TRY(write_mistake(e, e->c.mistake[i]));
    fprintf(e->f,
            "</div><p class=\"note\">The %lld of %lld mistakes with the smallest probability of the true "
            "class.</p></figure>\n",
            (long long)n, (long long)e->c.mistakes);
    return LS_OK;
}

/* Writes a picture of the first sample. */
static ls_status write_page(const examination *e, const char *name, ls_png *plot)
{
    char  *png   = NULL;
    size_t bytes = 0;
    FILE  *f     = open_memstream(&png, &bytes);
    LS_CHECK(f, LS_ERR_ENV, "report: no memory for a picture of the first sample");
    ls_status status = ls_png_write(plot, f);
    if (fclose(f) == 0 && status == LS_OK) {
        fprintf(e->f, "<figure class=\"card full page\"><img alt=\"%s\" src=\"data:image/png;base64,", name);
        ls_html_base64(e->f, png, bytes);
        fputs("\"></figure>\n", e->f);
    }
    free(png);
    return status;
}

/* Writes the feature maps of the first sample, and in a Vision Transformer the path of its class token. */
static ls_status write_maps(const examination *e)
{
    ls_feature_maps maps;
    ls_class_token  token;
    ls_png         *plot;
    int32_t         label;
    LS_TRY(ls_dataset_read(e->run->test, 0, e->pixels, &label));
    ls_image_normalise(&e->run->data, e->pixels, e->image);
    LS_TRY(ls_feature_maps_of(e->run, e->image, e->run->memory, &maps));
    const char *title = ls_arena_printf(e->run->memory, "the first sample of the held-out split: %s", e->c.name[label]);
    LS_TRY(ls_feature_maps_draw(e->run, &maps, e->pixels, title, &plot));
    ls_status status = write_page(e, "Filters and feature maps", plot);
    ls_png_free(plot);
    if (status != LS_OK || !ls_has_class_token(e->run)) return status;
    LS_TRY(ls_class_token_of(e->run, e->image, e->run->memory, &token));
    LS_TRY(ls_class_token_draw(e->run, &token, e->pixels, title, &plot));
    status = write_page(e, "The path of the class token", plot);
    ls_png_free(plot);
    return status;
}

static ls_status write_section(examination *e)
{
    const ls_dataset_info *d      = &e->run->data;
    const size_t           pixels = (size_t)d->channels * (size_t)d->height * (size_t)d->width;
    e->pixels                     = ls_arena_alloc(e->run->memory, pixels);
    e->image                      = ls_arena_alloc(e->run->memory, pixels * sizeof *e->image);
    LS_TRY(ls_grad_cam_new(&e->cam, e->run));
    if (e->cam)
        e->map = ls_arena_alloc(e->run->memory,
                                (size_t)(ls_grad_cam_height(e->cam) * ls_grad_cam_width(e->cam)) * sizeof *e->map);
    fputs("<section class=\"charts\">\n", e->f);
    ls_classification_html(e->f, &e->c);
    LS_TRY(write_mistakes(e));
    if (e->cam) LS_TRY(write_maps(e));
    fputs("</section>\n", e->f);
    return LS_OK;
}

/* Writes the section on rank 0. */
static ls_status examine(examination *e)
{
    char  *text  = NULL;
    size_t bytes = 0;
    e->f         = open_memstream(&text, &bytes);
    LS_CHECK(e->f, LS_ERR_ENV, "report: no memory for the section about the classes");
    ls_status  status = write_section(e);
    const bool whole  = fclose(e->f) == 0;
    if (status == LS_OK && !whole) status = LS_FAIL(LS_ERR_ENV, "report: no memory for the section about the classes");
    if (status == LS_OK) e->run->examined = ls_arena_strdup(e->run->memory, text);
    ls_grad_cam_free(e->cam);
    free(text);
    return status;
}

ls_status ls_examine_classifier(ls_run *run)
{
    examination e = {.run = run};
    LS_TRY(ls_classify_split(run, run->test, &e.c));
    LS_TRY_COLLECTIVE(run, run->is_root ? examine(&e) : LS_OK);
    return LS_OK;
}
