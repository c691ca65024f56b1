/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
#include "host.h"

#include <limits.h>
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
    ecgqa_cwt_t cwt[ECGQA_WIDE_MOST]; /* the first alone without kernels */
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

/* With memory for `kernels`, which take `weights`, or NULL for rows one after the other. */
static ecgqa_status_t host_init(host_t *host, const ecgqa_cwt_tables_t *tables,
                                const ecgqa_wide_kernels_t *kernels, const int16_t *weights)
{
    const size_t keep = ecgqa_cwt_keep_bytes(tables);
    const size_t analyse = ecgqa_cwt_analyse_scratch_bytes(tables);
    const size_t row = ecgqa_cwt_row_scratch_bytes(tables);
    const size_t scratch = analyse > row ? analyse : row;
    *host = (host_t){0};
    if (keep == 0u) {
        return ecgqa_cwt_init(host->cwt, tables, host, 0u, host, 0u);
    }
    const unsigned segments = kernels == NULL ? 1u : kernels->lanes;
    host->keep = malloc(keep * segments);
    host->scratch = malloc(scratch);
    int whole = host->keep != NULL && host->scratch != NULL;
    if (kernels != NULL) {
        ecgqa_wide_open(&host->wide, kernels, tables, weights);
        whole = whole && host->wide.all != NULL;
    } else {
        host->magnitude = malloc(sizeof(uint32_t) * tables->rows * tables->cols);
        host->info = malloc(sizeof(ecgqa_cwt_row_info_t) * tables->rows);
        whole = whole && host->magnitude != NULL && host->info != NULL;
    }
    if (!whole) {
        return ECGQA_ERR_WORKSPACE;
    }
    for (unsigned i = 1u; i < segments; ++i) {
        ecgqa_cwt_attach(&host->cwt[i], tables, (uint8_t *)host->keep + i * keep, host->scratch);
    }
    return ecgqa_cwt_init(host->cwt, tables, host->keep, keep, host->scratch, scratch);
}

static void one_pass(host_t *host, uint8_t *index_map)
{
    ecgqa_cwt_t *cwt = host->cwt;
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

static ecgqa_status_t two_pass(ecgqa_cwt_t *cwt, uint8_t *index_map)
{
    ecgqa_status_t status = ecgqa_cwt_scan(cwt);
    for (uint16_t row = 0u; status == ECGQA_OK && row < cwt->tables->rows; ++row) {
        status = ecgqa_cwt_index_row(cwt, row, index_map + (size_t)row * cwt->tables->cols);
    }
    return status;
}

/* Segments that go side by side: one alone is faster by itself, two aren't. */
static unsigned side_by_side(const ecgqa_wide_kernels_t *kernels, size_t left)
{
    const size_t most = kernels == NULL ? 1u : kernels->lanes;
    return (unsigned)(left < most ? left : most);
}

/* Segments to index maps by one of the functions above, which `passes` and `kernels` choose. */
static ecgqa_status_t index_maps(const ecgqa_cwt_tables_t *tables,
                                 const ecgqa_wide_kernels_t *kernels, const int16_t *weights,
                                 const int16_t *samples, size_t count, uint8_t *index_map,
                                 int passes)
{
    if (samples == NULL || index_map == NULL) {
        return ECGQA_ERR_ARGUMENT;
    }
    host_t host;
    ecgqa_status_t status = host_init(&host, tables, kernels, weights);
    while (status == ECGQA_OK && count > 0u) {
        const unsigned n = side_by_side(kernels, count);
        if (n > 1u) {
            kernels->analyse(&host.wide, samples, host.cwt, n);
        } else {
            status = ecgqa_cwt_analyse(host.cwt, samples, tables->segment_len);
        }
        samples += (size_t)n * tables->segment_len;
        count -= n;
        for (unsigned i = 0u; status == ECGQA_OK && i < n; ++i) {
            if (passes == 2 || host.cwt[i].flat != 0u) {
                status = two_pass(&host.cwt[i], index_map);
            } else if (kernels != NULL) {
                kernels->map(&host.cwt[i], &host.wide, index_map);
            } else {
                one_pass(&host, index_map);
            }
            index_map += (size_t)tables->rows * tables->cols;
        }
    }
    host_free(&host);
    return status;
}

unsigned ecgqa_host_lanes(unsigned most)
{
    const ecgqa_wide_kernels_t *const kernels = ecgqa_wide_kernels(most);
    return kernels == NULL ? 1u : kernels->lanes;
}

size_t ecgqa_host_weights_len(const ecgqa_cwt_tables_t *tables)
{
    return tables == NULL || ecgqa_host_lanes(UINT_MAX) == 1u ? 0u : ecgqa_wide_weights_len(tables);
}

void ecgqa_host_weights(const ecgqa_cwt_tables_t *tables, int16_t *weights)
{
    ecgqa_wide_weights(tables, weights);
}

ecgqa_status_t ecgqa_host_index_maps(const ecgqa_cwt_tables_t *tables, const int16_t *weights,
                                     unsigned lanes, const int16_t *samples, size_t count,
                                     uint8_t *maps)
{
    const ecgqa_wide_kernels_t *const kernels = weights == NULL ? NULL : ecgqa_wide_kernels(lanes);
    return index_maps(tables, kernels, weights, samples, count, maps, 1);
}

ecgqa_status_t ecgqa_host_index_maps_two_pass(const ecgqa_cwt_tables_t *tables,
                                              const int16_t *samples, size_t count, uint8_t *maps)
{
    return index_maps(tables, NULL, NULL, samples, count, maps, 2);
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

/* Whether nothing is left of each segment after conditioning. `memory` as baseline_of has it. */
static void are_flat(const ecgqa_cwt_tables_t *tables, const ecgqa_wide_t *wide, int16_t *memory,
                     const int16_t *samples, unsigned count, uint8_t *flat)
{
    if (count > 1u) {
        wide->kernels->flat(tables, wide, samples, count, flat);
        return;
    }
    ecgqa_condition_t condition;
    ecgqa_condition(tables, samples, memory, memory + ecgqa_condition_points(tables), &condition);
    flat[0] = condition.lowest == condition.highest;
}

/* As ecgqa_cwt_look finds them, without the transform that it leaves. */
ecgqa_status_t ecgqa_host_reasons(const ecgqa_cwt_tables_t *tables, const int16_t *samples,
                                  size_t count, uint8_t *reasons)
{
    ecgqa_status_t status;
    int16_t *const memory = baseline_of(tables, samples, reasons, &status);
    ecgqa_wide_t wide = {0};
    const ecgqa_wide_kernels_t *kernels = ecgqa_wide_kernels(UINT_MAX);
    if (status == ECGQA_OK && kernels != NULL) {
        ecgqa_wide_open(&wide, kernels, tables, NULL);
        kernels = wide.all == NULL ? NULL : kernels;
    }
    while (status == ECGQA_OK && count > 0u) {
        const unsigned n = side_by_side(kernels, count);
        uint8_t flat[ECGQA_WIDE_MOST];
        are_flat(tables, &wide, memory, samples, n, flat);
        for (unsigned i = 0u; i < n; ++i) {
            ecgqa_reason_t reason =
                ecgqa_lost_signal(samples, tables->segment_len, tables->segment_ms);
            if (reason == ECGQA_REASON_OK && flat[i] != 0u) { /* nothing but a baseline */
                reason = ECGQA_REASON_FLAT;
            }
            *reasons++ = (uint8_t)reason;
            samples += tables->segment_len;
        }
        count -= n;
    }
    ecgqa_wide_close(&wide);
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
