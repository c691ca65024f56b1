/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
#include "fast.h"

#include "ecgqa/cwt.h"

#include "condition.h"
#include "cwt_dsp.h"
#include "cwt_internal.h"
#include "ecgqa/fixed.h"
#include "fft.h"
#include "lost.h"
#include "seal.h"

/* tables.TAPS_SUM_MAX: no phase's taps, Q14, sum to more in size. */
#define TAPS_SUM_MAX 27000
/* Columns worked on at a time: enough for SIMD, few enough for a small stack. */
#define BLOCK 32u

/* ---- memory ---------------------------------------------------------------------------------- */

static size_t round_up(size_t bytes)
{
    return (bytes + 3u) & ~(size_t)3u;
}

static size_t groups(const ecgqa_cwt_tables_t *tables)
{
    return (size_t)tables->n_bins / ECGQA_CWT_GROUP + 1u;
}

/* Each of a table's `n` entries is the place of one of `n` values. */
static int are_places(const uint16_t *places, uint32_t n)
{
    uint32_t i = 0u;
    while (i < n && places[i] < n) {
        ++i;
    }
    return i == n;
}

/* Everything that later functions rely on without looking. */
static ecgqa_status_t check_tables(const ecgqa_cwt_tables_t *t)
{
    if (t != NULL && t->format == ECGQA_CWT_FORMAT && !ecgqa_is_sealed(ECGQA_SEAL_CWT(t))) {
        return ECGQA_ERR_DAMAGED;
    }
    if (t == NULL || t->radices == NULL || t->forward_order == NULL ||
        t->quarter_sine_q31 == NULL || t->twiddle_cos_q31 == NULL || t->twiddle_sin_q31 == NULL ||
        t->bit_reversal == NULL || t->psi_q15 == NULL || t->taps_q14 == NULL || t->row == NULL) {
        return ECGQA_ERR_ARGUMENT;
    }
    if (t->format != ECGQA_CWT_FORMAT || t->segment_len < 16u ||
        t->segment_len > ECGQA_CWT_MAX_SEGMENT_LEN || t->segment_ms == 0u || t->rows == 0u ||
        t->cols == 0u || t->n_bins == 0u || t->n_bins >= t->segment_len ||
        t->n_stages > ECGQA_CWT_MAX_STAGES || t->max_log2_fft < 3u ||
        t->max_log2_fft > ECGQA_CWT_MAX_LOG2_FFT ||
        (t->forward_points != t->segment_len && 2u * t->forward_points != t->segment_len)) {
        return ECGQA_ERR_FORMAT;
    }
    /* The baseline lies where the spectrum will; a point of it holds a sample at least. */
    const uint32_t points = ecgqa_condition_points(t);
    if (t->conditioning > 1u || points > t->segment_len || points > t->n_bins + 1u ||
        (t->conditioning != 0u && points < ECGQA_CONDITION_MIN_POINTS)) {
        return ECGQA_ERR_FORMAT;
    }
    uint32_t product = 1u;
    for (unsigned i = 0u; i < t->n_stages; ++i) {
        if (t->radices[i] < 2u || t->radices[i] > 5u) {
            return ECGQA_ERR_FORMAT;
        }
        product *= t->radices[i];
        if (product > t->forward_points) {
            return ECGQA_ERR_FORMAT;
        }
    }
    if (product != t->forward_points || !are_places(t->forward_order, t->forward_points) ||
        !are_places(t->bit_reversal, UINT32_C(1) << t->max_log2_fft)) {
        return ECGQA_ERR_FORMAT;
    }
    for (unsigned r = 0u; r < t->rows; ++r) {
        const ecgqa_cwt_row_t *row = &t->row[r];
        const uint64_t first = (uint64_t)row->first_bin * row->psi_step_q16;
        const uint64_t last = (uint64_t)row->last_bin * row->psi_step_q16;
        if (row->first_bin == 0u || row->first_bin > row->last_bin || row->last_bin > t->n_bins ||
            row->log2_fft < 3u || row->log2_fft > t->max_log2_fft ||
            (uint32_t)(row->last_bin - row->first_bin) >= (UINT32_C(2) << row->log2_fft) ||
            first < t->psi_first_q16 ||
            last - t->psi_first_q16 >= ((uint64_t)ECGQA_CWT_PSI_LEN << 16)) {
            return ECGQA_ERR_FORMAT;
        }
    }
    return ECGQA_OK;
}

ecgqa_status_t ecgqa_cwt_bytes(const ecgqa_cwt_tables_t *tables, ecgqa_cwt_bytes_t *bytes)
{
    *bytes = (ecgqa_cwt_bytes_t){0};
    const ecgqa_status_t status = check_tables(tables);
    if (status == ECGQA_OK) {
        const size_t points = (size_t)1u << tables->max_log2_fft;
        bytes->keep =
            round_up(((size_t)tables->n_bins + 1u) * sizeof(int16_t)) + round_up(groups(tables));
        bytes->analyse_scratch = 2u * (size_t)tables->forward_points * sizeof(int32_t);
        bytes->row_scratch = 2u * (points + 1u) * sizeof(int32_t) +
                             2u * (points + 1u + 2u * ECGQA_CWT_PAD) * sizeof(int16_t);
    }
    return status;
}

