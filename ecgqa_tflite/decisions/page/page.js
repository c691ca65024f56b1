/* SPDX-FileCopyrightText: ecgqa-tflite contributors
 * SPDX-License-Identifier: Apache-2.0 */
// What the page does: one view of one lead, moved by keys, mouse and touch. A module.

const $ = (id) => document.getElementById(id);
const page = JSON.parse($("facts").textContent);
const leads = [...document.querySelectorAll(".lead")].map((element) => new Lead(element, page));
const drawing = new Drawing(page, Math.max(...leads.map((each) => each.length_s)));
const LEAST_S = 1, LABEL_PX = 64, SHARE_PX = 54, BAND_PX = 24, AXIS_PX = 20, TAP_PX = 6;
let lead = leads[0], overview = null, hours = null, waiting = 0, speaking = 0;
const state = { from: 0, span: 10, segment: 0, atRun: -1, scalogram: false };

// ---- the view -----------------------------------------------------------------------------

const printing = () => document.body.classList.contains("printing");
const width = () => $("view").clientWidth;
const trueSpan = () => width() / CSS_PX_PER_MM / page.paper.mm_per_s; // 25 mm are 25 mm
const centre = () => state.from + state.span / 2;

function show(from, span, keepRun = false) {
  state.span = Math.min(Math.max(span, LEAST_S), Math.max(lead.length_s, LEAST_S));
  state.from = Math.min(Math.max(from, 0), Math.max(lead.length_s - state.span, 0));
  if (!keepRun) state.atRun = -1;
  select(lead.segmentAt(centre()));
  redraw();
  speak();
}

const showAt = (t, span = state.span, keepRun = false) => show(t - span / 2, span, keepRun);
const zoom = (factor, t = centre()) => {
  const share = (t - state.from) / state.span, span = Math.min(Math.max(state.span * factor, LEAST_S), lead.length_s);
  show(t - share * span, span);
};

function nextLow(step) {
  const runs = lead.lowRuns, at = centre();
  let i = state.atRun + step;
  if (state.atRun < 0) {
    i = step > 0 ? runs.findIndex((run) => run.from > at) : runs.findLastIndex((run) => run.to < at);
  }
  if (!runs[i]) {
    clearTimeout(speaking);
    $("status").textContent = step > 0 ? "No later low run." : "No earlier low run.";
    return;
  }
  showRun(i);
}

function showRun(i) {
  const { from, to } = lead.lowRuns[i];
  const span = Math.min(Math.max(trueSpan(), LEAST_S), lead.length_s);
  state.atRun = i;
  showAt(from + Math.min(to - from, span * 0.6) / 2, span, true);
  select(lead.segmentAt(Math.min(from + page.front_end.segment_s / 2, (from + to) / 2)));
}

function redraw() {
  waiting ||= requestAnimationFrame(() => {
    waiting = 0;
    drawAll();
  });
}

function drawAll() {
  drawView();
  drawHours();
  overview.redraw(false);
}

function drawView() {
  const canvas = $("view"), height = printing() ? 260 : innerWidth < 600 ? 240 : 320;
  const ctx = fitted(canvas, width(), height);
  const to = state.from + state.span;
  const box = { x: 0, y: AXIS_PX, width: width(), height: height - AXIS_PX - BAND_PX - 4 };
  const mm = width() / state.span / page.paper.mm_per_s;
  let scale;
  if (state.span <= PAPER_MOST_S) {
    const gain = drawing.gain(lead, box.height / mm);
    const whole = drawing.ecg(ctx, lead, box, state.from, to, mm, gain, redraw);
    const size = (mm / CSS_PX_PER_MM) * 100;
    scale = `${page.paper.mm_per_s} mm/s, ${gain} mm/mV` + (Math.abs(size - 100) < 0.5 ? "" : ` at ${size.toFixed(0)} %`);
    if (!whole) scale += "; grey: lowest and highest alone (assess --full keeps all)";
  } else {
    const pxPerMv = box.height / (2.4 * lead.reach_mv);
    drawing.envelope(ctx, lead, box, state.from, to, pxPerMv, drawing.middle(lead, state.from, to));
    scale = "lowest and highest; zoom in for paper";
  }
  $("scale").textContent = scale;
  drawing.axis(ctx, box, state.from, to, AXIS_PX - 8);
  const band = { ...box, y: height - BAND_PX, height: BAND_PX };
  if ((page.front_end.segment_s / state.span) * width() > 30) drawSegments(ctx, band, to);
  else drawing.runs(ctx, lead, band, state.from, to);
}

