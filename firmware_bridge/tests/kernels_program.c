/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* fuzz_kernels.c on a board: as many random inputs as the argument says, through the kernels that
 * the board's core has. What doesn't hold traps. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "platform.h"

/* Boards have no heap: arrays of one input, which are never given back, from the front. */
static uint64_t heap[1 << 13];
static size_t used;

static void *taken(size_t bytes)
{
    void *const found = &heap[used];
    used += (bytes + 7u) / 8u;
    return used <= sizeof heap / sizeof heap[0] ? found : NULL;
}

static void given_back(const void *unused)
{
    (void)unused;
}

#define malloc taken
#define free given_back
#include "../fuzz/fuzz_kernels.c"

int board_main(void)
{
    char text[16];
    uint32_t state = 1u, n = 0;
    if (!platform_argument(1, text, sizeof text)) {
        return 2;
    }
    for (const char *digit = text; *digit >= '0' && *digit <= '9'; ++digit) {
        n = 10u * n + (uint32_t)(*digit - '0');
    }
    while (n-- > 0u) {
        uint8_t data[16];
        for (size_t i = 0u; i < sizeof data; ++i) {
            state = 1664525u * state + 1013904223u;
            data[i] = (uint8_t)(state >> 24);
        }
        used = 0;
        (void)LLVMFuzzerTestOneInput(data, sizeof data);
    }
    return 0;
}
