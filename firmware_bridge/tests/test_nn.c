/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* The network engine's calls, and what they refuse. Run by tests/firmware/test_engine_units.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../host/reseal.h"
#include "../src/nn_internal.h"
#include "../src/nn_kernels.h"
#include "../src/nn_requant.h"
#include "nn_random.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { NETWORKS = 1500, SEEDS = 400 };

/* ---- rows and scores ------------------------------------------------------------------------- */

static void random_networks_give_what_the_definition_gives(void **unused)
{
    (void)unused;
    for (uint32_t seed = 0u; seed < NETWORKS; ++seed) {
        assert_int_equal(nn_random_compare(seed), 0);
    }
}

/* ---- calls ----------------------------------------------------------------------------------- */

static void calls_refuse_null(void **unused)
{
    const ecgqa_nn_model_t *model = nn_random_model(1);
    uint8_t *workspace = nn_random_workspace();
    const size_t bytes = model->workspace_bytes;
    const int8_t *scores;
    ecgqa_nn_event_t event;
    ecgqa_nn_t net = {NULL, NULL};
    uint8_t row[64] = {0};
    (void)unused;
    assert_int_equal(ecgqa_nn_workspace_bytes(NULL), 0);
    assert_int_equal(ecgqa_nn_init(NULL, model, workspace, bytes), ECGQA_ERR_ARGUMENT);
    assert_int_equal(ecgqa_nn_init(&net, NULL, workspace, bytes), ECGQA_ERR_ARGUMENT);
    assert_int_equal(ecgqa_nn_init(&net, model, NULL, bytes), ECGQA_ERR_ARGUMENT);
    assert_int_equal(ecgqa_nn_init(&net, model, workspace + 4, bytes), ECGQA_ERR_ARGUMENT);
    assert_null(net.model);
    for (int uninitialised = 0; uninitialised < 2; ++uninitialised) {
        ecgqa_nn_t *none = uninitialised ? &net : NULL;
        assert_int_equal(ecgqa_nn_reset(none), ECGQA_ERR_ARGUMENT);
        assert_null(ecgqa_nn_row_slot(none));
        assert_int_equal(ecgqa_nn_next_row(none), 0);
        assert_int_equal(ecgqa_nn_row_ready(none), ECGQA_ERR_ARGUMENT);
        assert_int_equal(ecgqa_nn_step(none, &event), ECGQA_ERR_ARGUMENT);
        assert_int_equal(ecgqa_nn_push_row(none, row), ECGQA_ERR_ARGUMENT);
        assert_int_equal(ecgqa_nn_scores(none, &scores), ECGQA_ERR_ARGUMENT);
    }
    assert_int_equal(ecgqa_nn_init(&net, model, workspace, bytes), ECGQA_OK);
    assert_int_equal(ecgqa_nn_step(&net, NULL), ECGQA_ERR_ARGUMENT);
    assert_int_equal(ecgqa_nn_push_row(&net, NULL), ECGQA_ERR_ARGUMENT);
    assert_int_equal(ecgqa_nn_scores(&net, NULL), ECGQA_ERR_ARGUMENT);
    assert_int_equal(ecgqa_nn_scores(&net, &scores), ECGQA_ERR_NOT_READY);
}

static void the_workspace_has_the_size_that_is_told(void **unused)
{
    const ecgqa_nn_model_t *model = nn_random_model(2);
    ecgqa_nn_model_t other = *model;
    uint8_t *workspace = nn_random_workspace();
    ecgqa_nn_t net;
    (void)unused;
    assert_int_equal(ecgqa_nn_workspace_bytes(model), model->workspace_bytes);
    assert_int_equal(ecgqa_nn_init(&net, model, workspace, model->workspace_bytes - 1u),
                     ECGQA_ERR_WORKSPACE);
    ++other.format;
    assert_int_equal(ecgqa_nn_workspace_bytes(&other), 0);
    assert_int_equal(ecgqa_nn_init(&net, &other, workspace, other.workspace_bytes),
                     ECGQA_ERR_FORMAT);
}