/** A box for each segment; the one that is told about has a frame. */
function drawSegments(ctx, band, to) {
  const x = (t) => ((t - state.from) / state.span) * width();
  for (let i = lead.segmentAt(state.from); i <= lead.segmentAt(to); i++) {
    const span = lead.span(i), look = page.looks[lead.kinds[i]];
    const box = { ...band, x: Math.max(x(span.from), 0) };
    box.width = Math.min(x(span.to), width()) - box.x;
    if (box.width <= 0) continue;
    ctx.fillStyle = drawing.fill(ctx, lead.kinds[i]);
    ctx.fillRect(box.x, box.y, box.width, box.height);
    drawing.word(ctx, { kind: lead.kinds[i], score: look.asked ? lead.scores[i] * page.score_scale : undefined }, box);
    if (i !== state.segment) continue;
    ctx.strokeStyle = "#000";
    ctx.lineWidth = 2;
    ctx.strokeRect(box.x + 1, box.y + 1, box.width - 2, box.height - 2);
    ctx.lineWidth = 1;
  }
}

// ---- a segment ----------------------------------------------------------------------------

function select(i) {
  state.segment = i;
  const look = page.looks[lead.kinds[i]], from = lead.first_s + i * lead.hop_s;
  const to = from + page.front_end.segment_s;
  const decimals = Number.isInteger(from) ? 0 : 2;
  $("quality").textContent = look.name;
  $("quality").style.cssText = `background: ${look.face}; color: ${look.ink}`;
  $("when").textContent = `${drawing.clock(from, decimals)} to ${drawing.clock(to, decimals)}`;
  $("why").textContent = (look.asked
    ? `Score ${(lead.scores[i] * page.score_scale).toFixed(3)}, ${page.labels[1]} from ${page.threshold.toFixed(3)}. `
    : "The network was not asked. ") + look.meaning;
  if (state.scalogram) drawScalogram();
}

async function drawScalogram() {
  const i = state.segment, asked = lead;
  const samples = await lead.samples(i);
  if (i !== state.segment || asked !== lead || !state.scalogram) return;
  const canvas = $("scalogram"), note = $("scalogram-note");
  canvas.hidden = !samples || samples.some(Number.isNaN);
  note.textContent = !samples ? "This page does not hold all samples of this segment: ecgqa assess --full keeps them."
    : canvas.hidden ? "Samples are missing: there is no scalogram of a gap."
    : "Computed here from the samples; a device's pixels differ by a level of 256, seldom two.";
  if (canvas.hidden) return;
  const height = printing() ? 180 : 260, { clientWidth } = canvas;
  const ctx = fitted(canvas, clientWidth, height);
  drawing.scalogram(ctx, indexMap(samples, page.front_end), { x: 46, y: 6, width: clientWidth - 62, height: height - 30 });
  canvas.dataset.segment = i;
}

function toggleScalogram() {
  state.scalogram = !state.scalogram;
  $("scalogram-button").setAttribute("aria-expanded", state.scalogram);
  $("scalogram-box").hidden = !state.scalogram;
  if (state.scalogram) drawScalogram();
}

// ---- the whole recording ------------------------------------------------------------------

/** Times, lowest and highest, mV from the middle of the lead: offsets of electrodes say nothing. */
function overviewData() {
  const columns = 2 * Math.max(width(), 300);
  const data = [[], [], []];
  for (let c = 0; c < columns; c++) {
    const t = (lead.length_s * c) / columns, range = lead.range(t, (lead.length_s * (c + 1)) / columns);
    data[0].push(t);
    for (const [k, values] of data.slice(1).entries()) values.push(range ? range[k] * lead.step_mv : null);
  }
  return data;
}

