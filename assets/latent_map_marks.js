// What lies above the points of a latent map: bright points, thumbnails, rings, the line of a lasso.

const pathOf = (pen, shape, x, y, r) => {
  if (shape === "square") pen.rect(x - r * 0.9, y - r * 0.9, r * 1.8, r * 1.8);
  else if (shape === "cross") { pen.rect(x - r, y - r * 0.4, r * 2, r * 0.8); pen.rect(x - r * 0.4, y - r, r * 0.8, r * 2); }
  else if (shape === "diamond") { pen.moveTo(x, y - r * 1.2); pen.lineTo(x + r * 1.2, y); pen.lineTo(x, y + r * 1.2); pen.lineTo(x - r * 1.2, y); pen.closePath(); }
  else if (shape === "triangle-up") { pen.moveTo(x, y - r * 1.2); pen.lineTo(x + r * 1.1, y + r * 0.8); pen.lineTo(x - r * 1.1, y + r * 0.8); pen.closePath(); }
  else { pen.moveTo(x + r, y); pen.arc(x, y, r, 0, 7); }
};

const cleared = (canvas, { width, height }) => { // a pen in CSS pixels on an empty canvas
  const ratio = Math.max(0.5, Math.min(2, window.devicePixelRatio || 1, 8000 / Math.max(width, height)));
  const [across, down] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== across || canvas.height !== down) Object.assign(canvas, { width: across, height: down });
  const pen = canvas.getContext("2d");
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.clearRect(0, 0, across, down);
  pen.scale(ratio, ratio);
  return pen;
};

const inside = (pen, { rect }, draw) => {
  pen.save();
  pen.beginPath();
  pen.rect(rect.left, rect.top, rect.width, rect.height);
  pen.clip();
  draw();
  pen.restore();
};

