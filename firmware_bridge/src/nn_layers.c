/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* One step of each kind of layer: some blocks of two pixels or one, or a part of a block. */
#include "fast.h"

#include "nn_internal.h"
#include "nn_kernels.h"
#include "nn_requant.h"

#include <string.h>

/* ---- input ----------------------------------------------------------------------------------- */

int8_t *ecgqa_nn_slot(const ecgqa_nn_t *net, const ecgqa_nn_layer_t *layer, uint32_t index)
{
    const uint32_t bytes = ecgqa_nn_row_bytes(layer);
    uint32_t at = layer->window_at;
    if (index < layer->window_rows) {
        at += index * bytes;
    } else if (index - layer->window_rows < layer->carry_rows) {
        at = layer->carry_at + (index - layer->window_rows) * bytes;
    } else { /* the progress is not what it was: any row will do */
    }
    return (int8_t *)(net->workspace + at);
}

int8_t *ecgqa_nn_row(const ecgqa_nn_t *net, uint32_t layer, uint32_t row)
{
    if (layer == net->model->n_layers) {
        return (int8_t *)(net->workspace + net->model->logits_at);
    }
    return ecgqa_nn_slot(net, &net->model->layers[layer],
                         row - ecgqa_nn_progress(net, layer)->base);
}

/* ---- output ---------------------------------------------------------------------------------- */

/* Pixels side by side, as they go out. */
typedef struct {
    const int8_t *y; /* channels of the first */
    uint32_t len;
    uint32_t stride; /* from a pixel to the next, bytes */
    uint32_t pixels;
    uint32_t row, col, channel; /* of the first */
} pixels_t;

/* Into row `to` of the pooled output, the maximum where a window has seen a pixel before; `first`:
 * none of this row. */
static void pool_into(const ecgqa_nn_layer_t *l, int8_t *to, int first, const pixels_t *from)
{
    const ecgqa_nn_window_t *pool = &l->pool;
    const int8_t *y = from->y;
    uint32_t col = from->col + pool->pad_left;
    for (uint32_t i = 0u; i < from->pixels; ++i, ++col, y += from->stride) {
        uint32_t c = col < pool->cols ? 0u : (col - pool->cols) / pool->stride_cols + 1u;
        uint32_t at = c * pool->stride_cols;
        for (; at <= col && c < l->pooled.cols; ++c, at += pool->stride_cols) {
            int8_t *const pixel = to + c * l->pooled.channels;
            if (!first || (col != at && col != pool->pad_left)) {
                ecgqa_nn_max(pixel, pixel, y, from->len);
            } else {
                memcpy(pixel, y, from->len);
            }
        }
    }
}

/* Into the next layer's rows; the maximum where pooling is merged. */
static void emit(const ecgqa_nn_t *net, uint32_t layer, const pixels_t *from)
{
    const ecgqa_nn_layer_t *l = &net->model->layers[layer];
    const uint32_t last = layer + 1u == net->model->n_layers;
    const uint32_t channels = l->pooled.channels;
    const ecgqa_nn_window_t *pool = &l->pool;
    const uint32_t base = last ? 0u : ecgqa_nn_progress(net, layer + 1u)->base;
    if (pool->rows == 0u) {
        if (from->row >= base) {
            int8_t *to = ecgqa_nn_row(net, layer + 1u, from->row) + from->channel;
            for (uint32_t i = 0u; i < from->pixels; ++i) {
                memcpy(to + (from->col + i) * channels, from->y + i * from->stride, from->len);
            }
        }
        return;
    }
    const uint32_t row = from->row + pool->pad_top;
    uint32_t r = row < pool->rows ? 0u : (row - pool->rows) / pool->stride_rows + 1u;
    r = r < base ? base : r;
    for (; r * pool->stride_rows <= row && r < l->pooled.rows; ++r) {
        const int first = row == r * pool->stride_rows || row == pool->pad_top;
        pool_into(l, ecgqa_nn_row(net, layer + 1u, r) + from->channel, first, from);
    }
}

