/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* Any small network that the engine takes, every kind of layer in any order.
 *
 * Invariants, for every input, four bytes that a network, its weights and its image are drawn from:
 *   1  Every row, the logits and the scores are what the plain definition of each layer gives.
 *   2  No read or write outside, no use of what was never written, no overflow (sanitizers). */
#include <string.h>

#include "../tests/nn_random.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint32_t seed = 0;
    memcpy(&seed, data, len < sizeof seed ? len : sizeof seed);
    if (nn_random_compare(seed) != 0u) {
        __builtin_trap();
    }
    return 0;
}