Object.assign(Plots.prototype, {
  // Without a graphics card Chromium shows no more of a WebGL canvas than was in the window at first, however far one
  // scrolls, so what Plotly drew is copied onto a plain canvas, which it shows whole.
  copyPoints() {
    const pen = cleared(this.points, this.size);
    for (const canvas of this.figure.querySelectorAll(".gl-container > canvas:not(.gl-canvas-pick)")) {
      if (canvas.width && canvas.height) pen.drawImage(canvas, 0, 0, this.size.width, this.size.height);
    }
  },

  drawMarks() {
    if (!this.size) return;
    const bright = this.map.bright(), pen = cleared(this.marks, this.size);
    this.element.classList.toggle("lm-dimmed", Boolean(bright));
    for (const panel of this.drawn()) {
      if (panel.dim === 3) continue;
      inside(pen, panel, () => {
        if (bright) this.drawBright(pen, panel, bright);
        if (this.map.keep.pictures && this.map.sprites) this.drawThumbs(pen, panel, bright);
      });
    }
  },

  drawBright(pen, panel, bright) { // by group: a change of colour costs more than a point
    const { colouring, shown } = this.map, groups = new Map(), radius = this.map.dot() / 2 + 0.3;
    for (const row of panel.rows || []) {
      if (!bright[row] || !shown[row]) continue;
      const group = colouring.groups[row], at = panel.pixelOf(row);
      if (!panel.holds(at)) continue;
      if (!groups.has(group)) groups.set(group, []);
      groups.get(group).push(at);
    }
    pen.globalAlpha = 0.85;
    for (const [group, places] of groups) {
      const apart = places.length < 2000; // each on its own, so that a crowd looks like one; many would take long
      pen.fillStyle = colouring.colour(group);
      pen.beginPath();
      for (const [x, y] of places) {
        pathOf(pen, colouring.shape(group), x, y, radius);
        if (apart) { pen.fill(); pen.beginPath(); }
      }
      pen.fill();
    }
    pen.globalAlpha = 1;
    pen.beginPath();
    pen.lineWidth = 1.5;
    pen.strokeStyle = this.map.style("--st-text-color", "#333");
    for (const row of this.map.data.lit) { const at = panel.pixelOf(row); if (panel.holds(at)) pathOf(pen, colouring.shape(colouring.groups[row]), ...at, radius + 1); }
    pen.stroke();
  },

  thumbRows(panel, bright) { // in view, in an order that has no pattern; of few enough sheets
    const { sprites, shown } = this.map;
    let rows = (panel.rows || []).filter((row) => shown[row] && (!bright || bright[row]) && panel.holds(panel.pixelOf(row)));
    const sheets = [...new Set(rows.map((row) => sprites.sheet(row)))];
    if (sheets.length > THUMB_SHEETS) {
      const every = Math.ceil(sheets.length / THUMB_SHEETS), some = new Set(sheets.filter((_, i) => i % every === 0));
      rows = rows.filter((row) => some.has(sprites.sheet(row)));
    }
    const order = (row) => Math.imul(row + 1, 2654435761) >>> 0;
    return rows.sort((a, b) => order(a) - order(b));
  },

  drawThumbs(pen, panel, bright) { // none covers another: those left out stay dots
    const { sprites, colouring } = this.map, { side } = sprites.pictures, size = panel.rect.width > 700 ? 38 : 26, taken = new Map();
    const free = (x, y) => {
      const [column, line] = [Math.floor(x / size), Math.floor(y / size)];
      for (let i = -1; i <= 1; i++) for (let j = -1; j <= 1; j++) {
        const other = taken.get(`${column + i},${line + j}`);
        if (other && Math.abs(other[0] - x) < size && Math.abs(other[1] - y) < size) return false;
      }
      taken.set(`${column},${line}`, [x, y]);
      return true;
    };
    let drawn = 0;
    pen.imageSmoothingEnabled = !sprites.hard;
    for (const row of this.thumbRows(panel, bright)) {
      if (drawn >= MOST_THUMBS) break;
      const [x, y] = panel.pixelOf(row);
      if (!free(x, y)) continue;
      drawn += 1;
      const image = sprites.image(row, () => this.later());
      if (!image) continue;
      const [left, top] = [Math.round(x - size / 2), Math.round(y - size / 2)];
      pen.fillStyle = colouring.colour(colouring.groups[row]);
      pen.fillRect(left - 2, top - 2, size + 4, size + 4);
      pen.drawImage(image, ...sprites.cell(row), side, side, left, top, size, size);
    }
  },

  later() { // sheets come one by one
    cancelAnimationFrame(this.soon);
    this.soon = requestAnimationFrame(() => !this.map.dead && this.drawMarks());
  },

  drawRings() {
    if (!this.size) return;
    const pen = cleared(this.rings, this.size), rows = this.map.ringed(), radius = this.map.dot() / 2 + 5;
    const outside = this.map.style("--st-background-color", "#fff"), line = this.map.style("--st-text-color", "#333");
    const accent = this.map.style("--st-primary-color", "#5b5bd6"), looked = new Set(this.map.looked());
    for (const panel of this.drawn()) {
      if (panel.dim === 3) continue;
      inside(pen, panel, () => rows.forEach((row) => {
        const [x, y] = panel.pixelOf(row);
        for (const [colour, width] of looked.has(row) ? [[outside, 7], [accent, 4]] : [[outside, 5], [line, 2.5]]) {
          pen.beginPath();
          pen.arc(x, y, radius, 0, 7);
          Object.assign(pen, { strokeStyle: colour, lineWidth: width });
          pen.stroke();
        }
      }));
    }
    if (this.map.brush.path) this.drawPath(pen, this.map.brush);
  },

  drawPath(pen, { path, panel, mode }) {
    const accent = this.map.style("--st-primary-color", "#5b5bd6");
    inside(pen, panel, () => {
      pen.beginPath();
      if (mode === "box") pen.rect(path[0][0], path[0][1], path.at(-1)[0] - path[0][0], path.at(-1)[1] - path[0][1]);
      else path.forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)));
      pen.closePath();
      Object.assign(pen, { fillStyle: accent, globalAlpha: 0.12 });
      pen.fill();
      Object.assign(pen, { strokeStyle: accent, globalAlpha: 1, lineWidth: 1.5 });
      pen.setLineDash([5, 4]);
      pen.stroke();
    });
  },
});
