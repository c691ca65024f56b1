/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
// The scalogram of a segment, in float64: the mathematics that judges the integer front end
// (ecgqa_tflite.frontend.reference). A device's pixels differ by a level of 256, seldom two.
"use strict";

/** Running median of odd width, the ends reflected. */
function medians(points, width) {
  const half = width >> 1, n = points.length;
  const at = (i) => points[i < 0 ? -i - 1 : i >= n ? 2 * n - 1 - i : i];
  return points.map((_, i) => {
    const window = [];
    for (let k = i - half; k <= i + half; k++) window.push(at(k));
    return window.sort((a, b) => a - b)[half];
  });
}

/** The segment without its baseline, clipped a little above its beats. */
function conditioned(samples, fe) {
  if (!fe.baseline) return samples;
  const n = samples.length;
  const middle = (samples.reduce((a, b) => Math.min(a, b)) + samples.reduce((a, b) => Math.max(a, b))) / 2;
  const nPoints = Math.round(fe.baseline.points_hz * fe.segment_s);
  let points = Array.from({ length: nPoints }, (_, k) => {
    const first = Math.floor((k * n) / nPoints), last = Math.floor(((k + 1) * n) / nPoints);
    let sum = 0;
    for (let i = first; i < last; i++) sum += samples[i] - middle;
    return sum / (last - first);
  });
  for (const width of fe.baseline.widths) points = medians(points, width);
  const nMaxima = Math.round(2 * fe.segment_s);
  const maxima = new Array(nMaxima).fill(0);
  const x = samples.map((sample, i) => {
    const at = ((i + 0.5) * nPoints) / n - 0.5;
    const left = Math.min(Math.max(Math.floor(at), 0), nPoints - 2);
    const a = Math.min(points[left], points[left + 1]), b = Math.max(points[left], points[left + 1]);
    const value = sample - middle;
    const out = value - Math.min(Math.max(value, a), b);
    const half = Math.floor((i * nMaxima) / n);
    maxima[half] = Math.max(maxima[half], Math.abs(out));
    return out;
  });
  const limit = fe.baseline.clip * maxima.sort((a, b) => b - a)[fe.baseline.rank - 1];
  return x.map((value) => Math.min(Math.max(value, -limit), limit));
}

/** |W| by row, highest frequency first, and column. */
function magnitudes(samples, fe) {
  const n = samples.length, rows = fe.frequencies_hz.length, cols = fe.cols;
  const psi = (r) => 2 * Math.exp(fe.beta * Math.log(r) + fe.peak_power * (1 - r ** fe.gamma));
  const [least, most] = [0.3, 2]; // beyond these ratios psi is nothing
  const nBins = Math.min(n, Math.ceil((most * fe.frequencies_hz[0]) / fe.bin_hz) + 1);
  const turn = Float64Array.from({ length: 4 * n }, (_, i) => Math.cos((Math.PI * i) / (2 * n)));
  const amplitude = new Float64Array(nBins); // DCT-II
  for (let k = 1; k < nBins; k++) {
    let sum = 0;
    for (let i = 0, p = k; i < n; i++, p = (p + 2 * k) % (4 * n)) sum += samples[i] * turn[p];
    amplitude[k] = sum / n;
  }
  const circle = 4 * cols;
  const cosine = Float64Array.from({ length: circle }, (_, i) => Math.cos((2 * Math.PI * i) / circle));
  const out = new Float64Array(rows * cols);
  for (let row = 0; row < rows; row++) {
    const f = fe.frequencies_hz[row];
    const first = Math.max(1, Math.floor((least * f) / fe.bin_hz));
    const last = Math.min(nBins, Math.ceil((most * f) / fe.bin_hz));
    const band = new Float64Array(Math.max(0, last - first));
    for (let k = first; k < last; k++) band[k - first] = psi((k * fe.bin_hz) / f) * amplitude[k];
    for (let col = 0; col < cols; col++) {
      const step = 2 * col + 1;
      let re = 0, im = 0;
      for (let k = first, p = (first * step) % circle; k < last; k++, p = (p + step) % circle) {
        re += band[k - first] * cosine[p];
        im += band[k - first] * cosine[(p + 3 * cols) % circle];
      }
      out[row * cols + col] = Math.hypot(re, im);
    }
  }
  return out;
}

/** Levels 0 to 255, as the network sees them; all 0 of a constant segment. */
function indexMap(samples, fe) {
  const w = magnitudes(conditioned(samples, fe), fe);
  const out = new Uint8Array(w.length);
  let low = 0, high = 0;
  if (fe.qrs_rows) {
    for (const row of fe.qrs_rows) {
      for (let col = 0; col < fe.cols; col++) high = Math.max(high, w[row * fe.cols + col]);
    }
  } else {
    low = Infinity;
    for (const value of w) {
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
    if (low <= high * fe.range_floor) low = 0;
  }
  if (!(high > low) || samples.every((sample) => sample === samples[0])) return out;
  for (let i = 0; i < w.length; i++) {
    out[i] = Math.min(Math.max(Math.floor(((w[i] - low) * 255) / (high - low) + 0.5), 0), 255);
  }
  return out;
}