function drawOverview(u) {
  const ctx = u.ctx, ratio = ctx.canvas.width / u.width;
  ctx.save();
  ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
  const { left, top, width: w, height: h } = u.bbox;
  const box = { x: left / ratio, y: (top + h) / ratio - 12, width: w / ratio, height: 12 };
  drawing.runs(ctx, lead, box, 0, lead.length_s);
  const x = box.x + (state.from / lead.length_s) * box.width;
  ctx.strokeStyle = "#000";
  ctx.lineWidth = 1.5;
  ctx.strokeRect(x, top / ratio, Math.max((state.span / lead.length_s) * box.width, 3), h / ratio);
  ctx.restore();
}

function makeOverview() {
  overview?.destroy();
  const reach = 1.2 * lead.reach_mv;
  const middle = drawing.middle(lead, 0, lead.length_s) - lead.offset_mv;
  let dragged = false;
  const axis = { stroke: page.paper.muted, font: FONT, grid: { stroke: "#eee", width: 1 } };
  const line = { stroke: page.paper.trace, width: 1, points: { show: false } };
  overview = new uPlot({
    width: width(), height: 150, padding: [6, 12, 0, 0], legend: { show: false },
    cursor: { y: false, points: { show: false }, drag: { x: true, y: false, setScale: false } },
    scales: { x: { time: false, range: [0, lead.length_s] }, y: { range: [middle - 1.3 * reach, middle + reach] } },
    axes: [
      { ...axis, size: 26, gap: 2, splits: (u) => drawing.ticks(0, lead.length_s, u.width - LABEL_PX).times,
        values: (u, times) => times.map((t) => drawing.shortClock(t, lead.length_s > 600 ? 60 : 1)) },
      { ...axis, size: LABEL_PX, values: (u, values) => values.map((v) => `${+v.toPrecision(4)} mV`), space: 28 },
    ],
    series: [{}, line, line],
    bands: [{ series: [2, 1], fill: page.paper.trace }],
    hooks: {
      draw: [drawOverview],
      setSelect: [(u) => {
        if (u.select.width <= TAP_PX) return;
        dragged = true;
        const from = u.posToVal(u.select.left, "x");
        show(from, u.posToVal(u.select.left + u.select.width, "x") - from);
        u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
      }],
    },
  }, overviewData(), $("overview"));
  overview.over.addEventListener("click", (event) => {
    if (!dragged) showAt(overview.posToVal(event.offsetX, "x"));
    dragged = false;
  });
}

// ---- hours --------------------------------------------------------------------------------

function hourRows() {
  const rowS = page.paper.rows_s.find(([longer]) => lead.length_s > longer)[1];
  const offset = page.start ? page.start.second % rowS : 0;
  const n = Math.ceil((lead.length_s + offset) / rowS - 1e-9);
  const height = n > 60 ? 18 : n > 12 ? (printing() ? 24 : 34) : 44;
  return { rowS, offset, n, height, x: LABEL_PX, width: width() - LABEL_PX - SHARE_PX };
}

/** Drawn once for a lead and a width; what is in view is framed over a copy. */
function makeHours() {
  const rows = hourRows(), canvas = document.createElement("canvas");
  const ctx = fitted(canvas, width(), rows.n * rows.height);
  const middle = drawing.middle(lead, 0, lead.length_s);
  for (let row = 0; row < rows.n; row++) {
    const from = row * rows.rowS - rows.offset, to = from + rows.rowS, y = row * rows.height;
    const band = Math.round(rows.height * 0.25);
    const box = { x: rows.x, y: y + 1, width: rows.width, height: rows.height - band - 3 };
    drawing.envelope(ctx, lead, box, from, Math.min(to, lead.length_s + rows.rowS), box.height / (1.6 * lead.reach_mv), middle);
    drawing.runs(ctx, lead, { ...box, y: y + rows.height - band - 1, height: band }, from, to);
    ctx.fillStyle = page.paper.muted;
    ctx.textBaseline = "middle";
    ctx.textAlign = "right";
    ctx.fillText(drawing.shortClock(from < 0 && !page.start ? 0 : from, 60), rows.x - 6, y + rows.height / 2);
    const share = lead.usable(from, to);
    if (!Number.isNaN(share)) ctx.fillText(percent(share), width() - 4, y + rows.height / 2);
  }
  hours = { ...rows, canvas };
  $("hours-head").textContent = { 3600: "Hours", 600: "Ten minutes a row", 60: "Minutes" }[rows.rowS];
}

