/* Runs the golden segments through this bundle's front end and compares every row.
 * Exit code 0: all came out, bit for bit. Generated for @name@ by ecgqa-tflite @tool_version@. */
#include <stdio.h>

#include "@name@_cwt.h"
#include "@name@_golden.h"
#include "@name@_tflite.h"
#include "ecgqa/status.h"

/* Ample for any front end; a firmware takes what the three functions below answer. */
static uint32_t memory[32768];
static uint8_t index_row[@NAME@_GOLDEN_COLS];

static uint32_t fnv1a(const uint8_t *bytes, size_t len)
{
    uint32_t digest = UINT32_C(2166136261);
    size_t i;

    for (i = 0; i < len; i++) {
        digest = (digest ^ bytes[i]) * UINT32_C(16777619);
    }
    return digest;
}

static int failed(const char *what, ecgqa_status_t status)
{
    printf("%s: %s\n", what, ecgqa_status_str(status));
    return 1;
}

/* 1 where a row of the segment's index map is not what it must be. */
static int segment_differs(ecgqa_cwt_t *cwt, size_t segment)
{
    const int16_t *const samples = @name@_golden_samples + segment * @NAME@_GOLDEN_SEGMENT_LEN;
    const uint32_t *const digests = @name@_golden_row_digests + segment * @NAME@_GOLDEN_ROWS;
    ecgqa_status_t status = ecgqa_cwt_analyse(cwt, samples, @NAME@_GOLDEN_SEGMENT_LEN);
    uint16_t row;
    size_t col;

    if (status == ECGQA_OK) {
        status = ecgqa_cwt_scan(cwt);
    }
    for (row = 0; row < @NAME@_GOLDEN_ROWS && status == ECGQA_OK; row++) {
        status = ecgqa_cwt_index_row(cwt, row, index_row);
        for (col = 0; segment == 0 && status == ECGQA_OK && col < @NAME@_GOLDEN_COLS; col++) {
            if (index_row[col] != @name@_golden_index_map[row * @NAME@_GOLDEN_COLS + col]) {
                printf("index map: segment 0 differs in row %u, column %u\n", (unsigned)row,
                       (unsigned)col);
                return 1;
            }
        }
        if (status == ECGQA_OK && fnv1a(index_row, sizeof index_row) != digests[row]) {
            printf("index map: segment %u differs in row %u\n", (unsigned)segment, (unsigned)row);
            return 1;
        }
    }
    return status == ECGQA_OK ? 0 : failed("front end", status);
}

int main(void)
{
    const size_t keep = (ecgqa_cwt_keep_bytes(&@name@_cwt) + 3u) / 4u * 4u;
    const size_t analyse = ecgqa_cwt_analyse_scratch_bytes(&@name@_cwt);
    const size_t rows = ecgqa_cwt_row_scratch_bytes(&@name@_cwt);
    const size_t scratch = analyse > rows ? analyse : rows;
    ecgqa_cwt_t cwt;
    ecgqa_status_t status;
    size_t segment;

    if (fnv1a(@name@_tflite, @NAME@_TFLITE_LEN) != @NAME@_GOLDEN_TFLITE_DIGEST) {
        printf("model: @name@_tflite differs from the one the golden vectors were made with\n");
        return 1;
    }
    if (@name@_cwt.spec_hash != @NAME@_GOLDEN_SPEC_HASH) {
        return failed("tables", ECGQA_ERR_SPEC);
    }
    if (keep + scratch > sizeof memory) {
        return failed("front end", ECGQA_ERR_WORKSPACE);
    }
    status = ecgqa_cwt_init(&cwt, &@name@_cwt, memory, keep, memory + keep / 4u,
                            sizeof memory - keep);
    if (status != ECGQA_OK) {
        return failed("front end", status);
    }
    for (segment = 0; segment < @NAME@_GOLDEN_SEGMENTS; segment++) {
        if (segment_differs(&cwt, segment)) {
            return 1;
        }
    }
    printf("front end: %u segments of %u rows, bit for bit\n", (unsigned)@NAME@_GOLDEN_SEGMENTS,
           (unsigned)@NAME@_GOLDEN_ROWS);
    printf("front end: %u bytes kept, %u bytes of scratch\n", (unsigned)keep, (unsigned)scratch);
    return 0;
}
