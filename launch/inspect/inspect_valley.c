/* SPDX-License-Identifier: Apache-2.0
 *
 * `lockstep explain RECIPE --valley`: the paths of the optimizers over a valley of two dimensions, computed by the
 * rules of core/optim, as in training.
 *
 *     f(x, y) = (1 - x)^2 + 10 (y - x^2)^2        gradient: (-2 (1 - x) - 40 x (y - x^2), 20 (y - x^2))
 *
 * This is Rosenbrock's valley (1960) with walls of 10 instead of 100: its floor is a parabola that falls slowly to the
 * minimum f(1, 1) = 0, while the gradient points to the walls.  Each optimizer has the rate of a geometric series with
 * which it is lowest after all steps, because a common rate would favour one of them.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/enum_text.h"
#include "launch/inspect/inspect.h"

static const char *const   names[] = LS_ENUM_TEXTS(LS_OPTIM_LIST);
static const ls_optim_kind kinds[] = {LS_OPTIM_SGD,     LS_OPTIM_MOMENTUM, LS_OPTIM_NAG,
                                      LS_OPTIM_ADAGRAD, LS_OPTIM_RMSPROP,  LS_OPTIM_ADAM};
enum { PATHS = sizeof kinds / sizeof *kinds, RATES = 41 };
static const double start_x = -1.2, start_y = 1.2, first_rate = 1e-4, last_rate = 1;

/* ---- the paths --------------------------------------------------------------------------------------------------- */

double ls_valley_height(double x, double y) { return (1 - x) * (1 - x) + 10 * (y - x * x) * (y - x * x); }

void ls_valley_walk(const ls_optim *o, ls_valley_path *path)
{
    float         p[2] = {(float)start_x, (float)start_y}, grad[2], state[LS_MAX_OPTIM_STATES][2];
    ls_optim_step step = {.count = 2, .run_steps = LS_VALLEY_STEPS, .param = p, .grad = grad, .lr = o->lr};
    memset(state, 0, sizeof state);
    for (int i = 0; i < LS_MAX_OPTIM_STATES; i++) step.state[i] = state[i];
    step.grad_scale  = 1;
    step.trust_ratio = 1;
    path->rate       = (double)o->lr;
    for (int t = 0; t <= LS_VALLEY_STEPS; t++) {
        const double x = (double)p[0], y = (double)p[1];
        path->x[t]      = x;
        path->y[t]      = y;
        path->height[t] = ls_valley_height(x, y);
        grad[0]         = (float)(-2 * (1 - x) - 40 * x * (y - x * x));
        grad[1]         = (float)(20 * (y - x * x));
        step.step       = t;
        ls_optim_apply(o, &step);
    }
}

/* The optimizer of a path: that of the recipe with its settings, another with its default settings. */
static ls_optim optimizer(const ls_optim *recipe, ls_optim_kind kind)
{
    ls_optim o     = recipe->kind == kind ? *recipe : ls_optim_default(kind);
    o.weight_decay = o.ema = o.lookahead = 0;
    return o;
}

void ls_valley_best(const ls_optim *recipe, ls_optim_kind kind, ls_valley_path *best)
{
    ls_valley_path path;
    ls_optim       o = optimizer(recipe, kind);
    for (int i = 0; i < RATES; i++) {
        o.lr = (float)(first_rate * pow(last_rate / first_rate, (double)i / (RATES - 1)));
        ls_valley_walk(&o, &path);
        if (i == 0 || path.height[LS_VALLEY_STEPS] < best->height[LS_VALLEY_STEPS]) *best = path;
    }
    best->name = names[kind];
}

/* ---- the picture ------------------------------------------------------------------------------------------------- */

enum { SIDE = 400, HIGH = 300, LEFT = 70, TOP = 150, BETWEEN = 70, ACROSS = 3, DOWN = HIGH + 100, CELLS = 4 };
static const double low_x = -1.8, high_x = 1.8, low_y = -0.8, high_y = 2.4;

/* Draws the valley, coloured by the logarithm of its height, and a path from its start to the minimum. */
static void panel(ls_png *plot, const ls_valley_path *path, const float *heights, double x, double y)
{
    const double   one = 1;
    char           title[96];
    const ls_heat  valley = {.rows = HIGH / CELLS, .cols = SIDE / CELLS, .value = heights, .low = -3, .high = 2.5};
    ls_png_line    line[] = {{.n = LS_VALLEY_STEPS + 1, .x = path->x, .y = path->y, .colour = 1},
                             {.n = 1, .x = &one, .y = &one, .points = true, .colour = 6}};
    const ls_lines lines  = {.x      = x,
                             .y      = y,
                             .width  = SIDE,
                             .height = HIGH,
                             .title  = title,
                             .x_name = "",
                             .first  = low_x,
                             .last   = high_x,
                             .least  = low_y,
                             .most   = high_y,
                             .back   = &valley,
                             .count  = 2,
                             .line   = line};
    snprintf(title, sizeof title, "%s, rate %.2g: %.2g after %d steps", path->name, path->rate,
             path->height[LS_VALLEY_STEPS], LS_VALLEY_STEPS);
    ls_png_lines(plot, &lines);
}

