/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* The network engine: rows, steps and their order. The layers' arithmetic is in nn_layers.c. */
#include "nn_internal.h"

#include <string.h>

#include "seal.h"

/* ---- which rows, when ------------------------------------------------------------------------ */

/* Whole rows of the (pooled) output after `out_rows` rows of the layer. */
static uint32_t rows_out(const ecgqa_nn_layer_t *l, uint32_t out_rows)
{
    if (out_rows == l->out.rows) {
        return l->pooled.rows;
    }
    if (l->pool.rows == 0u) {
        return out_rows;
    }
    const uint32_t reach = out_rows + l->pool.pad_top;
    const uint32_t rows =
        reach < l->pool.rows ? 0u : (reach - l->pool.rows) / l->pool.stride_rows + 1u;
    return rows < l->pooled.rows ? rows : l->pooled.rows;
}

/* Whole rows of its output that layer has made. */
static uint32_t rows_made(const ecgqa_nn_t *net, uint32_t layer)
{
    const ecgqa_nn_layer_t *l = &net->model->layers[layer];
    const uint32_t out_row = ecgqa_nn_progress(net, layer)->out_row;
    if (ecgqa_nn_accumulates(l)) {
        return out_row == l->in.rows + 1u ? 1u : 0u;
    }
    return rows_out(l, out_row);
}

static int can_run(const ecgqa_nn_t *net, uint32_t layer)
{
    const ecgqa_nn_layer_t *l = &net->model->layers[layer];
    const ecgqa_nn_progress_t *p = ecgqa_nn_progress(net, layer);
    if (ecgqa_nn_accumulates(l)) {
        return p->out_row <= l->in.rows && (p->out_row == l->in.rows || p->out_row < p->rows_in);
    }
    return p->out_row < l->out.rows && p->rows_in >= ecgqa_nn_rows_needed(l, p->out_row);
}

/* After a row of output: rows that no other one needs go, the rest moves up in the window. */
static void advance(const ecgqa_nn_t *net, uint32_t layer)
{
    const ecgqa_nn_layer_t *l = &net->model->layers[layer];
    ecgqa_nn_progress_t *p = ecgqa_nn_progress(net, layer);
    const uint32_t base = ecgqa_nn_accumulates(l) ? p->out_row : ecgqa_nn_first_row(l, p->out_row);
    const uint32_t gone = base - p->base;
    const uint32_t bytes = ecgqa_nn_row_bytes(l);
    if (gone == 0u) {
        return;
    }
    for (uint32_t i = gone; i < (uint32_t)l->window_rows + l->carry_rows; ++i) {
        memcpy(ecgqa_nn_slot(net, l, i - gone), ecgqa_nn_slot(net, l, i), bytes);
    }
    p->base = (uint16_t)base;
}

/* ---- steps ----------------------------------------------------------------------------------- */

/* A row of `layer`'s output is whole and its consumer hasn't been told: tell it. */
static int announce(const ecgqa_nn_t *net, uint32_t layer, ecgqa_nn_event_t *event)
{
    const ecgqa_nn_layer_t *l = &net->model->layers[layer];
    ecgqa_nn_progress_t *consumer = ecgqa_nn_progress(net, layer + 1u);
    if (consumer->rows_in >= rows_made(net, layer)) {
        return 0;
    }
    event->kind = ECGQA_NN_ROW;
    event->layer = (uint16_t)layer;
    event->row = consumer->rows_in;
    if (consumer->rows_in >= consumer->base) {
        event->data = ecgqa_nn_row(net, layer + 1u, consumer->rows_in);
        event->len = (size_t)l->pooled.cols * l->pooled.channels;
    }
    ++consumer->rows_in;
    return 1;
}

/* The last thing: logits to scores. */
static int finish(const ecgqa_nn_t *net, ecgqa_nn_event_t *event)
{
    const ecgqa_nn_model_t *model = net->model;
    ecgqa_nn_progress_t *end = ecgqa_nn_progress(net, model->n_layers);
    int8_t *scores = (int8_t *)(net->workspace + model->scores_at);
    const int8_t *logits = (const int8_t *)(net->workspace + model->logits_at);
    if (end->rows_in == 0u || end->out_row != 0u) {
        return 0;
    }
    if (model->softmax != NULL) {
        ecgqa_nn_softmax(scores, logits, model->classes, model->softmax);
    } else {
        memcpy(scores, logits, model->classes);
    }
    end->out_row = 1;
    event->kind = ECGQA_NN_SCORES;
    event->layer = model->n_layers;
    event->row = 0;
    event->data = scores;
    event->len = model->classes;
    return 1;
}

