// A latent map: up to six linked panels of the same points. This file holds what is chosen and tells the parts;
// the pack, drawing, pointing, pictures and head are in the latent_map_*.js before it.
// Names of classes and files are data: they only ever go in as textContent.

const maps = new WeakMap();
const kept = (window.__replabMaps ??= new Map()); // what a person set up, by key: outlives a remount
const fresh = () => ({
  points: null, selected: [], pinned: null, field: null, hidden: {}, views: {}, cameras: {}, turn: null, size: null, pictures: false, large: null, film: 0,
  mode: window.matchMedia("(pointer: coarse)").matches ? "" : "lasso", // a finger scrolls the page
});

const loadPlotly = (url) =>
  (window.__replabPlotly ??= new Promise((resolve, reject) => {
    if (window.Plotly) return resolve(window.Plotly);
    const script = document.createElement("script");
    script.src = url;
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => { window.__replabPlotly = undefined; reject(new Error("charts could not be loaded")); };
    document.head.append(script);
  }));

class LatentMap {
  constructor(root, data, send, trigger) {
    Object.assign(this, { root, data, send, trigger, turn: 0, shownTurn: 0, hover: null, pointed: null, note: "", dead: false });
    this.keep = kept.get(data.key) ?? fresh();
    kept.set(data.key, this.keep);
    this.build();
    this.load();
  }

  build() {
    this.link = new Link(this);
    this.brush = new Brush(this);
    this.film = new Film(this);
    this.plots = new Plots(this);
    this.head = new Head(this);
    this.strip = new Strip(this);
    this.card = new Card(this);
    this.notice = node("div", "lm-notice", "Reading the map…");
    this.notice.setAttribute("role", "status");
    this.theme = node("i", "lm-theme"); // its colour has a transition, whose end tells that the theme has changed
    for (const part of [this.head, this.film, this.plots, this.strip]) part.element.hidden = true;
    this.root.replaceChildren(this.notice, this.head.element, this.film.element, this.plots.element, this.strip.element, this.theme);
    this.plots.element.append(this.card.element);
    this.root.dataset.mode = this.keep.mode;
    this.theme.addEventListener("transitionend", () => this.pack && this.paint());
    this.onKey = (event) => {
      const elsewhere = document.activeElement && document.activeElement !== document.body && !this.root.contains(document.activeElement);
      if (event.key === "Escape" && !elsewhere) this.clear();
    };
    document.addEventListener("keydown", this.onKey);
  }

  update(data, send, trigger) {
    const before = this.data;
    Object.assign(this, { data, send, trigger });
    if (data.url !== before.url) return this.load();
    if (!this.pack) return undefined;
    if (data.height !== before.height) this.plots.fit();
    if (String([data.ring, 0, data.lit]) !== String([before.ring, 0, before.lit])) this.marked();
    this.grant();
    return undefined;
  }

  async load() { // what is drawn stays until the next pack is here
    const turn = ++this.turn;
    try {
      const [pack, plotly] = await Promise.all([fetchPack(this.data.url), loadPlotly(this.data.plotly)]);
      if (this.dead || turn < this.shownTurn) return;
      this.shownTurn = turn;
      this.plotly = plotly;
      await this.take(pack);
    } catch (error) { if (!this.dead && turn === this.turn) this.fail(error); }
  }

  fail(error) {
    this.notice.hidden = false;
    this.notice.textContent = `The map could not be drawn: ${error.message}. Reload the page.`;
  }

  async take(pack) {
    const { keep } = this, first = !this.pack;
    if (keep.points !== pack.points) Object.assign(keep, { points: pack.points, selected: [], pinned: null, hidden: {}, views: {} });
    if (!this.pack || this.pack.points !== pack.points) {
      this.look(null);
      this.sprites = pack.pictures && new Sprites(pack.pictures);
    }
    this.pack = pack;
    if (first && !keep.selected.length) keep.selected = this.groupSelection();
    this.root.dataset.selected = keep.selected.length;
    for (const part of [this.head, this.plots, this.strip]) part.element.hidden = false;
    this.film.element.hidden = !this.data.film;
    this.notice.hidden = true;
    this.plots.take(pack);
    await this.paint();
    if (this.data.tellChosen && this.data.known !== keep.selected.length && (first || this.data.known)) this.tell();
    this.grant();
  }

