#include "fft.h"

#include "cwt_internal.h"
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

static inline complex_t mul(complex_t a, complex_t w_q31)
{
    return (complex_t){ecgqa_mul_q31(a.re, w_q31.re) - ecgqa_mul_q31(a.im, w_q31.im),
                       ecgqa_mul_q31(a.re, w_q31.im) + ecgqa_mul_q31(a.im, w_q31.re)};
}

static inline complex_t load(const int32_t *re, const int32_t *im, uint32_t i)
{
    return (complex_t){re[i], im[i]};
}

static inline void store(int32_t *re, int32_t *im, uint32_t i, complex_t a)
{
    re[i] = a.re;
    im[i] = a.im;
}

/* ---- the forward transform: any mix of radices, once a segment -------------------------------- */

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

/* Transform of 2 or 4 points in place. */
static void small_even(complex_t *a, unsigned radix)
{
    if (radix == 2u) {
        const complex_t sum = add(a[0], a[1]);
        a[1] = sub(a[0], a[1]);
        a[0] = sum;
        return;
    }
    const complex_t s02 = add(a[0], a[2]), d02 = sub(a[0], a[2]);
    const complex_t s13 = add(a[1], a[3]), d13 = sub(a[1], a[3]);
    a[0] = add(s02, s13);
    a[2] = sub(s02, s13);
    a[1] = (complex_t){d02.re + d13.im, d02.im - d13.re};
    a[3] = (complex_t){d02.re - d13.im, d02.im + d13.re};
}

/* Transform of 3 or 5 points in place: cosines act on sums, sines on differences of a pair. */
static void small_odd(const ecgqa_cwt_tables_t *tables, complex_t *a, unsigned radix)
{
    const unsigned pairs = radix / 2u;
    const uint32_t step = 4u * (uint32_t)tables->segment_len / radix;
    complex_t sum[2], difference[2];
    complex_t total = a[0];
    for (unsigned q = 0u; q < pairs; ++q) {
        sum[q] = add(a[q + 1u], a[radix - 1u - q]);
        difference[q] = sub(a[q + 1u], a[radix - 1u - q]);
        total = add(total, sum[q]);
    }
    for (unsigned r = 1u; r <= pairs; ++r) {
        complex_t even = a[0];
        complex_t odd = {0, 0};
        for (unsigned q = 0u; q < pairs; ++q) {
            const complex_t w = turn(tables, step * ((r * (q + 1u)) % radix));
            even.re += ecgqa_mul_q31(sum[q].re, w.re);
            even.im += ecgqa_mul_q31(sum[q].im, w.re);
            odd.re -= ecgqa_mul_q31(difference[q].im, w.im);
            odd.im += ecgqa_mul_q31(difference[q].re, w.im);
        }
        a[r] = add(even, odd);
        a[radix - r] = sub(even, odd);
    }
    a[0] = total;
}

void ecgqa_fft_forward(const ecgqa_cwt_tables_t *tables, int32_t *re, int32_t *im)
{
    const uint32_t points = tables->forward_points;
    const uint32_t circle = 4u * (uint32_t)tables->segment_len;
    uint32_t span = 1u;
    for (unsigned stage = 0u; stage < tables->n_stages; ++stage) {
        const unsigned radix = tables->radices[stage];
        const uint32_t step = circle / (span * radix);
        for (uint32_t j = 0u; j < span; ++j) {
            complex_t w[5];
            for (unsigned q = 1u; q < radix; ++q) {
                w[q] = turn(tables, j * q * step);
            }
            for (uint32_t block = j; block < points; block += span * radix) {
                complex_t a[5];
                a[0] = load(re, im, block);
                for (unsigned q = 1u; q < radix; ++q) {
                    a[q] = load(re, im, block + q * span);
                    if (j != 0u) {
                        a[q] = mul(a[q], w[q]);
                    }
                }
                if (radix == 3u || radix == 5u) {
                    small_odd(tables, a, radix);
                } else {
                    small_even(a, radix);
                }
                for (unsigned q = 0u; q < radix; ++q) {
                    store(re, im, block + q * span, a[q]);
                }
            }
        }
        span *= radix;
    }
}

