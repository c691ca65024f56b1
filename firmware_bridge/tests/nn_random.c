/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
#include "nn_random.h"

#include <string.h>

#include "../host/reseal.h"

enum {
    MAX_LAYERS = 5,
    MAX_SIDE = 16,
    MAX_CHANNELS = 12,
    TENSOR_BYTES = MAX_SIDE * MAX_SIDE * MAX_CHANNELS,
    WEIGHT_BYTES = MAX_SIDE * MAX_SIDE * MAX_CHANNELS * MAX_CHANNELS + 256,
    WORKSPACE_BYTES = 3 << 16,
    ROOM_BYTES = 1 << 10
};

static ecgqa_nn_layer_t layers[MAX_LAYERS];
static ecgqa_nn_model_t model;
static ecgqa_nn_softmax_t softmax = {1518500250, 22, -62, 0};
static int8_t lut_s8[256 * 3];
static uint32_t weights[MAX_LAYERS][WEIGHT_BYTES / 4];
static int32_t bias[MAX_LAYERS][MAX_CHANNELS + 1];
static int32_t multiplier_q31[MAX_LAYERS][MAX_CHANNELS + 1];
static int8_t shift[MAX_LAYERS][MAX_CHANNELS + 1];
static uint64_t workspace[WORKSPACE_BYTES / 8];
static uint8_t index_map[MAX_SIDE * MAX_SIDE];
static int8_t image[TENSOR_BYTES], before_pool[TENSOR_BYTES];
static int8_t tensor[MAX_LAYERS][TENSOR_BYTES];

/* ---- random numbers -------------------------------------------------------------------------- */

static uint32_t state;

static uint32_t random_u32(void)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

/* low..high */
static uint32_t between(uint32_t low, uint32_t high)
{
    return low + random_u32() % (high - low + 1u);
}

static int8_t random_s8(void)
{
    return (int8_t)(random_u32() >> 24);
}

/* ---- a model --------------------------------------------------------------------------------- */

static uint32_t even(uint32_t n)
{
    return (n + 1u) & ~1u;
}

static uint32_t at;

/* Every buffer has bytes of its own, lifetimes being the planner's business, and room around it for
 * tests that alter a size or a position. */
static uint32_t claim(uint32_t bytes)
{
    const uint32_t here = at + ROOM_BYTES;
    at = (here + bytes + 7u) & ~7u;
    return here;
}

static int is_dense(const ecgqa_nn_layer_t *l)
{
    return l->kind == ECGQA_NN_FULLY_CONNECTED || l->kind == ECGQA_NN_MEAN;
}

static uint32_t out_size(uint32_t in, uint32_t size, uint32_t stride, uint32_t *pad, int same)
{
    uint32_t out, needed;
    if (!same) {
        *pad = 0;
        return (in - size) / stride + 1u;
    }
    out = (in + stride - 1u) / stride;
    needed = (out - 1u) * stride + size;
    *pad = needed > in ? (needed - in) / 2u : 0u;
    return out;
}

static ecgqa_nn_window_t window(const ecgqa_nn_shape_t *in, ecgqa_nn_shape_t *out)
{
    const int same = (int)between(0, 1);
    const uint32_t rows = between(1, in->rows < 4 ? in->rows : 4);
    const uint32_t cols = between(1, in->cols < 4 ? in->cols : 4);
    uint32_t stride_rows = between(1, 3), stride_cols = between(1, 3), top, left;
    ecgqa_nn_window_t w;
    if (same) { /* else a window could lie in the padding alone */
        stride_rows = stride_rows < rows ? stride_rows : rows;
        stride_cols = stride_cols < cols ? stride_cols : cols;
    }
    out->rows = (uint16_t)out_size(in->rows, rows, stride_rows, &top, same);
    out->cols = (uint16_t)out_size(in->cols, cols, stride_cols, &left, same);
    w.rows = (uint8_t)rows;
    w.cols = (uint8_t)cols;
    w.stride_rows = (uint8_t)stride_rows;
    w.stride_cols = (uint8_t)stride_cols;
    w.pad_top = (uint8_t)top;
    w.pad_left = (uint8_t)left;
    return w;
}

