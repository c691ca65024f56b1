# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""The house rules that a machine can hold: imports, help texts, README, docstrings, paths."""

from __future__ import annotations

import ast
import copy
import dataclasses
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from conftest import REPO, require_module

from ecgqa_tflite.cli import COMMANDS, main

PACKAGE = REPO / "ecgqa_tflite"

ORDER = (
    "errors escape strict_json",
    "progress spec output resources",
    "recording frontend model_folder",
    "segments",
    "tflite networks datasets decisions",
    "engine",
    "assess quantize plots",
    "live boards",
    "benchmark",
    "devices",
    "evaluation",
    "training",
    "convert",
    "bundle bulk experiment",
    "cli",
)
"""Rooms, lowest first. A room imports from lines above its own alone, in functions too."""

EXCEPTIONS: frozenset[str] = frozenset()
"""``file: room`` of imports that break the order; none."""

MAY_IMPORT_TENSORFLOW = {"networks", "training", "quantize", "convert"}
TENSORFLOW = {"tensorflow", "tf_keras", "keras", "tensorflow_model_optimization"}


def sources() -> list[Path]:
    """Every Python file of the package; tutorials are programs of a user."""
    return sorted(p for p in PACKAGE.rglob("*.py") if not p.is_relative_to(PACKAGE / "docs"))


def room(path: Path) -> str:
    """Name of the module or folder directly under ``ecgqa_tflite`` that ``path`` belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def place(name: str) -> int:
    """Index into :data:`ORDER`."""
    return next(i for i, rooms in enumerate(ORDER) if name in rooms.split())


def upward(path: Path, name: str) -> list[str]:
    """Imports of ``path``, a file of room ``name``, from rooms that are not below it."""
    found = []
    for line, module in imports(path):
        parts = module.split(".")
        if parts[0] != "ecgqa_tflite" or len(parts) < 2 or parts[1] in (name, "__version__"):
            continue
        if place(parts[1]) >= place(name):
            found.append(f"{path.name}:{line} imports {module}")
    return found


def tracked() -> list[Path]:
    """Files that git tracks, or would."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPO, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    return [REPO / name for name in names.split("\0") if name and (REPO / name).is_file()]


