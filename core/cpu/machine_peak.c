/* SPDX-License-Identifier: Apache-2.0
 * Measures the peak rate of multiply-adds with independent chains in each thread, which hide the latency of the
 * instruction on all processors of the supported levels. */
#include "core/cpu/machine_peak.h"

#include "core/base/clock.h"
#include "core/cpu/gemm/gemm_kernel.h"
#include "core/cpu/vector/bf16.h"

#if LS_AMX
#define PEAK ls__amx_peak
#elif LS_DOT
#define PEAK ls__dot_peak
#define MULTIPLY_ADD v_dot
enum { FLOPS = 4 * LS_V }; /* of one instruction */
#else
#define PEAK ls__fma_peak
#define MULTIPLY_ADD v_fma
enum { FLOPS = 2 * LS_V };
#endif

enum { TRIES = 48 };

#if LS_AMX
enum { CHAINS = 4, ROUNDS = 15000, FLOPS = 2 * 16 * 16 * 32 };

/* Runs ROUNDS products of tile registers in each of the chains, and returns a part of their sum. */
static float spin(vf by)
{
    vf rows[16];
    for (int i = 0; i < 16; i++) rows[i] = by;
    ls__amx_begin();
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    _tile_loadd(4, rows, sizeof *rows);
    _tile_loadd(5, rows, sizeof *rows);
    for (int i = 0; i < ROUNDS; i++) {
        _tile_dpbf16ps(0, 4, 5);
        _tile_dpbf16ps(1, 4, 5);
        _tile_dpbf16ps(2, 4, 5);
        _tile_dpbf16ps(3, 4, 5);
    }
    _tile_stored(3, rows, sizeof *rows);
    ls__amx_end();
    return rows[0][0];
}
#else
enum { CHAINS = 12, ROUNDS = 50000 };

/* Runs ROUNDS multiply-adds in each of the chains, and returns a part of their sum so that the compiler keeps them. */
static float spin(vf by)
{
    vf chain[CHAINS];
    for (int c = 0; c < CHAINS; c++) chain[c] = v_set((float)c);
    for (int i = 0; i < ROUNDS; i++) {
#pragma GCC unroll 16
        for (int c = 0; c < CHAINS; c++) chain[c] = MULTIPLY_ADD(by, by, chain[c]);
        __asm__ volatile("" : "+r"(i)); /* keeps the compiler from unrolling or removing the loop */
    }
    vf sum = chain[0];
    for (int c = 1; c < CHAINS; c++) sum += chain[c];
    return sum[0];
}
#endif

/* Adds up the best rate of each thread, measured while all threads compute. */
double PEAK(int threads)
{
    double rate = 0;
#pragma omp parallel num_threads(threads) reduction(+ : rate)
    {
        double best = 0;
        for (int t = 0; t < TRIES; t++) {
#pragma omp barrier
            double start = ls__clock_s();
            float  kept  = spin(v_set(0.5f));
            double took = ls__clock_s() - start, found = (double)FLOPS * CHAINS * ROUNDS / took * 1e-9;
            if (kept != 0 && found > best) best = found;
        }
        rate += best;
    }
    return rate;
}

#if !LS_DOT && !LS_AMX
double ls__peak(ls_dtype type, int threads)
{
#if defined(__AVX512F__)
    if (type == LS_BF16 && ls_isa_current() == LS_ISA_AMX) return ls__amx_peak(threads);
    if (type == LS_BF16 && ls_isa_current() == LS_ISA_V4_BF16 && ls_isa_fast_dot()) return ls__dot_peak(threads);
#endif
    (void)type;
    return ls__fma_peak(threads);
}
#endif
