/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* One operator of fixed.h, asked for what it can't give: argument 1 is its name less ecgqa_. A
 * checked build aborts with this file's name and the line; exit status 3 says that none did. */
#include <stdlib.h>
#include <string.h>

#include "ecgqa/fixed.h"

int main(int argc, char **argv)
{
    const char *const name = argc > 1 ? argv[1] : "";
    const int32_t large = INT32_C(1) << 30;
    const int16_t full[8] = {INT16_MIN, INT16_MIN, INT16_MIN, INT16_MIN, 0, 0, 0, 0};
    volatile int32_t result = 0;
    if (strcmp(name, "mul_q31") == 0) {
        result = ecgqa_mul_q31(large, INT32_MAX);
    } else if (strcmp(name, "mul_q31_round") == 0) {
        result = ecgqa_mul_q31_round(1, -1);
    } else if (strcmp(name, "shr_round") == 0) {
        result = ecgqa_shr_round(1, 31u);
    } else if (strcmp(name, "shr_away") == 0) {
        result = ecgqa_shr_away(large, 1u);
    } else if (strcmp(name, "shl") == 0) {
        result = ecgqa_shl(3, 30u);
    } else if (strcmp(name, "abs") == 0) {
        result = ecgqa_abs(INT32_MIN);
    } else if (strcmp(name, "dot8_s16") == 0) {
        result = ecgqa_dot8_s16(full, full);
    }
    (void)result;
    return 3;
}
