# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The page: what it holds, and what it does where Chromium is."""

from __future__ import annotations

import base64
import datetime
import json
import re
import subprocess
import zlib
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_model
from chromium import Tab, chromium
from conftest import require_tool
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ecgqa_tflite.decisions import Decision
from ecgqa_tflite.decisions.page import write_page
from ecgqa_tflite.decisions.page.packed import differences
from ecgqa_tflite.errors import ArgumentError
from ecgqa_tflite.frontend.native import NativeFrontEnd
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.recording import Recording, open_recording
from ecgqa_tflite.recording.disturbances import ElectrodeMotion
from ecgqa_tflite.recording.simulator import Heart, simulate
from ecgqa_tflite.recording.wfdb_writer import write_wfdb
from ecgqa_tflite.segments import quantise
from ecgqa_tflite.spec import FrontEnd, Quality

MOST_BYTES = 3_000_000
READY = "document.body?.dataset.ready !== undefined"
NASTY = '"><img src=x onerror="document.title=1"><script>document.title=2</script> & \u00e4'
FS_HZ, MINUTES = 250.0, 300
LOWS_S = (600, 605, 3000, 7000)
"""Starts of the low segments of the recording below."""


def decisions_of(duration_s: float, lows_s: Any = (), hop_s: float = 5.0) -> list[Decision]:
    starts = np.arange(0, duration_s - 4.999, hop_s)
    return [
        Decision(s, s + 5, Quality.LOW, 0.25, "ok")
        if any(abs(s - low) < 4.999 for low in lows_s)
        else Decision(s, s + 5, Quality.HIGH, 0.75, "ok")
        for s in starts.tolist()
    ]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    return tiny_model.folder(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def recording() -> Recording:
    """Two leads of five hours from half past ten in the evening, with a gap."""
    minute = simulate(60, FS_HZ, Heart(rate_bpm=70)).signal_mv[:, 0]
    lead = np.tile(minute, MINUTES)
    lead += np.random.default_rng(0).normal(0, 0.03, lead.size).astype(np.float32)
    lead[round(3001 * FS_HZ) : round(3002 * FS_HZ)] = np.nan
    return Recording(
        "night", np.stack([lead, -4 * lead], axis=1), FS_HZ, ("II", "V5"),
        start=datetime.datetime(2021, 3, 2, 22, 30, 0), notes=("read on the kitchen table",),
    )  # fmt: skip


@pytest.fixture(scope="module")
def page(
    recording: Recording, model: ModelFolder, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("page") / "day.html"
    second = decisions_of(recording.duration_s, (4000,))
    second[10] = replace(second[10], quality=Quality.LOW, score=0.0, reason="flat")
    write_page(
        path, recording, [("II", decisions_of(recording.duration_s, LOWS_S)), ("V5", second)], model
    )
    return path


# ---- what it holds ------------------------------------------------------------------------


def decoded(data: bytes) -> list[int]:
    """Inverse of ``differences``, as its docstring says."""
    codes, code, i = [], 0, 0
    while i < len(data):
        step = int.from_bytes(data[i : i + 1], signed=True)
        i += 1
        if step == -128:
            code = int.from_bytes(data[i : i + 2], "little", signed=True)
            i += 2
        else:
            code += step
        codes.append(code)
    return codes


@given(arrays(np.int16, st.integers(0, 60), elements=st.integers(-32768, 32767)))
def test_codes_come_back(codes: Any) -> None:
    assert decoded(differences(codes)) == codes.tolist()


def test_small_steps_take_a_byte() -> None:
    codes = np.cumsum(np.r_[127, -127, np.arange(-100, 100)]).astype(np.int16)
    assert len(differences(codes)) == len(codes)


class Reader(HTMLParser):
    """Checks that tags close in order; gathers what would be fetched and what is hidden in data."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [v or "" for k, v in attrs if k in ("src", "href", "srcset")]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, (tag, self.getpos())


def test_it_is_whole_and_fetches_nothing(page: Path) -> None:
    text = page.read_text()
    reader = Reader()
    reader.feed(text)
    assert not reader.open and not reader.fetched
    assert "@import" not in text and "default-src 'none'" in text
    assert "read on the kitchen table" in text and "Starts 2021-03-02 at 22:30:00" in text
    assert "Permission is hereby granted, free of charge" in text and "Leon Sorokin" in text


def pieces(text: str, lead: int = 0) -> list[tuple[int, list[int]]]:
    """First sample and codes of each stretch of a lead."""
    part = text.split('<div class="lead" hidden>')[1 + lead]
    found = re.findall(r'class="ecg" data-first="(\d+)" data-n="(\d+)">([^<]*)<', part)
    out = []
    for first, n, packed in found:
        codes = decoded(zlib.decompress(base64.b64decode(packed)))
        assert len(codes) == int(n)
        out.append((int(first), codes))
    return out


def facts(text: str, lead: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(re.findall(r'class="facts">(.*?)</script>', text)[lead])
    return found


@pytest.mark.parametrize("lead", [0, 1])
def test_samples_are_the_recording_s(page: Path, recording: Recording, lead: int) -> None:
    text = page.read_text()
    scale = facts(text, lead)
    signal = recording.signal_mv[:, lead]
    for first, codes in pieces(text, lead):
        mv = scale["offset_mv"] + np.array(codes) * scale["step_mv"]
        mv[np.array(codes) == -32768] = np.nan
        np.testing.assert_allclose(
            mv, signal[first : first + len(codes)], atol=scale["step_mv"] * 0.51
        )
    assert (1, 4)[lead] * np.ptp(simulate(20, FS_HZ).signal_mv) / scale["step_mv"] > 200


def held(text: str) -> set[int]:
    """Which 5 s are there at full rate."""
    units: set[int] = set()
    for first, codes in pieces(text):
        units |= set(range(round(first / 1250), round((first + len(codes)) / 1250)))
    return units


def test_full_rate_where_something_happens(page: Path) -> None:
    units = held(page.read_text())
    for low in LOWS_S:
        assert {low // 5 - 1, low // 5, low // 5 + 1} <= units
    assert {0, 1, 720, 721, 1440, 1441} <= units and len(units) < 40  # a strip of each hour


def test_full_keeps_everything(recording: Recording, model: ModelFolder, tmp_path: Path) -> None:
    decisions = decisions_of(recording.duration_s, LOWS_S)
    write_page(tmp_path / "a.html", recording, [("II", decisions)], model, full=True)
    assert held((tmp_path / "a.html").read_text()) == set(range(MINUTES * 12))


def test_what_is_short_is_held_whole(model: ModelFolder, tmp_path: Path) -> None:
    short = simulate(63, FS_HZ)
    write_page(tmp_path / "a.html", short, [("ECG", decisions_of(63))], model)
    assert sum(len(codes) for _, codes in pieces((tmp_path / "a.html").read_text())) == 63 * 250


@pytest.mark.parametrize("hop_s", [5.0, 1.0])
def test_a_day_takes_three_megabytes(model: ModelFolder, tmp_path: Path, hop_s: float) -> None:
    """Noise, which packs worst, low every other minute: more than the budget has room for."""
    day = np.tile(np.random.default_rng(1).normal(0, 1, 3600 * 250).astype(np.float32), 24)
    noise = Recording("noise", day[:, None], 250.0, ("ECG",))
    decisions = decisions_of(86400, hop_s=hop_s)
    decisions = [
        replace(d, quality=Quality(int(d.start_s // 60) % 2), score=(i * 37 % 256) / 256)
        for i, d in enumerate(decisions)
    ]
    write_page(tmp_path / "a.html", noise, [("ECG", decisions)], model)
    assert 0.85 * MOST_BYTES < (tmp_path / "a.html").stat().st_size <= MOST_BYTES
    units = held((tmp_path / "a.html").read_text())
    for quarter in range(4):  # what is kept is spread over the day
        assert sum(u // 4320 == quarter for u in units) > 0.15 * len(units)


def test_one_lead_is_read_at_a_time(
    recording: Recording, model: ModelFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = replace(recording, signal_mv=recording.signal_mv[: 60 * 250])
    write_wfdb(short, tmp_path)
    file = open_recording(tmp_path / "night")
    asked: list[tuple[Any, ...]] = []
    read = type(file).recording
    monkeypatch.setattr(
        type(file), "recording", lambda self, *leads: asked.append(leads) or read(self, *leads)
    )
    pairs = [(name, decisions_of(60)) for name in ("V5", "II")]
    write_page(tmp_path / "a.html", file, pairs, model)
    assert asked == [("V5",), ("II",)]
    assert facts((tmp_path / "a.html").read_text())["name"] == "V5"


def test_it_refuses(recording: Recording, model: ModelFolder, tmp_path: Path) -> None:
    uneven = [d for d in decisions_of(60) if d.start_s != 20]
    for pairs, words in (([], "at least one lead"), ([("II", uneven)], "evenly spaced")):
        with pytest.raises(ArgumentError, match=words):
            write_page(tmp_path / "a.html", recording, pairs, model)


@pytest.mark.parametrize(
    "signal",
    [np.full(2500, np.nan), np.zeros(2500), np.full(2500, 1e30), np.r_[np.zeros(2499), 1e-9]],
    ids=["missing", "flat", "huge", "tiny"],
)
def test_no_signal_is_too_odd(
    tab: Tab, model: ModelFolder, tmp_path: Path, signal: np.ndarray
) -> None:
    odd = Recording("odd", signal.astype(np.float32)[:, None], 250.0, ("ECG",))
    write_page(tmp_path / "a.html", odd, [("ECG", decisions_of(10))], model)
    tab.open(tmp_path / "a.html", READY)
    for key in ("-", "+", "n", "s", "0"):
        tab.key(key)
    assert not tab.errors


# ---- what it does -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Tab]:
    with chromium(require_tool("chromium")) as new_tab:
        yield new_tab()


@pytest.fixture
def tab(browser: Tab) -> Tab:
    browser.errors.clear()
    browser.size(1440, 900)
    return browser


@pytest.fixture
def shown(tab: Tab, page: Path) -> Iterator[Tab]:
    """The page, opened wide; after a test there must be no error on the console."""
    tab.open(page, READY)
    yield tab
    assert not tab.errors


def view(tab: Tab) -> tuple[float, float]:
    """Start and length of what is in view, s."""
    state = tab.evaluate("({from: ecgqa.state.from, span: ecgqa.state.span})")
    return state["from"], state["span"]


def ink(tab: Tab, selector: str) -> int:
    """Dark pixels of a canvas."""
    count = tab.evaluate(
        f"(() => {{ const c = document.querySelector('{selector}');"
        "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let n = 0;"
        "for (let i = 0; i < d.length; i += 4)"
        "n += d[i + 3] > 200 && d[i] + d[i + 1] + d[i + 2] < 240;"
        "return n; })()"
    )
    return int(count)


def text_of(tab: Tab, name: str) -> str:
    return str(tab.evaluate(f"document.getElementById('{name}').textContent"))


def test_it_opens_where_something_happens(shown: Tab) -> None:
    start, span = view(shown)
    assert start < 600 < 605 < start + span
    assert span == pytest.approx(shown.evaluate("ecgqa.trueSpan()"))
    assert ink(shown, "#view") > 1000 and ink(shown, "#hours") > 500
    assert ink(shown, "#overview canvas") > 500
    assert text_of(shown, "low-runs") == "3" and text_of(shown, "longest") == "3 h 3 min"
    assert text_of(shown, "when") == "22:40:00 to 22:40:05"
    assert "Score 0.250, high from" in text_of(shown, "why")
    assert text_of(shown, "scale") == "25 mm/s, 10 mm/mV"


def test_paper_is_true_to_size(shown: Tab) -> None:
    """25 mm a second of 96 pixels an inch, beats of the second lead at half the gain."""
    _, span = view(shown)
    width = shown.evaluate("document.getElementById('view').clientWidth")
    assert width / span == pytest.approx(25 * 96 / 25.4, rel=1e-6)
    shown.click("#leads button:nth-child(2)")
    assert shown.evaluate("ecgqa.lead().name") == "V5"
    shown.key("n")
    assert text_of(shown, "scale") == "25 mm/s, 5 mm/mV"
    shown.wait("ecgqa.lead().pieces.every((p) => !p.coming || p.codes)")
    shown.settle()
    rows = shown.evaluate(  # no beat is cut off: ink keeps away from the paper's edges
        "(() => { const c = document.getElementById('view');"
        "const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "const rows = []; for (let y = 20; y < c.height - 30; y++) { let n = 0;"
        "for (let x = 0; x < c.width; x++) { const i = 4 * (y * c.width + x);"
        "n += d[i] + d[i + 1] + d[i + 2] < 120; } if (n) rows.push(y); } return rows; })()"
    )
    assert rows and min(rows) > 24 and max(rows) < 320 - 30 - 4


def test_keys(shown: Tab) -> None:
    start, span = view(shown)
    shown.key("ArrowRight")
    assert view(shown) == (pytest.approx(start + span / 4), span)
    shown.key("ArrowLeft")
    assert view(shown)[0] == pytest.approx(start)
    shown.key("+")
    assert view(shown)[1] == pytest.approx(span / 2)
    shown.key("-")
    assert view(shown) == (pytest.approx(start), pytest.approx(span))
    shown.key("n")
    start, span = view(shown)
    assert start < 3000 < start + span
    shown.key("n")
    assert view(shown)[0] < 7000 < sum(view(shown))
    shown.key("n")
    assert view(shown)[0] < 7000 < sum(view(shown))
    assert text_of(shown, "status") == "No later low run."
    shown.key("p")
    assert view(shown)[0] < 3000 < sum(view(shown))
    shown.key("0")
    assert view(shown) == (0, MINUTES * 60)
    shown.wait("document.getElementById('status').textContent.startsWith('22:30:00 to 03:30:00')")
    shown.key("l")
    assert shown.evaluate("ecgqa.lead().name") == "V5"
    shown.key("Home")
    shown.key("1")
    assert view(shown)[1] < 20


def test_clicks(shown: Tab) -> None:
    shown.click("#overview .u-over", 0.5, 0.5)
    start, span = view(shown)
    assert start + span / 2 == pytest.approx(MINUTES * 30, abs=10)
    shown.drag("#overview .u-over", (0.25, 0.5), (0.75, 0.5))
    assert view(shown) == (pytest.approx(MINUTES * 15, abs=20), pytest.approx(MINUTES * 30, abs=40))
    shown.click("#hours", 0.5, 0.4)  # the third of six rows, from midnight: about half past
    start, span = view(shown)
    assert span < 20 and 6900 < start < 7500
    before = view(shown)[0]
    shown.drag("#view", (0.6, 0.5), (0.4, 0.5))
    assert view(shown)[0] == pytest.approx(before + 0.2 * span, rel=1e-3)
    shown.click("#view", 0.05, 0.5)
    chosen = shown.evaluate("ecgqa.state.segment")
    assert chosen == int((view(shown)[0] + 0.05 * span) // 5)
    shown.click("[data-key='p']")
    assert view(shown)[0] < 7000 < sum(view(shown))
    shown.click("#runs tr:nth-child(2) button")
    assert view(shown)[0] < 3000 < sum(view(shown))


def test_leads_and_reasons(shown: Tab) -> None:
    assert shown.evaluate("document.querySelectorAll('#leads button').length") == 2
    shown.click("#leads button:nth-child(2)")
    assert text_of(shown, "low-runs") == "2" and "flat" in text_of(shown, "key")
    shown.click("#runs tr:first-child button")
    assert text_of(shown, "quality") == "flat"
    assert text_of(shown, "why").startswith("The network was not asked.")
    assert (
        shown.evaluate("document.querySelector('#leads [aria-pressed=true]').textContent") == "V5"
    )


def test_what_is_not_held_says_so(shown: Tab) -> None:
    shown.evaluate("ecgqa.show(2000, 10)")
    shown.settle()
    assert "--full" in text_of(shown, "scale") and ink(shown, "#view") > 100
    shown.key("s")
    shown.wait("document.getElementById('scalogram-note').textContent.includes('--full')")
    assert shown.evaluate("document.getElementById('scalogram').hidden")


def test_no_scalogram_of_a_gap(shown: Tab) -> None:
    shown.key("n")
    shown.key("s")
    shown.wait("document.getElementById('scalogram-note').textContent.includes('gap')")


def test_a_scalogram_is_the_front_end_s(
    shown: Tab, recording: Recording, model: ModelFolder
) -> None:
    shown.key("s")
    shown.wait("document.getElementById('scalogram').dataset.segment == 120")
    assert ink(shown, "#scalogram") > 1000
    levels = np.array(shown.evaluate("ecgqa.indexMap(120).then((m) => [...m])"))
    segment = quantise(recording.signal_mv[600 * 250 : 605 * 250, 0])
    native = NativeFrontEnd(model.spec, FS_HZ).index_map(segment)
    off = np.abs(levels.reshape(native.shape) - native.astype(int))
    # 5 uV of the page's step and the integers' rounding
    assert off.max() <= 3 and (off <= 1).mean() > 0.99 and native.max() == 255


@pytest.mark.parametrize("preset", ["wearable", "seed"])
def test_a_disturbed_scalogram_is_the_front_end_s(
    tab: Tab, model: ModelFolder, tmp_path: Path, preset: str
) -> None:
    """Conditioned and not, by the QRS band and by the extremes: a jump and one large spike."""
    jumps = simulate(10, FS_HZ, disturbances=(ElectrodeMotion(5.5, 2, 4.0),), seed=4)
    jumps.signal_mv[round(8.8 * FS_HZ)] += 6
    spec = FrontEnd.preset(preset)
    write_page(tmp_path / "a.html", jumps, [("ECG", decisions_of(10))], replace(model, spec=spec))
    tab.open(tmp_path / "a.html", READY)
    levels = np.array(tab.evaluate("ecgqa.indexMap(1).then((m) => [...m])"))
    segment = quantise(jumps.signal_mv[5 * 250 : 10 * 250, 0])
    native = NativeFrontEnd(spec, FS_HZ).index_map(segment)
    off = np.abs(levels.reshape(native.shape) - native.astype(int))
    assert off.max() <= 4 and (off <= 1).mean() > 0.99


def test_touch(tab: Tab, page: Path) -> None:
    tab.size(390, 844, phone=True)
    tab.open(page, READY)
    start, span = view(tab)
    path = [(x, 0.5) for x in (0.8, 0.7, 0.6, 0.5, 0.4)]
    tab.touch("#view", path)
    assert view(tab) == (pytest.approx(start + 0.4 * span, abs=0.15 * span), span)
    tab.touch("#view", [(x, 0.5) for x in (0.4, 0.3, 0.2)], [(x, 0.5) for x in (0.6, 0.7, 0.8)])
    assert view(tab)[1] == pytest.approx(max(span / 3, 1), rel=0.2)
    before = view(tab)
    tab.touch("#view", [(0.9, 0.5)])
    assert view(tab) == before
    assert tab.evaluate("ecgqa.state.segment") == int((before[0] + 0.9 * before[1]) // 5)
    assert not tab.errors


@pytest.mark.parametrize("width", [390, 1440])
def test_nothing_is_cut_off_on_a_screen(tab: Tab, page: Path, width: int) -> None:
    tab.size(width, 844, phone=width < 600)
    tab.open(page, READY)
    tab.key("s")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    small = tab.evaluate(
        "[...document.querySelectorAll('button')].filter((b) => b.offsetHeight < 36).length"
    )
    assert small == 0 or width > 600
    assert not tab.errors


def test_on_paper(shown: Tab, tmp_path: Path) -> None:
    """Printed: pictures are drawn anew for the sheet, at true size, and the screen's come back."""
    pdftotext = require_tool("pdftotext")
    before = shown.evaluate("document.getElementById('view').width")
    shown.evaluate(
        "addEventListener('beforeprint', () => window.sheet = "
        "[document.getElementById('view').clientWidth, document.getElementById('view').width])"
    )
    shown.pdf(tmp_path / "a.pdf")
    done = subprocess.run(
        [pdftotext, "-layout", str(tmp_path / "a.pdf"), "-"], capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert len(done.stdout.rstrip("\f").split("\f")) <= 2
    assert "22:40:00" in done.stdout and "Low runs" in done.stdout
    assert "next low" not in done.stdout and "Keys:" not in done.stdout
    css, device = shown.evaluate("window.sheet")
    assert css == pytest.approx(186 * 96 / 25.4, abs=1) and device == pytest.approx(3 * css, abs=2)
    shown.settle()
    assert shown.evaluate("document.getElementById('view').width") == before


def test_names_are_text(tab: Tab, recording: Recording, tmp_path: Path, model: ModelFolder) -> None:
    """Whatever a file calls its record, its leads and what it says of itself."""
    short = simulate(60, FS_HZ)
    hostile = Recording(
        NASTY, np.repeat(short.signal_mv, 2, axis=1), FS_HZ, (NASTY, "</script>"), notes=(NASTY,)
    )
    spec = replace(model.spec, labels=("<b>low</b>", "</script><i>high"))
    pairs = [(name, decisions_of(60, (20,))) for name in hostile.lead_names]
    write_page(tmp_path / "a.html", hostile, pairs, replace(model, spec=spec))
    tab.open(tmp_path / "a.html", READY)
    assert tab.evaluate("document.title").startswith(NASTY)
    assert tab.evaluate("document.querySelectorAll('img, b b, i').length") == 0
    assert tab.evaluate("document.querySelector('#leads button').textContent") == NASTY
    assert text_of(tab, "quality") == "<b>low</b>"
    assert not tab.errors