/* Rows pushed at once, in any workspace, again after a reset: the same scores; no row too many. */
static void pushing_rows(void **unused)
{
    (void)unused;
    for (uint32_t seed = 0u; seed < SEEDS; ++seed) {
        const ecgqa_nn_model_t *model = nn_random_model(seed);
        uint8_t *workspace = nn_random_workspace();
        uint8_t row[64];
        int8_t first[64];
        const int8_t *scores = NULL;
        ecgqa_nn_t net;
        if (model == NULL) {
            continue;
        }
        assert_int_equal(ecgqa_nn_init(&net, model, workspace, model->workspace_bytes), ECGQA_OK);
        for (uint32_t again = 0u; again < 2u; ++again) {
            for (uint32_t r = 0u; r < model->rows; ++r) {
                memset(row, (int)(r * 37u + seed), sizeof row);
                assert_int_equal(ecgqa_nn_push_row(&net, row), ECGQA_OK);
            }
            assert_int_equal(ecgqa_nn_scores(&net, &scores), ECGQA_OK);
            if (again) {
                assert_memory_equal(first, scores, model->classes);
            } else {
                memcpy(first, scores, model->classes);
            }
            assert_null(ecgqa_nn_row_slot(&net));
            assert_int_equal(ecgqa_nn_row_ready(&net), ECGQA_ERR_NOT_READY);
            assert_int_equal(ecgqa_nn_push_row(&net, row), ECGQA_ERR_NOT_READY);
            assert_int_equal(ecgqa_nn_reset(&net), ECGQA_OK);
            memset(workspace + model->idle_at, 0x5A, model->idle_bytes);
        }
    }
}

static void no_row_while_steps_are_due(void **unused)
{
    const ecgqa_nn_model_t *model = nn_random_model(2);
    ecgqa_nn_event_t event = {ECGQA_NN_IDLE, 0, 0, NULL, 0};
    ecgqa_nn_t net;
    (void)unused;
    assert_int_equal(ecgqa_nn_init(&net, model, nn_random_workspace(), model->workspace_bytes),
                     ECGQA_OK);
    while (event.kind == ECGQA_NN_IDLE) {
        assert_int_equal(ecgqa_nn_row_ready(&net), ECGQA_OK);
        assert_int_equal(ecgqa_nn_step(&net, &event), ECGQA_OK);
    }
    assert_int_equal(ecgqa_nn_row_ready(&net), ECGQA_ERR_NOT_READY);
    assert_null(ecgqa_nn_row_slot(&net));
}

/* ---- models that make no sense --------------------------------------------------------------- */

typedef struct {
    ecgqa_nn_model_t model;
    ecgqa_nn_layer_t layers[8];
    ecgqa_nn_softmax_t softmax;
} copy_t;

static void copy_model(copy_t *copy, const ecgqa_nn_model_t *model)
{
    copy->model = *model;
    memcpy(copy->layers, model->layers, model->n_layers * sizeof copy->layers[0]);
    copy->model.layers = copy->layers;
    if (model->softmax != NULL) {
        copy->softmax = *model->softmax;
        copy->model.softmax = &copy->softmax;
    }
}

/* What was changed was meant. */
static void reseal(copy_t *copy)
{
    for (size_t i = 0u; i < COUNT(copy->layers); ++i) {
        ecgqa_reseal(ECGQA_SEAL_LAYER(&copy->layers[i]));
    }
    ecgqa_reseal(ECGQA_SEAL_SOFTMAX(&copy->softmax));
    ecgqa_reseal(ECGQA_SEAL_MODEL(&copy->model));
}

static ecgqa_status_t try_model(copy_t *copy)
{
    ecgqa_nn_t net;
    reseal(copy);
    return ecgqa_nn_init(&net, &copy->model, nn_random_workspace(), copy->model.workspace_bytes);
}

#define REFUSED(copy, original, field, value)                   \
    do {                                                        \
        copy_model(&(copy), (original));                        \
        (copy).field = (value);                                 \
        assert_int_equal(try_model(&(copy)), ECGQA_ERR_FORMAT); \
    } while (0)

