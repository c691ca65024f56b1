/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* Five seconds of ECG to a decision: is this segment good enough to be read?
 *
 *     ecgqa_init(&ctx, &ecgqa_bundle, workspace, sizeof workspace);
 *     for (;;) {
 *         ecgqa_push(&ctx, samples, n, &n_consumed, &event);
 *         if (event == ECGQA_EVENT_SEGMENT) {
 *             ecgqa_classify(&ctx, &decision);
 *         }
 *     }
 *
 * The caller owns all memory. Arguments are checked in every build; an error leaves the context as
 * it was. Nothing here locks: call the functions of one context from one thread, and let an
 * interrupt hand its samples over through a queue. Between two calls of ecgqa_classify_step samples
 * may be pushed. Several leads are several contexts: ecgqa_init_lead. */
#ifndef ECGQA_ECGQA_H
#define ECGQA_ECGQA_H

#include <stddef.h>
#include <stdint.h>

#include "ecgqa/cwt.h"
#include "ecgqa/nn.h"
#include "ecgqa/reason.h"
#include "ecgqa/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Meaning and layout of ecgqa_bundle_t; generated files refuse another number. */
#define ECGQA_BUNDLE_FORMAT 2

/* Alignment of the workspace, bytes. */
#define ECGQA_ALIGN ECGQA_NN_ALIGN

/* The value is the class's index in the scores. */
typedef enum { ECGQA_QUALITY_LOW = 0, ECGQA_QUALITY_HIGH = 1 } ecgqa_quality_t;

typedef struct {
    uint32_t segment; /* decisions since init or reset before this one; the segment's first sample
                         is segment * hop_len */
    int8_t score_s8;  /* of ECGQA_QUALITY_HIGH, as the network's softmax gives it: probability
                         (score_s8 + 128) / 256; -128 where `reason` is not OK */
    uint8_t quality;  /* ecgqa_quality_t */
    uint8_t reason;   /* ecgqa_reason_t */
} ecgqa_decision_t;

typedef enum {
    ECGQA_EVENT_NONE = 0,
    ECGQA_EVENT_SEGMENT /* a whole segment waits for ecgqa_classify */
} ecgqa_event_t;

/* What a golden segment must give, stage by stage: digests (FNV-1a, 32 bits, over the bytes in
 * memory order) of constants and of rows, in this order:
 *
 *   constants   ECGQA_CWT_TABLES of the front end, in the order of ecgqa_cwt_table_t; the colour
 *               LUT; each layer's weights, bias, multiplier_q31 and shift, one digest a layer
 *   index rows  one a row of the index map
 *   layer rows  layer after layer, one a row of its pooled output: the last layer's is the logits
 *   scores      one
 *
 * `bytes`, where it is not NULL, holds the rows themselves in the same order (index rows first), so
 * that a divergence can be named to the index. */
typedef struct {
    uint32_t samples_digest; /* of the samples' bytes */
    uint32_t digest;         /* of the number above, as in cwt.h; pointers are there twice */
    const int16_t *samples;  /* [segment_len] */
    const uint32_t *digests;
    const uint8_t *bytes;
    const void *again[3]; /* the pointers above, once more */
} ecgqa_golden_t;

/* Tables of the front end that have a digest each. */
typedef enum {
    ECGQA_TABLE_RADICES = 0,
    ECGQA_TABLE_FORWARD_ORDER,
    ECGQA_TABLE_QUARTER_SINE,
    ECGQA_TABLE_TWIDDLE_COS,
    ECGQA_TABLE_TWIDDLE_SIN,
    ECGQA_TABLE_BIT_REVERSAL,
    ECGQA_TABLE_PSI,
    ECGQA_TABLE_TAPS,
    ECGQA_TABLE_ROWS,
    ECGQA_TABLES
} ecgqa_table_t;

/* Everything that belongs to one model on one device; made by ecgqa_tflite.bundle. */
typedef struct {
    uint16_t format;  /* ECGQA_BUNDLE_FORMAT */
    uint16_t hop_len; /* samples between the starts of two segments, 1..segment_len */
    /* 1: samples are collected while a segment is classified; they need memory of their own.
     * 0: the network's memory holds them, and ecgqa_push takes none until the decision is out;
     * hop_len is segment_len then. */
    uint8_t collect_while_classifying;
    int8_t threshold_s8; /* high quality if score_s8 >= threshold_s8 */
    uint8_t reserved[2];
    uint32_t workspace_bytes; /* what ecgqa_workspace_bytes answers */
    uint32_t digest;          /* of the numbers above, as in cwt.h; pointers are there twice */
    const ecgqa_cwt_tables_t *cwt;
    const ecgqa_nn_model_t *model;
    const ecgqa_golden_t *golden; /* NULL: no self-test */
    const void *again[3];         /* the pointers above, once more */
} ecgqa_bundle_t;

/* What several leads work in, one segment after the other. The caller fills in the first two and
 * leaves `user` NULL. */
typedef struct {
    void *memory; /* ECGQA_ALIGN aligned */
    size_t bytes; /* ecgqa_scratch_bytes or more */
    const void *user;
} ecgqa_scratch_t;

/* Context; the caller owns it and touches no field. */
typedef struct {
    const ecgqa_bundle_t *bundle;
    ecgqa_scratch_t *scratch; /* NULL: its own */
    int16_t *samples;
    uint16_t n_samples; /* collected so far */
    uint16_t scan_row;
    uint8_t phase;
    uint8_t row_waits; /* an index row lies in its slot, untaken */
    uint16_t gap_end;  /* samples collected up to and with the last missing one; 0: none misses */
    uint32_t segment;
    ecgqa_cwt_t cwt;
    ecgqa_nn_t net;
} ecgqa_t;

