/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
/* The front end alone: each segment of a file of int16 to what its signal shows (ecgqa_reason_t)
 * and an index map, of which the digest (FNV-1a) is printed. Argument: the file. Linked with the
 * tables as `cwt_tables`. */
#include "ecgqa/cwt.h"

#include "../src/lost.h"
#include "marks.h"
#include "platform.h"

enum { MAX_SEGMENT_LEN = 5000, MAX_COLS = 512, MEMORY_BYTES = 32768 };

MARK(mark_signal)
MARK(mark_analyse)
MARK(mark_scan)
MARK(mark_rows)
MARK(mark_end)

extern const ecgqa_cwt_tables_t cwt_tables;

static int16_t samples[MAX_SEGMENT_LEN];
static uint8_t index_row[MAX_COLS];
static uint32_t memory[MEMORY_BYTES / 4];

static ecgqa_status_t index_map(ecgqa_cwt_t *cwt, uint32_t *digest)
{
    ecgqa_status_t status;
    mark_analyse();
    status = ecgqa_cwt_analyse(cwt, samples, cwt_tables.segment_len);
    mark_scan();
    if (status == ECGQA_OK) {
        status = ecgqa_cwt_scan(cwt);
    }
    *digest = UINT32_C(2166136261);
    for (uint16_t row = 0; row < cwt_tables.rows && status == ECGQA_OK; ++row) {
        mark_rows();
        status = ecgqa_cwt_index_row(cwt, row, index_row);
        mark_end();
        for (uint16_t col = 0; col < cwt_tables.cols; ++col) {
            *digest = (*digest ^ index_row[col]) * UINT32_C(16777619);
        }
    }
    return status;
}

int board_main(void)
{
    const size_t keep_bytes = ecgqa_cwt_keep_bytes(&cwt_tables);
    const size_t segment_bytes = (size_t)cwt_tables.segment_len * sizeof samples[0];
    ecgqa_cwt_t cwt;
    ecgqa_status_t status;
    uint32_t digest = 0;
    ecgqa_reason_t reason;
    char path[256];
    int file;
    platform_puts("keep ");
    platform_put_i32((int32_t)keep_bytes);
    platform_puts("\nanalyse_scratch ");
    platform_put_i32((int32_t)ecgqa_cwt_analyse_scratch_bytes(&cwt_tables));
    platform_puts("\nrow_scratch ");
    platform_put_i32((int32_t)ecgqa_cwt_row_scratch_bytes(&cwt_tables));
    platform_puts("\n");
    status = ecgqa_cwt_init(&cwt, &cwt_tables, memory, keep_bytes, memory + (keep_bytes + 3) / 4,
                            sizeof memory - (keep_bytes + 3) / 4 * 4);
    if (status != ECGQA_OK || !platform_argument(1, path, sizeof path)) {
        return 2;
    }
    file = platform_open(path);
    if (file < 0) {
        return 3;
    }
    platform_stack_paint();
    while (status == ECGQA_OK && platform_read(file, samples, segment_bytes) == segment_bytes) {
        mark_signal();
        reason = ecgqa_lost_signal(samples, cwt_tables.segment_len, cwt_tables.segment_ms);
        status = index_map(&cwt, &digest);
        platform_puts("map ");
        platform_put_hex32(digest);
        platform_puts(" ");
        platform_put_i32((int32_t)reason);
        platform_puts("\n");
    }
    platform_puts("stack ");
    platform_put_i32((int32_t)platform_stack_used_bytes());
    platform_puts("\n");
    return status == ECGQA_OK ? 0 : 4;
}
