/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* Random networks on a board: exit status 0 when the engine gives what the definition gives, for
 * as many seeds as the argument says. */
#include "nn_random.h"
#include "platform.h"

int board_main(void)
{
    char text[16];
    uint32_t n = 0;
    if (!platform_argument(1, text, sizeof text)) {
        return 2;
    }
    for (const char *digit = text; *digit >= '0' && *digit <= '9'; ++digit) {
        n = 10u * n + (uint32_t)(*digit - '0');
    }
    for (uint32_t seed = 0u; seed < n; ++seed) {
        const uint32_t layer = nn_random_compare(seed);
        if (layer != 0u) {
            platform_puts("seed ");
            platform_put_i32((int32_t)seed);
            platform_puts(" layer ");
            platform_put_i32((int32_t)layer);
            platform_puts("\n");
            return 1;
        }
    }
    return 0;
}
