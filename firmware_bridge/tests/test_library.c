/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* The library through its public functions, with a tiny bundle that has golden bytes (cmocka). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../host/reseal.h"
#include "ecgqa_bundle.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum { LEN = ECGQA_SEGMENT_LEN };

typedef struct {
    ecgqa_t ctx;
    ecgqa_bundle_t bundle;
    ecgqa_cwt_tables_t tables;
    ecgqa_nn_model_t model;
    ecgqa_nn_layer_t layers[16];
    ecgqa_nn_softmax_t softmax;
    ecgqa_golden_t golden;
    uint64_t workspace[ECGQA_WORKSPACE_BYTES]; /* eight times what is needed: layouts vary */
} fixture_t;

/* A bundle of which every part can be changed. */
static int set_up(void **state)
{
    static fixture_t f;
    memset(&f, 0, sizeof f);
    f.bundle = ecgqa_bundle;
    f.tables = *ecgqa_bundle.cwt;
    f.model = *ecgqa_bundle.model;
    f.golden = *ecgqa_bundle.golden;
    memcpy(f.layers, f.model.layers, f.model.n_layers * sizeof f.layers[0]);
    f.softmax = *f.model.softmax;
    f.bundle.cwt = &f.tables;
    f.bundle.model = &f.model;
    f.bundle.golden = &f.golden;
    f.model.layers = f.layers;
    f.model.softmax = &f.softmax;
    *state = &f;
    return 0;
}

/* What was changed was meant. */
static void reseal(fixture_t *f)
{
    for (size_t i = 0u; i < COUNT(f->layers); ++i) {
        ecgqa_reseal(ECGQA_SEAL_LAYER(&f->layers[i]));
    }
    ecgqa_reseal(ECGQA_SEAL_SOFTMAX(&f->softmax));
    ecgqa_reseal(ECGQA_SEAL_MODEL(&f->model));
    ecgqa_reseal(ECGQA_SEAL_CWT(&f->tables));
    ecgqa_reseal(ECGQA_SEAL_GOLDEN(&f->golden));
    ecgqa_reseal(ECGQA_SEAL_BUNDLE(&f->bundle));
}

static ecgqa_status_t init(fixture_t *f)
{
    reseal(f);
    return ecgqa_init(&f->ctx, &f->bundle, f->workspace, sizeof f->workspace);
}

static void push_all(fixture_t *f, const int16_t *samples, size_t n)
{
    ecgqa_event_t event;
    size_t taken;
    assert_int_equal(ecgqa_push(&f->ctx, samples, n, &taken, &event), ECGQA_OK);
    assert_int_equal(taken, n);
    assert_int_equal(event, f->ctx.n_samples == LEN ? ECGQA_EVENT_SEGMENT : ECGQA_EVENT_NONE);
}

/* ---- status ---------------------------------------------------------------------------------- */

static void every_status_has_its_words(void **state)
{
    (void)state;
    for (int status = 0; status >= -7; --status) {
        assert_string_not_equal(ecgqa_status_str((ecgqa_status_t)status), "unknown status");
    }
    assert_string_equal(ecgqa_status_str((ecgqa_status_t)-99), "unknown status");
    assert_string_equal(ecgqa_status_str((ecgqa_status_t)1), "unknown status");
}

/* ---- init ------------------------------------------------------------------------------------ */

static void the_workspace_is_what_the_header_says(void **state)
{
    fixture_t *f = *state;
    reseal(f);
    assert_int_equal(ecgqa_workspace_bytes(&ecgqa_bundle), ECGQA_WORKSPACE_BYTES);
    assert_int_equal(ecgqa_bundle.workspace_bytes, ECGQA_WORKSPACE_BYTES);
    assert_int_equal(ecgqa_workspace_bytes(NULL), 0);
    assert_int_equal(ecgqa_init(&f->ctx, &f->bundle, f->workspace, ECGQA_WORKSPACE_BYTES),
                     ECGQA_OK);
    assert_int_equal(ecgqa_init(&f->ctx, &f->bundle, f->workspace, ECGQA_WORKSPACE_BYTES - 1),
                     ECGQA_ERR_WORKSPACE);
}

static void init_checks_its_arguments(void **state)
{
    fixture_t *f = *state;
    const size_t all = sizeof f->workspace;
    assert_int_equal(ecgqa_init(NULL, &f->bundle, f->workspace, all), ECGQA_ERR_ARGUMENT);
    assert_int_equal(ecgqa_init(&f->ctx, NULL, f->workspace, all), ECGQA_ERR_ARGUMENT);
    assert_int_equal(ecgqa_init(&f->ctx, &f->bundle, NULL, all), ECGQA_ERR_ARGUMENT);
    assert_int_equal(ecgqa_init(&f->ctx, &f->bundle, (uint8_t *)f->workspace + 4, all),
                     ECGQA_ERR_ARGUMENT);
}

#define REFUSED(field, value, status)        \
    do {                                     \
        (void)set_up(state);                 \
        (field) = (value);                   \
        assert_int_equal(init(f), (status)); \
    } while (0)

static void a_bundle_that_makes_no_sense_is_refused(void **state)
{
    fixture_t *f = *state;
    REFUSED(f->bundle.format, ECGQA_BUNDLE_FORMAT + 1, ECGQA_ERR_FORMAT);
    REFUSED(f->bundle.cwt, NULL, ECGQA_ERR_FORMAT);
    REFUSED(f->bundle.model, NULL, ECGQA_ERR_FORMAT);
    REFUSED(f->bundle.hop_len, 0, ECGQA_ERR_FORMAT);
    REFUSED(f->bundle.hop_len, LEN + 1, ECGQA_ERR_FORMAT);
    REFUSED(f->bundle.hop_len, LEN - 1, ECGQA_ERR_FORMAT);
    REFUSED(f->bundle.collect_while_classifying, 2, ECGQA_ERR_FORMAT);
    REFUSED(f->model.classes, 3, ECGQA_ERR_FORMAT);
    REFUSED(f->tables.conditioning, 2, ECGQA_ERR_FORMAT);
    REFUSED(f->tables.segment_ms, 0, ECGQA_ERR_FORMAT);
    REFUSED(f->model.rows, 5, ECGQA_ERR_FORMAT);
    REFUSED(f->model.cols, 5, ECGQA_ERR_FORMAT);
    REFUSED(f->model.spec_hash, 1, ECGQA_ERR_SPEC);
    REFUSED(f->model.format, 0, ECGQA_ERR_FORMAT);
    REFUSED(f->model.workspace_bytes, UINT32_MAX, ECGQA_ERR_FORMAT);
}

