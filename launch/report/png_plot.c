/* SPDX-License-Identifier: Apache-2.0
 * Draws pages with cairo: text, heat maps, line plots. */
#include "launch/report/png_plot.h"

#include <cairo.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/io/atomic_file.h"

struct ls_png {
    cairo_surface_t *surface;
    cairo_t         *at;
};

typedef struct colour {
    double r, g, b;
} colour;

static const colour ink = {0.09, 0.11, 0.13}, faint = {0.40, 0.44, 0.52}, grid = {0.90, 0.91, 0.93},
                    edge           = {0.72, 0.75, 0.79};
static const colour line_colours[] = {{0.15, 0.39, 0.92}, {0.91, 0.35, 0.05}, {0.07, 0.50, 0.36}, {0.48, 0.23, 0.70},
                                      {0.55, 0.57, 0.60}, {0.02, 0.60, 0.72}, {0.83, 0.18, 0.50}, {0.60, 0.45, 0.08}};
enum { COLOURS = sizeof line_colours / sizeof *line_colours };

static void set(ls_png *p, colour c) { cairo_set_source_rgb(p->at, c.r, c.g, c.b); }

ls_status ls_png_new(ls_png **out, double width, double height)
{
    LS_CHECK(width <= LS_PNG_MOST && height <= LS_PNG_MOST, LS_ERR_USAGE,
             "picture: expected at most %d pixels in width and height, found %.0f x %.0f" LS_HINT "pass a shorter text",
             LS_PNG_MOST, width, height);
    ls_png *p = calloc(1, sizeof *p);
    LS_CHECK(p, LS_ERR_ENV, "picture of %.0f x %.0f pixels: no memory", width, height);
    p->surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)ceil(width), (int)ceil(height));
    p->at      = cairo_create(p->surface);
    if (cairo_status(p->at) != CAIRO_STATUS_SUCCESS) {
        ls_status status = LS_FAIL(LS_ERR_ENV, "picture of %.0f x %.0f pixels: %s", width, height,
                                   cairo_status_to_string(cairo_status(p->at)));
        ls_png_free(p);
        return status;
    }
    cairo_set_source_rgb(p->at, 1, 1, 1);
    cairo_paint(p->at);
    *out = p;
    return LS_OK;
}

void ls_png_free(ls_png *p)
{
    if (!p) return;
    cairo_destroy(p->at);
    cairo_surface_destroy(p->surface);
    free(p);
}

static cairo_status_t write_png(void *file, const unsigned char *data, unsigned bytes)
{
    return ls__file_write(file, data, bytes) == LS_OK ? CAIRO_STATUS_SUCCESS : CAIRO_STATUS_WRITE_ERROR;
}

static cairo_status_t write_stream(void *file, const unsigned char *data, unsigned bytes)
{
    return fwrite(data, 1, bytes, file) == bytes ? CAIRO_STATUS_SUCCESS : CAIRO_STATUS_WRITE_ERROR;
}

ls_status ls_png_write(ls_png *p, FILE *f)
{
    const cairo_status_t written = cairo_surface_write_to_png_stream(p->surface, write_stream, f);
    LS_CHECK(written == CAIRO_STATUS_SUCCESS, LS_ERR_ENV, "picture: cannot write: %s", cairo_status_to_string(written));
    return LS_OK;
}

ls_status ls_png_save(ls_png *p, const char *path)
{
    ls_file f;
    LS_TRY(ls__file_create(&f, path));
    cairo_status_t written = cairo_surface_write_to_png_stream(p->surface, write_png, &f);
    ls_status      status  = LS_OK;
    if (written != CAIRO_STATUS_SUCCESS && written != CAIRO_STATUS_WRITE_ERROR)
        status = LS_FAIL(LS_ERR_ENV, "%s: cannot write the picture: %s", path, cairo_status_to_string(written));
    return ls__file_finish(&f, status);
}

/* ---- text -------------------------------------------------------------------------------------------------------- */

