// Pointing at a latent map: hover, click, lasso, box, moving and zooming, by mouse, finger or keyboard.

const REACH = 11; // px from a point that still count as pointing at it
const STILL = 5; // px; less is a click
const DWELL = 125; // ms before a picture is shown

const inPolygon = (path, x, y) => { // even-odd rule
  let found = false;
  for (let i = 0, j = path.length - 1; i < path.length; j = i++) {
    const [ax, ay] = path[i], [bx, by] = path[j];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) found = !found;
  }
  return found;
};

const boundsOf = (path) => {
  const bounds = [Infinity, Infinity, -Infinity, -Infinity];
  for (const [x, y] of path) {
    bounds[0] = Math.min(bounds[0], x); bounds[1] = Math.min(bounds[1], y);
    bounds[2] = Math.max(bounds[2], x); bounds[3] = Math.max(bounds[3], y);
  }
  return bounds;
};

class Brush {
  constructor(map) {
    Object.assign(this, { map, path: null, panel: null, start: null });
  }

  get mode() { return this.map.keep.mode; }

  bind(box, panelOf) { // the place of a panel, which may hold another plot later
    const flat = () => { const panel = panelOf(); return panel?.dim === 2 && panel.rect ? panel : null; };
    box.onpointerdown = (event) => flat() && this.down(event, box, flat());
    box.onpointermove = (event) => flat() && this.move(event, flat());
    box.onpointerup = (event) => flat() && this.up(event, flat());
    box.onpointercancel = () => this.stop();
    box.onpointerleave = (event) => { if (!this.start && event.pointerType !== "touch") this.map.look(null); }; // a finger leaves at once
    box.ondblclick = () => { const panel = flat(); if (panel) { panel.home(); this.map.plots.look(panel); } };
    box.addEventListener("wheel", (event) => flat() && this.wheel(event, flat()), { passive: false });
    box.onkeydown = (event) => flat() && this.key(event, flat());
  }

  nearest(panel, [x, y]) { // the row of the visible point there, or null
    let found = null, least = REACH * REACH;
    for (const row of panel.rows || []) {
      const [px, py] = panel.pixelOf(row), distance = (px - x) ** 2 + (py - y) ** 2;
      if (distance <= least) { least = distance; found = row; }
    }
    return found;
  }

  down(event, box, panel) {
    if (event.button !== 0) return;
    const at = this.map.local(event);
    this.start = { at, last: at };
    Object.assign(this, { panel, path: null });
    this.map.look(null);
    if (this.mode) box.setPointerCapture(event.pointerId);
  }

  move(event, panel) {
    const at = this.map.local(event);
    if (!this.start) return event.pointerType === "touch" ? undefined : this.hover(panel, at);
    if (!this.mode || (!this.path && Math.hypot(at[0] - this.start.at[0], at[1] - this.start.at[1]) < STILL)) return undefined;
    if (this.mode === "move") {
      this.panel.pan(at[0] - this.start.last[0], at[1] - this.start.last[1]);
      this.start.last = at;
      this.start.dragged = true;
      return this.map.plots.look(this.panel);
    }
    this.path ??= [this.start.at];
    const last = this.path.at(-1);
    if (this.mode === "box") this.path = [this.start.at, at];
    else if (Math.hypot(at[0] - last[0], at[1] - last[1]) >= 3) this.path.push(at);
    return this.map.plots.drawRings();
  }

  hover(panel, at) {
    const row = this.nearest(panel, at);
    if (row === this.over) return;
    this.over = row;
    this.map.look(null);
    if (row !== null) this.map.dwell(() => this.map.look(row, ...at));
  }

  up(event, panel) {
    const { start, path } = this, at = this.map.local(event);
    this.stop();
    if (!start) return;
    if (path) this.take(panel, path, event);
    else if (!start.dragged && Math.hypot(at[0] - start.at[0], at[1] - start.at[1]) < STILL) {
      const row = this.nearest(panel, at);
      if (row === null) return this.map.look(null);
      this.map.click(row, event.shiftKey || event.ctrlKey || event.metaKey);
      this.map.look(row, ...at);
    }
  }

