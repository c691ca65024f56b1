/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* platform.h over semihosting: a Cortex-M (BKPT 0xAB) or a RISC-V (EBREAK between two shifts of x0)
 * under QEMU or a debug probe. */
#include "platform.h"
#include "startup.h"

enum {
    SYS_OPEN = 0x01,
    SYS_CLOSE = 0x02,
    SYS_WRITE0 = 0x04,
    SYS_READ = 0x06,
    SYS_GET_CMDLINE = 0x15,
    SYS_EXIT_EXTENDED = 0x20,
    ADP_STOPPED_APPLICATION_EXIT = 0x20026,
    OPEN_READ_BINARY = 1,
    COMMAND_LINE_BYTES = 512,
};

static uint32_t semihost(uint32_t operation, const void *argument)
{
#if defined(__riscv)
    register uint32_t a0 __asm__("a0") = operation;
    register const void *a1 __asm__("a1") = argument;

    __asm__ volatile(".balign 16\n\t" /* on one page */
                     ".option push\n\t"
                     ".option norvc\n\t"
                     "slli zero, zero, 0x1f\n\t"
                     "ebreak\n\t"
                     "srai zero, zero, 7\n\t"
                     ".option pop"
                     : "+r"(a0)
                     : "r"(a1)
                     : "memory");
    return a0;
#else
    register uint32_t r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;

    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
#endif
}

static uint32_t text_len(const char *text)
{
    uint32_t n = 0;
    while (text[n] != '\0') {
        ++n;
    }
    return n;
}

void platform_puts(const char *text)
{
    (void)semihost(SYS_WRITE0, text);
}

int platform_argument(size_t index, char *text, size_t bytes)
{
    static char line[COMMAND_LINE_BYTES];
    uint32_t block[2] = {(uint32_t)line, sizeof line};
    const char *p = line;
    size_t n = 0;
    if (bytes == 0 || semihost(SYS_GET_CMDLINE, block) != 0) {
        return 0;
    }
    line[sizeof line - 1] = '\0';
    for (; index > 0; --index) { /* arguments hold no spaces here */
        while (*p != '\0' && *p != ' ') {
            ++p;
        }
        while (*p == ' ') {
            ++p;
        }
    }
    while (p[n] != '\0' && p[n] != ' ' && n + 1 < bytes) {
        text[n] = p[n];
        ++n;
    }
    text[n] = '\0';
    return n > 0 && (p[n] == '\0' || p[n] == ' ');
}

int platform_open(const char *path)
{
    const uint32_t block[3] = {(uint32_t)path, OPEN_READ_BINARY, text_len(path)};
    return (int)semihost(SYS_OPEN, block);
}

size_t platform_read(int handle, void *to, size_t bytes)
{
    const uint32_t block[3] = {(uint32_t)handle, (uint32_t)to, (uint32_t)bytes};
    const uint32_t not_read = semihost(SYS_READ, block);
    return not_read <= bytes ? bytes - not_read : 0;
}

void platform_close(int handle)
{
    const uint32_t block[1] = {(uint32_t)handle};
    (void)semihost(SYS_CLOSE, block);
}

void startup_exit(int status)
{
    const uint32_t block[2] = {ADP_STOPPED_APPLICATION_EXIT, (uint32_t)status};
    for (;;) {
        (void)semihost(SYS_EXIT_EXTENDED, block);
    }
}