/* Weights of output channel c, input k: as the engine unpacks them. */
static int8_t weight_at(const ecgqa_nn_layer_t *l, uint32_t c, uint32_t k)
{
    const uint8_t *bytes = l->weights;
    uint32_t run, position;
    if (l->kind == ECGQA_NN_DEPTHWISE_CONV_2D) {
        return (int8_t)bytes[k * l->out.channels + c];
    }
    run = k / l->run_len;
    position = ((c / 2u * l->runs + run) * even(l->run_len) + k % l->run_len) * 2u;
    return (int8_t)(c % 2u ? bytes[position + 1u] : (uint8_t)(bytes[position] ^ 0x80u));
}

static void fill(uint32_t i)
{
    ecgqa_nn_layer_t *l = &layers[i];
    uint8_t *bytes = (uint8_t *)weights[i];
    for (uint32_t k = 0u; k < WEIGHT_BYTES; ++k) {
        bytes[k] = (uint8_t)random_u32();
    }
    l->weights = weights[i];
    for (uint32_t c = 0u; c < MAX_CHANNELS + 1; ++c) {
        bias[i][c] = (int32_t)(random_u32() >> 16) - 32768;
        multiplier_q31[i][c] = (int32_t)((random_u32() >> 2) | UINT32_C(1) << 30);
        shift[i][c] = (int8_t)(-(int)between(l->kind == ECGQA_NN_MEAN ? 0 : 5, 12));
    }
    l->bias = bias[i];
    l->multiplier_q31 = multiplier_q31[i];
    l->shift = shift[i];
    l->in_zero_point = random_s8();
    l->out_zero_point = random_s8();
    l->act_min = between(0, 1) ? INT8_MIN : l->out_zero_point;
    l->act_max = between(0, 2) ? INT8_MAX : l->act_min;
    if (l->act_max < INT8_MAX && l->act_min < INT8_MAX - 40) {
        l->act_max = (int8_t)(l->act_min + 40);
    }
    if (between(0, 1)) { /* what a ReLU leaves is most common */
        l->out_zero_point = l->act_min = INT8_MIN;
        l->act_max = INT8_MAX;
    }
}

static void cut_into_runs(ecgqa_nn_layer_t *l)
{
    const uint32_t channels = l->in.channels;
    const uint32_t taps = (uint32_t)l->kernel.rows * l->kernel.cols;
    const uint32_t row = l->kernel.cols * channels;
    const int padded = l->kernel.pad_top || l->kernel.pad_left ||
                       (l->out.rows - 1u) * l->kernel.stride_rows + l->kernel.rows > l->in.rows ||
                       (l->out.cols - 1u) * l->kernel.stride_cols + l->kernel.cols > l->in.cols;
    if (l->kind == ECGQA_NN_FULLY_CONNECTED) {
        l->runs = l->in.rows;
        l->run_len = (uint16_t)(l->in.cols * channels);
        l->chunk_len = (uint16_t)(2u * between(1, 40));
    } else if (l->kind == ECGQA_NN_DEPTHWISE_CONV_2D) {
        l->gather = 1;
    } else if (l->from_index || padded || between(0, 1)) {
        l->gather = 1;
        l->runs = 1;
        l->run_len = (uint16_t)(taps * channels);
        l->chunk_len = (uint16_t)(between(0, 1) ? taps * channels : 2u * channels);
    } else {
        l->runs = l->kernel.rows;
        l->run_len = (uint16_t)row;
        l->chunk_len = (uint16_t)(2u * between(1, 40));
    }
    if (l->chunk_len > ECGQA_NN_MAX_CHUNK) {
        l->chunk_len = (uint16_t)(2u * channels);
    }
    if (l->kind == ECGQA_NN_CONV_2D) {
        l->chunks = (uint16_t)(l->runs * ((l->run_len + l->chunk_len - 1u) / l->chunk_len));
        l->chunks_a_step = (uint16_t)between(1, l->chunks);
    }
}

