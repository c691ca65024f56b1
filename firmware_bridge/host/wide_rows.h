/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* The kernels, from the operators on lanes that the including file has: LANES, lanes_t, ulanes_t.
 * Step by step what src/cwt.c and src/fft.c do with one row; their comments hold. */

typedef struct {
    lanes_t re, im;
} complex_t;

static inline lanes_t load(const int32_t *a)
{
    lanes_t v;
    memcpy(&v, a, sizeof v);
    return v;
}

/* ---- the short transform --------------------------------------------------------------------- */

static inline complex_t add(complex_t a, complex_t b)
{
    return (complex_t){a.re + b.re, a.im + b.im};
}

static inline complex_t sub(complex_t a, complex_t b)
{
    return (complex_t){a.re - b.re, a.im - b.im};
}

static inline complex_t turned_by(complex_t a, ecgqa_wide_turn_t w)
{
    const complex_t half = {mul_high(a.re, w.re) - mul_high(a.im, w.im),
                            mul_high(a.re, w.im) + mul_high(a.im, w.re)};
    return add(half, half);
}

static inline complex_t mul(complex_t a, const ecgqa_cwt_tables_t *tables, uint32_t angle)
{
    const ecgqa_wide_turn_t w = {tables->twiddle_cos_q31[angle], tables->twiddle_sin_q31[angle]};
    return turned_by(a, w);
}

static inline void store_four(complex_t *z, uint32_t step, complex_t a0, complex_t a1, complex_t a2,
                              complex_t a3)
{
    const complex_t s02 = add(a0, a2), d02 = sub(a0, a2);
    const complex_t s13 = add(a1, a3), d13 = sub(a1, a3);
    z[0] = add(s02, s13);
    z[step] = (complex_t){d02.re + d13.im, d02.im - d13.re};
    z[2u * step] = sub(s02, s13);
    z[3u * step] = (complex_t){d02.re - d13.im, d02.im + d13.re};
}

static void fft_stages(const ecgqa_cwt_tables_t *tables, unsigned log2_fft, complex_t *z)
{
    const uint32_t points = UINT32_C(1) << log2_fft;
    uint32_t span = (log2_fft & 1u) != 0u ? 2u : 4u;
    for (uint32_t i = 0u; i < points; i += span) {
        if (span == 2u) {
            const complex_t a = z[i], b = z[i + 1u];
            z[i] = add(a, b);
            z[i + 1u] = sub(a, b);
        } else {
            store_four(&z[i], 1u, z[i], z[i + 2u], z[i + 1u], z[i + 3u]);
        }
    }
    for (; span < points; span *= 4u) {
        const uint32_t step = (UINT32_C(2) << tables->max_log2_fft) / (4u * span);
        for (uint32_t i = 0u; i < points; i += 4u * span) {
            store_four(&z[i], span, z[i], z[i + 2u * span], z[i + span], z[i + 3u * span]);
        }
        for (uint32_t j = 1u; j < span; ++j) {
            for (uint32_t i = j; i < points; i += 4u * span) {
                store_four(&z[i], span, z[i], mul(z[i + 2u * span], tables, j * step),
                           mul(z[i + span], tables, 2u * j * step),
                           mul(z[i + 3u * span], tables, 3u * j * step));
            }
        }
    }
}

/* ecgqa_fft_real; what comes back has a 1 for each bit that |re| or |im| has somewhere. */
static lanes_t fft_real(const ecgqa_cwt_tables_t *tables, unsigned log2_fft, complex_t *z)
{
    const uint32_t points = UINT32_C(1) << log2_fft;
    const unsigned stride = tables->max_log2_fft - log2_fft;
    fft_stages(tables, log2_fft, z);
    const complex_t zero = z[0];
    z[0] = (complex_t){2 * (zero.re + zero.im), all(0)};
    z[points] = (complex_t){2 * (zero.re - zero.im), all(0)};
    lanes_t bits = absolute(z[0].re) | absolute(z[points].re);
    for (uint32_t i = 1u; i <= points / 2u; ++i) {
        const complex_t a = z[i], b = z[points - i];
        const complex_t even = {a.re + b.re, a.im - b.im};
        const complex_t odd = {a.im + b.im, b.re - a.re};
        const complex_t turned = mul(odd, tables, i << stride);
        const complex_t back = {even.re - turned.re, turned.im - even.im};
        const complex_t forth = add(even, turned);
        z[points - i] = back;
        z[i] = forth;
        bits |= absolute(back.re) | absolute(back.im) | absolute(forth.re) | absolute(forth.im);
    }
    return bits;
}