  stop() {
    const drawn = this.path;
    Object.assign(this, { start: null, path: null, over: undefined });
    if (drawn) this.map.plots.drawRings();
  }

  take(panel, path, event) { // Shift adds to what is selected, Alt takes away from it
    const [left, top, right, bottom] = boundsOf(path), box = this.mode === "box";
    const rows = (panel.rows || []).filter((row) => {
      const [x, y] = panel.pixelOf(row);
      return x >= left && x <= right && y >= top && y <= bottom && panel.holds([x, y]) && (box || inPolygon(path, x, y));
    });
    const old = this.map.keep.selected, caught = new Set(rows);
    if (event.altKey) this.map.select(old.filter((row) => !caught.has(row)));
    else this.map.select(event.shiftKey ? [...new Set([...old, ...rows])] : rows);
  }

  wheel(event, panel) { // the page scrolls as ever, unless the plot is being moved or Ctrl is held
    if (this.mode !== "move" && !event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    panel.zoomAt(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0018)), ...this.map.local(event));
    this.map.look(null);
    this.map.plots.look(panel);
  }

  key(event, panel) {
    const { left, top, width, height } = panel.rect, step = 40;
    const moves = { ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
    const zooms = { "+": 1.4, "=": 1.4, "-": 1 / 1.4 };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (moves[event.key]) panel.pan(...moves[event.key]);
    else if (zooms[event.key]) panel.zoomAt(zooms[event.key], left + width / 2, top + height / 2);
    else if (event.key === "0") panel.home();
    else return;
    event.preventDefault();
    this.map.plots.look(panel);
  }
}

// The frame of one panel: heading, figures, the place of its plot with its state, captions.
class Cell {
  constructor(map, title) {
    this.map = map;
    this.element = node("section", "lm-panel");
    const head = node("header"), line = node("div", "lm-title");
    this.large = press("⤢", () => map.enlarge(title), "Enlarge");
    this.heading = node("h4");
    line.append(this.heading, this.large);
    this.figures = node("div", "lm-figures");
    head.append(line, this.figures);
    this.box = node("div", "lm-box");
    this.box.tabIndex = 0;
    this.state = node("div", "lm-state");
    this.state.setAttribute("role", "status");
    this.box.append(this.state);
    this.lines = node("div", "lm-lines");
    this.element.append(head, this.box, this.lines);
    map.brush.bind(this.box, () => map.plots.panelOf(title));
  }

  take(panel) {
    const { map } = this, large = map.keep.large === panel.title, name = panel.heading ?? panel.title;
    this.heading.textContent = name;
    this.element.setAttribute("aria-label", name);
    this.large.hidden = map.plots.panels.length < 2;
    this.large.textContent = large ? "⤡" : "⤢";
    this.large.title = large ? "Show beside the others again" : "Enlarge";
    this.large.setAttribute("aria-label", `${this.large.title}: ${name}`);
    this.large.setAttribute("aria-pressed", large);
    this.figures.replaceChildren(...panel.figures.map(([name, value, help]) => {
      const figure = node("span");
      figure.title = help;
      figure.append(node("i", "", name), node("b", "", value));
      return figure;
    }));
    this.element.dataset.state = panel.state;
    this.box.classList.toggle("lm-solid", panel.dim === 3); // Plotly turns it: nothing lies above
    this.box.setAttribute("role", panel.dim ? "application" : "presentation");
    this.box.setAttribute("aria-label", panel.dim ? `Map of ${name}: arrow keys move, plus and minus zoom, 0 shows all` : name);
    const note = panel.flat ? "Three dimensions need WebGL, which is off in this browser: the first two are shown." : "";
    const words = panel.state === "done" ? note : panel.sentence || "";
    const parts = panel.state === "done" ? [] : [node("b", "", STATES[panel.state])];
    if (words) parts.push(node("span", "", words));
    this.state.hidden = !parts.length;
    this.state.replaceChildren(...parts);
    this.element.classList.toggle("lm-empty", !panel.dim);
    this.lines.replaceChildren(...panel.lines.map((line) => node("p", "", line)));
  }
}
