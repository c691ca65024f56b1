/* The kernels for Helium, the M-profile vector extension with integers (M55, M85): 16 inputs at a
 * time, read where they lie. VLD2 takes the two channels of a pair apart, VMLADAVA adds 16 products
 * to a general register. What is loaded past the end of the weights meets inputs that are zero. */
#include "nn_kernels.h"

typedef int ecgqa_nn_kernels_mve_c_is_not_empty;

#if defined(ECGQA_NN_KERNELS_MVE)

#include <arm_mve.h>

#define LANES 16u

/* 16 inputs of a pair of channels, the even one's bias taken off. */
static inline int8x16x2_t weights_at(const uint8_t *weights)
{
    const uint8x16x2_t pairs = vld2q_u8(weights);
    int8x16x2_t w;
    w.val[0] = vreinterpretq_s8_u8(veorq_u8(pairs.val[0], vdupq_n_u8(ECGQA_NN_EVEN_BIAS)));
    w.val[1] = vreinterpretq_s8_u8(pairs.val[1]);
    return w;
}

static void dot_1(const ecgqa_nn_dot_t *job)
{
    const uint8_t *weights = job->weights;
    int32_t *acc = job->acc;
    for (uint32_t pair = job->pairs; pair > 0u; --pair) {
        const int8_t *x = job->x[0];
        const uint8_t *w = weights;
        int32_t even = acc[0], odd = acc[1];
        for (int32_t left = job->len; left > 0; left -= (int32_t)LANES) {
            const int8x16_t v = vldrbq_z_s8(x, vctp8q((uint32_t)left));
            const int8x16x2_t pairs = weights_at(w);
            even = vmladavaq_s8(even, pairs.val[0], v);
            odd = vmladavaq_s8(odd, pairs.val[1], v);
            x += LANES;
            w += 2u * LANES;
        }
        acc[0] = even;
        acc[1] = odd;
        acc += 2;
        weights += job->pair_bytes;
    }
}

static void dot_2(const ecgqa_nn_dot_t *job)
{
    const uint32_t blocks = job->len / LANES;
    const uint32_t rest = job->len % LANES;
    const mve_pred16_t tail = vctp8q(rest);
    const uint8_t *weights = job->weights;
    int32_t *acc0 = job->acc;
    int32_t *acc1 = acc0 + 2u * (uint32_t)job->pairs;
    int32_t *const end = acc1;
    do {
        const int8_t *x0 = job->x[0];
        const int8_t *x1 = job->x[1];
        const uint8_t *w = weights;
        int32_t even0 = acc0[0], odd0 = acc0[1];
        int32_t even1 = acc1[0], odd1 = acc1[1];
        for (uint32_t block = blocks; block > 0u; --block) {
            const int8x16x2_t pairs = weights_at(w);
            const int8x16_t v0 = vldrbq_s8(x0);
            const int8x16_t v1 = vldrbq_s8(x1);
            even0 = vmladavaq_s8(even0, pairs.val[0], v0);
            odd0 = vmladavaq_s8(odd0, pairs.val[1], v0);
            even1 = vmladavaq_s8(even1, pairs.val[0], v1);
            odd1 = vmladavaq_s8(odd1, pairs.val[1], v1);
            x0 += LANES;
            x1 += LANES;
            w += 2u * LANES;
        }
        if (rest != 0u) {
            const int8x16x2_t pairs = weights_at(w);
            const int8x16_t v0 = vldrbq_z_s8(x0, tail);
            const int8x16_t v1 = vldrbq_z_s8(x1, tail);
            even0 = vmladavaq_s8(even0, pairs.val[0], v0);
            odd0 = vmladavaq_s8(odd0, pairs.val[1], v0);
            even1 = vmladavaq_s8(even1, pairs.val[0], v1);
            odd1 = vmladavaq_s8(odd1, pairs.val[1], v1);
        }
        acc0[0] = even0;
        acc0[1] = odd0;
        acc1[0] = even1;
        acc1[1] = odd1;
        acc0 += 2;
        acc1 += 2;
        weights += job->pair_bytes;
    } while (acc0 != end);
}

void ecgqa_nn_dot(const ecgqa_nn_dot_t *job)
{
    if (job->pixels == 2u) {
        dot_2(job);
    } else {
        dot_1(job);
    }
}

/* VQRDMULH is ecgqa_mul_q31_round, then ecgqa_shr_away and the clamp, four channels at a time. */
void ecgqa_nn_requantise(int8_t *out, const int32_t *acc, uint32_t len,
                         const ecgqa_nn_requant_t *requant)
{
    const int32_t *multiplier = requant->multiplier_q31;
    const int8_t *shift = requant->shift;
    for (int32_t left = (int32_t)len; left > 0; left -= 4) {
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

void ecgqa_nn_max(int8_t *to, const int8_t *x, uint32_t len)
{
    for (int32_t left = (int32_t)len; left > 0; left -= (int32_t)LANES) {
        const mve_pred16_t p = vctp8q((uint32_t)left);
        vstrbq_p_s8(to, vmaxq_s8(vldrbq_z_s8(to, p), vldrbq_z_s8(x, p)), p);
        to += LANES;
        x += LANES;
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
