/* SPDX-License-Identifier: Apache-2.0
 *
 * Initialisers, after torch.nn.init.  Element i of a parameter is a function of (seed, name of the parameter, i).
 *   xavier   std = gain sqrt(2 / (fan_in + fan_out))     Glorot & Bengio 2010
 *   kaiming  std = gain / sqrt(fan)                      He et al. 2015
 * Their uniform variants have the bounds +- sqrt(3) std.
 *   dirac    w[o, c, centre] = 1 if o = c, else 0, for o < C     Zagoruyko & Komodakis 2017
 */
#include <math.h>

#include "core/base/philox.h"
#include "core/graph/params.h"

/* fan_in and fan_out as PyTorch computes them. */
static void fans(const ls_tensor *t, double *in, double *out)
{
    double field = 1;
    for (int i = 2; i < t->rank; i++) field *= (double)t->dim[i];
    *out = (double)(t->rank > 0 ? t->dim[0] : 1) * field;
    *in  = t->rank > 1 ? (double)t->dim[1] * field : *out;
}

/* Standard normal number i of a key (Box & Muller 1958). */
static double normal(uint64_t key, int64_t i)
{
    ls_philox4 r = ls_philox(key, 0, (uint64_t)i);
    double     u = ((double)r.v[0] + 0.5) * 0x1p-32, v = (double)r.v[1] * 0x1p-32;
    return sqrt(-2 * log(u)) * cos(2 * 3.14159265358979323846 * v);
}

/* Normal number within [low, high], by rejection: attempts use other keys until one lies within. */
static double truncated(uint64_t key, int64_t i, double mean, double std, double low, double high)
{
    for (uint64_t attempt = 0; attempt < 1000; attempt++) {
        double x = mean + std * normal(key + attempt * 0x9e3779b97f4a7c15ull, i);
        if (x >= low && x <= high) return x;
    }
    return low > mean ? low : high < mean ? high : mean; /* bounds far outside of the distribution: the nearest one */
}

/* The bounds of the uniform and the truncated normal initialisers. */
static void bounds_of(const ls_init *init, double std, double *low, double *high)
{
    bool given = init->low != 0 || init->high != 0;
    *low       = init->low;
    *high      = init->high;
    if (init->kind == LS_INIT_UNIFORM && init->fan) {
        *low  = -1 / sqrt((double)init->fan);
        *high = -*low;
    } else if (init->kind == LS_INIT_TRUNC_NORMAL && !given) {
        *low  = init->mean - 2 * std;
        *high = init->mean + 2 * std;
    }
}

/* Element i of a filter o < C that copies channel o. */
static float dirac(const ls_tensor *t, int64_t i)
{
    int64_t field = 1, centre = 0;
    for (int d = 2; d < t->rank; d++) {
        field *= t->dim[d];
        centre = centre * t->dim[d] + t->dim[d] / 2;
    }
    const int64_t filter = i / (t->dim[1] * field), channel = i / field % t->dim[1];
    return filter == channel && i % field == centre ? 1 : 0;
}

ls_status ls__init_fill(const ls_tensor *t, uint64_t seed, float *values)
{
    const ls_init *init = &t->init;
    const uint64_t key  = ls_key(seed, t->name);
    const int64_t  n    = ls__numel(t);
    double         fan_in, fan_out, std = init->std > 0 ? init->std : 1, low, high;
    fans(t, &fan_in, &fan_out);
    const double fan = init->fan_out ? fan_out : fan_in;
    switch (init->kind) {
    case LS_INIT_XAVIER_UNIFORM:
    case LS_INIT_XAVIER_NORMAL:
        std = (init->gain > 0 ? init->gain : 1) * sqrt(2 / (fan_in + fan_out));
        break;
    case LS_INIT_KAIMING_UNIFORM:
    case LS_INIT_KAIMING_NORMAL:
        std = (init->gain > 0 ? init->gain : sqrt(2)) / sqrt(fan);
        break;
    case LS_INIT_DIRAC:
    case LS_INIT_DEFAULT:
        std = 1 / sqrt(3 * fan_in);
        break; /* PyTorch's layers: uniform +- 1/sqrt(fan_in) */
    default:
        break;
    }
    const double bound = sqrt(3.0) * std;
    bounds_of(init, std, &low, &high);
    LS_CHECK(low <= high || (init->kind != LS_INIT_UNIFORM && init->kind != LS_INIT_TRUNC_NORMAL), LS_ERR_USAGE,
             "parameter '%s': expected an initialiser with low at most high, found low %g and high %g", t->name, low,
             high);
    LS_CHECK(init->kind != LS_INIT_DIRAC || t->rank >= 3, LS_ERR_USAGE,
             "parameter '%s': the initialiser dirac expects the weight of a convolution, found %s", t->name,
             ls__shape(t));
    LS_CHECK(init->kind != LS_INIT_VALUES || init->values, LS_ERR_USAGE,
             "parameter '%s': the initialiser has no values" LS_HINT "set .values", t->name);
    const int64_t copies = init->kind == LS_INIT_DIRAC ? t->dim[1] * (n / t->dim[0]) : 0; /* elements by dirac */
#pragma omp parallel for schedule(static) if (n > 16384)
    for (int64_t i = 0; i < n; i++) {
        double u = ls_uniform01(ls_philox(key, 0, (uint64_t)i).v[0]);
        switch (init->kind) {
        case LS_INIT_ZEROS:
            values[i] = 0;
            break;
        case LS_INIT_CONSTANT:
            values[i] = init->value;
            break;
        case LS_INIT_UNIFORM:
            values[i] = (float)(low + (high - low) * u);
            break;
        case LS_INIT_NORMAL:
            values[i] = (float)(init->mean + std * normal(key, i));
            break;
        case LS_INIT_TRUNC_NORMAL:
            values[i] = (float)truncated(key, i, init->mean, std, low, high);
            break;
        case LS_INIT_XAVIER_NORMAL:
        case LS_INIT_KAIMING_NORMAL:
            values[i] = (float)(std * normal(key, i));
            break;
        case LS_INIT_VALUES:
            values[i] = init->values[i];
            break;
        case LS_INIT_DIRAC:
            values[i] = i < copies ? dirac(t, i) : (float)(bound * (2 * u - 1));
            break;
        case LS_INIT_DEFAULT:
        case LS_INIT_XAVIER_UNIFORM:
        case LS_INIT_KAIMING_UNIFORM:
            values[i] = (float)(bound * (2 * u - 1));
            break;
        }
    }
    return LS_OK;
}