/* ---- spectrum to W --------------------------------------------------------------------------- */

/* `n` int32, and up to LANES - 1 beyond. */
static inline void copy(int32_t *to, const int32_t *from, uint32_t n)
{
    for (uint32_t i = 0u; i < n; i += LANES) {
        const lanes_t v = load(from + i);
        memcpy(to + i, &v, sizeof v);
    }
}

static inline void clear(int32_t *to, uint32_t n)
{
    for (uint32_t i = 0u; i < n; i += LANES) {
        const lanes_t v = all(0);
        memcpy(to + i, &v, sizeof v);
    }
}

/* A row's band to `line`, from where ecgqa_cwt_band has it; its exponent. */
static int32_t band_of(const ecgqa_cwt_t *cwt, const ecgqa_wide_t *wide, const ecgqa_cwt_row_t *row,
                       const int16_t *weights, int32_t *line)
{
    const uint32_t period = UINT32_C(2) << row->log2_fft;
    const uint32_t first_group = row->first_bin / ECGQA_CWT_GROUP;
    const uint32_t groups = ecgqa_wide_groups(row);
    const uint8_t *const exponent = cwt->exponent + first_group;
    const int16_t *const spectrum = wide->spectrum + first_group * ECGQA_CWT_GROUP;
    unsigned top = 0u;
    for (uint32_t g = 0u; g < groups; ++g) {
        top = exponent[g] > top ? exponent[g] : top;
    }
    const uint32_t count = (uint32_t)row->last_bin - row->first_bin + 1u;
    const unsigned base = ecgqa_cwt_band_shift(row);
    int32_t *const band = wide->band;
    for (uint32_t g = 0u; g < groups; ++g) {
        unsigned shift = base + (top - exponent[g]);
        shift = shift > 30u ? 30u : shift;
        const int32_t half = (int32_t)((UINT32_C(1) << shift) >> 1);
        for (uint32_t i = g * ECGQA_CWT_GROUP; i < (g + 1u) * ECGQA_CWT_GROUP; i += LANES) {
            const lanes_t value = (widened(spectrum + i) * widened(weights + i) + half) >> shift;
            memcpy(band + i, &value, sizeof value);
        }
    }
    /* In order: what goes beyond the end of one part is overwritten by the next. */
    const int32_t *const from = band + row->first_bin % ECGQA_CWT_GROUP;
    const uint32_t at = ((uint32_t)row->first_bin - row->centre_bin) & (period - 1u);
    const uint32_t behind = count < period - at ? count : period - at, rest = count - behind;
    copy(line, from + behind, rest);
    clear(line + rest, at - rest);
    copy(line + at, from, behind);
    clear(line + at + behind, period - at - behind);
    return (int32_t)(top + base);
}

/* Lines to the order that fft_stages takes. */
static void interleave(const ecgqa_cwt_tables_t *tables, unsigned log2_fft, const int32_t *line,
                       size_t line_len, complex_t *z)
{
    const unsigned shift = tables->max_log2_fft - log2_fft;
    for (uint32_t i = 0u; i < UINT32_C(2) << log2_fft; i += LANES) {
        lanes_t v[LANES];
        for (unsigned lane = 0u; lane < LANES; ++lane) {
            v[lane] = load(line + lane * line_len + i);
        }
        transpose(v);
        for (unsigned k = 0u; k < LANES; k += 2u) {
            z[tables->bit_reversal[(i + k) / 2u] >> shift] = (complex_t){v[k], v[k + 1u]};
        }
    }
}

static inline lanes_t to_s16(lanes_t a, lanes_t half, lanes_t shift)
{
    return smaller(larger((a + half) >> shift, all(INT16_MIN)), all(INT16_MAX));
}

static inline complex_t conjugate_s16(complex_t a)
{
    return (complex_t){a.re, smaller(-a.im, all(INT16_MAX))};
}

