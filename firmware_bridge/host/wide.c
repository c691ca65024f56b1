/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
#include "wide.h"

#include <stdlib.h>
#include <string.h>

#include "../include/ecgqa/fixed.h"
#include "../src/condition.h"
#include "wide_kernels.h"

const ecgqa_wide_kernels_t *ecgqa_wide_kernels(unsigned lanes)
{
    const ecgqa_wide_kernels_t *widest = NULL;
#if ECGQA_WIDE_X86
    if (lanes >= ecgqa_wide_avx512.lanes && __builtin_cpu_supports("avx512bw")) {
        widest = &ecgqa_wide_avx512; /* BW has F with it */
    } else if (lanes >= ecgqa_wide_avx2.lanes && __builtin_cpu_supports("avx2")) {
        widest = &ecgqa_wide_avx2;
    }
#elif ECGQA_WIDE_NEON
    if (lanes >= ecgqa_wide_neon.lanes) {
        widest = &ecgqa_wide_neon;
    }
#else
    (void)lanes;
#endif
    return widest;
}

size_t ecgqa_wide_weights_len(const ecgqa_cwt_tables_t *tables)
{
    size_t groups = 0u;
    for (unsigned row = 0u; row < tables->rows; ++row) {
        groups += ecgqa_wide_groups(&tables->row[row]);
    }
    return groups * ECGQA_CWT_GROUP;
}

void ecgqa_wide_weights(const ecgqa_cwt_tables_t *tables, int16_t *weights)
{
    for (unsigned row = 0u; row < tables->rows; ++row) {
        const ecgqa_cwt_row_t *const r = &tables->row[row];
        const uint32_t begin = r->first_bin / ECGQA_CWT_GROUP * ECGQA_CWT_GROUP;
        const uint32_t end = begin + ecgqa_wide_groups(r) * ECGQA_CWT_GROUP;
        for (uint32_t bin = begin; bin < end; ++bin) {
            int32_t weight = 0;
            if (bin >= r->first_bin && bin <= r->last_bin) {
                const uint32_t position = bin * r->psi_step_q16 - tables->psi_first_q16;
                const int16_t *const psi = &tables->psi_q15[position >> 16];
                const int32_t between = (int32_t)((position & 0xFFFFu) >> 1);
                weight = psi[0] + ecgqa_shr_round((psi[1] - psi[0]) * between, 15u);
            }
            *weights++ = (int16_t)weight;
        }
    }
}

/* The next `bytes` of `all`, in whole cache lines; counts alone where that is NULL. */
static void *take(uint8_t *all, size_t *taken, size_t bytes)
{
    void *const part = all == NULL ? NULL : all + *taken;
    *taken += (bytes + 63u) / 64u * 64u;
    return part;
}

/* Bins of the spectrum, whole groups. */
static size_t bins_of(const ecgqa_cwt_tables_t *tables)
{
    return ((size_t)tables->n_bins / ECGQA_CWT_GROUP + 1u) * ECGQA_CWT_GROUP;
}

static size_t lay_out(ecgqa_wide_t *wide, uint8_t *all, const ecgqa_cwt_tables_t *tables)
{
    const unsigned lanes = wide->kernels->lanes;
    const size_t element = lanes * sizeof(int32_t);
    const size_t points = (size_t)1u << tables->max_log2_fft;
    size_t batches = 0u, taken = 0u;
    for (unsigned row = 0u; row < tables->rows; row += ecgqa_wide_batch(tables, row, lanes)) {
        ++batches;
    }
    wide->x = take(all, &taken, tables->segment_len * element);
    wide->baseline = take(all, &taken, 2u * ecgqa_condition_points(tables) * element);
    wide->forward = take(all, &taken, 2u * (size_t)tables->forward_points * element);
    const size_t bins = bins_of(tables);
    wide->spectrum = take(all, &taken, bins * sizeof(int16_t));
    wide->band = take(all, &taken, bins * sizeof(int32_t) + element);
    wide->line = take(all, &taken, (2u * points + ECGQA_WIDE_GAP) * element);
    wide->z = take(all, &taken, 2u * (points + 1u) * element);
    wide->w = take(all, &taken, 2u * (points + 1u + 2u * ECGQA_CWT_PAD) * element);
    wide->magnitude = take(all, &taken, batches * ecgqa_wide_cols(tables, lanes) * element);
    wide->exponent = take(all, &taken, batches * element);
    return taken;
}

void ecgqa_wide_open(ecgqa_wide_t *wide, const ecgqa_wide_kernels_t *kernels,
                     const ecgqa_cwt_tables_t *tables, const int16_t *weights)
{
    *wide = (ecgqa_wide_t){0};
    wide->kernels = kernels;
    wide->all = malloc(lay_out(wide, NULL, tables) + 64u);
    if (wide->all != NULL) {
        uint8_t *const all = wide->all;
        (void)lay_out(wide, all + (64u - (uintptr_t)all % 64u), tables);
        memset(wide->spectrum, 0, bins_of(tables) * sizeof(int16_t));
        wide->weights = weights;
    }
}

void ecgqa_wide_close(ecgqa_wide_t *wide)
{
    free(wide->all);
}