/* One pixel, all its channels. */
static void emit_one(const ecgqa_nn_t *net, uint32_t layer, uint32_t row, uint32_t col,
                     const int8_t *y)
{
    const pixels_t from = {y, net->model->layers[layer].out.channels, 0, 1, row, col, 0};
    emit(net, layer, &from);
}

static ecgqa_nn_requant_t requant_of(const ecgqa_nn_layer_t *l, uint32_t channel)
{
    const ecgqa_nn_requant_t requant = {l->multiplier_q31 + channel, l->shift + channel,
                                        l->out_zero_point, l->act_min, l->act_max};
    return requant;
}

/* Accumulators of `pixels` pixels, `stride` apart, to int8 in place and out. */
static void finish_pixels(const ecgqa_nn_t *net, uint32_t layer, int32_t *acc, uint32_t pixels,
                          uint32_t stride)
{
    const ecgqa_nn_layer_t *l = &net->model->layers[layer];
    const ecgqa_nn_progress_t *p = ecgqa_nn_progress(net, layer);
    const ecgqa_nn_requant_t requant = requant_of(l, p->channel);
    const uint32_t left = (uint32_t)l->out.channels - p->channel;
    const uint32_t len = left < stride ? left : stride;
    for (uint32_t i = 0u; i < pixels; ++i) {
        ecgqa_nn_requantise((int8_t *)(acc + i * stride), acc + i * stride, len, &requant);
    }
    const pixels_t from = {(const int8_t *)acc, len,       stride * sizeof *acc, pixels, p->out_row,
                           p->out_col,          p->channel};
    emit(net, layer, &from);
}

/* On to the next block of channels, pixels or row. */
static void move_on(const ecgqa_nn_layer_t *l, ecgqa_nn_progress_t *p, uint32_t pixels,
                    uint32_t channels)
{
    p->chunk = 0;
    p->channel = (uint16_t)(p->channel + channels);
    if (p->channel < l->out.channels) {
        return;
    }
    p->channel = 0;
    p->out_col = (uint16_t)(p->out_col + pixels);
    if (p->out_col < l->out.cols) {
        return;
    }
    p->out_col = 0;
    ++p->out_row;
}

/* ---- taps ------------------------------------------------------------------------------------ */

/* The input rows under a kernel: those of the window from its front. */
typedef struct {
    const int8_t *row; /* under kernel row `first` */
    uint32_t row_bytes;
    uint32_t first, end; /* kernel rows that are not in the padding */
} rows_t;

static rows_t rows_under(const ecgqa_nn_t *net, uint32_t layer)
{
    const ecgqa_nn_layer_t *l = &net->model->layers[layer];
    const uint32_t top = (uint32_t)ecgqa_nn_progress(net, layer)->out_row * l->kernel.stride_rows;
    const uint32_t pad = l->kernel.pad_top;
    const uint32_t left = l->in.rows + pad - top;
    rows_t rows;
    rows.first = top < pad ? pad - top : 0u;
    rows.end = left < l->kernel.rows ? left : l->kernel.rows;
    rows.row = (const int8_t *)(net->workspace + l->window_at);
    rows.row_bytes = ecgqa_nn_row_bytes(l);
    return rows;
}

/* NULL in the padding. */
static const int8_t *row_at(const rows_t *rows, uint32_t ky)
{
    return ky < rows->first || ky >= rows->end ? NULL
                                               : rows->row + (ky - rows->first) * rows->row_bytes;
}

void ecgqa_nn_colour(int8_t *x, const uint8_t *index, uint32_t count, const int8_t *lut_s8,
                     uint32_t channels)
{
    if (channels == 3u) {
        for (uint32_t i = 0u; i < count; ++i) {
            memcpy(x + 3u * i, lut_s8 + 3u * (uint32_t)index[i], 3);
        }
    } else if (channels == 1u) {
        for (uint32_t i = 0u; i < count; ++i) {
            x[i] = lut_s8[index[i]];
        }
    } else {
        for (uint32_t i = 0u; i < count; ++i) {
            for (uint32_t c = 0u; c < channels; ++c) {
                x[i * channels + c] = lut_s8[index[i] * channels + c];
            }
        }
    }
}

