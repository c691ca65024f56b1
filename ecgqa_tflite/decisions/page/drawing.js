/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
// Pictures of a lead on canvas: hatched decisions, envelopes, ECG paper.
"use strict";

const FONT = '12px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif';
const CSS_PX_PER_MM = 96 / 25.4;
const PAPER_MOST_S = 60; // what is longer is drawn as an envelope
const TICKS_S = [0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 10800, 21600, 43200, 86400];
const STROKES = { // of a tile of 8: lines from x, y to x, y
  "////": [[0, 8, 8, 0], [-2, 2, 2, -2], [6, 10, 10, 6]],
  "----": [[0, 4, 8, 4]],
  "||": [[4, 0, 4, 8]],
  xx: [[0, 8, 8, 0], [0, 0, 8, 8]],
  "....": [[3, 4, 5, 4]],
};

const LEVELS = [[8, 16, 48], [0, 90, 160], [90, 180, 220], [240, 228, 66], [255, 255, 240]];

/** Colour of a level, 0 to 255: darker to lighter, so that no eye takes two for one. */
function levelColour(level) {
  const at = (level / 255) * (LEVELS.length - 1), i = Math.min(Math.floor(at), LEVELS.length - 2);
  return LEVELS[i].map((value, k) => value + (at - i) * (LEVELS[i + 1][k] - value));
}

/** Device pixels for a CSS pixel; paper has finer ones than a screen. */
const pixelRatio = () =>
  Math.max(window.devicePixelRatio || 1, document.body.classList.contains("printing") ? 3 : 1);

/** Fit a canvas's pixels to its box; the context then counts CSS pixels. */
function fitted(canvas, width, height) {
  const ratio = pixelRatio();
  const size = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
  canvas.style.height = height + "px";
  const ctx = canvas.getContext("2d");
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  ctx.clearRect(0, 0, width, height);
  ctx.font = FONT;
  return ctx;
}

class Drawing {
  constructor(page, length_s) {
    this.page = page;
    this.hours = page.start !== null || length_s >= 3600; // clocks show hours
    this.days = page.start !== null && length_s > 86400; // and days, numbered from 1
    this.tiles = page.looks.map((look) => this.tile(look));
  }

  tile({ face, hatch }) {
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = 8;
    const ctx = canvas.getContext("2d");
    ctx.fillStyle = face;
    ctx.fillRect(0, 0, 8, 8);
    ctx.strokeStyle = "#0008";
    ctx.lineWidth = hatch === "...." ? 2 : 1.2;
    for (const [x0, y0, x1, y1] of STROKES[hatch] ?? []) {
      ctx.beginPath();
      ctx.moveTo(x0, y0);
      ctx.lineTo(x1, y1);
      ctx.stroke();
    }
    return canvas;
  }

  /** What fills a box of a kind. */
  fill(ctx, kind) {
    const { face, hatch } = this.page.looks[kind];
    return hatch ? ctx.createPattern(this.tiles[kind], "repeat") : face;
  }

  /** Time of day, where the recording has one, else from its start. */
  clock(t, decimals = 0) {
    const scale = 10 ** decimals, two = (value) => String(value).padStart(2, "0");
    const all = Math.round((t + (this.page.start?.second ?? 0)) * scale);
    const second = Math.floor(all / scale), minute = Math.floor(second / 60) % 60;
    const hour = Math.floor(second / 3600);
    const hours = this.page.start ? two(hour % 24) : hour;
    const day = this.days ? `d${Math.floor(hour / 24) + 1} ` : "";
    const fraction = decimals ? "." + String(all % scale).padStart(decimals, "0") : "";
    const rest = `${this.hours ? two(minute) : minute}:${two(second % 60)}${fraction}`;
    return this.hours ? `${day}${hours}:${rest}` : rest;
  }

  /** As short as can be: no seconds where the step is whole minutes. */
  shortClock(t, step) {
    const text = this.clock(t, step < 1 ? 1 : 0);
    return step >= 60 && this.hours ? text.replace(/:00$/, "") : text;
  }

  /** Round times between two, some `space` pixels apart or more. */
  ticks(from, to, width, space = 84) {
    const least = ((to - from) * space) / width;
    const step = TICKS_S.find((s) => s >= least) ?? Math.ceil(least / 86400) * 86400;
    const offset = this.page.start ? this.page.start.second : 0;
    const found = [];
    for (let k = Math.ceil((from + offset) / step - 1e-9); k * step <= to + offset + 1e-9; k++) {
      found.push(k * step - offset);
    }
    return { step, times: found };
  }

