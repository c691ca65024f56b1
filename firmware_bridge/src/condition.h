/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* What one artefact can't blind: a segment without its baseline, clipped a little above its beats.
 *
 * The conditioned samples are never stored: each follows from its sample, two points of the
 * baseline and the limit, so they are made anew in every pass. */
#ifndef ECGQA_CONDITION_H
#define ECGQA_CONDITION_H

#include "ecgqa/cwt.h"

/* How a segment is conditioned. */
typedef struct {
    const int16_t *baseline; /* [points], of the shifted samples; NULL: none is taken off */
    uint32_t points;
    uint32_t segment_len;
    int32_t middle; /* what is taken off a sample before it is shifted */
    unsigned shift;
    int32_t limit;           /* conditioned samples lie in -limit..limit */
    int32_t lowest, highest; /* of them */
} ecgqa_condition_t;

/* Walks through the conditioned samples of a segment from its start. */
typedef struct {
    const ecgqa_condition_t *condition;
    const int16_t *sample;
    uint32_t point;   /* baseline points `point` and the next one enclose the sample */
    int32_t position; /* of the sample behind `point`, in 1 / (2 segment_len) of a point */
} ecgqa_conditioned_t;

/* 1.5 s: with fewer than three half seconds there is no third largest maximum. */
#define ECGQA_CONDITION_MIN_POINTS 75u

/* Windows of the two medians: 0.22 s and 0.62 s, the least odd numbers of points from 0.2 and 0.6 s
 * on (de Chazal et al. 2004 take 0.2 and 0.6 s off in this way). */
#define ECGQA_CONDITION_SHORT_POINTS 11u
#define ECGQA_CONDITION_LONG_POINTS 31u
/* Of each half second a maximum is taken; the third largest stands for the beats, for an artefact
 * of up to 1 s has at most two larger ones, and a pause of 3.5 s leaves three. */
#define ECGQA_CONDITION_MAXIMA_PER_S 2u
#define ECGQA_CONDITION_RANK 3u

/* Count per second to count per segment, rounded. */
static inline uint32_t ecgqa_condition_per_segment(const ecgqa_cwt_tables_t *tables, uint32_t per_s)
{
    return (per_s * tables->segment_ms + 500u) / 1000u;
}

/* Index of a point beyond an end: mirrored, the end point twice. */
static inline uint32_t ecgqa_condition_mirrored(int32_t index, uint32_t points)
{
    const int32_t last = (int32_t)points - 1;
    return (uint32_t)(index < 0 ? -1 - index : (index > last ? 2 * last + 1 - index : index));
}

/* Points of a segment's baseline; 0 where the tables ask for no conditioning. */
uint32_t ecgqa_condition_points(const ecgqa_cwt_tables_t *tables);

/* Baseline, limit and extremes of a segment; the extremes alone where the tables ask for no
 * conditioning. `a` and `b`, int16 [points] each, are scratch; the baseline stays in `a`. */
void ecgqa_condition(const ecgqa_cwt_tables_t *tables, const int16_t *samples, int16_t *a,
                     int16_t *b, ecgqa_condition_t *condition);

ecgqa_conditioned_t ecgqa_conditioned(const ecgqa_condition_t *condition, const int16_t *samples);

#define ECGQA_CONDITIONED_BLOCK 32u

/* The next conditioned samples of the segment, n of them or ECGQA_CONDITIONED_BLOCK; how many. */
uint32_t ecgqa_conditioned_take(ecgqa_conditioned_t *at, int16_t *value, uint32_t n);

#endif
