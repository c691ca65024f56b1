/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* The kernels for Helium, the M-profile vector extension with integers (M55, M85): blocks of 16
 * inputs. VLD2 takes the two channels of a pair apart, VMLADAVA adds 16 products to a general
 * register. Everything is unsigned: inputs and weights with 128 added, 128 times the inputs' sum
 * taken off. What is loaded past the end of the weights meets inputs that are zero. */
#include "fast.h"

#include "nn_kernels.h"

typedef int ecgqa_nn_kernels_mve_c_is_not_empty;

#if defined(ECGQA_NN_KERNELS_MVE)

#include <arm_mve.h>
#include <stddef.h>

#define LANES 16u

typedef struct {
    uint32_t step; /* from the weights of the block before, bytes */
    uint8_t x0[LANES], x1[LANES];
} block_t;

/* Both at once, by LDRD and STRD. */
static inline void add_pair(int32_t *acc, uint32_t even, uint32_t odd)
{
    uint32_t first, second;
    __asm__ volatile("ldrd %[first], %[second], [%[acc]]\n\t"
                     "add %[first], %[first], %[even]\n\t"
                     "add %[second], %[second], %[odd]\n\t"
                     "strd %[first], %[second], [%[acc]]"
                     : [first] "=&r"(first), [second] "=&r"(second)
                     : [acc] "r"(acc), [even] "r"(even), [odd] "r"(odd)
                     : "memory");
}

void ecgqa_nn_start_sums(int32_t *acc, const int32_t *bias, uint32_t len, uint32_t pixels)
{
    for (; pixels > 0u; --pixels, acc += len) {
        uint32_t c = 0;
        for (; c + 4u <= len; c += 4u) {
            vstrwq_s32(acc + c, vldrwq_s32(bias + c));
        }
        for (; c < len; ++c) {
            acc[c] = bias[c];
        }
    }
}

void ecgqa_nn_dot_finish(ecgqa_nn_dot_t *job)
{
    const uint8x16_t bias = vdupq_n_u8(ECGQA_NN_EVEN_BIAS);
    const uint8_t *const patch = (const uint8_t *)job->patch;
    const uint32_t blocks = job->blocks;
    const uint8_t *weights = job->weights;
    const uint32_t pair_bytes = job->pair_bytes;
    const uint32_t start0 = 0u - ECGQA_NN_EVEN_BIAS * (uint32_t)job->sum[0];
    const uint32_t start1 = 0u - ECGQA_NN_EVEN_BIAS * (uint32_t)job->sum[1];
    const uint32_t channels = 2u * (uint32_t)job->pairs;
    int32_t *acc0 = job->acc;
    /* The second pixel that there may not be is all zeros: nothing is added to the first. */
    int32_t *acc1 = job->pixels == 2u ? acc0 + channels : acc0;
    const int32_t *const acc_end = blocks == 0u ? acc0 : acc0 + channels;
    while (acc0 != acc_end) {
        const uint8_t *w = weights;
        const uint8_t *x = patch;
        uint32_t even0 = start0, odd0 = start0, even1 = start1, odd1 = start1;
        for (uint32_t left = blocks; left > 0u; --left) {
            uint32_t step;
            uint8x16_t x0, x1;
            /* Compilers take two pointers for this, and move them. */
            __asm__("ldr %[step], [%[x]], #4\n\t"
                    "vldrb.u8 %q[x0], [%[x]], #16\n\t"
                    "vldrb.u8 %q[x1], [%[x]], #16"
                    : [step] "=&r"(step), [x] "+r"(x), [x0] "=&w"(x0), [x1] "=w"(x1)
                    :
                    : "memory");
            w += step;
            const uint8x16x2_t pairs = vld2q_u8(w);
            const uint8x16_t odd = veorq_u8(pairs.val[1], bias);
            even0 = vmladavaq_u8(even0, pairs.val[0], x0);
            even1 = vmladavaq_u8(even1, pairs.val[0], x1);
            odd0 = vmladavaq_u8(odd0, odd, x0);
            odd1 = vmladavaq_u8(odd1, odd, x1);
        }
        add_pair(acc0, even0, odd0);
        add_pair(acc1, even1, odd1);
        acc0 += 2;
        acc1 += 2;
        weights += pair_bytes;
    }
    ecgqa_nn_dot_clear(job);
}

/* Inputs with 128 added, zeros where there is none. */
static inline uint8x16_t unsigned_at(const int8_t *x, mve_pred16_t p)
{
    const uint8x16_t bias = vdupq_n_u8(ECGQA_NN_EVEN_BIAS);
    return veorq_m_u8(vdupq_n_u8(0), vldrbq_z_u8((const uint8_t *)x, p), bias, p);
}

