/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* Segments side by side, from the operators of wide_rows.h and the including file: step by step
 * what src/condition.c, src/cwt.c and src/fft.c do with one segment up to its spectrum; their
 * comments hold. Lanes take the same steps whatever their samples are. */

/* ---- samples to conditioned samples ---------------------------------------------------------- */

/* Segments, one behind the other, to lanes; the lanes that are left repeat the last one. */
static void load_segments(const int16_t *samples, uint32_t n, unsigned count, lanes_t *x)
{
    uint32_t i = 0u;
    for (; i + LANES <= n; i += LANES) {
        lanes_t v[LANES];
        for (unsigned lane = 0u; lane < LANES; ++lane) {
            v[lane] = widened(samples + (lane < count ? lane : count - 1u) * n + i);
        }
        transpose(v);
        memcpy(x + i, v, sizeof v);
    }
    for (; i < n; ++i) {
        for (unsigned lane = 0u; lane < LANES; ++lane) {
            x[i][lane] = samples[(lane < count ? lane : count - 1u) * n + i];
        }
    }
}

static inline lanes_t shifted_up(lanes_t a, lanes_t shift)
{
    return (lanes_t)((ulanes_t)a << (ulanes_t)shift);
}

static lanes_t bit_lengths(lanes_t a)
{
    lanes_t length;
    for (unsigned lane = 0u; lane < LANES; ++lane) {
        length[lane] = (int32_t)ecgqa_bit_length((uint32_t)a[lane]);
    }
    return length;
}

/* floor((sum + count / 2) / count) of samples' sums: both below 2^7 * 2^16, so that a product with
 * the reciprocal, rounded up, is as good as a division. */
static inline lanes_t mean_of(lanes_t sum, uint32_t count)
{
    if (count == 1u) {
        return sum;
    }
    const ulanes_t above = (ulanes_t)(sum + (int32_t)(count / 2u + (count << 16)));
    return (lanes_t)mul_high_u(above, UINT32_MAX / count + 1u) - (INT32_C(1) << 16);
}

static void block_means(const lanes_t *x, uint32_t n, uint32_t points, lanes_t *means)
{
    uint32_t i = 0u;
    for (uint32_t k = 0u; k < points; ++k) {
        const uint32_t first = i, end = (k + 1u) * n / points;
        lanes_t sum = all(0);
        for (; i < end; ++i) {
            sum += x[i];
        }
        means[k] = mean_of(sum, end - first);
    }
}

/* Where the scalar one looks for its places, each of these goes through all of them. */
static inline void running_median(const lanes_t *in, lanes_t *out, uint32_t points, uint32_t width)
{
    const int32_t half = (int32_t)(width / 2u);
    lanes_t sorted[ECGQA_CONDITION_LONG_POINTS];
    for (uint32_t i = 0u; i < width; ++i) {
        const lanes_t come = in[ecgqa_condition_mirrored((int32_t)i - half, points)];
        sorted[i] = all(INT32_MAX);
        for (uint32_t k = i; k > 0u; --k) {
            sorted[k] = smaller(sorted[k], larger(sorted[k - 1u], come));
        }
        sorted[0] = smaller(sorted[0], come);
    }
    out[0] = sorted[half];
    for (uint32_t k = 1u; k < points; ++k) {
        const lanes_t gone = in[ecgqa_condition_mirrored((int32_t)k - 1 - half, points)];
        const lanes_t come = in[ecgqa_condition_mirrored((int32_t)k + half, points)];
        lanes_t before = all(INT32_MIN);
        for (uint32_t i = 0u; i < width; ++i) {
            const lanes_t next = i + 1u < width ? sorted[i + 1u] : all(INT32_MAX);
            const lanes_t stays = (lanes_t)(sorted[i] < gone);
            const lanes_t left = (stays & sorted[i]) | (~stays & next);
            sorted[i] = smaller(left, larger(before, come));
            before = left;
        }
        out[k] = sorted[half];
    }
}

