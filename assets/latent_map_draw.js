// Drawing of a latent map: one Plotly figure behind a grid of panels, and two canvases for what is chosen.
// Plotly draws every point once; what changes under the hand (selection, rings, thumbnails) is drawn above it,
// since Plotly would draw everything anew for each of them.

const MARGIN = 1.1; // of the points' extent, so that none lies on the edge
const MOST_PIXELS = 4096; // longest side of a WebGL canvas that every machine draws
const MOST_THUMBS = 400; // of a panel
const THUMB_SHEETS = 24; // of a panel, so that 60,000 points do not ask for every sheet
const STATES = { working: "Working", waiting: "Waiting", failed: "Failed" };
let webgl; // found out once
const hasWebGL = () => {
  if (webgl === undefined) {
    const canvas = document.createElement("canvas"), context = canvas.getContext("webgl2") || canvas.getContext("webgl");
    context?.getExtension("WEBGL_lose_context")?.loseContext();
    webgl = Boolean(context);
  }
  return webgl;
};
const dotSize = (n) => (n <= 500 ? 8 : n <= 2500 ? 6 : n <= 12000 ? 4 : 2.5);

// One panel's place on the screen and the part of its plane that is seen there.
class Panel {
  constructor(spec, keep) {
    Object.assign(this, spec, { flat: spec.dim === 3 && !hasWebGL(), rect: null });
    if (this.flat) this.dim = 2;
    if (!this.dim) return;
    const ends = (this.whole ?? this.axes).slice(0, 2).map((values) => {
      let low = Infinity, high = -Infinity;
      for (const value of values) if (Number.isFinite(value)) { low = Math.min(low, value); high = Math.max(high, value); }
      return low <= high ? [low, high] : [0, 0];
    });
    this.middle = ends.map(([low, high]) => (low + high) / 2);
    this.extent = ends.map(([low, high]) => high - low);
    const mark = JSON.stringify(ends), old = keep.views[this.title];
    this.view = old?.mark === mark ? old : { mark, centre: [...this.middle], zoom: 1 };
    keep.views[this.title] = this.view;
  }

  get unit() { // of the plane in one pixel: the same on both axes, for a map's distances are compared
    const { width, height } = this.rect;
    return ((Math.max(this.extent[0] / width, this.extent[1] / height) || 1 / width) * MARGIN) / this.view.zoom;
  }

  ranges() {
    const { width, height } = this.rect, [x, y] = this.view.centre, half = [(width * this.unit) / 2, (height * this.unit) / 2];
    return [[x - half[0], x + half[0]], [y - half[1], y + half[1]]];
  }

  pixelOf(row) { // pixels from the left top corner of the plots; NaN where the point has no place
    const { left, top, width, height } = this.rect, unit = this.unit, [x, y] = this.view.centre;
    return [left + width / 2 + (this.axes[0][row] - x) / unit, top + height / 2 - (this.axes[1][row] - y) / unit];
  }

  holds([x, y]) {
    const { left, top, width, height } = this.rect;
    return x >= left && x <= left + width && y >= top && y <= top + height;
  }

  has(row) { return Number.isFinite(this.axes[0][row]) && Number.isFinite(this.axes[1][row]); }

  zoomAt(factor, x, y) { // about a pixel of the plots, which keeps its place
    const { left, top, width, height } = this.rect, before = this.unit;
    const zoom = Math.min(500, Math.max(0.5, this.view.zoom * factor));
    const [dx, dy] = [x - left - width / 2, top + height / 2 - y];
    this.view.zoom = zoom;
    this.view.centre[0] += dx * (before - this.unit);
    this.view.centre[1] += dy * (before - this.unit);
  }

  pan(dx, dy) {
    this.view.centre[0] -= dx * this.unit;
    this.view.centre[1] += dy * this.unit;
  }

  home() { Object.assign(this.view, { centre: [...this.middle], zoom: 1 }); }
}

