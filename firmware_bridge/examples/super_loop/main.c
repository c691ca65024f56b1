/* Bare metal, one loop: an interrupt collects samples, the loop pushes them and works in slices.
 *
 * What is yours: app_start (clock, ADC at the bundle's sampling rate, its interrupt calls
 * app_on_sample), app_sleep (wait for an interrupt) and app_decision (what to do with it). */
#include "ecgqa_bundle.h"

#include "app.h"

enum { QUEUE_LEN = 64 }; /* more samples than come in during one slice; a power of two */

static volatile int16_t queue[QUEUE_LEN];
static volatile uint32_t queue_in;
static uint32_t queue_out;

static ecgqa_t context;
static uint64_t workspace[(ECGQA_WORKSPACE_BYTES + 7) / 8];

/* In the interrupt: nothing but this. 0 when the queue is full: a sample is lost, a gap. */
int app_on_sample(int16_t sample)
{
    if (queue_in - queue_out == QUEUE_LEN) {
        return 0;
    }
    queue[queue_in % QUEUE_LEN] = sample;
    queue_in++;
    return 1;
}

/* Samples from the queue to the library, until it takes no more for now. */
static ecgqa_status_t push_waiting(ecgqa_event_t *event)
{
    ecgqa_status_t status = ECGQA_OK;
    size_t taken = 1;

    *event = ECGQA_EVENT_NONE;
    while (status == ECGQA_OK && queue_out != queue_in && taken == 1) {
        const int16_t sample = queue[queue_out % QUEUE_LEN];

        status = ecgqa_push(&context, &sample, 1, &taken, event);
        queue_out += (uint32_t)taken;
    }
    return status;
}

int app_main(void)
{
    ecgqa_decision_t decision;
    ecgqa_event_t event;
    uint8_t busy = 0;
    uint8_t done;
    ecgqa_status_t status =
        ecgqa_init(&context, &ecgqa_bundle, workspace, sizeof workspace);

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