int32_t ecgqa_fft_cosine_bin(const ecgqa_cwt_tables_t *tables, const int32_t *re, const int32_t *im,
                             uint32_t bin)
{
    const uint32_t n = tables->segment_len, points = tables->forward_points;
    if (points == n) {
        const complex_t w = turn(tables, bin);
        return ecgqa_mul_q31(re[bin], w.re) - ecgqa_mul_q31(im[bin], w.im);
    }
    /* The transform of n real samples from that of n / 2 pairs, then a quarter sample's turn; bins
     * above n / 2 are the imaginary parts of those below. */
    const uint32_t k = bin <= points ? bin : n - bin;
    const uint32_t at = k % points, mirror = (points - at) % points;
    const complex_t even = {re[at] + re[mirror], im[at] - im[mirror]};
    const complex_t odd = {im[at] + im[mirror], re[mirror] - re[at]};
    const complex_t value = add(even, mul(odd, turn(tables, 4u * k)));
    const complex_t w = turn(tables, k);
    if (bin <= points) {
        return ecgqa_mul_q31(value.re, w.re) - ecgqa_mul_q31(value.im, w.im);
    }
    return -(ecgqa_mul_q31(value.re, w.im) + ecgqa_mul_q31(value.im, w.re));
}

/* ---- the short transform: powers of two, twice a row ------------------------------------------- */

/* exp(-2 pi i * angle / 2^(max_log2_fft + 1)), Q31; angle below 3/4 of the circle. */
static inline complex_t twiddle(const ecgqa_cwt_tables_t *tables, uint32_t angle)
{
    return (complex_t){tables->twiddle_cos_q31[angle], tables->twiddle_sin_q31[angle]};
}

static void fft_stages(const ecgqa_cwt_tables_t *tables, unsigned log2_fft, int32_t *re, int32_t *im)
{
    const uint32_t points = UINT32_C(1) << log2_fft;
    uint32_t span = 1u;
    if ((log2_fft & 1u) != 0u) {
        for (uint32_t i = 0u; i < points; i += 2u) {
            const complex_t a = load(re, im, i), b = load(re, im, i + 1u);
            store(re, im, i, add(a, b));
            store(re, im, i + 1u, sub(a, b));
        }
        span = 2u;
    } else {
        for (uint32_t i = 0u; i < points; i += 4u) {
            complex_t a[4] = {load(re, im, i), load(re, im, i + 2u), load(re, im, i + 1u),
                              load(re, im, i + 3u)};
            small_even(a, 4u);
            for (uint32_t q = 0u; q < 4u; ++q) {
                store(re, im, i + q, a[q]);
            }
        }
        span = 4u;
    }
    for (; span < points; span *= 4u) {
        const uint32_t step = (UINT32_C(2) << tables->max_log2_fft) / (4u * span);
        for (uint32_t j = 0u; j < span; ++j) {
            const complex_t w1 = twiddle(tables, j * step), w2 = twiddle(tables, 2u * j * step);
            const complex_t w3 = twiddle(tables, 3u * j * step);
            for (uint32_t i = j; i < points; i += 4u * span) {
                /* Bit-reversed order holds the second and third quarter exchanged. */
                complex_t a[4] = {load(re, im, i), mul(load(re, im, i + 2u * span), w1),
                                  mul(load(re, im, i + span), w2),
                                  mul(load(re, im, i + 3u * span), w3)};
                small_even(a, 4u);
                for (uint32_t q = 0u; q < 4u; ++q) {
                    store(re, im, i + q * span, a[q]);
                }
            }
        }
    }
}

void ecgqa_fft_real(const ecgqa_cwt_tables_t *tables, unsigned log2_fft, int32_t *re, int32_t *im)
{
    const uint32_t points = UINT32_C(1) << log2_fft;
    const unsigned stride = tables->max_log2_fft - log2_fft;
    fft_stages(tables, log2_fft, re, im);
    const complex_t zero = load(re, im, 0u);
    store(re, im, 0u, (complex_t){2 * (zero.re + zero.im), 0});
    store(re, im, points, (complex_t){2 * (zero.re - zero.im), 0});
    for (uint32_t i = 1u; i <= points / 2u; ++i) {
        const complex_t a = load(re, im, i), b = load(re, im, points - i);
        const complex_t even = {a.re + b.re, a.im - b.im};
        const complex_t odd = {a.im + b.im, b.re - a.re};
        const complex_t turned = mul(odd, twiddle(tables, i << stride));
        store(re, im, points - i, (complex_t){even.re - turned.re, turned.im - even.im});
        store(re, im, i, add(even, turned));
    }
}
