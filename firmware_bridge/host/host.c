/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
#include "host.h"

#include <stdlib.h>
#include <string.h>

#include "../src/condition.h"
#include "../src/cwt_internal.h"
#include "../src/lost.h"
#include "reseal.h"
#include "wide.h"

size_t ecgqa_host_sizeof_tables(void)
{
    return sizeof(ecgqa_cwt_tables_t);
}

size_t ecgqa_host_sizeof_row(void)
{
    return sizeof(ecgqa_cwt_row_t);
}

size_t ecgqa_host_sizeof_layer(void)
{
    return sizeof(ecgqa_nn_layer_t);
}

size_t ecgqa_host_sizeof_model(void)
{
    return sizeof(ecgqa_nn_model_t);
}

void ecgqa_host_seal_tables(ecgqa_cwt_tables_t *tables)
{
    ecgqa_reseal(ECGQA_SEAL_CWT(tables));
}

size_t ecgqa_host_workspace_bytes(const ecgqa_cwt_tables_t *tables, uint32_t network_bytes,
                                  uint32_t idle_at, uint32_t idle_bytes,
                                  uint8_t collect_while_classifying)
{
    if (tables == NULL) {
        return 0u;
    }
    ecgqa_nn_model_t model = {0};
    model.format = ECGQA_NN_FORMAT;
    model.rows = tables->rows;
    model.cols = tables->cols;
    model.classes = 2u;
    model.spec_hash = tables->spec_hash;
    model.idle_at = idle_at;
    model.idle_bytes = idle_bytes;
    model.workspace_bytes = network_bytes;
    ecgqa_bundle_t bundle = {0};
    bundle.format = ECGQA_BUNDLE_FORMAT;
    bundle.hop_len = tables->segment_len;
    bundle.collect_while_classifying = collect_while_classifying;
    bundle.cwt = tables;
    bundle.model = &model;
    ecgqa_reseal(ECGQA_SEAL_MODEL(&model));
    ecgqa_reseal(ECGQA_SEAL_BUNDLE(&bundle));
    return ecgqa_workspace_bytes(&bundle);
}

typedef struct {
    ecgqa_cwt_t cwt;
    void *keep, *scratch;
    uint32_t *magnitude;        /* [rows][cols] */
    ecgqa_cwt_row_info_t *info; /* [rows] */
    ecgqa_wide_t wide;
} host_t;

static void host_free(host_t *host)
{
    free(host->keep);
    free(host->scratch);
    free(host->magnitude);
    free(host->info);
    ecgqa_wide_close(&host->wide);
}

/* With memory for the wide kernels where there are weights. */
static ecgqa_status_t host_init(host_t *host, const ecgqa_cwt_tables_t *tables,
                                const int16_t *weights)
{
    const size_t keep = ecgqa_cwt_keep_bytes(tables);
    const size_t analyse = ecgqa_cwt_analyse_scratch_bytes(tables);
    const size_t row = ecgqa_cwt_row_scratch_bytes(tables);
    const size_t scratch = analyse > row ? analyse : row;
    *host = (host_t){0};
    if (keep == 0u) {
        return ecgqa_cwt_init(&host->cwt, tables, host, 0u, host, 0u);
    }
    host->keep = malloc(keep);
    host->scratch = malloc(scratch);
    int whole = host->keep != NULL && host->scratch != NULL;
    if (weights != NULL) {
        ecgqa_wide_open(&host->wide, tables, weights);
        whole = whole && host->wide.all != NULL;
    } else {
        host->magnitude = malloc(sizeof(uint32_t) * tables->rows * tables->cols);
        host->info = malloc(sizeof(ecgqa_cwt_row_info_t) * tables->rows);
        whole = whole && host->magnitude != NULL && host->info != NULL;
    }
    if (!whole) {
        return ECGQA_ERR_WORKSPACE;
    }
    return ecgqa_cwt_init(&host->cwt, tables, host->keep, keep, host->scratch, scratch);
}

