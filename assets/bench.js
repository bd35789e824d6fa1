// The loss bench: points on a circle or pictures of a run, what a contrastive loss compares, who pulls and pushes.
// Every number comes from the server; this file only draws. One request is under way at a time, and while it
// is, only the latest wish is kept.

const SVG = "http://www.w3.org/2000/svg";
const OUTER = 132, LINE = 118, INNER = 104, QUEUE = 74; // radii: view 1, the circle, view 2, keys
const TURN = Math.PI / 90; // two degrees a key press
const BARS_HIGH = 200;
const node = (tag, className, text) => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
};
const shape = (tag, attributes = {}, className) => {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (className) element.setAttribute("class", className);
  return element;
};
const button = (className, text, action) => {
  const element = node("button", className, text);
  element.type = "button";
  element.onclick = action;
  return element;
};
const wrapped = (angle) => Math.atan2(Math.sin(angle), Math.cos(angle));
const degrees = (angle) => Math.round(((angle * 180) / Math.PI + 360) % 360);
const loss = (value) => (value >= 0.01 ? value.toFixed(3) : value >= 0.0001 ? value.toPrecision(2) : "< 0.0001");
const signed = (value, digits) => (value ? value.toFixed(digits).replace("-", "−") : "0");
const chance = (value) => (value >= 0.01 ? value.toFixed(2) : value > 0 ? value.toPrecision(1) : "below 0.00001");
const benches = new WeakMap();

class Bench {
  constructor(root, data) {
    Object.assign(this, {
      root, data, run: "", loss: "nt_xent", preset: data.presets[0], seed: data.seed, temperature: 0.5, pairs: 8, keys: 16,
      angles: [], queue: [], pictures: [], found: null, anchor: 0, cell: null, bar: null,
      fresh: true, freshQueue: true, wanted: false, busy: false,
    });
    this.build();
    this.ask();
  }

  // what is on the screen is the last answer, not the last wish
  get queued() { return this.found.loss === "info_nce"; }

  // building

  build() {
    const board = node("div", "board"), under = node("div", "under");
    this.stage = node("div", "stage");
    this.maps = node("div", "maps");
    this.tip = node("p", "tip");
    this.tip.setAttribute("role", "status");
    const right = node("div", "right");
    right.append(this.maps, this.tip);
    board.append(this.stage, right);
    this.heats = [
      this.heat("Similarity", "similarities", ["−1", "0", "1"]),
      this.heat("Softmax weight", "probabilities", ["0", "¼", "1"]),
    ];
    under.append(this.buildBars(), this.buildGauge());
    this.problem = node("p", "problem");
    this.problem.setAttribute("role", "alert");
    this.root.replaceChildren(this.buildControls(), this.problem, board, under);
    this.sizes = new ResizeObserver(() => this.draw());
    this.sizes.observe(this.root);
  }