static void choose_font(ls_png *p, const ls_png_font *f)
{
    cairo_select_font_face(p->at, "DejaVu Sans", CAIRO_FONT_SLANT_NORMAL,
                           f->bold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(p->at, f->size);
}

double ls_png_text_width(ls_png *p, const ls_png_font *font, const char *text)
{
    cairo_text_extents_t e;
    choose_font(p, font);
    cairo_text_extents(p->at, text, &e);
    return e.x_advance;
}

void ls_png_text(ls_png *p, double x, double y, const ls_png_font *font, const char *format, ...)
{
    char    text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    double width = ls_png_text_width(p, font, text);
    set(p, font->faint ? faint : ink);
    cairo_save(p->at);
    cairo_translate(p->at, x, y);
    if (font->upright) cairo_rotate(p->at, -M_PI / 2);
    cairo_move_to(p->at, -width * (font->align + 1) / 2, 0.36 * font->size);
    cairo_show_text(p->at, text);
    cairo_restore(p->at);
    cairo_new_path(p->at);
}

void ls_png_box(ls_png *p, double x, double y, double width, double height, int which)
{
    set(p, line_colours[which % COLOURS]);
    cairo_rectangle(p->at, x, y, width, height);
    cairo_fill(p->at);
}

/* ---- heat maps --------------------------------------------------------------------------------------------------- */

static uint32_t pack(double r, double g, double b)
{
    return (uint32_t)lrint(255 * fmin(fmax(r, 0), 1)) << 16 | (uint32_t)lrint(255 * fmin(fmax(g, 0), 1)) << 8 |
           (uint32_t)lrint(255 * fmin(fmax(b, 0), 1));
}

/* Matplotlib's viridis, approximated by polynomials of degree 6 (fit by Matt Zucker, public domain). */
static uint32_t viridis(double t)
{
    static const double c[7][3] = {{0.2777273, 0.0054073, 0.3340998},   {0.1050930, 1.4046135, 1.3845902},
                                   {-0.3308618, 0.2148476, 0.0950952},  {-4.6342305, -5.7991010, -19.332441},
                                   {6.2282699, 14.1799334, 56.6905526}, {4.7763850, -13.7451454, -65.3530326},
                                   {-5.4354559, 4.6458526, 26.3124352}};
    double              v[3]    = {0};
    for (int k = 6; k >= 0; k--)
        for (int i = 0; i < 3; i++) v[i] = v[i] * t + c[k][i];
    return pack(v[0], v[1], v[2]);
}

static uint32_t blue_white_red(double t)
{
    const colour end  = t < 0.5 ? (colour){0.09, 0.26, 0.58} : (colour){0.66, 0.09, 0.12},
                 half = t < 0.5 ? (colour){0.42, 0.64, 0.86} : (colour){0.95, 0.53, 0.42};
    double       far = fabs(2 * t - 1), part = far < 0.5 ? 2 * far : 2 * far - 1;
    const colour from = far < 0.5 ? (colour){1, 1, 1} : half, to = far < 0.5 ? half : end;
    return pack(from.r + part * (to.r - from.r), from.g + part * (to.g - from.g), from.b + part * (to.b - from.b));
}

static uint32_t colour_of(const ls_heat *h, double value)
{
    double t = h->high > h->low ? fmin(fmax((value - h->low) / (h->high - h->low), 0), 1) : 0;
    if (isnan(value)) return pack(0.5, 0.5, 0.5);
    if (h->root) t = sqrt(t);
    return h->colours == LS_COLOURS_VIRIDIS ? viridis(t) : blue_white_red(t);
}

static uint32_t cell_of(const ls_heat *h, int64_t row, int64_t column)
{
    const int64_t at = row * h->cols + column;
    if (h->rgb) return (uint32_t)h->rgb[3 * at] << 16 | (uint32_t)h->rgb[3 * at + 1] << 8 | h->rgb[3 * at + 2];
    return h->lower && column > row ? pack(1, 1, 1) : colour_of(h, (double)h->value[at]);
}

static void outline(ls_png *p, double x, double y, double width, double height)
{
    set(p, edge);
    cairo_set_line_width(p->at, 1);
    cairo_rectangle(p->at, floor(x) - 0.5, floor(y) - 0.5, ceil(width) + 1, ceil(height) + 1);
    cairo_stroke(p->at);
}

void ls_png_heat(ls_png *p, const ls_heat *h)
{
    cairo_surface_t *cells = cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)h->cols, (int)h->rows);
    if (cairo_surface_status(cells) == CAIRO_STATUS_SUCCESS) {
        unsigned char *data   = cairo_image_surface_get_data(cells);
        const int      stride = cairo_image_surface_get_stride(cells);
        for (int64_t r = 0; r < h->rows; r++)
            for (int64_t c = 0; c < h->cols; c++) {
                const uint32_t cell = cell_of(h, r, c);
                memcpy(data + r * stride + 4 * c, &cell, sizeof cell);
            }
        cairo_surface_mark_dirty(cells);
        cairo_save(p->at);
        cairo_rectangle(p->at, h->x, h->y, h->width, h->height);
        cairo_clip(p->at);
        cairo_translate(p->at, h->x, h->y);
        cairo_scale(p->at, h->width / (double)h->cols, h->height / (double)h->rows);
        cairo_set_source_surface(p->at, cells, 0, 0);
        /* Cells larger than a pixel keep sharp edges; smaller cells are averaged. */
        cairo_pattern_set_filter(cairo_get_source(p->at), h->width >= (double)h->cols && h->height >= (double)h->rows
                                                              ? CAIRO_FILTER_NEAREST
                                                              : CAIRO_FILTER_BEST);
        cairo_paint(p->at);
        cairo_restore(p->at);
    }
    cairo_surface_destroy(cells);
    outline(p, h->x, h->y, h->width, h->height);
}

