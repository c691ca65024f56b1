/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* Eight rows or segments side by side, for x86-64 with AVX2; called where the core has it. */
#include "wide_kernels.h"

#if ECGQA_WIDE_X86

#include <immintrin.h>
#include <string.h>

#include "../include/ecgqa/fixed.h"
#include "../src/condition.h"

/* This file alone, so that the rest of the library runs on any x86-64. */
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC target("avx2")
#endif

#define LANES 8u
#define KERNELS ecgqa_wide_avx2
typedef int32_t lanes_t __attribute__((vector_size(32)));
typedef uint32_t ulanes_t __attribute__((vector_size(32)));

static inline lanes_t all(int32_t a)
{
    return (lanes_t)_mm256_set1_epi32(a);
}

static inline lanes_t absolute(lanes_t a)
{
    return (lanes_t)_mm256_abs_epi32((__m256i)a);
}

static inline lanes_t smaller(lanes_t a, lanes_t b)
{
    return (lanes_t)_mm256_min_epi32((__m256i)a, (__m256i)b);
}

static inline lanes_t larger(lanes_t a, lanes_t b)
{
    return (lanes_t)_mm256_max_epi32((__m256i)a, (__m256i)b);
}

static inline ulanes_t larger_u(ulanes_t a, ulanes_t b)
{
    return (ulanes_t)_mm256_max_epu32((__m256i)a, (__m256i)b);
}

/* ecgqa_mul_high by one factor. */
static inline lanes_t mul_high(lanes_t a, int32_t b)
{
    const __m256i factor = _mm256_set1_epi32(b), half = _mm256_set1_epi64x(INT64_C(0x80000000));
    const __m256i odd_a = _mm256_shuffle_epi32((__m256i)a, 0xF5);
    const __m256i even = _mm256_add_epi64(_mm256_mul_epi32((__m256i)a, factor), half);
    const __m256i odd = _mm256_add_epi64(_mm256_mul_epi32(odd_a, factor), half);
    return (lanes_t)_mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA);
}

/* ecgqa_mul_high_u32 by one factor. */
static inline ulanes_t mul_high_u(ulanes_t a, uint32_t b)
{
    const __m256i factor = _mm256_set1_epi32((int32_t)b);
    const __m256i even = _mm256_mul_epu32((__m256i)a, factor);
    const __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64((__m256i)a, 32), factor);
    return (ulanes_t)_mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA);
}

/* Eight int16 to lanes. */
static inline lanes_t widened(const int16_t *a)
{
    return (lanes_t)_mm256_cvtepi16_epi32(_mm_loadu_si128((const __m128i *)(const void *)a));
}

/* What dot8 takes in place of two neighbouring points, int16 values: both in one int32. */
static inline lanes_t with_next(lanes_t a, lanes_t next)
{
    return (lanes_t)_mm256_blend_epi16((__m256i)a, _mm256_slli_epi32((__m256i)next, 16), 0xAA);
}

static inline __m256i two_taps(const int16_t *taps)
{
    int32_t both;
    memcpy(&both, taps, sizeof both);
    return _mm256_set1_epi32(both);
}

/* ecgqa_dot8_s16 of points `step` apart, each with_next. */
static inline lanes_t dot8(const lanes_t *a, unsigned step, const int16_t *taps)
{
    const __m256i s0 = _mm256_madd_epi16((__m256i)a[0], two_taps(taps));
    const __m256i s2 = _mm256_madd_epi16((__m256i)a[2u * step], two_taps(taps + 2));
    const __m256i s4 = _mm256_madd_epi16((__m256i)a[4u * step], two_taps(taps + 4));
    const __m256i s6 = _mm256_madd_epi16((__m256i)a[6u * step], two_taps(taps + 6));
    return (lanes_t)_mm256_add_epi32(_mm256_add_epi32(s0, s2), _mm256_add_epi32(s4, s6));
}

/* Lane j of element i to lane i of element j. */
static inline void transpose(lanes_t *v)
{
    __m256i a[8], b[8];
    for (unsigned i = 0u; i < 8u; i += 2u) {
        a[i] = _mm256_unpacklo_epi32((__m256i)v[i], (__m256i)v[i + 1u]);
        a[i + 1u] = _mm256_unpackhi_epi32((__m256i)v[i], (__m256i)v[i + 1u]);
    }
    for (unsigned i = 0u; i < 8u; i += 4u) {
        b[i] = _mm256_unpacklo_epi64(a[i], a[i + 2u]);
        b[i + 1u] = _mm256_unpackhi_epi64(a[i], a[i + 2u]);
        b[i + 2u] = _mm256_unpacklo_epi64(a[i + 1u], a[i + 3u]);
        b[i + 3u] = _mm256_unpackhi_epi64(a[i + 1u], a[i + 3u]);
    }
    for (unsigned i = 0u; i < 4u; ++i) {
        v[i] = (lanes_t)_mm256_permute2x128_si256(b[i], b[i + 4u], 0x20);
        v[i + 4u] = (lanes_t)_mm256_permute2x128_si256(b[i], b[i + 4u], 0x31);
    }
}

#include "wide_rows.h"
#include "wide_segments.h"

const ecgqa_wide_kernels_t KERNELS = {LANES, map, flat, analyse};

#if defined(__clang__)
#pragma clang attribute pop
#endif

#endif