/* Shifted samples to what is left of them beyond the baseline. */
static void take_baseline(const lanes_t *baseline, uint32_t points, uint32_t n, lanes_t *x)
{
    const int32_t step = 2 * (int32_t)points, turn = 2 * (int32_t)n;
    int32_t position = (int32_t)points - (int32_t)n;
    uint32_t point = 0u;
    lanes_t low = smaller(baseline[0], baseline[1]), high = larger(baseline[0], baseline[1]);
    for (uint32_t i = 0u; i < n; ++i) {
        const lanes_t apart = smaller(x[i] - low, all(0)) + larger(x[i] - high, all(0));
        x[i] = larger(smaller(apart, all(INT16_MAX)), all(-INT16_MAX));
        position += step;
        if (position >= turn && point != points - 2u) {
            position -= turn;
            ++point;
            low = smaller(baseline[point], baseline[point + 1u]);
            high = larger(baseline[point], baseline[point + 1u]);
        }
    }
}

typedef struct {
    lanes_t lowest, highest;
} extremes_t;

static extremes_t extremes_of(const lanes_t *x, uint32_t n)
{
    extremes_t e = {x[0], x[0]};
    for (uint32_t i = 1u; i < n; ++i) {
        e.lowest = smaller(e.lowest, x[i]);
        e.highest = larger(e.highest, x[i]);
    }
    return e;
}

static inline lanes_t within(lanes_t a, lanes_t limit)
{
    return larger(smaller(a, limit), -limit);
}

/* Of conditioned samples without a limit. */
static lanes_t limit_of(const ecgqa_cwt_tables_t *t, const lanes_t *x)
{
    const uint32_t n_maxima = ecgqa_condition_per_segment(t, ECGQA_CONDITION_MAXIMA_PER_S);
    lanes_t largest[ECGQA_CONDITION_RANK];
    for (unsigned rank = 0u; rank < ECGQA_CONDITION_RANK; ++rank) {
        largest[rank] = all(0);
    }
    uint32_t i = 0u;
    for (uint32_t k = 0u; k < n_maxima; ++k) {
        const uint32_t end = ((k + 1u) * t->segment_len + n_maxima - 1u) / n_maxima;
        const extremes_t e = extremes_of(x + i, end - i);
        lanes_t maximum = larger(e.highest, -e.lowest);
        for (unsigned rank = 0u; rank < ECGQA_CONDITION_RANK; ++rank) {
            const lanes_t less = smaller(largest[rank], maximum);
            largest[rank] = larger(largest[rank], maximum);
            maximum = less;
        }
        i = end;
    }
    return smaller((3 * largest[ECGQA_CONDITION_RANK - 1u]) >> 1, all(INT16_MAX));
}

/* `count` segments to conditioned samples in wide->x; their extremes. */
static extremes_t condition(const ecgqa_cwt_tables_t *t, const ecgqa_wide_t *wide,
                            const int16_t *samples, unsigned count)
{
    const uint32_t n = t->segment_len, points = ecgqa_condition_points(t);
    lanes_t *const x = (lanes_t *)(void *)wide->x;
    load_segments(samples, n, count, x);
    extremes_t e = extremes_of(x, n);
    if (points == 0u) {
        return e;
    }
    const lanes_t middle = (e.lowest + e.highest + 1) >> 1;
    const lanes_t shift = larger(15 - bit_lengths(e.highest - e.lowest), all(0));
    for (uint32_t i = 0u; i < n; ++i) {
        x[i] = shifted_up(x[i] - middle, shift);
    }
    lanes_t *const a = (lanes_t *)(void *)wide->baseline, *const b = a + points;
    block_means(x, n, points, a);
    running_median(a, b, points, ECGQA_CONDITION_SHORT_POINTS);
    running_median(b, a, points, ECGQA_CONDITION_LONG_POINTS);
    take_baseline(a, points, n, x);
    const lanes_t limit = limit_of(t, x);
    for (uint32_t i = 0u; i < n; ++i) {
        x[i] = within(x[i], limit);
    }
    return extremes_of(x, n);
}

static void flat(const ecgqa_cwt_tables_t *t, const ecgqa_wide_t *wide, const int16_t *samples,
                 unsigned count, uint8_t *is_flat)
{
    const extremes_t e = condition(t, wide, samples, count);
    for (unsigned lane = 0u; lane < count; ++lane) {
        is_flat[lane] = e.lowest[lane] == e.highest[lane];
    }
}

/* ---- the forward transform ------------------------------------------------------------------- */

