/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* The kernels for Cortex-M with the DSP extension (M4, M7, M33).
 *
 * Blocks are four inputs, widened to int16, of two pixels: one LDM feeds eight SMLADs. A pair of
 * output channels shares its multiplications' operand: as int16 a pair of packed bytes is 256 * odd
 * + even, so one SMLAD on the word as it lies in flash adds 256 * odd products plus even products,
 * another on UXTB16 of it adds the even ones alone, and their difference is 256 times the odd ones:
 * exact modulo 2^32, which is exact while |odd sum| < 2^23: 256 inputs of at most 255. */
#include "fast.h"

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

/* What add_pairs takes, in its order. */
typedef struct {
    const block_t *patch, *end;
    int32_t
        start[2]; /* of each pixel's sums: what the even channel's bias has to be taken off by */
    int32_t *acc0, *acc1;
    const int32_t *acc_end;
    uint32_t next; /* from the weights of a pair's last block to the next pair's first, bytes */
    const uint8_t *weights;
    uint32_t blocks; /* 1 or more */
} pairs_t;

typedef char ecgqa_assert_pairs_words[sizeof(pairs_t) == 40u ? 1 : -1];

/* A block with its weights: both pixels' sums of both channels in r2, r3, of the even one in r4,
 * r5. Both start at the same value: in their difference it cancels. */
#define STEP                                 \
    "ldmia r0!, {r8, r10, r11, r12, lr}\n\t" \
    "add r1, r1, lr\n\t"                     \
    "ldrd r6, lr, [r1]\n\t"                  \
    "smlad r2, r6, r8, r2\n\t"               \
    "smlad r3, r6, r10, r3\n\t"              \
    "uxtb16 r6, r6\n\t"                      \
    "smlad r4, r6, r8, r4\n\t"               \
    "smlad r5, r6, r10, r5\n\t"              \
    "smlad r2, lr, r11, r2\n\t"              \
    "smlad r3, lr, r12, r3\n\t"              \
    "uxtb16 lr, lr\n\t"                      \
    "smlad r4, lr, r11, r4\n\t"              \
    "smlad r5, lr, r12, r5\n\t"

/* A pixel's sums into its accumulators. */
#define INTO_ACC(acc, both, even)          \
    "ldrd r8, r10, [" acc "]\n\t"          \
    "sub " both ", " both ", " even "\n\t" \
    "add r8, r8, " even "\n\t"             \
    "add r10, r10, " both ", asr #8\n\t"   \
    "strd r8, r10, [" acc "], #8\n\t"

/* All pairs of channels. In assembly, whole: compilers make no LDM of this, and spill; and so it is
 * the same at every optimisation. r9 is left alone. Turns are four blocks, the first one the rest:
 * it is entered where the table says. */
__attribute__((naked, noinline)) static void add_pairs(const pairs_t *pairs __attribute__((unused)))
{
    __asm__ volatile("push {r4-r8, r10, r11, lr}\n\t"
                     "ldmia r0!, {r1-r8}\n\t"
                     "ldrd r12, lr, [r0]\n\t"
                     "and lr, lr, #3\n\t"
                     "adr r0, 9f\n\t"
                     "ldrh lr, [r0, lr, lsl #1]\n\t"
                     "sub r0, r0, lr\n\t"
                     "orr r0, r0, #1\n\t"
                     "push {r0-r8}\n\t"
                     "mov r1, r12\n"
                     "0:\n\t"
                     "ldrd r0, r7, [sp, #4]\n\t"
                     "ldrd r2, r3, [sp, #12]\n\t"
                     "mov r4, r2\n\t"
                     "mov r5, r3\n\t"
                     "ldr pc, [sp]\n"
                     "1:\n\t" STEP "2:\n\t" STEP "3:\n\t" STEP "4:\n\t" STEP "cmp r0, r7\n\t"
                     "bne 1b\n\t"
                     "ldrd r6, r7, [sp, #20]\n\t" INTO_ACC("r6", "r2", "r4")
                         INTO_ACC("r7", "r3", "r5") "strd r6, r7, [sp, #20]\n\t"
                                                    "ldrd r8, r10, [sp, #28]\n\t"
                                                    "add r1, r1, r10\n\t"
                                                    "cmp r6, r8\n\t"
                                                    "bne 0b\n\t"
                                                    "add sp, sp, #36\n\t"
                                                    "pop {r4-r8, r10, r11, pc}\n\t"
                                                    ".balign 4\n"
                                                    "9:\n\t"
                                                    ".hword 9b - 1b, 9b - 4b, 9b - 3b, 9b - 2b\n\t"
                                                    ".balign 4");
}

