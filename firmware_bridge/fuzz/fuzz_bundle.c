/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* A bundle that came over the air: any numbers in its structs.
 *
 * Invariants, for every input:
 *   1  ecgqa_init refuses the bundle (ERR_FORMAT, ERR_SPEC or, from the front end, ERR_ARGUMENT) or
 *      takes a workspace of ecgqa_workspace_bytes, allocated here to the byte.
 *   2  A bundle that is taken classifies a segment to the end: no access outside context, workspace
 *      and constants, no copy between buffers that overlap (AddressSanitizer), no undefined
 *      behaviour, sums that wrap among it (UBSan), no endless loop. What it decides means nothing.
 *   3  A bundle that is refused leaves the context as it was.
 *
 * The structs are sealed again (host/reseal.h): a digest guards against damage, not against who
 * makes another, so what lies behind it has to hold. Given, since a struct of C can't tell them:
 * the arrays are as long as the structs say, and sines, wavelet and taps are such. The self-test's
 * digests guard both. Inputs that are slow for their size are passed over. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../host/reseal.h"
#include "check.h"
#include "ecgqa_bundle.h"

enum {
    MAX_LAYERS = 16,
    MAX_ARRAYS = 128,
    MAX_ARRAY_BYTES = 1 << 20,
    MAX_INPUTS = 1 << 14,
    MAX_PIXELS = 1 << 20
};

static void *arrays[MAX_ARRAYS];
static size_t n_arrays;
static int too_large;

static uint8_t ramp[1021]; /* weights: any will do */

/* An array of exactly `n` items of `size` bytes, `from` repeated. */
static void *array(const void *from, size_t from_bytes, size_t n, size_t size)
{
    const size_t bytes = n * size;
    uint8_t *copy;
    if (bytes > MAX_ARRAY_BYTES || n_arrays == MAX_ARRAYS) {
        too_large = 1;
        return NULL;
    }
    copy = malloc(bytes > 0 ? bytes : 1);
    CHECK(copy != NULL);
    arrays[n_arrays++] = copy;
    for (size_t i = 0u; i < bytes; i += from_bytes) {
        memcpy(copy + i, from, bytes - i < from_bytes ? bytes - i : from_bytes);
    }
    return copy;
}

/* [n]: places below n, or (`wild`) a wrong one among them. */
static const uint16_t *places(const uint16_t *from, size_t from_n, size_t n, int wild)
{
    uint16_t *const place = array(from, 2 * from_n, n, 2);
    for (size_t i = 0u; !too_large && i < n; ++i) {
        place[i] = (uint16_t)(place[i] % n);
    }
    if (!too_large && wild && n != 0) {
        place[n / 2] = (uint16_t)n;
    }
    return place;
}

/* [n]: sin(pi / 2 * (from + i) / length), Q31. */
static const int32_t *sines(size_t n, size_t length, double from)
{
    int32_t *const sine = array("", 1, n, 4);
    const double quarter = length > 0 ? (double)length : 1;
    for (size_t i = 0u; !too_large && i < n; ++i) {
        const double q31 =
            rint(sin(1.5707963267948966 * (from + (double)i) / quarter) * 2147483648.0);
        sine[i] = q31 > 2147483647.0 ? INT32_MAX : (int32_t)q31;
    }
    return sine;
}

static void patch(void *structure, size_t bytes, const uint8_t *data)
{
    const size_t at = (size_t)(data[1] | data[2] << 8) % bytes;
    ((uint8_t *)structure)[at] = (uint8_t)(((uint8_t *)structure)[at] + data[3]);
}

/* The numbers of a struct. */
#define PATCH_NUMBERS(structure, data) \
    patch(&(structure), offsetof(__typeof__(structure), digest), (data))

static void copy_tables(ecgqa_cwt_tables_t *t, int wild)
{
    const ecgqa_cwt_tables_t *const was = ecgqa_bundle.cwt;
    const size_t log2_fft = t->max_log2_fft < 16 ? t->max_log2_fft : 16;
    const size_t quarter = ((size_t)2 << log2_fft) / 4, points = (size_t)1 << log2_fft;
    t->radices = array(was->radices, was->n_stages, t->n_stages, 1);
    t->forward_order =
        places(was->forward_order, was->forward_points, t->forward_points, wild == 1);
    t->quarter_sine_q31 = sines((size_t)t->segment_len + 1, t->segment_len, 0);
    t->twiddle_cos_q31 = sines(3 * quarter, quarter, (double)quarter);
    t->twiddle_sin_q31 = sines(3 * quarter, quarter, 2.0 * (double)quarter);
    t->bit_reversal = places(was->bit_reversal, (size_t)1 << was->max_log2_fft, points, wild == 2);
    t->taps_q14 = array(was->taps_q14, (size_t)16 * was->cols, (size_t)8 * t->cols, 2);
}