class Plots {
  constructor(map) {
    Object.assign(this, { map, panels: [], cells: new Map(), job: Promise.resolve(), slots: [] });
    this.element = node("div", "lm-plots");
    this.figure = node("div", "lm-figure");
    this.points = node("canvas", "lm-canvas lm-points");
    this.marks = node("canvas", "lm-canvas");
    this.rings = node("canvas", "lm-canvas");
    this.grid = node("div", "lm-grid");
    this.element.append(this.figure, this.points, this.marks, this.rings, this.grid);
    this.sizes = new ResizeObserver(() => this.panels.length && this.fit());
    this.sizes.observe(this.grid);
    this.watchPointer();
  }

  take(pack) {
    const specs = this.map.data.film ? this.map.film.take(pack) : pack.panels;
    this.panels = specs.map((spec) => new Panel(spec, this.map.keep));
    const titles = new Set(this.panels.map((panel) => panel.title));
    for (const [title, cell] of this.cells) if (!titles.has(title)) { cell.element.remove(); this.cells.delete(title); }
    for (const panel of this.panels) {
      if (!this.cells.has(panel.title)) this.cells.set(panel.title, new Cell(this.map, panel.title));
      panel.cell = this.cells.get(panel.title);
      panel.cell.take(panel);
    }
    const order = this.panels.map((panel) => panel.cell.element);
    if (order.some((element, i) => this.grid.children[i] !== element)) this.grid.replaceChildren(...order);
  }

  drawn() { return this.panels.filter((panel) => panel.dim && panel.rect); }

  panelOf(title) { return this.panels.find((panel) => panel.title === title); }

  measure() { // where the grid puts each panel's plot; tells whether anything has moved
    const width = this.grid.clientWidth, n = this.panels.length, { keep, data } = this.map;
    const columns = width < 560 ? 1 : width < 900 ? Math.min(2, n) : n === 2 || n === 4 ? 2 : Math.min(3, n);
    const height = data.height || (columns === 1 && width < 560 ? Math.min(360, width) : n === 1 ? 540 : n === 2 || n === 4 ? 400 : 310);
    this.grid.style.setProperty("--lm-columns", columns);
    this.grid.style.setProperty("--lm-height", `${height}px`);
    for (const panel of this.panels) panel.cell.element.classList.toggle("lm-large", keep.large === panel.title);
    const origin = this.element.getBoundingClientRect();
    const rects = this.panels.map(({ cell }) => {
      const box = cell.box.getBoundingClientRect();
      return { left: box.left - origin.left, top: box.top - origin.top, width: box.width, height: box.height };
    });
    this.size = { width: this.element.clientWidth, height: this.element.clientHeight };
    this.panels.forEach((panel, i) => { panel.rect = rects[i]; });
    const mark = JSON.stringify([this.size, rects].map((part) => JSON.stringify(part, (_, v) => (typeof v === "number" ? Math.round(v) : v))));
    const moved = mark !== this.mark;
    this.mark = mark;
    return moved;
  }

  fit() { if (this.measure() && this.size.width) this.draw(); }

  draw() { // everything; calls that come while one is under way become one
    if (this.waiting) return this.job;
    this.waiting = true;
    this.job = this.job.then(() => { this.waiting = false; return this.render(); }).catch((error) => this.map.fail(error));
    return this.job;
  }