/* exp(-2 pi i * angle / (4 * segment_len)), Q31: a quarter is a turn by -i. */
static ecgqa_wide_turn_t turn_of(const ecgqa_cwt_tables_t *t, uint32_t angle)
{
    const uint32_t n = t->segment_len, quarter = angle / n, at = angle % n;
    const int32_t re = t->quarter_sine_q31[n - at], im = -t->quarter_sine_q31[at];
    switch (quarter) {
    case 0u:
        return (ecgqa_wide_turn_t){re, im};
    case 1u:
        return (ecgqa_wide_turn_t){im, -re};
    case 2u:
        return (ecgqa_wide_turn_t){-re, -im};
    default:
        return (ecgqa_wide_turn_t){-im, re};
    }
}

static inline lanes_t mul_q31(lanes_t a, int32_t b)
{
    return 2 * mul_high(a, b);
}

static inline void small_odd(const ecgqa_cwt_tables_t *t, complex_t *a, unsigned radix)
{
    const unsigned pairs = radix / 2u;
    const uint32_t step = 4u * (uint32_t)t->segment_len / radix;
    complex_t sum[2], difference[2];
    complex_t total = a[0];
    for (unsigned q = 0u; q < pairs; ++q) {
        sum[q] = add(a[q + 1u], a[radix - 1u - q]);
        difference[q] = sub(a[q + 1u], a[radix - 1u - q]);
        total = add(total, sum[q]);
    }
    for (unsigned r = 1u; r <= pairs; ++r) {
        complex_t even = a[0], odd = {all(0), all(0)};
        for (unsigned q = 0u; q < pairs; ++q) {
            const ecgqa_wide_turn_t w = turn_of(t, step * ((r * (q + 1u)) % radix));
            even.re += mul_q31(sum[q].re, w.re);
            even.im += mul_q31(sum[q].im, w.re);
            odd.re -= mul_q31(difference[q].im, w.im);
            odd.im += mul_q31(difference[q].re, w.im);
        }
        a[r] = add(even, odd);
        a[radix - r] = sub(even, odd);
    }
    a[0] = total;
}

/* One butterfly of points `span` apart, turned by w but for the first. */
static inline void butterfly(const ecgqa_cwt_tables_t *t, complex_t *z, uint32_t span,
                             unsigned radix, const ecgqa_wide_turn_t *w)
{
    complex_t a[5];
    a[0] = z[0];
    for (unsigned q = 1u; q < radix; ++q) {
        a[q] = z[q * span];
        if (w != NULL) {
            a[q] = turned_by(a[q], w[q]);
        }
    }
    if (radix == 4u) {
        store_four(z, span, a[0], a[1], a[2], a[3]);
    } else if (radix == 2u) {
        z[0] = add(a[0], a[1]);
        z[span] = sub(a[0], a[1]);
    } else {
        small_odd(t, a, radix);
        for (unsigned q = 0u; q < radix; ++q) {
            z[q * span] = a[q];
        }
    }
}

static inline void forward_stage(const ecgqa_cwt_tables_t *t, complex_t *z, uint32_t span,
                                 unsigned radix)
{
    const uint32_t points = t->forward_points;
    const uint32_t step = 4u * (uint32_t)t->segment_len / (span * radix);
    for (uint32_t j = 0u; j < span; ++j) {
        ecgqa_wide_turn_t w[5];
        for (unsigned q = 1u; q < radix; ++q) {
            w[q] = turn_of(t, j * q * step);
        }
        for (uint32_t block = j; block < points; block += span * radix) {
            butterfly(t, z + block, span, radix, j == 0u ? NULL : w);
        }
    }
}

static void fft_forward(const ecgqa_cwt_tables_t *t, complex_t *z)
{
    uint32_t span = 1u;
    for (unsigned stage = 0u; stage < t->n_stages; ++stage) {
        const unsigned radix = t->radices[stage];
        switch (radix) { /* a compiler takes the loops of each apart */
        case 2u:
            forward_stage(t, z, span, 2u);
            break;
        case 3u:
            forward_stage(t, z, span, 3u);
            break;
        case 4u:
            forward_stage(t, z, span, 4u);
            break;
        default:
            forward_stage(t, z, span, 5u);
            break;
        }
        span *= radix;
    }
}