  /** Decisions of a stretch of time in a box; what is not trusted is never too narrow to see. */
  runs(ctx, lead, box, from, to, words = false) {
    const scale = box.width / (to - from);
    const draw = (run) => {
      const left = Math.max(box.x, box.x + (run.from - from) * scale);
      const right = Math.min(box.x + box.width, box.x + (run.to - from) * scale);
      const width = Math.max(right - left, 1);
      ctx.fillStyle = this.fill(ctx, run.kind);
      ctx.fillRect(left, box.y, width, box.height);
      if (words) this.word(ctx, run, { ...box, x: left, width });
    };
    const seen = lead.runs.filter((run) => run.to > from && run.from < to);
    const high = (run) => this.page.looks[run.kind].high;
    seen.filter(high).forEach(draw);
    seen.filter((run) => !high(run)).forEach(draw);
  }

  word(ctx, { kind, score }, box) {
    const look = this.page.looks[kind];
    ctx.strokeStyle = "#fff";
    ctx.strokeRect(box.x + 0.5, box.y + 0.5, box.width - 1, box.height - 1);
    const { name } = look;
    const texts = [name, ...(score === undefined ? [] : [`${name} ${score.toFixed(2)}`])];
    const text = texts.filter((t) => ctx.measureText(t).width + 10 < box.width).pop();
    if (!text) return;
    const width = ctx.measureText(text).width + 6, middle = box.x + box.width / 2;
    ctx.fillStyle = look.face;
    ctx.fillRect(middle - width / 2, box.y + 3, width, box.height - 6);
    ctx.fillStyle = look.ink;
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    ctx.fillText(text, middle, box.y + box.height / 2 + 1);
  }

  /** Lowest to highest in each column of pixels; what leaves the box is cut off there. */
  envelope(ctx, lead, box, from, to, pxPerMv, middleMv) {
    const columns = Math.round(box.width), step = (to - from) / columns;
    const y = (code) =>
      Math.min(Math.max(box.y + box.height / 2 - (lead.mv(code) - middleMv) * pxPerMv, box.y), box.y + box.height);
    let tops = [], bottoms = [];
    ctx.fillStyle = this.page.paper.trace;
    const close = () => { // one outline for each run of columns
      if (!tops.length) return;
      ctx.beginPath();
      for (const [px, py] of tops) ctx.lineTo(px, py);
      for (const [px, py] of bottoms.reverse()) ctx.lineTo(px, py);
      ctx.fill();
      [tops, bottoms] = [[], []];
    };
    for (let c = 0; c < columns; c++) {
      const t = from + step * c, range = t < 0 ? null : lead.range(t, t + step);
      if (!range) {
        close();
        continue;
      }
      const top = y(range[1]), bottom = Math.max(y(range[0]), top + 1);
      for (const x of [box.x + c, box.x + c + 1]) {
        tops.push([x, top]);
        bottoms.push([x, bottom]);
      }
    }
    close();
  }

  /** Middle of what a stretch of time shows, mV. */
  middle(lead, from, to) {
    const middles = [];
    const step = Math.max(lead.bin_s, (to - from) / 400);
    for (let t = Math.max(from, 0); t < Math.min(to, lead.length_s); t += step) {
      const range = lead.range(t, t + lead.bin_s / 2);
      if (range) middles.push((range[0] + range[1]) / 2);
    }
    middles.sort((a, b) => a - b);
    return middles.length ? lead.offset_mv + middles[middles.length >> 1] * lead.step_mv : lead.offset_mv;
  }

  /** Largest usual gain, mm/mV, at which beats are not cut off. */
  gain(lead, heightMm) {
    const { gains_mm_per_mv: gains, small_mv } = this.page.paper;
    const usual = gains.slice(lead.reach_mv < small_mv ? 0 : 1);
    return usual.find((gain) => lead.reach_mv * gain <= heightMm / 2) ?? usual[usual.length - 1];
  }

  /** Boxes of 1 and 5 mm. */
  paper(ctx, box, mm, from) {
    const { paper } = this.page;
    ctx.fillStyle = paper.paper;
    ctx.fillRect(box.x, box.y, box.width, box.height);
    const mm0 = from * paper.mm_per_s;
    for (const [every, colour] of [[1, paper.small_box], [5, paper.big_box]]) {
      if (every * mm < 3) continue;
      ctx.fillStyle = colour;
      for (let k = Math.ceil(mm0 / every); ; k++) {
        const x = box.x + (k * every - mm0) * mm;
        if (x > box.x + box.width) break;
        ctx.fillRect(Math.round(x), box.y, 1, box.height);
      }
      const middle = box.y + box.height / 2;
      for (let k = -Math.floor(box.height / 2 / mm / every); k * every * mm <= box.height / 2; k++) {
        ctx.fillRect(box.x, Math.round(middle + k * every * mm), box.width, 1);
      }
    }
  }

