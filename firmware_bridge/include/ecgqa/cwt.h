/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* The fixed-point continuous wavelet transform: 5 s of int16 ECG to rows of uint8 indices.
 *
 *     ecgqa_cwt_analyse   samples -> spectrum          (one forward transform per segment)
 *     ecgqa_cwt_scan      spectrum -> range of |W|     (first pass)
 *     ecgqa_cwt_index_row spectrum, range -> one row   (second pass, any order, however often)
 *
 * Caller-owned memory in two parts: `keep` lives from analyse to the last row; `scratch` holds
 * nothing between calls, so the network may use it in between. The same bytes come out of every
 * compiler and core. Tables are made by ecgqa_tflite/frontend/tables.py. */
#ifndef ECGQA_CWT_H
#define ECGQA_CWT_H

#include <stddef.h>
#include <stdint.h>

#include "ecgqa/reason.h"
#include "ecgqa/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Meaning and layout of the tables; generated files refuse another number. */
#define ECGQA_CWT_FORMAT 3

/* Limits that the Q formats in cwt.c were proven for; tables outside them are refused. */
#define ECGQA_CWT_MAX_SEGMENT_LEN 5120u
#define ECGQA_CWT_MAX_LOG2_FFT 11u
#define ECGQA_CWT_MAX_STAGES 12u

/* One row of the scalogram: a band of bins and the transform that takes it to time. */
typedef struct {
    uint32_t psi_step_q16; /* psi table entries a bin */
    uint16_t first_bin;    /* first and last bin of the band */
    uint16_t last_bin;
    uint16_t centre_bin; /* the bin that is moved to zero */
    uint8_t log2_fft;    /* log2 of the complex points of the short transform */
    uint8_t in_range;    /* 1: the row counts for the scaling's range */
} ecgqa_cwt_row_t;

/* `digest` (FNV-1a, 32 bits) is of the bytes before it, which are the same on every core: no
 * padding lies among them. Pointers are there twice. So ecgqa_cwt_init sees a changed bit in
 * either. */
typedef struct {
    uint16_t format;         /* ECGQA_CWT_FORMAT */
    uint16_t segment_len;    /* samples in a segment */
    uint16_t rows, cols;     /* size of the index map */
    uint16_t n_bins;         /* bins 1..n_bins of the spectrum are used */
    uint16_t forward_points; /* complex points of the forward transform */
    uint8_t n_stages;        /* its stages */
    uint8_t max_log2_fft;    /* of all rows */
    uint8_t subtract_min;    /* 1: the smallest |W| becomes 0; 0: zero stays zero */
    uint8_t conditioning;    /* 1: baseline off, clipped above the beats (condition.h); 0: as is */
    uint16_t segment_ms;     /* duration of a segment */
    uint16_t reserved[3];
    uint64_t spec_hash;     /* first 8 bytes of the spec's SHA-256 */
    uint32_t psi_first_q16; /* position of the psi table's first entry, in entries from f = 0 */
    uint32_t digest;        /* of the numbers above */
    const uint8_t *radices; /* [n_stages], first stage first: 2, 3, 4 or 5 */
    const uint16_t *forward_order;   /* [forward_points]: where input pair i goes */
    const int32_t *quarter_sine_q31; /* [segment_len + 1]: sin(pi/2 * i / segment_len) */
    const int32_t *twiddle_cos_q31;  /* [3/4 * 2^(max_log2_fft + 1)]: circle of twice the */
    const int32_t *twiddle_sin_q31;  /*   longest short transform, clockwise */
    const uint16_t *bit_reversal;    /* [2^max_log2_fft] */
    const int16_t *psi_q15;          /* [ECGQA_CWT_PSI_LEN + 1]: wavelet over f / f0 */
    const int16_t *taps_q14;         /* [cols][8]: interpolation to column phases */
    const ecgqa_cwt_row_t *row;      /* [rows] */
    const void *again[9];            /* the pointers above, once more */
} ecgqa_cwt_tables_t;

