/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* Any call of the network's inner loops that the engine could make.
 *
 * Invariants, for every input:
 *   1  Each kernel gives what its plain definition gives: dot products cut into any runs, with any
 *      patch, one pixel or two; requantisation by 64-bit arithmetic, in place too.
 *   2  Nothing outside the arrays is read or written (AddressSanitizer; each is allocated to the
 *      byte), nothing that was never written is used (MemorySanitizer), no arithmetic overflows.
 *   3  Scores of a softmax order as their logits do. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../src/nn_internal.h"
#include "../src/nn_kernels.h"
#include "check.h"

enum { MAX_LEN = 96, MAX_PAIRS = 4, MAX_RUNS = 3, MAX_LOGITS = 12 };

typedef struct {
    const uint8_t *data;
    size_t left;
    uint32_t noise;
} input_t;

static uint32_t next(input_t *in)
{
    if (in->left == 0u) {
        return 0u;
    }
    in->left--;
    return *in->data++;
}

/* low..high */
static uint32_t between(input_t *in, uint32_t low, uint32_t high)
{
    return low + next(in) % (high - low + 1u);
}

/* From a byte's seed on: inputs are short, arrays need not be. Multiply-with-carry: no wraps. */
static uint32_t noise(input_t *in)
{
    in->noise = 36969u * (in->noise & 0xFFFFu) + (in->noise >> 16);
    return in->noise & 0xFFFFu;
}

static void *array(size_t bytes)
{
    void *const found = malloc(bytes != 0u ? bytes : 1u);
    CHECK(found != NULL);
    return found;
}

/* Bytes of any kind, `zeros` of 256 of them -128. */
static int8_t *bytes_of(input_t *in, size_t n, uint32_t zeros)
{
    int8_t *const x = array(n);
    for (size_t i = 0u; i < n; ++i) {
        const uint32_t drawn = noise(in);
        x[i] = (int8_t)((drawn & 255u) < zeros ? -128 : (int32_t)(drawn >> 8) - 128);
    }
    return x;
}

static int32_t *sums_of(input_t *in, size_t n)
{
    int32_t *const acc = array(n * sizeof *acc);
    for (size_t i = 0u; i < n; ++i) {
        acc[i] = (int32_t)(noise(in) << 8) - (1 << 23);
    }
    return acc;
}

/* ---- dot products ---------------------------------------------------------------------------- */

static void dot(input_t *in)
{
    const uint32_t pixels = between(in, 1, 2), pairs = between(in, 1, MAX_PAIRS);
    const uint32_t runs = between(in, 1, MAX_RUNS), len = between(in, 1, MAX_LEN);
    const uint32_t run_bytes = 2u * ecgqa_nn_even(len), pair_bytes = runs * run_bytes;
    const uint32_t channels = 2u * pairs, zeros = next(in);
    const uint32_t patch_bytes = ECGQA_NN_MIN_PATCH + 4u * next(in);
    int8_t *const x = bytes_of(in, (size_t)pixels * runs * len, zeros);
    uint8_t *const weights = array((size_t)pairs * pair_bytes + ECGQA_NN_WEIGHTS_TAIL);
    int32_t *const acc = sums_of(in, (size_t)pixels * channels);
    int64_t *const expected = array((size_t)pixels * channels * sizeof *expected);
    void *const patch = array(patch_bytes);
    for (size_t i = 0u; i < (size_t)pairs * pair_bytes + ECGQA_NN_WEIGHTS_TAIL; ++i) {
        const uint32_t k = (uint32_t)i % run_bytes / 2u;
        weights[i] = (uint8_t)(k < len ? noise(in) & 255u : i % 2u != 0u ? 0u : 128u);
    }
    for (uint32_t p = 0u; p < pixels; ++p) {
        for (uint32_t c = 0u; c < channels; ++c) {
            int64_t sum = acc[p * channels + c];
            for (uint32_t k = 0u; k < runs * len; ++k) {
                const uint8_t w =
                    weights[c / 2u * pair_bytes + k / len * run_bytes + 2u * (k % len) + c % 2u];
                sum += (x[p * runs * len + k] + 128) * (c % 2u != 0u ? (int8_t)w : w - 128);
            }
            expected[p * channels + c] = sum;
        }
    }
    ecgqa_nn_dot_t job = {0};
    job.acc = acc;
    job.weights = weights;
    job.pair_bytes = pair_bytes;
    job.patch = patch;
    job.patch_bytes = (uint16_t)patch_bytes;
    job.pixels = (uint16_t)pixels;
    job.pairs = (uint16_t)pairs;
    ecgqa_nn_dot_clear(&job);
    for (uint32_t run = 0u; run < runs; ++run) {
        const uint32_t cut = 2u * (next(in) % (len / 2u + 1u)); /* a run in two chunks, or one */
        for (uint32_t at = 0u; at < len; at = at < cut ? cut : len) {
            const int8_t *const from = x + run * len + at;
            ecgqa_nn_dot_add(&job, from, pixels == 2u ? from + runs * len : NULL,
                             (at < cut ? cut : len) - at, run * run_bytes + 2u * at);
        }
    }
    ecgqa_nn_dot_finish(&job);
    for (uint32_t i = 0u; i < pixels * channels; ++i) {
        CHECK(acc[i] == expected[i]);
    }
    free(x);
    free(weights);
    free(acc);
    free(expected);
    free(patch);
}

