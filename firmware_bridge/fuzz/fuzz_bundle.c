/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* A bundle that came over the air: any numbers in its structs.
 *
 * Invariants, for every input:
 *   1  ecgqa_init refuses the bundle (ERR_FORMAT, ERR_SPEC or, from the front end, ERR_ARGUMENT) or
 *      takes a workspace of ecgqa_workspace_bytes, allocated here to the byte.
 *   2  A bundle that is taken classifies a segment to the end: no access outside context, workspace
 *      and constants (AddressSanitizer), no undefined behaviour (UBSan) but sums that wrap and
 *      copies between buffers that the plan lays over each other, no endless loop. What it decides
 *      means nothing.
 *   3  A bundle that is refused leaves the context as it was.
 *
 * Given, since a struct of C can't tell them: the arrays are as long as the structs say, and index
 * tables (forward_order, bit_reversal) hold indices below their length. Not given: that
 * accumulators stay below 2^30, which the exporter asserts of the bundles it writes. The
 * self-test's digests guard all three. Inputs that are slow for their size are passed over. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ecgqa_bundle.h"

#define CHECK(condition)      \
    do {                      \
        if (!(condition)) {   \
            __builtin_trap(); \
        }                     \
    } while (0)

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

/* An array of exactly `n` items of `size` bytes, `from` repeated; `limit` bounds each uint16. */
static const void *array(const void *from, size_t from_bytes, size_t n, size_t size, size_t limit)
{
    const size_t bytes = n * size;
    uint8_t *copy;
    if (bytes > MAX_ARRAY_BYTES || n_arrays == MAX_ARRAYS) {
        too_large = 1;
        return from;
    }
    copy = malloc(bytes > 0 ? bytes : 1);
    CHECK(copy != NULL);
    arrays[n_arrays++] = copy;
    for (size_t i = 0u; i < bytes; i += from_bytes) {
        memcpy(copy + i, from, bytes - i < from_bytes ? bytes - i : from_bytes);
    }
    for (size_t i = 0u; limit > 0 && i < n; ++i) {
        uint16_t *index = (uint16_t *)(void *)copy + i;
        *index = (uint16_t)(*index % limit);
    }
    return copy;
}

static void patch(void *structure, size_t bytes, const uint8_t *data)
{
    const size_t at = (size_t)(data[1] | data[2] << 8) % bytes;
    ((uint8_t *)structure)[at] = (uint8_t)(((uint8_t *)structure)[at] + data[3]);
}

/* The scalars of a struct that also has pointers: patched, then the pointers put back. */
#define PATCH_SCALARS(structure, first_pointer, data) \
    patch(&(structure), offsetof(__typeof__(structure), first_pointer), (data))

