/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* A twin of each operator of fixed.h that looks at its arguments first: -DECGQA_CHECKED and this
 * folder among the include paths. What an operator asks for and does not get is told with the
 * caller's file and line, and the program aborts. For hosts: no firmware includes this. */
#ifndef ECGQA_FIXED_CHECKED_H
#define ECGQA_FIXED_CHECKED_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static inline void ecgqa_require(int holds, const char *what, const char *file, int line)
{
    if (!holds) {
        (void)fprintf(stderr, "%s:%d: %s\n", file, line, what);
        abort();
    }
}

static inline int ecgqa_fits_s32(int64_t a)
{
    return a >= INT32_MIN && a <= INT32_MAX;
}

/* |a| < 2^30. */
static inline int ecgqa_is_below_2_30(int32_t a)
{
    return a > -(INT32_C(1) << 30) && a < (INT32_C(1) << 30);
}

/* No partial sum leaves int32, so none does in any order that a core adds in. */
static inline int ecgqa_dot8_fits(const int16_t *a, const int16_t *b)
{
    int64_t positive = 0, negative = 0;
    for (unsigned j = 0u; j < 8u; ++j) {
        const int32_t product = a[j] * b[j];
        *(product > 0 ? &positive : &negative) += product;
    }
    return ecgqa_fits_s32(positive) && ecgqa_fits_s32(negative);
}

#define ECGQA_TWIN_1(type, name, type_a, a, holds)                            \
    static inline type name##_checked(type_a a, const char *file, int line)   \
    {                                                                         \
        ecgqa_require(holds, #name ": " #holds " does not hold", file, line); \
        return name(a);                                                       \
    }

#define ECGQA_TWIN_2(type, name, type_a, a, type_b, b, holds)                         \
    static inline type name##_checked(type_a a, type_b b, const char *file, int line) \
    {                                                                                 \
        ecgqa_require(holds, #name ": " #holds " does not hold", file, line);         \
        return name(a, b);                                                            \
    }

/* An operator that takes everything is listed too: a test holds this list against fixed.h. */
ECGQA_TWIN_2(int32_t, ecgqa_mul_high, int32_t, a, int32_t, b, 1)
ECGQA_TWIN_2(uint32_t, ecgqa_mul_high_u32, uint32_t, a, uint32_t, b, 1)
ECGQA_TWIN_2(int32_t, ecgqa_mul_q31, int32_t, a, int32_t, b, ecgqa_is_below_2_30(a))
ECGQA_TWIN_2(int32_t, ecgqa_mul_q31_round, int32_t, a, int32_t, b, ecgqa_is_below_2_30(a) && b >= 0)
ECGQA_TWIN_2(int32_t, ecgqa_shr_round, int32_t, a, unsigned, shift,
             shift <= 30u && a >= -(INT32_C(1) << 30) && a <= (INT32_C(1) << 30))
ECGQA_TWIN_2(int32_t, ecgqa_shr_away, int32_t, a, uint32_t, shift,
             shift <= 30u && ecgqa_is_below_2_30(a))
ECGQA_TWIN_2(int32_t, ecgqa_shl, int32_t, a, unsigned, shift,
             shift <= 30u && ecgqa_fits_s32((int64_t)a * (INT64_C(1) << shift)))
ECGQA_TWIN_1(int32_t, ecgqa_abs, int32_t, a, a > INT32_MIN)
ECGQA_TWIN_2(int32_t, ecgqa_dot8_s16, const int16_t *, a, const int16_t *, b, ecgqa_dot8_fits(a, b))
ECGQA_TWIN_1(int16_t, ecgqa_saturate_s16, int32_t, a, 1)
ECGQA_TWIN_1(unsigned, ecgqa_bit_length, uint32_t, a, 1)

#define ecgqa_mul_high(a, b) ecgqa_mul_high_checked(a, b, __FILE__, __LINE__)
#define ecgqa_mul_high_u32(a, b) ecgqa_mul_high_u32_checked(a, b, __FILE__, __LINE__)
#define ecgqa_mul_q31(a, b) ecgqa_mul_q31_checked(a, b, __FILE__, __LINE__)
#define ecgqa_mul_q31_round(a, b) ecgqa_mul_q31_round_checked(a, b, __FILE__, __LINE__)
#define ecgqa_shr_round(a, shift) ecgqa_shr_round_checked(a, shift, __FILE__, __LINE__)
#define ecgqa_shr_away(a, shift) ecgqa_shr_away_checked(a, shift, __FILE__, __LINE__)
#define ecgqa_shl(a, shift) ecgqa_shl_checked(a, shift, __FILE__, __LINE__)
#define ecgqa_abs(a) ecgqa_abs_checked(a, __FILE__, __LINE__)
#define ecgqa_dot8_s16(a, b) ecgqa_dot8_s16_checked(a, b, __FILE__, __LINE__)
#define ecgqa_saturate_s16(a) ecgqa_saturate_s16_checked(a, __FILE__, __LINE__)
#define ecgqa_bit_length(a) ecgqa_bit_length_checked(a, __FILE__, __LINE__)

#endif
