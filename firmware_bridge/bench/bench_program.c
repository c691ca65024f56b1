/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* ecgqa_bench on the boards of boards.json: SysTick on a Cortex-M, minstret on a RISC-V, the clock
 * on a host.
 *
 * Under QEMU with `-icount shift=0` an instruction is a nanosecond of virtual time, so SysTick
 * counts instructions, as many a tick as the clock has nanoseconds. On a real part take
 * DWT->CYCCNT and the UART instead; nothing else changes. Arguments: loops. */
#define _POSIX_C_SOURCE 199309L /* clock_gettime */

#include "ecgqa_bench.h"
#include "ecgqa_bundle.h"
#include "platform.h"

#if defined(__arm__) && !defined(__linux__)
#define SYSTICK_CONTROL (*(volatile uint32_t *)0xE000E010u)
#define SYSTICK_RELOAD (*(volatile uint32_t *)0xE000E014u)
#define SYSTICK_VALUE (*(volatile uint32_t *)0xE000E018u)

enum { SYSTICK_BITS = 24, SYSTICK_ON_AT_CORE_CLOCK = 5 };

static uint32_t now(void)
{
    return 0u - SYSTICK_VALUE; /* it counts down */
}

static void start(ecgqa_bench_t *bench)
{
    SYSTICK_RELOAD = UINT32_MAX >> (32 - SYSTICK_BITS);
    SYSTICK_VALUE = 0;
    SYSTICK_CONTROL = SYSTICK_ON_AT_CORE_CLOCK;
    bench->counter_bits = SYSTICK_BITS;
    bench->scale_q8 = ECGQA_BENCH_INSTRUCTIONS_A_TICK_Q8;
    bench->unit = "instructions";
}
#elif defined(__riscv) && !defined(__linux__)
static uint32_t now(void)
{
    uint32_t instructions;

    __asm__ volatile(".option arch, +zicsr\n\tcsrr %0, minstret" : "=r"(instructions));
    return instructions;
}

static void start(ecgqa_bench_t *bench)
{
    bench->counter_bits = 32;
    bench->scale_q8 = ECGQA_BENCH_INSTRUCTIONS_A_TICK_Q8;
    bench->unit = "instructions";
}
#else
#include <time.h>

static uint32_t now(void)
{
    struct timespec at;

    (void)clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint32_t)at.tv_sec * UINT32_C(1000000000) + (uint32_t)at.tv_nsec;
}

static void start(ecgqa_bench_t *bench)
{
    bench->counter_bits = 32;
    bench->scale_q8 = 256;
    bench->unit = "ns";
    bench->unit_per_s = 1000000000u;
}
#endif

extern const int16_t ecgqa_bench_segments[];
extern const uint32_t ecgqa_bench_n_segments;

static ecgqa_t context;
static uint64_t workspace[(ECGQA_WORKSPACE_BYTES + 7u) / 8u];

static uint32_t number(size_t index)
{
    char text[12];
    uint32_t value = 0;
    if (platform_argument(index, text, sizeof text)) {
        for (const char *p = text; *p >= '0' && *p <= '9'; ++p) {
            value = 10u * value + (uint32_t)(*p - '0');
        }
    }
    return value;
}

int board_main(void)
{
    ecgqa_bench_t bench = {0};
    ecgqa_status_t status;
    bench.now = now;
    bench.put = platform_puts;
    bench.segments = ecgqa_bench_segments;
    bench.n_segments = ecgqa_bench_n_segments;
    bench.loops = number(1);
    bench.min_s = number(2);
    start(&bench);
    status = ecgqa_init(&context, &ecgqa_bundle, workspace, sizeof workspace);
    if (status == ECGQA_OK) {
        status = ecgqa_bench_run(&bench, &context);
    }
    return -(int)status;
}
