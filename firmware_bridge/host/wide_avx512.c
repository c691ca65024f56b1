/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* Sixteen rows or segments side by side, for x86-64 with AVX-512 F and BW; called where the core
 * has them. */
#include "wide_kernels.h"

#if ECGQA_WIDE_X86

#include <immintrin.h>
#include <string.h>

#include "../include/ecgqa/fixed.h"
#include "../src/condition.h"

/* This file alone, so that the rest of the library runs on any x86-64. */
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw")
#endif

#define LANES 16u
#define KERNELS ecgqa_wide_avx512
typedef int32_t lanes_t __attribute__((vector_size(64)));
typedef uint32_t ulanes_t __attribute__((vector_size(64)));

static inline lanes_t all(int32_t a)
{
    return (lanes_t)_mm512_set1_epi32(a);
}

static inline lanes_t absolute(lanes_t a)
{
    return (lanes_t)_mm512_abs_epi32((__m512i)a);
}

static inline lanes_t smaller(lanes_t a, lanes_t b)
{
    return (lanes_t)_mm512_min_epi32((__m512i)a, (__m512i)b);
}

static inline lanes_t larger(lanes_t a, lanes_t b)
{
    return (lanes_t)_mm512_max_epi32((__m512i)a, (__m512i)b);
}

static inline ulanes_t larger_u(ulanes_t a, ulanes_t b)
{
    return (ulanes_t)_mm512_max_epu32((__m512i)a, (__m512i)b);
}

/* The high halves of products: of even lanes, and of odd ones where they are. */
static inline __m512i high_halves(__m512i even, __m512i odd)
{
    return _mm512_mask_shuffle_epi32(odd, 0x5555, even, (_MM_PERM_ENUM)0xF5);
}

/* ecgqa_mul_high by one factor. */
static inline lanes_t mul_high(lanes_t a, int32_t b)
{
    const __m512i factor = _mm512_set1_epi32(b), half = _mm512_set1_epi64(INT64_C(0x80000000));
    const __m512i odd_a = _mm512_shuffle_epi32((__m512i)a, (_MM_PERM_ENUM)0xF5);
    const __m512i even = _mm512_add_epi64(_mm512_mul_epi32((__m512i)a, factor), half);
    const __m512i odd = _mm512_add_epi64(_mm512_mul_epi32(odd_a, factor), half);
    return (lanes_t)high_halves(even, odd);
}

/* ecgqa_mul_high_u32 by one factor. */
static inline ulanes_t mul_high_u(ulanes_t a, uint32_t b)
{
    const __m512i factor = _mm512_set1_epi32((int32_t)b);
    const __m512i even = _mm512_mul_epu32((__m512i)a, factor);
    const __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64((__m512i)a, 32), factor);
    return (ulanes_t)high_halves(even, odd);
}

/* Sixteen int16 to lanes. */
static inline lanes_t widened(const int16_t *a)
{
    return (lanes_t)_mm512_cvtepi16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)a));
}

/* What dot8 takes in place of two neighbouring points, int16 values: both in one int32. */
static inline lanes_t with_next(lanes_t a, lanes_t next)
{
    const __m512i above = _mm512_slli_epi32((__m512i)next, 16);
    return (lanes_t)_mm512_mask_blend_epi16(0xAAAAAAAAu, (__m512i)a, above);
}

static inline __m512i two_taps(const int16_t *taps)
{
    int32_t both;
    memcpy(&both, taps, sizeof both);
    return _mm512_set1_epi32(both);
}

/* ecgqa_dot8_s16 of points `step` apart, each with_next. */
static inline lanes_t dot8(const lanes_t *a, unsigned step, const int16_t *taps)
{
    const __m512i s0 = _mm512_madd_epi16((__m512i)a[0], two_taps(taps));
    const __m512i s2 = _mm512_madd_epi16((__m512i)a[2u * step], two_taps(taps + 2));
    const __m512i s4 = _mm512_madd_epi16((__m512i)a[4u * step], two_taps(taps + 4));
    const __m512i s6 = _mm512_madd_epi16((__m512i)a[6u * step], two_taps(taps + 6));
    return (lanes_t)_mm512_add_epi32(_mm512_add_epi32(s0, s2), _mm512_add_epi32(s4, s6));
}

/* Lane j of element i to lane i of element j: within quarters of a register, then quarters. */
static inline void transpose(lanes_t *v)
{
    __m512i a[16], b[16];
    for (unsigned i = 0u; i < 16u; i += 2u) {
        a[i] = _mm512_unpacklo_epi32((__m512i)v[i], (__m512i)v[i + 1u]);
        a[i + 1u] = _mm512_unpackhi_epi32((__m512i)v[i], (__m512i)v[i + 1u]);
    }
    for (unsigned i = 0u; i < 16u; i += 4u) {
        b[i] = _mm512_unpacklo_epi64(a[i], a[i + 2u]);
        b[i + 1u] = _mm512_unpackhi_epi64(a[i], a[i + 2u]);
        b[i + 2u] = _mm512_unpacklo_epi64(a[i + 1u], a[i + 3u]);
        b[i + 3u] = _mm512_unpackhi_epi64(a[i + 1u], a[i + 3u]);
    }
    for (unsigned i = 0u; i < 4u; ++i) {
        const __m512i even_low = _mm512_shuffle_i32x4(b[i], b[i + 4u], 0x88);
        const __m512i odd_low = _mm512_shuffle_i32x4(b[i], b[i + 4u], 0xDD);
        const __m512i even_high = _mm512_shuffle_i32x4(b[i + 8u], b[i + 12u], 0x88);
        const __m512i odd_high = _mm512_shuffle_i32x4(b[i + 8u], b[i + 12u], 0xDD);
        v[i] = (lanes_t)_mm512_shuffle_i32x4(even_low, even_high, 0x88);
        v[i + 4u] = (lanes_t)_mm512_shuffle_i32x4(odd_low, odd_high, 0x88);
        v[i + 8u] = (lanes_t)_mm512_shuffle_i32x4(even_low, even_high, 0xDD);
        v[i + 12u] = (lanes_t)_mm512_shuffle_i32x4(odd_low, odd_high, 0xDD);
    }
}

#include "wide_rows.h"
#include "wide_segments.h"

const ecgqa_wide_kernels_t KERNELS = {LANES, map, flat, analyse};

#if defined(__clang__)
#pragma clang attribute pop
#endif

#endif
