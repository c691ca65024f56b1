/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* Four rows or segments side by side, for 64-bit Arm, every core of which has them. */
#include "wide_kernels.h"

#if ECGQA_WIDE_NEON

#include <arm_neon.h>
#include <string.h>

#include "../include/ecgqa/fixed.h"
#include "../src/condition.h"

#define LANES 4u
#define KERNELS ecgqa_wide_neon
typedef int32x4_t lanes_t;
typedef uint32x4_t ulanes_t;

static inline lanes_t all(int32_t a)
{
    return vdupq_n_s32(a);
}

static inline lanes_t absolute(lanes_t a)
{
    return vabsq_s32(a);
}

static inline lanes_t smaller(lanes_t a, lanes_t b)
{
    return vminq_s32(a, b);
}

static inline lanes_t larger(lanes_t a, lanes_t b)
{
    return vmaxq_s32(a, b);
}

static inline ulanes_t larger_u(ulanes_t a, ulanes_t b)
{
    return vmaxq_u32(a, b);
}

/* ecgqa_mul_high by one factor. */
static inline lanes_t mul_high(lanes_t a, int32_t b)
{
    const int32x2_t low = vrshrn_n_s64(vmull_n_s32(vget_low_s32(a), b), 32);
    return vrshrn_high_n_s64(low, vmull_high_n_s32(a, b), 32);
}

/* ecgqa_mul_high_u32 by one factor. */
static inline ulanes_t mul_high_u(ulanes_t a, uint32_t b)
{
    const uint32x2_t low = vshrn_n_u64(vmull_n_u32(vget_low_u32(a), b), 32);
    return vshrn_high_n_u64(low, vmull_high_n_u32(a, b), 32);
}

/* Four int16 to lanes. */
static inline lanes_t widened(const int16_t *a)
{
    return vmovl_s16(vld1_s16(a));
}

/* What dot8 takes in place of two neighbouring points: the first. */
static inline lanes_t with_next(lanes_t a, lanes_t next)
{
    (void)next;
    return a;
}

/* ecgqa_dot8_s16 of points `step` apart. */
static inline lanes_t dot8(const lanes_t *a, unsigned step, const int16_t *taps)
{
    const int16x8_t t = vld1q_s16(taps);
    const int32x4_t first = vmovl_s16(vget_low_s16(t)), last = vmovl_high_s16(t);
    lanes_t sum = vmulq_laneq_s32(a[0], first, 0);
    lanes_t other = vmulq_laneq_s32(a[step], first, 1);
    sum = vmlaq_laneq_s32(sum, a[2u * step], first, 2);
    other = vmlaq_laneq_s32(other, a[3u * step], first, 3);
    sum = vmlaq_laneq_s32(sum, a[4u * step], last, 0);
    other = vmlaq_laneq_s32(other, a[5u * step], last, 1);
    sum = vmlaq_laneq_s32(sum, a[6u * step], last, 2);
    return vaddq_s32(sum, vmlaq_laneq_s32(other, a[7u * step], last, 3));
}

/* Lane j of element i to lane i of element j. */
static inline void transpose(lanes_t *v)
{
    const int64x2_t a = vreinterpretq_s64_s32(vtrn1q_s32(v[0], v[1]));
    const int64x2_t b = vreinterpretq_s64_s32(vtrn2q_s32(v[0], v[1]));
    const int64x2_t c = vreinterpretq_s64_s32(vtrn1q_s32(v[2], v[3]));
    const int64x2_t d = vreinterpretq_s64_s32(vtrn2q_s32(v[2], v[3]));
    v[0] = vreinterpretq_s32_s64(vtrn1q_s64(a, c));
    v[1] = vreinterpretq_s32_s64(vtrn1q_s64(b, d));
    v[2] = vreinterpretq_s32_s64(vtrn2q_s64(a, c));
    v[3] = vreinterpretq_s32_s64(vtrn2q_s64(b, d));
}

#include "wide_rows.h"
#include "wide_segments.h"

const ecgqa_wide_kernels_t KERNELS = {LANES, map, flat, analyse};

#endif
