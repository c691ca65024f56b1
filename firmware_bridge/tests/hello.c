/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* Proves a board: text out, a file in, the exit status, the painted stack, and that the counter of
 * instructions counts what is known. Arguments: a file, the status to exit with. */
#include "marks.h"
#include "platform.h"

MARK(mark_begin)
MARK(mark_end)

static uint32_t file_sum(const char *path)
{
    uint8_t bytes[64];
    uint32_t sum = 0;
    size_t n;
    const int file = platform_open(path);
    if (file < 0) {
        platform_puts("no file\n");
        return 0;
    }
    while ((n = platform_read(file, bytes, sizeof bytes)) > 0) {
        for (size_t i = 0u; i < n; ++i) {
            sum = sum * 31u + bytes[i];
        }
    }
    platform_close(file);
    return sum;
}

/* Uses at least 1,000 bytes of stack. */
static __attribute__((noinline)) uint32_t deep(uint32_t seed)
{
    volatile uint8_t room[1000];

    for (size_t i = 0u; i < sizeof room; ++i) {
        room[i] = (uint8_t)seed;
    }
    return room[seed % sizeof room];
}

/* 100 instructions and the way here and back. */
static __attribute__((noinline)) void known_work(void)
{
    __asm__ volatile(".rept 100\n\tnop\n\t.endr");
}

int board_main(void)
{
    char text[256];
    int status = 0;
    if (!platform_argument(1, text, sizeof text)) {
        return 2;
    }
    platform_puts("sum ");
    platform_put_hex32(file_sum(text));
    platform_puts("\n");

    platform_stack_paint();
    (void)deep(7);
    platform_puts("stack ");
    platform_put_i32((int32_t)platform_stack_used_bytes());
    platform_puts("\nint32 ");
    platform_put_i32(INT32_MIN);
    platform_puts("\n");

    mark_begin();
    mark_end();
    mark_begin();
    known_work();
    mark_end();

    if (!platform_argument(2, text, sizeof text)) {
        return 2;
    }
    for (size_t i = 0u; text[i] != '\0'; ++i) {
        status = status * 10 + (text[i] - '0');
    }
    return status;
}