static void tables_that_make_no_sense_are_refused(void **state)
{
    fixture_t *f = *state;
    uint8_t radices[ECGQA_CWT_MAX_STAGES + 1] = {7};
    static ecgqa_cwt_row_t rows[64];
    static uint16_t places[1u << ECGQA_CWT_MAX_LOG2_FFT];
    REFUSED(f->tables.format, 0, ECGQA_ERR_FORMAT);
    REFUSED(f->tables.segment_len, 8, ECGQA_ERR_FORMAT);
    REFUSED(f->tables.n_bins, 0, ECGQA_ERR_FORMAT);
    REFUSED(f->tables.max_log2_fft, 30, ECGQA_ERR_FORMAT);
    REFUSED(f->tables.forward_points, 17, ECGQA_ERR_FORMAT);
    REFUSED(f->tables.radices, NULL, ECGQA_ERR_FORMAT);
    REFUSED(f->tables.row, NULL, ECGQA_ERR_FORMAT);
    REFUSED(f->tables.radices, radices, ECGQA_ERR_FORMAT);
    memset(radices, 5, sizeof radices);
    REFUSED(f->tables.radices, radices, ECGQA_ERR_FORMAT);
    memset(radices, 2, sizeof radices);
    REFUSED(f->tables.radices, radices, ECGQA_ERR_FORMAT);
    memcpy(rows, ecgqa_bundle.cwt->row, ecgqa_bundle.cwt->rows * sizeof rows[0]);
    rows[1].first_bin = 0;
    REFUSED(f->tables.row, rows, ECGQA_ERR_FORMAT);
    const uint16_t points = ecgqa_bundle.cwt->forward_points;
    memcpy(places, ecgqa_bundle.cwt->forward_order, points * sizeof places[0]);
    REFUSED(f->tables.forward_order, places, ECGQA_OK);
    places[points - 1u] = UINT16_MAX;
    REFUSED(f->tables.forward_order, places, ECGQA_ERR_FORMAT);
    REFUSED(f->tables.bit_reversal, places, ECGQA_ERR_FORMAT);
}

/* Each bit of [first, end) of a struct, changed alone: refused, and nothing is read by it. */
static void every_bit_is_looked_at(fixture_t *f, void *structure, size_t first, size_t end)
{
    uint8_t *const bytes = structure;
    for (size_t bit = 8u * first; bit < 8u * end; ++bit) {
        bytes[bit / 8u] ^= (uint8_t)(1u << bit % 8u);
        const ecgqa_status_t status =
            ecgqa_init(&f->ctx, &f->bundle, f->workspace, sizeof f->workspace);
        assert_true(status == ECGQA_ERR_DAMAGED || status == ECGQA_ERR_FORMAT);
        (void)ecgqa_workspace_bytes(&f->bundle);
        bytes[bit / 8u] ^= (uint8_t)(1u << bit % 8u);
    }
}

/* Of 64-bit cores the digest may be followed by padding. */
#define EVERY_BIT(type, first, structure)                                                     \
    do {                                                                                      \
        every_bit_is_looked_at(f, (structure), 0, offsetof(type, digest) + sizeof(uint32_t)); \
        every_bit_is_looked_at(f, (structure), offsetof(type, first), sizeof(type));          \
    } while (0)

static void every_changed_bit_of_a_struct_is_refused(void **state)
{
    fixture_t *f = *state;
    assert_int_equal(init(f), ECGQA_OK);
    EVERY_BIT(ecgqa_bundle_t, cwt, &f->bundle);
    EVERY_BIT(ecgqa_golden_t, samples, &f->golden);
    EVERY_BIT(ecgqa_cwt_tables_t, radices, &f->tables);
    EVERY_BIT(ecgqa_nn_model_t, lut_s8, &f->model);
    for (size_t i = 0u; i < f->model.n_layers; ++i) {
        EVERY_BIT(ecgqa_nn_layer_t, weights, &f->layers[i]);
    }
    every_bit_is_looked_at(f, &f->softmax, 0, sizeof f->softmax);
    assert_int_equal(ecgqa_init(&f->ctx, &f->bundle, f->workspace, sizeof f->workspace), ECGQA_OK);
    assert_int_equal(ecgqa_selftest(&f->ctx, NULL), ECGQA_OK);
}

/* ---- samples to decision --------------------------------------------------------------------- */

static void push_checks_its_arguments(void **state)
{
    fixture_t *f = *state;
    const int16_t sample = 1;
    ecgqa_event_t event;
    size_t taken;
    assert_int_equal(ecgqa_push(&f->ctx, &sample, 1, &taken, &event), ECGQA_ERR_ARGUMENT);
    assert_int_equal(ecgqa_reset(&f->ctx), ECGQA_ERR_ARGUMENT);
    assert_int_equal(ecgqa_selftest(&f->ctx, NULL), ECGQA_ERR_ARGUMENT);
    assert_int_equal(init(f), ECGQA_OK);
    assert_int_equal(ecgqa_push(NULL, &sample, 1, &taken, &event), ECGQA_ERR_ARGUMENT);
    assert_int_equal(ecgqa_push(&f->ctx, NULL, 1, &taken, &event), ECGQA_ERR_ARGUMENT);
    assert_int_equal(ecgqa_push(&f->ctx, &sample, 1, NULL, &event), ECGQA_ERR_ARGUMENT);
    assert_int_equal(ecgqa_push(&f->ctx, &sample, 1, &taken, NULL), ECGQA_ERR_ARGUMENT);
    assert_int_equal(ecgqa_push(&f->ctx, NULL, 0, &taken, &event), ECGQA_OK);
    assert_int_equal(taken, 0);
    assert_int_equal(ecgqa_reset(NULL), ECGQA_ERR_ARGUMENT);
    assert_int_equal(ecgqa_selftest(NULL, NULL), ECGQA_ERR_ARGUMENT);
}

static void classify_checks_its_arguments(void **state)
{
    fixture_t *f = *state;
    ecgqa_decision_t decision;
    uint8_t done;
    assert_int_equal(ecgqa_classify_step(&f->ctx, &decision, &done), ECGQA_ERR_ARGUMENT);
    assert_int_equal(init(f), ECGQA_OK);
    assert_int_equal(ecgqa_classify_step(NULL, &decision, &done), ECGQA_ERR_ARGUMENT);
    assert_int_equal(ecgqa_classify_step(&f->ctx, NULL, &done), ECGQA_ERR_ARGUMENT);
    assert_int_equal(ecgqa_classify_step(&f->ctx, &decision, NULL), ECGQA_ERR_ARGUMENT);
    assert_int_equal(ecgqa_classify(&f->ctx, &decision), ECGQA_ERR_NOT_READY);
    push_all(f, f->golden.samples, LEN - 1);
    assert_int_equal(ecgqa_classify(&f->ctx, &decision), ECGQA_ERR_NOT_READY);
    assert_int_equal(f->ctx.n_samples, LEN - 1);
}