/* Taps of an index row are gathered colour by colour where one chunk holds them all. */
static int is_planar(const ecgqa_nn_layer_t *l)
{
    return l->from_index && l->chunk_len >= l->run_len;
}

/* Bytes from a gathered tap to the next. */
static uint32_t tap_bytes(const ecgqa_nn_layer_t *l)
{
    return is_planar(l) ? 1u : l->in.channels;
}

/* `count` pixels of a row from column `col` on, which lie in it. */
static void copy_pixels(const ecgqa_nn_t *net, const ecgqa_nn_layer_t *l, int8_t *x,
                        const int8_t *row, uint32_t col, uint32_t count)
{
    const uint32_t channels = l->in.channels;
    const uint8_t *const index = (const uint8_t *)row + col;
    if (is_planar(l) && channels > 1u) {
        ecgqa_nn_colour_planes(x, index, count, net->model->lut_s8, channels,
                               l->run_len / channels);
    } else if (l->from_index) {
        ecgqa_nn_colour(x, index, count, net->model->lut_s8, channels);
    } else {
        memcpy(x, row + col * channels, count * channels);
    }
}

/* `count` pixels of the padding. */
static void pad_pixels(const ecgqa_nn_layer_t *l, int8_t *x, uint32_t count)
{
    const uint32_t planes = is_planar(l) ? l->in.channels : 1u;
    for (uint32_t plane = 0u; plane < planes; ++plane) {
        memset(x + plane * (l->run_len / l->in.channels), l->in_zero_point, count * tap_bytes(l));
    }
}

/* As above where some columns, or the row (NULL), may lie in the padding; `col` counts it. */
static void copy_padded(const ecgqa_nn_t *net, const ecgqa_nn_layer_t *l, int8_t *x,
                        const int8_t *row, uint32_t col, uint32_t count)
{
    const uint32_t bytes = tap_bytes(l);
    const uint32_t pad = l->kernel.pad_left;
    const uint32_t edge = row == NULL ? 0u : pad + l->in.cols;
    const uint32_t first = col < pad ? pad : col;
    const uint32_t end = col + count < edge ? col + count : edge;
    if (first < end) {
        pad_pixels(l, x, first - col);
        copy_pixels(net, l, x + (first - col) * bytes, row, first - pad, end - first);
        x += (end - col) * bytes;
        count -= end - col;
    }
    pad_pixels(l, x, count);
}

/* All taps of a kernel that lies inside the image, as they are; 0: they don't. */
static int gather_whole(const ecgqa_nn_layer_t *l, const rows_t *rows, uint32_t out_col, int8_t *x)
{
    const uint32_t channels = l->in.channels;
    const uint32_t len = l->kernel.cols * channels;
    const uint32_t left = out_col * l->kernel.stride_cols;
    if (l->from_index || l->kernel.pad_left != 0u || left + l->kernel.cols > l->in.cols ||
        rows->first != 0u || rows->end != l->kernel.rows || l->chunk_len != rows->end * len) {
        return 0;
    }
    ecgqa_nn_copy_runs(x, rows->row + left * channels, len, rows->end, rows->row_bytes);
    return 1;
}

/* Taps [first, first + count) of the kernel over output column `col`, colour and padding done. */
ECGQA_APART static void gather(const ecgqa_nn_t *net, uint32_t layer, const rows_t *rows,
                               uint32_t col, uint32_t first, uint32_t count, int8_t *x)
{
    const ecgqa_nn_layer_t *l = &net->model->layers[layer];
    const uint32_t cols = l->kernel.cols;
    const uint32_t left = col * l->kernel.stride_cols;
    const uint32_t pad = l->kernel.pad_left;
    const int inside = left >= pad && left + cols <= pad + l->in.cols;
    uint32_t ky = first / cols;
    uint32_t kx = first % cols;
    while (count > 0u) {
        const uint32_t run = cols - kx < count ? cols - kx : count;
        const int8_t *row = row_at(rows, ky);
        if (inside && row != NULL) {
            copy_pixels(net, l, x, row, left + kx - pad, run);
        } else {
            copy_padded(net, l, x, row, left + kx, run);
        }
        x += run * tap_bytes(l);
        count -= run;
        kx = 0;
        ++ky;
    }
}