/* ---- requantisation -------------------------------------------------------------------------- */

/* To nearest: of the doubled product halves up, of the division halves away from zero. */
static int64_t scaled(int64_t acc, int64_t multiplier, uint32_t exponent)
{
    const int64_t product = acc * multiplier + (INT64_C(1) << 30);
    const int64_t unit = INT64_C(1) << 31;
    const int64_t high = product >= 0 ? product / unit : -((unit - 1 - product) / unit);
    const int64_t half = exponent > 0u ? INT64_C(1) << (exponent - 1u) : 0;
    const int64_t size = ((high < 0 ? -high : high) + half) / (INT64_C(1) << exponent);
    return high < 0 ? -size : size;
}

static void requantise(input_t *in)
{
    const uint32_t len = between(in, 1, MAX_LEN);
    const int in_place = next(in) % 2u != 0u;
    const int32_t zero_point = (int32_t)next(in) - 128;
    const int32_t one = (int32_t)next(in) - 128, other = (int32_t)next(in) - 128;
    const uint32_t size = between(in, 0, 30);
    int32_t *const acc = array(len * sizeof *acc);
    int32_t *const multiplier_q31 = array(len * sizeof *multiplier_q31);
    int8_t *const shift = array(len), *const expected = array(len);
    ecgqa_nn_requant_t requant;
    int8_t *const out = in_place ? (int8_t *)acc : array(len);
    requant.multiplier_q31 = multiplier_q31;
    requant.shift = shift;
    requant.zero_point = (int8_t)zero_point;
    requant.act_min = (int8_t)(one < other ? one : other);
    requant.act_max = (int8_t)(one < other ? other : one);
    for (uint32_t c = 0u; c < len; ++c) {
        const uint32_t drawn = (noise(in) << 14 | noise(in)) & ((1u << size) - 1u);
        acc[c] = noise(in) % 2u != 0u ? (int32_t)drawn : -(int32_t)drawn;
        multiplier_q31[c] = (int32_t)(UINT32_C(1) << 30 | noise(in) << 14 | noise(in) >> 2);
        shift[c] = (int8_t)(-(int32_t)(noise(in) % 31u));
        int64_t y = zero_point + scaled(acc[c], multiplier_q31[c], (uint32_t)-shift[c]);
        y = y < requant.act_min ? requant.act_min : y;
        expected[c] = (int8_t)(y > requant.act_max ? requant.act_max : y);
    }
    ecgqa_nn_requantise(out, acc, len, &requant);
    CHECK(memcmp(out, expected, len) == 0);
    free(acc);
    free(multiplier_q31);
    free(shift);
    free(expected);
    if (!in_place) {
        free(out);
    }
}

