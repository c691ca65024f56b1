/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
#include "condition.h"

#include "ecgqa/fixed.h"

/* Points of the baseline per second, whatever the sampling rate. */
#define POINTS_HZ 50u
/* Windows of the two medians: 0.22 s and 0.62 s, the least odd numbers of points from 0.2 and 0.6 s
 * on (de Chazal et al. 2004 take 0.2 and 0.6 s off in this way). */
#define SHORT_POINTS 11u
#define LONG_POINTS 31u
/* Of each half second a maximum is taken; the third largest stands for the beats, for an artefact
 * of up to 1 s has at most two larger ones, and a pause of 3.5 s leaves three. */
#define MAXIMA_PER_S 2u
#define RANK 3u

/* Count per second to count per segment, rounded. */
static uint32_t per_segment(const ecgqa_cwt_tables_t *tables, uint32_t per_s)
{
    return (per_s * tables->segment_ms + 500u) / 1000u;
}

uint32_t ecgqa_condition_points(const ecgqa_cwt_tables_t *tables)
{
    return tables->conditioning == 0u ? 0u : per_segment(tables, POINTS_HZ);
}

/* floor((sum + count / 2) / count) */
static int16_t mean_of(int32_t sum, int32_t count)
{
    const int32_t above = sum + count / 2;
    const int32_t quotient = above / count;
    return (int16_t)(quotient * count > above ? quotient - 1 : quotient);
}

/* Means of the shifted samples between the points' borders. */
static void block_means(const ecgqa_condition_t *c, const int16_t *samples, int16_t *means)
{
    uint32_t i = 0u;
    for (uint32_t k = 0u; k < c->points; ++k) {
        const uint32_t first = i, end = (k + 1u) * c->segment_len / c->points;
        int32_t sum = 0;
        for (; i < end; ++i) {
            sum += ecgqa_shl(samples[i] - c->middle, c->shift);
        }
        means[k] = mean_of(sum, (int32_t)(end - first));
    }
}

/* Index of a point beyond an end: mirrored, the end point twice. */
static uint32_t mirrored(int32_t index, uint32_t points)
{
    const int32_t last = (int32_t)points - 1;
    return (uint32_t)(index < 0 ? -1 - index : (index > last ? 2 * last + 1 - index : index));
}

/* Put `value` where it belongs among sorted[0..at), which has room for it. */
static void insert(int16_t *sorted, uint32_t at, int16_t value)
{
    for (; at > 0u && sorted[at - 1u] > value; --at) {
        sorted[at] = sorted[at - 1u];
    }
    sorted[at] = value;
}

/* Running median over `width` points, odd, at most LONG_POINTS and no more than there are. */
static void running_median(const int16_t *in, int16_t *out, uint32_t points, uint32_t width)
{
    const int32_t half = (int32_t)(width / 2u);
    int16_t sorted[LONG_POINTS] = {0};
    for (uint32_t i = 0u; i < width; ++i) {
        insert(sorted, i, in[mirrored((int32_t)i - half, points)]);
    }
    out[0] = sorted[half];
    for (uint32_t k = 1u; k < points; ++k) {
        const int16_t gone = in[mirrored((int32_t)k - 1 - half, points)];
        const int16_t come = in[mirrored((int32_t)k + half, points)];
        uint32_t at = 0u;
        while (sorted[at] != gone) {
            ++at;
        }
        for (; at + 1u < width && sorted[at + 1u] < come; ++at) {
            sorted[at] = sorted[at + 1u];
        }
        insert(sorted, at, come);
        out[k] = sorted[half];
    }
}

/* 1.5 times what the beats reach. */
static int32_t limit_of(const ecgqa_condition_t *c, const int16_t *samples, uint32_t n_maxima)
{
    int32_t largest[RANK] = {0}; /* of the half seconds' maxima, largest first */
    ecgqa_conditioned_t at = ecgqa_conditioned(c, samples);
    uint32_t i = 0u;
    for (uint32_t k = 0u; k < n_maxima; ++k) {
        int32_t maximum = 0;
        for (; i * n_maxima < (k + 1u) * c->segment_len; ++i) {
            const int32_t size = ecgqa_abs(ecgqa_conditioned_step(&at));
            maximum = size > maximum ? size : maximum;
        }
        for (uint32_t rank = 0u; rank < RANK; ++rank) {
            if (maximum > largest[rank]) {
                const int32_t less = largest[rank];
                largest[rank] = maximum;
                maximum = less;
            }
        }
    }
    const int32_t limit = (3 * largest[RANK - 1u]) >> 1;
    return limit > INT16_MAX ? INT16_MAX : limit;
}

void ecgqa_condition(const ecgqa_cwt_tables_t *tables, const int16_t *samples, int16_t *a,
                     int16_t *b, ecgqa_condition_t *condition)
{
    const uint32_t n = tables->segment_len;
    int32_t lowest = samples[0], highest = samples[0];
    for (uint32_t i = 1u; i < n; ++i) {
        lowest = samples[i] < lowest ? samples[i] : lowest;
        highest = samples[i] > highest ? samples[i] : highest;
    }
    const unsigned bits = ecgqa_bit_length((uint32_t)(highest - lowest));
    condition->points = ecgqa_condition_points(tables);
    condition->segment_len = n;
    condition->middle = (lowest + highest + 1) >> 1; /* shifted samples are int16 */
    condition->shift = bits < 15u ? 15u - bits : 0u; /* the baseline keeps a part of an LSB */
    block_means(condition, samples, a);
    running_median(a, b, condition->points, SHORT_POINTS);
    running_median(b, a, condition->points, LONG_POINTS);
    condition->baseline = a;
    condition->limit = 2 * UINT16_MAX; /* none yet */
    condition->limit = limit_of(condition, samples, per_segment(tables, MAXIMA_PER_S));
}

ecgqa_conditioned_t ecgqa_conditioned(const ecgqa_condition_t *condition, const int16_t *samples)
{
    const int32_t first = (int32_t)condition->points - (int32_t)condition->segment_len;
    return (ecgqa_conditioned_t){condition, samples, 0u, first};
}

/* A sample between its two points of the baseline is baseline: inside a step nothing is left. */
int32_t ecgqa_conditioned_step(ecgqa_conditioned_t *at)
{
    const ecgqa_condition_t *const c = at->condition;
    const int32_t value = ecgqa_shl(*at->sample++ - c->middle, c->shift);
    const int32_t one = c->baseline[at->point], other = c->baseline[at->point + 1u];
    const int32_t low = one < other ? one : other, high = one < other ? other : one;
    const int32_t apart = value < low ? value - low : (value > high ? value - high : 0);
    at->position += 2 * (int32_t)c->points;
    if (at->position >= 2 * (int32_t)c->segment_len && at->point + 2u < c->points) {
        at->position -= 2 * (int32_t)c->segment_len;
        ++at->point;
    }
    return apart > c->limit ? c->limit : (apart < -c->limit ? -c->limit : apart);
}
