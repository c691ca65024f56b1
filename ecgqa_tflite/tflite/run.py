# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Running a full-int8 ``.tflite`` with LiteRT, without TensorFlow."""

from __future__ import annotations

import os
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ecgqa_tflite.errors import ArgumentError, ConversionError, ModelError
from ecgqa_tflite.progress import Count
from ecgqa_tflite.spec import SCORE_ZERO_POINT, Quality
from ecgqa_tflite.tflite.image_codes import RANGES, span, stands_for
from ecgqa_tflite.tflite.numbers import check_numbers
from ecgqa_tflite.tflite.read import Graph, read_tflite

BATCH = 16
"""Segments that a thread takes at a time: their images (2.5 MB) stay near the caches."""


def refuse_state(graph: Graph, source: str) -> None:
    """Raise :class:`ModelError` where a network remembers what it was given before."""
    if any(t.variable for t in graph.tensors):
        raise ModelError(
            f"{source}: keeps state from one segment to the next (variable tensors); a decision "
            f"here is of one segment alone"
        )


def check_int8_contract(graph: Graph, source: str = "model") -> None:
    """Check the input and output that every network of this toolkit has.

    One int8 image (1, rows, cols, channels) in, of which ``image - 128`` are the codes
    (:mod:`~ecgqa_tflite.tflite.image_codes`); int8 scores (1, classes) out.

    Raises
    ------
    ModelError
        Anything else.
    """
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise ModelError(
            f"{source}: has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs; needs one "
            f"image in and one vector of scores out"
        )
    refuse_state(graph, source)
    x, y = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    if x.dtype != "int8" or y.dtype != "int8":
        raise ModelError(
            f"{source}: takes {x.dtype} and answers {y.dtype}; needs int8 at both ends"
        )
    if x.dynamic or y.dynamic:
        raise ModelError(
            f"{source}: its batch or image has a dynamic shape; needs a fixed batch of 1"
        )
    if len(x.shape) != 4 or x.shape[0] != 1 or len(y.shape) != 2 or y.shape[0] != 1:
        raise ModelError(
            f"{source}: maps {x.shape} to {y.shape}; needs one image (1, rows, cols, channels) to "
            f"one row of scores (1, classes)"
        )
    if x.quant_scale.size != 1:
        raise ModelError(f"{source}: its image is not quantised per tensor")
    if stands_for(x) is None:
        low, high = span(x)
        raise ModelError(
            f"{source}: its input's codes stand for {low:.4g} to {high:.4g}; of an image they must "
            f"span {', '.join(RANGES)}: calibrate it on images from 0 to 255"
        )
    if y.quant_scale.size != 1:
        raise ModelError(f"{source}: its scores are not quantised per tensor")


@cache
def has_litert() -> bool:
    """Whether LiteRT is here: it has no wheel for 32-bit systems."""
    try:
        import ai_edge_litert.interpreter  # noqa: F401
    except ImportError:
        return False
    return True


_NOTICE = b"INFO: Created TensorFlow Lite XNNPACK delegate"
_starting = threading.Lock()