/* ---- two pixels of few inputs ---------------------------------------------------------------- */

#if ECGQA_NN_HAS_FEW
static void few(input_t *in)
{
    const uint32_t len = between(in, 1, ECGQA_NN_FEW), channels = 2u * between(in, 1, 8);
    const uint32_t pair_bytes = 2u * ecgqa_nn_even(len), zeros = next(in);
    int8_t *const x = bytes_of(in, 2u * (size_t)ecgqa_nn_even(len), zeros);
    int8_t *const shift = array(channels), *const out = array(2u * channels);
    uint8_t *const weights = array((size_t)channels / 2u * pair_bytes);
    int32_t *const bias = sums_of(in, channels), *const multiplier_q31 = sums_of(in, channels);
    const ecgqa_nn_few_t job = {weights,
                                bias,
                                {multiplier_q31, shift, INT8_MIN, INT8_MIN, INT8_MAX},
                                len,
                                channels,
                                array(4u * ECGQA_NN_FEW_PREPARED(len, channels)),
                                array(4u * ECGQA_NN_FEW_PATCH(len))};
    const int8_t *const pixels[2] = {x, x + ecgqa_nn_even(len)};
    for (size_t i = 0u; i < (size_t)channels / 2u * pair_bytes; ++i) {
        weights[i] = (uint8_t)(noise(in) & 255u);
    }
    x[ecgqa_nn_even(len) - 1u] = len % 2u != 0u ? INT8_MIN : x[len - 1u];
    x[2u * ecgqa_nn_even(len) - 1u] = len % 2u != 0u ? INT8_MIN : x[2u * len - 1u];
    for (uint32_t c = 0u; c < channels; ++c) {
        multiplier_q31[c] = (int32_t)(UINT32_C(1) << 30 | noise(in) << 14 | noise(in) >> 2);
        shift[c] = (int8_t)(-(int32_t)(noise(in) % 31u));
    }
    ecgqa_nn_few_prepare(&job);
    ecgqa_nn_few(&job, out, pixels[0], pixels[1]);
    for (uint32_t i = 0u; i < 2u * channels; ++i) {
        const uint32_t c = i % channels;
        int64_t sum = bias[c];
        for (uint32_t k = 0u; k < len; ++k) {
            const uint8_t w = weights[c / 2u * pair_bytes + 2u * k + c % 2u];
            sum += (pixels[i / channels][k] + 128) * (c % 2u != 0u ? (int8_t)w : w - 128);
        }
        const int64_t y = scaled(sum, multiplier_q31[c], (uint32_t)-shift[c]) + INT8_MIN;
        CHECK(out[i] == (y < INT8_MIN ? INT8_MIN : y > INT8_MAX ? INT8_MAX : y));
    }
    free(x);
    free(shift);
    free(out);
    free(weights);
    free(bias);
    free(multiplier_q31);
    free(job.prepared);
    free(job.patch);
}
#else
static void few(input_t *in)
{
    (void)in;
}
#endif

/* ---- the others ------------------------------------------------------------------------------ */

static void maximum(input_t *in)
{
    const uint32_t len = between(in, 0, MAX_LEN);
    int8_t *const a = bytes_of(in, len, 0), *const b = bytes_of(in, len, 64);
    int8_t *const apart = array(len), *const expected = array(len);
    int8_t *const places[] = {apart, a, b};
    int8_t *const to = places[next(in) % 3u];
    for (uint32_t i = 0u; i < len; ++i) {
        expected[i] = a[i] > b[i] ? a[i] : b[i];
    }
    ecgqa_nn_max(to, a, b, len);
    CHECK(memcmp(to, expected, len) == 0);
    free(a);
    free(b);
    free(apart);
    free(expected);
}