  paint() { // colours and what is hidden
    const dark = isDark(this.style("--st-background-color", "#fff"));
    const field = this.pack.colours.find(({ name }) => name === this.keep.field) ?? this.pack.colours[0];
    this.colouring = new Colouring(field, this.pack, dark);
    const hidden = this.hiddenGroups();
    this.shown = Uint8Array.from(this.colouring.groups, (group) => (hidden.has(group) ? 0 : 1));
    this.visibleCount = this.shown.reduce((sum, one) => sum + one, 0);
    this.head.draw();
    this.strip.draw();
    return this.plots.draw();
  }

  resize() {
    this.plots.draw();
  }

  // what is chosen

  select(rows, note = "", query = "") {
    const begun = performance.now(), field = this.head.query;
    if (field.value.trim() !== query) field.value = query;
    this.keep.selected = [...rows].sort((a, b) => a - b);
    this.note = note;
    this.marked();
    this.root.dataset.took = Math.round(performance.now() - begun);
    this.tell();
    this.link.tell({ selected: this.keep.selected });
  }

  grant() { // what the page wants selected, each wish once
    const { keep, data: { wanted } } = this;
    if (!wanted || wanted.turn === keep.turn) return;
    keep.turn = wanted.turn;
    keep.pinned = null;
    this.select(wanted.rows.filter((row) => row < this.pack.n));
  }

  adopt(rows) { // what was selected on another map of the group
    if (String(rows) === String(this.keep.selected)) return;
    Object.assign(this.keep, { selected: rows, pinned: null });
    this.note = "";
    this.head.query.value = "";
    this.marked();
    this.tell();
  }

  groupSelection() { // what is selected on the map that the group is named after
    const other = kept.get(this.data.group);
    return other?.points === this.pack.points ? other.selected : [];
  }

  marked() { // draw what is chosen or marked
    this.plots.drawMarks();
    this.plots.drawRings();
    this.plots.turnScenes();
    this.head.counts();
    this.strip.draw();
    this.root.dataset.selected = this.keep.selected.length;
  }

  tell() {
    if (this.data.tellChosen) this.send("selection", this.keep.selected);
  }

  click(row, adding = false) { // rings the point everywhere; selects it too, unless more are selected already
    const old = this.keep.selected;
    this.keep.pinned = row;
    if (adding) this.select(old.includes(row) ? old.filter((other) => other !== row) : [...old, row]);
    else if (old.length <= 1 && old[0] !== row) this.select([row]);
    else this.marked();
    if (this.data.tellClicked) this.trigger("clicked", row);
  }

  clear() {
    if (!this.pack) return;
    const told = this.keep.selected.length;
    this.keep.pinned = null;
    this.note = "";
    this.head.query.value = "";
    if (told) this.select([]);
    else this.marked();
  }

  visible() {
    return Array.from(this.shown.keys()).filter((row) => this.shown[row]);
  }

  invert() {
    const old = new Set(this.keep.selected);
    this.select(this.visible().filter((row) => !old.has(row)));
  }

  find(query) {
    if (!query) return this.clear();
    const words = query.toLowerCase(), field = this.pack.labels;
    const classes = new Set(field ? field.names.flatMap((name, code) => (name.toLowerCase().includes(words) ? [code] : [])) : []);
    const rows = this.visible().filter((row) => (field && classes.has(field.values[row])) || this.pack.names?.[row].toLowerCase().includes(words));
    return this.select(rows, rows.length ? "" : `No visible point has “${query}” in its name or class.`, query);
  }

  bright() { // 1 for each row that stays bright; null where all do
    const { keep, data } = this;
    if (!keep.selected.length && !data.lit.length) return null;
    const rows = new Uint8Array(this.pack.n);
    for (const row of keep.selected) rows[row] = 1;
    for (const row of data.lit) rows[row] = 1;
    return rows;
  }

