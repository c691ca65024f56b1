/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* Any samples in any portions, with calls in any order.
 *
 * Invariants, for every input:
 *   1  No call reads or writes outside the context and the workspace (AddressSanitizer; the
 *      workspace is allocated to the byte), none runs into undefined behaviour (UBSan).
 *   2  ecgqa_push answers ECGQA_OK and takes min(n, room) samples; none while the network's memory
 *      is in use and samples have no memory of their own. It tells of a segment exactly when a
 *      whole one waits and may be taken.
 *   3  ecgqa_classify and _step answer ERR_NOT_READY exactly when no segment waits or is under way,
 *      else ECGQA_OK; a step count that no segment exceeds ends in a decision.
 *   4  Decisions number 0, 1, 2 ... from each reset. Those that miss a sample have reason GAP, and
 *      no others. One whose samples show that the signal is lost is low and scores -128; any other
 *      is high exactly when its score reaches the threshold.
 *   5  A decision depends on its segment alone: a fresh context that is given the same samples at
 *      once decides the same.
 *
 * An input ends after MAX_SEGMENTS segments and self-tests: a segment's course is the same whatever
 * its number, and what costs time is kept for inputs that differ. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../host/reseal.h"
#include "../src/lost.h"
#include "check.h"
#include "ecgqa_bundle.h"

enum { LEN = ECGQA_SEGMENT_LEN, MAX_STEPS = 100000, MAX_SEGMENTS = 3 };

typedef struct {
    ecgqa_bundle_t bundle;
    ecgqa_t ctx;
    void *workspace;
    int16_t window[LEN]; /* what the context must hold */
    uint8_t missing[LEN];
    size_t n;
    int16_t taken[LEN]; /* the segment under way */
    int gap;            /* it misses a sample */
    int looked;         /* the first step was taken, the segment wasn't */
    int under_way;
    uint32_t decisions;
    int segments; /* that were taken, of the golden one too */
} model_t;

typedef struct {
    const uint8_t *data;
    size_t left;
} input_t;

static uint8_t next(input_t *in)
{
    if (in->left == 0) {
        return 0;
    }
    in->left--;
    return *in->data++;
}

static void start(model_t *m, ecgqa_t *ctx)
{
    const size_t bytes = ecgqa_workspace_bytes(&m->bundle);
    CHECK(bytes != 0);
    CHECK(posix_memalign(&m->workspace, ECGQA_ALIGN, bytes) == 0);
    CHECK(ecgqa_init(ctx, &m->bundle, m->workspace, bytes) == ECGQA_OK);
}

static void push(model_t *m, input_t *in, int missing)
{
    int16_t samples[2 * LEN] = {0};
    const size_t n = next(in) % (2 * LEN);
    const int scale = next(in);
    uint32_t noise = scale % 2 != 0 ? next(in) + 1u : 0u; /* short inputs make long segments too */
    const size_t room = LEN - m->n;
    const int busy = m->under_way || m->looked;
    const int blocked = busy && !m->bundle.collect_while_classifying;
    const size_t expected = blocked ? 0 : (n < room ? n : room);
    ecgqa_event_t event;
    size_t taken;
    for (size_t i = 0u; i < n && !missing; ++i) {
        noise = noise * UINT32_C(1664525) + (noise != 0u ? UINT32_C(1013904223) : 0u);
        samples[i] = (int16_t)((int8_t)(noise != 0u ? noise >> 24 : next(in)) * scale);
    }
    if (missing) {
        CHECK(ecgqa_push_missing(&m->ctx, n, &taken, &event) == ECGQA_OK);
    } else {
        CHECK(ecgqa_push(&m->ctx, samples, n, &taken, &event) == ECGQA_OK);
    }
    CHECK(taken == expected);
    memcpy(m->window + m->n, samples, taken * sizeof samples[0]);
    memset(m->missing + m->n, missing, taken);
    m->n += taken;
    CHECK(event ==
          (m->n == LEN && !blocked && !m->looked ? ECGQA_EVENT_SEGMENT : ECGQA_EVENT_NONE));
}

static void take(model_t *m)
{
    const size_t hop = m->bundle.hop_len;
    memcpy(m->taken, m->window, sizeof m->taken);
    m->gap = memchr(m->missing, 1, LEN) != NULL;
    memmove(m->window, m->window + hop, (LEN - hop) * sizeof m->window[0]);
    memmove(m->missing, m->missing + hop, LEN - hop);
    m->n = LEN - hop;
    m->looked = 0;
    m->under_way = 1;
    ++m->segments;
}

