/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* The kernels for Cortex-M0, M0+ and M1, which multiply 32 bits by 32 to the low 32 and load from
 * aligned addresses alone.
 *
 * Blocks are one input of two pixels, the second 16 bits above the first, so that one
 * multiplication does both: input and weight are below 256, their product below 2^16. What is above
 * is the second pixel's product and is added up by itself; the whole is added up modulo 2^32, and
 * is the first pixel's sum plus 2^16 times the second's. */
#include "fast.h"

#include "nn_kernels.h"

typedef int ecgqa_nn_kernels_v6m_c_is_not_empty;

#if defined(ECGQA_NN_KERNELS_V6M)

#include <stddef.h>
#include <string.h>

#include "nn_requant.h"

typedef struct {
    uint32_t x;    /* first pixel's input in bits 0 to 7, second's in bits 16 to 23 */
    uint32_t step; /* from the weights of the block before, bytes */
} block_t;

/* The sum of as many inputs stays below 2^16. */
enum { MAX_BLOCKS = 256 };

/* What add_pairs takes, in its order. */
typedef struct {
    const block_t *patch;
    int32_t *acc0, *acc1;
    const int32_t *acc_end;
    uint32_t next; /* from the weights of a pair's last block to the next pair's first, bytes */
    uint32_t start0, start1; /* -128 times the sums of each pixel's inputs */
    const uint8_t *weights;
    const block_t *end;
    uint32_t odd; /* whether the number of blocks is */
} pairs_t;

typedef char ecgqa_assert_pairs_words[sizeof(pairs_t) == 40u ? 1 : -1];

/* A block with its weights, both with 128 added: r2, r4 the even and odd channel's sums of both
 * pixels, r3, r5 those of the second pixel. */
#define STEP                  \
    "ldmia r0!, {r6, r7}\n\t" \
    "adds r1, r1, r7\n\t"     \
    "ldrb r7, [r1]\n\t"       \
    "muls r7, r6, r7\n\t"     \
    "adds r2, r2, r7\n\t"     \
    "lsrs r7, r7, #16\n\t"    \
    "adds r3, r3, r7\n\t"     \
    "ldrb r7, [r1, #1]\n\t"   \
    "sxtb r7, r7\n\t"         \
    "adds r7, r7, #128\n\t"   \
    "muls r7, r6, r7\n\t"     \
    "adds r4, r4, r7\n\t"     \
    "lsrs r7, r7, #16\n\t"    \
    "adds r5, r5, r7\n\t"

/* A channel of both pixels into its accumulators at r0 and r1; `start` on the stack. */
#define INTO_ACC(both, second)            \
    "lsls r6, " second ", #16\n\t"        \
    "subs " both ", " both ", r6\n\t"     \
    "ldr r6, [sp, #20]\n\t"               \
    "adds " both ", " both ", r6\n\t"     \
    "ldr r6, [r0]\n\t"                    \
    "adds r6, r6, " both "\n\t"           \
    "stmia r0!, {r6}\n\t"                 \
    "ldr r6, [sp, #24]\n\t"               \
    "adds " second ", " second ", r6\n\t" \
    "ldr r6, [r1]\n\t"                    \
    "adds r6, r6, " second "\n\t"         \
    "stmia r1!, {r6}\n\t"

/* All pairs of channels, two blocks a turn. In assembly, whole: eight low registers hold it, which
 * compilers don't find, and it is the same at every optimisation. r9 is left alone. */
__attribute__((naked, noinline)) static void add_pairs(const pairs_t *pairs __attribute__((unused)))
{
    __asm__ volatile(".syntax unified\n\t"
                     "push {r4-r7, lr}\n\t"
                     "mov r1, r8\n\t"
                     "mov r2, r10\n\t"
                     "push {r1, r2}\n\t"
                     "ldr r1, [r0, #32]\n\t" /* end */
                     "mov r8, r1\n\t"
                     "ldr r1, [r0, #36]\n\t" /* odd */
                     "mov r10, r1\n\t"
                     "ldmia r0!, {r1-r7}\n\t"
                     "push {r1-r7}\n\t"
                     "ldr r1, [r0]\n" /* weights */
                     "0:\n\t"
                     "ldr r0, [sp]\n\t"
                     "movs r2, #0\n\t"
                     "movs r3, #0\n\t"
                     "movs r4, #0\n\t"
                     "movs r5, #0\n\t"
                     "cmp r10, r2\n\t"
                     "bne 2f\n"
                     "1:\n\t" STEP "2:\n\t" STEP "cmp r0, r8\n\t"
                     "bne 1b\n\t"
                     "mov r12, r1\n\t"
                     "ldr r0, [sp, #4]\n\t"
                     "ldr r1, [sp, #8]\n\t" INTO_ACC("r2", "r3")
                         INTO_ACC("r4", "r5") "str r0, [sp, #4]\n\t"
                                              "str r1, [sp, #8]\n\t"
                                              "mov r1, r12\n\t"
                                              "ldr r2, [sp, #16]\n\t"
                                              "adds r1, r1, r2\n\t"
                                              "ldr r2, [sp, #12]\n\t"
                                              "cmp r0, r2\n\t"
                                              "bne 0b\n\t"
                                              "add sp, sp, #28\n\t"
                                              "pop {r1, r2}\n\t"
                                              "mov r8, r1\n\t"
                                              "mov r10, r2\n\t"
                                              "pop {r4-r7, pc}");
}