static void the_threshold_decides(void **state)
{
    fixture_t *f = *state;
    ecgqa_decision_t decision;
    int8_t score;
    assert_int_equal(init(f), ECGQA_OK);
    push_all(f, f->golden.samples, LEN);
    assert_int_equal(ecgqa_classify(&f->ctx, &decision), ECGQA_OK);
    score = decision.score_s8;
    assert_int_equal(decision.segment, 0);
    assert_int_equal(decision.reason, ECGQA_REASON_OK);
    f->bundle.threshold_s8 = score;
    push_all(f, f->golden.samples, LEN);
    assert_int_equal(ecgqa_classify(&f->ctx, &decision), ECGQA_OK);
    assert_int_equal(decision.quality, ECGQA_QUALITY_HIGH);
    assert_int_equal(decision.segment, 1);
    f->bundle.threshold_s8 = (int8_t)(score + 1);
    push_all(f, f->golden.samples, LEN);
    assert_int_equal(ecgqa_classify(&f->ctx, &decision), ECGQA_OK);
    assert_int_equal(decision.quality, ECGQA_QUALITY_LOW);
    assert_int_equal(decision.score_s8, score);
    assert_int_equal(ecgqa_reset(&f->ctx), ECGQA_OK);
    push_all(f, f->golden.samples, LEN);
    assert_int_equal(ecgqa_classify(&f->ctx, &decision), ECGQA_OK);
    assert_int_equal(decision.segment, 0);
}

static void a_flat_segment_is_low_without_the_network(void **state)
{
    fixture_t *f = *state;
    int16_t flat[LEN];
    ecgqa_decision_t decision;
    for (size_t i = 0u; i < LEN; ++i) {
        flat[i] = INT16_MIN;
    }
    assert_int_equal(init(f), ECGQA_OK);
    push_all(f, flat, LEN);
    assert_int_equal(ecgqa_classify(&f->ctx, &decision), ECGQA_OK);
    assert_int_equal(decision.quality, ECGQA_QUALITY_LOW);
    assert_int_equal(decision.reason, ECGQA_REASON_FLAT);
    assert_int_equal(decision.score_s8, INT8_MIN);
}

static void decided_as(fixture_t *f, ecgqa_reason_t reason)
{
    ecgqa_decision_t decision;
    assert_int_equal(ecgqa_classify(&f->ctx, &decision), ECGQA_OK);
    assert_int_equal(decision.reason, reason);
    assert_int_equal(decision.quality == ECGQA_QUALITY_HIGH || reason == ECGQA_REASON_OK,
                     decision.quality == ECGQA_QUALITY_HIGH || decision.score_s8 != INT8_MIN);
}

enum { ARC = 60 };     /* about half a second */
enum { DITHER = 150 }; /* more than 1 % of the golden segment's range, less than a 32nd */

static void lost_signal_is_low_without_the_network(void **state)
{
    fixture_t *f = *state;
    int16_t held[LEN], clipped[LEN];
    for (size_t i = 0u; i < LEN; ++i) {
        held[i] = f->golden.samples[i < LEN / 2u ? i : LEN / 2u];
        clipped[i] = (i & 32u) != 0u ? 500 : -500;
    }
    assert_int_equal(init(f), ECGQA_OK);
    if (f->tables.segment_ms > 2000u) { /* shorter ones hold no window of 1 s beside a beat */
        push_all(f, held, LEN);
        decided_as(f, ECGQA_REASON_HELD);
    }
    push_all(f, clipped, LEN);
    decided_as(f, ECGQA_REASON_CLIPPED);
    if (f->tables.segment_ms > 2000u) {
        for (size_t i = 0u; i < LEN; ++i) { /* arcs, up and down: a slow wave */
            const int32_t u = (int32_t)(i % ARC);
            held[i] = (int16_t)((i / ARC % 2u == 0u ? 4 : -4) * u * ((int32_t)ARC - u));
        }
        push_all(f, held, LEN);
        decided_as(f, ECGQA_REASON_SMOOTH);
        for (size_t i = LEN / 2u; i < LEN; ++i) { /* three codes of a coarse converter */
            held[i] = (int16_t)(held[LEN / 2u] + DITHER * (int)(i % 3u));
        }
        push_all(f, held, LEN);
        decided_as(f, ECGQA_REASON_HELD);
    }
}

/* 50 Hz at 125 samples a second, one part in a thousand of its height. */
static int hum(size_t i)
{
    static const int16_t tone[5] = {0, 588, -951, 951, -588};
    return tone[i % 5u];
}

static void bare_hum_is_lost_and_hum_on_a_signal_is_not(void **state)
{
    fixture_t *f = *state;
    ecgqa_decision_t decision;
    int16_t bare[LEN], on[LEN];
    const size_t lost = (size_t)LEN * 1600u / f->tables.segment_ms;
    if (f->tables.segment_ms <= 2000u) {
        return;
    }
    for (size_t i = 0u; i < LEN; ++i) {
        bare[i] = (int16_t)(i < LEN - lost ? f->golden.samples[i] : hum(i) / 5);
        on[i] =
            (int16_t)(12 * hum(i) + (i < LEN / 2u ? 0 : 6000)); /* on two levels, and throughout */
    }
    assert_int_equal(init(f), ECGQA_OK);
    push_all(f, bare, LEN);
    decided_as(f, ECGQA_REASON_HELD);
    push_all(f, on, LEN);
    assert_int_equal(ecgqa_classify(&f->ctx, &decision), ECGQA_OK);
    assert_int_not_equal(decision.reason, ECGQA_REASON_HELD);
}

static void nothing_but_a_baseline_is_flat(void **state)
{
    fixture_t *f = *state;
    int16_t ramp[LEN];
    for (size_t i = 0u; i < LEN; ++i) {
        ramp[i] = (int16_t)(20 * (int)i);
    }
    assert_int_equal(init(f), ECGQA_OK);
    push_all(f, ramp, LEN);
    decided_as(f, f->tables.conditioning != 0u ? ECGQA_REASON_FLAT : ECGQA_REASON_OK);
}

/* A duration that was altered: what holds its value for 1.5 s isn't seen any more. */
static void the_selftest_looks_at_lost_signal_too(void **state)
{
    fixture_t *f = *state;
    ecgqa_divergence_t first;
    assert_int_equal(init(f), ECGQA_OK);
    f->tables.segment_ms = 60000;
    f->tables.conditioning = 0;
    assert_int_equal(ecgqa_selftest(&f->ctx, &first), ECGQA_ERR_SELFTEST);
    assert_int_equal(first.stage, ECGQA_STAGE_SIGNAL);
    assert_int_equal(first.row, ECGQA_REASON_HELD);
}

