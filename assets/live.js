// The live view of one run: polls the run's metrics route and draws what is new, without a page rerun.
// Everything that came from a person (class names, run names, log lines) goes in as textContent or escaped.

const ACTIVE = new Set(["queued", "running", "stopping"]);
const WORDS = {
  queued: "Waiting", running: "Training", stopping: "Stopping…", done: "Done", failed: "Failed",
  stopped: "Stopped", interrupted: "Interrupted",
};
const views = new WeakMap();

const loadPlotly = (url) =>
  (window.__replabPlotly ??= new Promise((resolve, reject) => {
    if (window.Plotly) return resolve(window.Plotly);
    const script = document.createElement("script");
    script.src = url;
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => { window.__replabPlotly = undefined; reject(new Error("charts could not be loaded")); };
    document.head.append(script);
  }));

const node = (tag, className, text) => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
};
const escapeHtml = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
const finite = (value) => typeof value === "number" && Number.isFinite(value);
const isShare = (name) => /accuracy|top1|top5|share/.test(name);
const NAMES = { knn_accuracy: "kNN accuracy", z_std: "spread of z", effective_rank: "effective rank of z", target_momentum: "momentum of the target" };
const words = (name) => NAMES[name] || name.replaceAll("_", " ");
const title = (name) => { const text = words(name); return text.startsWith("kNN") ? text : text[0].toUpperCase() + text.slice(1); };
const percent = (value) => `${(100 * value).toFixed(1)} %`;
const show = (name, value) => !finite(value) ? "–" : isShare(name) ? percent(value) : value >= 100 ? value.toFixed(0) : value.toPrecision(3);

const duration = (seconds) => {
  if (!finite(seconds)) return "";
  if (seconds < 1) return "under a second";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
};

class LiveView {
  constructor(root, data, send) {
    Object.assign(this, { root, data, send, offset: 0, epochs: new Map(), steps: [], lines: {}, attempt: 0 });
    Object.assign(this, { failures: 0, drawn: "", filter: "All", chosenFrame: null, pictures: null, dead: false });
    this.build();
    loadPlotly(data.plotly).then((plotly) => { this.plotly = plotly; this.drawCharts(); })
      .catch((error) => { this.notice.textContent = error.message; });
    this.sizes = new ResizeObserver((entries) => { // a chart appears beside another, or the window changes
      for (const { target } of entries) if (target.isConnected && target.firstChild.data) this.plotly?.Plots.resize(target.firstChild);
    });
    this.onVisible = () => { if (!document.hidden) this.soon(0); };
    document.addEventListener("visibilitychange", this.onVisible);
    this.soon(0);
  }

  build() {
    const root = this.root;
    root.replaceChildren();
    const top = node("div", "rl-top");
    this.state = node("span", "rl-state");
    this.phase = node("span", "rl-phase");
    this.phase.setAttribute("role", "status");
    top.append(this.state, this.phase);
    this.bar = node("div", "rl-bar");
    this.fill = node("i");
    this.note = node("div", "rl-note");
    this.bar.append(this.fill);
    this.notice = node("div", "rl-notice");
    this.verdict = node("div", "rl-verdict");
    this.verdict.setAttribute("role", "status");
    this.cards = node("div", "rl-cards");
    this.charts = node("div", "rl-charts");
    this.sees = node("details", "rl-sees");
    this.sees.open = !this.data.compact;
    this.log = node("details", "rl-log");
    this.log.append(node("summary", "", "Log"), (this.logText = node("pre")));
    for (const part of [this.bar, this.note, this.verdict, this.cards, this.charts, this.sees, this.log]) part.hidden = true; // until the first answer
    this.phase.textContent = "Reading the run…";
    this.log.addEventListener("toggle", () => { if (this.log.open) this.soon(0); });
    root.classList.toggle("rl-compact", Boolean(this.data.compact));
    root.append(top, this.bar, this.note, this.notice, this.verdict, this.cards, this.charts, this.sees, this.log);
  }

  update(data) {
    const changed = data.state !== this.data.state;
    if (ACTIVE.has(data.state) && !ACTIVE.has(this.data.state)) { // resumed
      clearTimeout(this.forceTimer);
      Object.assign(this, { told: false, toldStopping: false, forceTimer: undefined });
    }
    if (data.compact && !this.data.compact) this.sees.open = false;
    this.data = data;
    this.root.classList.toggle("rl-compact", Boolean(data.compact));
    if (this.last) { this.drawCards(); this.drawCharts(); }
    if (changed) this.soon(0);
  }