void ecgqa_nn_dot_finish(ecgqa_nn_dot_t *job)
{
    const uint32_t channels = 2u * (uint32_t)job->pairs;
    pairs_t pairs;
    pairs.patch = (const block_t *)job->patch;
    pairs.end = pairs.patch + job->blocks;
    pairs.start[0] = -ECGQA_NN_EVEN_BIAS * job->sum[0];
    pairs.start[1] = -ECGQA_NN_EVEN_BIAS * job->sum[1];
    pairs.acc0 = job->acc;
    /* The second pixel that there may not be is all zeros: nothing is added to the first. */
    pairs.acc1 = job->pixels == 2u ? pairs.acc0 + channels : pairs.acc0;
    pairs.acc_end = pairs.acc0 + channels;
    pairs.next = job->pair_bytes - job->at;
    pairs.weights = job->weights;
    pairs.blocks = job->blocks;
    if (job->blocks != 0u && channels != 0u) {
        add_pairs(&pairs);
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
    uint32_t even, odd;
    __asm__("uxtb16 %0, %2\n\t"
            "uxtb16 %1, %2, ror #8"
            : "=&r"(even), "=r"(odd)
            : "r"(word));
    __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(*first) : "r"(even), "r"(odd));
    __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(*second) : "r"(odd), "r"(even));
}

static uint32_t room_of(const ecgqa_nn_dot_t *job)
{
    const uint32_t room = job->patch_bytes / (uint32_t)sizeof(block_t);
    return room < MAX_BLOCKS ? room : MAX_BLOCKS;
}

/* Where the next block goes, and what has gone before it. */
typedef struct {
    block_t *block;
    uint32_t before; /* weights of the block before */
    uint32_t sum0, sum1;
} filling_t;

static filling_t filling_of(const ecgqa_nn_dot_t *job)
{
    const filling_t to = {(block_t *)job->patch + job->blocks, job->at, (uint32_t)job->sum[0],
                          (uint32_t)job->sum[1]};
    return to;
}

static void keep(ecgqa_nn_dot_t *job, const filling_t *to)
{
    job->blocks = (uint16_t)(to->block - (const block_t *)job->patch);
    job->at = to->before;
    job->sum[0] = (int32_t)to->sum0;
    job->sum[1] = (int32_t)to->sum1;
}

/* Inputs of a block, 128 added, where any is not 0. */
static inline void take(ecgqa_nn_dot_t *job, filling_t *to, const block_t *full, uint32_t a,
                        uint32_t b, uint32_t at)
{
    if ((a | b) == 0u) {
        return;
    }
    widen(a, &to->block->first0, &to->block->second0);
    widen(b, &to->block->first1, &to->block->second1);
    to->block->step = at - to->before;
    to->before = at;
    to->sum0 = __usada8((uint8x4_t)a, 0, to->sum0);
    to->sum1 = __usada8((uint8x4_t)b, 0, to->sum1);
    if (++to->block == full) {
        keep(job, to);
        ecgqa_nn_dot_finish(job);
        *to = filling_of(job);
    }
}

void ecgqa_nn_dot_add(ecgqa_nn_dot_t *job, const int8_t *x0, const int8_t *x1, uint32_t len,
                      uint32_t at)
{
    const block_t *const full = (const block_t *)job->patch + room_of(job);
    const uint32_t rest = len % BLOCK;
    const int8_t *const end = x0 + (len - rest);
    filling_t to = filling_of(job);
    if (x1 != NULL) {
        for (; x0 != end; x0 += BLOCK, x1 += BLOCK, at += 2u * BLOCK) {
            take(job, &to, full, word_at(x0) ^ UINT32_C(0x80808080),
                 word_at(x1) ^ UINT32_C(0x80808080), at);
        }
    } else {
        for (; x0 != end; x0 += BLOCK, at += 2u * BLOCK) {
            take(job, &to, full, word_at(x0) ^ UINT32_C(0x80808080), 0, at);
        }
    }
    if (rest != 0u) {
        take(job, &to, full, last_of(x0, rest), x1 != NULL ? last_of(x1, rest) : 0u, at);
    }
    keep(job, &to);
}

static inline int32_t saturate_s8(int32_t y)
{
    __asm__("ssat %0, #8, %0" : "+r"(y));
    return y;
}

