/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* What the engine's files share. */
#ifndef ECGQA_NN_INTERNAL_H
#define ECGQA_NN_INTERNAL_H

#include "ecgqa/nn.h"

/* How far a layer has come; one more entry stands for the output after the last layer. */
typedef struct {
    uint16_t rows_in; /* whole input rows that have arrived */
    uint16_t base;    /* input row in slot 0 of the window; rows before it are no longer needed */
    uint16_t out_row; /* output row under way; FULLY_CONNECTED and MEAN: input rows taken in */
    uint16_t out_col;
    uint16_t channel; /* first channel of the block under way */
    uint16_t chunk;   /* chunks of it that are in the accumulators */
} ecgqa_nn_progress_t;

typedef char
    ecgqa_assert_progress_bytes[sizeof(ecgqa_nn_progress_t) == ECGQA_NN_PROGRESS_BYTES ? 1 : -1];

static inline uint32_t ecgqa_nn_even(uint32_t n)
{
    return (n + 1u) & ~UINT32_C(1);
}

/* Bytes of an input row as it is kept. */
static inline uint32_t ecgqa_nn_row_bytes(const ecgqa_nn_layer_t *layer)
{
    return layer->from_index ? layer->in.cols : (uint32_t)layer->in.cols * layer->in.channels;
}

static inline int ecgqa_nn_accumulates(const ecgqa_nn_layer_t *layer)
{
#define ECGQA_NN_KIND_OR(name, kernel, accumulates, weights, scaled) \
    | ((layer->kind == (uint8_t)ECGQA_NN_##name) ? (accumulates) : 0)
    return 0 ECGQA_NN_KIND_LIST(ECGQA_NN_KIND_OR);
#undef ECGQA_NN_KIND_OR
}

/* Its accumulators become int8 by bias, multiplier and shift. */
static inline int ecgqa_nn_is_scaled(const ecgqa_nn_layer_t *layer)
{
#define ECGQA_NN_KIND_OR(name, kernel, accumulates, weights, scaled) \
    | ((layer->kind == (uint8_t)ECGQA_NN_##name) ? (scaled) : 0)
    return 0 ECGQA_NN_KIND_LIST(ECGQA_NN_KIND_OR);
#undef ECGQA_NN_KIND_OR
}

/* Input rows that output row `out_row` can't do without; never more than there are. */
static inline uint32_t ecgqa_nn_rows_needed(const ecgqa_nn_layer_t *layer, uint32_t out_row)
{
    const uint32_t end =
        out_row * layer->kernel.stride_rows + layer->kernel.rows - layer->kernel.pad_top;
    return end < layer->in.rows ? end : layer->in.rows;
}

/* First input row that output row `out_row` uses. */
static inline uint32_t ecgqa_nn_first_row(const ecgqa_nn_layer_t *layer, uint32_t out_row)
{
    const uint32_t start = out_row * layer->kernel.stride_rows;
    return start > layer->kernel.pad_top ? start - layer->kernel.pad_top : 0u;
}

static inline ecgqa_nn_progress_t *ecgqa_nn_progress(const ecgqa_nn_t *net, uint32_t layer)
{
    return (ecgqa_nn_progress_t *)(void *)(net->workspace + net->model->progress_at) + layer;
}

/* Where an input row of a layer is kept, counted from the oldest one: in the window or, past its
 * end, in the carry; past that, the window's first, so that a progress that something else wrote
 * over leads to nothing outside (nn_layers.c). */
int8_t *ecgqa_nn_slot(const ecgqa_nn_t *net, const ecgqa_nn_layer_t *layer, uint32_t index);

/* Row `row` of layer's input; of the output after the last layer, the logits (nn_layers.c). */
int8_t *ecgqa_nn_row(const ecgqa_nn_t *net, uint32_t layer, uint32_t row);

/* Colours of `count` indices (nn_layers.c). The indices may be the last of the bytes written. */
void ecgqa_nn_colour(int8_t *x, const uint8_t *index, uint32_t count, const int8_t *lut_s8,
                     uint32_t channels);

/* One step of a layer that has what it needs (nn_layers.c). It moves progress->out_row on when it
 * has finished a row, and writes the row into the next layer's window. 0: the layer's kind is none
 * of ecgqa_nn_kind_t, or its progress none that it can have: something else wrote there. */
int ecgqa_nn_run_layer(const ecgqa_nn_t *net, uint32_t layer);

/* A step of a CONV_2D whose pixels take few inputs: a whole row; 0: it is none, and nothing was
 * done (nn_few.c). */
int ecgqa_nn_run_few(const ecgqa_nn_t *net, uint32_t layer);

/* Scores of `len` logits (nn_softmax.c). */
void ecgqa_nn_softmax(int8_t *scores, const int8_t *logits, uint32_t len,
                      const ecgqa_nn_softmax_t *softmax);

/* 1 where the model's shapes, positions and sizes fit each other (nn_check.c). */
int ecgqa_nn_model_is_valid(const ecgqa_nn_model_t *model);

#endif
