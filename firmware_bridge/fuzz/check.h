/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* What must hold for every input: a fuzzer stops where it doesn't. */
#ifndef ECGQA_FUZZ_CHECK_H
#define ECGQA_FUZZ_CHECK_H

#define CHECK(condition)      \
    do {                      \
        if (!(condition)) {   \
            __builtin_trap(); \
        }                     \
    } while (0)

#endif
