# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
"""Which model to take: what fits, what it costs, and which can't be told from the best."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner

from ecgqa_tflite.benchmark.parts import Part, find_part, read_parts
from ecgqa_tflite.benchmark.results import Kind, Report, read_report
from ecgqa_tflite.cli.recommend import SHIPPED, command
from ecgqa_tflite.errors import ArgumentError
from ecgqa_tflite.evaluation import choice
from ecgqa_tflite.model_folder import ModelFolder, open_model


@pytest.fixture(scope="module")
def report() -> Report:
    return read_report(choice.shipped_report())


@pytest.fixture(scope="module")
def models() -> list[ModelFolder]:
    return [open_model(name) for name in SHIPPED]


@pytest.fixture
def part() -> Part:
    return find_part("nrf52840", read_parts())


def graded(model: ModelFolder, value: float, low: float, high: float) -> ModelFolder:
    table = {"graded": {"bacc": {"value": value, "low": low, "high": high}}}
    return replace(model, metrics={"external": {"set": table}})


def test_the_shipped_models(models: list[ModelFolder], report: Report, part: Part) -> None:
    """Every figure is the report's row, or modelled of it; counted of the networks that ship."""
    found = {c.model: c for c in choice.choices(models, report, part, 5.0, 370.0)}
    assert found.keys() == set(SHIPPED)
    for row in report.rows:
        if row.target != part.target:
            continue
        c = found[row.model]
        assert row.kind is Kind.EMULATED and row.total is not None
        assert c.modelled.instructions == row.total.p50
        assert (c.ram_bytes, c.flash_bytes) == (row.ram_bytes, row.flash_bytes)
        duty = row.total.p50 * part.cycles_per_instruction.middle / (part.clock_mhz * 1e6) / 5
        assert c.modelled.duty_cycle.middle == pytest.approx(duty)
        assert not c.why_not
    assert {r.target for r in report.rows} >= {p.target for p in read_parts()}


def test_a_core_tells_the_parts_that_have_it() -> None:
    with pytest.raises(ArgumentError, match=r"Cortex-M4 is a core; .*: nRF52840, STM32L4R5"):
        find_part("Cortex-M4", read_parts())
    with pytest.raises(ArgumentError, match="no part 'toaster'; there are: nRF52840"):
        find_part("toaster", read_parts())


def test_what_does_not_fit_is_not_taken(
    models: list[ModelFolder], report: Report, part: Part
) -> None:
    large = graded(models[0], 0.99, 0.98, 1.0)
    small = graded(models[-1], 0.90, 0.88, 0.92)

    def told(**changed: Any) -> tuple[list[tuple[str, ...]], str]:
        found = choice.choices([small, large], report, replace(part, **changed), 5.0, 370.0)
        assert [c.model for c in found] == [large.name, small.name]
        return [c.why_not for c in found], choice.advice(found)

    assert told() == ([(), ()], f"Take {large.name}: the most accurate of those that fit.")
    for changed, word in (
        ({"ram_bytes": 16_384}, "RAM: it has 16,384"),
        ({"flash_bytes": 200_000}, "flash: it has 200,000"),
        ({"clock_mhz": 16.0}, "too slow"),
    ):
        (first, second), advice = told(**changed)
        assert first == (word,) and second == ()
        assert advice.startswith(f"Take {small.name}: ")
    assert told(ram_bytes=4096)[1].startswith("None fits")


def test_the_cheapest_of_those_that_cant_be_told_apart(
    models: list[ModelFolder], report: Report, part: Part
) -> None:
    large = graded(models[0], 0.95, 0.93, 0.97)
    for high, taken in ((0.96, models[-1].name), (0.94, models[0].name)):
        small = graded(models[-1], 0.93, 0.91, high)
        found = choice.choices([large, small], report, part, 5.0, 370.0)
        assert choice.advice(found).startswith(f"Take {taken}: ")


def test_segments_that_overlap_need_memory(
    models: list[ModelFolder], report: Report, part: Part
) -> None:
    apart, overlapping = (
        choice.choices(models, report, part, hop_s, 370.0)[0] for hop_s in (5.0, 1.0)
    )
    assert overlapping.ram_bytes == apart.ram_bytes + 2 * 1250 + 8
    ratio = overlapping.modelled.duty_cycle.middle / apart.modelled.duty_cycle.middle
    assert ratio == pytest.approx(5.0)
    with pytest.raises(ArgumentError, match="to a segment, 5 s"):
        choice.choices(models, report, part, 6.0, 370.0)


def test_another_network_of_that_name_has_no_counts(
    models: list[ModelFolder], report: Report, part: Part
) -> None:
    facts = {name: {**told, "tflite_bytes": 1} for name, told in report.models.items()}
    with pytest.raises(
        ArgumentError, match="ecgqa bench light_cnn light_cnn_pruned light_cnn_small"
    ):
        choice.choices(models, replace(report, models=facts), part, 5.0, 370.0)


def test_as_a_user_types_it() -> None:
    done = CliRunner().invoke(command, ["--part", "STM32U575", "--hop", "1", "--battery", "0.74Wh"])
    assert done.exit_code == 0, done.output
    for word in ("STM32U575: cortex-m33, 160 MHz", "battery of 740 mWh", "MODELLED", "Take "):
        assert word in done.output
    assert max(map(len, done.output.splitlines())) <= 120
    assert len(done.output.splitlines()) < 24
    for wrong, word in (
        (["--part", "abacus"], "there are: nRF52840"),
        (["--battery", "0"], "an energy above 0"),
        (["inception_v1"], "no counts of inception_v1"),
    ):
        done = CliRunner().invoke(command, wrong)
        assert done.exit_code and word in done.output
