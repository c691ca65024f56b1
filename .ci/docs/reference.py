# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Pages that are made: from the program (command line, C headers, schemas), tutorials, texts."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from ecgqa_tflite.cli import COMMANDS, main

REPO = Path(__file__).resolve().parents[2]
HEADERS = REPO / "firmware_bridge/include/ecgqa"
TUTORIALS = REPO / "ecgqa_tflite/docs/tutorials"
PUBLIC_HEADERS = ("ecgqa.h", "status.h", "reason.h", "cwt.h", "nn.h")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are generated."""
    pages = {
        "reference/cli.md": command_line(),
        "reference/c.md": c_headers(),
        "reference/formats.md": formats(),
        "contributing.md": (REPO / "CONTRIBUTING.md").read_text(),
        "changes.md": (REPO / "CHANGELOG.md").read_text().replace("](ecgqa_tflite/docs/", "]("),
    }
    for path in sorted(TUTORIALS.glob("*.py")):
        found = cells(path.read_text())
        pages[f"tutorials/{path.stem}.md"] = tutorial_page(path.stem, found)
        pages[f"tutorials/{path.stem}.ipynb"] = notebook(found)
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """In the repository a guide names its tutorial's script, on the site its page."""
    return re.sub(r"\]\(\.\./tutorials/(\w+)\.py\)", r"](../tutorials/\1.md)", markdown)


# ---- tutorials --------------------------------------------------------------------------------


def cells(script: str) -> list[tuple[str, str]]:
    """(``markdown`` or ``code``, text) of each cell of a script in the percent format."""
    found = []
    for title, body in re.findall(r"^# %%(.*)\n((?:(?!# %%).*\n?)*)", script, re.M):
        if "[markdown]" in title:
            found.append(("markdown", re.sub(r"^# ?", "", body, flags=re.M).strip()))
        else:
            found.append(("code", body.strip()))
    return found


def tutorial_page(name: str, found: list[tuple[str, str]]) -> str:
    """The cells as a page, with links to the same as a script and as a notebook."""
    parts = [text if kind == "markdown" else f"```python\n{text}\n```" for kind, text in found]
    links = (
        f"A test runs it: [script]({name}.py), [notebook]({name}.ipynb). It writes into the folder "
        "in which it is started."
    )
    return "\n\n".join([parts[0], links, *parts[1:]]) + "\n"


def notebook(found: list[tuple[str, str]]) -> str:
    """The cells as Jupyter's JSON."""
    made = [
        {"cell_type": kind, "id": f"cell-{i}", "metadata": {}, "source": text}
        | ({"execution_count": None, "outputs": []} if kind == "code" else {})
        for i, (kind, text) in enumerate(found)
    ]
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": made}, indent=1)


# ---- command line ---------------------------------------------------------------------------


def commands() -> Iterator[tuple[str, click.Command]]:
    """(name as typed, command), each followed by its subcommands."""
    context = click.Context(main)
    for name in COMMANDS:
        command = copy.deepcopy(main.get_command(context, name))
        assert command is not None
        yield f"ecgqa {name}", command
        if isinstance(command, click.Group):
            for sub in command.list_commands(click.Context(command)):
                found = command.get_command(click.Context(command), sub)
                assert found is not None
                yield f"ecgqa {name} {sub}", found


