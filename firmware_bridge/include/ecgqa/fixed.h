/* Fixed-point operators. Rounding, negative shifts and the type's extremes live here and nowhere
 * else: every other file adds, subtracts and compares.
 *
 * One rounding rule: to nearest, halves towards plus infinity, floor((x + half) / unit). */
#ifndef ECGQA_FIXED_H
#define ECGQA_FIXED_H

#include <stdint.h>

/* The operators below shift negative numbers right and expect the sign to follow. */
typedef char ecgqa_assert_arithmetic_shift[((-1 >> 1) == -1) ? 1 : -1];

/* a * b, a Qn, b Q31 -> Qn, as twice the rounded high word of the 64-bit product (one SMMULR on
 * Cortex-M with DSP). |error| <= 1 LSB of Qn. |a| < 2^30 never overflows, whatever b is. */
static inline int32_t ecgqa_mul_q31(int32_t a, int32_t b)
{
#if defined(__ARM_FEATURE_DSP) && !defined(ECGQA_PORTABLE)
    int32_t high;
    __asm__("smmulr %0, %1, %2" : "=r"(high) : "r"(a), "r"(b));
    return high * 2;
#else
    return (int32_t)(((int64_t)a * b + INT64_C(0x80000000)) >> 32) * 2;
#endif
}

/* a / 2^shift, rounded; 0 <= shift <= 30, |a| <= 2^30. */
static inline int32_t ecgqa_shr_round(int32_t a, unsigned shift)
{
    const int32_t half = (int32_t)((UINT32_C(1) << shift) >> 1);
    return (a + half) >> shift;
}

/* a * 2^shift; 0 <= shift <= 30, and the product must fit. */
static inline int32_t ecgqa_shl(int32_t a, unsigned shift)
{
    return a * (int32_t)(UINT32_C(1) << shift);
}

/* |a|; a > INT32_MIN. */
static inline int32_t ecgqa_abs(int32_t a)
{
    return a < 0 ? -a : a;
}

/* a, or the nearest int16. */
static inline int16_t ecgqa_saturate_s16(int32_t a)
{
    return (int16_t)(a > INT16_MAX ? INT16_MAX : (a < INT16_MIN ? INT16_MIN : a));
}

/* Bits that a needs: 0 for 0, 32 for 2^31 and more. */
static inline unsigned ecgqa_bit_length(uint32_t a)
{
    return a == 0u ? 0u : 32u - (unsigned)__builtin_clz(a);
}

#endif