void ecgqa_nn_dot_finish(ecgqa_nn_dot_t *job)
{
    const uint32_t channels = 2u * (uint32_t)job->pairs;
    pairs_t pairs;
    pairs.patch = (const block_t *)job->patch;
    pairs.acc0 = job->acc;
    /* The second pixel that there may not be is all zeros: nothing is added to the first. */
    pairs.acc1 = job->pixels == 2u ? pairs.acc0 + channels : pairs.acc0;
    pairs.acc_end = pairs.acc0 + channels;
    pairs.next = job->pair_bytes - job->at;
    pairs.start0 = 0u - ECGQA_NN_EVEN_BIAS * (uint32_t)job->sum[0];
    pairs.start1 = 0u - ECGQA_NN_EVEN_BIAS * (uint32_t)job->sum[1];
    pairs.weights = job->weights;
    pairs.end = pairs.patch + job->blocks;
    pairs.odd = job->blocks & 1u;
    if (job->blocks != 0u && channels != 0u) {
        add_pairs(&pairs);
    }
    ecgqa_nn_dot_clear(job);
}

static uint32_t room_of(const ecgqa_nn_dot_t *job)
{
    const uint32_t room = job->patch_bytes / (uint32_t)sizeof(block_t);
    return room < MAX_BLOCKS ? room : MAX_BLOCKS;
}

/* Room is made before an input rather than after: a full patch waits for the next one. */
void ecgqa_nn_dot_add(ecgqa_nn_dot_t *job, const int8_t *x0, const int8_t *x1, uint32_t len,
                      uint32_t at)
{
    const block_t *const full = (const block_t *)job->patch + room_of(job);
    const int8_t *const end = x0 + len;
    const int8_t *const second = x1 != NULL ? x1 : x0;
    const uint32_t mask = x1 != NULL ? UINT32_C(0x00FF00FF) : UINT32_C(0xFF);
    block_t *block = (block_t *)job->patch + job->blocks;
    uint32_t before = job->at;
    uint32_t sum = (uint32_t)job->sum[0] | (uint32_t)job->sum[1] << 16;
    for (x1 = second; x0 != end; ++x0, ++x1, at += 2u) {
        const uint32_t both = (uint32_t)(uint8_t)*x0 | (uint32_t)(uint8_t)*x1 << 16;
        const uint32_t x = (both ^ UINT32_C(0x00800080)) & mask;
        if (x == 0u) {
            continue;
        }
        if (block == full) {
            job->blocks = (uint16_t)(block - (const block_t *)job->patch);
            job->at = before;
            job->sum[0] = (int32_t)(sum & 0xFFFFu);
            job->sum[1] = (int32_t)(sum >> 16);
            ecgqa_nn_dot_finish(job);
            block = (block_t *)job->patch;
            before = 0;
            sum = 0;
        }
        block->x = x;
        block->step = at - before;
        ++block;
        before = at;
        sum += x;
    }
    job->blocks = (uint16_t)(block - (const block_t *)job->patch);
    job->at = before;
    job->sum[0] = (int32_t)(sum & 0xFFFFu);
    job->sum[1] = (int32_t)(sum >> 16);
}

void ecgqa_nn_requantise(int8_t *out, const int32_t *acc, uint32_t len,
                         const ecgqa_nn_requant_t *requant)
{
    const int after_relu = requant->zero_point == INT8_MIN && requant->act_min == INT8_MIN;
    for (uint32_t c = 0u; c < len; ++c) {
        /* After a ReLU most are at their least, which needs no multiplication. */
        const int32_t sum = acc[c];
        out[c] = after_relu && sum <= 0 ? INT8_MIN : ecgqa_nn_requantise_one(sum, c, requant);
    }
}

/* Of four int8 in a word each: where the signs are equal, the lower bits' difference tells. */
static inline uint32_t larger(uint32_t a, uint32_t b)
{
    const uint32_t signs = UINT32_C(0x80808080);
    const uint32_t differ = a ^ b;
    const uint32_t lower = (a | signs) - (b & ~signs);
    const uint32_t a_is = ((b & differ) | (lower & ~differ)) & signs;
    return b ^ (differ & ((a_is << 1) - (a_is >> 7)));
}

void ecgqa_nn_max(int8_t *to, const int8_t *a, const int8_t *b, uint32_t len)
{
    if ((((uintptr_t)to | (uintptr_t)a | (uintptr_t)b) & 3u) == 0u) {
        for (; len >= 4u; len -= 4u, to += 4, a += 4, b += 4) {
            uint32_t x, y;
            memcpy(&x, (const void *)__builtin_assume_aligned(a, 4), 4);
            memcpy(&y, (const void *)__builtin_assume_aligned(b, 4), 4);
            x = larger(x, y);
            memcpy(__builtin_assume_aligned(to, 4), &x, 4);
        }
    }
    for (; len > 0u; --len, ++to, ++a, ++b) {
        *to = *a > *b ? *a : *b;
    }
}

void ecgqa_nn_multiply_add(int32_t *acc, const int8_t *x, const int8_t *weights, uint32_t len)
{
    for (uint32_t c = 0u; c < len; ++c) {
        acc[c] += (int32_t)x[c] * weights[c];
    }
}

#endif
