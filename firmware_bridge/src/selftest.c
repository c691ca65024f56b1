/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
#include "ecgqa/ecgqa.h"

#include <string.h>

#include "seal.h"
#include "work.h"

static uint32_t digest_of(const void *data, size_t len)
{
    return ecgqa_digest_more(ECGQA_DIGEST_START, data, len);
}

static int differs(ecgqa_divergence_t *first, ecgqa_stage_t stage, size_t layer, size_t row)
{
    first->stage = (uint8_t)stage;
    first->layer = (uint16_t)layer;
    first->row = (uint16_t)row;
    first->index = ECGQA_INDEX_UNKNOWN;
    return 1;
}

/* ---- constants ------------------------------------------------------------------------------- */

static uint32_t table_digest(const ecgqa_cwt_tables_t *t, ecgqa_table_t table)
{
    const size_t quarter = (size_t)t->segment_len + 1u;
    const size_t circle = ((size_t)2u << t->max_log2_fft) / 4u * 3u;
    switch (table) {
    case ECGQA_TABLE_RADICES:
        return digest_of(t->radices, t->n_stages);
    case ECGQA_TABLE_FORWARD_ORDER:
        return digest_of(t->forward_order, t->forward_points * sizeof *t->forward_order);
    case ECGQA_TABLE_QUARTER_SINE:
        return digest_of(t->quarter_sine_q31, quarter * sizeof *t->quarter_sine_q31);
    case ECGQA_TABLE_TWIDDLE_COS:
        return digest_of(t->twiddle_cos_q31, circle * sizeof *t->twiddle_cos_q31);
    case ECGQA_TABLE_TWIDDLE_SIN:
        return digest_of(t->twiddle_sin_q31, circle * sizeof *t->twiddle_sin_q31);
    case ECGQA_TABLE_BIT_REVERSAL:
        return digest_of(t->bit_reversal, sizeof *t->bit_reversal << t->max_log2_fft);
    case ECGQA_TABLE_PSI:
        return digest_of(t->psi_q15, (ECGQA_CWT_PSI_LEN + 1u) * sizeof *t->psi_q15);
    case ECGQA_TABLE_TAPS:
        return digest_of(t->taps_q14, (size_t)t->cols * ECGQA_CWT_TAPS * sizeof *t->taps_q14);
    default:
        return digest_of(t->row, t->rows * sizeof *t->row);
    }
}

static size_t no_weights_bytes(const ecgqa_nn_layer_t *layer)
{
    (void)layer;
    return 0u;
}

static size_t plain_weights_bytes(const ecgqa_nn_layer_t *layer)
{
    return (size_t)layer->kernel.rows * layer->kernel.cols * layer->out.channels;
}

static size_t packed_weights_bytes(const ecgqa_nn_layer_t *layer)
{
    const size_t even = (layer->out.channels + (size_t)1u) / 2u * 2u;
    const size_t run = (layer->run_len + (size_t)1u) / 2u * 2u;
    return even * layer->runs * run + ECGQA_NN_WEIGHTS_TAIL;
}

static uint32_t layer_digest(const ecgqa_nn_layer_t *layer)
{
    const size_t even = (layer->out.channels + (size_t)1u) / 2u * 2u;
    size_t bytes = 0u;
    size_t scales = 0u; /* one an output channel */
    switch (layer->kind) {
#define ECGQA_NN_KIND_CASE(name, kernel, accumulates, weights, scaled) \
    case ECGQA_NN_##name:                                              \
        bytes = weights##_weights_bytes(layer);                        \
        scales = (scaled) ? even : 0u;                                 \
        break;
        ECGQA_NN_KIND_LIST(ECGQA_NN_KIND_CASE)
#undef ECGQA_NN_KIND_CASE
    default:
        return 0u; /* ecgqa_nn_init refuses it, so a constant has changed since */
    }
    uint32_t digest = digest_of(layer->weights, bytes);
    digest = ecgqa_digest_more(digest, layer->bias, scales * sizeof *layer->bias);
    digest =
        ecgqa_digest_more(digest, layer->multiplier_q31, scales * sizeof *layer->multiplier_q31);
    return ecgqa_digest_more(digest, layer->shift, scales * sizeof *layer->shift);
}

