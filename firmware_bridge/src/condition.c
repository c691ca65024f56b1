/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
#include "fast.h"

#include "condition.h"

#include <stddef.h>

#include "ecgqa/fixed.h"

/* Points of the baseline per second, whatever the sampling rate. */
#define POINTS_HZ 50u

uint32_t ecgqa_condition_points(const ecgqa_cwt_tables_t *tables)
{
    return tables->conditioning == 0u ? 0u : ecgqa_condition_per_segment(tables, POINTS_HZ);
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

/* Put `value` where it belongs among sorted[0..at), which has room for it. */
static void insert(int16_t *sorted, uint32_t at, int16_t value)
{
    for (; at > 0u && sorted[at - 1u] > value; --at) {
        sorted[at] = sorted[at - 1u];
    }
    sorted[at] = value;
}

/* Running median over `width` points, odd, at most ECGQA_CONDITION_LONG_POINTS and no more than
 * there are. */
static void running_median(const int16_t *in, int16_t *out, uint32_t points, uint32_t width)
{
    const int32_t half = (int32_t)(width / 2u);
    int16_t sorted[ECGQA_CONDITION_LONG_POINTS] = {0};
    for (uint32_t i = 0u; i < width; ++i) {
        insert(sorted, i, in[ecgqa_condition_mirrored((int32_t)i - half, points)]);
    }
    out[0] = sorted[half];
    for (uint32_t k = 1u; k < points; ++k) {
        const int16_t gone = in[ecgqa_condition_mirrored((int32_t)k - 1 - half, points)];
        const int16_t come = in[ecgqa_condition_mirrored((int32_t)k + half, points)];
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

/* The limit, 1.5 times what the beats reach, and the extremes within it. */
static void limit_to_beats(ecgqa_condition_t *c, const int16_t *samples, uint32_t n_maxima)
{
    int32_t largest[ECGQA_CONDITION_RANK] = {0}; /* of the half seconds' maxima, largest first */
    int32_t low = 0, high = 0, lowest = INT32_MAX, highest = INT32_MIN;
    ecgqa_conditioned_t at = ecgqa_conditioned(c, samples);
    uint32_t i = 0u;
    for (uint32_t k = 0u; k < n_maxima; ++k) {
        const uint32_t end = ((k + 1u) * c->segment_len + n_maxima - 1u) / n_maxima;
        low = INT32_MAX;
        high = INT32_MIN;
        while (i < end) {
            int16_t value[ECGQA_CONDITIONED_BLOCK];
            const uint32_t n = ecgqa_conditioned_take(&at, value, end - i);
            for (uint32_t j = 0u; j < n; ++j) {
                low = value[j] < low ? value[j] : low;
                high = value[j] > high ? value[j] : high;
            }
            i += n;
        }
        lowest = low < lowest ? low : lowest;
        highest = high > highest ? high : highest;
        int32_t maximum = high > -low ? high : -low;
        for (uint32_t rank = 0u; rank < ECGQA_CONDITION_RANK; ++rank) {
            if (maximum > largest[rank]) {
                const int32_t less = largest[rank];
                largest[rank] = maximum;
                maximum = less;
            }
        }
    }
    const int32_t limit = (3 * largest[ECGQA_CONDITION_RANK - 1u]) >> 1;
    c->limit = limit > INT16_MAX ? INT16_MAX : limit;
    c->lowest = lowest < -c->limit ? -c->limit : lowest;
    c->highest = highest > c->limit ? c->limit : highest;
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
    condition->baseline = NULL;
    condition->points = ecgqa_condition_points(tables);
    condition->segment_len = n;
    condition->lowest = lowest;
    condition->highest = highest;
    if (condition->points == 0u) {
        return;
    }
    condition->middle = (lowest + highest + 1) >> 1; /* shifted samples are int16 */
    condition->shift = bits < 15u ? 15u - bits : 0u; /* the baseline keeps a part of an LSB */
    block_means(condition, samples, a);
    running_median(a, b, condition->points, ECGQA_CONDITION_SHORT_POINTS);
    running_median(b, a, condition->points, ECGQA_CONDITION_LONG_POINTS);
    condition->baseline = a;
    condition->limit = INT16_MAX; /* none yet, and never more */
    limit_to_beats(condition, samples,
                   ecgqa_condition_per_segment(tables, ECGQA_CONDITION_MAXIMA_PER_S));
}

ecgqa_conditioned_t ecgqa_conditioned(const ecgqa_condition_t *condition, const int16_t *samples)
{
    const int32_t first = (int32_t)condition->points - (int32_t)condition->segment_len;
    return (ecgqa_conditioned_t){condition, samples, 0u, first};
}

/* A sample between its two points of the baseline is baseline: inside a step nothing is left. */
uint32_t ecgqa_conditioned_take(ecgqa_conditioned_t *at, int16_t *value, uint32_t n)
{
    const ecgqa_condition_t *const c = at->condition;
    const int16_t *sample = at->sample;
    const uint32_t taken = n < ECGQA_CONDITIONED_BLOCK ? n : ECGQA_CONDITIONED_BLOCK;
    const int16_t *const end = sample + taken;
    at->sample = end;
    if (c->baseline == NULL) {
        while (sample != end) {
            *value++ = *sample++;
        }
        return taken;
    }
    const int32_t middle = c->middle, limit = c->limit;
    const int32_t step = 2 * (int32_t)c->points, turn = 2 * (int32_t)c->segment_len;
    const unsigned shift = c->shift;
    const int16_t *point = c->baseline + at->point;
    const int16_t *const last = c->baseline + c->points - 2u;
    int32_t position = at->position;
    while (sample != end) {
        const int32_t low = point[0] < point[1] ? point[0] : point[1];
        const int32_t high = point[0] < point[1] ? point[1] : point[0];
        do {
            const int32_t shifted = ecgqa_shl(*sample++ - middle, shift);
            int32_t apart = shifted < low ? shifted - low : 0;
            apart = shifted > high ? shifted - high : apart;
            apart = apart > limit ? limit : apart;
            *value++ = (int16_t)(apart < -limit ? -limit : apart);
            position += step;
        } while (sample != end && (position < turn || point == last));
        if (position >= turn && point != last) {
            position -= turn;
            ++point;
        }
    }
    at->point = (uint32_t)(point - c->baseline);
    at->position = position;
    return taken;
}
