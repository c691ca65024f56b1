/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* What the example leaves to the board. */
#ifndef APP_H
#define APP_H

#include "ecgqa/ecgqa.h"

/* Given: call app_main from main, app_on_sample from the ADC's interrupt. */
int app_main(void);
int app_on_sample(int16_t sample);

/* Yours. */
void app_start(void);
void app_sleep(void);
int app_running(void);
void app_decision(const ecgqa_decision_t *decision);

#endif
