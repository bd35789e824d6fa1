"use strict";
// Draws a map from the data in the page: panels, legend, and the card of the point under the pointer.

const data = JSON.parse(document.getElementById("data").textContent);
const unpack = (text, Kind) => new Kind(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
const find = (selector, within = document) => within.querySelector(selector);
const make = (tag, text = "") => Object.assign(document.createElement(tag), { textContent: text });
const STEPS = 65535, MARGIN = 1.1, REACH = 14; // of a place; of the extent that is shown; px from pointer to point
const MOST = 300; // groups in the legend

const index = unpack(data.index, Uint32Array), split = unpack(data.split, Uint8Array);
const ways = data.ways.map((way) => ({ ...way, of: unpack(way.of, Uint16Array) }));
const order = mixed(data.n), hidden = new Set();
let way = ways[0], ringed = -1;

function mixed(n) { // every row once, in an order that hides no group behind another
  const rows = Uint32Array.from({ length: n }, (_, row) => row);
  for (let i = n - 1, state = 1; i > 0; i--) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const j = state % (i + 1);
    [rows[i], rows[j]] = [rows[j], rows[i]];
  }
  return rows;
}

function mark(pen, shape, x, y, radius) {
  pen.beginPath();
  if (!shape) pen.arc(x, y, radius, 0, 2 * Math.PI);
  else data.shapes[shape].forEach(([a, b]) => pen.lineTo(x + a * radius, y + b * radius));
  pen.closePath();
}

class Pictures {
  constructor(told) {
    Object.assign(this, told);
    this.place = unpack(told.place, Int32Array);
    this.kept = new Map();
  }

  sheet(number) { // decoded when it is first looked at
    if (!this.kept.has(number)) {
      const image = new Image();
      image.src = `data:image/jpeg;base64,${this.sheets[number]}`;
      this.kept.set(number, image.decode().then(() => image));
    }
    return this.kept.get(number);
  }

  async draw(canvas, row) {
    const place = this.place[row], pen = canvas.getContext("2d");
    if (place < 0) return false;
    const each = this.inRow ** 2, at = place % each, { cell, side } = this;
    const image = await this.sheet(Math.floor(place / each));
    if (ringed !== row) return true; // another point by now
    pen.imageSmoothingEnabled = side > 40;
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(image, (at % this.inRow) * cell, Math.floor(at / this.inRow) * cell, side, side, 0, 0, canvas.width, canvas.height);
    return true;
  }
}

class Panel {
  constructor(section) {
    const { dim, at } = data.panels[Number(section.dataset.panel)];
    this.section = section;
    this.box = find(".box", section);
    [this.canvas, this.over] = section.querySelectorAll(".box canvas");
    this.dim = dim;
    this.at = Float32Array.from(unpack(at, Uint16Array), (step) => step / STEPS - 0.5);
    this.turn = [0, 0];
    this.x = new Float32Array(data.n);
    this.y = new Float32Array(data.n);
    this.listen();
    new ResizeObserver(() => this.draw()).observe(this.box);
  }

  listen() {
    const button = find("button", this.section);
    button.onclick = () => button.setAttribute("aria-pressed", String(this.section.classList.toggle("large")));
    this.box.classList.toggle("solid", this.dim > 2);
    this.box.onpointermove = (event) => (event.buttons && this.dim > 2 ? this.drag(event) : this.look(event));
    this.box.onpointerdown = (event) => (this.dim > 2 ? this.box.setPointerCapture(event.pointerId) : this.look(event));
    this.box.onpointerleave = (event) => event.pointerType === "mouse" && ring(-1); // a finger that is lifted leaves too
  }

  drag(event) {
    ring(-1);
    this.turn = [this.turn[0] + event.movementX / 120, this.turn[1] + event.movementY / 120];
    this.draw();
  }

  place() { // where each point is, in CSS pixels of the box
    const n = data.n, { width, height } = this.box.getBoundingClientRect(), unit = Math.min(width, height) / MARGIN;
    const [cosine, sine] = [Math.cos(this.turn[0]), Math.sin(this.turn[0])], [c, s] = [Math.cos(this.turn[1]), Math.sin(this.turn[1])];
    const shrink = this.dim > 2 ? 0.75 : 1; // a turned cube is wider than its side
    for (let row = 0; row < n; row++) {
      let x = this.at[row], y = this.at[n + row];
      if (this.dim > 2) {
        const z = this.at[2 * n + row], depth = z * cosine - x * sine;
        x = x * cosine + z * sine;
        y = y * c + depth * s;
      }
      this.x[row] = width / 2 + x * unit * shrink;
      this.y[row] = height / 2 - y * unit * shrink;
    }
    return { width, height };
  }

