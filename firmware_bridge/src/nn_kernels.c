/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* The kernels' definition, in portable C. */
#include "fast.h"

#include "nn_kernels.h"

#include <string.h>

#if defined(__ARM_FEATURE_UNALIGNED)
/* Four bytes at any place. */
static inline void copy_word(int8_t *to, const int8_t *from)
{
    memcpy(to, from, 4);
}
#endif

static void copy(int8_t *to, const int8_t *from, uint32_t len)
{
    uint32_t i = 0;
#if defined(__ARM_FEATURE_UNALIGNED)
    if (len >= 4u) { /* where they are not whole words, the last one over the one before */
        for (; i + 4u < len; i += 4u) {
            copy_word(to + i, from + i);
        }
        copy_word(to + len - 4u, from + len - 4u);
        return;
    }
#endif
    for (; i < len; ++i) {
        to[i] = from[i];
    }
}

void ecgqa_nn_copy_runs(int8_t *to, const int8_t *from, uint32_t len, uint32_t runs, uint32_t step)
{
#if defined(__ARM_FEATURE_UNALIGNED)
    if (len >= 4u && len <= 8u) { /* two words, most often one over the other */
        for (; runs > 0u; --runs, to += len, from += step) {
            copy_word(to, from);
            copy_word(to + len - 4u, from + len - 4u);
        }
        return;
    }
#endif
    for (; runs > 0u; --runs, to += len, from += step) {
        copy(to, from, len);
    }
}

#if !defined(ECGQA_NN_KERNELS_MVE)
void ecgqa_nn_start_sums(int32_t *acc, const int32_t *bias, uint32_t len, uint32_t pixels)
{
    for (; pixels > 0u; --pixels, acc += len) {
        memcpy(acc, bias, len * sizeof *acc);
    }
}

void ecgqa_nn_colour_planes(int8_t *x, const uint8_t *index, uint32_t count, const int8_t *lut_s8,
                            uint32_t channels, uint32_t plane)
{
    if (channels == 3u) {
        for (uint32_t i = 0u; i < count; ++i) {
            const int8_t *const colour = lut_s8 + 3u * (uint32_t)index[i];
            x[i] = colour[0];
            x[plane + i] = colour[1];
            x[2u * plane + i] = colour[2];
        }
        return;
    }
    for (uint32_t i = 0u; i < count; ++i) {
        for (uint32_t c = 0u; c < channels; ++c) {
            x[c * plane + i] = lut_s8[index[i] * channels + c];
        }
    }
}
#endif

#if defined(ECGQA_NN_KERNELS_PORTABLE)

#include <stddef.h>

#include "nn_requant.h"

enum { BLOCK = 4 };

/* A block of inputs, 128 added, of two pixels. */
typedef struct {
    uint32_t step; /* from the weights of the block before, bytes */
    uint8_t x0[BLOCK], x1[BLOCK];
} block_t;

static inline void add_products(int32_t *sums, uint32_t x0, uint32_t x1, const uint8_t *w)
{
    const int32_t even = w[0];
    const int32_t odd = (int8_t)w[1];
    sums[0] += (int32_t)x0 * even;
    sums[1] += (int32_t)x0 * odd;
    sums[2] += (int32_t)x1 * even;
    sums[3] += (int32_t)x1 * odd;
}

void ecgqa_nn_dot_finish(ecgqa_nn_dot_t *job)
{
    const block_t *const patch = (const block_t *)job->patch;
    const block_t *const end = patch + job->blocks;
    const uint8_t *weights = job->weights;
    const uint32_t channels = 2u * (uint32_t)job->pairs;
    for (uint32_t c = 0u; c < channels && patch != end; c += 2u) {
        int32_t sums[4] = {0, 0, 0, 0};
        const uint8_t *w = weights;
        for (const block_t *b = patch; b != end; ++b) {
            w += b->step;
            add_products(sums, b->x0[0], b->x1[0], w);
            add_products(sums, b->x0[1], b->x1[1], w + 2);
            add_products(sums, b->x0[2], b->x1[2], w + 4);
            add_products(sums, b->x0[3], b->x1[3], w + 6);
        }
        job->acc[c] += sums[0] - ECGQA_NN_EVEN_BIAS * job->sum[0];
        job->acc[c + 1u] += sums[1];
        if (job->pixels == 2u) {
            job->acc[channels + c] += sums[2] - ECGQA_NN_EVEN_BIAS * job->sum[1];
            job->acc[channels + c + 1u] += sums[3];
        }
        weights += job->pair_bytes;
    }
    ecgqa_nn_dot_clear(job);
}