void ecgqa_nn_dot_add(ecgqa_nn_dot_t *job, const int8_t *x0, const int8_t *x1, uint32_t len,
                      uint32_t at)
{
    const uint32_t room = job->patch_bytes / (uint32_t)sizeof(block_t);
    for (uint32_t k = 0u; k < len; k += LANES) {
        const mve_pred16_t p = vctp8q(len - k);
        const uint8x16_t a = unsigned_at(x0 + k, p);
        const uint8x16_t b = x1 != NULL ? unsigned_at(x1 + k, p) : vdupq_n_u8(0);
        const uint32_t sum0 = vaddvq_u8(a);
        const uint32_t sum1 = vaddvq_u8(b);
        if ((sum0 | sum1) != 0u) {
            block_t *const block = (block_t *)job->patch + job->blocks;
            vstrbq_u8(block->x0, a);
            vstrbq_u8(block->x1, b);
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

/* Channels that lie above the zero point or end at it, four at a time, `quads` of them; `out` may
 * begin where `acc` does. VQRDMULH is ecgqa_mul_q31_round; VRSHL rounds halves up, which is
 * ecgqa_shr_away of all that is not below zero. */
static void after_relu(int8_t *out, const int32_t *acc, uint32_t quads,
                       const ecgqa_nn_requant_t *requant)
{
    const int32_t *multiplier = requant->multiplier_q31;
    const int8_t *shift = requant->shift;
    const int32x4_t least = vdupq_n_s32(requant->act_min), most = vdupq_n_s32(requant->act_max);
    const int32_t zero = requant->zero_point;
    for (; quads > 0u; --quads) {
        int32x4_t y = vqrdmulhq_s32(vldrwq_s32(acc), vldrwq_s32(multiplier));
        y = vaddq_n_s32(vrshlq_s32(y, vldrbq_s32(shift)), zero);
        vstrbq_s32(out, vminq_s32(vmaxq_s32(y, least), most));
        acc += 4;
        multiplier += 4;
        shift += 4;
        out += 4;
    }
}

/* VQRDMULH is ecgqa_mul_q31_round, then ecgqa_shr_away and the clamp, four channels at a time. */
void ecgqa_nn_requantise(int8_t *out, const int32_t *acc, uint32_t len,
                         const ecgqa_nn_requant_t *requant)
{
    const int32_t *multiplier = requant->multiplier_q31;
    const int8_t *shift = requant->shift;
    int32_t left = (int32_t)len;
    if (requant->zero_point == requant->act_min) {
        const uint32_t quads = len / 4u;
        after_relu(out, acc, quads, requant);
        acc += 4u * quads;
        multiplier += 4u * quads;
        shift += 4u * quads;
        out += 4u * quads;
        left = (int32_t)(len % 4u);
    }
    for (; left > 0; left -= 4) {
        const mve_pred16_t p = vctp32q((uint32_t)left);
        int32x4_t y = vqrdmulhq_s32(vldrwq_z_s32(acc, p), vldrwq_z_s32(multiplier, p));
        y = vaddq_s32(vshlq_n_s32(y, 1), vshrq_n_s32(y, 31));
        y = vshlq_s32(y, vldrbq_z_s32(shift, p));
        y = vaddq_n_s32(vshrq_n_s32(vaddq_n_s32(y, 1), 1), requant->zero_point);
        y = vmaxq_s32(y, vdupq_n_s32(requant->act_min));
        y = vminq_s32(y, vdupq_n_s32(requant->act_max));
        vstrbq_p_s32(out, y, p);
        acc += 4;
        multiplier += 4;
        shift += 4;
        out += 4;
    }
}

/* Eight indices at a time: offsets into the table take 16 bits. */
void ecgqa_nn_colour_planes(int8_t *x, const uint8_t *index, uint32_t count, const int8_t *lut_s8,
                            uint32_t channels, uint32_t plane)
{
    for (int32_t left = (int32_t)count; left > 0; left -= 8) {
        const mve_pred16_t p = vctp16q((uint32_t)left);
        const uint16x8_t at = vmulq_n_u16(vldrbq_z_u16(index, p), (uint16_t)channels);
        for (uint32_t c = 0u; c < channels; ++c) {
            vstrbq_p_u16((uint8_t *)x + c * plane,
                         vldrbq_gather_offset_z_u16((const uint8_t *)lut_s8 + c, at, p), p);
        }
        x += 8;
        index += 8;
    }
}

void ecgqa_nn_max(int8_t *to, const int8_t *a, const int8_t *b, uint32_t len)
{
    for (int32_t left = (int32_t)len; left > 0; left -= (int32_t)LANES) {
        const mve_pred16_t p = vctp8q((uint32_t)left);
        vstrbq_p_s8(to, vmaxq_s8(vldrbq_z_s8(a, p), vldrbq_z_s8(b, p)), p);
        to += LANES;
        a += LANES;
        b += LANES;
    }
}

void ecgqa_nn_multiply_add(int32_t *acc, const int8_t *x, const int8_t *weights, uint32_t len)
{
    for (int32_t left = (int32_t)len; left > 0; left -= 4) {
        const mve_pred16_t p = vctp32q((uint32_t)left);
        const int32x4_t product = vmulq_s32(vldrbq_z_s32(x, p), vldrbq_z_s32(weights, p));
        vstrwq_p_s32(acc, vaddq_s32(vldrwq_z_s32(acc, p), product), p);
        acc += 4;
        x += 4;
        weights += 4;
    }
}

#endif
