// Walk the latent space: a pad over the map of codes, a slider an axis, and the decoded picture.
// One request is under way at a time; while it is, only the latest wish is kept.

const STEP = 0.1;
const clamp = (value, limit) => Math.min(limit, Math.max(-limit, value));
const node = (tag, className, text) => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
};
const walks = new WeakMap();

class Walk {
  constructor(root, data) {
    Object.assign(this, { root, data, base: data.bases[0] ?? null, wanted: false, busy: false });
    this.at = this.base ? [...this.base.at] : data.shares.map(() => 0);
    this.build();
    this.draw();
    this.ask();
  }

  build() {
    const { data, root } = this;
    const board = node("div", "board"), side = node("div", "side"), sliders = node("div", "sliders"), bases = node("div", "bases");
    this.pad = node("canvas", "pad");
    this.pad.tabIndex = 0;
    this.pad.setAttribute("role", "application");
    this.pad.setAttribute("aria-label", "Map of codes along axes 1 and 2; arrow keys move");
    this.pad.hidden = !data.points.length;
    this.pad.onpointerdown = (event) => { this.pad.setPointerCapture(event.pointerId); this.dragging = true; this.point(event); };
    this.pad.onpointermove = (event) => { if (this.dragging) this.point(event); };
    this.pad.onpointerup = () => { this.dragging = false; };
    this.pad.onkeydown = (event) => {
      const step = { ArrowLeft: [0, -STEP], ArrowRight: [0, STEP], ArrowUp: [1, STEP], ArrowDown: [1, -STEP] }[event.key];
      if (!step) return;
      this.move(step[0], this.at[step[0]] + step[1]);
      event.preventDefault();
    };
    this.picture = node("img", "made");
    this.picture.alt = "decoded picture";
    this.told = node("div", "told");
    this.told.setAttribute("role", "status");
    side.append(this.picture, this.told);
    this.ranges = data.shares.map((share, axis) => {
      const label = node("label"), range = node("input"), value = node("output");
      Object.assign(range, { type: "range", min: -data.reach, max: data.reach, step: 0.05 });
      range.oninput = () => this.move(axis, Number(range.value));
      label.append(node("span", "", `Axis ${axis + 1} · ${(100 * share).toFixed(0)} %`), range, value);
      sliders.append(label);
      return { range, value };
    });
    const mean = node("button", "mean", "mean");
    mean.type = "button";
    mean.title = "Start from the mean of all codes";
    mean.onclick = () => this.start(null);
    bases.append(node("span", "", "Start from"), mean);
    this.starts = [[null, mean]];
    for (const base of data.bases) {
      const button = node("button"), image = node("img");
      button.type = "button";
      button.setAttribute("aria-label", `Start from ${base.alt}`);
      Object.assign(image, { src: base.url, alt: "", loading: "lazy" });
      button.append(image);
      button.onclick = () => this.start(base);
      bases.append(button);
      this.starts.push([base, button]);
    }
    board.append(this.pad, side, sliders);
    const legend = node("div", "legend");
    data.classes.forEach((name, label) => {
      const entry = node("span"), dot = node("i");
      dot.style.background = data.colours[label];
      entry.append(dot, document.createTextNode(name));
      legend.append(entry);
    });
    legend.hidden = this.pad.hidden;
    root.replaceChildren(bases, board, legend);
    this.sizes = new ResizeObserver(() => this.draw());
    this.sizes.observe(this.pad);
  }

  start(base) {
    this.base = base;
    this.at = base ? [...base.at] : this.data.shares.map(() => 0);
    this.changed();
  }

  move(axis, value) {
    this.at[axis] = clamp(value, this.data.reach);
    this.changed();
  }

  point(event) {
    const box = this.pad.getBoundingClientRect(), reach = this.data.reach;
    this.at[0] = clamp(((event.clientX - box.left) / box.width * 2 - 1) * reach, reach);
    this.at[1] = clamp((1 - (event.clientY - box.top) / box.height * 2) * reach, reach);
    this.changed();
  }

