# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from conftest import require_module
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgqa_tflite.errors import ArgumentError
from ecgqa_tflite.frontend import colormap, morse, reference
from ecgqa_tflite.spec import COLORMAPS, FrontEnd

GAMMA, TIME_BANDWIDTH = 3.0, 60.0


def test_psi_peaks_at_two_at_the_stated_frequency():
    assert morse.beta(GAMMA, TIME_BANDWIDTH) == 20.0
    w_p = morse.peak_frequency(GAMMA, TIME_BANDWIDTH)
    assert w_p == pytest.approx(1.882072, abs=5e-7)  # architecture.md
    x = np.linspace(0.0, 6.0, 600001)
    psi = morse.psi(x, GAMMA, TIME_BANDWIDTH)
    assert psi.max() == pytest.approx(2.0, abs=1e-9) and psi.max() <= 2.0 + 1e-12
    assert x[psi.argmax()] == pytest.approx(w_p, abs=1e-5)
    assert morse.psi(w_p, GAMMA, TIME_BANDWIDTH) == pytest.approx(2.0, abs=1e-12)
    assert (morse.psi([-1.0, 0.0], GAMMA, TIME_BANDWIDTH) == 0.0).all()


def test_the_toolbox_s_limits_for_5_s_at_250_hz_come_out():
    # Its lowest frequency: twice the wavelet's standard deviation in time, counted in radians of
    # the centre frequency, is the segment's samples over the scale. Its highest: Psi is at half its
    # peak at the Nyquist frequency.
    fs_hz, n = 250.0, 1250
    w_p = morse.peak_frequency(GAMMA, TIME_BANDWIDTH)
    w = np.linspace(1e-6, 8.0, 800001)
    psi = morse.psi(w, GAMMA, TIME_BANDWIDTH)
    sigma = np.sqrt(np.sum(np.gradient(psi, w) ** 2) / np.sum(psi**2))
    f_low = w_p / (n / (2.0 * sigma * w_p)) / (2.0 * np.pi) * fs_hz
    assert f_low == pytest.approx(0.659, abs=5e-4)
    ratio = np.linspace(1.0, 2.0, 1000001)
    half = ratio[np.argmin(np.abs(morse.psi_at(ratio, GAMMA, TIME_BANDWIDTH) - 1.0))]
    assert fs_hz / 2.0 / half == pytest.approx(108.53, abs=0.005)


def test_scale_and_frequency_say_the_same():
    s = morse.cwt_scale([10.0, 40.0], 250.0, GAMMA, TIME_BANDWIDTH)
    assert np.allclose(morse.peak_frequency(3, 60) / s / (2 * np.pi) * 250.0, [10.0, 40.0])