size_t ecgqa_cwt_keep_bytes(const ecgqa_cwt_tables_t *tables)
{
    ecgqa_cwt_bytes_t bytes;
    (void)ecgqa_cwt_bytes(tables, &bytes);
    return bytes.keep;
}

size_t ecgqa_cwt_analyse_scratch_bytes(const ecgqa_cwt_tables_t *tables)
{
    ecgqa_cwt_bytes_t bytes;
    (void)ecgqa_cwt_bytes(tables, &bytes);
    return bytes.analyse_scratch;
}

size_t ecgqa_cwt_row_scratch_bytes(const ecgqa_cwt_tables_t *tables)
{
    ecgqa_cwt_bytes_t bytes;
    (void)ecgqa_cwt_bytes(tables, &bytes);
    return bytes.row_scratch;
}

ecgqa_cwt_arrays_t ecgqa_cwt_arrays(const ecgqa_cwt_t *cwt)
{
    const size_t points = (size_t)1u << cwt->tables->max_log2_fft;
    ecgqa_cwt_arrays_t a;
    a.z = (int32_t *)cwt->scratch;
    a.w_re = (int16_t *)(void *)(a.z + 2u * (points + 1u));
    a.w_im = a.w_re + points + 1u + 2u * ECGQA_CWT_PAD;
    return a;
}

void ecgqa_cwt_attach(ecgqa_cwt_t *cwt, const ecgqa_cwt_tables_t *tables, void *keep, void *scratch)
{
    *cwt = (ecgqa_cwt_t){0};
    cwt->tables = tables;
    cwt->spectrum = (int16_t *)keep;
    cwt->exponent = (uint8_t *)keep + round_up(((size_t)tables->n_bins + 1u) * sizeof(int16_t));
    cwt->scratch = scratch;
}

ecgqa_status_t ecgqa_cwt_init(ecgqa_cwt_t *cwt, const ecgqa_cwt_tables_t *tables, void *keep,
                              size_t keep_bytes, void *scratch, size_t scratch_bytes)
{
    if (cwt == NULL || keep == NULL || scratch == NULL || ((uintptr_t)keep & 3u) != 0u ||
        ((uintptr_t)scratch & 3u) != 0u) {
        return ECGQA_ERR_ARGUMENT;
    }
    ecgqa_cwt_bytes_t needed;
    const ecgqa_status_t status = ecgqa_cwt_bytes(tables, &needed);
    if (status != ECGQA_OK) {
        return status;
    }
    if (keep_bytes < needed.keep || scratch_bytes < needed.analyse_scratch ||
        scratch_bytes < needed.row_scratch) {
        return ECGQA_ERR_WORKSPACE;
    }
    ecgqa_cwt_attach(cwt, tables, keep, scratch);
    return ECGQA_OK;
}

/* ---- samples to spectrum --------------------------------------------------------------------- */

/* Sum of |sample - middle|: at most 5120 * 2^15 < 2^28. */
static uint32_t size_of(ecgqa_conditioned_t from, int32_t middle, uint32_t n)
{
    uint32_t sum = 0u;
    while (n > 0u) {
        int16_t value[ECGQA_CONDITIONED_BLOCK];
        const uint32_t taken = ecgqa_conditioned_take(&from, value, n);
        for (uint32_t j = 0u; j < taken; ++j) {
            sum += (uint32_t)ecgqa_abs(value[j] - middle);
        }
        n -= taken;
    }
    return sum;
}

/* Samples, less their mid-range and as large as the transform allows, to its input order. Makhoul
 * 1980: even samples forward, odd ones backward make the DCT a Fourier transform of the same
 * length. */
static void load_samples(const ecgqa_cwt_tables_t *t, ecgqa_conditioned_t from, int32_t middle,
                         unsigned shift, int32_t *z)
{
    const uint32_t n = t->segment_len;
    const uint32_t each = n / t->forward_points; /* samples a point: 1 or 2 */
    uint32_t sample = 0u;
    while (sample < n) {
        int16_t value[ECGQA_CONDITIONED_BLOCK];
        const uint32_t taken = ecgqa_conditioned_take(&from, value, n - sample);
        for (uint32_t j = 0u; j < taken; ++j, ++sample) {
            const uint32_t i = (sample & 1u) == 0u ? sample / 2u : n - 1u - sample / 2u;
            const int32_t shifted = ecgqa_shl(value[j] - middle, shift);
            if (each == 1u) {
                const uint32_t at = 2u * (uint32_t)t->forward_order[i];
                z[at] = shifted;
                z[at + 1u] = 0;
            } else {
                z[2u * (uint32_t)t->forward_order[i / 2u] + (i & 1u)] = shifted;
            }
        }
    }
}