  async render() {
    const { map } = this;
    if (map.dead || !map.plotly || !this.panels.length) return;
    this.measure();
    if (!this.size.width) return; // hidden; it is drawn once it can be seen
    const traces = [], layout = this.layout();
    this.slots = this.drawn().map((panel, k) => {
      const slot = { panel, k, base: traces.length };
      this.place(panel, k, layout);
      traces.push(...(panel.dim === 3 ? this.cloud(panel, k) : [this.scatter(panel, k)]));
      return slot;
    });
    const long = Math.max(this.size.width, this.size.height);
    await map.plotly.react(this.figure, traces, layout, {
      displayModeBar: false, displaylogo: false, showSendToCloud: false, plotlyServerURL: "", doubleClick: false, showTips: false,
      plotGlPixelRatio: Math.max(0.5, Math.min(2, window.devicePixelRatio || 1, MOST_PIXELS / long)), scrollZoom: "gl3d",
    });
    if (!this.listening) this.listen();
    this.copyPoints();
    this.drawMarks();
    this.drawRings();
    map.root.dataset.drawn = Number(map.root.dataset.drawn || 0) + 1;
  }

  layout() {
    const text = this.map.style("--st-text-color", "#333");
    return {
      width: this.size.width, height: this.size.height, margin: { l: 0, r: 0, t: 0, b: 0 }, showlegend: false, dragmode: false, hovermode: "closest",
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: text }, uirevision: 1,
    };
  }

  place(panel, k, layout) { // the panel's axes or scene, where the grid has its box
    const { left, top, width, height } = panel.rect, suffix = k ? k + 1 : "";
    const x = [left / this.size.width, (left + width) / this.size.width];
    const y = [1 - (top + height) / this.size.height, 1 - top / this.size.height];
    if (panel.dim === 3) {
      const axis = { title: { text: "" }, showticklabels: false, gridcolor: this.map.style("--st-border-color", "#ddd"), zeroline: false, showbackground: false, showspikes: false };
      layout[`scene${suffix}`] = { domain: { x, y }, aspectmode: "data", dragmode: "orbit", xaxis: axis, yaxis: axis, zaxis: axis, uirevision: panel.title,
        camera: this.map.keep.cameras[panel.title] || { eye: { x: 1.25, y: 1.25, z: 0.9 } } };
      return;
    }
    const [across, up] = panel.ranges(), axis = { visible: false, fixedrange: true };
    layout[`xaxis${suffix}`] = { ...axis, domain: x, range: across, anchor: `y${suffix}` };
    layout[`yaxis${suffix}`] = { ...axis, domain: y, range: up, anchor: `x${suffix}` };
  }

  rowsOf(panel) {
    const { shown } = this.map, rows = [];
    for (let row = 0; row < shown.length; row++) if (shown[row] && panel.has(row)) rows.push(row);
    return rows;
  }

  dotsOf(rows) { // colours and, where colours begin anew, shapes
    const { colouring } = this.map, { groups } = colouring;
    const dots = { color: rows.map((row) => colouring.colour(groups[row])) };
    if (colouring.repeats) dots.symbol = rows.map((row) => colouring.shape(groups[row]));
    return dots;
  }

  scatter(panel, k) {
    const rows = this.rowsOf(panel), suffix = k ? k + 1 : "", [x, y] = panel.axes.map((values) => Float32Array.from(rows, (row) => values[row]));
    panel.rows = rows;
    return {
      type: hasWebGL() ? "scattergl" : "scatter", mode: "markers", x, y, xaxis: `x${suffix}`, yaxis: `y${suffix}`, hoverinfo: "skip",
      marker: { ...this.dotsOf(rows), size: this.map.dot(), opacity: 0.82, line: { width: 0 } },
    };
  }

  cloud(panel, k) { // all points, the bright ones, the ringed ones: a scene has no canvas above it that turns along
    const scene = `scene${k ? k + 1 : ""}`, rows = this.rowsOf(panel), bright = this.map.bright();
    panel.rows = rows;
    const part = (some, marker) => {
      const [x, y, z] = panel.axes.map((values) => Array.from(some, (row) => values[row]));
      const { symbol: _, ...dots } = this.dotsOf(some);
      return { type: "scatter3d", mode: "markers", scene, x, y, z, customdata: some, hoverinfo: "none", marker: { line: { width: 0 }, ...dots, ...marker } };
    };
    const size = Math.max(2, this.map.dot() * 0.7), text = this.map.style("--st-text-color", "#333");
    const lit = bright ? rows.filter((row) => bright[row]) : [], looked = new Set(this.map.looked());
    const ringed = this.map.ringed().filter((row) => panel.has(row)), accent = this.map.style("--st-primary-color", "#5b5bd6");
    return [
      part(rows, { size, opacity: bright ? 0.12 : 0.85 }),
      part(lit, { size: size + 1, opacity: 1 }),
      part(ringed, { size: size * 2.6, symbol: "circle-open", color: ringed.map((row) => (looked.has(row) ? accent : text)), opacity: 1 }),
    ];
  }

  listen() { // turning and pointing in three dimensions
    this.listening = true;
    const { figure, map } = this;
    figure.on("plotly_hover", (event) => {
      this.over = event.points?.[0]?.customdata ?? null;
      if (this.over !== null && this.over !== map.hover && !this.pressed) map.dwell(() => map.look(this.over, ...this.pointer));
    });
    figure.on("plotly_unhover", () => { this.over = null; map.look(null); });
    figure.on("plotly_relayout", () => {
      for (const { panel, k } of this.slots) if (panel.dim === 3) map.keep.cameras[panel.title] = figure._fullLayout?.[`scene${k ? k + 1 : ""}`]?.camera;
    });
    figure.on("plotly_webglcontextlost", () => { map.plotly.purge(figure); this.listening = false; this.draw(); });
  }

  watchPointer() { // Plotly tells of a click in a scene again with each of its drawings, so clicks are our own
    const { figure, map } = this;
    figure.addEventListener("pointermove", (event) => { this.pointer = map.local(event); }, true);
    figure.addEventListener("pointerdown", (event) => { this.pressed = { at: map.local(event), row: this.over ?? map.hover }; map.look(null); }, true);
    window.addEventListener("pointerup", this.onUp = (event) => {
      const from = this.pressed, to = map.local(event);
      this.pressed = null;
      if (from && Number.isInteger(from.row) && Math.hypot(to[0] - from.at[0], to[1] - from.at[1]) < STILL) map.click(from.row);
    }, true);
  }

  turnScenes() { // what is chosen, in the panels of three dimensions
    for (const { panel, k, base } of this.slots) {
      if (panel.dim !== 3) continue;
      const parts = this.cloud(panel, k);
      this.replace(parts.slice(1), [base + 1, base + 2]);
      this.map.plotly.restyle(this.figure, { "marker.opacity": parts[0].marker.opacity }, [base]);
    }
  }

  ringScenes() {
    for (const { panel, k, base } of this.slots) if (panel.dim === 3) this.replace(this.cloud(panel, k).slice(2), [base + 2]);
  }

  replace(parts, traces) {
    const update = {};
    for (const name of ["x", "y", "z", "customdata", "marker"]) update[name] = parts.map((part) => part[name]);
    this.map.plotly.restyle(this.figure, update, traces);
  }

  look(panel) { // the panel is seen elsewhere or from nearer; one change of the figure at a time
    this.moved = (this.moved || new Set()).add(panel.title);
    if (this.moving) return this.moving;
    this.moving = new Promise(requestAnimationFrame).then(async () => {
      await this.job;
      const update = {};
      for (const { panel: each, k } of this.slots) {
        if (!this.moved.has(each.title) || each.dim === 3) continue;
        [update[`xaxis${k ? k + 1 : ""}.range`], update[`yaxis${k ? k + 1 : ""}.range`]] = each.ranges();
      }
      this.moved.clear();
      this.moving = null;
      if (this.map.dead) return;
      await this.map.plotly.relayout(this.figure, update);
      this.copyPoints();
      this.drawMarks();
      this.drawRings();
    });
    return this.moving;
  }

  dispose() {
    this.sizes.disconnect();
    window.removeEventListener("pointerup", this.onUp, true);
    this.map.plotly?.purge(this.figure);
  }
}
