/* SPDX-License-Identifier: Apache-2.0
 * Writes line charts as SVG: computes ranges and ticks, thins out and smooths long series. */
#include "launch/report/svg_chart.h"

#include <math.h>
#include <string.h>

#include "launch/report/unit_text.h"
#include "launch/run/progress.h"

enum { WIDTH = 560, HEIGHT = 250, LEFT = 54, RIGHT = 14, TOP = 12, BOTTOM = 28 };
enum { POINTS = 250, RAW_POINTS = 1000, HITS = 90, MAX_TICKS = 24 };

typedef struct scale {
    double low, high; /* ends of the axis */
    bool   log;
    int    ticks;
    double tick[MAX_TICKS];
} scale;

/* A series thinned to at most POINTS points: mean, minimum and maximum of each group of values, and the smoothed mean.
 */
typedef struct thin {
    int    n;
    double x[POINTS], mean[POINTS], least[POINTS], most[POINTS], smooth[POINTS];
} thin;

void ls_html(FILE *f, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '<':
            fputs("&lt;", f);
            break;
        case '>':
            fputs("&gt;", f);
            break;
        case '&':
            fputs("&amp;", f);
            break;
        case '"':
            fputs("&quot;", f);
            break;
        default:
            fputc(*text, f);
        }
    }
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

static void thin_out(thin *t, const ls_series *s)
{
    t->n = 0;
    for (int64_t k = 0; k < POINTS && k < s->n; k++) {
        int64_t parts = s->n < POINTS ? s->n : POINTS, from = s->n * k / parts, to = s->n * (k + 1) / parts, count = 0;
        double  x = 0, sum = 0, least = INFINITY, most = -INFINITY;
        for (int64_t i = from; i < to; i++) {
            if (!isfinite(s->y[i])) continue;
            x += s->x[i];
            sum += s->y[i];
            least = fmin(least, s->y[i]);
            most  = fmax(most, s->y[i]);
            count++;
        }
        if (!count) continue;
        t->x[t->n]     = x / (double)count;
        t->mean[t->n]  = sum / (double)count;
        t->least[t->n] = least;
        t->most[t->n]  = most;
        t->n++;
    }
    /* Smoothed by a Gaussian of standard deviation 1/60 of the series, cut off at its ends. */
    double spread = t->n > 40 ? (double)t->n / 60 : 0.6;
    for (int i = 0; i < t->n; i++) {
        double sum = 0, weight = 0;
        for (int j = 0; j < t->n; j++) {
            double d = (j - i) / spread, w = exp(-0.5 * d * d);
            sum += w * t->mean[j];
            weight += w;
        }
        t->smooth[i] = sum / weight;
    }
}

/* Returns the step between ticks: 1, 2 or 5 times a power of ten, about range / wanted. */
static double nice_step(double range, double wanted)
{
    double rough = range / wanted, power = pow(10, floor(log10(rough))), part = rough / power;
    return power * (part < 1.5 ? 1 : part < 3.5 ? 2 : part < 7.5 ? 5 : 10);
}

static void linear_ticks(scale *s, bool from_zero, double most)
{
    if (from_zero) s->low = fmin(s->low, 0);
    if (s->high <= s->low) {
        double room = fabs(s->high) > 0 ? 0.1 * fabs(s->high) : 1;
        s->high += room;
        if (!from_zero) s->low -= room;
    }
    double step = nice_step(s->high - s->low, 4.5);
    s->low      = step * floor(s->low / step + 1e-9);
    s->high     = step * ceil(s->high / step - 1e-9);
    if (most > 0 && s->high > most) s->high = most;
    s->ticks = 0;
    for (int i = 0; i < MAX_TICKS; i++) {
        double at = s->low + i * step;
        if (at > s->high + 1e-9 * step) break;
        s->tick[s->ticks++] = fabs(at) < 1e-9 * step ? 0 : at;
    }
}

static void log_ticks(scale *s)
{
    static const double parts[3][4] = {{1, 2, 5}, {1, 3}, {1}};
    double              decades     = log10(s->high / s->low);
    const double       *part        = parts[decades < 1.6 ? 0 : decades < 3.2 ? 1 : 2];
    s->log                          = true;
    s->low /= 1.15;
    s->high *= 1.15;
    s->ticks = 0;
    for (double power = pow(10, floor(log10(s->low))); power <= s->high; power *= 10)
        for (int i = 0; part[i] > 0; i++) {
            double at = power * part[i];
            if (at >= s->low && at <= s->high && s->ticks < MAX_TICKS) s->tick[s->ticks++] = at;
        }
}

