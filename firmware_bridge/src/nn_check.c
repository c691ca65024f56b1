/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* Whether a model's shapes, positions and sizes fit each other, so that no step reads or writes
 * outside the workspace or copies between buffers that overlap, and whether its sums stay in int32,
 * whatever the constants say. The weights' own lengths can't be known. */
#include "nn_internal.h"
#include "nn_kernels.h"

enum { MAX_CLASSES = 4095 }; /* Q12.19 holds that many exponentials of at most 1 */

/* Largest sizes of inputs and weights: as they are, and as a packed layer's inputs are taken. */
enum { MAX_SIZE = 128, MAX_PACKED_INPUT = 255 };

/* What requantisation takes (nn_kernels.h). */
#define MAX_SUM (INT64_C(1) << 30)

static uint64_t progress_end(const ecgqa_nn_model_t *model)
{
    return model->progress_at + ((uint64_t)model->n_layers + 1u) * ECGQA_NN_PROGRESS_BYTES;
}

/* `bytes` at `at` lie in the workspace, at a multiple of `align`, and leave the engine's own state
 * alone: whatever else a wrong plan mixes up, rows and columns stay those that were checked. */
static int fits(const ecgqa_nn_model_t *model, uint32_t at, uint64_t bytes, uint32_t align)
{
    return at % align == 0u && at + bytes <= model->workspace_bytes &&
           (at >= progress_end(model) || at + bytes <= model->progress_at || bytes == 0u);
}

static int shape_is_valid(const ecgqa_nn_shape_t *shape)
{
    return shape->rows > 0u && shape->cols > 0u && shape->channels > 0u;
}

/* The window slides from `in` to `out` pixels without leaving the input and its padding, and each
 * position of it holds a pixel of the input. */
static int slides(uint32_t in, uint32_t out, uint32_t size, uint32_t stride, uint32_t pad)
{
    return stride > 0u && pad < size && (out - 1u) * stride < in + pad;
}

static int window_is_valid(const ecgqa_nn_window_t *w, const ecgqa_nn_shape_t *in,
                           const ecgqa_nn_shape_t *out)
{
    return slides(in->rows, out->rows, w->rows, w->stride_rows, w->pad_top) &&
           slides(in->cols, out->cols, w->cols, w->stride_cols, w->pad_left);
}

/* No position of the kernel leaves the input. */
static int is_unpadded(const ecgqa_nn_layer_t *l)
{
    const uint32_t reach = ((uint32_t)l->out.cols - 1u) * l->kernel.stride_cols + l->kernel.cols;
    const uint32_t reach_rows =
        ((uint32_t)l->out.rows - 1u) * l->kernel.stride_rows + l->kernel.rows;
    return l->kernel.pad_top == 0u && l->kernel.pad_left == 0u && reach <= l->in.cols &&
           reach_rows <= l->in.rows;
}

/* Without the gather a kernel's columns are read straight from the row. */
static int taps_are_valid(const ecgqa_nn_layer_t *l)
{
    const uint32_t taps = (uint32_t)l->kernel.rows * l->kernel.cols;
    if (l->gather) {
        return l->runs == 1u && l->run_len == taps * l->in.channels &&
               l->chunk_len % l->in.channels == 0u;
    }
    return is_unpadded(l) && l->runs == l->kernel.rows &&
           l->run_len == (uint32_t)l->kernel.cols * l->in.channels;
}

static int chunk_is_valid(const ecgqa_nn_layer_t *l)
{
    return l->chunk_len > 0u && l->chunk_len <= ECGQA_NN_MAX_CHUNK &&
           (l->chunk_len % 2u == 0u || l->chunk_len >= l->run_len);
}

static int patch_is_valid(const ecgqa_nn_model_t *model, const ecgqa_nn_layer_t *l)
{
    return l->patch_bytes >= ECGQA_NN_MIN_PATCH && fits(model, l->patch_at, l->patch_bytes, 4);
}

static int chunks_are_valid(const ecgqa_nn_layer_t *l)
{
    const uint32_t chunks_a_run = ((uint32_t)l->run_len + l->chunk_len - 1u) / l->chunk_len;
    return l->chunks == l->runs * chunks_a_run && l->chunks_a_step > 0u;
}

/* The kernel slides. The window holds the rows of an output row, and those kept after the last one:
 * the first layer is handed every row of the image and keeps none that it has no use for; a later
 * one is handed all that the layer before it makes, which the planner has trimmed to those it
 * uses. */