/* One of four in `y`, 0 to 255. Of what is not negative, ecgqa_shr_away is a shift and the bit that
 * left it, which LSRS leaves in the carry. A shift by 0 leaves the carry as it was: clear, by the
 * LSRS of the shifts (their bytes are below 128) or, at first, by the loop's comparison. */
#define AFTER_RELU(y, multiplier)             \
    "usat " y ", #31, " y ", lsl #1\n\t"      \
    "smmulr " y ", " y ", " multiplier "\n\t" \
    "lsrs " y ", " y ", lr\n\t"               \
    "adc " y ", " y ", #0\n\t"                \
    "usat " y ", #8, " y "\n\t"

/* ecgqa_nn_requantise of four channels at a time to `end`, 1 or more, after a ReLU to a zero point
 * of -128: what is below it needs no look. */
__attribute__((naked, noinline)) static void after_relu(int8_t *out __attribute__((unused)),
                                                        const int32_t *acc __attribute__((unused)),
                                                        const ecgqa_nn_requant_t *requant
                                                        __attribute__((unused)),
                                                        const int8_t *end __attribute__((unused)))
{
    __asm__ volatile(
        "push {r3-r8, r10, r11, r12, lr}\n\t"
        "ldrd r2, r3, [r2]\n\t"
        "ldr r4, [sp]\n\t"
        "cmp r0, r4\n"
        "1:\n\t"
        "ldmia r1!, {r4-r7}\n\t"
        "ldr lr, [r3], #4\n\t"
        "mov r12, #0\n\t"
        "usub8 lr, r12, lr\n\t"
        "ldmia r2!, {r8, r10, r11, r12}\n\t" AFTER_RELU(
            "r4", "r8") "lsrs lr, lr, "
                        "#8\n\t" AFTER_RELU("r5", "r10") "lsrs lr, lr, #8\n\t" AFTER_RELU(
                            "r6", "r11") "lsrs lr, lr, "
                                         "#8\n\t" AFTER_RELU(
                                             "r7", "r12") "orr r4, r4, r5, lsl #8\n\t"
                                                          "orr r4, r4, r6, lsl #16\n\t"
                                                          "orr r4, r4, r7, lsl #24\n\t"
                                                          "eor r4, r4, #0x80808080\n\t"
                                                          "str r4, [r0], #4\n\t"
                                                          "ldr r4, [sp]\n\t"
                                                          "cmp r0, r4\n\t"
                                                          "bne 1b\n\t"
                                                          "pop {r3-r8, r10, r11, r12, pc}");
}

typedef char ecgqa_assert_requant_begins[offsetof(ecgqa_nn_requant_t, shift) == 4u ? 1 : -1];

void ecgqa_nn_requantise(int8_t *out, const int32_t *acc, uint32_t len,
                         const ecgqa_nn_requant_t *requant)
{
    uint32_t c = 0;
    if (requant->act_min != INT8_MIN || requant->act_max != INT8_MAX) {
        for (; c < len; ++c) {
            out[c] = ecgqa_nn_requantise_one(acc[c], c, requant);
        }
        return;
    }
    if (requant->zero_point == INT8_MIN && len >= 4u) {
        c = len & ~3u;
        after_relu(out, acc, requant, out + c);
    }
    for (; c < len; ++c) {
        const int32_t y = ecgqa_mul_q31_round(acc[c], requant->multiplier_q31[c]);
        const uint32_t shift = (uint32_t)-requant->shift[c];
        out[c] = (int8_t)saturate_s8(ecgqa_shr_away(y, shift) + requant->zero_point);
    }
}

/* ---- two pixels of few inputs ---------------------------------------------------------------- */

enum { MAX_FEW_BLOCKS = ECGQA_NN_FEW / BLOCK, HALF = MAX_FEW_BLOCKS + 1 };

/* What all_pairs takes, in its order. In the patch lie inputs of both pixels as in a block_t
 * without its step; where they are no whole blocks, their first two before these. */
typedef struct {
    const uint32_t *patch;
    int8_t *out;
    uint32_t channels;
    const int8_t *out_end;
    uint32_t entry;  /* blocks, or HALF where there is half a one before them */
    uint32_t blocks; /* 0 to MAX_FEW_BLOCKS */
    const uint32_t *prepared;
} few_t;

typedef char ecgqa_assert_few_words[sizeof(few_t) == 28u ? 1 : -1];

/* Two inputs of both pixels (x0, x1): the even channel's sums in r2, r4, the odd one's in r3,
 * r5. */