static void a_model_that_makes_no_sense_is_refused(void **unused)
{
    copy_t copy;
    (void)unused;
    for (uint32_t seed = 0u; seed < SEEDS; ++seed) {
        const ecgqa_nn_model_t *m = nn_random_model(seed);
        const uint32_t n = m == NULL ? 0u : m->n_layers;
        if (m == NULL) {
            continue;
        }
        copy_model(&copy, m);
        assert_int_equal(try_model(&copy), ECGQA_OK);
        REFUSED(copy, m, model.layers, NULL);
        REFUSED(copy, m, model.lut_s8, NULL);
        REFUSED(copy, m, model.n_layers, 0);
        REFUSED(copy, m, model.classes, 0);
        REFUSED(copy, m, model.classes, 5000);
        REFUSED(copy, m, model.classes, (uint16_t)(m->classes + 1u));
        REFUSED(copy, m, model.rows, (uint16_t)(m->rows + 1u));
        REFUSED(copy, m, model.cols, (uint16_t)(m->cols + 1u));
        REFUSED(copy, m, model.channels, (uint16_t)(m->channels + 1u));
        REFUSED(copy, m, model.progress_at, m->progress_at + 1u);
        REFUSED(copy, m, model.progress_at, m->workspace_bytes);
        REFUSED(copy, m, model.logits_at, m->workspace_bytes);
        REFUSED(copy, m, model.scores_at, UINT32_MAX);
        REFUSED(copy, m, model.idle_bytes, m->workspace_bytes + 1u);
        if (m->softmax != NULL) {
            REFUSED(copy, m, softmax.multiplier_q31, -1);
            REFUSED(copy, m, softmax.left_shift, 31);
            REFUSED(copy, m, softmax.diff_min, 1);
            REFUSED(copy, m, softmax.diff_min, INT32_MIN);
        }
        for (uint32_t i = 0u; i < n; ++i) {
            const ecgqa_nn_layer_t *l = &m->layers[i];
            REFUSED(copy, m, layers[i].kind, 99);
            REFUSED(copy, m, layers[i].in.rows, 0);
            REFUSED(copy, m, layers[i].out.cols, 0);
            REFUSED(copy, m, layers[i].pooled.channels, 0);
            REFUSED(copy, m, layers[i].pooled.channels, (uint16_t)(l->out.channels + 1u));
            REFUSED(copy, m, layers[i].from_index, 2);
            REFUSED(copy, m, layers[i].gather, 2);
            REFUSED(copy, m, layers[i].window_rows, 0);
            REFUSED(copy, m, layers[i].blocks_a_step, 0);
            REFUSED(copy, m, layers[i].window_at, m->workspace_bytes);
            REFUSED(copy, m, layers[i].accumulators_at, m->workspace_bytes);
            if (l->act_min > INT8_MIN) {
                REFUSED(copy, m, layers[i].act_max, INT8_MIN);
            }
        }
    }
}