static inline lanes_t cosine_bin(const ecgqa_cwt_tables_t *t, const complex_t *z, uint32_t bin)
{
    const uint32_t n = t->segment_len, points = t->forward_points;
    if (points == n) {
        const ecgqa_wide_turn_t w = turn_of(t, bin);
        return mul_q31(z[bin].re, w.re) - mul_q31(z[bin].im, w.im);
    }
    const uint32_t k = bin <= points ? bin : n - bin;
    const uint32_t at = k % points, mirror = (points - at) % points;
    const complex_t a = z[at], b = z[mirror];
    const complex_t even = {a.re + b.re, a.im - b.im};
    const complex_t odd = {a.im + b.im, b.re - a.re};
    const complex_t value = add(even, turned_by(odd, turn_of(t, 4u * k)));
    const ecgqa_wide_turn_t w = turn_of(t, k);
    if (bin <= points) {
        return mul_q31(value.re, w.re) - mul_q31(value.im, w.im);
    }
    return -(mul_q31(value.re, w.im) + mul_q31(value.im, w.re));
}

/* ---- samples to spectra ---------------------------------------------------------------------- */

/* Conditioned samples to the transform's input. */
static void load_transform(const ecgqa_cwt_tables_t *t, const lanes_t *x, extremes_t e,
                           complex_t *z)
{
    const uint32_t n = t->segment_len, each = n / t->forward_points;
    const lanes_t middle = (e.lowest + e.highest) >> 1;
    lanes_t sum = all(0);
    for (uint32_t i = 0u; i < n; ++i) {
        sum += absolute(x[i] - middle);
    }
    const lanes_t shift = (int32_t)ECGQA_CWT_TRANSFORM_BITS - bit_lengths(sum);
    for (uint32_t sample = 0u; sample < n; ++sample) {
        const uint32_t i = (sample & 1u) == 0u ? sample / 2u : n - 1u - sample / 2u;
        const lanes_t shifted = shifted_up(x[sample] - middle, shift);
        complex_t *const to = &z[t->forward_order[i / each]];
        if (each == 1u) {
            *to = (complex_t){shifted, all(0)};
        } else if ((i & 1u) == 0u) {
            to->re = shifted;
        } else {
            to->im = shifted;
        }
    }
}

/* Bins from `first` on, `n` of one group, to the segments' spectra. */
static void store_group(const lanes_t *bins, uint32_t first, unsigned n, ecgqa_cwt_t *cwt,
                        unsigned count)
{
    lanes_t largest = all(0);
    for (unsigned i = 0u; i < n; ++i) {
        largest = larger(largest, absolute(bins[i]));
    }
    const lanes_t shift = larger(bit_lengths(largest) - (int32_t)ECGQA_CWT_MANTISSA_BITS, all(0));
    const lanes_t half = shifted_up(all(1), shift) >> 1;
    for (unsigned i = 0u; i < n; ++i) {
        const lanes_t mantissa = to_s16(bins[i], half, shift);
        for (unsigned lane = 0u; lane < count; ++lane) {
            cwt[lane].spectrum[first + i] = (int16_t)mantissa[lane];
        }
    }
    for (unsigned lane = 0u; lane < count; ++lane) {
        cwt[lane].exponent[first / ECGQA_CWT_GROUP] = (uint8_t)shift[lane];
    }
}

static void analyse(const ecgqa_wide_t *wide, const int16_t *samples, ecgqa_cwt_t *cwt,
                    unsigned count)
{
    const ecgqa_cwt_tables_t *const t = cwt->tables;
    complex_t *const z = (complex_t *)(void *)wide->forward;
    const extremes_t e = condition(t, wide, samples, count);
    load_transform(t, (const lanes_t *)(const void *)wide->x, e, z);
    fft_forward(t, z);
    for (uint32_t first = 0u; first <= t->n_bins; first += ECGQA_CWT_GROUP) {
        lanes_t bins[ECGQA_CWT_GROUP];
        const uint32_t left = t->n_bins + 1u - first;
        const unsigned n = left < ECGQA_CWT_GROUP ? left : ECGQA_CWT_GROUP;
        for (unsigned i = 0u; i < n; ++i) {
            bins[i] = first + i == 0u ? all(0) : cosine_bin(t, z, first + i);
        }
        store_group(bins, first, n, cwt, count);
    }
    for (unsigned lane = 0u; lane < count; ++lane) {
        cwt[lane].state = 1u;
        cwt[lane].flat = e.lowest[lane] == e.highest[lane];
    }
}