/* One group of bins to mantissas with the exponent that their largest asks for. */
static uint8_t store_group(const int32_t *bins, unsigned count, int16_t *mantissa)
{
    uint32_t largest = 0u;
    for (unsigned i = 0u; i < count; ++i) {
        const uint32_t size = (uint32_t)ecgqa_abs(bins[i]);
        largest = size > largest ? size : largest;
    }
    unsigned shift = ecgqa_bit_length(largest);
    shift = shift > ECGQA_CWT_MANTISSA_BITS ? shift - ECGQA_CWT_MANTISSA_BITS : 0u;
    for (unsigned i = 0u; i < count; ++i) {
        mantissa[i] = ecgqa_saturate_s16(ecgqa_shr_round(bins[i], shift));
    }
    return (uint8_t)shift;
}

ecgqa_status_t ecgqa_cwt_analyse(ecgqa_cwt_t *cwt, const int16_t *samples, size_t segment_len)
{
    if (cwt == NULL || cwt->tables == NULL || samples == NULL ||
        segment_len != cwt->tables->segment_len) {
        return ECGQA_ERR_ARGUMENT;
    }
    const ecgqa_cwt_tables_t *t = cwt->tables;
    int32_t *z = (int32_t *)cwt->scratch;
    ecgqa_condition_t condition;
    ecgqa_condition(t, samples, cwt->spectrum, (int16_t *)(void *)z, &condition);
    cwt->state = 1u;
    cwt->flat = condition.lowest == condition.highest;
    if (cwt->flat) {
        return ECGQA_OK;
    }
    const int32_t middle = (condition.lowest + condition.highest) >> 1;
    const ecgqa_conditioned_t start = ecgqa_conditioned(&condition, samples);
    const uint32_t sum = size_of(start, middle, t->segment_len);
    load_samples(t, start, middle, ECGQA_CWT_TRANSFORM_BITS - ecgqa_bit_length(sum), z);
    ecgqa_fft_forward(t, z);

    cwt->spectrum[0] = 0;
    for (uint32_t group = 0u; group * ECGQA_CWT_GROUP <= t->n_bins; ++group) {
        int32_t bins[ECGQA_CWT_GROUP];
        const uint32_t first = group * ECGQA_CWT_GROUP;
        const uint32_t left = t->n_bins + 1u - first;
        const uint32_t count = left < ECGQA_CWT_GROUP ? left : ECGQA_CWT_GROUP;
        for (uint32_t i = 0u; i < count; ++i) {
            bins[i] = first + i == 0u ? 0 : ecgqa_fft_cosine_bin(t, z, first + i);
        }
        cwt->exponent[group] = store_group(bins, count, &cwt->spectrum[first]);
    }
    return ECGQA_OK;
}

ecgqa_status_t ecgqa_cwt_look(ecgqa_cwt_t *cwt, const int16_t *samples, size_t segment_len,
                              ecgqa_reason_t *reason)
{
    if (cwt == NULL || cwt->tables == NULL || samples == NULL || reason == NULL ||
        segment_len != cwt->tables->segment_len) {
        return ECGQA_ERR_ARGUMENT;
    }
    cwt->state = 0u;
    *reason = ecgqa_lost_signal(samples, cwt->tables->segment_len, cwt->tables->segment_ms);
    if (*reason != ECGQA_REASON_OK) {
        return ECGQA_OK;
    }
    const ecgqa_status_t status = ecgqa_cwt_analyse(cwt, samples, segment_len);
    if (status == ECGQA_OK && cwt->flat != 0u) { /* nothing but a baseline */
        *reason = ECGQA_REASON_FLAT;
    }
    return status;
}

/* ---- spectrum to a row of W ------------------------------------------------------------------ */

/* The magnitudes' gain (sqrt 2 and the five foldings: 1.646) with room for interpolation's error:
 * 27 / 16. */
static ecgqa_cwt_level_t bound_of(uint32_t sum, int32_t exponent)
{
    return (ecgqa_cwt_level_t){sum / 16u * 27u + 27u, exponent + 14};
}

/* Bins of a band that share an exponent, on their way through psi. */
typedef struct {
    const int16_t *spectrum, *psi_q15;
    uint32_t position, step; /* in psi, Q16 */
    unsigned shift;
    uint32_t sum; /* of |values| */
} weighing_t;

/* psi at `position`, between two of its points. */
static inline int32_t psi_at(const int16_t *psi_q15, uint32_t position)
{
    const int16_t *const psi = &psi_q15[position >> 16];
    const int32_t between = (int32_t)((position & 0xFFFFu) >> 1);
    return psi[0] + ecgqa_shr_round((psi[1] - psi[0]) * between, 15u);
}

static inline int32_t weighed(weighing_t *w)
{
    const int32_t weight = psi_at(w->psi_q15, w->position);
    const int32_t value = ecgqa_shr_round(*w->spectrum * weight, w->shift);
    w->sum += (uint32_t)ecgqa_abs(value);
    w->position += w->step;
    ++w->spectrum;
    return value;
}

