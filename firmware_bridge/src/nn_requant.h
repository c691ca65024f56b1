/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* Requantisation of one accumulator, shared by the kernels and the softmax. */
#ifndef ECGQA_NN_REQUANT_H
#define ECGQA_NN_REQUANT_H

#include "ecgqa/fixed.h"
#include "nn_kernels.h"

static inline int8_t ecgqa_nn_clamp(int32_t y, const ecgqa_nn_requant_t *requant)
{
    y += requant->zero_point;
    y = y < requant->act_min ? requant->act_min : y;
    return (int8_t)(y > requant->act_max ? requant->act_max : y);
}

static inline int8_t ecgqa_nn_requantise_one(int32_t acc, uint32_t c,
                                             const ecgqa_nn_requant_t *requant)
{
    const int32_t y = ecgqa_mul_q31_round(acc, requant->multiplier_q31[c]);
    return ecgqa_nn_clamp(ecgqa_shr_away(y, (uint32_t)-requant->shift[c]), requant);
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