/* What takes two numbers or more to go wrong. */
static void rows_and_taps_that_have_no_place_are_refused(void **unused)
{
    uint32_t taps = 0, left_over = 0, counters = 0;
    copy_t copy;
    (void)unused;
    for (uint32_t seed = 0u; seed < 10u * SEEDS; ++seed) {
        const ecgqa_nn_model_t *m = nn_random_model(seed);
        const uint32_t n = m == NULL ? 0u : m->n_layers;
        ecgqa_nn_layer_t *last = &copy.layers[n - 1u];
        for (uint32_t i = 0u; i < n; ++i) {
            const ecgqa_nn_layer_t *l = &m->layers[i];
            ecgqa_nn_layer_t *mine = &copy.layers[i], *next = &copy.layers[i + 1u];
            if (l->kind == ECGQA_NN_DEPTHWISE_CONV_2D &&
                (l->kernel.pad_left > 0u || l->out.channels != l->in.channels)) {
                copy_model(&copy, m);
                mine->gather_at = m->workspace_bytes;
                REFUSED(copy, &copy.model, layers[i].gather, 0);
                ++taps;
            }
            if (i > 0u && i + 1u < n && ecgqa_nn_accumulates(l + 1) && !ecgqa_nn_accumulates(l) &&
                l->pool.rows == 0u && l->out.rows > 1u &&
                l->in.rows + l->kernel.pad_top > l->kernel.stride_rows + l->window_rows) {
                copy_model(&copy, m);
                mine->out.rows = mine->pooled.rows = next->in.rows = next->runs = 1;
                assert_int_equal(try_model(&copy), ECGQA_ERR_FORMAT);
                ++left_over;
            }
        }
        if (n > 1u && m->layers[n - 1u].kind == ECGQA_NN_MEAN) { /* no weights for so many rows */
            for (uint16_t rows = UINT16_MAX - 1u; rows != 0u; ++rows) {
                copy_model(&copy, m);
                copy.model.layers = last;
                copy.model.n_layers = 1;
                copy.model.rows = last->in.rows = rows;
                copy.model.cols = last->in.cols;
                copy.model.channels = last->in.channels;
                assert_int_equal(try_model(&copy),
                                 rows == UINT16_MAX ? ECGQA_ERR_FORMAT : ECGQA_OK);
                ++counters;
            }
        }
    }
    assert_true(taps > 0u && left_over > 0u && counters > 0u);
}

/* The patch holds places of weights: accumulators or gathered inputs in it would change them. */
static void a_patch_that_others_write_over_is_refused(void **unused)
{
    uint32_t gathers = 0;
    copy_t copy;
    (void)unused;
    for (uint32_t seed = 0u; seed < SEEDS; ++seed) {
        const ecgqa_nn_model_t *m = nn_random_model(seed);
        for (uint32_t i = 0u; m != NULL && i < m->n_layers; ++i) {
            const ecgqa_nn_layer_t *l = &m->layers[i];
            if (l->kind != ECGQA_NN_CONV_2D && l->kind != ECGQA_NN_FULLY_CONNECTED) {
                continue;
            }
            copy_model(&copy, m);
            REFUSED(copy, &copy.model, layers[i].patch_bytes, ECGQA_NN_MIN_PATCH - 1u);
            REFUSED(copy, &copy.model, layers[i].accumulators_at, l->patch_at);
            if (l->gather) {
                REFUSED(copy, &copy.model, layers[i].gather_at, l->patch_at + 4u);
                ++gathers;
            }
        }
    }
    assert_true(gathers > 0u);
}

/* Buffers that are copied between, or keep sums, over each other. */
static void copies_that_overlap_are_refused(void **unused)
{
    uint32_t gathers = 0, carries = 0, kept = 0;
    copy_t copy;
    (void)unused;
    for (uint32_t seed = 0u; seed < SEEDS; ++seed) {
        const ecgqa_nn_model_t *m = nn_random_model(seed);
        for (uint32_t i = 0u; m != NULL && i < m->n_layers; ++i) {
            const ecgqa_nn_layer_t *l = &m->layers[i];
            const int last = i + 1u == m->n_layers;
            copy_model(&copy, m);
            REFUSED(copy, m, layers[i].accumulators_at,
                    (last ? m->logits_at : (l + 1)->window_at) / 4u * 4u);
            if (l->gather) {
                REFUSED(copy, m, layers[i].gather_at, l->window_at);
                REFUSED(copy, m, layers[i].gather_at, l->accumulators_at);
                ++gathers;
            }
            if (l->carry_rows > 0u) {
                REFUSED(copy, m, layers[i].carry_at, l->window_at);
                ++carries;
            }
            if (last && i > 0u && ecgqa_nn_accumulates(l)) {
                REFUSED(copy, m, layers[i].accumulators_at, m->layers[0].window_at);
                ++kept;
            }
        }
        if (m != NULL) {
            REFUSED(copy, m, model.scores_at, m->logits_at);
            REFUSED(copy, m, model.idle_at, m->idle_at + 4u);
        }
    }
    assert_true(gathers > 0u && carries > 0u && kept > 0u);
}

