# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""One escaper per form, and names that break out of none."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_model
from conftest import require_tool

from ecgqa_tflite.engine.identity_source import identity_header
from ecgqa_tflite.errors import SpecError
from ecgqa_tflite.escape import c_string, is_printable, markdown, terminal, without_html
from ecgqa_tflite.spec import FrontEnd

NASTY = (
    'low??/"; int evil = 1; //',
    "\U0001f600 emoji",
    "\\",
    '"',
    "tab\tnew\nline",
    "\x1b[31mred\x07",
    "é0ff",
    "*/ #error",
    "%s %n",
)


@pytest.mark.parametrize("standard", ["c99", "gnu11"])
def test_a_c_compiler_reads_what_was_written(tmp_path: Path, standard: str) -> None:
    require_tool("gcc")
    source, program = tmp_path / "t.c", str(tmp_path / "t")
    rows = ",\n".join(c_string(text) for text in NASTY)
    source.write_text(
        f"#include <stdio.h>\nstatic const char *const t[] = {{\n{rows}}};\n"
        "int main(void) { for (unsigned i = 0; i < sizeof t / sizeof t[0]; i++)"
        " { fputs(t[i], stdout); putchar(0); } return 0; }\n",
        encoding="ascii",
    )
    flags = (f"-std={standard}", "-trigraphs", "-Wall", "-Wextra", "-pedantic", "-Werror")
    subprocess.run(["gcc", *flags, str(source), "-o", program], check=True)
    said = subprocess.run([program], capture_output=True, check=True).stdout
    assert said.decode().split("\0")[:-1] == list(NASTY)


def test_the_identity_header_compiles_whatever_the_names(tmp_path: Path) -> None:
    require_tool("gcc")
    for text in NASTY:
        identity = {
            "name": "m", "labels": [text, text], "licence": text, "model_id": "0" * 16,
            "threshold_int8": 0, "input": {"zero_point": -128},
            "output": {"zero_point": -128, "quant_scale": 1 / 256},
        }  # fmt: skip
        header = identity_header(identity, 1)["ecgqa_identity.h"]
        (tmp_path / "ecgqa_identity.h").write_text(header, encoding="ascii")
        use = '#include "ecgqa_identity.h"\nconst char *a = ECGQA_LABEL_0 ECGQA_LICENCE;\n'
        flags = ("-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror", f"-I{tmp_path}")
        subprocess.run(
            ["gcc", *flags, "-fsyntax-only", "-xc", "-"], input=use, text=True, check=True
        )


def test_markdown_and_html() -> None:
    assert markdown("<script>alert(1)</script>") == "&lt;script&gt;alert(1)&lt;/script&gt;"
    assert markdown("a\n# b | `c` [d](e)") == r"a \# b \| \`c\` \[d\](e)"
    card = "# Card\n\n1 < 2, <script>x</script> <!-- y -->\n"
    assert without_html(card) == "# Card\n\n1 < 2, &lt;script>x&lt;/script> &lt;!-- y -->\n"


def test_a_screen_is_not_steered() -> None:
    assert terminal("\x1b[31mred\x07\u202e") == r"\x1b[31mred\x07\u202e"
    assert terminal("µV, é, \U0001f600") == "µV, é, \U0001f600"


@pytest.mark.parametrize("label", ["", "a" * 65, "a\x1b[31m", "a\nb", "\u202eabc"])
def test_a_label_that_no_screen_shows(label: str) -> None:
    assert not is_printable(label, 64)
    with pytest.raises(SpecError, match="printable"):
        replace(tiny_model.SPEC, labels=("low", label))
    said = json.dumps({**tiny_model.SPEC.to_dict(), "labels": [label, "high"]})
    with pytest.raises(SpecError, match="printable"):
        FrontEnd.from_json(said)


def test_half_a_surrogate_pair_is_no_label() -> None:
    with pytest.raises(SpecError, match="printable"):
        replace(tiny_model.SPEC, labels=("low", "\ud800"))
    said = json.dumps({**tiny_model.SPEC.to_dict(), "labels": ["\ud800", "high"]})
    with pytest.raises(SpecError, match="surrogate"):
        FrontEnd.from_json(said)