static void place(ecgqa_nn_layer_t *l, const ecgqa_nn_layer_t *before)
{
    const uint32_t row = l->from_index ? l->in.cols : (uint32_t)l->in.cols * l->in.channels;
    l->window_rows = l->kernel.rows < l->in.rows ? l->kernel.rows : l->in.rows;
    l->carry_rows = 0;
    if (before != NULL && before->pool.rows > 0u) {
        l->carry_rows = (uint16_t)((before->pool.rows - 1u) / before->pool.stride_rows);
        l->carry_rows = l->carry_rows < l->in.rows ? l->carry_rows : (uint16_t)(l->in.rows - 1u);
    }
    l->window_at = claim(l->window_rows * row);
    l->carry_at = claim(l->carry_rows * row);
    l->channel_block = (uint16_t)(2u * between(1, even(l->out.channels) / 2u));
    l->blocks_a_step = (uint16_t)between(1, 5);
    l->accumulators_at = claim(8u * even(l->out.channels) + 8u * l->channel_block);
    l->gather_at = claim(2u * ((uint32_t)l->chunk_len + l->channel_block));
    l->patch_bytes = (uint16_t)between(ECGQA_NN_MIN_PATCH, 1024u);
    if (between(0, 1)) { /* whole rows, and room for what nn_few.c makes of weights */
        l->channel_block = (uint16_t)even(l->out.channels);
        l->blocks_a_step = MAX_SIDE / 2;
        l->patch_bytes = 2048;
    }
    l->patch_at = claim(l->patch_bytes);
}

static void add_layer(uint32_t i, int last)
{
    ecgqa_nn_layer_t *l = &layers[i];
    memset(l, 0, sizeof *l);
    l->in = layers[i ? i - 1u : 0u].pooled;
    if (i == 0u) {
        l->in.rows = (uint16_t)between(4, MAX_SIDE);
        l->in.cols = (uint16_t)between(4, MAX_SIDE);
        l->in.channels = between(0, 1) ? 3 : (uint16_t)between(1, 2);
    }
    l->kind = (uint8_t)(last ? between(ECGQA_NN_MEAN, ECGQA_NN_FULLY_CONNECTED)
                             : between(ECGQA_NN_CONV_2D, ECGQA_NN_AVERAGE_POOL_2D));
    l->out.channels =
        (uint16_t)(between(0, 1) ? between(1, MAX_CHANNELS) : 4u * between(1, MAX_CHANNELS / 4));
    if (is_dense(l)) {
        const ecgqa_nn_window_t one = {1, 1, 1, 1, 0, 0};
        l->out.rows = l->out.cols = 1;
        l->kernel = one;
    } else {
        l->kernel = window(&l->in, &l->out);
    }
    if (l->kind == ECGQA_NN_DEPTHWISE_CONV_2D) {
        l->out.channels =
            (uint16_t)(l->in.channels * between(1, (uint32_t)MAX_CHANNELS / l->in.channels));
    } else if (l->kind != ECGQA_NN_CONV_2D && l->kind != ECGQA_NN_FULLY_CONNECTED) {
        l->out.channels = l->in.channels;
    }
    l->from_index = i == 0u && l->kind == ECGQA_NN_CONV_2D && between(0, 2) > 0u;
    l->pooled = l->out;
    if (l->kind <= ECGQA_NN_DEPTHWISE_CONV_2D && between(0, 1)) {
        l->pool = window(&l->out, &l->pooled);
    }
    cut_into_runs(l);
    fill(i);
    place(l, i ? l - 1 : NULL);
}

const ecgqa_nn_model_t *nn_random_model(uint32_t seed)
{
    uint32_t n;
    state = seed * UINT32_C(2654435761) | 1u;
    for (n = 0; n < 8u; ++n) {
        (void)random_u32();
    }
    n = between(1, MAX_LAYERS);
    at = 0;
    for (uint32_t i = 0u; i < 256u * 3u; ++i) {
        lut_s8[i] = random_s8();
    }
    for (uint32_t i = 0u; i < n; ++i) {
        add_layer(i, i + 1u == n);
    }
    memset(&model, 0, sizeof model);
    model.format = ECGQA_NN_FORMAT;
    model.n_layers = (uint16_t)n;
    model.rows = layers[0].in.rows;
    model.cols = layers[0].in.cols;
    model.channels = layers[0].in.channels;
    model.classes = layers[n - 1u].out.channels;
    model.lut_s8 = lut_s8;
    model.layers = layers;
    model.softmax = between(0, 1) ? &softmax : NULL;
    model.progress_at = claim((n + 1u) * ECGQA_NN_PROGRESS_BYTES);
    model.logits_at = claim(model.classes);
    model.scores_at = claim(model.classes);
    model.workspace_bytes = at;
    for (uint32_t i = 0u; i < n; ++i) {
        ecgqa_reseal(ECGQA_SEAL_LAYER(&layers[i]));
    }
    ecgqa_reseal(ECGQA_SEAL_SOFTMAX(&softmax));
    ecgqa_reseal(ECGQA_SEAL_MODEL(&model));
    return at <= sizeof workspace ? &model : NULL;
}