/* A network of one fully connected layer, `taps` inputs to two outputs. */
static ecgqa_status_t with_sums(copy_t *copy, uint32_t taps, int32_t bias, int even, int odd)
{
    static uint8_t weights[2 * 256 * 256 + ECGQA_NN_WEIGHTS_TAIL];
    static int32_t biases[2], multiplier[2] = {1 << 30, 1 << 30};
    static int8_t shift[2];
    ecgqa_nn_layer_t *l = &copy->layers[0];
    memset(copy, 0, sizeof *copy);
    for (size_t i = 0u; i < sizeof weights; ++i) {
        weights[i] = (uint8_t)(i % 2u != 0u ? odd : even + ECGQA_NN_EVEN_BIAS);
    }
    biases[0] = bias;
    biases[1] = 0;
    l->kind = ECGQA_NN_FULLY_CONNECTED;
    l->in = (ecgqa_nn_shape_t){(uint16_t)(taps / 256u), 256, 1};
    l->out = l->pooled = (ecgqa_nn_shape_t){1, 1, 2};
    l->kernel = (ecgqa_nn_window_t){1, 1, 1, 1, 0, 0};
    l->runs = (uint16_t)(taps / 256u);
    l->run_len = 256;
    l->window_rows = l->blocks_a_step = 1;
    l->act_min = INT8_MIN;
    l->act_max = INT8_MAX;
    l->patch_bytes = ECGQA_NN_MIN_PATCH;
    l->window_at = 1024;
    l->accumulators_at = 2048;
    l->patch_at = 3072;
    l->weights = weights;
    l->bias = biases;
    l->multiplier_q31 = multiplier;
    l->shift = shift;
    copy->model.format = ECGQA_NN_FORMAT;
    copy->model.n_layers = 1;
    copy->model.rows = l->in.rows;
    copy->model.cols = 256;
    copy->model.channels = 1;
    copy->model.classes = 2;
    copy->model.lut_s8 = (const int8_t *)weights;
    copy->model.layers = copy->layers;
    copy->model.scores_at = 512;
    copy->model.logits_at = 520;
    copy->model.workspace_bytes = 4096;
    return try_model(copy);
}

static void sums_that_leave_int32_are_refused(void **unused)
{
    const int32_t most = (INT32_C(1) << 30) - 1;
    static copy_t copy;
    (void)unused;
    /* By numbers alone: 256 inputs reach 256 * 255 * 128. */
    assert_int_equal(with_sums(&copy, 256, 0, 127, -128), ECGQA_OK);
    assert_int_equal(with_sums(&copy, 256, most - 256 * 255 * 128, 127, 127), ECGQA_OK);
    /* By weights: these are zero, then they are not. */
    assert_int_equal(with_sums(&copy, 256, most, 0, 0), ECGQA_OK);
    assert_int_equal(with_sums(&copy, 256, most + 1, 0, 0), ECGQA_ERR_FORMAT);
    assert_int_equal(with_sums(&copy, 256, -most - 1, 0, 0), ECGQA_ERR_FORMAT);
    assert_int_equal(with_sums(&copy, 256, INT32_MIN, 0, 0), ECGQA_ERR_FORMAT);
    assert_int_equal(with_sums(&copy, 256, most, -1, 0), ECGQA_OK);
    assert_int_equal(with_sums(&copy, 256, most, 1, 0), ECGQA_ERR_FORMAT);
    assert_int_equal(with_sums(&copy, 256, -most, -1, 0), ECGQA_ERR_FORMAT);
    assert_int_equal(with_sums(&copy, 65536, 0, 1, -1), ECGQA_OK);
    assert_int_equal(with_sums(&copy, 65536, 0, 1, 127), ECGQA_ERR_FORMAT);
    assert_int_equal(with_sums(&copy, 65536, 0, 1, -128), ECGQA_ERR_FORMAT);
}

