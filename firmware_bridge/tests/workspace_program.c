/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* A workspace that something else writes to between two steps: nothing is read or written outside
 * it (built with AddressSanitizer), the steps end, and the next segment is decided as ever.
 *
 * Arguments: how often, and a seed. A quarter each: a bit anywhere; a bit of what a segment has
 * become; a bit of the engine's own state; twelve bytes of that. Prints what became of the
 * segments. Exit status 0, or the line of what did not hold. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../src/nn_internal.h"
#include "ecgqa_bundle.h"
#include "platform.h"

#define CHECK(condition)    \
    do {                    \
        if (!(condition)) { \
            exit(__LINE__); \
        }                   \
    } while (0)

enum { MAX_STEPS = 1000000 };

static ecgqa_t context;
static uint8_t *workspace;
static size_t workspace_bytes;
static uint32_t state;

static uint32_t below(uint32_t n)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state % n;
}

static void start_segment(void)
{
    ecgqa_event_t event;
    size_t taken;
    CHECK(ecgqa_push(&context, ecgqa_bundle.golden->samples, ECGQA_SEGMENT_LEN, &taken, &event) ==
          ECGQA_OK);
    CHECK(taken == ECGQA_SEGMENT_LEN && event == ECGQA_EVENT_SEGMENT);
}

/* Steps until there is a decision, an error or `most` of them; how many. */
static uint32_t take_steps(uint32_t most, ecgqa_decision_t *decision, ecgqa_status_t *status)
{
    uint32_t steps = 0u;
    uint8_t done = 0u;
    for (*status = ECGQA_OK; steps < most && done == 0u && *status == ECGQA_OK; ++steps) {
        *status = ecgqa_classify_step(&context, decision, &done);
    }
    return steps;
}

static void damage(uint32_t turn)
{
    uint8_t *const progress = context.net.workspace + context.net.model->progress_at;
    const uint32_t n_layers = context.net.model->n_layers;
    const uint32_t progress_bytes = (n_layers + 1u) * ECGQA_NN_PROGRESS_BYTES;
    if (turn % 4u == 3u) {
        uint8_t *const entry = progress + below(n_layers + 1u) * ECGQA_NN_PROGRESS_BYTES;
        for (uint32_t i = 0u; i < ECGQA_NN_PROGRESS_BYTES; ++i) {
            entry[i] = (uint8_t)(below(3u) == 0u ? below(256u) : entry[i]);
        }
    } else if (turn % 4u == 2u) {
        progress[below(progress_bytes)] ^= (uint8_t)(1u << below(8u));
    } else if (turn % 4u == 1u) {
        workspace[below((uint32_t)(context.net.workspace - workspace) + 1u)] ^=
            (uint8_t)(1u << below(8u));
    } else {
        workspace[below((uint32_t)workspace_bytes)] ^= (uint8_t)(1u << below(8u));
    }
}

int board_main(void)
{
    uint32_t became[3] = {0u, 0u, 0u}; /* the same score, another, refused */
    ecgqa_decision_t right, decision;
    ecgqa_status_t status;
    char text[16];
    workspace_bytes = ecgqa_workspace_bytes(&ecgqa_bundle);
    workspace = malloc(workspace_bytes);
    CHECK(workspace != NULL && platform_argument(1, text, sizeof text));
    const uint32_t turns = (uint32_t)strtoul(text, NULL, 10);
    CHECK(platform_argument(2, text, sizeof text));
    state = (uint32_t)strtoul(text, NULL, 10) * UINT32_C(2654435761) | 1u;
    CHECK(ecgqa_init(&context, &ecgqa_bundle, workspace, workspace_bytes) == ECGQA_OK);
    start_segment();
    const uint32_t steps = take_steps(MAX_STEPS, &right, &status);
    CHECK(status == ECGQA_OK && right.reason == ECGQA_REASON_OK);
    for (uint32_t turn = 0u; turn < turns; ++turn) {
        const uint32_t number = right.segment + 1u + 2u * turn;
        const uint32_t before = 1u + below(steps - 1u);
        start_segment();
        CHECK(take_steps(before, &decision, &status) == before && status == ECGQA_OK);
        damage(turn);
        CHECK(take_steps(2u * steps, &decision, &status) < 2u * steps);
        CHECK(status == ECGQA_OK || status == ECGQA_ERR_DAMAGED);
        CHECK(status != ECGQA_OK || decision.segment == number);
        ++became[status != ECGQA_OK ? 2 : (decision.score_s8 != right.score_s8 ? 1 : 0)];
        start_segment();
        CHECK(ecgqa_classify(&context, &decision) == ECGQA_OK);
        CHECK(decision.segment == number + 1u && decision.score_s8 == right.score_s8);
    }
    printf("%u the same, %u otherwise, %u refused\n", (unsigned)became[0], (unsigned)became[1],
           (unsigned)became[2]);
    free(workspace);
    return 0;
}