static void copy_tables(ecgqa_cwt_tables_t *t)
{
    const ecgqa_cwt_tables_t *const was = ecgqa_bundle.cwt;
    const size_t circle = ((size_t)2 << was->max_log2_fft) / 4 * 3;
    const size_t log2_fft = t->max_log2_fft < 16 ? t->max_log2_fft : 16;
    t->radices = array(was->radices, was->n_stages, t->n_stages, 1, 0);
    t->forward_order = array(was->forward_order, 2u * was->forward_points, t->forward_points, 2,
                             t->forward_points);
    t->quarter_sine_q31 =
        array(was->quarter_sine_q31, 4u * was->segment_len, (size_t)t->segment_len + 1, 4, 0);
    t->twiddle_cos_q31 =
        array(was->twiddle_cos_q31, 4 * circle, ((size_t)2 << log2_fft) / 4 * 3, 4, 0);
    t->twiddle_sin_q31 =
        array(was->twiddle_sin_q31, 4 * circle, ((size_t)2 << log2_fft) / 4 * 3, 4, 0);
    t->bit_reversal = array(was->bit_reversal, (size_t)2 << was->max_log2_fft,
                            (size_t)1 << log2_fft, 2, (size_t)1 << log2_fft);
    t->taps_q14 = array(was->taps_q14, (size_t)16 * was->cols, (size_t)8 * t->cols, 2, 0);
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
    l->bias = array(was->bias, 4 * had, channels, 4, 0);
    l->multiplier_q31 = array(l->multiplier_q31, 4 * had, channels, 4, 0);
    l->shift = array(l->shift, had, channels, 1, 0);
    if (was->weights != NULL) {
        l->weights = array(ramp, sizeof ramp, weights, 1, 0);
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static ecgqa_cwt_row_t rows[65536];
    static int32_t multiplier[4096];
    static int8_t shift[4096];
    ecgqa_nn_layer_t layers[MAX_LAYERS];
    ecgqa_bundle_t bundle = ecgqa_bundle;
    ecgqa_cwt_tables_t tables = *bundle.cwt;
    ecgqa_nn_model_t model = *bundle.model;
    ecgqa_nn_softmax_t softmax = *model.softmax;
    const size_t n_layers = model.n_layers;
    if (size > 4 * 64) {
        return 0;
    }
    memcpy(rows, tables.row, tables.rows * sizeof rows[0]);
    memcpy(layers, model.layers, n_layers * sizeof layers[0]);
    for (size_t at = 0u; at + 4 <= size; at += 4) {
        const size_t which = data[at] / 8 % n_layers;
        ecgqa_nn_layer_t *const layer = &layers[which];
        switch (data[at] % 8) {
        case 0:
            PATCH_SCALARS(bundle, cwt, data + at);
            break;
        case 1:
            PATCH_SCALARS(tables, radices, data + at);
            break;
        case 2:
            patch(rows, bundle.cwt->rows * sizeof rows[0], data + at);
            break;
        case 3:
            PATCH_SCALARS(model, lut_s8, data + at);
            break;
        case 4:
            PATCH_SCALARS(*layer, weights, data + at);
            break;
        case 5: /* the plan's part, behind the pointers */
            patch((uint8_t *)layer + offsetof(ecgqa_nn_layer_t, runs),
                  sizeof *layer - offsetof(ecgqa_nn_layer_t, runs), data + at);
            break;
        case 6:
            patch(&softmax, sizeof softmax, data + at);
            break;
        default:
            if (layer->shift != NULL && layer->out.channels < sizeof shift) {
                const size_t channels = even(bundle.model->layers[which].out.channels);
                memcpy(shift, bundle.model->layers[which].shift, channels);
                memcpy(multiplier, bundle.model->layers[which].multiplier_q31, 4 * channels);
                patch(data[at + 3] % 2 ? (void *)shift : (void *)multiplier,
                      data[at + 3] % 2 ? channels : 4 * channels, data + at);
                layer->shift = shift;
                layer->multiplier_q31 = multiplier;
            }
            break;
        }
    }
    for (size_t i = 0u; i < sizeof ramp; ++i) {
        ramp[i] = (uint8_t)(i * 7);
    }
    n_arrays = 0;
    too_large = 0;
    for (size_t i = bundle.cwt->rows; i < tables.rows; ++i) {
        rows[i] = bundle.cwt->row[i % bundle.cwt->rows];
    }
    tables.row = rows;
    if (memcmp(&tables, ecgqa_bundle.cwt, offsetof(ecgqa_cwt_tables_t, radices)) != 0) {
        copy_tables(&tables);
    }
    for (size_t i = 0u; i < n_layers; ++i) { /* what is as it was has its arrays already */
        if (memcmp(&layers[i], &bundle.model->layers[i], sizeof layers[i]) != 0) {
            copy_layer(&layers[i], &bundle.model->layers[i]);
        }
    }
    if (model.n_layers > n_layers) {
        model.n_layers = (uint16_t)n_layers; /* the array is as long as the struct says */
    }
    model.layers = layers;
    model.softmax = &softmax;
    model.lut_s8 = array(model.lut_s8, (size_t)256 * ecgqa_bundle.model->channels,
                         (size_t)256 * model.channels, 1, 0);
    bundle.cwt = &tables;
    bundle.model = &model;
    if (!too_large) {
        run(&bundle);
    }
    while (n_arrays > 0) {
        free(arrays[--n_arrays]);
    }
    return 0;
}