/* Where a band's values go: in turn, from `at` on round the period, in bit-reversed pairs. */
typedef struct {
    int32_t *z;
    const uint16_t *reversal;
    unsigned shift;
    uint32_t at, mask;
} places_t;

static inline int32_t *place_of(const places_t *to)
{
    return &to->z[2u * ((uint32_t)to->reversal[to->at >> 1] >> to->shift)];
}

#if ECGQA_DSP
/* As many twos as there are to the end of the period. */
static void weigh_twos(weighing_t *w, places_t *to, uint32_t count)
{
    while (count >= 2u) {
        const uint32_t left = to->mask + 1u - to->at;
        const uint32_t taken = (count < left ? count : left) & ~UINT32_C(1);
        const ecgqa_cwt_dsp_bins_t bins = {w->spectrum,
                                           w->psi_q15,
                                           w->position,
                                           w->step,
                                           w->shift,
                                           (UINT32_C(1) << w->shift) >> 1,
                                           w->sum,
                                           to->z,
                                           to->reversal + to->at / 2u,
                                           to->shift,
                                           w->spectrum + taken};
        w->sum = ecgqa_cwt_dsp_weigh(&bins);
        w->spectrum += taken;
        w->position += taken * w->step;
        to->at = (to->at + taken) & to->mask;
        count -= taken;
    }
}
#else
static void weigh_twos(weighing_t *w, places_t *to, uint32_t count)
{
    for (; count >= 2u; count -= 2u) {
        int32_t *const pair = place_of(to);
        pair[0] = weighed(w);
        pair[1] = weighed(w);
        to->at = (to->at + 2u) & to->mask;
    }
}
#endif

/* `count` bins of one exponent to their places, by twos where these are a pair. */
static void weigh_group(weighing_t *w, places_t *to, uint32_t count)
{
    if ((to->at & 1u) != 0u && count > 0u) {
        place_of(to)[1] = weighed(w);
        to->at = (to->at + 1u) & to->mask;
        --count;
    }
    weigh_twos(w, to, count);
    if ((count & 1u) != 0u) {
        place_of(to)[0] = weighed(w);
        ++to->at;
    }
}

/* A period: 16 values or more, by twos. */
static void clear(int32_t *z, uint32_t period)
{
#if ECGQA_DSP
    ecgqa_cwt_dsp_clear(z, z + period);
#else
    for (uint32_t i = 0u; i < period; ++i) {
        z[i] = 0;
    }
#endif
}

ecgqa_cwt_row_info_t ecgqa_cwt_band(const ecgqa_cwt_t *cwt, uint16_t row, int32_t *z)
{
    const ecgqa_cwt_tables_t *t = cwt->tables;
    const ecgqa_cwt_row_t *r = &t->row[row];
    const uint32_t period = UINT32_C(2) << r->log2_fft;
    const uint32_t first_group = r->first_bin / ECGQA_CWT_GROUP;
    const uint32_t last_group = r->last_bin / ECGQA_CWT_GROUP;
    clear(z, period);
    unsigned top = 0u;
    for (uint32_t g = first_group; g <= last_group; ++g) {
        top = cwt->exponent[g] > top ? cwt->exponent[g] : top;
    }
    const unsigned base = ecgqa_cwt_band_shift(r);
    uint32_t bin = r->first_bin;
    weighing_t from = {cwt->spectrum + bin, t->psi_q15, bin * r->psi_step_q16 - t->psi_first_q16,
                       r->psi_step_q16,     0u,         0u};
    places_t to = {z, t->bit_reversal, (unsigned)(t->max_log2_fft - r->log2_fft),
                   (bin - r->centre_bin) & (period - 1u), period - 1u};
    for (uint32_t g = first_group; g <= last_group; ++g) {
        while (g < last_group && cwt->exponent[g + 1u] == cwt->exponent[g]) {
            ++g;
        }
        const uint32_t group_end = (g + 1u) * ECGQA_CWT_GROUP;
        const uint32_t end = group_end <= r->last_bin ? group_end : r->last_bin + 1u;
        const unsigned shift = base + (top - cwt->exponent[g]);
        from.shift = shift > 30u ? 30u : shift;
        weigh_group(&from, &to, end - bin);
        bin = end;
    }
    ecgqa_cwt_row_info_t info;
    info.exponent = (int32_t)(top + base);
    info.bound = bound_of(from.sum, info.exponent);
    return info;
}

/* `points` values and one more to int16, at their size over 2^shift. */
static void narrow(const int32_t *z, uint32_t points, unsigned shift, int16_t *re, int16_t *im)
{
    uint32_t i = 0u;
#if ECGQA_DSP
    /* Two at a time: what is shifted to the upper half rounds there, and saturates in one. */
    const unsigned up = 16u - shift;
    const int32_t half = 1 << 15;
    for (; i < points; i += 2u, z += 4) {
        const int32_t re0 = __qadd(ecgqa_shl(z[0], up), half),
                      re1 = __qadd(ecgqa_shl(z[2], up), half);
        const int32_t im0 = __qadd(ecgqa_shl(z[1], up), half),
                      im1 = __qadd(ecgqa_shl(z[3], up), half);
        ecgqa_cwt_dsp_store_upper(re + i, re0, re1);
        ecgqa_cwt_dsp_store_upper(im + i, im0, im1);
    }
#endif
    for (; i <= points; ++i, z += 2) {
        re[i] = ecgqa_saturate_s16(ecgqa_shr_round(z[0], shift));
        im[i] = ecgqa_saturate_s16(ecgqa_shr_round(z[1], shift));
    }
}

