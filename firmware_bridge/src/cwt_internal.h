/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* What cwt.c shares with ecgqa.c and the host's whole-map driver; not part of the API. */
#ifndef ECGQA_CWT_INTERNAL_H
#define ECGQA_CWT_INTERNAL_H

#include "ecgqa/cwt.h"
#include "ecgqa/fixed.h"

/* Sum of |values| that enter a transform: every intermediate value then stays below 2^30. */
#define ECGQA_CWT_TRANSFORM_BITS 29u
/* A mantissa of the spectrum and psi take 15 bits each. */
#define ECGQA_CWT_MANTISSA_BITS 15u

/* Shift of a band's products that keeps all of them together below 2^TRANSFORM_BITS. */
static inline unsigned ecgqa_cwt_band_shift(const ecgqa_cwt_row_t *row)
{
    return 2u * ECGQA_CWT_MANTISSA_BITS +
           ecgqa_bit_length(row->last_bin - (uint32_t)row->first_bin) - ECGQA_CWT_TRANSFORM_BITS;
}

/* Memory that the front end needs. */
typedef struct {
    size_t keep, analyse_scratch, row_scratch;
} ecgqa_cwt_bytes_t;

/* Checks the tables; all zero where they are refused. */
ecgqa_status_t ecgqa_cwt_bytes(const ecgqa_cwt_tables_t *tables, ecgqa_cwt_bytes_t *bytes);

/* ecgqa_cwt_init of tables and memory that were checked. */
void ecgqa_cwt_attach(ecgqa_cwt_t *cwt, const ecgqa_cwt_tables_t *tables, void *keep,
                      void *scratch);

/* Magnitudes of a row are mantissas that share `exponent`; no |W| of the row exceeds `bound`. */
typedef struct {
    ecgqa_cwt_level_t bound;
    int32_t exponent;
} ecgqa_cwt_row_info_t;

/* Smallest and largest mantissa of a row. */
typedef struct {
    uint32_t low, high;
} ecgqa_cwt_extremes_t;

/* What index_map does to a row's magnitudes, made once a row. */
typedef struct {
    uint32_t scale;    /* 255 * 2^54 over the range's width, shifted left by `widen` */
    uint32_t low;      /* subtracted, in units of range.high */
    uint32_t high;     /* what is clipped to, in those units */
    uint32_t limit;    /* largest mantissa that `up` keeps below `high` */
    unsigned down, up; /* shift to those units; one of them is 0 */
    unsigned widen;
} ecgqa_cwt_scaler_t;

/* Band of a row to `z` (as ecgqa_fft_real takes it); the row's bound. */
ecgqa_cwt_row_info_t ecgqa_cwt_band(const ecgqa_cwt_t *cwt, uint16_t row, int32_t *z);
/* `band` to time, in place, then to int16; adds the row's shift to info->exponent. */
void ecgqa_cwt_to_time(const ecgqa_cwt_tables_t *tables, uint16_t row, int32_t *z, int16_t *w_re,
                       int16_t *w_im, ecgqa_cwt_row_info_t *info);
/* |W| at columns [first, first + count) as mantissas. */
void ecgqa_cwt_columns(const ecgqa_cwt_tables_t *tables, uint16_t row, const int16_t *w_re,
                       const int16_t *w_im, unsigned first, unsigned count, uint32_t *magnitude);
ecgqa_cwt_extremes_t ecgqa_cwt_extremes(const uint32_t *magnitude, unsigned count);

void ecgqa_cwt_range_clear(ecgqa_cwt_range_t *range);
/* 0: no |W| up to `bound` can change the range. */
int ecgqa_cwt_range_needs(const ecgqa_cwt_tables_t *tables, const ecgqa_cwt_range_t *range,
                          const ecgqa_cwt_level_t *bound);
void ecgqa_cwt_range_take(ecgqa_cwt_range_t *range, int32_t exponent,
                          ecgqa_cwt_extremes_t extremes);
/* range to the factors of index_map. */
void ecgqa_cwt_range_close(ecgqa_cwt_t *cwt);
ecgqa_cwt_scaler_t ecgqa_cwt_scaler(const ecgqa_cwt_t *cwt, int32_t exponent);
void ecgqa_cwt_to_index(const ecgqa_cwt_scaler_t *scaler, const uint32_t *magnitude, unsigned count,
                        uint8_t *index);

/* Where a row's arrays lie in scratch. */
typedef struct {
    int32_t *z;
    int16_t *w_re, *w_im;
} ecgqa_cwt_arrays_t;

ecgqa_cwt_arrays_t ecgqa_cwt_arrays(const ecgqa_cwt_t *cwt);

/* Samples either side of a row's time axis that interpolation reaches. */
#define ECGQA_CWT_PAD 4u

#endif