#define FEW_TWO(x0, x1)            \
    "ldrd r6, r7, [r1], #8\n\t"    \
    "smlad r2, r6, " x0 ", r2\n\t" \
    "smlad r3, r7, " x0 ", r3\n\t" \
    "smlad r4, r6, " x1 ", r4\n\t" \
    "smlad r5, r7, " x1 ", r5\n\t"

#define FEW_BLOCK "ldmia r0!, {r8, r10, r11, r12}\n\t" FEW_TWO("r8", "r10") FEW_TWO("r11", "r12")

/* All pairs of channels of both pixels. Where all four sums are negative nothing is left of them.
 * The loop over blocks is unrolled, and entered where the table says. */
__attribute__((naked, noinline)) static void all_pairs(const few_t *few __attribute__((unused)))
{
    __asm__ volatile(
        "push {r4-r8, r10, r11, lr}\n\t"
        "ldmia r0, {r2-r8}\n\t"
        "mov r1, r8\n\t"
        "adr r0, 9f\n\t"
        "ldrh lr, [r0, r6, lsl #1]\n\t"
        "sub r6, r0, lr\n\t"
        "orr r6, r6, #1\n\t"
        "ldrh lr, [r0, r7, lsl #1]\n\t"
        "sub r7, r0, lr\n\t"
        "orr r7, r7, #1\n\t"
        "push {r2-r7}\n"
        "0:\n\t"
        "ldmia r1!, {r2, r3}\n\t"
        "mov r4, r2\n\t"
        "mov r5, r3\n\t"
        "ldr r0, [sp]\n\t"
        "ldr pc, [sp, #16]\n"
        "10:\n\t"
        "ldrd r8, r10, [r0], #8\n\t" FEW_TWO(
            "r8", "r10") "ldr pc, [sp, #20]\n"
                         "8:\n\t" FEW_BLOCK "7:\n\t" FEW_BLOCK "6:\n\t" FEW_BLOCK "5:\n\t" FEW_BLOCK
                         "4:\n\t" FEW_BLOCK "3:\n\t" FEW_BLOCK "2:\n\t" FEW_BLOCK "1:\n\t" FEW_BLOCK
                         "11:\n\t"
                         "ldmia r1!, {r6-r8}\n\t"
                         "and r10, r2, r3\n\t"
                         "and r11, r4, r5\n\t"
                         "tst r10, r11\n\t"
                         "bmi 12f\n\t"
                         "lsrs lr, r8, #8\n\t" AFTER_RELU("r2", "r6") AFTER_RELU(
                             "r4", "r6") "mov lr, r8\n\t"
                                         "cmn lr, #0\n\t" AFTER_RELU("r3", "r7") AFTER_RELU(
                                             "r5", "r7") "orr r2, r2, r3, lsl #8\n\t"
                                                         "orr r4, r4, r5, lsl #8\n\t"
                                                         "orr r2, r2, r4, lsl #16\n\t"
                                                         "eor r2, r2, #0x80808080\n"
                                                         "13:\n\t"
                                                         "ldmia.w sp, {r3-r6}\n\t"
                                                         "lsr r7, r2, #16\n\t"
                                                         "strh r7, [r4, r5]\n\t"
                                                         "strh r2, [r4], #2\n\t"
                                                         "str r4, [sp, #4]\n\t"
                                                         "cmp r4, r6\n\t"
                                                         "bne 0b\n\t"
                                                         "add sp, sp, #24\n\t"
                                                         "pop {r4-r8, r10, r11, pc}\n"
                                                         "12:\n\t"
                                                         "mov r2, #0x80808080\n\t"
                                                         "b 13b\n\t"
                                                         ".balign 4\n"
                                                         "9:\n\t"
                                                         ".hword 9b - 11b, 9b - 1b, 9b - 2b, 9b - "
                                                         "3b, 9b - 4b, 9b - 5b, 9b - 6b\n\t"
                                                         ".hword 9b - 7b, 9b - 8b, 9b - 10b\n\t"
                                                         ".balign 4");
}

/* The table is for so many. */
typedef char ecgqa_assert_few_blocks[MAX_FEW_BLOCKS == 8 ? 1 : -1];

/* Of each pair of channels: biases, weights of two inputs at a time as int16, multipliers, and the
 * shifts as all_pairs takes them. */