/* ---- layers ---------------------------------------------------------------------------------- */

/* A block of output channels of `pixels` pixels, its accumulators where the layer keeps them. */
static ecgqa_nn_dot_t dot_of(const ecgqa_nn_t *net, const ecgqa_nn_layer_t *l, uint32_t pixels,
                             uint32_t channel, uint32_t channels)
{
    ecgqa_nn_dot_t job;
    job.acc = (int32_t *)(void *)(net->workspace + l->accumulators_at);
    job.pair_bytes = 2u * l->runs * ecgqa_nn_even(l->run_len);
    job.weights = (const uint8_t *)l->weights + channel / 2u * job.pair_bytes;
    job.patch = net->workspace + l->patch_at;
    job.patch_bytes = l->patch_bytes;
    job.pixels = (uint16_t)pixels;
    job.pairs = (uint16_t)(channels / 2u);
    ecgqa_nn_dot_clear(&job);
    return job;
}

/* Products of a chunk of taps, gathered. */
static void conv_gathered(const ecgqa_nn_t *net, uint32_t layer, uint32_t chunk,
                          ecgqa_nn_dot_t *job)
{
    const ecgqa_nn_layer_t *l = &net->model->layers[layer];
    const ecgqa_nn_progress_t *p = ecgqa_nn_progress(net, layer);
    const uint32_t channels = l->in.channels;
    const uint32_t tap = chunk * (l->chunk_len / channels);
    const uint32_t left = l->run_len - chunk * l->chunk_len;
    const uint32_t len = left < l->chunk_len ? left : l->chunk_len;
    int8_t *const x0 = (int8_t *)(net->workspace + l->gather_at);
    int8_t *const x1 = job->pixels == 2u ? x0 + l->chunk_len : NULL;
    const rows_t rows = rows_under(net, layer);
    for (uint32_t i = 0u; i < job->pixels; ++i) {
        const uint32_t col = p->out_col + i;
        int8_t *const x = x0 + i * l->chunk_len;
        if (!gather_whole(l, &rows, col, x)) {
            gather(net, layer, &rows, col, tap, len / channels, x);
        }
    }
    ecgqa_nn_dot_add(job, x0, x1, len, 2u * chunk * l->chunk_len);
}

/* Products of a chunk of a kernel row, read where it lies. */
static void conv_direct(const ecgqa_nn_t *net, uint32_t layer, uint32_t chunk, ecgqa_nn_dot_t *job)
{
    const ecgqa_nn_layer_t *l = &net->model->layers[layer];
    const ecgqa_nn_progress_t *p = ecgqa_nn_progress(net, layer);
    const uint32_t step = (uint32_t)l->kernel.stride_cols * l->in.channels;
    const rows_t rows = rows_under(net, layer);
    const uint32_t chunks_a_run = (uint32_t)l->chunks / l->runs;
    const uint32_t ky = chunk / chunks_a_run;
    const uint32_t k = chunk % chunks_a_run * l->chunk_len;
    const uint32_t left = l->run_len - k;
    const int8_t *const x = rows.row + ky * rows.row_bytes + p->out_col * step + k;
    ecgqa_nn_dot_add(job, x, job->pixels == 2u ? x + step : NULL,
                     left < l->chunk_len ? left : l->chunk_len,
                     2u * (ky * ecgqa_nn_even(l->run_len) + k));
}

ECGQA_APART static void run_conv(const ecgqa_nn_t *net, uint32_t layer)
{
    const ecgqa_nn_layer_t *l = &net->model->layers[layer];
    ecgqa_nn_progress_t *p = ecgqa_nn_progress(net, layer);
    const uint32_t left = ecgqa_nn_even(l->out.channels) - p->channel;
    const uint32_t block = left < l->channel_block ? left : l->channel_block;
    const uint32_t pixels = l->out.cols - p->out_col < 2 ? 1u : 2u;
    const uint32_t until = (uint32_t)p->chunk + l->chunks_a_step;
    const uint32_t end = until < l->chunks ? until : l->chunks;
    ecgqa_nn_dot_t job = dot_of(net, l, pixels, p->channel, block);
    if (p->chunk == 0u) {
        ecgqa_nn_start_sums(job.acc, l->bias + p->channel, block, pixels);
    }
    for (uint32_t chunk = p->chunk; chunk < end; ++chunk) {
        if (l->gather) {
            conv_gathered(net, layer, chunk, &job);
        } else {
            conv_direct(net, layer, chunk, &job);
        }
    }
    ecgqa_nn_dot_finish(&job);
    p->chunk = (uint16_t)end;
    if (end == l->chunks) {
        finish_pixels(net, layer, job.acc, pixels, block);
        move_on(l, p, pixels, block);
    }
}

