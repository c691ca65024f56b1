/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* Loops that cwt.c and fft.c have in C for every core, here for Cortex-M with the DSP extension. */
#ifndef ECGQA_CWT_DSP_H
#define ECGQA_CWT_DSP_H

#include "ecgqa/fixed.h"

#if ECGQA_DSP

#include <stddef.h>
#include <string.h>

/* Upper halves of two words to neighbours, at any even address. */
static inline void ecgqa_cwt_dsp_store_upper(int16_t *to, int32_t first, int32_t second)
{
    uint32_t pair;
    __asm__("pkhtb %0, %1, %2, asr #16" : "=r"(pair) : "r"(second), "r"(first));
    memcpy(to, &pair, sizeof pair);
}

/* Columns from one on, in the order in which assembly takes them; phases are below zero, from the
 * taps' end, so that an addition's carry tells when a sample is passed. All in bytes. */
typedef struct {
    uint32_t *magnitude;
    int32_t phase;
    const int16_t *taps_end;
    const int16_t *w_re;  /* first sample under the taps */
    ptrdiff_t to_im;      /* from w_re to w_im */
    uint32_t part, whole; /* from a column to the next: of a sample, taps; samples */
    uint32_t taps_bytes;
    const uint32_t *end; /* of the magnitudes: one column or more */
} ecgqa_cwt_dsp_columns_t;

void ecgqa_cwt_dsp_columns(const ecgqa_cwt_dsp_columns_t *columns);

/* A stage of the short transform but its first point of each quarter, in the order in which
 * assembly takes it. All in bytes. */
typedef struct {
    uint32_t stride;          /* from a butterfly to the next of the same twiddles */
    const int32_t *end;       /* of the points */
    const int32_t *cos, *sin; /* Q31 */
    uint32_t angle, step;     /* of the first twiddle; from one to the next */
    int32_t *z;               /* second point of the first quarter */
    uint32_t span;            /* from a quarter to the next */
    const int32_t *first_end; /* of the first quarter; not z */
} ecgqa_cwt_dsp_stage_t;

void ecgqa_cwt_dsp_stage(const ecgqa_cwt_dsp_stage_t *stage);

/* Bins by twos through psi to their places, in the order in which assembly takes it. */
typedef struct {
    const int16_t *spectrum, *psi_q15;
    uint32_t position, step; /* in psi, Q16 */
    uint32_t shift, half;    /* half: of 2^shift */
    uint32_t sum;            /* of |values| so far */
    int32_t *z;
    const uint16_t *reversal; /* of the first place */
    uint32_t reversal_shift;
    const int16_t *end; /* of the spectrum: two bins or more */
} ecgqa_cwt_dsp_bins_t;

/* The sum. */
uint32_t ecgqa_cwt_dsp_weigh(const ecgqa_cwt_dsp_bins_t *bins);

/* Zeros to `end`, 8 words at a time, once or more. */
void ecgqa_cwt_dsp_clear(int32_t *z, const int32_t *end);

#endif

#endif