void ecgqa_nn_few_prepare(const ecgqa_nn_few_t *job)
{
    const ecgqa_nn_requant_t *const requant = &job->requant;
    const uint8_t *weights = job->weights;
    uint32_t *to = job->prepared;
    for (uint32_t c = 0u; c < job->channels; c += 2u) {
        *to++ = (uint32_t)job->bias[c];
        *to++ = (uint32_t)job->bias[c + 1u];
        for (const uint32_t *const end = to + ECGQA_NN_FEW_PATCH(job->len); to != end;) {
            uint32_t even, odd;
            __asm__ volatile(
                "ldr %[even], [%[weights]], #4\n\t"
                "eor %[even], %[even], #0x00800080\n\t"
                "sxtb16 %[odd], %[even], ror #8\n\t"
                "sxtb16 %[even], %[even]\n\t"
                "strd %[even], %[odd], [%[to]], #8"
                : [even] "=&r"(even), [odd] "=&r"(odd), [weights] "+r"(weights), [to] "+r"(to)
                :
                : "memory");
        }
        *to++ = (uint32_t)requant->multiplier_q31[c];
        *to++ = (uint32_t)requant->multiplier_q31[c + 1u];
        *to++ = (uint32_t)-requant->shift[c] << 8 | (uint32_t)-requant->shift[c + 1u];
    }
}

/* A block of both pixels to the patch. */
static inline uint32_t *few_take(uint32_t *to, uint32_t a, uint32_t b)
{
    widen(a ^ UINT32_C(0x80808080), &to[0], &to[2]);
    widen(b ^ UINT32_C(0x80808080), &to[1], &to[3]);
    return to + BLOCK;
}

/* Two inputs as int16, 128 added. */
static inline uint32_t two_at(const int8_t *x)
{
    uint16_t two;
    memcpy(&two, x, sizeof two);
    return ((two | (uint32_t)two << 8) & UINT32_C(0x00FF00FF)) ^ UINT32_C(0x00800080);
}

void ecgqa_nn_few(const ecgqa_nn_few_t *job, int8_t *out, const int8_t *x0, const int8_t *x1)
{
    const uint32_t twos = ECGQA_NN_FEW_PATCH(job->len) / 2u, blocks = twos / 2u;
    const few_t few = {job->patch,
                       out,
                       job->channels,
                       out + job->channels,
                       twos % 2u != 0u ? HALF : blocks,
                       blocks,
                       job->prepared};
    uint32_t *to = job->patch;
    if (twos % 2u != 0u) {
        *to++ = two_at(x0);
        *to++ = two_at(x1);
        x0 += 2;
        x1 += 2;
    }
    for (uint32_t *const end = to + BLOCK * blocks; to != end; x0 += BLOCK, x1 += BLOCK) {
        to = few_take(to, word_at(x0), word_at(x1));
    }
    all_pairs(&few);
}

/* SSUB8 sets a flag where x >= y, SEL takes x there. */
static inline uint32_t larger(uint32_t x, uint32_t y)
{
    (void)__ssub8((int8x4_t)x, (int8x4_t)y);
    return (uint32_t)__sel((uint8x4_t)x, (uint8x4_t)y);
}

#define LARGER(a, b)             \
    "ssub8 lr, " a ", " b "\n\t" \
    "sel " a ", " a ", " b "\n\t"

/* Sixteen at a time to `end`, one time or more, everything on a word's border. */
__attribute__((naked, noinline)) static void max_of_words(int8_t *to __attribute__((unused)),
                                                          const int8_t *a __attribute__((unused)),
                                                          const int8_t *b __attribute__((unused)),
                                                          const int8_t *end __attribute__((unused)))
{
    __asm__ volatile("push {r4-r8, r10-r12, lr}\n"
                     "1:\n\t"
                     "ldmia r1!, {r4-r7}\n\t"
                     "ldmia r2!, {r8, r10, r11, r12}\n\t" LARGER("r4", "r8") LARGER("r5", "r10")
                         LARGER("r6", "r11") LARGER("r7", "r12") "stmia r0!, {r4-r7}\n\t"
                                                                 "cmp r0, r3\n\t"
                                                                 "bne 1b\n\t"
                                                                 "pop {r4-r8, r10-r12, pc}");
}

void ecgqa_nn_max(int8_t *to, const int8_t *a, const int8_t *b, uint32_t len)
{
    if ((((uintptr_t)to | (uintptr_t)a | (uintptr_t)b) & 3u) == 0u && len % 16u == 0u &&
        len != 0u) {
        max_of_words(to, a, b, to + len);
        return;
    }
    uint32_t i = 0;
    for (; i + 4u <= len; i += 4u) {
        put_word(to + i, larger(word_at(a + i), word_at(b + i)));
    }
    for (; i < len; ++i) {
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
