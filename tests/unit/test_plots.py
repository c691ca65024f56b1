# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Pictures: millimetres that are millimetres, and a scalogram with its rows in place."""

from __future__ import annotations

import re
import subprocess
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import require_module, require_tool

from ecgqa_tflite import plots
from ecgqa_tflite.decisions import Span
from ecgqa_tflite.errors import ArgumentError
from ecgqa_tflite.plots import paper, strip
from ecgqa_tflite.spec import FrontEnd, Quality

PX = paper.PNG_PX_PER_MM
FS_HZ = 250.0


@pytest.fixture(autouse=True, scope="module")
def _matplotlib() -> None:
    require_module("matplotlib")


def spans_of(duration_s: float) -> list[Span]:
    kinds = [(1, "ok"), (0, "ok"), (0, "gap"), (0, "flat")]
    return [
        Span(s, s + 5, Quality(q), reason, 0.5, 0.5)  # type: ignore[arg-type]
        for s, (q, reason) in zip(np.arange(0, duration_s - 4.99, 5), kinds * 1000, strict=False)
    ]


def draw(path: Path, signal_mv: Any, **options: Any) -> tuple[float, float]:
    signal_mv = np.asarray(signal_mv, np.float32)
    spans = spans_of(len(signal_mv) / FS_HZ)
    return plots.save_strip(path, signal_mv, FS_HZ, spans, title="test", **options)


def pixels(path: Path) -> Any:
    """uint8 (height, width, 3)."""
    from matplotlib.image import imread

    return (imread(path)[..., :3] * 255).round().astype(np.uint8)


def dark(picture: Any) -> Any:
    return (picture.astype(int).sum(axis=-1)) < 200


def row_area(picture: Any) -> Any:
    """The first row's paper."""
    top = round((strip.HEAD_MM + strip.OVERVIEW_MM) * PX)
    left = round(strip.MARGIN_LEFT_MM * PX)
    return picture[top : top + round(strip.LOWEST_ROW_MM * PX), left : left + 250 * PX]


def test_a_png_is_to_scale(tmp_path: Path) -> None:
    """A square pulse of 1 mV and 1 s is 10 mm high and 25 mm long, at the stated resolution."""
    signal = np.zeros(round(10 * FS_HZ))
    signal[round(4 * FS_HZ) + 1 : round(5 * FS_HZ)] = 1.0
    assert draw(tmp_path / "a.png", signal) == (0.0, 10.0)
    data = (tmp_path / "a.png").read_bytes()
    chunk = data[data.index(b"pHYs") + 4 :][:9]
    per_metre = int.from_bytes(chunk[:4], "big"), int.from_bytes(chunk[4:8], "big")
    assert all(abs(p - 1000 * PX) <= 1 for p in per_metre) and chunk[8] == 1
    picture = pixels(tmp_path / "a.png")
    assert picture.shape[1] == 297 * PX
    ink = dark(row_area(picture))
    rows = np.flatnonzero(ink.sum(axis=1) > 15 * PX)  # the horizontal lines of the pulse
    assert abs((rows.max() - rows.min()) - 10 * PX) <= 5
    raised = np.flatnonzero(ink[rows.min()])
    assert abs((raised.max() - raised.min()) - 25 * PX) <= 4
    assert abs(raised.min() - 100 * PX) <= 4