/* One number of a plan or a shape, altered at random: refused, or run within the memory. */
static void an_altered_model_stays_in_its_memory(void **unused)
{
    static const size_t fields[] = {offsetof(ecgqa_nn_layer_t, in.rows),
                                    offsetof(ecgqa_nn_layer_t, in.cols),
                                    offsetof(ecgqa_nn_layer_t, out.rows),
                                    offsetof(ecgqa_nn_layer_t, out.cols),
                                    offsetof(ecgqa_nn_layer_t, pooled.rows),
                                    offsetof(ecgqa_nn_layer_t, pooled.cols),
                                    offsetof(ecgqa_nn_layer_t, kernel.stride_rows),
                                    offsetof(ecgqa_nn_layer_t, pool.rows),
                                    offsetof(ecgqa_nn_layer_t, kernel.pad_top),
                                    offsetof(ecgqa_nn_layer_t, pool.pad_top),
                                    offsetof(ecgqa_nn_layer_t, chunk_len),
                                    offsetof(ecgqa_nn_layer_t, channel_block),
                                    offsetof(ecgqa_nn_layer_t, window_rows),
                                    offsetof(ecgqa_nn_layer_t, carry_rows),
                                    offsetof(ecgqa_nn_layer_t, window_at),
                                    offsetof(ecgqa_nn_layer_t, carry_at),
                                    offsetof(ecgqa_nn_layer_t, accumulators_at),
                                    offsetof(ecgqa_nn_layer_t, gather_at),
                                    offsetof(ecgqa_nn_layer_t, patch_at),
                                    offsetof(ecgqa_nn_layer_t, gather),
                                    offsetof(ecgqa_nn_layer_t, from_index)};
    uint32_t ran = 0;
    copy_t copy;
    (void)unused;
    for (uint32_t seed = 0u; seed < 10u * SEEDS; ++seed) {
        const ecgqa_nn_model_t *model = nn_random_model(seed);
        uint8_t *workspace = nn_random_workspace();
        uint8_t row[64] = {0};
        uint8_t *field;
        ecgqa_nn_t net;
        if (model == NULL) {
            continue;
        }
        copy_model(&copy, model);
        field = (uint8_t *)&copy.layers[seed % model->n_layers] + fields[seed % COUNT(fields)];
        *field =
            (uint8_t)(*field > 4u && *field < 250u ? *field + (seed / 7u % 9u) - 4u : *field ^ 1u);
        reseal(&copy);
        if (ecgqa_nn_init(&net, &copy.model, workspace, model->workspace_bytes) != ECGQA_OK) {
            continue;
        }
        ++ran;
        memset(workspace + model->workspace_bytes, 0xEE, 4096);
        for (uint32_t r = 0u; r < model->rows; ++r) {
            assert_int_equal(ecgqa_nn_push_row(&net, row), ECGQA_OK);
        }
        for (uint32_t i = 0u; i < 4096u; ++i) {
            assert_int_equal(workspace[model->workspace_bytes + i], 0xEE);
        }
    }
    assert_true(ran > SEEDS);
}

/* ---- arithmetic ------------------------------------------------------------------------------ */

static void division_rounds_halves_away_from_zero(void **unused)
{
    static const int32_t halves[][3] = {{1, 1, 1},   {-1, 1, -1}, {3, 1, 2},  {-3, 1, -2},
                                        {2, 2, 1},   {-2, 2, -1}, {1, 2, 0},  {-1, 2, 0},
                                        {7, 0, 7},   {-7, 0, -7}, {5, 3, 1},  {-5, 3, -1},
                                        {-4, 3, -1}, {4, 3, 1},   {-3, 3, 0}, {0, 5, 0}};
    (void)unused;
    for (size_t i = 0u; i < COUNT(halves); ++i) {
        assert_int_equal(ecgqa_shr_away(halves[i][0], (uint32_t)halves[i][1]), halves[i][2]);
    }
}

/* Every length, alignment and number of channels that a kernel may be given, dense and with most
 * inputs skipped, the extremes of inputs and weights among them; two runs into one patch. */