static scale y_scale(const ls_svg_chart *c, const thin *t)
{
    scale s = {.low = INFINITY, .high = -INFINITY};
    for (int i = 0; i < c->count; i++)
        for (int k = 0; k < t[i].n; k++) {
            s.low  = fmin(s.low, t[i].least[k]);
            s.high = fmax(s.high, t[i].most[k]);
        }
    if (s.low > s.high) s.low = 0, s.high = 1;
    if (c->log_scale && s.low > 0 && s.high > 20 * s.low)
        log_ticks(&s);
    else
        linear_ticks(&s, c->from_zero, c->most);
    return s;
}

static double x_at(double x, double x_max) { return LEFT + (WIDTH - LEFT - RIGHT) * (x_max > 0 ? x / x_max : 0); }

static double y_at(double y, const scale *s)
{
    double part = s->log ? log(y / s->low) / log(s->high / s->low) : (y - s->low) / (s->high - s->low);
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * part;
}

/* ---- SVG --------------------------------------------------------------------------------------------------------- */

/* Writes the label of a tick; on an axis that ends at 20000, 2500 is "2.5k". */
static void tick_text(char *out, size_t room, double at, double end)
{
    if (at == 0)
        snprintf(out, room, "0");
    else if (fabs(end) >= 1e7)
        snprintf(out, room, "%gM", at / 1e6);
    else if (fabs(end) >= 1e4)
        snprintf(out, room, "%gk", at / 1e3);
    else
        snprintf(out, room, "%.*g", fabs(at) < 1e-3 ? 3 : 7, at);
}

static void write_value(FILE *f, const char *format, double value)
{
    char text[64];
    if (!isfinite(value))
        fputs("–", f);
    else if (format) {
        fprintf(f, format, value);
    } else {
        ls__count_text(text, sizeof text, llround(value));
        fputs(text, f);
    }
}

static void write_axes(FILE *f, const ls_svg_chart *c, const scale *s)
{
    char text[64];
    for (int i = 0; i < s->ticks; i++) {
        double y = y_at(s->tick[i], s);
        tick_text(text, sizeof text, s->tick[i], s->log ? 1 : s->high);
        fprintf(f,
                "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/><text class=\"tick\" x=\"%d\" "
                "y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
                LEFT, WIDTH - RIGHT, y, y, LEFT - 8, y + 4, text);
    }
    scale  x    = {.low = 0, .high = c->x_max > 0 ? c->x_max : 1};
    double step = nice_step(x.high, 6);
    for (double at = 0; at <= x.high * (1 + 1e-9); at += step < 1 ? 1 : step) {
        tick_text(text, sizeof text, at, x.high);
        double here = x_at(at, x.high);
        if (here > WIDTH - RIGHT - 46 && at > 0) continue; /* room for the name of the axis */
        fprintf(f, "<text class=\"tick\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", here, HEIGHT - 8,
                text);
    }
    fprintf(f, "<text class=\"tick name\" x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n", WIDTH - RIGHT, HEIGHT - 8,
            c->x_name);
}

static void write_line(FILE *f, const char *class, int n, const double *x, const double *y, double x_max,
                       const scale *s)
{
    fprintf(f, "<path class=\"%s\" d=\"", class);
    bool drawing = false; /* values that are not finite are gaps */
    for (int i = 0; i < n; i++) {
        bool known = isfinite(y[i]) && isfinite(x[i]);
        if (known) fprintf(f, "%s%.1f %.1f", drawing ? "L" : "M", x_at(x[i], x_max), y_at(y[i], s));
        drawing = known;
    }
    fputs("\"/>\n", f);
}

/* Writes the band between the minimum and the maximum of each group of values. */
static void write_band(FILE *f, const char *class, const thin *t, double x_max, const scale *s)
{
    fprintf(f, "<path class=\"%s\" d=\"", class);
    for (int i = 0; i < t->n; i++) fprintf(f, "%s%.1f %.1f", i ? "L" : "M", x_at(t->x[i], x_max), y_at(t->most[i], s));
    for (int i = t->n - 1; i >= 0; i--) fprintf(f, "L%.1f %.1f", x_at(t->x[i], x_max), y_at(t->least[i], s));
    fputs("Z\"/>\n", f);
}

