/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* The bundle's proof: golden segments through the front end, and through the whole path where this
 * bundle holds the engine's form of the network, compared row by row and score by score; elsewhere
 * as far as the network's input.
 * Exit code 0: everything came out, bit for bit. */
#include <stdio.h>

#include "ecgqa/status.h"
#include "ecgqa_cwt_tables.h"
#include "ecgqa_golden.h"
#include "ecgqa_identity.h"
#if ECGQA_GOLDEN_ENGINE
#include "ecgqa_bundle.h"
#else
#include "ecgqa_image.h"
#endif

/* What the header says is a string of C, whatever the model's maker wrote. */
static const char *const identity[] = {ECGQA_MODEL_NAME, ECGQA_LABEL_0, ECGQA_LABEL_1,
                                       ECGQA_LICENCE};

/* Ample for any front end; a firmware takes what the functions below answer. */
static uint32_t memory[32768];
static uint8_t index_row[ECGQA_GOLDEN_COLS];

static uint32_t fnv1a(const uint8_t *bytes, size_t len)
{
    uint32_t digest = UINT32_C(2166136261);
    size_t i;

    for (i = 0; i < len; i++) {
        digest = (digest ^ bytes[i]) * UINT32_C(16777619);
    }
    return digest;
}

static int failed(const char *what, ecgqa_status_t status)
{
    printf("%s: %s\n", what, ecgqa_status_str(status));
    return 1;
}

static const int16_t *samples_of(size_t segment)
{
    return ecgqa_golden_samples + segment * ECGQA_GOLDEN_SEGMENT_LEN;
}

/* ---- front end ------------------------------------------------------------------------------ */

/* 1, with a word, where a row of the segment's index map is not what it must be. */
static int index_map_differs(ecgqa_cwt_t *cwt, size_t segment)
{
    const uint32_t *const digests = ecgqa_golden_row_digests + segment * ECGQA_GOLDEN_ROWS;
    ecgqa_status_t status = ecgqa_cwt_analyse(cwt, samples_of(segment), ECGQA_GOLDEN_SEGMENT_LEN);
    uint16_t row;
    size_t col;

    if (status == ECGQA_OK) {
        status = ecgqa_cwt_scan(cwt);
    }
    for (row = 0; row < ECGQA_GOLDEN_ROWS && status == ECGQA_OK; row++) {
        status = ecgqa_cwt_index_row(cwt, row, index_row);
        if (status != ECGQA_OK) {
            break;
        }
        for (col = 0; segment == 0 && col < ECGQA_GOLDEN_COLS; col++) {
            if (index_row[col] != ecgqa_golden_index_map[row * ECGQA_GOLDEN_COLS + col]) {
                printf("front end: segment 0 differs in row %u, column %u\n", (unsigned)row,
                       (unsigned)col);
                return 1;
            }
        }
        if (fnv1a(index_row, sizeof index_row) != digests[row]) {
            printf("front end: segment %u differs in row %u\n", (unsigned)segment, (unsigned)row);
            return 1;
        }
    }
    return status == ECGQA_OK ? 0 : failed("front end", status);
}

static int front_end_differs(void)
{
    const size_t keep = (ecgqa_cwt_keep_bytes(&ecgqa_cwt_tables) + 3u) / 4u * 4u;
    const size_t analyse = ecgqa_cwt_analyse_scratch_bytes(&ecgqa_cwt_tables);
    const size_t rows = ecgqa_cwt_row_scratch_bytes(&ecgqa_cwt_tables);
    const size_t scratch = analyse > rows ? analyse : rows;
    ecgqa_cwt_t cwt;
    ecgqa_status_t status;
    size_t segment;

    if (ecgqa_cwt_tables.spec_hash != ECGQA_GOLDEN_SPEC_HASH) {
        return failed("front end", ECGQA_ERR_SPEC);
    }
    if (keep + scratch > sizeof memory) {
        return failed("front end", ECGQA_ERR_WORKSPACE);
    }
    status = ecgqa_cwt_init(&cwt, &ecgqa_cwt_tables, memory, keep, memory + keep / 4u,
                            sizeof memory - keep);
    if (status != ECGQA_OK) {
        return failed("front end", status);
    }
    for (segment = 0; segment < ECGQA_GOLDEN_SEGMENTS; segment++) {
        if (index_map_differs(&cwt, segment)) {
            return 1;
        }
    }
    printf("front end: %u segments of %u rows, bit for bit; keeps %u bytes, scratch %u\n",
           (unsigned)ECGQA_GOLDEN_SEGMENTS, (unsigned)ECGQA_GOLDEN_ROWS, (unsigned)keep,
           (unsigned)scratch);
    return 0;
}

/* ---- whole path ----------------------------------------------------------------------------- */

#if ECGQA_GOLDEN_ENGINE
static ecgqa_t context;
static uint64_t workspace[(ECGQA_WORKSPACE_BYTES + 7u) / 8u];

