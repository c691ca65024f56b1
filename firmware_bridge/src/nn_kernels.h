/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* The inner loops of the network, one interface for every core.
 *
 * nn_kernels.c is the definition, in portable C; nn_kernels_dsp.c (Cortex-M with the DSP
 * extension), nn_kernels_mve.c (Helium) and nn_kernels_v6m.c (Cortex-M0, M0+) give the same bytes.
 * Chosen at compile time; ECGQA_PORTABLE chooses the definition on any core. */
#ifndef ECGQA_NN_KERNELS_H
#define ECGQA_NN_KERNELS_H

#include <stdint.h>

#include "ecgqa/nn.h"

#if defined(ECGQA_PORTABLE)
#define ECGQA_NN_KERNELS_PORTABLE 1
#elif defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)
#define ECGQA_NN_KERNELS_MVE 1
#elif defined(__ARM_FEATURE_DSP) && defined(__ARM_FEATURE_SIMD32) && __ARM_ARCH_PROFILE == 'M'
#define ECGQA_NN_KERNELS_DSP 1
#elif defined(__ARM_ARCH_6M__)
#define ECGQA_NN_KERNELS_V6M 1
#else
#define ECGQA_NN_KERNELS_PORTABLE 1
#endif

/* The even channel of a pair is stored with this added, as uint8. */
#define ECGQA_NN_EVEN_BIAS 128

/* Accumulators of one pixel or more start at the bias, `len` channels of it. */
void ecgqa_nn_start_sums(int32_t *acc, const int32_t *bias, uint32_t len, uint32_t pixels);

/* Products of inputs and packed weights, added to accumulators:
 *
 *     acc[p][c] += sum over k of (x[p][k] + 128) * weight[c][k], p < pixels, c < 2 * pairs.
 *
 * Inputs come in runs. Those blocks of a run that are -128 (the zero point after a ReLU, and of the
 * image) in every pixel add nothing; the others go into the patch, and each pair of channels goes
 * through that. So what is skipped costs a look per block instead of a multiplication per channel.
 * int8 inputs and weights; the accumulators wrap modulo 2^32, and the caller (the exporter) sees to
 * it that whole sums stay below 2^30. */
typedef struct {
    int32_t *acc;           /* [pixels][2 * pairs] */
    const uint8_t *weights; /* packed pairs */
    uint32_t pair_bytes;    /* from a pair to the next */
    void *patch;            /* scratch, 4-byte aligned */
    uint16_t patch_bytes;   /* ECGQA_NN_MIN_PATCH or more */
    uint16_t pixels;        /* 1 or 2 */
    uint16_t pairs;
    uint16_t blocks; /* in the patch: the kernels' own, as all below */
    uint32_t at;     /* weights of the last of them, bytes in a pair */
    int32_t sum[2];  /* of each pixel's inputs in the patch */
} ecgqa_nn_dot_t;

/* The patch is empty. */
static inline void ecgqa_nn_dot_clear(ecgqa_nn_dot_t *job)
{
    job->blocks = 0;
    job->at = 0;
    job->sum[0] = 0;
    job->sum[1] = 0;
}

/* `len` more inputs of each pixel, x1 NULL where there is one, with the weights from byte `at` of
 * each pair on, a multiple of 4. After ecgqa_nn_dot_clear. */
void ecgqa_nn_dot_add(ecgqa_nn_dot_t *job, const int8_t *x0, const int8_t *x1, uint32_t len,
                      uint32_t at);

/* What is still in the patch into the accumulators. */
void ecgqa_nn_dot_finish(ecgqa_nn_dot_t *job);

/* Requantisation of `len` channels: TensorFlow Lite's MultiplyByQuantizedMultiplier (a rounding
 * doubling high multiplication, then a division by 2^-shift that rounds halves away from zero),
 * plus the zero point, clamped. |acc| < 2^30. */
typedef struct {
    const int32_t *multiplier_q31;
    const int8_t *shift;
    int8_t zero_point, act_min, act_max;
} ecgqa_nn_requant_t;

/* out[c] of acc[c]. `out` may begin where `acc` does. */
void ecgqa_nn_requantise(int8_t *out, const int32_t *acc, uint32_t len,
                         const ecgqa_nn_requant_t *requant);

/* Two pixels of a convolution of few inputs, whole, where a core's kernels gain by it: what
 * ecgqa_nn_dot_add, ecgqa_nn_dot_finish and ecgqa_nn_requantise make of sums that start at the
 * bias. Nothing is looked at for zeros, no sum waits in memory, and what is made of the weights
 * serves a row: of 25 inputs all that is half of the work. */
#if defined(ECGQA_NN_KERNELS_DSP) || defined(ECGQA_NN_KERNELS_PORTABLE)
#define ECGQA_NN_HAS_FEW 1
#else
#define ECGQA_NN_HAS_FEW 0
#endif

#define ECGQA_NN_FEW 34u /* inputs of a pixel */

typedef struct {
    const uint8_t *weights; /* packed pairs of one run */
    const int32_t *bias;
    ecgqa_nn_requant_t requant; /* a ReLU's: zero point and act_min -128, act_max 127 */
    uint32_t len;               /* 1 to ECGQA_NN_FEW */
    uint32_t channels;          /* even */
    uint32_t *prepared;         /* scratch, ECGQA_NN_FEW_PREPARED(len, channels) words */
    uint32_t *patch;            /* scratch, ECGQA_NN_FEW_PATCH(len) words */
} ecgqa_nn_few_t;

#define ECGQA_NN_FEW_PREPARED(len, channels) ((channels) / 2u * (((len) + 1u) / 2u * 2u + 5u))
#define ECGQA_NN_FEW_PATCH(len) (((len) + 1u) / 2u * 2u)

#if ECGQA_NN_HAS_FEW
/* All that ecgqa_nn_few wants of the layer. */
void ecgqa_nn_few_prepare(const ecgqa_nn_few_t *job);

/* out[0..channels) of x0[0..len), then channels of x1; where len is odd, -128 follows in both. */
void ecgqa_nn_few(const ecgqa_nn_few_t *job, int8_t *out, const int8_t *x0, const int8_t *x1);
#endif

/* to[i] = max(a[i], b[i]); `to` may be either. */
void ecgqa_nn_max(int8_t *to, const int8_t *a, const int8_t *b, uint32_t len);

/* Colours of `count` indices, each colour `plane` bytes after the one before; channels < 256. */
void ecgqa_nn_colour_planes(int8_t *x, const uint8_t *index, uint32_t count, const int8_t *lut_s8,
                            uint32_t channels, uint32_t plane);

/* `runs` runs of `len` bytes, `step` bytes apart, one after another to `to`: a few bytes each, of
 * which a call of memcpy would be most. The same on every core. */
void ecgqa_nn_copy_runs(int8_t *to, const int8_t *from, uint32_t len, uint32_t runs, uint32_t step);

/* acc[c] += x[c] * weights[c]: one tap of a depthwise convolution. */
void ecgqa_nn_multiply_add(int32_t *acc, const int8_t *x, const int8_t *weights, uint32_t len);

#endif
