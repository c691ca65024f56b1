/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* Numbers as text, without stdio. */
#include "platform.h"

void platform_put_i32(int32_t value)
{
    char text[12];
    char *p = &text[sizeof text - 1];
    uint32_t rest = value < 0 ? 0u - (uint32_t)value : (uint32_t)value;
    *p = '\0';
    do {
        *--p = (char)('0' + (char)(rest % 10u));
        rest /= 10u;
    } while (rest != 0);
    if (value < 0) {
        *--p = '-';
    }
    platform_puts(p);
}

void platform_put_hex32(uint32_t value)
{
    char text[9];
    for (int i = 7; i >= 0; --i) {
        text[i] = "0123456789abcdef"[value & 15u];
        value >>= 4;
    }
    text[8] = '\0';
    platform_puts(text);
}
