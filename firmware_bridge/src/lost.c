/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
#include "lost.h"

/* Time is counted in slots of 0.1 s; a window is 1 s of them, so that 1.1 s held is always seen. */
#define SLOTS_PER_S 10u
/* Held: the window spans at most 1 % of the segment's range ... */
#define HELD_PARTS 100
/* ... or, of a converter that toggles between neighbouring codes, at most four values in a 16th.
 * Of 69,976 windows of ECG (mitdb, challenge-2011's good leads, vfdb, cudb, challenge-2015,
 * challenge-2017) 25 are hit, most of them by recordings that do hold a value. */
#define DITHER_PARTS 16
#define DITHER_VALUES 4u
/* Clipped: a tenth of the samples on the extremes, in runs of 12 ms or more (13 of those windows,
 * at converters' rails). R peaks cut in half are readable and make less. */
#define CLIPPED_PARTS 10u
#define RUN_MS 12u
/* Held, too, where 1.4 s (so that 1.5 s are always seen) are nothing but mains hum: each slot is
 * one tone and crosses its mean as often as 35 to 65 Hz do, the means stay within a 32nd of the
 * range, and of the other slots at most an eighth are a tone of half the height or more. Hum that
 * runs through ECG, or through a pause, is no lost signal. None of 49,313 segments (mitdb, vfdb,
 * cudb, challenge-2015) is hit, and one of 1,500 clean pauses of 2 to 4 s. */
#define HUM_SLOTS 14u
#define ELSEWHERE_PARTS 8u
#define HUM_PARTS 32
#define CROSSINGS_LEAST 7u
#define CROSSINGS_MOST 13u
#define TONE_LAG_MS 4u
#define TONE_PARTS 2u
#define QUIETER_PARTS 4u
/* Smooth: of the energy above some 0.7 Hz (the mean of four blocks less that of 0.7 s around it) at
 * most a 200th is as steep as a QRS complex (three times a block less the mean of 0.1 s around it).
 * Of 137 windows graded A the least has 2.8 times as much, of ventricular tachycardia 3.9 times; 17
 * of 70,590 windows (mitdb, challenge-2011, vfdb, cudb, challenge-2015) are hit: flutter like a
 * sine, and jumps without beats. So are all of 600 pulse waves, 48 to 120 a minute. */
#define BLOCK_MS 10u
#define STEEP_STAGES 3u
#define STEEP_MS 45u /* half a window */
#define SLOW_MS 350u
#define SMOOTH_PARTS 200u
#define FRACTION 16      /* steps of a sample that means are told in */
#define WIDEST_STEEP 15u /* blocks of a window: a block lasts 6.7 ms or more */
#define WIDEST_SLOW 27u
#define COARSE 4u /* blocks that the slow window moves on by: its memory is on the stack */

typedef struct {
    int32_t low, high;
} extremes_t;

static extremes_t extremes_of(const int16_t *sample, const int16_t *end)
{
    extremes_t e = {*sample, *sample};
    while (++sample != end) {
        const int32_t value = *sample;
        if (value < e.low) {
            e.low = value;
        } else if (value > e.high) {
            e.high = value;
        }
    }
    return e;
}

/* Whether the samples take DITHER_VALUES values or fewer. */
static int few_values(const int16_t *samples, uint32_t n)
{
    int16_t value[DITHER_VALUES];
    uint32_t values = 0u;
    for (uint32_t i = 0u; i < n; ++i) {
        uint32_t at = 0u;
        while (at < values && value[at] != samples[i]) {
            ++at;
        }
        if (at == DITHER_VALUES) {
            return 0;
        }
        if (at == values) {
            value[values++] = samples[i];
        }
    }
    return 1;
}

/* Whether a window of slots holds its value; slot k starts at sample k * n / slots. */
static int is_held(const int16_t *samples, uint32_t n, uint32_t slots, int32_t range)
{
    extremes_t recent[SLOTS_PER_S];
    for (uint32_t slot = 0u; slot < slots; ++slot) {
        const uint32_t first = slot * n / slots, end = (slot + 1u) * n / slots;
        recent[slot % SLOTS_PER_S] = extremes_of(samples + first, samples + end);
        if (slot + 1u < SLOTS_PER_S) {
            continue;
        }
        extremes_t window = recent[0];
        for (uint32_t i = 1u; i < SLOTS_PER_S; ++i) {
            window.low = recent[i].low < window.low ? recent[i].low : window.low;
            window.high = recent[i].high > window.high ? recent[i].high : window.high;
        }
        const int32_t span = window.high - window.low;
        const uint32_t start = (slot + 1u - SLOTS_PER_S) * n / slots;
        if (span * HELD_PARTS <= range ||
            (span * DITHER_PARTS <= range && few_values(samples + start, end - start))) {
            return 1;
        }
    }
    return 0;
}

