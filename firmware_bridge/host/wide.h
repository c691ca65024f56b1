/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* Segments, then rows of a scalogram side by side in SIMD lanes: the host's own kernels, the very
 * bytes of src/condition.c, src/fft.c and src/cwt.c. Up to its spectrum a segment takes the same
 * steps as any other, so that a lane is a segment. Rows whose short transforms are equally long
 * share every twiddle, tap and column, so that a lane is a row; only their bands differ. */
#ifndef ECGQA_WIDE_H
#define ECGQA_WIDE_H

#include "../src/cwt_internal.h"

/* Lines of a band lie so many int32 further apart than they are long: powers of two would all fall
 * on the same part of a cache. */
#define ECGQA_WIDE_GAP 16u

typedef struct ecgqa_wide ecgqa_wide_t;

/* exp(-i angle), Q31: one for all lanes. */
typedef struct {
    int32_t re, im;
} ecgqa_wide_turn_t;

typedef struct {
    unsigned lanes;
    /* An analysed segment that is not flat to its index map. */
    void (*map)(ecgqa_cwt_t *cwt, const ecgqa_wide_t *wide, uint8_t *index_map);
    /* Of `count` segments, 1 to `lanes`: nothing is left of it after conditioning. */
    void (*flat)(const ecgqa_cwt_tables_t *tables, const ecgqa_wide_t *wide, const int16_t *samples,
                 unsigned count, uint8_t *is_flat);
    /* ecgqa_cwt_analyse of `count` segments, each with a cwt of its own. */
    void (*analyse)(const ecgqa_wide_t *wide, const int16_t *samples, ecgqa_cwt_t *cwt,
                    unsigned count);
} ecgqa_wide_kernels_t;

/* No kernels have more lanes. */
#define ECGQA_WIDE_MOST 16u

/* Memory of one thread. What holds lanes holds `lanes` int32 of each element, an element's side by
 * side, aligned to them. */
struct ecgqa_wide {
    const ecgqa_wide_kernels_t *kernels;
    void *all;
    int32_t *x;             /* lanes: [segment_len], segments side by side */
    int32_t *baseline;      /* lanes: two of [points] */
    int32_t *forward;       /* lanes: complex [forward_points] */
    int16_t *spectrum;      /* the segment's, whole groups */
    int32_t *band;          /* products of one row, whole groups */
    int32_t *line;          /* bands of rows, one after the other */
    int32_t *z;             /* lanes: complex [points + 1] */
    int32_t *w;             /* lanes: complex [points + 1 + 2 * ECGQA_CWT_PAD] */
    int32_t *magnitude;     /* lanes: [batches][cols], cols rounded up to 4 * lanes */
    int32_t *exponent;      /* lanes: [batches], of the magnitudes */
    const int16_t *weights; /* ecgqa_wide_weights */
};

/* Those with the most lanes, at most `lanes`, that this core runs; NULL: none. */
const ecgqa_wide_kernels_t *ecgqa_wide_kernels(unsigned lanes);

/* The wavelet at each bin of each row, 0 beyond the band in its first and last group of bins: how
 * many, and they. Rows follow each other; a row's groups are those of ecgqa_cwt_band. */
size_t ecgqa_wide_weights_len(const ecgqa_cwt_tables_t *tables);
void ecgqa_wide_weights(const ecgqa_cwt_tables_t *tables, int16_t *weights);

/* Takes memory for tables that ecgqa_cwt_init took; all NULL where there is none. */
void ecgqa_wide_open(ecgqa_wide_t *wide, const ecgqa_wide_kernels_t *kernels,
                     const ecgqa_cwt_tables_t *tables, const int16_t *weights);
void ecgqa_wide_close(ecgqa_wide_t *wide);

/* Groups of bins that a row's band lies in. */
static inline uint32_t ecgqa_wide_groups(const ecgqa_cwt_row_t *row)
{
    return (uint32_t)row->last_bin / ECGQA_CWT_GROUP - row->first_bin / ECGQA_CWT_GROUP + 1u;
}

/* Rows from `first` on that go side by side: `lanes` at most. */
static inline unsigned ecgqa_wide_batch(const ecgqa_cwt_tables_t *tables, unsigned first,
                                        unsigned lanes)
{
    unsigned n = 1u;
    while (n < lanes && first + n < tables->rows &&
           tables->row[first + n].log2_fft == tables->row[first].log2_fft) {
        ++n;
    }
    return n;
}

/* Columns in memory: whole blocks of four to an int32 of each lane. */
static inline size_t ecgqa_wide_cols(const ecgqa_cwt_tables_t *tables, unsigned lanes)
{
    const size_t block = 4u * (size_t)lanes;
    return (tables->cols + block - 1u) / block * block;
}

#endif
