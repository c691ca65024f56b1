/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* The kernels for Cortex-M with the DSP extension (M4, M7, M33).
 *
 * Blocks are four inputs, widened to int16, of two pixels: one LDM feeds eight SMLADs. A pair of
 * output channels shares its multiplications' operand: as int16 a pair of packed bytes is 256 * odd
 * + even, so one SMLAD on the word as it lies in flash adds 256 * odd products plus even products,
 * another on UXTB16 of it adds the even ones alone, and their difference is 256 times the odd ones:
 * exact modulo 2^32, which is exact while |odd sum| < 2^23: 256 inputs of at most 255. */
#include "nn_kernels.h"

typedef int ecgqa_nn_kernels_dsp_c_is_not_empty;

#if defined(ECGQA_NN_KERNELS_DSP)

#include <arm_acle.h>
#include <stddef.h>
#include <string.h>

#include "nn_requant.h"

static inline uint32_t word_at(const void *at)
{
    uint32_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

static inline void put_word(void *at, uint32_t word)
{
    memcpy(at, &word, sizeof word);
}

enum { BLOCK = 4, MAX_BLOCKS = 256 / BLOCK };

typedef struct {
    uint32_t first0, first1, second0, second1; /* inputs 0, 1 of both pixels, inputs 2, 3 */
    uint32_t step;                             /* from the weights of the block before, bytes */
} block_t;

/* A block with its weights, r8 to r12 as they lie. */
#define STEP                                   \
    "ldmia %[x]!, {r8, r9, r10, r11, r12}\n\t" \
    "add %[w], %[w], r12\n\t"                  \
    "ldrd %[w0], r12, [%[w]]\n\t"              \
    "smlad %[both0], %[w0], r8, %[both0]\n\t"  \
    "smlad %[both1], %[w0], r9, %[both1]\n\t"  \
    "uxtb16 %[w0], %[w0]\n\t"                  \
    "smlad %[even0], %[w0], r8, %[even0]\n\t"  \
    "smlad %[even1], %[w0], r9, %[even1]\n\t"  \
    "smlad %[both0], r12, r10, %[both0]\n\t"   \
    "smlad %[both1], r12, r11, %[both1]\n\t"   \
    "uxtb16 r12, r12\n\t"                      \
    "smlad %[even0], r12, r10, %[even0]\n\t"   \
    "smlad %[even1], r12, r11, %[even1]\n\t"

typedef struct {
    const uint8_t *w;
    const block_t *x;
    int32_t both0, both1, even0, even1;
} sums_t;

/* `STEPS` until the blocks' end. In assembly: compilers make no LDM of this, and spill. */
#define UNTIL(s, end, STEPS)                                                                      \
    do {                                                                                          \
        uint32_t w0;                                                                              \
        __asm__ volatile(                                                                         \
            "1:\n\t" STEPS "cmp %[x], %[until]\n\tbne 1b"                                         \
            : [w] "+r"((s).w), [x] "+r"((s).x), [both0] "+r"((s).both0), [both1] "+r"((s).both1), \
              [even0] "+r"((s).even0), [even1] "+r"((s).even1), [w0] "=&r"(w0)                    \
            : [until] "r"(end)                                                                    \
            : "r8", "r9", "r10", "r11", "r12", "cc", "memory");                                   \
    } while (0)

/* Both sums start at what the even channel's bias has to be taken off by: in their difference it
 * cancels. */
static inline void add_pair(int32_t *acc, int32_t both, int32_t even)
{
    const int32_t first = acc[0] + even;
    const int32_t second = acc[1] + ((int32_t)((uint32_t)both - (uint32_t)even) >> 8);
    acc[0] = first;
    acc[1] = second;
}

void ecgqa_nn_dot_finish(ecgqa_nn_dot_t *job)
{
    const block_t *const patch = (const block_t *)job->patch;
    const block_t *const end = patch + job->blocks;
    const block_t *const turns = patch + (job->blocks & ~3u);
    const uint8_t *weights = job->weights;
    const uint32_t pair_bytes = job->pair_bytes;
    const int32_t start0 = -ECGQA_NN_EVEN_BIAS * job->sum[0];
    const int32_t start1 = -ECGQA_NN_EVEN_BIAS * job->sum[1];
    const uint32_t channels = 2u * (uint32_t)job->pairs;
    int32_t *acc0 = job->acc;
    /* The second pixel that there may not be is all zeros: nothing is added to the first. */
    int32_t *acc1 = job->pixels == 2u ? acc0 + channels : acc0;
    const int32_t *const acc_end = patch == end ? acc0 : acc0 + channels;
    while (acc0 != acc_end) {
        sums_t s;
        s.w = weights;
        s.x = patch;
        s.both0 = start0;
        s.both1 = start1;
        s.even0 = start0;
        s.even1 = start1;
        if (turns != patch) {
            UNTIL(s, turns, STEP STEP STEP STEP);
        }
        if (turns != end) {
            UNTIL(s, end, STEP);
        }
        add_pair(acc0, s.both0, s.even0);
        add_pair(acc1, s.both1, s.even1);
        acc0 += 2;
        acc1 += 2;
        weights += pair_bytes;
    }
    ecgqa_nn_dot_clear(job);
}

/* Inputs x[0..len), 128 added, zeros to the block's end. */
static uint32_t last_of(const int8_t *x, uint32_t len)
{
    uint32_t word = 0;
    for (uint32_t k = 0u; k < len; ++k) {
        word |= ((uint32_t)(uint8_t)x[k] ^ 0x80u) << (8u * k);
    }
    return word;
}

/* Inputs 0, 1 and inputs 2, 3 of a block, as int16. */
static inline void widen(uint32_t word, uint32_t *first, uint32_t *second)
{
    const uint32_t even = word & UINT32_C(0x00FF00FF); /* UXTB16 */
    const uint32_t odd = (word >> 8) & UINT32_C(0x00FF00FF);
    *first = (even & 0xFFFFu) | (odd << 16);
    *second = (even >> 16) | (odd & 0xFFFF0000u);
}

static uint32_t room_of(const ecgqa_nn_dot_t *job)
{
    const uint32_t room = job->patch_bytes / (uint32_t)sizeof(block_t);
    return room < MAX_BLOCKS ? room : MAX_BLOCKS;
}

void ecgqa_nn_dot_add(ecgqa_nn_dot_t *job, const int8_t *x0, const int8_t *x1, uint32_t len,
                      uint32_t at)
{
    block_t *const patch = (block_t *)job->patch;
    const block_t *const full = patch + room_of(job);
    const uint32_t rest = len % BLOCK;
    const int8_t *const end = x0 + (len - rest);
    block_t *block = patch + job->blocks;
    uint32_t before = job->at;
    uint32_t sum0 = (uint32_t)job->sum[0];
    uint32_t sum1 = (uint32_t)job->sum[1];
    uint32_t left = len;
    while (left > 0u) {
        uint32_t a, b = 0;
        if (x0 != end) {
            a = word_at(x0) ^ UINT32_C(0x80808080);
            b = x1 != NULL ? word_at(x1) ^ UINT32_C(0x80808080) : 0u;
        } else {
            a = last_of(x0, rest);
            b = x1 != NULL ? last_of(x1, rest) : 0u;
        }
        if ((a | b) != 0u) {
            widen(a, &block->first0, &block->second0);
            widen(b, &block->first1, &block->second1);
            block->step = at - before;
            before = at;
            sum0 = __usada8((uint8x4_t)a, 0, sum0);
            sum1 = __usada8((uint8x4_t)b, 0, sum1);
            ++block;
            if (block == full) {
                job->blocks = (uint16_t)(block - patch);
                job->sum[0] = (int32_t)sum0;
                job->sum[1] = (int32_t)sum1;
                ecgqa_nn_dot_finish(job);
                block = patch;
                before = 0;
                sum0 = 0;
                sum1 = 0;
            }
        }
        x0 += BLOCK;
        x1 = x1 != NULL ? x1 + BLOCK : NULL;
        at += 2u * BLOCK;
        left -= left < BLOCK ? left : BLOCK;
    }
    job->blocks = (uint16_t)(block - patch);
    job->at = before;
    job->sum[0] = (int32_t)sum0;
    job->sum[1] = (int32_t)sum1;
}

static inline int32_t saturate_s8(int32_t y)
{
    __asm__("ssat %0, #8, %0" : "+r"(y));
    return y;
}

void ecgqa_nn_requantise(int8_t *out, const int32_t *acc, uint32_t len,
                         const ecgqa_nn_requant_t *requant)
{
    const int32_t *multiplier = requant->multiplier_q31;
    const int8_t *shift = requant->shift;
    const int8_t *const end = shift + len;
    const int32_t zero = requant->zero_point;
    if (requant->act_min != INT8_MIN || requant->act_max != INT8_MAX) {
        for (uint32_t c = 0u; c < len; ++c) {
            out[c] = ecgqa_nn_requantise_one(acc[c], c, requant);
        }
        return;
    }
    while (shift != end && zero == INT8_MIN) {
        /* After a ReLU most are at their least, which needs no multiplication. */
        const int32_t sum = *acc++;
        int32_t y = 0;
        if (sum > 0) {
            y = ecgqa_shr_away(ecgqa_mul_q31_round(sum, *multiplier), (uint32_t)(-*shift));
        }
        ++multiplier;
        ++shift;
        *out++ = (int8_t)saturate_s8(y + zero);
    }
    while (shift != end) {
        const int32_t y = ecgqa_mul_q31_round(*acc++, *multiplier++);
        *out++ = (int8_t)saturate_s8(ecgqa_shr_away(y, (uint32_t)(-*shift++)) + zero);
    }
}

/* Four at a time: SSUB8 sets a flag where x >= to, SEL takes x there. */
void ecgqa_nn_max(int8_t *to, const int8_t *x, uint32_t len)
{
    uint32_t i = 0;
    for (; i + 4u <= len; i += 4u) {
        const uint32_t a = word_at(x + i);
        const uint32_t b = word_at(to + i);
        uint32_t most;
        (void)__ssub8((int8x4_t)a, (int8x4_t)b);
        most = (uint32_t)__sel((uint8x4_t)a, (uint8x4_t)b);
        put_word(to + i, most);
    }
    for (; i < len; ++i) {
        to[i] = x[i] > to[i] ? x[i] : to[i];
    }
}

void ecgqa_nn_multiply_add(int32_t *acc, const int8_t *x, const int8_t *weights, uint32_t len)
{
    for (uint32_t c = 0u; c < len; ++c) {
        acc[c] += (int32_t)x[c] * weights[c];
    }
}

#endif