typedef struct {
    int32_t mean;
    uint64_t energy; /* of a tone around the mean; 0: no tone */
} slot_t;

/* A tone obeys x[i - lag] + x[i + lag] = c x[i]: what the best c leaves must not exceed half of the
 * energy. Noise leaves about twice the energy. */
static slot_t tone_of(const int16_t *samples, uint32_t n, uint32_t lag)
{
    int32_t sum = 0;
    for (uint32_t i = 0u; i < n; ++i) {
        sum += samples[i];
    }
    slot_t slot = {sum / (int32_t)n, 0u};
    uint32_t crossings = 0u;
    for (uint32_t i = 1u; i < n; ++i) {
        crossings += (samples[i] >= slot.mean) != (samples[i - 1u] >= slot.mean) ? 1u : 0u;
    }
    if (crossings < CROSSINGS_LEAST || crossings > CROSSINGS_MOST) {
        return slot;
    }
    int64_t product = 0;
    uint64_t energy = 0u, around = 0u;
    for (uint32_t i = lag; i + lag < n; ++i) {
        const int32_t here = samples[i] - slot.mean;
        const int32_t sides = samples[i - lag] + samples[i + lag] - 2 * slot.mean;
        energy += (uint64_t)((int64_t)here * here);
        around += (uint64_t)((int64_t)sides * sides);
        product += (int64_t)here * sides;
    }
    uint64_t fitted = product < 0 ? (uint64_t)-product : (uint64_t)product;
    uint64_t whole = energy;
    while ((whole | around) >> 30 != 0u) { /* their products must fit */
        whole >>= 1;
        around >>= 1;
        fitted >>= 1;
    }
    if (around * whole <= fitted * fitted + whole * whole / TONE_PARTS) {
        slot.energy = energy;
    }
    return slot;
}

/* Slots of hum of at least a quarter of the energy `least`. */
static uint32_t count_tones(const int16_t *samples, uint32_t n, uint32_t slots, uint32_t lag,
                            uint64_t least)
{
    uint32_t found = 0u;
    for (uint32_t slot = 0u; slot < slots; ++slot) {
        const uint32_t first = slot * n / slots, end = (slot + 1u) * n / slots;
        const uint64_t energy = tone_of(samples + first, end - first, lag).energy;
        found += energy != 0u && energy >= least / QUIETER_PARTS ? 1u : 0u;
    }
    return found;
}

/* Whether HUM_SLOTS in turn are nothing but hum on one level, hum that is not there elsewhere. */
static int is_hum(const int16_t *samples, uint32_t n, uint32_t slots, uint32_t lag, int32_t range)
{
    uint32_t run = 0u, longest = 0u;
    uint64_t energy = 0u, least = 0u;
    extremes_t level = {0, 0};
    for (uint32_t slot = 0u; slot < slots; ++slot) {
        const uint32_t first = slot * n / slots, end = (slot + 1u) * n / slots;
        const slot_t s = tone_of(samples + first, end - first, lag);
        const extremes_t wider = {s.mean < level.low ? s.mean : level.low,
                                  s.mean > level.high ? s.mean : level.high};
        if (s.energy == 0u) {
            run = 0u;
            continue;
        }
        if (run != 0u && (wider.high - wider.low) * HUM_PARTS <= range) {
            level = wider;
            energy = s.energy < energy ? s.energy : energy;
            ++run;
        } else {
            level = (extremes_t){s.mean, s.mean};
            energy = s.energy;
            run = 1u;
        }
        if (run > longest) {
            longest = run;
            least = energy;
        }
    }
    return longest >= HUM_SLOTS &&
           (count_tones(samples, n, slots, lag, least) - longest) * ELSEWHERE_PARTS <=
               slots - longest;
}

/* Samples on either extreme, in runs of at least `run` on the same one. */
static uint32_t on_rails(const int16_t *samples, uint32_t n, extremes_t e, uint32_t run)
{
    const uint32_t inside = (uint32_t)(e.high - e.low) - 1u; /* values between the extremes */
    uint32_t found = 0u, length = 0u;
    int32_t before = e.low;
    for (uint32_t i = 0u; i < n; ++i) {
        const int32_t value = samples[i];
        if ((uint32_t)(value - e.low) - 1u < inside) {
            length = 0u;
            continue;
        }
        length = length != 0u && value == before ? length + 1u : 1u;
        found += length == run ? run : (length > run ? 1u : 0u);
        before = value;
    }
    return found;
}

static uint32_t samples_in(uint32_t ms, uint32_t n, uint32_t segment_ms)
{
    return (2u * n * ms + segment_ms) / (2u * segment_ms);
}

typedef struct {
    int32_t *value; /* zeros at first */
    uint32_t width, at, n_seen;
    int32_t sum;
} window_t;

