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

ecgqa_reason_t ecgqa_lost_signal(const int16_t *samples, uint32_t n, uint32_t segment_ms)
{
    const extremes_t e = extremes_of(samples, samples + n);
    const uint32_t slots = (SLOTS_PER_S * segment_ms + 500u) / 1000u;
    const uint32_t rounded = (2u * n * RUN_MS + segment_ms) / (2u * segment_ms);
    const uint32_t run = rounded < 2u ? 2u : rounded;
    if (e.low == e.high) {
        return ECGQA_REASON_FLAT;
    }
    if (slots >= SLOTS_PER_S && slots <= n && is_held(samples, n, slots, e.high - e.low)) {
        return ECGQA_REASON_HELD;
    }
    if (CLIPPED_PARTS * on_rails(samples, n, e, run) >= n) {
        return ECGQA_REASON_CLIPPED;
    }
    return ECGQA_REASON_OK;
}
