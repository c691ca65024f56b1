/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* Two leads on bare metal: each has a context and samples of its own, both share the memory that a
 * classification needs, so one lead's segment is classified after the other's, in slices, while
 * samples of both come in.
 *
 * Needs a bundle exported with --collect. What is yours: app_start (clock, ADC at the bundle's
 * sampling rate, its interrupt calls app_on_samples), app_sleep (wait for an interrupt) and
 * app_decision (what to do with it).
 *
 * Both segments must be classified before the next ones are whole. */
#include "ecgqa_bundle.h"

#include "app.h"

#if !ECGQA_COLLECTS
#error "two leads share memory: export the bundle with --collect"
#endif

/* What comes in until both segments are taken; one slot stays empty: full and empty differ. */
#define QUEUE_LEN (ECGQA_HOP_LEN + 1u)

typedef struct {
    ecgqa_t context;
    int16_t samples[ECGQA_SEGMENT_LEN];
    uint8_t waits; /* a whole segment does */
    uint32_t queue_out;
} lead_t;

static volatile int16_t queue[QUEUE_LEN][APP_LEADS];
static volatile uint32_t queue_in; /* the interrupt's */
static volatile uint32_t taken_to; /* the loop's: what both leads have taken */

static lead_t leads[APP_LEADS];
static uint64_t memory[(ECGQA_SCRATCH_BYTES + 7) / 8];
static ecgqa_scratch_t scratch = {memory, sizeof memory, NULL};

static uint32_t after(uint32_t at)
{
    return at + 1u < QUEUE_LEN ? at + 1u : 0u;
}

/* In the interrupt: nothing but this. 0 when the queue is full: a sample of each lead is lost. */
int app_on_samples(const int16_t samples[APP_LEADS])
{
    const uint32_t in = queue_in;
    if (after(in) == taken_to) {
        return 0;
    }
    for (int i = 0; i < APP_LEADS; ++i) {
        queue[in][i] = samples[i];
    }
    queue_in = after(in);
    return 1;
}

/* Samples from the queue to a lead, until it takes no more for now. */
static ecgqa_status_t push_waiting(int i)
{
    lead_t *const lead = &leads[i];
    ecgqa_status_t status = ECGQA_OK;
    size_t taken = 1;
    while (status == ECGQA_OK && lead->queue_out != queue_in && taken == 1) {
        const int16_t sample = queue[lead->queue_out][i];
        ecgqa_event_t event;
        status = ecgqa_push(&lead->context, &sample, 1, &taken, &event);
        lead->queue_out = taken == 1 ? after(lead->queue_out) : lead->queue_out;
        if (event == ECGQA_EVENT_SEGMENT) {
            lead->waits = 1;
        }
    }
    return status;
}

/* The queue's oldest sample that a lead has not taken. */
static uint32_t oldest(void)
{
    const uint32_t in = queue_in;
    uint32_t most = 0, at = in;
    for (int i = 0; i < APP_LEADS; ++i) {
        const uint32_t out = leads[i].queue_out;
        const uint32_t waiting = in >= out ? in - out : in + QUEUE_LEN - out;
        if (waiting > most) {
            most = waiting;
            at = out;
        }
    }
    return at;
}

static ecgqa_status_t start(void)
{
    ecgqa_status_t status = ECGQA_OK;
    for (int i = 0; i < APP_LEADS && status == ECGQA_OK; ++i) {
        lead_t *const lead = &leads[i];
        status = ecgqa_init_lead(&lead->context, &ecgqa_bundle, lead->samples, &scratch);
        if (status == ECGQA_OK) {
            status = ecgqa_selftest(&lead->context, NULL);
        }
    }
    return status;
}

/* The lead to work on: the one under way or else, from it on, the first whose segment waits. */
static int next_lead(int active)
{
    for (int i = 0; i < APP_LEADS && leads[active].waits == 0; ++i) {
        active = active + 1 < APP_LEADS ? active + 1 : 0;
    }
    return active;
}

/* A slice of a lead's segment. */
static ecgqa_status_t work(int active)
{
    ecgqa_decision_t decision;
    uint8_t done;
    const ecgqa_status_t status = ecgqa_classify_step(&leads[active].context, &decision, &done);
    if (status == ECGQA_OK && done != 0) {
        leads[active].waits = 0;
        app_decision(active, &decision);
    }
    return status;
}

int app_main(void)
{
    int active = 0;
    ecgqa_status_t status = start();
    if (status == ECGQA_OK) {
        app_start();
    }
    while (status == ECGQA_OK && app_running()) {
        for (int i = 0; i < APP_LEADS && status == ECGQA_OK; ++i) {
            status = push_waiting(i);
        }
        taken_to = oldest();
        active = next_lead(active);
        if (status == ECGQA_OK && leads[active].waits != 0) {
            status = work(active);
        } else {
            app_sleep();
        }
    }
    return status;
}
