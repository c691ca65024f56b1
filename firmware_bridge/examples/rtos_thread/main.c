/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* With an operating system: one thread owns the context, a driver's thread hands samples over.
 *
 * POSIX threads, as Zephyr, FreeRTOS, ESP-IDF and NuttX offer them. The classifying thread has the
 * lowest priority that still ends within a hop; its stack need is small (see `make size`). What is
 * yours: app_read_samples, which blocks until samples are there, and app_decision. */
#include "ecgqa_bundle.h"

#include <pthread.h>

#include "app.h"

enum { CHUNK_LEN = 25, QUEUE_CHUNKS = 32 };

typedef struct {
    int16_t samples[CHUNK_LEN];
    size_t n;
} chunk_t;

static chunk_t queue[QUEUE_CHUNKS];
static size_t queue_in, queue_out; /* counted up for ever, under `lock` */
static int ended, failed;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static ecgqa_t context;
static uint64_t workspace[(ECGQA_WORKSPACE_BYTES + 7) / 8];

static void *collect(void *unused)
{
    chunk_t chunk;
    (void)unused;
    while ((chunk.n = app_read_samples(chunk.samples, CHUNK_LEN)) > 0) {
        (void)pthread_mutex_lock(&lock);
        while (queue_in - queue_out == QUEUE_CHUNKS && !failed) {
            (void)pthread_cond_wait(&changed, &lock);
        }
        if (failed) { /* nobody takes chunks any more */
            (void)pthread_mutex_unlock(&lock);
            return NULL;
        }
        queue[queue_in % QUEUE_CHUNKS] = chunk;
        ++queue_in;
        (void)pthread_cond_broadcast(&changed);
        (void)pthread_mutex_unlock(&lock);
    }
    (void)pthread_mutex_lock(&lock);
    ended = 1;
    (void)pthread_cond_broadcast(&changed);
    (void)pthread_mutex_unlock(&lock);
    return NULL;
}

/* The next chunk, or 0 at the end. */
static int next_chunk(chunk_t *chunk)
{
    int there;
    (void)pthread_mutex_lock(&lock);
    while (queue_in == queue_out && !ended) {
        (void)pthread_cond_wait(&changed, &lock);
    }
    there = queue_in != queue_out;
    if (there) {
        *chunk = queue[queue_out % QUEUE_CHUNKS];
        ++queue_out;
        (void)pthread_cond_broadcast(&changed);
    }
    (void)pthread_mutex_unlock(&lock);
    return there;
}

static ecgqa_status_t assess(const chunk_t *chunk)
{
    ecgqa_decision_t decision;
    ecgqa_event_t event;
    ecgqa_status_t status = ECGQA_OK;
    size_t taken;
    for (size_t i = 0u; i < chunk->n && status == ECGQA_OK; i += taken) {
        status = ecgqa_push(&context, chunk->samples + i, chunk->n - i, &taken, &event);
        if (status == ECGQA_OK && taken == 0u && event != ECGQA_EVENT_SEGMENT) {
            status = ECGQA_ERR_NOT_READY; /* or the loop would never end */
        }
        if (status == ECGQA_OK && event == ECGQA_EVENT_SEGMENT) {
            status = ecgqa_classify(&context, &decision);
            if (status == ECGQA_OK) {
                app_decision(&decision);
            }
        }
    }
    return status;
}

int app_main(void)
{
    pthread_t collector;
    chunk_t chunk;
    ecgqa_status_t status = ecgqa_init(&context, &ecgqa_bundle, workspace, sizeof workspace);
    if (status == ECGQA_OK) {
        status = ecgqa_selftest(&context, NULL);
    }
    if (status != ECGQA_OK || pthread_create(&collector, NULL, collect, NULL) != 0) {
        return status != ECGQA_OK ? (int)status : 1;
    }
    while (status == ECGQA_OK && next_chunk(&chunk)) {
        status = assess(&chunk);
    }
    (void)pthread_mutex_lock(&lock);
    failed = status != ECGQA_OK;
    (void)pthread_cond_broadcast(&changed);
    (void)pthread_mutex_unlock(&lock);
    (void)pthread_join(collector, NULL);
    return status;
}