/* Move a window on by a value; once it is full, 1 and what its middle has over its mean. */
static int over_mean(window_t *window, int32_t value, int32_t *over)
{
    const uint32_t width = window->width;
    window->sum += value - window->value[window->at];
    window->value[window->at] = value;
    window->at = window->at + 1u == width ? 0u : window->at + 1u;
    window->n_seen += window->n_seen < width ? 1u : 0u;
    if (window->n_seen < width) {
        return 0; /* the middle may not be there yet */
    }
    const uint32_t middle = window->at + width / 2u; /* the oldest is at `at` */
    *over = window->value[middle < width ? middle : middle - width] - window->sum / (int32_t)width;
    return 1;
}

static int32_t sum_of(const int16_t *samples, uint32_t n)
{
    int32_t sum = 0;
    for (uint32_t i = 0u; i < n; ++i) {
        sum += samples[i];
    }
    return sum * FRACTION;
}

static uint64_t square(int32_t value)
{
    return (uint64_t)((int64_t)value * value);
}

/* Mean square of what blocks of samples have over their slow mean; 0 of too few. */
static uint64_t energy_over_slow(const int16_t *samples, uint32_t n, uint32_t block,
                                 uint32_t segment_ms)
{
    int32_t value[WIDEST_SLOW] = {0}, over;
    window_t slow = {value, 2u * samples_in(SLOW_MS, n / block, segment_ms) + 1u, 0u, 0u, 0};
    uint64_t energy = 0u;
    uint32_t found = 0u;
    for (uint32_t i = 0u; i < n / block; ++i) {
        const int32_t mean = sum_of(samples + i * block, block) / (int32_t)COARSE;
        if (over_mean(&slow, mean, &over)) {
            energy += square(over);
            ++found;
        }
    }
    return found == 0u ? 0u : energy / found;
}

/* Whether the energy over three steep means in turn stays below `most`; ECG is told by its first
 * beats. */
static int stays_below(const int16_t *samples, uint32_t blocks, uint32_t block, uint32_t width,
                       uint64_t most)
{
    int32_t value[STEEP_STAGES][WIDEST_STEEP] = {{0}};
    window_t steep[STEEP_STAGES];
    uint64_t energy = 0u;
    for (uint32_t k = 0u; k < STEEP_STAGES; ++k) {
        steep[k] = (window_t){value[k], width, 0u, 0u, 0};
    }
    for (uint32_t i = 0u; i < blocks && energy < most; ++i) {
        int32_t over = sum_of(samples + i * block, block);
        uint32_t k = 0u;
        while (k < STEEP_STAGES && over_mean(&steep[k], over, &over)) {
            ++k;
        }
        energy += k == STEEP_STAGES ? square(over) : 0u;
    }
    return energy < most;
}

/* Whether next to nothing is as steep as a QRS complex; a ramp has no energy at all: it may be
 * flat. */
static int is_smooth(const int16_t *samples, uint32_t n, uint32_t segment_ms)
{
    const uint32_t nearest = samples_in(BLOCK_MS, n, segment_ms);
    const uint32_t block = nearest < 1u ? 1u : nearest, blocks = n / block;
    const uint32_t width = 2u * samples_in(STEEP_MS, blocks, segment_ms) + 1u;
    const uint32_t lost = STEEP_STAGES * (width - 1u); /* before the last window is full */
    if (blocks <= lost) {
        return 0;
    }
    const uint64_t all = energy_over_slow(samples, n, COARSE * block, segment_ms);
    return all != 0u && stays_below(samples, blocks, block, width,
                                    (all / SMOOTH_PARTS + 1u) * (uint64_t)(blocks - lost));
}

ecgqa_reason_t ecgqa_lost_signal(const int16_t *samples, uint32_t n, uint32_t segment_ms)
{
    const extremes_t e = extremes_of(samples, samples + n);
    const uint32_t slots = (SLOTS_PER_S * segment_ms + 500u) / 1000u;
    const uint32_t rounded = samples_in(RUN_MS, n, segment_ms);
    const uint32_t run = rounded < 2u ? 2u : rounded;
    const uint32_t nearest = samples_in(TONE_LAG_MS, n, segment_ms);
    const uint32_t lag = nearest < 1u ? 1u : nearest;
    if (e.low == e.high) {
        return ECGQA_REASON_FLAT;
    }
    const int32_t range = e.high - e.low;
    if (slots >= SLOTS_PER_S && slots <= n &&
        (is_held(samples, n, slots, range) || is_hum(samples, n, slots, lag, range))) {
        return ECGQA_REASON_HELD;
    }
    if (CLIPPED_PARTS * on_rails(samples, n, e, run) >= n) {
        return ECGQA_REASON_CLIPPED;
    }
    if (is_smooth(samples, n, segment_ms)) {
        return ECGQA_REASON_SMOOTH;
    }
    return ECGQA_REASON_OK;
}
