/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
#include "fast.h"

#include "fft.h"

#include "cwt_dsp.h"
#include "ecgqa/fixed.h"

typedef struct {
    int32_t re, im;
} complex_t;

static inline complex_t add(complex_t a, complex_t b)
{
    return (complex_t){a.re + b.re, a.im + b.im};
}

static inline complex_t sub(complex_t a, complex_t b)
{
    return (complex_t){a.re - b.re, a.im - b.im};
}

/* Half of a * w: the caller doubles, most often inside an addition. */
static inline complex_t half_mul(complex_t a, complex_t w_q31)
{
    return (complex_t){ecgqa_mul_high(a.re, w_q31.re) - ecgqa_mul_high(a.im, w_q31.im),
                       ecgqa_mul_high(a.re, w_q31.im) + ecgqa_mul_high(a.im, w_q31.re)};
}

static inline complex_t mul(complex_t a, complex_t w_q31)
{
    const complex_t half = half_mul(a, w_q31);
    return (complex_t){half.re * 2, half.im * 2};
}

/* z holds real and imaginary parts in turn. */
static inline complex_t load(const int32_t *z, uint32_t i)
{
    return (complex_t){z[2u * i], z[2u * i + 1u]};
}

static inline void store(int32_t *z, uint32_t i, complex_t a)
{
    z[2u * i] = a.re;
    z[2u * i + 1u] = a.im;
}

/* ---- the forward transform: any mix of radices, once a segment ------------------------------- */

/* exp(-2 pi i * angle / (4 * segment_len)), Q31; angle < 4 * segment_len. */
static complex_t turn(const ecgqa_cwt_tables_t *tables, uint32_t angle)
{
    const uint32_t n = tables->segment_len;
    const int32_t *sine = tables->quarter_sine_q31;
    if (angle < n) {
        return (complex_t){sine[n - angle], -sine[angle]};
    }
    if (angle < 2u * n) {
        return (complex_t){-sine[angle - n], -sine[2u * n - angle]};
    }
    if (angle < 3u * n) {
        return (complex_t){-sine[3u * n - angle], sine[angle - 2u * n]};
    }
    return (complex_t){sine[angle - 3u * n], sine[4u * n - angle]};
}

/* Transform of four values, stored `step` apart from i on. */
static inline void store_four(int32_t *z, uint32_t i, uint32_t step, complex_t a0, complex_t a1,
                              complex_t a2, complex_t a3)
{
    const complex_t s02 = add(a0, a2), d02 = sub(a0, a2);
    const complex_t s13 = add(a1, a3), d13 = sub(a1, a3);
    store(z, i, add(s02, s13));
    store(z, i + step, (complex_t){d02.re + d13.im, d02.im - d13.re});
    store(z, i + 2u * step, sub(s02, s13));
    store(z, i + 3u * step, (complex_t){d02.re - d13.im, d02.im + d13.re});
}

/* exp(-2 pi i * r * q / radix) for pairs r, q of 3 or 5 points, from 1. */
typedef struct {
    complex_t w[2][2];
} roots_t;

static roots_t roots_of(const ecgqa_cwt_tables_t *tables, unsigned radix)
{
    const uint32_t step = 4u * (uint32_t)tables->segment_len / radix;
    roots_t roots;
    for (unsigned r = 0u; r < 2u; ++r) {
        for (unsigned q = 0u; q < 2u; ++q) {
            roots.w[r][q] = turn(tables, step * ((r + 1u) * (q + 1u) % radix));
        }
    }
    return roots;
}