  ringed() {
    return [...new Set([...this.data.ring, this.keep.pinned, ...this.looked()])].filter((row) => row !== null && row < this.pack.n);
  }

  looked() { return [this.hover, this.pointed].filter((row) => row !== null); } // only for as long as somebody points at them

  // what is looked at

  dwell(show) {
    clearTimeout(this.dwelling);
    this.dwelling = setTimeout(() => !this.dead && show(), DWELL);
  }

  look(row, left, top) { // a point's picture here and its ring everywhere; null ends it
    clearTimeout(this.dwelling);
    if (row === null && this.hover === null) return;
    this.hover = row;
    if (row === null) this.card.hide();
    else this.card.show(row, left, top);
    this.plots.drawRings();
    this.plots.ringScenes();
    this.link.tell({ row });
  }

  point(row) { // a point that something beside the map points at; null ends it
    if (row === this.pointed) return;
    this.pointed = row;
    this.root.dataset.pointed = row ?? "";
    this.plots.drawRings();
    this.plots.ringScenes();
  }

  local(event) { // the pointer in pixels of the plots
    const box = this.plots.element.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  className(row) {
    const { labels } = this.pack;
    return labels?.names[labels.values[row]] ?? NO_LABEL;
  }

  words(row) { return [this.className(row), this.pack.names?.[row]].filter(Boolean).join(", "); }

  // how it is seen

  hiddenGroups() { return new Set(this.colouring?.isClass ? this.keep.hidden[this.colouring.field.name] || [] : []); }

  setHidden(groups) {
    this.keep.hidden[this.colouring.field.name] = [...groups];
    this.look(null);
    return this.paint();
  }

  hide(group) {
    const hidden = this.hiddenGroups();
    if (!hidden.delete(group)) hidden.add(group);
    return this.setHidden(hidden);
  }

  solo(group) { // alone; once more shows all again
    const others = [...this.colouring.totals.keys()].filter((other) => other !== group), hidden = this.hiddenGroups();
    const alone = !hidden.has(group) && others.every((other) => hidden.has(other));
    return this.setHidden(alone ? [] : others);
  }

  setMode(mode) {
    this.keep.mode = mode;
    this.root.dataset.mode = mode;
    this.head.draw();
  }

  zoomAll(factor) {
    for (const panel of this.plots.drawn()) {
      const { left, top, width, height } = panel.rect;
      if (factor) panel.zoomAt(factor, left + width / 2, top + height / 2);
      else panel.home();
      this.plots.look(panel);
    }
  }

  enlarge(title) {
    this.keep.large = this.keep.large === title ? null : title;
    for (const panel of this.plots.panels) panel.cell.take(panel);
    this.plots.fit();
  }

  dot() { return this.keep.size ?? dotSize(this.pack.n); }

  style(name, fallback) { return getComputedStyle(this.root).getPropertyValue(name).trim() || fallback; }

  dispose() {
    this.dead = true;
    clearTimeout(this.dwelling);
    document.removeEventListener("keydown", this.onKey);
    this.film.pause();
    this.link.dispose();
    this.strip.dispose();
    this.plots.dispose();
  }
}

const isDark = (colour) => { // whatever way the theme writes its colour
  const pen = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  pen.fillStyle = colour;
  pen.fillRect(0, 0, 1, 1);
  const [red, green, blue] = pen.getImageData(0, 0, 1, 1).data;
  return 0.3 * red + 0.59 * green + 0.11 * blue < 128;
};

export default function ({ data, parentElement, setStateValue, setTriggerValue }) {
  const root = parentElement.querySelector(".latent-map");
  let map = maps.get(root);
  if (map && map.data.key !== data.key) { map.dispose(); map = undefined; }
  if (map) map.update(data, setStateValue, setTriggerValue);
  else {
    map = new LatentMap(root, data, setStateValue, setTriggerValue);
    maps.set(root, map);
  }
  return () => { if (!root.isConnected) { map.dispose(); maps.delete(root); } };
}
