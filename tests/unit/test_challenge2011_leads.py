# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Whose leads a training takes, and how they are labelled: a user's own are named as theirs."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_model

from ecgqa_tflite.datasets.challenge2011 import whose_leads
from ecgqa_tflite.errors import DatasetError
from ecgqa_tflite.evaluation.card import model_card
from ecgqa_tflite.training.recipe import Recipe


@pytest.mark.parametrize(
    ("folder", "record", "named"),
    [
        ("challenge-2011", "1002867", "challenge-2011"),
        ("challenge-2011", "patient7", "own-challenge-2011"),
        ("challenge-2011/vests", "patient7", "vests"),
    ],
)
def test_recordings_tell_whose_leads_they_are(
    folder: str, record: str, named: str, tmp_path: Path
) -> None:
    (tmp_path / folder).mkdir(parents=True)
    labels = tmp_path / folder / "LEADS.csv"
    labels.write_text(f"record,lead,quality\n{record},I,good\n")
    assert whose_leads(tmp_path) == (named, "by lead")
    labels.unlink()
    (tmp_path / folder / "RECORDS-acceptable").write_text(f"{record}\n")
    (tmp_path / folder / "RECORDS-unacceptable").write_text("")
    assert whose_leads(tmp_path) == (named, "by recording")


def test_no_labels_are_said(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="challenge-2011"):
        whose_leads(tmp_path)


@pytest.mark.parametrize(
    ("leads", "lead_labels", "says"),
    [
        ("vests", "by lead", "The leads of vests are labelled one by one"),
        ("vests", "by recording", "Each lead of vests has the label of its recording"),
        ("challenge-2011", "by lead", "ECGAssess"),
    ],
)
def test_the_card_names_them(tmp_path: Path, leads: str, lead_labels: str, says: str) -> None:
    census = {"leads_good": {"segments": 7, "groups": 3}}
    training = {"segments": census, "leads": leads, "lead_labels": lead_labels, "epochs": [
        {"loss": 0.5, "accuracy": 0.9, "validation": {"loss": 0.4, "accuracy": 0.8, "auc": 0.95}}
    ]}  # fmt: skip
    metrics = {"training": training, "validation": {"segments": census}, "external": {}}
    model = tiny_model.folder(tmp_path, metrics=metrics, recipe=Recipe().to_dict())
    card = model_card(model)
    assert says in card and f"| {leads} leads labelled good | high | 7 |" in card
    assert "| 1 | 0.5000 | 0.9000 | 0.4000 | 0.8000 | 0.9500 |" in card
    assert ("challenge-2011" in card) == (leads == "challenge-2011")