/* Transform of 3 or 5 points in place: cosines act on sums, sines on differences of a pair. */
static inline void small_odd(const roots_t *roots, complex_t *a, unsigned radix)
{
    const unsigned pairs = radix / 2u;
    complex_t sum[2], difference[2];
    complex_t total = a[0];
    for (unsigned q = 0u; q < pairs; ++q) {
        sum[q] = add(a[q + 1u], a[radix - 1u - q]);
        difference[q] = sub(a[q + 1u], a[radix - 1u - q]);
        total = add(total, sum[q]);
    }
    for (unsigned r = 0u; r < pairs; ++r) {
        complex_t even = a[0];
        complex_t odd = {0, 0};
        for (unsigned q = 0u; q < pairs; ++q) {
            const complex_t w = roots->w[r][q];
            even.re += ecgqa_mul_q31(sum[q].re, w.re);
            even.im += ecgqa_mul_q31(sum[q].im, w.re);
            odd.re -= ecgqa_mul_q31(difference[q].im, w.im);
            odd.im += ecgqa_mul_q31(difference[q].re, w.im);
        }
        a[r + 1u] = add(even, odd);
        a[radix - 1u - r] = sub(even, odd);
    }
    a[0] = total;
}

void ecgqa_fft_forward(const ecgqa_cwt_tables_t *tables, int32_t *z)
{
    const uint32_t points = tables->forward_points;
    const uint32_t circle = 4u * (uint32_t)tables->segment_len;
    uint32_t span = 1u;
    for (unsigned stage = 0u; stage < tables->n_stages; ++stage) {
        const unsigned radix = tables->radices[stage];
        const uint32_t step = circle / (span * radix);
        const roots_t roots = roots_of(tables, radix);
        for (uint32_t j = 0u; j < span; ++j) {
            complex_t w[5];
            for (unsigned q = 1u; q < radix; ++q) {
                w[q] = turn(tables, j * q * step);
            }
            for (uint32_t block = j; block < points; block += span * radix) {
                complex_t a[5];
                a[0] = load(z, block);
                for (unsigned q = 1u; q < radix; ++q) {
                    a[q] = load(z, block + q * span);
                    if (j != 0u) {
                        a[q] = mul(a[q], w[q]);
                    }
                }
                if (radix == 4u) {
                    store_four(z, block, span, a[0], a[1], a[2], a[3]);
                } else if (radix == 2u) {
                    store(z, block, add(a[0], a[1]));
                    store(z, block + span, sub(a[0], a[1]));
                } else {
                    small_odd(&roots, a, radix);
                    for (unsigned q = 0u; q < radix; ++q) {
                        store(z, block + q * span, a[q]);
                    }
                }
            }
        }
        span *= radix;
    }
}

int32_t ecgqa_fft_cosine_bin(const ecgqa_cwt_tables_t *tables, const int32_t *z, uint32_t bin)
{
    const uint32_t n = tables->segment_len, points = tables->forward_points;
    if (points == n) {
        const complex_t w = turn(tables, bin);
        const complex_t a = load(z, bin);
        return ecgqa_mul_q31(a.re, w.re) - ecgqa_mul_q31(a.im, w.im);
    }
    /* The transform of n real samples from that of n / 2 pairs, then a quarter sample's turn; bins
     * above n / 2 are the imaginary parts of those below. */
    const uint32_t k = bin <= points ? bin : n - bin;
    const uint32_t at = k % points, mirror = (points - at) % points;
    const complex_t a = load(z, at), b = load(z, mirror);
    const complex_t even = {a.re + b.re, a.im - b.im};
    const complex_t odd = {a.im + b.im, b.re - a.re};
    const complex_t value = add(even, mul(odd, turn(tables, 4u * k)));
    const complex_t w = turn(tables, k);
    if (bin <= points) {
        return ecgqa_mul_q31(value.re, w.re) - ecgqa_mul_q31(value.im, w.im);
    }
    return -(ecgqa_mul_q31(value.re, w.im) + ecgqa_mul_q31(value.im, w.re));
}

/* ---- the short transform: powers of two, twice a row ----------------------------------------- */

/* exp(-2 pi i * angle / 2^(max_log2_fft + 1)), Q31; angle below 3/4 of the circle. */
static inline complex_t twiddle(const ecgqa_cwt_tables_t *tables, uint32_t angle)
{
    return (complex_t){tables->twiddle_cos_q31[angle], tables->twiddle_sin_q31[angle]};
}