@contextmanager
def _without_notice() -> Iterator[None]:
    """Take LiteRT's notice that it uses XNNPACK off stderr, and nothing else.

    It is written by C++ to the file descriptor, and no setting turns it off.
    """
    with _starting, tempfile.TemporaryFile() as written:
        try:
            stderr = os.dup(2)
        except OSError:  # closed: nobody reads it
            yield
            return
        os.dup2(written.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            written.seek(0)
            for line in written:
                if not line.startswith(_NOTICE):
                    os.write(stderr, line)
            os.close(stderr)


@lru_cache(maxsize=2)
def _checked(tflite: bytes, source: str) -> Graph:
    """What a network of the toolkit holds; kept, for each thread and each recording opens it."""
    graph = read_tflite(tflite, source)
    check_int8_contract(graph, source)
    check_numbers(graph, source)
    return graph


@lru_cache(maxsize=2)
def _faster(tflite: bytes, source: str) -> tuple[bytes, tuple[int, ...]]:
    """The file with conv 1's stride folded into the image, where that is fewer products, and its
    image's shape; kept as above.
    """
    from ecgqa_tflite.tflite import space_to_depth  # writes by LiteRT's schema

    graph = _checked(tflite, source)
    if space_to_depth.is_faster(graph):
        # a damaged file goes on to LiteRT, which says so
        with suppress(ConversionError):
            tflite = space_to_depth.rewrite(tflite, source)
            graph = read_tflite(tflite, source)
    return tflite, graph.tensors[graph.inputs[0]].shape[1:]


class Int8Network:
    """A full-int8 network in LiteRT.

    Not for use from several threads at once; give each its own. XNNPACK gets the first
    convolution's stride in the image's layout where that is faster, for the same scores
    (:mod:`~ecgqa_tflite.tflite.space_to_depth`).

    Parameters
    ----------
    tflite
        The file's bytes, or its path.
    threads
        Threads of one inference.
    reference_kernels
        Use TensorFlow Lite's reference kernels instead of XNNPACK: slower by far, and what golden
        vectors and the firmware's bits are defined by (XNNPACK's scores differ from them by a few
        units now and then).
    source
        What to call bytes in messages.

    Raises
    ------
    ModelError
        Missing, damaged, not full-int8 in and out, or refused by LiteRT.
    """

    def __init__(
        self,
        tflite: bytes | str | Path,
        *,
        threads: int = 1,
        reference_kernels: bool = False,
        source: str = "model",
    ) -> None:
        if not isinstance(tflite, bytes):
            source = str(tflite)
            try:
                tflite = Path(tflite).read_bytes()
            except OSError as error:
                raise ModelError(f"{source}: can't be read ({error.strerror})") from error
        if threads < 1:
            raise ArgumentError(f"threads {threads}: must be at least 1")
        self.graph = _checked(tflite, source)
        self._bytes = tflite
        self._source = source
        self._input = self.graph.tensors[self.graph.inputs[0]]
        self._output = self.graph.tensors[self.graph.outputs[0]]
        self._taken = self._input.shape[1:]  # the image as the interpreter takes it
        if not reference_kernels and has_litert():
            tflite, self._taken = _faster(tflite, source)
        self._interpreter = self._new_interpreter(tflite, threads, reference_kernels)
        self._keeping: Any = None  # a second interpreter, for `tensors`

    def _new_interpreter(
        self, tflite: bytes, threads: int, reference_kernels: bool, keep: bool = False
    ) -> Any:
        if not has_litert():
            raise ModelError(
                f"{self._source}: needs ai-edge-litert, which is not installed (64-bit systems "
                f"have wheels of it)"
            )
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        resolver = OpResolverType.BUILTIN_REF if reference_kernels else OpResolverType.AUTO
        try:
            with warnings.catch_warnings(), _without_notice():
                warnings.simplefilter("ignore")
                interpreter = Interpreter(
                    model_content=tflite,
                    num_threads=threads,
                    experimental_op_resolver_type=resolver,
                    experimental_preserve_all_tensors=keep,
                )
                interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            reason = (str(error).splitlines() or [""])[0]
            raise ModelError(f"{self._source}: LiteRT refuses it ({reason})") from error
        # LiteRT works shapes out anew; a damaged file may promise others than it gets.
        taken = self._input.shape[1:] if keep else self._taken
        for index, shape, details in (
            (self._input.index, (1, *taken), interpreter.get_input_details()[0]),
            (self._output.index, self._output.shape, interpreter.get_output_details()[0]),
        ):
            if tuple(details["shape"]) != shape or details["index"] != index:
                raise ModelError(
                    f"{self._source}: damaged .tflite (shapes don't fit); get it again"
                )
        return interpreter

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(rows, cols, channels) of the image."""
        _, rows, cols, channels = self._input.shape
        return rows, cols, channels

    @property
    def classes(self) -> int:
        """Number of scores."""
        return self._output.shape[1]

    @property
    def output_scale(self) -> float:
        """quant_scale of the scores; 1/256 for a softmax."""
        return float(self._output.quant_scale[0])

    @property
    def output_zero_point(self) -> int:
        """Zero point of the scores; -128 for a softmax."""
        return int(self._output.zero_point[0])

    def probabilities(self, scores: NDArray[np.int8]) -> NDArray[np.float64]:
        """Real values of int8 scores, same shape: quant_scale * (score - zero_point)."""
        return self.output_scale * (scores.astype(np.float64) - self.output_zero_point)

    def scores(self, images: NDArray[np.int8]) -> NDArray[np.int8]:
        """Scores of int8 images.

        Parameters
        ----------
        images
            int8, (n, rows, cols, channels): see :func:`to_int8`.

        Returns
        -------
        int8, (n, classes).

        Raises
        ------
        ArgumentError
            Another type or shape.
        """
        from ecgqa_tflite.tflite.space_to_depth import fold_image

        self._check(images)
        out = np.empty((len(images), self.classes), np.int8)
        interpreter = self._interpreter
        get = interpreter.tensor(self._output.index)
        for start in range(0, len(images), BATCH):  # one call into C costs as folding does
            taken = fold_image(images[start : start + BATCH], self._taken)
            for i in range(len(taken)):
                self._invoke(interpreter, taken[i : i + 1])
                out[start + i] = get()[0]
        return out

    def tensors(self, image: NDArray[np.int8]) -> dict[int, NDArray[Any]]:
        """Every operator's output for one image, by the reference kernels.

        Parameters
        ----------
        image
            int8, (rows, cols, channels).

        Returns
        -------
        Tensor index (as in ``graph.tensors``) to array, batch dimension kept.
        """
        self._check(image[None])
        if self._keeping is None:
            self._keeping = self._new_interpreter(self._bytes, 1, True, keep=True)
        interpreter = self._keeping
        self._invoke(interpreter, image[None])
        return {i: interpreter.get_tensor(i) for op in self.graph.operators for i in op.outputs}

    def _invoke(self, interpreter: Any, image: NDArray[np.int8]) -> None:
        interpreter.set_tensor(self._input.index, image)
        try:
            interpreter.invoke()
        except RuntimeError as error:
            reason = (str(error).splitlines() or [""])[0]
            raise ModelError(f"{self._source}: LiteRT can't run it ({reason})") from error

    def _check(self, images: NDArray[np.int8]) -> None:
        if images.dtype != np.int8 or images.shape[1:] != self.input_shape:
            raise ArgumentError(
                f"images are {images.dtype} {images.shape}; this network takes int8 "
                f"(n, {', '.join(map(str, self.input_shape))})"
            )


class Network(Protocol):
    """What a :class:`Scorer` asks: :class:`Int8Network`, or the device's engine."""

    def scores(self, inputs: NDArray[Any], /) -> NDArray[np.int8]:
        """Scores, int8 (n, classes), of n inputs."""


class Scorer:
    """int8 scores of class 1, high quality, of many segments; keeps a network per thread.

    Parameters
    ----------
    new
        Opens the network; called for each thread.
    threads
        Batches of segments are shared among so many.
    """

    def __init__(self, new: Callable[[], Network], *, threads: int = 1) -> None:
        self._new = new
        self._threads = threads
        self._idle = [new()]

    def scores(
        self,
        inputs: Callable[[NDArray[np.intp]], NDArray[Any]],
        n: int,
        chosen: NDArray[np.intp] | None = None,
        *,
        progress: Count | None = None,
    ) -> NDArray[np.int8]:
        """Score of each segment.

        Parameters
        ----------
        inputs
            From indices of segments, (m,), to what the network takes of them, (m, ...); called in
            the threads.
        n
            Segments in all.
        chosen
            Indices of those to score; None: all. The others score -128.
        progress
            Called with segments scored and segments to score.

        Returns
        -------
        int8, shape (n,).
        """
        wanted = np.arange(n) if chosen is None else chosen

        def score(batch: NDArray[np.intp]) -> NDArray[np.int8]:
            try:
                network = self._idle.pop()
            except IndexError:  # all at work
                network = self._new()
            try:
                return network.scores(inputs(batch))[:, Quality.HIGH]
            finally:
                self._idle.append(network)

        out = np.full(n, SCORE_ZERO_POINT, np.int8)
        batches = [wanted[i : i + BATCH] for i in range(0, len(wanted), BATCH)]
        done = 0
        pool = ThreadPoolExecutor(self._threads) if self._threads > 1 else None
        try:
            found = map(score, batches) if pool is None else pool.map(score, batches)
            for batch, scores in zip(batches, found, strict=True):
                out[batch] = scores
                done += len(batch)
                if progress is not None:
                    progress(done, len(wanted))
        finally:
            if pool is not None:  # an interrupted run doesn't finish its queue first
                pool.shutdown(cancel_futures=True)
        return out


def high_scores(
    tflite: bytes | Path,
    images: Callable[[NDArray[np.intp]], NDArray[np.int8]],
    n: int,
    chosen: NDArray[np.intp] | None = None,
    *,
    threads: int = 1,
    progress: Count | None = None,
) -> NDArray[np.int8]:
    """:meth:`Scorer.scores` of int8 images by a network in LiteRT that is not asked again."""
    scorer = Scorer(partial(Int8Network, tflite), threads=threads)
    return scorer.scores(images, n, chosen, progress=progress)
