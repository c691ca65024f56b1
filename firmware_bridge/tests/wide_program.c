/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* The host's kernels alone: each segment of a file of int16 to its index map, rows side by side in
 * SIMD lanes, of which the digest (FNV-1a) is printed. Argument: the file. Linked with the tables
 * as `cwt_tables`. */
#include <stdlib.h>

#include "../host/host.h"
#include "platform.h"

extern const ecgqa_cwt_tables_t cwt_tables;

int board_main(void)
{
    const size_t segment_bytes = cwt_tables.segment_len * sizeof(int16_t);
    const size_t pixels = (size_t)cwt_tables.rows * cwt_tables.cols;
    const size_t weights_len = ecgqa_host_weights_len(&cwt_tables);
    int16_t *const weights = malloc(weights_len * sizeof(int16_t));
    int16_t *const samples = malloc(segment_bytes);
    uint8_t *const map = malloc(pixels);
    ecgqa_status_t status = ECGQA_OK;
    char path[256];
    int file;
    if (weights_len == 0u || weights == NULL || samples == NULL || map == NULL) {
        return 1;
    }
    ecgqa_host_weights(&cwt_tables, weights);
    file = platform_argument(1, path, sizeof path) ? platform_open(path) : -1;
    if (file < 0) {
        return 2;
    }
    while (status == ECGQA_OK && platform_read(file, samples, segment_bytes) == segment_bytes) {
        uint32_t digest = UINT32_C(2166136261);
        status = ecgqa_host_index_maps(&cwt_tables, weights, samples, 1u, map);
        for (size_t i = 0; i < pixels; ++i) {
            digest = (digest ^ map[i]) * UINT32_C(16777619);
        }
        platform_puts("map ");
        platform_put_hex32(digest);
        platform_puts("\n");
    }
    free(weights);
    free(samples);
    free(map);
    return status == ECGQA_OK ? 0 : 3;
}