static size_t even(size_t n)
{
    return (n + 1) / 2 * 2;
}

static void copy_layer(ecgqa_nn_layer_t *l, const ecgqa_nn_layer_t *was)
{
    const size_t channels = even(l->out.channels), had = even(was->out.channels);
    const int depthwise = l->kind == ECGQA_NN_DEPTHWISE_CONV_2D;
    const size_t weights = depthwise
                               ? (size_t)l->kernel.rows * l->kernel.cols * l->out.channels
                               : channels * l->runs * even(l->run_len) + ECGQA_NN_WEIGHTS_TAIL;
    if ((size_t)l->runs * l->run_len > MAX_INPUTS ||
        (size_t)l->kernel.rows * l->kernel.cols > MAX_INPUTS ||
        (size_t)l->in.rows * l->in.cols > MAX_PIXELS) {
        too_large = 1;
        return;
    }
    if (was->bias == NULL) { /* pooling: a kind that needs constants is refused for want of them */
        return;
    }
    l->bias = array(l->bias, 4 * had, channels, 4);
    l->multiplier_q31 = array(l->multiplier_q31, 4 * had, channels, 4);
    l->shift = array(l->shift, had, channels, 1);
    if (was->weights != NULL) {
        l->weights = array(ramp, sizeof ramp, weights, 1);
    }
}

static void run(const ecgqa_bundle_t *bundle)
{
    const size_t bytes = ecgqa_workspace_bytes(bundle);
    const size_t segment_len = bundle->cwt->segment_len;
    static int16_t samples[65536];
    ecgqa_t ctx, before;
    ecgqa_decision_t decision;
    ecgqa_event_t event;
    ecgqa_status_t status;
    void *workspace = NULL;
    size_t taken;
    if (bytes > (size_t)1 << 22) {
        return; /* larger than any device, and slow */
    }
    for (size_t i = 0u; i < segment_len; ++i) {
        samples[i] = (int16_t)(i * i * 31 + i % 7 * 999);
    }
    CHECK(posix_memalign(&workspace, ECGQA_ALIGN, bytes + (bytes == 0)) == 0);
    memset(&ctx, 0x5A, sizeof ctx);
    before = ctx;
    status = ecgqa_init(&ctx, bundle, workspace, bytes);
    if (status == ECGQA_OK) {
        CHECK(bytes != 0);
        CHECK(ecgqa_push(&ctx, samples, segment_len, &taken, &event) == ECGQA_OK);
        CHECK(taken == segment_len && event == ECGQA_EVENT_SEGMENT);
        CHECK(ecgqa_classify(&ctx, &decision) == ECGQA_OK);
    } else {
        CHECK(status == ECGQA_ERR_FORMAT || status == ECGQA_ERR_SPEC ||
              status == ECGQA_ERR_ARGUMENT);
        CHECK(memcmp(&ctx, &before, sizeof ctx) == 0);
    }
    free(workspace);
}

/* Constants of a layer, one byte of them changed. */
static void patch_constants(ecgqa_nn_layer_t *layer, size_t which, const uint8_t *data)
{
    static int32_t multiplier[4096], bias[4096];
    static int8_t shift[4096];
    const ecgqa_nn_layer_t *const was = &ecgqa_bundle.model->layers[which];
    const size_t channels = even(was->out.channels);
    if (layer->shift == NULL || channels > sizeof shift) {
        return;
    }
    memcpy(shift, was->shift, channels);
    memcpy(multiplier, was->multiplier_q31, 4 * channels);
    memcpy(bias, was->bias, 4 * channels);
    if (data[3] % 4 == 0) {
        patch(shift, channels, data);
    } else if (data[3] % 4 == 1) {
        patch(multiplier, 4 * channels, data);
    } else {
        patch(bias, 4 * channels, data);
    }
    layer->shift = shift;
    layer->multiplier_q31 = multiplier;
    layer->bias = bias;
}