static int kernel_is_valid(const ecgqa_nn_model_t *model, const ecgqa_nn_layer_t *l)
{
    if (!window_is_valid(&l->kernel, &l->in, &l->out)) {
        return 0;
    }
    const uint32_t kept = l == model->layers ? ecgqa_nn_rows_needed(l, (uint32_t)l->out.rows - 1u)
                                             : (uint32_t)l->in.rows;
    return l->window_rows >= (l->kernel.rows < l->in.rows ? l->kernel.rows : l->in.rows) &&
           kept <= ecgqa_nn_first_row(l, l->out.rows) + l->window_rows;
}

/* A convolution does `pixels` pixels of a block of channels at once. */
static int block_is_valid(const ecgqa_nn_model_t *model, const ecgqa_nn_layer_t *l, uint64_t pixels)
{
    return l->channel_block > 0u && l->channel_block % 2u == 0u && l->weights != NULL &&
           fits(model, l->accumulators_at, pixels * 4u * l->channel_block, 4);
}

static int conv_is_valid(const ecgqa_nn_model_t *model, const ecgqa_nn_layer_t *l)
{
    return kernel_is_valid(model, l) && block_is_valid(model, l, 2) && taps_are_valid(l) &&
           chunk_is_valid(l) && chunks_are_valid(l) &&
           (!l->gather || fits(model, l->gather_at, 2u * l->chunk_len, 1)) &&
           patch_is_valid(model, l);
}

static int depthwise_is_valid(const ecgqa_nn_model_t *model, const ecgqa_nn_layer_t *l)
{
    return kernel_is_valid(model, l) && block_is_valid(model, l, 1) &&
           l->out.channels % l->in.channels == 0u &&
           (l->gather ? fits(model, l->gather_at, l->channel_block, 1)
                      : is_unpadded(l) && l->out.channels == l->in.channels);
}

static int pool_is_valid(const ecgqa_nn_model_t *model, const ecgqa_nn_layer_t *l)
{
    return kernel_is_valid(model, l) && l->in.channels == l->out.channels && l->pool.rows == 0u &&
           fits(model, l->accumulators_at, 4u * (uint64_t)l->out.channels, 4);
}

static int accumulating_is_valid(const ecgqa_nn_model_t *model, const ecgqa_nn_layer_t *l)
{
    if (l->in.rows == UINT16_MAX || /* it counts one more */
        l->out.rows != 1u || l->out.cols != 1u || l->pool.rows != 0u || l->kernel.rows != 1u ||
        l->kernel.stride_rows != 1u || l->kernel.pad_top != 0u ||
        !fits(model, l->accumulators_at, 4u * ecgqa_nn_even(l->out.channels), 4)) {
        return 0;
    }
    if (l->kind == ECGQA_NN_MEAN) {
        return l->in.channels == l->out.channels;
    }
    return l->weights != NULL && l->runs == l->in.rows &&
           l->run_len == (uint32_t)l->in.cols * l->in.channels && patch_is_valid(model, l);
}

/* What holds of one kind of layer and of no other. */
static int kind_is_valid(const ecgqa_nn_model_t *model, const ecgqa_nn_layer_t *l)
{
    switch (l->kind) {
#define ECGQA_NN_KIND_CASE(name, kernel, accumulates, weights, scaled) \
    case ECGQA_NN_##name:                                              \
        return kernel##_is_valid(model, l);
        ECGQA_NN_KIND_LIST(ECGQA_NN_KIND_CASE)
#undef ECGQA_NN_KIND_CASE
    default:
        return 0;
    }
}

static int layer_is_valid(const ecgqa_nn_model_t *model, const ecgqa_nn_layer_t *l)
{
    const uint64_t row = ecgqa_nn_row_bytes(l);
    const int colours = l->kind == ECGQA_NN_CONV_2D && l->gather;
    if (!shape_is_valid(&l->in) || !shape_is_valid(&l->out) || !shape_is_valid(&l->pooled) ||
        l->from_index > (colours ? 1u : 0u) || l->gather > 1u || l->window_rows == 0u ||
        l->blocks_a_step == 0u || !fits(model, l->window_at, row * l->window_rows, 1) ||
        !fits(model, l->carry_at, row * l->carry_rows, 1) || l->act_min > l->act_max) {
        return 0;
    }
    if (l->pool.rows != 0u ? !window_is_valid(&l->pool, &l->out, &l->pooled)
                           : l->out.rows != l->pooled.rows || l->out.cols != l->pooled.cols) {
        return 0;
    }
    return l->out.channels == l->pooled.channels && kind_is_valid(model, l);
}

