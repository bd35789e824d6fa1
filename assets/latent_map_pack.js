// The pack of a latent map, as the server sends it: positions, colour fields and names of the points.

const NO_CLASS = 65535; // also the group of a number that is missing
const LEVELS = 64; // steps of a number's colours
const QUIET = "#8b8d98"; // readable on light and on dark
const SHAPES = ["circle", "diamond", "square", "triangle-up", "cross"]; // one more each time the colours begin anew

const decodePack = (buffer) => {
  const length = new DataView(buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const start = 4 + length + ((4 - (length % 4)) % 4), n = head.n;
  for (const panel of head.panels) {
    panel.axes = Array.from({ length: panel.dim }, (_, axis) => new Float32Array(buffer, start + panel.at + 4 * n * axis, n));
  }
  const same = head.colours.find((field) => field.at === head.labels?.at);
  if (same) head.labels = same;
  for (const field of [...head.colours, ...(head.labels && !same ? [head.labels] : [])]) {
    field.values = field.kind === "class" ? new Uint16Array(buffer, start + field.at, n) : new Float32Array(buffer, start + field.at, n);
  }
  const { captions, pictures } = head;
  head.names = captions ? new TextDecoder().decode(new Uint8Array(buffer, start + captions.at, captions.bytes)).split("\n") : null;
  if (pictures) pictures.index = new Uint32Array(buffer, start + pictures.at, n);
  return head;
};

const fetchPack = async (url) => {
  const response = await fetch(url, { credentials: "same-origin" });
  if (!response.ok) throw new Error((await response.json().catch(() => ({}))).error || `the server answered ${response.status}`);
  return decodePack(await response.arrayBuffer());
};

const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
const between = (scale, share) => { // the colour at `share` of a scale of hex colours
  const at = share * (scale.length - 1), low = Math.min(scale.length - 2, Math.floor(at));
  const [from, to] = [rgb(scale[low]), rgb(scale[low + 1])];
  return `rgb(${from.map((value, i) => Math.round(value + (to[i] - value) * (at - low))).join(",")})`;
};

// A colour field as the map draws it: each point's group (a class, or a step of the scale) and each group's look.
class Colouring {
  constructor(field, pack, dark) {
    Object.assign(this, { field, isClass: field.kind === "class", names: field.names });
    this.palette = pack.palette;
    this.groups = this.isClass ? field.values : this.levels(field);
    const ends = dark ? [0.22, 1] : [0, 0.9]; // the end that would vanish in the background is left out
    this.ramp = Array.from({ length: LEVELS }, (_, i) => between(pack.scale, ends[0] + ((ends[1] - ends[0]) * i) / (LEVELS - 1)));
    this.totals = this.count();
    this.repeats = this.isClass && field.names.length > this.palette.length;
  }

  levels({ values, ends: [, low, high] }) {
    const scale = (LEVELS - 1) / (high - low || 1);
    return Uint16Array.from(values, (value) => (Number.isFinite(value) ? Math.max(0, Math.min(LEVELS - 1, Math.round((value - low) * scale))) : NO_CLASS));
  }

  count(rows) { // points of each group: of all, or of the rows given
    const totals = new Map();
    const add = (row) => totals.set(this.groups[row], (totals.get(this.groups[row]) || 0) + 1);
    if (rows) rows.forEach(add);
    else for (let row = 0; row < this.groups.length; row++) add(row);
    return totals;
  }

  colour(group) {
    if (group === NO_CLASS) return QUIET;
    return this.isClass ? this.palette[group % this.palette.length] : this.ramp[group];
  }

  shape(group) {
    return this.isClass && group !== NO_CLASS ? SHAPES[Math.floor(group / this.palette.length) % SHAPES.length] : SHAPES[0];
  }

  words(row) { // the value of a point, for reading
    if (this.isClass) return this.names[this.field.values[row]] ?? "none";
    const value = this.field.values[row];
    return Number.isFinite(value) ? `${number(value)} ${this.field.unit}`.trim() : "none";
  }
}

const number = (value) => (Math.abs(value) >= 1000 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3))));
const counted = (value) => value.toLocaleString("en");
const node = (tag, className, text) => {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
};
const press = (text, action, title) => {
  const button = node("button", "", text);
  button.type = "button";
  if (title) button.title = title;
  button.onclick = action;
  return button;
};
