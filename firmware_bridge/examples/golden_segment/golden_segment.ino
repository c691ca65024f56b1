// SPDX-FileCopyrightText: ecgqa-tflite contributors
// SPDX-License-Identifier: Apache-2.0
// The bundle's golden segment, decided again and again: does the library run here, and how fast?
//
// Copy the bundle's model/ecgqa_bundle.*, ecgqa_model.c and ecgqa_cwt_tables.* beside this file.
// Yours: a timer's interrupt that puts samples in a queue, which loop() pushes as they come and
// classifies in slices (examples/super_loop).
#include <ecgqa/ecgqa.h>

#include "ecgqa_bundle.h"

static ecgqa_t ctx;
static uint64_t workspace[(ECGQA_WORKSPACE_BYTES + 7u) / 8u];
static ecgqa_status_t status;

static void decide()
{
    ecgqa_decision_t decision;
    const unsigned long begun_us = micros();
    status = ecgqa_classify(&ctx, &decision);
    if (status == ECGQA_OK) {
        Serial.print("segment ");
        Serial.print(decision.segment);
        Serial.print(decision.quality == ECGQA_QUALITY_HIGH ? ": high, score " : ": low, score ");
        Serial.print(decision.score_s8);
        Serial.print(", ");
        Serial.print(ecgqa_reason_str((ecgqa_reason_t)decision.reason));
        Serial.print(", ms: ");
        Serial.println((micros() - begun_us) / 1000u);
    }
}

void setup()
{
    Serial.begin(115200);
    status = ecgqa_init(&ctx, &ecgqa_bundle, workspace, sizeof workspace);
    if (status == ECGQA_OK) {
        status = ecgqa_selftest(&ctx, NULL); // memory, flash and code are as exported
    }
}

void loop()
{
    ecgqa_event_t event = ECGQA_EVENT_NONE;
    size_t taken = 0;
    if (status == ECGQA_OK) {
        status = ecgqa_push(&ctx, ecgqa_bundle.golden->samples, ECGQA_SEGMENT_LEN, &taken, &event);
    }
    if (status == ECGQA_OK && event == ECGQA_EVENT_SEGMENT) {
        decide();
    }
    if (status != ECGQA_OK) {
        Serial.println(ecgqa_status_str(status));
    }
    delay(1000);
}