static void multiply_add(input_t *in)
{
    const uint32_t len = between(in, 0, MAX_LEN);
    int8_t *const x = bytes_of(in, len, 0), *const weights = bytes_of(in, len, 0);
    int32_t *const acc = sums_of(in, len), *const expected = array(len * sizeof *expected);
    for (uint32_t i = 0u; i < len; ++i) {
        expected[i] = acc[i] + x[i] * weights[i];
    }
    ecgqa_nn_multiply_add(acc, x, weights, len);
    CHECK(memcmp(acc, expected, len * sizeof *acc) == 0);
    free(x);
    free(weights);
    free(acc);
    free(expected);
}

static void start_sums(input_t *in)
{
    const uint32_t len = between(in, 1, MAX_LEN), pixels = between(in, 1, 2);
    int32_t *const bias = sums_of(in, len), *const acc = array(pixels * len * sizeof *acc);
    ecgqa_nn_start_sums(acc, bias, len, pixels);
    for (uint32_t p = 0u; p < pixels; ++p) {
        CHECK(memcmp(acc + p * len, bias, len * sizeof *bias) == 0);
    }
    free(bias);
    free(acc);
}

static void colours(input_t *in)
{
    const uint32_t channels = between(in, 1, 4), count = between(in, 0, MAX_LEN);
    const uint32_t plane = count + next(in) % 4u;
    int8_t *const lut_s8 = bytes_of(in, (size_t)256 * channels, 0);
    int8_t *const x = array((size_t)channels * plane), *const pixels = array(channels * count);
    uint8_t *const index = array(count);
    for (uint32_t i = 0u; i < count; ++i) {
        index[i] = (uint8_t)(noise(in) & 255u);
    }
    ecgqa_nn_colour_planes(x, index, count, lut_s8, channels, plane);
    ecgqa_nn_colour(pixels, index, count, lut_s8, channels);
    for (uint32_t i = 0u; i < count; ++i) {
        for (uint32_t c = 0u; c < channels; ++c) {
            CHECK(x[c * plane + i] == lut_s8[index[i] * channels + c]);
            CHECK(pixels[i * channels + c] == lut_s8[index[i] * channels + c]);
        }
    }
    free(lut_s8);
    free(x);
    free(pixels);
    free(index);
}

static void copy_runs(input_t *in)
{
    const uint32_t len = between(in, 0, 24), runs = between(in, 0, 8), step = len + next(in) % 9u;
    int8_t *const from = bytes_of(in, (size_t)runs * step, 0), *const to =
                                                                   array((size_t)runs * len);
    ecgqa_nn_copy_runs(to, from, len, runs, step);
    for (uint32_t run = 0u; run < runs; ++run) {
        CHECK(memcmp(to + run * len, from + run * step, len) == 0);
    }
    free(from);
    free(to);
}

static void softmax(input_t *in)
{
    const uint32_t len = between(in, 1, MAX_LOGITS), shift = between(in, 18, 26);
    const ecgqa_nn_softmax_t softmax = {(int32_t)(UINT32_C(1) << 30 | noise(in) << 14), shift,
                                        -(INT32_MAX >> shift), 0};
    int8_t *const logits = bytes_of(in, len, 0), *const scores = array(len);
    ecgqa_nn_softmax(scores, logits, len, &softmax);
    for (uint32_t i = 1u; i < len; ++i) {
        CHECK(logits[i] >= logits[0] ? scores[i] >= scores[0] : scores[i] <= scores[0]);
    }
    free(logits);
    free(scores);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static void (*const kernels[])(input_t *) = {
        dot, dot, few, requantise, maximum, multiply_add, start_sums, colours, copy_runs, softmax};
    input_t in = {data, len, 0};
    void (*const kernel)(input_t *) = kernels[next(&in) % (sizeof kernels / sizeof kernels[0])];
    in.noise = (next(&in) << 16 | next(&in)) + 1u;
    kernel(&in);
    return 0;
}