  buildControls() {
    const controls = node("div", "controls"), first = node("div", "line"), line = node("div", "line"), second = node("div", "sliders");
    this.source = node("select");
    this.source.setAttribute("aria-label", "Points of");
    this.source.onchange = () => { this.run = this.source.value; this.anchor = 0; this.again(); };
    this.fillSource();
    const kinds = node("div", "pills");
    kinds.setAttribute("role", "group");
    kinds.setAttribute("aria-label", "Loss");
    this.kinds = this.data.losses.map(([name, title]) => {
      const pill = button("", title, () => { this.loss = name; this.anchor = 0; this.again(Boolean(this.run)); });
      kinds.append(pill);
      return [name, pill];
    });
    const presets = node("div", "pills plain");
    presets.setAttribute("role", "group");
    presets.setAttribute("aria-label", "Presets");
    this.presets = this.data.presets.map((name) => {
      const pill = button("", name, () => { this.preset = name; this.again(); });
      presets.append(pill);
      return [name, pill];
    });
    this.presetLine = presets;
    const dice = button("dice", "", () => {
      this.seed += 1;
      this.preset = this.data.presets[0];
      this.again();
    });
    const die = shape("svg", { viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true" });
    die.append(shape("rect", { x: 1, y: 1, width: 14, height: 14, rx: 3, fill: "none", stroke: "currentColor", "stroke-width": 1.4 }));
    for (const [x, y] of [[5, 5], [11, 5], [8, 8], [5, 11], [11, 11]]) die.append(shape("circle", { cx: x, cy: y, r: 1.3, fill: "currentColor" }));
    this.diceWord = node("span", "", "New points");
    dice.append(die, this.diceWord);
    first.append(this.source, kinds);
    line.append(presets, dice);
    const { coldest, hottest, fewest, most, mostKeys } = this.data;
    this.heatSlider = this.slider(second, "Temperature", 0, 1, 0.0025, (share) => {
      this.warm(coldest * (hottest / coldest) ** share);
    });
    const halve = button("step", "÷ 2", () => this.warm(this.temperature / 2));
    const double = button("step", "× 2", () => this.warm(this.temperature * 2));
    halve.setAttribute("aria-label", "Halve the temperature");
    double.setAttribute("aria-label", "Double the temperature");
    this.heatSlider.label.append(halve, double);
    this.heatSlider.label.classList.add("wide");
    this.pairSlider = this.slider(second, "Pairs", fewest, most, 1, (value) => { this.pairs = value; this.again(); });
    this.keySlider = this.slider(second, "Keys in the queue", 1, mostKeys, 1, (value) => { this.keys = value; this.again(Boolean(this.run)); });
    controls.append(first, line, second);
    return controls;
  }

  fillSource() {
    const points = node("option", "", "Points on a circle");
    points.value = "";
    this.source.replaceChildren(points, ...this.data.runs.map(([id, name]) => {
      const option = node("option", "", name);
      option.value = id;
      return option;
    }));
    this.source.hidden = !this.data.runs.length;
    if (this.run && !this.data.runs.some(([id]) => id === this.run)) { this.run = ""; this.fresh = true; }
    this.source.value = this.run;
  }

  slider(parent, title, min, max, step, action) {
    const label = node("div", "slide"), range = node("input"), value = node("output");
    Object.assign(range, { type: "range", min, max, step });
    range.setAttribute("aria-label", title);
    range.oninput = () => action(Number(range.value));
    label.append(node("span", "", title), value, range);
    parent.append(label);
    return { label, range, value };
  }

  heat(title, name, ends) {
    const figure = node("figure", name), canvas = node("canvas"), legend = node("div", "ramp");
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-label", `${title}: a row an anchor, a column a candidate. Arrow keys move, Enter chooses the row.`);
    const place = (event) => {
      const box = canvas.getBoundingClientRect(), { cell, margin, rows, columns } = heat.grid ?? {};
      if (!cell) return null;
      const i = Math.floor((event.clientY - box.top - margin) / cell), j = Math.floor((event.clientX - box.left - margin) / cell);
      return i >= 0 && i < rows && j >= 0 && j < columns ? [i, j] : null;
    };
    canvas.onpointermove = (event) => this.point(place(event));
    canvas.onpointerleave = () => this.point(null);
    canvas.onclick = (event) => { const at = place(event); if (at) { this.choose(at[0]); this.point(at); } };
    canvas.onkeydown = (event) => {
      const { rows, columns } = heat.grid ?? {}, step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
      if (!rows) return;
      const [i, j] = this.cell ?? [this.anchor, 0];
      if (step) this.point([(i + step[0] + rows) % rows, (j + step[1] + columns) % columns]);
      else if (event.key === "Enter" || event.key === " ") this.choose(i);
      else return;
      event.preventDefault();
    };
    canvas.onblur = () => this.point(null);
    legend.append(...ends.map((end) => node("span", "", end)));
    figure.append(node("figcaption", "", title), canvas, legend);
    this.maps.append(figure);
    const heat = { name, figure, canvas, grid: null };
    return heat;
  }

  buildBars() {
    const part = node("section", "bars");
    this.barTitle = node("h4");
    this.barChart = shape("svg", { height: BARS_HIGH, tabindex: 0, role: "application" });
    this.barTip = node("p", "tip");
    this.barTip.setAttribute("role", "status");
    this.barChart.onkeydown = (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key], count = this.order?.length;
      if (!step || !count) return;
      this.showBar(((this.bar ?? (step > 0 ? -1 : 0)) + step + count) % count);
      event.preventDefault();
    };
    this.barChart.onblur = this.barChart.onpointerleave = () => this.showBar(null);
    this.barChart.onpointermove = (event) => {
      const at = event.target.closest?.("[data-bar]");
      this.showBar(at ? Number(at.dataset.bar) : null);
    };
    part.append(this.barTitle, this.barChart, this.barTip);
    return part;
  }

  buildGauge() {
    const part = node("section", "gauge");
    this.lossValue = node("b", "loss");
    this.track = node("div", "track");
    this.fill = node("i", "fill");
    this.marks = { floor: node("i", "mark floor"), best: node("i", "mark best"), chance: node("i", "mark chance") };
    this.track.append(this.fill, ...Object.values(this.marks));
    this.track.setAttribute("role", "img");
    const head = node("h4", "", "Loss");
    this.facts = node("dl");
    part.append(head, this.lossValue, this.track, this.facts);
    return part;
  }

  // what a person does

  // other points, or another queue only
  again(points = true) {
    if (points) { this.fresh = true; this.preset ??= this.data.presets[0]; }
    this.freshQueue = true;
    this.cell = this.bar = null;
    this.controls();
    this.ask();
  }

  warm(value) {
    this.temperature = Math.min(this.data.hottest, Math.max(this.data.coldest, Number(value.toPrecision(2))));
    this.controls();
    this.ask();
  }

  choose(row) {
    if (!this.found || row === this.anchor) return;
    this.anchor = row;
    this.bar = null;
    this.draw();
  }

  point(cell) { this.cell = cell; this.drawMaps(); this.say(); }

  showBar(at) {
    this.bar = at;
    for (const group of this.barChart.querySelectorAll("[data-bar]")) group.classList.toggle("on", Number(group.dataset.bar) === at);
    this.sayBar();
  }

  turn(list, place, angle) {
    this[list][place] = wrapped(angle);
    this.preset = null;
    this.controls();
    this.drawStage();
    this.ask();
  }

  // asking

  question() {
    const query = new URLSearchParams({ temperature: this.temperature, loss: this.loss, seed: this.seed });
    const list = (angles) => angles.map((angle) => angle.toFixed(4)).join(",");
    if (this.run) {
      query.set("n", this.pairs);
      if (this.fresh) query.set("pictures", 1);
    } else {
      query.set("preset", this.preset ?? this.data.presets[0]);
      if (this.fresh) query.set("pairs", this.pairs);
      else query.set("angles", list(this.angles));
    }
    if (this.loss === "info_nce") {
      if (this.run || this.freshQueue) query.set("keys", this.keys);
      else query.set("queue", list(this.queue));
    }
    return `${this.run ? `${this.data.runUrl}${encodeURIComponent(this.run)}/bench` : this.data.url}?${query}`;
  }

  async ask() {
    if (this.busy) { this.wanted = true; return; }
    this.busy = true;
    this.wanted = false;
    const { fresh, freshQueue, run, loss: kind } = this, address = this.question(), started = performance.now();
    this.fresh = this.freshQueue = false;
    try {
      const response = await fetch(address, { credentials: "same-origin" });
      const found = await response.json().catch(() => ({}));
      if (!response.ok) throw new Error(found.error || `The server answered ${response.status}.`);
      if (run === this.run && kind === this.loss) this.take({ ...found, run, loss: kind }, fresh, freshQueue);
      this.problem.textContent = "";
    } catch (error) {
      this.fresh ||= fresh; // the next wish asks for everything once more
      this.freshQueue ||= freshQueue;
      this.problem.textContent = error.message;
    } finally {
      this.busy = false;
    }
    this.root.dataset.took = Math.round(performance.now() - started);
    this.root.dataset.asked = Number(this.root.dataset.asked || 0) + 1;
    if (this.wanted && this.root.isConnected) this.ask();
  }

  take(found, fresh, freshQueue) {
    this.found = found;
    if (fresh) {
      this.angles = found.angles ?? [];
      this.pictures = found.pictures ?? [];
    }
    if (fresh || freshQueue) {
      this.queue = found.queue ?? [];
      this.stageStale = true;
    }
    if (this.anchor >= found.losses.length) this.anchor = 0;
    this.draw();
  }

  // words

  row(i) { const n = this.found.pairs; return `view ${i < n ? 1 : 2} of image ${(i % n) + 1}`; }

  column(i, j) {
    if (!this.queued) return this.row(j);
    return j ? `key ${j} of the queue` : `view 2 of image ${i + 1}`;
  }

  itself(i, j) { return !this.queued && i === j; }

  say() {
    const { found, cell } = this;
    if (!found || !cell || cell[0] >= found.similarities.length || cell[1] >= found.similarities[0].length) {
      this.tip.textContent = "Point at a cell to read it; click a row to make it the anchor.";
      return;
    }
    const [i, j] = cell, similarity = signed(found.similarities[i][j], 2);
    if (this.itself(i, j)) { this.tip.textContent = `${this.row(i)} × itself: left out of the softmax`; return; }
    const good = j === found.positive[i] ? " (the positive)" : "";
    this.tip.textContent = `${this.row(i)} × ${this.column(i, j)}${good}: ${similarity}, probability ${chance(found.probabilities[i][j])}`;
  }

  sayBar() {
    const { found, bar } = this;
    const j = bar === null || !this.order ? undefined : this.order[bar];
    if (!found || j === undefined) {
      this.barTip.textContent = "Up: pushed away, hardest first. Down: the positive, pulled as much as all others are pushed together.";
      return;
    }
    const i = this.anchor, value = found.gradient[i][j], what = this.column(i, j), similarity = signed(found.similarities[i][j], 2);
    const share = (100 * found.shares[i][j]).toFixed(found.shares[i][j] < 0.1 ? 1 : 0);
    this.barTip.textContent = j === found.positive[i]
      ? `${what}, the positive: similarity ${similarity}, gradient ${signed(value, 3)}`
      : `${what}: similarity ${similarity}, gradient ${signed(value, 3)}, ${share} % of the push`;
  }

  // drawing

  draw() {
    this.controls();
    if (!this.found) return;
    this.drawStage();
    this.drawMaps();
    this.drawBars();
    this.drawGauge();
    this.say();
    this.sayBar();
  }

  controls() {
    const { coldest, hottest } = this.data;
    for (const [name, pill] of this.kinds) pill.setAttribute("aria-pressed", name === this.loss);
    for (const [name, pill] of this.presets) pill.setAttribute("aria-pressed", name === this.preset);
    this.presetLine.hidden = Boolean(this.run);
    this.diceWord.textContent = this.run ? "New images" : "New points";
    this.keySlider.label.hidden = this.loss !== "info_nce";
    const set = ({ range, value }, number, text) => {
      if (Number(range.value) !== number) range.value = number;
      range.setAttribute("aria-valuetext", text);
      value.textContent = text;
    };
    const share = Math.log(this.temperature / coldest) / Math.log(hottest / coldest), { range } = this.heatSlider;
    const near = Math.abs(Number(range.value) - share) < 0.01; // rounding the value does not move the thumb
    set(this.heatSlider, near ? Number(range.value) : share, String(this.temperature));
    set(this.pairSlider, this.pairs, String(this.pairs));
    set(this.keySlider, this.keys, String(this.keys));
  }

  css(name, fallback) { return getComputedStyle(this.root).getPropertyValue(name).trim() || fallback; }

  colour(image) { return `oklch(0.6 0.15 ${Math.round((360 * image) / this.found.pairs + 20)})`; }

  drawStage() {
    if (this.stageStale) {
      this.stageStale = false;
      if (this.found.run) this.buildPictures();
      else this.buildCircle();
    }
    if (this.found.run) for (const [row, cell] of this.frames) cell.setAttribute("aria-pressed", row === this.anchor);
    else this.moveCircle();
  }

  buildCircle() {
    const svg = shape("svg", { viewBox: "-160 -160 320 320" }, "circle"), { pairs } = this.found;
    svg.setAttribute("role", "group");
    svg.setAttribute("aria-label", "Points on the circle; arrow keys turn a point by two degrees");
    svg.append(shape("circle", { r: LINE }, "ring"));
    this.pushes = shape("g");
    this.links = Array.from({ length: pairs }, (_, image) => shape("line", { stroke: this.colour(image) }, "link"));
    svg.append(this.pushes, ...this.links);
    this.keyMarks = this.queue.map((_, k) => this.mark("queue", k, `key ${k + 1} of the queue`));
    this.marks2 = this.angles.map((_, row) => this.mark("angles", row, this.row(row)));
    svg.append(...this.keyMarks, ...this.marks2);
    this.stage.replaceChildren(svg, this.legend());
  }

  legend() {
    const legend = node("div", "legend"), entries = [["full", "view 1"], ["hollow", "view 2"]];
    if (this.queue.length) entries.push(["key", "key of the queue"]);
    entries.push(["push", "push on the anchor"]);
    for (const [className, text] of entries) {
      const entry = node("span", "", text);
      entry.prepend(node("i", className));
      legend.append(entry);
    }
    legend.append(node("em", "", "Only the angle counts. Drag a point, or focus it and use the arrow keys."));
    return legend;
  }

  mark(list, place, name) {
    const key = list === "queue", { pairs } = this.found, group = shape("g", { tabindex: 0, role: "slider", "aria-label": name, "aria-valuemin": 0, "aria-valuemax": 360 }, "point");
    group.append(shape("circle", { r: 17 }, "reach"));
    if (key) {
      group.append(shape("rect", { x: -5.5, y: -5.5, width: 11, height: 11, transform: "rotate(45)" }, "key"));
    } else {
      const colour = this.colour(place % pairs), hollow = place >= pairs;
      group.append(shape("circle", { r: 15 }, "halo"), shape("circle", { r: 10.5, stroke: colour, ...(hollow ? {} : { fill: colour }) }, hollow ? "dot hollow" : "dot"));
      const text = shape("text", { dy: "0.35em" }, hollow ? "hollow" : "");
      text.textContent = (place % pairs) + 1;
      group.append(text);
    }
    const choose = () => { if (!key) this.choose(this.queued ? place % pairs : place); };
    const at = (event) => {
      const box = this.stage.querySelector("svg").getBoundingClientRect();
      return Math.atan2(box.top + box.height / 2 - event.clientY, event.clientX - box.left - box.width / 2);
    };
    let held = null; // the angle between the pointer and the point it holds
    group.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false });
    group.onpointerdown = (event) => {
      group.setPointerCapture(event.pointerId);
      group.focus({ preventScroll: true });
      held = this[list][place] - at(event);
      choose();
    };
    group.onpointermove = (event) => { if (held !== null) this.turn(list, place, at(event) + held); };
    group.onpointerup = group.onpointercancel = () => { held = null; };
    group.onfocus = choose;
    group.onkeydown = (event) => {
      const step = { ArrowLeft: -TURN, ArrowDown: -TURN, ArrowRight: TURN, ArrowUp: TURN }[event.key];
      if (!step) return;
      this.turn(list, place, this[list][place] + step);
      event.preventDefault();
    };
    return group;
  }

  moveCircle() {
    const { found } = this, { pairs } = found;
    const at = (angle, radius) => [Math.cos(angle) * radius, -Math.sin(angle) * radius];
    const put = (group, angle, radius) => {
      const [x, y] = at(angle, radius);
      group.setAttribute("transform", `translate(${x.toFixed(2)} ${y.toFixed(2)})`);
      group.setAttribute("aria-valuenow", degrees(angle));
      group.setAttribute("aria-valuetext", `${degrees(angle)} degrees`);
    };
    const radius = (row) => (row < pairs ? OUTER : INNER);
    this.marks2.forEach((group, row) => {
      put(group, this.angles[row], radius(row));
      group.classList.toggle("anchor", row === this.anchor);
    });
    this.keyMarks.forEach((group, k) => put(group, this.queue[k], QUEUE));
    const join = (line, [x1, y1], [x2, y2]) => Object.entries({ x1, y1, x2, y2 }).forEach(([name, value]) => line.setAttribute(name, value.toFixed(2)));
    this.links.forEach((line, image) => join(line, at(this.angles[image], OUTER), at(this.angles[image + pairs], INNER)));
    const shares = found.shares[this.anchor] ?? [], start = at(this.angles[this.anchor], radius(this.anchor));
    this.pushes.replaceChildren(...shares.flatMap((share, j) => {
      if (share < 0.005) return [];
      const end = this.queued ? at(this.queue[j - 1] ?? 0, QUEUE) : at(this.angles[j] ?? 0, radius(j));
      const line = shape("line", { "stroke-width": (1 + 7 * share).toFixed(2), "stroke-opacity": (0.1 + 0.75 * share).toFixed(3) }, "push");
      join(line, start, end);
      return [line];
    }));
  }

  buildPictures() {
    const { pairs, index } = this.found, grid = node("div", "pairs"), { pictures } = this;
    this.frames = [];
    const picture = (url, name, row) => {
      const cell = button("", "", () => this.choose(this.queued ? row % pairs : row)), image = node("img");
      Object.assign(image, { src: url, alt: "" });
      cell.setAttribute("aria-label", name);
      cell.append(image);
      return cell;
    };
    for (let image = 0; image < pairs; image += 1) {
      const card = node("div", "pair"), name = node("span", "", `${image + 1}`);
      card.style.setProperty("--pair", this.colour(image));
      card.title = `image ${image + 1}: number ${index[image]} of the data set`;
      card.append(name);
      for (const row of [image, image + pairs]) {
        const cell = picture(pictures[row], this.row(row), row);
        this.frames.push([row, cell]);
        card.append(cell);
      }
      grid.append(card);
    }
    const parts = [grid], keys = pictures.slice(2 * pairs);
    if (keys.length) {
      const line = node("div", "keys");
      keys.forEach((url, k) => {
        const image = node("img");
        Object.assign(image, { src: url, alt: `key ${k + 1} of the queue`, title: `key ${k + 1} of the queue` });
        line.append(image);
      });
      parts.push(node("p", "small", "Queue"), line);
    }
    parts.push(node("p", "small", "Two views of each image, as this run draws them. Click one to make it the anchor."));
    this.stage.replaceChildren(...parts);
  }

  drawMaps() { if (this.found) for (const heat of this.heats) this.drawHeat(heat); }

  drawHeat(heat) {
    const { found, anchor } = this, table = found[heat.name], rows = table.length, columns = table[0].length, margin = 15;
    const width = heat.figure.clientWidth, dense = window.devicePixelRatio || 1;
    if (!width) return;
    const cell = Math.min((width - margin - 1) / Math.max(rows, columns), 44);
    heat.grid = { cell, margin, rows, columns };
    const wide = margin + cell * columns + 1, high = margin + cell * rows + 1, { canvas } = heat;
    Object.assign(canvas.style, { width: `${wide}px`, height: `${high}px` });
    canvas.width = Math.round(wide * dense);
    canvas.height = Math.round(high * dense);
    const pen = canvas.getContext("2d"), text = this.css("--st-text-color", "#333");
    const plus = this.css("--st-primary-color", "#5B5BD6"), minus = "#F0871F", x = (j) => margin + j * cell;
    pen.setTransform(dense, 0, 0, dense, 0, 0);
    pen.globalAlpha = 0.05;
    pen.fillStyle = text;
    pen.fillRect(margin, margin, cell * columns, cell * rows);
    const gap = cell > 8 ? 1 : 0.4;
    table.forEach((line, i) => line.forEach((value, j) => {
      if (this.itself(i, j)) {
        pen.globalAlpha = 0.35;
        pen.strokeStyle = text;
        pen.lineWidth = 1;
        pen.beginPath();
        pen.moveTo(x(j) + gap, x(i) + cell - gap);
        pen.lineTo(x(j) + cell - gap, x(i) + gap);
        pen.stroke();
        return;
      }
      pen.globalAlpha = heat.name === "similarities" ? Math.min(1, Math.abs(value)) : Math.sqrt(value);
      pen.fillStyle = value < 0 ? minus : plus;
      pen.fillRect(x(j), x(i), cell - gap, cell - gap);
    }));
    const frame = (i, j, across, colour, thick) => {
      pen.strokeStyle = colour;
      pen.lineWidth = thick;
      pen.strokeRect(x(j) + thick / 2 - 0.5, x(i) + thick / 2 - 0.5, cell * across - thick + 0.5, cell - thick + 0.5);
    };
    pen.globalAlpha = 1;
    found.positive.forEach((j, i) => frame(i, j, 1, text, cell > 12 ? 2 : 1.4));
    frame(anchor, 0, columns, this.css("--st-red-color", "#E5484D"), 2);
    if (this.cell && this.cell[0] < rows && this.cell[1] < columns) frame(this.cell[0], this.cell[1], 1, text, 3);
    const { pairs } = found, tick = (left, top, image, hollow) => {
      if (image < 0) { pen.fillStyle = text; pen.globalAlpha = 0.45; } else { pen.fillStyle = pen.strokeStyle = this.colour(image); pen.globalAlpha = 1; }
      const side = Math.min(9, cell - 2);
      pen.lineWidth = 1.6;
      if (hollow) pen.strokeRect(left - side / 2 + 0.8, top - side / 2 + 0.8, side - 1.6, side - 1.6);
      else pen.fillRect(left - side / 2, top - side / 2, side, side);
    };
    for (let i = 0; i < rows; i += 1) tick(6, x(i) + cell / 2, i % pairs, i >= pairs);
    for (let j = 0; j < columns; j += 1) {
      if (!this.queued) tick(x(j) + cell / 2, 6, j % pairs, j >= pairs);
      else if (j) tick(x(j) + cell / 2, 6, -1, false);
    }
    pen.globalAlpha = 1;
    if (this.queued) {
      pen.fillStyle = text;
      pen.font = "bold 11px sans-serif";
      pen.textAlign = "center";
      pen.fillText("+", x(0) + cell / 2, 10);
    }
  }

  drawBars() {
    const { found, anchor } = this, values = found.gradient[anchor], { pairs } = found, good = found.positive[anchor];
    this.barTitle.textContent = `Gradient for ${this.row(anchor)}`;
    const others = values.map((_, j) => j).filter((j) => j !== good && !this.itself(anchor, j));
    others.sort((a, b) => found.similarities[anchor][b] - found.similarities[anchor][a]);
    this.order = [good, ...others];
    const width = this.barChart.parentNode.clientWidth, left = 46, foot = 18;
    if (!width) return;
    this.barChart.setAttribute("width", width);
    this.barChart.setAttribute("viewBox", `0 0 ${width} ${BARS_HIGH}`);
    this.barChart.setAttribute("aria-label", `${this.barTitle.textContent}: the positive, then negatives from hardest to easiest. Left and right arrow keys read the bars.`);
    const most = Math.max(...others.map((j) => values[j]), 0), least = values[good], span = most - least || 1;
    const y = (value) => 8 + ((most - value) / span) * (BARS_HIGH - foot - 16), step = (width - left) / this.order.length;
    const parts = [shape("line", { x1: left, x2: width, y1: y(0), y2: y(0) }, "zero")];
    const label = (value, at) => {
      const text = shape("text", { x: left - 6, y: at, dy: "0.35em" }, "axis");
      text.textContent = signed(value, Math.abs(value) < 0.1 ? 3 : 2);
      return text;
    };
    if (y(0) - y(most) > 12) parts.push(label(most, y(most) + 3));
    parts.push(label(0, y(0)));
    if (y(least) - y(0) > 12) parts.push(label(least, y(least) - 3));
    this.order.forEach((j, place) => {
      const x = left + place * step, value = values[j], wide = Math.min(step * 0.76, 34), top = Math.min(y(value), y(0));
      const group = shape("g", { "data-bar": place }, place === this.bar ? "on" : ""), middle = x + step / 2;
      group.append(shape("rect", { x, y: 0, width: step, height: BARS_HIGH }, "reach"));
      group.append(shape("rect", { x: middle - wide / 2, y: top, width: wide, height: Math.max(0.8, Math.abs(y(value) - y(0))), rx: Math.min(3, wide / 4) }, j === good ? "pull" : "push"));
      const key = this.queued && j !== good, image = this.queued ? anchor : j % pairs, side = Math.min(9, step - 2), second = j >= pairs || (this.queued && j === good);
      const tick = { x: middle - side / 2, y: BARS_HIGH - foot + 4, width: side, height: side };
      group.append(key ? shape("rect", tick, "key") : shape("rect", second ? { ...tick, stroke: this.colour(image), fill: "none", "stroke-width": 1.6 } : { ...tick, fill: this.colour(image) }));
      parts.push(group);
    });
    this.barChart.replaceChildren(...parts);
  }

  drawGauge() {
    const { found } = this, { mean, floor, best } = found, most = Math.max(mean, found.chance) * 1.12;
    const share = (value) => `${(100 * value) / most}%`;
    this.lossValue.textContent = loss(mean);
    this.fill.style.width = share(mean);
    this.marks.chance.style.left = share(found.chance);
    this.marks.floor.style.left = share(floor);
    this.marks.best.hidden = best === null;
    if (best !== null) this.marks.best.style.left = share(best);
    const candidates = found.similarities[0].length - (this.queued ? 0 : 1);
    const facts = [
      ["chance", `Chance, log ${candidates}`, loss(found.chance), "What it costs if all candidates look alike"],
      ...(best === null ? [] : [["best", "Best on a circle", loss(best), "Pairs together, images evenly spread"]]),
      ["floor", "Floor", loss(floor), this.queued ? "Keys opposite to every query" : "Pairs together at the corners of a simplex, which needs as many dimensions as images, less one"],
      ["none", "This anchor alone", loss(found.losses[this.anchor]), "The loss is the mean over all anchors"],
      ["none", "Spread, 0 if collapsed", found.spread.toFixed(2), "0: all vectors point the same way, which costs as much as chance; 1: in all directions alike"],
    ];
    this.facts.replaceChildren(...facts.flatMap(([key, name, value, help]) => {
      const term = node("dt", key, name), number = node("dd", "", value);
      term.title = number.title = help;
      return [term, number];
    }));
    this.track.setAttribute("aria-label", `loss ${loss(mean)}, chance ${loss(found.chance)}, floor ${loss(floor)}`);
  }
}

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".bench"), known = benches.get(root);
  if (!known) { benches.set(root, new Bench(root, data)); return; }
  if (JSON.stringify(known.data.runs) !== JSON.stringify(data.runs)) {
    const before = known.run;
    known.data = data;
    known.fillSource();
    if (known.run !== before) known.ask();
  }
  known.draw();
}
