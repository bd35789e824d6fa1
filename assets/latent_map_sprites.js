// Pictures of a latent map: sheets of thumbnails, the card beside a point, the strip of what is selected.

const MOST_TILES = 300; // of the strip
const KEPT_SHEETS = 48; // decoded, for drawing on a canvas
const CARD = 132; // px
const TILE = 56; // px

const ranges = (images) => { // 7,8,9,20 -> "7-9,20"
  const parts = [];
  for (const image of images) {
    const last = parts.at(-1);
    if (last && last[1] + 1 === image) last[1] = image;
    else parts.push([image, image]);
  }
  return parts.map(([from, to]) => (from === to ? from : `${from}-${to}`)).join(",");
};

class Sprites {
  constructor(pictures) {
    this.pictures = pictures;
    this.hard = pictures.smallest < 64; // small images keep their pixels
    this.sheets = new Map();
  }

  sheet(row) { return Math.floor(row / this.pictures.perSheet); }

  url(sheet) {
    const { dataset, fingerprint, index, perSheet } = this.pictures;
    const images = Array.from(index.subarray(sheet * perSheet, (sheet + 1) * perSheet));
    return `/lab/datasets/${dataset}/sprites.jpg?images=${ranges(images)}&v=${encodeURIComponent(fingerprint)}`;
  }

  single(row, size) { // one image on its own, drawn from the original
    const { dataset, fingerprint, index } = this.pictures;
    return `/lab/datasets/${dataset}/images/${index[row]}.jpg?size=${size}&v=${encodeURIComponent(fingerprint)}`;
  }

  cell(row) {
    const { cell, columns, perSheet } = this.pictures, at = row % perSheet;
    return [(at % columns) * cell, Math.floor(at / columns) * cell];
  }

  paint(element, row, size) { // a thumbnail as the background of an element
    const { side, cell, columns } = this.pictures, zoom = size / side, [x, y] = this.cell(row);
    element.style.backgroundImage = `url("${this.url(this.sheet(row))}")`;
    element.style.backgroundSize = `${columns * cell * zoom}px auto`;
    element.style.backgroundPosition = `${-x * zoom}px ${-y * zoom}px`;
    element.style.imageRendering = this.hard ? "pixelated" : "auto";
  }

  image(row, loaded) { // the sheet with this row, if it is here; else `loaded` is called once it is
    const sheet = this.sheet(row);
    let image = this.sheets.get(sheet);
    if (!image) {
      image = new Image();
      image.addEventListener("load", loaded, { once: true });
      image.src = this.url(sheet);
    }
    this.sheets.delete(sheet); // the latest used is last
    this.sheets.set(sheet, image);
    if (this.sheets.size > KEPT_SHEETS) this.sheets.delete(this.sheets.keys().next().value);
    return image.complete && image.naturalWidth ? image : null;
  }
}

// The picture, class, name and value of one point, beside the pointer.
class Card {
  constructor(map) {
    this.map = map;
    this.element = node("div", "lm-card");
    this.element.hidden = true;
    this.element.setAttribute("role", "tooltip");
    this.thumb = node("i");
    this.picture = node("img");
    this.picture.alt = "";
    this.picture.onload = () => { this.picture.hidden = false; };
    this.frame = node("div", "lm-frame");
    this.frame.append(this.thumb, this.picture);
    this.text = node("div", "lm-words");
    this.element.append(this.frame, this.text);
  }

  show(row, left, top) { // beside a place given in pixels of the plots
    const { pack, sprites, colouring, plots } = this.map;
    this.row = row;
    this.frame.hidden = !sprites;
    if (sprites) this.look(row, sprites);
    const lines = [node("b", "", this.map.className(row))];
    if (pack.names) lines.push(node("span", "", pack.names[row]));
    if (colouring.field !== pack.labels) lines.push(node("span", "", `${colouring.field.name}: ${colouring.words(row)}`));
    this.text.replaceChildren(...lines);
    this.element.hidden = false;
    const width = this.element.offsetWidth, height = this.element.offsetHeight, room = plots.element.clientWidth;
    const x = left + 16 + width > room ? Math.max(0, left - width - 12) : left + 16;
    const over = plots.element.getBoundingClientRect().top + top + 14 + height > window.innerHeight;
    this.element.style.transform = `translate(${x}px, ${over ? top - height - 10 : top + 14}px)`;
  }

  look(row, sprites) {
    this.picture.hidden = true; // the thumbnail, if its sheet is here, until the image itself is
    this.picture.style.imageRendering = sprites.hard ? "pixelated" : "auto";
    if (sprites.sheets.has(sprites.sheet(row))) sprites.paint(this.thumb, row, CARD);
    else this.thumb.style.backgroundImage = "none";
    this.picture.src = sprites.single(row, 160);
  }

  hide() {
    this.row = null;
    this.element.hidden = true;
  }
}

// The images of the selected points, or of those that the page has marked; loaded as they come into view.
class Strip {
  constructor(map) {
    this.map = map;
    this.element = node("section", "lm-strip");
    this.element.setAttribute("aria-label", "Images of the selected points");
    this.note = node("p", "lm-quiet");
    this.tiles = node("div", "lm-tiles");
    this.element.append(this.note, this.tiles);
    this.tiles.addEventListener("scroll", () => map.look(null), { passive: true });
    this.watch = new IntersectionObserver((entries) => {
      for (const { isIntersecting, target } of entries) {
        if (!isIntersecting) continue;
        this.watch.unobserve(target);
        this.map.sprites.paint(target.firstChild, Number(target.dataset.row), TILE);
      }
    }, { rootMargin: "120px" });
  }

  draw() {
    const { keep, data, sprites, pack, colouring } = this.map, marked = [...new Set([...data.ring, ...data.lit])];
    const rows = keep.selected.length ? keep.selected : marked;
    const mark = JSON.stringify([pack.points, colouring.field.name, rows.length, keep.selected.length, rows.slice(0, MOST_TILES)]);
    if (mark === this.mark) return; // the same images stay, and with them scrolling and the keyboard's place
    this.mark = mark;
    this.watch.disconnect();
    this.element.hidden = !rows.length || !sprites;
    this.tiles.replaceChildren();
    if (this.element.hidden) return;
    const shown = rows.slice(0, MOST_TILES), what = keep.selected.length ? "selected" : "marked";
    this.note.textContent = `${counted(shown.length)} of ${counted(rows.length)} ${what} images shown`;
    this.tiles.replaceChildren(...shown.map((row) => this.tile(row)));
    this.tiles.scrollTop = 0;
  }

  tile(row) {
    const button = press("", () => this.map.click(row)), name = this.map.words(row);
    button.dataset.row = row;
    button.setAttribute("aria-label", name);
    button.style.setProperty("--colour", this.map.colouring.colour(this.map.colouring.groups[row]));
    button.append(node("i"));
    const look = () => {
      const box = button.getBoundingClientRect();
      this.map.look(row, ...this.map.local({ clientX: box.left + TILE / 2, clientY: box.bottom }));
    };
    button.onpointerenter = (event) => { if (event.pointerType !== "touch") this.map.dwell(look); };
    button.onpointerleave = () => this.map.look(null);
    button.onfocus = () => { if (button.matches(":focus-visible")) look(); };
    button.onblur = () => this.map.look(null);
    this.watch.observe(button);
    return button;
  }

  dispose() { this.watch.disconnect(); }
}