def test_boxes_are_one_and_five_millimetres(tmp_path: Path) -> None:
    draw(tmp_path / "a.png", np.full(round(10 * FS_HZ), np.nan))
    line = row_area(pixels(tmp_path / "a.png"))[3 * PX // 2, :, 1].astype(int)
    is_line = line < 245
    assert is_line.reshape(250, PX).any(axis=1).all()
    big = np.flatnonzero(line < 200) / PX
    assert (np.abs(big / 5 - np.round(big / 5)) < 0.1).all() and len(np.unique(big.round())) >= 50


def test_a_png_stops_where_it_says(tmp_path: Path) -> None:
    minutes = np.zeros(round(400 * FS_HZ))
    assert draw(tmp_path / "a.png", minutes, start_s=60) == (60, 60 + strip.PNG_LONGEST_S)
    assert draw(tmp_path / "b.png", minutes, start_s=390) == (390, 400)


def test_a_pdf_has_a4_pages_with_everything(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    shown = draw(
        tmp_path / "a.pdf",
        np.zeros(round(150 * FS_HZ)),
        progress=lambda *call: calls.append(call),
    )
    assert shown == (0, 150) and calls[-1] == (15, 15)
    data = (tmp_path / "a.pdf").read_bytes()
    boxes = re.findall(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", data)
    assert len(boxes) == 3
    for width, height in boxes:
        assert float(width) == pytest.approx(297 / 25.4 * 72, abs=0.01)
        assert float(height) == pytest.approx(210 / 25.4 * 72, abs=0.01)


def quality_spans(duration_s: float, lows_s: tuple[float, ...]) -> list[Span]:
    return [
        Span(s, s + 5, Quality(s not in lows_s), "ok", 0.5, 0.5)
        for s in np.arange(0, duration_s - 4.99, 5).tolist()
    ]


def save(path: Path, signal: Any, lows_s: tuple[float, ...] = (), **options: Any) -> Any:
    signal = np.asarray(signal, np.float32)
    spans = quality_spans(len(signal) / FS_HZ, lows_s)
    return plots.save_strip(path, signal, FS_HZ, spans, title="test", **options)


def pages(path: Path) -> list[str]:
    """Text of each page."""
    done = subprocess.run(
        [require_tool("pdftotext"), "-layout", str(path), "-"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.rstrip("\f").split("\f")


def beats(duration_s: float, height_mv: float = 1.0) -> Any:
    """A triangle of 80 ms each second: as high as it is, for two samples."""
    beat = np.r_[np.linspace(0, height_mv, 10), np.linspace(height_mv, 0, 10), np.zeros(230)]
    return np.tile(beat, round(duration_s))


def test_a_day_is_a_page_of_hours_and_the_low_stretches(tmp_path: Path) -> None:
    day = beats(86400)
    assert save(tmp_path / "a.pdf", day, (3600.0, 3605.0, 40000.0)) == (0, 86400)
    first, second = pages(tmp_path / "a.pdf")
    assert all(f"{hour}:00:00" in first for hour in range(1, 24)) and "99.7 %" in first
    assert "1:00:00" in second and "11:06:40" in second and "page 2 of 2" in second


def test_low_rows_have_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strip, "MOST_LOW_ROWS", 6)
    hour = beats(3600)
    save(tmp_path / "a.pdf", hour)
    assert len(pages(tmp_path / "a.pdf")) == 1  # nothing is low
    lows = (*np.arange(0, 3600, 60.0).tolist(), 3005.0)
    save(tmp_path / "b.pdf", hour, lows)
    found = pages(tmp_path / "b.pdf")
    assert len(found) == 3 and "6 of 60 rows of low quality" in found[1]
    assert "50:00" in found[1] or "50:00" in found[2]  # the longest is among them


@pytest.mark.parametrize(
    ("height_mv", "gain"), [(0.1, 20), (1.0, 10), (1.5, 10), (1.9, 5), (6.0, 2.5), (3000, 0.001)]
)
def test_beats_are_not_cut_off(tmp_path: Path, height_mv: float, gain: float) -> None:
    """The line ends inside the paper: in its top and bottom millimetre there is no ink."""
    save(tmp_path / "a.pdf", beats(10, height_mv))
    assert f"{gain:g} mm/mV" in pages(tmp_path / "a.pdf")[0]
    save(tmp_path / "a.png", beats(10, height_mv))
    ink = dark(row_area(pixels(tmp_path / "a.png")))
    assert ink.any() and not ink[:2].any()


def test_an_artefact_does_not_shrink_the_beats(tmp_path: Path) -> None:
    """A quarter of the seconds, trusted, jump by 4 mV; a beat 1.4 times as high as usual fits."""
    signal = beats(20)
    for second in (2, 6, 7, 13, 15):
        signal[second * 250 + 50 : second * 250 + 150] += 4
    signal[17 * 250 : 18 * 250] *= 1.4
    save(tmp_path / "a.pdf", signal)
    assert "10 mm/mV" in pages(tmp_path / "a.pdf")[0]


def test_a_sheet_opens_where_something_happens(tmp_path: Path) -> None:
    long = beats(600)
    assert save(tmp_path / "a.png", long, (305.0,)) == (280, 400)
    assert save(tmp_path / "b.png", long) == (0, 120)
    assert save(tmp_path / "c.png", long, (590.0,)) == (480, 600)
    assert save(tmp_path / "d.png", beats(100), (90.0,)) == (0, 100)
    assert save(tmp_path / "e.png", long, (305.0,), start_s=0) == (0, 120)
    assert save(tmp_path / "f.png", long, (305.0,), end_s=50) == (0, 50)


def test_a_title_is_text(tmp_path: Path) -> None:
    signal = np.zeros(2500, np.float32)
    plots.save_strip(tmp_path / "a.pdf", signal, FS_HZ, spans_of(10), title=r"cost $\frac{ & <b>")
    assert r"cost $\frac{ & <b>" in pages(tmp_path / "a.pdf")[0]


def test_pictures_are_the_same_every_time(tmp_path: Path) -> None:
    signal = np.sin(np.arange(round(12 * FS_HZ)) / 20)
    for suffix in (".png", ".pdf"):
        for name in ("a", "b"):
            draw(tmp_path / (name + suffix), signal)
        a, b = ((tmp_path / (n + suffix)).read_bytes() for n in "ab")
        assert zlib.crc32(a) == zlib.crc32(b)


@pytest.mark.parametrize(
    "signal",
    [
        np.full(2500, np.nan),
        np.zeros(2500),
        np.full(2500, 1e30),
        np.where(np.arange(2500) % 2, -5e4, 5e4),
        np.r_[np.full(2499, np.nan), 1.0],
        np.zeros(1250 + 7),
    ],
    ids=["missing", "flat", "huge", "alternating", "one sample", "a bit over 5 s"],
)
def test_no_signal_is_too_odd(tmp_path: Path, signal: Any) -> None:
    draw(tmp_path / "a.png", signal)


def test_strip_refuses(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"ends in .png or .pdf"):
        draw(tmp_path / "a.gif", np.zeros(2500))
    with pytest.raises(ArgumentError, match="the recording is 10 s long"):
        draw(tmp_path / "a.png", np.zeros(2500), start_s=10)
    with pytest.raises(ArgumentError, match="nothing to draw"):
        draw(tmp_path / "a.png", np.zeros(2500), start_s=5, end_s=5)


@pytest.mark.parametrize(
    ("seconds", "decimals", "text"),
    [
        (0, 0, "0:00"),
        (65, 0, "1:05"),
        (3661, 0, "1:01:01"),
        (59.96, 1, "1:00.0"),
        (7.25, 2, "0:07.25"),
    ],
)
def test_clock(seconds: float, decimals: int, text: str) -> None:
    assert plots.clock(seconds, decimals) == text


def scalogram_with_row(path: Path, row: int, spec: FrontEnd) -> int:
    """Draw one bright row and find its y, px."""
    index_map = np.zeros((spec.rows, spec.cols), np.uint8)
    index_map[row] = 255
    segment = np.zeros(spec.segment_len(FS_HZ), np.float32)
    plots.save_scalogram(path, segment, FS_HZ, index_map, spec, title="")
    picture = pixels(path).astype(int)
    bright = picture[:, round(picture.shape[1] * 0.37)].sum(axis=-1) > 600
    starts, stops = (np.flatnonzero(np.diff(bright.astype(int)) == step) for step in (1, -1))
    stops = stops[stops > starts[0]]
    # the row's 83 / 101 mm; paper, margins and letters are higher or lower than that
    found = [(a + b) // 2 for a, b in zip(starts, stops, strict=False) if 4 <= b - a <= 6]
    assert len(found) == 1
    return int(found[0])


def test_a_scalogram_has_high_frequencies_on_top_on_a_log_axis(tmp_path: Path) -> None:
    spec = FrontEnd(colormap="grey", rows=101, cols=100)
    y10, y50, y90 = (scalogram_with_row(tmp_path / "a.png", r, spec) for r in (10, 50, 90))
    assert y10 < y50 < y90
    assert abs((y90 - y50) - (y50 - y10)) <= 1


@pytest.mark.parametrize("suffix", plots.SCALOGRAM_SUFFIXES)
def test_scalogram_formats(tmp_path: Path, suffix: str) -> None:
    spec = FrontEnd.preset("seed")
    index_map = np.arange(spec.rows * spec.cols).reshape(spec.rows, -1).astype(np.uint8)
    path = tmp_path / f"a{suffix}"
    plots.save_scalogram(path, np.zeros(1250, np.float32), FS_HZ, index_map, spec, title="x")
    assert path.stat().st_size > 1000
