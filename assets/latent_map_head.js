// The head of a latent map: colour field, search, tools, what is selected, and the legend.

const MODES = [
  ["lasso", "Lasso", "Draw around points to select them; Shift adds, Alt takes away"],
  ["box", "Box", "Drag a box to select points; Shift adds, Alt takes away"],
  ["move", "Move", "Drag to move, turn the wheel to zoom, double-click to see all"],
];
const NO_GROUP = "no class", NO_LABEL = "no label";

class Head {
  constructor(map) {
    this.map = map;
    this.element = node("div", "lm-head");
    this.bar = node("div", "lm-bar");
    this.status = node("div", "lm-status");
    this.legend = node("div", "lm-legend");
    this.note = node("p", "lm-quiet");
    this.bar.append(this.fields(), this.search(), this.modes(), this.zooms(), this.sizes(), this.looks());
    this.told = node("span", "lm-told");
    this.told.setAttribute("role", "status");
    this.clear = press("Clear", () => map.clear(), "Escape clears too");
    this.all = press("Select all visible", () => map.select(map.visible()));
    this.invert = press("Invert", () => map.invert());
    this.status.append(this.told, this.clear, this.all, this.invert);
    this.element.append(this.bar, this.status, this.legend, this.note);
  }

  fields() {
    const label = node("label");
    this.field = node("select");
    this.field.onchange = () => { this.map.keep.field = this.field.value; this.map.paint(); };
    label.append(node("span", "", "Colour by"), this.field);
    return label;
  }

  search() {
    const input = node("input");
    Object.assign(input, { type: "search", placeholder: "Find by name or class", maxLength: 80 });
    input.setAttribute("aria-label", "Find points by name or class; they are selected");
    let timer;
    const find = () => { clearTimeout(timer); this.map.find(input.value.trim()); };
    input.oninput = () => { clearTimeout(timer); timer = setTimeout(find, 350); };
    input.onkeydown = (event) => { if (event.key === "Enter") find(); };
    this.query = input;
    return input;
  }

  modes() {
    const group = node("div", "lm-group");
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", "What dragging does");
    this.tools = MODES.map(([mode, name, help]) => {
      const button = press(name, () => { this.map.setMode(this.map.keep.mode === mode ? "" : mode); }, help);
      button.dataset.mode = mode;
      return button;
    });
    group.append(...this.tools);
    return group;
  }

  zooms() {
    const group = node("div", "lm-group"), zoom = (factor) => () => this.map.zoomAll(factor);
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", "Zoom of all panels");
    const buttons = [["−", 1 / 1.4, "Zoom out"], ["+", 1.4, "Zoom in"], ["All", 0, "See all points"]].map(([text, factor, name]) => {
      const button = press(text, zoom(factor), name);
      button.setAttribute("aria-label", name);
      return button;
    });
    group.append(...buttons);
    return group;
  }

  sizes() {
    const label = node("label");
    this.size = node("input");
    Object.assign(this.size, { type: "range", min: 1.5, max: 14, step: 0.5 });
    this.size.setAttribute("aria-label", "Point size");
    this.size.oninput = () => { this.map.keep.size = Number(this.size.value); this.map.resize(); };
    label.append(node("span", "", "Size"), this.size);
    return label;
  }

  looks() {
    this.pictures = press("Pictures", () => { this.map.keep.pictures = !this.map.keep.pictures; this.draw(); this.map.plots.drawMarks(); },
      "Draw images in place of some points; no image covers another, and the rest stay dots");
    return this.pictures;
  }

