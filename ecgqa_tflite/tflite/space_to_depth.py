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
from ecgqa_tflite.tflite.flatbuffer import add_buffer, pack, set_buffer, unpack
from ecgqa_tflite.tflite.image_codes import INPUT_ZERO_POINT
from ecgqa_tflite.tflite.read import Graph, read_tflite


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
    whole = graph.tensors[first.inputs[1]].shape[3] == graph.tensors[first.inputs[0]].shape[3]
    return stride if plain and whole and stride == o["stride_w"] and stride > 1 else None


def fold(array: NDArray[np.int8], block: int, rows: int, cols: int, fill: int) -> NDArray[np.int8]:
    """(n, r, c, ch) to (n, rows, cols, block * block * ch): the channels of a pixel's block.

    Within a pixel: block row, block column, channel. What lies beyond ``rows * block`` is cut
    off, what is missing is ``fill``.
    """
    n, r, c, channels = array.shape
    whole = np.full((n, rows * block, cols * block, channels), fill, np.int8)
    r, c = min(r, rows * block), min(c, cols * block)
    whole[:, :r, :c] = array[:, :r, :c]
    split = whole.reshape(n, rows, block, cols, block, channels)
    return split.transpose(0, 1, 3, 2, 4, 5).reshape(n, rows, cols, block * block * channels)


def fold_image(images: NDArray[np.int8], shape: tuple[int, ...]) -> NDArray[np.int8]:
    """int8 images (n, rows, cols, channels) as a rewritten network of input ``shape`` takes them.

    ``shape`` is (rows, cols, channels) of the network's input; images of that shape pass as they
    are.
    """
    if images.shape[1:] == shape:
        return images
    rows, cols, depth = shape
    block = round((depth / images.shape[3]) ** 0.5)
    return fold(images, block, rows, cols, INPUT_ZERO_POINT)


def rewrite(tflite: bytes, source: str = "model") -> bytes:
    """The ``.tflite`` with conv 1's stride folded into its input's layout.

    Raises
    ------
    ConversionError
        Its first operator is not a convolution that allows it.
    """
    graph = read_tflite(tflite, source)
    stride = foldable_stride(graph)
    if stride is None:
        raise ConversionError(
            f"{source}: its first operator is not a convolution whose stride can be folded into "
            f"the image (needs a square stride above 1, no padding, no dilation)"
        )
    first = graph.operators[0]
    image, kernel = (graph.tensors[i] for i in first.inputs[:2])
    _, out_rows, out_cols, _ = graph.tensors[first.outputs[0]].shape
    assert kernel.data is not None
    kernel_rows, kernel_cols = (-(-kernel.shape[axis] // stride) for axis in (1, 2))
    folded = fold(np.asarray(kernel.data, np.int8), stride, kernel_rows, kernel_cols, fill=0)
    depth = image.shape[3] * stride * stride

    model = unpack(tflite)
    subgraph = model.subgraphs[0]
    x, w = subgraph.tensors[image.index], subgraph.tensors[kernel.index]
    x.shape = np.array([1, out_rows + kernel_rows - 1, out_cols + kernel_cols - 1, depth], np.int32)
    x.shapeSignature = None
    w.shape = np.array(folded.shape, np.int32)
    if sum(t.buffer == w.buffer for t in subgraph.tensors) > 1:  # equal constants share one
        w.buffer = add_buffer(model, folded.tobytes())
    else:
        set_buffer(model, w.buffer, folded.tobytes())
    options = subgraph.operators[0].builtinOptions
    options.strideH = options.strideW = 1
    return pack(model)
