/* SPDX-License-Identifier: Apache-2.0
 * Measures the peak rate of multiply-adds with twelve independent chains per thread, which hide the latency of the
 * instruction on all processors of the supported levels. */
#include "core/cpu/machine_peak.h"

#include "core/base/clock.h"
#include "core/cpu/vector/bf16.h"

#if LS_DOT
#define PEAK ls__dot_peak
#define MULTIPLY_ADD v_dot
enum { FLOPS = 4 * LS_V }; /* of one instruction */
#else
#define PEAK ls__fma_peak
#define MULTIPLY_ADD v_fma
enum { FLOPS = 2 * LS_V };
#endif

enum { CHAINS = 12, ROUNDS = 50000, TRIES = 48 };

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

#if !LS_DOT
double ls__peak(ls_dtype type, int threads)
{
#if defined(__AVX512F__)
    if (type == LS_BF16 && ls_isa_current() >= LS_ISA_V4_BF16) return ls__dot_peak(threads);
#endif
    (void)type;
    return ls__fma_peak(threads);
}
#endif
