/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* What the samples of a segment show before any transform. */
#ifndef ECGQA_LOST_H
#define ECGQA_LOST_H

#include <stdint.h>

#include "ecgqa/reason.h"

/* FLAT, HELD, CLIPPED, SMOOTH, or OK; `n` samples, at least one, that last `segment_ms`. */
ecgqa_reason_t ecgqa_lost_signal(const int16_t *samples, uint32_t n, uint32_t segment_ms);

#endif
