/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* The first include of a file whose loops are the work: with GCC it is compiled at -O2 where the
 * build asks for less or for small code. First, so that what fixed.h has inline is as well. */
#ifndef ECGQA_FAST_H
#define ECGQA_FAST_H

#if defined(__GNUC__) && !defined(__clang__) && \
    (!defined(__OPTIMIZE__) || defined(__OPTIMIZE_SIZE__))
#pragma GCC optimize("O2", "inline")
#endif

/* A function with a frame of its own: inlined, it would be carried by all that its caller calls. */
#if defined(__GNUC__)
#define ECGQA_APART __attribute__((noinline))
#else
#define ECGQA_APART
#endif

#endif