def is_type_checking(node: ast.AST) -> bool:
    """Whether ``node`` is an ``if TYPE_CHECKING:``."""
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def imports(path: Path) -> list[tuple[int, str]]:
    """(line, dotted module) of each import in ``path``, wherever in the file it stands."""
    found: list[tuple[int, str]] = []
    inside = path.is_relative_to(REPO)
    package = ".".join(path.relative_to(REPO).parts[:-1]) if inside else "ecgqa_tflite.room"
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = parts[: len(parts) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            # `from ecgqa_tflite import spec` imports a room too
            whole = module == "ecgqa_tflite"
            found += [
                (node.lineno, f"{module}.{alias.name}" if whole else module) for alias in node.names
            ]
    return found


def at_import(path: Path) -> set[str]:
    """Top-level modules that importing ``path`` loads: no function bodies, no TYPE_CHECKING."""
    found: set[str] = set()
    todo: list[ast.AST] = [ast.parse(path.read_text())]
    while todo:
        node = todo.pop()
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            continue
        if is_type_checking(node):
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
        todo += ast.iter_child_nodes(node)
    return found


def test_every_room_has_its_place() -> None:
    rooms = [name for line in ORDER for name in line.split()]
    assert len(set(rooms)) == len(rooms)
    assert {room(path) for path in sources()} - {"__init__"} == set(rooms)


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    if room(path) == "__init__":  # the face: names of every room, for type checkers alone
        assert not {m for m in at_import(path) if m.startswith("ecgqa_tflite")}
        return
    assert not set(upward(path, room(path))) - EXCEPTIONS
    for line, module in imports(path):
        top = module.partition(".")[0]
        if top in TENSORFLOW:
            assert room(path) in MAY_IMPORT_TENSORFLOW, f"{path}:{line} imports {module}"
        if top == "matplotlib":
            assert room(path) == "plots", f"{path}:{line} imports {module}"


@pytest.mark.parametrize(
    "planted",
    [
        "def f():\n    from ecgqa_tflite.cli import main\n",
        "def f():\n    import ecgqa_tflite.bundle.gate\n",
        "from ecgqa_tflite import quantize\n",
        "class C:\n    def f(self):\n        from ..benchmark import tables\n",
    ],
)
def test_an_upward_import_is_seen(planted: str, tmp_path: Path) -> None:
    """Also in a function, from the same line of the order, relative."""
    source = tmp_path / "planted.py"
    source.write_text("from ecgqa_tflite.errors import EcgqaError\n" + planted)
    assert len(upward(source, "engine")) == 1


@pytest.mark.parametrize(
    "path",
    [p for p in sources() if room(p) not in MAY_IMPORT_TENSORFLOW],
    ids=lambda p: str(p.relative_to(PACKAGE)),
)
def test_a_base_install_can_import_it(path: Path) -> None:
    """What the extra ``train`` brings is imported inside functions only."""
    extra = TENSORFLOW | {"joblib", "matplotlib", "neurokit2", "pywt", "sklearn"}
    extra |= {"dask", "distributed", "duckdb", "fsspec", "pyarrow", "s3fs"}
    assert not at_import(path) & extra, path


def test_the_rule_reader_sees(tmp_path: Path) -> None:
    """The two readers above find what they look for (they would pass on an empty list)."""
    assert "ecgqa_tflite.errors" in {m for _, m in imports(PACKAGE / "spec.py")}
    source = tmp_path / "x.py"
    source.write_text("import a.b\nfrom c import d\ndef f():\n    import e\n")
    assert at_import(source) == {"a", "c"}


def test_importing_assess_and_help_loads_no_tensorflow() -> None:
    """In a fresh interpreter, for what ast can't see: rooms that import rooms."""
    code = (
        "import sys, ecgqa_tflite.cli as c, ecgqa_tflite.assess, ecgqa_tflite.plots\n"
        "[c.main.get_command(None, name) for name in c.COMMANDS]\n"
        "heavy = {'tensorflow', 'tf_keras', 'matplotlib', 'pywt', 'sklearn'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_source_says_whose_it_is() -> None:
    """REUSE's two lines in each source, by REUSE.toml for the rest; the tool itself agrees."""
    done = subprocess.run(
        [sys.executable, str(REPO / ".ci" / "spdx.py"), "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    licence = REPO / "LICENSES" / "Apache-2.0.txt"
    assert licence.read_bytes() == (REPO / "LICENSE").read_bytes()
    require_module("reuse")
    done = subprocess.run(
        [sys.executable, "-m", "reuse", "lint", "--lines"], cwd=REPO, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_each_requirement_has_tests() -> None:
    """And the table of both is what the tests' marks say."""
    done = subprocess.run(
        [sys.executable, str(REPO / ".ci" / "requirements.py"), "--check"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_format_numbers_are_the_documents() -> None:
    from ecgqa_tflite import model_folder, spec
    from ecgqa_tflite.bundle import export
    from ecgqa_tflite.engine import device_source, nn_source
    from ecgqa_tflite.frontend import tables
    from ecgqa_tflite.tflite import identity

    text = (PACKAGE / "docs" / "FORMATS.md").read_text()
    told = dict(re.findall(r"^\| ([^|]+?) \| (\d+) \|", text, re.M))
    assert told == {
        "front end's tables, C": str(tables.CWT_FORMAT),
        "network, C": str(nn_source.NN_FORMAT),
        "bundle, C": str(device_source.BUNDLE_FORMAT),
        "bundle's folder": str(export.BUNDLE_FORMAT),
        "model's folder": str(model_folder.MODEL_FORMAT),
        "spec": str(spec.SPEC_FORMAT),
        "identity inside the `.tflite`": str(identity.IDENTITY_FORMAT),
    }


# ---- command line -------------------------------------------------------------------------


def commands() -> list[tuple[str, click.Command]]:
    """(name as typed, command) of every command and subcommand."""
    found: list[tuple[str, click.Command]] = []
    context = click.Context(main)
    for name in COMMANDS:
        # a copy: what click keeps in a command would reach other tests
        command = copy.deepcopy(main.get_command(context, name))
        assert command is not None
        found.append((f"ecgqa {name}", command))
        if isinstance(command, click.Group):
            found += [(f"ecgqa {name} {sub}", c) for sub, c in command.commands.items()]
    return found


def test_every_command_has_help_with_examples() -> None:
    for name, command in [("ecgqa", copy.deepcopy(main)), *commands()]:
        with click.Context(command, info_name=name) as context:
            text = command.get_help(context)
        examples = text.partition("Examples:\n")[2].partition("\n\n")[0]
        assert re.search(r"^ +ecgqa", examples, re.MULTILINE), f"{name} --help shows no example"
        for line in examples.splitlines():
            assert len(line) < 80, f"{name}: {line}"


def test_every_option_has_help() -> None:
    for name, command in commands():
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{name} {parameter.opts[0]} has no help"


def test_base_help_imports_no_command() -> None:
    code = (
        "import sys\nfrom ecgqa_tflite.cli import main\n"
        "main(['--help'], standalone_mode=False)\n"
        "assert 'numpy' not in sys.modules and 'wfdb' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    for name, text in COMMANDS.items():
        assert re.search(rf"^ +{name} +{re.escape(text)}$", done.stdout, re.MULTILINE)


def test_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--version"], standalone_mode=False)
    assert importlib.metadata.version("ecgqa-tflite") in capsys.readouterr().out


# ---- README ---------------------------------------------------------------------------------


def readme_commands() -> list[str]:
    """Lines of console blocks in README and docs that start one of our commands."""
    documents = [REPO / "README.md", *(PACKAGE / "docs").glob("*.md")]
    text = "\n".join(path.read_text() for path in documents)
    blocks = re.findall(r"```(?:console|sh|bash)\n(.*?)```", text, re.S)
    lines = [
        line.removeprefix("$ ").partition("  #")[0].strip()
        for block in blocks
        for line in block.replace("\\\n", " ").splitlines()
    ]
    return [line for line in lines if re.match(r"(ecgqa|make)\b", line)]


def parse(command: click.Command, arguments: list[str], name: str) -> None:
    """Let click parse ``arguments`` without running anything."""
    if isinstance(command, click.Group):
        with click.Context(command, info_name=name) as context:
            sub_name, sub, rest = command.resolve_command(context, arguments)
        assert sub is not None, f"README: no command {name} {arguments[0]}"
        parse(sub, rest, f"{name} {sub_name}")
        return
    if "--help" in arguments:
        return
    # Paths in the README are examples: that they exist is not what is checked.
    command = copy.deepcopy(command)
    for parameter in command.params:
        if isinstance(parameter.type, click.Path):
            parameter.type = click.Path()
    command.make_context(name, list(arguments))


def test_readme_commands_are_there() -> None:
    targets = set(re.findall(r"^([\w-]+):", makefile_text(), re.MULTILINE))
    lines = readme_commands()
    assert lines
    for line in lines:
        words = line.split()
        if words[:2] == ["make", "-C"]:
            continue  # a bundle's own Makefile: test_newcomer runs it
        if words[0] == "make":
            assert set(words[1:]) <= targets, f"README: {line}"
        elif words[0] == "ecgqa-convert":
            parse(main, ["convert", *words[1:]], "ecgqa")
        else:
            parse(main, words[1:], "ecgqa")


def test_readme_figures_are_the_models() -> None:
    subprocess.run([sys.executable, str(REPO / ".ci/readme_figures.py"), "--check"], check=True)


def test_readme_links_lead_somewhere() -> None:
    for path in (REPO / "README.md", REPO / "models" / "README.md"):
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text()):
            if not target.startswith("http"):
                assert (path.parent / target).exists(), f"{path} links {target}"


def test_contributing_names_what_is_there() -> None:
    from ecgqa_tflite.recording.file import Reader

    text = (REPO / "CONTRIBUTING.md").read_text()
    places = re.findall(r"`([\w./]+/[\w./]*)`", text)
    assert len(places) > 10 and not [name for name in places if not (REPO / name).exists()]
    modules = {path.name for path in REPO.glob("ecgqa_tflite/**/*.py")}
    modules |= {path.name for path in REPO.glob("firmware_bridge/**/*.[ch]")}
    assert set(re.findall(r"`([\w]+\.(?:py|[ch]))`", text)) <= modules
    targets = set(re.findall(r"^([\w-]+):", makefile_text(), re.MULTILINE))
    assert {
        w for words in re.findall(r"\bmake ([a-z][\w -]*)`", text) for w in words.split()
    } <= targets
    (fields,) = re.findall(r"`Reader\(([\w, ]+)\)`", text)
    needed = [f.name for f in dataclasses.fields(Reader) if f.default is dataclasses.MISSING]
    assert fields.split(", ") == needed


def makefile_text() -> str:
    """Makefile and its fragment."""
    fragment = REPO / "firmware_bridge" / "firmware.mk"
    parts = [REPO / "Makefile", *([fragment] if fragment.exists() else [])]
    return "\n".join(path.read_text() for path in parts)


def test_make_help_lists_every_target() -> None:
    """A target without a ``##`` comment is one nobody finds; files and dot targets aside."""
    for line in makefile_text().splitlines():
        match = re.match(r"([a-z][\w-]*):(?!=)", line)
        if match:
            assert "##" in line, f"make {match[1]} has no ## comment"


# ---- sources -----------------------------------------------------------------------------


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_public_things_have_docstrings(path: Path) -> None:
    def visit(node: ast.AST, where: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.FunctionDef, ast.ClassDef)):
                name = f"{where}.{child.name}"
                if child.name.startswith("_"):
                    continue
                assert ast.get_docstring(child), f"{name} has no docstring"
                if isinstance(child, ast.ClassDef):
                    visit(child, name)

    module = ast.parse(path.read_text())
    # An empty __init__ has nothing to say.
    assert ast.get_docstring(module) or not module.body, f"{path} has no docstring"
    visit(module, path.stem)


FOREIGN = re.compile(r"/(?:home|root|Users|work|mnt)/\w|/\.library\b")
"""Paths of one machine; ``/tmp`` and ``/usr`` are everyone's."""


def test_no_path_of_one_machine() -> None:
    for path in tracked():
        if path == Path(__file__):
            continue
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        found = FOREIGN.search(text)
        assert not found, f"{path.relative_to(REPO)}: {found[0] if found else ''}"


def test_shared_is_named_by_tests_and_build_only() -> None:
    for path in tracked():
        where = path.relative_to(REPO)
        if where.parts[0] in ("tests", ".ci") or where.name in ("Makefile", "firmware.mk"):
            continue
        if where.suffix in (".py", ".md", ".toml", ".c", ".h", ".txt", ".json"):
            assert "../shared" not in path.read_text(), where
