/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* What a program needs from the machine it runs on: text out, a file in, its arguments, the stack.
 *
 * startup.c + semihosting.c serve the Cortex-M boards, posix.c serves a host and qemu-user. Nothing
 * in src/ includes this file: only boards/ knows hardware.
 */
#ifndef ECGQA_BOARDS_PLATFORM_H
#define ECGQA_BOARDS_PLATFORM_H

#include <stddef.h>
#include <stdint.h>

/* Supplied by the program. The value becomes the exit status of the emulator or the process. */
int board_main(void);

/* Write a zero-terminated text to the console. */
void platform_puts(const char *text);

/* Write a number in decimal, a number in 8 hexadecimal digits. */
void platform_put_i32(int32_t value);
void platform_put_hex32(uint32_t value);

/* Copy argument `index` (0: the program) into `text`; 0 when there is none or it does not fit. */
int platform_argument(size_t index, char *text, size_t bytes);

/* Open a file for reading: a handle >= 0, or -1. */
int platform_open(const char *path);

/* Read up to `bytes`; how many came, 0 at the end of the file or after an error. */
size_t platform_read(int handle, void *to, size_t bytes);

void platform_close(int handle);

/* Paint the unused stack; ask later how deep it was used since, bytes. 0 where there is no way to
 * know (posix.c). The stack of the caller is not counted. */
void platform_stack_paint(void);
uint32_t platform_stack_used_bytes(void);

#endif