  soon(milliseconds) {
    clearTimeout(this.timer);
    if (!this.dead) this.timer = setTimeout(() => this.tick(), milliseconds);
  }

  async tick() {
    if (this.dead || this.busy) return;
    if (document.hidden) return; // visibilitychange wakes it up again
    if (this.data.offline) return;
    this.busy = true;
    let wait = 1000;
    try {
      const query = new URLSearchParams({ since: this.offset });
      if (this.chosenFrame !== null) query.set("frame", this.chosenFrame);
      if (this.pictures) query.set("have", this.pictures.epoch);
      if (this.log.open) query.set("log", 1);
      const response = await fetch(`${this.data.url}?${query}`, { credentials: "same-origin" });
      if (!response.ok) throw new Error((await response.json().catch(() => ({}))).error || `the server answered ${response.status}`);
      this.take(await response.json());
      this.failures = 0;
      this.notice.textContent = "";
      if (this.last.status.state === "queued") wait = 2000;
    } catch (error) {
      this.failures += 1;
      wait = Math.min(8000, 1000 * 2 ** this.failures);
      if (this.failures > 1) this.notice.textContent = `No answer from the server (${error.message}). Trying again; the run itself goes on.`;
    } finally {
      this.busy = false;
    }
    if (this.dead) return;
    const state = this.last?.status.state;
    if (!state || ACTIVE.has(state) || this.failures || this.more) this.soon(this.more ? 0 : wait);
    else if (this.log.open && ACTIVE.has(this.data.state)) this.soon(wait);
  }

  take(answer) {
    this.last = answer;
    this.more = answer.rows.length > 0 && answer.more === true;
    for (const row of answer.rows) this.takeRow(row);
    this.offset = answer.next;
    if (answer.pictures) this.pictures = answer.pictures;
    if (answer.log !== undefined && answer.log !== null) {
      const atEnd = this.logText.scrollTop + this.logText.clientHeight >= this.logText.scrollHeight - 8;
      this.logText.textContent = answer.log || "Nothing written yet.";
      if (atEnd) this.logText.scrollTop = this.logText.scrollHeight;
    }
    this.log.hidden = !answer.has_log;
    this.drawTop();
    this.drawVerdict();
    this.drawCards();
    this.drawCharts();
    this.drawPictures();
    this.tellFinal(answer.status);
  }

  takeRow(row) {
    if (row.kind === "start") { // a resume: later rows replace those of epochs that are run again
      for (const epoch of [...this.epochs.keys()]) if (epoch > row.epoch) this.epochs.delete(epoch);
      this.steps = this.steps.filter((step) => step.epoch <= row.epoch);
    } else if (row.kind === "reference") this.lines = row.lines || {};
    else if (row.kind === "step") this.steps.push(row);
    else if (row.kind === "epoch") this.epochs.set(row.epoch, row);
  }

  tellFinal(status) {
    if (ACTIVE.has(this.data.state) && !ACTIVE.has(status.state) && !this.told) {
      this.told = true; // one rerun for the results; spread, so that thirty watchers do not ask at once
      setTimeout(() => !this.dead && this.send("final", status.state), this.data.jitter * Math.random());
    } else if (status.stopping && !this.data.stopping && !this.toldStopping) {
      this.toldStopping = true; // stopped from elsewhere: the button changes here too
      this.send("final", "stopping");
    } else if (status.stopping && !this.forceTimer) {
      this.forceTimer = setTimeout(() => !this.dead && this.send("final", "slow"), this.data.patience);
    }
  }

  drawTop() {
    const { status, progress } = this.last;
    const state = status.stopping && status.state === "running" ? "stopping" : status.state;
    this.state.textContent = WORDS[state] || state;
    this.state.dataset.state = state;
    let share = state === "done" ? 1 : 0;
    let text = "";
    if (state === "queued") {
      const place = (status.waiting || "place 1").replace(/^p/, "P");
      text = place.includes("starts") ? `${place}.` : `${place} in the queue; it starts by itself.`;
    } else if (state === "running" || state === "stopping") {
      ({ share, text } = this.progressText(progress));
    } else if (state === "done") text = this.doneText(status);
    else text = status.error || "";
    this.phase.textContent = text;
    this.note.textContent = progress.note || "";
    this.note.hidden = !progress.note;
    this.bar.hidden = !(state === "running" || state === "stopping");
    this.bar.classList.toggle("rl-wait", share === null);
    const width = 100 * (share ?? 1);
    this.fill.style.transition = width < this.width ? "none" : ""; // a new phase begins; it does not run backwards
    this.width = width;
    this.fill.style.width = `${width}%`;
  }