/* Which layer is in the middle of a row, counted from 1; 0: none. The entry after the last layer's
 * has no column of its own. */
static uint16_t *busy(const ecgqa_nn_t *net)
{
    return &ecgqa_nn_progress(net, net->model->n_layers)->out_col;
}

/* 1: there was nothing to do, and no row came since. */
static uint16_t *settled(const ecgqa_nn_t *net)
{
    return &ecgqa_nn_progress(net, net->model->n_layers)->chunk;
}

/* A step of a layer that can run; 0: the workspace or the layer is damaged. */
static int run(const ecgqa_nn_t *net, uint32_t layer, ecgqa_nn_event_t *event)
{
    const ecgqa_nn_progress_t *p = ecgqa_nn_progress(net, layer);
    const uint16_t before = p->out_row;
    if (!ecgqa_nn_run_few(net, layer) && !ecgqa_nn_run_layer(net, layer)) {
        return 0;
    }
    *busy(net) = (uint16_t)(p->out_row == before ? layer + 1u : 0u);
    if (p->out_row != before) {
        advance(net, layer);
    }
    event->kind = ECGQA_NN_WORKED;
    event->layer = (uint16_t)layer;
    return 1;
}

/* The layer nearest the output goes first, so that rows are used up before more are made; until a
 * row is whole no other one has anything to do. */
ecgqa_status_t ecgqa_nn_step(ecgqa_nn_t *net, ecgqa_nn_event_t *event)
{
    if (net == NULL || net->model == NULL || event == NULL) {
        return ECGQA_ERR_ARGUMENT;
    }
    const ecgqa_nn_event_t idle = {ECGQA_NN_IDLE, 0, 0, NULL, 0};
    const uint32_t layers = net->model->n_layers;
    uint32_t next = *busy(net) - 1u; /* beyond the last where no layer is in the middle of a row */
    int sound = 1;
    *event = idle;
    if (next >= layers || !can_run(net, next)) {
        next = layers;
        if (!finish(net, event)) {
            for (uint32_t l = layers; l-- > 0u && event->kind == ECGQA_NN_IDLE && next == layers;) {
                if (!announce(net, l, event) && can_run(net, l)) {
                    next = l;
                }
            }
        }
    }
    if (next < layers) {
        sound = run(net, next, event);
    }
    return sound ? ECGQA_OK : ECGQA_ERR_DAMAGED;
}

/* ---- rows in --------------------------------------------------------------------------------- */

/* Nothing is left to do before the next index row. */
static int is_idle(const ecgqa_nn_t *net)
{
    if (*settled(net) == 1u) {
        return 1;
    }
    for (uint32_t layer = 0u; layer < net->model->n_layers; ++layer) {
        if (ecgqa_nn_progress(net, layer + 1u)->rows_in < rows_made(net, layer) ||
            can_run(net, layer)) {
            return 0;
        }
    }
    *settled(net) = 1;
    return 1;
}

/* Some output row uses this input row of the first layer. */
static int row_is_used(const ecgqa_nn_layer_t *l, uint32_t base, uint32_t row)
{
    return row >= base &&
           (ecgqa_nn_accumulates(l) || row < ecgqa_nn_rows_needed(l, (uint32_t)l->out.rows - 1u));
}

uint16_t ecgqa_nn_next_row(const ecgqa_nn_t *net)
{
    return net == NULL || net->model == NULL ? 0u : ecgqa_nn_progress(net, 0)->rows_in;
}

/* A row to be coloured in place has its indices written at its end, and colours from the front. */
static uint32_t indices_at(const ecgqa_nn_layer_t *l)
{
    return (uint32_t)l->in.cols * (l->in.channels - 1u);
}

uint8_t *ecgqa_nn_row_slot(ecgqa_nn_t *net)
{
    if (net == NULL || net->model == NULL) {
        return NULL;
    }
    const ecgqa_nn_layer_t *l = &net->model->layers[0];
    const ecgqa_nn_progress_t *p = ecgqa_nn_progress(net, 0);
    if (p->rows_in >= net->model->rows || !is_idle(net) || !row_is_used(l, p->base, p->rows_in)) {
        return NULL;
    }
    uint8_t *const row = (uint8_t *)ecgqa_nn_row(net, 0, p->rows_in);
    return l->from_index ? row : row + indices_at(l);
}