/* Segments with a missing sample are told; every later one has the number that it would have. */
static void a_gap_keeps_the_time_base(void **state)
{
    enum { HOP = (LEN + 1) / 2 };
    fixture_t *f = *state;
    ecgqa_decision_t decision;
    ecgqa_event_t event;
    size_t taken;
    f->bundle.collect_while_classifying = 1;
    f->bundle.hop_len = HOP;
    assert_int_equal(init(f), ECGQA_OK);
    push_all(f, f->golden.samples, LEN - 1u);
    assert_int_equal(ecgqa_push_missing(&f->ctx, 3u * LEN, &taken, &event), ECGQA_OK);
    assert_int_equal(taken, 1);
    assert_int_equal(event, ECGQA_EVENT_SEGMENT);
    decided_as(f, ECGQA_REASON_GAP);
    push_all(f, f->golden.samples + LEN - HOP, HOP); /* the gap's sample is still in it */
    decided_as(f, ECGQA_REASON_GAP);
    push_all(f, f->golden.samples, HOP);
    assert_int_equal(ecgqa_classify(&f->ctx, &decision), ECGQA_OK);
    assert_int_equal(decision.reason, ECGQA_REASON_OK);
    assert_int_equal(decision.segment, 2);
    assert_int_equal(ecgqa_push_missing(&f->ctx, 1u, &taken, &event), ECGQA_OK);
    assert_int_equal(ecgqa_reset(&f->ctx), ECGQA_OK);
    push_all(f, f->golden.samples, LEN);
    assert_int_equal(ecgqa_classify(&f->ctx, &decision), ECGQA_OK);
    assert_int_equal(decision.reason, ECGQA_REASON_OK);
    assert_int_equal(ecgqa_push_missing(NULL, 1u, &taken, &event), ECGQA_ERR_ARGUMENT);
    assert_int_equal(ecgqa_push_missing(&f->ctx, 1u, NULL, &event), ECGQA_ERR_ARGUMENT);
}

static void every_reason_has_its_word(void **state)
{
    (void)state;
    assert_string_equal(ecgqa_reason_str(ECGQA_REASON_OK), "ok");
    assert_string_equal(ecgqa_reason_str(ECGQA_REASON_GAP), "gap");
    assert_string_equal(ecgqa_reason_str(ECGQA_REASON_SMOOTH), "smooth");
    assert_string_equal(ecgqa_reason_str((ecgqa_reason_t)99), "unknown reason");
}

static void without_its_own_memory_a_segment_holds_samples_back(void **state)
{
    fixture_t *f = *state;
    ecgqa_decision_t decision;
    ecgqa_event_t event;
    size_t taken;
    uint8_t done = 0;
    assert_int_equal(init(f), ECGQA_OK);
    push_all(f, f->golden.samples, LEN);
    assert_int_equal(ecgqa_push(&f->ctx, f->golden.samples, 7, &taken, &event), ECGQA_OK);
    assert_int_equal(taken, 0);
    assert_int_equal(event, ECGQA_EVENT_SEGMENT);
    while (!done) {
        assert_int_equal(ecgqa_classify_step(&f->ctx, &decision, &done), ECGQA_OK);
        if (!done) {
            assert_int_equal(ecgqa_push(&f->ctx, f->golden.samples, 7, &taken, &event), ECGQA_OK);
            assert_int_equal(taken, 0);
            assert_int_equal(event, ECGQA_EVENT_NONE);
        }
    }
    push_all(f, f->golden.samples, 7);
}

static void with_its_own_memory_samples_come_in_meanwhile(void **state)
{
    fixture_t *f = *state;
    ecgqa_decision_t first, decision;
    ecgqa_event_t event = ECGQA_EVENT_NONE;
    size_t taken, pushed = 0;
    uint8_t done = 0;
    assert_int_equal(init(f), ECGQA_OK);
    push_all(f, f->golden.samples, LEN);
    assert_int_equal(ecgqa_classify(&f->ctx, &first), ECGQA_OK);

    f->bundle.collect_while_classifying = 1;
    f->bundle.hop_len = LEN - 3;
    assert_int_equal(init(f), ECGQA_OK);
    assert_true(ecgqa_workspace_bytes(&f->bundle) >= ECGQA_WORKSPACE_BYTES);
    push_all(f, f->golden.samples, LEN);
    while (!done) {
        assert_int_equal(ecgqa_classify_step(&f->ctx, &decision, &done), ECGQA_OK);
        if (pushed < LEN - 3) {
            assert_int_equal(ecgqa_push(&f->ctx, f->golden.samples + 3 + pushed, 1, &taken, &event),
                             ECGQA_OK);
            pushed += taken;
        }
    }
    assert_int_equal(decision.score_s8, first.score_s8);
    push_all(f, f->golden.samples + 3 + pushed, LEN - 3 - pushed);
    assert_int_equal(f->ctx.samples[0], f->golden.samples[LEN - 3]);
    assert_int_equal(ecgqa_classify(&f->ctx, &decision), ECGQA_OK);
    assert_int_equal(decision.segment, 1);
}

static void without_an_idle_region_scratch_lies_apart(void **state)
{
    fixture_t *f = *state;
    ecgqa_decision_t with, without;
    assert_int_equal(init(f), ECGQA_OK);
    push_all(f, f->golden.samples, LEN);
    assert_int_equal(ecgqa_classify(&f->ctx, &with), ECGQA_OK);
    for (uint32_t at = 0u; at < 2; ++at) {
        f->model.idle_at = at * 8;
        f->model.idle_bytes = 8;
        reseal(f);
        assert_true(ecgqa_workspace_bytes(&f->bundle) > ECGQA_WORKSPACE_BYTES);
        assert_int_equal(init(f), ECGQA_OK);
        push_all(f, f->golden.samples, LEN);
        assert_int_equal(ecgqa_classify(&f->ctx, &without), ECGQA_OK);
        assert_int_equal(with.score_s8, without.score_s8);
    }
}