/* Inputs to a block's, zeros after its end; their sum. */
static uint32_t take(uint8_t *to, const int8_t *x, uint32_t len)
{
    uint32_t sum = 0;
    for (uint32_t k = 0u; k < BLOCK; ++k) {
        to[k] = x != NULL && k < len ? (uint8_t)((uint8_t)x[k] ^ 0x80u) : 0u;
        sum += to[k];
    }
    return sum;
}

void ecgqa_nn_dot_add(ecgqa_nn_dot_t *job, const int8_t *x0, const int8_t *x1, uint32_t len,
                      uint32_t at)
{
    const uint32_t room = job->patch_bytes / (uint32_t)sizeof(block_t);
    block_t *const patch = (block_t *)job->patch;
    for (uint32_t k = 0u; k < len; k += BLOCK) {
        block_t *const block = &patch[job->blocks];
        const uint32_t sum0 = take(block->x0, x0 + k, len - k);
        const uint32_t sum1 = take(block->x1, x1 != NULL ? x1 + k : NULL, len - k);
        if ((sum0 | sum1) != 0u) {
            block->step = at + 2u * k - job->at;
            job->at = at + 2u * k;
            job->sum[0] += (int32_t)sum0;
            job->sum[1] += (int32_t)sum1;
            ++job->blocks;
            if (job->blocks == room) {
                ecgqa_nn_dot_finish(job);
            }
        }
    }
}

void ecgqa_nn_requantise(int8_t *out, const int32_t *acc, uint32_t len,
                         const ecgqa_nn_requant_t *requant)
{
    for (uint32_t c = 0u; c < len; ++c) {
        out[c] = ecgqa_nn_requantise_one(acc[c], c, requant);
    }
}

void ecgqa_nn_few_prepare(const ecgqa_nn_few_t *job)
{
    (void)job; /* the weights are taken as they are */
}

void ecgqa_nn_few(const ecgqa_nn_few_t *job, int8_t *out, const int8_t *x0, const int8_t *x1)
{
    const ecgqa_nn_requant_t *const requant = &job->requant;
    const uint32_t skipped = 2u * (job->len % 2u);
    const uint8_t *w = job->weights;
    for (uint32_t c = 0u; c < job->channels; c += 2u) {
        const int32_t even = job->bias[c], odd = job->bias[c + 1u];
        int32_t sums[4] = {even, odd, even, odd};
        int32_t sum0 = 0, sum1 = 0;
        for (uint32_t k = 0u; k < job->len; ++k, w += 2) {
            const uint32_t a = (uint8_t)x0[k] ^ 0x80u, b = (uint8_t)x1[k] ^ 0x80u;
            sum0 += (int32_t)a;
            sum1 += (int32_t)b;
            add_products(sums, a, b, w);
        }
        w += skipped;
        sums[0] -= ECGQA_NN_EVEN_BIAS * sum0;
        sums[2] -= ECGQA_NN_EVEN_BIAS * sum1;
        for (uint32_t i = 0u; i < 2u; ++i) {
            out[c + i] = ecgqa_nn_requantise_one(sums[i], c + i, requant);
            out[job->channels + c + i] = ecgqa_nn_requantise_one(sums[2u + i], c + i, requant);
        }
    }
}

void ecgqa_nn_max(int8_t *to, const int8_t *a, const int8_t *b, uint32_t len)
{
    for (uint32_t i = 0u; i < len; ++i) {
        to[i] = a[i] > b[i] ? a[i] : b[i];
    }
}

void ecgqa_nn_multiply_add(int32_t *acc, const int8_t *x, const int8_t *weights, uint32_t len)
{
    for (uint32_t c = 0u; c < len; ++c) {
        acc[c] += (int32_t)x[c] * weights[c];
    }
}

#endif