static void one_pass(host_t *host, uint8_t *index_map)
{
    ecgqa_cwt_t *cwt = &host->cwt;
    const ecgqa_cwt_tables_t *t = cwt->tables;
    const size_t cols = t->cols;
    const ecgqa_cwt_arrays_t a = ecgqa_cwt_arrays(cwt);
    ecgqa_cwt_range_clear(&cwt->range);
    for (uint16_t row = 0u; row < t->rows; ++row) {
        ecgqa_cwt_row_info_t *info = &host->info[row];
        *info = ecgqa_cwt_band(cwt, row, a.z);
        ecgqa_cwt_to_time(t, row, a.z, a.w_re, a.w_im, info);
        uint32_t *magnitude = host->magnitude + row * cols;
        ecgqa_cwt_columns(t, row, a.w_re, a.w_im, 0u, t->cols, magnitude);
        if (t->row[row].in_range != 0u && ecgqa_cwt_range_needs(t, &cwt->range, &info->bound)) {
            ecgqa_cwt_range_take(&cwt->range, info->exponent,
                                 ecgqa_cwt_extremes(magnitude, t->cols));
        }
    }
    ecgqa_cwt_range_close(cwt);
    for (uint16_t row = 0u; row < t->rows; ++row) {
        const ecgqa_cwt_scaler_t scaler = ecgqa_cwt_scaler(cwt, host->info[row].exponent);
        ecgqa_cwt_to_index(&scaler, host->magnitude + row * cols, t->cols, index_map + row * cols);
    }
}

static ecgqa_status_t two_pass(host_t *host, uint8_t *index_map)
{
    ecgqa_status_t status = ecgqa_cwt_scan(&host->cwt);
    for (uint16_t row = 0u; status == ECGQA_OK && row < host->cwt.tables->rows; ++row) {
        status =
            ecgqa_cwt_index_row(&host->cwt, row, index_map + (size_t)row * host->cwt.tables->cols);
    }
    return status;
}

/* One pass: side by side where there are weights. */
static ecgqa_status_t index_maps(const ecgqa_cwt_tables_t *tables, const int16_t *weights,
                                 const int16_t *samples, size_t count, uint8_t *index_maps,
                                 int passes)
{
    if (samples == NULL || index_maps == NULL) {
        return ECGQA_ERR_ARGUMENT;
    }
    host_t host;
    ecgqa_status_t status = host_init(&host, tables, weights);
    for (size_t i = 0u; status == ECGQA_OK && i < count; ++i) {
        uint8_t *index_map = index_maps + i * tables->rows * tables->cols;
        status =
            ecgqa_cwt_analyse(&host.cwt, samples + i * tables->segment_len, tables->segment_len);
        if (status != ECGQA_OK) {
            break;
        }
        if (passes == 2 || host.cwt.flat != 0u) {
            status = two_pass(&host, index_map);
        } else if (weights != NULL) {
            ecgqa_wide_kernels()->map(&host.cwt, &host.wide, index_map);
        } else {
            one_pass(&host, index_map);
        }
    }
    host_free(&host);
    return status;
}

size_t ecgqa_host_weights_len(const ecgqa_cwt_tables_t *tables)
{
    return tables != NULL && ecgqa_wide_kernels() != NULL ? ecgqa_wide_weights_len(tables) : 0u;
}

void ecgqa_host_weights(const ecgqa_cwt_tables_t *tables, int16_t *weights)
{
    ecgqa_wide_weights(tables, weights);
}

ecgqa_status_t ecgqa_host_index_maps(const ecgqa_cwt_tables_t *tables, const int16_t *weights,
                                     const int16_t *samples, size_t count, uint8_t *maps)
{
    return index_maps(tables, weights, samples, count, maps, 1);
}

ecgqa_status_t ecgqa_host_index_maps_two_pass(const ecgqa_cwt_tables_t *tables,
                                              const int16_t *samples, size_t count, uint8_t *maps)
{
    return index_maps(tables, NULL, samples, count, maps, 2);
}