/* What only a context that was written over can do: each slice gives the error on. */
static void a_broken_context_gives_errors_not_faults(void **state)
{
    fixture_t *f = *state;
    ecgqa_decision_t decision;
    uint8_t done;
    for (int slices = 0; slices < 30; ++slices) {
        (void)set_up(state);
        assert_int_equal(init(f), ECGQA_OK);
        push_all(f, f->golden.samples, LEN);
        for (int i = 0; i < slices; ++i) {
            assert_int_equal(ecgqa_classify_step(&f->ctx, &decision, &done), ECGQA_OK);
        }
        f->ctx.cwt.tables = NULL;
        f->ctx.net.model = NULL;
        assert_int_equal(ecgqa_classify_step(&f->ctx, &decision, &done), ECGQA_ERR_ARGUMENT);
        assert_int_equal(done, 0);
    }
    (void)set_up(state);
    assert_int_equal(init(f), ECGQA_OK);
    push_all(f, f->golden.samples, LEN);
    while (ecgqa_nn_next_row(&f->ctx.net) == 0u) {
        assert_int_equal(ecgqa_classify_step(&f->ctx, &decision, &done), ECGQA_OK);
    }
    f->ctx.cwt.tables = NULL; /* the network alone goes on, until it wants a row */
    assert_int_equal(ecgqa_classify(&f->ctx, &decision), ECGQA_ERR_ARGUMENT);
}

static int8_t decided(ecgqa_t *ctx, uint32_t segment)
{
    ecgqa_decision_t decision;
    assert_int_equal(ecgqa_classify(ctx, &decision), ECGQA_OK);
    assert_int_equal(decision.segment, segment);
    assert_int_equal(decision.reason, ECGQA_REASON_OK);
    return decision.score_s8;
}

static void leads_share_the_memory(void **state)
{
    fixture_t *f = *state;
    static ecgqa_t lead[2];
    static int16_t samples[2][LEN], other[LEN];
    ecgqa_scratch_t scratch = {f->workspace, sizeof f->workspace, NULL};
    ecgqa_decision_t decision;
    ecgqa_event_t event;
    size_t taken;
    int8_t score[2];
    uint8_t done = 0;
    for (size_t i = 0u; i < LEN; ++i) {
        other[i] = f->golden.samples[LEN - 1u - i];
    }
    reseal(f);
    assert_int_equal(ecgqa_scratch_bytes(&f->bundle), 0); /* samples lie in the network's memory */
    assert_int_equal(ecgqa_init_lead(&lead[0], &f->bundle, samples[0], &scratch),
                     ECGQA_ERR_WORKSPACE);
    f->bundle.collect_while_classifying = 1;
    assert_int_equal(init(f), ECGQA_OK);
    push_all(f, f->golden.samples, LEN);
    score[0] = decided(&f->ctx, 0);
    push_all(f, other, LEN);
    score[1] = decided(&f->ctx, 1);

    scratch.bytes = ecgqa_scratch_bytes(&f->bundle);
    assert_true(ecgqa_workspace_bytes(&f->bundle) >= scratch.bytes + sizeof samples[0]);
    --scratch.bytes;
    assert_int_equal(ecgqa_init_lead(&lead[0], &f->bundle, samples[0], &scratch),
                     ECGQA_ERR_WORKSPACE);
    ++scratch.bytes;
    assert_int_equal(ecgqa_init_lead(&lead[0], &f->bundle, NULL, &scratch), ECGQA_ERR_ARGUMENT);
    assert_int_equal(ecgqa_init_lead(&lead[0], &f->bundle, samples[0], NULL), ECGQA_ERR_ARGUMENT);
    assert_int_equal(ecgqa_init_lead(&lead[0], NULL, samples[0], &scratch), ECGQA_ERR_ARGUMENT);
    for (int i = 0; i < 2; ++i) {
        assert_int_equal(ecgqa_init_lead(&lead[i], &f->bundle, samples[i], &scratch), ECGQA_OK);
        assert_int_equal(ecgqa_selftest(&lead[i], NULL), ECGQA_OK);
    }
    for (uint32_t turn = 0u; turn < 3u; ++turn) {
        assert_int_equal(ecgqa_push(&lead[0], f->golden.samples, LEN, &taken, &event), ECGQA_OK);
        assert_int_equal(ecgqa_push(&lead[1], other, LEN, &taken, &event), ECGQA_OK);
        for (int i = 0; i < 30; ++i) {
            assert_int_equal(ecgqa_classify_step(&lead[0], &decision, &done), ECGQA_OK);
            assert_int_equal(ecgqa_classify_step(&lead[1], &decision, &done), ECGQA_ERR_NOT_READY);
        }
        assert_int_equal(ecgqa_selftest(&lead[1], NULL), ECGQA_ERR_NOT_READY);
        assert_int_equal(ecgqa_init_lead(&f->ctx, &f->bundle, other, &scratch),
                         ECGQA_ERR_NOT_READY);
        if (turn == 1u) {
            assert_int_equal(ecgqa_reset(&lead[0]), ECGQA_OK);
        } else {
            assert_int_equal(decided(&lead[0], 0), score[0]);
            assert_int_equal(ecgqa_reset(&lead[0]), ECGQA_OK);
        }
        assert_int_equal(decided(&lead[1], turn), score[1]);
    }
}

/* Something else wrote to the engine's own state: entry `entry` of it, uint16 number `field`. */
static void the_segment_is_lost_and_no_other(fixture_t *f, uint32_t entry, uint32_t field)
{
    const ecgqa_decision_t untouched = {77, 77, 77, 77};
    ecgqa_decision_t decision = untouched;
    uint8_t done;
    assert_int_equal(init(f), ECGQA_OK);
    push_all(f, f->golden.samples, LEN);
    while (f->ctx.row_waits == 0u) { /* the network is under way */
        assert_int_equal(ecgqa_classify_step(&f->ctx, &decision, &done), ECGQA_OK);
    }
    uint8_t *const state =
        f->ctx.net.workspace + f->model.progress_at + entry * ECGQA_NN_PROGRESS_BYTES;
    memset(state + 2u * field, 0x7F, 2);
    assert_int_equal(ecgqa_classify(&f->ctx, &decision), ECGQA_ERR_DAMAGED);
    assert_memory_equal(&decision, &untouched, sizeof decision);
    assert_int_equal(ecgqa_classify(&f->ctx, &decision), ECGQA_ERR_NOT_READY);
    push_all(f, f->golden.samples, LEN);
    assert_int_equal(ecgqa_classify(&f->ctx, &decision), ECGQA_OK);
    assert_int_equal(decision.segment, 1);
}

static void a_workspace_that_is_written_over_is_told(void **state)
{
    fixture_t *f = *state;
    enum { OUT_ROW = 2, OUT_COL };
    the_segment_is_lost_and_no_other(f, 0, OUT_COL);
    the_segment_is_lost_and_no_other(f, f->model.n_layers, OUT_ROW);
}

/* ---- self-test ------------------------------------------------------------------------------- */

static void the_self_test_passes_and_resets(void **state)
{
    fixture_t *f = *state;
    ecgqa_divergence_t first;
    assert_int_equal(init(f), ECGQA_OK);
    push_all(f, f->golden.samples, 10);
    assert_int_equal(ecgqa_selftest(&f->ctx, &first), ECGQA_OK);
    assert_int_equal(f->ctx.n_samples, 0);
    f->bundle.golden = NULL;
    assert_int_equal(ecgqa_selftest(&f->ctx, &first), ECGQA_ERR_NOT_READY);
}