static void check_decision(model_t *m, const ecgqa_decision_t *decision)
{
    model_t fresh = {.bundle = m->bundle};
    ecgqa_decision_t again;
    ecgqa_event_t event;
    size_t taken;
    const ecgqa_reason_t reason = ecgqa_lost_signal(m->taken, LEN, m->bundle.cwt->segment_ms);
    const int asked = decision->reason == ECGQA_REASON_OK;
    CHECK(decision->segment == m->decisions++);
    CHECK((decision->reason == ECGQA_REASON_GAP) == m->gap);
    CHECK(m->gap || decision->reason == reason ||
          (reason == ECGQA_REASON_OK && decision->reason == ECGQA_REASON_FLAT));
    CHECK(asked || decision->score_s8 == INT8_MIN);
    CHECK(decision->quality == (asked && decision->score_s8 >= m->bundle.threshold_s8
                                    ? ECGQA_QUALITY_HIGH
                                    : ECGQA_QUALITY_LOW));
    m->under_way = 0;
    if (m->gap) {
        return; /* what lies where samples miss is nobody's business */
    }
    start(&fresh, &fresh.ctx);
    CHECK(ecgqa_push(&fresh.ctx, m->taken, LEN, &taken, &event) == ECGQA_OK && taken == LEN);
    CHECK(ecgqa_classify(&fresh.ctx, &again) == ECGQA_OK);
    CHECK(again.score_s8 == decision->score_s8 && again.quality == decision->quality);
    free(fresh.workspace);
}

static void step(model_t *m, size_t steps)
{
    ecgqa_decision_t decision;
    uint8_t done = 0;
    for (size_t i = 0u; i < steps && !done; ++i) {
        if (!m->under_way && m->n < LEN) {
            CHECK(ecgqa_classify_step(&m->ctx, &decision, &done) == ECGQA_ERR_NOT_READY);
            return;
        }
        const int first = !m->under_way && !m->looked;
        CHECK(ecgqa_classify_step(&m->ctx, &decision, &done) == ECGQA_OK);
        if (first && !done) {
            m->looked = 1;
        } else if (!m->under_way) {
            take(m);
        }
    }
    if (done) {
        check_decision(m, &decision);
    }
    CHECK(steps < MAX_STEPS || done);
}

static void classify(model_t *m)
{
    ecgqa_decision_t decision;
    if (!m->under_way && m->n < LEN) {
        CHECK(ecgqa_classify(&m->ctx, &decision) == ECGQA_ERR_NOT_READY);
        return;
    }
    if (!m->under_way) {
        take(m);
    }
    CHECK(ecgqa_classify(&m->ctx, &decision) == ECGQA_OK);
    check_decision(m, &decision);
}

static void forget(model_t *m, int self_test)
{
    if (self_test) {
        ++m->segments;
        CHECK(ecgqa_selftest(&m->ctx, NULL) == ECGQA_OK);
    } else {
        CHECK(ecgqa_reset(&m->ctx) == ECGQA_OK);
    }
    m->n = 0;
    m->looked = 0;
    m->under_way = 0;
    m->decisions = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input_t in = {data, size};
    model_t m = {.bundle = ecgqa_bundle};
    const uint8_t hop = next(&in);
    m.bundle.threshold_s8 = (int8_t)next(&in);
    if (hop % 2 != 0) {
        m.bundle.collect_while_classifying = 1;
        m.bundle.hop_len = (uint16_t)(1 + hop / 2 % LEN);
    }
    ecgqa_reseal(ECGQA_SEAL_BUNDLE(&m.bundle));
    start(&m, &m.ctx);
    while (in.left > 0 && m.segments <= MAX_SEGMENTS) {
        switch (next(&in) % 16) {
        case 0:
            forget(&m, 0);
            break;
        case 1:
            forget(&m, next(&in) % 8 == 0);
            break;
        case 2:
        case 3:
            classify(&m);
            break;
        case 4:
        case 5:
            step(&m, next(&in));
            break;
        case 6:
            push(&m, &in, 1);
            break;
        default:
            push(&m, &in, 0);
            break;
        }
    }
    free(m.workspace);
    return 0;
}
