/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
// A lead as the page holds it: codes decoded when they are looked at, decisions as runs.
"use strict";

const MISSING = -32768;

/** Bytes of a zlib stream in base64. */
async function inflated(text) {
  const packed = atob(text);
  const bytes = new Uint8Array(packed.length);
  for (let i = 0; i < packed.length; i++) bytes[i] = packed.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** int16 codes: a signed byte is the step from the code before; -128, and the code itself follows. */
async function unpacked(text, n) {
  const bytes = await inflated(text);
  const codes = new Int16Array(n);
  let code = 0;
  for (let i = 0, k = 0; k < n; k++) {
    const step = (bytes[i++] << 24) >> 24;
    if (step === -128) {
      code = ((bytes[i] | (bytes[i + 1] << 8)) << 16) >> 16;
      i += 2;
    } else {
      code += step;
    }
    codes[k] = code;
  }
  return codes;
}

class Lead {
  constructor(element, page) {
    Object.assign(this, JSON.parse(element.querySelector(".facts").textContent));
    this.page = page;
    this.element = element;
    this.length_s = this.n_samples / this.fs_hz;
    this.bin_s = this.bin_len / this.fs_hz;
    this.pieces = [...element.querySelectorAll(".ecg")].map((script) => ({
      script,
      first: Number(script.dataset.first),
      n: Number(script.dataset.n),
      codes: null,
      coming: null,
    }));
  }

  /** Decode what the whole lead is drawn from; once. */
  open() {
    this.opened ??= (async () => {
      const text = (name) => this.element.querySelector("." + name).textContent.trim();
      [this.kinds, this.scores, this.low, this.high] = await Promise.all([
        inflated(text("kinds")), inflated(text("scores")),
        unpacked(text("low"), this.n_bins), unpacked(text("high"), this.n_bins),
      ]);
      this.runs = this.findRuns();
      this.lowRuns = this.runs.filter((run) => !this.page.looks[run.kind].high);
      this.reach_mv = this.findReach();
    })();
    return this.opened;
  }

  mv(code) {
    return code === MISSING ? NaN : this.offset_mv + code * this.step_mv;
  }

  /** What decision i speaks for, s: where segments overlap, the one whose centre is nearest. */
  span(i) {
    const half = Math.max(0, this.page.front_end.segment_s - this.hop_s) / 2;
    const from = this.first_s + i * this.hop_s;
    return {
      from: i ? from + half : from,
      to: from + this.page.front_end.segment_s - (i < this.kinds.length - 1 ? half : 0),
    };
  }

  /** Segment that speaks for a time, or the nearest one. */
  segmentAt(t) {
    const half = Math.max(0, this.page.front_end.segment_s - this.hop_s) / 2;
    const i = Math.floor((t - this.first_s - half) / this.hop_s);
    return Math.min(Math.max(i, 0), this.kinds.length - 1);
  }

  findRuns() {
    const runs = [];
    for (let i = 0; i < this.kinds.length; i++) {
      const { from, to } = this.span(i);
      const last = runs[runs.length - 1];
      if (last && last.kind === this.kinds[i] && Math.abs(last.to - from) < 1e-6) last.to = to;
      else runs.push({ from, to, kind: this.kinds[i] });
    }
    return runs;
  }

  /** How far, mV, beats of the trusted seconds reach from their middle, at most. */
  findReach() {
    const bins = Math.max(1, Math.round(1 / this.bin_s));
    const all = new Uint16Array(Math.ceil(this.n_bins / bins)), trusted = new Uint16Array(all.length);
    let nAll = 0, nTrusted = 0;
    for (let b = 0; b + bins <= this.n_bins; b += bins) {
      let low = 32767, high = MISSING;
      for (let k = b; k < b + bins; k++) {
        if (this.low[k] === MISSING) continue;
        if (this.low[k] < low) low = this.low[k];
        if (this.high[k] > high) high = this.high[k];
      }
      if (high <= low) continue;
      all[nAll++] = high - low;
      const kind = this.kinds[this.segmentAt((b + bins / 2) * this.bin_s)];
      if (this.page.looks[kind].high) trusted[nTrusted++] = high - low;
    }
    const heights = nTrusted ? trusted.subarray(0, nTrusted) : all.subarray(0, nAll);
    if (!heights.length) return 1;
    heights.sort();
    const at = (share) => heights[Math.floor(share * (heights.length - 1))];
    return Math.min(at(0.99), 1.5 * at(0.5)) * this.step_mv; // an ectopic beat's, no artefact's
  }

  /** Lowest and highest code of the bins that a stretch of time touches, or null. */
  range(from, to) {
    const first = Math.max(0, Math.floor(from / this.bin_s));
    const last = Math.min(this.n_bins, Math.max(first + 1, Math.ceil(to / this.bin_s)));
    let low = 32767, high = MISSING;
    for (let k = first; k < last; k++) {
      if (this.low[k] === MISSING) continue;
      if (this.low[k] < low) low = this.low[k];
      if (this.high[k] > high) high = this.high[k];
    }
    return high === MISSING ? null : [low, high];
  }

  /** Index of the first piece that ends after a sample. */
  pieceAfter(sample) {
    let a = 0, b = this.pieces.length;
    while (a < b) {
      const m = (a + b) >> 1;
      if (this.pieces[m].first + this.pieces[m].n <= sample) a = m + 1;
      else b = m;
    }
    return a;
  }

  /** Pieces of full rate between two times; `ready` is called when more have been decoded. */
  within(from, to, ready) {
    const first = Math.floor(from * this.fs_hz), last = Math.ceil(to * this.fs_hz);
    const found = [];
    for (let i = this.pieceAfter(first); i < this.pieces.length && this.pieces[i].first < last; i++) {
      const piece = this.pieces[i];
      if (!piece.codes) {
        piece.coming ??= unpacked(piece.script.textContent.trim(), piece.n).then((codes) => {
          piece.codes = codes;
        });
        piece.coming.then(ready);
      }
      found.push(piece);
    }
    return found;
  }

  /** Samples of a segment, mV, or null where the page does not hold them all. */
  async samples(i) {
    const n = Math.round(this.page.front_end.segment_s * this.fs_hz);
    const first = Math.round((this.first_s + i * this.hop_s) * this.fs_hz);
    const out = new Float64Array(n).fill(NaN);
    const pieces = this.within(first / this.fs_hz, (first + n) / this.fs_hz, () => {});
    await Promise.all(pieces.map((piece) => piece.coming));
    let held = 0;
    for (const { codes, first: at } of pieces) {
      for (let k = Math.max(at, first); k < Math.min(at + codes.length, first + n); k++) {
        out[k - first] = this.mv(codes[k - at]);
        held++;
      }
    }
    return held === n ? out : null;
  }

  /** Share of a stretch of time that can be trusted, or NaN where nothing was decided. */
  usable(from, to) {
    let high = 0, all = 0;
    for (const run of this.runs) {
      const s = Math.min(run.to, to) - Math.max(run.from, from);
      if (s <= 0) continue;
      all += s;
      if (this.page.looks[run.kind].high) high += s;
    }
    return high / all;
  }
}
