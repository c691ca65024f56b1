/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* What the example leaves to the board. */
#ifndef APP_H
#define APP_H

#include "ecgqa/ecgqa.h"

enum { APP_LEADS = 2 };

/* Given: call app_main from main, app_on_samples from the ADC's interrupt, a sample per lead. */
int app_main(void);
int app_on_samples(const int16_t samples[APP_LEADS]);

/* Yours. */
void app_start(void);
void app_sleep(void);
int app_running(void);
void app_decision(int lead, const ecgqa_decision_t *decision);

#endif