static int stages_differ(void)
{
    static const char *const stages[] = {"tables",     "colour map", "layer constants",
                                         "index rows", "layer rows", "logits", "scores",
                                         "lost signal", "golden samples"};
    ecgqa_divergence_t first;
    const ecgqa_status_t status = ecgqa_selftest(&context, &first);

    if (status == ECGQA_ERR_SELFTEST) {
        printf("whole path: %s differs: layer %u, row %u\n", stages[first.stage],
               (unsigned)first.layer, (unsigned)first.row);
        return 1;
    }
    return status == ECGQA_OK ? 0 : failed("whole path", status);
}

static int decision_differs(size_t segment)
{
    const int16_t *const samples = samples_of(segment);
    const int8_t golden = ecgqa_golden_scores[segment * ECGQA_GOLDEN_CLASSES + ECGQA_QUALITY_HIGH];
    const uint8_t reason = ecgqa_golden_reasons[segment];
    const int8_t score = reason == ECGQA_REASON_OK ? golden : INT8_MIN;
    const int high = reason == ECGQA_REASON_OK && score >= ecgqa_bundle.threshold_s8;
    ecgqa_decision_t decision;
    ecgqa_event_t event;
    size_t taken;
    ecgqa_status_t status =
        ecgqa_push(&context, samples, ECGQA_GOLDEN_SEGMENT_LEN, &taken, &event);

    if (status == ECGQA_OK) {
        status = ecgqa_classify(&context, &decision);
    }
    if (status == ECGQA_OK) {
        status = ecgqa_reset(&context);
    }
    if (status != ECGQA_OK) {
        return failed("whole path", status);
    }
    if (decision.score_s8 != score || (decision.quality == ECGQA_QUALITY_HIGH) != high ||
        decision.reason != reason) {
        printf("whole path: segment %u differs: score %d (%s), should be %d (%s)\n",
               (unsigned)segment, (int)decision.score_s8,
               ecgqa_reason_str((ecgqa_reason_t)decision.reason), (int)score,
               ecgqa_reason_str((ecgqa_reason_t)reason));
        return 1;
    }
    return 0;
}

static int whole_path_differs(void)
{
    const ecgqa_status_t status =
        ecgqa_init(&context, &ecgqa_bundle, workspace, sizeof workspace);
    size_t segment;

    if (status != ECGQA_OK) {
        return failed("whole path", status);
    }
    if (stages_differ()) {
        return 1;
    }
    for (segment = 0; segment < ECGQA_GOLDEN_SEGMENTS; segment++) {
        if (decision_differs(segment)) {
            return 1;
        }
    }
    printf("whole path: %u decisions and every row of a segment, bit for bit; workspace %u bytes\n",
           (unsigned)ECGQA_GOLDEN_SEGMENTS, (unsigned)ECGQA_WORKSPACE_BYTES);
    return 0;
}
#else
/* Another runtime runs the network: what it is given must be right. */
static int8_t network_input[ECGQA_IMAGE_BYTES];

static int whole_path_differs(void)
{
    size_t segment;

    for (segment = 0; segment < ECGQA_GOLDEN_SEGMENTS; segment++) {
        ecgqa_reason_t reason = ECGQA_REASON_GAP;
        const ecgqa_status_t status = ecgqa_image(samples_of(segment), network_input, memory,
                                                  sizeof memory, &reason);

        if (status != ECGQA_OK) {
            return failed("network's input", status);
        }
        if (reason != (ecgqa_reason_t)ecgqa_golden_reasons[segment]) {
            printf("network's input: segment %u is %s, should be %s\n", (unsigned)segment,
                   ecgqa_reason_str(reason),
                   ecgqa_reason_str((ecgqa_reason_t)ecgqa_golden_reasons[segment]));
            return 1;
        }
        if (reason == ECGQA_REASON_OK && fnv1a((const uint8_t *)network_input,
                                               sizeof network_input) !=
                                             ecgqa_golden_image_digests[segment]) {
            printf("network's input: segment %u differs\n", (unsigned)segment);
            return 1;
        }
    }
    printf("network's input: %u images of %u bytes, bit for bit; workspace %u bytes\n",
           (unsigned)ECGQA_GOLDEN_SEGMENTS, (unsigned)ECGQA_IMAGE_BYTES,
           (unsigned)ECGQA_IMAGE_WORKSPACE_BYTES);
    return 0;
}
#endif

int main(void)
{
    size_t i;

    for (i = 0; i < sizeof identity / sizeof identity[0]; i++) {
        if (identity[i][0] == '\0') {
            printf("identity: a name is empty\n");
            return 1;
        }
    }
    if (fnv1a(ECGQA_GOLDEN_TFLITE, ECGQA_GOLDEN_TFLITE_LEN) != ECGQA_GOLDEN_TFLITE_DIGEST) {
        printf("model: the .tflite array differs from the one the golden vectors were made with\n");
        return 1;
    }
    return front_end_differs() || whole_path_differs();
}