void *nn_random_workspace(void)
{
    return workspace;
}

/* ---- the definition -------------------------------------------------------------------------- */

/* gemmlowp's SaturatingRoundingDoublingHighMul and RoundingDivideByPOT, as they are written down;
 * `once`: to nearest, halves away from zero. */
static int32_t scaled(int32_t acc, int32_t multiplier, int exponent, int once)
{
    const int64_t product = (int64_t)acc * multiplier;
    const int64_t nudge = product >= 0 ? (1 << 30) : 1 - (1 << 30);
    int32_t high, mask, remainder;
    if (once) {
        const int64_t size = product < 0 ? -product : product;
        const int32_t rounded =
            (int32_t)((size + (INT64_C(1) << (30 + exponent))) >> (31 + exponent));
        return product < 0 ? -rounded : rounded;
    }
    high = (int32_t)((product + nudge) / (INT64_C(1) << 31));
    mask = (int32_t)((UINT32_C(1) << exponent) - 1u);
    remainder = high & mask;
    return (high >> exponent) + (remainder > (mask >> 1) + (high < 0) ? 1 : 0);
}

static int8_t clamped(const ecgqa_nn_layer_t *l, int32_t y)
{
    y = y < l->act_min ? l->act_min : y;
    return (int8_t)(y > l->act_max ? l->act_max : y);
}

static int8_t requantised(const ecgqa_nn_layer_t *l, uint32_t c, int32_t acc)
{
    return clamped(l, l->out_zero_point + scaled(acc, l->multiplier_q31[c], -l->shift[c],
                                                 l->kind == ECGQA_NN_FULLY_CONNECTED));
}

/* One value before the merged pooling. */
static int8_t value(const ecgqa_nn_layer_t *l, const int8_t *x, uint32_t row, uint32_t col,
                    uint32_t c)
{
    const uint32_t channels = l->in.channels;
    int32_t sum = is_dense(l) || l->kind <= ECGQA_NN_DEPTHWISE_CONV_2D ? l->bias[c] : 0;
    int32_t most = INT8_MIN, count = 0;
    const uint32_t rows = is_dense(l) ? l->in.rows : l->kernel.rows;
    const uint32_t cols = is_dense(l) ? l->in.cols : l->kernel.cols;
    for (uint32_t ky = 0u; ky < rows; ++ky) {
        for (uint32_t kx = 0u; kx < cols; ++kx) {
            const int32_t r = (int32_t)(row * l->kernel.stride_rows + ky) - l->kernel.pad_top;
            const int32_t q = (int32_t)(col * l->kernel.stride_cols + kx) - l->kernel.pad_left;
            const int inside = r >= 0 && q >= 0 && r < l->in.rows && q < l->in.cols;
            const int8_t *pixel =
                inside ? x + ((uint32_t)r * l->in.cols + (uint32_t)q) * channels : NULL;
            const uint32_t tap = ky * cols + kx;
            if (l->kind == ECGQA_NN_CONV_2D || l->kind == ECGQA_NN_FULLY_CONNECTED) {
                for (uint32_t i = 0u; i < channels; ++i) {
                    const int planar = l->from_index && l->chunk_len >= l->run_len;
                    sum += ((inside ? pixel[i] : l->in_zero_point) + 128) *
                           weight_at(l, c, planar ? i * rows * cols + tap : tap * channels + i);
                }
            } else if (l->kind == ECGQA_NN_DEPTHWISE_CONV_2D) {
                sum += (inside ? pixel[c / (l->out.channels / channels)] : l->in_zero_point) *
                       weight_at(l, c, tap);
            } else if (inside) {
                sum += pixel[c];
                most = pixel[c] > most ? pixel[c] : most;
                ++count;
            }
        }
    }
    if (l->kind == ECGQA_NN_MAX_POOL_2D) {
        return clamped(l, most);
    }
    if (l->kind == ECGQA_NN_AVERAGE_POOL_2D) {
        return clamped(l, (sum > 0 ? sum + count / 2 : sum - count / 2) / count);
    }
    return requantised(l, c, sum);
}

