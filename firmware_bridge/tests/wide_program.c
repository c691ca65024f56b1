/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* The host's kernels alone: segments of a file of int16 to index maps, rows and segments side by
 * side in SIMD lanes, as many as this core can and then fewer, which must be the same bytes; the
 * digest (FNV-1a) of each is printed. Argument: the file. Linked with the tables as
 * `cwt_tables`. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "../host/host.h"
#include "platform.h"

extern const ecgqa_cwt_tables_t cwt_tables;

/* Segments at a time: full batches and one that isn't. */
#define AT_ONCE 21u

static void print_digest(const uint8_t *map, size_t pixels)
{
    uint32_t digest = UINT32_C(2166136261);
    for (size_t i = 0; i < pixels; ++i) {
        digest = (digest ^ map[i]) * UINT32_C(16777619);
    }
    platform_puts("map ");
    platform_put_hex32(digest);
    platform_puts("\n");
}

/* Segments to maps, with lanes of every width; 0: the same bytes. */
static int compare(const int16_t *weights, const int16_t *samples, size_t count, uint8_t *maps,
                   uint8_t *others, size_t bytes)
{
    unsigned lanes = ecgqa_host_lanes(UINT_MAX);
    if (ecgqa_host_index_maps(&cwt_tables, weights, lanes, samples, count, maps) != ECGQA_OK) {
        return 3;
    }
    while ((lanes = ecgqa_host_lanes(lanes - 1u)) > 1u) {
        if (ecgqa_host_index_maps(&cwt_tables, weights, lanes, samples, count, others) !=
                ECGQA_OK ||
            memcmp(maps, others, bytes) != 0) {
            return 4;
        }
    }
    return 0;
}

int board_main(void)
{
    const size_t segment_bytes = cwt_tables.segment_len * sizeof(int16_t);
    const size_t pixels = (size_t)cwt_tables.rows * cwt_tables.cols;
    const size_t weights_len = ecgqa_host_weights_len(&cwt_tables);
    int16_t *const weights = malloc(weights_len * sizeof(int16_t));
    int16_t *const samples = malloc(AT_ONCE * segment_bytes);
    uint8_t *const maps = malloc(2u * AT_ONCE * pixels);
    char path[256];
    int file, wrong = 0;
    size_t count = AT_ONCE;
    if (weights_len == 0u || weights == NULL || samples == NULL || maps == NULL) {
        return 1;
    }
    ecgqa_host_weights(&cwt_tables, weights);
    file = platform_argument(1, path, sizeof path) ? platform_open(path) : -1;
    if (file < 0) {
        return 2;
    }
    while (wrong == 0 && count == AT_ONCE) {
        count = platform_read(file, samples, AT_ONCE * segment_bytes) / segment_bytes;
        wrong = compare(weights, samples, count, maps, maps + AT_ONCE * pixels, count * pixels);
        for (size_t i = 0u; wrong == 0 && i < count; ++i) {
            print_digest(maps + i * pixels, pixels);
        }
    }
    free(weights);
    free(samples);
    free(maps);
    return wrong;
}