static void a_layer_that_is_of_no_kind_any_more_is_refused(void **state)
{
    fixture_t *f = *state;
    ecgqa_decision_t decision;
    ecgqa_divergence_t first;
    for (uint16_t i = 0u; i < f->model.n_layers; ++i) {
        (void)set_up(state);
        assert_int_equal(init(f), ECGQA_OK);
        f->layers[i].kind = 99;
        push_all(f, f->golden.samples, LEN);
        assert_int_equal(ecgqa_classify(&f->ctx, &decision), ECGQA_ERR_DAMAGED);
        assert_int_equal(ecgqa_selftest(&f->ctx, &first), ECGQA_ERR_SELFTEST);
        assert_int_equal(first.stage, ECGQA_STAGE_LAYER_CONSTANTS);
        assert_int_equal(first.layer, i);
    }
}

static uint32_t digest_of(const int16_t *samples)
{
    return ecgqa_digest_more(ECGQA_DIGEST_START, samples, LEN * sizeof samples[0]);
}

static void other_samples_diverge_in_the_index_rows(void **state)
{
    fixture_t *f = *state;
    ecgqa_divergence_t first;
    int16_t samples[LEN];
    memcpy(samples, f->golden.samples, sizeof samples);
    samples[30] = (int16_t)(samples[30] + 5000);
    f->golden.samples = samples;
    assert_int_equal(init(f), ECGQA_OK);
    assert_int_equal(ecgqa_selftest(&f->ctx, &first), ECGQA_ERR_SELFTEST);
    assert_int_equal(first.stage, ECGQA_STAGE_GOLDEN);
    f->golden.samples_digest = digest_of(samples);
    assert_int_equal(ecgqa_selftest(&f->ctx, &first), ECGQA_ERR_SELFTEST);
    assert_int_equal(first.stage, ECGQA_STAGE_INDEX_ROWS);
    assert_true(first.index < ecgqa_bundle.cwt->cols);
    assert_int_equal(ecgqa_selftest(&f->ctx, NULL), ECGQA_ERR_SELFTEST);
    f->golden.bytes = NULL;
    assert_int_equal(ecgqa_selftest(&f->ctx, &first), ECGQA_ERR_SELFTEST);
    assert_int_equal(first.index, ECGQA_INDEX_UNKNOWN);
}

/* Every digest, one after the other, stands for something that went wrong there. */
static void every_wrong_digest_is_found_in_order(void **state)
{
    fixture_t *f = *state;
    static uint32_t digests[4096];
    size_t n = (size_t)ECGQA_TABLES + 1 + f->model.n_layers + f->model.rows + 1;
    const size_t constants = (size_t)ECGQA_TABLES + 1 + f->model.n_layers;
    ecgqa_divergence_t first;
    int stage = 0;
    for (size_t i = 0u; i < f->model.n_layers; ++i) {
        n += f->layers[i].pooled.rows;
    }
    assert_true(n <= sizeof digests / sizeof digests[0]);
    assert_int_equal(init(f), ECGQA_OK);
    for (size_t i = 0u; i < n; ++i) {
        memcpy(digests, ecgqa_bundle.golden->digests, n * sizeof digests[0]);
        digests[i] ^= 1;
        f->golden.digests = digests;
        if (i >= constants && i < constants + f->model.rows &&
            ecgqa_selftest(&f->ctx, &first) == ECGQA_OK) {
            continue; /* a row that the network has no use for */
        }
        assert_int_equal(ecgqa_selftest(&f->ctx, &first), ECGQA_ERR_SELFTEST);
        assert_true(first.stage >= stage);
        stage = first.stage;
        if (stage == ECGQA_STAGE_TABLES) {
            assert_int_equal(first.row, i);
        } else if (stage == ECGQA_STAGE_INDEX_ROWS) {
            assert_int_equal(first.row, i - constants);
        }
    }
    assert_int_equal(stage, ECGQA_STAGE_SCORES);
}

/* ---- the front end and the network by themselves --------------------------------------------- */

static void the_front_end_checks_its_arguments_and_order(void **state)
{
    fixture_t *f = *state;
    const size_t keep = ecgqa_cwt_keep_bytes(&f->tables);
    const size_t analyse = ecgqa_cwt_analyse_scratch_bytes(&f->tables);
    const size_t row = ecgqa_cwt_row_scratch_bytes(&f->tables);
    const size_t scratch = analyse > row ? analyse : row;
    uint8_t *const memory = (uint8_t *)f->workspace;
    uint8_t index_row[64];
    uint16_t next = 0;
    ecgqa_cwt_t cwt;
    memset(&cwt, 0, sizeof cwt);
    assert_int_equal(ecgqa_cwt_keep_bytes(NULL), 0);
    assert_int_equal(ecgqa_cwt_analyse_scratch_bytes(NULL), 0);
    assert_int_equal(ecgqa_cwt_row_scratch_bytes(NULL), 0);
    assert_int_equal(ecgqa_cwt_analyse(&cwt, f->golden.samples, LEN), ECGQA_ERR_ARGUMENT);
    assert_int_equal(ecgqa_cwt_scan_step(&cwt, &next), ECGQA_ERR_ARGUMENT);
    assert_int_equal(ecgqa_cwt_index_row(&cwt, 0, index_row), ECGQA_ERR_ARGUMENT);
    assert_int_equal(ecgqa_cwt_init(NULL, &f->tables, memory, keep, memory + 1024, scratch),
                     ECGQA_ERR_ARGUMENT);
    assert_int_equal(ecgqa_cwt_init(&cwt, NULL, memory, keep, memory + 1024, scratch),
                     ECGQA_ERR_ARGUMENT);
    assert_int_equal(ecgqa_cwt_init(&cwt, &f->tables, memory + 1, keep, memory + 1024, scratch),
                     ECGQA_ERR_ARGUMENT);
    assert_int_equal(ecgqa_cwt_init(&cwt, &f->tables, memory, keep - 1, memory + 1024, scratch),
                     ECGQA_ERR_WORKSPACE);
    assert_int_equal(ecgqa_cwt_init(&cwt, &f->tables, memory, keep, memory + 1024, scratch - 1),
                     ECGQA_ERR_WORKSPACE);
    assert_int_equal(ecgqa_cwt_init(&cwt, &f->tables, memory, keep, memory + 1024, scratch),
                     ECGQA_OK);
    assert_int_equal(ecgqa_cwt_scan(&cwt), ECGQA_ERR_NOT_READY);
    assert_int_equal(ecgqa_cwt_index_row(&cwt, 0, index_row), ECGQA_ERR_NOT_READY);
    assert_int_equal(ecgqa_cwt_analyse(&cwt, f->golden.samples, LEN - 1), ECGQA_ERR_ARGUMENT);
    assert_int_equal(ecgqa_cwt_analyse(&cwt, NULL, LEN), ECGQA_ERR_ARGUMENT);
    assert_int_equal(ecgqa_cwt_analyse(&cwt, f->golden.samples, LEN), ECGQA_OK);
    assert_int_equal(ecgqa_cwt_index_row(&cwt, 0, index_row), ECGQA_ERR_NOT_READY);
    next = f->tables.rows;
    assert_int_equal(ecgqa_cwt_scan_step(&cwt, &next), ECGQA_ERR_ARGUMENT);
    assert_int_equal(ecgqa_cwt_scan(&cwt), ECGQA_OK);
    assert_int_equal(ecgqa_cwt_index_row(&cwt, f->tables.rows, index_row), ECGQA_ERR_ARGUMENT);
    assert_int_equal(ecgqa_cwt_index_row(&cwt, 0, NULL), ECGQA_ERR_ARGUMENT);
    assert_int_equal(ecgqa_cwt_index_row(&cwt, 0, index_row), ECGQA_OK);
}

