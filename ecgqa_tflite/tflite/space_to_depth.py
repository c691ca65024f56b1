# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Conv 1's stride folded into the image's layout: the same function without a stride.

A convolution of stride s over an image is one of stride 1 over the image with each s x s block
of pixels laid into one pixel of s*s times the channels. Its kernel is the old one, padded with
zeros to a multiple of s and laid out the same way. Every product of the old sum occurs in the new
one, the others have a weight of zero: int32 accumulators are equal, and so is every bit after
them. Compilers for NPUs unroll strides above 3; this leaves them nothing to unroll.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.errors import ConversionError
from ecgqa_tflite.frontend.native import folded
from ecgqa_tflite.tflite.flatbuffer import add_buffer, pack, set_buffer, unpack
from ecgqa_tflite.tflite.image_codes import INPUT_ZERO_POINT
from ecgqa_tflite.tflite.read import DAMAGE, Graph, read_tflite


def foldable_stride(graph: Graph) -> int | None:
    """Stride of the first convolution where it can be folded into the image; None where not.

    It must be the image's only reader, square in stride, above 1, without padding or dilation.
    """
    first = graph.operators[0]
    readers = [op for op in graph.operators if graph.inputs[0] in op.inputs]
    if first.name != "CONV_2D" or readers != [first]:
        return None
    o = first.options
    stride = int(o["stride_h"])
    plain = o["padding"] == "VALID" and o["dilation_h_factor"] == o["dilation_w_factor"] == 1
    image, kernel = (graph.tensors[i] for i in first.inputs[:2])
    whole = kernel.shape[3] == image.shape[3]
    known = kernel.data is not None and kernel.dtype == "int8" and not np.any(kernel.zero_point)
    return stride if plain and whole and known and stride == o["stride_w"] and stride > 1 else None


CHANNELS_AT_ONCE = 8
"""Of a pixel under a kernel, in LiteRT's kernels for CPUs: fewer take as long."""


def is_faster(graph: Graph) -> bool:
    """Whether a CPU multiplies less once conv 1's stride is folded into the image."""
    stride = foldable_stride(graph)
    if stride is None:
        return False
    _, rows, cols, channels = graph.tensors[graph.operators[0].inputs[1]].shape

    def products(rows: int, cols: int, channels: int) -> int:
        return rows * cols * -(-channels // CHANNELS_AT_ONCE)

    return products(-(-rows // stride), -(-cols // stride), channels * stride**2) <= products(
        rows, cols, channels
    )


def fold_image(images: NDArray[np.int8], shape: tuple[int, ...]) -> NDArray[np.int8]:
    """int8 images (n, rows, cols, channels) as a rewritten network of input ``shape`` takes them.

    ``shape`` is (rows, cols, channels) of the network's input; images of that shape pass as they
    are.
    """
    if images.shape[1:] == shape:
        return images
    rows, cols, depth = shape
    block = round((depth / images.shape[3]) ** 0.5)
    return folded(images, block, rows, cols, INPUT_ZERO_POINT)


def rewrite(tflite: bytes, source: str = "model") -> bytes:
    """The ``.tflite`` with conv 1's stride folded into its input's layout.

    Raises
    ------
    ConversionError
        Its first operator is not a convolution that allows it, or the file is damaged.
    """
    graph = read_tflite(tflite, source)
    stride = foldable_stride(graph)
    if stride is None:
        raise ConversionError(
            f"{source}: its first operator is not a convolution whose stride can be folded into "
            f"the image (needs a square stride above 1, no padding, no dilation)"
        )
    try:
        return _rewritten(tflite, graph, stride)
    except DAMAGE:
        # in a part that is neither read nor run here
        raise ConversionError(f"{source}: damaged .tflite; get it again") from None


def _rewritten(tflite: bytes, graph: Graph, stride: int) -> bytes:
    first = graph.operators[0]
    image, kernel = (graph.tensors[i] for i in first.inputs[:2])
    _, out_rows, out_cols, _ = graph.tensors[first.outputs[0]].shape
    kernel_rows, kernel_cols = (-(-kernel.shape[axis] // stride) for axis in (1, 2))
    weights = folded(np.asarray(kernel.data, np.int8), stride, kernel_rows, kernel_cols, fill=0)
    depth = image.shape[3] * stride * stride

    model = unpack(tflite)
    subgraph = model.subgraphs[0]
    x, w = subgraph.tensors[image.index], subgraph.tensors[kernel.index]
    x.shape = np.array([1, out_rows + kernel_rows - 1, out_cols + kernel_cols - 1, depth], np.int32)
    x.shapeSignature = None
    w.shape = np.array(weights.shape, np.int32)
    if sum(t.buffer == w.buffer for t in subgraph.tensors) > 1:  # equal constants share one
        w.buffer = add_buffer(model, weights.tobytes())
    else:
        set_buffer(model, w.buffer, weights.tobytes())
    options = subgraph.operators[0].builtinOptions
    options.strideH = options.strideW = 1
    return pack(model)