/* ecgqa_cwt_to_time; adds the shifts to `exponent`. */
static void to_time(const ecgqa_cwt_tables_t *tables, unsigned log2_fft, complex_t *z, complex_t *w,
                    int32_t *exponent)
{
    const uint32_t points = UINT32_C(1) << log2_fft;
    const lanes_t bits = fft_real(tables, log2_fft, z);
    lanes_t shift, half;
    for (unsigned lane = 0u; lane < LANES; ++lane) {
        const unsigned length = ecgqa_bit_length((uint32_t)bits[lane]);
        const unsigned down =
            length > ECGQA_CWT_MANTISSA_BITS ? length - ECGQA_CWT_MANTISSA_BITS : 0u;
        shift[lane] = (int32_t)down;
        half[lane] = (int32_t)((UINT32_C(1) << down) >> 1);
        exponent[lane] += (int32_t)down - 1;
    }
    complex_t *const out = w + ECGQA_CWT_PAD;
    for (uint32_t i = 0u; i <= points; ++i) {
        out[i] = (complex_t){to_s16(z[i].re, half, shift), to_s16(z[i].im, half, shift)};
    }
    for (uint32_t i = 1u; i <= ECGQA_CWT_PAD; ++i) {
        w[ECGQA_CWT_PAD - i] = conjugate_s16(out[i]);
        out[points + i] = conjugate_s16(out[points - i]);
    }
    for (uint32_t i = 0u; i < points + 2u * ECGQA_CWT_PAD; ++i) {
        w[i] = (complex_t){with_next(w[i].re, w[i + 1u].re), with_next(w[i].im, w[i + 1u].im)};
    }
}

/* ---- W to magnitudes to indices -------------------------------------------------------------- */

typedef struct {
    lanes_t along, across;
} vector_t;

static inline vector_t folded(vector_t v, int shift)
{
    return (vector_t){v.along + (v.across >> shift), absolute(v.across - (v.along >> shift))};
}

static inline lanes_t magnitude_of(lanes_t re, lanes_t im)
{
    const lanes_t x = absolute(re), y = absolute(im);
    vector_t v = {x + y, absolute(y - x)};
    v = folded(v, 1);
    v = folded(v, 2);
    v = folded(v, 3);
    v = folded(v, 4);
    return v.along + (v.across >> 5);
}

/* ecgqa_cwt_columns of all columns, and ecgqa_cwt_extremes. */
static void columns(const ecgqa_cwt_tables_t *tables, unsigned log2_fft, const lanes_t *w,
                    lanes_t *magnitude, lanes_t *low, lanes_t *high)
{
    const uint32_t cols = tables->cols, points = UINT32_C(1) << log2_fft;
    const uint32_t whole = points / cols, part = points % cols;
    const lanes_t *at = w + 2u * (points / 2u / cols + ECGQA_CWT_PAD - (ECGQA_CWT_TAPS / 2u - 1u));
    uint32_t phase = points / 2u % cols;
    lanes_t least = all(INT32_MAX), most = all(0);
    for (uint32_t c = 0u; c < cols; ++c) {
        const int16_t *const taps = &tables->taps_q14[phase * ECGQA_CWT_TAPS];
        magnitude[c] = magnitude_of(dot8(at, 2u, taps), dot8(at + 1, 2u, taps));
        least = smaller(least, magnitude[c]);
        most = larger(most, magnitude[c]);
        at += 2u * whole;
        phase += part;
        if (phase >= cols) {
            phase -= cols;
            at += 2;
        }
    }
    *low = least;
    *high = most;
}

/* What ecgqa_cwt_to_index does to the magnitudes of a batch. */
typedef struct {
    uint32_t scale, low, high;
    unsigned widen;
    ulanes_t down, up;
    lanes_t limit;
    int plain; /* nothing to add to, to take off or to clip */
} scaler_t;

static scaler_t scaler_of(const ecgqa_cwt_t *cwt, const int32_t *exponent)
{
    const int32_t highest = cwt->range.high.exponent;
    const ecgqa_cwt_scaler_t one = ecgqa_cwt_scaler(cwt, highest);
    const lanes_t down = highest - load(exponent), most = all(31);
    scaler_t s = {one.scale, one.low, one.high, one.widen, {0}, {0}, {0}, one.low == 0u};
    s.down = (ulanes_t)smaller(larger(down, all(0)), most);
    s.up = (ulanes_t)smaller(larger(-down, all(0)), most);
    /* Without `up` it is beyond every magnitude, and beyond int32. */
    const lanes_t limit = (lanes_t)((ulanes_t)all((int32_t)one.high) >> s.up);
    s.limit = (limit | (limit >> 31)) & INT32_MAX;
    for (unsigned lane = 0u; lane < LANES; ++lane) {
        s.plain = s.plain && exponent[lane] <= highest;
    }
    return s;
}