/* Two arrays for the baseline, one behind the other; the caller frees. NULL: *status says why. */
static int16_t *baseline_of(const ecgqa_cwt_tables_t *tables, const void *in, const void *out,
                            ecgqa_status_t *status)
{
    ecgqa_cwt_bytes_t bytes;
    *status = ecgqa_cwt_bytes(tables, &bytes);
    if (*status == ECGQA_OK && (in == NULL || out == NULL)) {
        *status = ECGQA_ERR_ARGUMENT;
    }
    if (*status != ECGQA_OK) {
        return NULL;
    }
    int16_t *const memory = malloc(2u * (ecgqa_condition_points(tables) + 1u) * sizeof(int16_t));
    *status = memory == NULL ? ECGQA_ERR_WORKSPACE : ECGQA_OK;
    return memory;
}

ecgqa_status_t ecgqa_host_condition(const ecgqa_cwt_tables_t *tables, const int16_t *samples,
                                    size_t count, int16_t *conditioned)
{
    ecgqa_status_t status;
    int16_t *const memory = baseline_of(tables, samples, conditioned, &status);
    for (size_t segment = 0u; status == ECGQA_OK && segment < count; ++segment) {
        const int16_t *from = samples + segment * tables->segment_len;
        ecgqa_condition_t condition;
        ecgqa_condition(tables, from, memory, memory + ecgqa_condition_points(tables), &condition);
        ecgqa_conditioned_t at = ecgqa_conditioned(&condition, from);
        for (uint32_t left = tables->segment_len; left > 0u;) {
            const uint32_t taken = ecgqa_conditioned_take(&at, conditioned, left);
            conditioned += taken;
            left -= taken;
        }
    }
    free(memory);
    return status;
}

/* As ecgqa_cwt_look finds them, without the transform that it leaves. */
ecgqa_status_t ecgqa_host_reasons(const ecgqa_cwt_tables_t *tables, const int16_t *samples,
                                  size_t count, uint8_t *reasons)
{
    ecgqa_status_t status;
    int16_t *const memory = baseline_of(tables, samples, reasons, &status);
    for (size_t segment = 0u; status == ECGQA_OK && segment < count; ++segment) {
        const int16_t *const from = samples + segment * tables->segment_len;
        ecgqa_reason_t reason = ecgqa_lost_signal(from, tables->segment_len, tables->segment_ms);
        if (reason == ECGQA_REASON_OK) {
            ecgqa_condition_t condition;
            ecgqa_condition(tables, from, memory, memory + ecgqa_condition_points(tables),
                            &condition);
            if (condition.lowest == condition.highest) { /* nothing but a baseline */
                reason = ECGQA_REASON_FLAT;
            }
        }
        reasons[segment] = (uint8_t)reason;
    }
    free(memory);
    return status;
}

/* Scores of one index map. */
static ecgqa_status_t score(ecgqa_nn_t *net, const uint8_t *map, int8_t *scores)
{
    const int8_t *found = NULL;
    ecgqa_status_t status = ecgqa_nn_reset(net);
    for (uint16_t row = 0u; status == ECGQA_OK && row < net->model->rows; ++row) {
        status = ecgqa_nn_push_row(net, map + (size_t)row * net->model->cols);
    }
    if (status == ECGQA_OK) {
        status = ecgqa_nn_scores(net, &found);
    }
    if (status == ECGQA_OK) {
        memcpy(scores, found, net->model->classes);
    }
    return status;
}

ecgqa_status_t ecgqa_host_scores(const ecgqa_nn_model_t *model, const uint8_t *maps, size_t count,
                                 int8_t *scores)
{
    if (model == NULL || maps == NULL || scores == NULL) {
        return ECGQA_ERR_ARGUMENT;
    }
    const size_t bytes = ecgqa_nn_workspace_bytes(model);
    if (bytes == 0u) {
        return ECGQA_ERR_FORMAT;
    }
    void *const workspace = malloc(bytes);
    if (workspace == NULL) {
        return ECGQA_ERR_WORKSPACE;
    }
    ecgqa_nn_t net;
    ecgqa_status_t status = ecgqa_nn_init(&net, model, workspace, bytes);
    for (size_t i = 0u; status == ECGQA_OK && i < count; ++i) {
        status = score(&net, maps + i * model->rows * model->cols, scores + i * model->classes);
    }
    free(workspace);
    return status;
}