static void a_flat_segments_rows_are_zero(void **state)
{
    fixture_t *f = *state;
    const size_t keep = ecgqa_cwt_keep_bytes(&f->tables);
    uint8_t *const memory = (uint8_t *)f->workspace;
    const int16_t flat[LEN] = {0};
    uint8_t index_row[64];
    ecgqa_cwt_t cwt;
    assert_int_equal(
        ecgqa_cwt_init(&cwt, &f->tables, memory, keep, memory + 1024, sizeof f->workspace - 1024),
        ECGQA_OK);
    assert_int_equal(ecgqa_cwt_analyse(&cwt, flat, LEN), ECGQA_OK);
    assert_int_equal(ecgqa_cwt_scan(&cwt), ECGQA_OK);
    for (uint16_t row = 0; row < f->tables.rows; ++row) {
        memset(index_row, 1, sizeof index_row);
        assert_int_equal(ecgqa_cwt_index_row(&cwt, row, index_row), ECGQA_OK);
        for (size_t col = 0u; col < f->tables.cols; ++col) {
            assert_int_equal(index_row[col], 0);
        }
    }
}

static void the_front_end_looks_before_it_transforms(void **state)
{
    fixture_t *f = *state;
    const size_t keep = ecgqa_cwt_keep_bytes(&f->tables);
    uint8_t *const memory = (uint8_t *)f->workspace;
    const int16_t flat[LEN] = {0};
    int16_t ramp[LEN];
    ecgqa_reason_t reason = ECGQA_REASON_GAP;
    uint16_t row = 0;
    ecgqa_cwt_t cwt;
    for (size_t i = 0u; i < LEN; ++i) {
        ramp[i] = (int16_t)(20 * (int)i);
    }
    assert_int_equal(
        ecgqa_cwt_init(&cwt, &f->tables, memory, keep, memory + 1024, sizeof f->workspace - 1024),
        ECGQA_OK);
    assert_int_equal(ecgqa_cwt_look(NULL, flat, LEN, &reason), ECGQA_ERR_ARGUMENT);
    assert_int_equal(ecgqa_cwt_look(&cwt, flat, LEN - 1u, &reason), ECGQA_ERR_ARGUMENT);
    assert_int_equal(ecgqa_cwt_look(&cwt, flat, LEN, NULL), ECGQA_ERR_ARGUMENT);
    assert_int_equal(ecgqa_cwt_look(&cwt, f->golden.samples, LEN, &reason), ECGQA_OK);
    assert_int_equal(reason, ECGQA_REASON_OK);
    assert_int_equal(ecgqa_cwt_scan_step(&cwt, &row), ECGQA_OK);
    assert_int_equal(ecgqa_cwt_look(&cwt, ramp, LEN, &reason), ECGQA_OK);
    assert_int_equal(reason, f->tables.conditioning != 0u ? ECGQA_REASON_FLAT : ECGQA_REASON_OK);
    assert_int_equal(ecgqa_cwt_look(&cwt, flat, LEN, &reason), ECGQA_OK);
    assert_int_equal(reason, ECGQA_REASON_FLAT);
    row = 0; /* nothing is left of the segment before */
    assert_int_equal(ecgqa_cwt_scan_step(&cwt, &row), ECGQA_ERR_NOT_READY);
}

static void the_network_checks_its_arguments_and_order(void **state)
{
    fixture_t *f = *state;
    const uint8_t index_row[64] = {0};
    const int8_t *scores;
    ecgqa_nn_event_t event;
    ecgqa_nn_t net;
    const size_t all = sizeof f->workspace;
    memset(&net, 0, sizeof net);
    reseal(f);
    assert_int_equal(ecgqa_nn_workspace_bytes(NULL), 0);
    assert_int_equal(ecgqa_nn_reset(&net), ECGQA_ERR_ARGUMENT);
    assert_int_equal(ecgqa_nn_step(&net, &event), ECGQA_ERR_ARGUMENT);
    assert_int_equal(ecgqa_nn_row_ready(&net), ECGQA_ERR_ARGUMENT);
    assert_int_equal(ecgqa_nn_push_row(&net, index_row), ECGQA_ERR_ARGUMENT);
    assert_int_equal(ecgqa_nn_scores(&net, &scores), ECGQA_ERR_ARGUMENT);
    assert_null(ecgqa_nn_row_slot(&net));
    assert_int_equal(ecgqa_nn_next_row(&net), 0);
    assert_int_equal(ecgqa_nn_init(NULL, &f->model, f->workspace, all), ECGQA_ERR_ARGUMENT);
    assert_int_equal(ecgqa_nn_init(&net, &f->model, (uint8_t *)f->workspace + 1, all),
                     ECGQA_ERR_ARGUMENT);
    assert_int_equal(ecgqa_nn_init(&net, &f->model, f->workspace, f->model.workspace_bytes - 1),
                     ECGQA_ERR_WORKSPACE);
    assert_int_equal(ecgqa_nn_init(&net, &f->model, f->workspace, all), ECGQA_OK);
    assert_int_equal(ecgqa_nn_scores(&net, &scores), ECGQA_ERR_NOT_READY);
    for (uint16_t row = 0; row < f->model.rows; ++row) {
        assert_int_equal(ecgqa_nn_next_row(&net), row);
        assert_int_equal(ecgqa_nn_push_row(&net, index_row), ECGQA_OK);
    }
    assert_int_equal(ecgqa_nn_push_row(&net, index_row), ECGQA_ERR_NOT_READY);
    assert_null(ecgqa_nn_row_slot(&net));
    assert_int_equal(ecgqa_nn_scores(&net, &scores), ECGQA_OK);
}

