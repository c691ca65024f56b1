/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* A stream of two leads on a board: a context and a workspace for each, one bundle.
 *
 * The file holds frames, an int16 of each lead in turn; MISSING is a sample that never came. Each
 * lead is given a packet at a time, as a driver hands them over, and decides whenever a segment is
 * whole. Prints sizes, then a line a decision: lead, segment, score, quality, reason, and the stack
 * that it took. Exit status: 0, or the negated ecgqa_status_t. */
#include "ecgqa_bundle.h"

#include "marks.h"
#include "platform.h"

enum { LEADS = 2, PACKET_FRAMES = 25, MISSING = INT16_MIN };

MARK(mark_stream)
MARK(mark_classify)
MARK(mark_classified)

static ecgqa_t contexts[LEADS];
static uint64_t workspaces[LEADS][(ECGQA_WORKSPACE_BYTES + 7u) / 8u];

static void say(const char *what, int32_t value)
{
    platform_puts(what);
    platform_put_i32(value);
}

static ecgqa_status_t decide(size_t lead)
{
    ecgqa_decision_t decision;
    ecgqa_status_t status;
    platform_stack_paint();
    mark_classify();
    status = ecgqa_classify(&contexts[lead], &decision);
    mark_classified();
    if (status == ECGQA_OK) {
        say("decision ", (int32_t)lead);
        say(" ", (int32_t)decision.segment);
        say(" ", decision.score_s8);
        say(" ", decision.quality);
        say(" ", decision.reason);
        say(" ", (int32_t)platform_stack_used_bytes());
        platform_puts("\n");
    }
    return status;
}

/* How many from the first on are there, or are missing. */
static size_t run_len(const int16_t *samples, size_t n)
{
    size_t len = 1;
    while (len < n && (samples[len] == MISSING) == (samples[0] == MISSING)) {
        ++len;
    }
    return len;
}

static ecgqa_status_t take(size_t lead, const int16_t *samples, size_t n)
{
    ecgqa_status_t status = ECGQA_OK;
    ecgqa_event_t event;
    size_t taken;
    for (; n > 0u && status == ECGQA_OK; samples += taken, n -= taken) {
        const size_t len = run_len(samples, n);
        status = samples[0] == MISSING ? ecgqa_push_missing(&contexts[lead], len, &taken, &event)
                                       : ecgqa_push(&contexts[lead], samples, len, &taken, &event);
        if (status == ECGQA_OK && event == ECGQA_EVENT_SEGMENT) {
            status = decide(lead);
        }
    }
    return status;
}

static ecgqa_status_t take_file(int file)
{
    static int16_t frames[PACKET_FRAMES][LEADS];
    static int16_t samples[PACKET_FRAMES];
    ecgqa_status_t status = ECGQA_OK;
    size_t n;
    do {
        n = platform_read(file, frames, sizeof frames) / sizeof frames[0];
        for (size_t lead = 0u; lead < LEADS && status == ECGQA_OK; ++lead) {
            for (size_t i = 0u; i < n; ++i) {
                samples[i] = frames[i][lead];
            }
            status = take(lead, samples, n);
        }
    } while (n == PACKET_FRAMES && status == ECGQA_OK);
    return status;
}

int board_main(void)
{
    ecgqa_status_t status = ECGQA_OK;
    char path[256];
    int file;
    if (!platform_argument(1, path, sizeof path)) {
        return 64;
    }
    say("context ", (int32_t)sizeof contexts[0]);
    platform_puts("\n");
    for (size_t lead = 0u; lead < LEADS && status == ECGQA_OK; ++lead) {
        status =
            ecgqa_init(&contexts[lead], &ecgqa_bundle, workspaces[lead], sizeof workspaces[lead]);
    }
    if (status == ECGQA_OK) {
        status = ecgqa_selftest(&contexts[0], NULL);
    }
    file = platform_open(path);
    if (file < 0) {
        return 66;
    }
    if (status == ECGQA_OK) {
        mark_stream();
        status = take_file(file);
    }
    platform_close(file);
    platform_puts(ecgqa_status_str(status));
    platform_puts("\n");
    return -(int)status;
}