@pytest.mark.parametrize("f_hz", [0.9, 2.0, 8.0, 17.0, 33.0])
def test_a_tone_peaks_in_its_row_with_its_amplitude(f_hz):
    spec = FrontEnd()
    t = (np.arange(1250) + 0.5) / 250.0
    magnitude = reference.magnitude(3.0 * np.cos(2 * np.pi * f_hz * t), 250.0, spec)
    middle = magnitude[:, spec.cols // 2]
    nearest = np.argmin(np.abs(np.log(spec.centre_frequencies_hz / f_hz)))
    assert abs(int(middle.argmax()) - int(nearest)) <= 1
    assert middle.max() == pytest.approx(3.0, rel=0.01)


def test_a_column_is_w_at_its_centre():
    """Summed directly from the mathematics, one pixel at a time."""
    spec = FrontEnd(rows=9, cols=11)
    x = np.random.default_rng(2).normal(size=1250)
    got = reference.magnitude(x, 250.0, spec)
    extended = np.concatenate([x, x[::-1]])
    dft = np.fft.fft(extended)
    k = np.arange(1, 1250)
    for r in (0, 4, 8):
        for c in (0, 5, 10):
            at = spec.column_times_s[c] * 250.0 - 0.5  # sample n lies at (n + 1/2) / fs
            f0 = spec.centre_frequencies_hz[r]
            psi = morse.psi_at(k * 0.1 / f0, GAMMA, TIME_BANDWIDTH)
            w = np.sum(dft[k] * psi * np.exp(2j * np.pi * k * at / 2500)) / 2500
            assert got[r, c] == pytest.approx(abs(w), rel=1e-9)


def test_pywt_s_complex_morlet_agrees():
    """The machinery with pywt's own wavelet against pywt.cwt, both extended the same way.

    Tolerance: 1.5 % of the largest |W|. pywt integrates its wavelet over each sample, which takes
    1.4 % from the 40-Hz row; below 30 Hz it is within 0.6 %. Its default precision is worth 6 %.
    """
    require_module("pywt")
    import pywt

    bandwidth, centre = 8.0, 1.5
    fs_hz, n = 250.0, 1250
    spec = FrontEnd(rows=24, cols=250, f_min_hz=2.0)  # column centres fall on samples
    rng = np.random.default_rng(3)
    t = np.arange(n) / fs_hz
    x = np.cumsum(rng.normal(size=n)) * 0.1 + np.exp(-(((t % 0.8) - 0.4) ** 2) / 1e-3)
    x -= x.mean()

    def morlet(ratio):
        # Fourier transform of pywt's cmorB-C, over f / f0: exp(-pi^2 B C^2 (f/f0 - 1)^2).
        return np.exp(-(np.pi**2) * bandwidth * centre**2 * (ratio - 1.0) ** 2) * 2.0

    ours = reference.magnitude(x, fs_hz, spec, wavelet=morlet)
    extended = np.concatenate([x[::-1], x, x[::-1]])
    wavelet = pywt.ContinuousWavelet(f"cmor{bandwidth}-{centre}")
    scales = centre / spec.centre_frequencies_hz * fs_hz
    theirs, _ = pywt.cwt(extended, scales, wavelet, method="fft", precision=14)
    # pywt is L2 normalised; an L1 wavelet of peak 2 has twice its modulus over sqrt(scale).
    theirs = np.abs(theirs[:, n : 2 * n]) * 2.0 / np.sqrt(scales)[:, None]
    at = spec.column_times_s * fs_hz - 0.5
    samples = np.rint(at).astype(int)
    assert np.allclose(at, samples)
    error = np.abs(ours - theirs[:, samples]).max(axis=1) / ours.max()
    assert error.max() < 0.015
    assert error[spec.centre_frequencies_hz < 30].max() < 0.012


@pytest.mark.parametrize("scaling", ["minmax", "qrs"])
def test_the_image_ignores_offset_and_gain(scaling):
    spec = FrontEnd(rows=32, cols=32, scaling=scaling)
    x = np.random.default_rng(1).normal(size=1250)
    a = reference.index_map(x, 250, spec).astype(int)
    b = reference.index_map(7.0 * x - 3.0, 250, spec).astype(int)
    assert np.abs(a - b).max() <= 1
    assert a.max() == 255


def test_min_max_spans_the_range_and_silence_is_zero():
    spec = FrontEnd(rows=32, cols=32, scaling="minmax")
    index_map = reference.index_map(np.random.default_rng(1).normal(size=1250), 250, spec)
    assert index_map.min() == 0 and index_map.max() == 255
    narrow = reference.to_index(np.array([[1.0, 2.0, 3.0]]), spec)
    assert narrow.tolist() == [[0, 128, 255]]
    floor = reference.to_index(np.array([[1.0, 2.0, 1024.0]]), spec)
    assert floor.tolist() == [[0, 0, 255]]
    assert not reference.index_map(np.full(1250, 7.0), 250, spec).any()


def test_qrs_scaling_clips_what_lies_outside_its_band():
    spec = FrontEnd()
    t = np.arange(1250) / 250
    x = np.sin(2 * np.pi * 12 * t) + 30.0 * np.sin(2 * np.pi * 1.0 * t)
    index_map = reference.index_map(x, 250, spec)
    row = int(np.argmin(np.abs(spec.centre_frequencies_hz - 12.0)))
    assert index_map[row].max() >= 150
    assert (index_map == 255).sum() > 1000
    assert reference.index_map(x, 250, FrontEnd(scaling="minmax"))[row].max() < 20


@pytest.mark.parametrize("bad", [np.zeros(1249), np.zeros((2, 1250)), np.full(1250, np.nan)])
def test_what_is_no_segment_is_refused(bad):
    with pytest.raises(ArgumentError):
        reference.magnitude(bad, 250, FrontEnd(rows=8, cols=8))


def test_jet_is_matlab_s():
    jet = colormap.lut("jet")
    assert jet.shape == (256, 3) and not jet.flags.writeable
    # MATLAB's jet(256): first, quarter marks, last, as fractions of 255.
    assert jet[[0, 31, 32, 95, 96, 159, 160, 223, 224, 255]].tolist() == [
        [0, 0, 131],
        [0, 0, 255],
        [0, 4, 255],
        [0, 255, 255],
        [4, 255, 251],
        [255, 255, 0],
        [255, 251, 0],
        [255, 0, 0],
        [251, 0, 0],
        [128, 0, 0],
    ]


def test_one_entry_is_a_colour_map(monkeypatch):
    """Name, channels and colours: the spec and the image agree on a new one."""
    new = np.arange(512, dtype=np.uint16).astype(np.uint8).reshape(256, 2)
    monkeypatch.setitem(COLORMAPS, "new", new)
    spec = FrontEnd(colormap="new", rows=8, cols=9)
    maps = np.arange(72, dtype=np.uint8).reshape(1, 8, 9)
    images = colormap.image_s8(maps, spec.colormap)
    assert images.shape == (1, *spec.image_shape)
    assert np.array_equal(images, colormap.to_int8(new[maps]))


@settings(max_examples=20)
@given(st.integers(1, 4), st.sampled_from(list(COLORMAPS)))
def test_an_image_is_its_index_map_through_the_lut(n, name):
    index_map = np.random.default_rng(n).integers(0, 256, (n, 5, 7)).astype(np.uint8)
    image = colormap.image(index_map, name)
    assert image.shape == (n, 5, 7, 3 if name == "jet" else 1) and image.dtype == np.uint8
    assert (image[n - 1, 4, 6] == colormap.lut(name)[index_map[n - 1, 4, 6]]).all()