typedef enum {
    ECGQA_STAGE_TABLES = 0, /* `row` is the ecgqa_table_t */
    ECGQA_STAGE_LUT,
    ECGQA_STAGE_LAYER_CONSTANTS, /* `layer`'s weights, bias or requantisation */
    ECGQA_STAGE_INDEX_ROWS,      /* `row` of the index map: the front end */
    ECGQA_STAGE_LAYER_ROWS,      /* `row` of `layer`'s output */
    ECGQA_STAGE_LOGITS,          /* the last layer's output */
    ECGQA_STAGE_SCORES,
    ECGQA_STAGE_SIGNAL, /* `row` is the ecgqa_reason_t that the altered segment must have */
    ECGQA_STAGE_GOLDEN  /* the golden segment's samples themselves */
} ecgqa_stage_t;

#define ECGQA_INDEX_UNKNOWN UINT32_MAX

/* Where the self-test first came to something else. */
typedef struct {
    uint8_t stage; /* ecgqa_stage_t */
    uint16_t layer;
    uint16_t row;
    uint32_t index; /* of the first byte in that row; ECGQA_INDEX_UNKNOWN where the golden vectors
                       have digests alone */
} ecgqa_divergence_t;

/* Bytes of workspace; 0 for a bundle that is null, of another format, damaged or makes no sense. */
size_t ecgqa_workspace_bytes(const ecgqa_bundle_t *bundle);

/* Checks the bundle and takes the workspace (ECGQA_ALIGN aligned).
 * ERR_ARGUMENT: null or misaligned; ERR_FORMAT: another format number, or tables or a model that
 * make no sense; ERR_DAMAGED: a number or a pointer of the structs is not as it was made; ERR_SPEC:
 * front end and model of different specs; ERR_WORKSPACE: too few bytes. The arrays behind the
 * pointers are ecgqa_selftest's. */
ecgqa_status_t ecgqa_init(ecgqa_t *ctx, const ecgqa_bundle_t *bundle, void *workspace,
                          size_t bytes);

/* Bytes that leads share: the workspace without samples. 0 as ecgqa_workspace_bytes, and for a
 * bundle that does not collect while classifying. */
size_t ecgqa_scratch_bytes(const ecgqa_bundle_t *bundle);

/* As ecgqa_init, of one lead of several, each with a context and int16 [segment_len] of samples of
 * its own. Samples of every lead may be pushed at any time. While one has a segment under way, from
 * its first ecgqa_classify_step to its decision or ecgqa_reset, the others' ecgqa_classify,
 * ecgqa_classify_step and ecgqa_selftest answer ERR_NOT_READY, and so does this function. One
 * thread calls them all. */
ecgqa_status_t ecgqa_init_lead(ecgqa_t *ctx, const ecgqa_bundle_t *bundle, int16_t *samples,
                               ecgqa_scratch_t *scratch);

/* Forget all samples and any classification under way; the next segment is number 0. After a gap of
 * known length ecgqa_push_missing keeps the time base. */
ecgqa_status_t ecgqa_reset(ecgqa_t *ctx);

/* Take up to n samples. *n_consumed is how many were taken: fewer than n when a segment is whole
 * (*event says so; the rest waits with the caller until ecgqa_classify or the second
 * ecgqa_classify_step has taken the segment) or while the network's memory is in use (see
 * collect_while_classifying).
 *
 * Samples are ADC counts: any int16, any offset, either polarity, any gain from 80 counts per mV up
 * (with the first release's light_cnn, of 500 segments 3.4 % were decided otherwise at 10 counts
 * per mV, 18 % at 1.24). Of a wider ADC shift and saturate, never cut: the low 16 of 24 bits
 * changed 16 % of decisions. */
ecgqa_status_t ecgqa_push(ecgqa_t *ctx, const int16_t *samples, size_t n, size_t *n_consumed,
                          ecgqa_event_t *event);

/* As ecgqa_push, of samples that are missing: lead-off, a lost packet. Segments that hold one are
 * decided with ECGQA_REASON_GAP; numbers and starts of segments go on as if samples had come. */
ecgqa_status_t ecgqa_push_missing(ecgqa_t *ctx, size_t n, size_t *n_consumed, ecgqa_event_t *event);

/* The heavy work on one segment, at once. ERR_NOT_READY: there is no whole segment. ERR_DAMAGED:
 * something else wrote to the workspace; this segment's number has no decision, the next segment is
 * as any other. */
ecgqa_status_t ecgqa_classify(ecgqa_t *ctx, ecgqa_decision_t *out);

/* The same in slices of bounded work for cooperative schedulers: a look at the samples, the forward
 * transform, one row of the first or the second pass, or one step of the network. *done becomes 1
 * with the slice that writes *out, 0 before. ERR_NOT_READY: there is no whole segment and none
 * under way; ERR_DAMAGED: as above. */
ecgqa_status_t ecgqa_classify_step(ecgqa_t *ctx, ecgqa_decision_t *out, uint8_t *done);

/* Compare the constants and every stage of a golden segment with what they must be, then reset.
 * ERR_SELFTEST: *first says where they first differ; ERR_NOT_READY: the bundle has no golden
 * vectors, or another lead is under way. `first` may be NULL. */
ecgqa_status_t ecgqa_selftest(ecgqa_t *ctx, ecgqa_divergence_t *first);

#ifdef __cplusplus
}
#endif
#endif
