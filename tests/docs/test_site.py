# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``make docs``: no warning, no link that leads nowhere, nothing from another place, all in it."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from conftest import REPO, require_module

from ecgqa_tflite.cli import COMMANDS

LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
"""What a browser fetches by itself."""


class Page(HTMLParser):
    """Ids of a page, where it links to, and what it loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids |= {value for name in ("id", "name") if (value := found.get(name))}
        if tag == "a" and (href := found.get("href")):
            self.links.append(href)
        if (
            tag in LOADED
            and found.get("rel") not in ("canonical", "edit")
            and (url := found.get(LOADED[tag]))
        ):
            self.loads.append(url)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    require_module("mkdocs")
    require_module("material")
    require_module("mkdocstrings")
    out = tmp_path_factory.mktemp("site")
    config = REPO / ".ci/docs/mkdocs.yml"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "-f", str(config), "-d", str(out)],
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    return out


def test_links_lead_somewhere(site: Path) -> None:
    pages = {path: Page(path) for path in sorted(site.rglob("*.html"))}
    assert len(pages) > 12
    checked = 0
    for path, page in pages.items():
        if path.name == "404.html":
            continue
        for link in page.links + page.loads:
            parts = urlsplit(link)
            if parts.scheme:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.is_file(), f"{path.relative_to(site)} links {link}"
            if parts.fragment and target in pages and parts.fragment != "__skip":
                known = pages[target].ids
                assert unquote(parts.fragment) in known, f"{path.relative_to(site)} links {link}"
            checked += 1
    assert checked > 300


def test_nothing_is_fetched(site: Path) -> None:
    for path in site.rglob("*.html"):
        elsewhere = [url for url in Page(path).loads if re.match(r"(https?:)?//", url)]
        assert not elsewhere, f"{path.name} loads {elsewhere}"


def text_of(site: Path, name: str) -> str:
    return re.sub(r"<[^>]+>", "", (site / name).read_text())


def test_the_reference_is_whole(site: Path) -> None:
    shown = text_of(site, "reference/cli.html")
    for name in COMMANDS:
        assert f"Usage: ecgqa {name}" in shown
    shown = text_of(site, "reference/c.html")
    header = (REPO / "firmware_bridge/include/ecgqa/ecgqa.h").read_text()
    functions = re.findall(r"^(?:ecgqa_status_t|size_t) (ecgqa_\w+)\(", header, re.M)
    assert len(functions) > 7
    for name in functions:
        assert re.search(rf"\b{name}\b.*\b{name}\(", shown, re.S), name
    shown = text_of(site, "reference/formats.html")
    for path in (REPO / "ecgqa_tflite").rglob("*.schema.json"):
        assert json.loads(path.read_text())["title"] in shown
    shown = text_of(site, "reference/python.html")
    assert ":class:" not in shown and ":func:" not in shown
    for name in importlib.import_module("ecgqa_tflite").__all__:
        assert name in shown or name == "__version__"


def test_search_knows_the_words(site: Path) -> None:
    index = json.loads((site / "search/search_index.json").read_text())["docs"]
    places = {word: [d["location"] for d in index if word in d["text"]] for word in
              ("ecgqa_push_missing", "threshold", "--collect", "usable_rate")}  # fmt: skip
    assert all(places.values()), places
    # opened as a file, a page finds the index beside it in a script, and no worker is started
    assert (site / "search/search_index.js").read_text().startswith("var __index = ")
    assert "iframe-worker.js" in (site / "index.html").read_text()
