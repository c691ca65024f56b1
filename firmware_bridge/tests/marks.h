/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* Functions that do nothing and are seen by the instruction counter (boards/qemu_count.c). */
#ifndef ECGQA_TESTS_MARKS_H
#define ECGQA_TESTS_MARKS_H

#define MARK(name)                            \
    void name(void);                          \
    __attribute__((noinline)) void name(void) \
    {                                         \
        __asm__ volatile("" ::: "memory");    \
    }

#endif