void ecgqa_cwt_to_time(const ecgqa_cwt_tables_t *tables, uint16_t row, int32_t *z, int16_t *w_re,
                       int16_t *w_im, ecgqa_cwt_row_info_t *info)
{
    const unsigned log2_fft = tables->row[row].log2_fft;
    const uint32_t points = UINT32_C(1) << log2_fft;
    unsigned shift = ecgqa_bit_length(ecgqa_fft_real(tables, log2_fft, z));
    shift = shift > ECGQA_CWT_MANTISSA_BITS ? shift - ECGQA_CWT_MANTISSA_BITS : 0u;
    int16_t *const out_re = w_re + ECGQA_CWT_PAD, *const out_im = w_im + ECGQA_CWT_PAD;
    narrow(z, points, shift, out_re, out_im);
    /* W is Hermitian about both ends of the segment. */
    for (uint32_t i = 1u; i <= ECGQA_CWT_PAD; ++i) {
        w_re[ECGQA_CWT_PAD - i] = out_re[i];
        w_im[ECGQA_CWT_PAD - i] = ecgqa_saturate_s16(-(int32_t)out_im[i]);
        out_re[points + i] = out_re[points - i];
        out_im[points + i] = ecgqa_saturate_s16(-(int32_t)out_im[points - i]);
    }
    info->exponent += (int32_t)shift - 1; /* the transform doubles */
}

typedef struct {
    int32_t along, across; /* across >= 0 */
} vector_t;

/* Turned by atan(2^-shift) and, where that went too far, mirrored back. */
static inline vector_t folded(vector_t v, unsigned shift)
{
    return (vector_t){v.along + (v.across >> shift), ecgqa_abs(v.across - (v.along >> shift))};
}

/* |re + i im| times 1.646, |error| <= 0.05 %: the angle is folded at 45 degrees and at
 * atan(1/2, 1/4, 1/8, 1/16), each time to its absolute value, and what is left, 0 to 3.6 degrees,
 * is projected on its middle. |re|, |im| <= TAPS_SUM_MAX * 32767 stay below 2^31. */
static inline uint32_t magnitude_of(int32_t re, int32_t im)
{
    const int32_t x = ecgqa_abs(re), y = ecgqa_abs(im);
    vector_t v = {x + y, ecgqa_abs(y - x)};
    v = folded(v, 1u);
    v = folded(v, 2u);
    v = folded(v, 3u);
    v = folded(v, 4u);
    return (uint32_t)(v.along + (v.across >> 5));
}

/* Column c lies at (c + 1/2) / cols of `points` intervals: in units of 1 / cols of one. */
static inline uint32_t column_place(uint32_t points, unsigned column)
{
    return (2u * column + 1u) * (points / 2u);
}

/* Index in w_re, w_im of the first point that a column's taps reach. */
static inline uint32_t first_point(const ecgqa_cwt_tables_t *tables, uint32_t points,
                                   unsigned column)
{
    return column_place(points, column) / tables->cols + ECGQA_CWT_PAD - (ECGQA_CWT_TAPS / 2u - 1u);
}

#if ECGQA_DSP
void ecgqa_cwt_columns(const ecgqa_cwt_tables_t *tables, uint16_t row, const int16_t *w_re,
                       const int16_t *w_im, unsigned first, unsigned count, uint32_t *magnitude)
{
    const uint32_t tap_bytes = ECGQA_CWT_TAPS * sizeof *tables->taps_q14;
    const uint32_t cols = tables->cols, points = UINT32_C(1) << tables->row[row].log2_fft;
    const ecgqa_cwt_dsp_columns_t columns = {
        magnitude,
        (int32_t)(tap_bytes * (column_place(points, first) % cols)) - (int32_t)(tap_bytes * cols),
        tables->taps_q14 + ECGQA_CWT_TAPS * cols,
        w_re + first_point(tables, points, first),
        (const char *)w_im - (const char *)w_re,
        points % cols * tap_bytes,
        points / cols * (uint32_t)sizeof *w_re,
        tap_bytes * cols,
        magnitude + count};
    if (count > 0u) {
        ecgqa_cwt_dsp_columns(&columns);
    }
}
#else
void ecgqa_cwt_columns(const ecgqa_cwt_tables_t *tables, uint16_t row, const int16_t *w_re,
                       const int16_t *w_im, unsigned first, unsigned count, uint32_t *magnitude)
{
    const uint32_t cols = tables->cols;
    const uint32_t points = UINT32_C(1) << tables->row[row].log2_fft;
    const uint32_t whole = points / cols, part = points % cols;
    const int16_t *const taps = tables->taps_q14;
    size_t at = first_point(tables, points, first);
    uint32_t phase = column_place(points, first) % cols;
    for (unsigned done = 0u; done < count; done += BLOCK) {
        const unsigned left = count - done, block = left < BLOCK ? left : BLOCK;
        int32_t re[BLOCK], im[BLOCK]; /* apart, so that a SIMD compiler takes each loop whole */
        for (unsigned c = 0u; c < block; ++c) {
            const int16_t *tap = &taps[phase * ECGQA_CWT_TAPS];
            /* At most TAPS_SUM_MAX * 32767 either way. */
            re[c] = ecgqa_dot8_s16(w_re + at, tap);
            im[c] = ecgqa_dot8_s16(w_im + at, tap);
            at += whole;
            phase += part;
            if (phase >= cols) {
                phase -= cols;
                ++at;
            }
        }
        for (unsigned c = 0u; c < block; ++c) {
            magnitude[c] = magnitude_of(re[c], im[c]);
        }
        magnitude += block;
    }
}
#endif