/* A bundle of which every part is a copy. */
typedef struct {
    ecgqa_bundle_t bundle;
    ecgqa_cwt_tables_t tables;
    ecgqa_nn_model_t model;
    ecgqa_nn_softmax_t softmax;
    ecgqa_nn_layer_t layers[MAX_LAYERS];
    int wild; /* an index table with a wrong entry */
} copy_t;

static ecgqa_cwt_row_t rows[65536];

static void start(copy_t *c)
{
    c->bundle = ecgqa_bundle;
    c->tables = *ecgqa_bundle.cwt;
    c->model = *ecgqa_bundle.model;
    c->softmax = *c->model.softmax;
    c->wild = 0;
    memcpy(rows, c->tables.row, c->tables.rows * sizeof rows[0]);
    memcpy(c->layers, c->model.layers, c->model.n_layers * sizeof c->layers[0]);
    for (size_t i = 0u; i < sizeof ramp; ++i) {
        ramp[i] = (uint8_t)(i * 7);
    }
    n_arrays = 0;
    too_large = 0;
}

static void change(copy_t *c, const uint8_t *data)
{
    const size_t which = data[0] / 8 % ecgqa_bundle.model->n_layers;
    ecgqa_nn_layer_t *const layer = &c->layers[which];
    const size_t plan_at = offsetof(ecgqa_nn_layer_t, runs);
    switch (data[0] % 8) {
    case 0:
        PATCH_NUMBERS(c->bundle, data);
        break;
    case 1:
        c->wild = data[3] % 16; /* of which two mean something */
        PATCH_NUMBERS(c->tables, data);
        break;
    case 2:
        patch(rows, ecgqa_bundle.cwt->rows * sizeof rows[0], data);
        break;
    case 3:
        PATCH_NUMBERS(c->model, data);
        break;
    case 4:
        PATCH_NUMBERS(*layer, data);
        break;
    case 5:
        patch((uint8_t *)layer + plan_at, offsetof(ecgqa_nn_layer_t, digest) - plan_at, data);
        break;
    case 6:
        PATCH_NUMBERS(c->softmax, data);
        break;
    default:
        patch_constants(layer, which, data);
        break;
    }
}

/* Arrays as long as the structs say, and seals. */
static void finish(copy_t *c)
{
    const size_t n_layers = ecgqa_bundle.model->n_layers;
    for (size_t i = ecgqa_bundle.cwt->rows; i < c->tables.rows; ++i) {
        rows[i] = ecgqa_bundle.cwt->row[i % ecgqa_bundle.cwt->rows];
    }
    c->tables.row = rows;
    if (memcmp(&c->tables, ecgqa_bundle.cwt, offsetof(ecgqa_cwt_tables_t, digest)) != 0) {
        copy_tables(&c->tables, c->wild);
    }
    for (size_t i = 0u; i < n_layers; ++i) { /* what is as it was has its arrays already */
        if (memcmp(&c->layers[i], &ecgqa_bundle.model->layers[i], sizeof c->layers[i]) != 0) {
            copy_layer(&c->layers[i], &ecgqa_bundle.model->layers[i]);
        }
        ecgqa_reseal(ECGQA_SEAL_LAYER(&c->layers[i]));
    }
    if (c->model.n_layers > n_layers) {
        c->model.n_layers = (uint16_t)n_layers; /* the array is as long as the struct says */
    }
    c->model.layers = c->layers;
    c->model.softmax = &c->softmax;
    c->model.lut_s8 = array(c->model.lut_s8, (size_t)256 * ecgqa_bundle.model->channels,
                            (size_t)256 * c->model.channels, 1);
    c->bundle.cwt = &c->tables;
    c->bundle.model = &c->model;
    ecgqa_reseal(ECGQA_SEAL_SOFTMAX(&c->softmax));
    ecgqa_reseal(ECGQA_SEAL_MODEL(&c->model));
    ecgqa_reseal(ECGQA_SEAL_CWT(&c->tables));
    ecgqa_reseal(ECGQA_SEAL_BUNDLE(&c->bundle));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static copy_t copy;
    if (size > 4 * 64) {
        return 0;
    }
    start(&copy);
    for (size_t at = 0u; at + 4 <= size; at += 4) {
        change(&copy, data + at);
    }
    finish(&copy);
    if (!too_large) {
        run(&copy.bundle);
    }
    while (n_arrays > 0) {
        free(arrays[--n_arrays]);
    }
    return 0;
}