#define ECGQA_CWT_PSI_LEN 256u
#define ECGQA_CWT_TAPS 8u
#define ECGQA_CWT_GROUP 16u           /* bins that share an exponent */
#define ECGQA_CWT_RANGE_FLOOR_LOG2 10 /* a smallest |W| below 2^-10 of the largest is zero */

/* |W| = mantissa * 2^exponent, in units that hold within one segment. */
typedef struct {
    uint32_t mantissa;
    int32_t exponent;
} ecgqa_cwt_level_t;

/* Extremes of |W| so far. */
typedef struct {
    ecgqa_cwt_level_t low, high;
} ecgqa_cwt_range_t;

/* Context; the caller owns it and touches no field. */
typedef struct {
    const ecgqa_cwt_tables_t *tables;
    int16_t *spectrum; /* keep: [n_bins + 1] mantissas, a group of ECGQA_CWT_GROUP to ... */
    uint8_t *exponent; /* keep: ... an exponent */
    void *scratch;
    ecgqa_cwt_range_t range;
    uint32_t scale;     /* 255 * 2^54 over the range's width, normalised to bit 31 */
    uint32_t low;       /* range.low in units of range.high */
    uint8_t state;      /* 0 nothing, 1 analysed, 2 scanned */
    uint8_t flat;       /* 1: the segment is constant, its index map all zeros */
    uint16_t looked_at; /* row that the first pass begins with */
} ecgqa_cwt_t;

/* Bytes that live from analyse to the last row. 0 for invalid tables. */
size_t ecgqa_cwt_keep_bytes(const ecgqa_cwt_tables_t *tables);
/* Bytes of scratch that analyse needs, once a segment. 0 for invalid tables. */
size_t ecgqa_cwt_analyse_scratch_bytes(const ecgqa_cwt_tables_t *tables);
/* Bytes of scratch that scan and index_row need. 0 for invalid tables. */
size_t ecgqa_cwt_row_scratch_bytes(const ecgqa_cwt_tables_t *tables);

/* Checks the tables and takes the memory (4-byte aligned; scratch at least the larger of the two
 * sizes). ERR_ARGUMENT: null or misaligned; ERR_FORMAT: tables of another format or outside the
 * limits; ERR_DAMAGED: not as they were made; ERR_WORKSPACE: too few bytes. */
ecgqa_status_t ecgqa_cwt_init(ecgqa_cwt_t *cwt, const ecgqa_cwt_tables_t *tables, void *keep,
                              size_t keep_bytes, void *scratch, size_t scratch_bytes);

/* Samples (any int16 values) to the spectrum; `samples` may be given up afterwards. A constant
 * segment is no error: `cwt->flat` is set and every row comes out zero. */
ecgqa_status_t ecgqa_cwt_analyse(ecgqa_cwt_t *cwt, const int16_t *samples, size_t segment_len);

/* As ecgqa_cwt_analyse, after a look at the samples: where *reason is not ECGQA_REASON_OK the
 * segment is of low quality whatever a network would say, and there is no spectrum. */
ecgqa_status_t ecgqa_cwt_look(ecgqa_cwt_t *cwt, const int16_t *samples, size_t segment_len,
                              ecgqa_reason_t *reason);

/* The first pass, all rows. ERR_NOT_READY before analyse. */
ecgqa_status_t ecgqa_cwt_scan(ecgqa_cwt_t *cwt);
/* As ecgqa_cwt_scan, a row a call: *next_row starts at 0 and reaches rows when done. */
ecgqa_status_t ecgqa_cwt_scan_step(ecgqa_cwt_t *cwt, uint16_t *next_row);

/* One row of the index map, uint8 [cols]. ERR_NOT_READY before the scan is done. */
ecgqa_status_t ecgqa_cwt_index_row(ecgqa_cwt_t *cwt, uint16_t row, uint8_t *index_row);

#ifdef __cplusplus
}
#endif
#endif