def command_line() -> str:
    """Each command's own help."""
    parts = [
        "# Command line\n\nWhat `--help` says, command by command. Every command ends with 0; with "
        "1 and one line on standard error where something is wrong with what it was given; with 2 "
        "where the command line itself is.\n"
    ]
    for name, command in commands():
        level = "##" if name.count(" ") == 1 else "###"
        with click.Context(command, info_name=name, terminal_width=90) as context:
            parts.append(f"{level} {name}\n\n```text\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


# ---- C ----------------------------------------------------------------------------------------

DECLARATION = re.compile(
    r"(?P<comment>/\*(?:(?!\*/).)*\*/\n)?"
    r"(?P<code>(?:size_t|ecgqa_\w+_t|const char \*)\s*\*?ecgqa_\w+\([^;{}]*\);"
    r"|typedef (?:struct|enum) \{.*?\} ecgqa_\w+_t;"
    r"|#define ECGQA_\w+ [^\n]*)",
    re.DOTALL,
)


def prose(comment: str) -> str:
    """A C comment without its stars."""
    text = comment.strip().removeprefix("/*").removesuffix("*/")
    return "\n".join(re.sub(r"^ ?\* ?", "", line).rstrip() for line in text.splitlines()).strip()


def as_markdown(comment: str) -> str:
    """The comment's words; indented stretches are code."""
    return re.sub(r"(?<![\w`*])(\w+_\w+|\*\w+)(?![\w`*])", r"`\1`", prose(comment))


def title(code: str) -> str:
    """Name of what is declared."""
    for pattern in (r"\} (ecgqa_\w+);$", r"#define (\w+)", r"(ecgqa_\w+)\("):
        if found := re.search(pattern, code):
            return found[1]
    raise ValueError(f"what does this declare? {code}")


def c_headers() -> str:
    """What each public header declares and says."""
    parts = [
        "# C\n\nTaken from `firmware_bridge/include/ecgqa`, which every bundle holds. One call of "
        "`ecgqa_init`, then `ecgqa_push` and `ecgqa_classify`: [a bundle in a firmware]"
        "(../guides/bundle.md).\n"
    ]
    for name in PUBLIC_HEADERS:
        text = (HEADERS / name).read_text()
        head = re.match(r"/\*.*?\*/", text, re.DOTALL)
        assert head is not None, name
        parts.append(f"## {name}\n\n```text\n{prose(head[0])}\n```\n")
        for found in DECLARATION.finditer(text[head.end() :]):
            parts.append(f"### `{title(found['code'])}`\n")
            if found["comment"]:
                parts.append(as_markdown(found["comment"]) + "\n")
            parts.append(f"```c\n{found['code']}\n```\n")
    return "\n".join(parts)


# ---- formats --------------------------------------------------------------------------------


def formats() -> str:
    """The schemas: what each field means, and the schema itself."""
    parts = [
        "# File formats\n\nEach file says its format's number. A number changes where a field goes "
        "or changes its meaning; what is of another number is refused, with what to do. The "
        "schemas (JSON Schema 2020-12) lie in the package beside what writes the file; a test "
        "holds them to what is written and to what is refused.\n"
    ]
    found = {p: json.loads(p.read_text()) for p in (REPO / "ecgqa_tflite").rglob("*.schema.json")}
    titles = {schema.get("$id"): schema["title"] for schema in found.values()}
    for path, schema in sorted(found.items()):
        where = path.relative_to(REPO).as_posix()
        parts.append(f"## {schema['title']}\n\n{schema.get('description', '')}\n")
        for entry in schema.get("oneOf", [schema]):
            parts.append(f"{entry['description']}\n" if entry is not schema else "")
            parts.append(fields(entry, titles))
        text = path.read_text().rstrip()
        parts.append(f'??? note "`{where}`"\n\n    ```json\n{indented(text)}\n    ```\n')
    return "\n".join(parts)


def fields(schema: dict[str, Any], titles: dict[str, str]) -> str:
    """A table of an object's fields."""
    rows = ["| field | type | meaning |", "|---|---|---|"]
    named = schema.get("properties", {}) | schema.get("patternProperties", {})
    for name, field in named.items():
        needed = "" if name in schema.get("required", []) else ", may be missing"
        meaning = str(field.get("description", "")).replace("|", "\\|")
        if "$ref" in field:
            place, _, part = field["$ref"].partition("#/$defs/")
            title = titles.get(place)
            meaning = f"as `{part or title}`" + (f" of {title}" if part and title else "")
        rows.append(f"| `{name}` | {kind(field)}{needed} | {meaning} |")
    return "\n".join(rows) + "\n"


def kind(field: dict[str, Any]) -> str:
    """What a field may hold, in few words."""
    if "$ref" in field:
        return "object"
    if "const" in field:
        return f"`{json.dumps(field['const'])}`"
    if "enum" in field:
        return ", ".join(f"`{json.dumps(value)}`" for value in field["enum"])
    types = field.get("type", "one of several")
    text = types if isinstance(types, str) else " or ".join(types)
    low, high = field.get("minimum"), field.get("maximum")
    return text if low is None or high is None else f"{text}, {low:g} to {high:g}"


def indented(text: str) -> str:
    """As a block inside another."""
    return "\n".join(f"    {line}" for line in text.splitlines())