static inline ulanes_t level_of(const scaler_t *s, lanes_t magnitude, int plain)
{
    ulanes_t value = (ulanes_t)magnitude >> s->down;
    if (!plain) {
        const ulanes_t beyond = (ulanes_t)(magnitude > s->limit);
        value = (beyond & s->high) | (~beyond & (value << s->up));
        value = (larger_u(value, (ulanes_t)all((int32_t)s->low)) - s->low) << s->widen;
    }
    return (mul_high_u(value, s->scale) + (UINT32_C(1) << 21)) >> 22;
}

static inline void to_index(const scaler_t *s, const lanes_t *magnitude, uint32_t cols,
                            unsigned rows, uint8_t *index, int plain)
{
    for (uint32_t first = 0u; first < cols; first += 4u * LANES) {
        lanes_t v[LANES];
        for (unsigned i = 0u; i < LANES; ++i) {
            const lanes_t *const four = magnitude + first + 4u * i;
            v[i] = (lanes_t)(level_of(s, four[0], plain) | (level_of(s, four[1], plain) << 8) |
                             (level_of(s, four[2], plain) << 16) |
                             (level_of(s, four[3], plain) << 24));
        }
        transpose(v);
        const uint32_t left = cols - first;
        for (unsigned row = 0u; row < rows; ++row) {
            if (left >= 4u * LANES) {
                memcpy(index + row * cols + first, &v[row], sizeof v[row]);
            } else {
                memcpy(index + row * cols + first, &v[row], left);
            }
        }
    }
}

/* ---- the segment ----------------------------------------------------------------------------- */

/* Rows [first, first + count) to magnitudes; the lanes that are left repeat the last row. */
static void batch(ecgqa_cwt_t *cwt, const ecgqa_wide_t *wide, unsigned first, unsigned count,
                  const int16_t **weights, size_t number)
{
    const ecgqa_cwt_tables_t *t = cwt->tables;
    const unsigned log2_fft = t->row[first].log2_fft;
    const size_t line_len = ((size_t)2u << t->max_log2_fft) + ECGQA_WIDE_GAP;
    int32_t *const exponent = wide->exponent + number * LANES;
    for (unsigned lane = 0u; lane < LANES; ++lane) {
        const ecgqa_cwt_row_t *const row = &t->row[first + (lane < count ? lane : count - 1u)];
        exponent[lane] = band_of(cwt, wide, row, *weights, wide->line + lane * line_len);
        *weights +=
            lane + 1u < count || lane + 1u == LANES ? ecgqa_wide_groups(row) * ECGQA_CWT_GROUP : 0u;
    }
    complex_t *const z = (complex_t *)(void *)wide->z, *const w = (complex_t *)(void *)wide->w;
    interleave(t, log2_fft, wide->line, line_len, z);
    to_time(t, log2_fft, z, w, exponent);
    lanes_t *const magnitude = (lanes_t *)(void *)wide->magnitude;
    lanes_t low, high;
    columns(t, log2_fft, (const lanes_t *)w, magnitude + number * ecgqa_wide_cols(t, LANES), &low,
            &high);
    for (unsigned lane = 0u; lane < count; ++lane) {
        if (t->row[first + lane].in_range != 0u) {
            const ecgqa_cwt_extremes_t e = {(uint32_t)low[lane], (uint32_t)high[lane]};
            ecgqa_cwt_range_take(&cwt->range, exponent[lane], e);
        }
    }
}

static void map(ecgqa_cwt_t *cwt, const ecgqa_wide_t *wide, uint8_t *index_map)
{
    const ecgqa_cwt_tables_t *t = cwt->tables;
    const int16_t *weights = wide->weights;
    memcpy(wide->spectrum, cwt->spectrum, (t->n_bins + 1u) * sizeof(int16_t));
    ecgqa_cwt_range_clear(&cwt->range);
    size_t number = 0u;
    unsigned count;
    for (unsigned row = 0u; row < t->rows; row += count, ++number) {
        count = ecgqa_wide_batch(t, row, LANES);
        batch(cwt, wide, row, count, &weights, number);
    }
    ecgqa_cwt_range_close(cwt);
    number = 0u;
    for (unsigned row = 0u; row < t->rows; row += count, ++number) {
        count = ecgqa_wide_batch(t, row, LANES);
        const scaler_t s = scaler_of(cwt, wide->exponent + number * LANES);
        const lanes_t *const magnitude =
            (const lanes_t *)(const void *)wide->magnitude + number * ecgqa_wide_cols(t, LANES);
        uint8_t *const index = index_map + (size_t)row * t->cols;
        if (s.plain) {
            to_index(&s, magnitude, t->cols, count, index, 1);
        } else {
            to_index(&s, magnitude, t->cols, count, index, 0);
        }
    }
}