static void dot_products(void **unused)
{
    static int8_t x[2][1200];
    static uint32_t words[2 * 2 * 2 * 700 / 4 + 16];
    static uint32_t patch[1024 / 4];
    uint8_t *weights = (uint8_t *)words;
    uint32_t state = 1;
    (void)unused;
    for (uint32_t round = 0u; round < 4u; ++round) {
        for (uint32_t i = 0u; i < sizeof x + sizeof words; ++i) {
            state = state * 1664525u + 1013904223u;
            if (i >= sizeof x) {
                weights[i - sizeof x] =
                    round == 3u ? (uint8_t)(i % 2u ? 0x80 : 0xFF) : (uint8_t)(state >> 24);
            } else if (round < 2u) {
                ((int8_t *)x)[i] = state >> 30 < round * 3u ? INT8_MIN : (int8_t)(state >> 24);
            } else {
                ((int8_t *)x)[i] = INT8_MAX;
            }
        }
        for (uint32_t len = 1; len <= ECGQA_NN_MAX_CHUNK; len += len < 70u ? 1u : 61u) {
            for (uint32_t pixels = 1; pixels <= 2u; ++pixels) {
                int32_t acc[8] = {1, -2, 3, -4, 5, -6, 7, -8};
                const uint32_t run_bytes = 2u * ecgqa_nn_even(len);
                const int8_t *const in[2] = {x[0] + 1, x[1] + 2};
                ecgqa_nn_dot_t job = {acc, weights, 2u * run_bytes, patch, 0, 0, 2, 0, 0, {0, 0}};
                job.patch_bytes = (uint16_t)(len % 3u ? sizeof patch : ECGQA_NN_MIN_PATCH);
                job.pixels = (uint16_t)pixels;
                ecgqa_nn_dot_clear(&job);
                for (uint32_t run = 0u; run < 2u; ++run) {
                    ecgqa_nn_dot_add(&job, in[0] + run * len,
                                     pixels == 2u ? in[1] + run * len : NULL, len, run * run_bytes);
                }
                ecgqa_nn_dot_finish(&job);
                for (uint32_t i = 0u; i < 4u * pixels; ++i) {
                    const uint32_t c = i % 4u;
                    const uint8_t *w = weights + c / 2u * job.pair_bytes + c % 2u;
                    int32_t sum = (int32_t)(i + 1u) * (c % 2u ? -1 : 1);
                    for (uint32_t k = 0u; k < 2u * len; ++k) {
                        const uint8_t at = w[k / len * run_bytes + 2u * (k % len)];
                        sum += (in[i / 4u][k] + 128) * (c % 2u ? (int8_t)at : at - 128);
                    }
                    assert_int_equal(acc[i], sum);
                }
            }
        }
    }
}

static void softmax_of_equal_and_far_logits(void **unused)
{
    static const ecgqa_nn_softmax_t softmax = {1518500250, 22, -496, 0};
    static const int8_t equal[2] = {5, 5}, far[3] = {127, -128, -128}, many[4] = {1, 1, 1, 1};
    int8_t scores[4];
    (void)unused;
    ecgqa_nn_softmax(scores, equal, 2, &softmax);
    assert_int_equal(scores[0], 0);
    assert_int_equal(scores[1], 0);
    ecgqa_nn_softmax(scores, far, 3, &softmax);
    assert_int_equal(scores[0], 127);
    assert_int_equal(scores[1], -128);
    assert_int_equal(scores[2], -128);
    ecgqa_nn_softmax(scores, many, 4, &softmax);
    assert_int_equal(scores[3], -64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_networks_give_what_the_definition_gives),
        cmocka_unit_test(calls_refuse_null),
        cmocka_unit_test(the_workspace_has_the_size_that_is_told),
        cmocka_unit_test(pushing_rows),
        cmocka_unit_test(no_row_while_steps_are_due),
        cmocka_unit_test(a_model_that_makes_no_sense_is_refused),
        cmocka_unit_test(rows_and_taps_that_have_no_place_are_refused),
        cmocka_unit_test(a_patch_that_others_write_over_is_refused),
        cmocka_unit_test(copies_that_overlap_are_refused),
        cmocka_unit_test(sums_that_leave_int32_are_refused),
        cmocka_unit_test(an_altered_model_stays_in_its_memory),
        cmocka_unit_test(division_rounds_halves_away_from_zero),
        cmocka_unit_test(dot_products),
        cmocka_unit_test(softmax_of_equal_and_far_logits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
