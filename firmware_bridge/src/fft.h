/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* Fixed-point Fourier transforms of the CWT. z holds real and imaginary parts in turn. */
#ifndef ECGQA_FFT_H
#define ECGQA_FFT_H

#include "ecgqa/cwt.h"

/* In-place complex transform of forward_points, any mix of radices 2, 3, 4 and 5; input in
 * `forward_order`, output in natural order. No scaling: the caller keeps the sum of all |re| + |im|
 * below 2^29, and so every intermediate value. Rounding: a few LSB a stage. */
void ecgqa_fft_forward(const ecgqa_cwt_tables_t *tables, int32_t *z);

/* The spectrum's bin (DCT-II coefficient) of ecgqa_fft_forward's output; 1 <= bin < segment_len.
 * Twice the input's units where forward_points is half of segment_len: below 2^30. */
int32_t ecgqa_fft_cosine_bin(const ecgqa_cwt_tables_t *tables, const int32_t *z, uint32_t bin);

/* In-place transform of 2^(log2_fft + 1) real values, packed as 2^log2_fft complex ones (even index
 * real, odd imaginary) in bit-reversed order, to their 2^log2_fft + 1 values from zero to half the
 * period, doubled; z holds one value more than it takes. Sum of |values| below 2^29. What it gives
 * has a 1 for each bit that a part's size has somewhere. */
uint32_t ecgqa_fft_real(const ecgqa_cwt_tables_t *tables, unsigned log2_fft, int32_t *z);

#endif
