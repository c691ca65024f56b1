/* Requantisation of one accumulator, shared by the kernels and the softmax. */
#ifndef ECGQA_NN_REQUANT_H
#define ECGQA_NN_REQUANT_H

#include "ecgqa/fixed.h"
#include "nn_kernels.h"

/* a * b / 2^31, rounded to nearest, halves towards plus infinity: gemmlowp's
 * SaturatingRoundingDoublingHighMul for |a| < 2^30 (2 a does not overflow) and b >= 0. */
static inline int32_t ecgqa_nn_mul_q31(int32_t a, int32_t b)
{
#if ECGQA_DSP
    int32_t high;
    __asm__("smmulr %0, %1, %2" : "=r"(high) : "r"(a * 2), "r"(b));
    return high;
#else
    return (int32_t)(((int64_t)a * b + INT64_C(0x40000000)) >> 31);
#endif
}

/* a / 2^shift, rounded to nearest, halves away from zero; 0 <= shift <= 30, |a| < 2^30.
 * 2 a - 1 is odd, so taking 1 off a negative 2 a moves halves down and nothing else. */
static inline int32_t ecgqa_nn_shr_away(int32_t a, uint32_t shift)
{
    return (((a * 2 + (a >> 31)) >> shift) + 1) >> 1;
}

static inline int8_t ecgqa_nn_clamp(int32_t y, const ecgqa_nn_requant_t *requant)
{
    y += requant->zero_point;
    y = y < requant->act_min ? requant->act_min : y;
    return (int8_t)(y > requant->act_max ? requant->act_max : y);
}

static inline int8_t ecgqa_nn_requantise_one(int32_t acc, uint32_t c,
                                             const ecgqa_nn_requant_t *requant)
{
    const int32_t y = ecgqa_nn_mul_q31(acc, requant->multiplier_q31[c]);
    return ecgqa_nn_clamp(ecgqa_nn_shr_away(y, (uint32_t)-requant->shift[c]), requant);
}

/* As above with one rounding, halves away from zero: what LiteRT does in FULLY_CONNECTED, there in
 * double precision. TensorFlow Lite Micro rounds twice there too. */
static inline int8_t ecgqa_nn_requantise_once(int32_t acc, uint32_t c,
                                              const ecgqa_nn_requant_t *requant)
{
    const uint32_t shift = 31u - (uint32_t)requant->shift[c];
    const int64_t product = (int64_t)acc * requant->multiplier_q31[c];
    const int64_t half = (INT64_C(1) << (shift - 1u)) + (product >> 63);
    return ecgqa_nn_clamp((int32_t)((product + half) >> shift), requant);
}

#endif