ecgqa_status_t ecgqa_nn_row_ready(ecgqa_nn_t *net)
{
    if (net == NULL || net->model == NULL) {
        return ECGQA_ERR_ARGUMENT;
    }
    const ecgqa_nn_layer_t *l = &net->model->layers[0];
    ecgqa_nn_progress_t *p = ecgqa_nn_progress(net, 0);
    if (p->rows_in >= net->model->rows || !is_idle(net)) {
        return ECGQA_ERR_NOT_READY;
    }
    if (!l->from_index && row_is_used(l, p->base, p->rows_in)) {
        int8_t *const row = ecgqa_nn_row(net, 0, p->rows_in);
        ecgqa_nn_colour(row, (const uint8_t *)row + indices_at(l), l->in.cols, net->model->lut_s8,
                        l->in.channels);
    }
    ++p->rows_in;
    *settled(net) = 0;
    return ECGQA_OK;
}

ecgqa_status_t ecgqa_nn_push_row(ecgqa_nn_t *net, const uint8_t *index_row)
{
    if (net == NULL || net->model == NULL || index_row == NULL) {
        return ECGQA_ERR_ARGUMENT;
    }
    uint8_t *const to = ecgqa_nn_row_slot(net);
    if (to != NULL) {
        memcpy(to, index_row, net->model->cols);
    }
    ecgqa_nn_event_t event = {ECGQA_NN_WORKED, 0, 0, NULL, 0};
    ecgqa_status_t status = ecgqa_nn_row_ready(net);
    while (status == ECGQA_OK && event.kind != ECGQA_NN_IDLE) {
        status = ecgqa_nn_step(net, &event);
    }
    return status;
}

/* ---- life ------------------------------------------------------------------------------------ */

size_t ecgqa_nn_workspace_bytes(const ecgqa_nn_model_t *model)
{
    return model == NULL || model->format != ECGQA_NN_FORMAT ? 0u : model->workspace_bytes;
}

/* Those of its structs that are there. */
static int is_sealed(const ecgqa_nn_model_t *model)
{
    int sealed = ecgqa_is_sealed(ECGQA_SEAL_MODEL(model)) &&
                 (model->softmax == NULL || ecgqa_is_sealed(ECGQA_SEAL_SOFTMAX(model->softmax)));
    for (uint32_t i = 0u; sealed && model->layers != NULL && i < model->n_layers; ++i) {
        sealed = ecgqa_is_sealed(ECGQA_SEAL_LAYER(&model->layers[i]));
    }
    return sealed;
}

ecgqa_status_t ecgqa_nn_init(ecgqa_nn_t *net, const ecgqa_nn_model_t *model, void *workspace,
                             size_t bytes)
{
    if (net == NULL || model == NULL || workspace == NULL ||
        (uintptr_t)workspace % ECGQA_NN_ALIGN != 0u) {
        return ECGQA_ERR_ARGUMENT;
    }
    if (model->format != ECGQA_NN_FORMAT) {
        return ECGQA_ERR_FORMAT;
    }
    if (!is_sealed(model)) {
        return ECGQA_ERR_DAMAGED;
    }
    if (!ecgqa_nn_model_is_valid(model)) {
        return ECGQA_ERR_FORMAT;
    }
    if (bytes < model->workspace_bytes) {
        return ECGQA_ERR_WORKSPACE;
    }
    net->model = model;
    net->workspace = workspace;
    return ecgqa_nn_reset(net);
}

ecgqa_status_t ecgqa_nn_reset(ecgqa_nn_t *net)
{
    if (net == NULL || net->model == NULL) {
        return ECGQA_ERR_ARGUMENT;
    }
    memset(ecgqa_nn_progress(net, 0), 0, (net->model->n_layers + 1u) * sizeof(ecgqa_nn_progress_t));
    return ECGQA_OK;
}

ecgqa_status_t ecgqa_nn_scores(const ecgqa_nn_t *net, const int8_t **scores)
{
    if (net == NULL || net->model == NULL || scores == NULL) {
        return ECGQA_ERR_ARGUMENT;
    }
    if (ecgqa_nn_progress(net, net->model->n_layers)->out_row == 0u) {
        return ECGQA_ERR_NOT_READY;
    }
    *scores = (const int8_t *)(net->workspace + net->model->scores_at);
    return ECGQA_OK;
}
