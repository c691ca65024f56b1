/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* A row of a convolution whose pixels take few inputs, with the max pooling that follows: two
 * pixels at a time, whole. What nn_layers.c does for any convolution (a look for zeros, sums
 * that wait in memory, a window of the pooling at a time) is more work there than the
 * multiplications. */
#include "fast.h"

#include "nn_internal.h"
#include "nn_kernels.h"

#if ECGQA_NN_HAS_FEW

#include <string.h>

/* Where a row of output pixels goes: into a pooled row that has seen none and one that has, or one
 * of these (else NULL). */
typedef struct {
    ecgqa_nn_window_t pool; /* 1 x 1 where there is none */
    int8_t *fresh, *seen;
    int8_t *ring;  /* the last pixels, column c at c & mask */
    uint32_t mask; /* slots less 1 */
    uint32_t next; /* pooled column */
} pooling_t;

static uint32_t taps_of(const ecgqa_nn_layer_t *l)
{
    return (uint32_t)l->kernel.rows * l->kernel.cols * l->in.channels;
}

/* Without padding, all taps of a pixel lie in the image. */
static int is_inside(const ecgqa_nn_layer_t *l)
{
    return l->kernel.pad_top == 0u && l->kernel.pad_left == 0u &&
           (l->out.rows - 1u) * l->kernel.stride_rows + l->kernel.rows <= l->in.rows &&
           (l->out.cols - 1u) * l->kernel.stride_cols + l->kernel.cols <= l->in.cols;
}

/* An output row lies in two pooled ones at most, and in a second one only where a third would
 * begin; so do columns. */
static int is_pooled_simply(const ecgqa_nn_layer_t *l)
{
    return l->pool.pad_top == 0u && l->pool.pad_left == 0u &&
           l->pool.rows <= l->pool.stride_rows + 1u && l->pool.stride_cols <= l->pool.cols;
}

/* Of the ring: a power of two, for pixels come by twos, more than a window has columns. */
static uint32_t slots_of(const ecgqa_nn_layer_t *l)
{
    uint32_t slots = 2u;
    while (slots < l->pool.cols + 1u) {
        slots *= 2u;
    }
    return slots;
}

/* Taps of a pixel as they are gathered. */
static uint32_t gather_bytes(const ecgqa_nn_layer_t *l)
{
    return ecgqa_nn_even(taps_of(l));
}

/* Of the patch: weights, made ready for the row, and the taps of two pixels. */
static uint32_t patch_bytes(const ecgqa_nn_layer_t *l)
{
    return 4u * ECGQA_NN_FEW_PREPARED(taps_of(l), l->out.channels) + 2u * gather_bytes(l);
}

/* Of the accumulators, which are not needed: inputs of two pixels, and the last output pixels. */
static uint32_t pixels_bytes(const ecgqa_nn_layer_t *l)
{
    return 4u * ECGQA_NN_FEW_PATCH(taps_of(l)) + slots_of(l) * l->out.channels;
}

/* Whole rows of whole pixels after a ReLU, for which there is room. */
static int is_few(const ecgqa_nn_layer_t *l)
{
    return l->kind == ECGQA_NN_CONV_2D && l->gather && !l->from_index &&
           taps_of(l) <= ECGQA_NN_FEW && l->runs == 1u && is_inside(l) && is_pooled_simply(l) &&
           l->channel_block == l->out.channels && l->out.channels % 4u == 0u &&
           l->out_zero_point == INT8_MIN && l->act_min == INT8_MIN && l->act_max == INT8_MAX &&
           2u * l->blocks_a_step >= l->out.cols && l->patch_bytes >= patch_bytes(l) &&
           8u * l->out.channels >= pixels_bytes(l);
}

static pooling_t pooling_of(const ecgqa_nn_t *net, uint32_t layer, int8_t *ring)
{
    const ecgqa_nn_layer_t *l = &net->model->layers[layer];
    const uint32_t last = layer + 1u == net->model->n_layers;
    const uint32_t base = last ? 0u : ecgqa_nn_progress(net, layer + 1u)->base;
    const uint32_t row = ecgqa_nn_progress(net, layer)->out_row;
    const ecgqa_nn_window_t none = {1, 1, 1, 1, 0, 0};
    pooling_t p = {l->pool.rows == 0u ? none : l->pool, NULL, NULL, ring, slots_of(l) - 1u, 0};
    uint32_t r = row < p.pool.rows ? 0u : (row - p.pool.rows) / p.pool.stride_rows + 1u;
    r = r < base ? base : r;
    for (; r * p.pool.stride_rows <= row && r < l->pooled.rows; ++r) {
        int8_t *const to = ecgqa_nn_row(net, layer + 1u, r);
        if (r * p.pool.stride_rows == row) {
            p.fresh = to;
        } else {
            p.seen = to;
        }
    }
    return p;
}

