/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* What the example leaves to the application. */
#ifndef APP_H
#define APP_H

#include "ecgqa/ecgqa.h"

/* Given. */
int app_main(void);

/* Yours. Up to `max` samples, at least one; 0 ends the thread. */
size_t app_read_samples(int16_t *samples, size_t max);
void app_decision(const ecgqa_decision_t *decision);

#endif
