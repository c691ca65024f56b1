/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* printf for the self-test on a bare board: %s, %u and %d are all that it uses. */
#include <stdarg.h>
#include <stdio.h>

#include "platform.h"

static void put_u32(unsigned value)
{
    char text[11];
    char *p = &text[sizeof text - 1];

    *p = '\0';
    do {
        *--p = (char)('0' + value % 10u);
        value /= 10u;
    } while (value != 0);
    platform_puts(p);
}

int printf(const char *format, ...)
{
    char one[2] = {0, 0};
    va_list arguments;

    va_start(arguments, format);
    for (; *format != '\0'; format++) {
        if (*format != '%') {
            one[0] = *format;
            platform_puts(one);
            continue;
        }
        format++;
        if (*format == 's') {
            platform_puts(va_arg(arguments, const char *));
        } else if (*format == 'u') {
            put_u32(va_arg(arguments, unsigned));
        } else {
            platform_put_i32(va_arg(arguments, int));
        }
    }
    va_end(arguments);
    return 0;
}

/* A compiler makes these of printf where nothing has to be formatted. */
int puts(const char *text)
{
    platform_puts(text);
    platform_puts("\n");
    return 0;
}

int putchar(int letter)
{
    const char one[2] = {(char)letter, 0};

    platform_puts(one);
    return letter;
}