/* The maximum of a window's columns [left, right) into both rows. */
static void pool_window(const pooling_t *p, uint32_t left, uint32_t right, uint32_t channels)
{
    int8_t *const first = p->ring + (left & p->mask) * channels;
    const int8_t *from = first;
    int8_t *const most = p->fresh != NULL ? p->fresh + p->next * channels : first;
    for (uint32_t col = left + 1u < right ? left + 1u : left; col < right; ++col) {
        ecgqa_nn_max(most, from, p->ring + (col & p->mask) * channels, channels);
        from = most;
    }
    if (p->seen != NULL) {
        int8_t *const to = p->seen + p->next * channels;
        ecgqa_nn_max(to, to, most, channels);
    }
}

/* Windows that end before column `have`. */
static void pool(const ecgqa_nn_layer_t *l, pooling_t *p, uint32_t have)
{
    for (; p->next < l->pooled.cols; ++p->next) {
        const uint32_t left = p->next * p->pool.stride_cols, end = left + p->pool.cols;
        const uint32_t right = end < l->out.cols ? end : l->out.cols;
        if (right > have) {
            return;
        }
        pool_window(p, left, right, l->out.channels);
    }
}

/* All taps of an output column. */
static void gather(const ecgqa_nn_layer_t *l, const int8_t *taps, int8_t *x)
{
    const uint32_t channels = l->in.channels;
    ecgqa_nn_copy_runs(x, taps, l->kernel.cols * channels, l->kernel.rows, l->in.cols * channels);
}

static ecgqa_nn_few_t few_of(const ecgqa_nn_t *net, const ecgqa_nn_layer_t *l)
{
    const ecgqa_nn_few_t job = {
        (const uint8_t *)l->weights,
        l->bias,
        {l->multiplier_q31, l->shift, l->out_zero_point, l->act_min, l->act_max},
        taps_of(l),
        l->out.channels,
        (uint32_t *)(void *)(net->workspace + l->patch_at),
        (uint32_t *)(void *)(net->workspace + l->accumulators_at)};
    return job;
}

/* A row of pixels, two at a time, and of windows. */
static void run_row(const ecgqa_nn_layer_t *l, const ecgqa_nn_few_t *job, pooling_t *pooling,
                    const int8_t *taps)
{
    const uint32_t cols = l->out.cols, bytes = gather_bytes(l);
    const uint32_t step = (uint32_t)l->kernel.stride_cols * l->in.channels;
    int8_t *const x = (int8_t *)(job->prepared + ECGQA_NN_FEW_PREPARED(job->len, job->channels));
    memset(x, INT8_MIN, 2u * bytes); /* what rounds up stays so */
    ecgqa_nn_few_prepare(job);
    for (uint32_t col = 0u; col < cols; col += 2u, taps += 2u * step) {
        gather(l, taps, x);
        if (col + 1u < cols) {
            gather(l, taps + step, x + bytes);
        }
        ecgqa_nn_few(job, pooling->ring + (col & pooling->mask) * job->channels, x, x + bytes);
        pool(l, pooling, col + 2u < cols ? col + 2u : cols);
    }
}

int ecgqa_nn_run_few(const ecgqa_nn_t *net, uint32_t layer)
{
    const ecgqa_nn_layer_t *l = &net->model->layers[layer];
    ecgqa_nn_progress_t *progress = ecgqa_nn_progress(net, layer);
    if (!is_few(l) || progress->out_col != 0u || progress->channel != 0u || progress->chunk != 0u) {
        return 0;
    }
    const ecgqa_nn_few_t job = few_of(net, l);
    pooling_t pooling = pooling_of(net, layer, (int8_t *)(job.patch + ECGQA_NN_FEW_PATCH(job.len)));
    run_row(l, &job, &pooling, (const int8_t *)net->workspace + l->window_at);
    ++progress->out_row;
    return 1;
}

#else

int ecgqa_nn_run_few(const ecgqa_nn_t *net, uint32_t layer)
{
    (void)net;
    (void)layer;
    return 0;
}

#endif
