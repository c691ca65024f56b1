/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
#include "ecgqa/ecgqa.h"

#include <string.h>

#include "cwt_internal.h"
#include "lost.h"
#include "seal.h"
#include "work.h"

enum { PHASE_COLLECT = 0, PHASE_ANALYSE, PHASE_SCAN, PHASE_ROWS };

/* More than any device has; sums of sizes below it can't overflow. */
#define MAX_NETWORK_BYTES (UINT32_C(1) << 28)

/* Where things lie in the workspace, bytes from its start:
 *
 *   keep       the front end's spectrum: from the forward transform to the last row
 *   scratch    of the front end, between the network's steps: over the part of the network's
 *              memory that holds nothing then, as far as it goes
 *   network
 *   samples    behind the forward transform's scratch. Either over the network, which starts
 *              when the samples have become a spectrum, or behind it */
typedef struct {
    size_t scratch_at, scratch_bytes, network_at, network_bytes, samples_at, bytes;
} layout_t;

static size_t aligned(size_t bytes)
{
    return (bytes + ECGQA_ALIGN - 1u) / ECGQA_ALIGN * ECGQA_ALIGN;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* The bundle's own numbers, what leads to its other structs, and those that are laid out by. */
static int is_sealed(const ecgqa_bundle_t *bundle)
{
    return ecgqa_is_sealed(ECGQA_SEAL_BUNDLE(bundle)) &&
           (bundle->golden == NULL || ecgqa_is_sealed(ECGQA_SEAL_GOLDEN(bundle->golden))) &&
           (bundle->model->format != ECGQA_NN_FORMAT ||
            ecgqa_is_sealed(ECGQA_SEAL_MODEL(bundle->model)));
}

static ecgqa_status_t lay_out(const ecgqa_bundle_t *bundle, layout_t *at)
{
    if (bundle == NULL) {
        return ECGQA_ERR_ARGUMENT;
    }
    const ecgqa_cwt_tables_t *cwt = bundle->cwt;
    const ecgqa_nn_model_t *model = bundle->model;
    if (bundle->format != ECGQA_BUNDLE_FORMAT || cwt == NULL || model == NULL) {
        return ECGQA_ERR_FORMAT;
    }
    if (!is_sealed(bundle)) {
        return ECGQA_ERR_DAMAGED;
    }
    ecgqa_cwt_bytes_t cwt_bytes;
    const ecgqa_status_t status = ecgqa_cwt_bytes(cwt, &cwt_bytes);
    if (status == ECGQA_ERR_DAMAGED) {
        return status;
    }
    at->network_bytes = ecgqa_nn_workspace_bytes(model);
    if (status != ECGQA_OK || at->network_bytes == 0u || at->network_bytes > MAX_NETWORK_BYTES ||
        model->classes <= (uint32_t)ECGQA_QUALITY_HIGH || model->rows != cwt->rows ||
        model->cols != cwt->cols || bundle->hop_len == 0u || bundle->hop_len > cwt->segment_len ||
        bundle->collect_while_classifying > 1u ||
        (bundle->collect_while_classifying == 0u && bundle->hop_len != cwt->segment_len)) {
        return ECGQA_ERR_FORMAT;
    }
    if (model->spec_hash != cwt->spec_hash) {
        return ECGQA_ERR_SPEC;
    }
    const size_t row_bytes = cwt_bytes.row_scratch;
    at->scratch_at = aligned(cwt_bytes.keep);
    at->scratch_bytes = larger(cwt_bytes.analyse_scratch, row_bytes);
    at->network_at = at->scratch_at;
    if (model->idle_bytes >= row_bytes) {
        at->scratch_at += model->idle_at;
    } else {
        const size_t shared = model->idle_at == 0u ? model->idle_bytes : 0u;
        at->network_at += aligned(row_bytes - shared);
    }
    at->samples_at = at->scratch_at + aligned(cwt_bytes.analyse_scratch);
    at->bytes = larger(at->scratch_at + at->scratch_bytes, at->network_at + at->network_bytes);
    if (bundle->collect_while_classifying != 0u) {
        at->samples_at = aligned(at->bytes);
    }
    at->bytes = aligned(larger(at->bytes, at->samples_at + cwt->segment_len * sizeof(int16_t)));
    return ECGQA_OK;
}

size_t ecgqa_workspace_bytes(const ecgqa_bundle_t *bundle)
{
    layout_t at;
    return lay_out(bundle, &at) == ECGQA_OK ? at.bytes : 0u;
}

size_t ecgqa_scratch_bytes(const ecgqa_bundle_t *bundle)
{
    layout_t at;
    const int apart = lay_out(bundle, &at) == ECGQA_OK && bundle->collect_while_classifying != 0u;
    return apart ? at.samples_at : 0u;
}

/* Nothing is under way any more; another lead may use the memory. */
static void end_segment(ecgqa_t *ctx)
{
    ctx->phase = PHASE_COLLECT;
    ctx->row_waits = 0;
    if (ctx->scratch != NULL && ctx->scratch->user == ctx) {
        ctx->scratch->user = NULL;
    }
}

/* 0: another lead uses the memory. */
static int take_scratch(ecgqa_t *ctx)
{
    if (ctx->scratch != NULL) {
        if (ctx->scratch->user != NULL && ctx->scratch->user != ctx) {
            return 0;
        }
        ctx->scratch->user = ctx;
    }
    return 1;
}

static void forget(ecgqa_t *ctx)
{
    end_segment(ctx);
    ctx->n_samples = 0;
    ctx->scan_row = 0;
    ctx->gap_end = 0;
    ctx->segment = 0;
}

static ecgqa_status_t attach(ecgqa_t *ctx, const ecgqa_bundle_t *bundle, const layout_t *at,
                             uint8_t *memory, int16_t *samples, ecgqa_scratch_t *scratch)
{
    ecgqa_t fresh;
    const ecgqa_status_t status =
        ecgqa_nn_init(&fresh.net, bundle->model, memory + at->network_at, at->network_bytes);
    if (status != ECGQA_OK) {
        return status;
    }
    ecgqa_cwt_attach(&fresh.cwt, bundle->cwt, memory, memory + at->scratch_at);
    fresh.bundle = bundle;
    fresh.scratch = scratch;
    fresh.samples = samples;
    forget(&fresh);
    *ctx = fresh;
    return ECGQA_OK;
}

ecgqa_status_t ecgqa_init(ecgqa_t *ctx, const ecgqa_bundle_t *bundle, void *workspace, size_t bytes)
{
    if (ctx == NULL || workspace == NULL || (uintptr_t)workspace % ECGQA_ALIGN != 0u) {
        return ECGQA_ERR_ARGUMENT;
    }
    layout_t at;
    const ecgqa_status_t status = lay_out(bundle, &at);
    if (status != ECGQA_OK) {
        return status;
    }
    if (bytes < at.bytes) {
        return ECGQA_ERR_WORKSPACE;
    }
    uint8_t *const memory = workspace;
    return attach(ctx, bundle, &at, memory, (int16_t *)(void *)(memory + at.samples_at), NULL);
}

ecgqa_status_t ecgqa_init_lead(ecgqa_t *ctx, const ecgqa_bundle_t *bundle, int16_t *samples,
                               ecgqa_scratch_t *scratch)
{
    if (ctx == NULL || samples == NULL || scratch == NULL || scratch->memory == NULL ||
        (uintptr_t)scratch->memory % ECGQA_ALIGN != 0u) {
        return ECGQA_ERR_ARGUMENT;
    }
    layout_t at;
    const ecgqa_status_t status = lay_out(bundle, &at);
    if (status != ECGQA_OK) {
        return status;
    }
    if (bundle->collect_while_classifying == 0u || scratch->bytes < at.samples_at) {
        return ECGQA_ERR_WORKSPACE;
    }
    if (scratch->user != NULL) {
        return ECGQA_ERR_NOT_READY;
    }
    return attach(ctx, bundle, &at, scratch->memory, samples, scratch);
}

ecgqa_status_t ecgqa_reset(ecgqa_t *ctx)
{
    if (ctx == NULL || ctx->bundle == NULL) {
        return ECGQA_ERR_ARGUMENT;
    }
    forget(ctx);
    return ECGQA_OK;
}

/* Take up to n samples; NULL: they are missing. */
static void take_samples(ecgqa_t *ctx, const int16_t *samples, size_t n, size_t *n_consumed,
                         ecgqa_event_t *event)
{
    *n_consumed = 0;
    *event = ECGQA_EVENT_NONE;
    if (ctx->phase != PHASE_COLLECT && ctx->bundle->collect_while_classifying == 0u) {
        return;
    }
    const size_t room = (size_t)ctx->bundle->cwt->segment_len - ctx->n_samples;
    *n_consumed = n < room ? n : room;
    int16_t *const to = ctx->samples + ctx->n_samples;
    for (size_t i = 0u; i < *n_consumed; ++i) {
        to[i] = samples == NULL ? 0 : samples[i];
    }
    ctx->n_samples = (uint16_t)(ctx->n_samples + *n_consumed);
    if (samples == NULL && *n_consumed != 0u) {
        ctx->gap_end = ctx->n_samples;
    }
    if (*n_consumed == room && ctx->phase != PHASE_ANALYSE) {
        *event = ECGQA_EVENT_SEGMENT;
    }
}

ecgqa_status_t ecgqa_push(ecgqa_t *ctx, const int16_t *samples, size_t n, size_t *n_consumed,
                          ecgqa_event_t *event)
{
    static const int16_t none = 0;
    if (ctx == NULL || ctx->bundle == NULL || (samples == NULL && n != 0u) || n_consumed == NULL ||
        event == NULL) {
        return ECGQA_ERR_ARGUMENT;
    }
    take_samples(ctx, samples == NULL ? &none : samples, n, n_consumed, event);
    return ECGQA_OK;
}

ecgqa_status_t ecgqa_push_missing(ecgqa_t *ctx, size_t n, size_t *n_consumed, ecgqa_event_t *event)
{
    if (ctx == NULL || ctx->bundle == NULL || n_consumed == NULL || event == NULL) {
        return ECGQA_ERR_ARGUMENT;
    }
    take_samples(ctx, NULL, n, n_consumed, event);
    return ECGQA_OK;
}

/* The segment has been seen: what the next one shares with it moves up. */
static void give_up_segment(ecgqa_t *ctx)
{
    const uint16_t hop_len = ctx->bundle->hop_len;
    const size_t kept = (size_t)ctx->bundle->cwt->segment_len - hop_len;
    (void)memmove(ctx->samples, ctx->samples + hop_len, kept * sizeof(int16_t));
    ctx->n_samples = (uint16_t)kept;
    ctx->gap_end = (uint16_t)(ctx->gap_end > hop_len ? ctx->gap_end - hop_len : 0);
}

static void refuse(ecgqa_t *ctx, ecgqa_reason_t reason, ecgqa_work_t *did)
{
    give_up_segment(ctx);
    end_segment(ctx);
    did->kind = ECGQA_WORK_REFUSED;
    did->reason = reason;
}

/* What the samples of the segment that waits show. */
static ecgqa_status_t look(ecgqa_t *ctx, ecgqa_work_t *did)
{
    const ecgqa_cwt_tables_t *const cwt = ctx->cwt.tables;
    if (cwt == NULL) {
        return ECGQA_ERR_ARGUMENT;
    }
    if (ctx->n_samples < cwt->segment_len) {
        return ECGQA_ERR_NOT_READY;
    }
    const ecgqa_reason_t reason =
        ctx->gap_end != 0u ? ECGQA_REASON_GAP
                           : ecgqa_lost_signal(ctx->samples, cwt->segment_len, cwt->segment_ms);
    if (reason != ECGQA_REASON_OK) {
        refuse(ctx, reason, did);
    } else if (take_scratch(ctx)) {
        ctx->phase = PHASE_ANALYSE;
    } else {
        return ECGQA_ERR_NOT_READY;
    }
    return ECGQA_OK;
}

/* The segment becomes a spectrum. */
static ecgqa_status_t analyse(ecgqa_t *ctx, ecgqa_work_t *did)
{
    const ecgqa_status_t status =
        ecgqa_cwt_analyse(&ctx->cwt, ctx->samples, ctx->bundle->cwt->segment_len);
    if (status != ECGQA_OK) {
        return status;
    }
    if (ctx->cwt.flat != 0u) { /* nothing but a baseline */
        refuse(ctx, ECGQA_REASON_FLAT, did);
        return ECGQA_OK;
    }
    give_up_segment(ctx);
    ctx->scan_row = 0;
    ctx->phase = PHASE_SCAN;
    return ecgqa_nn_reset(&ctx->net);
}

static ecgqa_status_t make_row(ecgqa_t *ctx, uint8_t *slot, ecgqa_work_t *did)
{
    const uint16_t row = ecgqa_nn_next_row(&ctx->net);
    const ecgqa_status_t status = ecgqa_cwt_index_row(&ctx->cwt, row, slot);
    if (status != ECGQA_OK) {
        return status;
    }
    did->kind = ECGQA_WORK_INDEX_ROW;
    did->row = row;
    did->data = slot;
    did->len = ctx->bundle->cwt->cols;
    ctx->row_waits = 1;
    return ECGQA_OK;
}

/* Between steps the network is always ready; where it isn't, its progress is not what it left. */
static ecgqa_status_t row_ready(ecgqa_t *ctx)
{
    const ecgqa_status_t status = ecgqa_nn_row_ready(&ctx->net);
    return status == ECGQA_ERR_NOT_READY ? ECGQA_ERR_DAMAGED : status;
}

static ecgqa_status_t step_network(ecgqa_t *ctx, ecgqa_work_t *did)
{
    ecgqa_nn_event_t event;
    const ecgqa_status_t status = ecgqa_nn_step(&ctx->net, &event);
    if (status != ECGQA_OK) {
        return status;
    }
    did->kind = ECGQA_WORK_NETWORK;
    if (event.kind == ECGQA_NN_IDLE) { /* and no slot: the network has no use for this row */
        return row_ready(ctx);
    }
    if (event.kind == ECGQA_NN_WORKED) {
        return ECGQA_OK;
    }
    did->kind = event.kind == ECGQA_NN_ROW ? ECGQA_WORK_LAYER_ROW : ECGQA_WORK_SCORES;
    did->layer = event.layer;
    did->row = event.row;
    did->data = (const uint8_t *)event.data;
    did->len = event.len;
    if (event.kind == ECGQA_NN_SCORES) {
        end_segment(ctx);
    }
    return ECGQA_OK;
}

static ecgqa_status_t scan_row(ecgqa_t *ctx)
{
    const ecgqa_status_t status = ecgqa_cwt_scan_step(&ctx->cwt, &ctx->scan_row);
    if (status == ECGQA_OK && ctx->scan_row == ctx->bundle->cwt->rows) {
        ctx->phase = PHASE_ROWS;
    }
    return status;
}

static ecgqa_status_t feed_network(ecgqa_t *ctx, ecgqa_work_t *did)
{
    if (ctx->row_waits != 0u) { /* not before: the network may colour the row in place */
        const ecgqa_status_t status = row_ready(ctx);
        if (status != ECGQA_OK) {
            return status;
        }
        ctx->row_waits = 0;
    }
    uint8_t *const slot = ecgqa_nn_row_slot(&ctx->net);
    return slot != NULL ? make_row(ctx, slot, did) : step_network(ctx, did);
}

/* Damage costs the segment, whose number is used up. */
static ecgqa_status_t run_network(ecgqa_t *ctx, ecgqa_work_t *did)
{
    const ecgqa_status_t status = feed_network(ctx, did);
    if (status == ECGQA_ERR_DAMAGED) {
        end_segment(ctx);
        ++ctx->segment;
    }
    return status;
}

ecgqa_status_t ecgqa_work(ecgqa_t *ctx, ecgqa_work_t *did)
{
    (void)memset(did, 0, sizeof *did); /* ECGQA_WORK_FRONT_END */
    switch (ctx->phase) {
    case PHASE_COLLECT:
        return look(ctx, did);
    case PHASE_ANALYSE:
        return analyse(ctx, did);
    case PHASE_SCAN:
        return scan_row(ctx);
    default:
        return run_network(ctx, did);
    }
}

ecgqa_status_t ecgqa_classify_step(ecgqa_t *ctx, ecgqa_decision_t *out, uint8_t *done)
{
    if (ctx == NULL || ctx->bundle == NULL || out == NULL || done == NULL) {
        return ECGQA_ERR_ARGUMENT;
    }
    *done = 0;
    ecgqa_work_t did;
    const ecgqa_status_t status = ecgqa_work(ctx, &did);
    if (status != ECGQA_OK || did.kind < ECGQA_WORK_SCORES) {
        return status;
    }
    out->segment = ctx->segment++;
    out->reason = (uint8_t)did.reason;
    if (did.kind == ECGQA_WORK_REFUSED) {
        out->score_s8 = INT8_MIN;
        out->quality = ECGQA_QUALITY_LOW;
    } else {
        out->score_s8 = ((const int8_t *)did.data)[ECGQA_QUALITY_HIGH];
        out->quality = (uint8_t)(out->score_s8 >= ctx->bundle->threshold_s8 ? ECGQA_QUALITY_HIGH
                                                                            : ECGQA_QUALITY_LOW);
    }
    *done = 1;
    return ECGQA_OK;
}

ecgqa_status_t ecgqa_classify(ecgqa_t *ctx, ecgqa_decision_t *out)
{
    ecgqa_status_t status;
    uint8_t done = 0;
    do {
        status = ecgqa_classify_step(ctx, out, &done);
    } while (status == ECGQA_OK && done == 0u);
    return status;
}