/* The rows that one layer makes are those that the next takes, and there is room for the ones that
 * its pooling starts early. */
static int follows(const ecgqa_nn_layer_t *l, const ecgqa_nn_layer_t *next)
{
    const uint32_t starts =
        l->pool.rows == 0u
            ? 0u
            : ((uint32_t)l->pool.rows + l->pool.stride_rows - 1u) / l->pool.stride_rows - 1u;
    const uint32_t spare = (uint32_t)next->in.rows - 1u;
    return l->pooled.rows == next->in.rows && l->pooled.cols == next->in.cols &&
           l->pooled.channels == next->in.channels && next->from_index == 0u &&
           next->carry_rows >= (starts < spare ? starts : spare);
}

/* A part of the workspace, which was found to fit: bytes from `at` to before `end`. */
typedef struct {
    uint32_t at, end;
} region_t;

/* A layer's. */
enum { WINDOW, CARRY, SUMS, GATHER, PATCH, REGIONS };

static region_t region_of(uint32_t at, uint32_t bytes)
{
    const region_t region = {at, at + bytes};
    return region;
}

static void regions_of(const ecgqa_nn_layer_t *l, region_t *regions)
{
    const uint32_t row = ecgqa_nn_row_bytes(l);
    const int conv = l->kind == ECGQA_NN_CONV_2D;
    const int blocks = conv || l->kind == ECGQA_NN_DEPTHWISE_CONV_2D;
    const uint32_t sums = blocks ? l->channel_block : ecgqa_nn_even(l->out.channels);
    const uint32_t taps = conv ? 2u * (uint32_t)l->chunk_len : l->channel_block;
    regions[WINDOW] = region_of(l->window_at, row * l->window_rows);
    regions[CARRY] = region_of(l->carry_at, row * l->carry_rows);
    regions[SUMS] = region_of(l->accumulators_at, (conv ? 8u : 4u) * sums);
    regions[GATHER] = region_of(l->gather_at, l->gather ? taps : 0u);
    regions[PATCH] = region_of(l->patch_at, l->patch_bytes);
}

/* `one` and each of the `n` others. */
static int are_apart(region_t one, const region_t *others, uint32_t n)
{
    int apart = 1;
    for (uint32_t i = 0u; apart && i < n; ++i) {
        apart = one.end <= others[i].at || others[i].end <= one.at || one.at == one.end ||
                others[i].at == others[i].end;
    }
    return apart;
}

/* Nothing is copied to where it comes from, and nothing is written over sums or the patch, which
 * says where weights are, while they are in use: the layer's own buffers lie apart, and its sums,
 * as a pixel, apart from the next layer's rows or, of the last layer, from the logits. Sums that
 * stay from row to row lie where no other layer and no index row is written. */
static int copies_are_valid(const ecgqa_nn_model_t *model, const ecgqa_nn_layer_t *l)
{
    const ecgqa_nn_layer_t *const end = &model->layers[model->n_layers];
    region_t own[REGIONS], others[REGIONS];
    regions_of(l, own);
    others[0] = region_of(model->logits_at, model->classes);
    others[1] = region_of(model->idle_at, ecgqa_nn_accumulates(l) ? model->idle_bytes : 0u);
    int valid = are_apart(own[SUMS], others, 2);
    for (uint32_t i = 1u; i < (uint32_t)REGIONS; ++i) {
        valid = valid && are_apart(own[i], own, i);
    }
    for (const ecgqa_nn_layer_t *other = model->layers; valid && other != end; ++other) {
        regions_of(other, others);
        if (other != l && ecgqa_nn_accumulates(l)) {
            valid = are_apart(own[SUMS], others, REGIONS);
        } else if (other == l + 1) {
            valid = are_apart(own[SUMS], others, (uint32_t)CARRY + 1u);
        }
    }
    return valid;
}

/* No product of channel `c` of packed weights takes a sum out of int32, and the whole sum is one
 * that requantisation takes. */
static int packed_sum_is_valid(const ecgqa_nn_layer_t *l, uint32_t c)
{
    const size_t inputs = (size_t)l->runs * ecgqa_nn_even(l->run_len);
    const uint8_t *const pair = (const uint8_t *)l->weights + 2u * inputs * (c / 2u);
    int64_t positive = 0, negative = 0;
    for (size_t k = 0u; k < inputs; ++k) {
        const uint8_t byte = pair[2u * k + c % 2u];
        const int32_t weight = c % 2u == 0u ? (int32_t)byte - ECGQA_NN_EVEN_BIAS : (int8_t)byte;
        *(weight < 0 ? &negative : &positive) += weight;
    }
    const int64_t bias = l->bias[c];
    const int64_t reach = (MAX_PACKED_INPUT + 1) * (positive - negative);
    return bias + MAX_PACKED_INPUT * positive < MAX_SUM &&
           bias + MAX_PACKED_INPUT * negative > -MAX_SUM && reach + bias <= INT32_MAX &&
           reach - bias <= INT32_MAX;
}