  drawVerdict() { // what the figures mean, in words, after the last epoch
    const { state, words } = this.rows().at(-1)?.verdict || {};
    this.verdict.hidden = !words;
    if (!words) return;
    this.verdict.dataset.state = state;
    const cut = words.indexOf(": ");
    this.verdict.replaceChildren(node("b", "", words.slice(0, Math.max(0, cut))), node("span", "", words.slice(cut < 0 ? 0 : cut + 2)));
  }

  progressText(p) {
    if (!p || !p.phase) return { share: null, text: "Starting…" };
    const parts = [];
    let share = null;
    if (p.epochs && p.epoch && (p.phase === "training" || p.phase === "evaluating")) {
      const within = p.phase === "evaluating" ? 1 : p.steps ? Math.min(1, (p.step || 0) / p.steps) : 0;
      const epoch = Math.min(p.epochs, Math.max(1, p.epoch || 1));
      parts.push(`Epoch ${epoch} of ${p.epochs}`);
      if (p.phase === "evaluating") parts.push("evaluating");
      else if (p.steps) parts.push(`step ${p.step || 0} of ${p.steps}`);
      share = (epoch - 1 + within) / p.epochs;
    } else {
      parts.push(title(p.phase));
      if (p.steps) { share = (p.step || 0) / p.steps; parts.push(`${p.step || 0} of ${p.steps}`); }
    }
    const left = duration(p.seconds_left);
    if (left) parts.push(`about ${left} left`);
    return { share, text: parts.join(" · ") };
  }

  doneText(status) {
    const seconds = status.finished && status.started ? status.finished - status.started : NaN;
    const epochs = this.epochs.size;
    return [epochs ? `${epochs} ${epochs === 1 ? "epoch" : "epochs"}` : "", duration(seconds) && `in ${duration(seconds)}`].filter(Boolean).join(" ");
  }

  rows() { return [...this.epochs.values()].sort((a, b) => a.epoch - b.epoch); }

  quantities(rows) { // every X with train_X or val_X gets a chart, in the order in which they are written
    const names = new Set();
    for (const row of rows) for (const key of Object.keys(row)) {
      const match = /^(train|val)_(.+)$/.exec(key);
      if (match && finite(row[key]) && !match[2].endsWith("_floor")) names.add(match[2]);
    }
    return [...names];
  }

  keptRow(rows) { // none where simply the last one is kept
    return rows.length > 1 && rows.every((row) => row.kept) && this.lines.z_std ? undefined : rows.filter((row) => row.kept).at(-1);
  }

  drawCards() {
    const rows = this.rows();
    this.cards.hidden = !rows.length || this.data.compact; // the results say it better
    if (this.cards.hidden) return;
    const last = rows.at(-1), before = rows.at(-2), kept = this.keptRow(rows), cards = [];
    const names = this.quantities(rows).sort((a, b) => isShare(b) - isShare(a)).slice(0, 2);
    for (const name of names) {
      const key = rows.some((row) => finite(row[`val_${name}`])) ? `val_${name}` : `train_${name}`;
      const label = `${key.startsWith("val_") ? "Validation" : "Training"} ${words(name)}`;
      const change = before && finite(before[key]) && finite(last[key]) ? last[key] - before[key] : null;
      const better = !change ? null : isShare(name) ? change >= 0 : change <= 0;
      const delta = change === null ? "" : isShare(name) ? `${change >= 0 ? "+" : "−"}${Math.abs(100 * change).toFixed(1)} points` : `${change >= 0 ? "+" : "−"}${Math.abs(change).toPrecision(2)}`;
      cards.push({ label, value: show(name, last[key]), delta, better, series: rows.map((row) => row[key]) });
    }
    const speeds = rows.map((row) => row.images_per_second);
    const speed = this.last.progress?.images_per_second ?? speeds.at(-1);
    if (finite(speed)) cards.push({ label: "Images a second", value: Math.round(speed).toLocaleString("en"), delta: this.last.status.device ? `on ${this.last.status.device}` : "", series: speeds });
    if (kept) {
      const name = names[0], key = `val_${name}`;
      cards.push({ label: "Kept so far", value: `Epoch ${kept.epoch}`, delta: finite(kept[key]) ? `${show(name, kept[key])} ${words(name)}` : "", series: [] });
      if (!ACTIVE.has(this.last.status.state)) cards.at(-1).label = "Kept";
    }
    this.cards.replaceChildren(...cards.map((card) => this.card(card)));
  }