static void write_series(FILE *f, const ls_svg_chart *c, int i, const thin *t, const scale *s)
{
    char class[32];
    const ls_series *series = &c->series[i];
    if (!t->n) return;
    if (series->raw && series->n > RAW_POINTS) {
        snprintf(class, sizeof class, "band s%d", i);
        write_band(f, class, t, c->x_max, s);
    } else if (series->raw) {
        snprintf(class, sizeof class, "raw s%d", i);
        write_line(f, class, (int)series->n, series->x, series->y, c->x_max, s);
    }
    snprintf(class, sizeof class, "curve s%d", i);
    write_line(f, class, t->n, t->x, series->raw ? t->smooth : t->mean, c->x_max, s);
    if (!series->dots || t->n > 60) return;
    for (int k = 0; k < t->n; k++)
        fprintf(f, "<circle class=\"dot s%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"3.2\"/>\n", i, x_at(t->x[k], c->x_max),
                y_at(t->mean[k], s));
}

/* Writes the columns that show the values under the pointer (class hit of the style sheet). */
static void write_hits(FILE *f, const ls_svg_chart *c, const thin *t, const scale *s)
{
    int lead = 0;
    for (int i = 1; i < c->count; i++)
        if (t[i].n > t[lead].n) lead = i;
    int    n     = t[lead].n < HITS ? t[lead].n : HITS;
    double width = (double)(WIDTH - LEFT - RIGHT) / (n > 1 ? n : 1);
    for (int k = 0; k < n; k++) {
        int    j = (int)((int64_t)t[lead].n * k / n), line = 0;
        double here = x_at(t[lead].x[j], c->x_max);
        bool   left = here > WIDTH * 0.62;
        fprintf(f,
                "<g class=\"hit\"><rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"%d\"/><line x1=\"%.1f\" "
                "x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>",
                here - width / 2, TOP, width, HEIGHT - TOP - BOTTOM, here, here, TOP, HEIGHT - BOTTOM);
        fprintf(f, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"%s\">%s %.0f</text>", here + (left ? -8 : 8), TOP + 14,
                left ? "end" : "start", c->x_name, t[lead].x[j]);
        for (int i = 0; i < c->count; i++) {
            int best = -1;
            for (int m = 0; m < t[i].n; m++)
                if (best < 0 || fabs(t[i].x[m] - t[lead].x[j]) < fabs(t[i].x[best] - t[lead].x[j])) best = m;
            if (best < 0) continue;
            double y = c->series[i].raw ? t[i].smooth[best] : t[i].mean[best];
            fprintf(f, "<circle class=\"dot s%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"3.4\"/>", i, x_at(t[i].x[best], c->x_max),
                    y_at(y, s));
            fprintf(f, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"%s\" class=\"f%d\">", here + (left ? -8 : 8),
                    TOP + 30 + 16 * line++, left ? "end" : "start", i);
            ls_html(f, c->series[i].name);
            fputs(" ", f);
            write_value(f, c->format, y);
            fputs("</text>", f);
        }
        fputs("</g>\n", f);
    }
}

void ls_svg_chart_write(FILE *f, const ls_svg_chart *c)
{
    thin t[LS_MAX_SERIES];
    fputs("<figure class=\"card\"><figcaption><b>", f);
    ls_html(f, c->title);
    fputs("</b>", f);
    for (int i = 0; i < c->count; i++) {
        const ls_series *s = &c->series[i];
        thin_out(&t[i], s);
        if (!t[i].n) continue;
        fprintf(f, "<span class=\"key\"><i class=\"b%d\"></i>", i);
        ls_html(f, s->name);
        fputs(" <em>", f);
        write_value(f, c->format, s->raw ? t[i].smooth[t[i].n - 1] : s->y[s->n - 1]);
        fputs("</em></span>", f);
    }
    scale s = y_scale(c, t);
    fprintf(f, "</figcaption>\n<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", WIDTH, HEIGHT);
    ls_html(f, c->title);
    fputs("\">\n", f);
    write_axes(f, c, &s);
    for (int i = 0; i < c->count; i++) write_series(f, c, i, &t[i], &s);
    write_hits(f, c, t, &s);
    fputs("</svg></figure>\n", f);
}