/* The largest sum of products that the layer's numbers allow. */
static int64_t largest_sum(const ecgqa_nn_layer_t *l)
{
    switch (l->kind) {
    case ECGQA_NN_DEPTHWISE_CONV_2D:
        return (int64_t)l->kernel.rows * l->kernel.cols * MAX_SIZE * MAX_SIZE;
    case ECGQA_NN_MEAN:
        return (int64_t)l->in.rows * l->in.cols * MAX_SIZE;
    default:
        return (int64_t)l->runs * l->run_len * MAX_PACKED_INPUT * MAX_SIZE;
    }
}

/* Sums stay in int32: by the numbers of inputs and, of packed layers so long that these alone can't
 * say, by their weights. */
static int sum_is_valid(const ecgqa_nn_layer_t *l, uint32_t c, int64_t largest)
{
    const int64_t bias = l->bias[c];
    const int packed = l->kind == ECGQA_NN_CONV_2D || l->kind == ECGQA_NN_FULLY_CONNECTED;
    return (bias < 0 ? -bias : bias) + largest < MAX_SUM || (packed && packed_sum_is_valid(l, c));
}

/* Sums and their requantisation stay inside what nn_requant.h is proven for. */
static int scales_are_valid(const ecgqa_nn_layer_t *l)
{
    const int scaled = ecgqa_nn_is_scaled(l);
    const int64_t largest = largest_sum(l);
    int valid = !scaled || (l->bias != NULL && l->multiplier_q31 != NULL && l->shift != NULL);
    for (uint32_t c = 0u; scaled && valid && c < ecgqa_nn_even(l->out.channels); ++c) {
        valid = l->multiplier_q31[c] >= 0 && l->shift[c] <= 0 && l->shift[c] > -31 &&
                sum_is_valid(l, c, largest);
    }
    return valid;
}

/* The differences of logits that count, scaled, stay in int32. */
static int softmax_is_valid(const ecgqa_nn_softmax_t *softmax)
{
    return softmax == NULL ||
           (softmax->multiplier_q31 >= 0 && softmax->left_shift <= 30u && softmax->diff_min <= 0 &&
            softmax->diff_min >= -(INT32_MAX >> softmax->left_shift));
}

/* Without a softmax the logits are copied. */
static int scores_are_apart(const ecgqa_nn_model_t *model)
{
    const region_t logits = region_of(model->logits_at, model->classes);
    const region_t scores = region_of(model->scores_at, model->classes);
    return are_apart(logits, &scores, 1);
}

int ecgqa_nn_model_is_valid(const ecgqa_nn_model_t *model)
{
    if (model->layers == NULL || model->lut_s8 == NULL || model->n_layers == 0u ||
        model->classes == 0u || model->classes > MAX_CLASSES || !softmax_is_valid(model->softmax) ||
        model->progress_at % 4u != 0u || progress_end(model) > model->workspace_bytes ||
        !fits(model, model->logits_at, model->classes, 1) ||
        !fits(model, model->scores_at, model->classes, 1) ||
        !fits(model, model->idle_at, model->idle_bytes, ECGQA_NN_ALIGN) ||
        !scores_are_apart(model)) {
        return 0;
    }
    for (uint32_t i = 0u; i < model->n_layers; ++i) {
        if (!layer_is_valid(model, &model->layers[i]) || !scales_are_valid(&model->layers[i]) ||
            (i + 1u < model->n_layers && !follows(&model->layers[i], &model->layers[i + 1u]))) {
            return 0;
        }
    }
    for (uint32_t i = 0u; i < model->n_layers; ++i) { /* regions that were checked */
        if (!copies_are_valid(model, &model->layers[i])) {
            return 0;
        }
    }
    const ecgqa_nn_layer_t *last = &model->layers[model->n_layers - 1u];
    return model->layers[0].in.rows == model->rows && model->layers[0].in.cols == model->cols &&
           model->layers[0].in.channels == model->channels && last->pooled.rows == 1u &&
           last->pooled.cols == 1u && last->pooled.channels == model->classes;
}
