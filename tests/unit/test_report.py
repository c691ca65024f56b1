# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The bundle's report: whole, offline, of the bundle's own figures; looked at where Chromium is."""

from __future__ import annotations

import json
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
import tiny_model
from conftest import require_tool

from ecgqa_tflite.bundle.export import Bundle, export_bundle
from ecgqa_tflite.bundle.report import report_html
from ecgqa_tflite.engine.golden import Golden

VOID = {"meta", "img", "line", "br", "polyline", "rect", "path"}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    require_tool("cc")
    model = tiny_model.folder(tmp_path_factory.mktemp("models"), licence='"A" <b> & C')
    return export_bundle(model, tmp_path_factory.mktemp("bundles") / "bundle")


class Reader(HTMLParser):
    """Checks that tags close in order; gathers what would be fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [v or "" for k, v in attrs if k in ("src", "href") and v]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [v or "" for k, v in attrs if k in ("src", "href") and v]

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag, (tag, self.getpos())


def test_it_is_whole_and_fetches_nothing(bundle: Bundle) -> None:
    text = (bundle.path / "report.html").read_text()
    reader = Reader()
    reader.feed(text)
    assert not reader.open
    assert len(reader.fetched) == 12
    assert all(src.startswith("data:image/png;base64,") for src in reader.fetched)
    assert "@import" not in text and "url(" not in text and "<script" not in text


def test_it_says_what_the_manifest_says(bundle: Bundle) -> None:
    text = (bundle.path / "report.html").read_text()
    manifest = bundle.manifest
    for word in (
        *(f"{manifest['census']['macs']:,}", manifest["model_id"], manifest["model"]["spec_hash"]),
        *(f"{manifest['engine']['workspace_bytes']:,} B", "0.750", "0.800", "full scale square"),
        *("Passed", "not measured", "Network workspace"),
    ):
        assert word in text, word
    assert "&#34;A&#34; &lt;b&gt; &amp; C" in text and "<b> & C" not in text
    for name, sha in manifest["files"].items():
        assert name == "report.html" or sha in text


def test_the_same_report_again_of_what_the_bundle_holds(bundle: Bundle) -> None:
    manifest = json.loads((bundle.path / "manifest.json").read_text())
    del manifest["files"]["report.html"]
    golden = Golden.from_npz(bundle.path / manifest["golden"]["file"])
    memory_map = (bundle.path / "memory_map.svg").read_text()
    again = report_html(manifest, golden, memory_map)
    assert again == (bundle.path / "report.html").read_text()


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_cut_off_on_a_screen(bundle: Bundle, tmp_path: Path, width: int) -> None:
    """In Chromium, where it is installed: the page is no wider than the window, nor is a table."""
    chromium = require_tool("chromium")
    probe = tmp_path / "probe.html"
    # A frame has the width that it is given; the window of a headless browser has a least one.
    probe.write_text(
        f'<iframe id="f" src="{bundle.path}/report.html" width="{width}" height="900"></iframe>'
        "<script>f.onload = () => { const d = f.contentDocument.documentElement;"
        "const wide = [...d.querySelectorAll('.wide')].filter(e => e.scrollWidth > e.clientWidth);"
        "document.title = d.scrollWidth + ' of ' + d.clientWidth + ', ' + wide.length; };</script>"
    )
    done = subprocess.run(
        [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files",
         "--virtual-time-budget=5000", "--dump-dom", probe.as_uri()],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    found = re.search(r"<title>(\d+) of (\d+), (\d+)</title>", done.stdout)
    assert found, done.stdout[:500]
    assert int(found[1]) <= int(found[2]) and found[3] == "0"


def test_on_paper(bundle: Bundle, tmp_path: Path) -> None:
    """Printed by Chromium: what is folded on a screen is open, and no line is cut off."""
    chromium, pdftotext = require_tool("chromium"), require_tool("pdftotext")
    pdf = tmp_path / "report.pdf"
    subprocess.run(
        [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer",
         f"--print-to-pdf={pdf}", (bundle.path / "report.html").as_uri()],
        capture_output=True, timeout=120, check=True,
    )  # fmt: skip
    done = subprocess.run(
        [pdftotext, "-layout", str(pdf), "-"], capture_output=True, text=True, check=True
    )
    pages = done.stdout.rstrip("\f").split("\f")
    assert 3 <= len(pages) <= 9
    text = "".join(done.stdout.split())
    for sha in (x for name, x in bundle.manifest["files"].items() if name != "report.html"):
        assert sha in text
    assert "hashes,LiteRT,compiledC,QEMU" in text  # the end of the longest line of code
    heads = re.findall(r"<h2>([^<]*)</h2>", (bundle.path / "report.html").read_text())
    assert heads
    for page in pages:  # no heading at the foot of a page, parted from what it heads
        last = [line.strip() for line in page.splitlines() if line.strip()][-1]
        assert last not in heads