/* Input column under kernel column `kx`; not below in.cols in the padding. */
static uint32_t col_under(const ecgqa_nn_layer_t *l, uint32_t col, uint32_t kx)
{
    return col * l->kernel.stride_cols + kx - l->kernel.pad_left;
}

ECGQA_APART static void run_depthwise(const ecgqa_nn_t *net, uint32_t layer)
{
    const ecgqa_nn_layer_t *l = &net->model->layers[layer];
    ecgqa_nn_progress_t *p = ecgqa_nn_progress(net, layer);
    const uint32_t left = (uint32_t)l->out.channels - p->channel;
    const uint32_t block = left < l->channel_block ? left : l->channel_block;
    const uint32_t multiplier = (uint32_t)l->out.channels / l->in.channels;
    const int8_t *weights = (const int8_t *)l->weights + p->channel;
    int32_t *acc = (int32_t *)(void *)(net->workspace + l->accumulators_at);
    int8_t *taps = (int8_t *)(net->workspace + l->gather_at);
    const rows_t rows = rows_under(net, layer);
    memcpy(acc, l->bias + p->channel, block * sizeof *acc);
    for (uint32_t ky = 0u; ky < l->kernel.rows; ++ky) {
        const int8_t *row = row_at(&rows, ky);
        for (uint32_t kx = 0u; kx < l->kernel.cols; ++kx) {
            const uint32_t in_col = col_under(l, p->out_col, kx);
            const int8_t *x = NULL;
            if (row == NULL || in_col >= l->in.cols) {
                memset(taps, l->in_zero_point, block);
                x = taps;
            } else if (multiplier == 1u) {
                x = row + in_col * l->in.channels + p->channel;
            } else {
                for (uint32_t c = 0u; c < block; ++c) {
                    taps[c] = row[in_col * l->in.channels + (p->channel + c) / multiplier];
                }
                x = taps;
            }
            ecgqa_nn_multiply_add(acc, x, weights, block);
            weights += l->out.channels;
        }
    }
    finish_pixels(net, layer, acc, 1, block);
    move_on(l, p, 1, block);
}

/* (sum + count / 2) / count, away from zero. */
static int32_t mean_of(int32_t sum, int32_t count)
{
    return (sum > 0 ? sum + count / 2 : sum - count / 2) / count;
}

static int8_t clamp(const ecgqa_nn_layer_t *l, int32_t y)
{
    y = y < l->act_min ? l->act_min : y;
    return (int8_t)(y > l->act_max ? l->act_max : y);
}

/* Maximum or average over the part of the window that is not padding, all channels of a pixel. */
ECGQA_APART static void run_pool(const ecgqa_nn_t *net, uint32_t layer)
{
    const ecgqa_nn_layer_t *l = &net->model->layers[layer];
    ecgqa_nn_progress_t *p = ecgqa_nn_progress(net, layer);
    const uint32_t channels = l->out.channels;
    int32_t *acc = (int32_t *)(void *)(net->workspace + l->accumulators_at);
    int8_t *y = (int8_t *)acc;
    const rows_t rows = rows_under(net, layer);
    int32_t count = 0;
    for (uint32_t ky = 0u; ky < l->kernel.rows; ++ky) {
        const int8_t *row = row_at(&rows, ky);
        for (uint32_t kx = 0u; kx < l->kernel.cols; ++kx) {
            const uint32_t in_col = col_under(l, p->out_col, kx);
            if (row == NULL || in_col >= l->in.cols) {
                continue;
            }
            const int8_t *x = row + in_col * channels;
            for (uint32_t c = 0u; c < channels; ++c) {
                if (count == 0) {
                    acc[c] = x[c];
                } else if (l->kind == ECGQA_NN_AVERAGE_POOL_2D) {
                    acc[c] += x[c];
                } else if (x[c] > acc[c]) {
                    acc[c] = x[c];
                }
            }
            ++count;
        }
    }
    for (uint32_t c = 0u; c < channels; ++c) {
        y[c] = clamp(l, l->kind == ECGQA_NN_AVERAGE_POOL_2D ? mean_of(acc[c], count) : acc[c]);
    }
    emit_one(net, layer, p->out_row, p->out_col, y);
    move_on(l, p, 1, channels);
}