  card({ label, value, delta, better, series }) {
    const card = node("div", "rl-card");
    const change = node("div", "rl-delta", delta || "\u00a0");
    if (better === true || better === false) change.dataset.better = better;
    card.append(node("div", "rl-label", label), node("div", "rl-value", value), change);
    const points = series.filter(finite);
    if (points.length > 1) card.append(this.sparkline(points));
    return card;
  }

  sparkline(points) {
    const low = Math.min(...points), range = Math.max(...points) - low || 1, space = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(space, "svg");
    svg.setAttribute("viewBox", "0 0 100 26");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true");
    const at = points.map((value, i) => `${((100 * i) / (points.length - 1)).toFixed(2)},${(24 - (22 * (value - low)) / range).toFixed(2)}`);
    const area = document.createElementNS(space, "polygon"), line = document.createElementNS(space, "polyline");
    area.setAttribute("points", `0,26 ${at.join(" ")} 100,26`);
    line.setAttribute("points", at.join(" "));
    svg.append(area, line);
    return svg;
  }

  style(name, fallback) { return getComputedStyle(this.root).getPropertyValue(name).trim() || fallback; }

  drawCharts() {
    if (!this.plotly || !this.last) return;
    const rows = this.rows(), text = this.style("--st-text-color", "#333"), grid = this.style("--st-border-color", "#ddd");
    const mark = JSON.stringify([rows.at(-1), rows.length, this.steps.length, text, grid, this.data.suffix, this.lines]);
    if (mark === this.drawn) return;
    this.drawn = mark;
    const names = this.quantities(rows);
    if (!names.includes("loss") && this.steps.length) names.unshift("loss");
    this.charts.hidden = !names.length;
    const wanted = new Set(names);
    for (const child of [...this.charts.children]) if (!wanted.has(child.dataset.name)) { this.plotly.purge(child.firstChild); child.remove(); }
    const boxes = new Map([...this.charts.children].map((child) => [child.dataset.name, child]));
    for (const name of names) if (!boxes.has(name)) { // all places first: a chart is as wide as its neighbours let it
      const box = node("div", "rl-chart");
      box.dataset.name = name;
      box.append(node("div"));
      this.charts.append(box);
      this.sizes.observe(box);
      boxes.set(name, box);
    }
    for (const name of names) {
      this.plotly.react(boxes.get(name).firstChild, this.traces(name, rows, text), this.layout(name, rows, text, grid), {
        displaylogo: false, displayModeBar: false, showSendToCloud: false, plotlyServerURL: "",
      });
    }
    this.root.dataset.epochs = rows.length;
  }