void ls_png_colours(ls_png *p, const ls_heat *h, double x, double y, double width, double height)
{
    enum { STEPS = 256, TICKS = 5 };
    float        value[STEPS];
    ls_png_font  font = {.size = 13, .align = -1, .faint = true};
    const double span = h->high - h->low;
    for (int i = 0; i < STEPS; i++) {
        double t = 1 - (double)i / (STEPS - 1);
        value[i] = (float)(h->low + span * (h->root ? t * t : t));
    }
    ls_png_heat(p, &(ls_heat){.x       = x,
                              .y       = y,
                              .width   = width,
                              .height  = height,
                              .rows    = STEPS,
                              .cols    = 1,
                              .value   = value,
                              .low     = h->low,
                              .high    = h->high,
                              .colours = h->colours,
                              .root    = h->root});
    for (int i = 0; i < TICKS; i++) {
        double t = (double)i / (TICKS - 1);
        ls_png_text(p, x + width + 6, y + height * (1 - t), &font, "%.3g", h->low + span * (h->root ? t * t : t));
    }
}

/* ---- lines ------------------------------------------------------------------------------------------------------- */

typedef struct axis {
    double low, high; /* values at the ends */
    double from, to;  /* pixels of the ends */
    bool   log;
} axis;

static double place(const axis *a, double v)
{
    double low = a->log ? log(a->low) : a->low, high = a->log ? log(a->high) : a->high;
    return a->from + (a->to - a->from) * ((a->log ? log(v) : v) - low) / (high > low ? high - low : 1);
}

static bool shown(const ls_lines *l, double y) { return isfinite(y) && (!l->log_y || y > 0); }

static axis axis_of(const ls_lines *l, bool of_y)
{
    axis a = {.low  = INFINITY,
              .high = -INFINITY,
              .log  = of_y ? l->log_y : l->log_x,
              .from = of_y ? l->y + l->height : l->x,
              .to   = of_y ? l->y : l->x + l->width};
    for (int i = 0; i < l->count; i++)
        for (int k = 0; k < l->line[i].n; k++) {
            double v = of_y ? l->line[i].y[k] : l->line[i].x[k];
            if (!shown(l, l->line[i].y[k])) continue;
            a.low  = fmin(a.low, v);
            a.high = fmax(a.high, v);
        }
    if (!isfinite(a.low)) a.low = a.log ? 0.1 : 0, a.high = 1;
    if (of_y && (l->least != 0 || l->most != 0))
        a.low = l->least, a.high = l->most;
    else if (!of_y && (l->first != 0 || l->last != 0))
        a.low = l->first, a.high = l->last;
    else if (of_y && a.log)
        a.low = pow(10, floor(log10(a.low))), a.high = pow(10, ceil(log10(a.high) + 1e-9));
    else if (of_y) {
        double room = 0.06 * (a.high > a.low ? a.high - a.low : fabs(a.high) + 1e-12);
        a.low -= room, a.high += room;
    }
    return a;
}

/* Returns the step between ticks: 1, 2, 5 or 10 times a power of ten, for about five ticks. */
static double step_of(const axis *a)
{
    double raw = (a->high - a->low) / 5, power = pow(10, floor(log10(raw))), part = raw / power;
    return power * (part < 1.5 ? 1 : part < 3.5 ? 2 : part < 7.5 ? 5 : 10);
}

static void tick(ls_png *p, const ls_lines *l, const axis *a, bool of_y, double v)
{
    double at = floor(place(a, v)) + 0.5;
    set(p, grid);
    cairo_set_line_width(p->at, 1);
    cairo_move_to(p->at, of_y ? l->x : at, of_y ? at : l->y);
    cairo_line_to(p->at, of_y ? l->x + l->width : at, of_y ? at : l->y + l->height);
    cairo_stroke(p->at);
    if (!a->log && fabs(v) < 1e-9 * (fabs(a->low) + fabs(a->high))) v = 0;
    if (of_y)
        ls_png_text(p, l->x - 8, at, &(ls_png_font){.size = 13, .align = 1, .faint = true}, "%.4g", v);
    else
        ls_png_text(p, at, l->y + l->height + 14, &(ls_png_font){.size = 13, .faint = true}, "%.4g", v);
}