static const float *valley_cells(ls_arena *memory)
{
    enum { ROWS = HIGH / CELLS, COLS = SIDE / CELLS };
    float *value = ls_arena_alloc(memory, sizeof *value * ROWS * COLS);
    for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < COLS; c++) {
            const double x      = low_x + (high_x - low_x) * (c + 0.5) / COLS,
                         y      = high_y - (high_y - low_y) * (r + 0.5) / ROWS;
            value[r * COLS + c] = (float)log10(ls_valley_height(x, y) + 1e-3);
        }
    return value;
}

static ls_status draw(const ls_valley_path *path, const char *recipe, ls_arena *memory, ls_png **out)
{
    const double width = LEFT + ACROSS * (SIDE + BETWEEN), lines_top = TOP + (PATHS / ACROSS) * DOWN + 20;
    const float *heights = valley_cells(memory);
    double      *step    = ls_arena_alloc(memory, sizeof *step * (LS_VALLEY_STEPS + 1));
    ls_png_line  line[PATHS];
    LS_TRY(ls_png_new(out, width, lines_top + HIGH + 110));
    ls_png *plot = *out;
    ls_png_text(plot, 28, 34, &(ls_png_font){.size = 20, .align = -1, .bold = true}, "Optimizers in a valley");
    ls_png_text(
        plot, 28, 64, &(ls_png_font){.size = 14, .align = -1, .faint = true},
        "f(x, y) = (1 - x)² + 10 (y - x²)², from (%g, %g) to the minimum 0 at (1, 1), the diamond. Each rate is the "
        "best of %d for %d steps.",
        start_x, start_y, RATES, LS_VALLEY_STEPS);
    ls_png_text(plot, 28, 88, &(ls_png_font){.size = 13, .align = -1, .faint = true},
                "Settings: defaults, those of the recipe for its own optimizer · %s", recipe);
    for (int t = 0; t <= LS_VALLEY_STEPS; t++) step[t] = t;
    for (int i = 0; i < PATHS; i++) {
        panel(plot, &path[i], heights, LEFT + (i % ACROSS) * (SIDE + BETWEEN), TOP + (i / ACROSS) * DOWN);
        line[i] =
            (ls_png_line){.name = path[i].name, .n = LS_VALLEY_STEPS + 1, .x = step, .y = path[i].height, .colour = i};
    }
    ls_png_lines(plot, &(ls_lines){.x      = LEFT,
                                   .y      = lines_top,
                                   .width  = width - LEFT - BETWEEN,
                                   .height = HIGH,
                                   .title  = "f after each step",
                                   .x_name = "step",
                                   .log_y  = true,
                                   .count  = PATHS,
                                   .line   = line});
    return LS_OK;
}

static void print(const ls_valley_path *path)
{
    static const int at[] = {0, 10, 50, 100, LS_VALLEY_STEPS};
    printf("f(x, y) = (1 - x)^2 + 10 (y - x^2)^2 from (%g, %g), rates of %g to %g\n%-10s %9s", start_x, start_y,
           first_rate, last_rate, "optimizer", "rate");
    for (size_t k = 0; k < sizeof at / sizeof *at; k++) printf("   f(step %3d)", at[k]);
    for (int i = 0; i < PATHS; i++) {
        printf("\n%-10s %9.3g", path[i].name, path[i].rate);
        for (size_t k = 0; k < sizeof at / sizeof *at; k++) printf(" %13.3g", path[i].height[at[k]]);
    }
    printf("\n\n");
}

ls_status ls__explain_valley(ls_run *run, const ls_inspect_options *options)
{
    ls_inspected    s;
    ls_png         *plot = NULL;
    ls_valley_path *path = ls_arena_alloc(run->memory, sizeof *path * PATHS);
    LS_TRY(ls_inspect_recipe(&s, run, options));
    for (int i = 0; i < PATHS; i++) ls_valley_best(&run->recipe->optim, kinds[i], &path[i]);
    print(path);
    ls_status status = draw(path, run->recipe->name, run->memory, &plot);
    if (status == LS_OK) status = ls_inspect_save(&s, options, plot, "valley");
    ls_png_free(plot);
    return status;
}
