# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium, driven over its DevTools protocol through a pipe: no port, no library."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FIRST_FREE = 20
"""Chromium reads from descriptor 3 and writes to 4; ours are kept away from both."""
PATIENCE_S = 60.0


class Tab:
    """One page of a browser; what its console says of errors is in ``errors``."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading, self._writing = reading, writing
        self._buffer, self._number = b"", 0
        self._session: str | None = None
        self.errors: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """What the browser answers to a command."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._writing, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result
            self._heard(answer)

    def _next(self) -> dict[str, Any]:
        until = time.monotonic() + PATIENCE_S
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._reading], [], [], until - time.monotonic())
            assert ready, "Chromium does not answer"
            more = os.read(self._reading, 1 << 20)
            assert more, "Chromium has ended"
            self._buffer += more
        message, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def _heard(self, event: dict[str, Any]) -> None:
        method, told = event.get("method", ""), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(told["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning"):
            self.errors.append(json.dumps(told["args"]))
        elif method == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
            self.errors.append(json.dumps(told["entry"]))
        elif method == "Network.requestWillBeSent":
            url = told["request"]["url"]
            if not url.startswith(("file:", "data:", "blob:", "about:")):
                self.errors.append(f"fetched {url}")

    def evaluate(self, expression: str) -> Any:
        """Value of a JavaScript expression, awaited where it is a promise."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, expression: str) -> None:
        """Until a JavaScript expression is true."""
        until = time.monotonic() + PATIENCE_S
        while not self.evaluate(f"Boolean({expression})"):
            assert time.monotonic() < until, f"never true: {expression}; {self.errors}"
            time.sleep(0.02)

    def size(self, width: int, height: int, *, phone: bool = False) -> None:
        """Of the window, in CSS pixels; a phone has touch and more device pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=2 if phone else 1, mobile=phone,
        )  # fmt: skip
        self.call("Emulation.setTouchEmulationEnabled", enabled=phone)

    def open(self, path: Path, ready: str = "document.readyState == 'complete'") -> None:
        """Load a file, until ``ready`` is true."""
        self.call("Page.navigate", url=path.as_uri())
        self.wait(f"location.href == {json.dumps(path.as_uri())} && ({ready})")

    def settle(self) -> None:
        """Until what was asked for has been drawn."""
        self.evaluate("new Promise((f) => requestAnimationFrame(() => requestAnimationFrame(f)))")

    def key(self, key: str) -> None:
        """Press and let go."""
        text = {"text": key} if len(key) == 1 else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)
        self.settle()

    def place(self, selector: str, x: float, y: float) -> tuple[float, float]:
        """Where in the window a share of an element's box lies, once it is in view."""
        box = self.evaluate(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center'}); const r = e.getBoundingClientRect();"
            f"return [r.left + {x} * r.width, r.top + {y} * r.height]; }})()"
        )
        return float(box[0]), float(box[1])

    def drag(self, selector: str, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Mouse down at one share of an element, up at another; a click where they are the same."""
        a, b = self.place(selector, *start), self.place(selector, *end)
        steps = [("mousePressed", a), ("mouseMoved", b), ("mouseReleased", b)]
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=a[0], y=a[1])
        for kind, (x, y) in steps if a != b else (steps[0], steps[2]):
            self.call(
                "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1,
                clickCount=1,
            )  # fmt: skip
        self.settle()

    def click(self, selector: str, x: float = 0.5, y: float = 0.5) -> None:
        """On a share of an element's box."""
        self.drag(selector, (x, y), (x, y))

    def touch(self, selector: str, *fingers: list[tuple[float, float]]) -> None:
        """Fingers that each go through places, shares of an element's box."""
        paths = [[self.place(selector, *place) for place in finger] for finger in fingers]
        for i, places in enumerate(zip(*paths, strict=True)):
            points = [{"x": x, "y": y, "id": n} for n, (x, y) in enumerate(places)]
            kind = "touchMove" if i else "touchStart"
            self.call("Input.dispatchTouchEvent", type=kind, touchPoints=points)
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
        self.settle()

    def picture(self, path: Path, *, whole: bool = False) -> None:
        """Screenshot, PNG, of the window or of all of the page."""
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(data["data"]))

    def pdf(self, path: Path) -> None:
        """Printed on A4."""
        answer = self.call(
            "Page.printToPDF", printBackground=False, preferCSSPageSize=True,
            paperWidth=8.27, paperHeight=11.69,
        )  # fmt: skip
        path.write_bytes(base64.b64decode(answer["data"]))


@contextmanager
def chromium(program: str) -> Iterator[Callable[[], Tab]]:
    """A browser with a profile of its own that ends with the block; call for a new tab."""
    profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)  # its last processes write
    pipes = [os.pipe(), os.pipe()]
    ours = [[fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, FIRST_FREE) for end in p] for p in pipes]
    for end in (*pipes[0], *pipes[1]):
        os.close(end)
    (theirs_in, to_it), (from_it, theirs_out) = ours

    def connect() -> None:
        os.dup2(theirs_in, 3)
        os.dup2(theirs_out, 4)

    browser = subprocess.Popen(
        [program, "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe",
         f"--user-data-dir={profile.name}", "--hide-scrollbars", "about:blank"],
        close_fds=False, preexec_fn=connect,  # Python's own descriptors close at exec
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        yield lambda: Tab(from_it, to_it)
    finally:
        browser.terminate()
        try:
            browser.wait(20)
        except subprocess.TimeoutExpired:
            browser.kill()
            browser.wait()
        os.close(to_it)
        os.close(from_it)
        profile.cleanup()