  /** Samples of a piece as a line; gaps stay open. */
  trace(ctx, lead, piece, box, from, to, pxPerMv, middleMv) {
    const scale = box.width / (to - from), middle = box.y + box.height / 2;
    const first = Math.max(0, Math.floor(from * lead.fs_hz) - 1 - piece.first);
    const last = Math.min(piece.n, Math.ceil(to * lead.fs_hz) + 2 - piece.first);
    let pen = false;
    ctx.beginPath();
    for (let k = first; k < last; k++) {
      const code = piece.codes[k];
      if (code === MISSING) {
        pen = false;
        continue;
      }
      const x = box.x + ((piece.first + k) / lead.fs_hz - from) * scale;
      const y = middle - (lead.mv(code) - middleMv) * pxPerMv;
      if (pen) ctx.lineTo(x, y);
      else ctx.moveTo(x, y);
      pen = true;
    }
    ctx.stroke();
  }

  /** Times between two for which no piece is held. */
  unheld(lead, pieces, from, to) {
    const holes = [];
    let at = Math.max(from, 0);
    for (const { first, n } of pieces) {
      if (first / lead.fs_hz > at + 1 / lead.fs_hz) holes.push([at, first / lead.fs_hz]);
      at = Math.max(at, (first + n) / lead.fs_hz);
    }
    const end = Math.min(to, lead.length_s);
    if (end > at + 1 / lead.fs_hz) holes.push([at, end]);
    return holes;
  }

  /** ECG on paper: `mm` pixels a millimetre, `gain` mm a mV. Answers whether all is full rate. */
  ecg(ctx, lead, box, from, to, mm, gain, ready) {
    const pxPerMv = gain * mm, middleMv = this.middle(lead, from, to);
    const right = box.x + ((Math.min(to, lead.length_s) - from) / (to - from)) * box.width;
    this.paper(ctx, { ...box, width: Math.max(0, right - box.x) }, mm, from);
    ctx.save();
    ctx.beginPath();
    ctx.rect(box.x, box.y, box.width, box.height);
    ctx.clip();
    const pieces = lead.within(Math.max(from, 0), to, ready);
    const holes = this.unheld(lead, pieces, from, to);
    const scale = box.width / (to - from);
    for (const [a, b] of holes) {
      const hole = { ...box, x: box.x + (a - from) * scale, width: (b - a) * scale };
      ctx.globalAlpha = 0.45;
      this.envelope(ctx, lead, hole, a, b, pxPerMv, middleMv);
      ctx.globalAlpha = 1;
    }
    ctx.strokeStyle = this.page.paper.ink;
    ctx.lineWidth = 1.1;
    ctx.lineJoin = "round";
    for (const piece of pieces) {
      if (piece.codes) this.trace(ctx, lead, piece, box, from, to, pxPerMv, middleMv);
    }
    ctx.restore();
    return !holes.length;
  }

  /** Times over a box. */
  axis(ctx, box, from, to, y) {
    const { step, times } = this.ticks(from, to, box.width);
    ctx.fillStyle = this.page.paper.muted;
    ctx.textBaseline = "alphabetic";
    for (const t of times) {
      const x = box.x + ((t - from) / (to - from)) * box.width;
      ctx.fillRect(Math.round(x), y + 3, 1, 4);
      const text = this.shortClock(t, step), half = ctx.measureText(text).width / 2;
      ctx.textAlign = "center";
      ctx.fillText(text, Math.min(Math.max(x, box.x + half), box.x + box.width - half), y);
    }
  }

  /** Index map in its colours, with seconds and hertz beside it. */
  scalogram(ctx, map, box) {
    const { frequencies_hz: f, cols, segment_s } = this.page.front_end;
    const picture = document.createElement("canvas");
    picture.width = cols;
    picture.height = f.length;
    const pixels = new ImageData(cols, f.length);
    for (let i = 0; i < map.length; i++) {
      pixels.data.set([...levelColour(map[i]), 255], 4 * i);
    }
    picture.getContext("2d").putImageData(pixels, 0, 0);
    ctx.imageSmoothingEnabled = false;
    ctx.drawImage(picture, box.x, box.y, box.width, box.height);
    ctx.fillStyle = this.page.paper.muted;
    ctx.textBaseline = "middle";
    ctx.textAlign = "right";
    const [top, bottom] = [Math.log(f[0]), Math.log(f[f.length - 1])];
    for (const hz of [1, 2, 5, 10, 20, 50, 100]) {
      const y = box.y + ((top - Math.log(hz)) / (top - bottom)) * box.height;
      if (y > box.y - 1 && y < box.y + box.height) ctx.fillText(`${hz} Hz`, box.x - 4, y);
    }
    ctx.textBaseline = "top";
    ctx.textAlign = "center";
    for (let s = 0; s <= segment_s; s++) {
      const x = box.x + (s / segment_s) * box.width;
      ctx.fillText(s === segment_s ? `${s} s` : `${s}`, x, box.y + box.height + 4);
    }
  }
}