static void a_network_without_softmax_gives_its_logits(void **state)
{
    fixture_t *f = *state;
    const int8_t *scores;
    uint8_t index_row[64];
    ecgqa_nn_t net;
    for (size_t i = 0u; i < sizeof index_row; ++i) {
        index_row[i] = (uint8_t)(i * 9);
    }
    f->model.softmax = NULL;
    reseal(f);
    assert_int_equal(ecgqa_nn_init(&net, &f->model, f->workspace, sizeof f->workspace), ECGQA_OK);
    for (uint16_t row = 0; row < f->model.rows; ++row) {
        assert_int_equal(ecgqa_nn_push_row(&net, index_row), ECGQA_OK);
    }
    assert_int_equal(ecgqa_nn_scores(&net, &scores), ECGQA_OK);
    assert_memory_equal(scores, (const uint8_t *)f->workspace + f->model.logits_at, 2);
}

/* One class alone counts: its share is 1, which int8 can't hold. */
static void a_softmax_of_one_class_saturates(void **state)
{
    fixture_t *f = *state;
    ecgqa_decision_t decision;
    f->softmax.diff_min = 0;
    assert_int_equal(init(f), ECGQA_OK);
    push_all(f, f->golden.samples, LEN);
    assert_int_equal(ecgqa_classify(&f->ctx, &decision), ECGQA_OK);
    assert_true(decision.score_s8 == INT8_MIN || decision.score_s8 == INT8_MAX);
}

static void scales_out_of_range_are_refused(void **state)
{
    fixture_t *f = *state;
    static int32_t multiplier[512];
    static int8_t shift[512];
    const size_t last = ecgqa_bundle.model->n_layers - 1u;
    REFUSED(f->softmax.left_shift, 31, ECGQA_ERR_FORMAT);
    REFUSED(f->softmax.diff_min, -(INT32_MAX >> f->softmax.left_shift) - 1, ECGQA_ERR_FORMAT);
    REFUSED(f->layers[last].shift, shift, ECGQA_OK);
    shift[0] = 1;
    REFUSED(f->layers[last].shift, shift, ECGQA_ERR_FORMAT);
    shift[0] = -31;
    REFUSED(f->layers[last].shift, shift, ECGQA_ERR_FORMAT);
    REFUSED(f->layers[last].multiplier_q31, multiplier, ECGQA_OK);
    multiplier[0] = -1;
    REFUSED(f->layers[last].multiplier_q31, multiplier, ECGQA_ERR_FORMAT);
}

/* Each field of each layer, out of its range: refused, and no step taken. */
static void layers_that_make_no_sense_are_refused(void **state)
{
    fixture_t *f = *state;
    for (size_t i = 0u; i < ecgqa_bundle.model->n_layers; ++i) {
        REFUSED(f->layers[i].kind, 77, ECGQA_ERR_FORMAT);
        REFUSED(f->layers[i].from_index, 2, ECGQA_ERR_FORMAT);
        REFUSED(f->layers[i].in.rows, 0, ECGQA_ERR_FORMAT);
        REFUSED(f->layers[i].out.channels, 0, ECGQA_ERR_FORMAT);
        REFUSED(f->layers[i].pooled.cols, 0, ECGQA_ERR_FORMAT);
        REFUSED(f->layers[i].pooled.channels, 9999, ECGQA_ERR_FORMAT);
        REFUSED(f->layers[i].out.rows, 9999, ECGQA_ERR_FORMAT);
        REFUSED(f->layers[i].in.channels, 9999, ECGQA_ERR_FORMAT);
        REFUSED(f->layers[i].window_at, UINT32_MAX, ECGQA_ERR_FORMAT);
        REFUSED(f->layers[i].accumulators_at, UINT32_MAX, ECGQA_ERR_FORMAT);
        REFUSED(f->layers[i].accumulators_at, 2, ECGQA_ERR_FORMAT);
        REFUSED(f->layers[i].window_rows, 0, ECGQA_ERR_FORMAT);
        if (f->layers[i].runs != 0) {
            REFUSED(f->layers[i].run_len, 9999, ECGQA_ERR_FORMAT);
            REFUSED(f->layers[i].patch_at, UINT32_MAX, ECGQA_ERR_FORMAT);
            REFUSED(f->layers[i].weights, NULL, ECGQA_ERR_FORMAT);
        }
    }
    REFUSED(f->model.layers, NULL, ECGQA_ERR_FORMAT);
    REFUSED(f->model.progress_at, UINT32_MAX, ECGQA_ERR_FORMAT);
    REFUSED(f->model.channels, 2, ECGQA_ERR_FORMAT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, set_up)
    const struct CMUnitTest tests[] = {
        TEST(every_status_has_its_words),
        TEST(the_workspace_is_what_the_header_says),
        TEST(init_checks_its_arguments),
        TEST(a_bundle_that_makes_no_sense_is_refused),
        TEST(tables_that_make_no_sense_are_refused),
        TEST(every_changed_bit_of_a_struct_is_refused),
        TEST(push_checks_its_arguments),
        TEST(classify_checks_its_arguments),
        TEST(the_threshold_decides),
        TEST(a_flat_segment_is_low_without_the_network),
        TEST(lost_signal_is_low_without_the_network),
        TEST(bare_hum_is_lost_and_hum_on_a_signal_is_not),
        TEST(nothing_but_a_baseline_is_flat),
        TEST(the_selftest_looks_at_lost_signal_too),
        TEST(a_gap_keeps_the_time_base),
        TEST(every_reason_has_its_word),
        TEST(without_its_own_memory_a_segment_holds_samples_back),
        TEST(with_its_own_memory_samples_come_in_meanwhile),
        TEST(without_an_idle_region_scratch_lies_apart),
        TEST(a_broken_context_gives_errors_not_faults),
        TEST(leads_share_the_memory),
        TEST(a_workspace_that_is_written_over_is_told),
        TEST(the_self_test_passes_and_resets),
        TEST(a_layer_that_is_of_no_kind_any_more_is_refused),
        TEST(other_samples_diverge_in_the_index_rows),
        TEST(every_wrong_digest_is_found_in_order),
        TEST(the_front_end_checks_its_arguments_and_order),
        TEST(a_flat_segments_rows_are_zero),
        TEST(the_front_end_looks_before_it_transforms),
        TEST(the_network_checks_its_arguments_and_order),
        TEST(a_network_without_softmax_gives_its_logits),
        TEST(a_softmax_of_one_class_saturates),
        TEST(scales_out_of_range_are_refused),
        TEST(layers_that_make_no_sense_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
