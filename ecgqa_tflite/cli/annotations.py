# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""``--annotations FILE``: which form a file is meant to have, by its name."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

from ecgqa_tflite.cli import need
from ecgqa_tflite.cli.outputs import Outputs, WriteFile
from ecgqa_tflite.decisions.edf_annotations import write_edf
from ecgqa_tflite.decisions.events import events_json, events_tsv
from ecgqa_tflite.decisions.report import Assessed, Run
from ecgqa_tflite.decisions.wfdb_annotations import check_annotator, write_annotations
from ecgqa_tflite.model_folder import ModelFolder
from ecgqa_tflite.recording.file import RecordingFile

OPTION = "--annotations"


def add_annotations(outputs: Outputs, path: Path, model: ModelFolder) -> None:
    """Add what writes the form that the suffix tells: ``.edf``, ``.tsv``, else WFDB's.

    Raises
    ------
    ArgumentError
        The name is none of a WFDB annotation file.
    ModuleNotFoundError
        The form needs a package that isn't installed.
    """
    suffix = path.suffix.casefold()
    if suffix == ".edf":
        need("edfio")
        outputs.add_file(OPTION, path, _writer(functools.partial(_write_edf, model)))
    elif suffix == ".tsv":
        tsv, sidecar = (functools.partial(_write_text, f, model) for f in (events_tsv, events_json))
        outputs.add_file(OPTION, path, _writer(tsv))
        outputs.add_file(OPTION, path.with_suffix(".json"), _writer(sidecar))
    else:
        check_annotator(path)
        outputs.add_file(OPTION, path, _writer(write_annotations))


def _writer(write: Callable[[Path, Assessed], None]) -> WriteFile:
    """What writes a file of which nothing is to be said."""

    def quiet(to: Path, _: RecordingFile, run: Run) -> str:
        write(to, run.assessed[0])
        return ""

    return quiet


def _write_edf(model: ModelFolder, to: Path, assessed: Assessed) -> None:
    write_edf(to, assessed, model)


def _write_text(
    text: Callable[[Assessed, ModelFolder], str], model: ModelFolder, to: Path, assessed: Assessed
) -> None:
    to.write_text(text(assessed, model), encoding="utf-8", newline="")
