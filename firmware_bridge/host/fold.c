/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "host.h"

/* What is moved at a time, whatever is wanted, where there is room behind: one load, one store. */
#define CHUNK 16u

static inline void copy_chunks(int8_t *to, const int8_t *from, size_t n)
{
    for (size_t i = 0u; i < n; i += CHUNK) {
        memcpy(to + i, from + i, CHUNK);
    }
}

/* Of the row of blocks whose first pixels are in row `first`: how many blocks lie in the image and
 * have room behind them for copy_chunks, there and in the folded image, of which `left` blocks are
 * to come. */
static size_t roomy_blocks(const ecgqa_host_fold_t *f, size_t first, size_t left)
{
    const size_t run = (size_t)f->block * f->channels, row_bytes = (size_t)f->cols * f->channels;
    const size_t behind = (run + CHUNK - 1u) / CHUNK * CHUNK;
    const size_t after = f->rows - (first + f->block); /* rows; none are cut off here */
    const size_t blocks = row_bytes / run, spare = row_bytes - blocks * run;
    size_t n = blocks < f->out_cols ? blocks : f->out_cols;
    /* the last blocks' chunks go on into the next row, or beyond the image */
    while (n > 0u && after * row_bytes + spare + (blocks - n) * run + run < behind) {
        --n;
    }
    const size_t block_bytes = f->block * run;
    while (n > 0u && (left - n) * block_bytes + run < behind) {
        --n;
    }
    return n;
}

/* One row of a block at a time, cut off or filled up where the image ends. */
static void fold_block(const ecgqa_host_fold_t *f, const int8_t *image, size_t first, size_t from,
                       int8_t *folded)
{
    const size_t run = (size_t)f->block * f->channels, row_bytes = (size_t)f->cols * f->channels;
    for (size_t row = first; row < first + f->block; ++row) {
        const size_t left = row < f->rows && from < row_bytes ? row_bytes - from : 0u;
        const size_t there = left < run ? left : run;
        memcpy(folded, image + (there == 0u ? 0u : row * row_bytes + from), there);
        memset(folded + there, f->fill, run - there);
        folded += run;
    }
}

static void fold_one(const ecgqa_host_fold_t *f, const int8_t *image, int8_t *folded)
{
    const size_t run = (size_t)f->block * f->channels, row_bytes = (size_t)f->cols * f->channels;
    for (size_t block_row = 0u; block_row < f->out_rows; ++block_row) {
        const size_t first = block_row * f->block;
        const size_t left = (f->out_rows - block_row) * f->out_cols;
        const size_t roomy = first + f->block <= f->rows ? roomy_blocks(f, first, left) : 0u;
        const int8_t *from = image + first * row_bytes;
        for (size_t col = 0u; col < roomy; ++col, from += run) {
            for (size_t part = 0u; part < f->block; ++part, folded += run) {
                copy_chunks(folded, from + part * row_bytes, run);
            }
        }
        for (size_t col = roomy; col < f->out_cols; ++col, folded += f->block * run) {
            fold_block(f, image, first, col * run, folded);
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
