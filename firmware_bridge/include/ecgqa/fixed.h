/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* Fixed-point operators. Rounding, negative shifts and the type's extremes live here (and, of the
 * softmax alone, in nn_softmax.c): every other file adds, subtracts and compares.
 *
 * One rounding rule but where a name says otherwise: to nearest, halves towards plus infinity,
 * floor((x + half) / unit). */
#ifndef ECGQA_FIXED_H
#define ECGQA_FIXED_H

#include <stdint.h>

#include "ecgqa/status.h" /* which cores this runs on */

/* Cortex-M4, M7, M33 and up: the same values in fewer instructions. */
#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP && defined(__thumb2__) && \
    !defined(ECGQA_PORTABLE)
#define ECGQA_DSP 1
#include <arm_acle.h>
#include <string.h>
#else
#define ECGQA_DSP 0
#endif

/* Cortex-M0, M0+ and M1 multiply to the low 32 bits, and have eight registers for most of it. */
#if defined(__ARM_ARCH_6M__) && !defined(ECGQA_PORTABLE)
#define ECGQA_V6M 1
#else
#define ECGQA_V6M 0
#endif

#if ECGQA_DSP
/* Two neighbours in one register, at any even address. */
static inline int16x2_t ecgqa_load_s16x2(const int16_t *a)
{
    int16x2_t pair;
    memcpy(&pair, a, sizeof pair);
    return pair;
}
#endif

/* One instruction; elsewhere compilers call a function of libgcc. */
#if defined(__GNUC__) && !defined(ECGQA_PORTABLE) && !ECGQA_V6M && \
    (!defined(__riscv) || defined(__riscv_zbb))
#define ECGQA_HAS_CLZ 1
#else
#define ECGQA_HAS_CLZ 0
#endif

/* Before a short loop: leave it to the vectoriser, which a compiler that unrolls first spoils. */
#if defined(__GNUC__) && !defined(__clang__)
#define ECGQA_ROLLED _Pragma("GCC unroll 1")
#else
#define ECGQA_ROLLED
#endif

/* The operators below shift negative numbers right and expect the sign to follow. */
typedef char ecgqa_assert_arithmetic_shift[((-1 >> 1) == -1) ? 1 : -1];

/* High word of a * b, rounded: one SMMULR on Cortex-M with DSP. */
static inline int32_t ecgqa_mul_high(int32_t a, int32_t b)
{
#if ECGQA_DSP
    int32_t high;
    __asm__("smmulr %0, %1, %2" : "=r"(high) : "r"(a), "r"(b));
    return high;
#elif ECGQA_V6M
    /* By halves: for 64 bits compilers call a function. */
    const uint32_t a_low = (uint32_t)a & 0xFFFFu, b_low = (uint32_t)b & 0xFFFFu;
    const int32_t a_high = a >> 16, b_high = b >> 16;
    const int32_t first = a_high * (int32_t)b_low + (int32_t)((a_low * b_low) >> 16);
    const int32_t second = (int32_t)a_low * b_high + (first & 0xFFFF);
    return a_high * b_high + (first >> 16) + ((second + 0x8000) >> 16);
#else
    return (int32_t)(((int64_t)a * b + INT64_C(0x80000000)) >> 32);
#endif
}

/* High word of a * b. */
static inline uint32_t ecgqa_mul_high_u32(uint32_t a, uint32_t b)
{
#if ECGQA_V6M
    const uint32_t a_low = a & 0xFFFFu, b_low = b & 0xFFFFu, a_high = a >> 16, b_high = b >> 16;
    const uint32_t first = a_high * b_low + ((a_low * b_low) >> 16);
    return a_high * b_high + (first >> 16) + ((a_low * b_high + (first & 0xFFFFu)) >> 16);
#else
    return (uint32_t)(((uint64_t)a * b) >> 32);
#endif
}

/* a * b, a Qn, b Q31 -> Qn. |error| <= 1 LSB of Qn. |a| < 2^30 never overflows, whatever b is. */
static inline int32_t ecgqa_mul_q31(int32_t a, int32_t b)
{
    return ecgqa_mul_high(a, b) * 2;
}

/* a / 2^shift, rounded; 0 <= shift <= 30, |a| <= 2^30. */
static inline int32_t ecgqa_shr_round(int32_t a, unsigned shift)
{
    const int32_t half = (int32_t)((UINT32_C(1) << shift) >> 1);
    return (a + half) >> shift;
}

/* a * b / 2^31, rounded to nearest, halves towards plus infinity: gemmlowp's
 * SaturatingRoundingDoublingHighMul for |a| < 2^30 (2 a does not overflow) and b >= 0. */
