/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* Two leads that share the memory, samples of both coming in while either is classified: each must
 * be decided as it is alone. Lead 1 misses samples for a while. Prints what the leads take, bytes.
 * Exit status 0, or 1 and the line of what did not hold. */
#include "ecgqa_bundle.h"
#include "platform.h"

#if !defined(SEGMENTS)
#define SEGMENTS 6
#endif

enum { LEADS = 2, BLOCK = 32, BLOCKS = SEGMENTS * ECGQA_SEGMENT_LEN / BLOCK, MAX_DECISIONS = 128 };
enum { STEPS_A_BLOCK = 40, FIRST_MISSING = BLOCKS / 3, LAST_MISSING = BLOCKS / 3 + 20 };

static int wrong_at; /* the first line that did not hold; nothing goes on after it */

#define CHECK(condition)                     \
    do {                                     \
        if (!(condition) && wrong_at == 0) { \
            wrong_at = __LINE__;             \
        }                                    \
    } while (0)

typedef struct {
    ecgqa_t ctx;
    int16_t samples[ECGQA_SEGMENT_LEN];
} lead_t;

static uint64_t memory[ECGQA_SCRATCH_BYTES / 8u];
static lead_t leads[LEADS];

static uint64_t workspace[(ECGQA_WORKSPACE_BYTES + 7u) / 8u]; /* of a lead alone */
static ecgqa_t alone;
static ecgqa_decision_t expected[LEADS][MAX_DECISIONS];
static size_t n_expected[LEADS], n_decided[LEADS];

static void make_block(int lead, size_t block, int16_t *to)
{
    for (size_t i = 0u; i < BLOCK; ++i) {
        const size_t at = (block * BLOCK + i) * (lead == 0 ? 1u : 3u) % ECGQA_SEGMENT_LEN;
        const int32_t sample = ecgqa_bundle.golden->samples[at];
        to[i] = (int16_t)(lead == 0 ? sample : -sample / 2);
    }
}

/* A block, or what is left of it, to a lead; 1 where a segment is whole. */
static int push(ecgqa_t *ctx, int lead, size_t block, size_t *done)
{
    int16_t samples[BLOCK];
    ecgqa_event_t event;
    size_t taken;
    make_block(lead, block, samples);
    if (lead == 1 && block >= FIRST_MISSING && block < LAST_MISSING) {
        CHECK(ecgqa_push_missing(ctx, BLOCK - *done, &taken, &event) == ECGQA_OK);
    } else {
        CHECK(ecgqa_push(ctx, samples + *done, BLOCK - *done, &taken, &event) == ECGQA_OK);
    }
    *done += taken;
    return event == ECGQA_EVENT_SEGMENT;
}

static void decide_alone(int lead)
{
    CHECK(ecgqa_init(&alone, &ecgqa_bundle, workspace, sizeof workspace) == ECGQA_OK);
    for (size_t block = 0u; block < BLOCKS; ++block) {
        for (size_t done = 0u; done < BLOCK && wrong_at == 0;) {
            if (push(&alone, lead, block, &done)) {
                ecgqa_decision_t *const decision = &expected[lead][n_expected[lead]++];
                CHECK(n_expected[lead] < MAX_DECISIONS);
                CHECK(ecgqa_classify(&alone, decision) == ECGQA_OK);
            }
        }
    }
}

/* Up to `most` steps of a lead; 1 with its decision, which must be the one that it has alone. */
static int work(int lead, size_t most)
{
    const ecgqa_decision_t *const right = &expected[lead][n_decided[lead]];
    ecgqa_decision_t decision;
    uint8_t done = 0u;
    for (size_t i = 0u; i < most && done == 0u; ++i) {
        CHECK(ecgqa_classify_step(&leads[lead].ctx, &decision, &done) == ECGQA_OK);
    }
    if (done != 0u) {
        ++n_decided[lead];
        CHECK(decision.segment == right->segment && decision.score_s8 == right->score_s8);
        CHECK(decision.quality == right->quality && decision.reason == right->reason);
    }
    return done != 0u;
}

static void decide_together(void)
{
    int waits[LEADS] = {0, 0};
    int active = 0;
    for (size_t block = 0u; block < BLOCKS; ++block) {
        for (int lead = 0; lead < LEADS; ++lead) {
            for (size_t done = 0u; done < BLOCK && wrong_at == 0;) {
                waits[lead] = push(&leads[lead].ctx, lead, block, &done) || waits[lead];
                if (done < BLOCK) { /* a whole segment waits: the other lead's goes first */
                    for (int one = active, i = 0; i < LEADS; ++i, one = 1 - one) {
                        while (waits[one] && wrong_at == 0 && !work(one, 1u)) {
                        }
                        waits[one] = 0;
                    }
                }
            }
        }
        active = waits[active] ? active : 1 - active;
        if (waits[active] && work(active, STEPS_A_BLOCK)) {
            waits[active] = 0;
        }
    }
}

static void say(const char *what, size_t value)
{
    platform_puts(what);
    platform_put_i32((int32_t)value);
    platform_puts("\n");
}

int board_main(void)
{
    ecgqa_scratch_t scratch = {memory, sizeof memory, NULL};
    CHECK(ecgqa_scratch_bytes(&ecgqa_bundle) == ECGQA_SCRATCH_BYTES);
    for (int lead = 0; lead < LEADS; ++lead) {
        decide_alone(lead);
        lead_t *const l = &leads[lead];
        CHECK(ecgqa_init_lead(&l->ctx, &ecgqa_bundle, l->samples, &scratch) == ECGQA_OK);
        CHECK(ecgqa_selftest(&l->ctx, NULL) == ECGQA_OK);
    }
    decide_together();
    say("bytes ", sizeof memory + sizeof leads + sizeof scratch);
    say("decisions ", n_decided[0] + n_decided[1]);
    CHECK(n_decided[0] + 1u >= n_expected[0] && n_decided[1] + 1u >= n_expected[1]);
    if (wrong_at != 0) {
        say("wrong at ", (size_t)wrong_at);
    }
    return wrong_at != 0;
}