  traces(name, rows, text) {
    const colours = { train: this.data.colours[0], val: this.data.colours[1] }, traces = [];
    if (name === "loss" && this.steps.length > 2) {
      const every = Math.ceil(this.steps.length / 2000);
      const thin = (values) => values.filter((_, i) => i % every === 0);
      traces.push({ x: thin(this.stepPositions()), y: thin(this.steps.map((s) => s.loss ?? null)), name: "steps", mode: "lines", showlegend: false, opacity: 0.3, line: { width: 1, color: colours.train }, hoverinfo: "skip" });
    }
    const format = isShare(name) ? ".1%" : ".4~g";
    for (const [split, label] of [["train", "training"], ["val", "validation"]]) {
      const key = `${split}_${name}`;
      if (!rows.some((row) => finite(row[key]))) continue;
      traces.push({ x: rows.map((r) => r.epoch), y: rows.map((r) => r[key] ?? null), name: label, mode: rows.length < 25 ? "lines+markers" : "lines", line: { width: 2.5, color: colours[split] }, marker: { size: 5 }, hovertemplate: `%{y:${format}}` });
    }
    const floor = rows.some((row) => finite(row[`val_${name}_floor`])) ? `val_${name}_floor` : `train_${name}_floor`;
    if (rows.some((row) => finite(row[floor]))) { // nothing can lie below it, whatever is learned
      traces.push({ x: rows.map((r) => r.epoch), y: rows.map((r) => r[floor] ?? null), name: "floor", mode: rows.length < 2 ? "markers" : "lines", line: { width: 1.5, dash: "dot", color: text }, marker: { symbol: "line-ew-open", color: text, size: 12 }, opacity: 0.75, hovertemplate: `floor %{y:${format}}<extra></extra>` });
    }
    traces.push(...this.referenceLines(name, rows, text, format));
    const kept = this.keptRow(rows), key = kept && (finite(kept[`val_${name}`]) ? `val_${name}` : null);
    if (key) traces.push({ x: [kept.epoch], y: [kept[key]], mode: "markers+text", name: "kept", text: ["kept"], textposition: isShare(name) ? "bottom center" : "top center", textfont: { size: 11 }, cliponaxis: false, showlegend: false, marker: { size: 12, symbol: "circle-open", color: text, line: { width: 2 } }, hovertemplate: `kept: epoch ${kept.epoch}<extra></extra>` });
    return traces;
  }

  referenceLines(name, rows, text, format) { // values to compare with, across the whole chart
    const last = Math.max(1, rows.at(-1)?.epoch || 1), dashes = ["dash", "dot", "dashdot"], gap = '<span style="font-size:3px"> </span>';
    const lines = Object.entries(this.lines[name] || {}).filter(([, value]) => finite(value)).sort((a, b) => b[1] - a[1]);
    return lines.map(([label, value], i) => ({ // said on the line: the highest above it, all others below
      x: [0, last], y: [value, value], name: escapeHtml(label), mode: "lines+text", text: ["", i ? `${gap}<br>${escapeHtml(label)}` : `${escapeHtml(label)}<br>${gap}`], showlegend: false,
      textposition: i ? "bottom left" : "top left", textfont: { size: 11, color: text }, cliponaxis: false,
      line: { width: 1.4, dash: dashes[i % 3], color: text }, opacity: 0.6, hovertemplate: `${escapeHtml(label)} %{y:${format}}<extra></extra>`,
    }));
  }

  stepPositions() { // where between two epochs each step lies, from its rank among the rows of its epoch
    const ranks = new Map(), counts = new Map();
    for (const step of this.steps) counts.set(step.epoch, (counts.get(step.epoch) || 0) + 1);
    const most = Math.max(...counts.values());
    return this.steps.map((step) => {
      const rank = (ranks.get(step.epoch) || 0) + 1;
      ranks.set(step.epoch, rank);
      return step.epoch - 1 + rank / (this.epochs.has(step.epoch) ? counts.get(step.epoch) : most);
    });
  }

  layout(name, rows, text, grid) {
    const suffix = this.data.suffix ? ` <span style="font-weight:400">(${escapeHtml(this.data.suffix)})</span>` : "";
    return {
      uirevision: this.data.run, height: 270, margin: { l: 46, r: 8, t: 58, b: 34 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: text, family: this.style("--st-font", "sans-serif"), size: 12 },
      title: { text: `<b>${escapeHtml(title(name))}</b>${suffix}`, x: 0, xref: "container", xanchor: "left", y: 0.97, yanchor: "top", font: { size: 14 } },
      legend: { orientation: "h", x: 0, y: 1.0, yanchor: "bottom", xanchor: "left", bgcolor: "rgba(0,0,0,0)", font: { size: 11 }, itemwidth: 30 }, hovermode: "x unified",
      hoverlabel: { bgcolor: this.style("--st-secondary-background-color", "#eee"), font: { color: text } },
      xaxis: { title: { text: "epoch", standoff: 4 }, gridcolor: "rgba(0,0,0,0)", zeroline: false, linecolor: grid, rangemode: "tozero", tickformat: "~g", dtick: rows.length && rows.length <= 8 ? 1 : undefined },
      yaxis: { gridcolor: grid, zeroline: false, tickformat: isShare(name) ? ".0%" : "~g", automargin: true },
    };
  }