static inline int32_t ecgqa_mul_q31_round(int32_t a, int32_t b)
{
#if ECGQA_DSP
    int32_t high;
    __asm__("smmulr %0, %1, %2" : "=r"(high) : "r"(a * 2), "r"(b));
    return high;
#elif ECGQA_V6M
    return ecgqa_mul_high(a * 2, b);
#else
    return (int32_t)(((int64_t)a * b + INT64_C(0x40000000)) >> 31);
#endif
}

/* a / 2^shift, rounded to nearest, halves away from zero; 0 <= shift <= 30, |a| < 2^30.
 * 2 a - 1 is odd, so taking 1 off a negative 2 a moves halves down and nothing else. */
static inline int32_t ecgqa_shr_away(int32_t a, uint32_t shift)
{
    return (((a * 2 + (a >> 31)) >> shift) + 1) >> 1;
}

/* a * 2^shift; 0 <= shift <= 30, and the product must fit. */
static inline int32_t ecgqa_shl(int32_t a, unsigned shift)
{
    return a * (int32_t)(UINT32_C(1) << shift);
}

/* |a|; a > INT32_MIN. */
static inline int32_t ecgqa_abs(int32_t a)
{
    const int32_t sign = a >> 31;
    return (a ^ sign) - sign;
}

/* Sum of eight products; the caller keeps it below 2^31. */
static inline int32_t ecgqa_dot8_s16(const int16_t *a, const int16_t *b)
{
#if ECGQA_DSP
    int32_t sum = __smuad(ecgqa_load_s16x2(a), ecgqa_load_s16x2(b));
    sum = __smlad(ecgqa_load_s16x2(a + 2), ecgqa_load_s16x2(b + 2), sum);
    sum = __smlad(ecgqa_load_s16x2(a + 4), ecgqa_load_s16x2(b + 4), sum);
    return __smlad(ecgqa_load_s16x2(a + 6), ecgqa_load_s16x2(b + 6), sum);
#elif ECGQA_V6M
#define ECGQA_DOT_STEP              \
    "adds %[at], %[at], #2\n\t"     \
    "ldrsh %[x], [%[a], %[at]]\n\t" \
    "ldrsh %[y], [%[b], %[at]]\n\t" \
    "muls %[x], %[y], %[x]\n\t"     \
    "adds %[sum], %[sum], %[x]\n\t"
    int32_t sum, x, y, at;
    __asm__(".syntax unified\n\t"
            "movs %[at], #0\n\t"
            "ldrsh %[sum], [%[a], %[at]]\n\t"
            "ldrsh %[y], [%[b], %[at]]\n\t"
            "muls %[sum], %[y], %[sum]\n\t" ECGQA_DOT_STEP ECGQA_DOT_STEP ECGQA_DOT_STEP
                ECGQA_DOT_STEP ECGQA_DOT_STEP ECGQA_DOT_STEP ECGQA_DOT_STEP
            : [sum] "=&l"(sum), [x] "=&l"(x), [y] "=&l"(y), [at] "=&l"(at)
            : [a] "l"(a), [b] "l"(b)
            : "cc", "memory");
#undef ECGQA_DOT_STEP
    return sum;
#else
    int32_t sum = 0;
    ECGQA_ROLLED
    for (unsigned j = 0u; j < 8u; ++j) {
        sum += a[j] * b[j];
    }
    return sum;
#endif
}

/* a, or the nearest int16. */
static inline int16_t ecgqa_saturate_s16(int32_t a)
{
#if ECGQA_DSP
    int32_t narrow;
    __asm__("ssat %0, #16, %1" : "=r"(narrow) : "r"(a));
    return (int16_t)narrow;
#else
    return (int16_t)(a > INT16_MAX ? INT16_MAX : (a < INT16_MIN ? INT16_MIN : a));
#endif
}

/* Bits that a needs: 0 for 0, 32 for 2^31 and more. */
static inline unsigned ecgqa_bit_length(uint32_t a)
{
#if ECGQA_HAS_CLZ
    return a == 0u ? 0u : 32u - (unsigned)__builtin_clz(a);
#else
    unsigned bits = 0u;
    for (unsigned step = 16u; step > 0u; step /= 2u) {
        if ((a >> step) != 0u) {
            a >>= step;
            bits += step;
        }
    }
    return bits + (a != 0u ? 1u : 0u);
#endif
}

/* A host's build that looks at every argument: firmware_bridge/host. */
#if defined(ECGQA_CHECKED)
#include "fixed_checked.h"
#endif

#endif
