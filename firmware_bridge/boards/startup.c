/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* Reset, vectors and the painted stack of a Cortex-M or a RISC-V, for boards of one core and no
 * interrupts. */
#include "platform.h"
#include "startup.h"

enum { STACK_PAINT = 0x5AC39617 };

/* From the linker script. */
extern uint32_t ld_data_load[], ld_data_start[], ld_data_end[];
extern uint32_t ld_bss_start[], ld_bss_end[];
extern uint32_t ld_stack_start[], ld_stack_end[];

void reset_handler(void);
void fault_handler(void);

__attribute__((noreturn, aligned(4))) void fault_handler(void)
{
    platform_puts("fault\n");
    startup_exit(STARTUP_STATUS_FAULT);
}

__attribute__((noreturn, used)) static void run(void)
{
    const uint32_t *from = ld_data_load;
    for (uint32_t *to = ld_data_start; to < ld_data_end; ++to) {
        *to = *from++;
    }
    for (uint32_t *to = ld_bss_start; to < ld_bss_end; ++to) {
        *to = 0;
    }
    startup_exit(board_main());
}

#if defined(__riscv)

/* The core starts at the first instruction of memory. */
__attribute__((naked, section(".vectors"), used)) void reset_handler(void)
{
    __asm__ volatile(".option arch, +zicsr\n\t"
                     "la sp, ld_stack_end\n\t"
                     "la t0, fault_handler\n\t"
                     "csrw mtvec, t0\n\t"
                     "j %0" ::"i"(run));
}

#else

enum {
    CPACR_CP10_CP11_FULL = 0xF << 20,
    CCR_LOB = 1 << 19, /* Armv8.1-M: cache of the low-overhead branches */
};

typedef void (*vector_t)(void);

__attribute__((section(".vectors"), used)) static const vector_t vectors[16] = {
    (vector_t)ld_stack_end, reset_handler, fault_handler, fault_handler,
    fault_handler,          fault_handler, fault_handler, fault_handler,
    fault_handler,          fault_handler, fault_handler, fault_handler,
    fault_handler,          fault_handler, fault_handler, fault_handler,
};

__attribute__((noreturn)) void reset_handler(void)
{
#if !defined(__ARM_ARCH_6M__)
    volatile uint32_t *const cpacr = (volatile uint32_t *)0xE000ED88u;

    /* The FPU and Helium share coprocessors 10 and 11. */
    *cpacr |= CPACR_CP10_CP11_FULL;
#endif
#if defined(__ARM_FEATURE_MVE)
    *(volatile uint32_t *)0xE000ED14u |= CCR_LOB;
#endif
    __asm__ volatile("dsb\n\tisb" ::: "memory");
    run();
}

#endif

static uint32_t *stack_pointer(void)
{
    uint32_t *sp;
#if defined(__riscv)
    __asm__ volatile("mv %0, sp" : "=r"(sp));
#else
    __asm__ volatile("mov %0, sp" : "=r"(sp));
#endif
    return sp;
}

/* The two functions below read the stack pointer on entry, before or after their own few pushes:
 * what lies that near is neither painted nor told apart from use, so a depth is MARGIN at least. */
enum { MARGIN_WORDS = 16 };

__attribute__((noinline)) void platform_stack_paint(void)
{
    const uint32_t *const end = stack_pointer() - MARGIN_WORDS;
    for (volatile uint32_t *p = ld_stack_start; p < end; ++p) {
        *p = STACK_PAINT;
    }
}

__attribute__((noinline)) uint32_t platform_stack_used_bytes(void)
{
    const uint32_t *const sp = stack_pointer();
    const volatile uint32_t *p = ld_stack_start;

    while (p < sp - MARGIN_WORDS && *p == STACK_PAINT) {
        ++p;
    }
    return (uint32_t)((uintptr_t)sp - (uintptr_t)p);
}
