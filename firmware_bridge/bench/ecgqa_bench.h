/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* What a segment costs on a board, by stage and by layer: the board's side of `ecgqa bench`.
 *
 * The user ties `now` to a free-running counter (DWT->CYCCNT on a Cortex-M3 and up) and `put` to a
 * UART; `ecgqa bench --log FILE` or `--serial PORT` reads the report. The first segment of all is
 * reported apart; then come loops through segments that differ. */
#ifndef ECGQA_BENCH_H
#define ECGQA_BENCH_H

#include "ecgqa/ecgqa.h"

/* Number of the report's first line; benchmark/board_log.py reads this one. */
#define ECGQA_BENCH_FORMAT 1

typedef struct {
    /* A counter that runs on and wraps at 2^counter_bits; no slice of work may take a whole turn.
     * The longest slice is the forward transform: on a Cortex-M4 some 340,000 cycles at 250 Hz and
     * 1,250,000 at 1000 Hz (instructions counted under QEMU); every other takes less than 110,000
     * for the networks that ship. */
    uint32_t (*now)(void);
    /* Writes text to the report. */
    void (*put)(const char *text);
    uint8_t counter_bits;    /* 1..32 */
    uint32_t scale_q8;       /* what one tick is worth in `unit`, 1/256ths: 256 for CYCCNT */
    const char *unit;        /* "cycles", "instructions", "ns" */
    uint32_t unit_per_s;     /* cycles a second: the core's clock; 0: no time can be told */
    const int16_t *segments; /* [n_segments][segment_len], none constant */
    uint32_t n_segments;
    uint32_t loops; /* at least so many: 5 */
    uint32_t min_s; /* and until so many seconds have gone by: 10; needs unit_per_s */
} ecgqa_bench_t;

/* Run and report. `ctx` has been through ecgqa_init; its hop is a segment. Returns the first error,
 * which the report names too. */
ecgqa_status_t ecgqa_bench_run(const ecgqa_bench_t *bench, ecgqa_t *ctx);

#endif
