/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* Softmax in fixed point, as TensorFlow Lite's reference kernel computes it: the exponential and
 * the reciprocal of gemmlowp's fixedpoint.h, so the same bits. Q5.26 is a number with 5 integer
 * bits, Q12.19 one with 12, Q31 one with none. */
#include "ecgqa/fixed.h"
#include "nn_internal.h"

enum { INTEGER_BITS = 5, SUM_INTEGER_BITS = 12 };

/* a * b / 2^31, rounded, halves towards plus infinity; -1 times -1 saturates. */
static int32_t mul(int32_t a, int32_t b)
{
    const int64_t product = (int64_t)a * b + INT64_C(0x40000000);
    return a == INT32_MIN && b == INT32_MIN ? INT32_MAX : (int32_t)(product >> 31);
}

/* a / 2^shift, rounded, halves away from zero; 0 < shift <= 31. */
static int32_t shr_away(int32_t a, uint32_t shift)
{
    const int64_t half = INT64_C(1) << (shift - 1u);
    return (int32_t)((a + half - (a < 0 ? 1 : 0)) >> shift);
}

/* a * 2^shift, saturated. */
static int32_t shl_saturated(int32_t a, uint32_t shift)
{
    const int64_t wide = (int64_t)a * (INT64_C(1) << shift);
    if (wide > INT32_MAX) {
        return INT32_MAX;
    }
    return wide < INT32_MIN ? INT32_MIN : (int32_t)wide;
}

/* exp(a) for a in [-1/4, 0), Q31 to Q31: a Taylor series about -1/8. */
static int32_t exp_near_zero(int32_t a)
{
    const int32_t exp_minus_eighth = 1895147668;
    const int32_t third = 715827883;
    const int32_t x = a + (INT32_C(1) << 28);
    const int32_t x2 = mul(x, x);
    const int32_t x3 = mul(x2, x);
    const int32_t x4_over_4 = shr_away(mul(x2, x2), 2);
    /* x + x^2/2 + x^3/6 + x^4/24 */
    const int32_t tail = shr_away(mul(x4_over_4 + x3, third) + x2, 1);
    return exp_minus_eighth + mul(exp_minus_eighth, x + tail);
}

/* exp(a), a <= 0 in Q5.26, to Q31. */
static int32_t exp_of(int32_t a)
{
    /* exp(-2^(i - 2)) in Q31, i = 0..6: for each bit of the part that is a multiple of 1/4. */
    static const int32_t factor_q31[] = {1672461947, 1302514674, 790015084, 290630308,
                                         39332535,   720401,     242};
    const int32_t quarter = INT32_C(1) << (31 - INTEGER_BITS - 2);
    const int32_t fraction = (a & (quarter - 1)) - quarter;
    const uint32_t rest = (uint32_t)(fraction - a);
    int32_t y = exp_near_zero(shl_saturated(fraction, INTEGER_BITS));
    for (uint32_t i = 0u; i < sizeof factor_q31 / sizeof factor_q31[0]; ++i) {
        if ((rest & ((uint32_t)quarter << i)) != 0u) {
            y = mul(y, factor_q31[i]);
        }
    }
    return a == 0 ? INT32_MAX : y;
}

/* 1 / (1 + a) for a in [0, 1], Q31: three Newton-Raphson steps on 48/17 - 32/17 * (1 + a) / 2. */
static int32_t reciprocal_of_one_plus(int32_t a)
{
    const int32_t half_denominator = (int32_t)(((int64_t)a + INT32_MAX + 1) >> 1); /* Q31 */
    const int32_t c48_over_17 = 1515870810;                                        /* Q2.29 */
    const int32_t c_minus_32_over_17 = -1010580540;
    int32_t x = c48_over_17 + mul(half_denominator, c_minus_32_over_17);
    for (int i = 0; i < 3; ++i) {
        const int32_t error = (INT32_C(1) << 29) - mul(half_denominator, x);
        x += shl_saturated(mul(x, error), 2);
    }
    return shl_saturated(x, 1);
}

/* The part of a logit's exponent below the maximum, Q5.26. */
static int32_t scaled(int32_t difference, const ecgqa_nn_softmax_t *softmax)
{
    return mul(difference * (int32_t)(UINT32_C(1) << softmax->left_shift), softmax->multiplier_q31);
}

void ecgqa_nn_softmax(int8_t *scores, const int8_t *logits, uint32_t len,
                      const ecgqa_nn_softmax_t *softmax)
{
    int32_t most = INT8_MIN;
    int32_t sum = 0; /* Q12.19 */
    for (uint32_t c = 0u; c < len; ++c) {
        most = logits[c] > most ? logits[c] : most;
    }
    for (uint32_t c = 0u; c < len; ++c) {
        if (logits[c] - most >= softmax->diff_min) {
            sum += shr_away(exp_of(scaled(logits[c] - most, softmax)), SUM_INTEGER_BITS);
        }
    }
    const uint32_t headroom = 32u - ecgqa_bit_length((uint32_t)sum);
    const int32_t inverse =
        reciprocal_of_one_plus((int32_t)(((uint32_t)sum << headroom) - UINT32_C(0x80000000)));
    for (uint32_t c = 0u; c < len; ++c) {
        int32_t y = INT8_MIN;
        if (logits[c] - most >= softmax->diff_min) {
            const int32_t share = mul(inverse, exp_of(scaled(logits[c] - most, softmax)));
            y += shr_away(share, SUM_INTEGER_BITS - headroom + 31u - 8u);
        }
        scores[c] = (int8_t)(y > INT8_MAX ? INT8_MAX : y);
    }
}