  draw() { // what the controls stand at
    const { map } = this, { keep, pack, colouring } = map;
    const names = pack.colours.map((field) => field.name);
    if (this.field.options.length !== names.length || names.some((name, i) => this.field.options[i].value !== name)) {
      this.field.replaceChildren(...names.map((name) => { const option = node("option", "", name); option.value = name; return option; }));
    }
    this.field.value = colouring.field.name;
    this.field.parentElement.hidden = names.length < 2;
    this.size.value = map.dot();
    this.pictures.hidden = !map.sprites;
    this.pictures.setAttribute("aria-pressed", keep.pictures);
    for (const tool of this.tools) tool.setAttribute("aria-pressed", tool.dataset.mode === keep.mode);
    const again = colouring.repeats ? [`Colours begin anew after ${colouring.palette.length} classes, with another shape.`] : [];
    if (!hasWebGL()) again.push("This browser offers no WebGL, so many points draw slowly.");
    this.note.textContent = again.join(" ");
    this.note.hidden = !again.length;
    if (colouring.isClass) this.drawClasses();
    else this.drawScale();
    this.counts();
  }

  drawClasses() {
    const { colouring, pack } = this.map, groups = [...colouring.totals.keys()].sort((a, b) => a - b);
    const mark = JSON.stringify([pack.points, colouring.field.name, colouring.names, groups]);
    if (mark === this.mark) return; // the buttons stay, and with them the keyboard's place
    this.mark = mark;
    this.buttons = new Map(groups.map((group) => [group, this.classButton(group)]));
    this.legend.className = "lm-legend";
    this.legend.replaceChildren(...[...this.buttons.values()].map(({ button }) => button));
  }

  classButton(group) { // a click hides the class, a double click or Shift leaves it alone
    const { map } = this, name = map.colouring.names[group] ?? NO_GROUP, button = node("button"), count = node("small");
    let timer;
    button.type = "button";
    button.title = `${name}: click hides, double-click or Shift shows this class alone`;
    button.onclick = (event) => {
      clearTimeout(timer);
      if (event.shiftKey) return map.solo(group);
      if (event.detail > 1) return undefined; // the second click of a double click
      if (event.detail === 0) return map.hide(group); // from the keyboard
      timer = setTimeout(() => map.hide(group), 240);
      return undefined;
    };
    button.ondblclick = () => { clearTimeout(timer); map.solo(group); };
    const swatch = node("i");
    swatch.dataset.shape = map.colouring.shape(group);
    swatch.style.setProperty("--colour", map.colouring.colour(group));
    button.append(swatch, node("span", "", name), count);
    return { button, count };
  }

  drawScale() {
    const { colouring } = this.map, { ends: [least, low, high, most], unit, name } = colouring.field;
    this.buttons = new Map();
    this.mark = null;
    const ramp = node("i", "lm-ramp"), missing = colouring.totals.get(NO_CLASS);
    ramp.style.background = `linear-gradient(90deg, ${[0, 13, 25, 38, 50, 63].map((level) => colouring.ramp[level]).join(", ")})`;
    const parts = [node("b", "", name), node("span", "", `${least < low ? "≤ " : ""}${number(low)}`), ramp,
      node("span", "", `${most > high ? "≥ " : ""}${number(high)} ${unit}`.trim())];
    if (missing) parts.push(node("span", "lm-quiet", `${counted(missing)} without a value`));
    this.legend.className = "lm-legend lm-scale";
    this.legend.replaceChildren(...parts);
  }

  counts() { // selected / all
    const { keep, pack, colouring } = this.map, hidden = this.map.hiddenGroups(), chosen = keep.selected.length;
    const totals = colouring.count(keep.selected);
    for (const [group, { button, count }] of this.buttons) {
      const all = colouring.totals.get(group);
      count.textContent = chosen ? `${counted(totals.get(group) || 0)} / ${counted(all)}` : counted(all);
      button.setAttribute("aria-pressed", !hidden.has(group));
    }
    const visible = this.map.visibleCount;
    const away = visible < pack.n ? ` · ${counted(pack.n - visible)} hidden` : "";
    this.told.textContent = this.map.note || (chosen ? `${counted(chosen)} of ${counted(pack.n)} selected${away}` : `${counted(pack.n)} points${away}`);
    this.clear.disabled = !chosen && this.map.keep.pinned === null;
    this.invert.disabled = !chosen;
  }
}