function drawHours() {
  const canvas = $("hours"), { canvas: base, n, height, x, width: w, rowS, offset } = hours;
  const ctx = fitted(canvas, width(), n * height);
  ctx.drawImage(base, 0, 0, width(), n * height);
  ctx.strokeStyle = "#000";
  ctx.lineWidth = 1.5;
  for (let row = Math.floor((state.from + offset) / rowS); row < n; row++) {
    const from = row * rowS - offset;
    if (from > state.from + state.span) break;
    const a = Math.max(state.from, from), b = Math.min(state.from + state.span, from + rowS);
    const left = x + ((a - from) / rowS) * w;
    ctx.strokeRect(left, row * height + 1, Math.max(((b - a) / rowS) * w, 3), height - 2);
  }
}

function hoursClick(event) {
  const row = Math.floor(event.offsetY / hours.height);
  const t = ((event.offsetX - hours.x) / hours.width) * hours.rowS + row * hours.rowS - hours.offset;
  showAt(Math.min(Math.max(t, 0), lead.length_s), Math.min(trueSpan(), lead.length_s));
}

// ---- words --------------------------------------------------------------------------------

const percent = (share) => {
  const value = 100 * share;
  return `${value > 99 && value < 100 ? Math.min(value, 99.9).toFixed(1) : value > 0 && value < 1 ? Math.max(value, 0.1).toFixed(1) : value.toFixed(0)} %`;
};

function duration(s) {
  const whole = Math.round(s);
  if (whole < 60) return `${whole} s`;
  const [h, m] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return h ? `${h} h ${m} min` : `${m} min ${whole % 60} s`;
}

function tell() {
  const seconds = page.looks.map(() => 0);
  let longest = 0;
  for (const run of lead.runs) {
    seconds[run.kind] += run.to - run.from;
    if (page.looks[run.kind].high) longest = Math.max(longest, run.to - run.from);
  }
  const all = seconds.reduce((a, b) => a + b);
  const high = seconds.reduce((sum, s, kind) => sum + (page.looks[kind].high ? s : 0), 0);
  $("share").textContent = percent(high / all);
  $("longest").textContent = duration(longest);
  $("low-runs").textContent = lead.lowRuns.length.toLocaleString("en");
  $("length").textContent = duration(lead.length_s);
  $("key").replaceChildren(...page.looks.flatMap((look, kind) => {
    if (!seconds[kind]) return [];
    const item = document.createElement("li"), box = document.createElement("span");
    box.style.background = `url(${drawing.tiles[kind].toDataURL()})`;
    item.append(box, `${page.looks[kind].name} ${percent(seconds[kind] / all)}`);
    item.title = look.meaning;
    return [item];
  }));
  tellRuns();
}

/** The longest low runs, in order of time. */
function tellRuns() {
  const most = 20;
  const kept = lead.lowRuns.map((run, i) => ({ ...run, i }))
    .sort((a, b) => b.to - b.from - (a.to - a.from)).slice(0, most).sort((a, b) => a.i - b.i);
  $("runs-head").textContent = lead.lowRuns.length > most ? `The ${most} longest low runs` : "Low runs";
  $("runs").replaceChildren(...kept.map((run) => {
    const row = document.createElement("tr"), button = document.createElement("button");
    button.textContent = drawing.clock(run.from);
    button.addEventListener("click", () => {
      showRun(run.i);
      $("view").scrollIntoView({ block: "center" });
    });
    const cells = [button, drawing.clock(run.to), duration(run.to - run.from), page.looks[run.kind].name];
    row.append(...cells.map((cell) => {
      const td = document.createElement("td");
      td.append(cell);
      return td;
    }));
    return row;
  }));
  $("runs-box").hidden = !kept.length;
}

function speak() {
  clearTimeout(speaking);
  speaking = setTimeout(() => {
    const to = Math.min(state.from + state.span, lead.length_s);
    const text = `${drawing.clock(state.from)} to ${drawing.clock(to)}`;
    $("status").textContent = `${text}, ${percent(lead.usable(state.from, to) || 0)} ${page.labels[1]}`;
    $("view").setAttribute("aria-label", `ECG of lead ${lead.name}, ${text}`);
  }, 120);
}

// ---- what moves it ------------------------------------------------------------------------

