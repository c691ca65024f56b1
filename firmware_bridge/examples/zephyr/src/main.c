/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* A Zephyr application: a timer stands in for the ADC and plays the bundle's golden segment, a
 * queue hands its samples over, the main thread decides.
 *
 * Yours: call on_sample's k_msgq_put from your driver, at the bundle's rate, and drop the timer. */
#include <zephyr/kernel.h>
#include <zephyr/sys/printk.h>

#include "ecgqa_bundle.h"

#define PERIOD K_USEC(ECGQA_SEGMENT_US / ECGQA_SEGMENT_LEN)

struct item {
    int16_t sample;
    uint16_t n_lost; /* before it, because the queue was full */
};

/* What comes in while a segment is classified waits here: a segment at most. */
K_MSGQ_DEFINE(queue, sizeof(struct item), ECGQA_SEGMENT_LEN, sizeof(struct item));

static ecgqa_t ctx;
static uint64_t workspace[(ECGQA_WORKSPACE_BYTES + 7u) / 8u];

/* In an interrupt: nothing but this. */
static void on_sample(struct k_timer *timer)
{
    static size_t at;
    static struct item item;

    ARG_UNUSED(timer);
    item.sample = ecgqa_bundle.golden->samples[at];
    at = at + 1u < ECGQA_SEGMENT_LEN ? at + 1u : 0u;
    if (k_msgq_put(&queue, &item, K_NO_WAIT) == 0) {
        item.n_lost = 0;
    } else if (item.n_lost < UINT16_MAX) {
        item.n_lost++;
    }
}

K_TIMER_DEFINE(adc, on_sample, NULL);

static ecgqa_status_t classify(void)
{
    ecgqa_decision_t decision;
    const ecgqa_status_t status = ecgqa_classify(&ctx, &decision);

    if (status == ECGQA_OK) {
        printk("segment %u: %s, score %d, %s\n", (unsigned)decision.segment,
               decision.quality == ECGQA_QUALITY_HIGH ? "high" : "low", decision.score_s8,
               ecgqa_reason_str((ecgqa_reason_t)decision.reason));
    }
    return status;
}

/* A sample; or n that are missing, where sample is NULL: segments without them are of low quality,
 * and the time base holds. */
static ecgqa_status_t take(const int16_t *sample, size_t n)
{
    ecgqa_status_t status = ECGQA_OK;
    ecgqa_event_t event;
    size_t taken;

    for (; n > 0u && status == ECGQA_OK; n -= taken) {
        status = sample != NULL ? ecgqa_push(&ctx, sample, n, &taken, &event)
                                : ecgqa_push_missing(&ctx, n, &taken, &event);
        if (status == ECGQA_OK && event == ECGQA_EVENT_SEGMENT) {
            status = classify();
        }
    }
    return status;
}

int main(void)
{
    ecgqa_status_t status = ecgqa_init(&ctx, &ecgqa_bundle, workspace, sizeof workspace);
    struct item item;

    if (status == ECGQA_OK) {
        status = ecgqa_selftest(&ctx, NULL);
    }
    k_timer_start(&adc, PERIOD, PERIOD);
    while (status == ECGQA_OK && k_msgq_get(&queue, &item, K_FOREVER) == 0) {
        status = take(NULL, item.n_lost);
        if (status == ECGQA_OK) {
            status = take(&item.sample, 1);
        }
    }
    printk("%s\n", ecgqa_status_str(status));
    return status;
}
