/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* An ESP-IDF application: a timer stands in for the ADC and plays the bundle's golden segment, a
 * queue hands its samples over, the main task decides.
 *
 * Yours: call on_sample's xQueueSend from your driver (xQueueSendFromISR in an interrupt), at the
 * bundle's rate, and drop the timer. */
#include <stdio.h>

#include "freertos/FreeRTOS.h"
#include "freertos/queue.h"

#include "esp_timer.h"

#include "ecgqa_bundle.h"

#define PERIOD_US (ECGQA_SEGMENT_US / ECGQA_SEGMENT_LEN)

typedef struct {
    int16_t sample;
    uint16_t n_lost; /* before it, because the queue was full */
} item_t;

/* What comes in while a segment is classified waits here: a segment at most. */
static QueueHandle_t queue;

static ecgqa_t ctx;
static uint64_t workspace[(ECGQA_WORKSPACE_BYTES + 7u) / 8u];

static void on_sample(void *unused)
{
    static size_t at;
    static item_t item;

    (void)unused;
    item.sample = ecgqa_bundle.golden->samples[at];
    at = at + 1u < ECGQA_SEGMENT_LEN ? at + 1u : 0u;
    if (xQueueSend(queue, &item, 0) == pdTRUE) {
        item.n_lost = 0;
    } else if (item.n_lost < UINT16_MAX) {
        item.n_lost++;
    }
}

static ecgqa_status_t classify(void)
{
    ecgqa_decision_t decision;
    const ecgqa_status_t status = ecgqa_classify(&ctx, &decision);

    if (status == ECGQA_OK) {
        printf("segment %u: %s, score %d, %s\n", (unsigned)decision.segment,
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

static ecgqa_status_t start(void)
{
    const esp_timer_create_args_t timer = {.callback = on_sample, .name = "adc"};
    esp_timer_handle_t adc;
    ecgqa_status_t status = ecgqa_init(&ctx, &ecgqa_bundle, workspace, sizeof workspace);

    if (status == ECGQA_OK) {
        status = ecgqa_selftest(&ctx, NULL);
    }
    if (status == ECGQA_OK) {
        queue = xQueueCreate(ECGQA_SEGMENT_LEN, sizeof(item_t));
        if (queue == NULL) {
            return ECGQA_ERR_WORKSPACE;
        }
        ESP_ERROR_CHECK(esp_timer_create(&timer, &adc));
        ESP_ERROR_CHECK(esp_timer_start_periodic(adc, PERIOD_US));
    }
    return status;
}

void app_main(void)
{
    ecgqa_status_t status = start();
    item_t item;

    while (status == ECGQA_OK && xQueueReceive(queue, &item, portMAX_DELAY) == pdTRUE) {
        status = take(NULL, item.n_lost);
        if (status == ECGQA_OK) {
            status = take(&item.sample, 1);
        }
    }
    printf("%s\n", ecgqa_status_str(status));
}