  pen(canvas, { width, height }) {
    const scale = window.devicePixelRatio || 1, pen = canvas.getContext("2d");
    [canvas.width, canvas.height] = [Math.round(width * scale), Math.round(height * scale)];
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    return pen;
  }

  draw() {
    const pen = this.pen(this.canvas, this.place());
    this.radius = Math.max(1.2, Math.min(4.5, (0.19 * this.box.clientWidth) / Math.sqrt(data.n)));
    for (const row of order) {
      const group = way.of[row];
      if (hidden.has(group)) continue;
      const [, , colour, shape] = way.groups[group];
      pen.fillStyle = colour;
      mark(pen, shape, this.x[row], this.y[row], this.radius);
      pen.fill();
    }
    this.drawRing();
  }

  drawRing() {
    const pen = this.pen(this.over, this.box.getBoundingClientRect());
    if (ringed < 0) return;
    for (const [colour, width] of [["--paper", 5], ["--ink", 2]]) {
      mark(pen, 0, this.x[ringed], this.y[ringed], this.radius + 3.5);
      pen.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue(colour);
      pen.lineWidth = width;
      pen.stroke();
    }
  }

  look(event) {
    const { left, top } = this.box.getBoundingClientRect(), [x, y] = [event.clientX - left, event.clientY - top];
    let nearest = -1, least = REACH ** 2;
    for (let row = 0; row < data.n; row++) {
      const away = (this.x[row] - x) ** 2 + (this.y[row] - y) ** 2;
      if (away < least && !hidden.has(way.of[row])) [nearest, least] = [row, away];
    }
    ring(nearest, event.clientX, event.clientY);
  }
}

function ring(row, x = 0, y = 0) {
  const card = find("#card");
  card.hidden = row < 0;
  if (row >= 0) { // beside the pointer, inside the window
    card.style.left = `${x + 190 > window.innerWidth ? x - 176 : x + 16}px`;
    card.style.top = `${Math.max(4, Math.min(y + 12, window.innerHeight - card.offsetHeight - 8))}px`;
  }
  if (row === ringed) return;
  ringed = row;
  panels.forEach((panel) => panel.drawRing());
  if (row >= 0) fillCard(card, row);
}

function fillCard(card, row) {
  const canvas = find("canvas", card);
  const said = [`image ${index[row]}`, data.splits[split[row]]], named = ways.find(({ name }) => name === "class");
  if (way !== named && way.name !== "split") said.push(way.groups[way.of[row]][0]);
  find("b", card).textContent = named ? named.groups[named.of[row]][0] : "no label";
  find("span", card).textContent = data.names[row] ?? "";
  find("small", card).textContent = said.join(" · ");
  canvas.hidden = !pictures || pictures.place[row] < 0;
  card.dataset.row = "";
  if (!canvas.hidden) pictures.draw(canvas, row).then(() => { if (ringed === row) card.dataset.row = row; });
}

function legend() {
  const buttons = way.groups.slice(0, MOST).map(([name, count, colour, shape], group) => {
    const button = make("button"), swatch = make("canvas");
    [swatch.width, swatch.height] = [28, 28];
    const pen = swatch.getContext("2d");
    pen.fillStyle = colour;
    mark(pen, shape, 14, 14, 10.5);
    pen.fill();
    button.setAttribute("aria-pressed", String(!hidden.has(group)));
    button.append(swatch, make("span", name), make("small", count.toLocaleString("en")));
    button.onclick = () => {
      hidden.delete(group) || hidden.add(group);
      button.setAttribute("aria-pressed", String(!hidden.has(group)));
      redraw();
    };
    return button;
  });
  const more = way.groups.length - buttons.length;
  find("#legend").replaceChildren(...buttons, ...(more ? [make("span", `and ${more.toLocaleString("en")} more`)] : []));
}

function redraw() {
  find("#all").hidden = !hidden.size;
  ring(-1);
  panels.forEach((panel) => panel.draw());
}

function colourBy(place) {
  way = ways[place];
  hidden.clear();
  legend();
  redraw();
}

const pictures = data.pictures && new Pictures(data.pictures);
const panels = [...document.querySelectorAll("section[data-panel]")].map((section) => new Panel(section));
find("#way").append(...ways.map(({ name }, place) => Object.assign(make("option", name), { value: place })));
find("#way").onchange = (event) => colourBy(Number(event.target.value));
find("#all").onclick = () => colourBy(ways.indexOf(way));
colourBy(0);
