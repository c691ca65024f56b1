/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* One slice of the work on a segment, as ecgqa_classify_step and the self-test see it. */
#ifndef ECGQA_WORK_H
#define ECGQA_WORK_H

#include "ecgqa/ecgqa.h"

typedef enum {
    ECGQA_WORK_FRONT_END = 0, /* the forward transform, or a row of the first pass */
    ECGQA_WORK_INDEX_ROW,     /* `data` is `row` of the index map */
    ECGQA_WORK_LAYER_ROW,     /* `data` is `row` of `layer` */
    ECGQA_WORK_NETWORK,       /* part of a row, or a row that the network skips */
    ECGQA_WORK_SCORES,        /* `data` is the scores: the segment is done */
    ECGQA_WORK_REFUSED        /* the segment is done without the network: `reason` */
} ecgqa_work_kind_t;

/* `data`, `len` bytes, is valid until the next slice. */
typedef struct {
    ecgqa_work_kind_t kind;
    uint16_t layer;
    uint16_t row;
    ecgqa_reason_t reason;
    const uint8_t *data;
    size_t len;
} ecgqa_work_t;

/* Start on the segment that waits, or go on with the one under way, by one slice. */
ecgqa_status_t ecgqa_work(ecgqa_t *ctx, ecgqa_work_t *did);

#endif