  drawPictures() {
    const pictures = this.pictures, frames = this.last.frames || [];
    this.sees.hidden = !pictures || !pictures.items.length;
    if (this.sees.hidden) return;
    const mark = JSON.stringify([pictures.epoch, this.filter, frames.length, this.chosenFrame, this.last.status.state]);
    if (mark === this.seen) return;
    this.seen = mark;
    if (!this.seesHead) this.buildPictures();
    this.seesTitle.textContent = ACTIVE.has(this.last.status.state) ? "What it sees now" : "What it saw";
    this.seesNote.textContent = [`after epoch ${pictures.epoch}`, pictures.caption, this.data.suffix].filter(Boolean).join(" · ");
    this.drawFilters(pictures);
    this.slider.parentElement.hidden = frames.length < 2;
    this.slider.max = frames.length - 1;
    const at = this.chosenFrame === null ? frames.length - 1 : frames.indexOf(this.chosenFrame);
    if (document.activeElement !== this.slider || this.chosenFrame === null) this.slider.value = at < 0 ? frames.length - 1 : at;
    const items = pictures.items.filter((item) => this.filter === "All" || item.tags.includes(this.filter));
    this.grid.dataset.wide = Boolean(pictures.wide);
    this.fillGrid(items);
    drawContrast(this.contrast, pictures);
  }

  buildPictures() {
    const summary = node("summary");
    this.seesTitle = node("h3");
    summary.append(this.seesTitle);
    this.seesHead = node("div", "rl-sees-head");
    this.seesNote = node("div", "rl-note");
    this.pills = node("div", "rl-pills");
    const label = node("label", "rl-epochs");
    this.slider = node("input");
    Object.assign(this.slider, { type: "range", min: 0, step: 1 });
    this.slider.setAttribute("aria-label", "Epoch shown");
    this.slider.addEventListener("input", () => {
      const frames = this.last.frames || [], i = Number(this.slider.value);
      this.chosenFrame = i >= frames.length - 1 && ACTIVE.has(this.last.status.state) ? null : frames[i];
      this.soon(60);
    });
    label.append(node("span", "", "Epoch"), this.slider);
    this.seesHead.append(this.seesNote, label, this.pills);
    this.grid = node("div", "rl-grid");
    this.contrast = node("div", "rl-contrast");
    this.sees.append(summary, this.seesHead, this.grid, this.contrast);
  }

  drawFilters(pictures) {
    this.pills.replaceChildren(...["All", ...pictures.filters].map((name) => {
      const count = name === "All" ? pictures.items.length : pictures.items.filter((item) => item.tags.includes(name)).length;
      const button = node("button", "", `${name} ${count}`);
      button.type = "button";
      button.setAttribute("aria-pressed", name === this.filter);
      button.onclick = () => { this.filter = name; this.drawPictures(); };
      return button;
    }));
  }

  fillGrid(items) {
    if (!items.length) return this.grid.replaceChildren(node("div", "rl-note", "None among these images."));
    const old = new Map([...this.grid.children].map((child) => [child.dataset.key, child]));
    this.grid.replaceChildren(...items.map((item) => {
      const key = item.images.join("|"), figure = old.get(key) || node("figure");
      if (!figure.firstChild) {
        figure.dataset.key = key;
        for (const source of item.images) { const image = node("img"); image.loading = "lazy"; image.alt = item.alt || ""; image.src = source; figure.append(image); }
        figure.append(node("figcaption"));
      }
      const caption = figure.querySelector("figcaption");
      caption.replaceChildren(node("b", "", item.label), node("span", "", item.value));
      figure.dataset.tone = item.tone || "";
      figure.title = item.title || "";
      return figure;
    }));
  }

  dispose() {
    this.dead = true;
    clearTimeout(this.timer);
    clearTimeout(this.forceTimer);
    this.sizes.disconnect();
    document.removeEventListener("visibilitychange", this.onVisible);
    for (const box of this.charts.children) this.plotly?.purge(box.firstChild);
  }
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".rl-live");
  let view = views.get(root);
  if (view && view.data.run !== data.run) { view.dispose(); view = undefined; }
  if (view) {
    view.send = setTriggerValue;
    view.update(data);
  } else {
    view = new LiveView(root, data, setTriggerValue);
    views.set(root, view);
  }
  return () => { if (!root.isConnected) { view.dispose(); views.delete(root); } };
}
