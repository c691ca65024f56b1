/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* Status codes: one list makes the enum and the strings; Python's exceptions are held against it
 * by a test (ecgqa_tflite/errors.py). Negative: an error, which leaves the context as it was. */
#ifndef ECGQA_STATUS_H
#define ECGQA_STATUS_H

#include <limits.h>

/* Weights are packed as little-endian words, and products of int16 are sums in int. */
#if (defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__) ||        \
    defined(__BIG_ENDIAN__) || defined(__ARMEB__) || defined(__ARM_BIG_ENDIAN) || \
    defined(__MIPSEB__) || defined(__s390__)
#error "this library runs on little-endian cores"
#endif
#if INT_MAX < 2147483647
#error "this library needs an int of 32 bits or more"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* X(name, value, text) */
#define ECGQA_STATUS_LIST(X)                                                         \
    X(ECGQA_OK, 0, "ok")                                                             \
    X(ECGQA_ERR_ARGUMENT, -1, "an argument is null, misaligned or out of range")     \
    X(ECGQA_ERR_WORKSPACE, -2, "the workspace is too small")                         \
    X(ECGQA_ERR_FORMAT, -3, "tables or model were made for another format number")   \
    X(ECGQA_ERR_SPEC, -4, "front end and model carry different spec hashes")         \
    X(ECGQA_ERR_NOT_READY, -5, "called out of order: there is no whole segment yet") \
    X(ECGQA_ERR_SELFTEST, -6, "a golden vector did not come out")                    \
    X(ECGQA_ERR_DAMAGED, -7, "bundle or workspace are not as they were made or left")

typedef enum {
#define ECGQA_STATUS_ENUM(name, value, text) name = (value),
    ECGQA_STATUS_LIST(ECGQA_STATUS_ENUM)
#undef ECGQA_STATUS_ENUM
        ECGQA_STATUS_LAST = ECGQA_ERR_DAMAGED /* C++98 takes no comma before the brace */
} ecgqa_status_t;

/* What a status means, in English; never null, whatever the value. */
const char *ecgqa_status_str(ecgqa_status_t status);

#ifdef __cplusplus
}
#endif
#endif
