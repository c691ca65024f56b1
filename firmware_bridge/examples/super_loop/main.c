/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* Bare metal, one loop: an interrupt collects samples, the loop pushes them and works in slices.
 *
 * What is yours: app_start (clock, ADC at the bundle's sampling rate, its interrupt calls
 * app_on_sample), app_sleep (wait for an interrupt) and app_decision (what to do with it).
 *
 * A segment must be classified before the next one is whole. */
#include "ecgqa_bundle.h"

#include "app.h"

/* One slot stays empty: full and empty look different. */
#if ECGQA_COLLECTS
#define QUEUE_LEN (64u + 1u) /* more samples than come in during one slice */
#else
/* The library takes none until the decision is out, so the queue holds what comes in meanwhile;
 * a bundle exported with --collect does with the short one. */
#define QUEUE_LEN (ECGQA_SEGMENT_LEN + 1u)
#endif

static volatile int16_t queue[QUEUE_LEN];
static volatile uint32_t queue_in;  /* the interrupt's */
static volatile uint32_t queue_out; /* the loop's */

static ecgqa_t context;
static uint64_t workspace[(ECGQA_WORKSPACE_BYTES + 7) / 8];

static uint32_t after(uint32_t at)
{
    return at + 1u < QUEUE_LEN ? at + 1u : 0u;
}

/* In the interrupt: nothing but this. 0 when the queue is full: a sample is lost, a gap. */
int app_on_sample(int16_t sample)
{
    const uint32_t in = queue_in;
    if (after(in) == queue_out) {
        return 0;
    }
    queue[in] = sample;
    queue_in = after(in);
    return 1;
}

/* Samples from the queue to the library, until it takes no more for now. */
static ecgqa_status_t push_waiting(ecgqa_event_t *event)
{
    ecgqa_status_t status = ECGQA_OK;
    size_t taken = 1;
    *event = ECGQA_EVENT_NONE;
    while (status == ECGQA_OK && queue_out != queue_in && taken == 1) {
        const uint32_t out = queue_out;
        const int16_t sample = queue[out];
        status = ecgqa_push(&context, &sample, 1, &taken, event);
        queue_out = taken == 1 ? after(out) : out;
    }
    return status;
}

int app_main(void)
{
    ecgqa_decision_t decision;
    ecgqa_event_t event;
    uint8_t busy = 0;
    uint8_t done;
    ecgqa_status_t status = ecgqa_init(&context, &ecgqa_bundle, workspace, sizeof workspace);
    if (status == ECGQA_OK) {
        status = ecgqa_selftest(&context, NULL);
    }
    if (status == ECGQA_OK) {
        app_start();
    }
    while (status == ECGQA_OK && app_running()) {
        status = push_waiting(&event);
        if (event == ECGQA_EVENT_SEGMENT) {
            busy = 1;
        }
        if (status == ECGQA_OK && busy != 0) {
            status = ecgqa_classify_step(&context, &decision, &done);
            if (done != 0) {
                busy = 0;
                app_decision(&decision);
            }
        } else {
            app_sleep();
        }
    }
    return status;
}
