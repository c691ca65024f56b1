/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* Which sets of wide kernels a build holds: GCC's and clang's vector types are needed. A compiler
 * without them, or -DECGQA_PORTABLE, leaves the rows to src/cwt.c. */
#ifndef ECGQA_WIDE_KERNELS_H
#define ECGQA_WIDE_KERNELS_H

#include "wide.h"

#if defined(__GNUC__) && defined(__x86_64__) && !defined(ECGQA_PORTABLE)
#define ECGQA_WIDE_X86 1
extern const ecgqa_wide_kernels_t ecgqa_wide_avx512, ecgqa_wide_avx2;
#else
#define ECGQA_WIDE_X86 0
#endif

#if defined(__GNUC__) && defined(__aarch64__) && !defined(ECGQA_PORTABLE)
#define ECGQA_WIDE_NEON 1
extern const ecgqa_wide_kernels_t ecgqa_wide_neon;
#else
#define ECGQA_WIDE_NEON 0
#endif

#endif