  changed() { this.draw(); this.ask(); }

  async ask() {
    if (this.busy) { this.wanted = true; return; }
    this.busy = true;
    this.wanted = false;
    try {
      const query = new URLSearchParams({ at: this.at.map((v) => v.toFixed(3)).join(",") });
      if (this.base) query.set("base", this.base.index);
      const response = await fetch(`${this.data.url}?${query}`, { credentials: "same-origin" });
      if (!response.ok) throw new Error((await response.json().catch(() => ({}))).error || `the server answered ${response.status}`);
      const far = Number(response.headers.get("X-Strangeness"));
      const url = URL.createObjectURL(await response.blob());
      const old = this.picture.src;
      this.picture.src = url;
      if (old.startsWith("blob:")) URL.revokeObjectURL(old);
      const empty = far > this.data.strange;
      this.told.textContent = `${empty ? "No data here: " : ""}${far.toFixed(1)}× the usual distance to the nearest image`;
      this.told.dataset.empty = empty;
    } catch (error) {
      this.told.textContent = `No picture: ${error.message}`;
      this.told.dataset.empty = true;
    } finally {
      this.busy = false;
    }
    this.root.dataset.asked = Number(this.root.dataset.asked || 0) + 1;
    if (this.wanted && this.root.isConnected) this.ask();
  }

  colour(name, fallback) { return getComputedStyle(this.root).getPropertyValue(name).trim() || fallback; }

  draw() {
    this.ranges.forEach(({ range, value }, axis) => {
      if (document.activeElement !== range || Number(range.value) !== this.at[axis]) range.value = this.at[axis];
      value.textContent = this.at[axis].toFixed(1);
    });
    for (const [base, button] of this.starts) button.setAttribute("aria-pressed", base === this.base);
    if (this.pad.hidden) return;
    const { data } = this, side = this.pad.clientWidth, dense = window.devicePixelRatio || 1;
    if (!side) return;
    this.pad.width = this.pad.height = side * dense;
    const pen = this.pad.getContext("2d"), text = this.colour("--st-text-color", "#333");
    pen.scale(dense, dense);
    const x = (v) => (v / data.reach + 1) / 2 * side, y = (v) => (1 - v / data.reach) / 2 * side, cell = side / data.grid;
    pen.strokeStyle = text;
    pen.globalAlpha = 0.16;
    pen.lineWidth = 1;
    pen.beginPath();
    for (let i = 0; i < data.empty.length; i += 1) if (data.empty[i] === "1") { // hatched: no image near
      const left = (i % data.grid) * cell, top = side - (Math.floor(i / data.grid) + 1) * cell;
      pen.moveTo(left, top + cell);
      pen.lineTo(left + cell, top);
    }
    pen.stroke();
    pen.globalAlpha = 0.75;
    data.points.forEach(([a, b], i) => {
      const label = data.labels[i];
      pen.fillStyle = label >= 0 && label < data.colours.length ? data.colours[label] : "#8B8D98";
      pen.beginPath();
      pen.arc(x(a), y(b), 2, 0, 7);
      pen.fill();
    });
    pen.globalAlpha = 1;
    pen.strokeStyle = text;
    pen.lineWidth = 2;
    pen.beginPath();
    pen.arc(x(this.at[0]), y(this.at[1]), 8, 0, 7);
    pen.moveTo(x(this.at[0]) - 13, y(this.at[1]));
    pen.lineTo(x(this.at[0]) + 13, y(this.at[1]));
    pen.moveTo(x(this.at[0]), y(this.at[1]) - 13);
    pen.lineTo(x(this.at[0]), y(this.at[1]) + 13);
    pen.stroke();
  }
}

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".walk");
  const known = walks.get(root);
  if (known && known.data.url === data.url) known.draw();
  else walks.set(root, new Walk(root, data));
}