static void add_row_to_mean(const ecgqa_nn_layer_t *l, int32_t *acc, const int8_t *row)
{
    for (uint32_t col = 0u; col < l->in.cols; ++col) {
        for (uint32_t c = 0u; c < l->in.channels; ++c) {
            acc[c] += row[c];
        }
        row += l->in.channels;
    }
}

static void add_row_to_dense(const ecgqa_nn_t *net, const ecgqa_nn_layer_t *l, const int8_t *x,
                             uint32_t row)
{
    ecgqa_nn_dot_t job = dot_of(net, l, 1, 0, ecgqa_nn_even(l->out.channels));
    ecgqa_nn_dot_add(&job, x, NULL, l->run_len, 2u * row * ecgqa_nn_even(l->run_len));
    ecgqa_nn_dot_finish(&job);
}

/* FULLY_CONNECTED and MEAN: a row into the accumulators or, after the last one, they go out. */
ECGQA_APART static void run_accumulating(const ecgqa_nn_t *net, uint32_t layer)
{
    const ecgqa_nn_layer_t *l = &net->model->layers[layer];
    ecgqa_nn_progress_t *p = ecgqa_nn_progress(net, layer);
    int32_t *acc = (int32_t *)(void *)(net->workspace + l->accumulators_at);
    const uint32_t channels = l->out.channels;
    if (p->out_row == l->in.rows) {
        const ecgqa_nn_requant_t requant = requant_of(l, 0);
        if (l->kind == ECGQA_NN_MEAN) {
            ecgqa_nn_requantise((int8_t *)acc, acc, channels, &requant);
        } else {
            for (uint32_t c = 0u; c < channels; ++c) {
                ((int8_t *)acc)[c] = ecgqa_nn_requantise_once(acc[c], c, &requant);
            }
        }
        emit_one(net, layer, 0, 0, (const int8_t *)acc);
    } else {
        const int8_t *row = ecgqa_nn_row(net, layer, p->out_row);
        if (p->out_row == 0u) {
            memcpy(acc, l->bias, ecgqa_nn_even(channels) * sizeof *acc);
        }
        if (l->kind == ECGQA_NN_MEAN) {
            add_row_to_mean(l, acc, row);
        } else {
            add_row_to_dense(net, l, row, p->out_row);
        }
    }
    ++p->out_row;
}

static int run_block(const ecgqa_nn_t *net, uint32_t layer)
{
    switch (net->model->layers[layer].kind) {
#define ECGQA_NN_KIND_CASE(name, kernel, accumulates, weights, scaled) \
    case ECGQA_NN_##name:                                              \
        run_##kernel(net, layer);                                      \
        return 1;
        ECGQA_NN_KIND_LIST(ECGQA_NN_KIND_CASE)
#undef ECGQA_NN_KIND_CASE
    default:
        return 0;
    }
}

int ecgqa_nn_run_layer(const ecgqa_nn_t *net, uint32_t layer)
{
    const ecgqa_nn_layer_t *l = &net->model->layers[layer];
    const ecgqa_nn_progress_t *p = ecgqa_nn_progress(net, layer);
    const uint16_t row = p->out_row;
    uint32_t blocks = l->blocks_a_step;
    int ran;
    if (p->out_col >= l->out.cols || p->channel >= l->out.channels) {
        return 0; /* not where move_on leaves it */
    }
    do {
        ran = run_block(net, layer);
    } while (--blocks > 0u && p->chunk == 0u && p->out_row == row);
    return ran;
}