ecgqa_cwt_extremes_t ecgqa_cwt_extremes(const uint32_t *magnitude, unsigned count)
{
    /* Mantissas stay below 2^31, and signed comparisons are the ones that SIMD has. */
    int32_t low = INT32_MAX, high = 0;
    for (unsigned i = 0u; i < count; ++i) {
        const int32_t value = (int32_t)magnitude[i];
        low = value < low ? value : low;
        high = value > high ? value : high;
    }
    return (ecgqa_cwt_extremes_t){(uint32_t)low, (uint32_t)high};
}

/* ---- the range of |W| ------------------------------------------------------------------------ */

/* Mantissa to bit 31; zero has the least exponent there is. */
static ecgqa_cwt_level_t normalised(ecgqa_cwt_level_t a)
{
    if (a.mantissa == 0u) {
        return (ecgqa_cwt_level_t){0u, INT16_MIN};
    }
    const unsigned shift = 32u - ecgqa_bit_length(a.mantissa);
    return (ecgqa_cwt_level_t){a.mantissa << shift, a.exponent - (int32_t)shift};
}

static int less(ecgqa_cwt_level_t a, ecgqa_cwt_level_t b)
{
    return a.exponent != b.exponent ? a.exponent < b.exponent : a.mantissa < b.mantissa;
}

void ecgqa_cwt_range_clear(ecgqa_cwt_range_t *range)
{
    range->low = (ecgqa_cwt_level_t){UINT32_MAX, INT16_MAX};
    range->high = normalised((ecgqa_cwt_level_t){0u, 0});
}

/* The smallest |W| counts as zero where it is 2^-10 of the largest or less (spec.RANGE_FLOOR), so
 * that the range does not depend on which rows are looked at once such a one is found. */
static int low_is_zero(const ecgqa_cwt_range_t *range)
{
    ecgqa_cwt_level_t floor = range->high;
    floor.exponent -= ECGQA_CWT_RANGE_FLOOR_LOG2;
    return !less(floor, range->low);
}

int ecgqa_cwt_range_needs(const ecgqa_cwt_tables_t *tables, const ecgqa_cwt_range_t *range,
                          const ecgqa_cwt_level_t *bound)
{
    return less(range->high, normalised(*bound)) ||
           (tables->subtract_min != 0u && !low_is_zero(range));
}

void ecgqa_cwt_range_take(ecgqa_cwt_range_t *range, int32_t exponent, ecgqa_cwt_extremes_t extremes)
{
    const ecgqa_cwt_level_t low = normalised((ecgqa_cwt_level_t){extremes.low, exponent});
    const ecgqa_cwt_level_t high = normalised((ecgqa_cwt_level_t){extremes.high, exponent});
    if (less(low, range->low)) {
        range->low = low;
    }
    if (less(range->high, high)) {
        range->high = high;
    }
}

/* a / 2^shift for any shift. */
static uint32_t shifted_down(uint32_t a, int32_t shift)
{
    return shift > 31 ? 0u : a >> shift;
}

void ecgqa_cwt_range_close(ecgqa_cwt_t *cwt)
{
    const ecgqa_cwt_range_t *range = &cwt->range;
    cwt->low = 0u;
    cwt->scale = 0u;
    if (range->high.mantissa != 0u) {
        if (cwt->tables->subtract_min != 0u && !low_is_zero(range)) {
            cwt->low =
                shifted_down(range->low.mantissa, range->high.exponent - range->low.exponent);
        }
        const uint32_t width = range->high.mantissa - cwt->low;
        if (width != 0u) {
            const unsigned widen = 32u - ecgqa_bit_length(width);
            const uint64_t scale = (UINT64_C(255) << 54) / (width << widen);
            cwt->scale = scale > UINT32_MAX ? UINT32_MAX : (uint32_t)scale;
        }
    }
    cwt->state = 2u;
}

