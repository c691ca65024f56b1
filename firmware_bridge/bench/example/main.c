/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* The bench program of a Cortex-M3 or up: cycles from DWT->CYCCNT, the report through board_put.
 *
 * Yours: set the clock up before main, give ECGQA_BENCH_HZ its rate, and write board_put (a UART,
 * at 115200 baud; semihosting or RTT do as well). A Cortex-M0 has no DWT: return SysTick there, as
 * ../bench_program.c does. */
#include "ecgqa_bench.h"
#include "ecgqa_bundle.h"

#ifndef ECGQA_BENCH_HZ
#error "define ECGQA_BENCH_HZ: the core's clock, Hz"
#endif

#define DEMCR (*(volatile uint32_t *)0xE000EDFCu)
#define DWT_CTRL (*(volatile uint32_t *)0xE0001000u)
#define DWT_CYCCNT (*(volatile uint32_t *)0xE0001004u)

enum { DEMCR_TRCENA = 1 << 24, DWT_CTRL_CYCCNTENA = 1 };

/* Yours. */
void board_put(const char *text);

extern const int16_t ecgqa_bench_segments[];
extern const uint32_t ecgqa_bench_n_segments;

static ecgqa_t context;
static uint64_t workspace[(ECGQA_WORKSPACE_BYTES + 7u) / 8u];

static uint32_t cycles(void)
{
    return DWT_CYCCNT;
}

int main(void)
{
    ecgqa_bench_t bench = {0};
    ecgqa_status_t status;
    DEMCR |= DEMCR_TRCENA;
    DWT_CYCCNT = 0;
    DWT_CTRL |= DWT_CTRL_CYCCNTENA;
    bench.now = cycles;
    bench.put = board_put;
    bench.counter_bits = 32;
    bench.scale_q8 = 256;
    bench.unit = "cycles";
    bench.unit_per_s = ECGQA_BENCH_HZ;
    bench.segments = ecgqa_bench_segments;
    bench.n_segments = ecgqa_bench_n_segments;
    bench.loops = 5;
    bench.min_s = 10;
    status = ecgqa_init(&context, &ecgqa_bundle, workspace, sizeof workspace);
    if (status == ECGQA_OK) {
        status = ecgqa_bench_run(&bench, &context);
    }
    if (status != ECGQA_OK) {
        board_put(ecgqa_status_str(status));
    }
    for (;;) {
    }
}