/* Butterflies of four, `span` apart, but the first point of each quarter, which is not turned.
 * Bit-reversed order holds the second and third quarter exchanged. */
static void turned_fours(const ecgqa_cwt_tables_t *tables, int32_t *z, uint32_t points,
                         uint32_t span)
{
    const uint32_t step = (UINT32_C(2) << tables->max_log2_fft) / (4u * span);
#if ECGQA_DSP
    const uint32_t word = sizeof *z;
    const ecgqa_cwt_dsp_stage_t stage = {8u * word * span,
                                         z + 2u * points,
                                         tables->twiddle_cos_q31,
                                         tables->twiddle_sin_q31,
                                         word * step,
                                         word * step,
                                         z + 2,
                                         2u * word * span,
                                         z + 2u * span};
    ecgqa_cwt_dsp_stage(&stage);
#else
    for (uint32_t j = 1u; j < span; ++j) {
        const complex_t w1 = twiddle(tables, j * step), w2 = twiddle(tables, 2u * j * step);
        const complex_t w3 = twiddle(tables, 3u * j * step);
        for (uint32_t i = j; i < points; i += 4u * span) {
            store_four(z, i, span, load(z, i), mul(load(z, i + 2u * span), w1),
                       mul(load(z, i + span), w2), mul(load(z, i + 3u * span), w3));
        }
    }
#endif
}

static void fft_stages(const ecgqa_cwt_tables_t *tables, unsigned log2_fft, int32_t *z)
{
    const uint32_t points = UINT32_C(1) << log2_fft;
    uint32_t span = 1u;
    if ((log2_fft & 1u) != 0u) {
        for (uint32_t i = 0u; i < points; i += 2u) {
            const complex_t a = load(z, i), b = load(z, i + 1u);
            store(z, i, add(a, b));
            store(z, i + 1u, sub(a, b));
        }
        span = 2u;
    } else {
        for (uint32_t i = 0u; i < points; i += 4u) {
            store_four(z, i, 1u, load(z, i), load(z, i + 2u), load(z, i + 1u), load(z, i + 3u));
        }
        span = 4u;
    }
    for (; span < points; span *= 4u) {
        for (uint32_t i = 0u; i < points; i += 4u * span) {
            store_four(z, i, span, load(z, i), load(z, i + 2u * span), load(z, i + span),
                       load(z, i + 3u * span));
        }
        turned_fours(tables, z, points, span);
    }
}

/* A 1 for each bit that |re| or |im| has. */
static inline uint32_t bits_of(complex_t a)
{
    return (uint32_t)(ecgqa_abs(a.re) | ecgqa_abs(a.im));
}

uint32_t ecgqa_fft_real(const ecgqa_cwt_tables_t *tables, unsigned log2_fft, int32_t *z)
{
    const uint32_t points = UINT32_C(1) << log2_fft;
    const unsigned stride = tables->max_log2_fft - log2_fft;
    fft_stages(tables, log2_fft, z);
    const complex_t zero = load(z, 0u);
    const complex_t first = {2 * (zero.re + zero.im), 0}, last = {2 * (zero.re - zero.im), 0};
    store(z, 0u, first);
    store(z, points, last);
    uint32_t bits = bits_of(first) | bits_of(last);
    for (uint32_t i = 1u; i <= points / 2u; ++i) {
        const complex_t a = load(z, i), b = load(z, points - i);
        const complex_t even = {a.re + b.re, a.im - b.im};
        const complex_t odd = {a.im + b.im, b.re - a.re};
        const complex_t turned = mul(odd, twiddle(tables, i << stride));
        const complex_t mirrored = {even.re - turned.re, turned.im - even.im};
        const complex_t value = add(even, turned);
        store(z, points - i, mirrored);
        store(z, i, value);
        bits |= bits_of(mirrored) | bits_of(value);
    }
    return bits;
}