ecgqa_cwt_scaler_t ecgqa_cwt_scaler(const ecgqa_cwt_t *cwt, int32_t exponent)
{
    const ecgqa_cwt_level_t high = cwt->range.high;
    const int32_t down = high.exponent - exponent;
    ecgqa_cwt_scaler_t s;
    s.scale = cwt->scale;
    s.low = cwt->low;
    s.high = high.mantissa;
    s.widen = 32u - ecgqa_bit_length(high.mantissa - cwt->low);
    s.widen = s.widen > 31u ? 31u : s.widen;
    s.down = down < 0 ? 0u : (down > 31 ? 31u : (unsigned)down);
    s.up = down < 0 ? (unsigned)(down < -31 ? 31 : -down) : 0u;
    /* Mantissas are below 2^31 and high's is not, so only `up` can go beyond it. */
    s.limit = high.mantissa >> s.up;
    return s;
}

/* 0 to 255, rounded. */
static inline uint8_t level_of(uint32_t value, uint32_t low, unsigned widen, uint32_t scale)
{
    const uint32_t above = value > low ? value - low : 0u;
    const uint32_t level_q22 = ecgqa_mul_high_u32(above << widen, scale);
    return (uint8_t)((level_q22 + (UINT32_C(1) << 21)) >> 22);
}

void ecgqa_cwt_to_index(const ecgqa_cwt_scaler_t *scaler, const uint32_t *magnitude, unsigned count,
                        uint8_t *index)
{
    const uint32_t scale = scaler->scale, low = scaler->low, high = scaler->high;
    const uint32_t limit = scaler->limit;
    const unsigned down = scaler->down, up = scaler->up, widen = scaler->widen;
    if (up == 0u && low == 0u) { /* by far the most rows */
        for (unsigned i = 0u; i < count; ++i) {
            index[i] = level_of(magnitude[i] >> down, 0u, 0u, scale);
        }
    } else if (low == 0u) {
        const uint8_t most = level_of(high, 0u, 0u, scale);
        for (unsigned i = 0u; i < count; ++i) {
            const uint8_t level = level_of(magnitude[i] << up, 0u, 0u, scale);
            index[i] = magnitude[i] > limit ? most : level;
        }
    } else if (up == 0u) {
        for (unsigned i = 0u; i < count; ++i) {
            index[i] = level_of(magnitude[i] >> down, low, widen, scale);
        }
    } else {
        for (unsigned i = 0u; i < count; ++i) {
            index[i] =
                level_of(magnitude[i] > limit ? high : magnitude[i] << up, low, widen, scale);
        }
    }
}

/* ---- the two passes -------------------------------------------------------------------------- */

/* What no |W| at columns [first, first + count) can exceed: the taps' sum times the largest of the
 * points that they reach. */
static ecgqa_cwt_level_t peak_bound(const ecgqa_cwt_tables_t *t, const ecgqa_cwt_arrays_t *a,
                                    uint32_t points, unsigned first, unsigned count,
                                    int32_t exponent)
{
    const uint32_t begin = first_point(t, points, first);
    const uint32_t end = first_point(t, points, first + count - 1u) + ECGQA_CWT_TAPS;
    const int16_t *re = a->w_re + begin;
    const int16_t *const re_end = a->w_re + end;
    const ptrdiff_t to_im = a->w_im - a->w_re; /* both in one scratch */
    const int16_t *at = re;
    uint32_t largest = 0u;
    for (; re != re_end; ++re) {
        const int32_t x = re[0], y = re[to_im];
        const uint32_t power = (uint32_t)(x * x) + (uint32_t)(y * y);
        if (power > largest) {
            largest = power;
            at = re;
        }
    }
    return (ecgqa_cwt_level_t){magnitude_of(at[0] * TAPS_SUM_MAX, at[to_im] * TAPS_SUM_MAX),
                               exponent};
}

/* The share that a row's columns have in the range, as far as their bounds leave them a chance. */
ECGQA_APART static void scan_columns(ecgqa_cwt_t *cwt, uint16_t row, const ecgqa_cwt_arrays_t *a,
                                     int32_t exponent)
{
    const ecgqa_cwt_tables_t *t = cwt->tables;
    const uint32_t points = UINT32_C(1) << t->row[row].log2_fft;
    for (unsigned first = 0u; first < t->cols; first += BLOCK) {
        const unsigned left = t->cols - first, count = left < BLOCK ? left : BLOCK;
        const ecgqa_cwt_level_t bound = peak_bound(t, a, points, first, count, exponent);
        if (ecgqa_cwt_range_needs(t, &cwt->range, &bound)) {
            uint32_t magnitude[BLOCK];
            ecgqa_cwt_columns(t, row, a->w_re, a->w_im, first, count, magnitude);
            ecgqa_cwt_range_take(&cwt->range, exponent, ecgqa_cwt_extremes(magnitude, count));
        }
    }
}