static int constants_differ(const ecgqa_bundle_t *bundle, ecgqa_divergence_t *first)
{
    const ecgqa_nn_model_t *const model = bundle->model;
    const uint32_t *expected = bundle->golden->digests;
    for (int table = 0; table < ECGQA_TABLES; ++table) {
        if (table_digest(bundle->cwt, (ecgqa_table_t)table) != *expected++) {
            return differs(first, ECGQA_STAGE_TABLES, 0, (size_t)table);
        }
    }
    if (digest_of(model->lut_s8, (size_t)256u * model->channels) != *expected++) {
        return differs(first, ECGQA_STAGE_LUT, 0, 0);
    }
    for (size_t layer = 0u; layer < model->n_layers; ++layer) {
        if (layer_digest(&model->layers[layer]) != *expected++) {
            return differs(first, ECGQA_STAGE_LAYER_CONSTANTS, layer, 0);
        }
    }
    if (digest_of(bundle->golden->samples, bundle->cwt->segment_len * sizeof(int16_t)) !=
        bundle->golden->samples_digest) {
        return differs(first, ECGQA_STAGE_GOLDEN, 0, 0);
    }
    return 0;
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* Number of a row's digest and position of its bytes, counted from the first index row. */
typedef struct {
    size_t row;
    size_t byte;
} place_t;

static place_t place_of(const ecgqa_nn_model_t *model, const ecgqa_work_t *did)
{
    place_t place = {did->row, (size_t)did->row * did->len};
    if (did->kind == ECGQA_WORK_INDEX_ROW) {
        return place;
    }
    place.row += model->rows;
    place.byte += (size_t)model->rows * model->cols;
    for (size_t layer = 0u; layer < did->layer; ++layer) {
        const ecgqa_nn_shape_t *const out = &model->layers[layer].pooled;
        place.row += out->rows;
        place.byte += (size_t)out->rows * out->cols * out->channels;
    }
    return place;
}

static int row_differs(const ecgqa_bundle_t *bundle, const ecgqa_work_t *did,
                       ecgqa_divergence_t *first)
{
    const ecgqa_nn_model_t *const model = bundle->model;
    const ecgqa_golden_t *const golden = bundle->golden;
    const size_t n_constants = (size_t)ECGQA_TABLES + 1u + model->n_layers;
    const place_t place = place_of(model, did);
    ecgqa_stage_t stage = ECGQA_STAGE_LAYER_ROWS;
    if (digest_of(did->data, did->len) == golden->digests[n_constants + place.row]) {
        return 0;
    }
    if (did->kind == ECGQA_WORK_INDEX_ROW) {
        stage = ECGQA_STAGE_INDEX_ROWS;
    } else if (did->kind == ECGQA_WORK_SCORES) {
        stage = ECGQA_STAGE_SCORES;
    } else if (did->layer + 1u == model->n_layers) {
        stage = ECGQA_STAGE_LOGITS;
    }
    (void)differs(first, stage, did->layer, did->row);
    if (golden->bytes != NULL) {
        for (size_t i = did->len; i-- > 0u;) {
            if (did->data[i] != golden->bytes[place.byte + i]) {
                first->index = (uint32_t)i;
            }
        }
    }
    return 1;
}

/* ---- what the signal shows ------------------------------------------------------------------- */

/* Arcs of parabolas, up and down in turn, `half` samples each: a pulse wave. */
static int16_t pulse_at(uint32_t i, uint32_t half)
{
    const uint32_t u = i % half;
    const int32_t arc = (int32_t)(u * (half - u) * 60000u / (half * half)); /* half <= 512 */
    return (int16_t)((i / half & 1u) == 0u ? arc : -arc);
}

/* A golden segment altered so that it must be refused: held from a quarter on for 1.5 s, with all
 * but its middle half second on one of two rails, or a pulse wave in its place. */
static int signal_differs(ecgqa_t *ctx, ecgqa_reason_t expected, ecgqa_divergence_t *first)
{
    const ecgqa_cwt_tables_t *const cwt = ctx->bundle->cwt;
    const uint32_t n = cwt->segment_len;
    const uint32_t held = 1500u * n / cwt->segment_ms, rails = 500u * n / cwt->segment_ms;
    ecgqa_work_t did;
    size_t n_consumed;
    ecgqa_event_t event;
    (void)ecgqa_push(ctx, ctx->bundle->golden->samples, n, &n_consumed, &event);
    for (uint32_t i = 0u; i < n; ++i) {
        if (expected == ECGQA_REASON_HELD && i >= n / 4u && i < n / 4u + held) {
            ctx->samples[i] = ctx->samples[n / 4u];
        } else if (expected == ECGQA_REASON_CLIPPED && (i < n / 2u || i >= n / 2u + rails)) {
            ctx->samples[i] = (i & 64u) == 0u ? INT16_MIN : INT16_MAX;
        } else if (expected == ECGQA_REASON_SMOOTH) {
            ctx->samples[i] = pulse_at(i, rails);
        } else if (expected == ECGQA_REASON_FLAT) {
            ctx->samples[i] = 0;
        }
    }
    const ecgqa_status_t status = ecgqa_work(ctx, &did);
    const int wrong = status != ECGQA_OK || did.reason != expected;
    (void)ecgqa_reset(ctx);
    return wrong && differs(first, ECGQA_STAGE_SIGNAL, 0, (size_t)expected);
}

ecgqa_status_t ecgqa_selftest(ecgqa_t *ctx, ecgqa_divergence_t *first)
{
    if (ctx == NULL || ctx->bundle == NULL) {
        return ECGQA_ERR_ARGUMENT;
    }
    if (ctx->bundle->golden == NULL) {
        return ECGQA_ERR_NOT_READY;
    }
    if (ctx->scratch != NULL && ctx->scratch->user != NULL && ctx->scratch->user != ctx) {
        return ECGQA_ERR_NOT_READY; /* another lead is under way */
    }
    ecgqa_divergence_t unread = {0, 0, 0, 0};
    ecgqa_divergence_t *const at = first != NULL ? first : &unread;
    (void)ecgqa_reset(ctx);
    if (constants_differ(ctx->bundle, at)) {
        return ECGQA_ERR_SELFTEST;
    }
    if (signal_differs(ctx, ECGQA_REASON_FLAT, at) ||
        (ctx->bundle->cwt->segment_ms > 2000u && (signal_differs(ctx, ECGQA_REASON_HELD, at) ||
                                                  signal_differs(ctx, ECGQA_REASON_SMOOTH, at))) ||
        signal_differs(ctx, ECGQA_REASON_CLIPPED, at)) {
        return ECGQA_ERR_SELFTEST;
    }
    const size_t segment_len = ctx->bundle->cwt->segment_len;
    size_t n_consumed;
    ecgqa_event_t event;
    (void)ecgqa_push(ctx, ctx->bundle->golden->samples, segment_len, &n_consumed, &event);
    ecgqa_work_t did;
    ecgqa_status_t status;
    do {
        status = ecgqa_work(ctx, &did);
        if (status == ECGQA_OK && did.data != NULL && row_differs(ctx->bundle, &did, at)) {
            status = ECGQA_ERR_SELFTEST;
        }
    } while (status == ECGQA_OK && did.kind < ECGQA_WORK_SCORES);
    (void)ecgqa_reset(ctx);
    return status;
}
