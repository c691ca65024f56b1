/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "host.h"

/* What is moved at a time, whatever is wanted, where there is room behind: one load, one store. */
#define CHUNK 16u

static void fold_one(const ecgqa_host_fold_t *f, const int8_t *image, int8_t *folded)
{
    const size_t run = (size_t)f->block * f->channels, row_bytes = (size_t)f->cols * f->channels;
    const size_t bytes = f->rows * row_bytes;
    const int8_t *const end = folded + (size_t)f->out_rows * f->out_cols * f->block * run;
    size_t first = 0u;                                       /* row of the image */
    size_t from = 0u;                                        /* in that row */
    for (unsigned part = 0u; folded != end; folded += run) { /* row of the block */
        const size_t row = first + part, at = row * row_bytes + from;
        if (row < f->rows && from + run <= row_bytes && at + run + CHUNK <= bytes &&
            (size_t)(end - folded) >= run + CHUNK) {
            for (size_t i = 0u; i < run; i += CHUNK) {
                memcpy(folded + i, image + at + i, CHUNK);
            }
        } else {
            const size_t left = row < f->rows && from < row_bytes ? row_bytes - from : 0u;
            const size_t there = left < run ? left : run;
            memcpy(folded, image + (there == 0u ? 0u : at), there);
            memset(folded + there, f->fill, run - there);
        }
        if (++part == f->block) {
            part = 0u;
            from += run;
            if (from == f->out_cols * run) {
                from = 0u;
                first += f->block;
            }
        }
    }
}

void ecgqa_host_fold(const ecgqa_host_fold_t *fold, const int8_t *images, size_t count,
                     int8_t *folded)
{
    const size_t taken = (size_t)fold->rows * fold->cols * fold->channels;
    const size_t made =
        (size_t)fold->out_rows * fold->out_cols * fold->block * fold->block * fold->channels;
    for (size_t i = 0u; i < count; ++i) {
        fold_one(fold, images + i * taken, folded + i * made);
    }
}
