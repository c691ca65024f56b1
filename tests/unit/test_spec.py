# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgqa_tflite.errors import SamplingRateError, SpecError
from ecgqa_tflite.spec import PRESETS, FrontEnd

RATES_HZ = (125, 128, 250, 256, 300, 360, 500, 512, 1000)


@pytest.mark.parametrize("name", PRESETS)
def test_json_comes_back_and_keeps_the_hash(name):
    spec = FrontEnd.preset(name)
    again = FrontEnd.from_json(spec.to_json())
    assert again == spec
    assert again.hash == spec.hash
    assert len(spec.hash) == 64
    assert spec.short_hash == spec.hash[:16]


def test_whole_numbers_keep_the_hash_too():
    spec = FrontEnd(f_max_hz=30, segment_s=5, qrs_band_hz=(5, 15))
    assert FrontEnd.from_json(spec.to_json()).hash == spec.hash


def test_every_number_enters_the_hash():
    spec = FrontEnd()
    changes = {
        "segment_s": 10.0,
        "f_max_hz": 30.0,
        "f_min_hz": 1.0,
        "rows": 113,
        "cols": 113,
        "gamma": 3.5,
        "time_bandwidth": 40.0,
        "scaling": "minmax",
        "qrs_band_hz": (6.0, 20.0),
        "conditioning": "baseline",
        "colormap": "grey",
        "labels": ("bad", "good"),
    }
    assert changes.keys() == FrontEnd(conditioning="baseline").to_dict().keys() - {"format"}
    hashes = {FrontEnd(**{name: value}).hash for name, value in changes.items()}
    assert len(hashes | {spec.hash}) == len(changes) + 1


@pytest.mark.parametrize("fs_hz", RATES_HZ)
def test_a_device_at_any_usual_rate_has_a_segment(fs_hz):
    assert FrontEnd().segment_len(fs_hz) == 5 * fs_hz


@pytest.mark.parametrize(
    "fs_hz", [0, -250, float("nan"), float("inf"), 60, 91.9, 130, 250.1, 1080, 2000]
)
def test_a_rate_that_can_not_be_taken_is_named(fs_hz):
    with pytest.raises(SamplingRateError, match="sampling rate"):
        FrontEnd().segment_len(fs_hz)


def test_the_seed_preset_takes_the_seed_s_250_hz_and_no_less():
    seed = FrontEnd.preset("seed")
    assert seed.segment_len(250) == 1250
    with pytest.raises(SamplingRateError, match=r"too low.*lower f_max_hz"):
        seed.segment_len(200)


@pytest.mark.parametrize(
    "changes",
    [
        {"segment_s": 0.0},
        {"f_max_hz": float("nan")},
        {"f_min_hz": 50.0},
        {"rows": 4},
        {"cols": 100000},
        {"scaling": "log"},
        {"colormap": "viridis"},
        {"labels": ("a", "b", "c")},
        {"scaling": "qrs", "qrs_band_hz": (100.0, 200.0)},
    ],
)
def test_a_spec_that_makes_no_sense_is_refused(changes):
    with pytest.raises(SpecError):
        FrontEnd(**changes)


def test_an_unknown_preset_lists_those_there_are():
    with pytest.raises(SpecError, match="seed"):
        FrontEnd.preset("sead")


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"format": 99}', "{", '"x"'])
def test_what_is_no_spec_is_refused(text):
    with pytest.raises(SpecError):
        FrontEnd.from_json(text)


@given(
    name=st.sampled_from(sorted(FrontEnd().to_dict())),
    value=st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=5),
        st.lists(st.one_of(st.text(max_size=3), st.floats()), max_size=4),
    ),
)
def test_any_json_value_gives_a_spec_or_a_spec_error(name, value):
    data = FrontEnd().to_dict()
    data[name] = value
    try:
        spec = FrontEnd.from_json(json.dumps(data))
    except SpecError:
        return
    assert FrontEnd.from_json(spec.to_json()) == spec


def test_rows_and_columns_are_where_they_are_said_to_be():
    spec = FrontEnd()
    f = spec.centre_frequencies_hz
    assert f[0] == pytest.approx(40.0) and f[-1] == pytest.approx(0.66)
    assert np.allclose(np.diff(np.log(f)), np.log(0.66 / 40.0) / 226)
    t = spec.column_times_s
    assert t[0] == pytest.approx(2.5 / 227) and t[-1] == pytest.approx(5 - 2.5 / 227)
    assert spec.image_shape == (227, 227, 3)
    assert FrontEnd(colormap="grey").image_shape == (227, 227, 1)


def test_a_spec_without_conditioning_keeps_the_hash_it_had_before_the_field():
    """Models that were sealed before the field was there still open."""
    spec = FrontEnd()
    assert "conditioning" not in spec.to_dict()
    assert spec.short_hash == "1d40661e3e6dd169"
    assert FrontEnd.from_dict(spec.to_dict()) == spec
    assert FrontEnd.preset("seed").conditioning == "none"
    wearable = FrontEnd.preset("wearable")
    assert wearable.conditioning == "baseline"
    assert FrontEnd.from_json(wearable.to_json()) == wearable
    with pytest.raises(SpecError, match="conditioning 'more': must be 'none' or 'baseline'"):
        FrontEnd(conditioning="more")
