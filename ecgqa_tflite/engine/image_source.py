# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Generated C from a segment's samples to the network's input: ``ecgqa_image``.

For runtimes that take a whole image (TensorFlow Lite Micro, LiteRT, Ethos-U); the row-streaming
engine makes its rows itself.
"""

from __future__ import annotations

from ecgqa_tflite.engine import c_source, model_source
from ecgqa_tflite.engine.device_source import front_end_bytes
from ecgqa_tflite.frontend import colormap
from ecgqa_tflite.frontend.colormap import to_int8
from ecgqa_tflite.frontend.tables import Tables
from ecgqa_tflite.spec import FrontEnd

STEM = "ecgqa_image"

_HEADER = """\
#define ECGQA_SEGMENT_LEN {segment_len}u
/* The network's input, int8 [{shape}]{layout} */
#define ECGQA_IMAGE_BYTES {image_bytes}u
#define ECGQA_IMAGE_WORKSPACE_BYTES {workspace}u

/* Samples (int16, {fs_hz:g} Hz, any scale) to the network's input. `workspace`: 4-byte aligned,
 * holds nothing between calls. Where *reason is not ECGQA_REASON_OK the segment is of low quality,
 * whatever the network says, and the image is left as it was. ECGQA_ERR_ARGUMENT: null or
 * misaligned; ECGQA_ERR_WORKSPACE: too few bytes. */
ecgqa_status_t ecgqa_image(const int16_t *samples, int8_t *image, void *workspace,
                           size_t workspace_bytes, ecgqa_reason_t *reason);

/* 1: of high quality. score_s8: the network's int8 output {high}. */
#define ECGQA_IS_HIGH(reason, score_s8) \
    ((reason) == ECGQA_REASON_OK && (score_s8) >= ECGQA_THRESHOLD_S8)
"""

_SOURCE = """\
#include "{stem}.h"

#include <string.h>

#include "ecgqa/cwt.h"
#include "ecgqa_cwt_tables.h"

#define ROWS {rows}u
#define COLS {cols}u
#define CHANNELS {channels}u
#define BLOCK {block}u /* pixels of a block that lie in one pixel of the network's input */
#define OUT_ROWS {out_rows}u
#define OUT_COLS {out_cols}u
#define KEEP_BYTES {keep}u

{lut}
/* Where a pixel lies: its block's pixel, then row and column within the block. */
static size_t place(size_t row, size_t col)
{{
    const size_t pixel = row / BLOCK * OUT_COLS + col / BLOCK;

    return (pixel * BLOCK * BLOCK + row % BLOCK * BLOCK + col % BLOCK) * CHANNELS;
}}

ecgqa_status_t ecgqa_image(const int16_t *samples, int8_t *image, void *workspace,
                           size_t workspace_bytes, ecgqa_reason_t *reason)
{{
    uint8_t index_row[COLS];
    ecgqa_cwt_t cwt;
    ecgqa_status_t status;
    uint16_t row;
    size_t col;

    if (samples == NULL || image == NULL || workspace == NULL || reason == NULL) {{
        return ECGQA_ERR_ARGUMENT;
    }}
    if (workspace_bytes < ECGQA_IMAGE_WORKSPACE_BYTES) {{
        return ECGQA_ERR_WORKSPACE;
    }}
    status = ecgqa_cwt_init(&cwt, &ecgqa_cwt_tables, workspace, KEEP_BYTES,
                            (uint8_t *)workspace + KEEP_BYTES, workspace_bytes - KEEP_BYTES);
    if (status == ECGQA_OK) {{
        status = ecgqa_cwt_look(&cwt, samples, ECGQA_SEGMENT_LEN, reason);
    }}
    if (status != ECGQA_OK) {{
        return status;
    }}
    if (*reason != ECGQA_REASON_OK) {{
        return ECGQA_OK;
    }}
    memset(image, -128, ECGQA_IMAGE_BYTES); /* what lies beyond the scalogram: zero */
    status = ecgqa_cwt_scan(&cwt);
    for (row = 0; row < ROWS && status == ECGQA_OK; row++) {{
        status = ecgqa_cwt_index_row(&cwt, row, index_row);
        for (col = 0; col < COLS && status == ECGQA_OK; col++) {{
            if (row / BLOCK < OUT_ROWS && col / BLOCK < OUT_COLS) {{
                memcpy(image + place(row, col), lut_s8 + index_row[col] * CHANNELS, CHANNELS);
            }}
        }}
    }}
    return status;
}}
"""


def image_workspace_bytes(tables: Tables) -> int:
    """``ECGQA_IMAGE_WORKSPACE_BYTES``."""
    memory = front_end_bytes(tables)
    return _keep_bytes(tables) + max(memory.analyse_scratch, memory.row_scratch)


def _keep_bytes(tables: Tables) -> int:
    return -(-front_end_bytes(tables).keep // 8) * 8


def image_name(model_id: int, segment_len: int) -> str:
    """The linker's name of ``ecgqa_image`` in the bundle of a network."""
    return c_source.own_name(STEM, model_id, segment_len)


def image_sources(
    spec: FrontEnd,
    tables: Tables,
    fs_hz: float,
    input_shape: tuple[int, int, int],
    model_id: int,
) -> dict[str, str]:
    """Header and source of ``ecgqa_image``.

    Parameters
    ----------
    tables
        The front end's, for ``fs_hz``.
    input_shape
        (rows, cols, channels) of the network's input: the spec's image, or that with blocks of
        pixels folded into one (:mod:`ecgqa_tflite.tflite.space_to_depth`).
    model_id
        First 8 bytes of the network's digest.
    """
    rows, cols, channels = spec.image_shape
    out_rows, out_cols, depth = input_shape
    block = round((depth / channels) ** 0.5)
    layout = " as NHWC."
    if block > 1:
        layout = (
            f":\n * {block} x {block} pixels of the {rows} x {cols} image in each, row, column, "
            f"colour within."
        )
    words = {
        "segment_len": tables.segment_len,
        "shape": f"{out_rows}][{out_cols}][{depth}",
        "layout": layout,
        "image_bytes": out_rows * out_cols * depth,
        "workspace": image_workspace_bytes(tables),
        "fs_hz": fs_hz,
        "high": "of class 1, ECGQA_LABEL_1",
        "stem": STEM,
        "rows": rows,
        "cols": cols,
        "channels": channels,
        "block": block,
        "out_rows": out_rows,
        "out_cols": out_cols,
        "keep": _keep_bytes(tables),
        "lut": c_source.array("lut_s8", to_int8(colormap.lut(spec.colormap))),
    }
    return {
        f"{STEM}.h": model_source.header(
            STEM,
            tables.spec_hash,
            "From samples to the network's input.",
            "#include <stddef.h>\n#include <stdint.h>\n\n"
            '#include "ecgqa/reason.h"\n#include "ecgqa/status.h"\n#include "ecgqa_identity.h"\n',
            c_source.renamed(STEM, image_name(model_id, tables.segment_len))
            + _HEADER.format(**words),
        ),
        f"{STEM}.c": model_source.stamp("From samples to the network's input.", tables.spec_hash)
        + _SOURCE.format(**words),
    }
