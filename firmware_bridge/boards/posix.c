/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* platform.h over the C library: a host, or qemu-user (aarch64, armhf). */
#include "platform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HANDLES = 4 };

static FILE *files[HANDLES];
static int argument_count;
static char **arguments;

void platform_puts(const char *text)
{
    (void)fputs(text, stdout);
}

int platform_argument(size_t index, char *text, size_t bytes)
{
    if (index >= (size_t)argument_count || strlen(arguments[index]) >= bytes) {
        return 0;
    }
    (void)strcpy(text, arguments[index]);
    return 1;
}

int platform_open(const char *path)
{
    for (int i = 0; i < HANDLES; ++i) {
        if (files[i] == NULL) {
            files[i] = fopen(path, "rb");
            return files[i] != NULL ? i : -1;
        }
    }
    return -1;
}

size_t platform_read(int handle, void *to, size_t bytes)
{
    return fread(to, 1, bytes, files[handle]);
}

void platform_close(int handle)
{
    (void)fclose(files[handle]);
    files[handle] = NULL;
}

void platform_stack_paint(void)
{
}

uint32_t platform_stack_used_bytes(void)
{
    return 0;
}

int main(int argc, char **argv)
{
    argument_count = argc;
    arguments = argv;
    return board_main();
}
