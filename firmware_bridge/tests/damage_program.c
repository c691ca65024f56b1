/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* What a device does when it starts, and a decision. tests/firmware/damage.py changes a bit of this
 * program's constants and runs it. Exit status: 0 where nothing was seen; 1: ecgqa_init refuses; 2:
 * ecgqa_selftest tells. */
#include "ecgqa_bundle.h"
#include "platform.h"

enum { SEEN_BY_INIT = 1, SEEN_BY_SELFTEST, NO_DECISION };

static ecgqa_t context;
static uint64_t workspace[(ECGQA_WORKSPACE_BYTES + 7u) / 8u];

int board_main(void)
{
    ecgqa_event_t event;
    ecgqa_decision_t decision;
    size_t taken;
    ecgqa_status_t status = ecgqa_init(&context, &ecgqa_bundle, workspace, ECGQA_WORKSPACE_BYTES);
    platform_put_i32((int32_t)status);
    platform_puts("\n");
    if (status != ECGQA_OK) {
        return SEEN_BY_INIT;
    }
    if (ecgqa_selftest(&context, NULL) != ECGQA_OK) {
        return SEEN_BY_SELFTEST;
    }
    status = ecgqa_push(&context, ecgqa_bundle.golden->samples, ECGQA_SEGMENT_LEN, &taken, &event);
    if (status != ECGQA_OK || ecgqa_classify(&context, &decision) != ECGQA_OK) {
        return NO_DECISION;
    }
    return 0;
}
