/* The kernels for Cortex-M with the DSP extension (M4, M7, M33).
 *
 * Inputs are widened once a call to int16, two pixels interleaved, so that one LDRD feeds two
 * SMLADs; a pair of output channels shares its multiplications' operand: as int16 a pair of packed
 * bytes is 256 * odd + even, so one SMLAD on the word as it lies in flash adds 256 * odd products
 * plus even products, another on UXTB16 of it adds the even ones alone, and their difference is 256
 * times the odd ones: exact modulo 2^32, which is exact while |odd sum| < 2^23
 * (ECGQA_NN_MAX_CHUNK). */
#include "nn_kernels.h"

typedef int ecgqa_nn_kernels_dsp_c_is_not_empty;

#if defined(ECGQA_NN_KERNELS_DSP)

#include <arm_acle.h>
#include <string.h>

#include "nn_requant.h"

#define LOW_BYTES UINT32_C(0x00FF00FF) /* of each half: UXTB16 */

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

/* Two int16 of a patch or two pairs of a packed weight, in one register. */
static inline int16x2_t halves(uint32_t word)
{
    return (int16x2_t)word;
}

/* x[p][k] to patch[k / 2][p][k % 2], a zero after an odd end; the sum of the pixel's inputs. */
static int32_t widen(const ecgqa_nn_dot_t *job, uint32_t p)
{
    const uint32_t step = job->pixels; /* words from a pair of inputs to the next */
    const uint32_t len = job->len;
    const int8_t *x = job->x[p];
    uint32_t *to = (uint32_t *)(void *)job->patch + p;
    int32_t sum = 0;
    uint32_t k = 0;
    for (; k + 4u <= len; k += 4u) {
        const uint32_t word = word_at(x + k);
        const uint32_t even = (uint32_t)__sxtb16((int8x4_t)word);
        const uint32_t odd = (uint32_t)__sxtb16((int8x4_t)(word >> 8));
        const uint32_t low = (even & 0xFFFFu) | (odd << 16);
        const uint32_t high = (even >> 16) | (odd & 0xFFFF0000u);
        sum = __smlad(halves(even), halves(0x00010001u), sum);
        sum = __smlad(halves(odd), halves(0x00010001u), sum);
        to[0] = low;
        to[step] = high;
        to += 2u * step;
    }
    for (; k < len; k += 2u) {
        const int32_t first = x[k];
        const int32_t second = k + 1u < len ? x[k + 1u] : 0;
        sum += first + second;
        *to = ((uint32_t)first & 0xFFFFu) | ((uint32_t)second << 16);
        to += step;
    }
    return sum;
}

/* Two words of weights (four inputs of a pair of channels) with one pixel and with two. */
#define STEP_1                                 \
    "ldrd r8, r10, [%[x]], #8\n\t"             \
    "ldrd %[w0], %[w1], [%[w]], #8\n\t"        \
    "smlad %[both0], %[w0], r8, %[both0]\n\t"  \
    "uxtb16 %[w0], %[w0]\n\t"                  \
    "smlad %[even0], %[w0], r8, %[even0]\n\t"  \
    "smlad %[both0], %[w1], r10, %[both0]\n\t" \
    "uxtb16 %[w1], %[w1]\n\t"                  \
    "smlad %[even0], %[w1], r10, %[even0]\n\t"

#define STEP_2                                 \
    "ldmia %[x]!, {r8, r9, r10, r11}\n\t"      \
    "ldrd %[w0], %[w1], [%[w]], #8\n\t"        \
    "smlad %[both0], %[w0], r8, %[both0]\n\t"  \
    "smlad %[both1], %[w0], r9, %[both1]\n\t"  \
    "uxtb16 %[w0], %[w0]\n\t"                  \
    "smlad %[even0], %[w0], r8, %[even0]\n\t"  \
    "smlad %[even1], %[w0], r9, %[even1]\n\t"  \
    "smlad %[both0], %[w1], r10, %[both0]\n\t" \
    "smlad %[both1], %[w1], r11, %[both1]\n\t" \
    "uxtb16 %[w1], %[w1]\n\t"                  \
    "smlad %[even0], %[w1], r10, %[even0]\n\t" \
    "smlad %[even1], %[w1], r11, %[even1]\n\t"

typedef struct {
    const uint32_t *w, *x;
    int32_t both0, both1, even0, even1;
} sums_t;