static int8_t pooled(const ecgqa_nn_layer_t *l, const int8_t *y, uint32_t row, uint32_t col,
                     uint32_t c)
{
    int8_t most = INT8_MIN;
    for (uint32_t ky = 0u; ky < l->pool.rows; ++ky) {
        for (uint32_t kx = 0u; kx < l->pool.cols; ++kx) {
            const int32_t r = (int32_t)(row * l->pool.stride_rows + ky) - l->pool.pad_top;
            const int32_t q = (int32_t)(col * l->pool.stride_cols + kx) - l->pool.pad_left;
            if (r >= 0 && q >= 0 && r < l->out.rows && q < l->out.cols) {
                const int8_t v = y[((uint32_t)r * l->out.cols + (uint32_t)q) * l->out.channels + c];
                most = v > most ? v : most;
            }
        }
    }
    return most;
}

static void define(const ecgqa_nn_layer_t *l, const int8_t *x, int8_t *y)
{
    int8_t *out = l->pool.rows > 0u ? before_pool : y;
    for (uint32_t row = 0u; row < l->out.rows; ++row) {
        for (uint32_t col = 0u; col < l->out.cols; ++col) {
            for (uint32_t c = 0u; c < l->out.channels; ++c) {
                out[(row * l->out.cols + col) * l->out.channels + c] = value(l, x, row, col, c);
            }
        }
    }
    for (uint32_t row = 0u; l->pool.rows > 0u && row < l->pooled.rows; ++row) {
        for (uint32_t col = 0u; col < l->pooled.cols; ++col) {
            for (uint32_t c = 0u; c < l->out.channels; ++c) {
                y[(row * l->pooled.cols + col) * l->out.channels + c] =
                    pooled(l, before_pool, row, col, c);
            }
        }
    }
}

/* ---- comparison ------------------------------------------------------------------------------ */

/* Rows that events show, against the definition; the number of the layer that differs. */
static uint32_t compare_row(ecgqa_nn_t *net, const uint8_t *row, uint32_t *rows_seen)
{
    ecgqa_nn_event_t event = {ECGQA_NN_WORKED, 0, 0, NULL, 0};
    uint8_t *slot = ecgqa_nn_row_slot(net);
    if (slot != NULL) {
        memcpy(slot, row, model.cols);
    }
    if (ecgqa_nn_row_ready(net) != ECGQA_OK) {
        return MAX_LAYERS + 1;
    }
    while (event.kind != ECGQA_NN_IDLE) {
        if (ecgqa_nn_step(net, &event) != ECGQA_OK) {
            return MAX_LAYERS + 2;
        }
        if (event.kind == ECGQA_NN_ROW) {
            const ecgqa_nn_layer_t *l = &layers[event.layer];
            const size_t bytes = (size_t)l->pooled.cols * l->pooled.channels;
            (*rows_seen)++;
            if (event.data != NULL &&
                (event.len != bytes ||
                 memcmp(event.data, tensor[event.layer] + event.row * bytes, bytes) != 0)) {
                return event.layer + 1u;
            }
        }
    }
    return 0;
}

uint32_t nn_random_compare(uint32_t seed)
{
    ecgqa_nn_t net;
    const int8_t *scores = NULL;
    uint32_t rows_seen = 0, rows = 0, differs = 0;
    if (nn_random_model(seed) == NULL) {
        return 0; /* larger than the workspace here */
    }
    for (uint32_t i = 0u; i < (uint32_t)model.rows * model.cols; ++i) {
        index_map[i] = (uint8_t)random_u32();
        memcpy(image + i * model.channels, lut_s8 + index_map[i] * model.channels, model.channels);
    }
    for (uint32_t i = 0u; i < model.n_layers; ++i) {
        define(&layers[i], i ? tensor[i - 1u] : image, tensor[i]);
        rows += layers[i].pooled.rows;
    }
    memset(workspace, 0xA5, sizeof workspace);
    if (ecgqa_nn_init(&net, &model, workspace, sizeof workspace) != ECGQA_OK) {
        return MAX_LAYERS + 3;
    }
    for (uint32_t row = 0u; row < model.rows && differs == 0u; ++row) {
        if (ecgqa_nn_next_row(&net) != row) {
            return MAX_LAYERS + 4;
        }
        differs = compare_row(&net, index_map + row * model.cols, &rows_seen);
    }
    if (differs != 0u) {
        return differs;
    }
    if (rows_seen != rows || ecgqa_nn_scores(&net, &scores) != ECGQA_OK) {
        return MAX_LAYERS + 5;
    }
    if (model.softmax == NULL && memcmp(scores, tensor[model.n_layers - 1u], model.classes) != 0) {
        return MAX_LAYERS + 6;
    }
    return 0;
}