/* A row's share of the range; its costlier steps only where its bound leaves it a chance. */
static void scan_row(ecgqa_cwt_t *cwt, uint16_t row)
{
    const ecgqa_cwt_tables_t *t = cwt->tables;
    if (t->row[row].in_range == 0u) {
        return;
    }
    const ecgqa_cwt_arrays_t a = ecgqa_cwt_arrays(cwt);
    ecgqa_cwt_row_info_t info = ecgqa_cwt_band(cwt, row, a.z);
    if (ecgqa_cwt_range_needs(t, &cwt->range, &info.bound)) {
        ecgqa_cwt_to_time(t, row, a.z, a.w_re, a.w_im, &info);
        scan_columns(cwt, row, &a, info.exponent);
    }
}

/* Of every SAMPLED-th row the one with the highest bound: looked at first, it spares others. */
#define SAMPLED 16u
static uint16_t likely_highest(ecgqa_cwt_t *cwt)
{
    const ecgqa_cwt_tables_t *t = cwt->tables;
    const ecgqa_cwt_arrays_t a = ecgqa_cwt_arrays(cwt);
    ecgqa_cwt_level_t highest = normalised((ecgqa_cwt_level_t){0u, 0});
    unsigned at = 0u;
    for (unsigned row = 0u; row < t->rows; row += SAMPLED) {
        if (t->row[row].in_range != 0u) {
            const ecgqa_cwt_row_info_t info = ecgqa_cwt_band(cwt, (uint16_t)row, a.z);
            const ecgqa_cwt_level_t bound = normalised(info.bound);
            if (less(highest, bound)) {
                highest = bound;
                at = row;
            }
        }
    }
    return (uint16_t)at;
}

ecgqa_status_t ecgqa_cwt_scan_step(ecgqa_cwt_t *cwt, uint16_t *next_row)
{
    if (cwt == NULL || cwt->tables == NULL || next_row == NULL) {
        return ECGQA_ERR_ARGUMENT;
    }
    const ecgqa_cwt_tables_t *t = cwt->tables;
    if (cwt->state == 0u) {
        return ECGQA_ERR_NOT_READY;
    }
    if (*next_row >= t->rows) {
        return ECGQA_ERR_ARGUMENT;
    }
    const uint16_t row = *next_row;
    if (row == 0u) {
        cwt->state = 1u;
        ecgqa_cwt_range_clear(&cwt->range);
    }
    if (cwt->flat == 0u) {
        if (row == 0u) {
            cwt->looked_at = likely_highest(cwt);
            scan_row(cwt, cwt->looked_at);
        }
        if (row != cwt->looked_at) {
            scan_row(cwt, row);
        }
    }
    *next_row = (uint16_t)(row + 1u);
    if (*next_row == t->rows) {
        ecgqa_cwt_range_close(cwt);
    }
    return ECGQA_OK;
}

ecgqa_status_t ecgqa_cwt_scan(ecgqa_cwt_t *cwt)
{
    uint16_t next_row = 0u;
    ecgqa_status_t status;
    do {
        status = ecgqa_cwt_scan_step(cwt, &next_row);
    } while (status == ECGQA_OK && next_row < cwt->tables->rows);
    return status;
}

ECGQA_APART static void index_columns(const ecgqa_cwt_t *cwt, uint16_t row,
                                      const ecgqa_cwt_arrays_t *a, int32_t exponent,
                                      uint8_t *index_row)
{
    const ecgqa_cwt_tables_t *t = cwt->tables;
    const ecgqa_cwt_scaler_t scaler = ecgqa_cwt_scaler(cwt, exponent);
    for (unsigned first = 0u; first < t->cols; first += BLOCK) {
        uint32_t magnitude[BLOCK];
        const unsigned left = t->cols - first, count = left < BLOCK ? left : BLOCK;
        ecgqa_cwt_columns(t, row, a->w_re, a->w_im, first, count, magnitude);
        ecgqa_cwt_to_index(&scaler, magnitude, count, index_row + first);
    }
}

ecgqa_status_t ecgqa_cwt_index_row(ecgqa_cwt_t *cwt, uint16_t row, uint8_t *index_row)
{
    if (cwt == NULL || cwt->tables == NULL || index_row == NULL || row >= cwt->tables->rows) {
        return ECGQA_ERR_ARGUMENT;
    }
    if (cwt->state != 2u) {
        return ECGQA_ERR_NOT_READY;
    }
    const ecgqa_cwt_tables_t *t = cwt->tables;
    if (cwt->flat != 0u || cwt->scale == 0u) {
        for (unsigned c = 0u; c < t->cols; ++c) {
            index_row[c] = 0u;
        }
        return ECGQA_OK;
    }
    const ecgqa_cwt_arrays_t a = ecgqa_cwt_arrays(cwt);
    ecgqa_cwt_row_info_t info = ecgqa_cwt_band(cwt, row, a.z);
    ecgqa_cwt_to_time(t, row, a.z, a.w_re, a.w_im, &info);
    index_columns(cwt, row, &a, info.exponent, index_row);
    return ECGQA_OK;
}
