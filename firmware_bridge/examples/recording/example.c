/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* A recording of yours from a file, decided: int16, little-endian, at this bundle's rate.
 *
 *     make example SAMPLES=mine.s16    on this machine
 *     make emulate SAMPLES=mine.s16    on an emulated Cortex-M4, with the stack that it took
 *
 * start and take are what a firmware needs; in the file's place it has an ADC. */
#include "ecgqa_bundle.h"

#include "platform.h"

enum { CHUNK_LEN = 64, PATH_BYTES = 256 };

static ecgqa_t ctx;
static uint64_t workspace[(ECGQA_WORKSPACE_BYTES + 7u) / 8u];

static ecgqa_status_t start(void)
{
    ecgqa_status_t status = ecgqa_init(&ctx, &ecgqa_bundle, workspace, sizeof workspace);
    return status == ECGQA_OK ? ecgqa_selftest(&ctx, NULL) : status;
}

static void decided(const ecgqa_decision_t *decision)
{
    platform_puts("segment ");
    platform_put_i32((int32_t)decision->segment);
    platform_puts(decision->quality == ECGQA_QUALITY_HIGH ? ": high" : ": low");
    if (decision->reason == ECGQA_REASON_OK) {
        platform_puts(", score ");
        platform_put_i32(decision->score_s8);
    } else {
        platform_puts(", ");
        platform_puts(ecgqa_reason_str((ecgqa_reason_t)decision->reason));
    }
    platform_puts("\n");
}

static ecgqa_status_t take(const int16_t *samples, size_t n)
{
    ecgqa_status_t status = ECGQA_OK;
    ecgqa_decision_t decision;
    ecgqa_event_t event;
    size_t taken;

    for (; n > 0u && status == ECGQA_OK; samples += taken, n -= taken) {
        status = ecgqa_push(&ctx, samples, n, &taken, &event); /* may take fewer than n */
        if (status == ECGQA_OK && event == ECGQA_EVENT_SEGMENT) {
            status = ecgqa_classify(&ctx, &decision);
            if (status == ECGQA_OK) {
                decided(&decision);
            }
        }
    }
    return status;
}

static ecgqa_status_t take_file(int file, int32_t *n_samples)
{
    static int16_t samples[CHUNK_LEN];
    ecgqa_status_t status = ECGQA_OK;
    size_t n = CHUNK_LEN;

    *n_samples = 0;
    while (status == ECGQA_OK && n == CHUNK_LEN) {
        n = platform_read(file, samples, sizeof samples) / sizeof samples[0];
        *n_samples += (int32_t)n;
        status = take(samples, n);
    }
    return status;
}

static void tell(const char *what, int32_t value, const char *unit)
{
    platform_puts(what);
    platform_put_i32(value);
    platform_puts(unit);
}

int board_main(void)
{
    char path[PATH_BYTES];
    ecgqa_status_t status;
    int32_t n_samples;
    uint32_t stack_bytes;
    const int file = platform_argument(1, path, sizeof path) ? platform_open(path) : -1;

    if (file < 0) {
        platform_puts("no samples: SAMPLES=FILE, int16, little-endian\n");
        return 1;
    }
    platform_stack_paint();
    status = start();
    if (status == ECGQA_OK) {
        status = take_file(file, &n_samples);
    }
    stack_bytes = platform_stack_used_bytes();
    platform_close(file);
    if (status != ECGQA_OK) {
        platform_puts(ecgqa_status_str(status));
        platform_puts("\n");
        return 1;
    }
    tell("", n_samples, " samples, ");
    tell("", (int32_t)ECGQA_SEGMENT_LEN, " a segment; ");
    tell("workspace ", (int32_t)ECGQA_WORKSPACE_BYTES, " bytes, ");
    tell("context ", (int32_t)sizeof ctx, " bytes");
    if (stack_bytes > 0u) { /* 0: this machine can't tell */
        tell(", stack ", (int32_t)stack_bytes, " bytes");
    }
    platform_puts("\n");
    return 0;
}