/* `STEPS` until the weights' end. In assembly: compilers make no LDM of this, and spill. */
#define UNTIL(s, end, STEPS)                                                                      \
    do {                                                                                          \
        uint32_t w0, w1;                                                                          \
        __asm__ volatile(                                                                         \
            "1:\n\t" STEPS "cmp %[w], %[until]\n\tbne 1b"                                         \
            : [w] "+r"((s).w), [x] "+r"((s).x), [both0] "+r"((s).both0), [both1] "+r"((s).both1), \
              [even0] "+r"((s).even0), [even1] "+r"((s).even1), [w0] "=&r"(w0), [w1] "=&r"(w1)    \
            : [until] "r"(end)                                                                    \
            : "r8", "r9", "r10", "r11", "cc", "memory");                                          \
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

static void dot_1(const ecgqa_nn_dot_t *job, int32_t sum)
{
    const uint32_t words = ((uint32_t)job->len + 1u) / 2u;
    const uint32_t blocks = words & ~UINT32_C(7);
    const uint32_t rest = words & 6u;
    const uint32_t skip = job->pair_bytes / 4u - words;
    const uint32_t *const patch = (const uint32_t *)(const void *)job->patch;
    const int32_t start = -ECGQA_NN_EVEN_BIAS * sum;
    int32_t *acc = job->acc;
    int32_t *const end = acc + 2u * (uint32_t)job->pairs;
    sums_t s;
    s.w = (const uint32_t *)(const void *)job->weights;
    s.both1 = 0;
    s.even1 = 0;
    do {
        s.x = patch;
        s.both0 = start;
        s.even0 = start;
        if (blocks != 0u) {
            UNTIL(s, s.w + blocks, STEP_1 STEP_1 STEP_1 STEP_1);
        }
        if (rest != 0u) {
            UNTIL(s, s.w + rest, STEP_1);
        }
        if ((words & 1u) != 0u) {
            s.both0 = __smlad(halves(*s.w), halves(*s.x), s.both0);
            s.even0 = __smlad(halves(*s.w & LOW_BYTES), halves(*s.x), s.even0);
            ++s.w;
        }
        s.w += skip;
        add_pair(acc, s.both0, s.even0);
        acc += 2;
    } while (acc != end);
}

static void dot_2(const ecgqa_nn_dot_t *job, int32_t sum0, int32_t sum1)
{
    const uint32_t words = ((uint32_t)job->len + 1u) / 2u;
    const uint32_t blocks = words & ~UINT32_C(7);
    const uint32_t rest = words & 6u;
    const uint32_t skip = job->pair_bytes / 4u - words;
    const uint32_t *const patch = (const uint32_t *)(const void *)job->patch;
    const int32_t start0 = -ECGQA_NN_EVEN_BIAS * sum0;
    const int32_t start1 = -ECGQA_NN_EVEN_BIAS * sum1;
    int32_t *acc0 = job->acc;
    int32_t *acc1 = acc0 + 2u * (uint32_t)job->pairs;
    int32_t *const end = acc1;
    sums_t s;
    s.w = (const uint32_t *)(const void *)job->weights;
    do {
        s.x = patch;
        s.both0 = start0;
        s.even0 = start0;
        s.both1 = start1;
        s.even1 = start1;
        if (blocks != 0u) {
            UNTIL(s, s.w + blocks, STEP_2 STEP_2 STEP_2 STEP_2);
        }
        if (rest != 0u) {
            UNTIL(s, s.w + rest, STEP_2);
        }
        if ((words & 1u) != 0u) {
            const int16x2_t even = halves(s.w[0] & LOW_BYTES);
            s.both0 = __smlad(halves(s.w[0]), halves(s.x[0]), s.both0);
            s.both1 = __smlad(halves(s.w[0]), halves(s.x[1]), s.both1);
            s.even0 = __smlad(even, halves(s.x[0]), s.even0);
            s.even1 = __smlad(even, halves(s.x[1]), s.even1);
            ++s.w;
        }
        s.w += skip;
        add_pair(acc0, s.both0, s.even0);
        add_pair(acc1, s.both1, s.even1);
        acc0 += 2;
        acc1 += 2;
    } while (acc0 != end);
}

void ecgqa_nn_dot(const ecgqa_nn_dot_t *job)
{
    const int32_t sum = widen(job, 0);
    if (job->pixels == 2u) {
        dot_2(job, sum, widen(job, 1));
    } else {
        dot_1(job, sum);
    }
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