const pan = (views) => show(state.from + views * state.span, state.span);
const deeds = {
  ArrowLeft: () => pan(-0.25), ArrowRight: () => pan(0.25), PageUp: () => pan(-1), PageDown: () => pan(1),
  Home: () => show(0, state.span), End: () => show(lead.length_s, state.span),
  "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), _: () => zoom(2),
  1: () => showAt(centre(), trueSpan()), 0: () => show(0, lead.length_s),
  n: () => nextLow(1), p: () => nextLow(-1), s: toggleScalogram,
  l: () => open(leads[(leads.indexOf(lead) + 1) % leads.length]),
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const deed = deeds[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!deed) return;
  event.preventDefault();
  deed();
}

/** One finger or the mouse moves, two fingers zoom, a tap asks about a segment. */
function pointers(canvas) {
  const held = new Map();
  let moved = 0;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    held.set(event.pointerId, event.offsetX);
    if (held.size === 1) moved = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!held.has(event.pointerId)) return;
    const before = [...held.values()];
    held.set(event.pointerId, event.offsetX);
    const now = [...held.values()], middle = (list) => list.reduce((a, b) => a + b) / list.length;
    moved += Math.abs(middle(now) - middle(before)) + (held.size > 1 ? TAP_PX : 0);
    if (moved < TAP_PX) return;
    const t = state.from + (middle(before) / width()) * state.span;
    let span = state.span;
    if (held.size === 2) span *= Math.abs(before[1] - before[0] || 1) / Math.max(Math.abs(now[1] - now[0]), 1);
    span = Math.min(Math.max(span, LEAST_S), lead.length_s);
    show(t - (middle(now) / width()) * span, span);
  });
  const release = (event) => {
    if (held.delete(event.pointerId) && event.type === "pointerup" && !held.size && moved < TAP_PX) {
      select(lead.segmentAt(state.from + (event.offsetX / width()) * state.span));
      redraw();
    }
  };
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, release);
  canvas.addEventListener("wheel", (event) => {
    const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY);
    if (!event.ctrlKey && !sideways) return; // the page scrolls
    event.preventDefault();
    if (sideways) pan(event.deltaX / width());
    else zoom(2 ** (event.deltaY / 200), state.from + (event.offsetX / width()) * state.span);
  }, { passive: false });
}

// ---- start --------------------------------------------------------------------------------

/** Everything anew: another lead, another width. */
function layOut() {
  makeOverview();
  makeHours();
  drawAll();
  if (state.scalogram) drawScalogram();
}

async function open(next) {
  await next.open();
  lead = next;
  for (const button of $("leads").children) {
    button.setAttribute("aria-pressed", Number(button.dataset.lead) === leads.indexOf(lead));
  }
  tell();
  makeOverview();
  makeHours();
  show(state.from, state.span);
}

function listen() {
  for (const [i, each] of leads.entries()) {
    const button = document.createElement("button");
    button.textContent = each.name;
    button.dataset.lead = i;
    button.addEventListener("click", () => open(each));
    $("leads").append(button);
  }
  for (const button of document.querySelectorAll("[data-key]")) {
    button.addEventListener("click", () => deeds[button.dataset.key]());
  }
  document.addEventListener("keydown", onKey);
  $("hours").addEventListener("click", hoursClick);
  pointers($("view"));
  let last = width();
  new ResizeObserver(() => {
    if (!width() || width() === last || printing()) return;
    last = width();
    layOut();
  }).observe($("view"));
  for (const [name, on] of [["beforeprint", true], ["afterprint", false]]) {
    window.addEventListener(name, () => {
      document.body.classList.toggle("printing", on);
      if (on) show(centre() - trueSpan() / 2, Math.min(trueSpan(), lead.length_s), true);
      layOut();
    });
  }
}

async function start() {
  listen();
  await lead.open();
  state.span = Math.min(trueSpan(), lead.length_s);
  await open(lead);
  if (lead.lowRuns.length) showRun(0); // where something happens
  cancelAnimationFrame(waiting);
  waiting = 0;
  drawAll();
  document.body.dataset.ready = "";
  performance.mark("drawn");
}

// for the console, and for tests
window.ecgqa = {
  state, show, trueSpan, lead: () => lead,
  indexMap: (i) => lead.samples(i).then((samples) => indexMap(samples, page.front_end)),
};
start();