static void draw_axis(ls_png *p, const ls_lines *l, const axis *a, bool of_y)
{
    if (a->log) {
        double base = of_y ? 10 : 2, decades = log(a->high / a->low) / log(base);
        int    every = (int)ceil(decades / 9);
        for (int k = (int)ceil(log(a->low) / log(base) - 1e-9); pow(base, k) <= a->high * (1 + 1e-9);
             k += every > 1 ? every : 1)
            tick(p, l, a, of_y, pow(base, k));
        return;
    }
    double step = step_of(a);
    for (double v = step * ceil(a->low / step - 1e-9); v <= a->high + 1e-9 * step; v += step) tick(p, l, a, of_y, v);
}

static void diamond(ls_png *p, double x, double y)
{
    cairo_move_to(p->at, x, y - 7);
    cairo_line_to(p->at, x + 7, y);
    cairo_line_to(p->at, x, y + 7);
    cairo_line_to(p->at, x - 7, y);
    cairo_close_path(p->at);
}

static void draw_line(ls_png *p, const ls_lines *l, const ls_png_line *line, const axis *x, const axis *y)
{
    set(p, line_colours[line->colour % COLOURS]);
    cairo_set_line_width(p->at, 2.5);
    cairo_set_line_join(p->at, CAIRO_LINE_JOIN_ROUND);
    for (int k = 0; k < line->n && !line->points; k++)
        if (shown(l, line->y[k])) cairo_line_to(p->at, place(x, line->x[k]), place(y, line->y[k]));
    cairo_stroke(p->at);
    for (int k = 0; k < line->n && (line->points || line->n <= 24); k++) {
        if (!shown(l, line->y[k])) continue;
        double px = place(x, line->x[k]), py = place(y, line->y[k]);
        if (line->points)
            diamond(p, px, py);
        else
            cairo_arc(p->at, px, py, 4, 0, 2 * M_PI);
        cairo_fill(p->at);
    }
}

/* Finds the place of the next name of a legend after the one at *x, *row, and moves on behind it. */
static double legend_place(ls_png *p, const ls_lines *l, const char *name, double *x, int *row)
{
    const ls_png_font font  = {.size = 13, .align = -1};
    const double      width = 40 + ls_png_text_width(p, &font, name);
    if (*x > l->x && *x + width - 20 > l->x + l->width) {
        *x = l->x;
        (*row)++;
    }
    const double at = *x;
    *x += width;
    return at;
}

int ls_png_legend_rows(ls_png *p, const ls_lines *l)
{
    double x   = l->x;
    int    row = 0;
    for (int i = 0; i < l->count; i++)
        if (l->line[i].name) legend_place(p, l, l->line[i].name, &x, &row);
    return row + 1;
}

static void draw_legend(ls_png *p, const ls_lines *l)
{
    const ls_png_font font = {.size = 13, .align = -1};
    double            x    = l->x;
    int               row  = 0;
    for (int i = 0; i < l->count; i++) {
        if (!l->line[i].name) continue;
        const double at = legend_place(p, l, l->line[i].name, &x, &row),
                     y  = l->y + l->height + 58 + row * LS_PNG_LEGEND_ROW;
        set(p, line_colours[l->line[i].colour % COLOURS]);
        if (l->line[i].points)
            diamond(p, at + 7, y);
        else
            cairo_rectangle(p->at, at, y - 2, 14, 4);
        cairo_fill(p->at);
        ls_png_text(p, at + 20, y + 1, &font, "%s", l->line[i].name);
    }
}

void ls_png_lines(ls_png *p, const ls_lines *l)
{
    const axis x = axis_of(l, false), y = axis_of(l, true);
    draw_axis(p, l, &x, false);
    draw_axis(p, l, &y, true);
    outline(p, l->x, l->y, l->width, l->height);
    if (l->back) {
        ls_heat back = *l->back;
        back.x       = l->x;
        back.y       = l->y;
        back.width   = l->width;
        back.height  = l->height;
        ls_png_heat(p, &back);
    }
    cairo_save(p->at);
    cairo_rectangle(p->at, l->x - 8, l->y - 8, l->width + 16, l->height + 16);
    cairo_clip(p->at);
    for (int i = 0; i < l->count; i++) draw_line(p, l, &l->line[i], &x, &y);
    cairo_restore(p->at);
    ls_png_text(p, l->x, l->y - 20, &(ls_png_font){.size = 16, .align = -1, .bold = true}, "%s", l->title);
    ls_png_text(p, l->x + l->width / 2, l->y + l->height + 36, &(ls_png_font){.size = 13, .faint = true}, "%s",
                l->x_name);
    draw_legend(p, l);
}
